"""Leases without a network: a server with optimistic concurrency, and replicas that a test steps through."""

import copy
from collections.abc import Coroutine, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from webhook.cluster.errors import ApiError, ClusterError, UnreachableError
from webhook.cluster.timing import Clock
from webhook.controllers.lease import Election, LeaseTiming

NAMESPACE, NAME = "eem-guardrail", "eem-guardrail"


@dataclass
class World:
    """The true time, and the Lease if it exists."""

    now: float = 0.0
    lease: dict[str, Any] | None = None
    revision: int = 0
    writes: list[tuple[float, str]] = field(default_factory=list)

    def answer(self, method: str, body: Any) -> Any:
        """Answer one request as an API server does."""
        if method == "POST":
            if self.lease is not None:
                raise ApiError(409, "AlreadyExists", "it is there")
            return self._store(body)
        if self.lease is None:
            raise ApiError(404, "NotFound", "it is not there")
        if method == "GET":
            return copy.deepcopy(self.lease)
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise ApiError(409, "Conflict", "it has changed")
        return self._store(body)

    def _store(self, body: Any) -> Any:
        self.revision += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.revision)
        self.writes.append((self.now, self.lease["spec"]["holderIdentity"]))
        return copy.deepcopy(self.lease)


class _Step:
    def __await__(self) -> Generator[None, None, None]:
        yield


@dataclass
class Replica:
    """One replica; its clocks differ from the true time by the offsets of the test."""

    world: World
    identity: str
    past: str = ""
    monotonic_offset: float = 0.0
    wall_offset: float = 0.0
    timing: LeaseTiming = field(default_factory=LeaseTiming)
    asked: list[str] = field(default_factory=list)
    loses_request: bool = False
    loses_answer: bool = False
    attempt: Coroutine[Any, Any, None] | None = None

    def __post_init__(self) -> None:
        """Make the election."""
        self.election = self.made(Random(1))

    def made(self, rng: Random) -> Election:
        """Return a new election of this replica."""
        clock = Clock(monotonic=self.monotonic, wall=lambda: self.world.now + self.wall_offset)
        return Election(
            self,
            namespace=NAMESPACE,
            name=NAME,
            identity=self.identity,
            past=self.past,
            clock=clock,
            rng=rng,
            timing=self.timing,
        )

    def monotonic(self) -> float:
        """Return the monotonic time of this replica."""
        return self.world.now + self.monotonic_offset

    async def request(self, method: str, path: str, *, body: object = None, timeout_seconds: float = 0) -> Any:
        """Send a request: one step on the way to the server, one on the way back."""
        assert timeout_seconds == self.timing.request_seconds
        assert path.endswith("leases" if method == "POST" else f"leases/{NAME}")
        self.asked.append(method)
        await _Step()
        if self.loses_request:
            raise UnreachableError("no connection")
        try:
            return self.world.answer(method, body)
        finally:
            await _Step()
            if self.loses_answer:
                raise UnreachableError("cut off")

    def step(self) -> bool:
        """Continue the attempt or begin one; return whether it has ended."""
        if self.attempt is None:
            self.attempt = self.election.attempt()
        try:
            self.attempt.send(None)
        except (StopIteration, ClusterError):
            self.attempt = None
            return True
        return False

    def whole_attempt(self) -> None:
        """Make every step of one attempt, in no time."""
        while not self.step():
            pass

    def release(self) -> None:
        """Release the Lease, in no time."""
        self.drop()
        coroutine = self.election.release()
        while True:
            try:
                coroutine.send(None)
            except StopIteration:
                return

    def drop(self) -> None:
        """Cancel the attempt that is under way."""
        if self.attempt is not None:
            self.attempt.close()
            self.attempt = None

    @property
    def leads(self) -> bool:
        """Whether this replica may write."""
        return self.election.leads
