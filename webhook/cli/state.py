"""The state that a command works on: from files, or from the cluster."""

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from webhook.eem import read
from webhook.eem.instances import Instance
from webhook.files.reader import FileObjects, FilesError, read_files
from webhook.netpol import SpecError
from webhook.netpol.parse_objects import Parsed
from webhook.settings import CONNECTION, Settings, add_flags

ReadObject = tuple[Mapping[str, Any], Parsed | Instance | None]
"""An API object, and what was read of it; None for a kind of which nothing is read."""


class StateError(Exception):
    """Tell that a command cannot have its state; the message is for people."""


def add_state_arguments(parser: argparse.ArgumentParser) -> None:
    """Take files or the live cluster."""
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--state",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="the cluster's state: files, folders (recursive: .yaml .yml .json), or - for standard input",
    )
    which.add_argument("--live", action="store_true", help="the cluster's state, read from its API server")
    add_flags(parser, CONNECTION)
    parser.add_argument("-v", "--verbose", action="store_true", help="say what was read, and what was skipped")


def read_state(arguments: argparse.Namespace, settings: Settings) -> tuple[ReadObject, ...]:
    """
    Give the objects of the state, each with what was read of it.

    Raises:
        StateError: files that cannot be understood, or a cluster that cannot be reached.
    """
    if arguments.live:
        return _read_live(settings)
    found = read_paths(arguments.state)
    if arguments.verbose:
        tell(found, "state")
    return found.read


def read_paths(paths: Sequence[str]) -> FileObjects:
    """
    Read files.

    Raises:
        StateError: with every fault of every file.
    """
    try:
        found = read_files(paths, sys.stdin.buffer)
    except FilesError as error:
        raise StateError(str(error)) from error
    for note in found.notes:
        print(f"warning: {note}", file=sys.stderr)
    return found


def tell(found: FileObjects, what: str) -> None:
    """Say on standard error what was read and what was skipped."""
    skipped = ", ".join(f"{count} {kind}" for kind, count in sorted(found.skipped.items())) or "none"
    print(f"{what}: {len(found.objects)} objects; skipped: {skipped}", file=sys.stderr)


def _read_live(settings: Settings) -> tuple[ReadObject, ...]:
    import asyncio  # noqa: PLC0415  slow, as what follows

    from webhook.cluster.client import ApiClient  # noqa: PLC0415  slow
    from webhook.cluster.credentials import CredentialsError  # noqa: PLC0415  slow
    from webhook.cluster.errors import ClusterError  # noqa: PLC0415  slow
    from webhook.cluster.kubeconfig import Kubeconfig  # noqa: PLC0415  slow
    from webhook.cluster.listing import read_all  # noqa: PLC0415  slow
    from webhook.eem import WATCHED  # noqa: PLC0415

    async def ask() -> tuple[Mapping[str, Any], ...]:
        async with ApiClient(Kubeconfig(settings.kubeconfig, settings.context)) as client:
            lists = [await read_all(client, resource) for resource in WATCHED]
            return tuple(api_object for objects in lists for api_object in objects)

    try:
        found = asyncio.run(ask())
    except (ClusterError, CredentialsError) as error:
        raise StateError(str(error)) from error
    known = [(api_object, *read(api_object)) for api_object in found]
    faults = [fault for _, _, faults in known for fault in faults]
    if faults:
        raise StateError(str(SpecError(faults)))
    return tuple((api_object, parsed) for api_object, parsed, _ in known)
