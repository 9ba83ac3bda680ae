"""The state that a command works on: from files, or from the cluster."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webhook.eem import read
from webhook.eem.instances import Instance
from webhook.files.file_objects import STDIN, FileFault, FileObjects, FilesError, ReadOptions
from webhook.files.object_reader import read_files
from webhook.netpol.parse_objects import Parsed
from webhook.settings import CONNECTION, Settings, add_flags

ReadObject = tuple[Mapping[str, Any], Parsed | Instance | None]
"""An API object, and what was read of it; None for a kind of which nothing is read."""


class StateError(Exception):
    """Raised when a command cannot have its state; the message is for the user."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """
    The state of a cluster.

    Args:
        objects: with what was read of each.
        skipped: the number of objects of each kind that no verdict depends on.
        passed_over: the files in folders that contain no API objects.
    """

    objects: tuple[ReadObject, ...]
    skipped: Mapping[str, int]
    passed_over: tuple[str, ...] = ()


def add_state_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the choice between files and the live cluster."""
    group = parser.add_argument_group("state", "the cluster before the changes; one of --state and --live is required")
    which = group.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--state",
        nargs="+",
        action="extend",
        metavar="PATH",
        help="files, folders (recursive: .yaml .yml .json), or - for standard input; JSON is read fastest",
    )
    which.add_argument("--live", action="store_true", help="read the state from the cluster's API server")
    add_flags(group, CONNECTION)
    group.add_argument(
        "-n",
        "--namespace",
        default="",
        metavar="NAMESPACE",
        help="namespace of objects that name none (default: default, with a warning)",
    )
    group.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="GLOB",
        help="leave out files of folders, by name or by path below the folder; may be repeated",
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show what was read, and what was skipped")


def read_state(arguments: argparse.Namespace, settings: Settings) -> State:
    """
    Read the state.

    Raises:
        StateError: the files cannot be understood, or the cluster cannot be reached.
    """
    if arguments.live:
        return _read_live(settings)
    found = read_paths(arguments.state, read_options(arguments, is_state=True))
    if arguments.verbose:
        tell(found, "state")
    return State(objects=found.read, skipped=found.skipped, passed_over=found.passed_over)


def read_options(arguments: argparse.Namespace, *, is_state: bool) -> ReadOptions:
    """Return how a command reads its files."""
    return ReadOptions(namespace=arguments.namespace, exclude=tuple(arguments.exclude), is_state=is_state)


def read_paths(paths: Sequence[str], options: ReadOptions) -> FileObjects:
    """
    Read files, and print the notes on them as warnings.

    Raises:
        StateError: with every fault of every file.
    """
    try:
        found = read_files(paths, sys.stdin.buffer, options)
    except FilesError as error:
        raise StateError(str(error)) from error
    warn(found.notes)
    return found


def warn(notes: Sequence[FileFault | str]) -> None:
    """Print warnings on standard error."""
    for note in notes:
        print(f"warning: {note}", file=sys.stderr)


def tell(found: FileObjects, what: str) -> None:
    """Print on standard error what was read and what was skipped."""
    skipped = in_words(found.skipped) or "none"
    print(f"{what}: {len(found.objects)} objects; skipped: {skipped}", file=sys.stderr)


def in_words(counts: Mapping[str, int]) -> str:
    """Return how many there are of each kind, `2 Secret, 1 Service`."""
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))


def require_single_stdin(*paths: Sequence[str]) -> None:
    """
    Check that standard input is named at most once.

    Raises:
        StateError: it is named twice: only the first would have a content.
    """
    if Counter(path for group in paths for path in group)[STDIN] > 1:
        raise StateError("standard input (-) is named twice: it can be read only once")


def _read_live(settings: Settings) -> State:
    import asyncio  # noqa: PLC0415  slow, as what follows

    from webhook.cluster.client import ApiClient  # noqa: PLC0415  slow
    from webhook.cluster.credentials import CredentialsError, Kubeconfig  # noqa: PLC0415  slow
    from webhook.cluster.errors import ClusterError  # noqa: PLC0415  slow
    from webhook.cluster.lists import read_all  # noqa: PLC0415  slow
    from webhook.eem import WATCHED  # noqa: PLC0415

    async def ask() -> tuple[Mapping[str, Any], ...]:
        async with ApiClient(Kubeconfig(settings.kubeconfig, settings.context)) as client:
            lists = [(await read_all(client, resource)).objects for resource in WATCHED]
            return tuple(api_object for objects in lists for api_object in objects)

    try:
        found = asyncio.run(ask())
    except (ClusterError, CredentialsError) as error:
        raise StateError(f"--live: {error}") from error
    known = [(api_object, *read(api_object)) for api_object in found]
    # The API server has stored these objects: what cannot be read of them counts as unknown, as in the webhook.
    warn([f"{fault}: it counts as unknown" for _, _, faults in known for fault in faults])
    return State(objects=tuple((api_object, parsed) for api_object, parsed, _ in known), skipped={})
