"""The own port is asked as the API server asks it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from certs.authority import KeyPair, issue_serving_pair, make_authority
from webhook.controllers import OwnEndpoint
from webhook.controllers.own_port import SERVER_NAME

NOW = datetime.now(UTC)
AUTHORITY, OTHER = make_authority(now=NOW), make_authority(now=NOW)


@asynccontextmanager
async def served(folder: Path, says: bytes, *names: str) -> AsyncIterator[OwnEndpoint]:
    """Listen with a pair for *names*, and say one thing to whoever comes."""
    pair: KeyPair = issue_serving_pair(AUTHORITY, names=names or (SERVER_NAME,), now=NOW)
    path = folder / "pair.pem"
    path.write_bytes(pair.certificate_pem() + pair.key_pem())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(says)
        await reader.readline()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0, ssl=context)
    try:
        yield OwnEndpoint("0.0.0.0", server.sockets[0].getsockname()[1], timeout_seconds=2.0)  # noqa: S104
    finally:
        server.close()


async def test_an_answer_to_who_trusts_the_bundle_is_enough(tmp_path: Path) -> None:
    """HTTP is spoken under the Service's name by who has the bundle's pair."""
    async with served(tmp_path, b"HTTP/1.1 404 Not Found\r\n\r\n") as endpoint:
        assert await endpoint.problem(AUTHORITY.certificate_pem()) is None


@pytest.mark.parametrize(
    ("bundle", "says", "names", "said"),
    [
        pytest.param(OTHER.certificate_pem(), b"HTTP/1.1 200 OK\r\n", (), "verify failed", id="another authority"),
        pytest.param(AUTHORITY.certificate_pem(), b"HTTP/1.1 200 OK\r\n", ("x",), "not valid for", id="another name"),
        pytest.param(AUTHORITY.certificate_pem(), b"SSH-2.0\r\n", (), "does not speak HTTP", id="another protocol"),
        pytest.param(b"no certificate", b"", (), "does not answer", id="no bundle"),
        pytest.param(b"\xff", b"", (), "does not answer", id="not even text"),
    ],
)
async def test_anything_else_is_told(
    tmp_path: Path, bundle: bytes, says: bytes, names: tuple[str, ...], said: str
) -> None:
    """Who would not be trusted, or does not answer, is not registered."""
    async with served(tmp_path, says, *names) as endpoint:
        assert said in (await endpoint.problem(bundle) or "")


async def test_silence_ends() -> None:
    """A port that takes the connection and says nothing is no answer."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        gone.set_result(None)
        writer.close()

    gone = asyncio.get_running_loop().create_future()
    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    endpoint = OwnEndpoint("127.0.0.1", server.sockets[0].getsockname()[1], timeout_seconds=0.05)

    assert await endpoint.problem(AUTHORITY.certificate_pem()) == "the own endpoint does not answer: TimeoutError"

    await gone
    server.close()


async def test_nobody_there_is_told() -> None:
    """A port where nobody listens is no answer."""
    assert "does not answer" in (await OwnEndpoint("127.0.0.1", 1).problem(AUTHORITY.certificate_pem()) or "")
