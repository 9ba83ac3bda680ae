"""Assemble what every service has, wherever its cluster comes from: judges, checks, metrics, ports."""

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from webhook.admission import Options, mutate, validate
from webhook.admission.audit import audit
from webhook.cluster.store import KindStatus, Store
from webhook.guard.judging import InstanceJudge, PolicyJudge
from webhook.guard.outcomes import Judge
from webhook.main.service import Service
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


def judges_of(store: Store, policies: PolicyJudge, options: Callable[[], Options]) -> Mapping[str, Judge]:
    """Give who judges each path."""
    return {
        VALIDATE_NETWORK_POLICY: policies,
        VALIDATE_EEM: InstanceJudge(store, options, validate),
        MUTATE_EEM: InstanceJudge(store, options, mutate),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Looks:
    """
    What /readyz looks at besides the certificate and the caches, by name; both may still grow.

    Args:
        checks: must be well for this replica to be ready.
        notes: what people should know, and what makes nobody less ready.
    """

    checks: dict[str, Check] = field(default_factory=dict)
    notes: dict[str, Check] = field(default_factory=dict)


def assemble(settings: Settings, store: Store, judges: Mapping[str, Judge], looks: Looks) -> Service:
    """Make the service around a store and its judges."""
    metrics = Metrics(version=VERSION)
    serving = Serving(metrics=metrics, limits=Limits(drain_seconds=settings.drain_seconds))
    certificate = CertificateSource(
        metrics=metrics,
        directory=settings.tls_dir,
        minimum_version=ssl.TLSVersion.TLSv1_2 if settings.tls_min_version == "1.2" else ssl.TLSVersion.TLSv1_3,
    )
    _show_cache(store, metrics)
    metrics.registry.register(RequirementCollector(audit=lambda: audit(store.snapshot, settings.options())))
    looks.checks.update(certificate=certificate.problem, **_cache_checks(store, settings.stale_seconds))
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
            app=make_health_app(looks.checks, serving, looks.notes),
            host=settings.bind,
            port=settings.http_port,
            flag="--http-port",
        ),
    )
    return Service(store=store, certificate=certificate, servers=servers, metrics=metrics)


def _cache_checks(store: Store, stale_seconds: float) -> dict[str, Check]:
    """Give one check for each kind: ready means that everything is known that a verdict rests on, and not long ago."""

    def check(kind: str) -> Check:
        return lambda: store.not_ready(kind, stale_seconds)

    return {f"cache-{status.resource.plural}": check(kind) for kind, status in store.status.items()}


def _show_cache(store: Store, metrics: Metrics) -> None:
    def show(status: KindStatus) -> None:
        plural = status.resource.plural
        metrics.cache_synced.labels(plural).set_function(lambda: float(status.synced))
        metrics.cache_objects.labels(plural).set_function(lambda: float(status.objects))
        kind = status.resource.kind
        metrics.cache_checksum.labels(plural).set_function(lambda: float(store.checksum(kind)))
        metrics.cache_staleness.labels(plural).set_function(lambda: store.staleness_seconds(kind))
        metrics.cache_last_event.labels(plural).set_function(lambda: status.last_event_timestamp_seconds)

    for status in store.status.values():
        show(status)
