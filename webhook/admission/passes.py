"""
What passes unjudged, and nothing else does.

A guard that stood in the way of the machinery would wedge namespaces and owners; one that let more through would not
be a guard. Who asks is taken from the request, the rest from the state of the cluster, never from a label.
"""

from collections.abc import Iterable

from webhook.admission.options import Options
from webhook.admission.review import AdmissionRequest
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.resources import EEM_GROUP
from webhook.netpol.model import OwnerReference
from webhook.netpol.parse_meta import read_owners
from webhook.netpol.reading import Faults, mapping

GARBAGE_COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"


def unjudged(  # noqa: PLR0911  one return for each way to pass
    request: AdmissionRequest, snapshot: EemSnapshot, options: Options
) -> str | None:
    """Say why *request* passes without a verdict; None where it is judged."""
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
    if request.operation == "UPDATE" and spec_is_unchanged(request) and strange_owners(request, snapshot) == ():
        return "spec-unchanged"
    return None


def is_operator(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> bool:
    """Say whether the EEM operator itself asks."""
    return request.username in _operator_users(snapshot, options)


def _operator_users(snapshot: EemSnapshot, options: Options) -> frozenset[str]:
    """Give the operator's user names: the one that is set, else those that the operators' Deployments name."""
    if options.operator_service_account is not None:
        namespace, _, name = options.operator_service_account.partition("/")
        return frozenset({_user(namespace, name)})
    return frozenset(_user(operator.namespace, operator.service_account) for operator in snapshot.operators.values())


def _user(namespace: str, name: str) -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def spec_is_unchanged(request: AdmissionRequest) -> bool:
    """Say whether an UPDATE leaves the spec alone; null and missing are the same."""
    old, new = request.old_object or {}, request.object or {}
    try:
        return (old.get("spec") or {}) == (new.get("spec") or {})
    except RecursionError:  # a depth that could just be read may be too deep to be compared a few calls further in
        return False


def strange_owners(request: AdmissionRequest, snapshot: EemSnapshot) -> tuple[OwnerReference, ...]:
    """
    Give the owners that an UPDATE adds and that are no live EEM instance of the namespace.

    Such an owner may be gone already, or be about to go: then the garbage collector deletes the policy, and nobody is
    asked again.
    """
    before = {_identity(owner) for owner in _owners(request.old_object)}
    return tuple(
        owner
        for owner in _owners(request.object)
        if _identity(owner) not in before and not _is_live_instance(owner, request.namespace, snapshot)
    )


def _owners(api_object: object) -> Iterable[OwnerReference]:
    faults = Faults()
    written = {"metadata": None, **mapping(api_object, "", faults)}
    return read_owners(mapping(written["metadata"], "metadata", faults), faults)


def _identity(owner: OwnerReference) -> tuple[str, str, str, str]:
    """Give whom a reference means: that the owner is the controller, too, makes it no other owner."""
    return owner.api_version, owner.kind, owner.name, owner.uid


def _is_live_instance(owner: OwnerReference, namespace: str, snapshot: EemSnapshot) -> bool:
    instance = snapshot.instance(owner.kind, namespace, owner.name)
    if owner.group != EEM_GROUP or instance is None or instance.terminating:
        return False
    return not instance.uid or instance.uid == owner.uid
