"""Calico's tiers against an evaluator that shares no code: connections, and what a change takes away."""

from collections.abc import Iterator, Mapping
from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oracle.calico_naive import Party, World, inside
from webhook.netpol import ClusterSnapshot, Connection, evaluate
from webhook.netpol.model import Protocol
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import AddressWitness
from webhook.netpol.sources.sides import NO_TIERS, Side
from webhook.netpol.sources.term_algebra import NO_PODS
from webhook.netpol.sources.tier_loss import lost_in_tiers, tiers_in
from webhook.netpol.sources.universe import Universe, pod_ranges_of

PORT = 8092
NAMESPACES: Mapping[str, Mapping[str, str]] = {"eem": {}, "shop": {"team": "x"}, "bank": {"team": "y"}}
POD_RANGE = "10.0.0.0/16"
POD_ADDRESSES = ("10.0.1.5", "10.0.2.5")
OUTSIDE = ("203.0.113.7", "198.51.100.7", "192.0.2.1")
EXACT_NETS = ("0.0.0.0/0", "10.0.0.0/8", "203.0.113.0/24", "198.51.100.0/25")
PARTLY = "10.0.1.0/24"
SELECTORS = (
    "all()",
    "app == 'a'",
    "app != 'a'",
    "has(app)",
    "!has(app)",
    "app in {'a', 'b'}",
    "app not in {'a','b'} && has(app)",
    "app == 'b' || tier == 'x'",
    "!(app == 'a' || tier == 'x')",
    "projectcalico.org/namespace == 'shop'",
)
TEXTS = ("app contains 'a'", "app starts with 'b'", "!(app ends with 'a')")
NAMESPACE_SELECTORS = (
    "all()",
    "global()",
    "team == 'x'",
    "team != 'x'",
    "projectcalico.org/name == 'bank'",
    "!has(team)",
)
GATEWAY = Party(namespace="eem", labels=(("app", "gw"),), address="10.0.9.9")


class Maker:
    """Makes sets of objects from a seed; with *doubtful*, also what can only be bounded."""

    def __init__(self, seed: int, *, doubtful: bool) -> None:
        self.random = Random(seed)
        self.doubtful = doubtful

    def maybe(self, share: float) -> bool:
        """Return true as often as *share* says."""
        return self.random.random() < share

    def entity(self) -> dict[str, Any]:
        """Return one end of a rule."""
        found: dict[str, Any] = {}
        selectors = SELECTORS + (TEXTS if self.doubtful else ())
        nets = (*EXACT_NETS, PARTLY) if self.doubtful else EXACT_NETS
        if self.maybe(0.5):
            found["selector"] = self.random.choice(selectors)
        if self.maybe(0.25):
            found["namespaceSelector"] = self.random.choice(NAMESPACE_SELECTORS)
        if self.maybe(0.2):
            found["notSelector"] = self.random.choice(selectors)
        if self.maybe(0.25):
            found["nets"] = self.random.sample(nets, 2)
        if self.maybe(0.15):
            found["notNets"] = [self.random.choice(nets)]
        return found

    def rule(self) -> dict[str, Any]:
        """Return one rule."""
        found: dict[str, Any] = {"action": self.random.choice(("Allow", "Allow", "Deny", "Pass", "Log"))}
        if self.maybe(0.7):
            found["source"] = self.entity()
        if self.maybe(0.4):
            found["protocol"] = self.random.choice(("TCP", "TCP", "UDP"))
            ports = {"ports": [self.random.choice((PORT, "8000:8100", 443))]}
            found["destination"] = ports if self.maybe(0.7) else {"notPorts": [self.random.choice((PORT, 443))]}
        elif self.maybe(0.15):
            found["destination"] = {"selector": self.random.choice(("app == 'gw'", "app == 'other'"))}
        if self.doubtful and self.maybe(0.15):
            found |= {"protocol": "TCP", "http": {"methods": ["GET"]}}
        return found

    def policy(self, index: int, tiers: list[str]) -> dict[str, Any]:
        """Return one policy."""
        is_global = self.maybe(0.5)
        spec: dict[str, Any] = {"tier": self.random.choice(["default", *tiers]), "types": ["Ingress"]}
        spec["selector"] = self.random.choice(("all()", "app == 'gw'", "app == 'gw'", "app == 'other'"))
        orders = (5, 999, 1001, 5000) if not self.doubtful else (5, 999, 1001, 1001)
        spec["order"] = self.random.choice(orders) + (0 if self.doubtful else index / 100)
        spec["ingress"] = [self.rule() for _ in range(self.random.randint(0, 3))]
        if self.doubtful and self.maybe(0.2):
            spec["serviceAccountSelector"] = "role == 'x'"
        metadata = {"name": f"p{index}"} | ({} if is_global else {"namespace": "eem"})
        kind = "GlobalNetworkPolicy" if is_global else "NetworkPolicy"
        return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}

    def objects(self) -> list[dict[str, Any]]:
        """Return policies, tiers and network sets."""
        tiers = self.random.sample(["early", "late"], self.random.randint(0, 2))
        orders = {"early": 100, "late": 5_000_000}
        found: list[dict[str, Any]] = [
            {
                "apiVersion": "projectcalico.org/v3",
                "kind": "Tier",
                "metadata": {"name": name},
                "spec": {"order": orders[name], "defaultAction": self.random.choice(("Deny", "Pass"))},
            }
            for name in tiers
        ]
        found += [self.policy(index, tiers) for index in range(self.random.randint(1, 4))]
        for index in range(self.random.randint(0, 2)):
            is_global = self.maybe(0.5)
            metadata: dict[str, Any] = {"name": f"s{index}", "labels": {"app": self.random.choice("ab")}}
            metadata |= {} if is_global else {"namespace": "shop"}
            found.append(
                {
                    "apiVersion": "projectcalico.org/v3",
                    "kind": "GlobalNetworkSet" if is_global else "NetworkSet",
                    "metadata": metadata,
                    "spec": {"nets": [self.random.choice(EXACT_NETS[2:])]},
                }
            )
        return found

    def network_policies(self) -> list[dict[str, Any]]:
        """Return NetworkPolicies that isolate the gateway."""
        found = []
        for index in range(self.random.randint(0, 3)):
            choices: tuple[dict[str, Any], ...] = (
                {"namespaceSelector": {}},
                {"namespaceSelector": {"matchLabels": {"team": "x"}}},
                {"podSelector": {"matchLabels": {"app": "a"}}, "namespaceSelector": {}},
                {"ipBlock": {"cidr": self.random.choice(EXACT_NETS)}},
            )
            peers = [self.random.choice(choices) for _ in range(self.random.randint(0, 2))]
            rules = [{"from": peers}] if peers else [{}] if self.maybe(0.3) else []
            found.append(
                {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {"name": f"np{index}", "namespace": "eem"},
                    "spec": {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": rules},
                }
            )
        return found


def parties() -> list[Party]:
    """Return a source for each combination of what the objects tell apart."""
    found = [Party(address=address) for address in OUTSIDE]
    apps: tuple[str | None, ...] = (None, "a", "b", "zz")
    for (name, labels), app, tier, address in product(NAMESPACES.items(), apps, (None, "x"), POD_ADDRESSES):
        own = {"app": app, "tier": tier}
        found.append(
            Party(
                namespace=name,
                namespace_labels=tuple(labels.items()),
                labels=tuple((key, value) for key, value in own.items() if value is not None),
                address=address,
            )
        )
    return found


PARTIES = parties()


def naive_admits(policies: list[dict[str, Any]]) -> Any:
    """Return whether NetworkPolicies admit a source; None where there are none."""

    def one(peer: dict[str, Any], source: Party) -> bool:
        if "ipBlock" in peer:
            return inside(source.address, [peer["ipBlock"]["cidr"]])
        if not source.namespace:
            return False
        wanted = peer["namespaceSelector"].get("matchLabels", {})
        own = peer.get("podSelector", {}).get("matchLabels", {})
        return wanted.items() <= dict(source.namespace_labels).items() and own.items() <= dict(source.labels).items()

    def admits(source: Party) -> bool:
        rules = [rule for policy in policies for rule in policy["spec"]["ingress"]]
        return any("from" not in rule or any(one(peer, source) for peer in rule["from"]) for rule in rules)

    return admits if policies else None


def snapshot_of(*objects: dict[str, Any]) -> ClusterSnapshot:
    """Return a cluster with the gateway, every source and some objects."""
    found: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}}
        for name, labels in NAMESPACES.items()
    ]
    for index, party in enumerate([GATEWAY, *PARTIES]):
        if party.namespace:
            found.append(
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": f"pod-{index}", "namespace": party.namespace, "labels": dict(party.labels)},
                    "spec": {"containers": []},
                    "status": {"podIP": party.address, "phase": "Running"},
                }
            )
    return ClusterSnapshot.from_objects([*found, *objects])


def worlds(objects: list[dict[str, Any]], policies: list[dict[str, Any]], *, doubtful: bool) -> Iterator[World]:
    """Yield the world in a few combinations of what is not known; one where all is known."""
    if not doubtful:
        yield World(objects=objects, admits=naive_admits(policies), namespaces=NAMESPACES)
        return
    for seed in range(6):
        fixed = {0: True, 1: False}.get(seed)

        def chosen(what: str, seed: int = seed, fixed: bool | None = fixed) -> bool:  # noqa: FBT001  bound early
            return Random(f"{seed} {what}").random() < 0.5 if fixed is None else fixed

        yield World(objects=objects, admits=naive_admits(policies), namespaces=NAMESPACES, chosen=chosen)


@pytest.mark.parametrize("doubtful", [False, True], ids=["all is known", "some is not known"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_a_connection_is_decided_as_calico_decides_it(seed: int, doubtful: bool) -> None:  # noqa: FBT001  a parameter
    """A decided answer is that of the plain evaluator, whatever is chosen; where all is known, it is decided."""
    maker = Maker(seed, doubtful=doubtful)
    objects, policies = maker.objects(), maker.network_policies()
    snapshot = snapshot_of(*objects, *policies)
    for index, party in maker.random.sample(list(enumerate(PARTIES, start=1)), 12):
        name = f"{party.namespace}/pod-{index}" if party.namespace else party.address
        question = Connection(source=name, destination="eem/pod-0", port=PORT)
        found = evaluate(question, snapshot, plugin="calico").ingress
        truths = {world.allows(party, GATEWAY, "TCP", PORT) for world in worlds(objects, policies, doubtful=doubtful)}

        assert doubtful or found.decided, (party, found)
        assert not found.decided or truths == {found.allowed}, (party, found)


@pytest.mark.parametrize("doubtful", [False, True], ids=["all is known", "some is not known"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_what_a_change_takes_away_lies_between_the_bounds(seed: int, doubtful: bool) -> None:  # noqa: FBT001  a parameter
    """What is surely lost is lost whatever is chosen; what is not reported never is; if all is known, both are one."""
    maker = Maker(seed, doubtful=doubtful)
    objects, policies = maker.objects(), maker.network_policies()
    after = [one for one in maker.network_policies() if maker.maybe(0.5)] if maker.maybe(0.5) else policies[1:]
    sides, gateway = [], snapshot_of().state("eem").pods["pod-0"]
    snapshot = snapshot_of(*objects)
    tiers = tiers_in(snapshot, gateway, Protocol.TCP, PORT) or NO_TIERS
    for written in (policies, after):
        known = snapshot_of(*written).state("eem").sorted_policies()
        sources = admitted(known, gateway, Protocol.TCP, PORT)
        sides.append(Side(sources=sources, isolated=bool(known), tiers=tiers))
    universe = Universe(
        pod_ranges=pod_ranges_of([POD_RANGE]),
        ipblock_matches_pods="yes",
        calico="yes",
        labels_of=snapshot.labels_of,
    )
    found = lost_in_tiers(*sides, "anywhere", NO_PODS, universe, Answers())
    lost = [
        {
            party
            for party in PARTIES
            if before.allows(party, GATEWAY, "TCP", PORT) and not later.allows(party, GATEWAY, "TCP", PORT)
        }
        for before, later in zip(
            worlds(objects, policies, doubtful=doubtful), worlds(objects, after, doubtful=doubtful), strict=True
        )
    ]

    assert found is not None or not any(lost), lost
    if found is not None and found.loss.decided:
        witness = found.loss.witness
        assert witness is not None
        is_like = [party for party in PARTIES if _is_like(party, witness)]
        assert all(set(is_like) <= known for known in lost), (witness, lost)
    assert doubtful or found is None or found.loss.decided, found


def _is_like(party: Party, witness: PodWitness | AddressWitness) -> bool:
    """Whether a source is the example of a loss."""
    if isinstance(witness, AddressWitness):
        return not party.namespace and inside(party.address, [witness.cidr])
    name = witness.namespace_labels.get("kubernetes.io/metadata.name")
    if not party.namespace or (name is not None and name != party.namespace):
        return False
    labels = {key: value for key, value in witness.namespace_labels.items() if key != "kubernetes.io/metadata.name"}
    return labels == dict(party.namespace_labels) and dict(witness.pod_labels) == dict(party.labels)
