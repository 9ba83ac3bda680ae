"""What one union of terms admits and another does not, against brute force over representative points."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import builders as b
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from netpol.hard_terms import pigeons
from netpol.label_points import ALL_POINTS, FRESH, PEERS, holds, points, terms
from webhook.netpol.selectors import NAMESPACE_NAME_LABEL
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.difference import PodWitness, difference, may_hold_pods
from webhook.netpol.sources.terms import EVERY_POD, POD, Key, Term, ValueSet, admits


def lost(before: Iterable[Term], after: Iterable[Term]) -> PodWitness | None:
    """Return what is lost, found with the effort of one whole decision."""
    return difference(before, after, Answers())


def assert_right(before: list[Term], after: list[Term], among: Iterable[PodWitness]) -> None:
    """Compare a difference with trying every representative point, and its witness with what it is to show."""
    found = lost(before, after)
    gone = [point for point in among if holds(before, point) and not holds(after, point)]

    assert (found is None) is (not gone)
    if found is not None:
        somewhere = replace(found, namespace_labels={NAMESPACE_NAME_LABEL: FRESH, **found.namespace_labels})
        assert holds(before, somewhere)
        assert not holds(after, somewhere)


def named(operator: str) -> b.Node:
    """Return a peer that selects a namespace by its name."""
    return b.peer(namespaces=b.selector(b.expression(NAMESPACE_NAME_LABEL, operator, "x")))


def of_team(name: str, team: str) -> b.Node:
    """Return a peer that selects a namespace by its name and its team."""
    return b.peer(namespaces=b.selector(**{NAMESPACE_NAME_LABEL: name}, team=team))


@given(st.lists(PEERS, min_size=1, max_size=3), st.lists(PEERS, max_size=5))
@example([named("In"), named("NotIn")], [])  # together any namespace, for each has a name
def test_differences_of_peers(before: list[b.Node], after: list[b.Node]) -> None:
    """Something is lost where some representative pod is, and the witness is one that is."""
    assert_right(terms(before), terms(after), ALL_POINTS)


EXISTING = st.dictionaries(
    st.sampled_from(["eem", "x", FRESH, "any-namespace"]),
    st.sampled_from([{}, {"team": "x"}, {"team": "y"}, {"team": ""}]),
    max_size=3,
)


@given(st.lists(PEERS, min_size=1, max_size=3), st.lists(PEERS, max_size=5), EXISTING)
@example([b.peer(pods={})], [b.peer(namespaces=b.selector(team="x"))], {"eem": {"team": "x"}})
@example([b.peer(namespaces={})], [named("NotIn"), b.peer(namespaces=b.selector(team="x"))], {"x": {"team": "x"}})
def test_namespaces_that_exist_have_the_labels_that_they_have(
    before: list[b.Node], after: list[b.Node], existing: dict[str, dict[str, str]]
) -> None:
    """Pods of an existing namespace are lost with its labels only, and pods of namespaces to come with any labels."""
    known = {name: {NAMESPACE_NAME_LABEL: name, **labels} for name, labels in existing.items()}
    had, has = terms(before), terms(after)
    found = difference(had, has, Answers(), known.get)
    gone = [
        point
        for point in ALL_POINTS
        if known.get(point.namespace_labels[NAMESPACE_NAME_LABEL], point.namespace_labels) == point.namespace_labels
        and holds(had, point)
        and not holds(has, point)
    ]
    to_come = [one for one in ALL_POINTS if one.namespace_labels[NAMESPACE_NAME_LABEL] == FRESH]
    gone += [point for point in to_come if holds(had, point) and not holds(has, point)]  # one more name is like FRESH

    assert (found is None) is (not gone)
    if found is not None:
        name = found.namespace_labels.get(NAMESPACE_NAME_LABEL, "not-there")
        assert known.get(name, found.namespace_labels) == found.namespace_labels
        somewhere = replace(found, namespace_labels={NAMESPACE_NAME_LABEL: name, **found.namespace_labels})
        assert holds(had, somewhere)
        assert not holds(has, somewhere)


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        pytest.param(b.peer(pods={}), True, id="the own namespace exists"),
        pytest.param(b.peer(namespaces=b.selector(**{NAMESPACE_NAME_LABEL: "shop"}, team="a")), True, id="its label"),
        pytest.param(
            b.peer(namespaces=b.selector(**{NAMESPACE_NAME_LABEL: "shop"}, team="b")), False, id="another one"
        ),
        pytest.param(b.peer(namespaces=b.selector(**{NAMESPACE_NAME_LABEL: "bank"}, team="b")), True, id="one to come"),
        pytest.param(b.peer(namespaces=b.selector(team="b")), True, id="any name"),
    ],
)
def test_whether_a_term_can_hold_a_pod(peer: b.Node, expected: bool) -> None:  # noqa: FBT001  a column
    """A term that names an existing namespace with another label holds no pod, now or later."""
    known = {name: {NAMESPACE_NAME_LABEL: name, "team": "a"} for name in ("eem", "shop")}

    assert expected is may_hold_pods(terms([peer]), known.get)
    assert expected is (difference(terms([peer]), [], Answers(), known.get) is not None)
    assert not may_hold_pods([], known.get)


def test_a_namespace_to_come_is_never_one_that_exists() -> None:
    """Where a namespace to come is meant, its name is neither mentioned nor that of an existing namespace."""
    known = {name: {NAMESPACE_NAME_LABEL: name, "team": "a"} for name in ("other", "any-namespace")}
    only_x = b.peer(namespaces=b.selector(b.expression(NAMESPACE_NAME_LABEL, "In", "x")))

    assert difference([EVERY_POD], terms([only_x]), Answers(), known.get) == PodWitness(
        namespace_labels={NAMESPACE_NAME_LABEL: "any-namespace1"}, pod_labels={}
    )


def test_a_namespace_to_come_is_lost_beside_an_existing_one_that_is_not() -> None:
    """The search is repeated without the existing namespaces that keep their pods."""
    others = b.selector(b.expression(NAMESPACE_NAME_LABEL, "NotIn", "x"), b.expression("team", "NotIn", "a"))
    after = terms([b.peer(namespaces=b.selector(b.expression("team", "DoesNotExist"))), b.peer(namespaces=others)])
    found = difference([EVERY_POD], after, Answers(), {"x": {NAMESPACE_NAME_LABEL: "x"}}.get)

    assert found == PodWitness(namespace_labels={NAMESPACE_NAME_LABEL: "other", "team": "a"}, pod_labels={})


def test_five_hundred_namespaces_by_name() -> None:
    """Many existing namespaces are asked about one by one, each with the terms that concern it."""
    known = {f"n{at}": {NAMESPACE_NAME_LABEL: f"n{at}", "team": f"t{at}"} for at in range(500)}
    by_name = [b.peer(namespaces=b.selector(**{NAMESPACE_NAME_LABEL: name})) for name in known]
    by_team = [
        b.peer(namespaces=b.selector(**{NAMESPACE_NAME_LABEL: name}, team=labels["team"]))
        for name, labels in known.items()
    ]

    assert difference(terms(by_name), terms(by_team), Answers(), known.get) is None
    assert difference(terms(by_name), terms(by_team[:-1]), Answers(), known.get) == PodWitness(
        namespace_labels=known["n499"], pod_labels={}
    )


RICH_KEYS: dict[Key, tuple[str | None, ...]] = {(POD, name): (None, "x", FRESH) for name in "abcde"}
RICH_TERMS = st.dictionaries(
    st.sampled_from(sorted(RICH_KEYS)),
    st.sampled_from(
        [
            ValueSet(absent=absent, values=frozenset(values), others=others)
            for absent, values, others in (
                (False, "x", False),
                (True, "x", True),
                (False, "", True),
                (True, "", False),
                (False, "x", True),
            )
        ]
    ),
    min_size=1,
    max_size=3,
).map(lambda constraints: tuple(sorted(constraints.items(), key=lambda item: item[0])))
RICH_POINTS = list(points(RICH_KEYS))


@given(st.lists(RICH_TERMS | st.just(EVERY_POD), min_size=1, max_size=2), st.lists(RICH_TERMS, max_size=9))
def test_differences_under_many_keys(before: list[Term], after: list[Term]) -> None:
    """The same under five keys, where the search splits, prunes, and solves parts apart."""
    assert_right(before, after, RICH_POINTS)


DENSE_KEYS: dict[Key, tuple[str | None, ...]] = {(POD, name): (None, "x", "y", FRESH) for name in "abcd"}
DENSE_VALUES = [
    ValueSet(absent=absent, values=frozenset(values), others=others)
    for absent, values, others in (
        (False, "x", False),
        (True, "x", True),
        (False, "", True),
        (True, "", False),
        (False, "xy", False),
        (True, "y", True),
    )
]


@pytest.mark.parametrize("seed", range(4))
def test_differences_of_dense_terms(seed: int) -> None:
    """The same with many terms on few keys, where the search meets again what it has refuted."""
    rng = Random(seed)
    among = list(points(DENSE_KEYS))
    for _ in range(100):
        before = [dense(rng, rng.choice((0, 0, 1, 2)))]
        after = [dense(rng, rng.choice((1, 2, 2, 3))) for _ in range(rng.randrange(1, 20))]
        assert_right(before, after, among)


def dense(rng: Random, size: int) -> Term:
    """Return a term on so many of four keys."""
    return tuple((key, rng.choice(DENSE_VALUES)) for key in sorted(rng.sample(sorted(DENSE_KEYS), size)))


def exactly(**values: str) -> Term:
    return tuple(
        ((POD, key), ValueSet(absent=False, values=frozenset({value}), others=False)) for key, value in values.items()
    )


def other_than(**values: str) -> Term:
    return tuple(
        ((POD, key), ValueSet(absent=True, values=frozenset({value}), others=True)) for key, value in values.items()
    )


SQUARE = [
    exactly(a="x", b="x"),
    other_than(a="x", b="x"),
    (*exactly(a="x"), *other_than(b="x")),
    (*other_than(a="x"), *exactly(b="x")),
]


def test_parts_that_share_no_key() -> None:
    """Terms on other keys neither hide a gap nor fill it."""
    apart = [exactly(c="x", d="x"), other_than(c="x", d="x")]

    assert lost([EVERY_POD], [*SQUARE, *apart]) is None
    for missing in SQUARE:
        gap = [term for term in SQUARE if term is not missing]
        found = lost([EVERY_POD], [*gap, *apart])
        assert found is not None
        assert admits([missing], {}, found.pod_labels)
        assert not admits([*gap, *apart], {}, found.pod_labels)


@given(RICH_TERMS, st.sampled_from(sorted(RICH_KEYS)))
def test_a_term_and_its_splits(whole: Term, key: Key) -> None:
    """A term, split by what one more label may be, loses nothing; with one piece missing it does."""
    assume(key not in dict(whole))
    pieces = [
        tuple(sorted([*whole, (key, values)], key=lambda item: item[0]))
        for values in (
            ValueSet(absent=True, values=frozenset(), others=False),
            ValueSet(absent=False, values=frozenset("x"), others=False),
            ValueSet(absent=False, values=frozenset("x"), others=True),
        )
    ]

    assert lost([whole], pieces) is None
    assert lost(pieces, [whole]) is None
    for missing in pieces:
        assert lost([whole], [piece for piece in pieces if piece is not missing]) is not None


@given(
    st.lists(RICH_TERMS, min_size=1, max_size=4), st.lists(RICH_TERMS, max_size=9), st.randoms(use_true_random=False)
)
def test_the_witness_does_not_depend_on_order(before: list[Term], after: list[Term], random: Random) -> None:
    """The same pod is found in whatever order the terms come, as they do from a set in another process."""
    found = lost(before, after)
    random.shuffle(before)
    random.shuffle(after)
    again = lost(before, after)

    assert found == again
    assert found is None or again is None or list(found.pod_labels) == list(again.pod_labels)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], [], id="nobody before"),
        pytest.param([b.peer(pods={})], [b.peer(namespaces={})], id="everyone afterwards"),
        pytest.param([b.peer(pods={})], [b.peer(pods={})], id="the same"),
        pytest.param([b.peer(pods=b.selector(app="x"))], [b.peer(pods={})], id="a wider selector"),
        pytest.param(
            [b.peer(namespaces={})],
            [
                b.peer(namespaces=b.selector(b.expression("team", "Exists"))),
                b.peer(namespaces=b.selector(b.expression("team", "DoesNotExist"))),
            ],
            id="a tautology of two namespace selectors",
        ),
        pytest.param(
            [b.peer(namespaces={})],
            [
                b.peer(namespaces={}, pods=b.selector(app="x")),
                b.peer(namespaces={}, pods=b.selector(b.expression("app", "NotIn", "x"))),
            ],
            id="a tautology of In and NotIn: the missing key is in NotIn",
        ),
        pytest.param(
            [b.peer(namespaces={})],
            [
                b.peer(pods={}),
                b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "NotIn", "eem"))),
            ],
            id="the own namespace, and all others by name",
        ),
    ],
)
def test_nothing_is_lost(before: list[b.Node], after: list[b.Node]) -> None:
    """Every pod admitted before is admitted afterwards."""
    assert lost(terms(before), terms(after)) is None


@pytest.mark.parametrize(
    ("before", "after", "witness"),
    [
        pytest.param(
            [b.peer(pods={})],
            [],
            PodWitness(namespace_labels={b.NAME_LABEL: "eem"}, pod_labels={}),
            id="nobody afterwards: any pod of the namespace",
        ),
        pytest.param(
            [b.peer(namespaces={})],
            [b.peer(pods={})],
            PodWitness(namespace_labels={b.NAME_LABEL: "other"}, pod_labels={}),
            id="the own namespace afterwards: a pod of another one",
        ),
        pytest.param(
            [b.peer(namespaces={})],
            [b.peer(namespaces={}, pods=b.selector(b.expression("app", "Exists")))],
            PodWitness(namespace_labels={}, pod_labels={}),
            id="a label afterwards: a pod without",
        ),
        pytest.param(
            [b.peer(namespaces={}, pods=b.selector(b.expression("app", "In", "x", "y")))],
            [b.peer(namespaces={}, pods=b.selector(app="x"))],
            PodWitness(namespace_labels={}, pod_labels={"app": "y"}),
            id="one value fewer: a pod with it",
        ),
        pytest.param(
            [b.peer(namespaces={}, pods=b.selector(b.expression("app", "Exists")))],
            [b.peer(namespaces={}, pods=b.selector(b.expression("app", "In", "other", "other1")))],
            PodWitness(namespace_labels={}, pod_labels={"app": "other2"}),
            id="a value that nobody wrote",
        ),
        pytest.param(
            [b.peer(namespaces={}, pods=b.selector(b.expression("app", "Exists"), b.expression("tier", "NotIn", "x")))],
            [b.peer(namespaces={}, pods=b.selector(tier="y"))],
            PodWitness(namespace_labels={}, pod_labels={"app": "other"}),
            id="labels that only the first selector asks for",
        ),
    ],
)
def test_who_is_lost(before: list[b.Node], after: list[b.Node], witness: PodWitness) -> None:
    """The witness is a pod that was admitted and is no longer."""
    assert witness == lost(terms(before), terms(after))


def test_a_small_hard_search_is_not_given_up() -> None:
    """Five pigeons in four holes are no bound; one hole more is found."""
    assert lost([EVERY_POD], pigeons(5)) is None
    assert lost([EVERY_POD], [term for term in pigeons(5) if "hole3" not in str(term[1:])]) is not None
