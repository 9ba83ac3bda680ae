"""
The documented defaults that are added to a new instance, where users gain from seeing them.

Never added: storage, a licence, a deprecated field, a value that is set (even to null), and any entry of a list. The
next apply replaces a list as a whole, so an added entry would come and go.
"""

from dataclasses import dataclass

from webhook.eem.resources import EEM_GROUP
from webhook.eem.rules.product_version import FIRST, ProductVersion
from webhook.eem.rules.rule import GATEWAY_ONLY, KINDS, RuleContext
from webhook.netpol.reading import Path, Tree, is_object, text_at, value_at


@dataclass(frozen=True, kw_only=True, slots=True)
class Default:
    """One value that is added where the field is missing."""

    kinds: tuple[str, ...]
    path: Path
    value: bool | int | str
    since: ProductVersion
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
        kinds=GATEWAY_ONLY,
        path=("spec", "replicas"),
        value=1,
        since=ProductVersion.parse("11.1.0"),
        source="CRD of EEM 11.1.2 and later",
    ),
)

PatchOperation = dict[str, object]
"""One operation of a JSON patch (RFC 6902)."""


def defaults(obj: Tree, context: RuleContext) -> list[PatchOperation]:
    """
    Return the JSON patch that adds what a new instance leaves out; an empty one for other kinds.

    Source: RFC 6902; parents that are missing are added first.
    """
    if text_at(obj, "apiVersion").partition("/")[0] != EEM_GROUP:
        return []
    operations: list[PatchOperation] = []
    made: set[Path] = set()
    for default in DEFAULTS:
        if text_at(obj, "kind") in default.kinds and default.since <= context.version:
            operations += _additions(obj, default, made)
    return operations


def _additions(obj: Tree, default: Default, made: set[Path]) -> list[PatchOperation]:
    """Return the operations for one default; none where the value is set, or a parent is no object."""
    operations: list[PatchOperation] = []
    node: object = obj
    for depth, step in enumerate(default.path[:-1], start=1):
        parent = default.path[:depth]
        node = value_at(node, str(step))
        if node is None and parent not in made:
            operations.append({"op": "add", "path": json_pointer_to(parent), "value": {}})
        elif node is not None and not is_object(node):
            return []
    if is_object(node) and default.path[-1] in node:
        return []
    made.update(default.path[:depth] for depth in range(1, len(default.path)))
    operations.append({"op": "add", "path": json_pointer_to(default.path), "value": default.value})
    return operations


def json_pointer_to(path: Path) -> str:
    """
    Return the path as a JSON pointer, with `~` and `/` in names escaped.

    Source: RFC 6901 section 3.
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
