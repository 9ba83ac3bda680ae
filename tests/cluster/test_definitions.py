"""EEM's kinds are read in the version that is served, and only a kind without a definition has no instances."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest
from cluster_builders import GATEWAYS, Harness, Token, contents, reflecting, truth, until
from fake_api_server import FakeApiServer, answer, api_server

from webhook.cluster.client import ApiClient
from webhook.cluster.definitions import (
    DEFINITIONS,
    Definition,
    Installation,
    definition_name,
    installation_of,
    without_schemas,
)
from webhook.cluster.lists import read_all
from webhook.cluster.observed import Observed
from webhook.cluster.reflector import Reflector
from webhook.main.writers import known_namespaces

OWN = "v1beta1"
KIND = "EventGateway"
READ_AS_V1 = (
    "read as events.ibm.com/v1, since events.ibm.com/v1beta1 is not served; this release does not know its fields"
)


def definition(*versions: tuple[str, bool], uid: str = "u") -> dict[str, Any]:
    spec = {"versions": [{"name": name, "served": served} for name, served in versions]}
    return {"metadata": {"name": definition_name(GATEWAYS), "uid": uid}, "spec": spec}


@pytest.mark.parametrize(
    ("versions", "served"),
    [
        pytest.param([("v1", True), (OWN, True)], OWN, id="the known version, if it is served"),
        pytest.param([("v1", True), (OWN, False)], "v1", id="another version"),
        pytest.param([("v1beta2", True), ("v1", True), ("v2", False)], "v1", id="stable before beta"),
        pytest.param([("v1alpha9", True), ("v1beta2", True)], "v1beta2", id="beta before alpha"),
        pytest.param([("v2", True), ("v10", True)], "v10", id="the highest number"),
        pytest.param([("v1beta2", True), ("v1beta11", True)], "v1beta11", id="the highest beta number"),
        pytest.param([("nightly", True), ("v1alpha1", True)], "v1alpha1", id="a version before another name"),
        pytest.param([("nightly", True)], "nightly", id="another name"),
        pytest.param([(OWN, False)], None, id="none"),
    ],
)
def test_the_version_to_read(versions: list[tuple[str, bool]], served: str | None) -> None:
    """It is the known version, else the one that the API server prefers."""
    found = installation_of(definition(*versions), GATEWAYS)

    assert (found.is_installed, found.served and found.served.version) == (True, served)


def test_the_schemas_of_a_definition_are_not_held() -> None:
    """They are the largest part of it, and nothing depends on them."""
    whole = definition((OWN, True))
    whole["spec"]["versions"][0]["schema"] = {"openAPIV3Schema": {"description": "long"}}
    kept = without_schemas(whole)

    assert "long" not in repr(kept)
    assert installation_of(kept, GATEWAYS) == installation_of(whole, GATEWAYS)


HELM = {"annotations": {"meta.helm.sh/release-namespace": "events", "meta.helm.sh/release-name": "eem"}}
OLM = {"labels": {"operators.coreos.com/ibm-eventendpointmanagement.openshift-operators": "", "app": "eem"}}


@pytest.mark.parametrize(
    ("metadata", "namespaces"),
    [
        pytest.param({}, set(), id="by hand"),
        pytest.param({"annotations": None, "labels": None}, set(), id="nothing in it"),
        pytest.param(HELM, {"events"}, id="by Helm"),
        pytest.param(OLM, {"openshift-operators"}, id="by the Operator Lifecycle Manager"),
        pytest.param(HELM | OLM, {"events", "openshift-operators"}, id="by both"),
        pytest.param({"labels": {"operators.coreos.com/ibm-eventendpointmanagement": ""}}, set(), id="no namespace"),
    ],
)
def test_the_operator_of_a_kind_is_the_one_that_its_installer_noted(
    metadata: dict[str, Any], namespaces: set[str]
) -> None:
    """The part of the definition that is held tells it."""
    whole = definition((OWN, True))
    whole["metadata"] |= metadata

    assert installation_of(without_schemas(whole), GATEWAYS).operator_namespaces == namespaces


def test_a_kind_without_a_definition_is_not_installed() -> None:
    """Neither is it served."""
    assert installation_of(None, GATEWAYS) == Installation()
    assert not Installation().is_installed
    assert Definition(GATEWAYS).note == ""


@asynccontextmanager
async def installed(server: FakeApiServer) -> AsyncIterator[Harness]:
    """Watch gateways and their CustomResourceDefinition."""
    async with reflecting(server, stored=(GATEWAYS,)) as harness:
        store, clock = harness.store, harness.time.clock()
        observed = Observed(DEFINITIONS, definition_name(GATEWAYS), keep=without_schemas, clock=clock)
        shared = {"reach": harness.reach, "history": harness.history, "clock": clock, "rng": Random(1)}
        reflectors = [
            Reflector(DEFINITIONS, harness.client, observed, selection=observed.selection, **shared),
            Reflector(GATEWAYS, harness.client, store, definition=Definition(GATEWAYS, observed), **shared),
        ]
        tasks = [asyncio.create_task(reflector.run()) for reflector in reflectors]
        try:
            yield harness
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_another_version_is_read_as_soon_as_the_known_one_is_not_served() -> None:
    """No instance is lost in between, and the note tells the version."""
    async with api_server() as server:
        server.define(GATEWAYS, OWN)
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            store = harness.store
            await harness.same(GATEWAYS)
            stream = await server.stream_of(GATEWAYS)
            await harness.until(lambda: store.has_synced)
            known: set[int] = set()
            store.subscribe(lambda: known.add(store.snapshot.count(KIND)))
            server.define(GATEWAYS, "v1")
            stream.cut()
            await harness.until(lambda: bool(store.status[KIND].note))
            server.put(GATEWAYS, "gw", "eem", spec={"changed": True})
            await harness.same(GATEWAYS)

            assert known == {1}
            assert store.notes() == f"eventgateways: {READ_AS_V1}"
            assert known_namespaces(store, 300.0) == {"eem"}

            server.define(GATEWAYS, "v1", OWN)
            await harness.until(lambda: store.notes() is None)
            server.put(GATEWAYS, "new", "eem", spec={})
            await harness.same(GATEWAYS)

            assert known == {1, 2}
            assert store.has_synced


async def test_instances_stay_known_while_no_version_is_served() -> None:
    """No client can change them then, so they stay known and never grow stale; later changes are read."""
    async with api_server() as server:
        server.define(GATEWAYS, OWN)
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            store = harness.store
            await harness.same(GATEWAYS)
            await harness.until(lambda: store.has_synced)
            server.define(GATEWAYS)
            (await server.stream_of(GATEWAYS)).cut()
            began = harness.time.now
            await until(lambda: harness.time.now - began > 600)

            assert contents(store.snapshot, GATEWAYS) == truth(server, GATEWAYS)
            assert store.notes() == (
                "eventgateways: no version of eventgateways.events.ibm.com is served, "
                "so the objects stay as they were known"
            )
            assert known_namespaces(store, 300.0) == {"eem"}

            server.define(GATEWAYS, OWN)
            server.put(GATEWAYS, "new", "eem", spec={})
            await harness.same(GATEWAYS)

            assert store.notes() is None


async def test_a_replica_that_starts_while_no_version_is_served_is_not_ready() -> None:
    """It cannot know the instances, so it neither judges nor takes a namespace from the guard."""
    async with api_server() as server:
        server.define(GATEWAYS)
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            store = harness.store
            await server.asked_times("list", GATEWAYS, 5)
            await harness.until(lambda: "no version" in store.status[KIND].problem)

            assert not store.has_synced
            assert known_namespaces(store, 300.0) is None

            server.define(GATEWAYS, "v1")
            await harness.same(GATEWAYS)
            await harness.until(lambda: store.has_synced)


async def test_a_kind_is_empty_as_soon_as_its_definition_is_deleted() -> None:
    """Only then are its namespaces given up."""
    async with api_server() as server:
        server.define(GATEWAYS, OWN)
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            await harness.same(GATEWAYS)
            await harness.until(lambda: harness.store.has_synced)
            server.undefine(GATEWAYS)
            await harness.until(lambda: not harness.store.status[KIND].served)

            assert known_namespaces(harness.store, 300.0) == frozenset()
            assert harness.store.has_synced


async def test_a_kind_that_is_installed_is_not_known_until_it_is_watched() -> None:
    """From the event of its CustomResourceDefinition on, an instance may exist that no watch has shown."""
    async with api_server() as server:
        server.versions[GATEWAYS.plural] = ()
        async with installed(server) as harness:
            store = harness.store
            await harness.until(lambda: not store.status[KIND].served and store.has_synced)
            synced_with: list[int] = []
            server.define(GATEWAYS, OWN)
            await harness.until(lambda: not store.has_synced)
            store.subscribe(lambda: synced_with.append(store.snapshot.count(KIND)) if store.has_synced else None)
            fault = answer(429, "TooManyRequests", "storage is (re)initializing")
            server.faults["watch", GATEWAYS.plural] += [fault] * 3
            server.put(GATEWAYS, "gw", "eem", spec={})
            await harness.until(lambda: store.has_synced)

            assert set(synced_with) == {1}


async def test_a_kind_that_is_installed_again_is_not_known_until_it_is_listed() -> None:
    """Definition and instance are deleted and created again together, while the watch of the instances is broken."""
    async with api_server() as server:
        server.define(GATEWAYS, OWN)
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            store = harness.store
            await harness.same(GATEWAYS)
            await harness.until(lambda: store.has_synced)
            wrong: list[int] = []
            stream = await server.stream_of(GATEWAYS)
            stream.paused = True
            server.always["watch", GATEWAYS.plural] = answer(429, "TooManyRequests", "storage is (re)initializing")
            server.undefine(GATEWAYS)
            server.define(GATEWAYS, OWN)
            await harness.until(lambda: not store.has_synced)
            server.put(GATEWAYS, "gw", "eem", spec={})
            store.subscribe(lambda: wrong.append(1) if store.has_synced and not _is_exact(harness, server) else None)
            await server.asked_times("watch", GATEWAYS, 4)
            server.always.clear()
            await harness.until(lambda: store.has_synced and _is_exact(harness, server))

            assert wrong == []


def _is_exact(harness: Harness, server: FakeApiServer) -> bool:
    return contents(harness.store.snapshot, GATEWAYS) == truth(server, GATEWAYS)


async def test_a_path_that_is_not_found_for_a_moment_changes_nothing() -> None:
    """An API server that starts answers 404 before it has read the definitions."""
    async with api_server() as server:
        server.define(GATEWAYS, OWN)
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            store = harness.store
            await harness.same(GATEWAYS)
            await harness.until(lambda: store.has_synced)
            known: set[tuple[bool, int]] = set()
            store.subscribe(lambda: known.add((store.has_synced, store.snapshot.count(KIND))))
            server.missing.add(GATEWAYS.plural)
            (await server.stream_of(GATEWAYS)).cut()
            await harness.until(lambda: store.status[KIND].problem == "the API server does not serve it yet")
            server.missing.clear()
            await harness.until(lambda: not store.status[KIND].problem)

            assert known == {(True, 1)}


async def test_without_the_right_to_read_definitions_known_instances_stay(caplog: pytest.LogCaptureFixture) -> None:
    """It is not known why the path is not found; a kind without instances counts as not installed."""
    async with api_server() as server:
        server.always["list", DEFINITIONS.plural] = answer(403, "Forbidden", "no")
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with installed(server) as harness:
            store = harness.store
            await harness.same(GATEWAYS)
            await harness.until(lambda: store.has_synced)
            server.missing.add(GATEWAYS.plural)
            (await server.stream_of(GATEWAYS)).cut()
            await harness.until(lambda: not store.has_synced)

            assert contents(store.snapshot, GATEWAYS) == truth(server, GATEWAYS)
            assert "eventgateways.events.ibm.com is not known" in store.status[KIND].problem
    async with api_server() as server:
        server.always["list", DEFINITIONS.plural] = answer(403, "Forbidden", "no")
        server.missing.add(GATEWAYS.plural)
        async with installed(server) as harness:
            await harness.until(lambda: harness.store.has_synced)

            assert not harness.store.status[KIND].served
    assert 'resources ["customresourcedefinitions"]' in caplog.text


async def test_a_live_read_finds_the_version_that_is_served() -> None:
    """The command line reads discovery documents, which every account may read."""
    async with api_server() as server, ApiClient(Token(server.url)) as client:
        server.put(GATEWAYS, "gw", "eem", spec={})
        server.versions = {**server.versions, GATEWAYS.plural: ("v1",)}
        (found,) = (await read_all(client, GATEWAYS)).objects
        server.versions = {GATEWAYS.plural: (), "eventendpointmanagements": (OWN, "v1")}
        others = await read_all(client, GATEWAYS)
        server.versions = {GATEWAYS.plural: (), "eventendpointmanagements": ()}
        none = await read_all(client, GATEWAYS)

    assert (found["apiVersion"], found["metadata"]["name"]) == ("events.ibm.com/v1", "gw")
    assert others.objects == none.objects == []
