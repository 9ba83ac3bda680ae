"""What the cache's tests are made of: credentials, a clock that need not be waited for, a running reflector."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from fake_api_server import FakeApiServer

from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import ApiServer, Credentials, CredentialSource, Trust
from webhook.cluster.probe import Probing, Reachability
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.cluster.timing import Clock, ReflectorTiming
from webhook.eem import WATCHED, EemSnapshot, ResourceType

BY_KIND = {resource.kind: resource for resource in WATCHED}
PODS = BY_KIND["Pod"]
NAMESPACES = BY_KIND["Namespace"]
POLICIES = BY_KIND["NetworkPolicy"]
GATEWAYS = BY_KIND["EventGateway"]
MANAGERS = BY_KIND["EventEndpointManagement"]

PATIENCE_SECONDS = 20
"""How long a test waits for what it expects, on a busy machine."""


class Token:
    """Credentials that a test holds in its hand."""

    def __init__(self, url: str, token: str = "token-1") -> None:  # noqa: S107 - made up
        self.api_server = ApiServer(base_url=url)
        self.max_age_seconds = 60.0
        self.token = token
        self.trust = Trust(ca_pem=None)
        self.loads = 0

    def load(self) -> Credentials:
        """Give the token of this moment."""
        self.loads += 1
        return Credentials(authorization=f"Bearer {self.token}" if self.token else "", trust=self.trust)


@dataclass
class FakeTime:
    """Time that passes only while somebody sleeps."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)
    stands_still: bool = False

    def clock(self) -> Clock:
        """Give the clock that shows it."""
        return Clock(monotonic=lambda: self.now, wall=lambda: self.now, sleep=self.sleep)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass at once; where it stands still, never come back."""
        if self.stands_still:
            await asyncio.Event().wait()
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@dataclass
class Harness:
    """A store that reflectors keep as a fake API server is."""

    server: FakeApiServer
    store: Store
    client: ApiClient
    time: FakeTime
    reach: Reachability

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition of the store."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self.store.wait_until(condition)

    async def same(self, resource: ResourceType) -> None:
        """Wait until the store has exactly what the server has of a kind."""
        await self.until(lambda: contents(self.store.snapshot, resource) == truth(self.server, resource))


@asynccontextmanager
async def reflecting(
    server: FakeApiServer,
    *resources: ResourceType,
    timing: ReflectorTiming | None = None,
    seed: int = 1,
    credentials: CredentialSource | None = None,
    probing: Probing | None = None,
) -> AsyncIterator[Harness]:
    """
    Run a reflector for each of *resources*; time is fake, but for stalls and answers that do not come.

    With *probing* all of it is real: for tests in which somebody is waited for who does not answer.
    """
    time = FakeTime()
    clock = time.clock() if probing is None else Clock()
    store = Store(resources, clock)
    async with ApiClient(credentials or Token(server.url), monotonic=lambda: time.now) as client:
        reach = Reachability(client, clock=clock, rng=Random(seed - 1), probing=probing)
        reflectors = [
            Reflector(resource, client, store, reach=reach, clock=clock, rng=Random(seed + number), timing=timing)
            for number, resource in enumerate(resources)
        ]
        tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        try:
            yield Harness(server=server, store=store, client=client, time=time, reach=reach)
            assert not [task for task in tasks if task.done()], "a reflector never ends by itself"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what the store does not tell."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110 - it has no event of its own
            await asyncio.sleep(0)


def contents(snapshot: EemSnapshot, resource: ResourceType) -> dict[tuple[str, str], str]:
    """Give, for every object of a kind, the revision that the fake API server wrote into its labels."""
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
    """Give the same of the server."""
    return {
        key: "" if resource is POLICIES else mapping["metadata"]["labels"]["revision"]
        for key, mapping in server.objects[resource.plural].items()
    }


def service_account(directory: Path, token: str, ca_pem: str) -> Path:
    """Write what Kubernetes mounts into a pod."""
    directory.mkdir(exist_ok=True)
    (directory / "token").write_text(token + "\n")
    (directory / "ca.crt").write_text(ca_pem)
    return directory
