"""Say what of the webhook configurations is not as the manifests ship it."""

import json
from dataclasses import dataclass
from typing import Any, Final

from webhook.controllers.entries import SHIPPED, Json, client_config, find_entry
from webhook.eem.resources import ResourceType

_NOTHING: Final = "nothing"
_FURTHER_FIELDS: Final = frozenset({"matchConditions"})
_LONGEST_SHOWN: Final = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """
    One difference between what the manifests ship and what the API server has.

    Args:
        field: `validatingwebhookconfigurations.webhooks[eem.eem-guardrail.io].failurePolicy`; one of few, for a
            metric's label.
        found: as JSON, shortened; `nothing` where there is nothing.
        expected: the same, of the manifests.
    """

    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        """Give one sentence."""
        return f"{self.field} is {self.found}, not {self.expected}"


def drift(observed: Json | None, resource: ResourceType) -> tuple[Drift, ...]:
    """
    Compare a configuration with what the manifests ship of it; the caBundle, and what others added, count for nothing.

    Args:
        observed: None where it is not there.
    """
    if observed is None:
        return (Drift(field=resource.plural, found=_NOTHING, expected="there"),)
    found: list[Drift] = []
    for expected in SHIPPED[resource.kind]:
        path = f"{resource.plural}.webhooks[{expected['name']}]"
        entry = find_entry(observed, expected["name"])
        if entry is None:
            found.append(Drift(field=path, found=_NOTHING, expected="there"))
            continue
        has, ought = _without_trust(entry), _without_trust(expected)
        # Only fields that the API knows: what a later version of it adds, with whatever default, is not drift.
        found.extend(
            Drift(field=f"{path}.{field}", found=_shown(has.get(field)), expected=_shown(ought.get(field)))
            for field in sorted(ought.keys() | (has.keys() & _FURTHER_FIELDS))
            if has.get(field) != ought.get(field)
        )
    return tuple(found)


def _shown(value: object) -> str:
    if value is None:
        return _NOTHING
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _without_trust(entry: Json) -> dict[str, Any]:
    trustless = {key: value for key, value in client_config(entry).items() if key != "caBundle"}
    return {**entry, "clientConfig": trustless}
