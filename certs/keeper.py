"""
Keep the Secret right: made once, renewed in time, restored when it is lost, and taken by every replica.

Every replica takes the serving pair from the Secret; the one that leads renews and rotates; whichever is first makes
what is not there, mends what is broken, from what it has in memory, and renews what nobody that leads has renewed in
time. All of them may try at once: a write names the version that it replaces, so the first one counts and the others
take what it wrote.

Nothing here stops serving. What cannot be read is not taken, and what cannot be written is tried again, ever later.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from certs.authority import fingerprint
from certs.holding import Holding
from certs.material import Material, new_material
from certs.pace import Backoff
from certs.renewal import Lifetimes
from certs.rotation import Action, next_step, perform, renewal_step
from certs.secret import changed_secret, new_secret, without_request
from certs.surroundings import ConflictError, Secret, Secrets, StoreError, Surroundings
from certs.trust import knows_all, nothing_published

POLL_SECONDS = 30.0  # the monotonic clock stands still in a suspended machine: renewed within a minute of its waking
SETTLE_SECONDS = 20.0  # a clock that jumped is often set right within seconds; no certificate rests on it till then
GRACE_SECONDS = 3.0  # time for a replica that still has the authority in memory to restore it
LEAST_SECONDS = 0.05  # to wait, so that no rounding of a time makes a loop that never rests
PAUSE_SECONDS = 1.0  # between two writes, whatever happens to the Secret in between

__all__ = ["ConflictError", "Keeper", "Secret", "Secrets", "StoreError", "Surroundings"]

log = logging.getLogger(__name__)


class Keeper:
    """
    Keeps one Secret.

    Args:
        surroundings: whom it asks and tells.
        namespace: of the Secret.
        name: of the Secret.
        names: what the serving certificate is for.
        lifetimes: how long things last.

    Raises:
        CertificateError: a name is neither DNS nor IP.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        *,
        namespace: str,
        name: str,
        names: Sequence[str],
        lifetimes: Lifetimes | None = None,
    ) -> None:
        self._out, self._clock = surroundings, surroundings.clock
        self._namespace, self._name, self._names = namespace, name, tuple(names)
        self._lifetimes = lifetimes if lifetimes is not None else Lifetimes()
        self._new_material()  # a bad name fails here, not in the night
        self._holding = Holding(surroundings, self._lifetimes)
        self._backoff = Backoff(surroundings.rng)
        self._wake = asyncio.Event()
        self._must_read = True
        self._confirmed = False  # whether the Secret was read since this replica leads
        self._read_at = 0.0  # monotonic
        self._resume_at = float("-inf")  # monotonic; nothing is asked or written before
        self._tried_at = float("-inf")  # monotonic
        self._failure = ""

    @property
    def bundle(self) -> bytes:
        """
        What must be published; empty while that is not known, and then nothing is to be changed.

        A replica that has just begun to lead says nothing until it has read the Secret: what it holds may be older
        than what is published.
        """
        return b"" if self._is_unconfirmed() else self._holding.bundle()

    @property
    def not_after(self) -> Mapping[str, datetime]:
        """When what the Secret holds expires: `serving` and, where its key is there, `authority`."""
        material = self._holding.material
        if material is None:
            return {}
        pairs = {"serving": material.leaf, "authority": material.signer}
        return {what: pair.certificate.not_valid_after_utc for what, pair in pairs.items() if pair is not None}

    def problem(self) -> str | None:
        """Say what is not as it should be, for people; None when all is well. Serving goes on all the same."""
        problem = self._failure or self._holding.problem()
        return f"Secret {self._namespace}/{self._name}: {problem}" if problem else None

    def seen(self, secret: Secret | None) -> None:
        """
        Take what the watch shows: the Secret, or None when it is gone.

        That it is gone, and what is older than what is known, is confirmed by a read before anything comes of it:
        going back to an older bundle would take trust away from the pair that is served.
        """
        if secret is None or self._holding.is_older(secret):
            self._must_read = True
        else:
            self._holding.take(secret)
        # The API server speaks again: one attempt now, however long the next one would have had to wait.
        self._resume_at = min(self._resume_at, self._tried_at + PAUSE_SECONDS)
        self.poke()

    def poke(self) -> None:
        """Look at once: what is published has changed, or who leads."""
        self._look()
        self._wake.set()

    async def run(self) -> None:
        """Keep the Secret right, and never end."""
        while True:
            self._wake.clear()
            seconds = await self._turn()
            await self._wait(min(max(seconds, LEAST_SECONDS), POLL_SECONDS))

    async def _turn(self) -> float:
        """Do what is due, and give the seconds to wait."""
        self._look()
        remaining = self._resume_at - self._clock.monotonic()
        if remaining > 0:
            return remaining
        self._tried_at = self._clock.monotonic()
        try:
            return await self._act()
        except ConflictError:
            self._must_read = True  # another was faster: take what it wrote
            return self._pause(self._backoff.next_seconds() / 10)
        except StoreError as error:
            self._must_read = True
            self._fail(str(error))
            return self._pause(self._backoff.next_seconds())

    async def _act(self) -> float:
        polled = self._clock.monotonic() - self._read_at >= POLL_SECONDS
        if self._must_read or self._is_unconfirmed() or polled:
            await self._read()
        if self._holding.fault is not None:
            return await self._mend()
        overdue_seconds = self._holding.overdue_seconds()
        if self._holding.material is None or (overdue_seconds > 0 and not self._out.leads()):
            self._succeed()
            return min(self._poll_seconds(), overdue_seconds)
        settle = min(SETTLE_SECONDS, self._lifetimes.propagation_seconds) - self._holding.wall.seconds_since_jump()
        return settle if settle > 0 else await self._advance(self._holding.material)

    async def _advance(self, material: Material) -> float:
        """Take the next step in the life of the authorities, if it is due."""
        facts = self._holding.facts()
        choose = next_step if self._out.leads() else renewal_step
        step = choose(material, facts, self._lifetimes, self._names)
        secret = self._holding.secret
        if step.action is Action.WAIT or secret is None:
            self._succeed()
            due = (step.until - facts.now).total_seconds() if step.until is not None else POLL_SECONDS
            return min(due, self._poll_seconds())
        changed = changed_secret(secret, perform(step, material, facts, self._lifetimes, self._names))
        if step.action is Action.BEGIN:
            changed = without_request(changed)
        await self._out.secrets.replace(changed)
        log.info("certificates: %s", step.action.value, extra={"fields": {"reason": step.reason}})
        return await self._written()

    async def _mend(self) -> float:
        """Make or restore the Secret, from memory where this process has the authority that is trusted."""
        holding = self._holding
        remaining = self._grace_seconds() - (self._clock.monotonic() - holding.fault_since)
        if remaining > 0:
            return min(remaining, self._poll_seconds())
        material = holding.material if holding.material is not None else self._new_material()
        if holding.secret is None:
            await self._out.secrets.create(new_secret(self._namespace, self._name, material))
        else:
            await self._out.secrets.replace(changed_secret(holding.secret, material))
        what = "made with a new authority" if holding.material is None else "restored with the same authority"
        log.warning("certificates: the Secret was %s", what, extra={"fields": {"reason": holding.fault}})
        return await self._written()

    def _grace_seconds(self) -> float:
        """Say how long to leave it to others: not at all where none can know more than this process."""
        published, material = self._out.published(), self._holding.material
        if material is None:
            alone = nothing_published(published)
        else:
            alone = knows_all(frozenset(fingerprint(each) for each in material.bundle), published)
        return 0.0 if alone else GRACE_SECONDS

    async def _written(self) -> float:
        """Take what was written as everyone does: from the API server."""
        self._must_read = True
        self._pause(PAUSE_SECONDS)
        self._succeed()
        await self._read()
        return PAUSE_SECONDS

    async def _read(self) -> None:
        self._must_read = False  # what is seen while this one is under way may be newer
        secret = await self._out.secrets.read()
        self._read_at = self._clock.monotonic()
        self._confirmed = self._out.leads()
        self._holding.take(secret)

    def _new_material(self) -> Material:
        return new_material(self._names, now=self._clock.now(), lifetimes=self._lifetimes)

    def _look(self) -> None:
        if not self._out.leads():
            self._confirmed = False
        self._holding.look()

    def _is_unconfirmed(self) -> bool:
        return self._out.leads() and not self._confirmed

    def _poll_seconds(self) -> float:
        """Say how often to look: soon while something waits to be trusted."""
        often = min(1.0, self._lifetimes.propagation_seconds / 3)
        return often if self._holding.is_waiting() or self._holding.fault is not None else POLL_SECONDS

    def _pause(self, seconds: float) -> float:
        self._resume_at = self._clock.monotonic() + seconds
        return seconds

    def _succeed(self) -> None:
        self._failure = ""
        self._backoff.reset()

    def _fail(self, failure: str) -> None:
        if failure != self._failure:
            log.warning("certificates: the API server refuses", extra={"fields": {"reason": failure}})
        self._failure = failure

    async def _wait(self, seconds: float) -> None:
        """Sleep until the time is over or somebody pokes."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waking.cancel()
