"""The platform and the EEM version are read from discovery documents, again and again."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import ApiServer, Credentials, Trust
from webhook.cluster.discovery import DEFINITIONS, INTERVAL_SECONDS, OPENSHIFT_GROUP, RETRY_SECONDS, Discovery

GATEWAY_NAMES = [{"group": "events.ibm.com", "version": "v1beta1", "kind": "EventGateway"}]


class Source:
    """Credentials for the test's server."""

    max_age_seconds = 60.0

    def __init__(self, url: str) -> None:
        self.api_server = ApiServer(base_url=url)

    def load(self) -> Credentials:
        return Credentials(authorization="Bearer token", trust=Trust(ca_pem=None))


@asynccontextmanager
async def api(answers: dict[str, Any]) -> AsyncIterator[ApiClient]:
    """Serve *answers* by path; an integer is a status, and a path without an answer is not found."""

    async def answer(request: web.Request) -> web.Response:
        found = answers.get(request.path, 404)
        return web.Response(status=found) if isinstance(found, int) else web.json_response(found)

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    async with TestServer(app) as server, ApiClient(Source(str(server.make_url("/")).rstrip("/"))) as client:
        yield client


def definitions(**fields: Any) -> dict[str, Any]:
    spec = {"properties": {name: {"type": "string"} for name in fields}}
    schema = {"properties": {"spec": spec}, "x-kubernetes-group-version-kind": GATEWAY_NAMES}
    return {"components": {"schemas": {"Gateway": schema}}}


@pytest.mark.parametrize(
    ("answers", "platform", "version"),
    [
        pytest.param({}, "kubernetes", "None", id="a cluster without anything"),
        pytest.param({OPENSHIFT_GROUP: {"kind": "APIGroup"}}, "openshift", "None", id="OpenShift"),
        pytest.param({DEFINITIONS: definitions(gatewayContact=1)}, "kubernetes", "11.2.1", id="EEM is installed"),
        pytest.param({DEFINITIONS: ["what"]}, "kubernetes", "None", id="an answer that is none"),
    ],
)
async def test_platform_and_version_are_read(answers: dict[str, Any], platform: str, version: str) -> None:
    """One look reads both."""
    async with api(answers) as client:
        discovery = Discovery(client)
        await discovery.look()

    assert (platform, version) == (discovery.facts.platform, str(discovery.facts.version))


async def test_a_platform_that_the_user_set_stays() -> None:
    """The setting wins over the cluster."""
    async with api({OPENSHIFT_GROUP: {"kind": "APIGroup"}}) as client:
        discovery = Discovery(client, platform="kubernetes")
        await discovery.look()

    assert discovery.facts.platform == "kubernetes"


@pytest.mark.parametrize(
    "first",
    [pytest.param({OPENSHIFT_GROUP: 503}, id="a failure"), pytest.param({}, id="a cluster without EEM")],
)
async def test_while_no_version_is_known_the_next_look_is_sooner(first: dict[str, Any]) -> None:
    """While no version is known it looks again in 10 s, afterwards in 5 min."""
    answers = dict(first)
    waits: list[float] = []
    sleep = _sleeper(answers, waits, {DEFINITIONS: definitions(gatewayContact=1)})
    async with api(answers) as client:
        with pytest.raises(_EnoughError):
            await Discovery(client, sleep=sleep).run()

    assert [RETRY_SECONDS, INTERVAL_SECONDS] == waits


async def test_an_unexpected_error_does_not_end_the_discovery() -> None:
    """The service goes on, since only some rules depend on the result."""
    waits: list[float] = []
    answers: dict[str, Any] = {}
    async with api(answers) as client:
        discovery = Discovery(client, sleep=_sleeper(answers, waits))
        discovery._client = None  # type: ignore[assignment]  # noqa: SLF001  an unexpected error
        with pytest.raises(_EnoughError):
            await discovery.run()

    assert [RETRY_SECONDS, RETRY_SECONDS] == waits


class _EnoughError(Exception):
    """Raised to end an endless loop."""


def _sleeper(
    answers: dict[str, Any], waits: list[float], later: Mapping[str, Any] = MappingProxyType({})
) -> Callable[[float], Awaitable[None]]:
    """Return a sleep that records its length, after which the API server gives the answers in *later*."""

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        answers.clear()
        answers.update(later)
        if len(waits) > 1:
            raise _EnoughError

    return sleep
