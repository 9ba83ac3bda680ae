"""More reviews than can be judged: some are refused early, probes are answered, and then service is normal again."""

import asyncio
import time

from server_builders import PATH, Answer, Running, logged, post, review, running, until

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.server.app import GATE

CALLERS = 80
COST_SECONDS = 0.05
ASK = post(review(), path=f"{PATH}?timeout=4s")


async def slow(_request: AdmissionRequest) -> AdmissionResponse:
    """Block the event loop, as a judge that computes."""
    end = time.monotonic() + COST_SECONDS
    while time.monotonic() < end:
        pass
    return AdmissionResponse(allowed=True)


async def test_a_flood_is_refused_early_and_probes_are_answered() -> None:
    """
    Of reviews that take 4 s together, with 2.4 s to wait, some are judged and the others answered with 503.

    The 503 answers come before the last verdict, every client gets an answer, and the probes are answered meanwhile.
    """
    answers: list[int] = []

    async def one(server: Running) -> Answer:
        connected = await server.connect()
        await at_once.wait()
        answer = await connected.ask(ASK)
        answers.append(answer.status)
        return answer

    at_once = asyncio.Barrier(CALLERS)
    async with running(slow) as server:
        await asyncio.gather(*(server.ask(ASK) for _ in range(20)))
        flood = [asyncio.create_task(one(server)) for _ in range(CALLERS)]
        await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
        alive = await server.get("/livez")
        seen = len(answers)
        found = await asyncio.gather(*flood)
        after = await server.ask(ASK)
        shed = await server.metric('eem_guardrail_reviews_shed_total{reason="overloaded"}')

    sent_away = [answer for answer in found if answer.status == 503]
    assert (alive.status, after.status) == (200, 200)
    assert seen < CALLERS
    assert {answer.headers["retry-after"] for answer in sent_away} <= {"0", "1"}
    assert (bool(sent_away), shed) == (True, len(sent_away))
    assert answers.count(200) > 0
    assert answers.index(503) < len(answers) - 1 - answers[::-1].index(200)


async def test_reviews_of_clients_that_left_are_not_judged() -> None:
    """The next client does not wait for them."""
    judged: list[str] = []

    async def counting(request: AdmissionRequest) -> AdmissionResponse:
        judged.append(request.uid)
        return await slow(request)

    async with running(counting) as server:
        callers = [await server.connect() for _ in range(CALLERS)]
        for number, caller in enumerate(callers):
            caller.writer.write(post(review(uid=f"gone-{number}"), path=f"{PATH}?timeout=30s"))
        await until(lambda: bool(judged) and server.app[GATE].waiting > 10)
        for caller in callers:
            caller.writer.transport.abort()
        after = await server.ask(post(review(uid="after"), path=f"{PATH}?timeout=30s"))

    assert (after.status, judged[-1]) == (200, "after")
    assert len(judged) < CALLERS


async def test_the_age_of_a_review_counts_from_its_first_byte() -> None:
    """The client has waited while the header was incomplete."""
    whole = post(review(), path=PATH)
    async with running() as server:
        slow_caller = await server.connect()
        await slow_caller.send(whole[:20])
        await server.ask(post(review()))
        began = time.monotonic()
        await server.ask(post(review()))
        waited = time.monotonic() - began
        with logged("webhook.decision") as log:
            await slow_caller.ask(whole[20:])

    assert log.fields()[0]["milliseconds"] >= waited * 1000
