"""Rules for an EventGateway: where it registers, as which gateway of which group, and how clients reach it."""

from collections.abc import Mapping, Sequence

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.model import GATEWAY, Fault, On, Reason, Rule, Subject
from webhook.eem.rules.neighbours import MANAGER_LABEL, ManagerReference, Owner
from webhook.eem.rules.nodes import child, entries, integer, mapping, text
from webhook.eem.rules.paths import shown
from webhook.eem.rules.version import Version

_REFERENCE = "EEM 11.8 gateway reference"
_LABEL_PATH = ("metadata", "labels", MANAGER_LABEL)
# What a limit may be at least: -1 says "no limit" where the documents say so.
_LEAST: Mapping[tuple[str, str], int] = {
    ("authentication", "maxRetries"): -1,
    ("authentication", "retryBackoffMs"): 0,
    ("authentication", "lockoutPeriod"): -1,
    ("connection", "closeDelayMs"): 0,
    ("connection", "closeJitterMs"): 0,
    ("connection", "perSubLimit"): -1,
    ("request", "maxSizeBytes"): -1,
}
# In `gateway.namespace.svc` and longer names, `svc` is never before the third place.
_BEFORE_SVC = 2


def _reference(subject: Subject) -> ManagerReference:
    return ManagerReference.of(subject.namespace, subject.labels, subject.spec)


def _no_manager(subject: Subject) -> Sequence[Fault]:
    if text(subject.spec, "manager", "endpoint") or text(subject.spec, "managerEndpoint") or subject.manager_label:
        return ()
    message = f"must be set, or else the label {MANAGER_LABEL}: nothing says where the gateway registers"
    return (Fault(path=("spec", "manager", "endpoint"), message=message),)


def _internal_manager(subject: Subject) -> Sequence[Fault]:
    found = []
    for path in (("manager", "endpoint"), ("managerEndpoint",)):
        parts = url_of(text(subject.spec, *path))
        host = (parts.hostname or "") if parts else ""
        if "svc" in host.split(".")[_BEFORE_SVC:]:
            message = f"{shown(host)} is a Service of the cluster: expected the host of a route or an ingress"
            found.append(Fault(path=("spec", *path), message=message))
    return found


def _two_managers(subject: Subject) -> Sequence[Fault]:
    if not (text(subject.spec, "manager", "endpoint") and text(subject.spec, "managerEndpoint")):
        return ()
    message = "stands beside manager.endpoint: keep that one, for this one is deprecated"
    return (Fault(path=("spec", "managerEndpoint"), message=message),)


def _old_beside_listeners(subject: Subject) -> Sequence[Fault]:
    if subject.spec.get("listeners") is None:
        return ()
    tls = mapping(subject.spec, "tls")
    old: list[tuple[str, ...]] = [(name,) for name in ("maxNumKafkaBrokers", "endpoints") if subject.spec.get(name)]
    old += [("tls", name) for name in ("caSecretName", "secretName") if tls.get(name)]
    message = "stands beside listeners: keep those, for this is deprecated"
    return [Fault(path=("spec", *path), message=message) for path in old]


def _manager_missing(subject: Subject) -> Sequence[Fault]:
    name = subject.manager_label
    if not name or not subject.namespace or (subject.namespace, name) in subject.context.neighbours.managers:
        return ()
    message = f'names "{shown(name)}", and there is no such EventEndpointManagement in {shown(subject.namespace)} yet'
    return (Fault(path=_LABEL_PATH, message=message),)


def _empty_identity(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=("spec", name), message="is empty: expected a name of the gateway's own")
        for name in ("gatewayGroupName", "gatewayID")
        if child(subject.spec, name) == ""
    ]


def _duplicate_id(subject: Subject) -> Sequence[Fault]:
    group, identifier = text(subject.spec, "gatewayGroupName"), text(subject.spec, "gatewayID")
    twins = subject.context.neighbours.gateways.get((group, identifier), ()) if identifier else ()
    if not twins:
        return ()
    mine = _reference(subject)
    me = Owner(kind=GATEWAY, namespace=subject.namespace, name=subject.name)
    for owner, reference in twins:
        if owner != me and subject.context.neighbours.same_manager(mine, reference):
            message = f'"{shown(identifier)}" is the id of {shown(str(owner))} already, in the group {shown(group)}'
            return (Fault(path=("spec", "gatewayID"), message=message),)
    return ()


def _no_replicas(subject: Subject) -> Sequence[Fault]:
    if integer(subject.spec, "replicas") != 0:
        return ()
    return (Fault(path=("spec", "replicas"), message="is 0: no gateway runs, and no client connects"),)


def _wildcard_platform(subject: Subject) -> Sequence[Fault]:
    if subject.context.platform != "kubernetes":
        return ()
    return [
        Fault(
            path=("spec", "listeners", at, "groups", nth, "type"),
            message="is WILDCARD, which needs OpenShift with wildcard routes",
        )
        for at, listener in entries(subject.spec, "listeners")
        for nth, group in entries(listener, "groups")
        if group.get("type") == "WILDCARD"
    ]


def _wildcard_host(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(
            path=("spec", "listeners", at, "groups", nth, "endpoint", "host"),
            message=f'"{shown(host)}" does not go with the type: expected "*." before it for WILDCARD only',
        )
        for at, listener in entries(subject.spec, "listeners")
        for nth, group in entries(listener, "groups")
        if (host := text(group, "endpoint", "host"))
        and host.startswith(("*.", "wildcard.")) != (group.get("type") == "WILDCARD")
        and (group.get("type") == "WILDCARD" or host.startswith("*."))
    ]


def _limit(subject: Subject) -> Sequence[Fault]:
    security = mapping(subject.spec, "security")
    if not security:
        return ()
    return [
        Fault(path=("spec", "security", part, name), message=f"is below {least}: expected {least} or more")
        for (part, name), least in _LEAST.items()
        if (value := integer(security, part, name)) is not None and value < least
    ]


def _half_reference(subject: Subject) -> Sequence[Fault]:
    manager = mapping(subject.spec, "manager")
    return [
        Fault(path=("spec", "manager", part, missing), message=f"must go with {present}: one is of no use alone")
        for part, names in (("apiKey", ("secretName", "key")), ("trustedCertificate", ("secretName", "certificate")))
        for present, missing in (names, names[::-1])
        if text(manager, part, present) and not child(manager, part, missing)
    ]


def _identity_changed(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=("spec", name), message=f"changes from {shown(before)}: it registers as another gateway")
        for name in ("gatewayGroupName", "gatewayID")
        if (before := text(subject.before.spec, name)) and before != text(subject.spec, name)
    ]


RULES: tuple[Rule, ...] = (
    Rule(
        id="gateway.no-manager",
        severity="deny",
        kinds=(GATEWAY,),
        field="spec.manager.endpoint",
        message="A gateway must name its manager: by manager.endpoint, managerEndpoint or its label.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_no_manager,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.internal-manager",
        severity="deny",
        kinds=(GATEWAY,),
        field="spec.manager.endpoint",
        message="The manager's endpoint must be a route or an ingress, not a Service.",
        reason=Reason.INVALID,
        source='EEM 11.8, "Prerequisites"; EEM 11.4, "Installing an Event Gateway"',
        check=_internal_manager,
    ),
    Rule(
        id="gateway.two-managers",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.managerEndpoint",
        message="The manager's endpoint should stand in one field.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_two_managers,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.old-beside-listeners",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.endpoints",
        message="Listeners and the deprecated fields should not stand side by side.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_old_beside_listeners,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.manager-missing",
        severity="warn",
        kinds=(GATEWAY,),
        field="metadata.labels[events.ibm.com/manager]",
        message="The manager that the label names should exist; it may also come later.",
        reason=Reason.NOT_FOUND,
        source="quick-start sample of EEM 11.8",
        check=_manager_missing,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.empty-identity",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.gatewayID",
        message="A gateway and its group should have names.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_empty_identity,
    ),
    Rule(
        id="gateway.duplicate-id",
        severity="deny",
        kinds=(GATEWAY,),
        field="spec.gatewayID",
        message="A gateway's id must be unique in its group.",
        reason=Reason.DUPLICATE,
        source=_REFERENCE,
        check=_duplicate_id,
    ),
    Rule(
        id="gateway.no-replicas",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.replicas",
        message="A gateway should run.",
        reason=Reason.INVALID,
        source="Kubernetes, Deployment",
        check=_no_replicas,
        since=Version.parse("11.1.0"),
    ),
    Rule(
        id="gateway.wildcard-platform",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.listeners[].groups[].type",
        message="WILDCARD should be used on OpenShift only.",
        reason=Reason.NOT_SUPPORTED,
        source='EEM 11.8, "Installing an Event Gateway"',
        check=_wildcard_platform,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.wildcard-host",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.listeners[].groups[].endpoint.host",
        message="A wildcard host should go with WILDCARD, and the other way round.",
        reason=Reason.INVALID,
        source='EEM 11.8, "Installing an Event Gateway"',
        check=_wildcard_host,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.limit",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.security",
        message="A limit should not be below what switches it off.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_limit,
        since=Version.parse("11.2.3"),
    ),
    Rule(
        id="gateway.half-reference",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.manager.apiKey",
        message="A Secret and its key should be named together.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_half_reference,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="gateway.identity-changed",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.gatewayID",
        message="Another id or group makes it another gateway.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_identity_changed,
        on=On.UPDATE,
    ),
)
