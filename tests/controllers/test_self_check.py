"""The self-check: this replica's HTTPS port answers, and only the service's own refusal proves that reviews arrive."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_api_server import Mode, answer
from registration_builders import desk, refuse

from certs.authority import KeyPair, issue_serving_pair, make_authority
from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.controllers.self_check import INTERVAL_SECONDS, SERVER_NAME, OwnPort
from webhook.eem.resources import NETWORK_POLICIES

NOW = datetime.now(UTC)
AUTHORITY, OTHER = make_authority(now=NOW), make_authority(now=NOW)
BUNDLE = AUTHORITY.certificate_pem()
POST = ("POST", NETWORK_POLICIES.plural)


@asynccontextmanager
async def served(folder: Path, response: bytes, *names: str) -> AsyncIterator[OwnPort]:
    """Listen with a certificate for *names*, and send one response to each client."""
    pair: KeyPair = issue_serving_pair(AUTHORITY, names=names or (SERVER_NAME,), now=NOW)
    path = folder / "pair.pem"
    path.write_bytes(pair.certificate_pem() + pair.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(response)
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=context)
    try:
        yield OwnPort("0.0.0.0", server.sockets[0].getsockname()[1], timeout_seconds=2.0)  # noqa: S104
    finally:
        server.close()


async def test_any_http_answer_to_a_client_that_trusts_the_bundle_is_enough(tmp_path: Path) -> None:
    """The port passes if it answers in HTTP, with a certificate for the Service's name that the bundle signs."""
    async with served(tmp_path, b"HTTP/1.1 404 Not Found\r\n\r\n") as port:
        assert await port.problem(BUNDLE) is None


@pytest.mark.parametrize(
    ("bundle", "response", "names", "problem"),
    [
        pytest.param(OTHER.certificate_pem(), b"HTTP/1.1 200 OK\r\n", (), "verify failed", id="another authority"),
        pytest.param(BUNDLE, b"HTTP/1.1 200 OK\r\n", ("x",), "not valid for", id="another name"),
        pytest.param(BUNDLE, b"SSH-2.0\r\n", (), "does not answer in HTTP", id="another protocol"),
        pytest.param(b"no certificate", b"", (), "does not answer", id="no bundle"),
        pytest.param(b"\xff", b"", (), "does not answer", id="not even text"),
    ],
)
async def test_a_port_that_the_api_server_would_not_trust_has_a_problem(
    tmp_path: Path, bundle: bytes, response: bytes, names: tuple[str, ...], problem: str
) -> None:
    """A wrong authority, name or protocol, and a bundle that cannot be read, are problems."""
    async with served(tmp_path, response, *names) as port:
        assert problem in (await port.problem(bundle) or "")


async def test_a_port_that_stays_silent_times_out() -> None:
    """A port that accepts the connection and sends nothing does not answer."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set_result(None)
        writer.close()

    gone = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = OwnPort("127.0.0.1", server.sockets[0].getsockname()[1], timeout_seconds=0.05)

    assert await port.problem(BUNDLE) == "this replica's HTTPS port does not answer: TimeoutError"

    await gone
    server.close()


async def test_a_closed_port_has_a_problem() -> None:
    """A refused connection is no answer."""
    assert "does not answer" in (await OwnPort("127.0.0.1", 1).problem(BUNDLE) or "")


async def test_the_services_own_refusal_proves_that_reviews_arrive() -> None:
    """The heartbeat is a dry run of one fixed name, and its refusal by the service sets the time of the proof."""
    async with desk() as made:
        made.time.now = 77.0
        await made.heartbeat.send()
        ((_, _, query, _),) = [one for one in made.server.requests if one[:2] == POST]
        ((_, _, body),) = [one for one in made.server.bodies if one[:2] == POST]

        assert query["dryRun"] == "All"
        assert (body["metadata"]["name"], body["metadata"]["namespace"]) == (HEARTBEAT_NAME, CANARY_NAMESPACE)
        assert (made.heartbeat.proven, made.heartbeat.last_success_timestamp_seconds) == (True, 77.0)
        assert (made.heartbeat.failures, made.heartbeat.problem) == (0, None)


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        pytest.param(None, "the API server admitted it", id="admitted"),
        pytest.param(answer(403, "Forbidden", "User may not create networkpolicies"), "may not", id="missing right"),
        pytest.param(refuse("something is lost"), "something is lost", id="refused for another reason"),
        pytest.param(answer(404, "NotFound", "namespace not found"), "namespace not found", id="no namespace"),
        pytest.param(answer(500, "InternalError", "failed calling webhook"), "failed calling", id="no replica answers"),
        pytest.param(answer(403, "Forbidden", HEARTBEAT_REFUSAL), "always refused", id="not by this webhook"),
    ],
)
async def test_any_other_answer_to_the_heartbeat_is_a_failure(fault: Mode | None, problem: str) -> None:
    """A heartbeat that is admitted, refused by another webhook, or not answered proves nothing and is counted."""
    async with desk() as made:
        await made.heartbeat.send()
        made.server.always.pop(POST)
        if fault is not None:
            made.server.always[POST] = fault
        await made.heartbeat.send()

        assert (made.heartbeat.proven, made.heartbeat.failures) == (False, 1)
        assert problem in (made.heartbeat.problem or "")


async def test_the_heartbeat_is_sent_each_minute_and_sooner_without_a_proof() -> None:
    """After a proof the interval is a minute; without one it is half a second, doubled each time up to ten."""
    async with desk() as made:
        await made.registered()
        proven_at = made.heartbeat.last_success_timestamp_seconds
        made.time.now = proven_at + INTERVAL_SECONDS - 0.1

        assert not made.heartbeat.due

        made.time.now += 0.1

        assert made.heartbeat.due

        made.refused = False
        waits: list[float] = []
        for _ in range(7):
            await made.heartbeat.send()
            began = made.time.now
            while not made.heartbeat.due:
                made.time.now += 0.25
            waits.append(made.time.now - began)

        assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
        assert made.heartbeat.failures == 7


async def test_a_heartbeat_without_a_connection_is_a_failure() -> None:
    """An API server that does not answer proves nothing."""
    async with desk() as made:
        await made.server.stop()
        await made.heartbeat.send()

        assert (made.heartbeat.proven, made.heartbeat.failures) == (False, 1)
