"""The state that a command works on: from files, or from the cluster."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from webhook.cli.progress import watched_progress
from webhook.eem import EemSnapshot, ForeignPolicy, PolicyKind, read
from webhook.eem.api_servers import endpoints_of_api_server
from webhook.eem.instances import Instance
from webhook.eem.policy_kinds import NAME_OF
from webhook.eem.resources import ENDPOINT_SLICES, TIERED
from webhook.files.change_set import identity_of
from webhook.files.file_objects import STDIN, FileFault, FileObjects, FilesError, Place, PlacedObject, ReadOptions
from webhook.files.object_reader import read_files
from webhook.netpol.intervals import IPAddress
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
        foreign: those of them that are policies which may override a verdict.
        api_servers: the addresses of the API server, if its endpoints are known.
        read_kinds: the policy kinds beside NetworkPolicy that were read.
        unread_kinds: the policy kinds that the API server serves and that are not read.
        passed_over: the files in folders that contain no API objects.
        placed: the objects with their places in files; none of a live cluster.
    """

    objects: tuple[ReadObject, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    foreign: tuple[ForeignPolicy, ...] = ()
    api_servers: tuple[IPAddress, ...] = ()
    read_kinds: tuple[PolicyKind, ...] = ()
    unread_kinds: tuple[PolicyKind, ...] = ()
    passed_over: tuple[str, ...] = ()
    placed: tuple[PlacedObject, ...] = ()

    def place_of(self, kind: str, namespace: str, name: str) -> Place | None:
        """Return the place of an object in the files; None if it is in none."""
        wanted = (kind, namespace, name)
        return next((one.place for one in self.placed if identity_of(one.mapping) == wanted), None)

    def snapshot(self) -> EemSnapshot:
        """Return the state as verdicts need it."""
        read = EemSnapshot.from_read(self.objects)
        return replace(
            read,
            foreign=self.foreign,
            api_servers=self.api_servers,
            read_kinds=tuple(dict.fromkeys((*read.read_kinds, *self.read_kinds))),
            unread_kinds=self.unread_kinds,
        )


def add_state_arguments(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    """
    Add the choice between files and the live cluster.

    Args:
        required: whether one of the two must be given; otherwise the state is empty without them.
    """
    condition = "one of --state and --live is required" if required else "not required with --before and --after"
    group = parser.add_argument_group("state", f"the cluster before the changes; {condition}")
    which = group.add_mutually_exclusive_group(required=required)
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
    group.add_argument("-v", "--verbose", action="store_true", help="show what was read, and what was skipped")


def read_state(arguments: argparse.Namespace, settings: Settings) -> State:
    """
    Read the state.

    Raises:
        StateError: the files cannot be understood, or the cluster cannot be reached.
    """
    if arguments.live:
        return _read_live(settings)
    found = read_paths(arguments.state or (), read_options(arguments, is_state=True))
    if arguments.verbose:
        tell(found, "state")
    return State(
        objects=found.read,
        skipped=found.skipped,
        foreign=found.foreign,
        api_servers=found.api_servers,
        passed_over=found.passed_over,
        placed=found.objects,
    )


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
        with watched_progress(paths, options) as watched:
            found = read_files(paths, sys.stdin.buffer, watched)
    except FilesError as error:
        raise unreadable(error) from error
    warn(found.notes)
    return found


def unreadable(error: FilesError) -> StateError:
    """Return the error about files that cannot be understood, each fault with the line and the column of its field."""
    from webhook.files.positions import located  # noqa: PLC0415  slow, and only errors need it

    return StateError("\n".join(map(str, located(error.faults))))


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


def _is_in_pod(settings: Settings, environment: Mapping[str, str]) -> bool:
    """Whether a command uses the account of its pod, as kubectl does in a pod without a kubeconfig."""
    named = settings.kubeconfig or settings.context or environment.get("KUBECONFIG")
    is_elsewhere = named or Path("~/.kube/config").expanduser().exists()
    return not is_elsewhere and bool(environment.get("KUBERNETES_SERVICE_HOST"))


def _read_live(settings: Settings) -> State:
    import asyncio  # noqa: PLC0415  slow, as what follows

    from webhook.cluster.api_groups import ApiGroups, readable  # noqa: PLC0415  slow
    from webhook.cluster.client import ApiClient  # noqa: PLC0415  slow
    from webhook.cluster.credentials import CredentialsError, Kubeconfig, ServiceAccount  # noqa: PLC0415  slow
    from webhook.cluster.errors import ClusterError, ForbiddenError  # noqa: PLC0415  slow
    from webhook.cluster.lists import read_all  # noqa: PLC0415  slow
    from webhook.eem import WATCHED  # noqa: PLC0415

    async def ask() -> tuple[tuple[Mapping[str, Any], ...], ApiGroups]:
        in_pod = _is_in_pod(settings, os.environ)
        account = ServiceAccount.from_environment(os.environ) if in_pod else None
        async with ApiClient(account or Kubeconfig(settings.kubeconfig, settings.context)) as client:
            groups = ApiGroups(client)
            await groups.look()
            lists = [(await read_all(client, resource)).objects for resource in WATCHED]
            for resource in filter(None, (readable(one, groups.served) for one in TIERED)):
                try:
                    lists.append((await read_all(client, resource)).objects)
                    read_kinds.extend(
                        known for known, kind in NAME_OF.items() if kind == resource.kind and known in groups.served
                    )
                except ForbiddenError as error:
                    warn([str(error)])
            with suppress(ClusterError):  # only a note on the operator's port needs it, and a right of its own
                slices = await read_all(client, ENDPOINT_SLICES, namespace="default")
                servers.extend(address for one in slices.objects for address in endpoints_of_api_server(one))
            return tuple(api_object for objects in lists for api_object in objects), groups

    read_kinds: list[PolicyKind] = []
    servers: list[IPAddress] = []
    try:
        found, groups = asyncio.run(ask())
    except (ClusterError, CredentialsError) as error:
        raise StateError(f"--live: {error}") from error
    known = [(api_object, *read(api_object)) for api_object in found]
    if groups.problem:
        warn([f"policy kinds other than NetworkPolicy count as absent, because they cannot be read: {groups.problem}"])
    # The API server has stored these objects: what cannot be read of them counts as unknown, as in the webhook.
    warn([f"{fault}: it counts as unknown" for _, _, faults in known for fault in faults])
    objects = tuple((api_object, parsed) for api_object, parsed, _ in known)
    return State(
        objects=objects,
        api_servers=tuple(servers),
        read_kinds=tuple(read_kinds),
        unread_kinds=groups.others(read_kinds),
    )
