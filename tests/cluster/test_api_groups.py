"""Which policy kinds the API server serves: the discovery document, its changes, and its failures."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cluster_builders import Token

from webhook.cluster.api_groups import INTERVAL_SECONDS, PATH, RETRY_SECONDS, ApiGroups
from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ClusterError

CILIUM = {"cilium.io": {"v2": ["ciliumnetworkpolicies"], "v2alpha1": ["ciliumcidrgroups"]}}
ADMIN = {"policy.networking.k8s.io": {"v1beta1": ["clusternetworkpolicies"], "v1alpha2": ["clusternetworkpolicies"]}}


def document(groups: dict[str, dict[str, list[str]]], **versions: Any) -> dict[str, Any]:
    """Return the discovery document of some groups, with the resources of each version."""
    items = [
        {
            "metadata": {"name": group},
            "versions": [
                {
                    "version": version,
                    "freshness": "Current",
                    "resources": [{"resource": plural, "scope": "Cluster", "verbs": ["list"]} for plural in plurals],
                    **versions,
                }
                for version, plurals in known.items()
            ],
        }
        for group, known in groups.items()
    ]
    return {"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "items": items}


class Server:
    """Answers with a document and its ETag, or with a status."""

    def __init__(self, answer: dict[str, Any] | int | str) -> None:
        self.answer = answer
        self.statuses: list[int] = []
        self.accepted = ""

    async def handle(self, request: web.Request) -> web.Response:
        self.accepted = request.headers["Accept"]
        response = self._response(request.headers.get("If-None-Match"))
        self.statuses.append(response.status)
        return response

    def _response(self, known: str | None) -> web.Response:
        if isinstance(self.answer, int):
            return web.Response(status=self.answer)
        body = self.answer if isinstance(self.answer, str) else json.dumps(self.answer)
        etag = f'"{hash(body)}"'
        return web.Response(status=304) if known == etag else web.Response(text=body, headers={"ETag": etag})


@asynccontextmanager
async def api(answer: dict[str, Any] | int | str) -> AsyncIterator[tuple[Server, ApiClient]]:
    server, app = Server(answer), web.Application()
    app.router.add_get(PATH, server.handle)
    async with TestServer(app) as running, ApiClient(Token(str(running.make_url("/")).rstrip("/"))) as client:
        yield server, client


def names(groups: ApiGroups) -> list[str]:
    return [known.name for known in groups.others(())]


async def test_the_served_policy_kinds_are_found_in_one_request() -> None:
    """Other groups and other resources do not matter; the versions stay in the order of the API server."""
    async with api(document({"apps": {"v1": ["deployments"]}} | CILIUM | ADMIN)) as (server, client):
        groups = ApiGroups(client)
        await groups.look()

    assert names(groups) == ["ClusterNetworkPolicy.policy.networking.k8s.io", "CiliumNetworkPolicy.cilium.io"]
    assert list(groups.served.values()) == [("v1beta1", "v1alpha2"), ("v2",)]
    assert server.statuses == [200]
    assert "v=v2beta1" in server.accepted


async def test_nothing_is_read_again_while_nothing_changes() -> None:
    """The answer to the second request has no body, and the listeners are called once."""
    calls: list[list[str]] = []
    async with api(document({})) as (server, client):
        groups = ApiGroups(client)
        groups.subscribe(lambda: calls.append(names(groups)))
        await groups.look()
        await groups.look()
        server.answer = document({"apps": {}})
        await groups.look()

    assert server.statuses == [200, 304, 200]
    assert calls == [[]]


async def test_a_kind_that_comes_and_goes_is_noticed() -> None:
    """Each change calls the listeners."""
    calls: list[list[str]] = []
    async with api(document({})) as (server, client):
        groups = ApiGroups(client)
        groups.subscribe(lambda: calls.append(names(groups)))
        for answer in (document({}), document(CILIUM), document({})):
            server.answer = answer
            await groups.look()

    assert calls == [[], ["CiliumNetworkPolicy.cilium.io"], []]


async def test_a_kind_whose_own_server_does_not_answer_stays() -> None:
    """The document says that the group's part of it is old, so an absent kind proves nothing."""
    async with api(document(CILIUM)) as (server, client):
        groups = ApiGroups(client)
        await groups.look()
        server.answer = document({"cilium.io": {"v2": []}}, freshness="Stale")
        await groups.look()

        assert names(groups) == ["CiliumNetworkPolicy.cilium.io"]


@pytest.mark.parametrize("status", [403, 404, 406])
async def test_a_refused_document_leaves_the_kinds_unknown_and_tells(status: int) -> None:
    """The guard works without it: verdicts do not wait for ever."""
    async with api(status) as (_, client):
        groups = ApiGroups(client)
        await groups.look()

    assert groups.is_known
    assert str(status) in groups.problem


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(503, id="a failure"),
        pytest.param("<html>", id="not JSON"),
        pytest.param({"kind": "APIGroupList", "groups": []}, id="another document"),
    ],
)
async def test_an_answer_that_is_no_document_proves_nothing(answer: dict[str, Any] | int | str) -> None:
    """What was known stays known."""
    async with api(document(CILIUM)) as (server, client):
        groups = ApiGroups(client)
        await groups.look()
        server.answer = answer
        with pytest.raises(ClusterError):
            await groups.look()

    assert names(groups) == ["CiliumNetworkPolicy.cilium.io"]


async def waits(client: ApiClient, step: Callable[[list[float]], None]) -> list[float]:
    """Return how long the discovery waited, until *step* ended it."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)
        step(found)

    groups = ApiGroups(client, sleep=sleep)
    with pytest.raises(asyncio.CancelledError):
        await groups.run()
    return [*found, float(bool(groups.problem))]


async def test_the_document_is_read_again_sooner_after_a_failure() -> None:
    """A failure is shown until the next success, and one of this program ends nothing either."""
    async with api(503) as (server, client):

        def step(found: list[float]) -> None:
            server.answer = "broken" if len(found) == 1 else document(CILIUM)
            if len(found) == 3:
                raise asyncio.CancelledError

        assert [RETRY_SECONDS, RETRY_SECONDS, INTERVAL_SECONDS, 0.0] == await waits(client, step)


async def test_a_bug_does_not_end_the_discovery(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback."""
    async with api(document(CILIUM)) as (_, client):
        groups = ApiGroups(client, sleep=_stop)
        groups.subscribe(_fail)
        with pytest.raises(asyncio.CancelledError):
            await groups.run()

    assert "unexpected error" in caplog.text
    assert groups.problem == "a bug"


def _fail() -> None:
    raise RuntimeError("a bug")


async def _stop(_: float) -> None:
    raise asyncio.CancelledError
