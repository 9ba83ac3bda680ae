"""
Simulate a cluster in one process: one Secret, the entries of the webhook configurations, and replicas.

The event loop never waits: instead of sleeping, it moves its clock forward. A simulated week takes seconds, a test can
choose any order of events, and the same seed gives the same run.
"""

import asyncio
import json
import random
import selectors
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from certificate_builders import with_request

from certs.authority import CertificateError, fingerprint, service_names
from certs.bundle import authorities_in
from certs.dependencies import Clocks, ConflictError, KeeperDependencies, StoreError
from certs.keeper import Keeper
from certs.material import Material, material_of
from certs.renewal import Lifetimes

START = datetime(2027, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE, NAME = "guard", "eem-guardrail-tls"
NAMES = service_names("eem-guardrail", NAMESPACE)
FAST = Lifetimes(ca=timedelta(seconds=120), leaf=timedelta(seconds=20), propagation_seconds=3.0)
ENTRIES = 3


class SimulatedLoop(asyncio.SelectorEventLoop):
    """An event loop that moves its clock forward instead of waiting."""

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
        assert timeout is not None, "no task will ever run again"
        self._loop.seconds += max(timeout, 0.0)
        return []  # the simulation has no sockets


class KilledError(BaseException):
    """Raised where the process is killed."""


class Store:
    """One Secret, with the guarantees of the API server."""

    def __init__(self, loop: SimulatedLoop, rng: random.Random) -> None:
        self._loop, self._rng = loop, rng
        self.secret: dict[str, Any] | None = None
        self._text = "null"
        self.version = 0
        self.writes: list[str] = []  # which replica did what
        self.refuses: set[str] = set()  # operations that are forbidden
        self.down = False
        self.latency_seconds = 0.0
        self._read: tuple[int, Material] | None = None
        self.changed: list[Callable[[], None]] = []

    async def enter(self, operation: str) -> None:
        if self.latency_seconds:
            await asyncio.sleep(self._rng.uniform(0.0, self.latency_seconds))
        if self.down:
            raise StoreError("the API server does not answer")
        if operation in self.refuses:
            raise StoreError(f'secrets "{NAME}" is forbidden: cannot {operation}')

    def create(self, secret: Mapping[str, Any], replica: str) -> None:
        if self.secret is not None:
            raise ConflictError("AlreadyExists")
        assert "resourceVersion" not in secret["metadata"]
        self.put(secret, f"{replica} create")

    def replace(self, secret: Mapping[str, Any], replica: str) -> None:
        if self.secret is None:
            raise ConflictError("NotFound")
        if secret["metadata"]["resourceVersion"] != self.secret["metadata"]["resourceVersion"]:
            raise ConflictError("the object has been modified")
        if self.secret.get("immutable") or secret.get("type") != self.secret.get("type"):
            raise StoreError("Invalid: field is immutable")
        self.put(secret, f"{replica} replace")

    def put(self, secret: Mapping[str, Any] | None, what: str) -> None:
        self.version += 1
        if secret is not None:
            secret = {**secret, "metadata": {**secret["metadata"], "resourceVersion": str(self.version)}}
        self._text = json.dumps(secret)
        self.secret = self.copy()
        self.writes.append(what)
        for each in self.changed:
            each()

    def copy(self) -> dict[str, Any] | None:
        """Return the Secret as a new object, as each answer of the API server is."""
        found: dict[str, Any] | None = json.loads(self._text)
        return found

    def material(self) -> Material:
        assert self.secret is not None
        if self._read is None or self._read[0] != self.version:
            self._read = (self.version, material_of(self.secret))
        return self._read[1]


@dataclass(eq=False)
class Replica:
    """
    One process: a keeper, its watches, and the registrar, which publishes while this replica leads.

    Args:
        watch_lag: seconds until the replica sees a change of the Secret.
        view_lag: seconds until the replica sees a change of the webhook configurations.
        publish_lag: seconds for each write of a webhook entry.
        skew: seconds by which its clock is ahead of the true time.
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
    authority: str = ""  # fingerprint of the authority that signed the served pair
    installs: int = 0
    keeper: Keeper = field(init=False)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    # The protocol Secrets.

    async def read(self) -> Mapping[str, Any] | None:
        await self.point("read")
        await self.world.store.enter("get")
        found = self.world.store.copy()
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
        """Pass a point where the process may die, or another replica may be faster."""
        self.world.passed(self, what)
        await asyncio.sleep(0)

    async def sleep(self, seconds: float) -> None:
        try:
            self.world.passed(self, "sleep")
        except KilledError:  # the keeper sleeps in a separate task
            self.kill()
        await asyncio.sleep(seconds)

    # The life of the process.

    def start(self) -> None:
        self.served = None
        self.keeper = Keeper(
            KeeperDependencies(
                secrets=self,
                published=self.published,
                leads=lambda: self.world.leader is self,
                install=self.install,
                count_unusable=self.count,
                clocks=Clocks(now=self.now, monotonic=self.world.loop.time, sleep=self.sleep),
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
            except Exception as error:  # noqa: BLE001  an error in the background fails the test
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
            raise ValueError("the pair cannot be loaded")
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
        """Publish the bundle while this replica leads, one webhook entry after the other."""
        while True:
            while self.world.leader is not self:
                await self.world.leader_changed.wait()
            bundle = self.keeper.bundle
            for number, entry in enumerate(self.world.entries):
                if bundle and entry != bundle:
                    await self.point("publish")
                    await asyncio.sleep(self.publish_lag)
                    self.world.publish(number, bundle)
            await asyncio.sleep(self.world.register_seconds)


class World:
    """The simulated cluster."""

    def __init__(self, *, replicas: int = 1, lifetimes: Lifetimes = FAST, seed: int = 0) -> None:
        self.loop = SimulatedLoop()
        self.failures: list[BaseException] = []
        self.loop.set_exception_handler(
            lambda _loop, told: self.failures.append(told.get("exception") or AssertionError(told))
        )
        self.rng = random.Random(seed)
        self.lifetimes = lifetimes
        self.register_seconds = 0.25  # between two checks of the registrar
        self.wall_offset = 0.0  # seconds by which the clocks of all replicas are ahead of the true time
        self.store = Store(self.loop, self.rng)
        self.store.changed.append(self._notify)
        self.store.changed.append(self.check)
        self.entries: list[bytes] = [b""] * ENTRIES
        self._history: list[tuple[float, list[bytes] | None]] = [(0.0, list(self.entries))]
        self.replicas = [Replica(world=self, name=f"r{number}") for number in range(replicas)]
        self.leader: Replica | None = self.replicas[0]
        self.leader_changed = asyncio.Event()
        self.passes: Callable[[Replica, str], None] = lambda _replica, _what: None
        self.checked = 0
        self.trust_lost = False  # no keeper can keep the trust: the test has removed the authority everywhere

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
        """Let time pass until the condition holds, and return the seconds that it took."""

        async def wait() -> float:
            began = self.loop.time()
            while not holds() and not self.failures:
                assert self.loop.time() - began < seconds, "the condition never held"
                await asyncio.sleep(0.1)
            return self.loop.time() - began

        seconds = self.loop.run_until_complete(wait())
        self.raise_failures()
        return seconds

    def call(self, work: Callable[[], object]) -> None:
        """Call a function inside the loop."""

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
        def change() -> None:
            self.leader = replica
            self.leader_changed.set()
            self.leader_changed = asyncio.Event()
            for each in self.replicas:
                if each.lives:
                    each.keeper.poke()

        self.call(change)

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
        """Check the invariant: every published bundle trusts the authority that signed a served pair."""
        self.checked += 1
        for each in self.replicas:
            if each.served is None or self.trust_lost:
                continue
            for bundle in self.entries:
                assert not bundle or each.authority in authorities_in(bundle), (
                    f"{each.name} serves a certificate that a webhook entry does not trust"
                )

    def _notify(self) -> None:
        secret = self.store.copy()
        for each in self.replicas:
            if each.lives:
                self.loop.call_later(each.watch_lag, _if_alive(each, lambda each=each: each.keeper.seen(secret)))


def _if_alive(replica: Replica, work: Callable[[], object]) -> Callable[[], None]:
    keeper = replica.keeper

    def call() -> None:
        if replica.lives and replica.keeper is keeper:
            work()

    return call


def running(world: World) -> World:
    """Start all replicas, and wait until all serve and every entry has a bundle."""
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas) and all(world.entries))
    return world


def damage(world: World, how: Callable[[dict[str, Any]], None]) -> None:
    """Change the Secret as another program would."""
    secret = world.store.copy()
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


def request_rotation(world: World) -> None:
    """Request a rotation, as the user does."""
    world.call(lambda: world.store.put(with_request(world.store.secret or {}, world.true_now()), "request"))
