"""Typed decoding of a policy's spec gives what reading it path by path gives, or leaves the spec to that reader."""

import json
from dataclasses import replace
from typing import Any

import builders as b
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle.generate import generate_pair

from webhook.admission import ReviewError, decode_review
from webhook.admission.written_spec import WrittenSpec
from webhook.netpol.parse import read_policy

PAIRS = 1500
JUNK = st.sampled_from(
    [None, True, False, 0, -1, 1.5, 8092.0, 10**30, "", "a", "8092", "ä", "x" * 64, [], [None], {}, {"a": 1}, [{}], [1]]
)


def mostly(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values of *strategy*, and in one case of thirty something that the API server would not write."""
    return st.integers(0, 29).flatmap(lambda drawn: strategy if drawn else JUNK)


def some(*values: Any) -> st.SearchStrategy[Any]:
    return mostly(st.sampled_from(values))


def written(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return objects with any of these fields; a trailing underscore lets a Python keyword be a field."""
    optional = {key.rstrip("_"): mostly(value) for key, value in fields.items()}
    return st.fixed_dictionaries({}, optional={**optional, "unknown": JUNK})


def several(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(mostly(strategy), max_size=3)


KEYS = st.sampled_from(["app", "a.example/b", "team", "-a", "a/b/c", "x" * 64, f"{'p' * 253}/n", f"{'p' * 254}/n", ""])
VALUES = some("web", "", "A-b_c.d", "-a", "a b", "x" * 63, "x" * 64, "a\n")
CIDRS = some(
    "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/8", "010.0.0.0/8", "10.0.0.0/33", "10.0.0/8", "1.2.3.4", "::/0",
    "2001:db8::/32", "2001:db8:1::/48", "::ffff:1.2.3.4/120", "2001:db8::/129", "10.0.0.0/٣", "256.0.0.0/8",
)  # fmt: skip
EXPRESSIONS = written(
    key=KEYS, operator=some("In", "NotIn", "Exists", "DoesNotExist", "in"), values=st.lists(VALUES, max_size=3)
)
SELECTORS = written(matchLabels=st.dictionaries(KEYS, VALUES, max_size=2), matchExpressions=several(EXPRESSIONS))
PEERS = st.one_of(
    written(podSelector=SELECTORS, namespaceSelector=SELECTORS),
    st.fixed_dictionaries({"ipBlock": written(cidr=CIDRS, except_=st.lists(CIDRS, max_size=2))}),
    written(podSelector=SELECTORS, namespaceSelector=SELECTORS, ipBlock=written(cidr=CIDRS)),
)
PORTS = written(
    protocol=some("TCP", "UDP", "SCTP", "tcp"),
    port=some(8092, 1, 65535, 0, 65536, "http", "80", "a--b", "-a", "a" * 16, "٣"),
    endPort=some(8092, 9000, 1, 65536),
)
SPECS = written(
    podSelector=SELECTORS,
    policyTypes=st.lists(some("Ingress", "Egress", "ingress"), max_size=3),
    ingress=several(written(from_=several(PEERS), ports=several(PORTS))),
    egress=several(written(to=several(PEERS), ports=several(PORTS))),
)


PARTS = {
    "types": SPECS.map(lambda spec: {"policyTypes": spec.get("policyTypes"), "egress": [{}]}),
    "selectors": SELECTORS.map(lambda selector: {"podSelector": selector}),
    "peers": PEERS.map(lambda peer: {"ingress": [{"from": [peer]}]}),
    "ports": PORTS.map(lambda port: {"egress": [{"ports": [port]}]}),
    "whole specs": mostly(SPECS),
}


@pytest.mark.parametrize("part", PARTS)
def test_both_ways_of_reading_a_spec_agree(part: str) -> None:
    """A review has the policy and the faults that are read path by path from the same object, whatever is in it."""

    @settings(max_examples=600, deadline=None)
    @given(spec=PARTS[part])
    def agree(spec: Any) -> None:
        api_object = b.policy("p") | {"spec": spec}
        request = decode_review(b.body(b.review(api_object, api_object)))

        assert request.new_policy == read_policy(api_object, "eem")
        assert request.old_policy == request.new_policy
        assert request.object == api_object

    agree()


def test_every_policy_without_faults_is_decoded_into_types() -> None:
    """The specs that the API server writes take the fast way: only those with faults do not."""
    slow = []
    for seed in range(PAIRS):
        for api_object in generate_pair(seed).objects:
            if api_object["kind"] == "NetworkPolicy" and not read_policy(api_object)[1]:
                text = json.dumps(api_object["spec"]).encode()
                if WrittenSpec(text).meaning("eem") is None:
                    slow.append((seed, api_object["spec"]))

    assert slow == []


@pytest.mark.parametrize(
    ("new", "old", "unchanged"),
    [
        pytest.param({"podSelector": {}}, {"podSelector": {}}, True, id="the same"),
        pytest.param({"podSelector": {}, "new": 1}, {"podSelector": {}, "new": 2}, False, id="a field of a later API"),
        pytest.param({}, None, True, id="an empty one and null"),
        pytest.param({"podSelector": {}}, None, False, id="null before"),
    ],
)
def test_a_spec_is_unchanged_if_its_text_is(new: Any, old: Any, unchanged: bool) -> None:  # noqa: FBT001
    """What is not evaluated counts as well."""
    found = decode_review(b.body(b.review(b.policy("p") | {"spec": new}, b.policy("p") | {"spec": old})))

    assert found.leaves_spec_unchanged is unchanged


def test_the_longest_list_of_rules_is_counted_either_way() -> None:
    """A list of rules is counted in a spec with faults as well."""
    texts = [b'{"ingress": [{}, {}], "egress": [{}]}', b'{"ingress": [{}, 1], "egress": 5}', b'{"egress": {}}', b"{}"]

    assert [WrittenSpec(text).rules() for text in texts] == [2, 2, 0, 0]


@pytest.mark.parametrize("text", [b'"\xff"', b"1e999"], ids=["not UTF-8", "no number"])
def test_what_is_not_json_is_no_policy(text: bytes) -> None:
    """It is found when the spec is read: there is no verdict."""
    wire = b.body(b.review(b.policy("p") | {"spec": {"podSelector": "HERE"}})).replace(b'"HERE"', text)
    with pytest.raises(ReviewError, match="body: is not JSON in UTF-8"):
        _ = decode_review(wire).new_policy


def nested(depth: int) -> list[Any]:
    """Return lists within one another."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def test_specs_that_are_too_deep_to_be_compared_count_as_changed() -> None:
    """They are judged: only what is surely unchanged is exempt."""
    request = decode_review(b.body(b.review(b.policy("p"), b.policy("p"))))
    deep = replace(request, object={"spec": {"a": nested(100_000)}}, old_object={"spec": {"a": nested(100_000)}})

    assert not deep.leaves_spec_unchanged
