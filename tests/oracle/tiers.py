"""
Cluster-wide policies, on plain API dictionaries, by brute force: every order and every reading is tried.

What is not known (which of two policies of one priority is asked first, whether a peer with an unknown field
matches, whether a plugin applies a policy) is tried in every combination; each combination has one plain answer.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

from oracle.semantics import Object, Semantics, read_address, within

KINDS = ("AdminNetworkPolicy", "BaselineAdminNetworkPolicy", "ClusterNetworkPolicy")
FINAL = {"Allow": "allowed", "Accept": "allowed", "Deny": "denied"}
LAST_APPLIED = 99
PEERS = frozenset({"namespaces", "pods", "networks", "nodes", "domainNames"})
FAIL_CLOSED = "fails closed"
SECTIONS = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}

Choices = Mapping[tuple[str, ...], bool]
"""For each thing that is not known, by its place: whether it is so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """
    A connection as one end sees it.

    Args:
        subject: the pod that is asked; an End.
        other: the other end.
        containers: those of the destination.
    """

    subject: Any
    other: Any
    direction: str
    protocol: str
    port: int
    containers: Sequence[Object]


def tier_of(policy: Object) -> str:
    """Return the tier of a policy."""
    return {"AdminNetworkPolicy": "Admin", "BaselineAdminNetworkPolicy": "Baseline"}.get(policy["kind"]) or str(
        policy["spec"]["tier"]
    )


def selected(chooser: Object, end: Any, semantics: Semantics) -> bool:
    """Whether `namespaces` or `pods` chooses a pod."""
    if not end.on_pod_network:
        return False
    if "namespaces" in chooser:
        return semantics.selector_matches(chooser["namespaces"], end.namespace_labels, "namespace", semantics)
    both = chooser["pods"]
    return semantics.selector_matches(
        both["namespaceSelector"], end.namespace_labels, "namespace", semantics
    ) and semantics.selector_matches(both["podSelector"], end.labels, "pod", semantics)


def peer_chooses(peer: Object, asked: Asked, choices: Choices, place: tuple[str, ...], semantics: Semantics) -> bool:
    """Whether a peer matches the other end."""
    other = asked.other
    if "namespaces" in peer or "pods" in peer:
        return other.pod is not None and selected(peer, other, semantics)
    if "networks" in peer and (other.addresses or "0.0.0.0/0" in peer["networks"] or "::/0" in peer["networks"]):
        return not other.addresses or any(
            within(cidr, read_address(text)) for cidr in peer["networks"] for text in other.addresses
        )
    if "nodes" in peer and other.pod is not None and (other.on_pod_network or not peer["nodes"]):
        return not other.on_pod_network
    return choices[place]


def port_chosen(entry: Object, asked: Asked) -> bool:
    """Whether one entry of `ports` or `protocols` covers the port of the connection."""
    name = entry.get("namedPort") or entry.get("destinationNamedPort")
    if name is not None:
        return any(
            port.get("name") == name
            and (port.get("protocol") or "TCP") == asked.protocol
            and port["containerPort"] == asked.port
            for container in asked.containers
            for port in container.get("ports") or []
        )
    if "portNumber" in entry or "portRange" in entry:
        found = entry.get("portNumber") or entry["portRange"]
        first, last = (found["port"], found["port"]) if "portNumber" in entry else (found["start"], found["end"])
        return (found.get("protocol") or "TCP") == asked.protocol and first <= asked.port <= last
    destination = (entry.get(asked.protocol.lower()) or {}).get("destinationPort")
    if destination is None:
        return False
    if "number" in destination:
        return bool(destination["number"] == asked.port)
    return bool(destination["range"]["start"] <= asked.port <= destination["range"]["end"])


def unknown_places(policies: Sequence[Object], asked: Asked) -> list[tuple[str, ...]]:
    """Return the places of all that is not known; a network is known where the other end has an address."""
    section, key = SECTIONS[asked.direction]
    known = {"namespaces", "pods"} | ({"networks"} if asked.other.addresses else set())
    found: list[tuple[str, ...]] = []
    for policy in policies:
        name = f"{policy['kind']}/{policy['metadata']['name']}"
        if policy["kind"] == "AdminNetworkPolicy" and policy["spec"]["priority"] > LAST_APPLIED:
            found.append((name,))
        for index, rule in enumerate(policy["spec"].get(section) or []):
            for number, peer in enumerate(rule[key]):
                if not known & peer.keys():
                    found.append((name, str(index), str(number)))
            if any(not PEERS & peer.keys() for peer in rule[key]):
                found.append((name, str(index), FAIL_CLOSED))
    return found


def orders(policies: Sequence[Object]) -> Iterator[tuple[Object, ...]]:
    """Yield every order in which a plugin may ask these policies: of one schema, a lower priority is asked first."""
    for order in permutations(policies):
        wrong = any(
            (one["kind"] == "ClusterNetworkPolicy") == (other["kind"] == "ClusterNetworkPolicy")
            and one["spec"].get("priority", 0) > other["spec"].get("priority", 0)
            for index, one in enumerate(order)
            for other in order[index:]
        )
        if not wrong:
            yield order


def answer_in_order(order: Sequence[Object], asked: Asked, choices: Choices, semantics: Semantics) -> str:
    """Return what one order decides under one reading: "allowed", "denied", or "" for the next tier."""
    section, key = SECTIONS[asked.direction]
    for policy in order:
        name = f"{policy['kind']}/{policy['metadata']['name']}"
        if not choices.get((name,), True):
            continue
        for index, rule in enumerate(policy["spec"].get(section) or []):
            if choices.get((name, str(index), FAIL_CLOSED)):  # a plugin that does not know the field of a peer
                if FINAL.get(rule["action"]) == "allowed":
                    continue
                return "denied"
            ports = rule.get("ports") or rule.get("protocols")
            if ports and not any(port_chosen(entry, asked) for entry in ports):
                continue
            if any(
                peer_chooses(peer, asked, choices, (name, str(index), str(number)), semantics)
                for number, peer in enumerate(rule[key])
            ):
                return FINAL.get(rule["action"], "")
    return ""


def tier_answers(tier: str, objects: Sequence[Object], asked: Asked, semantics: Semantics) -> set[str]:
    """Return every answer that a tier may give."""
    policies = [
        policy
        for policy in objects
        if policy["kind"] in KINDS
        and tier_of(policy) == tier
        and selected(policy["spec"]["subject"], asked.subject, semantics)
    ]
    places = unknown_places(policies, asked)
    return {
        answer_in_order(order, asked, dict(zip(places, answers, strict=True)), semantics)
        for answers in product((True, False), repeat=len(places))
        for order in orders(policies)
    }


def in_tiers(
    objects: Sequence[Object], asked: Asked, semantics: Semantics, policies_say: Callable[[], str | None]
) -> str:
    """
    Return the answer of one end: Admin, then NetworkPolicies, then Baseline.

    Args:
        policies_say: the answer of the NetworkPolicies; None where none isolates the pod.
    """
    answers: set[str] = set()
    for answer in tier_answers("Admin", objects, asked, semantics):
        below = {answer} if answer else {policies_say()}
        if below == {None}:
            below = {found or "allowed" for found in tier_answers("Baseline", objects, asked, semantics)}
        answers |= {str(found) for found in below}
    return answers.pop() if len(answers) == 1 else "undecided"
