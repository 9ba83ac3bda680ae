"""
Try a change of any object on a state: the webhook's verdict, what the change interrupts, and the state after it.

The webhook judges policies and EEM resources. A change of another object, such as the labels of a workload, is never
refused, but it can interrupt required ingress as well, and a plan for several changes must know that.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.admission.clusterpolicy import decide_cluster_policy
from webhook.admission.instance import validate
from webhook.admission.networkpolicy import decide
from webhook.admission.options import Options, demand_of, universe_of
from webhook.admission.response import AdmissionResponse
from webhook.admission.review import AdmissionRequest, GroupVersionKind, GroupVersionResource
from webhook.admission.verdict import ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot, name_of
from webhook.eem.instances import Requirement, SourcesDemand
from webhook.eem.resources import CLUSTER_POLICIES, WATCHED
from webhook.eem.view import EemNamespace, StandingKey
from webhook.netpol.cluster_policies import CLUSTER_POLICY_KINDS
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.sides import NO_TIERS, Side
from webhook.netpol.sources.source_set import EVERYONE
from webhook.netpol.sources.term_algebra import EVERY
from webhook.netpol.sources.tier_loss import lost_in_tiers, tiers_in

JUDGES: Final[Mapping[str, Callable[[AdmissionRequest, EemSnapshot, Options], AdmissionResponse]]] = {
    "NetworkPolicy": decide,
    "EventEndpointManagement": validate,
    "EventGateway": validate,
    **dict.fromkeys(sorted(CLUSTER_POLICY_KINDS), decide_cluster_policy),
}
"""The judge of each kind that the API server sends for review."""

POLICY_KINDS: Final = CLUSTER_POLICY_KINDS | {"NetworkPolicy"}
"""The kinds whose judge says all that a change of them interrupts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectChange:
    """
    One change of one object.

    Args:
        old: the object before the change; None if the change creates it.
        new: the object after the change; None if the change deletes it.
    """

    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None

    @property
    def operation(self) -> str:
        """Return CREATE, UPDATE or DELETE."""
        return "DELETE" if self.new is None else "CREATE" if self.old is None else "UPDATE"

    @property
    def resource(self) -> ResourceName:
        """Return the kind, the namespace and the name of the object."""
        changed = self.new if self.new is not None else self.old or {}
        namespace, name = name_of(changed)
        return ResourceName(kind=str(changed.get("kind", "")), namespace=namespace, name=name)

    def applied_to(self, snapshot: EemSnapshot) -> EemSnapshot:
        """Return the state after the change."""
        if self.new is not None:
            return snapshot.with_object(self.new)
        return snapshot.without_object(self.resource.kind, self.resource.namespace, self.resource.name)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """
    The result of trying one change.

    Args:
        verdict: what the webhook answers; a change of a kind that it does not judge is allowed.
        interrupted: the requirements that were open to a source before the change and are surely closed to it after.
        after: the state after the change, whatever the verdict is.
    """

    verdict: Verdict
    interrupted: tuple[Requirement, ...]
    after: EemSnapshot

    @property
    def is_safe(self) -> bool:
        """Whether the webhook allows the change and, whatever the mode is, the change interrupts nothing."""
        lost = (item for item in self.verdict.lost if item.direction == "ingress")  # lost egress counts if refused
        interrupts = self.interrupted or any(item.decided for item in lost)
        return self.verdict.allowed and not interrupts


def verdict_on(change: ObjectChange, snapshot: EemSnapshot, options: Options) -> Verdict:
    """Return the verdict of the webhook; a change of a kind that it does not judge is allowed."""
    judge = JUDGES.get(change.resource.kind)
    if judge is None:
        return Verdict(allowed=True, operation=change.operation, resource=change.resource)
    response = judge(request_of(change), snapshot, options)
    return response.verdict or Verdict(allowed=response.allowed, operation=change.operation, resource=change.resource)


def request_of(change: ObjectChange) -> AdmissionRequest:
    """Return the request of the API server about a change of a kind that the webhook judges."""
    resource = change.resource
    served = next(known for known in (*WATCHED, *CLUSTER_POLICIES) if known.kind == resource.kind)
    return AdmissionRequest(
        uid=f"check-{resource.namespace}-{resource.name}",
        operation=change.operation,
        kind=GroupVersionKind(group=served.group, version=served.version, kind=served.kind),
        resource=GroupVersionResource(group=served.group, version=served.version, resource=served.plural),
        namespace=resource.namespace,
        name=resource.name,
        object=change.new,
        old_object=change.old,
    )


def attempt(change: ObjectChange, snapshot: EemSnapshot, options: Options) -> Trial:
    """Return what a change does to a state."""
    verdict = verdict_on(change, snapshot, options)
    after = change.applied_to(snapshot)
    interrupted = () if change.resource.kind in POLICY_KINDS else tuple(interruptions(snapshot, after, options))
    return Trial(verdict=verdict, interrupted=interrupted, after=after)


def interruptions(before: EemSnapshot, after: EemSnapshot, options: Options) -> Iterator[Requirement]:
    """
    Yield each requirement of both states for which a source is surely lost between them.

    A requirement that only one of the two states has is not interrupted: its instance is created, deleted or exempt, or
    has moved its port. A subject that is new is compared with the subjects that have gone: the labels of their pods
    have changed.
    """
    for namespace, view in after.eem.items():
        known = before.eem.get(namespace)
        if known is None or (known is view and _has_same_tiers(namespace, before, after)):
            continue
        demand, universe, answers = demand_of(namespace, after, options), universe_of(after, options), Answers()
        had_by, has_by = _admitted_by(known, before), _admitted_by(view, after)
        for requirement, has in has_by.items():
            wanted: SourcesDemand = "some" if "some" in {requirement.sources, demand} else "anywhere"
            pairs = _pairs(had_by.get(requirement, {}), has)
            losses = (lost_in_tiers(*pair, wanted, EVERY, universe, answers) for pair in pairs)
            if any(found is not None and found.loss.decided for found in losses):
                yield requirement


def _has_same_tiers(namespace: str, before: EemSnapshot, after: EemSnapshot) -> bool:
    """Whether cluster-wide policies decide the same for a namespace: they select it by its labels."""
    policies = before.cluster.cluster_policies is after.cluster.cluster_policies
    return policies and before.namespace(namespace) is after.namespace(namespace)


AdmittedBySubject = dict[StandingKey, Side]
"""What decides at one port of each subject that needs it."""


def _admitted_by(view: EemNamespace, snapshot: EemSnapshot) -> dict[Requirement, AdmittedBySubject]:
    found: dict[Requirement, AdmittedBySubject] = {}
    for guarded in view.guarded:
        standing = view.standings[guarded.key]
        isolated = bool(len(standing.isolating))
        for requirement in guarded.needs:
            port = requirement.protocol, requirement.port
            sources = standing.ports[port].total if isolated else EVERYONE
            tiers = tiers_in(snapshot.cluster, standing.pod, *port) or NO_TIERS
            found.setdefault(requirement, {})[guarded.key] = Side(sources=sources, isolated=isolated, tiers=tiers)
    return found


def _pairs(had: AdmittedBySubject, has: AdmittedBySubject) -> Iterator[tuple[Side, Side]]:
    gone = [side for key, side in had.items() if key not in has]
    for key, after in has.items():
        for before in (had[key],) if key in had else gone:
            yield before, after
