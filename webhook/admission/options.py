"""What can be set about decisions; the composition root makes it from flags and environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, get_args

from webhook.eem.instances import SourcesDemand
from webhook.eem.rules import Platform, Setting, Version
from webhook.netpol.intervals import Intervals
from webhook.netpol.sources.universe import IPBlockMatchesPods, pod_ranges_of

Mode = Literal["enforce", "warn", "audit"]
"""Refuse; allow and warn whoever asked; allow and only note it."""

MODES: frozenset[str] = frozenset(get_args(Mode))
DEMANDS: frozenset[str] = frozenset(get_args(SourcesDemand))


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """
    How decisions are made.

    Args:
        mode: for namespaces whose annotation says nothing else.
        strict: what becomes undecided counts as lost.
        sources: what manager and gateway requirements demand, where the namespace's annotation says nothing else.
        ipblock_matches_pods: whether this cluster's plugin lets an ipBlock admit pods.
        pod_cidrs: the cluster's pod ranges; empty where nobody told.
        ip_families: 4 and 6 as far as in use; None: seen from the pods' addresses.
        operator_service_account: `namespace/name`; None: the one that the operator's Deployment names.
        installed_version: what the cluster's definitions of the EEM resources tell; None where nobody looked.
        eem_version: the version that the rules follow where the cluster tells none.
        platform: kubernetes or openshift; None where nobody knows.
        severities: what configuration says of single rules, by rule id.
        defaults: fill in documented defaults when an instance is made.
        storage_classes_known: the snapshot has every StorageClass, so that none means that there is none.
        offline: objects come from files: no API server has dropped unknown fields yet.
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
    """Read the pod ranges once for each setting."""
    return pod_ranges_of(cidrs)
