"""Unions of terms that are large or hard, and of which it is known by their making what they cover."""

from random import Random

from webhook.netpol.sources.terms import POD, Key, Term, ValueSet, admits

EXISTS = ValueSet(absent=False, values=frozenset(), others=True)
MISSING = ValueSet(absent=True, values=frozenset(), others=False)


def one_of(*values: str) -> ValueSet:
    return ValueSet(absent=False, values=frozenset(values), others=False)


def none_of(*values: str) -> ValueSet:
    return ValueSet(absent=True, values=frozenset(values), others=True)


def key(number: int) -> Key:
    return (POD, f"key{number:04}")


def term(constraints: dict[Key, ValueSet]) -> Term:
    return tuple(sorted(constraints.items(), key=lambda item: item[0]))


SPLITS = [
    (EXISTS, MISSING),
    (one_of("x"), none_of("x")),
    (one_of("x", "y"), ValueSet(absent=False, values=frozenset("xy"), others=True), MISSING),
]


def cover(seed: int, keys: int, size: int, *, even: bool) -> list[Term]:
    """Return terms that cover everything and of which none is needless: everything, cut again and again by one key."""
    rng = Random(seed)
    pieces: list[dict[Key, ValueSet]] = [{}]
    while len(pieces) < size:
        piece = pieces.pop(
            min(range(len(pieces)), key=lambda at: len(pieces[at])) if even else rng.randrange(len(pieces))
        )
        free = [number for number in range(keys) if key(number) not in piece]
        by = key(rng.choice(free))
        pieces.extend({**piece, by: values} for values in rng.choice(SPLITS))
    return [term(piece) for piece in pieces]


def around(seed: int, keys: int, count: int, size: int) -> tuple[list[Term], dict[str, str]]:
    """Return random terms of *size* keys, and the labels of a pod that none of them holds."""
    rng = Random(seed)
    labels = {key(number)[1]: rng.choice("xyz") for number in range(keys) if rng.random() < 0.7}
    found: list[Term] = []
    while len(found) < count:
        values = (one_of("x"), one_of("y", "z"), none_of("x"), none_of("y", "z"), EXISTS, MISSING)
        made = term({key(number): rng.choice(values) for number in rng.sample(range(keys), size)})
        if not admits([made], {}, labels):
            found.append(made)
    return found, labels


def pigeons(count: int) -> list[Term]:
    """Return terms that cover everything, as no pigeon has a hole of its own: hard for every search by splitting."""
    keys: list[Key] = [(POD, f"pigeon{index}") for index in range(count)]
    holes = [f"hole{index}" for index in range(count - 1)]
    away: list[Term] = [((known, none_of(*holes)),) for known in keys]
    together: list[Term] = [
        ((one, one_of(hole)), (two, one_of(hole)))
        for hole in holes
        for index, one in enumerate(keys)
        for two in keys[index + 1 :]
    ]
    return [*away, *together]
