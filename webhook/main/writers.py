"""
Construct what writes to the cluster: leader election, certificates, and the registration with the API server.

The leader writes. Every replica serves, and serving does not wait for any of this.
"""

import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType

from certs.authority import service_names
from certs.dependencies import ConflictError, KeeperDependencies, StoreError
from certs.keeper import Keeper
from certs.material import Material
from certs.renewal import Lifetimes
from webhook.cluster.client import ApiClient
from webhook.cluster.consistency import History
from webhook.cluster.definitions import definition_name
from webhook.cluster.observed import Observed
from webhook.cluster.probe import Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.controllers.entries import MUTATING, NAME, NAMESPACE, VALIDATING
from webhook.controllers.events import Recorder
from webhook.controllers.lease import Election
from webhook.controllers.registrar import Inputs, Registrar, published
from webhook.controllers.secret_store import SECRETS, SecretStore
from webhook.controllers.self_check import Heartbeat, OwnPort
from webhook.main.assembly import Foundation
from webhook.main.service import Work
from webhook.server import Check
from webhook.server.collectors import ControllerCollector, ControllerState

SECRET_NAME = "eem-guardrail-tls"  # noqa: S105  the name of the Secret, not its content


@dataclass(frozen=True, kw_only=True, slots=True)
class Writers:
    """
    What keeps the certificates and the registration.

    Args:
        background: the work that keeps them.
        notes: what `/readyz?verbose` shows of them.
    """

    background: tuple[Work, ...]
    notes: Mapping[str, Check]


NO_WRITERS = Writers(background=(), notes=MappingProxyType({}))
"""For a service that writes nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """What all writers of a service use."""

    foundation: Foundation
    client: ApiClient
    reach: Reachability
    history: History
    replica: str
    election: Election
    validating: Observed
    mutating: Observed

    def reflector(self, observed: Observed) -> Reflector:
        """Return what keeps one object up to date."""
        return Reflector(
            observed.resource,
            self.client,
            observed,
            selection=observed.selection,
            reach=self.reach,
            history=self.history,
        )


def make_writers(foundation: Foundation, client: ApiClient, reach: Reachability, history: History) -> Writers:
    """
    Return the writers of a service in a cluster.

    With a folder of certificates (`--tls-dir`) the service does not make any; with `--register off` it does not
    register itself; with both it writes nothing.
    """
    settings = foundation.settings
    makes_certificates = settings.tls_dir is None
    if not (makes_certificates or settings.register):
        return NO_WRITERS
    shared = _share(foundation, client, reach, history)
    keeper = _keeper(shared) if makes_certificates else None
    registrar: Registrar | None = None
    heartbeat: Heartbeat | None = None
    configurations = [shared.reflector(observed) for observed in (shared.validating, shared.mutating)]
    background: list[Work] = [reflector.run for reflector in configurations]
    notes: dict[str, Check] = {}
    if keeper is not None:
        background.extend((shared.reflector(_secret(keeper)).run, keeper.run))
        notes["certificates"] = keeper.problem
    if settings.register:
        recorder = Recorder(client, instance=shared.replica)
        heartbeat = Heartbeat(client)
        registrar = _registrar(shared, keeper, heartbeat, recorder, configurations)
        background.extend((registrar.run, recorder.run))
        notes["registration"] = registrar.problem
    background.append(shared.election.run)
    foundation.metrics.registry.register(
        ControllerCollector(
            ControllerState(leads=lambda: shared.election.leads, registrar=registrar, heartbeat=heartbeat)
        )
    )
    return Writers(background=tuple(background), notes=notes)


def _share(foundation: Foundation, client: ApiClient, reach: Reachability, history: History) -> _Shared:
    replica = os.environ.get("HOSTNAME") or socket.gethostname()
    # The token makes the name unique: after a restart another process holds the Lease, and that must show.
    identity = f"{replica}_{secrets.token_hex(4)}"
    return _Shared(
        foundation=foundation,
        client=client,
        reach=reach,
        history=history,
        replica=replica,
        # A pod runs one process of the service at a time, so an earlier holder with this pod's name has ended.
        election=Election(client, namespace=NAMESPACE, name=NAME, identity=identity, past=f"{replica}_"),
        validating=Observed(VALIDATING, NAME),
        mutating=Observed(MUTATING, NAME),
    )


def _keeper(shared: _Shared) -> Keeper:
    """Return what makes the service's own certificates, in a Secret that all replicas share."""
    certificate, settings = shared.foundation.certificate, shared.foundation.settings
    not_after = shared.foundation.metrics.certificate_not_after

    def install(material: Material) -> None:
        certificate.take(material.leaf.certificate_pem(), material.leaf.key_pem(), material.bundle_pem)
        if material.signer is not None:
            ends = material.signer.certificate.not_valid_after_utc
            not_after.labels("authority").set(ends.timestamp())

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
    for announcing in (shared.validating, shared.mutating, shared.election):
        announcing.subscribe(keeper.poke)
    return keeper


def _secret(keeper: Keeper) -> Observed:
    """Return the Secret as it is observed; *keeper* learns of each change."""
    secret = Observed(SECRETS, SECRET_NAME, namespace=NAMESPACE)

    def look() -> None:
        if secret.synced:
            keeper.seen(secret.current)

    secret.subscribe(look)
    return secret


def _registrar(
    shared: _Shared,
    keeper: Keeper | None,
    heartbeat: Heartbeat,
    recorder: Recorder,
    configurations: Sequence[Reflector],
) -> Registrar:
    """Return what keeps both webhook configurations."""
    settings, store = shared.foundation.settings, shared.foundation.store

    def reopen_watches() -> None:
        for reflector in configurations:
            reflector.reopen()

    def definition_notes() -> dict[str, str]:
        noted = [status for status in store.status.values() if status.note]
        return {definition_name(status.resource): status.note for status in noted}

    return Registrar(
        shared.client,
        validating=shared.validating,
        mutating=shared.mutating,
        heartbeat=heartbeat,
        recorder=recorder,
        failure_policy=settings.failure_policy,
        inputs=Inputs(
            leads=lambda: shared.election.leads,
            holder=lambda: shared.election.holder,
            bundle=None if keeper is None else lambda: keeper.bundle,
            namespaces=lambda: known_namespaces(store, settings.stale_seconds),
            port_problem=OwnPort(settings.bind, settings.https_port).problem,
            reopen_watches=reopen_watches,
            definition_notes=definition_notes,
        ),
    )


def known_namespaces(store: Store, stale_seconds: float) -> frozenset[str] | None:
    """
    Return the namespaces where EEM runs; None if they are not known.

    What is stale counts as not known, so that no namespace leaves the guard because of it.
    """
    if not store.has_synced or store.silence(stale_seconds) is not None:
        return None
    return frozenset(store.snapshot.eem)
