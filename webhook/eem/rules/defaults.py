"""
What is filled in when an instance is made: the documented defaults that users gain from seeing.

Never storage, a licence, a deprecated field, a value that is set (even to nothing), and never an entry of a list: lists
are replaced as a whole by the next apply, so what was filled in there would come and go.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from webhook.eem.rules.model import GATEWAY, GROUP, KINDS, RuleContext
from webhook.eem.rules.nodes import Tree, child, text
from webhook.eem.rules.paths import Path, pointer
from webhook.eem.rules.version import FIRST, Version


@dataclass(frozen=True, kw_only=True, slots=True)
class Default:
    """One value that is written down where nothing is."""

    kinds: tuple[str, ...]
    path: Path
    value: bool | int | str
    since: Version
    source: str


DEFAULTS: tuple[Default, ...] = (
    Default(
        kinds=KINDS,
        path=("spec", "deployNetworkPolicies"),
        value=True,
        since=FIRST,
        source='EEM 11.8, "Network policies"',
    ),
    Default(
        kinds=(GATEWAY,),
        path=("spec", "replicas"),
        value=1,
        since=Version.parse("11.1.0"),
        source="CRD of EEM 11.1.2 and later",
    ),
)

Operation = dict[str, object]


def defaults(obj: Tree, context: RuleContext) -> list[Operation]:
    """
    Return the JSON patch that fills in what a new instance leaves out; nothing for other kinds.

    Source: RFC 6902; parents that are missing are added first.
    """
    if not _is_an_instance(obj):
        return []
    operations: list[Operation] = []
    made: set[Path] = set()
    for default in DEFAULTS:
        if text(obj, "kind") in default.kinds and default.since <= context.version:
            operations += _fill(obj, default, made)
    return operations


def _is_an_instance(obj: Tree) -> bool:
    return text(obj, "kind") in KINDS and text(obj, "apiVersion").partition("/")[0] == GROUP


def _fill(obj: Tree, default: Default, made: set[Path]) -> list[Operation]:
    """Return the operations for one default; none where the value, or something else in its way, is there."""
    operations: list[Operation] = []
    node: object = obj
    for depth, step in enumerate(default.path[:-1], start=1):
        parent = default.path[:depth]
        node = child(node, str(step))
        if node is None and parent not in made:
            operations.append({"op": "add", "path": pointer(parent), "value": {}})
        elif node is not None and not isinstance(node, Mapping):
            return []
    if isinstance(node, Mapping) and default.path[-1] in node:
        return []
    made.update(default.path[:depth] for depth in range(1, len(default.path)))
    operations.append({"op": "add", "path": pointer(default.path), "value": default.value})
    return operations
