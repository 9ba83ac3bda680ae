"""
Construct what writes to the cluster: leader election, certificates, and the registration with the API server.

The leader writes. Every replica serves, and serving does not wait for any of this.
"""

import logging
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

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
from webhook.controllers.audit_events import AuditEvents
from webhook.controllers.entries import (
    MUTATING,
    NAME,
    NAMESPACE,
    VALIDATING,
)
from webhook.controllers.events import Recorder
from webhook.controllers.lease import Election
from webhook.controllers.registrar import Inputs, Registrar, published
from webhook.controllers.secret_store import SECRETS, SecretStore
from webhook.controllers.self_check import Heartbeat, OwnPort
from webhook.main.assembly import Foundation
from webhook.main.service import Work
from webhook.netpol.cluster_policies import CLUSTER_POLICY_GROUP
from webhook.server import Check
from webhook.server.collectors import ControllerCollector, ControllerState

_log: Final = logging.getLogger(__name__)

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
    register itself; with both it writes nothing, and so no Reports.
    """
    settings = foundation.settings
    makes_certificates = settings.tls_dir is None
    if not (makes_certificates or settings.register):
        if settings.reports:
            _log.warning("no Reports are written: with --tls-dir and --register off there is no leader")
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
        audit_events = _audit_events(shared, recorder)
        background.extend((registrar.run, recorder.run, audit_events.run))
        notes["registration"] = registrar.problem
    if settings.reports:
        writing, notes["reports"] = _reports(shared)
        background.append(writing)
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
    certificates = shared.foundation.metrics.certificates

    def install(material: Material) -> None:
        certificate.take(material.leaf.certificate_pem(), material.leaf.key_pem(), material.bundle_pem)
        if material.signer is not None:
            signer = material.signer.certificate
            certificates.show("authority", not_before=signer.not_valid_before_utc, not_after=signer.not_valid_after_utc)

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


def _audit_events(shared: _Shared, recorder: Recorder) -> AuditEvents:
    """Return what writes Events about the audit."""
    auditor, store = shared.foundation.auditor, shared.foundation.store
    audit_events = AuditEvents(
        recorder,
        audit=lambda: auditor.audit,
        snapshot=lambda: store.snapshot,
        leads=lambda: shared.election.leads,
    )
    auditor.subscribe(audit_events.look)
    return audit_events


def _reports(shared: _Shared) -> tuple[Work, Check]:
    """Return what writes Reports of OpenReports, and what is wrong with it."""
    from webhook.controllers.open_reports import OpenReports  # noqa: PLC0415  only where it is turned on

    auditor = shared.foundation.auditor
    reports = OpenReports(
        shared.client,
        shared.foundation.settings.options(),
        audited=lambda: auditor.audited,
        leads=lambda: shared.election.leads,
    )
    auditor.subscribe(reports.look)
    return reports.run, reports.problem


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
        cluster_failure_policy=settings.cluster_policy_failure_policy,
        inputs=Inputs(
            leads=lambda: shared.election.leads,
            holder=lambda: shared.election.holder,
            bundle=None if keeper is None else lambda: keeper.bundle,
            namespaces=lambda: known_namespaces(store, settings.stale_seconds),
            cluster_policies=lambda: has_cluster_policies(store, settings.stale_seconds),
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
    return frozenset(store.snapshot.eem) if _is_known(store, stale_seconds) else None


def has_cluster_policies(store: Store, stale_seconds: float) -> bool | None:
    """Whether the cluster has a kind of cluster-wide policies that is read; None if that is not known."""
    return _has_cluster_wide(store) if _is_known(store, stale_seconds) else None


def _has_cluster_wide(store: Store) -> bool:
    return any(known.group == CLUSTER_POLICY_GROUP for known in store.snapshot.read_kinds)


def _is_known(store: Store, stale_seconds: float) -> bool:
    return store.has_synced and store.silence(stale_seconds) is None
