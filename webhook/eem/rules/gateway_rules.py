"""Rules for an EventGateway: its manager, its identity in a group, and its listeners."""

from collections.abc import Iterator, Mapping

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.neighbours import MANAGER_LABEL
from webhook.eem.rules.rule import GATEWAY_ONLY, UPDATE_ONLY, Resource, Violations, rule
from webhook.netpol.reading import Path, Tree, integer_at, object_at, objects_at, shown, text_at, value_at

_REFERENCE = "EEM 11.8 gateway reference"
_GUIDE = 'EEM 11.8, "Installing an Event Gateway"'
_INTERNAL = 'EEM 11.8, "Prerequisites"; EEM 11.4, "Installing an Event Gateway"'
_IDENTITY = ("gatewayGroupName", "gatewayID")
# What a limit may be at least; -1 means "no limit" where the documents say so.
_LEAST: Mapping[tuple[str, str], int] = {
    ("authentication", "maxRetries"): -1,
    ("authentication", "retryBackoffMs"): 0,
    ("authentication", "lockoutPeriod"): -1,
    ("connection", "closeDelayMs"): 0,
    ("connection", "closeJitterMs"): 0,
    ("connection", "perSubLimit"): -1,
    ("request", "maxSizeBytes"): -1,
}
# In `gateway.namespace.svc` and longer names of a Service, `svc` is never before the third place.
_BEFORE_SVC = 2


@rule(
    "gateway.no-manager",
    "deny",
    kinds=GATEWAY_ONLY,
    field="spec.manager.endpoint",
    message="A gateway must name its manager: by manager.endpoint, managerEndpoint or its label.",
    reason="Required",
    source=_REFERENCE,
    since="11.8.0",
)
def _no_manager(resource: Resource) -> Violations:
    spec = resource.spec
    if not (text_at(spec, "manager", "endpoint") or text_at(spec, "managerEndpoint") or resource.manager_label):
        message = f"must be set, or the label {MANAGER_LABEL}: the gateway must know where to register"
        yield ("spec", "manager", "endpoint"), message


def _manager_hosts(resource: Resource) -> Iterator[tuple[Path, str]]:
    for path in (("manager", "endpoint"), ("managerEndpoint",)):
        parts = url_of(text_at(resource.spec, *path))
        if parts is not None:
            yield ("spec", *path), parts.hostname or ""


@rule(
    "gateway.internal-manager",
    "deny",
    kinds=GATEWAY_ONLY,
    field="spec.manager.endpoint",
    message="The endpoint of the manager must be the host of a route or an ingress, not a Service.",
    source=_INTERNAL,
)
def _internal_manager(resource: Resource) -> Violations:
    for path, host in _manager_hosts(resource):
        if host.endswith((".svc", ".svc.cluster.local")):
            yield path, f"must be the host of a route or an ingress, not the Service {shown(host)}"


@rule(
    "gateway.service-like-manager",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.manager.endpoint",
    message="The host of the manager should not look like a Service of a cluster with another DNS domain.",
    source=_INTERNAL,
)
def _service_like_manager(resource: Resource) -> Violations:
    for path, host in _manager_hosts(resource):
        if "svc" in host.split(".")[_BEFORE_SVC:] and not host.endswith((".svc", ".svc.cluster.local")):
            yield path, f"should be the host of a route or an ingress: {shown(host)} looks like a Service"


@rule(
    "gateway.two-managers",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.managerEndpoint",
    message="The endpoint of the manager should be set in one field.",
    reason="Forbidden",
    source=_REFERENCE,
    since="11.8.0",
)
def _two_managers(resource: Resource) -> Violations:
    if text_at(resource.spec, "manager", "endpoint") and text_at(resource.spec, "managerEndpoint"):
        yield ("spec", "managerEndpoint"), "is deprecated and set beside manager.endpoint: keep only manager.endpoint"


@rule(
    "gateway.old-beside-listeners",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.endpoints",
    message="Listeners should not be set beside the deprecated fields that they replace.",
    reason="Forbidden",
    source=_REFERENCE,
    since="11.8.0",
)
def _old_beside_listeners(resource: Resource) -> Violations:
    if resource.spec.get("listeners") is None:
        return
    for path in (("maxNumKafkaBrokers",), ("endpoints",), ("tls", "caSecretName"), ("tls", "secretName")):
        if value_at(resource.spec, *path):
            yield ("spec", *path), "is deprecated and set beside listeners: keep only listeners"


@rule(
    "gateway.manager-missing",
    "warn",
    kinds=GATEWAY_ONLY,
    field="metadata.labels[events.ibm.com/manager]",
    message="The manager that the label names should exist; you can also create it later.",
    reason="NotFound",
    source="quick-start sample of EEM 11.8",
    since="11.8.0",
)
def _manager_missing(resource: Resource) -> Violations:
    name, namespace = resource.manager_label, resource.namespace
    if name and namespace and (namespace, name) not in resource.context.neighbours.managers:
        message = f'names "{shown(name)}", but {shown(namespace)} has no EventEndpointManagement of this name yet'
        yield ("metadata", "labels", MANAGER_LABEL), message


@rule(
    "gateway.empty-identity",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.gatewayID",
    message="A gateway and its group should have names.",
    source=_REFERENCE,
)
def _empty_identity(resource: Resource) -> Violations:
    for name in _IDENTITY:
        if value_at(resource.spec, name) == "":
            yield ("spec", name), "should not be empty: give the gateway and its group a name"


@rule(
    "gateway.duplicate-id",
    "deny",
    kinds=GATEWAY_ONLY,
    field="spec.gatewayID",
    message="The id of a gateway must be unique in its group.",
    reason="Duplicate",
    source=_REFERENCE,
)
def _duplicate_id(resource: Resource) -> Violations:
    group, identifier = text_at(resource.spec, "gatewayGroupName"), text_at(resource.spec, "gatewayID")
    neighbours, mine, me = resource.context.neighbours, resource.manager_reference, resource.owner
    twins = neighbours.gateways.get((group, identifier)) if identifier else None
    taken = sorted(
        owner for owner, theirs in (twins or {}).items() if owner != me and neighbours.same_manager(mine, theirs)
    )
    if taken:
        message = f'must be unique in the group {shown(group)}: "{shown(identifier)}" is already the id of'
        yield ("spec", "gatewayID"), f"{message} {shown(str(taken[0]))}"


@rule(
    "gateway.no-replicas",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.replicas",
    message="A gateway should have at least one replica.",
    source="Kubernetes, Deployment",
    since="11.1.0",
)
def _no_replicas(resource: Resource) -> Violations:
    if integer_at(resource.spec, "replicas") == 0:
        yield ("spec", "replicas"), "is 0: no gateway runs, so no Kafka client can connect"


def _groups(resource: Resource) -> Iterator[tuple[Path, Tree]]:
    for at, listener in objects_at(resource.spec, "listeners"):
        for nth, group in objects_at(listener, "groups"):
            yield ("spec", "listeners", at, "groups", nth), group


@rule(
    "gateway.wildcard-platform",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.listeners[].groups[].type",
    message="WILDCARD should be used on OpenShift only.",
    reason="NotSupported",
    source=_GUIDE,
    since="11.8.0",
)
def _wildcard_platform(resource: Resource) -> Violations:
    if resource.context.platform != "kubernetes":
        return
    for path, group in _groups(resource):
        if group.get("type") == "WILDCARD":
            yield (*path, "type"), "should not be WILDCARD here: it needs OpenShift with wildcard routes"


@rule(
    "gateway.wildcard-host",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.listeners[].groups[].endpoint.host",
    message="A wildcard host should go with the type WILDCARD, and the other way round.",
    source=_GUIDE,
    since="11.8.0",
)
def _wildcard_host(resource: Resource) -> Violations:
    for path, group in _groups(resource):
        host, is_wildcard = text_at(group, "endpoint", "host"), group.get("type") == "WILDCARD"
        if is_wildcard and host and not host.startswith(("*.", "wildcard.")):
            yield (*path, "endpoint", "host"), f'should begin with "*." with the type WILDCARD, not be "{shown(host)}"'
        if not is_wildcard and host.startswith("*."):
            yield (
                (*path, "endpoint", "host"),
                f'should begin with "*." only with the type WILDCARD, not be "{shown(host)}"',
            )


@rule(
    "gateway.limit",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.security",
    message="A limit should not be below the value that switches it off.",
    source=_REFERENCE,
    since="11.2.3",
)
def _limit(resource: Resource) -> Violations:
    security = object_at(resource.spec, "security")
    for (part, name), least in _LEAST.items():
        value = integer_at(security, part, name)
        if value is not None and value < least:
            yield ("spec", "security", part, name), f"should be at least {least}"


@rule(
    "gateway.half-reference",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.manager.apiKey",
    message="A Secret and the key in it should be named together.",
    reason="Required",
    source=_REFERENCE,
    since="11.8.0",
)
def _half_reference(resource: Resource) -> Violations:
    manager = object_at(resource.spec, "manager")
    for part, key in (("apiKey", "key"), ("trustedCertificate", "certificate")):
        for present, missing in (("secretName", key), (key, "secretName")):
            if text_at(manager, part, present) and not value_at(manager, part, missing):
                yield ("spec", "manager", part, missing), f"should be set: {present} has no effect without it"


@rule(
    "gateway.identity-changed",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.gatewayID",
    message="With another id or group, the gateway registers as another gateway.",
    source=_REFERENCE,
    requests=UPDATE_ONLY,
)
def _identity_changed(resource: Resource) -> Violations:
    for name in _IDENTITY:
        before = text_at(resource.before.spec, name)
        if before and before != text_at(resource.spec, name):
            yield ("spec", name), f"changes from {shown(before)}: the gateway registers as another gateway"
