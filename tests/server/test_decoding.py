"""Bodies are counted before they are built; what is too large is refused with a verdict."""

import asyncio
import json
import logging
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_builders import PATH, logged, post, review, running, until

from webhook.admission import AdmissionRequest, AdmissionResponse, ReviewError
from webhook.server import VALIDATE_EEM, Limits, decoding
from webhook.server.decoding import TooComplex, count_values, decode_within, is_deeper
from webhook.server.limits import MAX_DEPTH, MAX_RULES
from webhook.server.logs import MAX_LINES, LimitedLog

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('a[]{}",\\', max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('a[]{},"', max_size=3), inner, max_size=4),
    max_leaves=20,
)


def values_in(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(values_in(child) for child in inner)


def depth_of(value: Any) -> int:
    if not isinstance(value, dict | list):
        return 0
    return 1 + max((depth_of(child) for child in (value.values() if isinstance(value, dict) else value)), default=0)


@given(json_values)
def test_the_count_is_never_below_the_number_of_values(value: Any) -> None:
    """Commas and opening brackets bound the values of any JSON text."""
    assert count_values(json.dumps(value).encode()) >= values_in(value)


@given(json_values, st.integers(0, 8))
def test_the_depth_of_a_json_text_is_found_without_building_it(value: Any, most: int) -> None:
    """Brackets within strings, and escaped quotes, do not count."""
    assert is_deeper(json.dumps(value).encode(), most) == (depth_of(value) > most)


@pytest.mark.parametrize("end", [b"", b"\\", b'\\"'], ids=["after a quote", "in an escape", "in a string"])
def test_a_string_without_an_end_is_passed_over_once(end: bytes) -> None:
    """A review that is broken off within a text is scanned in milliseconds; once for each quote would take hours."""
    text = b'[[], [], {"b": "' + b'\\"' * 2_000_000 + end

    assert not is_deeper(text, 2)
    assert is_deeper(text, 1)


def nested(depth: int) -> bytes:
    return review().replace(b'"podSelector": {}', b'"x": ' + b"[" * depth + b"]" * depth)


@pytest.mark.parametrize("path", [PATH, VALIDATE_EEM])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        pytest.param(review(object={"spec": [1] * 1000}), "more than 500 values", id="wide"),
        pytest.param(review(oldObject={"spec": [{}] * 1000}), "more than 500 values", id="a wide old object"),
        pytest.param(review(userInfo={"groups": ["x"] * 1000}), "more than 500 values", id="many groups"),
    ],
)
@pytest.mark.parametrize("large_body_bytes", [100, 10**6], ids=["in the thread", "on the event loop"])
async def test_an_object_that_is_too_complex_is_refused_with_422(
    path: str, body: bytes, problem: str, large_body_bytes: int
) -> None:
    """The verdict has the uid, and says which limit the object exceeds; the judge is not called."""

    async def unasked(_request: AdmissionRequest) -> AdmissionResponse:
        raise AssertionError

    limits = Limits(max_policy_values=500, max_instance_values=500, large_body_bytes=large_body_bytes)
    async with running(judges={PATH: unasked, VALIDATE_EEM: unasked}, limits=limits) as server:
        answer = await server.ask(post(body, path=path))

    response = answer.json()["response"]
    assert (answer.status, response["uid"], response["allowed"]) == (200, "6f1c-42", False)
    assert (response["status"]["code"], response["status"]["reason"]) == (422, "Invalid")
    assert "NetworkPolicy eem/deny is too large to be judged" in response["status"]["message"]
    assert problem in response["status"]["message"]


@pytest.mark.parametrize("depth", [MAX_DEPTH, 400])
async def test_a_large_object_that_is_nested_too_deeply_is_refused_with_422(depth: int) -> None:
    """The depth is found before the object is built."""
    async with running(limits=Limits(large_body_bytes=100)) as server:
        answer = await server.ask(post(nested(depth)))

    response = answer.json()["response"]
    assert (response["uid"], response["allowed"], response["status"]["code"]) == ("6f1c-42", False, 422)
    assert "nested more than 100 levels deep" in response["status"]["message"]


async def test_a_policy_with_too_many_rules_is_refused_with_422() -> None:
    """Each rule costs time for each component, and an empty rule has only two values."""
    async with running() as server:
        rules = [{}] * (MAX_RULES + 1)
        answers = [
            await server.ask(post(review(**{key: {"metadata": {"name": "deny"}, "spec": {direction: rules}}})))
            for key, direction in (("object", "ingress"), ("oldObject", "egress"))
        ]

    for answer in answers:
        assert not answer.json()["response"]["allowed"]
        assert "the policy has more than 40,000 rules" in answer.json()["response"]["status"]["message"]


async def test_an_object_too_deep_for_its_judge_is_refused_with_422() -> None:
    """A small object may be deep, too: a judge that runs out of stack refuses it."""

    async def shallow(_request: AdmissionRequest) -> AdmissionResponse:
        raise RecursionError

    async with running(shallow) as server:
        answer = await server.ask(post(review()))

    assert (answer.json()["response"]["allowed"], answer.json()["response"]["status"]["code"]) == (False, 422)


@pytest.mark.parametrize("body", [b"[" * 2000, b'{"request": ' + b"[" * 2000, b"[" + b"1," * 1000 + b"1]"])
def test_a_complex_body_that_is_no_review_is_a_400(body: bytes) -> None:
    """Without a uid there is no verdict."""
    with pytest.raises(ReviewError):
        decode_within(body, 500)


def test_a_review_within_the_limits_is_decoded() -> None:
    """The limit is the largest number that is accepted."""
    body = review()

    assert decode_within(body, count_values(body)).uid == "6f1c-42"
    with pytest.raises(TooComplex):
        decode_within(body, count_values(body) - 1)


async def test_the_memory_of_objects_counts_before_they_are_built() -> None:
    """A body whose objects would exceed the budget is answered with 503, and the budget is free again."""
    body = review(object={"spec": [1] * 1000})
    async with running(limits=Limits(max_held_bytes=100_000)) as server:
        assert (await server.ask(post(body))).status == 503
        assert (await server.ask(post(review()))).status == 200


async def test_bad_requests_cannot_flood_the_log() -> None:
    """Of many bad requests ten are logged, and later how many were left out."""
    async with running() as server:
        with logged("webhook.server.answering") as log:
            connected = await server.connect()
            for _ in range(MAX_LINES + 5):
                assert (await connected.ask(post(b"{}"))).status == 400

        assert len(log.records) == MAX_LINES


async def test_the_number_of_lines_left_out_is_logged() -> None:
    """At the end of a period, per message; then lines are written again."""
    with logged("test") as log:
        lines = LimitedLog(logging.getLogger("test"), most=2, seconds=0.01)
        for _ in range(5):
            lines.write(logging.WARNING, "bad", {})
        lines.write(logging.WARNING, "other", {})
        await until(lambda: len(log.records) == 4)
        await asyncio.sleep(0.02)
        lines.write(logging.WARNING, "bad", {})

    assert [record.getMessage() for record in log.records] == ["bad", "bad", "other", "log lines were left out", "bad"]
    assert log.fields()[3] == {"line": "bad", "count": 3, "seconds": 0.01}


def test_the_thread_of_large_reviews_rests_three_times_as_long_as_it_worked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many large reviews there are, three quarters of the time are left for all others."""
    times = iter([100.0, 100.0, 103.0, 104.0, 104.0, 105.0])  # asked, began, ended; and once more
    rests: list[float] = []

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            rests.append(timeout or 0.0)
            return False

    monkeypatch.setattr(decoding, "time", SimpleNamespace(monotonic=lambda: next(times)))
    monkeypatch.setattr(decoding, "threading", SimpleNamespace(Event=Event))
    reviews = decoding.LargeReviews(Limits())

    async def decode_twice() -> None:
        for _ in range(2):
            until = asyncio.get_running_loop().time() + 10
            await reviews.decode(review(), 10_000, until, address="", is_wanted=lambda: True)

    asyncio.run(decode_twice())
    reviews.close()

    assert rests == [-100.0, 8.0]  # the first need not wait; the work took 3 s, and one has passed since
