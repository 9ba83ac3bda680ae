"""Construct the parts that every service has, whatever its state comes from: judges, checks, metrics and ports."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from certs.authority import issue_serving_pair, make_authority
from webhook.admission import Options, default, validate
from webhook.admission.audit import unknown_annotations_of
from webhook.cluster.client import ApiClient
from webhook.cluster.sink import KindStatus
from webhook.cluster.store import Store
from webhook.cluster.timing import TimeSlice
from webhook.eem.policy_kinds import NAME_OF
from webhook.guard.auditing import Auditor, AuditTiming
from webhook.guard.judging import InstanceJudge, PolicyJudge
from webhook.guard.judging_tiers import ClusterPolicyJudge
from webhook.guard.outcomes import Judge
from webhook.guard.reporting import LiveReport
from webhook.main.service import Service, Work
from webhook.server import (
    LOOPBACK,
    MUTATE_EEM,
    VALIDATE_CLUSTER_POLICY,
    VALIDATE_EEM,
    VALIDATE_NETWORK_POLICY,
    WEBHOOKS,
    CertificateSource,
    Check,
    Limits,
    Metrics,
    ServedPort,
    Servers,
    Serving,
    make_app,
    make_health_app,
    make_local_app,
)
from webhook.server.collectors import NeedCollector, RequirementCollector
from webhook.settings import Settings
from webhook.version import VERSION

_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_NO_CHECKS: Final[Mapping[str, Check]] = MappingProxyType({})


def judges_of(store: Store, policies: PolicyJudge, options: Callable[[], Options]) -> Mapping[str, Judge]:
    """Return the judge of each path."""
    return {
        VALIDATE_NETWORK_POLICY: policies,
        VALIDATE_CLUSTER_POLICY: ClusterPolicyJudge(store, options, policies),
        VALIDATE_EEM: InstanceJudge(store, options, validate),
        MUTATE_EEM: InstanceJudge(store, options, default),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Foundation:
    """The parts that the rest of a service is built on."""

    settings: Settings
    store: Store
    metrics: Metrics
    certificate: CertificateSource
    auditor: Auditor


def make_foundation(settings: Settings, store: Store) -> Foundation:
    """Return the metrics, the certificate source and the audit of a service."""
    metrics = Metrics(version=VERSION, webhooks=WEBHOOKS.values())
    certificate = CertificateSource(
        metrics=metrics,
        directory=settings.tls_dir,
        minimum_version=ssl.TLSVersion.TLSv1_2 if settings.tls_min_version == "1.2" else ssl.TLSVersion.TLSv1_3,
    )
    auditor = Auditor(
        store,
        settings.options(),
        AuditTiming(breathe=TimeSlice().check),
        observe=metrics.audit.duration.observe,
    )
    return Foundation(settings=settings, store=store, metrics=metrics, certificate=certificate, auditor=auditor)


async def load_certificate(foundation: Foundation) -> tuple[Work, ...]:
    """Load the pair from its folder, or make one in memory; return the work that keeps it up to date."""
    certificate = foundation.certificate
    if foundation.settings.tls_dir is None:
        install_pair_in_memory(certificate)
        return ()
    await certificate.reload()
    return (certificate.watch,)


def install_pair_in_memory(certificate: CertificateSource) -> None:
    """Make a serving pair for the loopback names that never leaves this process."""
    now = datetime.now(UTC)
    authority = make_authority(now=now)
    pair = issue_serving_pair(authority, names=_LOOPBACK_NAMES, now=now)
    certificate.install(pair.certificate_pem(), pair.key_pem(), authority.certificate_pem())


def make_service(  # noqa: PLR0913 - the parts that differ from one kind of service to another
    foundation: Foundation,
    judges: Mapping[str, Judge],
    *,
    background: Sequence[Work] = (),
    checks: Mapping[str, Check] = _NO_CHECKS,
    notes: Mapping[str, Check] = _NO_CHECKS,
    client: ApiClient | None = None,
) -> Service:
    """
    Return the service around a store and its judges.

    Args:
        checks: what must be well for this replica to be ready, besides the certificate and the caches.
        notes: what `/readyz?verbose` shows and readiness does not depend on.
        client: is closed when the service ends.
    """
    settings, store, metrics = foundation.settings, foundation.store, foundation.metrics
    certificate = foundation.certificate
    serving = Serving(metrics=metrics, limits=Limits(drain_seconds=settings.drain_seconds))
    _show_cache(store, metrics)
    metrics.audit.unread_policy_kinds.set_function(lambda: float(len(store.snapshot.policy_kinds().unread)))
    auditor = foundation.auditor
    metrics.registry.register(RequirementCollector(audit=auditor.states))
    metrics.registry.register(NeedCollector(audit=auditor.need_states))
    metrics.audit.unknown_annotations.set_function(lambda: float(len(unknown_annotations_of(auditor.audit))))
    live = LiveReport(auditor, settings.options(), _render, is_complete=lambda: store.has_synced)
    every_check = {**checks, "certificate": certificate.problem, **_cache_checks(store, settings.stale_seconds)}
    servers = Servers(
        serving,
        https=ServedPort(
            app=make_app(judges, serving),
            host=settings.bind,
            port=settings.https_port,
            tls=certificate.context,
            flag="--https-port",
        ),
        http=ServedPort(
            app=make_health_app(every_check, serving, {"policy-kinds": lambda: _unread(store), **notes}),
            host=settings.bind,
            port=settings.http_port,
            flag="--http-port",
        ),
        local=ServedPort(
            app=make_local_app(auditor.shown, live, serving),
            host=LOOPBACK,
            port=settings.local_port,
            flag="--local-port",
        ),
    )
    every_work = (auditor.run, *background)
    return Service(store=store, certificate=certificate, servers=servers, background=every_work, client=client)


def _render(found: Mapping[str, Any], at: str) -> bytes:
    from webhook.report_page.page import report_page  # noqa: PLC0415  reviews need no template engine

    return report_page(found, at=at, live=True).encode()


def _unread(store: Store) -> str | None:
    """Return the names of the policy kinds that are not read; None if there are none."""
    names = []
    for known in store.snapshot.policy_kinds().unread:
        status = store.status.get(NAME_OF.get(known, ""))
        names.append(f"{known.name} ({status.problem})" if status is not None and status.problem else known.name)
    return f"not read, and may override a verdict: {', '.join(names)}" if names else None


def _cache_checks(store: Store, stale_seconds: float) -> dict[str, Check]:
    """Return one check for each kind: a verdict needs all of them, and none may be stale."""

    def check(kind: str) -> Check:
        return lambda: store.not_ready(kind, stale_seconds)

    return {f"cache-{status.resource.cache_name}": check(kind) for kind, status in store.status.items()}


def _show_cache(store: Store, metrics: Metrics) -> None:
    def show(status: KindStatus) -> None:
        plural = status.resource.cache_name
        metrics.cache.synced.labels(plural).set_function(lambda: float(status.synced))
        metrics.cache.objects.labels(plural).set_function(lambda: float(status.objects))
        metrics.cache.version_unknown.labels(plural).set_function(lambda: float(bool(status.note)))
        kind = status.resource.kind
        metrics.cache.checksum.labels(plural).set_function(lambda: float(store.checksum(kind)))
        metrics.cache.staleness.labels(plural).set_function(lambda: store.staleness_seconds(kind))
        metrics.cache.last_event.labels(plural).set_function(lambda: status.last_event_timestamp_seconds)

    for status in store.status.values():
        show(status)
