"""What is read of a review beforehand changes no answer."""

import json

import pytest
from builders import Node, block, body, from_, instance, namespace, peer, review
from oracle.generate import generate_pair
from oracle.product import request_of

from admission.reviews import asked, default_deny, gateway, gateway_pod, world
from webhook.admission import Options, decide, decode_review, encode_review, prepared
from webhook.admission.decide import pending_change
from webhook.eem import EemSnapshot

WORLD = world(namespace("eem"), gateway(), gateway_pod(), default_deny())
PAIRS = 400  # in one test of five
MANY = 3000
NO_BLOCK = [block("no address")] * MANY


def open_to(*peers: Node) -> Node:
    return default_deny("allow", ingress=[from_(*peers)])


@pytest.mark.parametrize("part", range(5))
def test_the_answer_is_the_same_with_and_without(part: int) -> None:
    """On every generated change the answer, and what is left in flight, are those of a review that was not read."""
    differing = []
    for seed in range(part * PAIRS, (part + 1) * PAIRS):
        pair = generate_pair(seed)
        request, snapshot = request_of(pair), EemSnapshot.empty()
        for api_object in pair.objects:
            snapshot = snapshot.with_object(api_object)
        ready = prepared(request)
        options = Options(strict=pair.settings.strict, sources=pair.settings.sources)
        without = decide(request, snapshot, options), pending_change(request, snapshot, 1.0)
        if without != (decide(ready, snapshot, options), pending_change(ready, snapshot, 1.0)):
            differing += [seed]

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
def test_faults_are_the_same_with_and_without(new: Node | None, old: Node | None) -> None:
    """What is wrong with an object, and what was before, is told alike."""
    request = decode_review(body(review(new, old, name="allow", namespace="eem")))
    ready = prepared(request)

    assert encode_review(request, decide(request, WORLD, Options())) == encode_review(
        ready, decide(ready, WORLD, Options())
    )


def test_a_review_of_another_kind_stays_as_it_is() -> None:
    """Only NetworkPolicies are read beforehand."""
    request = asked(instance("gw"))

    assert prepared(request) is request
    assert json.loads(encode_review(request, decide(prepared(asked(open_to())), WORLD, Options())))
