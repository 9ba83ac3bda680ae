"""
Put seeded sets of policies to network-config-analyzer and to the product, and compare what is allowed as a whole.

    PYTHONPATH=.:tests python -m configanalyzer.comparing_sets --sets 10000

The product is asked about every pair of ends and about one port and one address of each range between two numbers that
the policies name, so that the answers are those for all ports and addresses.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from itertools import product
from pathlib import Path
from random import Random
from typing import Any, cast

from controlplane.build import cache_root
from oracle.generate import both_ways, seeded
from oracle.plans import policy
from oracle.vocabulary import NAME_LABEL
from policyengine.comparing import TEAMS, Node, named_space, pod_with, stored

from webhook.netpol import ClusterSnapshot, Connection, evaluate

REQUIREMENTS = Path(__file__).parents[2] / "requirements" / "analyzer.txt"
PROTOCOLS = {"TCP": 6, "UDP": 17, "SCTP": 132}
SELECTORS = ("all()", "app == 'a'", "app != 'a'", "has(app)", "!has(app)", "app in {'a', 'b'} || tier == 'x'")
SPACES = ("team == 'a'", "team != 'a'", "has(team)", "!has(team)")
POD_RANGE = "10.244.0.0/16"
NETS = ("203.0.113.0/24", "198.51.100.0/25", "192.0.2.0/24")
LABELS = {"app": ("a", "b", "c"), "tier": ("x", "y")}
PORTS = (443, 3000, 8092)

Product = tuple[list[Any], list[Any], list[list[int]], list[list[int]]]


@contextmanager
def running() -> Iterator["Analyzer"]:
    """Run the analyzer in its environment, which is made where it is missing, while the caller asks it."""
    folder = cache_root(os.environ) / "configanalyzer" / hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    python = folder / "bin" / "python"
    if not (folder / "made").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(REQUIREMENTS)]
        subprocess.run([str(python), *install], check=True)
        (folder / "made").touch()
    worker = Path(__file__).with_name("analyzer_worker.py")
    with subprocess.Popen(
        [str(python), str(worker)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONWARNINGS"}},
    ) as process:
        try:
            yield Analyzer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


@dataclass(frozen=True, slots=True)
class Analyzer:
    """The running analyzer."""

    process: subprocess.Popen[str]

    def allowed(self, objects: list[Node]) -> list[Product] | str:
        """Return what is allowed between these objects, as products of sets; or why it does not take them."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(objects)}\n")
        self.process.stdin.flush()
        return cast("list[Product] | str", json.loads(self.process.stdout.readline()))


def objects_of(seed: int) -> list[Node]:
    """Return a cluster of four pods with NetworkPolicies, and in every second one with policies of Calico."""
    rng = seeded(seed)
    objects = [named_space(name, team) for name, team in TEAMS.items()]
    for index, namespace in enumerate(("eem", "eem", "shop", "bank")):
        made = pod_with(rng, f"p{index}", namespace, f"10.244.0.{index + 1}")
        more = {key: rng.choice(values) for key, values in LABELS.items() if rng.random() < 0.7}
        made["metadata"]["labels"] = {**made["metadata"]["labels"], **more, "own": made["metadata"]["name"]}
        objects.append(made)
    for index in range(rng.choice((1, 2, 3))):
        made = policy(f"n{index}", both_ways(rng, ipv6=False), rng.choice(("eem", "eem", "shop")))
        objects.append(without_effect(stored(made)))
    if seed % 2:
        objects = [without_pods(one) for one in objects]
    if seed % 2:
        objects += [calico(rng, index) for index in range(rng.choice((1, 2, 3)))]
    return objects


def without_effect(made: Node) -> Node:
    """Return a NetworkPolicy without rules of a direction that is not among its types, which the analyzer rejects."""
    types = made["spec"]["policyTypes"]
    apart = {section for section in ("ingress", "egress") if section.capitalize() not in types}
    return {**made, "spec": {key: value for key, value in made["spec"].items() if key not in apart}}


def without_pods(one: Node) -> Node:
    """Return a NetworkPolicy whose blocks hold no pod, which Calico would match and the analyzer does not."""
    made = json.loads(json.dumps(one))
    pods = IPv4Network(POD_RANGE)
    rules = (*made.get("spec", {}).get("ingress", []), *made.get("spec", {}).get("egress", []))
    for block in (
        peer["ipBlock"] for rule in rules for peer in (*rule.get("from", []), *rule.get("to", [])) if "ipBlock" in peer
    ):
        if ":" in block["cidr"]:
            continue
        if IPv4Network(block["cidr"], strict=False).subnet_of(pods):
            block |= {"cidr": NETS[0], "except": []}
        elif IPv4Network(block["cidr"], strict=False).supernet_of(pods):
            kept = [text for text in block.get("except") or [] if not IPv4Network(text, strict=False).subnet_of(pods)]
            block["except"] = [*kept, POD_RANGE]
    return cast("Node", made)


def calico(rng: Random, index: int) -> Node:
    """Return a policy of Calico's of the parts that both sides evaluate: one tier, and an order of its own."""
    types = rng.choice((["Ingress"], ["Egress"], ["Ingress", "Egress"]))
    spec: Node = {"order": rng.choice((5, 900, 1100, 5000)) + index, "selector": rng.choice(SELECTORS), "types": types}
    for direction in types:
        spec[direction.lower()] = [calico_rule(rng, direction) for _ in range(rng.choice((0, 1, 2, 3)))]
    is_global = rng.random() < 0.5
    metadata = {"name": f"c{index}", **({} if is_global else {"namespace": rng.choice(("eem", "shop"))})}
    kind = "GlobalNetworkPolicy" if is_global else "NetworkPolicy"
    return {"apiVersion": "projectcalico.org/v3", "kind": kind, "metadata": metadata, "spec": spec}


def calico_rule(rng: Random, direction: str) -> Node:
    """Return one rule: the other end by labels or by addresses, and ports at the destination."""
    other: Node = {}
    shape = rng.random()
    if shape < 0.25:
        other = {"nets": rng.sample(NETS, rng.choice((1, 2)))}
    elif shape < 0.75:
        other["selector"] = rng.choice(SELECTORS)
        if rng.random() < 0.5:
            other["namespaceSelector"] = rng.choice(SPACES)
    rule: Node = {"action": rng.choice(("Allow", "Allow", "Deny", "Pass"))}
    ends = {"source": other, "destination": {}} if direction == "Ingress" else {"source": {}, "destination": other}
    if rng.random() < 0.5:
        rule["protocol"] = rng.choice(tuple(PROTOCOLS))
        key = rng.choice(("ports", "ports", "notPorts"))
        ends["destination"] = {**ends["destination"], key: [rng.choice((*PORTS, "8000:8100"))]}
    return {**rule, **{name: end for name, end in ends.items() if end}}


def addresses_of(objects: list[Node]) -> list[str]:
    """Return the first address of each range between the networks that policies name."""
    numbers = {0}
    for value in _leaves([one for one in objects if one["kind"] not in {"Namespace", "Pod"}]):
        if isinstance(value, str) and value.count(".") == 3 and "/" in value:
            block = IPv4Network(value, strict=False)
            numbers |= {int(block.network_address), int(block.broadcast_address) + 1}
    kept = {str(IPv4Address(number)) for number in numbers if number < 2**32}
    return sorted(kept - {one["status"]["podIP"] for one in objects if one["kind"] == "Pod"})


def ports_of(objects: list[Node]) -> dict[str, list[int]]:
    """Return, for each protocol, the first port of each range between the numbers that policies and pods name."""
    found: dict[str, set[int]] = {protocol: {1} for protocol in PROTOCOLS}

    def add(protocol: str, first: object, last: object = None) -> None:
        if isinstance(first, int):
            end = last if isinstance(last, int) else first
            found[protocol] |= {port for port in (first, end + 1) if 0 < port < 65536}

    for one in objects:
        spec = one.get("spec", {})
        for container in spec.get("containers", []):
            for port in container.get("ports", []):
                add(port["protocol"], port["containerPort"])
        for rule in (*spec.get("ingress", []), *spec.get("egress", [])):
            for port in rule.get("ports", []):
                add(port["protocol"], port.get("port"), port.get("endPort"))
            destination = rule.get("destination", {})
            for port in (*destination.get("ports", []), *destination.get("notPorts", [])):
                add(rule["protocol"], *((8000, 8100) if isinstance(port, str) else (port,)))
    return {protocol: sorted(ports) for protocol, ports in found.items()}


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _leaves(one)
    else:
        yield value


@dataclass(kw_only=True, slots=True)
class ComparedSets:
    """
    What was compared.

    Args:
        counts: connections by the answer of the product.
        kinds: sets by the group of their last policy.
        explained: sets that differ because of `Exists` and `DoesNotExist` alone.
        rejected: sets that the analyzer does not take, by what it says.
        different: the seeds of sets that differ, with one connection each.
    """

    sets: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    explained: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    different: dict[int, str] = field(default_factory=dict)


def compare_sets(analyzer: Analyzer, seeds: Iterable[int]) -> ComparedSets:
    """Compare whole sets."""
    found = ComparedSets()
    for seed in seeds:
        objects = objects_of(seed)
        products = analyzer.allowed(objects)
        if isinstance(products, str):
            found.rejected[products] += 1
            continue
        found.sets += 1
        found.kinds[objects[-1]["apiVersion"]] += 1
        different = differing(objects, products, found.counts)
        if not different:
            continue
        if differing(in_own_namespace(objects), products, Counter()):
            found.different[seed] = str(different[0])
        else:
            found.explained += 1
    return found


def differing(objects: list[Node], products: list[Product], counts: Counter[str]) -> list[Connection]:
    """Return the connections about which the product and the analyzer differ; *counts* is given the answers."""
    snapshot = ClusterSnapshot.from_objects(objects)
    names = [f"{one['metadata']['namespace']}/{one['metadata']['name']}" for one in objects if one["kind"] == "Pod"]
    ports, different = ports_of(objects), []
    for source, destination in product([*names, *addresses_of(objects)], repeat=2):
        if source == destination or "/" not in source + destination:
            continue
        between = [one[2:] for one in products if _is_end(one[0], source) and _is_end(one[1], destination)]
        for protocol, port in ((name, number) for name in PROTOCOLS for number in ports[name]):
            connection = Connection(source=source, destination=destination, protocol=protocol, port=port)
            verdict = evaluate(connection, snapshot, ipblock_matches_pods="no", plugin="calico")
            counts["undecided" if not verdict.decided else "allowed" if verdict.allowed else "denied"] += 1
            theirs = any(_holds(of, PROTOCOLS[protocol]) and _holds(at, port) for of, at in between)
            if verdict.decided and verdict.allowed is not theirs:
                different.append(connection)
    return different


def in_own_namespace(objects: list[Node]) -> list[Node]:
    """
    Return the objects with what the analyzer makes of `Exists` and `DoesNotExist` of a podSelector.

    It looks for such pods in the namespace of the policy alone, also beside a namespaceSelector.
    """
    made = json.loads(json.dumps(objects))
    for one in made:
        if one["apiVersion"] == "networking.k8s.io/v1":
            own = {"key": NAME_LABEL, "operator": "In", "values": [one["metadata"]["namespace"]]}
            rules = (*one["spec"].get("ingress", []), *one["spec"].get("egress", []))
            for peer in (peer for rule in rules for peer in (*rule.get("from", []), *rule.get("to", []))):
                asked = (peer.get("podSelector") or {}).get("matchExpressions") or []
                if "namespaceSelector" in peer and any("Exist" in entry["operator"] for entry in asked):
                    spaces = peer["namespaceSelector"]
                    spaces["matchExpressions"] = [*(spaces.get("matchExpressions") or []), own]
    return cast("list[Node]", made)


def _holds(ranges: list[list[int]], number: int) -> bool:
    return any(first <= number <= last for first, last in ranges)


def _is_end(ends: list[Any], end: str) -> bool:
    if "/" in end:
        return end in ends
    return _holds([one for one in ends if not isinstance(one, str)], int(IPv4Address(end)))


def main() -> int:
    """Compare, and print what was found; the exit status is 1 if a set differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    with running() as analyzer:
        found = compare_sets(analyzer, range(arguments.first, arguments.first + arguments.sets))
    print(f"{found.sets} sets {dict(found.kinds)}, {found.counts.total()} connections: {dict(found.counts)}")
    print(f"rejected: {dict(found.rejected)}")
    print(f"{found.explained} sets differ by the namespace of a selector")
    print(f"{len(found.different)} sets differ: {dict(list(found.different.items())[:10])}")
    return 1 if found.different else 0


if __name__ == "__main__":
    raise SystemExit(main())
