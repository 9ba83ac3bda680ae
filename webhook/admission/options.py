"""The settings of decisions; the composition root makes them from flags and environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, get_args

from webhook.eem.instances import SourcesDemand
from webhook.eem.rules import Platform, Setting, Version
from webhook.netpol.intervals import Intervals
from webhook.netpol.universe import IPBlockMatchesPods, pod_ranges_of

Mode = Literal["enforce", "warn", "audit"]
"""Refuse; allow and warn the user; allow and only annotate the audit log."""

MODES: frozenset[str] = frozenset(get_args(Mode))
DEMANDS: frozenset[str] = frozenset(get_args(SourcesDemand))


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """
    The settings of decisions.

    Args:
        mode: for namespaces without an annotation of their own.
        strict: an undecided loss counts as a loss.
        sources: what manager and gateway requirements demand, for namespaces without an annotation of their own.
        ipblock_matches_pods: whether an ipBlock admits pods on this cluster's network plugin.
        pod_cidrs: the cluster's pod ranges; empty if they are not configured.
        ip_families: the address families in use, 4 and 6; None to derive them from the pods' addresses.
        operator_service_account: `namespace/name`; None for the one in the operator's Deployment.
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
    ipblock_matches_pods: IPBlockMatchesPods = "unknown"
    pod_cidrs: tuple[str, ...] = ()
    ip_families: tuple[int, ...] | None = None
    operator_service_account: str | None = None
    installed_version: Version | None = None
    eem_version: Version | None = None
    platform: Platform | None = None
    severities: Mapping[str, Setting] = field(default_factory=dict)
    defaults: bool = True
    storage_classes_known: bool = False
    offline: bool = False


@lru_cache(maxsize=8)
def pod_ranges(cidrs: tuple[str, ...]) -> Mapping[int, Intervals] | None:
    """Parse the pod ranges, once for each setting."""
    return pod_ranges_of(cidrs)
