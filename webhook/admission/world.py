"""The state in which a change is judged: the cluster as it is known, or as changes in flight may leave it."""

from dataclasses import dataclass, replace
from typing import Literal

from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Requirement, SourcesDemand
from webhook.eem.view import EemNamespace
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.universe import Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """
    The state in which a change is judged.

    Args:
        snapshot: the cluster.
        view: the namespace of the change: as the snapshot has it, or as changes in flight may leave it.
        demand: which sources the requirements of managers and gateways demand there.
        universe: all sources that may want to connect.
        answers: the answers to the questions of one verdict.
        others: what the other policies of the namespace do: as the view has them, or one of the two extremes between
            which all their states are: they are absent, or they isolate every pod and admit nothing.
        tiers: what the cluster-wide policies do: as the snapshot has them, or anything. The snapshot then has one of
            the extremes between which all their states are, for one source at a time.
    """

    snapshot: EemSnapshot
    view: EemNamespace
    demand: SourcesDemand
    universe: Universe
    answers: Answers
    others: Literal["known", "absent", "isolating"] = "known"
    tiers: Literal["known", "any"] = "known"

    def demanded(self, requirement: Requirement) -> Requirement:
        """Return a requirement with the sources that it demands in this state."""
        # Cluster-wide policies that may do anything may deny all sources but the one that is lost.
        sources = "anywhere" if self.tiers == "any" else "some" if self.demand == "some" else requirement.sources
        return requirement if sources == requirement.sources else replace(requirement, sources=sources)
