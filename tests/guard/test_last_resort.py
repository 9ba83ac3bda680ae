"""A replica with an old view answers only if no replica with a newer one does, and then always."""

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product
from random import Random

import pytest
from builders import body
from builders import review as api_review
from hypothesis import given
from hypothesis import strategies as st
from server_builders import PATH, post, review, running
from test_judging import DENY, Cluster
from test_judging import allow as allow_policy

from webhook.admission import AdmissionRequest, AdmissionResponse, decode_review
from webhook.cluster.store import Silence
from webhook.guard.last_resort import ENOUGH_SIGHTINGS, LastResort, Sightings
from webhook.guard.outcomes import ListError, NotReady, Stale

ATTEMPTS = 11
"""How often the API server asks: once, and then it repeats ten times."""
SILENT = Silence(resource="pods", seconds=312.4)
NOTE = "judged on data that is 312 s old: the API server has sent nothing about pods since"


def asked(uid: str = "one") -> AdmissionRequest:
    return decode_review(review(uid=uid))


async def refuse(_request: AdmissionRequest) -> AdmissionResponse:
    return AdmissionResponse(allowed=False, code=403, reason="Forbidden", message="cuts off gw", result="denied")


async def unknowing(_request: AdmissionRequest) -> AdmissionResponse:
    raise NotReady("the cluster is not known yet")


def replica(*, old: bool, judge: Callable[..., object] = refuse) -> LastResort:
    return LastResort(judge, lambda: SILENT if old else None)  # type: ignore[arg-type]


async def attempts(replicas: Sequence[LastResort], choices: Sequence[int]) -> tuple[int, int, AdmissionResponse] | None:
    """Send a review as the API server does; return the attempt that was answered, the replica and the answer."""
    request = asked()
    for number, choice in enumerate(choices, start=1):
        try:
            return number, choice, await replicas[choice](request)
        except Stale:
            pass
    return None


async def test_a_fresh_view_answers_at_once() -> None:
    """The verdict does not mention the age of the view."""
    response = await replica(old=False)(asked())

    assert (response.warnings, dict(response.audit_annotations)) == ((), {})


async def test_a_replica_with_an_old_view_answers_the_third_attempt() -> None:
    """At the third attempt of a review no other replica has answered."""
    old = replica(old=True)
    for _ in range(2):
        with pytest.raises(Stale, match="nothing about pods for 312 s"):
            await old(asked())
    response = await old(asked())
    again = await old(asked())

    assert (response.allowed, response.warnings) == (False, (NOTE,))
    assert dict(response.audit_annotations) == {"stale-view": NOTE}
    assert again == response


async def test_the_attempts_of_each_review_are_counted_separately() -> None:
    """Ten different reviews are ten first attempts."""
    old = replica(old=True)
    for number in range(10):
        with pytest.raises(Stale):
            await old(asked(f"uid-{number}"))


async def test_a_replica_that_never_had_a_view_never_answers() -> None:
    """No number of attempts leads to a verdict."""
    old = replica(old=True, judge=unknowing)
    outcomes = Counter[str]()
    for _ in range(ATTEMPTS):
        with pytest.raises((Stale, NotReady)) as refusal:
            await old(asked())
        outcomes[refusal.type.__name__] += 1

    assert outcomes == {"Stale": 2, "NotReady": 9}


def test_the_review_that_was_seen_longest_ago_is_forgotten_first() -> None:
    """The number of reviews is bounded."""
    sightings = Sightings(most=2)
    counts = [sightings.count(uid) for uid in ("a", "b", "a", "c", "b", "a", "c", "c")]

    assert counts == [1, 1, 2, 1, 1, 1, 1, 2]


def test_nothing_of_a_review_is_kept_but_a_digest() -> None:
    """A client other than the API server may send uids of megabytes; a uid may also have half a surrogate pair."""
    sightings = Sightings()
    counts = [sightings.count(uid) for uid in ("u" * 4_000_000, "\ud800", "u" * 4_000_000, "u" * 3_999_999)]

    assert counts == [1, 1, 2, 1]
    assert sum(map(sys.getsizeof, sightings.seen)) < 1000


@given(choices=st.lists(st.integers(0, 2), min_size=7, max_size=7))
async def test_three_old_views_answer_within_seven_attempts(choices: list[int]) -> None:
    """Whichever of three replicas the attempts reach, one with an old view answers by the seventh."""
    answered = await attempts([replica(old=True) for _ in range(3)], choices)

    assert answered is not None
    assert answered[2].warnings == (NOTE,)


async def test_five_old_views_answer_within_the_attempts_of_the_api_server() -> None:
    """In turn, five replicas with old views answer at the eleventh and last attempt."""
    answered = await attempts([replica(old=True) for _ in range(5)], [number % 5 for number in range(ATTEMPTS)])

    assert answered is not None
    assert answered[0] == ATTEMPTS == (ENOUGH_SIGHTINGS - 1) * 5 + 1


@pytest.mark.parametrize(
    ("old", "share"), [(1, Fraction(1, 27)), (2, Fraction(48, 243))], ids=["one of three is old", "two of three are"]
)
async def test_with_a_fresh_view_an_old_one_seldom_answers(old: int, share: Fraction) -> None:
    """Of all ways in which attempts reach three replicas, an old view answers first in this share."""
    found = Counter[bool]()
    for choices in product(range(3), repeat=5):
        answered = await attempts([replica(old=number < old) for number in range(3)], choices)
        assert answered is not None
        found[answered[1] < old] += 1

    assert Fraction(found[True], found.total()) == share


async def test_taken_in_turn_a_fresh_view_always_answers() -> None:
    """A Service that balances in turn never gets an old view's verdict while there is a fresh one."""
    rng = Random(1)
    for _ in range(20):
        fresh, first = rng.randrange(3), rng.randrange(3)
        replicas = [replica(old=number != fresh) for number in range(3)]
        answered = await attempts(replicas, [(first + number) % 3 for number in range(ATTEMPTS)])

        assert answered is not None
        assert answered[1] == fresh


async def test_over_the_wire_an_old_view_is_503_twice_and_then_a_verdict_with_a_warning() -> None:
    """503 comes with `Retry-After: 0` on a connection that closes."""
    async with running(LastResort(refuse, lambda: SILENT)) as server:
        away = [await server.ask(post(review(uid="one"), path=PATH)) for _ in range(2)]
        verdict = await server.ask(post(review(uid="one"), path=PATH))
        shed = await server.metric('eem_guardrail_reviews_shed_total{reason="stale"}')

    assert [answer.status for answer in away] == [503, 503]
    assert {(answer.headers["retry-after"], answer.headers["connection"]) for answer in away} == {("0", "close")}
    assert (verdict.json()["response"]["warnings"], shed) == ([NOTE], 2)


@pytest.mark.parametrize(
    ("repaired", "failure", "allowed"),
    [(True, None, True), (False, None, False), (False, ListError("connection refused"), False)],
    ids=["the live list shows a repair", "the live list agrees", "the API server is gone"],
)
async def test_a_refusal_on_an_old_view_needs_a_live_list(
    *, repaired: bool, failure: Exception | None, allowed: bool
) -> None:
    """If the list fails, the refusal stands, with a note."""
    cluster = Cluster.of(DENY, allow_policy("a"))
    cluster.failure = failure
    if repaired:
        cluster.store(allow_policy("b"))
    old = LastResort(cluster.judge(), lambda: SILENT)
    removal = decode_review(body(api_review(None, allow_policy("a"))))
    for _ in range(2):
        with pytest.raises(Stale):
            await old(removal)
    response = await old(removal)

    assert (response.allowed, cluster.lists, NOTE in response.warnings) == (allowed, 1, True)
    assert ("could not be asked" in response.message) == (failure is not None)
