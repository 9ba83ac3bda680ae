"""Rules for endpoints: their names, their hosts, and how ingresses pass TLS on."""

from webhook.eem.resources import GATEWAY_KIND, MANAGER_KIND
from webhook.eem.rules.neighbours import hosts_of
from webhook.eem.rules.product_version import ProductVersion
from webhook.eem.rules.rule import GATEWAY_ONLY, MANAGER_ONLY, Resource, Violations, rule
from webhook.netpol.reading import Path, Tree, field_text, object_at, objects_at, shown, text_at

_REFERENCE = "EEM 11.8 references, endpoints"
_GUIDE = 'EEM 11.8, "Configuring endpoints"'
_SERVER_CAME = ProductVersion.parse("11.5.0")
_LISTENERS_CAME = ProductVersion.parse("11.8.0")
_NAMES = {MANAGER_KIND: ("ui", "gateway", "admin", "server", "apic"), GATEWAY_KIND: ("gateway",)}
_PASSTHROUGH = "nginx.ingress.kubernetes.io/ssl-passthrough"
_BACKEND_PROTOCOL = "nginx.ingress.kubernetes.io/backend-protocol"


def _listed(resource: Resource) -> list[tuple[Path, Tree]]:
    """Return the entries of the list `endpoints`, with their paths."""
    path = (*resource.component_path, "endpoints")
    return [(("spec", *path, position), entry) for position, entry in objects_at(resource.spec, *path)]


def _exposed(resource: Resource) -> list[tuple[Path, Tree]]:
    """Return everything that has a host, a class and annotations: `endpoints`, and the groups of listeners."""
    return _listed(resource) + [
        (("spec", "listeners", at, "groups", nth, "endpoint"), object_at(group, "endpoint"))
        for at, listener in objects_at(resource.spec, "listeners")
        for nth, group in objects_at(listener, "groups")
    ]


@rule(
    "endpoints.unknown-name",
    "deny",
    field="spec.manager.endpoints[].name, spec.endpoints[].name",
    message="The name of an endpoint must be one that the product has.",
    reason="NotSupported",
    source=_REFERENCE,
)
def _unknown_name(resource: Resource) -> Violations:
    names = _NAMES[resource.kind]
    for path, entry in _listed(resource):
        name = entry.get("name")
        if isinstance(name, str) and name not in names:
            yield (*path, "name"), f'must be {" or ".join(names)}, not "{shown(name)}"'


@rule(
    "endpoints.early-server",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.endpoints[].name",
    message="The endpoint server exists since 11.5.0.",
    reason="NotSupported",
    source=_REFERENCE,
    until="11.4",
)
def _early_server(resource: Resource) -> Violations:
    for path, entry in _listed(resource):
        if entry.get("name") == "server":
            message = f"has no effect: the endpoint server exists since {_SERVER_CAME}"
            yield (*path, "name"), f"{message}, and the operator is {resource.context.version.in_words}"


@rule(
    "endpoints.duplicate-name",
    "deny",
    field="spec.manager.endpoints[].name, spec.endpoints[].name",
    message="An endpoint must be listed once.",
    reason="Duplicate",
    source=_REFERENCE,
)
def _duplicate_name(resource: Resource) -> Violations:
    seen: set[str] = set()
    for path, entry in _listed(resource):
        name = text_at(entry, "name")
        if name and name in seen:
            yield (*path, "name"), f'must be unique: "{shown(name)}" is listed already'
        seen.add(name)


@rule(
    "endpoints.server-host",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.endpoints[].host",
    message="The host of the endpoint server must begin with eem.",
    source=_GUIDE,
    since="11.5.0",
)
def _server_host(resource: Resource) -> Violations:
    for path, entry in _listed(resource):
        host = text_at(entry, "host")
        if entry.get("name") == "server" and host and not host.startswith("eem."):
            yield (*path, "host"), f'must begin with "eem." for the endpoint server, not be "{shown(host)}"'


def _needed(resource: Resource) -> tuple[str, ...]:
    """Return the manager's endpoints that have no default host outside OpenShift."""
    has_keys = bool(object_at(resource.spec, "manager", "apic", "jwks"))
    has_server = resource.context.version >= _SERVER_CAME
    return ("ui", "gateway", "admin") + ("server",) * has_server + ("apic",) * has_keys


@rule(
    "endpoints.manager-host-missing",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.endpoints",
    message="Outside OpenShift every endpoint of a manager needs a host.",
    reason="Required",
    source=_REFERENCE,
)
def _manager_host_missing(resource: Resource) -> Violations:
    if resource.context.platform != "kubernetes":
        return
    stated = {text_at(entry, "name") for _, entry in _listed(resource) if text_at(entry, "host")}
    missing = [name for name in _needed(resource) if name not in stated]
    if missing:
        message = f"should have a host for {', '.join(missing)}: outside OpenShift there is no default"
        yield ("spec", "manager", "endpoints"), message


@rule(
    "endpoints.gateway-host-missing",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.listeners",
    message="Outside OpenShift a gateway needs a host.",
    reason="Required",
    source=_REFERENCE,
)
def _gateway_host_missing(resource: Resource) -> Violations:
    if resource.context.platform != "kubernetes" or hosts_of(resource.kind, resource.spec):
        return
    field = "listeners" if resource.context.version >= _LISTENERS_CAME else "endpoints"
    yield ("spec", field), "should have a host for Kafka clients: outside OpenShift there is no default"


@rule(
    "endpoints.openshift-class",
    "warn",
    field="spec.manager.endpoints[].class, spec.endpoints[].class",
    message="A class and annotations are for ingresses, which the product does not use on OpenShift.",
    reason="Forbidden",
    source=_REFERENCE,
)
def _openshift_class(resource: Resource) -> Violations:
    if resource.context.platform != "openshift":
        return
    for path, entry in _exposed(resource):
        for name in ("class", "annotations"):
            if entry.get(name):
                yield (*path, name), "has no effect on OpenShift, where endpoints are routes"


def _ends_tls(resource: Resource, entry: Tree) -> bool:
    """
    Whether an ingress would end TLS with these annotations, which replace the product's.

    The UI with a Secret of its own is the exception: its ingress encrypts again, with HTTPS as the backend's protocol.

    Source: EEM 11.9, "Configuring ingress", ingress default settings.
    """
    annotations = object_at(entry, "annotations")
    if not annotations or text_at(entry, "class") not in ("", "nginx") or _PASSTHROUGH in annotations:
        return False
    is_own_ui = entry.get("name") == "ui" and bool(text_at(resource.spec, "manager", "tls", "ui", "secretName"))
    return not (is_own_ui and text_at(annotations, _BACKEND_PROTOCOL).upper() == "HTTPS")


@rule(
    "endpoints.no-passthrough",
    "warn",
    field="spec.manager.endpoints[].annotations, spec.endpoints[].annotations",
    message="Annotations should include TLS passthrough; those of a UI with its own Secret may encrypt again instead.",
    reason="Required",
    source='EEM 11.8, "Configuring endpoints"; EEM 11.9, "Configuring ingress"',
)
def _no_passthrough(resource: Resource) -> Violations:
    if resource.context.platform == "openshift":
        return
    for path, entry in _exposed(resource):
        if _ends_tls(resource, entry):
            message = f"should include {_PASSTHROUGH}: these annotations replace the defaults"
            yield (*path, "annotations"), f"{message}, so TLS would end at the ingress and connections would fail"


@rule(
    "endpoints.duplicate-host",
    "deny",
    field="spec.manager.endpoints[].host, spec.endpoints[].host",
    message="A host must belong to one endpoint in the whole cluster.",
    reason="Duplicate",
    source="Kubernetes, Ingress; OpenShift, Route",
    lasting=True,
)
def _duplicate_host(resource: Resource) -> Violations:
    first: dict[tuple[str, str], Path] = {}
    me = resource.owner
    for use in hosts_of(resource.kind, resource.spec):
        key = use.host, use.ingress_class
        here = first.setdefault(key, use.path)
        message = f"must be unique: {shown(use.host)} is already the host of"
        if here != use.path:
            yield use.path, f"{message} {field_text(here)}"
            continue
        owners = resource.context.neighbours.hosts.get(key) or ()
        other = min((owner for owner in owners if owner != me), default=None)
        if other is not None:
            yield use.path, f"{message} {shown(str(other))}"
