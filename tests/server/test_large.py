"""Large reviews are decoded one after another outside the event loop, and small reviews do not wait for them."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from server_builders import PATH, post, review, running, until

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.server.app import GATE
from webhook.server.decoding import LargeReviews
from webhook.server.limits import Limits

BLOCKS = [
    {"ipBlock": {"cidr": f"10.{at // 256}.{at % 256}.0/24", "except": [f"10.{at // 256}.{at % 256}.7/32"]}}
    for at in range(10_000)
]
SPEC = {"podSelector": {}, "ingress": [{"from": BLOCKS}]}


class Held(ThreadPoolExecutor):
    """A thread that decodes only when it is told to."""

    def __init__(self) -> None:
        super().__init__(max_workers=1)
        self.taken = 0
        self.begun = 0
        self.may_read = threading.Semaphore(0)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.taken += 1
        return super().submit(self._when_told, fn, *args, **kwargs)

    def _when_told(self, fn: Callable[..., Any], *args: Any) -> Any:
        self.begun += 1
        self.may_read.acquire()
        return fn(*args)


class Counting(LargeReviews):
    """Counts the reviews that have asked for the thread: each of them has it, or waits for its turn."""

    asked = 0

    async def decode(self, *args: Any, **kwargs: Any) -> AdmissionRequest:
        self.asked += 1
        return await super().decode(*args, **kwargs)


class Asked:
    """A judge that keeps its requests."""

    def __init__(self) -> None:
        self.requests: list[AdmissionRequest] = []

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        self.requests.append(request)
        return AdmissionResponse(allowed=True)


def large(uid: str, seconds: int = 30) -> bytes:
    new = {"metadata": {"name": "deny", "namespace": "eem"}, "spec": SPEC}
    return post(review(uid=uid, object=new), path=f"{PATH}?timeout={seconds}s")


async def test_small_reviews_are_answered_while_a_large_one_is_decoded() -> None:
    """Reviews that arrive later have their answers before a policy of ten thousand blocks is decoded."""
    judge, thread = Asked(), Held()
    async with running(judge, large_reviews=LargeReviews(Limits(), thread)) as server:
        first = asyncio.create_task(server.ask(large("large")))
        await until(lambda: thread.begun == 1)
        small = [await server.ask(post(review(uid=f"small-{number}"))) for number in range(3)]
        before = first.done()
        thread.may_read.release()
        answer = await first

    assert [found.status for found in small] == [200] * 3
    assert (before, answer.status, answer.json()["response"]["uid"]) == (False, 200, "large")
    assert [asked.uid for asked in judge.requests] == ["small-0", "small-1", "small-2", "large"]
    assert ["new_policy" in vars(asked) for asked in judge.requests] == [False, False, False, True]
    parsed = judge.requests[-1].new_policy
    assert parsed is not None
    assert len(parsed[0].ingress[0].peers or ()) == len(BLOCKS)


async def test_large_reviews_are_decoded_one_after_another() -> None:
    """The second waits for the first, and a review whose client has left is not decoded."""
    judge, thread = Asked(), Held()
    async with running(judge, large_reviews=LargeReviews(Limits(), thread)) as server:
        first = asyncio.create_task(server.ask(large("first")))
        await until(lambda: thread.begun == 1)
        left = await server.connect()
        await left.send(large("left", seconds=1))
        late = await left.answer()
        third = asyncio.create_task(server.ask(large("third")))
        await until(lambda: server.app[GATE].bodies.held > 2 * len(large("third")))
        begun = thread.begun
        thread.may_read.release()
        await first
        thread.may_read.release()
        await third

    assert (begun, thread.begun) == (1, 2)
    assert (late.status, late.headers["retry-after"]) == (503, "0")
    assert [asked.uid for asked in judge.requests] == ["first", "third"]


async def test_large_reviews_of_another_address_do_not_wait_for_those_of_a_flood() -> None:
    """The addresses take turns for the thread: one review of the flood at most is decoded before."""
    judge, thread = Asked(), Held()
    limits = Limits(large_bodies=3)
    reviews = Counting(limits, thread)
    async with running(judge, limits=limits, large_reviews=reviews) as server:
        flood = [await server.connect(address="127.0.0.2") for _ in range(3)]
        for number, each in enumerate(flood):
            await each.send(large(f"flood-{number}"))
            await until(lambda number=number: reviews.asked == number + 1)
        honest = asyncio.create_task(server.ask(large("honest")))
        await until(lambda: reviews.asked == len(flood) + 1)
        for _ in range(4):
            thread.may_read.release()
        answers = [await each.answer() for each in flood] + [await honest]

    assert [answer.status for answer in answers] == [200] * 4
    assert [asked.uid for asked in judge.requests].index("honest") <= 2


async def test_an_address_has_few_large_bodies_and_few_that_wait() -> None:
    """The body of a review that waits is not read, and further reviews are answered with 503 before theirs is."""
    limits = Limits(large_bodies=1, large_reviews=2, linger_seconds=0.05)
    thread = Held()
    async with running(limits=limits, large_reviews=LargeReviews(limits, thread)) as server:
        first = asyncio.create_task(server.ask(large("first")))
        await until(lambda: thread.begun == 1)
        held = server.app[GATE].bodies.held
        second = await server.connect()
        await second.send(large("second", seconds=1))
        third = await server.connect()
        third.writer.write(large("third"))
        refused = await third.answer()
        elsewhere = await server.connect(address="127.0.0.2")
        await elsewhere.send(large("elsewhere"))
        await until(lambda: server.app[GATE].bodies.held > held)
        late = await second.answer()
        for _ in range(2):
            thread.may_read.release()
        answers = [await first, await elsewhere.answer()]

    assert (refused.status, late.status) == (503, 503)
    assert b"2 large reviews of this client are in progress" in refused.body
    assert b"other large reviews of this client came first" in late.body
    assert [answer.status for answer in answers] == [200, 200]


async def test_a_turn_that_comes_when_no_time_is_left_is_passed_on() -> None:
    """The next review that waits for the thread gets it."""
    thread = ThreadPoolExecutor(max_workers=1)
    reviews = LargeReviews(Limits(), thread)
    loop = asyncio.get_running_loop()
    may_end = threading.Event()
    thread.submit(may_end.wait)

    def decoding() -> asyncio.Task[AdmissionRequest]:
        work = reviews.decode(review(), 10_000, loop.time() + 60, address="", is_wanted=lambda: True)
        return asyncio.create_task(work)

    first, second, third = decoding(), decoding(), decoding()
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    may_end.set()

    assert (await third).uid == "6f1c-42"
    reviews.close()


async def test_a_large_body_that_is_not_a_review_is_400() -> None:
    """The error is found in the thread, and answered as for a small body."""
    async with running(large_reviews=LargeReviews(Limits(large_body_bytes=10))) as server:
        answer = await server.ask(post(b'{"apiVersion": "v1", "kind": 5}'))

    assert (answer.status, b"kind" in answer.body) == (400, True)
