"""
Keep the service registered, for as long as its configurations exist.

At first nothing is put in anybody's way that is not proven to work:
1. the own HTTPS port answers who trusts the bundle that is to be published;
2. the caBundle of the shipped entries is published (where the bundle is the service's own);
3. the entry for NetworkPolicies is made, for the canary's namespace alone;
4. a heartbeat is refused through the API server;
5. the namespaces where EEM runs are added.
A registration that is there is kept, and repaired at once, whatever of this fails later.

Every replica looks; the one that leads writes. It looks when one of the configurations changes, for until a caBundle is
back edits fail; and four times a second for all else, of which the cluster may have news a thousand times a second.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.observed import Observed
from webhook.cluster.timing import Clock
from webhook.controllers.configuration_writer import Upkeep
from webhook.controllers.drift import Drift, drift
from webhook.controllers.entries import (
    INSTANCES,
    POLICIES,
    SHIPPED,
    FailurePolicy,
    bundle_entries,
    bundle_of,
    bundles,
    covered_namespaces,
    policy_entry,
    registered_namespaces,
    wanted_namespaces,
)
from webhook.controllers.events import Recorder
from webhook.controllers.heartbeat import Heartbeat

_log: Final = logging.getLogger(__name__)

LOOK_SECONDS: Final = 0.25
_DRIFTED: Final = "ConfigurationDrift"
_UNDONE: Final = "RegistrationUndone"


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """
    What a registration is made of; each is asked whenever it is needed.

    Args:
        leads: whether this replica writes.
        bundle: PEM of the authorities to trust, empty while there are none; None where somebody else injects it.
        namespaces: where EEM runs; None while not every kind is known.
        answers: asks the own HTTPS port with a bundle, and gives what is wrong.
    """

    leads: Callable[[], bool]
    bundle: Callable[[], bytes] | None
    namespaces: Callable[[], frozenset[str] | None]
    answers: Callable[[bytes], Awaitable[str | None]]


def published(configurations: Iterable[Observed]) -> Sequence[bytes] | None:
    """Give the caBundle of every entry of ours, as the API server shows them; None while that is not known."""
    observed = tuple(configurations)
    if not all(one.synced for one in observed):
        return None
    return [bundle for one in observed if one.current for bundle in bundles(one.current)]


class Registrar:
    """
    Keeps both configurations.

    Args:
        validating: the ValidatingWebhookConfiguration, kept up to date by a reflector;
        mutating: and the MutatingWebhookConfiguration.
        failure_policy: of the entry for NetworkPolicies.
    """

    def __init__(  # noqa: PLR0913 - what it works on, and what tests replace
        self,
        client: ApiClient,
        *,
        validating: Observed,
        mutating: Observed,
        sources: Sources,
        heartbeat: Heartbeat,
        recorder: Recorder,
        failure_policy: FailurePolicy = "Fail",
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._clock = clock or Clock()
        dice = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._validating = Upkeep(client, validating, clock=self._clock, rng=dice)
        self._mutating = Upkeep(client, mutating, clock=self._clock, rng=dice)
        self._sources = sources
        self._heartbeat = heartbeat
        self._recorder = recorder
        self._failure_policy = failure_policy
        self._answered: bytes | None = None
        self._waits_for: str | None = None
        self._told: tuple[Drift, ...] = ()
        self._news = asyncio.Event()
        for observed in (validating, mutating):
            observed.subscribe(self._news.set)

    @property
    def drift(self) -> tuple[Drift, ...]:
        """Give what differs from the manifests in what they own; empty while the configurations are not known."""
        return tuple(
            one
            for observed in self._observed()
            if observed.synced
            for one in drift(observed.current, observed.resource)
        )

    @property
    def writes(self) -> int:
        """Give how many times this replica has written."""
        return self._validating.writes + self._mutating.writes

    @property
    def registered(self) -> frozenset[str]:
        """Give the namespaces whose NetworkPolicies are asked about, as the API server has them."""
        return registered_namespaces(self._validating.observed.current) or frozenset()

    def problem(self) -> str | None:
        """Say what keeps the registration from being as it should, for people; None where nothing does."""
        unseen = [
            f"{one.resource.plural}: {one.status[one.resource.kind].problem or 'not seen yet'}"
            for one in self._observed()
            if not one.synced
        ]
        doing = [
            f"{one.observed.resource.plural}: {one.problem}"
            for one in (self._validating, self._mutating)
            if one.problem is not None
        ]
        beat = [f"heartbeat: {self._heartbeat.problem}"] if self._heartbeat.problem else []
        waits = [self._waits_for] if self._waits_for else []
        found = [*unseen, *waits, *doing, *beat, *map(str, self.drift)]
        return "; ".join(found) or None

    async def run(self) -> None:
        """Keep the registration until cancelled; nothing that the API server does ends it."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._again_and_again(self.look, self._until_news))
            group.create_task(self._again_and_again(self.beat, self._until_next_look))

    async def _again_and_again(self, step: Callable[[], Awaitable[None]], pause: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await step()
            except Exception:  # noqa: BLE001 - a bug must not end the service, whose verdicts are as good as before
                _log.exception("the registration: unexpected")
            await pause()

    async def _until_next_look(self) -> None:
        await self._clock.sleep(LOOK_SECONDS)

    async def _until_news(self) -> None:
        """Wait until there is news, but no longer than until it is time to look again."""
        waits = [asyncio.ensure_future(self._until_next_look()), asyncio.ensure_future(self._news.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waits:
                one.cancel()
        self._news.clear()  # not before a look: what comes while it looks may have come too late for it

    async def beat(self) -> None:
        """Send a heartbeat, where this replica leads, there is an entry to prove, and it is time to."""
        if not self._sources.leads() or self._validating.observed.current is None:
            self._heartbeat.forget()
        elif registered_namespaces(self._validating.observed.current) is not None and self._heartbeat.due:
            await self._heartbeat.beat()

    async def look(self) -> None:
        """Compare what is there with what should be, and write what is missing, where this replica leads."""
        if not self._sources.leads() or not all(observed.synced for observed in self._observed()):
            self._waits_for = None
            for upkeep in (self._validating, self._mutating):
                upkeep.problem = None  # whoever leads has it now
            return
        self._tell_drift()
        bundle = self._bundle()
        if bundle and await self._may_publish(bundle):
            self._waits_for = None
            for upkeep in (self._validating, self._mutating):
                # What was waited for may have outlasted the Lease, and the bundle may be another.
                bundle = self._bundle()
                if bundle and self._sources.leads():
                    await self._keep(upkeep, bundle)

    def _bundle(self) -> bytes:
        """Give the bundle to trust: the own one, or what somebody injected into the shipped entry."""
        configuration = self._validating.observed.current
        if self._sources.bundle is not None:
            bundle = self._sources.bundle()
            self._waits_for = None if bundle else "there is no certificate authority yet"
            return bundle
        bundle = bundle_of(configuration, INSTANCES) or bundle_of(configuration, POLICIES)
        absent = configuration is None or bool(bundle)
        self._waits_for = None if absent else f"no caBundle was injected into {INSTANCES} yet"
        return bundle

    async def _may_publish(self, bundle: bytes) -> bool:
        """Say whether something is registered already, or else the own port answers who trusts *bundle*."""
        registered = any(
            bundle_of(observed.current, str(entry["name"]))
            for observed in self._observed()
            for entry in (*SHIPPED[observed.resource.kind], {"name": POLICIES})
            if self._sources.bundle is not None or entry["name"] == POLICIES
        )
        if registered or self._answered == bundle:
            return True
        self._waits_for = await self._sources.answers(bundle)
        if self._waits_for is None:
            self._answered = bundle
        return self._waits_for is None

    async def _keep(self, upkeep: Upkeep, bundle: bytes) -> None:
        configuration = upkeep.observed.current
        if configuration is None:
            return
        entries: list[Mapping[str, Any]] = []
        if upkeep is self._validating:
            registered, eem = registered_namespaces(configuration), self._sources.namespaces()
            if registered is not None and eem is not None:
                registered = covered_namespaces(configuration, eem)
            elif registered == frozenset():
                return  # a selector that is not ours: what it asks about is not narrowed before the cluster is known
            namespaces = wanted_namespaces(registered, eem, proven=self._heartbeat.proven)
            if namespaces is not None:
                entries.append(policy_entry(namespaces, bundle, self._failure_policy))
        if self._sources.bundle is not None:
            entries.extend(bundle_entries(configuration, bundle))
        fought = upkeep.fighting
        await upkeep.keep(entries, self._sources.leads)
        if upkeep.fighting and not fought:
            message = "what eem-guardrail keeps of this configuration is undone again and again; see its managedFields"
            self._recorder.record(configuration, _UNDONE, message)
            _log.warning("%s: %s", upkeep.observed.resource.plural, message)

    def _tell_drift(self) -> None:
        found = self.drift
        if found == self._told:
            return
        self._told = found
        for observed in self._observed():
            differs = [str(one) for one in found if one.field.startswith(observed.resource.plural)]
            if differs:
                _log.warning("differs from the manifests: %s", "; ".join(differs))
            if differs and observed.current is not None:
                self._recorder.record(observed.current, _DRIFTED, "; ".join(differs))

    def _observed(self) -> tuple[Observed, Observed]:
        return self._validating.observed, self._mutating.observed
