"""
Elect the replica that writes, by a Lease.

Clocks differ, so the times in the Lease are for people to read only. A holder counts as alive while this replica sees
its record change, measured on this replica's clock. A leader stops to write well before others may take over, so a
write that began in time has ended by then. Serving does not depend on the leader.

A process that starts in the pod of the holder takes the Lease at once, since the holder's process must have ended.

One gap remains, as in client-go: if a user deletes the Lease, a replica that has just started leads at once, and the
former leader learns of that at its next renewal, two seconds later.

Source: client-go tools/leaderelection (15 s, 10 s, 2 s, factor 1.2, release on cancel), coordination.k8s.io/v1 Lease.
"""

import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Protocol

from webhook.cluster.errors import ApiError, ClusterError
from webhook.cluster.timing import Clock
from webhook.eem.resources import ResourceType

_log: Final = logging.getLogger(__name__)

LEASES: Final = ResourceType(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
_JITTER_FACTOR: Final = 1.2
# Candidates look twice as often as client-go's, and once more when the Lease expires: after a leader froze, another
# replica leads within 18 s (2.2 s until its last renewal was seen, 15 s, and the spread).
_CANDIDATE_FACTOR: Final = 0.5
_EXPIRY_SPREAD_SECONDS: Final = 0.2
# A longer duration in the record is not honoured, since it would keep every replica from leading.
_LONGEST_LEASE_SECONDS: Final = 60.0
_NEVER: Final = float("-inf")


class Requests(Protocol):
    """The part of an ApiClient that the election uses."""

    async def request(self, method: str, path: str, *, body: object = None, timeout_seconds: float = ...) -> Any:
        """Send one request; see ApiClient."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTiming:
    """
    The rules of an election, in seconds.

    Args:
        lease_seconds: without a renewal, after which another replica may take over.
        renew_seconds: how long a leader may write after its last renewal began.
        retry_seconds: between attempts.
        request_seconds: for one request; like each write of a leader, less than lease_seconds - renew_seconds.
    """

    lease_seconds: float = 15.0
    renew_seconds: float = 10.0
    retry_seconds: float = 2.0
    request_seconds: float = 4.0


class Election:
    """
    Takes part in the election for one Lease.

    Args:
        identity: the name of this process; no other process may ever have the same.
        past: the prefix of the identities of processes that have all ended; empty for none.
    """

    def __init__(  # noqa: PLR0913 - where, who, and what tests replace
        self,
        client: Requests,
        *,
        namespace: str,
        name: str,
        identity: str,
        past: str = "",
        clock: Clock | None = None,
        rng: random.Random | None = None,
        timing: LeaseTiming | None = None,
    ) -> None:
        self._client = client
        self._collection = LEASES.path(namespace)
        self._metadata = {"name": name, "namespace": namespace}
        self._path = f"{self._collection}/{name}"
        self._identity = identity
        self._past = past
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._timing = timing or LeaseTiming()
        self._lease: Mapping[str, Any] | None = None  # as this replica wrote it last, if no other has written since
        self._record: Mapping[str, Any] = {}
        self._seen_at = _NEVER
        self._leads_until = _NEVER
        self._announced = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def leads(self) -> bool:
        """Whether this replica may write at this moment."""
        return self._clock.monotonic() < self._leads_until

    @property
    def holder(self) -> str:
        """Return the identity of the holder, as last seen; empty if the Lease is free."""
        return str(self._record.get("holderIdentity") or "")

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* when an attempt finds that `leads` has changed."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Acquire the Lease when it is free and renew it, until cancelled; then release it."""
        try:
            while True:
                try:
                    await self.attempt()
                except ClusterError as error:
                    _log.log(
                        logging.WARNING if self.leads else logging.DEBUG,
                        "the Lease could not be renewed or taken: %s",
                        error,
                    )
                except Exception:  # noqa: BLE001 - a bug must not end the service, whose verdicts need no Lease
                    _log.exception("unexpected error in the election")
                self._announce()
                await self._clock.sleep(self._timing.retry_seconds if self.leads else self._candidate_seconds())
        finally:
            await self.release()

    def _candidate_seconds(self) -> float:
        """Return how long to wait for the next look at the Lease: no longer than until it expires."""
        spread = 1 + _JITTER_FACTOR * self._rng.random()
        look = self._timing.retry_seconds * _CANDIDATE_FACTOR * spread
        expires = self._expires_at() - self._clock.monotonic()
        return min(look, expires + _EXPIRY_SPREAD_SECONDS * spread) if expires > 0 else look

    async def attempt(self) -> None:
        """
        Renew or take the Lease once, if that is possible.

        Raises:
            ClusterError: the request failed; a leader still leads until its time is over.
        """
        if self.leads and self._lease is not None:
            try:
                await self._write(self._lease)
            except ApiError as error:
                self._lease = None
                if error.status not in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
                    raise
            else:
                return
        lease = await self._read()
        if self._is_held_by_another():
            self._leads_until = _NEVER
        else:
            await self._write(lease)

    async def release(self) -> None:
        """Release the Lease if this replica holds it, so that others need not wait until it expires."""
        lease, self._lease = self._lease, None
        was_leading, self._leads_until = self.leads, _NEVER
        if not was_leading:
            return
        try:
            if lease is not None and await self._free(lease):
                return
            # A renewal that failed or was cancelled may have been stored nevertheless.
            current = await self._read()
            if current is not None and self.holder == self._identity:
                await self._free(current)
        except ClusterError as error:
            _log.info("the Lease could not be released: %s", error)

    async def _free(self, lease: Mapping[str, Any]) -> bool:
        """Write an empty holder into the Lease; return whether *lease* was still the stored state."""
        try:
            await self._put(lease, {**self._spec(), "holderIdentity": "", "leaseDurationSeconds": 1})
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    async def _read(self) -> Mapping[str, Any] | None:
        """Return the Lease as it is now; None if it does not exist."""
        try:
            lease = await self._client.request("GET", self._path, timeout_seconds=self._timing.request_seconds)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        self._see(lease)
        return lease  # type: ignore[no-any-return]  # an API object

    def _see(self, lease: Mapping[str, Any]) -> None:
        record = lease.get("spec") or {}
        if record != self._record:
            self._record = record
            self._seen_at = self._clock.monotonic()

    def _is_held_by_another(self) -> bool:
        """Whether another process holds the Lease and may still write, even if the Lease was deleted since."""
        if self._past and self.holder.startswith(self._past):
            return False
        return self.holder not in {"", self._identity} and self._clock.monotonic() < self._expires_at()

    def _expires_at(self) -> float:
        """Return when the record expires if no change of it is seen, on this replica's clock."""
        claimed = self._record.get("leaseDurationSeconds")
        seconds = min(float(claimed), _LONGEST_LEASE_SECONDS) if isinstance(claimed, int) else 0.0
        return self._seen_at + max(seconds, self._timing.lease_seconds)

    async def _write(self, lease: Mapping[str, Any] | None) -> None:
        """Write this process into the Lease as the holder, if *lease* is still the stored state."""
        began = self._clock.monotonic()
        if lease is None:
            body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind}
            written = await self._client.request(
                "POST",
                self._collection,
                body={**body, "metadata": self._metadata, "spec": self._spec()},
                timeout_seconds=self._timing.request_seconds,
            )
        else:
            written = await self._put(lease, self._spec())
        self._lease = written
        self._see(written)
        self._leads_until = began + self._timing.renew_seconds

    async def _put(self, lease: Mapping[str, Any], spec: Mapping[str, Any]) -> Any:
        return await self._client.request(
            "PUT", self._path, body={**lease, "spec": spec}, timeout_seconds=self._timing.request_seconds
        )

    def _spec(self) -> dict[str, Any]:
        """Return the spec with this process as the holder."""
        now = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        is_ours = self.holder == self._identity
        transitions = self._record.get("leaseTransitions")
        before = transitions if isinstance(transitions, int) else -1
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(self._timing.lease_seconds),
            "acquireTime": self._record.get("acquireTime", now) if is_ours else now,
            "renewTime": now,
            "leaseTransitions": before if is_ours else before + 1,
        }

    def _announce(self) -> None:
        if self.leads == self._announced:
            return
        self._announced = self.leads
        _log.info("this replica %s", "is the leader: it writes" if self._announced else "no longer leads")
        for listener in self._listeners:
            listener()
