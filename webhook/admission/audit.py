"""
Say which requirements hold now, whatever change brought it about.

Admission sees single changes, and not those of pods and namespaces; this looks at the whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from webhook.admission.options import Options
from webhook.admission.scope import demand_of, universe_of
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Requirement, SourcesDemand
from webhook.eem.view import EemNamespace
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.loss import lost_from_anywhere, lost_from_some
from webhook.netpol.sources.source_set import EVERYONE
from webhook.netpol.sources.universe import Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementState:
    """Whether one requirement holds for every subject; what is not decided counts as holding."""

    requirement: Requirement
    met: bool


def audit(snapshot: EemSnapshot, options: Options) -> Iterator[RequirementState]:
    """Give the state of every requirement of every instance and operator that is not exempt."""
    universe = universe_of(snapshot, options)
    for namespace in sorted(snapshot.eem):
        view = snapshot.eem[namespace]
        unmet = _unmet(view, demand_of(namespace, snapshot, options), universe)
        for requirement in view.requirements("anywhere"):
            yield RequirementState(requirement=requirement, met=requirement not in unmet)


def _unmet(view: EemNamespace, demand: SourcesDemand, universe: Universe) -> set[Requirement]:
    found: set[Requirement] = set()
    effort = StepBudget()
    for guarded in view.guarded:
        for requirement in guarded.needs:
            standing = view.standings[guarded.key]
            port = standing.ports[requirement.protocol, requirement.port]
            admitted = port.total if len(standing.isolating) else EVERYONE
            some = "some" in {requirement.sources, demand}
            loss = (lost_from_some if some else lost_from_anywhere)(EVERYONE, admitted, universe, effort)
            if loss is not None and loss.decided:
                found.add(requirement)
    return found
