"""
Decide a review of an EventEndpointManagement or EventGateway: validate it, and fill in defaults when it is created.

1. The operator's own writes, DELETE, subresources and other kinds of the group are allowed.
2. Every rule of the table is evaluated; a fault that the old object had as well is a warning.
3. Required ingress that the policies of the namespace do not allow is a warning (impact.py).
4. Any denial refuses the change, with all faults in one answer. The mode turns a refusal into its result.
"""

from dataclasses import replace

from webhook.admission.egress.need_standing import egress_impact
from webhook.admission.exemptions import is_operator, operator_namespaces, with_operator_note
from webhook.admission.impact import impact
from webhook.admission.options import Options, mode_of
from webhook.admission.refusal import invalid
from webhook.admission.response import INVALID, AdmissionResponse, allowed, by_mode, exempted, patched, warning
from webhook.admission.response import with_warnings as allowed_with
from webhook.admission.review import AdmissionRequest, ReviewError, check_objects, metadata_text
from webhook.admission.verdict import ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.resources import EEM_GROUP, EEM_VERSION, INSTANCE_KINDS
from webhook.eem.rules import NEWEST, TOO_LARGE, ProductVersion, RuleContext, defaults, judge, stored_form


def validate(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """
    Decide one change of an EEM resource.

    Raises:
        ReviewError: the request is about another group or version, or does not have its object.
    """
    _check(request)
    verdict = _verdict(request, snapshot)
    reason = _exemption(request, snapshot, options)
    if reason is not None:
        return exempted(verdict, reason)
    if request.object is None or request.kind.kind not in INSTANCE_KINDS:
        return allowed(verdict, "allowed", {})
    old = request.old_object if request.operation == "UPDATE" else None
    context = context_of(request.namespace, snapshot, options)
    found = judge(request.object, old, context)
    faults = tuple(violation.fault for violation in found if violation.severity == "deny")
    warnings = [warning(str(violation.fault)) for violation in found if violation.severity == "warn"]
    if not any(violation.rule is TOO_LARGE for violation in found):
        stored = replace(request, object=stored_form(request.object, context))
        warnings.extend(warning(text) for text in impact(stored, snapshot, options))
        warnings.extend(warning(text) for text in egress_impact(stored, snapshot, options))
    verdict = replace(verdict, faults=faults, warnings=tuple(dict.fromkeys(warnings)))
    mode = mode_of(request.namespace, snapshot, options)
    if not faults:
        return allowed_with(verdict, mode, verdict.warnings, {})
    message, causes = invalid(verdict.resource, faults)
    response = by_mode(replace(verdict, allowed=False, message=message), mode, causes, INVALID)
    return with_operator_note(response, request, snapshot, options)


def default(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """
    Fill in the documented defaults of a new instance. Nothing is refused here: `validate` does that.

    Source: RFC 6902; the API server applies the patch before it calls validating webhooks.

    Raises:
        ReviewError: the request is about another group or version, or does not have its object.
    """
    _check(request)
    verdict = _verdict(request, snapshot)
    if request.operation != "CREATE" or request.object is None or request.sub_resource or not options.defaults:
        return patched(verdict, ())
    return patched(verdict, defaults(request.object, context_of(request.namespace, snapshot, options)))


def _check(request: AdmissionRequest) -> None:
    """
    Check that a request is about the resources for which the EEM webhooks are registered.

    Raises:
        ReviewError: another group or version, or no object where the operation needs one.
    """
    if (request.kind.group, request.resource.group) != (EEM_GROUP, EEM_GROUP):
        raise ReviewError("request.kind.group", f"must be {EEM_GROUP}")
    if request.kind.kind in INSTANCE_KINDS and request.kind.version != EEM_VERSION:
        raise ReviewError("request.kind.version", f"must be {EEM_VERSION}")
    if request.kind.kind.endswith("List"):
        raise ReviewError("request.kind.kind", "must be one object, not a list")
    if request.operation == "CONNECT":
        raise ReviewError("request.operation", "must be CREATE, UPDATE or DELETE")
    check_objects(request)


def _verdict(request: AdmissionRequest, snapshot: EemSnapshot) -> Verdict:
    name = request.name or metadata_text(request.object or request.old_object, "name")
    resource = ResourceName(kind=request.kind.kind, namespace=request.namespace, name=name)
    return Verdict(
        allowed=True,
        operation=request.operation,
        resource=resource,
        policy_kinds=snapshot.policy_kinds(request.namespace),
    )


def _exemption(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> str | None:
    if is_operator(request, snapshot, options):
        return "operator"
    return "status" if request.sub_resource else None


def context_of(namespace: str, snapshot: EemSnapshot, options: Options) -> RuleContext:
    """Return what the rules need to know about the cluster."""
    known = snapshot.namespace(namespace)
    classes = tuple(snapshot.storage_classes.values())
    return RuleContext(
        version=version_of(namespace, snapshot, options),
        platform=options.platform,
        neighbours=snapshot.neighbours,
        namespaces={namespace: {"status": {"phase": "Terminating" if known.terminating else "Active"}}},
        storage_classes=classes if classes or options.storage_classes_known else None,
        severities=options.severities,
        offline=options.offline,
    )


def version_of(namespace: str, snapshot: EemSnapshot, options: Options) -> ProductVersion:
    """
    Return the version of EEM whose rules apply.

    It is the version on the Deployment of an operator in the same namespace, else on that of an operator for which the
    definitions of EEM's kinds were installed; else the version of these definitions, else the configured one, else the
    newest version that the rules know. Offline, any operator counts.
    """
    found: list[tuple[bool, ProductVersion]] = []
    trusted = {namespace, *operator_namespaces(snapshot)}
    for operator in snapshot.operators.values():
        if operator.namespace not in trusted and not options.offline:
            continue
        try:
            found.append((operator.namespace == namespace, ProductVersion.parse(operator.version)))
        except ValueError:
            continue
    if found:
        return max(found)[1]
    return options.installed_version or options.eem_version or NEWEST
