"""Compare the webhook configurations with what the manifests ship."""

import json
from dataclasses import dataclass
from typing import Any, Final

from webhook.controllers.configurations import (
    client_config,
    find_entry,
)
from webhook.controllers.entries import (
    SHIPPED,
    Json,
)
from webhook.eem.resources import ResourceType

_ABSENT: Final = "nothing"
_FURTHER_FIELDS: Final = frozenset({"matchConditions"})
_LONGEST_SHOWN: Final = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class Drift:
    """
    One difference between what the manifests ship and what the API server has.

    Args:
        field: such as `validatingwebhookconfigurations.webhooks[eem.eem-guardrail.io].failurePolicy`; there are few
            values, so a metric can have it as a label.
        found: the value as JSON, shortened; `nothing` if the field is absent.
        expected: the value in the manifests, in the same form.
    """

    field: str
    found: str
    expected: str

    def __str__(self) -> str:
        """Return one sentence."""
        return f"{self.field} is {self.found}, not {self.expected}"


def drift(observed: Json | None, resource: ResourceType) -> tuple[Drift, ...]:
    """
    Return how a configuration differs from what the manifests ship of it.

    The caBundle and the entries of other owners are not compared.

    Args:
        observed: None if the configuration does not exist.
    """
    if observed is None:
        return (Drift(field=resource.plural, found=_ABSENT, expected="there"),)
    found: list[Drift] = []
    for expected in SHIPPED[resource.kind]:
        path = f"{resource.plural}.webhooks[{expected['name']}]"
        entry = find_entry(observed, expected["name"])
        if entry is None:
            found.append(Drift(field=path, found=_ABSENT, expected="there"))
            continue
        actual, wanted = _without_trust(entry), _without_trust(expected)
        # Only the fields of today's API: a field that a later version adds, with any default, is not drift.
        found.extend(
            Drift(field=f"{path}.{field}", found=_shown(actual.get(field)), expected=_shown(wanted.get(field)))
            for field in sorted(wanted.keys() | (actual.keys() & _FURTHER_FIELDS))
            if actual.get(field) != wanted.get(field)
        )
    return tuple(found)


def _shown(value: object) -> str:
    if value is None:
        return _ABSENT
    text = json.dumps(value, sort_keys=True)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _without_trust(entry: Json) -> dict[str, Any]:
    trustless = {key: value for key, value in client_config(entry).items() if key != "caBundle"}
    return {**entry, "clientConfig": trustless}
