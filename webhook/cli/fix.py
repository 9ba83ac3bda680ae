"""`--fix`: the smallest fix of refused changes or of what is broken, as YAML for kubectl."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

import yaml

from webhook.admission import Verdict
from webhook.admission.refusal import losses_in_words
from webhook.cli.results import name_of
from webhook.files.applying import LAST_APPLIED

if TYPE_CHECKING:
    from webhook.admission.fix_goals import FixTarget
    from webhook.admission.least_fix import Fix, FixEdit, FixPolicy

WIDTH: Final = 100
"""Characters of a comment's line without its `# `."""

NOTHING: Final = "# No change is refused because a policy is missing: there is nothing to add."
NOTHING_BROKEN: Final = "# Nothing is broken: there is nothing to add."
HEAD: Final = (
    "# Apply these policies before the refused changes. All of their rules are needed, and they open nothing that is "
    "closed now."
)
HEAD_OF_STATE: Final = (
    "# These policies restore what is broken. All of their rules are needed, and they open only what EEM needs: "
    "where the address of a destination is not known, any address."
)
FOOT: Final = (
    "No policy was found that fixes this: it must open nothing else, and the pods must have labels in common. "
    "Change the policies, or the rules of cluster-wide policies, that are named above."
)
SET_BY_SERVER: Final = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "selfLink", "uid")


def has_fix(verdict: Verdict) -> bool:
    """Whether there is a policy that makes a change acceptable which is refused, or would be in mode enforce."""
    return bool(verdict.advice) and any(lost.remedy is not None for lost in verdict.lost)


def as_yaml(fix: Fix, *, of_state: bool = False) -> str:
    """
    Return a fix with comments that say why.

    Args:
        of_state: it repairs a state, and there are no changes.
    """
    documents = [
        *map(_policy, fix.policies),
        *map(_edit, fix.edits),
        *(_comment(_reason(one), FOOT) for one in fix.hopeless),
    ]
    if not documents:
        return NOTHING_BROKEN if of_state else NOTHING
    head = [HEAD_OF_STATE if of_state else HEAD] if fix.policies else []
    return "\n".join([*map(_comment, head), *documents])


def _policy(one: FixPolicy) -> str:
    return _document(dict.fromkeys(_reason(refusal, "without this policy, ") for refusal in one.without), one.policy)


def _edit(one: FixEdit) -> str:
    why = f"{_reason(one.refusal)}. Apply this instead of that change: {one.clause}"
    return _document([why], _as_applied(one.edited))


def _reason(refusal: FixTarget, condition: str = "") -> str:
    """Return what is refused or broken, as a clause."""
    if refusal.change is None:
        return condition.capitalize() + "; ".join(losses_in_words(refusal.lost, "cannot be reached"))
    change = f"{refusal.change.operation} {name_of(refusal.change.resource)}"
    return f"{change}: {condition}{'; '.join(losses_in_words(refusal.lost))}"


def _as_applied(edited: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object as a user writes it, without what the API server and kubectl add."""
    metadata = {key: value for key, value in edited["metadata"].items() if key not in SET_BY_SERVER}
    annotations = {
        key: value for key, value in (metadata.pop("annotations", None) or {}).items() if key != LAST_APPLIED
    }
    if annotations:
        metadata["annotations"] = annotations
    return {**{key: value for key, value in edited.items() if key != "status"}, "metadata": metadata}


def _document(reasons: Iterable[str], content: Mapping[str, Any]) -> str:
    written = yaml.safe_dump(_plain(content), sort_keys=False, width=WIDTH, allow_unicode=True).rstrip()
    return f"---\n{_comment(*reasons)}\n{written}"


def _plain(value: Any) -> Any:
    """Return the same with dictionaries and lists of Python, none of which occurs twice: YAML would make an anchor."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, (list, tuple)) else value


def _comment(*texts: str) -> str:
    lines = (
        line
        for text in texts
        for line in textwrap.wrap(text.removeprefix("# "), WIDTH, break_long_words=False, break_on_hyphens=False)
    )
    return "\n".join(f"# {line}" for line in lines)
