"""What may be spent on one decision, and what is decided within it: large questions and hard ones."""

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.hard_terms import EXISTS, MISSING, around, cover, key, none_of, one_of, pigeons, term
from webhook.netpol.sources.budget import Answers, StepBudget, StepsExhaustedError
from webhook.netpol.sources.difference import difference
from webhook.netpol.sources.terms import EVERY_POD, NAME_KEY, POD, Term, ValueSet, admits

APP = (POD, "app")
VALUES = [f"value{number}" for number in range(5000)]
MANY = range(5000)


def is_covered(terms: list[Term], answers: Answers | None = None) -> bool:
    """Whether *terms* admit every pod; if they do not, check that the terms do not admit the witness."""
    found = difference([EVERY_POD], terms, answers or Answers())
    assert found is None or not admits(terms, found.namespace_labels, found.pod_labels)
    return found is None


SHAPES = [(seed, size, even) for seed in range(3) for size in (50, 200, 400) for even in (False, True)]


@pytest.mark.parametrize(("seed", "size", "even"), SHAPES)
def test_forty_keys_that_cover_everything(seed: int, size: int, even: bool) -> None:  # noqa: FBT001  a column
    """Selectors over forty keys that cover every pod are found to, and each of them is necessary."""
    terms = cover(seed, 40, size, even=even)

    assert is_covered(terms)
    for missing in Random(seed).sample(terms, 5):
        rest = [known for known in terms if known is not missing]
        found = difference([EVERY_POD], rest, Answers())

        assert found is not None
        assert admits([missing], found.namespace_labels, found.pod_labels)
        assert not admits(rest, found.namespace_labels, found.pod_labels)


@pytest.mark.parametrize(
    ("count", "size"), [(40, 1), (50, 2), (100, 2), (100, 3), (200, 3), (200, 4), (400, 4), (500, 5), (1000, 6)]
)
def test_forty_keys_around_a_pod(count: int, size: int) -> None:
    """One pod that random selectors over forty keys leave out is found, or another one."""
    terms, labels = around(count * 10 + size, 40, count, size)

    assert not admits(terms, {}, labels)
    assert not is_covered(terms)


LARGE: dict[str, tuple[Callable[[], list[Term]], bool]] = {
    "three thousand keys, one in each term": (lambda: [term({key(number): EXISTS}) for number in range(3000)], False),
    "and one of them in two": (
        lambda: [*(term({key(number): EXISTS}) for number in range(3000)), term({key(7): MISSING})],
        True,
    ),
    "three thousand keys in a chain": (
        lambda: [term({key(n): one_of("x"), key(n + 1): one_of("x")}) for n in range(3000)],
        False,
    ),
    "five thousand values, and all others": (
        lambda: [term({APP: one_of(*VALUES)}), term({APP: none_of(*VALUES)})],
        True,
    ),
    "five thousand values, and all but one more": (
        lambda: [term({APP: one_of(*VALUES)}), term({APP: none_of(*VALUES, "one-more")})],
        False,
    ),
    "five thousand values beside twenty keys": (
        lambda: [term({APP: none_of(*VALUES[number:]), key(number): EXISTS}) for number in range(20)],
        False,
    ),
    "five thousand values of one key, each with a key of its own": (
        lambda: [term({APP: one_of(value), key(at): EXISTS}) for at, value in enumerate(VALUES)],
        False,
    ),
    "five thousand namespaces by name, and all others": (
        lambda: [*(term({NAME_KEY: one_of(value)}) for value in VALUES), term({NAME_KEY: none_of(*VALUES)})],
        True,
    ),
    "all pods of half of five thousand namespaces, and by twos of the others": (
        lambda: [
            *(term({NAME_KEY: one_of(value)}) for value in VALUES[::2]),
            *(term({NAME_KEY: one_of(value), APP: EXISTS}) for value in VALUES[1::2]),
            *(term({NAME_KEY: one_of(value), APP: MISSING}) for value in VALUES[1::2]),
            term({NAME_KEY: none_of(*VALUES)}),
        ],
        True,
    ),
    "five hundred exclusions of their own in each of seven hundred terms": (
        lambda: [term({APP: none_of(*(f"{number}-{n}" for n in range(500)))}) for number in range(700)],
        True,
    ),
    "five thousand terms of two keys that share neither": (
        lambda: [term({("namespace", "team"): one_of(f"t{n}"), APP: one_of(f"a{n}")}) for n in MANY],
        False,
    ),
    "eight pigeons": (lambda: pigeons(8), True),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_unions(name: str) -> None:
    """A union as large as stored policies make it is decided, and right, within one decision's budget."""
    make, covered = LARGE[name]

    assert covered is is_covered(make())


def test_thousands_of_terms_before_and_after() -> None:
    """Three thousand selectors, each of which asks for one label more than before, lose a pod without it."""
    before = [term({APP: one_of(value)}) for value in VALUES[:3000]]
    after = [term({APP: one_of(value), key(0): EXISTS}) for value in VALUES[:3000]]
    found = difference(before, after, Answers())

    assert found is not None
    assert admits(before, found.namespace_labels, found.pod_labels)
    assert not admits(after, found.namespace_labels, found.pod_labels)
    assert difference(after, before, Answers()) is None


# The bound

GIVEN_UP: dict[str, Callable[[], list[Term]]] = {
    "twelve pigeons": lambda: pigeons(12),
    "too many values": lambda: [term({APP: none_of(*(f"{number}-{n}" for n in range(5000)))}) for number in range(400)],
    "too many terms": lambda: [term({key(number): one_of("x"), APP: one_of(f"{number}")}) for number in range(20_000)],
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_a_search_with_too_many_steps_is_given_up(name: str) -> None:
    """A search that would take too long raises, and a repeated question in the same decision raises at once."""
    answers, terms = Answers(), GIVEN_UP[name]()
    with pytest.raises(StepsExhaustedError):
        is_covered(terms, answers)
    known = dict(answers.known)
    with pytest.raises(StepsExhaustedError):
        is_covered(terms, answers)

    assert known == answers.known


def test_hard_questions_take_no_steps_from_others() -> None:
    """After many searches that were given up, a question is answered as if it was the first."""
    answers = Answers()
    for number in range(5):
        with pytest.raises(StepsExhaustedError):
            is_covered([*pigeons(12), term({key(number): one_of("x"), key(100): one_of("x")})], answers)

    assert is_covered(cover(1, 40, 50, even=True), answers)


def test_a_deep_search_ends() -> None:
    """A search that splits as many keys as the steps allow does not exhaust the interpreter."""
    terms, _ = around(7, 600, 1500, 3)
    try:
        assert not is_covered(terms)
    except StepsExhaustedError:
        assert len(terms) == 1500


def test_the_terms_of_one_question_share_its_steps() -> None:
    """Many terms of the first union share the steps of the question, however cheap each of them is."""
    before = [term({(POD, f"app{index}"): EXISTS, (POD, f"zone{index}"): EXISTS}) for index in range(400)]
    after = pigeons(5)

    assert difference(before[:1], after, Answers()) is None
    with pytest.raises(StepsExhaustedError):
        difference(before, after, Answers())


@given(st.lists(st.integers(0, 300), max_size=9), st.integers(0, 1000))
def test_a_budget_counts_steps(steps: list[int], left: int) -> None:
    """A budget allows so many steps and no more, in whatever portions."""
    budget, taken = StepBudget(left=left), 0
    for count in steps:
        taken += count
        if taken > left:
            with pytest.raises(StepsExhaustedError):
                budget.spend(count)
            break
        budget.spend(count)

    assert left - taken == budget.left


def test_the_words_of_these_tests() -> None:
    """A cover of two pieces is a key's two halves."""
    assert len(cover(0, 40, 2, even=True)) in {2, 3}
    assert EXISTS.without(EXISTS).is_empty()
    assert ValueSet(absent=True, values=frozenset(), others=True) == none_of()
