"""Where egress goes is read from the API server: few objects, chosen by what EEM calls, and only with the right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import yaml
from admission.egress_scene import (
    API_SERVICE,
    API_SLICE,
    DNS_SERVICE,
    DNS_SLICE,
    HOST,
    MANAGER_ROUTE,
    ROUTER_SERVICE,
    ROUTER_SLICE,
)
from admission.reviews import gateway, manager
from aiohttp import web
from aiohttp.test_utils import TestServer
from builders import ApiObject, namespace
from cluster_builders import Token

from benchmarks.structure import ROOT
from webhook.admission import Options
from webhook.admission.options import is_egress_judged
from webhook.cluster.client import ApiClient
from webhook.cluster.destination_reads import ACCESS_REVIEWS, ACCESS_SECONDS, INTERVAL_SECONDS, DestinationReads
from webhook.cluster.errors import ClusterError
from webhook.cluster.store import Store
from webhook.cluster.timing import Clock
from webhook.eem import EemSnapshot
from webhook.eem.destinations import SERVICE_LABEL

SERVICES = (API_SERVICE, DNS_SERVICE, ROUTER_SERVICE)
SLICES = (API_SLICE, DNS_SLICE, ROUTER_SLICE)
EEM = (namespace(), manager(), gateway(spec={"manager": {"endpoint": f"https://{HOST}"}}))
PLAIN = (namespace(), gateway(spec={"manager": {"endpoint": "https://mgr.eem.svc:3000"}}))
SECONDS = 20


def of(objects: tuple[ApiObject, ...], place: str) -> list[ApiObject]:
    return [one for one in objects if one["metadata"].get("namespace", "default") == place]


class Server:
    """An API server with some Services, EndpointSlices and Routes."""

    def __init__(self) -> None:
        self.denied: set[str] = set()
        self.failing: dict[str, int] = {}
        self.asked: list[str] = []
        self.reviews = 0

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == ACCESS_REVIEWS.path():
            self.reviews += 1
            attributes = (await request.json())["spec"]["resourceAttributes"]
            return web.json_response({"status": {"allowed": attributes["resource"] not in self.denied}})
        self.asked.append(request.path)
        for part, status in self.failing.items():
            if part in request.path:
                return web.json_response({"kind": "Status", "code": status}, status=status)
        return self._objects(request)

    def _objects(self, request: web.Request) -> web.Response:
        parts = request.path.split("/")
        place, plural = parts[parts.index("namespaces") + 1], parts[parts.index("namespaces") + 2]
        if plural == "services":
            found = [one for one in of(SERVICES, place) if one["metadata"]["name"] == parts[-1]]
            return web.json_response(found[0] if found else {}, status=200 if found else 404)
        items = [MANAGER_ROUTE] if (place, plural) == ("eem", "routes") else []
        if plural == "endpointslices":
            label, _, name = request.query["labelSelector"].partition("=")
            items = [one for one in of(SLICES, place) if one["metadata"]["labels"][label] == name]
            assert label == SERVICE_LABEL
        return web.json_response({"metadata": {"resourceVersion": "1"}, "items": items})


class Reading:
    """A store and what reads into it."""

    def __init__(self, client: ApiClient, *objects: ApiObject, options: Options) -> None:
        self.store = Store()
        self.store.reset(EemSnapshot.from_objects(objects))
        self.slept: list[float] = []
        self.now = 0.0
        clock = Clock(monotonic=lambda: self.now, sleep=self._sleep)
        self.reads = DestinationReads(
            client, self.store, lambda snapshot: is_egress_judged(snapshot, options), clock=clock
        )

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await asyncio.sleep(0)

    @property
    def known(self) -> list[tuple[str, str]]:
        return sorted((kind, name) for kind, _, name in self.store.snapshot.destinations.objects)


@asynccontextmanager
async def reading(
    *objects: ApiObject, options: Options | None = None, denied: tuple[str, ...] = ()
) -> AsyncIterator[tuple[Server, Reading]]:
    server, app = Server(), web.Application()
    server.denied.update(denied)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    async with TestServer(app) as running, ApiClient(Token(str(running.make_url("/")).rstrip("/"))) as client:
        yield server, Reading(client, *objects, options=options or Options())


def names(*objects: ApiObject) -> list[tuple[str, str]]:
    return sorted((one["kind"], one["metadata"]["name"]) for one in objects)


async def test_what_the_needs_lead_to_is_read() -> None:
    """The API server, DNS, the Route of the endpoint, and the router that admitted it; no other object is asked for."""
    async with reading(*EEM) as (server, read):
        await read.reads.look()

    assert read.known == names(*SERVICES, *SLICES, MANAGER_ROUTE)
    assert read.reads.problem == ""
    assert "/api/v1/namespaces/kube-system/services/kube-dns" in server.asked
    assert not any(path.endswith("/services") for path in server.asked)


async def test_routes_are_read_only_where_a_host_may_be_one() -> None:
    """The name of a Service is no Route; its Service is read."""
    async with reading(*PLAIN) as (server, read):
        await read.reads.look()

    assert "/api/v1/namespaces/eem/services/mgr" in server.asked
    assert not any("routes" in path or "ingresses" in path for path in server.asked)


@pytest.mark.parametrize(
    ("objects", "options"),
    [
        pytest.param(EEM, Options(egress="off"), id="by the setting"),
        pytest.param((namespace("shop"),), Options(), id="without EEM"),
    ],
)
async def test_nothing_is_asked_where_egress_is_not_judged(objects: tuple[ApiObject, ...], options: Options) -> None:
    """No right is used, and what was read before is forgotten."""
    async with reading(*objects, options=options) as (server, read):
        read.store.set_destinations(EemSnapshot.from_objects([API_SERVICE]).destinations)
        await read.reads.look()

    assert (server.asked, server.reviews, read.known) == ([], 0, [])


async def test_without_a_right_nothing_of_the_kind_is_asked_for() -> None:
    """The note names the kinds; the right is asked for again after some minutes."""
    async with reading(*EEM, denied=("services", "routes")) as (server, read):
        await read.reads.look()
        first = list(server.asked)
        server.denied.clear()
        await read.reads.look()
        before = read.known
        read.now = ACCESS_SECONDS
        await read.reads.look()

    assert not any("/services/" in path or "routes" in path for path in first)
    assert before == names(API_SLICE, DNS_SLICE)
    assert read.known == names(*SERVICES, *SLICES, MANAGER_ROUTE)
    assert read.reads.problem == ""


async def test_the_note_names_what_may_not_be_read() -> None:
    """Every kind in words, and the component that has the rights."""
    async with reading(*EEM, denied=("services", "endpointslices", "routes", "ingresses")) as (server, read):
        await read.reads.look()

    assert (server.asked, read.known) == ([], [])
    assert read.reads.problem == (
        "services, endpointslices, routes, ingresses may not be read, so where egress goes is not known "
        "(component egress)"
    )


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize(("part", "kind"), [("/services/", "Service"), ("endpointslices", "EndpointSlice")])
async def test_what_is_refused_or_missing_is_not_known(status: int, part: str, kind: str) -> None:
    """The rest is read."""
    async with reading(*EEM) as (server, read):
        server.failing[part] = status
        await read.reads.look()

    assert read.known == [one for one in names(*SERVICES, *SLICES, MANAGER_ROUTE) if one[0] != kind]


@pytest.mark.parametrize("part", ["/services/", "routes"])
async def test_while_the_api_server_fails_what_was_known_counts(part: str) -> None:
    """A failure is no sign that nothing is there."""
    async with reading(*EEM) as (server, read):
        await read.reads.look()
        before = read.store.snapshot.destinations
        server.failing[part] = 500
        with pytest.raises(ClusterError):
            await read.reads.look()

    assert read.store.snapshot.destinations is before


async def test_an_answer_that_is_no_object_is_a_failure() -> None:
    """As a proxy may send it."""

    async def handle(request: web.Request) -> web.Response:
        if request.method == "POST":
            return web.json_response({"status": {"allowed": True}})
        return web.json_response(["what"])

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", handle)
    async with TestServer(app) as running, ApiClient(Token(str(running.make_url("/")).rstrip("/"))) as client:
        read = Reading(client, *PLAIN, options=Options())
        with pytest.raises(ClusterError, match="the answer is not an object"):
            await read.reads.look()


async def test_the_same_answers_change_nothing() -> None:
    """The snapshot stays the same object, so that nothing is evaluated again."""
    async with reading(*EEM) as (_, read):
        await read.reads.look()
        before = read.store.snapshot
        await read.reads.look()

    assert read.store.snapshot is before


async def test_it_goes_on_after_any_failure() -> None:
    """The problem is shown until the next success."""
    async with reading(*EEM) as (server, read):
        server.failing["routes"] = 500
        task = asyncio.create_task(read.reads.run())
        async with asyncio.timeout(SECONDS):
            while INTERVAL_SECONDS not in read.slept:  # noqa: ASYNC110 - it has no event of its own
                await asyncio.sleep(0)
            problem = read.reads.problem
            server.failing.clear()
            while read.reads.problem:  # noqa: ASYNC110
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert problem.startswith("not read now: 500")
    assert read.known == names(*SERVICES, *SLICES, MANAGER_ROUTE)


async def test_an_unexpected_error_does_not_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is logged, and the next attempt comes."""
    async with reading(*EEM) as (_, read):
        monkeypatch.setattr("webhook.cluster.destination_reads.services_to_read", lambda *_: 1 / 0)
        task = asyncio.create_task(read.reads.run())
        async with asyncio.timeout(SECONDS):
            while read.slept.count(INTERVAL_SECONDS) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert read.reads.problem == "not read now: ZeroDivisionError"


def test_the_component_grants_exactly_what_is_used() -> None:
    """Single Services, and lists of the three other kinds."""
    text = (ROOT / "manifests/components/egress/role.yaml").read_text()
    (role, binding) = yaml.safe_load_all(text)
    granted: list[tuple[Any, ...]] = [
        (*rule["apiGroups"], *rule["resources"], *rule["verbs"]) for rule in role["rules"]
    ]

    assert granted == [
        ("", "services", "get"),
        ("discovery.k8s.io", "endpointslices", "list"),
        ("networking.k8s.io", "ingresses", "list"),
        ("route.openshift.io", "routes", "list"),
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
