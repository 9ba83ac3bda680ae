"""The policies of a review are parsed once, and a large review's policies may be parsed before it is judged."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from builders import Node, block, body, from_, instance, namespace, peer, review
from oracle.generate import generate_pair
from oracle.product import request_of

import webhook.admission.review as review_module
from admission.reviews import allow, asked, default_deny, gateway, gateway_pod, world
from webhook.admission import AdmissionRequest, Options, decide, decode_review, encode_review
from webhook.admission.inflight import Pending, pending_change
from webhook.admission.networkpolicy import review_of
from webhook.eem import EemSnapshot

WORLD = world(namespace("eem"), gateway(), gateway_pod(), default_deny())
PAIRS = 400  # in one test of five
MANY = 3000
NO_BLOCK = [block("no address")] * MANY


def open_to(*peers: Node) -> Node:
    return default_deny("allow", ingress=[from_(*peers)])


def pending(request: AdmissionRequest, snapshot: EemSnapshot) -> Pending | None:
    return pending_change(review_of(request, snapshot), snapshot, 1.0)


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often each policy is parsed, by name."""
    found: Counter[str] = Counter()
    real: Callable[..., Any] = review_module.read_policy

    def counting(api_object: Node, *others: Any) -> Any:
        found[api_object["metadata"]["name"]] += 1
        return real(api_object, *others)

    monkeypatch.setattr(review_module, "read_policy", counting)
    return found


@pytest.mark.parametrize("part", range(5))
def test_the_answer_is_the_same_if_the_policies_are_parsed_beforehand(part: int) -> None:
    """On every generated change the answer, and the change in flight, do not depend on when the policies are parsed."""
    differing = []
    for seed in range(part * PAIRS, (part + 1) * PAIRS):
        pair = generate_pair(seed)
        request, ready, snapshot = request_of(pair), request_of(pair), EemSnapshot.empty()
        for api_object in pair.objects:
            snapshot = snapshot.with_object(api_object)
        ready.parse_policies()
        options = Options(strict=pair.settings.strict, sources=pair.settings.sources)
        without = decide(request, snapshot, options), pending(request, snapshot)
        if without != (decide(ready, snapshot, options), pending(ready, snapshot)):
            differing.append(seed)

    assert differing == []


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (open_to(*NO_BLOCK), None),
        (open_to(*NO_BLOCK), open_to(*NO_BLOCK)),
        (open_to(*NO_BLOCK, peer()), open_to(*NO_BLOCK)),
        (None, open_to(*NO_BLOCK)),
        (open_to() | {"spec": []}, open_to() | {"spec": 2}),
    ],
)
def test_the_faults_are_the_same_if_the_policies_are_parsed_beforehand(new: Node | None, old: Node | None) -> None:
    """Faults of the new object that the old one did not have are in the answer, whenever they were found."""
    request, ready = (decode_review(body(review(new, old, name="allow", namespace="eem"))) for _ in range(2))
    ready.parse_policies()

    assert encode_review(request, decide(request, WORLD, Options())) == encode_review(
        ready, decide(ready, WORLD, Options())
    )


def test_a_policy_that_was_parsed_is_not_parsed_again(parsed: Counter[str]) -> None:
    """A verdict and the change that it leaves in flight use the policies that were parsed beforehand."""
    ready = asked(open_to(block("10.0.0.0/8", "10.1.0.0/16")), open_to(peer(pods={})))
    ready.parse_policies()
    assert parsed == {"allow": 2}
    decide(ready, WORLD, Options())
    left = pending(ready, WORLD)

    assert parsed == {"allow": 2}
    assert ready.new_policy is not None
    assert ready.old_policy is not None
    assert left is not None
    assert (left.new is ready.new_policy[0], left.old is ready.old_policy[0]) == (True, True)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param(allow("a"), None, 1, id="a creation"),
        pytest.param(allow("a", ports=(8092, 1)), allow("a"), 2, id="an update: the new policy and the old one"),
        pytest.param(None, allow("a"), 1, id="a deletion"),
        pytest.param(allow("a", labels={"a": "b"}), allow("a"), 0, id="an update that leaves the spec unchanged"),
        pytest.param(
            allow("seen", ports=(8092, 1)),
            allow("seen", resource_version="7", uid="u"),
            1,
            id="an update of the version in the cache: only the new policy",
        ),
    ],
)
def test_each_policy_of_an_allowed_review_is_parsed_at_most_once(
    new: Node | None, old: Node | None, expected: int, parsed: Counter[str]
) -> None:
    """The verdict and the change in flight share what was parsed, and a cached version is not parsed at all."""
    snapshot = world(gateway(), gateway_pod(), default_deny(), allow("b"), allow("seen", resource_version="7", uid="u"))
    request = asked(new, old)
    response = decide(request, snapshot, Options())
    pending(request, snapshot)

    assert (response.allowed, parsed.total()) == (True, expected)


def test_a_review_of_another_kind_is_not_parsed_as_a_policy(parsed: Counter[str]) -> None:
    """Only NetworkPolicies are parsed beforehand."""
    asked(instance("gw")).parse_policies()

    assert not parsed
