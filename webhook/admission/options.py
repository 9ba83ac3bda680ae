"""
The settings of decisions, for the whole service and for one namespace.

The composition root makes the options from flags and environment; a namespace may have annotations.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, cast, get_args

from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import SourcesDemand
from webhook.eem.paths import ServiceTranslation
from webhook.eem.rules import Platform, ProductVersion, RuleSetting
from webhook.netpol.intervals import Intervals
from webhook.netpol.reading import shown
from webhook.netpol.snapshot import Plugin, enforces_calico
from webhook.netpol.sources.universe import IPBlockMatchesPods, Universe, pod_ranges_of

Mode = Literal["enforce", "warn", "audit"]
"""Refuse; allow and warn the user; allow and only annotate the audit log."""

MODES: frozenset[str] = frozenset(get_args(Mode))
DEMANDS: frozenset[str] = frozenset(get_args(SourcesDemand))

EgressMode = Literal["off", "warn", "enforce"]
"""Leave egress unjudged; warn of a change that cuts egress which EEM needs; refuse it where the mode enforces."""

EGRESS_MODES: frozenset[str] = frozenset(get_args(EgressMode))


MODE_ANNOTATION = "eem-guardrail.io/mode"
SOURCES_ANNOTATION = "eem-guardrail.io/sources"
EGRESS_ANNOTATION = "eem-guardrail.io/egress"

ANNOTATIONS: Mapping[str, tuple[str, ...]] = {
    MODE_ANNOTATION: get_args(Mode),
    SOURCES_ANNOTATION: get_args(SourcesDemand),
    EGRESS_ANNOTATION: get_args(EgressMode),
}
"""The annotations by which a namespace sets what holds for it, with their values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """
    The settings of decisions.

    Args:
        mode: for namespaces without an annotation of their own.
        strict: an undecided loss counts as a loss.
        sources: what manager and gateway requirements demand, for namespaces without an annotation of their own.
        egress: what happens to a change that cuts egress, for namespaces without an annotation of their own.
        service_translation: when the network plugin translates the address of a Service.
        plugin: the network plugin; auto: as the DaemonSets of the cluster show it.
        ipblock_matches_pods: whether an ipBlock admits pods on this cluster's network plugin.
        pod_cidrs: the cluster's pod ranges; empty if they are not configured.
        ip_families: the address families in use, 4 and 6; None to derive them from the pods' addresses.
        operator_service_account: `namespace/name`; None for those that the definitions of EEM's kinds tell of.
        installed_version: the version of the installed definitions of the EEM resources; None if it is not known.
        eem_version: the version whose rules apply if the cluster does not show one.
        platform: kubernetes or openshift; None if it is not known.
        severities: the configured severities of single rules, by rule id.
        defaults: fill in documented defaults when an instance is created.
        storage_classes_known: the snapshot has every StorageClass of the cluster.
        offline: objects come from files, so no API server has dropped unknown fields.
    """

    mode: Mode = "enforce"
    strict: bool = False
    sources: SourcesDemand = "anywhere"
    egress: EgressMode = "warn"
    service_translation: ServiceTranslation = "unknown"
    plugin: Plugin = "auto"
    ipblock_matches_pods: IPBlockMatchesPods = "unknown"
    pod_cidrs: tuple[str, ...] = ()
    ip_families: tuple[int, ...] | None = None
    operator_service_account: str | None = None
    installed_version: ProductVersion | None = None
    eem_version: ProductVersion | None = None
    platform: Platform | None = None
    severities: Mapping[str, RuleSetting] = field(default_factory=dict)
    defaults: bool = True
    storage_classes_known: bool = False
    offline: bool = False

    def refuses(self, *, decided: bool) -> bool:
        """Whether a loss is a reason to refuse: a certain one, with `strict` also one that is only possible."""
        return decided or self.strict


def mode_of(namespace: str, snapshot: EemSnapshot, options: Options) -> Mode:
    """Return the namespace's mode, else the service's; an annotation with an unknown value is ignored."""
    written = snapshot.namespace(namespace).annotations.get(MODE_ANNOTATION)
    return cast("Mode", written) if written in MODES else options.mode


def egress_of(namespace: str, snapshot: EemSnapshot, options: Options) -> EgressMode:
    """Return what happens to a change that cuts egress: the namespace's setting, else the service's."""
    written = snapshot.namespace(namespace).annotations.get(EGRESS_ANNOTATION)
    return cast("EgressMode", written) if written in EGRESS_MODES else options.egress


def is_egress_judged(snapshot: EemSnapshot, options: Options) -> bool:
    """Whether egress is judged in any namespace with EEM."""
    return any(egress_of(name, snapshot, options) != "off" for name in snapshot.eem)


def demand_of(namespace: str, snapshot: EemSnapshot, options: Options) -> SourcesDemand:
    """Return the sources that manager and gateway requirements demand: the namespace's setting, else the service's."""
    written = snapshot.namespace(namespace).annotations.get(SOURCES_ANNOTATION)
    return cast("SourcesDemand", written) if written in DEMANDS else options.sources


def unknown_values(annotations: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Return each annotation of a namespace whose value is unknown, and what is wrong with it."""
    for key, known in ANNOTATIONS.items():
        value = annotations.get(key)
        if isinstance(value, str) and value not in known:
            use = f"{', '.join(known[:-1])} or {known[-1]}"
            yield key, f'"{shown(value)}" is unknown and has no effect: use {use}'


def unknown_annotations(namespace: str, snapshot: EemSnapshot) -> tuple[str, ...]:
    """Return the annotations of a namespace whose values are not known, `key=value`: the service's settings count."""
    written = snapshot.namespace(namespace).annotations
    return tuple(f"{key}={written[key]}" for key, _ in unknown_values(written))


def universe_of(snapshot: EemSnapshot, options: Options) -> Universe:
    """Return all sources that "from anywhere" includes in this cluster."""
    families = options.ip_families or snapshot.cluster.pod_addresses.families()
    ranges = pod_ranges(options.pod_cidrs)
    if ranges is not None and not any(ranges[family] for family in families):
        ranges = None  # ranges of a family that is not in use do not contain the pods' addresses
    calico = enforces_calico(snapshot.cluster, options.plugin)
    matches_pods = options.ipblock_matches_pods
    return Universe(
        families=families,
        pod_ranges=ranges,
        pod_addresses=snapshot.cluster.pod_addresses,
        ipblock_matches_pods="yes" if calico == "yes" and matches_pods == "unknown" else matches_pods,
        calico=calico,
        labels_of=snapshot.cluster.labels_of,
    )


@lru_cache(maxsize=8)
def pod_ranges(cidrs: tuple[str, ...]) -> Mapping[int, Intervals] | None:
    """Parse the pod ranges, once for each setting."""
    return pod_ranges_of(cidrs)
