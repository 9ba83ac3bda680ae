"""
Decide one concrete connection, with the evidence.

Both ends must allow it: the source's egress and the destination's ingress.

For each end:
1. A pod may always reach itself, and the node that it runs on (and that node the pod).
2. No policy of that direction selects the pod: allowed.
3. Any rule of any such policy matches the other end and covers the port: allowed.
4. Otherwise it is not. No single policy blocks; all policies that select the pod isolate it together.

Source: NetworkPolicySpec.ingress and .egress (networking.k8s.io/v1).
"""

import enum
from dataclasses import dataclass

from webhook.netpol.faults import SpecError
from webhook.netpol.intervals import address_of
from webhook.netpol.matching import (
    Address,
    Endpoint,
    PodEndpoint,
    peer_matches,
    rule_covers,
    selecting,
    unresolved_names,
)
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    PROTOCOLS,
    ContainerPort,
    Pod,
    PolicyRule,
    PolicyType,
    Protocol,
)
from webhook.netpol.reading import Faults, describe, shorten
from webhook.netpol.snapshot import ClusterSnapshot
from webhook.netpol.sources.universe import IPBlockMatchesPods


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """
    The connection that is asked about.

    Args:
        source: `namespace/pod`, or an IP address.
        destination: the same.
        protocol: TCP, UDP or SCTP.
        port: number of the port at the destination pod.
    """

    source: str
    destination: str
    protocol: str = "TCP"
    port: int


class Outcome(enum.Enum):
    """The effect of one rule on one connection."""

    ADMITS = "admits it"
    UNDECIDED = "may admit it: that depends on the network plugin or on a part that cannot be read"
    OTHER_PEER = "does not match the other end"
    OTHER_PORT = "matches the other end, but not the port"
    UNRESOLVED_PORT = "matches the other end, but its port name is not one of the destination's"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleEvidence:
    """One rule of a policy that selects the pod. Args: index: position in the policy's list of rules."""

    policy: str
    index: int
    outcome: Outcome


class Reason(enum.Enum):
    """Why one end allows a connection, or does not."""

    NOT_A_POD = "no policy selects addresses outside the cluster"
    SELF = "a pod may always reach itself"
    OWN_NODE = "a pod and its own node may always reach each other"
    HOST_NETWORK = "no policy selects a pod on its node's network"
    NOT_ISOLATED = "no policy selects the pod in this direction"
    ADMITTED = "a rule admits it"
    NOT_ADMITTED = "policies select the pod, and no rule of theirs admits it"
    NOT_DECIDED = "policies select the pod, and whether a rule of theirs admits it is not decided"


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectionVerdict:
    """
    The answer of one end.

    Args:
        policies: `namespace/name` of every policy that isolates this end.
        rules: evidence for each of their rules.
    """

    policy_type: PolicyType
    reason: Reason
    policies: tuple[str, ...] = ()
    rules: tuple[RuleEvidence, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether this end surely allows the connection."""
        return self.reason not in {Reason.NOT_ADMITTED, Reason.NOT_DECIDED}

    @property
    def decided(self) -> bool:
        """Whether the answer is certain."""
        return self.reason is not Reason.NOT_DECIDED


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectionVerdict:
    """Whether a connection is allowed, with the answer of each end; `allowed` is False where it is not decided."""

    connection: Connection
    ingress: DirectionVerdict
    egress: DirectionVerdict

    @property
    def allowed(self) -> bool:
        """Whether both ends surely allow it."""
        return self.ingress.allowed and self.egress.allowed

    @property
    def decided(self) -> bool:
        """Whether the answer is certain: both ends are decided, or one surely refuses."""
        ends = (self.ingress, self.egress)
        return all(end.decided for end in ends) or any(end.decided and not end.allowed for end in ends)


def evaluate(
    connection: Connection, snapshot: ClusterSnapshot, *, ipblock_matches_pods: IPBlockMatchesPods = "unknown"
) -> ConnectionVerdict:
    """
    Decide *connection* in *snapshot*.

    Raises:
        SpecError: an end is neither a pod or workload of the snapshot nor an IP address, or the port or protocol is
            none; `field` is `source`, `destination`, `protocol` or `port`.
    """
    faults = Faults()
    source = _endpoint(connection.source, "source", snapshot, faults)
    destination = _endpoint(connection.destination, "destination", snapshot, faults)
    protocol = read_port(connection.protocol, connection.port, faults)
    if source is None or destination is None or protocol is None:
        raise SpecError(faults.found)
    asked = _Question(
        snapshot=snapshot,
        protocol=protocol,
        port=connection.port,
        named_ports=destination.pod.ports if isinstance(destination, PodEndpoint) else (),
        ipblock_matches_pods=ipblock_matches_pods,
    )
    return ConnectionVerdict(
        connection=connection,
        ingress=_direction(asked, destination, source, PolicyType.INGRESS),
        egress=_direction(asked, source, destination, PolicyType.EGRESS),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    snapshot: ClusterSnapshot
    protocol: Protocol
    port: int
    named_ports: tuple[ContainerPort, ...]
    ipblock_matches_pods: IPBlockMatchesPods


def read_port(protocol: str, port: int, faults: Faults) -> Protocol | None:
    """Return the protocol; None where it or the port number is not valid."""
    known = PROTOCOLS.get(protocol)
    if known is None:
        faults.add("protocol", f"must be TCP, UDP or SCTP, not {shorten(repr(protocol))}", "NotSupported")
    if not FIRST_PORT <= port <= LAST_PORT:
        faults.add("port", f"must be between {FIRST_PORT} and {LAST_PORT}, not {describe(port)}")
        return None
    return known


def read_pod_name(text: str, field: str, snapshot: ClusterSnapshot, faults: Faults) -> Pod | None:
    """Return the pod `namespace/name`, or the pod that the template of a workload of that name makes."""
    namespace, _, name = text.partition("/")
    state = snapshot.state(namespace)
    pod = state.pods.get(name)
    if pod is None:
        templates = (workload.template for (_, known), workload in state.workloads.items() if known == name)
        pod = min(templates, key=lambda template: template.template_of, default=None)
    if pod is None:
        message = f"there is no pod or workload {shorten(name)} in namespace {shorten(namespace)}"
        faults.add(field, message, "NotFound")
    return pod


def _endpoint(text: str, field: str, snapshot: ClusterSnapshot, faults: Faults) -> Endpoint | None:
    if "/" in text:
        pod = read_pod_name(text, field, snapshot, faults)
        if pod is None:
            return None
        return PodEndpoint(pod=pod, namespace_labels=snapshot.state(pod.namespace).namespace.labels)
    try:
        family, number = address_of(text)
    except ValueError:
        faults.add(field, f"{shorten(repr(text))} is neither namespace/pod nor an IP address")
        return None
    return _owner_of(family, number, snapshot) or Address(family=family, number=number)


def _owner_of(family: int, number: int, snapshot: ClusterSnapshot) -> PodEndpoint | None:
    """Return the pod that has an address: on the pod network, packets from there are that pod's."""
    if (family, number) not in snapshot.pod_addresses.bearers:
        return None
    bearers = (
        PodEndpoint(pod=pod, namespace_labels=state.namespace.labels)
        for state in snapshot.namespaces()
        for pod in state.pods.values()
        if (family, number) in pod.addresses and not pod.host_network and not pod.finished
    )
    return min(bearers, key=lambda end: (end.pod.namespace, end.pod.name))


def _direction(asked: _Question, end: Endpoint, other: Endpoint, policy_type: PolicyType) -> DirectionVerdict:
    if isinstance(end, Address):
        return DirectionVerdict(policy_type=policy_type, reason=Reason.NOT_A_POD)
    pod = end.pod
    if isinstance(other, PodEndpoint) and _same_pod(pod, other.pod):
        return DirectionVerdict(policy_type=policy_type, reason=Reason.SELF)
    if _is_own_node(pod, other):
        return DirectionVerdict(policy_type=policy_type, reason=Reason.OWN_NODE)
    if pod.host_network:
        return DirectionVerdict(policy_type=policy_type, reason=Reason.HOST_NETWORK)
    isolating = selecting(asked.snapshot.state(pod.namespace).sorted_policies(), pod, policy_type)
    if not isolating:
        return DirectionVerdict(policy_type=policy_type, reason=Reason.NOT_ISOLATED)
    evidence = tuple(
        RuleEvidence(policy=policy.full_name, index=index, outcome=_outcome(rule, asked, other))
        for policy in isolating
        for index, rule in enumerate(policy.rules(policy_type))
    )
    outcomes = {item.outcome for item in evidence}
    reason = Reason.NOT_ADMITTED
    if Outcome.ADMITS in outcomes:
        reason = Reason.ADMITTED
    elif Outcome.UNDECIDED in outcomes:
        reason = Reason.NOT_DECIDED
    policies = tuple(policy.full_name for policy in isolating)
    return DirectionVerdict(policy_type=policy_type, reason=reason, policies=policies, rules=evidence)


def _same_pod(pod: Pod, other: Pod) -> bool:
    """Whether two ends are one pod; two pods of one template are not, so a template is never the same pod."""
    same = (pod.namespace, pod.name) == (other.namespace, other.name)
    return same and not pod.template_of and not other.template_of


def _is_own_node(pod: Pod, other: Endpoint) -> bool:
    if isinstance(other, Address):
        return (other.family, other.number) in pod.host_addresses
    return other.pod.host_network and other.pod.node != "" and other.pod.node == pod.node


def _outcome(rule: PolicyRule, asked: _Question, other: Endpoint) -> Outcome:
    peers = [True] if rule.peers is None else [peer_matches(p, other, asked.ipblock_matches_pods) for p in rule.peers]
    matched: bool | None = True if True in peers else (None if None in peers else False)
    if matched is False:
        return Outcome.OTHER_PEER
    covered = rule_covers(rule, asked.named_ports, asked.protocol, asked.port)
    if covered is False:
        unresolved = unresolved_names(rule.ports, asked.named_ports)
        return Outcome.UNRESOLVED_PORT if unresolved else Outcome.OTHER_PORT
    return Outcome.ADMITS if matched and covered else Outcome.UNDECIDED
