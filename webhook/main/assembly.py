"""Assemble what every service has, wherever its cluster comes from: judges, checks, metrics, ports."""

import ssl
from collections.abc import Callable, Mapping

from webhook.admission import Options, mutate, validate
from webhook.admission.audit import audit
from webhook.cluster import KindStatus, Store
from webhook.main.service import Service
from webhook.server import (
    MUTATE_EEM,
    VALIDATE_EEM,
    VALIDATE_NETWORK_POLICY,
    CertificateSource,
    Check,
    Endpoint,
    Judge,
    Limits,
    Metrics,
    Servers,
    Serving,
    make_app,
    make_health_app,
)
from webhook.server.judging import InstanceJudge, PolicyJudge
from webhook.server.requirements import RequirementCollector
from webhook.settings import Settings
from webhook.version import VERSION


def judges_of(store: Store, policies: PolicyJudge, options: Callable[[], Options]) -> Mapping[str, Judge]:
    """Give who judges each path."""
    return {
        VALIDATE_NETWORK_POLICY: policies,
        VALIDATE_EEM: InstanceJudge(store, options, validate),
        MUTATE_EEM: InstanceJudge(store, options, mutate),
    }


def assemble(settings: Settings, store: Store, judges: Mapping[str, Judge], checks: dict[str, Check]) -> Service:
    """
    Make the service around a store and its judges.

    Args:
        checks: what must be well besides the certificate and the caches for this replica to be ready, by name.
    """
    metrics = Metrics(version=VERSION)
    serving = Serving(metrics=metrics, limits=Limits(drain_seconds=settings.drain_seconds))
    certificate = CertificateSource(
        metrics=metrics,
        directory=settings.tls_dir,
        minimum_version=ssl.TLSVersion.TLSv1_2 if settings.tls_min_version == "1.2" else ssl.TLSVersion.TLSv1_3,
    )
    _show_cache(store, metrics)
    metrics.registry.register(RequirementCollector(audit=lambda: audit(store.snapshot, settings.options())))
    known: dict[str, Check] = {"certificate": certificate.problem, **_cache_checks(store), **checks}
    servers = Servers(
        serving,
        https=Endpoint(
            app=make_app(judges, serving),
            host=settings.bind,
            port=settings.https_port,
            tls=certificate.context,
        ),
        http=Endpoint(app=make_health_app(known, serving), host=settings.bind, port=settings.http_port),
    )
    return Service(store=store, certificate=certificate, servers=servers)


def _cache_checks(store: Store) -> dict[str, Check]:
    """Give one check for each kind: ready means that everything is known that a verdict rests on."""

    def check(kind: str) -> Check:
        status = store.status[kind]
        return lambda: None if status.synced else status.problem or "not listed yet"

    return {f"cache-{status.resource.plural}": check(kind) for kind, status in store.status.items()}


def _show_cache(store: Store, metrics: Metrics) -> None:
    def show(status: KindStatus) -> None:
        plural = status.resource.plural
        metrics.cache_synced.labels(plural).set_function(lambda: float(status.synced))
        metrics.cache_objects.labels(plural).set_function(lambda: float(status.objects))
        metrics.cache_last_event.labels(plural).set_function(lambda: status.last_event_timestamp_seconds)

    for status in store.status.values():
        show(status)
