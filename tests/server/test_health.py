"""The probes and the metrics."""

import asyncio

import pytest
from server_builders import post, review, running

from webhook.server import Limits

LONGEST_SECONDS = 30.0


async def test_ready_if_every_check_passes() -> None:
    """The answer is 200 and `ok`; ?verbose shows each check on its own line."""
    async with running(checks={"certificate": lambda: None, "synced": lambda: None}) as server:
        short = await server.get("/readyz")
        long = await server.get("/readyz?verbose")

    assert (short.status, short.body) == (200, b"ok\n")
    assert (long.status, long.body) == (200, b"[+]certificate ok\n[+]synced ok\n[+]serving ok\nok\n")


async def test_not_ready_shows_the_reason_without_verbose() -> None:
    """One failed check is a 503 with its reason."""
    problems: list[str | None] = ["pods: no list yet", None]
    async with running(checks={"certificate": lambda: None, "synced": lambda: problems[0]}) as server:
        before = await server.get("/readyz")
        problems.pop(0)
        after = await server.get("/readyz")

    assert before.status == 503
    assert before.body == b"[+]certificate ok\n[-]synced: pods: no list yet\n[+]serving ok\nnot ready\n"
    assert after.status == 200


async def test_alive_does_not_depend_on_ready() -> None:
    """A replica that waits for the API server is alive: a restart would not help."""
    async with running(checks={"synced": lambda: "no"}) as server:
        assert (await server.get("/livez")).status == 200


async def test_draining_is_alive_and_not_ready() -> None:
    """From the start of the drain the replica is not ready, and it is alive until the end."""
    async with running() as server:
        server.serving.drain.start()
        ready, alive = await server.get("/readyz"), await server.get("/livez")

    assert (ready.status, ready.body) == (503, b"[-]serving: draining\nnot ready\n")
    assert alive.status == 200


async def test_a_broken_check_is_not_ready() -> None:
    """A check that raises an exception does not count as passed."""

    def broken() -> str | None:
        raise RuntimeError("bug")

    async with running(checks={"broken": broken}) as server:
        assert (await server.get("/readyz")).status == 500


async def test_metrics_are_prometheus_text() -> None:
    """The content type is Prometheus', and the series of the interface exist."""
    async with running() as server:
        await server.ask(post(review()))
        answer = await server.get("/metrics")
        text = answer.body.decode()

    assert answer.headers["content-type"].startswith("text/plain; version=")
    for name in (
        "eem_guardrail_reviews_total{",
        "eem_guardrail_review_duration_seconds_bucket{",
        "eem_guardrail_certificate_not_after_timestamp_seconds{",
        "eem_guardrail_certificate_reload_errors_total ",
        'eem_guardrail_build_info{version="test"} 1.0',
        "# TYPE eem_guardrail_cache_synced gauge",
        "# TYPE eem_guardrail_cache_objects gauge",
        "# TYPE eem_guardrail_cache_last_event_timestamp_seconds gauge",
        "# TYPE eem_guardrail_cache_staleness_seconds gauge",
        "process_resident_memory_bytes ",
        "process_open_fds ",
    ):
        assert name in text


async def test_open_connections_and_tasks_are_counted() -> None:
    """Connections are counted by port while they are open, tasks while they run."""
    name = 'eem_guardrail_connections{port="https"}'
    async with running() as server:
        none = await server.metric(name)
        callers = [await server.connect() for _ in range(3)]
        three = await server.metric(name)
        for caller in callers:
            caller.writer.transport.abort()
        async with asyncio.timeout(LONGEST_SECONDS):
            while await server.metric(name):
                pass
        before = await server.metric("eem_guardrail_tasks")
        many = [asyncio.create_task(asyncio.sleep(LONGEST_SECONDS)) for _ in range(50)]
        after = await server.metric("eem_guardrail_tasks")
        for one in many:
            one.cancel()

    assert (none, three) == (0, 3)
    assert 40 <= after - before <= 60


async def test_hostile_values_make_no_new_series() -> None:
    """Names, namespaces, users, uids and paths never become labels."""
    async with running() as server:
        await server.ask(post(review()))
        await server.ask(post(review(operation="BOGUS")))
        before = len((await server.get("/metrics")).body.splitlines())
        for number in range(30):
            text = f"hostile-{number}"
            await server.ask(post(review(uid=text, name=text, namespace=text, userInfo={"username": text})))
            await server.ask(post(review(operation=text)))
            await server.ask(post(review(), path=f"/{text}"))

        assert len((await server.get("/metrics")).body.splitlines()) == before


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/livez", 405),
        ("DELETE", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/livez/", 404),
        ("GET", "/debug/pprof", 404),
        ("GET", "/validate-networkpolicy", 404),
    ],
)
async def test_the_probes_port_serves_three_paths(method: str, path: str, status: int) -> None:
    """There is no redirect to them."""
    async with running(limits=Limits(linger_seconds=0.01)) as server:
        connected = await server.connect_plain()
        answer = await connected.ask(f"{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert answer.status == status
    assert "location" not in answer.headers


async def test_notes_are_shown_and_do_not_affect_readiness() -> None:
    """A note is a line of ?verbose."""
    notes = {"api-server": lambda: "does not answer", "drift": lambda: None}
    async with running(checks={"synced": lambda: None}, notes=notes) as server:
        short = await server.get("/readyz")
        long = await server.get("/readyz?verbose")

    assert (short.status, short.body) == (200, b"ok\n")
    assert long.status == 200
    assert long.body == b"[+]synced ok\n[+]serving ok\n[!]api-server: does not answer\n[+]drift ok\nok\n"
