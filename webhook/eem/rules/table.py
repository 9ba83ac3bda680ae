"""All rules in one table, and which of them look at a request."""

from collections.abc import Iterable
from functools import lru_cache

from webhook.eem.rules import (
    authentication,
    endpoints,
    gateway,
    integration,
    licence,
    network,
    storage,
    structure,
    telemetry,
    template,
    tls,
)
from webhook.eem.rules.model import Check, On, Rule, Setting
from webhook.eem.rules.schema import SCHEMA_RULES
from webhook.eem.rules.version import Version
from webhook.eem.rules.walk import UNKNOWN_FIELD

_AREAS = (
    licence,
    storage,
    authentication,
    tls,
    endpoints,
    gateway,
    telemetry,
    template,
    integration,
    network,
    structure,
)
_RULES: tuple[Rule, ...] = (
    *(rule for area in _AREAS for rule in area.RULES),
    UNKNOWN_FIELD,
    *SCHEMA_RULES,
)
_IDS = frozenset(rule.id for rule in _RULES)
_SETTINGS: dict[str, Setting] = {"deny": "deny", "warn": "warn", "off": "off"}
# Selections that are kept: both kinds in all 32 releases, for CREATE, UPDATE and what an old object had.
_KEPT_SELECTIONS = 256


def all_rules() -> tuple[Rule, ...]:
    """Return the whole table: the rules of each area, then the constraints of the fields."""
    return _RULES


@lru_cache(maxsize=_KEPT_SELECTIONS)
def checks_for(kind: str, version: Version, requests: frozenset[On]) -> tuple[tuple[Rule, Check], ...]:
    """Return the rules that look at an object of this kind and version at one of these requests."""
    return tuple(
        (rule, rule.check)
        for rule in _RULES
        if rule.check is not None and kind in rule.kinds and rule.on in requests and rule.applies_to(version)
    )


def severities_of(settings: Iterable[str]) -> dict[str, Setting]:
    """
    Read `ID=deny|warn|off` as it stands on a command line; the last one for an id counts.

    Raises: ValueError that names what is not understood: an id that no rule has, or another word.
    """
    found: dict[str, Setting] = {}
    for setting in settings:
        rule, _, word = setting.rpartition("=")
        if rule not in _IDS:
            raise ValueError(f"{setting!r}: there is no rule {rule!r}; eem-guardrail rules lists them")
        if word not in _SETTINGS:
            raise ValueError(f"{setting!r}: expected deny, warn or off behind {rule}=")
        found[rule] = _SETTINGS[word]
    return found
