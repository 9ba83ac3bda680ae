"""Rules for hosts and endpoints: which names there are, which hosts they may have, and that nobody else has them."""

from collections.abc import Sequence

from webhook.eem.rules.model import EEM, GATEWAY, KINDS, Fault, Reason, Rule, Subject
from webhook.eem.rules.neighbours import Owner, hosts_of
from webhook.eem.rules.nodes import Tree, entries, mapping, text
from webhook.eem.rules.paths import Path, field_text, shown
from webhook.eem.rules.version import Version

_REFERENCE = "EEM 11.8 references, endpoints"
_SERVER_CAME = Version.parse("11.5.0")
_LISTENERS_CAME = Version.parse("11.8.0")
_NAMES = {EEM: ("ui", "gateway", "admin", "server", "apic"), GATEWAY: ("gateway",)}
_PASSTHROUGH = "nginx.ingress.kubernetes.io/ssl-passthrough"


def _listed(subject: Subject) -> list[tuple[Path, Tree]]:
    """Return the entries of the list `endpoints`, with their paths."""
    parent = ("manager",) if subject.kind == EEM else ()
    return [
        (("spec", *parent, "endpoints", position), entry)
        for position, entry in entries(subject.spec, *parent, "endpoints")
    ]


def _exposed(subject: Subject) -> list[tuple[Path, Tree]]:
    """Return whatever has host, class and annotations: entries of `endpoints`, and the groups of listeners."""
    return _listed(subject) + [
        (("spec", "listeners", at, "groups", nth, "endpoint"), mapping(group, "endpoint"))
        for at, listener in entries(subject.spec, "listeners")
        for nth, group in entries(listener, "groups")
    ]


def _unknown_name(subject: Subject) -> Sequence[Fault]:
    names = _NAMES[subject.kind]
    return [
        Fault(path=(*path, "name"), message=f'"{shown(name)}" is no endpoint: expected {" or ".join(names)}')
        for path, entry in _listed(subject)
        if isinstance(name := entry.get("name"), str) and name not in names
    ]


def _early_server(subject: Subject) -> Sequence[Fault]:
    message = f"server came with {_SERVER_CAME}, and this is {subject.context.version}: it does not count"
    return [
        Fault(path=(*path, "name"), message=message)
        for path, entry in _listed(subject)
        if entry.get("name") == "server"
    ]


def _duplicate_name(subject: Subject) -> Sequence[Fault]:
    seen: set[str] = set()
    found = []
    for path, entry in _listed(subject):
        name = text(entry, "name")
        if name and name in seen:
            found.append(Fault(path=(*path, "name"), message=f'"{shown(name)}" is there already: expected it once'))
        seen.add(name)
    return found


def _server_host(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=(*path, "host"), message=f'"{shown(host)}" must begin "eem.": gateways expect it of the server')
        for path, entry in _listed(subject)
        if entry.get("name") == "server" and (host := text(entry, "host")) and not host.startswith("eem.")
    ]


def _needed(subject: Subject) -> tuple[str, ...]:
    """Return the manager's endpoints that have no host by default outside OpenShift."""
    has_keys = bool(mapping(subject.spec, "manager", "apic", "jwks"))
    has_server = subject.context.version >= _SERVER_CAME
    return ("ui", "gateway", "admin") + ("server",) * has_server + ("apic",) * has_keys


def _manager_host_missing(subject: Subject) -> Sequence[Fault]:
    if subject.context.platform != "kubernetes":
        return ()
    stated = {text(entry, "name") for _, entry in _listed(subject) if text(entry, "host")}
    missing = [name for name in _needed(subject) if name not in stated]
    if not missing:
        return ()
    message = f"has no host for {', '.join(missing)}: outside OpenShift there is no default"
    return (Fault(path=("spec", "manager", "endpoints"), message=message),)


def _gateway_host_missing(subject: Subject) -> Sequence[Fault]:
    if subject.context.platform != "kubernetes" or hosts_of(subject.kind, subject.spec):
        return ()
    path = ("spec", "endpoints") if subject.context.version < _LISTENERS_CAME else ("spec", "listeners")
    return (Fault(path=path, message="has no host for clients: outside OpenShift there is no default"),)


def _openshift_class(subject: Subject) -> Sequence[Fault]:
    if subject.context.platform != "openshift":
        return ()
    return [
        Fault(path=(*path, name), message="does not count on OpenShift: endpoints are routes there")
        for path, entry in _exposed(subject)
        for name in ("class", "annotations")
        if entry.get(name)
    ]


def _no_passthrough(subject: Subject) -> Sequence[Fault]:
    if subject.context.platform == "openshift":
        return ()
    message = f"replaces the defaults: without {_PASSTHROUGH} TLS ends at the ingress and connections fail"
    return [
        Fault(path=(*path, "annotations"), message=message)
        for path, entry in _exposed(subject)
        if (annotations := mapping(entry, "annotations"))
        and text(entry, "class") in ("", "nginx")
        and _PASSTHROUGH not in annotations
    ]


def _duplicate_host(subject: Subject) -> Sequence[Fault]:
    seen: dict[tuple[str, str], Path] = {}
    found = []
    me = Owner(kind=subject.kind, namespace=subject.namespace, name=subject.name)
    for use in hosts_of(subject.kind, subject.spec):
        key = use.host, use.ingress_class
        first = seen.setdefault(key, use.path)
        taken = [field_text(first)] if first is not use.path else []
        taken += [str(owner) for owner in subject.context.neighbours.hosts.get(key, ()) if owner != me]
        if taken:
            message = f"{shown(use.host)} is the host of {shown(taken[0])} already"
            found.append(Fault(path=use.path, message=message))
    return found


RULES: tuple[Rule, ...] = (
    Rule(
        id="endpoints.unknown-name",
        severity="deny",
        kinds=KINDS,
        field="spec.manager.endpoints[].name, spec.endpoints[].name",
        message="An endpoint must be one that the product has.",
        reason=Reason.NOT_SUPPORTED,
        source=_REFERENCE,
        check=_unknown_name,
    ),
    Rule(
        id="endpoints.early-server",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.endpoints[].name",
        message="The endpoint server exists since 11.5.0.",
        reason=Reason.NOT_SUPPORTED,
        source=_REFERENCE,
        check=_early_server,
        until=Version.last_of("11.4"),
    ),
    Rule(
        id="endpoints.duplicate-name",
        severity="deny",
        kinds=KINDS,
        field="spec.manager.endpoints[].name, spec.endpoints[].name",
        message="An endpoint must be listed once.",
        reason=Reason.DUPLICATE,
        source=_REFERENCE,
        check=_duplicate_name,
    ),
    Rule(
        id="endpoints.server-host",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.endpoints[].host",
        message="The host of the endpoint server must begin with eem.",
        reason=Reason.INVALID,
        source='EEM 11.8, "Configuring endpoints"',
        check=_server_host,
        since=Version.parse("11.5.0"),
    ),
    Rule(
        id="endpoints.manager-host-missing",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.endpoints",
        message="Outside OpenShift every endpoint of a manager needs a host.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_manager_host_missing,
    ),
    Rule(
        id="endpoints.gateway-host-missing",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.listeners",
        message="Outside OpenShift a gateway needs a host.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_gateway_host_missing,
    ),
    Rule(
        id="endpoints.openshift-class",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.endpoints[].class, spec.endpoints[].class",
        message="Class and annotations are for ingresses, which OpenShift does not use here.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_openshift_class,
    ),
    Rule(
        id="endpoints.no-passthrough",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.endpoints[].annotations, spec.endpoints[].annotations",
        message="Annotations of one's own should keep TLS passthrough.",
        reason=Reason.REQUIRED,
        source='EEM 11.8, "Configuring endpoints"',
        check=_no_passthrough,
    ),
    Rule(
        id="endpoints.duplicate-host",
        severity="deny",
        kinds=KINDS,
        field="spec.manager.endpoints[].host, spec.endpoints[].host",
        message="A host must belong to one endpoint, in the whole cluster.",
        reason=Reason.DUPLICATE,
        source="Kubernetes, Ingress; OpenShift, Route",
        check=_duplicate_host,
    ),
)
