"""Rules for certificates: which settings have an effect together, and what a change requires."""

from collections.abc import Iterator

from webhook.eem.rules.rule import GATEWAY_ONLY, MANAGER_ONLY, UPDATE_ONLY, Resource, Violations, rule
from webhook.netpol.reading import Path, Tree, object_at, objects_at, shown, text_at

_GUIDE = 'EEM 11.8, "Configuring TLS"'
_SERVER_KEYS = ("key", "serverCertificate", "caCertificate")
_CLIENT_KEYS = ("clientKey", "clientCertificate")

Place = tuple[Path, Tree]
"""Where certificate settings stand, and the settings."""


def _own(resource: Resource) -> Place:
    """Return the certificate settings of the instance itself: `spec.manager.tls` or `spec.tls`."""
    path = (*resource.component_path, "tls")
    return ("spec", *path), object_at(resource.spec, *path)


def _listeners(resource: Resource) -> Iterator[Place]:
    """Return the certificate settings of a gateway's listeners."""
    if resource.is_manager:
        return
    for position, listener in objects_at(resource.spec, "listeners"):
        yield ("spec", "listeners", position, "tls"), object_at(listener, "tls")


def _server_places(resource: Resource) -> Iterator[Place]:
    yield _own(resource)
    yield from _listeners(resource)
    if resource.is_manager:
        yield ("spec", "manager", "tls", "ui"), object_at(resource.spec, "manager", "tls", "ui")


def _telemetry(resource: Resource) -> Place:
    path = (*resource.component_path, "openTelemetry", "tls")
    return ("spec", *path), object_at(resource.spec, *path)


@rule(
    "tls.keys-without-secret",
    "warn",
    field="spec.manager.tls, spec.tls",
    message="Names of keys have an effect only beside the Secret that has the keys.",
    reason="Required",
    source=_GUIDE,
)
def _keys_without_secret(resource: Resource) -> Violations:
    places = [(place, _SERVER_KEYS) for place in _server_places(resource)]
    for (path, tls), names in (*places, (_telemetry(resource), _CLIENT_KEYS)):
        if not tls or tls.get("secretName"):
            continue
        for name in names:
            if tls.get(name):
                yield (*path, name), "has no effect: set secretName beside it, or remove it"


@rule(
    "tls.two-certificates",
    "warn",
    field="spec.manager.tls.secretName, spec.tls.secretName",
    message="A custom CA and a custom server certificate exclude each other.",
    reason="Forbidden",
    source=_GUIDE,
)
def _two_certificates(resource: Resource) -> Violations:
    message = "is set beside a custom CA: the server certificate comes from one of the two, so keep only one"
    path, tls = _own(resource)
    if text_at(tls, "caSecretName") and text_at(tls, "secretName"):
        yield (*path, "secretName"), message
    for path, listener in _listeners(resource):
        if text_at(listener, "caSecret", "secretName") and text_at(listener, "secretName"):
            yield (*path, "secretName"), message


@rule(
    "tls.ui-not-trusted",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.tls.ui.secretName",
    message="The manager should trust the certificate of its own UI.",
    reason="Required",
    source=_GUIDE,
)
def _ui_not_trusted(resource: Resource) -> Violations:
    tls = object_at(resource.spec, "manager", "tls")
    name = text_at(tls, "ui", "secretName")
    if name and all(text_at(entry, "secretName") != name for _, entry in objects_at(tls, "trustedCertificates")):
        message = f"names {shown(name)}, which should be in trustedCertificates too: the manager calls its own UI"
        yield ("spec", "manager", "tls", "ui", "secretName"), message


@rule(
    "tls.other-ca-than-manager",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.tls.caSecretName",
    message="Up to 11.4 a gateway should have the CA of its manager.",
    source='EEM 11.4, "Installing an Event Gateway"',
    until="11.4",
)
def _other_ca_than_manager(resource: Resource) -> Violations:
    mine = text_at(resource.spec, "tls", "caSecretName")
    manager = resource.context.neighbours.likely_manager_of(resource.manager_reference) if mine else None
    if manager is None or manager.namespace != resource.owner.namespace or manager.ca_secret == mine:
        return
    message = f"should be {shown(manager.ca_secret)}, the CA of the manager {shown(manager.name)}, not {shown(mine)}"
    yield ("spec", "tls", "caSecretName"), f"{message}: otherwise the gateway cannot register"


@rule(
    "tls.ca-changed",
    "warn",
    field="spec.manager.tls.caSecretName, spec.tls.caSecretName",
    message="Another CA requires other certificates everywhere.",
    source=_GUIDE,
    requests=UPDATE_ONLY,
)
def _ca_changed(resource: Resource) -> Violations:
    message = "changes: renew the certificates that it signed, restart the pods, and update gateways and clients"
    path, tls = _own(resource)
    if text_at(_own(resource.before)[1], "caSecretName") != text_at(tls, "caSecretName"):
        yield (*path, "caSecretName"), message
    before = dict(_listeners(resource.before))
    for path, listener in _listeners(resource):
        if path in before and text_at(before[path], "caSecret", "secretName") != text_at(
            listener, "caSecret", "secretName"
        ):
            yield (*path, "caSecret", "secretName"), message
