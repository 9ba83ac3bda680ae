"""Cluster-wide policies are watched while the API server serves their kind, and where the account may read them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random

import pytest
from builders import admin_policy, cluster_policy
from cluster_builders import Harness, reflecting, until
from fake_api_server import FakeApiServer, answer, api_server

from webhook.cluster.api_groups import ApiGroups, ServedKind
from webhook.cluster.reflector import Reflector
from webhook.eem import ResourceType
from webhook.eem.resources import CALICO, CALICO_VERSIONS, CLUSTER_POLICIES, CLUSTER_POLICY_VERSIONS

ADMIN, BASELINE, CLUSTER = CLUSTER_POLICIES
OLDER = replace(CLUSTER, version="v1alpha2")
FURTHER = (*CLUSTER_POLICIES, OLDER)
FORBIDDEN = answer(403, "Forbidden", "adminnetworkpolicies is forbidden")


class Followed(Harness):
    """The reflector of one kind that discovery shows."""

    groups: ApiGroups

    def knows(self, resource: ResourceType, *names: str) -> bool:
        """Whether the kind is known, with exactly these objects."""
        known = {name for _, name in self.store.snapshot.names(resource.kind)}
        return self.store.has_synced and self.store.status[resource.kind].served and known == set(names)


@asynccontextmanager
async def following(server: FakeApiServer, resource: ResourceType) -> AsyncIterator[Followed]:
    """Watch a kind once the discovery document was read, which the test does."""
    async with reflecting(server, stored=(resource,)) as harness:
        harness.__class__ = Followed
        assert isinstance(harness, Followed)
        harness.groups = ApiGroups(harness.client)
        reflector = Reflector(
            resource,
            harness.client,
            harness.store,
            definition=ServedKind(resource, harness.groups),
            reach=harness.reach,
            history=harness.history,
            clock=harness.time.clock(),
            rng=Random(1),
        )
        task = asyncio.create_task(reflector.run())
        try:
            yield harness
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def serve(server: FakeApiServer, resource: ResourceType, *versions: str) -> None:
    server.serve_kind(resource.group, resource.plural, *(versions or (resource.version,)))


def put(server: FakeApiServer, resource: ResourceType, name: str) -> None:
    """Create a policy of the kind."""
    spec = (admin_policy(name) if resource.kind == ADMIN.kind else cluster_policy(name))["spec"]
    server.put(resource, name, spec=spec)


async def passes(harness: Harness, seconds: float) -> None:
    began = harness.time.now
    await until(lambda: harness.time.now - began > seconds)


async def test_a_kind_that_is_not_served_costs_no_request() -> None:
    """It counts as absent, and stays so without growing stale."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        await harness.groups.look()
        await harness.until(lambda: harness.store.has_synced)
        await passes(harness, 900)

        assert not harness.store.status[ADMIN.kind].served
        assert harness.store.not_ready(ADMIN.kind) is None
        assert [plural for _, plural, _, _ in server.requests] == []


async def test_nothing_is_known_before_the_discovery_document() -> None:
    """A policy may exist, so no verdict is given."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        await passes(harness, 60)

        assert not harness.store.has_synced
        assert server.requests == []


async def test_a_kind_that_is_served_is_watched() -> None:
    """Its objects are in the snapshot, and later ones come."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        serve(server, ADMIN)
        put(server, ADMIN, "first")
        await harness.groups.look()
        await harness.until(lambda: harness.knows(ADMIN, "first"))
        put(server, ADMIN, "second")
        await harness.until(lambda: harness.knows(ADMIN, "first", "second"))


async def test_a_kind_that_comes_is_not_known_until_it_is_watched() -> None:
    """From the discovery on, a policy may exist that no watch has shown."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        await harness.groups.look()
        await harness.until(lambda: harness.store.has_synced)
        serve(server, ADMIN)
        put(server, ADMIN, "first")
        seen: list[tuple[bool, int]] = []
        harness.store.subscribe(
            lambda: seen.append((harness.store.has_synced, harness.store.snapshot.count(ADMIN.kind)))
        )
        await harness.groups.look()
        await harness.until(lambda: harness.knows(ADMIN, "first"))

        first_change = next(index for index, (synced, _) in enumerate(seen) if not synced)
        assert not [found for found in seen[first_change:] if found == (True, 0)]


async def test_a_kind_that_goes_is_absent() -> None:
    """Its objects are gone, and nothing more is asked."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        serve(server, ADMIN)
        put(server, ADMIN, "first")
        await harness.groups.look()
        await harness.until(lambda: harness.knows(ADMIN, "first"))
        server.missing.add(ADMIN.plural)
        server.groups.clear()
        (await server.stream_of(ADMIN)).cut()
        await harness.groups.look()
        await harness.until(lambda: not harness.store.status[ADMIN.kind].served)
        asked = len(server.requests)
        await passes(harness, 60)

        assert harness.store.has_synced
        assert harness.store.snapshot.count(ADMIN.kind) == 0
        assert len(server.requests) == asked


async def test_a_kind_that_may_not_be_read_counts_as_absent_until_it_may() -> None:
    """The problem names the missing rule; as soon as the right is there, the kind is read."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        server.always["list", ADMIN.plural] = FORBIDDEN
        serve(server, ADMIN)
        put(server, ADMIN, "first")
        await harness.groups.look()
        await harness.until(lambda: harness.store.has_synced)
        await passes(harness, 900)

        assert not harness.store.status[ADMIN.kind].served
        assert harness.store.not_ready(ADMIN.kind) is None
        assert 'apiGroups ["policy.networking.k8s.io"]' in harness.store.status[ADMIN.kind].problem

        del server.always["list", ADMIN.plural]
        await harness.until(lambda: harness.knows(ADMIN, "first"))
        assert harness.store.status[ADMIN.kind].problem == ""


async def test_a_right_that_is_withdrawn_makes_the_kind_absent() -> None:
    """A short refusal changes nothing, since an API server that starts refuses, too."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        serve(server, ADMIN)
        put(server, ADMIN, "first")
        await harness.groups.look()
        await harness.until(lambda: harness.knows(ADMIN, "first"))
        for verb in ("list", "watch", "metadata"):
            server.always[verb, ADMIN.plural] = FORBIDDEN
        began = harness.time.now
        (await server.stream_of(ADMIN)).cut()
        await harness.until(lambda: not harness.store.status[ADMIN.kind].served)

        assert harness.time.now - began >= 30
        assert harness.store.has_synced
        assert harness.store.snapshot.count(ADMIN.kind) == 0


@pytest.mark.parametrize(
    ("versions", "read"),
    [
        pytest.param(("v1alpha2",), OLDER, id="the older one alone"),
        pytest.param(("v1beta1", "v1alpha2"), CLUSTER, id="the newer of two"),
        pytest.param(("v1", "v1beta1"), CLUSTER, id="a known one beside an unknown one"),
    ],
)
async def test_the_version_that_is_read(versions: tuple[str, ...], read: ResourceType) -> None:
    """A kind that is served in several versions is read in the newest one that is known; none is worth a note."""
    async with api_server(further=FURTHER) as server, following(server, CLUSTER) as harness:
        serve(server, CLUSTER, *versions)
        put(server, CLUSTER, "first")
        await harness.groups.look()
        await harness.until(lambda: harness.knows(CLUSTER, "first"))

        assert harness.store.status[CLUSTER.kind].resource == read
        assert harness.store.notes() is None


async def test_a_kind_without_a_known_version_counts_as_absent() -> None:
    """Its fields may mean something else, so nothing is asked."""
    async with api_server(further=FURTHER) as server, following(server, ADMIN) as harness:
        serve(server, ADMIN, "v2")
        await harness.groups.look()
        await harness.until(lambda: harness.store.has_synced)

        assert not harness.store.status[ADMIN.kind].served
        assert [known.kind for known in harness.groups.others(())] == [ADMIN.kind]
        assert server.requests == []


def test_each_kind_has_a_version_to_read() -> None:
    """The version of its type is the preferred one."""
    assert {one.kind: one.version for one in CLUSTER_POLICIES} == {
        kind: versions[0] for kind, versions in CLUSTER_POLICY_VERSIONS.items()
    }


@pytest.mark.parametrize("resource", CALICO, ids=lambda one: one.kind)
async def test_a_kind_of_calico_that_is_not_served_costs_no_request(resource: ResourceType) -> None:
    """A cluster without Calico pays for none of its kinds."""
    async with api_server(further=CALICO) as server, following(server, resource) as harness:
        await harness.groups.look()
        await harness.until(lambda: harness.store.has_synced)
        await passes(harness, 300)

        assert not harness.store.status[resource.kind].served
        assert server.requests == []


@pytest.mark.parametrize("group", sorted(CALICO_VERSIONS))
@pytest.mark.parametrize("resource", CALICO[1:3], ids=lambda one: one.kind)
async def test_a_kind_of_calico_is_watched_in_the_group_that_is_served(resource: ResourceType, group: str) -> None:
    """Objects come and go, whatever the group and the name of their kind are."""
    served = replace(resource, group=group, version=CALICO_VERSIONS[group])
    async with api_server(further=(served,)) as server, following(server, resource) as harness:
        serve(server, served)
        server.put(served, "first", spec={})
        await harness.groups.look()
        await harness.until(lambda: harness.knows(resource, "first"))
        server.put(served, "second", spec={})
        await harness.until(lambda: harness.knows(resource, "first", "second"))
        server.delete(served, "first")
        await harness.until(lambda: harness.knows(resource, "second"))
