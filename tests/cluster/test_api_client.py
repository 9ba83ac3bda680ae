"""The client sends credentials to the API server only, uses new ones, and reports each failure."""

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

from webhook.cluster.client import REQUEST_TIMEOUT_SECONDS, ApiClient
from webhook.cluster.credentials import CredentialsError, ServiceAccount, Trust, ssl_context
from webhook.cluster.errors import AnswerTooLargeError, ApiError, ForbiddenError, UnreachableError, one_line
from webhook.cluster.lists import read_all

PODS_PATH = PODS.path()


@asynccontextmanager
async def serving(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Run a server with one handler, and return its URL."""
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
    """Return the credentials of a pod whose API server is the fake one."""
    host, _, port = server.url.removeprefix("https://").rpartition(":")
    return ServiceAccount(host, port, directory)


async def test_a_request_has_its_method_path_query_body_and_content_type() -> None:
    """The server gets each part of the request, and the client decodes the answer."""

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

    async with serving(handle) as url, ApiClient(Token(url)) as client:
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


async def test_an_empty_success_is_none() -> None:
    """A success without a body is None."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response()

    async with serving(handle) as url, ApiClient(Token(url)) as client:
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
async def test_an_error_has_the_message_on_one_line(response: dict[str, object], status: int, text: str) -> None:
    """The message is one short line without control characters; a redirect is an error."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(**response)

    async with serving(handle) as url, ApiClient(Token(url)) as client:
        with pytest.raises(ApiError) as raised:
            await client.request("GET", "/x")

        assert (raised.value.status, str(raised.value)) == (status, text)


async def test_the_token_is_sent_to_the_api_server_only() -> None:
    """A path that is not on the API server is refused before a request is sent, and a redirect is not followed."""
    asked: list[str] = []

    async def elsewhere(request: web.Request) -> web.StreamResponse:
        asked.append(request.headers.get("Authorization", ""))
        return web.Response()

    async with serving(elsewhere) as other:

        async def redirect(_: web.Request) -> web.StreamResponse:
            return web.Response(status=302, headers={"Location": other + "/x"})

        async with serving(redirect) as url, ApiClient(Token(url)) as client:
            for path in (other + "/x", "@" + other.removeprefix("http://"), "x", ""):
                with pytest.raises(ValueError, match="is not a path on the API server"):
                    await client.request("GET", path)
            with pytest.raises(ApiError):
                await client.request("GET", "/x")
            with pytest.raises(ApiError):
                await client.request("GET", "//example.invalid/x")

    assert asked == []


async def test_an_answer_that_is_not_json_is_an_error() -> None:
    """A proxy that answers 200 with a web page is not the API server."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(text="<html>")

    async with serving(handle) as url, ApiClient(Token(url)) as client:
        with pytest.raises(UnreachableError, match="not JSON"):
            await client.request("GET", "/x")


async def test_an_answer_beyond_the_limit_is_an_error() -> None:
    """The client does not read an answer without end."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * 3_000_000)

    async with serving(handle) as url, ApiClient(Token(url), max_answer_bytes=1_000_000) as client:
        with pytest.raises(AnswerTooLargeError, match="1000000 bytes"):
            await client.request("GET", "/x")


async def test_a_request_times_out() -> None:
    """A request without an answer fails after its timeout."""
    never = asyncio.Event()

    async def handle(_: web.Request) -> web.StreamResponse:
        await never.wait()
        return web.Response()

    async with serving(handle) as url, ApiClient(Token(url)) as client:
        with pytest.raises(UnreachableError, match="GET /x"):
            await client.request("GET", "/x", timeout_seconds=0.05)
        never.set()


async def test_sockets_have_keepalive_and_a_user_timeout() -> None:
    """The options are set on the sockets in use, so that a dead peer is noticed within 30 s."""
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
    """After 60 s a replaced token is used, and many requests at once load it once."""
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
    """After a 401 the client sends the request again with a replaced token; with the same token it fails."""
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


async def test_without_a_token_no_authorization_header_is_sent() -> None:
    """A client certificate, or no credentials, send no empty token."""
    async with api_server() as server, ApiClient(Token(server.url, token="")) as client:
        await client.request("GET", PODS_PATH)

        assert server.requests[0][3] == ""


async def test_a_service_account_is_used_over_tls(tmp_path: Path) -> None:
    """Token and authority come from the mounted files, and the host name of the server is checked."""
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


async def test_the_timeout_covers_the_repeated_request() -> None:
    """A request that is sent again with a new token has one timeout for both attempts."""
    slow = asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.headers["Authorization"] == "Bearer token-2":
            await slow.wait()
        return web.json_response({}, status=401)

    async with serving(handle) as url:
        token = Token(url)
        async with ApiClient(token) as client:
            with pytest.raises(ApiError):
                await client.request("GET", PODS_PATH)
            token.token = "token-2"
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):  # the timeout of a request that names none
                with pytest.raises(UnreachableError):
                    await client.request("GET", PODS_PATH, timeout_seconds=0.3)
            slow.set()


@pytest.mark.parametrize("token", ["a\nb", "a\x00b", "tök\u00e9n"])
async def test_a_token_that_no_header_can_have_is_an_error(token: str, tmp_path: Path) -> None:
    """A half-written token file gives a clear error."""
    service_account(tmp_path, token, Authority().pem)

    with pytest.raises(CredentialsError, match="an HTTP header cannot have"):
        ServiceAccount("127.0.0.1", "1", tmp_path).load()


async def test_a_new_authority_is_trusted_once_it_is_mounted(tmp_path: Path) -> None:
    """After the API server has a new authority, the client reads the file at once and the request succeeds."""
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
async def test_unusable_files_keep_old_credentials(
    tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A half-written authority or a missing token does not stop a working client."""
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
async def test_insecure_skip_tls_verify_accepts_an_unknown_authority(trust: Trust) -> None:
    """Only with this field of a kubeconfig is the certificate not verified."""
    async with api_server(Authority().serving("elsewhere")) as server:
        token = Token(server.url)
        token.trust = trust
        async with ApiClient(token) as client:
            await client.request("GET", PODS_PATH)

            assert len(server.requests) == 1


async def test_without_first_credentials_nothing_is_sent(tmp_path: Path) -> None:
    """Without a token the request fails, and the error names the file."""
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
def test_the_api_server_address_comes_from_the_environment(host: str, url: str) -> None:
    """An IPv6 address gets brackets."""
    environment = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}

    assert ServiceAccount.from_environment(environment).api_server.base_url == url


@pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}], ids=["nothing", "no port"])
def test_outside_a_cluster_the_missing_variables_are_named(environment: dict[str, str]) -> None:
    """Without the variables that Kubernetes sets, the error names them."""
    with pytest.raises(CredentialsError, match="KUBERNETES_SERVICE_HOST"):
        ServiceAccount.from_environment(environment)


def test_repr_has_neither_token_nor_authority(tmp_path: Path) -> None:
    """Logs and tracebacks cannot show them."""
    service_account(tmp_path, "s3cret-token", "s3cret-ca")

    assert "s3cret" not in repr(ServiceAccount("h", "1", tmp_path).load())


async def test_a_live_list_has_every_page_of_one_namespace() -> None:
    """Its objects have kinds and no managedFields."""
    async with api_server() as server, ApiClient(Token(server.url)) as client:
        for number in range(700):
            server.put(POLICIES, f"p-{number}", "eem", spec={"podSelector": {}})
        server.put(POLICIES, "other", "shop", spec={"podSelector": {}})
        server.objects["networkpolicies"]["eem", "p-1"]["metadata"]["managedFields"] = [{"manager": "kubectl"}]
        found = (await read_all(client, POLICIES, namespace="eem", timeout_seconds=5)).objects

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

        assert (await read_all(client, PODS)).objects == [pod]
        assert (await read_all(client, GATEWAYS)).objects == []

        server.missing.add("pods")
        with pytest.raises(ApiError, match="404"):
            await read_all(client, PODS)
        server.missing.clear()
        server.always["list", "pods"] = answer(403, "Forbidden", "no")
        with pytest.raises(ForbiddenError, match=r'resources \["pods"\], verbs \["list"\]'):
            await read_all(client, PODS)


@pytest.mark.parametrize(("text", "line"), [("a\nb", "a b"), ("\x1b[2Jx", "[2Jx"), ("y" * 500, "y" * 400), ("", "")])
def test_text_of_the_api_server_becomes_one_short_line(text: str, line: str) -> None:
    """It can neither forge a log line nor clear a terminal."""
    assert one_line(text) == line


def test_tls_1_2_is_the_oldest_version() -> None:
    """The client does not accept TLS 1.0 and 1.1."""
    assert ssl_context(Trust(ca_pem=None)).minimum_version >= ssl.TLSVersion.TLSv1_2
