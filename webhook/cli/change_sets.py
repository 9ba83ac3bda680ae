"""The difference of two states of a repository as the changes of a command."""

import argparse
import sys
from dataclasses import replace

from webhook.cli.state import State, StateError, read_options, require_single_stdin, unreadable, warn
from webhook.files.change_set import ChangeSet, PlacedChange, identity_of, read_change_set
from webhook.files.file_objects import FilesError
from webhook.files.tool_order import ORDERS


def add_change_set_arguments(group: argparse._ArgumentGroup, *, required: bool) -> None:
    """Add the two states, and the order in which their difference is applied."""
    for name, text in (("before", "the objects that are applied now"), ("after", "the objects to apply")):
        group.add_argument(
            f"--{name}",
            required=required,
            metavar="PATH|REV:PATH",
            help=f"{text}: a file, a folder, or a path in a Git revision",
        )
    group.add_argument(
        "--order",
        choices=tuple(ORDERS),
        default="given",
        help="the tool that makes the changes from --before to --after (default: given, the order of the files)",
    )


def read_changes(arguments: argparse.Namespace, state: State) -> tuple[State, ChangeSet, list[PlacedChange]]:
    """
    Return the cluster before the changes, what was read, and the changes in the order of the tool.

    Args:
        state: what else the cluster contains; an object that the repository has as well is taken from there.

    Raises:
        StateError: a state cannot be understood, or both have the same objects.
    """
    require_single_stdin(arguments.state or (), [arguments.before, arguments.after])
    options = read_options(arguments, is_state=True)
    try:
        change_set = read_change_set(arguments.before, arguments.after, sys.stdin.buffer, options)
    except FilesError as error:
        raise unreadable(error) from error
    warn([*change_set.before.notes, *change_set.after.notes])
    if not change_set.changes:
        raise StateError("there is no change: both states have the same objects")
    own = {identity_of(mapping) for found in (change_set.before, change_set.after) for mapping in found.mappings}
    others = (one for one in state.objects if identity_of(one[0]) not in own)
    whole = replace(
        state,
        objects=(*others, *change_set.before.read),
        foreign=(*state.foreign, *change_set.before.foreign),
    )
    return whole, change_set, ORDERS[arguments.order](change_set.changes)
