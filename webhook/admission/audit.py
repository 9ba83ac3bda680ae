"""
Evaluate every requirement on the state of the cluster.

Admission sees single changes of policies and instances, and no changes of pods and namespaces; the audit sees the
result of all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from webhook.admission.options import Options, demand_of, universe_of
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Requirement, SourcesDemand
from webhook.eem.view import EemNamespace
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.loss import lost_from_anywhere, lost_from_some
from webhook.netpol.sources.source_set import EVERYONE
from webhook.netpol.sources.universe import Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementState:
    """Whether one requirement holds for every subject; an undecided one counts as met."""

    requirement: Requirement
    met: bool


def audit(snapshot: EemSnapshot, options: Options) -> Iterator[RequirementState]:
    """Yield the state of every requirement of every instance and operator that is not exempt."""
    universe = universe_of(snapshot, options)
    for namespace in sorted(snapshot.eem):
        view = snapshot.eem[namespace]
        unmet = _unmet(view, demand_of(namespace, snapshot, options), universe)
        for requirement in view.requirements("anywhere"):
            yield RequirementState(requirement=requirement, met=requirement not in unmet)


def _unmet(view: EemNamespace, demand: SourcesDemand, universe: Universe) -> set[Requirement]:
    found: set[Requirement] = set()
    answers = Answers()
    for guarded in view.guarded:
        for requirement in guarded.needs:
            standing = view.standings[guarded.key]
            port = standing.ports[requirement.protocol, requirement.port]
            admitted = port.total if len(standing.isolating) else EVERYONE
            some = "some" in {requirement.sources, demand}
            loss = (lost_from_some if some else lost_from_anywhere)(EVERYONE, admitted, universe, answers)
            if loss is not None and loss.decided:
                found.add(requirement)
    return found
