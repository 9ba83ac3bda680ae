"""The client shows who it is to the API server alone, notices new credentials, and says what went wrong."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from authorities import Authority
from cluster_builders import GATEWAYS, PODS, POLICIES, FakeTime, Token, service_account
from fake_api_server import FakeApiServer, answer, api_server

from webhook.cluster.client import ApiClient
from webhook.cluster.credentials import CredentialsError, ServiceAccount, Trust
from webhook.cluster.errors import AnswerTooLargeError, ApiError, ForbiddenError, UnreachableError, one_line
from webhook.cluster.list_watch import read_all

PODS_PATH = PODS.path()


@asynccontextmanager
async def echo(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Run a server that does one thing, and give its URL."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def in_cluster(server: FakeApiServer, directory: Path) -> ServiceAccount:
    """Give the credentials of a pod whose API server is the fake one."""
    host, _, port = server.url.removeprefix("https://").rpartition(":")
    return ServiceAccount(host, port, directory)


async def test_sends_what_it_is_told_to() -> None:
    """Method, path, query, body and kind of patch arrive, and the answer comes back decoded."""

    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(
            {
                "method": request.method,
                "path": request.path_qs,
                "type": request.headers.get("Content-Type"),
                "agent": request.headers["User-Agent"],
                "body": await request.text(),
            },
            status=201,
        )

    async with echo(handle) as url, ApiClient(Token(url)) as client:
        answered = await client.request(
            "PATCH",
            "/api/v1/namespaces/x",
            query={"fieldManager": "eem guardrail"},
            body={"a": [1]},
            content_type="application/merge-patch+json",
        )

        assert answered == {
            "method": "PATCH",
            "path": "/api/v1/namespaces/x?fieldManager=eem+guardrail",
            "type": "application/merge-patch+json",
            "agent": "eem-guardrail",
            "body": '{"a":[1]}',
        }


async def test_an_empty_answer_is_none() -> None:
    """A success without a body is a success."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response()

    async with echo(handle) as url, ApiClient(Token(url)) as client:
        assert await client.request("DELETE", "/x") is None


@pytest.mark.parametrize(
    ("response", "status", "text"),
    [
        (
            {"status": 409, "text": '{"reason":"Conflict","message":"the object\\nwas modified"}'},
            409,
            "409 Conflict: the object was modified",
        ),
        ({"status": 502, "text": "<html>\x1b[31mbad gateway"}, 502, "502: <html> [31mbad gateway"),
        ({"status": 500, "text": '{"message": 5}'}, 500, '500: {"message": 5}'),
        ({"status": 307, "headers": {"Location": "https://example.invalid/"}}, 307, "307: "),
        ({"status": 500, "text": "x" * 1_000_000}, 500, "500: " + "x" * 400),
    ],
    ids=["Status", "not JSON", "no Status", "redirect", "endless"],
)
async def test_a_failure_says_what_the_api_server_said(response: dict[str, object], status: int, text: str) -> None:
    """The API server's words come on one short line, without control characters; redirects are failures."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    async with echo(handle) as url, ApiClient(Token(url)) as client:
        with pytest.raises(ApiError) as raised:
            await client.request("GET", "/x")

        assert (raised.value.status, str(raised.value)) == (status, text)


async def test_the_token_goes_to_the_api_server_only() -> None:
    """What is not a path on the API server is refused before anything is sent; a redirect is not followed."""
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Authorization", ""))
        return web.Response()

    async with echo(elsewhere) as other:

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": other + "/x"})

        async with echo(redirect) as url, ApiClient(Token(url)) as client:
            for path in (other + "/x", "@" + other.removeprefix("http://"), "x", ""):
                with pytest.raises(ValueError, match="is not a path on the API server"):
                    await client.request("GET", path)
            with pytest.raises(ApiError):
                await client.request("GET", "/x")
            with pytest.raises(ApiError):
                await client.request("GET", "//example.invalid/x")

    assert asked == []


async def test_an_answer_that_is_not_json_is_none() -> None:
    """Something in between that answers 200 with a page is not the API server."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>")

    async with echo(handle) as url, ApiClient(Token(url)) as client:
        with pytest.raises(UnreachableError, match="not JSON"):
            await client.request("GET", "/x")


async def test_an_answer_has_a_limit() -> None:
    """An answer without end is not read without end."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 3_000_000)

    async with echo(handle) as url, ApiClient(Token(url), max_answer_bytes=1_000_000) as client:
        with pytest.raises(AnswerTooLargeError, match="1000000 bytes"):
            await client.request("GET", "/x")


async def test_a_request_has_an_end() -> None:
    """An API server that does not answer is given up after the time that was allowed."""
    never = asyncio.Event()

    async def handle(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with echo(handle) as url, ApiClient(Token(url)) as client:
        with pytest.raises(UnreachableError, match="GET /x"):
            await client.request("GET", "/x", timeout_seconds=0.05)
        never.set()


async def test_connections_notice_that_their_peer_is_gone() -> None:
    """Keepalive and the user timeout are set on the sockets that are really used."""
    async with (
        api_server() as server,
        ApiClient(Token(server.url)) as client,
        client.stream(PODS_PATH, {"watch": "1", "resourceVersion": "100"}),
    ):
        session = client._session  # noqa: SLF001 - no public way leads to the socket
        assert session is not None
        assert session.connector is not None
        (protocol,) = session.connector._acquired  # noqa: SLF001
        transport = protocol.transport
        assert transport is not None
        connection: socket.socket = transport.get_extra_info("socket")

        assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 5
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000


async def test_token_is_read_again_each_minute() -> None:
    """A token that was replaced is used at the latest after 60 s, however many ask at once."""
    time = FakeTime()
    async with api_server() as server:
        token = Token(server.url)
        async with ApiClient(token, monotonic=lambda: time.now) as client:
            await client.request("GET", PODS_PATH)
            token.token = "token-2"
            time.now += 59
            await client.request("GET", PODS_PATH)
            time.now += 1
            await asyncio.gather(*(client.request("GET", PODS_PATH) for _ in range(5)))

        sent = [authorization for _, _, _, authorization in server.requests]

        assert sent == ["Bearer token-1"] * 2 + ["Bearer token-2"] * 5
        assert token.loads == 2


async def test_token_is_read_again_at_once_when_it_is_refused() -> None:
    """401 with a replaced token costs one more request and no failure; with the same token it is a failure."""
    async with api_server() as server:
        server.tokens = {"token-1"}
        token = Token(server.url)
        async with ApiClient(token) as client:
            await client.request("GET", PODS_PATH)
            token.token = "token-2"
            server.tokens = {"token-2"}
            await asyncio.gather(*(client.request("GET", PODS_PATH) for _ in range(3)))

            assert token.loads == 2

            server.tokens = set()
            with pytest.raises(ApiError, match="401"):
                await client.request("GET", PODS_PATH)


async def test_no_token_sends_no_header() -> None:
    """Who has a client certificate or nothing sends no empty token."""
    async with api_server() as server, ApiClient(Token(server.url, token="")) as client:
        await client.request("GET", PODS_PATH)

        assert server.requests[0][3] == ""


async def test_a_pod_is_believed_over_tls(tmp_path: Path) -> None:
    """Token and authority come from the mounted files, and the server's name is checked."""
    authority = Authority()
    service_account(tmp_path, "token-1", authority.pem)
    async with api_server(authority.serving("127.0.0.1")) as server:
        server.tokens = {"token-1"}
        async with ApiClient(in_cluster(server, tmp_path)) as client:
            await client.request("GET", PODS_PATH)

            assert server.requests[0][3] == "Bearer token-1"
    async with api_server(authority.serving("elsewhere")) as server:
        async with ApiClient(in_cluster(server, tmp_path)) as client:
            with pytest.raises(UnreachableError):
                await client.request("GET", PODS_PATH)

        assert server.requests == []


async def test_a_request_keeps_to_its_time_whatever_it_is_repeated_for() -> None:
    """A token that is refused, and read again, does not give a request a second time to take."""
    slow = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer token-2":
            await slow.wait()
        return web.json_response({}, status=401)

    async with echo(handle) as url:
        token = Token(url)
        async with ApiClient(token) as client:
            with pytest.raises(ApiError):
                await client.request("GET", PODS_PATH)
            token.token = "token-2"
            began = asyncio.get_running_loop().time()
            with pytest.raises(UnreachableError):
                await client.request("GET", PODS_PATH, timeout_seconds=0.3)
            took = asyncio.get_running_loop().time() - began
            slow.set()

    assert took < 10 * 0.3


@pytest.mark.parametrize("token", ["a\nb", "a\x00b", "tök\u00e9n"])
async def test_a_token_that_fits_in_no_header_is_told(token: str, tmp_path: Path) -> None:
    """A file that was half written is no reason to fail without a word that people understand."""
    service_account(tmp_path, token, Authority().pem)

    with pytest.raises(CredentialsError, match="an HTTP header cannot have"):
        ServiceAccount("127.0.0.1", "1", tmp_path).load()


async def test_a_new_authority_is_believed_when_it_is_mounted(tmp_path: Path) -> None:
    """After the API server's authority changed, the file is read at once and the request succeeds."""
    old, new = Authority(), Authority()
    service_account(tmp_path, "token-1", old.pem)
    async with api_server(old.serving("127.0.0.1")) as server, ApiClient(in_cluster(server, tmp_path)) as client:
        await client.request("GET", PODS_PATH)
        await server.stop()
        await server.start(new.serving("127.0.0.1"))
        with pytest.raises(UnreachableError):
            await client.request("GET", PODS_PATH)

        service_account(tmp_path, "token-1", old.pem + new.pem)
        await client.request("GET", PODS_PATH)

        assert len(server.requests) == 2


@pytest.mark.parametrize("broken", ["not a certificate", ""], ids=["garbage", "empty"])
async def test_unusable_files_leave_what_works(tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    """A half-written authority or a token that vanished does not stop a client that works."""
    time = FakeTime()
    authority = Authority()
    service_account(tmp_path, "token-1", authority.pem)
    async with (
        api_server(authority.serving("127.0.0.1")) as server,
        ApiClient(in_cluster(server, tmp_path), monotonic=lambda: time.now) as client,
    ):
        await client.request("GET", PODS_PATH)
        (tmp_path / "ca.crt").write_text(broken)
        time.now += 61
        await client.request("GET", PODS_PATH)
        (tmp_path / "token").unlink()
        time.now += 61
        await client.request("GET", PODS_PATH)

        assert len(server.requests) == 3
        assert "the client keeps the old ones" in caplog.text


@pytest.mark.parametrize("trust", [Trust(ca_pem=None, verify=False)], ids=["insecure-skip-tls-verify"])
async def test_verification_can_be_left_out_where_a_kubeconfig_says_so(trust: Trust) -> None:
    """Only then is an unknown authority accepted."""
    async with api_server(Authority().serving("elsewhere")) as server:
        token = Token(server.url)
        token.trust = trust
        async with ApiClient(token) as client:
            await client.request("GET", PODS_PATH)

            assert len(server.requests) == 1


async def test_first_credentials_that_cannot_be_read_are_unreachable(tmp_path: Path) -> None:
    """Without a token nothing is sent, and the file is named."""
    async with ApiClient(ServiceAccount("127.0.0.1", "1", tmp_path)) as client:
        with pytest.raises(UnreachableError, match=r"token cannot be read"):
            await client.request("GET", "/x")
    service_account(tmp_path, "", "")
    async with ApiClient(ServiceAccount("127.0.0.1", "1", tmp_path)) as client:
        with pytest.raises(UnreachableError, match=r"token is empty"):
            await client.request("GET", "/x")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("10.96.0.1", "https://10.96.0.1:443"),
        ("fd00::1", "https://[fd00::1]:443"),
        ("[fd00::1]", "https://[fd00::1]:443"),
    ],
)
def test_finds_the_api_server_of_its_cluster(host: str, url: str) -> None:
    """The address comes from the environment; IPv6 gets its brackets."""
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}

    assert ServiceAccount.from_environment(environment).api_server.base_url == url


@pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}], ids=["nothing", "no port"])
def test_says_that_it_is_not_in_a_cluster(environment: dict[str, str]) -> None:
    """Outside a cluster the variables that are missing are named."""
    with pytest.raises(CredentialsError, match="KUBERNETES_SERVICE_HOST"):
        ServiceAccount.from_environment(environment)


def test_secrets_do_not_show(tmp_path: Path) -> None:
    """Neither token nor authority is in what logs and tracebacks print."""
    service_account(tmp_path, "s3cret-token", "s3cret-ca")

    assert "s3cret" not in repr(ServiceAccount("h", "1", tmp_path).load())


async def test_reads_one_namespace_as_it_is_now() -> None:
    """A live list of one namespace has every page, with kinds filled in and without managedFields."""
    async with api_server() as server, ApiClient(Token(server.url)) as client:
        for number in range(700):
            server.put(POLICIES, f"p-{number}", "eem", spec={"podSelector": {}})
        server.put(POLICIES, "other", "shop", spec={"podSelector": {}})
        server.objects["networkpolicies"]["eem", "p-1"]["metadata"]["managedFields"] = [{"manager": "kubectl"}]
        found = await read_all(client, POLICIES, namespace="eem", timeout_seconds=5)

        assert {mapping["metadata"]["name"] for mapping in found} == {f"p-{number}" for number in range(700)}
        assert {(mapping["apiVersion"], mapping["kind"]) for mapping in found} == {
            ("networking.k8s.io/v1", "NetworkPolicy")
        }
        assert not [mapping for mapping in found if "managedFields" in mapping["metadata"]]


async def test_a_missing_kind_has_no_objects_and_a_missing_right_is_an_error() -> None:
    """A kind without its CustomResourceDefinition is empty; 404 for a built-in kind and 403 raise."""
    async with api_server() as server, ApiClient(Token(server.url)) as client:
        server.missing.add("eventgateways")
        pod = server.put(PODS, "pod", "ns", spec={})

        assert await read_all(client, PODS) == [pod]
        assert await read_all(client, GATEWAYS) == []

        server.missing.add("pods")
        with pytest.raises(ApiError, match="404"):
            await read_all(client, PODS)
        server.missing.clear()
        server.always["list", "pods"] = answer(403, "Forbidden", "no")
        with pytest.raises(ForbiddenError, match=r'resources \["pods"\], verbs \["list"\]'):
            await read_all(client, PODS)


@pytest.mark.parametrize(("text", "line"), [("a\nb", "a b"), ("\x1b[2Jx", "[2Jx"), ("y" * 500, "y" * 400), ("", "")])
def test_foreign_text_is_one_short_line(text: str, line: str) -> None:
    """Nothing that a server says can forge a log line or clear a terminal."""
    assert one_line(text) == line


def test_tls_is_modern() -> None:
    """Older protocols than TLS 1.2 are not spoken."""
    from webhook.cluster.credentials import ssl_context  # noqa: PLC0415

    assert ssl_context(Trust(ca_pem=None)).minimum_version >= ssl.TLSVersion.TLSv1_2
