"""After any random history of changes and faults the store equals the cluster."""

import asyncio
import random

import pytest
from cluster_builders import GATEWAYS, NAMESPACES, PODS, contents, reflecting, truth
from fake_api_server import FakeApiServer, Stream, answer, api_server, hang_up

from webhook.cluster.store import Store
from webhook.cluster.timing import ReflectorTiming
from webhook.eem import EemSnapshot, ResourceType

KINDS = (PODS, NAMESPACES, GATEWAYS)
STEPS = 100
FAULTS = (
    answer(500, "InternalError"),
    answer(429, "TooManyRequests", Retry_After="1"),
    answer(410, "Expired"),
    answer(401, "Unauthorized"),
    answer(403, "Forbidden"),
    answer(504, "Timeout", "Too large resource version"),
    hang_up,
)
WEIGHTS = {
    "put": 30,
    "delete": 12,
    "bookmark": 6,
    "breathe": 10,
    "cut": 5,
    "cut in a line": 4,
    "end": 3,
    "pause": 3,
    "replay": 8,
    "error event": 2,
    "garbage": 1,
    "compact": 2,
    "refuse": 6,
    "uninstall": 1,
    "install": 3,
}


async def turns(number: int) -> None:
    """Let other tasks run that many times."""
    for _ in range(number):
        await asyncio.sleep(0)


class History:
    """One seeded random history of a fake API server."""

    def __init__(self, server: FakeApiServer, seed: int) -> None:
        self.server = server
        self.rng = random.Random(seed)

    async def step(self) -> None:
        """Let one thing happen."""
        (what,) = self.rng.choices(list(WEIGHTS), WEIGHTS.values())
        kind = self.rng.choice(KINDS)
        streams = self.server.open_streams(kind.plural)
        await getattr(self, what.replace(" ", "_"))(kind, self.rng.choice(streams) if streams else None)

    async def put(self, kind: ResourceType, _: Stream | None) -> None:
        """Create or change an object."""
        if kind.plural not in self.server.missing:
            namespace = f"ns-{self.rng.randrange(2)}" if kind.namespaced else ""
            self.server.put(kind, f"{kind.plural}-{self.rng.randrange(4)}", namespace, spec={})

    async def delete(self, kind: ResourceType, _: Stream | None) -> None:
        """Delete an object."""
        if known := sorted(self.server.objects[kind.plural]):
            namespace, name = self.rng.choice(known)
            self.server.delete(kind, name, namespace)

    async def bookmark(self, kind: ResourceType, _: Stream | None) -> None:
        """Send each stream a bookmark that is true of the events it has sent."""
        for stream in self.server.open_streams(kind.plural):
            metadata = {"resourceVersion": str(stream.position)}
            await stream.event("BOOKMARK", {"kind": kind.kind, "metadata": metadata})

    async def breathe(self, _: ResourceType, __: Stream | None) -> None:
        """Let other tasks run for a while."""
        await turns(self.rng.randrange(200))

    async def cut(self, _: ResourceType, stream: Stream | None) -> None:
        """Break a connection."""
        if stream:
            stream.cut()

    async def cut_in_a_line(self, _: ResourceType, stream: Stream | None) -> None:
        """Break a connection in the middle of a line, and perhaps of a character."""
        if stream:
            await stream.write('{"type":"ADDED","object":{"metadata":{"name":"žl'.encode()[: self.rng.randrange(1, 48)])
            stream.cut()

    async def end(self, _: ResourceType, stream: Stream | None) -> None:
        """End a stream regularly."""
        if stream:
            stream.ended.set()

    async def pause(self, _: ResourceType, stream: Stream | None) -> None:
        """Let a stream fall silent."""
        if stream:
            stream.paused = True

    async def replay(self, kind: ResourceType, stream: Stream | None) -> None:
        """Send an old event again."""
        sent = [entry for entry in self.server.history if entry[1] == kind.plural and stream]
        sent = [entry for entry in sent if stream is not None and entry[0] <= stream.position]
        if stream and sent:
            _, _, event_type, mapping = self.rng.choice(sent)
            await stream.event(event_type, mapping)

    async def error_event(self, _: ResourceType, stream: Stream | None) -> None:
        """Send an ERROR event."""
        if stream:
            await stream.event("ERROR", {"kind": "Status", "code": self.rng.choice([410, 500]), "message": "no"})
            stream.ended.set()

    async def garbage(self, _: ResourceType, stream: Stream | None) -> None:
        """Send a line that is not an event."""
        if stream:
            await stream.write(b"\x00\xff{]\n")

    async def compact(self, _: ResourceType, __: Stream | None) -> None:
        """Drop the history."""
        self.server.compact()

    async def refuse(self, kind: ResourceType, _: Stream | None) -> None:
        """Let the next list or watch fail."""
        verb = self.rng.choice(["list", "metadata", "watch"])
        self.server.faults[verb, kind.plural].append(self.rng.choice(FAULTS))

    async def uninstall(self, _: ResourceType, stream: Stream | None) -> None:
        """Remove a CustomResourceDefinition with all its objects."""
        for namespace, name in sorted(self.server.objects[GATEWAYS.plural]):
            self.server.delete(GATEWAYS, name, namespace)
        self.server.missing.add(GATEWAYS.plural)
        if stream:
            stream.cut()

    async def install(self, _: ResourceType, __: Stream | None) -> None:
        """Restore the CustomResourceDefinition."""
        self.server.missing.clear()


def is_true(store: Store, server: FakeApiServer) -> bool:
    """Whether the store has exactly what the server has, of every kind."""
    return store.has_synced and all(contents(store.snapshot, kind) == truth(server, kind) for kind in KINDS)


@pytest.mark.parametrize("seed", range(100))
async def test_the_store_equals_the_cluster_after_any_history(seed: int) -> None:
    """Cuts, stalls, replays, expired histories, refusals and removed kinds leave no trace once they are over."""
    async with api_server() as server:
        server.bare_items = bool(seed % 2)
        timing = ReflectorTiming(stall_seconds=0.1)
        async with reflecting(server, *KINDS, timing=timing, seed=seed) as harness:
            for kind in KINDS:
                await server.stream_of(kind)
            history = History(server, seed)
            for _ in range(STEPS):
                try:
                    await history.step()
                except ConnectionError:
                    continue
                await turns(history.rng.randrange(30))
            await harness.until(lambda: is_true(harness.store, server))
            everything = [mapping for kind in KINDS for mapping in server.objects[kind.plural].values()]

            assert harness.store.snapshot == EemSnapshot.from_objects(everything)
            assert {kind: status.objects for kind, status in harness.store.status.items()} == {
                kind.kind: len(server.objects[kind.plural]) for kind in KINDS
            }
