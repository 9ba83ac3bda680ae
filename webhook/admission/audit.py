"""
Say which requirements hold now, whatever change brought it about.

Admission sees single changes, and not those of pods and namespaces; this looks at the whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from webhook.admission.options import Options
from webhook.admission.scope import demand_of, universe_of
from webhook.eem.instances import Requirement
from webhook.eem.snapshot import EemSnapshot
from webhook.netpol.loss import lost_from_anywhere, lost_from_some
from webhook.netpol.sources import EVERYONE, admitted


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
        policies = snapshot.cluster.state(namespace).sorted_policies()
        for requirement in view.requirements(demand_of(namespace, snapshot, options)):
            lost = lost_from_anywhere if requirement.sources == "anywhere" else lost_from_some
            losses = (
                lost(EVERYONE, admitted(policies, subject.pod, requirement.protocol, requirement.port), universe)
                for subject in view.subjects_of(requirement)
            )
            met = not any(loss is not None and loss.decided for loss in losses)
            yield RequirementState(requirement=requirement, met=met)
