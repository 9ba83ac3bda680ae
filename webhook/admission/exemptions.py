"""
Requests that are allowed without evaluation, and the heartbeat, which is always refused.

Who asks is taken from the request; everything else is taken from what only administrators write, never from the labels
of a workload. If these requests were refused, namespaces could not be deleted and owners could not clean up; if more
were allowed, changes that cut off EEM would pass.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from webhook.admission.options import Options
from webhook.admission.response import FORBIDDEN, AdmissionResponse, denied, with_note
from webhook.admission.review import AdmissionRequest
from webhook.admission.verdict import Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import OPERATOR_NAME
from webhook.netpol.model import OwnerReference
from webhook.netpol.parse_meta import read_owners
from webhook.netpol.reading import Faults, mapping

SERVICE_ACCOUNT: Final = "system:serviceaccount:"
"""The prefix of the user names of service accounts."""

GARBAGE_COLLECTOR: Final = f"{SERVICE_ACCOUNT}kube-system:generic-garbage-collector"
NAMESPACE_CONTROLLER: Final = f"{SERVICE_ACCOUNT}kube-system:namespace-controller"

CANARY_NAMESPACE: Final = "eem-guardrail-canary"
"""The namespace of the heartbeat: no workload runs there, and the webhook is always registered for it."""
HEARTBEAT_NAME: Final = "eem-guardrail-heartbeat"
HEARTBEAT_REFUSAL: Final = "eem-guardrail is awake: this policy asks whether reviews reach it, and is always refused"
"""Replicas of other versions, during an upgrade, recognize their heartbeat by this text: it must not change."""


def exemption(  # noqa: PLR0911  one return for each reason
    request: AdmissionRequest, snapshot: EemSnapshot, options: Options
) -> str | None:
    """Return why a request about a NetworkPolicy is allowed without evaluation; None if it is evaluated."""
    if snapshot.namespace(request.namespace).terminating:
        return "namespace-terminating"
    if request.username == GARBAGE_COLLECTOR:
        return "garbage-collector"
    if request.username == NAMESPACE_CONTROLLER:
        return "namespace-controller"
    if is_operator(request, snapshot, options):
        return "operator"
    if request.sub_resource == "status":
        return "status"
    if request.leaves_spec_unchanged and not added_owners(request, snapshot):
        return "spec-unchanged"
    return None


def is_operator(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> bool:
    """
    Whether the EEM operator made the request.

    Its account is the configured one. Without that setting, it is `ibm-eem-operator` in each namespace that the
    definitions of EEM's kinds name as an operator's. Such an account counts in its own namespace and in those that have
    no operator of their own.
    """
    name = request.username
    if not name.startswith(SERVICE_ACCOUNT):
        return False
    namespace, _, account = name.removeprefix(SERVICE_ACCOUNT).partition(":")
    if options.operator_service_account is not None:
        return f"{namespace}/{account}" == options.operator_service_account
    return (
        account == OPERATOR_NAME
        and namespace in operator_namespaces(snapshot)
        and (namespace == request.namespace or not _has_operator(request.namespace, snapshot))
    )


def with_operator_note(
    response: AdmissionResponse, request: AdmissionRequest, snapshot: EemSnapshot, options: Options
) -> AdmissionResponse:
    """Add to a refusal the setting that would have let the request pass, if an operator's Deployment names its user."""
    if response.allowed or options.operator_service_account is not None:
        return response
    for operator in snapshot.operators.values():
        if request.username == f"{SERVICE_ACCOUNT}{operator.namespace}:{operator.service_account}":
            account = f"{operator.namespace}/{operator.service_account}"
            return with_note(response, f"(If this is the EEM operator: --operator-service-account {account}.)")
    return response


def operator_namespaces(snapshot: EemSnapshot) -> frozenset[str]:
    """Return the namespaces of the operators for which EEM's kinds were installed."""
    return frozenset().union(*snapshot.operator_namespaces.values())


def _has_operator(namespace: str, snapshot: EemSnapshot) -> bool:
    return any(operator.namespace == namespace for operator in snapshot.operators.values())


def added_owners(request: AdmissionRequest, snapshot: EemSnapshot) -> tuple[OwnerReference, ...]:
    """
    Return the owners that an UPDATE adds and that are not live EEM instances of the namespace.

    If such an owner does not exist, or is deleted, the garbage collector deletes the policy. That deletion is allowed
    without evaluation.
    """
    before = {_identity(owner) for owner in _owners(request.old_object)}
    return tuple(
        owner
        for owner in _owners(request.object)
        if _identity(owner) not in before and not _is_live_instance(owner, request.namespace, snapshot)
    )


def _owners(api_object: object) -> Iterable[OwnerReference]:
    faults = Faults()
    metadata = mapping(api_object, "", faults).get("metadata")
    return read_owners(mapping(metadata, "metadata", faults), faults)


def _identity(owner: OwnerReference) -> tuple[str, str, str, str]:
    """Return the fields that identify an owner; `controller` is not one of them."""
    return owner.api_version, owner.kind, owner.name, owner.uid


def _is_live_instance(owner: OwnerReference, namespace: str, snapshot: EemSnapshot) -> bool:
    known = snapshot.eem.get(namespace)
    return known is not None and known.is_live(owner)


def is_heartbeat(request: AdmissionRequest) -> bool:
    """
    Whether a request creates the heartbeat's policy.

    Each minute the service creates it as a dry run. The refusal, with its own message, proves that the whole way from
    the API server through the registration, the Service and the certificate to a verdict works. A heartbeat policy that
    exists, because the webhook did not answer, can be deleted.
    """
    return (request.operation, request.namespace, request.name) == ("CREATE", CANARY_NAMESPACE, HEARTBEAT_NAME)


def refuse_heartbeat(verdict: Verdict) -> AdmissionResponse:
    """Return the refusal, the same in every mode; it is counted as `heartbeat` and not among the refusals of users."""
    refused = replace(verdict, allowed=False, message=HEARTBEAT_REFUSAL)
    return denied(refused, FORBIDDEN, (), {"denied": HEARTBEAT_REFUSAL}, result="heartbeat")
