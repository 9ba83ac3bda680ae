"""
Keep the service registered while its configurations exist.

The first registration has an order, so that no request depends on a webhook that is not proven to work:
1. this replica's HTTPS port answers a client that trusts the bundle to be published;
2. the caBundle of the shipped entries is written (if the service makes its own certificates);
3. the entry for NetworkPolicies is created, for the canary namespace only;
4. a heartbeat is refused through the API server;
5. the namespaces where EEM runs are added.
An existing registration is kept, and repaired at once, even if one of these checks fails later.

Every replica compares; the leader writes. It compares when one of the configurations changes, since edits fail until a
removed caBundle is back; and four times a second for everything else, which may change a thousand times a second.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.definitions import DEFINITIONS
from webhook.cluster.errors import one_line
from webhook.cluster.observed import Observed
from webhook.cluster.timing import Clock, first_of
from webhook.controllers.configuration_writer import ConfigurationWriter
from webhook.controllers.configurations import (
    bundle_entries,
    bundle_of,
    bundles,
    covered_namespaces,
    is_written,
    registered_namespaces,
    wanted_namespaces,
    wants_cluster_policies,
)
from webhook.controllers.drift import Drift, drift
from webhook.controllers.entries import (
    INSTANCES,
    NEVER_MATCHED,
    POLICIES,
    SHIPPED,
    FailurePolicy,
    cluster_policy_entry,
    policy_entry,
)
from webhook.controllers.events import Recorder
from webhook.controllers.self_check import Heartbeat

_log: Final = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
IDLE_LEADER_SECONDS: Final = 25.0
"""After this time an incomplete registration is the problem of the leader: another could have followed it by then."""
_DRIFTED: Final = "ConfigurationDrift"
_UNDONE: Final = "RegistrationUndone"
_UNKNOWN_VERSION: Final = "UnknownVersion"


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs:
    """
    What the registration is computed from; each is called when it is needed.

    Args:
        leads: whether this replica is the leader.
        holder: the identity that holds the Lease; empty for none.
        bundle: the authorities to trust as PEM, empty while there are none; None if another controller injects it.
        namespaces: where EEM runs; None while that is not known.
        cluster_policies: whether the cluster has a kind of cluster-wide policies that is read; None while that is not
            known.
        port_problem: why this replica's HTTPS port does not answer a client that trusts a bundle.
        reopen_watches: ends the watches of the configurations, which are checked before they resume.
        definition_notes: what operators should know about the versions of EEM's kinds, by the names of their
            CustomResourceDefinitions.
    """

    leads: Callable[[], bool]
    holder: Callable[[], str]
    bundle: Callable[[], bytes] | None
    namespaces: Callable[[], frozenset[str] | None]
    cluster_policies: Callable[[], bool | None]
    port_problem: Callable[[bytes], Awaitable[str | None]]
    reopen_watches: Callable[[], None]
    definition_notes: Callable[[], Mapping[str, str]]


def published(configurations: Iterable[Observed]) -> Sequence[bytes] | None:
    """Return the caBundle of each of the service's entries as the API server has it; None while that is not known."""
    observed = tuple(configurations)
    if not all(one.synced for one in observed):
        return None
    return [bundle for one in observed if one.current for bundle in bundles(one.current)]


class Registrar:
    """
    Keeps both configurations.

    Args:
        validating: the ValidatingWebhookConfiguration, kept up to date by a reflector.
        mutating: the MutatingWebhookConfiguration, in the same way.
        failure_policy: of the entry for NetworkPolicies.
        cluster_failure_policy: of the entry for cluster-wide policies.
    """

    def __init__(  # noqa: PLR0913 - what it works on, and what tests replace
        self,
        client: ApiClient,
        *,
        validating: Observed,
        mutating: Observed,
        inputs: Inputs,
        heartbeat: Heartbeat,
        recorder: Recorder,
        failure_policy: FailurePolicy = "Fail",
        cluster_failure_policy: FailurePolicy = "Ignore",
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock or Clock()
        generator = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._validating = ConfigurationWriter(
            client, validating, inputs.reopen_watches, clock=self._clock, rng=generator
        )
        self._mutating = ConfigurationWriter(client, mutating, inputs.reopen_watches, clock=self._clock, rng=generator)
        self._inputs = inputs
        self._heartbeat = heartbeat
        self._recorder = recorder
        self._failure_policy, self._cluster_failure_policy = failure_policy, cluster_failure_policy
        self._answered: bytes | None = None
        self._waits_for: str | None = None
        self._reported: tuple[Drift, ...] = ()
        self._incomplete_since: float | None = None
        self._version_notes: dict[str, str] = {}
        self._changed = asyncio.Event()
        for observed in (validating, mutating):
            observed.subscribe(self._changed.set)

    @property
    def drift(self) -> tuple[Drift, ...]:
        """Return how the configurations differ from the manifests; empty while they are not known."""
        return tuple(
            one
            for observed in self._observed()
            if observed.synced
            for one in drift(observed.current, observed.resource)
        )

    @property
    def writes(self) -> int:
        """Return how many times this replica has written."""
        return self._validating.writes + self._mutating.writes

    @property
    def registered(self) -> frozenset[str]:
        """Return the namespaces in the entry for NetworkPolicies, as the API server has it."""
        return registered_namespaces(self._validating.observed.current) or frozenset()

    def problem(self) -> str | None:
        """Return, for the reader, what is wrong with the registration; None if nothing is."""
        unknown = [
            f"{one.resource.plural}: {one.status[one.resource.kind].problem or 'not listed yet'}"
            for one in self._observed()
            if not one.synced
        ]
        writing = [
            f"{one.observed.resource.plural}: {one.problem}"
            for one in (self._validating, self._mutating)
            if one.problem is not None
        ]
        heartbeat = [f"heartbeat: {self._heartbeat.problem}"] if self._heartbeat.problem else []
        waiting = [self._waits_for] if self._waits_for else []
        found = [*unknown, *waiting, *writing, *heartbeat, *self._idle_leader(), *map(str, self.drift)]
        return "; ".join(found) or None

    async def run(self) -> None:
        """Keep the registration until cancelled; no answer of the API server ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat(self.look, self._until_change))
            group.create_task(self._repeat(self.send_heartbeat, self._until_next_look))

    async def _repeat(self, step: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception:  # noqa: BLE001 - a bug must not end the service, whose verdicts do not depend on it
                _log.exception("unexpected error in the registration")
            await pause()

    async def _until_next_look(self) -> None:
        await self._clock.sleep(LOOK_SECONDS)

    async def _until_change(self) -> None:
        """Wait until a configuration changes or the next look is due."""
        await first_of(self._until_next_look(), self._changed.wait())
        self._changed.clear()  # not after the look: a change during the look may have come too late for it

    async def send_heartbeat(self) -> None:
        """Send a heartbeat if this replica leads, the entry exists, and a heartbeat is due."""
        if not self._inputs.leads() or self._validating.observed.current is None:
            self._heartbeat.forget()
        elif registered_namespaces(self._validating.observed.current) is not None and self._heartbeat.due:
            await self._heartbeat.send()

    async def look(self) -> None:
        """Compare the configurations with what they should hold; the leader writes what is missing."""
        if not self._inputs.leads() or not all(observed.synced for observed in self._observed()):
            self._waits_for = None
            for writer in (self._validating, self._mutating):
                writer.problem = None  # the leader reports it
            self._watch_leader()
            return
        self._incomplete_since = None
        self._report_drift()
        self._report_versions()
        bundle = self._bundle()
        if bundle and await self._may_publish(bundle):
            self._waits_for = None
            for writer in (self._validating, self._mutating):
                # The requests may have taken longer than the Lease lasts, and the bundle may have changed.
                bundle = self._bundle()
                if bundle and self._inputs.leads():
                    await self._keep(writer, bundle)

    def _watch_leader(self) -> None:
        """Note since when the registration lacks something that the leader should have written."""
        if self._is_complete():
            self._incomplete_since = None
        elif self._incomplete_since is None:
            self._incomplete_since = self._clock.monotonic()

    def _is_complete(self) -> bool:
        """Whether the configurations hold what can be expected of the leader, as far as that is known."""
        validating, mutating = (observed.current for observed in self._observed())
        namespaces = (self._inputs.namespaces() or frozenset()) - NEVER_MATCHED
        bundle = b"" if self._inputs.bundle is None else self._inputs.bundle()
        trusted = all(
            is_written(configuration, bundle_entries(configuration, bundle))
            for configuration in (validating, mutating)
            if configuration is not None and bundle
        )
        return trusted and (validating is None or namespaces <= covered_namespaces(validating, namespaces))

    def _idle_leader(self) -> list[str]:
        """Return the problem of a leader that does not write, such as a frozen replica or another program."""
        since = self._incomplete_since
        if since is None or self._clock.monotonic() - since < IDLE_LEADER_SECONDS:
            return []
        seconds = f"for {self._clock.monotonic() - since:.0f} s"
        holder = self._inputs.holder()
        if not holder:
            return [f"no replica holds the Lease, so the registration has been incomplete {seconds}"]
        return [f"the Lease is held by {one_line(holder)}, which has not completed the registration {seconds}"]

    def _bundle(self) -> bytes:
        """Return the bundle to trust: the service's own, or the one that was injected into the shipped entry."""
        configuration = self._validating.observed.current
        if self._inputs.bundle is not None:
            bundle = self._inputs.bundle()
            self._waits_for = None if bundle else "there is no certificate authority yet"
            return bundle
        bundle = bundle_of(configuration, INSTANCES) or bundle_of(configuration, POLICIES)
        absent = configuration is None or bool(bundle)
        self._waits_for = None if absent else f"no caBundle was injected into {INSTANCES} yet"
        return bundle

    async def _may_publish(self, bundle: bytes) -> bool:
        """Whether an entry is registered already, or this replica's port answers a client that trusts *bundle*."""
        registered = any(
            bundle_of(observed.current, str(entry["name"]))
            for observed in self._observed()
            for entry in (*SHIPPED[observed.resource.kind], {"name": POLICIES})
            if self._inputs.bundle is not None or entry["name"] == POLICIES
        )
        if registered or self._answered == bundle:
            return True
        self._waits_for = await self._inputs.port_problem(bundle)
        if self._waits_for is None:
            self._answered = bundle
        return self._waits_for is None

    async def _keep(self, writer: ConfigurationWriter, bundle: bytes) -> None:
        configuration = writer.observed.current
        if configuration is None:
            return
        entries: list[Mapping[str, Any]] = []
        if writer is self._validating:
            registered, eem = registered_namespaces(configuration), self._inputs.namespaces()
            if registered is not None and eem is not None:
                registered = covered_namespaces(configuration, eem)
            elif registered == frozenset():
                return  # a selector in another form must not be narrowed before the cluster is known
            namespaces = wanted_namespaces(registered, eem, proven=self._heartbeat.proven)
            if namespaces is not None:
                entries.append(policy_entry(namespaces, bundle, self._failure_policy))
            served, proven = self._inputs.cluster_policies(), self._heartbeat.proven
            if wants_cluster_policies(configuration, served=served, eem=eem, proven=proven):
                entries.append(cluster_policy_entry(bundle, self._cluster_failure_policy))
        if self._inputs.bundle is not None:
            entries.extend(bundle_entries(configuration, bundle))
        fought = writer.fighting
        await writer.keep(entries, self._inputs.leads)
        if writer.fighting and not fought:
            message = "another client undoes each write of eem-guardrail to this configuration; see its managedFields"
            self._recorder.record(configuration, _UNDONE, message)
            _log.warning("%s: %s", writer.observed.resource.plural, message)

    def _report_drift(self) -> None:
        found = self.drift
        if found == self._reported:
            return
        self._reported = found
        for observed in self._observed():
            differs = [str(one) for one in found if one.field.startswith(observed.resource.plural)]
            if differs:
                _log.warning("the configurations differ from the manifests: %s", "; ".join(differs))
            if differs and observed.current is not None:
                self._recorder.record(observed.current, _DRIFTED, "; ".join(differs))

    def _report_versions(self) -> None:
        """Record an Event about each CustomResourceDefinition whose note has changed."""
        found = self._inputs.definition_notes()
        for name, note in found.items():
            if self._version_notes.get(name) != note:
                definition = {"apiVersion": DEFINITIONS.api_version, "kind": DEFINITIONS.kind}
                self._recorder.record({**definition, "metadata": {"name": name}}, _UNKNOWN_VERSION, note)
        self._version_notes = dict(found)

    def _observed(self) -> tuple[Observed, Observed]:
        return self._validating.observed, self._mutating.observed
