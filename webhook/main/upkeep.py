"""
Let the service keep what it stands on: its certificates, and its registration with the API server.

Whoever leads writes; everyone serves, and serving waits for none of this.
"""

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta

from certs.authority import service_names
from certs.dependencies import ConflictError, KeeperDependencies, StoreError
from certs.keeper import Keeper
from certs.material import Material
from certs.renewal import Lifetimes
from webhook.cluster.client import ApiClient
from webhook.cluster.observed import Observed
from webhook.cluster.probe import Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.controllers import (
    MUTATING,
    NAME,
    NAMESPACE,
    VALIDATING,
    Heartbeat,
    OwnEndpoint,
    Registrar,
    Sources,
    published,
)
from webhook.controllers.events import Recorder
from webhook.controllers.lease import Election
from webhook.controllers.secrets import SECRETS, SecretStore
from webhook.main.service import Service
from webhook.server import Check
from webhook.server.collectors import ControllerCollector, ControllerState
from webhook.settings import Settings

SECRET_NAME = "eem-guardrail-tls"  # noqa: S105  where the secret is, not what it is


@dataclass(frozen=True, kw_only=True, slots=True)
class Shared:
    """What all parts of the upkeep use."""

    service: Service
    client: ApiClient
    reach: Reachability
    election: Election
    validating: Observed
    mutating: Observed

    def watch(self, observed: Observed) -> None:
        """Keep one object up to date."""
        reflector = Reflector(observed.resource, self.client, observed, selection=observed.selection, reach=self.reach)
        self.service.background.append(reflector.run)


def keep_up(service: Service, settings: Settings, reach: Reachability) -> dict[str, Check]:
    """
    Begin what a service in a cluster keeps, and give what people should know of it, by name.

    With a folder of certificates (`--tls-dir`) those are somebody else's; with `--register off` so is the
    registration; with both there is nothing to keep.
    """
    owns_certificates = settings.tls_dir is None
    if service.client is None or not (owns_certificates or settings.register):
        return {}
    replica = os.environ.get("HOSTNAME") or socket.gethostname()
    # The token makes a name that never comes back: after a restart the Lease is another's, and that must show.
    identity = f"{replica}_{secrets.token_hex(4)}"
    shared = Shared(
        service=service,
        client=service.client,
        reach=reach,
        # A pod runs one process of ours at a time: who held the Lease under this pod's name before has ended.
        election=Election(service.client, namespace=NAMESPACE, name=NAME, identity=identity, past=f"{replica}_"),
        validating=Observed(VALIDATING, NAME),
        mutating=Observed(MUTATING, NAME),
    )
    for observed in (shared.validating, shared.mutating):
        shared.watch(observed)
    keeper = _keep_certificates(shared, settings) if owns_certificates else None
    registrar, heartbeat = _keep_registration(shared, settings, keeper, replica) if settings.register else (None, None)
    service.background.append(shared.election.run)
    service.metrics.registry.register(
        ControllerCollector(
            ControllerState(leads=lambda: shared.election.leads, registrar=registrar, heartbeat=heartbeat)
        )
    )
    notes: dict[str, Check] = {}
    if keeper is not None:
        notes["certificates"] = keeper.problem
    if registrar is not None:
        notes["registration"] = registrar.problem
    return notes


def _keep_certificates(shared: Shared, settings: Settings) -> Keeper:
    """Make the service's own certificates, in a Secret that all replicas share."""
    certificate, metrics = shared.service.certificate, shared.service.metrics
    secret = Observed(SECRETS, SECRET_NAME, namespace=NAMESPACE)

    def install(material: Material) -> None:
        certificate.take(material.leaf.certificate_pem(), material.leaf.key_pem(), material.bundle_pem)
        if material.signer is not None:
            ends = material.signer.certificate.not_valid_after_utc
            metrics.certificate_not_after.labels("authority").set(ends.timestamp())

    keeper = Keeper(
        KeeperDependencies(
            secrets=SecretStore(
                shared.client, namespace=NAMESPACE, name=SECRET_NAME, conflict=ConflictError, failure=StoreError
            ),
            published=lambda: published((shared.validating, shared.mutating)),
            leads=lambda: shared.election.leads,
            install=install,
            count_unusable=certificate.count_fault,
        ),
        namespace=NAMESPACE,
        name=SECRET_NAME,
        names=service_names(NAME, NAMESPACE),
        lifetimes=Lifetimes(
            ca=timedelta(seconds=settings.ca_seconds),
            leaf=timedelta(seconds=settings.leaf_seconds),
            propagation_seconds=settings.propagation_seconds,
        ),
    )

    def look() -> None:
        if secret.synced:
            keeper.seen(secret.current)

    secret.subscribe(look)
    for announcing in (shared.validating, shared.mutating, shared.election):
        announcing.subscribe(keeper.poke)
    shared.watch(secret)
    shared.service.background.append(keeper.run)
    return keeper


def known_namespaces(store: Store, stale_seconds: float) -> frozenset[str] | None:
    """Give where EEM runs; None where that is not known, or so old that it must not take a namespace from the guard."""
    if not store.has_synced or store.silence(stale_seconds) is not None:
        return None
    return frozenset(store.snapshot.eem)


def _keep_registration(
    shared: Shared, settings: Settings, keeper: Keeper | None, replica: str
) -> tuple[Registrar, Heartbeat]:
    """Keep both webhook configurations as they should be."""
    store = shared.service.store
    heartbeat = Heartbeat(shared.client)
    recorder = Recorder(shared.client, instance=replica)
    registrar = Registrar(
        shared.client,
        validating=shared.validating,
        mutating=shared.mutating,
        heartbeat=heartbeat,
        recorder=recorder,
        failure_policy=settings.failure_policy,
        sources=Sources(
            leads=lambda: shared.election.leads,
            bundle=None if keeper is None else lambda: keeper.bundle,
            namespaces=lambda: known_namespaces(store, settings.stale_seconds),
            answers=OwnEndpoint(settings.bind, settings.https_port).problem,
        ),
    )
    shared.service.background.extend((registrar.run, recorder.run))
    return registrar, heartbeat
