"""The example of a loss that is shown: as small as it gets, and somewhere that exists where it can be."""

from collections.abc import Iterable

import builders as b
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from netpol.asking import sources_of
from webhook.netpol.model import Namespace, Pod
from webhook.netpol.sources.budget import Answers, StepBudget
from webhook.netpol.sources.counterexample import MOST_NAMESPACES, PodExample, existing_pod, smallest_example
from webhook.netpol.sources.difference import PodWitness, difference
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources
from webhook.netpol.sources.terms import POD, Term, ValueSet, admits

ALL_PODS = b.peer(namespaces={})


def space(name: str, **labels: str) -> Namespace:
    return Namespace(name=name, labels={b.NAME_LABEL: name, **labels})


def witness(pods: dict[str, str] | None = None, **spaces: str) -> PodWitness:
    return PodWitness(namespace_labels=spaces, pod_labels=pods or {})


def named(name: str, pods: dict[str, str] | None = None) -> PodWitness:
    return witness(pods, **{b.NAME_LABEL: name})


def example(namespace: str, labels: dict[str, str] | None = None, **namespace_labels: str) -> PodExample:
    return PodExample(namespace=namespace, labels=labels or {}, namespace_labels=namespace_labels)


NOT_WEB = sources_of(b.peer(namespaces={}, pods=b.selector(b.expression("app", "NotIn", "web"))))


def smallest(found: PodWitness, before: Sources, after: Sources, namespaces: Iterable[Namespace]) -> PodExample:
    """Return the smallest example, found with the effort of one whole decision."""
    return smallest_example(found, before, after, namespaces, StepBudget())


WITH_TEAM = sources_of(b.peer(namespaces=b.selector(b.expression("team", "Exists"))))
EXISTING = [space("shop"), space("bank", team="a")]


@pytest.mark.parametrize(
    ("found", "before", "after", "namespaces", "shown"),
    [
        pytest.param(witness(), EVERYONE, NO_SOURCES, EXISTING, example("shop"), id="any pod: in the first namespace"),
        pytest.param(
            witness({"app": "x"}), EVERYONE, NO_SOURCES, EXISTING, example("shop"), id="labels of no account go"
        ),
        pytest.param(
            witness({"app": "web", "tier": "1"}),
            EVERYONE,
            NOT_WEB,
            EXISTING,
            example("shop", {"app": "web"}),
            id="a label that counts stays",
        ),
        pytest.param(
            witness(team="a"),
            WITH_TEAM,
            NO_SOURCES,
            EXISTING,
            example("bank"),
            id="the first namespace where it is an example",
        ),
        pytest.param(
            witness(team="a"),
            WITH_TEAM,
            NO_SOURCES,
            [space("shop")],
            example("any-namespace", team="a"),
            id="there is none",
        ),
        pytest.param(witness(), EVERYONE, NO_SOURCES, [], example("any-namespace"), id="there is no namespace at all"),
        pytest.param(
            named("eem"),
            sources_of(b.peer(pods={})),
            NO_SOURCES,
            [space("shop"), space("eem")],
            example("eem"),
            id="by name",
        ),
        pytest.param(
            named("later"),
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "In", "later")))),
            NO_SOURCES,
            EXISTING,
            example("later"),
            id="a namespace that may come",
        ),
        pytest.param(
            named("other"),
            EVERYONE,
            sources_of(b.peer(pods={})),
            [space("eem")],
            example("other"),
            id="not the one there",
        ),
        pytest.param(
            witness(team="x"),
            EVERYONE,
            sources_of(b.peer(namespaces=b.selector(b.expression("team", "In", "y")))),
            [],
            example("any-namespace"),
            id="a namespace label of no account goes",
        ),
        pytest.param(
            witness({"app": "x"}),
            sources_of(b.block("10.0.0.0/8")),
            NO_SOURCES,
            EXISTING,
            example("shop"),
            id="a pod that was admitted by its address",
        ),
        pytest.param(
            witness(),
            EVERYONE,
            sources_of(
                b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "In", "any-namespace", "any-namespace1")))
            ),
            [],
            example("any-namespace2"),
            id="the name that is made up is one that nobody wrote",
        ),
    ],
)
def test_examples(
    found: PodWitness, before: Sources, after: Sources, namespaces: list[Namespace], shown: PodExample
) -> None:
    """This example is shown for this witness."""
    assert shown == smallest(found, before, after, namespaces)


def test_a_label_that_can_go_once_another_has() -> None:
    """Labels are tried again after one has gone: here each counts only while the next one is there."""
    after = sources_of(
        *(
            b.peer(namespaces={}, pods=b.selector(b.expression(key, "DoesNotExist"), b.expression(following, "Exists")))
            for key, following in ("ab", "bc", "cd")
        )
    )

    assert smallest(witness(dict.fromkeys("abcd", "x")), EVERYONE, after, []) == example("any-namespace")


def test_a_label_that_can_go_where_the_pod_is_moved() -> None:
    """Labels are tried again in the namespace that is shown: there a pod without them is cut off too."""
    after = sources_of(b.peer(namespaces=b.selector(team="a"), pods=b.selector(b.expression("app", "DoesNotExist"))))

    assert smallest(witness({"app": "x"}, team="a"), EVERYONE, after, [space("shop")]) == example("shop")
    assert smallest(witness({"app": "x"}, team="a"), EVERYONE, after, []) == example("any-namespace")


def test_a_pod_of_a_namespace_that_exists_stays_there() -> None:
    """A witness in an existing namespace is shown there, with the labels that the namespace has."""
    known = {space.name: space.labels for space in EXISTING}
    found = PodWitness(namespace_labels=known["bank"], pod_labels={"app": "x"})
    shown = smallest_example(found, EVERYONE, WITH_TEAM, [], StepBudget(), known.get)

    assert shown == example("bank", {"app": "x"})
    assert smallest_example(found, WITH_TEAM, NO_SOURCES, [], StepBudget(), known.get) == example("bank")


def test_a_namespace_to_come_has_a_name_that_no_other_has() -> None:
    """The example is in a namespace that neither exists nor is mentioned."""
    known = {"any-namespace": {b.NAME_LABEL: "any-namespace"}}
    after = sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "In", "any-namespace1"))))

    assert smallest_example(witness(), EVERYONE, after, [], StepBudget(), known.get) == example("any-namespace2")


def test_not_every_namespace_is_tried() -> None:
    """A refusal does not wait for thousands of namespaces."""
    spaces = [*(space(f"n{index}") for index in range(MOST_NAMESPACES)), space("bank", team="a")]

    assert smallest(witness(team="a"), WITH_TEAM, NO_SOURCES, spaces) == example("any-namespace", team="a")
    assert smallest(witness(team="a"), WITH_TEAM, NO_SOURCES, spaces[1:]) == example("bank")


@pytest.mark.parametrize("left", [0, 1, 2, 4])
def test_an_example_that_there_is_no_effort_for(left: int) -> None:
    """Where the effort ends, the witness is shown as it was found: a true example, with a label too many."""
    found = witness({"app": "x"}, team="a")

    assert smallest_example(found, WITH_TEAM, NO_SOURCES, EXISTING, StepBudget(left=left)) == example(
        "any-namespace", {"app": "x"}, team="a"
    )


# Pods that exist

WEB = Pod(namespace="shop", name="web-0", labels={"app": "web", "tier": "1"}, addresses=((4, 167772161),))
CACHE = Pod(namespace="shop", name="cache-0", labels={"app": "cache"})


@pytest.mark.parametrize(
    ("after", "by_address", "left", "name"),
    [
        pytest.param(NO_SOURCES, True, 1000, "web-0", id="the first one"),
        pytest.param(
            sources_of(b.peer(pods=b.selector(app="web"), namespaces={})), True, 1000, "cache-0", id="by label"
        ),
        pytest.param(sources_of(b.block("10.0.0.0/8")), True, 1000, "cache-0", id="its address may be admitted"),
        pytest.param(sources_of(b.block("10.0.0.0/8")), False, 1000, "web-0", id="its address is not admitted"),
        pytest.param(sources_of(b.peer(namespaces={})), True, 1000, None, id="none is cut off"),
        pytest.param(NO_SOURCES, True, 0, None, id="there is no effort for it"),
    ],
)
def test_a_pod_that_exists_is_found(
    after: Sources,
    by_address: bool,  # noqa: FBT001
    left: int,
    name: str | None,
) -> None:
    """It is surely cut off, and none of its labels can be dropped."""
    pods = [(EXISTING[0], WEB), (EXISTING[0], CACHE)]
    found = existing_pod(EVERYONE, after, pods, StepBudget(left=left), by_address=by_address)

    assert (found.pod if found else None) == name


# Laws

VALUE_SETS = st.sampled_from(
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
)
KEYS = [(POD, "a"), (POD, "b"), (POD, "c"), ("namespace", "team"), ("namespace", "zone")]
TERMS = st.dictionaries(st.sampled_from(KEYS), VALUE_SETS, max_size=3).map(
    lambda constraints: tuple(sorted(constraints.items(), key=lambda item: item[0]))
)
UNIONS = st.lists(TERMS, max_size=5).map(lambda terms: Sources(terms=frozenset(terms)))
SPACES = st.lists(
    st.builds(
        lambda name, labels: space(name, **labels),
        st.sampled_from(["shop", "bank"]),
        st.dictionaries(st.sampled_from(["team", "zone"]), st.sampled_from(["x", "y"])),
    ),
    max_size=3,
)


def without(labels: dict[str, str], key: str) -> dict[str, str]:
    return {known: value for known, value in labels.items() if known != key}


@given(UNIONS | st.just(EVERYONE), UNIONS, SPACES)
def test_an_example_is_cut_off_and_minimal(before: Sources, after: Sources, namespaces: list[Namespace]) -> None:
    """An example was admitted and is no longer, and of its labels not one can be dropped."""
    found = difference(before.terms, after.terms, Answers())
    assume(found is not None)
    assert found is not None
    shown = smallest(found, before, after, namespaces)
    name = {b.NAME_LABEL: shown.namespace}
    known = [one.labels for one in namespaces if one.name == shown.namespace and not shown.namespace_labels]
    spaces = [labels for labels in known if is_cut_off(before.terms, after.terms, labels, shown.labels)] or [
        {**name, **shown.namespace_labels}
    ]

    assert is_cut_off(before.terms, after.terms, spaces[0], shown.labels)
    for key in shown.labels:
        assert not is_cut_off(before.terms, after.terms, spaces[0], without(dict(shown.labels), key))
    for key in shown.namespace_labels:
        fewer = {**name, **without(dict(shown.namespace_labels), key)}
        assert not is_cut_off(before.terms, after.terms, fewer, shown.labels)


def is_cut_off(
    before: frozenset[Term], after: frozenset[Term], spaces: dict[str, str] | object, pods: dict[str, str] | object
) -> bool:
    assert isinstance(spaces, dict)
    assert isinstance(pods, dict)
    return admits(before, spaces, pods) and not admits(after, spaces, pods)
