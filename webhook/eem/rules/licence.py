"""Rules for `spec.license`: accepted, known, and not at odds with itself or with the manager's."""

from collections.abc import Sequence

from webhook.eem.rules.catalogue import CALLS, LICENCES, METRICS, OTHER_PRODUCTS, PROGRAMMES, USES, Licence
from webhook.eem.rules.model import EEM, GATEWAY, KINDS, Fault, On, Reason, Rule, Subject
from webhook.eem.rules.neighbours import LICENCE_ID, ManagerReference, offered_licences
from webhook.eem.rules.nodes import child, entries, text
from webhook.eem.rules.paths import shown

_ID = ("spec", "license", "license")
_USE = ("spec", "license", "use")
_METRIC = ("spec", "license", "metric")
_LICENSING = 'EEM documentation, "Licensing"'


def _id(subject: Subject) -> str:
    return text(subject.spec, "license", "license")


def _known(subject: Subject) -> Licence | None:
    return LICENCES.get(_id(subject))


def _is_offered(subject: Subject) -> bool:
    """Say whether the cluster itself vouches for the id."""
    licence, context = _id(subject), subject.context
    return (
        licence in context.known_licences
        or licence in context.neighbours.licences
        or licence in offered_licences(subject.document)
    )


def _not_accepted(subject: Subject) -> Sequence[Fault]:
    if child(subject.spec, "license", "accept") is not False:
        return ()
    message = "is false: nothing is deployed until the licence is read and this is true"
    return (Fault(path=("spec", "license", "accept"), message=message),)


def _malformed(subject: Subject) -> Sequence[Fault]:
    licence = _id(subject)
    if LICENCE_ID.fullmatch(licence) or licence in subject.context.known_licences:
        return ()
    return (Fault(path=_ID, message=f'"{shown(licence)}" is no licence id: expected one such as L-CYBH-K48BZQ'),)


def _unknown(subject: Subject) -> Sequence[Fault]:
    licence = _id(subject)
    if licence in LICENCES or licence in OTHER_PRODUCTS or not LICENCE_ID.fullmatch(licence):
        return ()
    if _is_offered(subject):
        return ()
    return (Fault(path=_ID, message=f"{licence} is in no list that is known here: check it for a slip"),)


def _other_product(subject: Subject) -> Sequence[Fault]:
    product = OTHER_PRODUCTS.get(_id(subject))
    if product is None:
        return ()
    return (Fault(path=_ID, message=f"{_id(subject)} is a licence for {product} alone"),)


def _other_version(subject: Subject) -> Sequence[Fault]:
    licence, version = _known(subject), subject.context.version
    if licence is None or licence.is_for(version) or _is_offered(subject):
        return ()
    span = f"since {licence.since}" if licence.until is None else f"from {licence.since} to {licence.until}"
    message = f"{licence.id} ({licence.title}) is offered {span}, and this is {version}: an upgrade may wait for it"
    return (Fault(path=_ID, message=message),)


def _unknown_use(subject: Subject) -> Sequence[Fault]:
    use = text(subject.spec, "license", "use")
    if use in USES:
        return ()
    return (Fault(path=_USE, message=f'"{shown(use)}" is not known: expected one of {", ".join(USES)}'),)


def _early_use(subject: Subject) -> Sequence[Fault]:
    use = text(subject.spec, "license", "use")
    since = USES.get(use)
    if since is None or since <= subject.context.version:
        return ()
    return (Fault(path=_USE, message=f"{use} is offered since {since}, and this is {subject.context.version}"),)


def _unknown_metric(subject: Subject) -> Sequence[Fault]:
    metric = text(subject.spec, "license", "metric")
    if metric in METRICS:
        return ()
    expected = " or ".join(sorted(METRICS))
    return (Fault(path=_METRIC, message=f'"{shown(metric)}" is not known: expected {expected}'),)


def _other_programme(subject: Subject) -> Sequence[Fault]:
    licence, use = _known(subject), text(subject.spec, "license", "use")
    if licence is None or use not in USES or use.startswith(licence.programme):
        return ()
    message = f"{use} is not what {licence.id} ({licence.title}) is for: expected {_allowed(licence)}"
    return (Fault(path=_USE, message=message),)


def _other_purpose(subject: Subject) -> Sequence[Fault]:
    licence, use = _known(subject), text(subject.spec, "license", "use")
    if licence is None or use not in USES or not use.startswith(licence.programme):
        return ()
    if use.removeprefix(licence.programme) in licence.purposes:
        return ()
    return (Fault(path=_USE, message=f"{licence.id} ({licence.title}) is for {_allowed(licence)}, not for {use}"),)


def _allowed(licence: Licence) -> str:
    return " or ".join(f"{licence.programme}{purpose}" for purpose in licence.purposes)


def _calls_in_event_automation(subject: Subject) -> Sequence[Fault]:
    if text(subject.spec, "license", "metric") != CALLS:
        return ()
    licence = _known(subject)
    programme = licence.programme if licence else text(subject.spec, "license", "use")
    if not programme.startswith(PROGRAMMES[0]):
        return ()
    return (Fault(path=_METRIC, message="Event Automation is counted in cores: expected VIRTUAL_PROCESSOR_CORE"),)


def _other_metric(subject: Subject) -> Sequence[Fault]:
    licence, metric = _known(subject), text(subject.spec, "license", "metric")
    if licence is None or metric not in METRICS or metric == licence.metric:
        return ()
    if licence.programme == PROGRAMMES[0]:
        return ()
    message = f"{licence.id} ({licence.title}) is counted by {licence.metric}, not by {metric}"
    return (Fault(path=_METRIC, message=message),)


def _no_licensing_service(subject: Subject) -> Sequence[Fault]:
    if text(subject.spec, "license", "metric") != CALLS:
        return ()
    services = entries(subject.spec, "manager", "extensionServices")
    if any(text(entry, "name") == "licensing-service" for _, entry in services):
        return ()
    message = "needs an entry named licensing-service where licences are counted by API calls: the manager is not ready"
    return (Fault(path=("spec", "manager", "extensionServices"), message=f"{message} without it"),)


def _differs(subject: Subject) -> Sequence[Fault]:
    reference = ManagerReference.of(subject.namespace, subject.labels, subject.spec)
    manager = subject.context.neighbours.manager_of(reference)
    licence = _id(subject)
    if manager is None or not LICENCE_ID.fullmatch(manager.licence) or manager.licence == licence:
        return ()
    whose = f"its manager {manager.namespace}/{manager.name}"
    return (Fault(path=_ID, message=f"is {shown(licence)}, but {whose} has {shown(manager.licence)}"),)


def _changed(subject: Subject) -> Sequence[Fault]:
    if _id(subject.before) == _id(subject):
        return ()
    message = f"changes from {shown(_id(subject.before))}: manager and gateways must end up with the same one"
    return (Fault(path=_ID, message=message),)


RULES: tuple[Rule, ...] = (
    Rule(
        id="licence.not-accepted",
        severity="deny",
        kinds=KINDS,
        field="spec.license.accept",
        message="The licence must be accepted: nothing is deployed otherwise.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_not_accepted,
    ),
    Rule(
        id="licence.malformed",
        severity="deny",
        kinds=KINDS,
        field="spec.license.license",
        message="A licence id has the form L-XXXX-XXXXXX.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_malformed,
    ),
    Rule(
        id="licence.unknown",
        severity="warn",
        kinds=KINDS,
        field="spec.license.license",
        message="The licence id should be in the catalogue, or be offered by the operator in an instance's status.",
        reason=Reason.NOT_SUPPORTED,
        source=_LICENSING,
        check=_unknown,
    ),
    Rule(
        id="licence.other-product",
        severity="warn",
        kinds=KINDS,
        field="spec.license.license",
        message="The licence should be one for Event Endpoint Management.",
        reason=Reason.NOT_SUPPORTED,
        source=_LICENSING,
        check=_other_product,
    ),
    Rule(
        id="licence.other-version",
        severity="warn",
        kinds=KINDS,
        field="spec.license.license",
        message="The licence should be one that the operator's version offers.",
        reason=Reason.NOT_SUPPORTED,
        source=f'{_LICENSING}; "Upgrading"',
        check=_other_version,
    ),
    Rule(
        id="licence.unknown-use",
        severity="deny",
        kinds=KINDS,
        field="spec.license.use",
        message="The use must be one that the product sells.",
        reason=Reason.NOT_SUPPORTED,
        source="CSV of the operator, 11.0.4 to 11.8.1",
        check=_unknown_use,
    ),
    Rule(
        id="licence.early-use",
        severity="warn",
        kinds=KINDS,
        field="spec.license.use",
        message="The use should be one that the operator's version offers.",
        reason=Reason.NOT_SUPPORTED,
        source="CSV of the operator, 11.0.4 to 11.8.1",
        check=_early_use,
    ),
    Rule(
        id="licence.unknown-metric",
        severity="deny",
        kinds=KINDS,
        field="spec.license.metric",
        message="The metric must be VIRTUAL_PROCESSOR_CORE or MONTHLY_API_CALL.",
        reason=Reason.NOT_SUPPORTED,
        source="CSV of the operator, 11.0.4 to 11.8.1",
        check=_unknown_metric,
    ),
    Rule(
        id="licence.other-programme",
        severity="deny",
        kinds=KINDS,
        field="spec.license.use",
        message="The use must belong to the programme that the licence id stands for.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_other_programme,
    ),
    Rule(
        id="licence.other-purpose",
        severity="warn",
        kinds=KINDS,
        field="spec.license.use",
        message="The licence should allow the purpose: production, non-production, development.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_other_purpose,
    ),
    Rule(
        id="licence.calls-in-event-automation",
        severity="deny",
        kinds=KINDS,
        field="spec.license.metric",
        message="Event Automation licences are counted in cores only.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_calls_in_event_automation,
    ),
    Rule(
        id="licence.other-metric",
        severity="warn",
        kinds=KINDS,
        field="spec.license.metric",
        message="The metric should be the one that the licence is counted by.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_other_metric,
    ),
    Rule(
        id="licence.no-licensing-service",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.extensionServices",
        message="Counting API calls needs the extension service licensing-service.",
        reason=Reason.REQUIRED,
        source='EEM 11.8, "Installing", usage-based licensing',
        check=_no_licensing_service,
    ),
    Rule(
        id="licence.differs-from-manager",
        severity="deny",
        kinds=(GATEWAY,),
        field="spec.license.license",
        message="A new gateway must have the licence of its manager.",
        reason=Reason.INVALID,
        source='EEM 11.8, "Installing an Event Gateway"',
        check=_differs,
        on=On.CREATE,
    ),
    Rule(
        id="licence.still-differs",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.license.license",
        message="A gateway should have the licence of its manager; they change one after the other.",
        reason=Reason.INVALID,
        source='EEM 11.8, "Installing an Event Gateway"',
        check=_differs,
        on=On.UPDATE,
    ),
    Rule(
        id="licence.changed",
        severity="warn",
        kinds=KINDS,
        field="spec.license.license",
        message="A changed licence changes what is charged.",
        reason=Reason.INVALID,
        source=_LICENSING,
        check=_changed,
        on=On.UPDATE,
    ),
)
