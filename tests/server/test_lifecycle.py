"""How the ports start, and how a replica stops without losing a request."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from server_builders import HOST, PAIR, PATH, allow, logged, post, review, running, until

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.server import (
    CertificateSource,
    Limits,
    Metrics,
    ServedPort,
    Servers,
    Serving,
    StopSignals,
    make_app,
    make_health_app,
)
from webhook.server.listener import open_sockets

ROOT = Path(__file__).parents[2]


async def test_a_drain_loses_no_request() -> None:
    """The replica is not ready at once, closes each connection after its answer, and still accepts new ones."""
    async with running(limits=Limits(drain_seconds=0.3, in_flight_seconds=5)) as server:
        warm = await server.connect()
        assert "connection" not in (await warm.ask(post(review()))).headers
        draining = asyncio.create_task(server.servers.drain())
        await until(lambda: server.serving.drain.started)

        assert (await server.get("/readyz")).status == 503
        assert (await server.get("/livez")).status == 200
        last = await warm.ask(post(review()))
        assert (last.status, last.headers["connection"]) == (200, "close")
        assert await warm.closed()
        new = await server.ask(post(review()))
        assert (new.status, new.headers["connection"]) == (200, "close")
        idle = await server.connect()
        port = server.servers.https_port
        await draining
        assert await idle.closed()
        with pytest.raises(ConnectionRefusedError):
            await server.connect_plain(port)


async def test_requests_in_progress_are_answered_after_listening_ends() -> None:
    """A review that is being judged when listening stops gets its answer."""
    inside, release = asyncio.Event(), asyncio.Event()

    async def waiting(_request: AdmissionRequest) -> AdmissionResponse:
        inside.set()
        await release.wait()
        return AdmissionResponse(allowed=True)

    async with running(waiting, limits=Limits(drain_seconds=0.01, in_flight_seconds=5)) as server:
        port = server.servers.https_port
        asking = asyncio.create_task(server.ask(post(review())))
        await inside.wait()
        draining = asyncio.create_task(server.servers.drain())
        while True:
            try:
                await server.connect_plain(port)
            except ConnectionError:
                break
        release.set()

        assert (await asking).status == 200
        await draining


async def test_a_request_that_never_ends_is_cut_after_its_time() -> None:
    """The server stops when the time for requests in progress is over."""

    async def stuck(_request: AdmissionRequest) -> AdmissionResponse:
        inside.set()
        await asyncio.Event().wait()
        raise AssertionError

    inside = asyncio.Event()
    async with running(stuck, limits=Limits(drain_seconds=0.01, in_flight_seconds=0.05)) as server:
        connected = await server.connect()
        await connected.send(post(review()))
        await inside.wait()
        async with asyncio.timeout(30):
            await server.servers.drain()

        assert await connected.closed()


async def test_load_during_a_drain_is_answered_to_the_last_request() -> None:
    """Clients that reconnect after each close see no failure until listening ends."""
    async with running(limits=Limits(drain_seconds=0.3, in_flight_seconds=5)) as server:
        statuses: list[int] = []

        async def client() -> None:
            while True:
                try:
                    connected = await server.connect()
                except OSError:
                    return
                while True:
                    answer = await connected.ask(post(review()))
                    statuses.append(answer.status)
                    if answer.headers.get("connection") == "close":
                        break

        clients = [asyncio.create_task(client()) for _ in range(4)]
        await until(lambda: len(statuses) > 50)
        await server.servers.drain()
        results = await asyncio.gather(*clients, return_exceptions=True)

    assert set(statuses) == {200}
    # The one that had shaken hands, but not asked, when listening ended is the only one that may see a close.
    assert all(each is None or isinstance(each, asyncio.IncompleteReadError | ConnectionError) for each in results)


async def test_signals_are_caught_while_serving() -> None:
    """Without given signals they are caught until serving ends."""
    before = signal.getsignal(signal.SIGTERM)
    async with running(limits=Limits(drain_seconds=0)) as server:
        serving = asyncio.create_task(server.servers.serve_until_told())
        await until(lambda: signal.getsignal(signal.SIGTERM) != before)
        os.kill(os.getpid(), signal.SIGTERM)

        assert await serving == 0
    assert signal.getsignal(signal.SIGTERM) == before


async def test_an_interrupt_cancels_a_drain() -> None:
    """The drain is cancelled, not awaited."""
    loop = asyncio.get_running_loop()
    told = StopSignals(terminated=loop.create_future(), interrupted=loop.create_future())
    async with running(limits=Limits(drain_seconds=3600)) as server:
        serving = asyncio.create_task(server.servers.serve_until_told(told))
        told.terminated.set_result(None)
        await until(lambda: server.serving.drain.started)
        told.interrupted.set_result(None)

        assert await serving == 130


async def test_if_one_port_is_taken_no_port_stays_open() -> None:
    """The first port is closed again."""
    serving = Serving(metrics=Metrics(version="test"))
    source = CertificateSource(metrics=serving.metrics)
    with socket.create_server((HOST, 0)) as taken:
        servers = Servers(
            serving,
            https=ServedPort(app=make_app({PATH: allow}, serving), host=HOST, port=0, tls=source.context),
            http=ServedPort(app=make_health_app({}, serving), host=HOST, port=taken.getsockname()[1]),
        )
        with pytest.raises(OSError, match="in use"):
            await servers.start()

        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(HOST, servers.https_port)


async def test_a_local_port_is_served() -> None:
    """The third port starts and stops with the others."""
    serving = Serving(metrics=Metrics(version="test"))
    source = CertificateSource(metrics=serving.metrics)
    source.install(PAIR.certificate_pem(), PAIR.key_pem())
    servers = Servers(
        serving,
        https=ServedPort(app=make_app({PATH: allow}, serving), host=HOST, port=0, tls=source.context),
        http=ServedPort(app=make_health_app({}, serving), host=HOST, port=0),
        local=ServedPort(app=make_health_app({}, serving), host=HOST, port=0),
    )

    assert (servers.https_port, servers.http_port) == (0, 0)
    await servers.start()
    assert len({servers.https_port, servers.http_port}) == 2
    await servers.stop()


async def test_a_local_port_that_is_in_use_does_not_end_the_service() -> None:
    """The other ports are served, and an error in the log names the flag of the port."""
    serving = Serving(metrics=Metrics(version="test"))
    source = CertificateSource(metrics=serving.metrics)
    source.install(PAIR.certificate_pem(), PAIR.key_pem())
    with socket.create_server((HOST, 0)) as taken, logged("webhook.server.lifecycle") as log:
        servers = Servers(
            serving,
            https=ServedPort(app=make_app({PATH: allow}, serving), host=HOST, port=0, tls=source.context),
            http=ServedPort(app=make_health_app({}, serving), host=HOST, port=0),
            local=ServedPort(
                app=make_health_app({}, serving), host=HOST, port=taken.getsockname()[1], flag="--local-port"
            ),
        )
        await servers.start()
        ready = await asyncio.open_connection(HOST, servers.http_port)
        ready[1].close()
        await servers.stop()

    assert servers.local_port is None
    assert "--local-port: cannot listen on" in log.fields()[0]["reason"]


async def test_a_judge_for_an_unknown_path_is_an_error() -> None:
    """It is a mistake of the composition."""
    with pytest.raises(KeyError):
        make_app({"/other": allow}, Serving(metrics=Metrics(version="test")))


def test_an_empty_host_is_every_address() -> None:
    """One socket listens on both families."""
    (opened,) = open_sockets("", 0, 16)
    with opened, socket.create_connection((HOST, opened.getsockname()[1])) as connected:
        assert connected.getpeername()[0] == HOST


def test_a_name_is_served_on_all_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have the same port."""
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0)),
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.2", 0)),
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_arguments, **_options: found)
    opened = open_sockets("both.example", 0, 16)
    names = [each.getsockname() for each in opened]
    for each in opened:
        each.close()

    assert [name[0] for name in names] == ["127.0.0.1", "127.0.0.2"]
    assert len({name[1] for name in names}) == 1


PROGRAM = """
    import asyncio, sys
    sys.path[:0] = sys.argv[1:3]
    from server_builders import *
    from webhook.server import stop_signals

    async def slow(request):
        await asyncio.sleep(0.2)
        return AdmissionResponse(allowed=True)

    async def main():
        limits = Limits(drain_seconds=float(sys.argv[3]), in_flight_seconds=5)
        with stop_signals() as told:
            async with running(slow, limits=limits) as server:
                print(server.servers.https_port, flush=True)
                return await server.servers.serve_until_told(told)

    if sys.argv[4] == "uvloop":
        import uvloop
        raise SystemExit(uvloop.run(main()))
    raise SystemExit(asyncio.run(main()))
"""


def started(drain_seconds: float, loop: str = "asyncio") -> tuple[subprocess.Popen[str], int]:
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), ROOT, ROOT / "tests/server", str(drain_seconds), loop],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, complaints = process.communicate(timeout=30)
    return process.returncode, complaints


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sigterm_drains_and_exits_0(loop: str) -> None:
    """The process ends after the drain, without an error."""
    process, _ = started(0.1, loop)
    process.send_signal(signal.SIGTERM)

    assert ended(process) == (0, "")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_sigint_ends_at_once(loop: str) -> None:
    """SIGINT does not wait for the drain delay."""
    process, _ = started(3600, loop)
    process.send_signal(signal.SIGINT)

    assert ended(process) == (130, "")


def test_sigint_ends_a_drain() -> None:
    """A second SIGTERM changes nothing; SIGINT ends the drain."""
    process, port = started(3600)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGTERM)
    with socket.create_connection((HOST, port)):
        process.send_signal(signal.SIGINT)

        assert ended(process) == (130, "")
