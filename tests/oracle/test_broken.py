from functools import cache

import pytest

from oracle.broken import ONLY_IN_CONNECTIONS, PUBLISHED, TRAPS
from oracle.connections import connection_allowed
from oracle.generate import generate_connection, generate_pair
from oracle.naive import Requirement, judge
from oracle.semantics import SOUND, Semantics
from oracle.sources import worst

LOOKED_AT = 6000  # pairs: the rarest mistake shows well before, and looking at all takes three seconds


@cache
def pair_answer(seed: int) -> object:
    return pair_answer_of(seed, SOUND)


def pair_answer_of(seed: int, semantics: Semantics) -> object:
    pair = generate_pair(seed)
    try:
        outcomes = judge(pair.objects, pair.change, pair.settings, semantics).outcomes
    except LookupError as refusal:
        return str(refusal)
    answer: dict[Requirement, str] = {}
    for (requirement, _, _), outcome in outcomes.items():
        answer[requirement] = worst(iter((answer.get(requirement, "fine"), outcome)))
    return answer


def connection_answer_of(seed: int, semantics: Semantics) -> str:
    asked = generate_connection(seed)
    try:
        return connection_allowed(asked.source, asked.destination, asked.protocol, asked.port, asked.objects, semantics)
    except LookupError as refusal:
        return str(refusal)


@pytest.mark.parametrize("name", [name for name in (*PUBLISHED, *TRAPS) if name not in ONLY_IN_CONNECTIONS])
def test_generated_pairs_expose(name: str) -> None:
    """A copy with one known mistake disagrees with the sound one on some generated change."""
    semantics = (PUBLISHED | TRAPS)[name]
    exposed = next((s for s in range(LOOKED_AT) if pair_answer_of(s, semantics) != pair_answer(s)), None)

    assert exposed is not None


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in (*PUBLISHED, *TRAPS)
        if name
        not in {
            "one pod stands for its owner (netpol-analyzer)",
            "ranges taken for disjoint (network-config-analyzer 205)",
            "host-network pods are subjects (kube-network-policies 389)",
            "finished pods are subjects",
            "terminating policies still admit",
        }
    ],
)
def test_generated_connections_expose(name: str) -> None:
    """A copy with one known mistake disagrees with the sound one on some generated connection."""
    semantics = (PUBLISHED | TRAPS)[name]
    seeds = range(2 * LOOKED_AT)  # a connection meets fewer mistakes than a pair
    exposed = next((s for s in seeds if connection_answer_of(s, semantics) != connection_answer_of(s, SOUND)), None)

    assert exposed is not None
