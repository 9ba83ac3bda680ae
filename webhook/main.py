"""
Put the service together: settings, then what the cluster says, then who judges, then the ports.

This is the only place that constructs; whatever it makes is handed what it needs.
"""

import asyncio
import logging
import os
import ssl
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from certs.authority import issue_serving_pair, make_authority
from webhook.admission import Options, mutate, validate
from webhook.admission.audit import audit
from webhook.cluster import (
    ApiClient,
    CredentialSource,
    KindStatus,
    Kubeconfig,
    Reflector,
    ServiceAccount,
    Store,
    read_all,
)
from webhook.cluster.file_state import FileState
from webhook.cluster.surroundings import Surroundings, Survey
from webhook.collecting import Lists
from webhook.eem import WATCHED, EemSnapshot
from webhook.eem.resources import NETWORK_POLICIES
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
    StopSignals,
    make_app,
    make_health_app,
    stop_signals,
)
from webhook.server.judging import InstanceJudge, PolicyJudge
from webhook.server.requirements import RequirementCollector
from webhook.settings import Settings
from webhook.version import VERSION

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
FAILED = 1

log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Service:
    """
    The service before it runs.

    Args:
        store: what is known of the cluster.
        certificate: the serving pair.
        servers: the ports.
        background: what keeps the store and the pair up to date; none of it ever ends by itself.
        client: the connection to the API server, where there is one.
    """

    store: Store
    certificate: CertificateSource
    servers: Servers
    background: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    client: ApiClient | None = None

    async def run(self) -> int:
        """
        Serve until a signal ends it, and give the exit status; 1 where something that must not end did.

        Raises:
            OSError: an address cannot be had.
        """
        with stop_signals() as told:
            await self.servers.start()
            return await self.run_until(told)

    async def run_until(self, told: StopSignals) -> int:
        """Serve, with the ports open already, until *told*."""
        serving = asyncio.create_task(self.servers.serve_until_told(told))
        tasks = [asyncio.create_task(work()) for work in self.background]
        try:
            await asyncio.wait((serving, *tasks), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            for ended in (task for task in tasks if task.done()):
                log.critical("a part of the service ended, so the service does", exc_info=ended.exception())
            return FAILED
        finally:
            for task in (serving, *tasks):
                task.cancel()
            await asyncio.gather(serving, *tasks, return_exceptions=True)
            await self.servers.stop()
            if self.client is not None:
                await self.client.close()


async def from_cluster(settings: Settings) -> Service:
    """
    Make the service that watches an API server.

    Raises:
        CredentialsError: there is no API server to ask, or nothing to ask it with.
    """
    client = ApiClient(credentials(settings))
    store = Store()

    async def live(namespace: str) -> Iterable[Mapping[str, Any]]:
        return await read_all(client, NETWORK_POLICIES, namespace=namespace)

    options = replace(settings.options(), storage_classes_known=True)
    found = Surroundings(platform=options.platform)

    def now() -> Options:
        return replace(options, platform=found.platform, installed_version=found.version)

    judges = _judges(store, PolicyJudge(store, options, live), now)
    service = _assemble(settings, store, judges, {})
    service.client = client
    service.background.append(Lists(store).keep_aside)
    service.background.append(Survey(client, found).run)
    service.background.extend(Reflector(resource, client, store).run for resource in WATCHED)
    await _load_certificate(service, settings)
    return service


async def from_files(settings: Settings, paths: Sequence[str]) -> Service:
    """
    Make the service that takes files for the cluster.

    Raises:
        FilesError: the files cannot be understood.
    """
    store = Store()
    state = FileState(paths, store, sys.stdin.buffer)
    found = await state.load()
    log.info("state read", extra={"fields": {"objects": len(found.objects), "skipped": sum(found.skipped.values())}})
    options = settings.options()
    judges = _judges(store, PolicyJudge(store, options), lambda: options)
    service = _assemble(settings, store, judges, {"files": lambda: state.problem or None})
    service.background.append(state.run)
    service.background.append(Lists(store).keep_aside)
    await _load_certificate(service, settings)
    return service


def from_objects(settings: Settings, objects: Iterable[Mapping[str, Any]]) -> Service:
    """
    Make the service that takes objects at hand for the cluster, with a pair of its own.

    Raises:
        SpecError: the objects cannot be understood.
    """
    store = Store()
    store.reset(EemSnapshot.from_objects(objects))
    options = settings.options()
    service = _assemble(settings, store, _judges(store, PolicyJudge(store, options), lambda: options), {})
    _install_own_pair(service)
    return service


def credentials(settings: Settings) -> CredentialSource:
    """
    Give what proves who we are: a kubeconfig where one is named, else the pod's service account.

    Raises:
        CredentialsError: neither is there.
    """
    if settings.kubeconfig is not None or settings.context is not None:
        return Kubeconfig(settings.kubeconfig, settings.context)
    return ServiceAccount.from_environment(os.environ, settings.service_account_dir)


def _judges(store: Store, policies: PolicyJudge, options: Callable[[], Options]) -> Mapping[str, Judge]:
    """Give who judges each path."""
    return {
        VALIDATE_NETWORK_POLICY: policies,
        VALIDATE_EEM: InstanceJudge(store, options, validate),
        MUTATE_EEM: InstanceJudge(store, options, mutate),
    }


def _assemble(settings: Settings, store: Store, judges: Mapping[str, Judge], checks: dict[str, Check]) -> Service:
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


async def _load_certificate(service: Service, settings: Settings) -> None:
    """Take the pair from its folder and keep watching it, or make one that lives as long as the process."""
    if settings.tls_dir is not None:
        await service.certificate.reload()
        service.background.append(service.certificate.watch)
        return
    _install_own_pair(service)


def _install_own_pair(service: Service) -> None:
    """Serve with a pair that is made now and never leaves this process."""
    now = datetime.now(UTC)
    authority = make_authority(now=now)
    pair = issue_serving_pair(authority, names=LOOPBACK_NAMES, now=now)
    service.certificate.install(pair.certificate_pem(), pair.key_pem(), authority.certificate_pem())
