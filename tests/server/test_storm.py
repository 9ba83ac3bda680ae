"""An API server that lost all its connections opens them again at once."""

import asyncio

from server_builders import Running, post, review, running

CALLERS = 200
ROUNDS = 2
LONGEST_SECONDS = 100.0


async def ask_afresh(server: Running, at_once: asyncio.Barrier) -> int:
    """Connect together with all others, and send one review."""
    await at_once.wait()
    connected = await server.connect()
    answer = await connected.ask(post(review(), path="/validate-networkpolicy?timeout=30s"))
    connected.writer.transport.abort()
    return answer.status


async def test_two_hundred_connections_at_once_are_served() -> None:
    """Twice: each gets a verdict, a probe is answered meanwhile, and no connection is cut."""
    at_once = asyncio.Barrier(CALLERS + 1)
    async with running() as server, asyncio.timeout(LONGEST_SECONDS):
        for _ in range(ROUNDS):
            callers = [asyncio.create_task(ask_afresh(server, at_once)) for _ in range(CALLERS)]
            await at_once.wait()
            alive = await server.get("/livez")
            statuses = await asyncio.gather(*callers)

            assert alive.status == 200
            assert statuses == [200] * CALLERS
        metrics = (await server.get("/metrics")).body.decode()

    assert "eem_guardrail_connections_cut_total{" not in metrics
