"""Each step of a review is done once: parse each policy, judge if the list agrees, explain one verdict."""

import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from builders import ApiObject, block, body, from_, peer, policy, port, review, selector
from test_judging import DENY, Cluster, allow, narrow

from webhook.admission import AdmissionRequest, AdmissionResponse, decode_review, encode_review
from webhook.admission.explanation import explain
from webhook.admission.judge import judge
from webhook.admission.refusal import refusal
from webhook.admission.remedy import Remedies
from webhook.guard.judging import PolicyJudge
from webhook.netpol.parse import read_policy

COUNTED: tuple[Callable[..., Any], ...] = (read_policy, judge, explain, Remedies.remedy, refusal)


async def calls(judge_review: PolicyJudge, request: AdmissionRequest) -> tuple[AdmissionResponse, Counter[str]]:
    """Judge one review and count the calls of these functions."""
    names = {function.__code__: function.__qualname__ for function in COUNTED}
    found: Counter[str] = Counter()

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in names:
            found[names[frame.f_code]] += 1

    sys.setprofile(profile)
    try:
        return await judge_review(request), found
    finally:
        sys.setprofile(None)


def asked(new: ApiObject | None, old: ApiObject | None) -> AdmissionRequest:
    return decode_review(body(review(new, old)))


@pytest.mark.parametrize(
    ("old_version", "parsed"),
    [
        pytest.param("1", 1, id="the cache has it"),
        pytest.param("0", 2, id="the cache has another"),
    ],
)
async def test_an_allowed_update_is_parsed_once_and_judged_once(old_version: str, parsed: int) -> None:
    """The verdict and the change in flight share the parsed policies; no other object is parsed."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))

    response, found = await calls(cluster.judge(), asked(narrow("a"), allow("a", version=old_version)))

    assert response.allowed
    assert found == {"read_policy": parsed, "judge": 1}


async def test_a_refusal_that_the_live_list_confirms_is_judged_once_and_explained_once() -> None:
    """A list that shows what the cache has leads to the same findings, so the change is not judged again."""
    cluster = Cluster.of()

    response, found = await calls(cluster.judge(), asked(DENY, None))

    assert (response.allowed, cluster.lists) == (False, 1)
    assert found == {"read_policy": 1, "judge": 1, "explain": 1, "Remedies.remedy": 1, "refusal": 1}


async def test_a_refusal_is_explained_once_however_often_it_was_judged() -> None:
    """A list with another policy means one more judgement, and changes in flight one for each of their outcomes."""
    cluster = Cluster.of(DENY, allow("a"), allow("b"))
    cluster.store(policy("other", policy_types=["Ingress"], resource_version="9"))
    judge_review = cluster.judge()
    await judge_review(asked(None, allow("a")))

    response, found = await calls(judge_review, asked(None, allow("b")))

    assert (response.allowed, found["judge"]) == (False, 4)
    assert (found["explain"], found["Remedies.remedy"], found["refusal"]) == (1, 1, 1)


async def test_a_refusal_that_the_live_list_takes_back_is_not_explained() -> None:
    """A repair on another replica shows in the list, and the change is allowed without a text."""
    cluster = Cluster.of(DENY, allow("a"))
    cluster.store(allow("b", version="8"))

    response, found = await calls(cluster.judge(), asked(None, allow("a")))

    assert (response.allowed, found["explain"]) == (True, 0)


def realistic(*peers: ApiObject) -> ApiObject:
    """Return an allow with the rules of several teams beside the one for Kafka clients."""
    teams = [
        from_(
            peer(namespaces=selector(team=f"team-{number}"), pods=selector(app="client")),
            block(f"10.{number}.0.0/16", f"10.{number}.7.0/24"),
            ports=[port(8092, "TCP"), port(9000 + number, "TCP")],
        )
        for number in range(4)
    ]
    chosen = selector(**{"app.kubernetes.io/instance": "gw"})
    rules = [*teams, from_(*peers, ports=[port(8092, "TCP")])]
    return policy(
        "clients", pod_selector=chosen, policy_types=["Ingress"], ingress=rules, resource_version="3", uid="c"
    )


def wider() -> ApiObject:
    """Return the realistic policy with one more rule."""
    wanted = realistic()
    wanted["spec"]["ingress"].append(from_(block("192.0.2.0/24"), ports=[port(8092, "TCP")]))
    return wanted


NARROWER = realistic(peer(namespaces=selector(team="a")))
Case = tuple[Cluster, bytes]


@pytest.mark.parametrize(
    ("allowed", "refused", "times"),
    [
        pytest.param(
            (Cluster.of(DENY, realistic()), body(review(wider(), realistic()))),
            (Cluster.of(DENY, realistic()), body(review(NARROWER, realistic()))),
            3,
            id="an edit of a realistic policy",
        ),
        pytest.param(
            (Cluster.of(DENY, allow("a"), allow("b")), body(review(narrow("a"), allow("a")))),
            (Cluster.of(DENY, allow("a")), body(review(narrow("a"), allow("a")))),
            3,
            id="an edit of a tiny policy",
        ),
        pytest.param(
            (Cluster.of(allow("a")), body(review(DENY, None))),
            (Cluster.of(), body(review(DENY, None))),
            4,  # where it is allowed, it is enough to know that another policy admits everyone
            id="a default deny",
        ),
    ],
)
async def test_a_refusal_costs_a_few_times_what_an_allowed_review_of_the_same_policy_costs(
    allowed: Case, refused: Case, times: int
) -> None:
    """Counted in function calls, from the bytes of the review to the bytes of the answer, with a live list."""

    async def cost(is_allowed: bool) -> int:  # noqa: FBT001
        cluster, content = allowed if is_allowed else refused
        judge_review, count = cluster.judge(), 0

        def note(_: FrameType, event: str, __: object) -> None:
            nonlocal count
            count += event in {"call", "c_call"}

        sys.setprofile(note)
        try:
            request = decode_review(content)
            response = await judge_review(request)
            encode_review(request, response)
        finally:
            sys.setprofile(None)
        assert response.allowed is is_allowed
        return count

    costs = {is_allowed: [await cost(is_allowed) for _ in range(2)][-1] for is_allowed in (True, False)}

    assert costs[False] <= times * costs[True], costs
