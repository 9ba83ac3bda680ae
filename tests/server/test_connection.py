"""Connections that occupy a place without use are closed."""

import asyncio
import socket
import ssl

import pytest
from server_builders import (
    HOST,
    PATH,
    Running,
    client_context,
    logged,
    post,
    review,
    running,
    until,
)

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.server import Limits
from webhook.server.connection import HttpConnection
from webhook.server.listener import accept

OTHER_ADDRESS = "127.0.0.2"
FAST = Limits(header_seconds=0.5, sweep_seconds=0.02, tls_close_seconds=0.1, handshake_seconds=0.3)


def open_connections(server: Running) -> set[HttpConnection]:
    """Return the connections of the webhook's port."""
    return server.servers._https._started.connections.open  # noqa: SLF001  there is no other way to see it


def cut(reason: str) -> str:
    return f'eem_guardrail_connections_cut_total{{reason="{reason}"}}'


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"PO", id="half a method"),
        pytest.param(b"POST /validate-networkpolicy HTTP/1.1\r\nHost: x\r\n", id="half a header"),
    ],
)
async def test_a_connection_without_a_header_is_closed_at_its_deadline(sent: bytes) -> None:
    """Other connections are served meanwhile."""
    async with running(limits=FAST) as server:
        connected = await server.connect()
        await connected.send(sent)

        assert (await server.ask(post(review()))).status == 200
        async with asyncio.timeout(30):
            assert await connected.closed()
        assert await server.metric(cut("slow_header")) >= 1


async def test_half_a_header_after_a_request_is_closed_at_its_deadline() -> None:
    """The deadline applies to every header of a connection."""
    async with running(limits=FAST) as server:
        connected = await server.connect()
        await connected.ask(post(review()))
        await connected.send(b"POST /valid")

        async with asyncio.timeout(30):
            assert await connected.closed()


async def test_half_a_header_sent_with_a_request_ends_with_the_keepalive_time() -> None:
    """The server cannot tell it from an idle connection."""
    async with running(limits=Limits(keepalive_seconds=0.05)) as server:
        connected = await server.connect()
        await connected.ask(post(review()) + b"POST /valid")

        async with asyncio.timeout(30):
            assert await connected.closed()


async def test_a_header_sent_byte_by_byte_is_closed_at_its_deadline() -> None:
    """A byte now and then does not move the deadline."""
    async with running(limits=FAST) as server:
        connected = await server.connect()
        ended = asyncio.create_task(connected.closed())
        await connected.send(b"POST /validate-networkpolicy HTTP/1.1\r\nX-Drip: ")
        for _ in range(200):
            if ended.done():
                break
            connected.writer.write(b"y")
            await asyncio.wait((ended,), timeout=0.01)

        assert ended.done()
        assert await server.metric(cut("slow_header")) == 1


async def test_an_idle_connection_outlives_the_header_deadline() -> None:
    """The API server keeps an idle connection for 90 s."""
    async with running(limits=FAST) as server:
        connected = await server.connect()
        await connected.ask(post(review()))
        silent = await server.connect()
        await silent.closed()  # so the header's deadline passed for a connection made later

        assert (await connected.ask(post(review()))).status == 200


async def test_an_idle_connection_is_closed_after_the_keepalive_time() -> None:
    """An idle connection has a limit."""
    async with running(limits=Limits(keepalive_seconds=0.05)) as server:
        connected = await server.connect()
        await connected.ask(post(review()))

        async with asyncio.timeout(30):
            assert await connected.closed()


async def test_a_long_review_is_not_closed_as_a_slow_header() -> None:
    """While a review is judged, the header's deadline does not run."""
    release = asyncio.Event()

    async def waiting(_request: AdmissionRequest) -> AdmissionResponse:
        await release.wait()
        return AdmissionResponse(allowed=True)

    async with running(waiting, limits=FAST) as server:
        task = asyncio.create_task(server.ask(post(review())))
        silent = await server.connect()
        await silent.closed()
        release.set()

        assert (await task).status == 200


async def test_an_incomplete_tls_handshake_is_closed_at_its_deadline() -> None:
    """Neither no byte nor half a ClientHello keeps a connection open."""
    async with running(limits=FAST) as server:
        for sent in (b"", b"\x16\x03\x01\x02\x00\x01\x00"):
            connected = await server.connect_plain(server.servers.https_port)
            await connected.send(sent)
            async with asyncio.timeout(30):
                assert await connected.closed()
        assert (await server.ask(post(review()))).status == 200


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(post(review()), id="HTTP without TLS"),
        pytest.param(b"\x00" * 100, id="zeros"),
        pytest.param(b"\x16\x03\x01\x00\x05hello", id="a broken ClientHello"),
    ],
)
async def test_bytes_that_are_not_tls_end_the_connection(sent: bytes) -> None:
    """Other connections are not affected."""
    async with running() as server:
        connected = await server.connect_plain(server.servers.https_port)
        await connected.send(sent)

        async with asyncio.timeout(30):
            assert await connected.closed()
        assert (await server.ask(post(review()))).status == 200


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(post(review(), headers={f"X-{n}": "y" for n in range(100)}), id="100 headers"),
        pytest.param(post(review(), headers={"X-Long": "y" * 9000}), id="a header of 9,000 bytes"),
        pytest.param(post(review(), path="/" + "y" * 9000), id="a path of 9,000 bytes"),
        pytest.param(post(review(), headers={"Content-Length": "-1"}), id="a negative length"),
        pytest.param(post(review(), headers={"Transfer-Encoding": "chunked"}), id="length and chunks"),
        pytest.param(post(review()).replace(b"Host:", b"Content-Length: 3\r\nHost:"), id="two lengths"),
        pytest.param(post(review(), headers={"X-Nul": "a\x00b"}), id="NUL in a header"),
        pytest.param(post(review(), headers={"X Y": "z"}), id="a blank in a header's name"),
        pytest.param(b"hello there\r\n\r\n", id="no HTTP"),
        pytest.param(b"\xff\xfe\r\n\r\n", id="bytes that are no text"),
        pytest.param(post(review()).replace(b"HTTP/1.1", b"HTTP/9.9"), id="an unknown version"),
    ],
)
async def test_bytes_that_are_not_http_are_400_without_an_echo(data: bytes) -> None:
    """The connection is closed; the bytes are neither repeated nor logged with a traceback."""
    async with running() as server:
        with logged("webhook.server.connection") as log:
            connected = await server.connect()
            answer = await connected.ask(data)
            rest = await connected.reader.read()

        assert (answer.status, answer.body, rest) == (400, b"the request could not be read\n", b"")
        assert answer.headers["server"] == "eem-guardrail"
        assert {record.levelname for record in log.records} <= {"DEBUG"}


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(post(review()).replace(b"HTTP/1.1", b"HTTP/1.0"), id="HTTP/1.0"),
        pytest.param(post(review(), path=f"https://localhost{PATH}"), id="an absolute URI"),
        pytest.param(post(review(), headers={"Upgrade": "websocket", "Connection": "upgrade"}), id="upgrade"),
        pytest.param(post(review(), headers={"Connection": "close"}), id="close"),
    ],
)
async def test_unusual_http_has_one_answer_per_request(data: bytes) -> None:
    """The service goes on."""
    async with running() as server:
        assert (await server.ask(data)).status in {200, 400}
        assert (await server.ask(post(review()))).status == 200


async def test_a_client_that_does_not_read_is_closed() -> None:
    """The deadline starts when the buffers are full."""
    limits = Limits(write_seconds=0.05, sweep_seconds=0.02)
    async with running(limits=limits) as server:
        connected = await server.connect_plain()
        connected.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connected.writer.transport.pause_reading()
        request = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 20_000
        connected.writer.write(request)

        async with asyncio.timeout(20):
            while await server.metric(cut("slow_reader")) < 1:
                pass
        connected.writer.transport.abort()


async def test_a_client_that_reads_slowly_is_served() -> None:
    """Buffers that drain in time stop the deadline."""
    limits = Limits(write_seconds=60)
    async with running(limits=limits) as server:
        connected = await server.connect_plain()
        connected.writer.transport.pause_reading()
        connected.writer.write(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
        held = server.servers._http._started.connections.open  # noqa: SLF001  there is no other way to see it
        await until(lambda: any(each.writing_paused for each in held))
        connected.writer.transport.resume_reading()

        assert [(await connected.answer()).status for _ in range(5_000)] == [200] * 5_000
        in_an_hour = asyncio.get_running_loop().time() + 3600
        assert [each.overdue(in_an_hour) for each in held] == [None]


async def test_at_the_limit_the_longest_idle_connection_is_closed() -> None:
    """The new connection is served."""
    async with running(limits=Limits(max_connections=3, keepalive_seconds=60)) as server:
        old, middle, young = [await server.connect() for _ in range(3)]
        clock = asyncio.get_running_loop().time
        for connected in (middle, young, old, middle, young):
            await connected.ask(post(review()))
            asked = clock()
            await until(lambda asked=asked: clock() > asked)  # uvloop counts in milliseconds
        new = await server.connect()

        assert (await new.ask(post(review()))).status == 200
        assert await old.closed()
        assert (await middle.ask(post(review()))).status == 200
        assert (await young.ask(post(review()))).status == 200
        assert await server.metric(cut("crowded")) == 1


async def test_a_connection_with_a_received_request_is_not_closed_to_make_room() -> None:
    """A request that was received but not yet begun counts from its arrival."""
    async with running(limits=Limits(max_connections=2)) as server:
        connections = server.servers._https._started.connections  # noqa: SLF001  there is no other way to see it
        clock = asyncio.get_running_loop().time
        old, young = [await server.connect() for _ in range(2)]
        for connected in (old, young):
            await connected.ask(post(review()))
            asked = clock()
            await until(lambda asked=asked: clock() > asked)  # uvloop counts in milliseconds
        longest = min(connections.open, key=lambda connection: connection.idle_since)
        longest.data_received(post(review()))

        assert connections.has_room("127.0.0.1")
        assert (await old.answer()).status == 200
        assert await young.closed()


async def test_a_flood_of_half_open_handshakes_does_not_keep_clients_out() -> None:
    """The oldest handshakes are closed, established connections stay."""
    async with running(limits=Limits(max_connections=8)) as server:
        served = await server.connect()
        await served.ask(post(review()))
        flood = [await server.connect_plain(server.servers.https_port) for _ in range(50)]
        new = await server.connect()

        assert (await new.ask(post(review()))).status == 200
        assert (await served.ask(post(review()))).status == 200
        assert await flood[0].closed()


async def test_if_all_connections_are_busy_a_new_one_is_refused() -> None:
    """No review in progress is given up for a new connection."""
    inside, release = asyncio.Semaphore(0), asyncio.Event()

    async def waiting(_request: AdmissionRequest) -> AdmissionResponse:
        inside.release()
        await release.wait()
        return AdmissionResponse(allowed=True)

    async with running(waiting, limits=Limits(max_connections=2)) as server:
        tasks = [asyncio.create_task(server.ask(post(review()))) for _ in range(2)]
        for _ in tasks:
            await inside.acquire()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.connect()
        release.set()

        assert [(await task).status for task in tasks] == [200, 200]


async def test_after_running_out_of_descriptors_the_server_accepts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accepting is retried, and the service goes on."""
    failures = [OSError(24, "Too many open files")]
    monkeypatch.setattr("webhook.server.listener.RETRY_SECONDS", 0.01)

    def failing_once(listening: socket.socket) -> tuple[socket.socket, str]:
        if failures:
            raise failures.pop()
        return accept(listening)

    monkeypatch.setattr("webhook.server.listener.accept", failing_once)
    async with running() as server:
        with logged("webhook.server.listener") as log:
            assert (await server.ask(post(review()))).status == 200
        assert log.fields()[0]["reason"] == "[Errno 24] Too many open files"


async def test_more_connections_than_a_batch_are_accepted() -> None:
    """A backlog of hundreds is accepted completely."""
    async with running() as server:
        opened = [await server.connect_plain() for _ in range(200)]

        assert [(await each.ask(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")).status for each in opened] == [200] * 200


async def test_nothing_is_kept_of_closed_connections() -> None:
    """They are removed from the set of the port."""
    async with running() as server:
        held = open_connections(server)
        for _ in range(5):
            connected = await server.connect(tls=client_context())
            await connected.ask(post(review()))
            await connected.close()

        await until(lambda: not held)


def test_the_default_limits_fit_the_api_server() -> None:
    """Silence ends within 15 s, an idle connection outlives the API server's 90 s, a body of 8 MiB is read."""
    limits = Limits()

    assert limits.header_seconds + limits.sweep_seconds <= 15
    assert limits.handshake_seconds <= limits.header_seconds
    assert limits.keepalive_seconds > 90
    assert limits.max_body_bytes == 8 * 2**20
    assert limits.drain_seconds == 12
    assert HOST == "127.0.0.1"


async def test_a_flood_from_one_address_does_not_close_connections_of_another() -> None:
    """The flood closes its own connections, and the API server's stay open and are answered."""
    async with running(limits=Limits(max_connections=8, keepalive_seconds=60)) as server:
        honest = [await server.connect() for _ in range(2)]
        flood = [await server.connect(address=OTHER_ADDRESS) for _ in range(20)]

        assert [(await each.ask(post(review()))).status for each in honest] == [200, 200]
        assert (await (await server.connect()).ask(post(review()))).status == 200
        assert await flood[0].closed()
        assert (await flood[-1].ask(post(review()))).status == 200


async def test_connections_of_a_flood_that_are_all_busy_leave_room_for_another_address() -> None:
    """One address has at most three quarters of the connections, and no request of its own is given up for another."""
    async with running(limits=Limits(max_connections=8)) as server:
        busy = [await server.connect(address=OTHER_ADDRESS) for _ in range(6)]
        for each in busy:
            await each.send(post(review())[:-20])
        await until(lambda: sum(each.busy for each in open_connections(server)) == 6)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await server.connect(address=OTHER_ADDRESS)

        assert (await server.ask(post(review()))).status == 200
        await busy[0].send(post(review())[-20:])
        assert (await busy[0].answer()).status == 200


async def test_two_addresses_share_all_connections() -> None:
    """At the limit of all, the address with the most connections loses one."""
    async with running(limits=Limits(max_connections=8, keepalive_seconds=60)) as server:
        many = [await server.connect(address=OTHER_ADDRESS) for _ in range(6)]
        few = [await server.connect() for _ in range(3)]

        assert await many[0].closed()
        assert [(await each.ask(post(review()))).status for each in (*many[1:], *few)] == [200] * 8
