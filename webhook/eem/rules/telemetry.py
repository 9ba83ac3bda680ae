"""Rules for `openTelemetry`: where metrics and traces go, and what is switched."""

from collections.abc import Sequence

from webhook.eem.rules.model import EEM, KINDS, Fault, Reason, Rule, Subject
from webhook.eem.rules.nodes import Tree, entries, integer, mapping, text
from webhook.eem.rules.paths import Path, shown
from webhook.eem.rules.version import Version

_REFERENCE = 'EEM 11.8, "Exporting metrics"'
_PROTOCOLS = ("grpc", "http/protobuf")
_MANAGER_NAMES = {
    "metricsEnablement": ("manager",),
    "tracesEnablement": ("httpInfo", "httpSuccess", "httpRedirect", "httpClientError", "httpServerError"),
}
_LISTS = ("instrumentations", "metricsEnablement", "tracesEnablement")


def _settings(subject: Subject) -> tuple[Path, Tree]:
    parent = ("manager",) if subject.kind == EEM else ()
    return ("spec", *parent, "openTelemetry"), mapping(subject.spec, *parent, "openTelemetry")


def _unknown_protocol(subject: Subject) -> Sequence[Fault]:
    path, settings = _settings(subject)
    protocol = text(settings, "protocol")
    if not protocol or protocol in _PROTOCOLS:
        return ()
    message = f'"{shown(protocol)}" is not known: expected {" or ".join(_PROTOCOLS)}'
    return (Fault(path=(*path, "protocol"), message=message),)


def _no_interval(subject: Subject) -> Sequence[Fault]:
    path, settings = _settings(subject)
    interval = integer(settings, "interval")
    if interval is None or interval > 0:
        return ()
    return (Fault(path=(*path, "interval"), message="is not above 0: expected milliseconds, such as 30000"),)


def _tls_on_plain(subject: Subject) -> Sequence[Fault]:
    path, settings = _settings(subject)
    if not mapping(settings, "tls") or not text(settings, "endpoint").startswith("http://"):
        return ()
    return (Fault(path=(*path, "tls"), message="does not count: the endpoint is plain http"),)


def _unknown_switch(subject: Subject) -> Sequence[Fault]:
    path, settings = _settings(subject)
    return [
        Fault(
            path=(*path, kind, position, "name"),
            message=f'"{shown(name)}" is not known: expected one of {", ".join(names)}',
        )
        for kind, names in _MANAGER_NAMES.items()
        for position, entry in entries(settings, kind)
        if (name := text(entry, "name")) and name not in names
    ]


def _duplicate_switch(subject: Subject) -> Sequence[Fault]:
    path, settings = _settings(subject)
    found = []
    for kind in _LISTS if settings else ():
        seen: set[str] = set()
        for position, entry in entries(settings, kind):
            name = text(entry, "name")
            if name in seen:
                message = f'"{shown(name)}" is there already: expected it once'
                found.append(Fault(path=(*path, kind, position, "name"), message=message))
            seen.add(name)
    return found


RULES: tuple[Rule, ...] = (
    Rule(
        id="telemetry.unknown-protocol",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.openTelemetry.protocol, spec.openTelemetry.protocol",
        message="The protocol should be grpc or http/protobuf.",
        reason=Reason.NOT_SUPPORTED,
        source=_REFERENCE,
        check=_unknown_protocol,
        since=Version.parse("11.3.1"),
    ),
    Rule(
        id="telemetry.no-interval",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.openTelemetry.interval, spec.openTelemetry.interval",
        message="The interval should be above 0 milliseconds.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_no_interval,
        since=Version.parse("11.3.1"),
    ),
    Rule(
        id="telemetry.tls-on-plain",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.openTelemetry.tls, spec.openTelemetry.tls",
        message="TLS settings should go with an https endpoint.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_tls_on_plain,
        since=Version.parse("11.3.1"),
    ),
    Rule(
        id="telemetry.unknown-switch",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.openTelemetry.tracesEnablement[].name",
        message="What is switched should exist.",
        reason=Reason.NOT_SUPPORTED,
        source="EEM 11.8 manager reference, openTelemetry",
        check=_unknown_switch,
        since=Version.parse("11.6.2"),
    ),
    Rule(
        id="telemetry.duplicate-switch",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.openTelemetry.instrumentations[].name, spec.openTelemetry.instrumentations[].name",
        message="What is switched should be listed once.",
        reason=Reason.DUPLICATE,
        source=_REFERENCE,
        check=_duplicate_switch,
        since=Version.parse("11.3.1"),
    ),
)
