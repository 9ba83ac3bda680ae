"""
Maintain the Secret: create it once, renew its certificates in time, repair it, and give its pair to every replica.

Every replica serves the pair of the Secret. The leader renews and rotates. Any replica creates the Secret if it does
not exist, repairs it from memory if it is damaged, and renews a certificate that no leader has renewed in time. Several
replicas may try at once: a write names the version that it replaces, so the first write succeeds, and the other
replicas use its result.

Nothing here stops the server. Material that cannot be parsed is not used. A write that fails is retried, with growing
delays.
"""

import asyncio
import logging
import random
from collections.abc import Sequence

from certs.authority import fingerprint
from certs.bundle import knows_all, nothing_published
from certs.dependencies import ConflictError, KeeperDependencies, Secret, StoreError
from certs.material import Material, changed_secret, new_material, new_secret, without_request
from certs.renewal import Lifetimes
from certs.replica_state import ReplicaState
from certs.rotation import Action, next_step, perform, renewal_step

POLL_SECONDS = 30.0  # the monotonic clock stops in a suspended machine: a renewal comes at most a minute after it wakes
SETTLE_SECONDS = 20.0  # a clock that jumped is often corrected within seconds; no certificate is made before that
GRACE_SECONDS = 3.0  # time for a replica that still has the authority in memory to restore it
LEAST_SECONDS = 0.05  # shortest wait, so that rounding a time cannot make a busy loop
PAUSE_SECONDS = 1.0  # between two writes, whatever happens to the Secret in between
FIRST_RETRY_SECONDS = 1.0  # after the first failure: the API server may only be restarting
LONGEST_RETRY_SECONDS = 30.0  # as in client-go; a missing right may be granted today, and a request is cheap

log = logging.getLogger(__name__)


class RetryDelay:
    """How long to wait after a failure: a random part of a limit that doubles. So replicas do not retry together."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._limit = FIRST_RETRY_SECONDS

    def next_seconds(self) -> float:
        """Return the seconds to wait after one more failure: between half the limit and the limit."""
        delay = self._limit * self._rng.uniform(0.5, 1.0)
        self._limit = min(self._limit * 2, LONGEST_RETRY_SECONDS)
        return delay

    def reset(self) -> None:
        """Start again with the shortest limit, after a success."""
        self._limit = FIRST_RETRY_SECONDS


class Keeper:
    """
    Maintains one Secret.

    Args:
        dependencies: what it reads, writes and calls.
        namespace: of the Secret.
        name: of the Secret.
        names: DNS names and IP addresses of the serving certificate.
        lifetimes: how long certificates live.

    Raises:
        CertificateError: a name is neither a DNS name nor an IP address.
    """

    def __init__(
        self,
        dependencies: KeeperDependencies,
        *,
        namespace: str,
        name: str,
        names: Sequence[str],
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self._dependencies, self._clocks = dependencies, dependencies.clocks
        self._namespace, self._name, self._names = namespace, name, tuple(names)
        self._lifetimes = lifetimes if lifetimes is not None else Lifetimes()
        self._new_material()  # an invalid name fails here, at the start
        self._state = ReplicaState(dependencies, self._lifetimes)
        self._retry = RetryDelay(dependencies.rng)
        self._wake = asyncio.Event()
        self._must_read = True
        self._confirmed = False  # whether the Secret was read since this replica became the leader
        self._read_at = 0.0  # monotonic
        self._resume_at = float("-inf")  # monotonic; no request is sent before
        self._tried_at = float("-inf")  # monotonic
        self._failure = ""

    @property
    def bundle(self) -> bytes:
        """
        The bundle to publish. Empty while it is unknown; then what is published must not be changed.

        A new leader publishes nothing until it has read the Secret: what it has in memory may be older than what is
        published.
        """
        return b"" if self._is_unconfirmed() else self._state.bundle()

    def problem(self) -> str | None:
        """Return what is wrong, in words, or None. The server goes on serving in any case."""
        problem = self._failure or self._state.problem()
        return f"Secret {self._namespace}/{self._name}: {problem}" if problem else None

    def seen(self, secret: Secret | None) -> None:
        """
        Process what the watch shows: the Secret, or None if it was deleted.

        A deletion, or a version older than the known one, has no effect before a read confirms it: an older bundle
        would remove trust from the served pair.
        """
        if secret is None or self._state.is_older(secret):
            self._must_read = True
        else:
            self._state.observe(secret)
        # The API server answers again: try once now, however long the next attempt would have had to wait.
        self._resume_at = min(self._resume_at, self._tried_at + PAUSE_SECONDS)
        self.poke()

    def poke(self) -> None:
        """Check at once: the published bundles or the leader have changed."""
        self._update()
        self._wake.set()

    async def run(self) -> None:
        """Maintain the Secret. Never returns."""
        while True:
            self._wake.clear()
            seconds = await self._turn()
            await self._wait(min(max(seconds, LEAST_SECONDS), POLL_SECONDS))

    async def _turn(self) -> float:
        """Do what is due, and return the seconds to wait."""
        self._update()
        remaining = self._resume_at - self._clocks.monotonic()
        if remaining > 0:
            return remaining
        self._tried_at = self._clocks.monotonic()
        try:
            return await self._act()
        except ConflictError:
            self._must_read = True  # another replica was faster: use what it wrote
            return self._pause(self._retry.next_seconds() / 10)
        except StoreError as error:
            self._must_read = True
            self._fail(str(error))
            return self._pause(self._retry.next_seconds())

    async def _act(self) -> float:
        polled = self._clocks.monotonic() - self._read_at >= POLL_SECONDS
        if self._must_read or self._is_unconfirmed() or polled:
            await self._read()
        state, material = self._state, self._state.material
        if material is None or state.fault is not None:
            return await self._repair()
        overdue_seconds = state.seconds_until_overdue(material)
        if overdue_seconds > 0 and not self._dependencies.leads():
            self._succeed()
            return min(self._poll_seconds(), overdue_seconds)
        settle = min(SETTLE_SECONDS, self._lifetimes.propagation_seconds) - state.wall_clock.seconds_since_jump()
        return settle if settle > 0 else await self._advance(material)

    async def _advance(self, material: Material) -> float:
        """Perform the next step for the certificates, if one is due."""
        facts = self._state.facts()
        choose = next_step if self._dependencies.leads() else renewal_step
        step = choose(material, facts, self._lifetimes, self._names)
        secret = self._state.secret
        if step.action is Action.WAIT or secret is None:
            self._succeed()
            due = (step.until - facts.now).total_seconds() if step.until is not None else POLL_SECONDS
            return min(due, self._poll_seconds())
        changed = changed_secret(secret, perform(step, material, facts, self._lifetimes, self._names))
        if step.action is Action.BEGIN:
            changed = without_request(changed)
        await self._dependencies.secrets.replace(changed)
        log.info("certificates: %s", step.action.value, extra={"fields": {"reason": step.reason}})
        return await self._written()

    async def _repair(self) -> float:
        """Create or restore the Secret, with the authority that this process has in memory, or with a new one."""
        state = self._state
        remaining = self._grace_seconds() - (self._clocks.monotonic() - state.fault_since)
        if remaining > 0:
            return min(remaining, self._poll_seconds())
        material = state.material if state.material is not None else self._new_material()
        if state.secret is None:
            await self._dependencies.secrets.create(new_secret(self._namespace, self._name, material))
        else:
            await self._dependencies.secrets.replace(changed_secret(state.secret, material))
        how = "created with a new CA" if state.material is None else "restored with the same CA"
        log.warning("certificates: the Secret was %s", how, extra={"fields": {"reason": state.fault}})
        return await self._written()

    def _grace_seconds(self) -> float:
        """Return how long to leave the repair to others: zero if no other replica can know more than this one."""
        published, material = self._dependencies.published(), self._state.material
        if material is None:
            alone = nothing_published(published)
        else:
            alone = knows_all(frozenset(fingerprint(each) for each in material.bundle), published)
        return 0.0 if alone else GRACE_SECONDS

    async def _written(self) -> float:
        """Read what was written from the API server, as the other replicas do."""
        self._must_read = True
        self._pause(PAUSE_SECONDS)
        self._succeed()
        await self._read()
        return PAUSE_SECONDS

    async def _read(self) -> None:
        self._must_read = False  # the watch may show something newer during this request
        secret = await self._dependencies.secrets.read()
        self._read_at = self._clocks.monotonic()
        self._confirmed = self._dependencies.leads()
        self._state.observe(secret)

    def _new_material(self) -> Material:
        return new_material(self._names, now=self._clocks.now(), lifetimes=self._lifetimes)

    def _update(self) -> None:
        if not self._dependencies.leads():
            self._confirmed = False
        self._state.update()

    def _is_unconfirmed(self) -> bool:
        return self._dependencies.leads() and not self._confirmed

    def _poll_seconds(self) -> float:
        """Return the longest time between two checks: short while the passing of time may make a pair trusted."""
        state, material = self._state, self._state.material
        often = min(1.0, self._lifetimes.propagation_seconds / 3)
        if material is None or state.fault is not None or state.is_waiting(material):
            return often
        if self._dependencies.leads() and material.successor is not None:
            return often
        until_valid = state.seconds_until_valid(material)
        return min(until_valid, POLL_SECONDS) if until_valid > 0 else POLL_SECONDS

    def _pause(self, seconds: float) -> float:
        self._resume_at = self._clocks.monotonic() + seconds
        return seconds

    def _succeed(self) -> None:
        self._failure = ""
        self._retry.reset()

    def _fail(self, failure: str) -> None:
        if failure != self._failure:
            log.warning("certificates: the Secret cannot be read or written", extra={"fields": {"reason": failure}})
        self._failure = failure

    async def _wait(self, seconds: float) -> None:
        """Sleep until the time is over or `poke` is called."""
        sleeping = asyncio.ensure_future(self._clocks.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()
