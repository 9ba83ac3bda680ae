"""Short ways to ask the pure core, for tests that care about the answer alone."""

from collections.abc import Iterable, Mapping
from typing import Any

import builders as b

from webhook.netpol import ClusterSnapshot, Connection, ConnectionVerdict, SpecError, evaluate
from webhook.netpol.model import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    Pod,
    PodPeer,
    PolicyRule,
)
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_meta import read_selector
from webhook.netpol.parse_objects import read_object, read_pod
from webhook.netpol.reading import Faults
from webhook.netpol.selectors import LabelSelector
from webhook.netpol.sources.source_set import Sources
from webhook.netpol.sources.terms import Term, term_of
from webhook.netpol.sources.universe import IPBlockMatchesPods


def selector_of(node: object) -> LabelSelector:
    return read_selector(node, "selector", Faults())


def policy_of(*args: Any, **fields: Any) -> NetworkPolicy:
    """Return the model of a policy that has no faults."""
    return parse_policy(b.policy(*args, **fields))


def parse_policy(api_object: Mapping[str, Any]) -> NetworkPolicy:
    """
    Return the model of a policy as it stands in a file.

    Raises:
        SpecError: it has faults.
    """
    policy, faults = read_policy(api_object)
    if faults:
        raise SpecError(faults)
    return policy


def tolerated(**fields: Any) -> NetworkPolicy:
    """Return the model of a policy as it is stored, faults and all."""
    return read_policy(b.policy(**fields))[0]


def faults_of(api_object: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (path, reason) of each fault of a policy."""
    return [(fault.field, fault.reason) for fault in read_policy(api_object)[1]]


def rule_of(rule: object) -> PolicyRule:
    return tolerated(ingress=[rule]).ingress[0]


def peer_of(peer: object) -> NetworkPolicyPeer:
    peers = rule_of({"from": [peer]}).peers
    assert peers is not None
    return peers[0]


def block_of(cidr: str, *except_: str) -> IPBlock:
    block = peer_of(b.block(cidr, *except_))
    assert isinstance(block, IPBlock)
    return block


def term_of_peer(peer: NetworkPolicyPeer) -> Term | None:
    """Return the term of a peer of selectors; None where no pod can match it."""
    assert isinstance(peer, PodPeer)
    return term_of(peer.namespace, peer.namespace_selector, peer.pod_selector)


def port_of(entry: object) -> NetworkPolicyPort:
    ports = rule_of({"ports": [entry]}).ports
    assert ports is not None
    return ports[0]


def pod_of(*args: Any, **fields: Any) -> Pod:
    return read_pod(b.pod(*args, **fields), Faults())


def sources_of(*peers: Any) -> Sources:
    """Return what one ingress rule with these peers admits; without peers, everyone."""
    return rule_of(b.from_(*peers)).admits


def ask(  # noqa: PLR0913  the parts of a connection
    objects: Iterable[Mapping[str, Any]],
    source: str,
    destination: str,
    port: int = 3000,
    protocol: str = "TCP",
    *,
    ipblock_matches_pods: IPBlockMatchesPods = "unknown",
    tolerant: bool = False,
) -> ConnectionVerdict:
    """Return the verdict on a connection; *tolerant* reads objects as they are stored, faults and all."""
    connection = Connection(source=source, destination=destination, port=port, protocol=protocol)
    if tolerant:
        snapshot = ClusterSnapshot.from_parsed(parsed for parsed, _ in map(read_object, objects) if parsed is not None)
    else:
        snapshot = ClusterSnapshot.from_objects(objects)
    return evaluate(connection, snapshot, ipblock_matches_pods=ipblock_matches_pods)


def word(verdict: ConnectionVerdict) -> str:
    """Return a verdict in one word."""
    if not verdict.decided:
        return "undecided"
    return "allowed" if verdict.allowed else "denied"
