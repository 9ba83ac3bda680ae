"""
Elect the one replica that writes, by a Lease.

Times in the Lease are for people to read: clocks differ. A holder counts as alive for as long as its record was seen to
change on *our* clock. Whoever leads stops to believe so well before others may take over, so a write that was begun in
time has ended by then. Serving never asks who leads.

A process that starts in the pod of the holder, whose process has ended therefore, follows it at once.

One gap is left, as in client-go: who deletes the Lease by hand lets a replica that has just started lead at once,
while the one before it learns of that at its next renewal, two seconds later.

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
# A record that claims more is not believed: it would keep everybody out for as long as it says.
_LONGEST_LEASE_SECONDS: Final = 60.0
_NEVER: Final = float("-inf")


class Requests(Protocol):
    """Asks the API server; an ApiClient is one."""

    async def request(self, method: str, path: str, *, body: object = None, timeout_seconds: float = ...) -> Any:
        """Ask once, and fail as an ApiClient does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeaseTiming:
    """
    The rules of an election, in seconds.

    Args:
        lease_seconds: of silence until others may take over.
        renew_seconds: since the last renewal began, for which who leads believes so.
        retry_seconds: between attempts.
        request_seconds: for one request; less than lease_seconds - renew_seconds, as every write of who leads.
    """

    lease_seconds: float = 15.0
    renew_seconds: float = 10.0
    retry_seconds: float = 2.0
    request_seconds: float = 4.0


class Election:
    """
    Takes part in the election for one Lease.

    Args:
        identity: who we are; no other process, before or after, may have the same.
        past: how the identities of those begin that have all ended; empty where none is known to have.
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
        self._lease: Mapping[str, Any] | None = None  # as we wrote it last, and nobody after us
        self._record: Mapping[str, Any] = {}
        self._seen_at = _NEVER
        self._leads_until = _NEVER
        self._told = False
        self._listeners: list[Callable[[], None]] = []

    @property
    def leads(self) -> bool:
        """Say whether this replica may write, at this moment."""
        return self._clock.monotonic() < self._leads_until

    @property
    def holder(self) -> str:
        """Give who holds the Lease, as last seen; empty for nobody."""
        return str(self._record.get("holderIdentity") or "")

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* whenever an attempt finds that `leads` has changed."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Take the Lease when it is free and renew it, until cancelled; then give it back."""
        try:
            while True:
                try:
                    await self.attempt()
                except ClusterError as error:
                    _log.log(logging.WARNING if self.leads else logging.DEBUG, "the Lease: %s", error)
                except Exception:  # noqa: BLE001 - a bug must not end the service, whose verdicts need no Lease
                    _log.exception("the Lease: unexpected")
                self._announce()
                retry = self._timing.retry_seconds
                await self._clock.sleep(retry if self.leads else retry * (1 + _JITTER_FACTOR * self._rng.random()))
        finally:
            await self.release()

    async def attempt(self) -> None:
        """
        Renew or take the Lease once, where that is possible.

        Raises:
            ClusterError: the API server did not do what was asked; what held before still holds for its time.
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
        if self._is_anothers():
            self._leads_until = _NEVER
        else:
            await self._write(lease)

    async def release(self) -> None:
        """Give the Lease back, where it is ours, so that others need not wait for its end."""
        lease, self._lease = self._lease, None
        was_leading, self._leads_until = self.leads, _NEVER
        if not was_leading:
            return
        try:
            if lease is not None and await self._free(lease):
                return
            # A renewal failed or was cut off half-way, and may have taken place all the same.
            current = await self._read()
            if current is not None and self.holder == self._identity:
                await self._free(current)
        except ClusterError as error:
            _log.info("the Lease could not be given back: %s", error)

    async def _free(self, lease: Mapping[str, Any]) -> bool:
        """Write that nobody holds the Lease; say whether *lease* was still what the API server had."""
        try:
            await self._put(lease, {**self._spec(), "holderIdentity": "", "leaseDurationSeconds": 1})
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:
                return False
            raise
        return True

    async def _read(self) -> Mapping[str, Any] | None:
        """Give the Lease as it is now; None where there is none."""
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

    def _is_anothers(self) -> bool:
        """Say whether somebody else holds the Lease and may still believe so, even if it has been deleted since."""
        if self._past and self.holder.startswith(self._past):
            return False
        claimed = self._record.get("leaseDurationSeconds")
        seconds = min(float(claimed), _LONGEST_LEASE_SECONDS) if isinstance(claimed, int) else 0.0
        ends = self._seen_at + max(seconds, self._timing.lease_seconds)
        return self.holder not in {"", self._identity} and self._clock.monotonic() < ends

    async def _write(self, lease: Mapping[str, Any] | None) -> None:
        """Write ourselves down as the holder, where *lease* is still what the API server has."""
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
        """Give the record that says that we hold the Lease now."""
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
        if self.leads == self._told:
            return
        self._told = self.leads
        _log.info("this replica %s", "writes from now on" if self._told else "does not write any more")
        for listener in self._listeners:
            listener()
