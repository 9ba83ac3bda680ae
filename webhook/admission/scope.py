"""What holds in one namespace: its mode, whom requirements demand there, and who could want to connect."""

from typing import cast

from webhook.admission.options import DEMANDS, MODES, Mode, Options, pod_ranges
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import SourcesDemand
from webhook.netpol.sources.universe import Universe

MODE_ANNOTATION = "eem-guardrail.io/mode"
SOURCES_ANNOTATION = "eem-guardrail.io/sources"


def mode_of(namespace: str, snapshot: EemSnapshot, options: Options) -> Mode:
    """Give the namespace's own mode, else the service's; an annotation that is no mode counts as not set."""
    written = snapshot.namespace(namespace).annotations.get(MODE_ANNOTATION)
    return cast("Mode", written) if written in MODES else options.mode


def demand_of(namespace: str, snapshot: EemSnapshot, options: Options) -> SourcesDemand:
    """Give whom manager and gateway requirements demand: what the namespace says, else what the service says."""
    written = snapshot.namespace(namespace).annotations.get(SOURCES_ANNOTATION)
    return cast("SourcesDemand", written) if written in DEMANDS else options.sources


def universe_of(snapshot: EemSnapshot, options: Options) -> Universe:
    """Give all sources that "from anywhere" speaks of in this cluster."""
    families = options.ip_families or snapshot.cluster.pod_addresses.families()
    ranges = pod_ranges(options.pod_cidrs)
    if ranges is not None and not any(ranges[family] for family in families):
        ranges = None  # ranges of a family that is not in use say nothing about where the pods are
    return Universe(
        families=families,
        pod_ranges=ranges,
        pod_addresses=snapshot.cluster.pod_addresses,
        ipblock_matches_pods=options.ipblock_matches_pods,
    )
