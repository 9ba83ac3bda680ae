"""
What a rule is, what it looks at, and what it finds.

A rule is an entry of a table: its identity, when it applies, and a function from a subject to faults. Nothing here
knows a single rule.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from webhook.eem.rules.neighbours import EMPTY, MANAGER_LABEL, Neighbourhood
from webhook.eem.rules.nodes import Tree, child, mapping, text
from webhook.eem.rules.paths import Path
from webhook.eem.rules.version import FIRST, NEWEST, Version
from webhook.netpol.faults import FaultReason

GROUP = "events.ibm.com"
API_VERSION = f"{GROUP}/v1beta1"
EEM = "EventEndpointManagement"
GATEWAY = "EventGateway"
KINDS = (EEM, GATEWAY)

Severity = Literal["deny", "warn"]
Setting = Literal["deny", "warn", "off"]
Platform = Literal["kubernetes", "openshift"]


class Reason(StrEnum):
    """
    Why a field is at fault, in the API server's words.

    Source: ErrorType of k8s.io/apimachinery, pkg/util/validation/field.
    """

    REQUIRED = "Required"
    INVALID = "Invalid"
    NOT_SUPPORTED = "NotSupported"
    DUPLICATE = "Duplicate"
    FORBIDDEN = "Forbidden"
    NOT_FOUND = "NotFound"
    TYPE_INVALID = "TypeInvalid"
    TOO_LONG = "TooLong"


class On(StrEnum):
    """At which requests a rule looks."""

    ALWAYS = "CREATE, UPDATE"
    CREATE = "CREATE"
    UPDATE = "UPDATE"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One place where a rule does not hold, and what is wrong there."""

    path: Path
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One answer for the user: which rule, how severe, which field, why."""

    rule: str
    severity: Severity
    field: str
    reason: FaultReason
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleContext:
    """
    What the rules know beside the object itself.

    Args:
        version: the operator's; decides which fields and rules exist.
        platform: None where nobody knows.
        neighbours: every instance of the cluster (the judged one may be among them).
        namespaces: Namespace objects by name; what is not in it is not judged.
        storage_classes: every StorageClass object; None where nobody knows.
        known_licences: licence ids that count as known beside the catalogue and the instances' own status.
        severities: what configuration says of single rules, by rule id.
        offline: the object comes from a file, so that the API server has not pruned unknown fields yet.
    """

    version: Version = NEWEST
    platform: Platform | None = None
    neighbours: Neighbourhood = EMPTY
    namespaces: Mapping[str, Tree] = field(default_factory=dict)
    storage_classes: tuple[Tree, ...] | None = None
    known_licences: frozenset[str] = frozenset()
    severities: Mapping[str, Setting] = field(default_factory=dict)
    offline: bool = False

    @classmethod
    def from_objects(
        cls,
        objects: Iterable[Tree],
        *,
        version: Version = NEWEST,
        platform: Platform | None = None,
        severities: Mapping[str, Setting] | None = None,
        offline: bool = False,
    ) -> "RuleContext":
        """Pick instances, Namespaces and StorageClasses out of API objects of any kind."""
        known = tuple(objects)
        classes = tuple(entry for entry in known if child(entry, "kind") == "StorageClass")
        return cls(
            version=version,
            platform=platform,
            neighbours=Neighbourhood.from_objects(known),
            namespaces={
                text(entry, "metadata", "name"): entry for entry in known if child(entry, "kind") == "Namespace"
            },
            storage_classes=classes or None,
            severities=severities or {},
            offline=offline,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """The object that is judged, taken apart once for all rules."""

    kind: str
    namespace: str
    name: str
    labels: Tree
    spec: Tree
    document: Tree
    context: RuleContext
    old: "Subject | None" = None

    @classmethod
    def of(cls, document: Tree, context: RuleContext, old: "Subject | None" = None) -> "Subject":
        """Take an object apart; whatever is missing or misshapen reads as empty."""
        metadata = mapping(document, "metadata")
        return cls(
            kind=text(document, "kind"),
            namespace=text(metadata, "namespace"),
            name=text(metadata, "name"),
            labels=mapping(metadata, "labels"),
            spec=mapping(document, "spec"),
            document=document,
            context=context,
            old=old,
        )

    @property
    def before(self) -> "Subject":
        """The object as it was; at a CREATE the object itself, so that nothing has changed."""
        return self.old or self

    @property
    def manager_label(self) -> str:
        """The manager that a gateway names by its label; empty where it names none."""
        return text(self.labels, MANAGER_LABEL)


Check = Callable[[Subject], Sequence[Fault]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """
    One entry of the table.

    Args:
        id: stable; what configuration and answers name.
        field: where the fault is reported, with `[]` for the entries of a list; both, where the kinds differ.
        message: one sentence that says what is expected.
        check: finds the faults; None where the walk along the schema does.
        on: a rule for UPDATE compares with the old object, so nothing is downgraded.
    """

    id: str
    severity: Severity
    kinds: tuple[str, ...]
    field: str
    message: str
    reason: Reason
    source: str
    check: Check | None = None
    since: Version = FIRST
    until: Version | None = None
    on: On = On.ALWAYS

    @property
    def area(self) -> str:
        """What the rule is about: the first word of its id."""
        return self.id.partition(".")[0]

    def applies_to(self, version: Version) -> bool:
        """Say whether the rule holds in *version*."""
        return self.since <= version and (self.until is None or version <= self.until)
