"""
Decide a review of an EventEndpointManagement or EventGateway.

1. The operator's own writes, DELETE, subresources and other kinds of the group pass.
2. Every rule of the table looks at the object; what the old object had already is a warning.
3. The network that the instance meets is a warning: pods, port and policy, so that nobody finds out by silence.
4. Any denial refuses the change, with all findings in one answer. The mode says what a refusal becomes.
"""

from dataclasses import replace

from webhook.admission.impact import impact
from webhook.admission.options import Options
from webhook.admission.passes import is_operator
from webhook.admission.refusal import invalid
from webhook.admission.response import INVALID, AdmissionResponse, Cause, allowed, by_mode
from webhook.admission.review import AdmissionRequest, ReviewError, metadata_text
from webhook.admission.scope import mode_of
from webhook.admission.text import LONGEST_ANNOTATION, one_line, warning
from webhook.admission.verdict import ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.resources import EEM_GROUP, EEM_VERSION, INSTANCE_KINDS
from webhook.eem.rules import NEWEST, ProductVersion, RuleContext, judge


def validate(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """
    Decide one change of an EEM resource.

    Raises:
        ReviewError: the request is about another group or version, or lacks its object.
    """
    check_is_eem(request)
    name = request.name or metadata_text(request.object or request.old_object, "name")
    resource = ResourceName(kind=request.kind.kind, namespace=request.namespace, name=name)
    verdict = Verdict(allowed=True, operation=request.operation, resource=resource)
    passed = _unjudged(request, snapshot, options)
    if passed is not None:
        return allowed(replace(verdict, exempt=passed), "exempt", {"exempt": passed})
    if request.object is None or request.kind.kind not in INSTANCE_KINDS:
        return allowed(verdict, "allowed", {})
    old = request.old_object if request.operation == "UPDATE" else None
    found = judge(request.object, old, context_of(request.namespace, snapshot, options))
    denials = tuple(violation.fault for violation in found if violation.severity == "deny")
    warnings = [warning(str(violation.fault)) for violation in found if violation.severity == "warn"]
    warnings.extend(warning(text) for text in impact(request, snapshot, options))
    verdict = replace(verdict, faults=denials, warnings=tuple(dict.fromkeys(warnings)))
    mode = mode_of(request.namespace, snapshot, options)
    if not denials and mode == "audit" and verdict.warnings:
        noted = {"noted": one_line("; ".join(verdict.warnings), LONGEST_ANNOTATION)}
        return allowed(replace(verdict, warnings=()), "audited", noted)
    if not denials:
        return allowed(verdict, "warned" if verdict.warnings else "allowed", {})
    message = invalid(resource, denials)
    causes = tuple(
        Cause(reason=f"FieldValue{fault.reason}", message=fault.message, field=fault.field) for fault in denials
    )
    refused = replace(verdict, allowed=False, message=message)
    return by_mode(refused, mode, causes, INVALID)


def check_is_eem(request: AdmissionRequest) -> None:
    """
    Make sure that a request is about what the EEM webhooks are registered for.

    Raises:
        ReviewError: another group or version, or no object where the operation has one.
    """
    if (request.kind.group, request.resource.group) != (EEM_GROUP, EEM_GROUP):
        raise ReviewError("request.kind.group", f"must be {EEM_GROUP}")
    if request.kind.kind in INSTANCE_KINDS and request.kind.version != EEM_VERSION:
        raise ReviewError("request.kind.version", f"must be {EEM_VERSION}")
    if request.kind.kind.endswith("List"):
        raise ReviewError("request.kind.kind", "must be one object, not a list")
    if request.operation == "CONNECT":
        raise ReviewError("request.operation", "must be CREATE, UPDATE or DELETE")
    if request.operation in {"CREATE", "UPDATE"} and request.object is None:
        raise ReviewError("request.object", f"must be set for {request.operation}")
    if request.operation == "UPDATE" and request.old_object is None:
        raise ReviewError("request.oldObject", "must be set for UPDATE")


def context_of(namespace: str, snapshot: EemSnapshot, options: Options) -> RuleContext:
    """Give what the rules know of the cluster beside the object."""
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
    Give the version of EEM that the rules follow.

    The operator's Deployment tells, the one in the same namespace before others; else what the installed definitions
    have, else what is set, else the newest version that the rules know.
    """
    told: list[tuple[bool, ProductVersion]] = []
    for operator in snapshot.operators():
        try:
            told.append((operator.namespace == namespace, ProductVersion.parse(operator.version)))
        except ValueError:
            continue
    if told:
        return max(told)[1]
    return options.installed_version or options.eem_version or NEWEST


def _unjudged(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> str | None:
    if is_operator(request, snapshot, options):
        return "operator"
    if request.sub_resource:
        return "status"
    return None
