from collections import Counter
from functools import cache

import pytest

from oracle.connections import connection_allowed
from oracle.generate import generate_connection, generate_pair
from oracle.naive import judge
from oracle.product import answer_of, compare, difference, product_answer, product_connection
from oracle.shrink import shrink

CHUNK = 1000  # pairs in one test: two seconds, so that a failure shows early and no test is long
CHUNKS = 20
CONNECTIONS = 5000  # four seconds
KINDS = ("source pods", "outside addresses", "port", "isolation", "deletion")


@cache
def looked_at(chunk: int) -> tuple[tuple[int, ...], Counter[str]]:
    """Put a chunk of pairs to both; give the seeds on which they differ, and how often each verdict came."""
    differing, met = [], Counter[str]()
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        pair = generate_pair(seed)
        judgement = judge(pair.objects, pair.change, pair.settings)
        if difference(product_answer(pair), answer_of(judgement, pair.settings)) is not None:
            differing.append(seed)
        met.update(judgement.kinds)
        met["denied" if judgement.denied(pair.settings) else "allowed"] += 1
        met["undecided"] += "undecided" in judgement.outcomes.values()
    return tuple(differing), met


def described(seeds: tuple[int, ...]) -> str:
    """Show the first pair on which the two differ, as small as it gets."""
    if not seeds:
        return ""
    pair = generate_pair(seeds[0])
    what = compare(pair)
    small = shrink(pair, lambda one: compare(one) == what)
    objects = "\n".join(map(str, small.objects))
    return f"{len(seeds)} seeds: {seeds[:10]}\n{what}\n{objects}\n{small.change}\n{small.settings}"


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_the_product_agrees_with_the_witness(chunk: int) -> None:
    """On every generated change, the product loses what the witness loses, for the same pods, as decided."""
    differing, _ = looked_at(chunk)

    assert not differing, described(differing)


@pytest.mark.timeout(300)  # alone it looks at all chunks itself
def test_every_kind_of_loss_is_met() -> None:
    """Each kind of loss is at least a twentieth of the pairs, and neither verdict is rare."""
    met = sum((looked_at(chunk)[1] for chunk in range(CHUNKS)), Counter[str]())
    shares = {name: count / (CHUNK * CHUNKS) for name, count in met.items()}

    assert min(shares[kind] for kind in KINDS) >= 0.05
    assert min(shares["allowed"], shares["denied"]) >= 0.3
    assert shares["undecided"] >= 0.03


def test_connections_agree() -> None:
    """On every generated connection, in both directions, the product answers as the witness does."""
    differing = []
    for seed in range(CONNECTIONS):
        asked = generate_connection(seed)
        answer = connection_allowed(asked.source, asked.destination, asked.protocol, asked.port, asked.objects)
        if product_connection(asked) != answer:
            differing.append((seed, answer))

    assert not differing
