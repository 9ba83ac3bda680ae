"""Rules for certificates: which of them count together, and what a change entails."""

from collections.abc import Iterator, Sequence

from webhook.eem.rules.model import EEM, GATEWAY, KINDS, Fault, On, Reason, Rule, Subject
from webhook.eem.rules.neighbours import ManagerReference
from webhook.eem.rules.nodes import Tree, entries, mapping, text
from webhook.eem.rules.paths import Path, shown
from webhook.eem.rules.version import Version

_GUIDE = 'EEM 11.8, "Configuring TLS"'
_SERVER_KEYS = ("key", "serverCertificate", "caCertificate")
_CLIENT_KEYS = ("clientKey", "clientCertificate")

Place = tuple[Path, Tree]


def _own(subject: Subject) -> Place:
    """Return the certificate settings of the instance itself: `spec.manager.tls` or `spec.tls`."""
    if subject.kind == EEM:
        return ("spec", "manager", "tls"), mapping(subject.spec, "manager", "tls")
    return ("spec", "tls"), mapping(subject.spec, "tls")


def _listeners(subject: Subject) -> Iterator[Place]:
    for position, listener in entries(subject.spec, "listeners"):
        yield ("spec", "listeners", position, "tls"), mapping(listener, "tls")


def _server_places(subject: Subject) -> Iterator[Place]:
    yield _own(subject)
    if subject.kind == EEM:
        yield ("spec", "manager", "tls", "ui"), mapping(subject.spec, "manager", "tls", "ui")
    else:
        yield from _listeners(subject)


def _telemetry(subject: Subject) -> Place:
    parent = ("manager",) if subject.kind == EEM else ()
    return ("spec", *parent, "openTelemetry", "tls"), mapping(subject.spec, *parent, "openTelemetry", "tls")


def _keys_without_secret(subject: Subject) -> Sequence[Fault]:
    places: list[tuple[Place, tuple[str, ...]]] = [(place, _SERVER_KEYS) for place in _server_places(subject)]
    places.append((_telemetry(subject), _CLIENT_KEYS))
    return [
        Fault(path=(*path, name), message="does not count without secretName beside it")
        for (path, tls), names in places
        if tls and not tls.get("secretName")
        for name in names
        if tls.get(name)
    ]


def _two_certificates(subject: Subject) -> Sequence[Fault]:
    path, tls = _own(subject)
    found = []
    if text(tls, "caSecretName") and text(tls, "secretName"):
        found.append(path)
    if subject.kind == GATEWAY:
        found += [
            where
            for where, listener in _listeners(subject)
            if text(listener, "caSecret", "secretName") and text(listener, "secretName")
        ]
    message = "stands beside a CA of its own: the server's certificate comes from the one or the other"
    return [Fault(path=(*where, "secretName"), message=message) for where in found]


def _ui_not_trusted(subject: Subject) -> Sequence[Fault]:
    tls = mapping(subject.spec, "manager", "tls")
    name = text(tls, "ui", "secretName")
    if not name or any(text(entry, "secretName") == name for _, entry in entries(tls, "trustedCertificates")):
        return ()
    message = f"{shown(name)} should be among trustedCertificates too, for the manager calls its own endpoint"
    return (Fault(path=("spec", "manager", "tls", "ui", "secretName"), message=message),)


def _other_ca_than_manager(subject: Subject) -> Sequence[Fault]:
    mine = text(subject.spec, "tls", "caSecretName")
    reference = ManagerReference.of(subject.namespace, subject.labels, subject.spec)
    manager = subject.context.neighbours.manager_of(reference) if mine else None
    if manager is None or manager.namespace != subject.namespace or manager.ca_secret == mine:
        return ()
    message = f"is {shown(mine)}, but the manager {shown(manager.name)} has {shown(manager.ca_secret)}"
    return (Fault(path=("spec", "tls", "caSecretName"), message=f"{message}: registration fails"),)


def _ca_changed(subject: Subject) -> Sequence[Fault]:
    path, tls = _own(subject)
    pairs = [((*path, "caSecretName"), text(_own(subject.before)[1], "caSecretName"), text(tls, "caSecretName"))]
    if subject.kind == GATEWAY:
        before = dict(_listeners(subject.before))
        pairs += [
            (
                (*where, "caSecret", "secretName"),
                text(before[where], "caSecret", "secretName"),
                text(now, "caSecret", "secretName"),
            )
            for where, now in _listeners(subject)
            if where in before
        ]
    message = "changes: leaf certificates must be made anew, pods restarted, gateways and clients told"
    return [Fault(path=where, message=message) for where, old, new in pairs if old != new]


RULES: tuple[Rule, ...] = (
    Rule(
        id="tls.keys-without-secret",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.tls, spec.tls",
        message="Names of keys count only with the Secret that has them.",
        reason=Reason.REQUIRED,
        source=_GUIDE,
        check=_keys_without_secret,
    ),
    Rule(
        id="tls.two-certificates",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.tls.secretName, spec.tls.secretName",
        message="A CA and a server certificate of one's own exclude each other.",
        reason=Reason.FORBIDDEN,
        source=_GUIDE,
        check=_two_certificates,
    ),
    Rule(
        id="tls.ui-not-trusted",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.tls.ui.secretName",
        message="The UI's certificate should be trusted by the manager itself.",
        reason=Reason.REQUIRED,
        source=_GUIDE,
        check=_ui_not_trusted,
    ),
    Rule(
        id="tls.other-ca-than-manager",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.tls.caSecretName",
        message="Up to 11.4 a gateway should have the CA of its manager.",
        reason=Reason.INVALID,
        source='EEM 11.4, "Installing an Event Gateway"',
        check=_other_ca_than_manager,
        until=Version.last_of("11.4"),
    ),
    Rule(
        id="tls.ca-changed",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.tls.caSecretName, spec.tls.caSecretName",
        message="Another CA means other certificates everywhere.",
        reason=Reason.INVALID,
        source=_GUIDE,
        check=_ca_changed,
        on=On.UPDATE,
    ),
)
