"""Builders for the tests of the registration: configurations, fake time, and a registrar."""

import base64
import copy
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from cluster_builders import FakeTime, Token, take_list
from fake_api_server import FakeApiServer, Mode, answer, api_server

from webhook.admission.exemptions import HEARTBEAT_REFUSAL
from webhook.cluster.client import ApiClient
from webhook.cluster.observed import Observed
from webhook.controllers.entries import (
    MUTATING,
    NAME,
    POLICIES,
    SHIPPED,
    VALIDATING,
)
from webhook.controllers.events import Recorder
from webhook.controllers.registrar import Inputs, Registrar
from webhook.controllers.self_check import Heartbeat
from webhook.eem.resources import NETWORK_POLICIES, ResourceType

BUNDLE = b"-----BEGIN CERTIFICATE-----\nMQ==\n-----END CERTIFICATE-----\n"


def encoded(bundle: bytes) -> str:
    return base64.b64encode(bundle).decode()


def shipped(resource: ResourceType) -> list[dict[str, Any]]:
    """Return the entries that the manifests ship of a configuration."""
    return [copy.deepcopy(dict(entry)) for entry in SHIPPED[resource.kind]]


def configuration(resource: ResourceType, *entries: Any) -> dict[str, Any]:
    """Return a configuration with these entries."""
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": NAME, "uid": "uid-1", "resourceVersion": "1"},
        "webhooks": list(entries),
    }


def applied(existing: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """
    Imitate a server-side apply as far as these tests need it; the end-to-end tests use the real one.

    A whole entry replaces the one of its name, but keeps conditions that it does not name; a caBundle is set.
    """
    entries = {entry["name"]: copy.deepcopy(entry) for entry in existing["webhooks"]}
    for entry in patch["webhooks"]:
        if "rules" not in entry:
            entries[entry["name"]]["clientConfig"]["caBundle"] = entry["clientConfig"]["caBundle"]
            continue
        named = {one["name"] for one in entry["matchConditions"]}
        before = entries.get(entry["name"], {}).get("matchConditions", [])
        kept = [one for one in before if one["name"] not in named]
        entries[entry["name"]] = copy.deepcopy(entry) | {"matchConditions": [*entry["matchConditions"], *kept]}
    return {"webhooks": list(entries.values())}


def refuse(message: str) -> Mode:
    """Return the fault that answers as the API server does after a webhook has refused."""
    return answer(403, "Forbidden", f'admission webhook "{POLICIES}" denied the request: {message}')


class Desk:
    """A registrar beside a fake API server; the test takes each look."""

    def __init__(self, server: FakeApiServer, client: ApiClient, *, injected: bool = False) -> None:
        self.server = server
        self.time = FakeTime(now=0.0)
        self.leads = True
        self.holder = "pod-2_abc"
        self.stumbles = 0
        self.bundle = BUNDLE
        self.eem: frozenset[str] | None = frozenset({"eem"})
        self.cluster_policies: bool | None = False
        self.trouble: str | None = None
        self.asked: list[bytes] = []
        self.reopened = 0
        self.notes: dict[str, str] = {}
        clock = self.time.clock()
        self.validating = Observed(VALIDATING, NAME, clock=clock)
        self.mutating = Observed(MUTATING, NAME, clock=clock)
        self.heartbeat = Heartbeat(client, clock=clock)
        self.recorder = Recorder(client, instance="pod-1", clock=clock)
        self.events: list[tuple[str, str]] = []
        self.recorder.record = lambda _, reason, message, **__: self.events.append((reason, message))  # type: ignore[method-assign]
        self.registrar = Registrar(
            client,
            validating=self.validating,
            mutating=self.mutating,
            heartbeat=self.heartbeat,
            recorder=self.recorder,
            inputs=Inputs(
                leads=self._leads,
                holder=lambda: self.holder,
                bundle=None if injected else lambda: self.bundle,
                namespaces=lambda: self.eem,
                cluster_policies=lambda: self.cluster_policies,
                port_problem=self._port_problem,
                reopen_watches=self._reopen,
                definition_notes=lambda: self.notes,
            ),
            clock=clock,
            rng=Random(1),
        )
        server.patched = applied
        self.refused = True

    def _leads(self) -> bool:
        if self.stumbles:
            self.stumbles -= 1
            raise ValueError("a bug")
        return self.leads

    async def _port_problem(self, bundle: bytes) -> str | None:
        self.asked.append(bundle)
        return self.trouble

    def _reopen(self) -> None:
        self.reopened += 1

    @property
    def refused(self) -> bool:
        """Whether the API server refuses the heartbeat, as it does if reviews arrive."""
        return ("POST", NETWORK_POLICIES.plural) in self.server.always

    @refused.setter
    def refused(self, works: bool) -> None:
        self.server.always.pop(("POST", NETWORK_POLICIES.plural), None)
        if works:
            self.server.always["POST", NETWORK_POLICIES.plural] = refuse(HEARTBEAT_REFUSAL)

    async def see(self) -> None:
        """Copy the state of the server, as the watches do."""
        for observed in (self.validating, self.mutating):
            plural = observed.resource.plural
            found = [copy.deepcopy(one) for one in self.server.objects[plural].values()]
            await take_list(observed, observed.resource.kind, found, self.server.revision)

    async def step(self, seconds: float = 0.25) -> None:
        """Copy the state, check it, send a heartbeat if it is due, and pass the time until the next check."""
        await self.see()
        await self.registrar.look()
        await self.registrar.send_heartbeat()
        self.time.now += seconds

    async def registered(self) -> None:
        """Step until the registration is complete."""
        for _ in range(4):
            await self.step()
        await self.see()

    def ship(self) -> None:
        """Apply the manifests to an empty server."""
        for resource in (VALIDATING, MUTATING):
            self.server.put(resource, NAME, webhooks=shipped(resource))

    def edit(self, resource: ResourceType, change: Callable[[list[dict[str, Any]]], object]) -> None:
        """Change the entries of a configuration as another client does."""
        entries = copy.deepcopy(self.server.objects[resource.plural]["", NAME]["webhooks"])
        change(entries)
        self.server.put(resource, NAME, webhooks=entries)

    def entry(self, name: str, resource: ResourceType = VALIDATING) -> dict[str, Any] | None:
        """Return one entry as the server has it."""
        entries = self.server.objects[resource.plural]["", NAME]["webhooks"]
        return next((one for one in entries if one["name"] == name), None)

    @property
    def namespaces(self) -> list[str] | None:
        """Return the registered namespaces."""
        entry = self.entry(POLICIES)
        return None if entry is None else entry["namespaceSelector"]["matchExpressions"][0]["values"]


@asynccontextmanager
async def desk(*, injected: bool = False) -> AsyncIterator[Desk]:
    """Return a registrar beside a server with the configurations of the manifests."""
    async with (
        api_server(further=(VALIDATING, MUTATING, NETWORK_POLICIES)) as server,
        ApiClient(Token(server.url)) as client,
    ):
        made = Desk(server, client, injected=injected)
        made.ship()
        yield made
