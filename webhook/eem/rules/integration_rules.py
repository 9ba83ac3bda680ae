"""Rules for what an instance works with: API Connect, the licensing service, OpenTelemetry."""

from collections.abc import Iterator

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.rule import MANAGER_ONLY, Resource, Violations, rule
from webhook.netpol.reading import Path, Tree, integer_at, list_at, object_at, objects_at, shown, text_at, value_at

_REFERENCE = "EEM 11.8 manager reference, apic"
_USAGE = 'EEM 11.8, "Installing", usage-based licensing'
_METRICS_GUIDE = 'EEM 11.8, "Exporting metrics"'
_APIC = ("spec", "manager", "apic")
_LICENSING = "licensing-service"
_PROTOCOLS = ("grpc", "http/protobuf")
_SIGNALS = {
    "metricsEnablement": ("manager",),
    "tracesEnablement": ("httpInfo", "httpSuccess", "httpRedirect", "httpClientError", "httpServerError"),
}


def _portals(resource: Resource) -> list[tuple[int, Tree]]:
    return objects_at(resource.spec, "manager", "apic", "developerPortal")


@rule(
    "integration.portal-path",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.apic.developerPortal[].endpoint",
    message="The endpoint of a developer portal should not include the path /devportal.",
    source=_REFERENCE,
    since="11.8.0",
)
def _portal_path(resource: Resource) -> Violations:
    for position, portal in _portals(resource):
        parts = url_of(text_at(portal, "endpoint"))
        if parts is not None and "/devportal" in parts.path:
            yield (*_APIC, "developerPortal", position, "endpoint"), "should not include the path /devportal"


@rule(
    "integration.portal-not-trusted",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.tls.trustedCertificates",
    message="The manager should trust the CA of a developer portal.",
    reason="Required",
    source=_REFERENCE,
    since="11.8.0",
)
def _portal_not_trusted(resource: Resource) -> Violations:
    trusted = list_at(resource.spec, "manager", "tls", "trustedCertificates")
    if list_at(resource.spec, "manager", "apic", "developerPortal") and not trusted:
        yield ("spec", "manager", "tls", "trustedCertificates"), "should include the CA of the developer portal"


@rule(
    "integration.mutual-tls",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.apic.clientSubjectDN",
    message="Mutual TLS needs both apic.tls and apic.clientSubjectDN.",
    reason="Required",
    source=_REFERENCE,
)
def _mutual_tls(resource: Resource) -> Violations:
    apic = object_at(resource.spec, "manager", "apic")
    has_subject, is_on = bool(text_at(apic, "clientSubjectDN")), value_at(apic, "tls") is True
    if has_subject and not is_on:
        yield (*_APIC, "tls"), "should be true with clientSubjectDN: mutual TLS needs both"
    if is_on and not has_subject:
        yield (*_APIC, "clientSubjectDN"), "should be set with tls: mutual TLS needs both"


@rule(
    "integration.subject-name",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.apic.clientSubjectDN",
    message="The name of the client should be a distinguished name.",
    source="RFC 4514",
)
def _subject_name(resource: Resource) -> Violations:
    name = text_at(resource.spec, "manager", "apic", "clientSubjectDN")
    if name and "=" not in name:
        yield (*_APIC, "clientSubjectDN"), f'should be a distinguished name such as CN=gateway, not "{shown(name)}"'


def _services(resource: Resource) -> Iterator[tuple[Path, Tree]]:
    for position, service in objects_at(resource.spec, "manager", "extensionServices"):
        yield ("spec", "manager", "extensionServices", position), service


@rule(
    "integration.unknown-service",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.extensionServices[].name",
    message="The only known extension service is licensing-service.",
    reason="NotSupported",
    source=_USAGE,
)
def _unknown_service(resource: Resource) -> Violations:
    for path, service in _services(resource):
        name = text_at(service, "name")
        if name and name != _LICENSING:
            yield (*path, "name"), f'should be {_LICENSING}, not "{shown(name)}"'


@rule(
    "integration.incomplete-service",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.extensionServices[].endpoint",
    message="The licensing service should have an endpoint and a secretName.",
    reason="Required",
    source=_USAGE,
)
def _incomplete_service(resource: Resource) -> Violations:
    for path, service in _services(resource):
        for missing in ("endpoint", "secretName"):
            if text_at(service, "name") == _LICENSING and not service.get(missing):
                yield (*path, missing), f"should be set: {_LICENSING} does not work without it"


@rule(
    "integration.plain-service",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.extensionServices[].endpoint",
    message="The endpoint of the licensing service should be an https URL.",
    source=_USAGE,
)
def _plain_service(resource: Resource) -> Violations:
    for path, service in _services(resource):
        if text_at(service, "endpoint").startswith("http://"):
            yield (*path, "endpoint"), "should be the https URL of the route, not an http URL"


@rule(
    "integration.submit-interval",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.extensionServices[].additionalProperties",
    message="submitInterval should be a number of seconds, written as a string.",
    source=_USAGE,
)
def _submit_interval(resource: Resource) -> Violations:
    for path, service in _services(resource):
        interval = text_at(service, "additionalProperties", "submitInterval")
        if interval and not (interval.isascii() and interval.isdecimal()):
            where = (*path, "additionalProperties", "submitInterval")
            yield where, f'should be a number of seconds, such as "3600", not "{shown(interval)}"'


def _telemetry(resource: Resource) -> tuple[Path, Tree]:
    path = (*resource.component_path, "openTelemetry")
    return ("spec", *path), object_at(resource.spec, *path)


@rule(
    "telemetry.unknown-protocol",
    "warn",
    field="spec.manager.openTelemetry.protocol, spec.openTelemetry.protocol",
    message="The protocol should be grpc or http/protobuf.",
    reason="NotSupported",
    source=_METRICS_GUIDE,
    since="11.3.1",
)
def _unknown_protocol(resource: Resource) -> Violations:
    path, settings = _telemetry(resource)
    protocol = text_at(settings, "protocol")
    if protocol and protocol not in _PROTOCOLS:
        yield (*path, "protocol"), f'should be {" or ".join(_PROTOCOLS)}, not "{shown(protocol)}"'


@rule(
    "telemetry.no-interval",
    "warn",
    field="spec.manager.openTelemetry.interval, spec.openTelemetry.interval",
    message="The interval should be above 0 milliseconds.",
    source=_METRICS_GUIDE,
    since="11.3.1",
)
def _no_interval(resource: Resource) -> Violations:
    path, settings = _telemetry(resource)
    interval = integer_at(settings, "interval")
    if interval is not None and interval <= 0:
        yield (*path, "interval"), "should be above 0 milliseconds, such as 30000"


@rule(
    "telemetry.tls-on-plain",
    "warn",
    field="spec.manager.openTelemetry.tls, spec.openTelemetry.tls",
    message="TLS settings should go with an https endpoint.",
    reason="Forbidden",
    source=_METRICS_GUIDE,
    since="11.3.1",
)
def _tls_on_plain(resource: Resource) -> Violations:
    path, settings = _telemetry(resource)
    if object_at(settings, "tls") and text_at(settings, "endpoint").startswith("http://"):
        yield (*path, "tls"), "has no effect: the endpoint is an http URL"


@rule(
    "telemetry.unknown-switch",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.openTelemetry.tracesEnablement[].name",
    message="The name of a metric or trace should be one that the manager has.",
    reason="NotSupported",
    source="EEM 11.8 manager reference, openTelemetry",
    since="11.6.2",
)
def _unknown_switch(resource: Resource) -> Violations:
    path, settings = _telemetry(resource)
    for signal, names in _SIGNALS.items():
        for position, entry in objects_at(settings, signal):
            name = text_at(entry, "name")
            if name and name not in names:
                yield (*path, signal, position, "name"), f'should be {" or ".join(names)}, not "{shown(name)}"'


@rule(
    "telemetry.duplicate-switch",
    "warn",
    field="spec.manager.openTelemetry.instrumentations[].name, spec.openTelemetry.instrumentations[].name",
    message="A metric, trace or instrumentation should be listed once.",
    reason="Duplicate",
    source=_METRICS_GUIDE,
    since="11.3.1",
)
def _duplicate_switch(resource: Resource) -> Violations:
    path, settings = _telemetry(resource)
    for signal in ("instrumentations", "metricsEnablement", "tracesEnablement"):
        seen: set[str] = set()
        for position, entry in objects_at(settings, signal):
            name = text_at(entry, "name")
            if name in seen:
                yield (*path, signal, position, "name"), f'should be listed once: "{shown(name)}" is listed already'
            seen.add(name)
