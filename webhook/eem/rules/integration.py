"""Rules for what a manager works with: API Connect, the licensing service, usage metrics."""

from collections.abc import Sequence

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.model import EEM, Fault, Reason, Rule, Subject
from webhook.eem.rules.nodes import child, entries, items, mapping, text
from webhook.eem.rules.paths import shown
from webhook.eem.rules.version import Version

_REFERENCE = "EEM 11.8 manager reference, apic"
_USAGE = 'EEM 11.8, "Installing", usage-based licensing'
_APIC = ("spec", "manager", "apic")
_SERVICES = ("spec", "manager", "extensionServices")
_LICENSING = "licensing-service"


def _portal_path(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=(*_APIC, "developerPortal", position, "endpoint"), message="has the path /devportal: leave it out")
        for position, portal in entries(subject.spec, "manager", "apic", "developerPortal")
        if (parts := url_of(text(portal, "endpoint"))) and "/devportal" in parts.path
    ]


def _portal_not_trusted(subject: Subject) -> Sequence[Fault]:
    portals = items(subject.spec, "manager", "apic", "developerPortal")
    if not portals or items(subject.spec, "manager", "tls", "trustedCertificates"):
        return ()
    message = "is empty, and there is a developer portal: its CA should be among them"
    return (Fault(path=("spec", "manager", "tls", "trustedCertificates"), message=message),)


def _mutual_tls(subject: Subject) -> Sequence[Fault]:
    apic = mapping(subject.spec, "manager", "apic")
    has_subject, is_on = bool(text(apic, "clientSubjectDN")), child(apic, "tls") is True
    if has_subject == is_on:
        return ()
    missing, present = ("tls", "clientSubjectDN") if has_subject else ("clientSubjectDN", "tls")
    return (Fault(path=(*_APIC, missing), message=f"should go with {present}: mutual TLS needs both"),)


def _subject_name(subject: Subject) -> Sequence[Fault]:
    name = text(subject.spec, "manager", "apic", "clientSubjectDN")
    if not name or "=" in name:
        return ()
    message = f'"{shown(name)}" is no distinguished name: expected one such as CN=gateway'
    return (Fault(path=(*_APIC, "clientSubjectDN"), message=message),)


def _unknown_service(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=(*_SERVICES, position, "name"), message=f'"{shown(name)}" is not known: expected {_LICENSING}')
        for position, service in entries(subject.spec, "manager", "extensionServices")
        if (name := text(service, "name")) and name != _LICENSING
    ]


def _incomplete_service(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=(*_SERVICES, position, missing), message=f"should be set: {_LICENSING} does not work without")
        for position, service in entries(subject.spec, "manager", "extensionServices")
        if text(service, "name") == _LICENSING
        for missing in ("endpoint", "secretName")
        if not service.get(missing)
    ]


def _plain_service(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=(*_SERVICES, position, "endpoint"), message="is plain http: expected the https route")
        for position, service in entries(subject.spec, "manager", "extensionServices")
        if text(service, "endpoint").startswith("http://")
    ]


def _submit_interval(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(
            path=(*_SERVICES, position, "additionalProperties", "submitInterval"),
            message=f'"{shown(interval)}" is no number of seconds: expected digits, as a text',
        )
        for position, service in entries(subject.spec, "manager", "extensionServices")
        if (interval := text(service, "additionalProperties", "submitInterval"))
        and not (interval.isascii() and interval.isdecimal())
    ]


RULES: tuple[Rule, ...] = (
    Rule(
        id="integration.portal-path",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.apic.developerPortal[].endpoint",
        message="The portal's endpoint should have no path /devportal.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_portal_path,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="integration.portal-not-trusted",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.tls.trustedCertificates",
        message="A developer portal's CA should be trusted.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_portal_not_trusted,
        since=Version.parse("11.8.0"),
    ),
    Rule(
        id="integration.mutual-tls",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.apic.clientSubjectDN",
        message="Mutual TLS should have its switch and the client's name.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_mutual_tls,
    ),
    Rule(
        id="integration.subject-name",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.apic.clientSubjectDN",
        message="The client's name should be a distinguished name.",
        reason=Reason.INVALID,
        source="RFC 4514",
        check=_subject_name,
    ),
    Rule(
        id="integration.unknown-service",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.extensionServices[].name",
        message="The only known extension service is licensing-service.",
        reason=Reason.NOT_SUPPORTED,
        source=_USAGE,
        check=_unknown_service,
    ),
    Rule(
        id="integration.incomplete-service",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.extensionServices[].endpoint",
        message="The licensing service should have endpoint and secretName.",
        reason=Reason.REQUIRED,
        source=_USAGE,
        check=_incomplete_service,
    ),
    Rule(
        id="integration.plain-service",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.extensionServices[].endpoint",
        message="The licensing service should be called by https.",
        reason=Reason.INVALID,
        source=_USAGE,
        check=_plain_service,
    ),
    Rule(
        id="integration.submit-interval",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.extensionServices[].additionalProperties",
        message="The interval should be a number of seconds, as a text.",
        reason=Reason.INVALID,
        source=_USAGE,
        check=_submit_interval,
    ),
)
