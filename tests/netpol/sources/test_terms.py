"""Labels as sets: what a label may be, and terms against the selectors that they stand for."""

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import peer_of, pod_of, term_of_peer
from netpol.label_points import ALL_POINTS, PEERS, POINTS, TEAM, VALUES, holds, term
from webhook.netpol.matching import PodEndpoint, peer_matches
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.terms import ANY_NAME, ANY_VALUE, EVERY_POD, NAME_KEY, POD, Term, ValueSet, domain

VALUE_SETS = st.builds(
    ValueSet, absent=st.booleans(), values=st.frozensets(st.sampled_from(VALUES)), others=st.booleans()
)


# Value sets


@given(VALUE_SETS, VALUE_SETS, st.sampled_from(POINTS))
def test_intersections_of_values(one: ValueSet, two: ValueSet, value: str | None) -> None:
    """An intersection holds what both sets hold, and its order does not matter."""
    assert one.intersection(two).holds(value) is (one.holds(value) and two.holds(value))
    assert one.intersection(two) == two.intersection(one)


@given(VALUE_SETS)
def test_empty_sets_of_values(values: ValueSet) -> None:
    """A set is empty where it holds no value, named or not, and not even none."""
    assert values.is_empty() is not any(values.holds(point) for point in POINTS)


def test_what_a_label_can_be() -> None:
    """Any label may be missing, except the name of a namespace; a pod's label with that key is like any other label."""
    assert domain(NAME_KEY) == ANY_NAME
    assert not ANY_NAME.holds(None)
    assert domain((POD, b.NAME_LABEL)) == domain(TEAM) == ANY_VALUE


# Terms


@pytest.mark.parametrize(
    ("peer", "made"),
    [
        pytest.param(b.peer(namespaces={}), EVERY_POD, id="every pod"),
        pytest.param(b.peer(pods={}, namespaces={}), EVERY_POD, id="every pod, in both words"),
        pytest.param(
            b.peer(pods={}),
            ((NAME_KEY, ValueSet(absent=False, values=frozenset({"eem"}), others=False)),),
            id="the own namespace, by its name",
        ),
        pytest.param(
            b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "Exists"))),
            EVERY_POD,
            id="every namespace has a name",
        ),
        pytest.param(
            b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "DoesNotExist"))), None, id="and none has none"
        ),
        pytest.param(
            b.peer(pods=b.selector(b.expression("a", "NotIn", "x"), b.expression("a", "In", "x"))),
            None,
            id="a contradiction",
        ),
        pytest.param(
            b.peer(namespaces={}, pods=b.selector(b.expression("a", "NotIn", "x"), b.expression("a", "DoesNotExist"))),
            (((POD, "a"), ValueSet(absent=True, values=frozenset(), others=False)),),
            id="requirements on one key are one",
        ),
    ],
)
def test_terms(peer: b.Node, made: Term | None) -> None:
    """A peer of selectors is this term, or no pod at all."""
    assert made == term_of_peer(peer_of(peer))


@pytest.mark.parametrize(
    ("peer", "made"),
    [
        pytest.param(b.selector(app="a b"), None, id="In: no pod has it"),
        pytest.param(
            b.selector(b.expression("app", "In", "a b", "x")), b.selector(app="x"), id="In: the other one counts"
        ),
        pytest.param(b.selector(b.expression("app", "NotIn", "a b")), b.selector(), id="NotIn: every pod has another"),
        pytest.param(
            b.selector(b.expression("app", "NotIn", "a b", "x")),
            b.selector(b.expression("app", "NotIn", "x")),
            id="NotIn: the other one counts",
        ),
    ],
)
def test_values_that_no_label_can_have(peer: b.Node, made: b.Node | None) -> None:
    """A stored selector may name a value that no label can have: it is as if it were not named."""
    stored = term_of_peer(peer_of(b.peer(pods=peer, namespaces={})))

    assert stored == (None if made is None else term(b.peer(pods=made, namespaces={})))


@pytest.mark.parametrize("name", ["Shop", "a.b", "-a", "", "a" * 64])
def test_names_that_no_namespace_can_have(name: str) -> None:
    """A namespace's name is stricter than a label's value."""
    by_name = b.selector(b.expression(b.NAME_LABEL, "In", name))
    others = b.selector(b.expression(b.NAME_LABEL, "NotIn", name))

    assert term_of_peer(peer_of(b.peer(namespaces=by_name))) is None
    assert term(b.peer(namespaces=others)) == EVERY_POD


@given(PEERS, st.sampled_from(ALL_POINTS))
def test_terms_mean_what_selectors_mean(node: b.Node, point: PodWitness) -> None:
    """A term admits exactly the pods that its peer matches."""
    namespace = point.namespace_labels[b.NAME_LABEL]
    pod = pod_of("peer", namespace, labels=dict(point.pod_labels))
    peer = peer_of(node)
    made = term_of_peer(peer)
    matched = peer_matches(peer, PodEndpoint(pod=pod, namespace_labels=point.namespace_labels), "no")

    assert matched is (made is not None and holds([made], point))
