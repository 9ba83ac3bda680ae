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
from webhook.admission.review import AdmissionRequest
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Instance, read_instance
from webhook.eem.resources import EEM_GROUP
from webhook.eem.standing import standing_of
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.reading import Faults, shorten
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.loss import lost_from_anywhere, lost_from_some
from webhook.netpol.sources.source_set import EVERYONE

LONGEST_NAME = 24
"""Characters of one name within a warning of at most 120."""

# The state of a port: 33 characters at most, so that the name of the policy fits into the warning as well.
CLOSED = "will not be open"
GIVEN_AWAY = "will need a policy of your own"
TAKEN_BACK = "is closed until the operator acts"
MOVED = "is closed unless policies change"


def impact(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> tuple[str, ...]:
    """Return one sentence for each port of each set of pods that will be closed."""
    new = _instance(request.object, request.namespace)
    old = _instance(request.old_object, request.namespace) if request.operation == "UPDATE" else None
    if new is None or new.terminating:
        return ()
    if old is None:
        state = CLOSED if new.deploy_network_policies else GIVEN_AWAY
        return tuple(_unmet(new, snapshot, options, state, frozenset()))
    if old.deploy_network_policies and not new.deploy_network_policies:
        return tuple(_unmet(new, snapshot, options, GIVEN_AWAY, _owned(new, snapshot)))
    if not old.deploy_network_policies and new.deploy_network_policies:
        return tuple(_unmet(new, snapshot, options, TAKEN_BACK, frozenset()))
    if old.listener_port != new.listener_port:
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
    view = snapshot.with_instance(demanding).eem[instance.namespace]
    policies = [policy for name, policy in view.policies.items() if name not in gone]
    demand, universe = demand_of(instance.namespace, snapshot, options), universe_of(snapshot, options)
    answers = Answers()
    lost = lost_from_anywhere if demand == "anywhere" else lost_from_some
    for guarded in view.guarded:
        if guarded.subject.instance != instance.ref or not guarded.needs:
            continue
        standing = standing_of(guarded.subject.pod, guarded.ports, policies)
        for protocol, port in guarded.ports:
            admitted = standing.ports[protocol, port].total if len(standing.isolating) else EVERYONE
            loss = lost(EVERYONE, admitted, universe, answers)
            if loss is not None and loss.decided:
                by = _isolating(standing.isolating.values())
                pods = guarded.subject.names[0] if guarded.subject.names else "its pods"
                yield f"{protocol}/{port} of {shorten(pods, LONGEST_NAME)} {state}: isolated by {by}"


def _isolating(policies: Iterable[NetworkPolicy]) -> str:
    names = sorted(policy.name for policy in policies)
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{shorten(names[0], LONGEST_NAME)}{more}"
