"""Construct the parts that every service has, whatever its state comes from: judges, checks, metrics and ports."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Final

from certs.authority import issue_serving_pair, make_authority
from webhook.admission import Options, default, validate
from webhook.admission.audit import audit
from webhook.cluster.client import ApiClient
from webhook.cluster.sink import KindStatus
from webhook.cluster.store import Store
from webhook.guard.judging import InstanceJudge, PolicyJudge
from webhook.guard.outcomes import Judge
from webhook.main.service import Service, Work
from webhook.server import (
    MUTATE_EEM,
    VALIDATE_EEM,
    VALIDATE_NETWORK_POLICY,
    CertificateSource,
    Check,
    Limits,
    Metrics,
    ServedPort,
    Servers,
    Serving,
    make_app,
    make_health_app,
)
from webhook.server.collectors import RequirementCollector
from webhook.settings import Settings
from webhook.version import VERSION

_LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
_NO_CHECKS: Final[Mapping[str, Check]] = MappingProxyType({})


def judges_of(store: Store, policies: PolicyJudge, options: Callable[[], Options]) -> Mapping[str, Judge]:
    """Return the judge of each path."""
    return {
        VALIDATE_NETWORK_POLICY: policies,
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


def make_foundation(settings: Settings, store: Store) -> Foundation:
    """Return the metrics and the certificate source of a service."""
    metrics = Metrics(version=VERSION)
    certificate = CertificateSource(
        metrics=metrics,
        directory=settings.tls_dir,
        minimum_version=ssl.TLSVersion.TLSv1_2 if settings.tls_min_version == "1.2" else ssl.TLSVersion.TLSv1_3,
    )
    return Foundation(settings=settings, store=store, metrics=metrics, certificate=certificate)


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
    metrics.registry.register(RequirementCollector(audit=lambda: audit(store.snapshot, settings.options())))
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
            app=make_health_app(every_check, serving, notes),
            host=settings.bind,
            port=settings.http_port,
            flag="--http-port",
        ),
    )
    return Service(store=store, certificate=certificate, servers=servers, background=tuple(background), client=client)


def _cache_checks(store: Store, stale_seconds: float) -> dict[str, Check]:
    """Return one check for each kind: a verdict needs all of them, and none may be stale."""

    def check(kind: str) -> Check:
        return lambda: store.not_ready(kind, stale_seconds)

    return {f"cache-{status.resource.plural}": check(kind) for kind, status in store.status.items()}


def _show_cache(store: Store, metrics: Metrics) -> None:
    def show(status: KindStatus) -> None:
        plural = status.resource.plural
        metrics.cache_synced.labels(plural).set_function(lambda: float(status.synced))
        metrics.cache_objects.labels(plural).set_function(lambda: float(status.objects))
        metrics.cache_version_unknown.labels(plural).set_function(lambda: float(bool(status.note)))
        kind = status.resource.kind
        metrics.cache_checksum.labels(plural).set_function(lambda: float(store.checksum(kind)))
        metrics.cache_staleness.labels(plural).set_function(lambda: store.staleness_seconds(kind))
        metrics.cache_last_event.labels(plural).set_function(lambda: status.last_event_timestamp_seconds)

    for status in store.status.values():
        show(status)
