"""Rules for `spec.license`: accepted, known, consistent, and the same as the manager's."""

from webhook.eem.rules.licence_catalogue import (
    CALLS,
    EVENT_AUTOMATION,
    LICENCES,
    METRICS,
    OTHER_PRODUCTS,
    USES,
    WITHOUT_TERMS,
    Licence,
)
from webhook.eem.rules.neighbours import LICENCE_ID, RegisteredManager, offered_licences
from webhook.eem.rules.rule import (
    CREATE_ONLY,
    GATEWAY_ONLY,
    MANAGER_ONLY,
    UPDATE_ONLY,
    Resource,
    Violations,
    rule,
)
from webhook.netpol.reading import objects_at, shown, text_at, value_at

_ID = ("spec", "license", "license")
_USE = ("spec", "license", "use")
_METRIC = ("spec", "license", "metric")
_LICENSING = 'EEM documentation, "Licensing"'
_CSV = "CSV of the operator, 11.0.4 to 11.8.1"
_GATEWAY_GUIDE = 'EEM 11.8, "Installing an Event Gateway"'


def _id(resource: Resource) -> str:
    return text_at(resource.spec, "license", "license")


def _use(resource: Resource) -> str:
    return text_at(resource.spec, "license", "use")


def _metric(resource: Resource) -> str:
    return text_at(resource.spec, "license", "metric")


def _known(resource: Resource) -> Licence | None:
    return LICENCES.get(_id(resource))


def _is_offered(resource: Resource) -> bool:
    """Whether the cluster itself offers the licence id."""
    licence, context = _id(resource), resource.context
    return (
        licence in context.known_licences
        or licence in context.neighbours.licences
        or licence in offered_licences(resource.document)
    )


@rule(
    "licence.not-accepted",
    "deny",
    field="spec.license.accept",
    message="The licence must be accepted; otherwise the operator deploys nothing.",
    source=_LICENSING,
    lasting=True,
)
def _not_accepted(resource: Resource) -> Violations:
    if value_at(resource.spec, "license", "accept") is False:
        message = "must be true: the operator deploys nothing until you accept the licence"
        yield ("spec", "license", "accept"), message


@rule(
    "licence.malformed",
    "deny",
    field="spec.license.license",
    message="A licence id must have the form L-XXXX-XXXXXX.",
    source=_LICENSING,
)
def _malformed(resource: Resource) -> Violations:
    licence = _id(resource)
    if not LICENCE_ID.fullmatch(licence) and licence not in resource.context.known_licences:
        yield _ID, f'must be a licence id such as L-CYBH-K48BZQ, not "{shown(licence)}"'


@rule(
    "licence.unknown",
    "warn",
    field="spec.license.license",
    message="The licence id should be in the catalogue, or the operator should offer it in the status of an instance.",
    reason="NotSupported",
    source=_LICENSING,
)
def _unknown(resource: Resource) -> Violations:
    licence = _id(resource)
    is_listed = licence in LICENCES or licence in OTHER_PRODUCTS or licence in WITHOUT_TERMS
    if LICENCE_ID.fullmatch(licence) and not is_listed and not _is_offered(resource):
        yield _ID, f"{licence} is in no list of licences that is known here: check it for a typo"


@rule(
    "licence.other-product",
    "warn",
    field="spec.license.license",
    message="The licence should be one for Event Endpoint Management.",
    reason="NotSupported",
    source=_LICENSING,
)
def _other_product(resource: Resource) -> Violations:
    product = OTHER_PRODUCTS.get(_id(resource))
    if product is not None:
        yield _ID, f"{_id(resource)} is a licence for {product} only"


@rule(
    "licence.other-version",
    "warn",
    field="spec.license.license",
    message="The operator's version should offer the licence.",
    reason="NotSupported",
    source=f'{_LICENSING}; "Upgrading"',
)
def _other_version(resource: Resource) -> Violations:
    licence, version = _known(resource), resource.context.version
    if licence is None or licence.is_offered_by(version) or _is_offered(resource):
        return
    span = f"since {licence.since}" if licence.until is None else f"from {licence.since} to {licence.until}"
    message = f"{licence.id} ({licence.title}) is offered {span}, and the operator is {version.in_words}"
    yield _ID, f"{message}: the operator may not upgrade the instance until you change it"


@rule(
    "licence.unknown-use",
    "deny",
    field="spec.license.use",
    message="The use must be one under which the product is sold.",
    reason="NotSupported",
    source=_CSV,
)
def _unknown_use(resource: Resource) -> Violations:
    use = _use(resource)
    if use not in USES:
        yield _USE, f'must be a known use, not "{shown(use)}": one of {", ".join(USES)}'


@rule(
    "licence.early-use",
    "warn",
    field="spec.license.use",
    message="The operator's version should offer the use.",
    reason="NotSupported",
    source=_CSV,
)
def _early_use(resource: Resource) -> Violations:
    use, version = _use(resource), resource.context.version
    since = USES.get(use, version)
    if since > version and not version.or_later:
        yield _USE, f"{use} is offered since {since}, and the operator is {version}"


@rule(
    "licence.unknown-metric",
    "deny",
    field="spec.license.metric",
    message="The metric must be VIRTUAL_PROCESSOR_CORE or MONTHLY_API_CALL.",
    reason="NotSupported",
    source=_CSV,
)
def _unknown_metric(resource: Resource) -> Violations:
    metric = _metric(resource)
    if metric not in METRICS:
        yield _METRIC, f'must be {" or ".join(sorted(METRICS))}, not "{shown(metric)}"'


@rule(
    "licence.other-programme",
    "deny",
    field="spec.license.use",
    message="The use must belong to the programme of the licence.",
    source=_LICENSING,
)
def _other_programme(resource: Resource) -> Violations:
    licence, use = _known(resource), _use(resource)
    if licence is not None and use in USES and not use.startswith(licence.programme):
        yield _USE, f"must be {' or '.join(licence.uses)} with {licence.id} ({licence.title}), not {use}"


@rule(
    "licence.other-purpose",
    "warn",
    field="spec.license.use",
    message="The licence should allow the purpose: production, non-production or development.",
    source=_LICENSING,
)
def _other_purpose(resource: Resource) -> Violations:
    licence, use = _known(resource), _use(resource)
    if licence is None or use not in USES or not use.startswith(licence.programme) or use in licence.uses:
        return
    yield _USE, f"should be {' or '.join(licence.uses)} with {licence.id} ({licence.title}), not {use}"


@rule(
    "licence.calls-in-event-automation",
    "deny",
    field="spec.license.metric",
    message="Event Automation licences are charged by processor cores only.",
    source=_LICENSING,
)
def _calls_in_event_automation(resource: Resource) -> Violations:
    licence = _known(resource)
    programme = licence.programme if licence else _use(resource)
    if _metric(resource) == CALLS and programme.startswith(EVENT_AUTOMATION):
        yield _METRIC, "must be VIRTUAL_PROCESSOR_CORE: Event Automation licences are charged by processor cores"


@rule(
    "licence.other-metric",
    "warn",
    field="spec.license.metric",
    message="The metric should be the one by which the licence is charged.",
    source=_LICENSING,
)
def _other_metric(resource: Resource) -> Violations:
    licence, metric = _known(resource), _metric(resource)
    if licence is None or licence.programme == EVENT_AUTOMATION or metric not in METRICS or metric == licence.metric:
        return
    yield _METRIC, f"should be {licence.metric} with {licence.id} ({licence.title}), not {metric}"


@rule(
    "licence.no-licensing-service",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.extensionServices",
    message="Charging by API calls needs the extension service licensing-service.",
    reason="Required",
    source='EEM 11.8, "Installing", usage-based licensing',
)
def _no_licensing_service(resource: Resource) -> Violations:
    services = objects_at(resource.spec, "manager", "extensionServices")
    if _metric(resource) != CALLS or any(text_at(entry, "name") == "licensing-service" for _, entry in services):
        return
    message = "should have an entry named licensing-service: without it, a manager that is charged by API calls"
    yield ("spec", "manager", "extensionServices"), f"{message} does not become ready"


def _differing(resource: Resource, manager: RegisteredManager | None, verb: str) -> Violations:
    licence = _id(resource)
    if manager is None or not LICENCE_ID.fullmatch(manager.licence) or manager.licence == licence:
        return
    whose = f"its manager {shown(manager.namespace)}/{shown(manager.name)}"
    yield _ID, f"{verb} be {manager.licence}, the licence of {whose}, not {shown(licence)}"


@rule(
    "licence.differs-from-manager",
    "deny",
    kinds=GATEWAY_ONLY,
    field="spec.license.license",
    message="A new gateway must have the licence of its manager.",
    source=_GATEWAY_GUIDE,
    requests=CREATE_ONLY,
)
def _differs_from_manager(resource: Resource) -> Violations:
    return _differing(resource, resource.context.neighbours.manager_of(resource.manager_reference), "must")


@rule(
    "licence.still-differs",
    "warn",
    kinds=GATEWAY_ONLY,
    field="spec.license.license",
    message="A gateway should have the licence of its manager; at an upgrade you change one after the other.",
    source=_GATEWAY_GUIDE,
)
def _still_differs(resource: Resource) -> Violations:
    neighbours, reference = resource.context.neighbours, resource.manager_reference
    if resource.old is None and neighbours.manager_of(reference) is not None:
        return iter(())
    return _differing(resource, neighbours.likely_manager_of(reference), "should")


@rule(
    "licence.changed",
    "warn",
    field="spec.license.license",
    message="Another licence changes what is charged.",
    source=_LICENSING,
    requests=UPDATE_ONLY,
)
def _changed(resource: Resource) -> Violations:
    before = _id(resource.before)
    if before != _id(resource):
        yield _ID, f"changes from {shown(before)}: the manager and its gateways must end up with the same licence"
