"""
Put seeded pairs and connections to the product and to the witness, and count what was met on the way.

    PYTHONPATH=.:tests python -m oracle.agreement --pairs 1000000 --connections 1000000

asks about a million of each on one core (half an hour), prints the seeds on which the two differ and the share of each
verdict and kind of loss, and ends with 1 if there is any difference. `--first` begins at another seed.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable

from oracle.connections import connection_allowed
from oracle.generate import generate_connection, generate_pair
from oracle.naive import judge
from oracle.product import answer_of, compare, difference, product_answer, product_connection
from oracle.shrink import shrink

KINDS = ("source pods", "outside addresses", "port", "isolation", "deletion")
REPORTED = 20_000
"""Seeds after which the command says how far it is."""


def agreement(seeds: Iterable[int]) -> tuple[list[int], Counter[str]]:
    """Return the seeds of pairs on which the two differ, and the number of pairs with each verdict and kind of loss."""
    differing: list[int] = []
    met = Counter[str]()
    for seed in seeds:
        pair = generate_pair(seed)
        judgement = judge(pair.objects, pair.change, pair.settings)
        if difference(product_answer(pair), answer_of(judgement, pair.settings)) is not None:
            differing.append(seed)
        met.update(judgement.kinds)
        met["denied" if judgement.denied(pair.settings) else "allowed"] += 1
        met["undecided"] += "undecided" in judgement.outcomes.values()
        met["pairs"] += 1
    return differing, met


def differing_connections(seeds: Iterable[int]) -> list[int]:
    """Return the seeds of connections on which the two differ."""
    differing = []
    for seed in seeds:
        asked = generate_connection(seed)
        answer = connection_allowed(asked.source, asked.destination, asked.protocol, asked.port, asked.objects)
        if product_connection(asked) != answer:
            differing.append(seed)
    return differing


def shares(met: Counter[str]) -> dict[str, float]:
    """Return the share of all pairs in which each occurred."""
    return {name: met[name] / met["pairs"] for name in (*KINDS, "allowed", "denied", "undecided")}


def described(seeds: list[int]) -> str:
    """Show the first pair on which the two differ, as small as it gets."""
    if not seeds:
        return ""
    pair = generate_pair(seeds[0])
    what = compare(pair)
    small = shrink(pair, lambda one: compare(one) == what)
    objects = "\n".join(map(str, small.objects))
    return f"{len(seeds)} seeds: {seeds[:10]}\n{what}\n{objects}\n{small.change}\n{small.settings}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m oracle.agreement", description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    asked = parser.parse_args()
    differing: list[int] = []
    met = Counter[str]()
    end = asked.first + asked.pairs
    for start in range(asked.first, end, REPORTED):
        found, counted = agreement(range(start, min(start + REPORTED, end)))
        differing += found
        met += counted
        say(f"{met['pairs']} pairs, {len(differing)} differ {found or ''}")
    for name, share in shares(met).items() if met else ():
        say(f"{name}: {share:.2%}")
    end = asked.first + asked.connections
    connections: list[int] = []
    for start in range(asked.first, end, REPORTED):
        connections += differing_connections(range(start, min(start + REPORTED, end)))
        say(f"{min(start + REPORTED, end) - asked.first} connections, {len(connections)} differ")
    say(described(differing) or f"no difference in {asked.pairs} pairs and {asked.connections} connections")
    return 1 if differing or connections else 0


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
