"""Live lists: limited for each namespace, and shared by the reviews that wait for the same one."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from test_judging import DENY, Cluster, allow, ask

from webhook.guard.live_lists import LiveLists
from webhook.guard.outcomes import ListError

MANY = 50


class Lists:
    """A live list that counts its requests and notes their loop time."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.began: list[float] = []
        self.namespaces: list[str] = []
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.failure = failure

    async def read(self, namespace: str) -> Iterable[Mapping[str, Any]]:
        self.began.append(asyncio.get_running_loop().time())
        self.namespaces.append(namespace)
        self.has_begun.set()
        await self.may_end.wait()
        if self.failure is not None:
            raise self.failure
        return [DENY]

    def shared(self, **settings: Any) -> LiveLists:
        cluster = Cluster.of(DENY)
        cached = cluster.snapshot.cluster.state("eem").policies
        return LiveLists(self.read, lambda _: cached, lambda: 0.0, **{"most_seconds": 10.0, **settings})


async def listed(lists: LiveLists, namespace: str = "eem") -> Mapping[str, Any]:
    return (await (await lists.begin(namespace))).policies


async def test_reviews_that_wait_share_the_next_list() -> None:
    """Fifty reviews at once need two lists: the first begins at once, and the others wait for one that begins later."""
    source = Lists()
    lists = source.shared()

    found = await asyncio.gather(*(listed(lists) for _ in range(MANY)))

    assert [list(policies) for policies in found] == [["default-deny"]] * MANY
    assert len(source.began) <= 3


async def test_a_review_never_gets_a_list_that_began_before_it_came() -> None:
    """Such a list may lack a repair that was stored in between."""
    source = Lists()
    lists = source.shared()
    source.may_end.clear()
    first = asyncio.create_task(listed(lists))
    await source.has_begun.wait()
    second = asyncio.create_task(listed(lists))
    source.may_end.set()
    await asyncio.gather(first, second)

    assert len(source.began) == 2


async def test_at_most_five_lists_of_a_namespace_begin_in_a_second() -> None:
    """A flood of reviews that come one after another does not become a flood of lists."""
    source = Lists()
    lists = source.shared()
    for _ in range(7):
        await listed(lists)

    assert all(later - earlier > 1 - 1e-3 for earlier, later in zip(source.began, source.began[5:], strict=False))
    assert len(source.began) == 7


async def test_namespaces_do_not_wait_for_each_other() -> None:
    """The limit is for each namespace."""
    source = Lists()
    lists = source.shared(spacing_seconds=1e9)

    await asyncio.gather(*(listed(lists, f"ns-{number}") for number in range(MANY)))

    assert len(source.began) == MANY


async def test_a_list_is_not_cancelled_with_one_of_its_reviews() -> None:
    """A client that leaves does not take the list from the others."""
    source = Lists()
    lists = source.shared()
    source.may_end.clear()
    await asyncio.gather(lists.begin("eem"), lists.begin("eem"))  # the burst
    waiting = [asyncio.create_task(listed(lists)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    source.may_end.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert isinstance(found[0], asyncio.CancelledError)
    assert [list(policies) for policies in found[1:]] == [["default-deny"]] * 2  # type: ignore[arg-type]


async def test_a_list_that_fails_fails_for_every_review_that_shares_it() -> None:
    """Each of them gets the error, and no error is left that nothing retrieves."""
    source = Lists(ListError("connection refused"))
    lists = source.shared()
    found = await asyncio.gather(*(listed(lists) for _ in range(3)), return_exceptions=True)
    await asyncio.wait([await lists.begin("eem")])  # of a review that has left

    assert [str(error) for error in found] == ["connection refused"] * 3


@pytest.mark.parametrize("count", [MANY])
async def test_a_review_that_waits_for_its_turn_is_not_refused_for_that(count: int) -> None:
    """Many deletions that a repair on another replica makes acceptable are all allowed, and share a few lists."""
    cluster = Cluster.of(DENY, allow("a"))
    cluster.store(allow("b"))
    judge = cluster.judge()

    answers = await asyncio.gather(*(ask(judge, None, allow("a"), dry_run=True) for _ in range(count)))

    assert {answer.allowed for answer in answers} == {True}
    assert cluster.lists <= 3
