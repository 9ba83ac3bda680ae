"""
Replicas whose watches fall silent, each in a way of its own, while every connection stays open.

A process of its own on the machine's network. Each replica reaches the real API server through a network that this
process can silence, with the shipped timeouts. The results are printed as JSON.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from network import SILENCES, Network, network

from harness.api import ApiClient
from harness.judges import Replica, make_pair, write_pair
from harness.known import Known, held, summed_up
from harness.objects import allow, pod
from harness.plane import ADMIN_TOKEN, HOST, PORT, kubeconfig
from harness.process import run

TOLD_SECONDS = 150
EXACT_SECONDS = 60
PAUSE_SECONDS = 0.1
LONG_TEXT = "x" * 100_000  # so much that a trickle takes minutes for it
KINDS = {
    "pods": "/api/v1/pods",
    "namespaces": "/api/v1/namespaces",
    "networkpolicies": "/apis/networking.k8s.io/v1/networkpolicies",
}


class Stalled:
    """One replica and the network that it reaches the API server through."""

    def __init__(self, silence: str, name: str, between: Network, session: aiohttp.ClientSession) -> None:
        self.silence = silence
        self.between = between
        self._at = f"http://{Replica.ADDRESSES[name]}:8080"
        self._session = session
        self.told: list[str] = []
        self.lost: set[str] = set()

    async def _read(self, path: str) -> str:
        async with self._session.get(self._at + path) as answer:
            return await answer.text()

    async def says_so(self) -> bool:
        """Whether the replica reports that the API server is silent; the report is kept."""
        lines = (await self._read("/readyz?verbose")).splitlines()
        self.told = [one for one in lines if one.startswith("[!]api-server")]
        return bool(self.told)

    async def knows(self) -> dict[str, Known]:
        """Return the objects in its cache."""
        metrics = await self._read("/metrics")
        return {kind: held(metrics, kind) for kind in KINDS}


async def there(client: ApiClient) -> dict[str, Known]:
    """Return the existing objects."""
    found = {}
    for kind, path in KINDS.items():
        metadata = [one["metadata"] for one in (await client.ask("GET", path))["items"]]
        found[kind] = summed_up(
            f"{one.get('namespace', '')}/{one['name']} {one['resourceVersion']}" for one in metadata
        )
    return found


async def change(client: ApiClient, namespace: str) -> None:
    """Make changes that a replica with a silent watch misses."""
    policies = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    made = allow(namespace, "missed", "gw", [8092])
    made["metadata"]["annotations"] = {"example.com/long": LONG_TEXT}
    await client.ask("POST", policies, made)
    await client.ask("DELETE", f"{policies}/allow-kafka")
    await client.ask("POST", f"/api/v1/namespaces/{namespace}/pods", pod(namespace, "missed", {"app": "missed"}, "c"))


async def until(look: Callable[[], Awaitable[bool]], seconds: float) -> float | None:
    """Look again and again; give how long it took, or None where it did not come."""
    began = time.monotonic()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while True:
                if await look():
                    return time.monotonic() - began
                await asyncio.sleep(PAUSE_SECONDS)
    return None


async def stall(settings: dict[str, Any]) -> dict[str, Any]:
    """Silence every network, change things, heal it, and tell when each replica noticed and when it was exact."""
    folder, ca = Path(settings["folder"]), Path(settings["ca"])
    pair, _ = make_pair()
    tls = write_pair(folder, pair)
    client = ApiClient(f"https://{HOST}:{PORT}", ca, ADMIN_TOKEN)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(client.close)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        replicas = []
        for name, silence in zip(Replica.ADDRESSES, SILENCES, strict=True):
            await run("ip", "address", "replace", f"{Replica.ADDRESSES[name]}/32", "dev", "lo")
            between = await stack.enter_async_context(network(PORT, HOST))
            (folder / f"{name}.kubeconfig").write_text(kubeconfig(f"https://{between.address}", ca, ADMIN_TOKEN))
            replica = Replica(name, folder, tls, settings["environment"])
            stack.push_async_callback(replica.stop)
            await replica.start()
            replicas.append(Stalled(silence, name, between, session))

        async def is_exact(one: Stalled) -> bool:
            return await one.knows() == await there(client)

        before = [await until(lambda one=one: is_exact(one), EXACT_SECONDS) for one in replicas]
        began = time.time()
        for one in replicas:
            SILENCES[one.silence](one.between)
        await change(client, settings["namespace"])
        told = await asyncio.gather(*(until(one.says_so, TOLD_SECONDS) for one in replicas))
        wrong = [await is_exact(one) for one in replicas]
        for one in replicas:
            one.between.heal()
        exact = await asyncio.gather(*(until(lambda one=one: is_exact(one), EXACT_SECONDS) for one in replicas))
        return {
            "began": began,
            "before": before,
            "told": dict(zip(SILENCES, told, strict=True)),
            "as": {one.silence: one.told for one in replicas},
            "exact meanwhile": wrong,
            "exact": dict(zip(SILENCES, exact, strict=True)),
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(stall(json.loads(sys.argv[1])))))
