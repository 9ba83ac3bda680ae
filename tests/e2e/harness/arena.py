"""
Races and mishaps on a real API server: replicas of the service whose every surrounding is in the tests' hands.

A process of its own on the machine's network. Replica `one` asks the API server itself, `two` through a proxy that can
lag and fail; the API server asks them by address, so that a test says who judges what. Each line of standard input is
an order, answered by a line; the end of standard input ends it all.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from harness.api import ApiClient, ApiError
from harness.faulty_proxy import FaultyProxy
from harness.fixes import Fixes
from harness.judges import PROXY, Objector, Replica, make_pair, registration, write_pair
from harness.objects import Json, deny_all, gateway, namespace
from harness.pairs import Pairs
from harness.plane import ADMIN_TOKEN, HOST, PORT, kubeconfig
from harness.process import run

# Registered with one replica, or (`both`) with the one that has the user's name. In `odd`, another webhook is asked,
# too.
GROUPS = {"one": 12, "two": 12, "both": 12, "odd": 8}
REGISTERED_SECONDS = 60  # the API server honours a new registration within a second or two
PAUSE_SECONDS = 0.05  # between two looks


def names(group: str) -> list[str]:
    """Return the names of the namespaces of a group."""
    return [f"arena-{group}-{number:02}" for number in range(GROUPS[group])]


class Arena:
    """The replicas, what is registered for them, and the namespaces."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self._folder = folder
        self._settings = settings
        self.url = f"https://{HOST}:{PORT}"
        self.ca = Path(settings["ca"])
        self.admin = ApiClient(self.url, self.ca, ADMIN_TOKEN)
        self.users = {name: ApiClient(self.url, self.ca, ADMIN_TOKEN, user=name) for name in ("one", "two")}
        self.proxy = FaultyProxy(self.url, self.ca, ADMIN_TOKEN)
        self.replicas: dict[str, Replica] = {}
        self.objector = Objector()

    async def start(self) -> None:
        """Start what judges, register it, make the namespaces, and wait until everything is known to everyone."""
        pair, ca = make_pair()
        await self._add_addresses()
        await self.proxy.start()
        tls = write_pair(self._folder, pair)
        await self._start_replicas(tls)
        await self.objector.start(tls)
        await asyncio.gather(*(self._make(name) for group in GROUPS for name in names(group)))
        for webhook in self._registrations(ca):
            await self.admin.ask(
                "POST", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations", webhook
            )
        async with asyncio.timeout(REGISTERED_SECONDS):
            for group in GROUPS:
                for user in self.users:
                    await asyncio.gather(*(self._until_judged(name, user) for name in names(group)))

    async def _add_addresses(self) -> None:
        for address in (*Replica.ADDRESSES.values(), PROXY):
            await run("ip", "address", "replace", f"{address}/32", "dev", "lo")

    async def _start_replicas(self, tls: Path) -> None:
        through = {"one": kubeconfig(self.url, self.ca, ADMIN_TOKEN), "two": self.proxy.kubeconfig()}
        for name, text in through.items():
            (self._folder / f"{name}.kubeconfig").write_text(text)
            self.replicas[name] = Replica(name, self._folder, tls, self._settings["environment"])
        for replica in self.replicas.values():
            await replica.start()

    def _registrations(self, ca: str) -> list[Json]:
        one, two = (self.replicas[name].url for name in ("one", "two"))
        both = names("both")
        return [
            registration("arena-one", names("one"), one, ca),
            registration("arena-two", [*names("two"), *names("odd")], two, ca),
            registration("arena-both-one", both, one, ca, user="one"),
            registration("arena-both-two", both, two, ca, user="two"),
            registration("arena-objector", names("odd"), self.objector.url, ca, name="objector.example.com"),
        ]

    async def _make(self, name: str) -> None:
        """Make a namespace with a gateway in it."""
        core, events = f"/api/v1/namespaces/{name}", f"/apis/events.ibm.com/v1beta1/namespaces/{name}"
        space, account = namespace(name)
        instance, pod = gateway(name)
        await self.admin.ask("POST", "/api/v1/namespaces", space)
        await self.admin.ask("POST", f"{core}/serviceaccounts", account)
        await self.admin.ask("POST", f"{events}/eventgateways", instance)
        await self.admin.ask("POST", f"{core}/pods", pod)

    async def _until_judged(self, name: str, user: str) -> None:
        """Wait until a default deny is refused there: then its judge is asked, and knows the gateway."""
        path = f"/apis/networking.k8s.io/v1/namespaces/{name}/networkpolicies?dryRun=All"
        while True:
            try:
                await self.users[user].ask("POST", path, deny_all(name))
            except ApiError as error:
                if "denied the request" in str(error):
                    return
            await asyncio.sleep(PAUSE_SECONDS)

    async def stop(self) -> None:
        """Stop what was started and remove its registrations, also after a partial start."""
        for name in ("arena-one", "arena-two", "arena-both-one", "arena-both-two", "arena-objector"):
            path = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{name}"
            with contextlib.suppress(ApiError):  # not registered yet
                await self.admin.ask("DELETE", path)
        for replica in self.replicas.values():
            await replica.stop()
        await self.objector.stop()
        await self.proxy.stop()
        for client in (self.admin, *self.users.values()):
            await client.close()

    async def obey(self, order: dict[str, Any]) -> Any:
        """Do one thing."""
        orders: dict[str, Callable[..., Awaitable[Any]]] = {
            "pairs": self._race_pairs,
            "fixes": self._race_fixes,
            "fault": self.proxy.fail,
            "decisions": self._decisions,
        }
        what = order.pop("what")
        return await orders[what](**order)

    async def _race_pairs(self, group: str, count: int, seed: int) -> Any:
        lists = self.proxy.lists
        found = await Pairs(self.users["one"], names(group), seed=seed).run(count)
        return {**found, "lists": self.proxy.lists - lists}

    async def _race_fixes(self, count: int, seed: int) -> Any:
        lists = self.proxy.lists
        found = await Fixes(self.users, self.admin, names("both"), seed=seed).run(count)
        return {**found, "lists": self.proxy.lists - lists}

    async def _decisions(self, namespace: str) -> list[dict[str, Any]]:
        """Return the decisions of both replicas in a namespace so far, the oldest first."""
        found = [
            one for replica in self.replicas.values() for one in replica.decisions() if one["namespace"] == namespace
        ]
        return sorted(found, key=lambda one: str(one["time"]))


async def serve(settings: dict[str, Any]) -> None:
    """Be there until standard input ends."""
    folder = Path(settings["folder"])
    arena = Arena(folder, settings)
    try:
        await arena.start()
        print("ready", flush=True)
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
        while line := await reader.readline():
            print(json.dumps(await arena.obey(json.loads(line))), flush=True)
    finally:
        await arena.stop()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
