"""Pods as points of the space of labels: what generated peers can tell apart, few enough to try all."""

from collections.abc import Iterable, Iterator
from itertools import product

import builders as b
from hypothesis import strategies as st

from netpol.asking import peer_of, term_of_peer
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.terms import NAME_KEY, NAMESPACE, POD, Key, Term, admits

VALUES = ("", "x", "y")
FRESH = "fresh"
POINTS: tuple[str | None, ...] = (None, *VALUES, FRESH)
TEAM: Key = (NAMESPACE, "team")
KEYS: dict[Key, tuple[str | None, ...]] = {
    NAME_KEY: ("eem", "x", "y", FRESH),
    TEAM: POINTS,
    (POD, "app"): POINTS,
    (POD, "tier"): POINTS,
}

SELECTOR_PARTS: dict[str, st.SearchStrategy[b.Node]] = {
    scope: st.lists(
        st.one_of(
            st.builds(b.expression, st.sampled_from(keys), st.sampled_from(["Exists", "DoesNotExist"])),
            st.builds(
                lambda key, operator, values: b.expression(key, operator, *values),
                st.sampled_from(keys),
                st.sampled_from(["In", "NotIn"]),
                st.lists(st.sampled_from(["x", "y"]), min_size=1, max_size=2),
            ),
        ),
        max_size=2,
    ).map(lambda expressions: b.selector(*expressions))
    for scope, keys in ((NAMESPACE, ["team", b.NAME_LABEL]), (POD, ["app", "tier"]))
}
PEERS = st.one_of(
    st.builds(b.peer, pods=SELECTOR_PARTS[POD]),
    st.builds(b.peer, pods=SELECTOR_PARTS[POD], namespaces=SELECTOR_PARTS[NAMESPACE]),
    st.builds(b.peer, namespaces=SELECTOR_PARTS[NAMESPACE]),
)


def term(node: b.Node) -> Term:
    made = term_of_peer(peer_of(node))
    assert made is not None
    return made


def terms(nodes: Iterable[b.Node]) -> list[Term]:
    return [made for node in nodes if (made := term_of_peer(peer_of(node))) is not None]


def points(keys: dict[Key, tuple[str | None, ...]] = KEYS) -> Iterator[PodWitness]:
    """Yield one pod for each combination of what a selector can tell apart."""
    for values in product(*keys.values()):
        cells = dict(zip(keys, values, strict=True))
        spaces, pods = (
            {key: value for (known, key), value in cells.items() if known == scope and value is not None}
            for scope in (NAMESPACE, POD)
        )
        yield PodWitness(namespace_labels=spaces, pod_labels=pods)


ALL_POINTS = list(points())


def holds(union: Iterable[Term], point: PodWitness) -> bool:
    return admits(union, point.namespace_labels, point.pod_labels)
