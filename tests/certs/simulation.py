"""
A cluster in one process, in a time of its own: one Secret, the entries of the configurations, and replicas.

The event loop never waits: where it would sleep, its clock is put forward. So a week takes seconds, every order of
events can be had, and the same seed gives the same run.
"""

import asyncio
import copy
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from cryptography import x509

from certs import CertificateError, Lifetimes, service_names
from certs.authority import fingerprint
from certs.keeper import ConflictError, Keeper, StoreError, Surroundings
from certs.material import Material
from certs.pace import Clock
from certs.secret import material_of, with_request
from certs.trust import authorities_in

START = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE, NAME = "guard", "eem-guardrail-tls"
NAMES = service_names("eem-guardrail", NAMESPACE)
FAST = Lifetimes(ca=timedelta(seconds=120), leaf=timedelta(seconds=20), propagation_seconds=3.0)
ENTRIES = 3


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that puts its clock forward instead of waiting."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.seconds


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    def __init__(self, loop: SimulatedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nobody will ever wake"
        self._loop.seconds += max(timeout, 0.0)
        return super().select(0)


class KilledError(BaseException):
    """The process is gone."""


class Store:
    """One Secret, with what the API server promises about it."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random) -> None:
        self._loop, self._rng = loop, rng
        self.secret: dict[str, Any] | None = None
        self.version = 0
        self.writes: list[str] = []  # who did what
        self.refuses: set[str] = set()  # operations that are forbidden
        self.down = False
        self.latency_seconds = 0.0
        self._read: tuple[int, Material] | None = None
        self.changed: list[Callable[[], None]] = []

    async def enter(self, operation: str) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, self.latency_seconds))
        if self.down:
            raise StoreError("the API server does not answer")
        if operation in self.refuses:
            raise StoreError(f'secrets "{NAME}" is forbidden: cannot {operation}')

    def create(self, secret: Mapping[str, Any], who: str) -> None:
        if self.secret is not None:
            raise ConflictError("AlreadyExists")
        assert "resourceVersion" not in secret["metadata"]
        self.put(secret, f"{who} create")

    def replace(self, secret: Mapping[str, Any], who: str) -> None:
        if self.secret is None:
            raise ConflictError("NotFound")
        if secret["metadata"]["resourceVersion"] != self.secret["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified")
        if self.secret.get("immutable") or secret.get("type") != self.secret.get("type"):
            raise StoreError("Invalid: field is immutable")
        self.put(secret, f"{who} replace")

    def put(self, secret: Mapping[str, Any] | None, what: str) -> None:
        self.version += 1
        self.secret = copy.deepcopy(dict(secret)) if secret is not None else None
        if self.secret is not None:
            self.secret["metadata"] = {**self.secret["metadata"], "resourceVersion": str(self.version)}
        self.writes.append(what)
        for each in self.changed:
            each()

    def material(self) -> Material:
        assert self.secret is not None
        if self._read is None or self._read[0] != self.version:
            self._read = (self.version, material_of(self.secret))
        return self._read[1]


@dataclass(eq=False)
class Replica:
    """
    One process: a keeper, its watches, and the registrar that publishes while it leads.

    Args:
        watch_lag: seconds until it sees a change of the Secret.
        view_lag: seconds until it sees a change of the configurations.
        publish_lag: seconds that each of its writes of an entry takes.
        skew: seconds by which its clock is ahead of the others.
    """

    world: "World"
    name: str
    watch_lag: float = 0.0
    view_lag: float = 0.0
    publish_lag: float = 0.0
    skew: float = 0.0
    fails_to_install: bool = False
    counted: int = 0
    served: Material | None = None
    authority: str = ""  # the fingerprint of what signed the pair that is served
    installs: int = 0
    keeper: Keeper = field(init=False)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    # the Protocol Secrets

    async def read(self) -> Mapping[str, Any] | None:
        await self.point("read")
        await self.world.store.enter("get")
        found = copy.deepcopy(self.world.store.secret)
        await self.point("read answered")
        return found

    async def create(self, secret: Mapping[str, Any]) -> None:
        await self.point("create")
        await self.world.store.enter("create")
        self.world.store.create(secret, self.name)
        await self.point("create answered")

    async def replace(self, secret: Mapping[str, Any]) -> None:
        await self.point("replace")
        await self.world.store.enter("update")
        self.world.store.replace(secret, self.name)
        await self.point("replace answered")

    async def point(self, what: str) -> None:
        """Pass a place where the process may die or another may come first."""
        self.world.passed(self, what)
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        try:
            self.world.passed(self, "sleep")
        except KilledError:  # a keeper sleeps in a task of its own
            self.kill()
        await asyncio.sleep(seconds)

    # its life

    def start(self) -> None:
        self.served = None
        self.keeper = Keeper(
            Surroundings(
                secrets=self,
                published=self.published,
                leads=lambda: self.world.leader is self,
                install=self.install,
                count=self.count,
                clock=Clock(now=self.now, monotonic=self.world.loop.time, sleep=self.sleep),
                rng=random.Random(self.world.rng.random()),
            ),
            namespace=NAMESPACE,
            name=NAME,
            names=NAMES,
            lifetimes=self.world.lifetimes,
        )
        for work in (self.keeper.run, self.register):
            self.tasks.append(asyncio.ensure_future(self.living(work)))

    async def living(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with suppress(KilledError):
            try:
                await work()
            except Exception as error:  # noqa: BLE001  a fault in the background fails the test
                self.world.failures.append(error)
        self.kill()

    @property
    def lives(self) -> bool:
        return bool(self.tasks)

    def kill(self) -> None:
        tasks, self.tasks = self.tasks, []
        self.served = None
        for task in tasks:
            if task is not asyncio.current_task(self.world.loop):
                task.cancel()

    def install(self, material: Material) -> None:
        if self.fails_to_install:
            raise ValueError("no such pair")
        self.installs += 1
        self.served = material
        assert material.leaf_authority is not None
        self.authority = fingerprint(material.leaf_authority)
        self.world.check()

    def count(self) -> None:
        self.counted += 1

    def now(self) -> datetime:
        return self.world.now() + timedelta(seconds=self.skew)

    def published(self) -> list[bytes] | None:
        return self.world.entries_at(self.world.loop.time() - self.view_lag)

    async def register(self) -> None:
        """Publish the bundle while leading, one entry after the other."""
        while True:
            bundle = self.keeper.bundle if self.world.leader is self else b""
            for number, entry in enumerate(self.world.entries):
                if bundle and entry != bundle:
                    await self.point("publish")
                    await asyncio.sleep(self.publish_lag)
                    self.world.publish(number, bundle)
            await asyncio.sleep(self.world.register_seconds)


class World:
    """The cluster."""

    def __init__(self, *, replicas: int = 1, lifetimes: Lifetimes = FAST, seed: int = 0) -> None:
        self.loop = SimulatedLoop()
        self.failures: list[BaseException] = []
        self.loop.set_exception_handler(
            lambda _loop, told: self.failures.append(told.get("exception") or AssertionError(told))
        )
        self.rng = random.Random(seed)
        self.lifetimes = lifetimes
        self.register_seconds = 0.25  # between two looks of the registrar
        self.wall_offset = 0.0  # seconds by which the replicas' clocks are wrong
        self.store = Store(self.loop, self.rng)
        self.store.changed.append(self._notify)
        self.store.changed.append(self.check)
        self.entries: list[bytes] = [b""] * ENTRIES
        self._history: list[tuple[float, list[bytes] | None]] = [(0.0, list(self.entries))]
        self.replicas = [Replica(world=self, name=f"r{number}") for number in range(replicas)]
        self.leader: Replica | None = self.replicas[0]
        self.passes: Callable[[Replica, str], None] = lambda _replica, _what: None
        self.checked = 0
        self.trust_lost = False  # what no keeper can help: entries wiped, or nobody left who knows the authority

    def true_now(self) -> datetime:
        return START + timedelta(seconds=self.loop.seconds - 1000.0)

    def now(self) -> datetime:
        return self.true_now() + timedelta(seconds=self.wall_offset)

    def run(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.raise_failures()

    def raise_failures(self) -> None:
        for failure in self.failures:
            raise failure

    def run_until(self, holds: Callable[[], object], *, seconds: float = 60.0) -> float:
        """Let time pass until something holds, and give the seconds that took."""

        async def wait() -> float:
            began = self.loop.time()
            while not holds() and not self.failures:
                assert self.loop.time() - began < seconds, "it never came true"
                await asyncio.sleep(0.1)
            return self.loop.time() - began

        seconds = self.loop.run_until_complete(wait())
        self.raise_failures()
        return seconds

    def call(self, work: Callable[[], object]) -> None:
        """Do something inside the loop."""

        async def inside() -> None:
            work()

        self.loop.run_until_complete(inside())
        self.raise_failures()

    def start(self, *replicas: Replica) -> None:
        self.call(lambda: [each.start() for each in replicas or self.replicas])

    def close(self) -> None:
        async def end() -> None:
            for each in self.replicas:
                each.kill()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

        self.loop.run_until_complete(end())
        self.loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def lead(self, replica: Replica | None) -> None:
        self.leader = replica
        self.call(lambda: [each.keeper.poke() for each in self.replicas if each.lives])

    def passed(self, replica: Replica, what: str) -> None:
        self.passes(replica, what)

    def entries_at(self, when: float) -> list[bytes] | None:
        return next((entries for since, entries in reversed(self._history) if since <= when), None)

    def publish(self, number: int, bundle: bytes) -> None:
        self.entries[number] = bundle
        self._history.append((self.loop.time(), list(self.entries)))
        del self._history[:-200]
        for each in self.replicas:
            if each.lives:
                self.loop.call_later(each.view_lag, _if_alive(each, lambda each=each: each.keeper.poke()))
        self.check()

    def check(self) -> None:
        """Whatever happens: a pair that is served is signed by an authority that every published bundle trusts."""
        self.checked += 1
        for each in self.replicas:
            if each.served is None or self.trust_lost:
                continue
            for bundle in self.entries:
                assert not bundle or each.authority in authorities_in(bundle), (
                    f"{each.name} serves what an entry does not trust"
                )

    def _notify(self) -> None:
        secret = copy.deepcopy(self.store.secret)
        for each in self.replicas:
            if each.lives:
                self.loop.call_later(each.watch_lag, _if_alive(each, lambda each=each: each.keeper.seen(secret)))


def _if_alive(replica: Replica, work: Callable[[], object]) -> Callable[[], None]:
    keeper = replica.keeper

    def call() -> None:
        if replica.lives and replica.keeper is keeper:
            work()

    return call


def authority_names(bundle: tuple[x509.Certificate, ...]) -> list[str]:
    return [fingerprint(each)[:8] for each in bundle]


def running(world: World) -> World:
    """Start everybody, and wait until they serve and are trusted."""
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas) and all(world.entries))
    return world


def damage(world: World, how: Callable[[dict[str, Any]], None]) -> None:
    secret = copy.deepcopy(world.store.secret)
    assert secret is not None
    how(secret)
    world.call(lambda: world.store.put(secret, "damage"))


def authority(material: Material) -> str:
    assert material.leaf_authority is not None
    return fingerprint(material.leaf_authority)


def is_good(world: World) -> bool:
    try:
        return world.store.material() is not None
    except (CertificateError, AssertionError):
        return False


def ask(world: World) -> None:
    world.call(lambda: world.store.put(with_request(world.store.secret or {}, world.true_now()), "ask"))
