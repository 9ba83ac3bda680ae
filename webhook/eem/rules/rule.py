"""
What a rule is, what it looks at, and how it joins the table.

A rule is a check with `@rule(...)` above it. The check gets a `Resource` and yields a path and a message for each place
that violates the rule; it never stops early, so that one answer names every fault. This module knows no single rule.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from webhook.eem.resources import GATEWAY_KIND, MANAGER_KIND
from webhook.eem.rules.neighbours import MANAGER_LABEL, ManagerReference, Neighbourhood, Owner
from webhook.eem.rules.product_version import FIRST, NEWEST, ProductVersion
from webhook.netpol.faults import Fault, FaultReason
from webhook.netpol.reading import Path, Tree, field_text, object_at, text_at

Severity = Literal["deny", "warn"]
RuleSetting = Literal["deny", "warn", "off"]
Platform = Literal["kubernetes", "openshift"]
Requests = tuple[Literal["CREATE", "UPDATE"], ...]

KINDS = (MANAGER_KIND, GATEWAY_KIND)
MANAGER_ONLY = (MANAGER_KIND,)
GATEWAY_ONLY = (GATEWAY_KIND,)

EVERY_REQUEST: Requests = ("CREATE", "UPDATE")
CREATE_ONLY: Requests = ("CREATE",)
UPDATE_ONLY: Requests = ("UPDATE",)

_NO_NEIGHBOURS = Neighbourhood()


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleContext:
    """
    What the rules know beside the object itself.

    Args:
        version: the operator's; it decides which fields and rules exist.
        platform: None where it is not known.
        neighbours: every instance of the cluster (the judged one may be among them).
        namespaces: Namespace objects by name; a namespace that is not in it is not judged.
        storage_classes: every StorageClass object; None where they are not known.
        known_licences: licence ids that count as known beside the catalogue and the instances' own status.
        severities: the settings of single rules, by rule id.
        offline: the object comes from a file, so no API server has dropped unknown fields or checked its metadata.
    """

    version: ProductVersion = NEWEST
    platform: Platform | None = None
    neighbours: Neighbourhood = _NO_NEIGHBOURS
    namespaces: Mapping[str, Tree] = field(default_factory=dict)
    storage_classes: tuple[Tree, ...] | None = None
    known_licences: frozenset[str] = frozenset()
    severities: Mapping[str, RuleSetting] = field(default_factory=dict)
    offline: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """
    The object that is judged, taken apart once for all rules.

    Args:
        namespace: empty where a file names none.
        owner: the object as an owner of hosts and ids.
        manager_reference: how a gateway names its manager; for an EventEndpointManagement it names none.
        old: the object before an UPDATE; None at a CREATE.
    """

    kind: str
    namespace: str
    name: str
    labels: Tree
    spec: Tree
    document: Tree
    context: RuleContext
    owner: Owner
    manager_reference: ManagerReference
    old: "Resource | None" = None

    @classmethod
    def of(cls, document: Tree, context: RuleContext, old: "Resource | None" = None) -> "Resource":
        """Return the parts of an object; a part that is missing or has another type reads as empty."""
        metadata = object_at(document, "metadata")
        namespace, labels, spec = (
            text_at(metadata, "namespace"),
            object_at(metadata, "labels"),
            object_at(document, "spec"),
        )
        return cls(
            kind=text_at(document, "kind"),
            namespace=namespace,
            name=text_at(metadata, "name"),
            labels=labels,
            spec=spec,
            document=document,
            context=context,
            owner=Owner.of(document),
            manager_reference=ManagerReference.of(namespace, labels, spec),
            old=old,
        )

    @property
    def before(self) -> "Resource":
        """The object before an UPDATE; at a CREATE the object itself, so that nothing has changed."""
        return self.old or self

    @property
    def is_manager(self) -> bool:
        """Whether the object is an EventEndpointManagement, and not an EventGateway."""
        return self.kind == MANAGER_KIND

    @property
    def component_path(self) -> tuple[str, ...]:
        """The path below `spec` of the settings that both kinds have: `manager`, or none."""
        return ("manager",) if self.is_manager else ()

    @property
    def manager_label(self) -> str:
        """The manager that a gateway names by its label; empty where it names none."""
        return text_at(self.labels, MANAGER_LABEL)


Violations = Iterator[tuple[Path, str]]
"""What a check yields: where a rule is violated, and the message."""

Check = Callable[[Resource], Violations]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """
    One entry of the table.

    Args:
        id: what configuration and answers name; it never changes.
        field: where a violation is reported, with `[]` for the entries of a list; both places, where the kinds differ.
        message: one sentence that says what the rule demands.
        check: finds the violations; None for a constraint of a field, which is checked along the tree of fields.
        until: the last version in which the rule holds; None for all later ones.
        requests: a rule for UPDATE alone compares with the old object, so what the old object has is no excuse.
        lasting: the rule rests on Kubernetes or on the object itself, so it denies also for an operator that is newer
            than the versions that the rules know. Other rules only warn there; and a rule for unknown values only warns
            where the operator may be newer.
    """

    id: str
    severity: Severity
    kinds: tuple[str, ...]
    field: str
    message: str
    reason: FaultReason
    source: str
    check: Check | None = None
    since: ProductVersion = FIRST
    until: ProductVersion | None = None
    requests: Requests = EVERY_REQUEST
    lasting: bool = False

    @property
    def area(self) -> str:
        """What the rule is about: the first word of its id."""
        return self.id.partition(".")[0]

    def applies_to(self, version: ProductVersion) -> bool:
        """Whether the rule holds in *version*."""
        return self.since <= version and (self.until is None or version <= self.until)

    def severity_in(self, context: RuleContext) -> Severity | None:
        """Return the severity of a violation; None where the rule is switched off."""
        setting = context.severities.get(self.id)
        if setting is not None:
            return None if setting == "off" else setting
        is_softened = not self.lasting and (
            context.version > NEWEST or (self.reason == "NotSupported" and context.version.may_be_newer)
        )
        return "warn" if is_softened else self.severity


@dataclass(frozen=True, kw_only=True, slots=True)
class Violation:
    """One place where an object violates a rule: the rule, and what is wrong with which field."""

    rule: Rule
    severity: Severity
    path: Path
    message: str

    @property
    def fault(self) -> Fault:
        """The violation as it is reported."""
        return Fault(field=field_text(self.path), message=self.message, reason=self.rule.reason, rule=self.rule.id)


_collected: list[Rule] = []


def rule(  # noqa: PLR0913  the columns of the table
    id_: str,
    severity: Severity,
    *,
    field: str,
    message: str,
    source: str,
    kinds: tuple[str, ...] = KINDS,
    reason: FaultReason = "Invalid",
    since: str = "",
    until: str = "",
    requests: Requests = EVERY_REQUEST,
    lasting: bool = False,
) -> Callable[[Check], Check]:
    """
    Add the check below to the table of rules.

    Args:
        since: the first version in which the rule holds, such as `11.8.0`; empty for every version.
        until: the last line of versions in which it holds, such as `11.4`; empty for every version.
    """

    def add(check: Check) -> Check:
        _collected.append(
            Rule(
                id=id_,
                severity=severity,
                kinds=kinds,
                field=field,
                message=message,
                reason=reason,
                source=source,
                check=check,
                since=ProductVersion.parse(since) if since else FIRST,
                until=ProductVersion.last_of(until) if until else None,
                requests=requests,
                lasting=lasting,
            )
        )
        return check

    return add


def collected() -> tuple[Rule, ...]:
    """Return every rule that was added, in the order in which the modules of rules were imported."""
    return tuple(_collected)
