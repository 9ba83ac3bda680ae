"""
Warn about required ingress of a created or changed instance that the policies of its namespace do not allow.

Nothing here refuses: other users own the policies, and the operator may create its own ones next. A user who creates
an instance in a namespace that isolates its pods, or who turns `deployNetworkPolicies` off, learns which port of which
pods is closed and which policies isolate them.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from webhook.admission.options import Options, demand_of, universe_of
from webhook.admission.refusal import denied_by, short_name
from webhook.admission.review import AdmissionRequest
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Instance, SourcesDemand, read_instance
from webhook.eem.resources import EEM_GROUP
from webhook.eem.standing import Port, Standing, standing_of
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.reading import Faults
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.sides import NO_TIERS, Side
from webhook.netpol.sources.source_set import EVERYONE
from webhook.netpol.sources.tier_loss import is_broken, tiers_in
from webhook.netpol.sources.universe import Universe

GIVEN_AWAY = "will need a policy that you write"
TAKEN_BACK = "is closed until the operator acts"
MOVED = "is closed unless policies change"


def impact(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> tuple[str, ...]:
    """Return one sentence for each port of each set of pods that will be closed."""
    new = _instance(request.object, request.namespace)
    old = _instance(request.old_object, request.namespace) if request.operation == "UPDATE" else None
    if new is None or new.terminating:
        return ()
    if old is None:
        # The operator makes the policy of an instance that is not exempt.
        return () if new.deploy_network_policies else tuple(_unmet(new, snapshot, options, GIVEN_AWAY, frozenset()))
    if old.deploy_network_policies and not new.deploy_network_policies:
        return tuple(_unmet(new, snapshot, options, GIVEN_AWAY, _owned(new, snapshot)))
    if not old.deploy_network_policies and new.deploy_network_policies:
        return tuple(_unmet(new, snapshot, options, TAKEN_BACK, frozenset()))
    if old.requirements("anywhere") != new.requirements("anywhere"):
        return tuple(_unmet(new, snapshot, options, MOVED, frozenset()))
    return ()


def _instance(api_object: Mapping[str, Any] | None, namespace: str) -> Instance | None:
    instance = read_instance(api_object or {}, Faults())
    return None if instance is None else replace(instance, namespace=namespace)


def _owned(instance: Instance, snapshot: EemSnapshot) -> frozenset[str]:
    """Return the names of the policies that the operator made for an instance: it deletes them with its switch."""
    return frozenset(
        policy.name
        for policy in snapshot.cluster.state(instance.namespace).policies.values()
        if any(
            (owner.group, owner.kind, owner.name) == (EEM_GROUP, instance.kind, instance.name)
            for owner in policy.owners
        )
    )


def _unmet(
    instance: Instance, snapshot: EemSnapshot, options: Options, state: str, gone: frozenset[str]
) -> Iterator[str]:
    """Yield a sentence for each requirement that does not hold without the policies in *gone*."""
    demanding = replace(instance, deploy_network_policies=True)
    known = snapshot.cluster.state(instance.namespace).policies
    policies = [policy for name, policy in known.items() if name not in gone]
    demand, universe = demand_of(instance.namespace, snapshot, options), universe_of(snapshot, options)
    answers = Answers()
    for guarded in snapshot.guarded_beside(demanding):
        if guarded.subject.instance != instance.ref or not guarded.needs:
            continue
        standings = [standing_of(reading.subject.pod, guarded.ports, policies) for reading in guarded.readings]
        for port in guarded.ports:
            shut = [_shut_by(standing, port, demand, snapshot, universe, answers) for standing in standings]
            if all(shut):
                pods = guarded.subject.names[0] if guarded.subject.names else "its pods"
                yield f"{port[0]}/{port[1]} of {short_name(pods)} {state}: {shut[0]}"


def _shut_by(  # noqa: PLR0913, PLR0917  the parts of one question
    standing: Standing, port: Port, demand: SourcesDemand, snapshot: EemSnapshot, universe: Universe, answers: Answers
) -> str:
    """Return what surely closes a port of a subject; empty where it is open, or may be."""
    isolated = bool(len(standing.isolating))
    sources = standing.ports[port].total if isolated else EVERYONE
    tiers = tiers_in(snapshot.cluster, standing.pod, *port)
    side = Side(sources=sources, isolated=isolated, tiers=tiers or NO_TIERS)
    if not is_broken(side, demand, universe, answers):
        return ""
    if sources.everyone:
        return denied_by(side.denying)
    return f"isolated by {_isolating(standing.isolating.values())}"


def _isolating(policies: Iterable[NetworkPolicy]) -> str:
    names = sorted(policy.name for policy in policies)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{short_name(names[0])}{more}"
