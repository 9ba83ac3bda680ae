"""Builders for the tests of the cache: credentials, fake time, and running reflectors."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from fake_api_server import FakeApiServer

from webhook.cluster.client import ApiClient
from webhook.cluster.consistency import History
from webhook.cluster.credentials import ApiServer, Credentials, CredentialSource, Trust
from webhook.cluster.probe import Probing, Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.sink import Sink
from webhook.cluster.store import Store
from webhook.cluster.timing import Clock, ReflectorTiming
from webhook.eem import WATCHED, EemSnapshot, ResourceType

BY_KIND = {resource.kind: resource for resource in WATCHED}
PODS = BY_KIND["Pod"]
NAMESPACES = BY_KIND["Namespace"]
POLICIES = BY_KIND["NetworkPolicy"]
REPLICA_SETS = BY_KIND["ReplicaSet"]
GATEWAYS = BY_KIND["EventGateway"]
MANAGERS = BY_KIND["EventEndpointManagement"]

PATIENCE_SECONDS = 20
"""How long a test waits for an expected state, on a busy machine."""


class Token:
    """Credentials that a test can change."""

    def __init__(self, url: str, token: str = "token-1") -> None:  # noqa: S107 - made up
        self.api_server = ApiServer(base_url=url)
        self.max_age_seconds = 60.0
        self.token = token
        self.trust = Trust(ca_pem=None)
        self.loads = 0

    def load(self) -> Credentials:
        """Return the token as it is now."""
        self.loads += 1
        return Credentials(authorization=f"Bearer {self.token}" if self.token else "", trust=self.trust)


@dataclass
class FakeTime:
    """Time that passes only during a sleep."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    stands_still: bool = False

    def clock(self) -> Clock:
        """Return the clock that shows this time."""
        return Clock(monotonic=lambda: self.now, wall=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Advance the time at once; while it stands still, wait for ever."""
        if self.stands_still:
            await asyncio.Event().wait()
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Harness:
    """A store that reflectors fill from a fake API server."""

    server: FakeApiServer
    store: Store
    client: ApiClient
    time: FakeTime
    reach: Reachability
    history: History

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition of the store holds."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.store.wait_until(condition)

    async def same(self, resource: ResourceType) -> None:
        """Wait until the store has exactly the objects of a kind that the server has."""
        await self.until(lambda: contents(self.store.snapshot, resource) == truth(self.server, resource))


@asynccontextmanager
async def reflecting(  # noqa: PLR0913 - what tests replace
    server: FakeApiServer,
    *resources: ResourceType,
    stored: Sequence[ResourceType] = (),
    timing: ReflectorTiming | None = None,
    seed: int = 1,
    credentials: CredentialSource | None = None,
    probing: Probing | None = None,
) -> AsyncIterator[Harness]:
    """
    Run a reflector for each of *resources*, in fake time except for stalls and answers that do not come.

    With *probing* all of the time is real, for tests in which the API server does not answer.

    Args:
        stored: further kinds of the store, which the test fills.
    """
    time = FakeTime()
    clock = time.clock() if probing is None else Clock()
    store = Store((*resources, *stored), clock)
    async with ApiClient(credentials or Token(server.url), monotonic=lambda: time.now) as client:
        history = History()
        reach = Reachability(client, clock=clock, rng=Random(seed - 1), probing=probing)
        reflectors = [
            Reflector(
                resource,
                client,
                store,
                reach=reach,
                history=history,
                clock=clock,
                rng=Random(seed + number),
                timing=timing,
            )
            for number, resource in enumerate(resources)
        ]
        tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        try:
            yield Harness(server=server, store=store, client=client, time=time, reach=reach, history=history)
            assert not [task for task in tasks if task.done()], "a reflector ended by itself"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def take_list(sink: Sink, kind: str, mappings: Iterable[Mapping[str, Any]], number: int = 0) -> None:
    """Add a list of one page, with a watch that stands after it."""
    intake = sink.begin_list(kind)
    await intake.add(mappings)
    await intake.finish(number)
    sink.mark(kind, synced=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that does not depend on the store."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - no event tells it
            await asyncio.sleep(0)


def contents(snapshot: EemSnapshot, resource: ResourceType) -> dict[tuple[str, str], str]:
    """Return, for each object of a kind, the revision that the fake API server wrote into its labels."""
    return {name: _revision(snapshot, resource, *name) for name in snapshot.names(resource.kind)}


def _revision(snapshot: EemSnapshot, resource: ResourceType, namespace: str, name: str) -> str:
    if resource is NAMESPACES:
        return snapshot.namespace(name).labels["revision"]
    if resource is PODS:
        return snapshot.cluster.state(namespace).pods[name].labels["revision"]
    instance = snapshot.instance(resource.kind, namespace, name)
    # A policy's labels decide nothing and are not kept.
    return instance.source["metadata"]["labels"]["revision"] if instance else ""


def truth(server: FakeApiServer, resource: ResourceType) -> dict[tuple[str, str], str]:
    """Return the same from the server."""
    return {
        key: "" if resource is POLICIES else mapping["metadata"]["labels"]["revision"]
        for key, mapping in server.objects[resource.plural].items()
    }


def service_account(directory: Path, token: str, ca_pem: str) -> Path:
    """Write the files that the kubelet mounts into a pod."""
    directory.mkdir(exist_ok=True)
    (directory / "token").write_text(token + "\n")
    (directory / "ca.crt").write_text(ca_pem)
    return directory
