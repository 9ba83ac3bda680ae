"""
Whether one connection is allowed, asked of both ends: egress at the source and ingress at the destination.

An end is "namespace/name" for a pod (or the pod that a workload's template describes) or an address as text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oracle.semantics import (
    NAME_LABEL,
    SECTIONS,
    SOUND,
    Object,
    Semantics,
    Source,
    containers_of,
    read_address,
    rule_covers_port,
    selects,
)
from oracle.tiers import Asked, in_tiers
from oracle.world import of_kind

TEMPLATE_KINDS = ("Deployment", "StatefulSet", "ReplicaSet")
RANK = {"denied": 0, "undecided": 1, "allowed": 2}


@dataclass(frozen=True, kw_only=True, slots=True)
class End:
    """One end of a connection: a pod with its namespace, or nothing but an address."""

    pod: Any
    namespace_labels: Any
    addresses: tuple[str, ...]

    @property
    def on_pod_network(self) -> bool:
        """Whether selectors and isolation apply to it."""
        return self.pod is not None and not self.pod["spec"].get("hostNetwork")

    @property
    def labels(self) -> Any:
        """Return the pod's labels."""
        return self.pod["metadata"].get("labels") or {}

    @property
    def namespace(self) -> str:
        """Return the name of the pod's namespace."""
        return self.pod["metadata"]["namespace"]

    def as_source(self) -> Source:
        """Return the pod in the form that selectors match."""
        return Source(namespace=self.namespace, namespace_labels=self.namespace_labels, labels=self.labels)


def find_end(text: str, objects: Sequence[Object]) -> End:
    """Find the pod that the text names, or take the text for an address."""
    if "/" not in text:
        return End(pod=None, namespace_labels={}, addresses=(text,))
    namespace, name = text.split("/")
    spaces = [n for n in of_kind(objects, "Namespace") if n["metadata"]["name"] == namespace]
    labels = {**((spaces[0]["metadata"].get("labels") or {}) if spaces else {}), NAME_LABEL: namespace}
    for pod in of_kind(objects, "Pod", namespace):
        if pod["metadata"]["name"] == name:
            entries = (pod.get("status") or {}).get("podIPs") or []
            return End(pod=pod, namespace_labels=labels, addresses=tuple(entry["ip"] for entry in entries))
    template = next(
        item["spec"]["template"]
        for kind in TEMPLATE_KINDS
        for item in of_kind(objects, kind, namespace)
        if item["metadata"]["name"] == name
    )
    made = {"metadata": {**template["metadata"], "namespace": namespace, "name": name}, "spec": template["spec"]}
    return End(pod=made, namespace_labels=labels, addresses=())


def peer_answer(peer: Object, policy_namespace: str, other: End, semantics: Semantics) -> str:
    """Whether a peer admits the other end; undecided if it depends on an ipBlock that contains a pod."""
    block = peer.get("ipBlock")
    if not other.on_pod_network:
        inside = any(semantics.peer_selects_address(peer, read_address(text)) for text in other.addresses)
        return "allowed" if inside else "denied"
    if block is None:
        chosen = semantics.peer_selects_pod(peer, policy_namespace, other.as_source(), semantics)
        return "allowed" if chosen else "denied"
    inside = [semantics.peer_selects_address(peer, read_address(text)) for text in other.addresses]
    if inside and not any(inside):
        return "denied"
    return {"unknown": "undecided", "yes": "allowed", "no": "denied"}[semantics.block_reading("unknown")]


def direction_answer(
    direction: str, ends: tuple[End, End, End], port: tuple[str, int], objects: Sequence[Object], semantics: Semantics
) -> str:
    """
    Ask the policies of one end; the ends are the one asked, the other, and the destination.

    Source: NetworkPolicySpec: not isolated, or any rule of any selecting policy.
    """
    asked, other, destination = ends
    if not asked.on_pod_network or semantics.is_own_node(other.pod, other.addresses, asked.pod):
        return "allowed"
    containers = containers_of(destination.pod["spec"]) if destination.pod is not None else []
    question = Asked(
        subject=asked, other=other, direction=direction, protocol=port[0], port=port[1], containers=containers
    )

    def policies_say() -> str | None:
        return policies_answer(question, objects, semantics)

    return in_tiers(objects, question, semantics, policies_say)


def policies_answer(question: Asked, objects: Sequence[Object], semantics: Semantics) -> str | None:
    """Ask the NetworkPolicies of one end; None where none isolates the pod."""
    asked, direction = question.subject, question.direction
    policies = [
        policy
        for policy in of_kind(objects, "NetworkPolicy", asked.namespace)
        if selects(policy, direction, asked.labels, semantics)
    ]
    if not policies:
        return None
    section, key = SECTIONS[direction]
    answer = "denied"
    for policy in policies:
        for rule in policy["spec"].get(section) or []:
            if rule_covers_port(rule, question.protocol, question.port, question.containers, semantics):
                peers = semantics.peers_of(rule, key)
                found = ["allowed"] if peers is None else []
                found += [peer_answer(p, asked.namespace, question.other, semantics) for p in peers or []]
                answer = max([answer, *found], key=RANK.__getitem__)
    return answer


def connection_allowed(  # noqa: PLR0913, PLR0917
    source: str,
    destination: str,
    protocol: str,
    port: int,
    objects: Sequence[Object],
    semantics: Semantics = SOUND,
) -> str:
    """Return "allowed", "denied" or "undecided" for a connection between the objects."""
    if source == destination:
        return "allowed"
    objects = semantics.load(objects)
    start, goal = find_end(source, objects), find_end(destination, objects)
    answers = (
        direction_answer("Egress", (start, goal, goal), (protocol, port), objects, semantics),
        direction_answer("Ingress", (goal, start, goal), (protocol, port), objects, semantics),
    )
    return min(answers, key=RANK.__getitem__)
