"""What each rule of a policy says about one connection: the evidence of a verdict."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from webhook.netpol.cluster_policies import ClusterRule, RuleAction
from webhook.netpol.matching import Endpoint, cluster_peer_matches, peer_matches, rule_covers, unresolved_names
from webhook.netpol.model import ContainerPort, NetworkPolicy, PolicyRule, PolicyType, Protocol
from webhook.netpol.sources.universe import Enforced, IPBlockMatchesPods


class Outcome(enum.Enum):
    """The effect of one rule on one connection."""

    ADMITS = "admits it"
    MATCHES = "matches it"
    UNDECIDED = "may admit it: that depends on the network plugin or on a part that cannot be read"
    OTHER_PEER = "does not match the other end"
    OTHER_PORT = "matches the other end, but not the port"
    UNRESOLVED_PORT = "matches the other end, but its port name is not one of the destination's"


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleEvidence:
    """
    One rule of a policy that selects the pod.

    Args:
        policy: the full name of the policy.
        index: position in the policy's list of rules.
        action: what the rule does with what it matches; None for a NetworkPolicy, whose rules admit.
        name: what the policy calls the rule; mostly empty.
        doubt: why it is not known whether the rule counts, as one clause; empty where it is known.
    """

    policy: str
    index: int
    outcome: Outcome
    action: RuleAction | None = None
    name: str = ""
    doubt: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """
    What every rule is asked.

    Args:
        named_ports: those of the destination.
        calico: whether the plugin enforces Calico's policies.
    """

    protocol: Protocol
    port: int
    named_ports: tuple[ContainerPort, ...]
    ipblock_matches_pods: IPBlockMatchesPods
    calico: Enforced = "unknown"


def outcome_of(rule: PolicyRule, asked: Question, other: Endpoint) -> Outcome:
    """Return what a rule of a NetworkPolicy does."""
    peers = [True] if rule.peers is None else [peer_matches(p, other, asked.ipblock_matches_pods) for p in rule.peers]
    return _outcome(rule, peers, asked, Outcome.ADMITS)


def cluster_outcome_of(rule: ClusterRule, asked: Question, other: Endpoint) -> Outcome:
    """Return whether a rule of a cluster-wide policy matches."""
    return _outcome(rule, [cluster_peer_matches(peer, other) for peer in rule.peers], asked, Outcome.MATCHES)


def _outcome(rule: PolicyRule | ClusterRule, peers: Sequence[bool | None], asked: Question, yes: Outcome) -> Outcome:
    """Return what a rule does, by the answers of its peers; None stands for one that is not known."""
    if True not in peers and None not in peers:
        return Outcome.OTHER_PEER
    covered = rule_covers(rule, asked.named_ports, asked.protocol, asked.port)
    if covered is False:
        unresolved = unresolved_names(rule.ports, asked.named_ports)
        return Outcome.UNRESOLVED_PORT if unresolved else Outcome.OTHER_PORT
    return yes if True in peers and covered else Outcome.UNDECIDED


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
    UNKNOWN_LABEL = "policies compare a label that the pod's controller sets to a value that is not known"
    ADMIN_ACCEPTS = "a rule of the Admin tier accepts it, whatever NetworkPolicies say"
    ADMIN_DENIES = "a rule of the Admin tier denies it, whatever NetworkPolicies say"
    BASELINE_ACCEPTS = "no NetworkPolicy selects the pod in this direction, and a rule of the Baseline tier accepts it"
    BASELINE_DENIES = "no NetworkPolicy selects the pod in this direction, and a rule of the Baseline tier denies it"
    CALICO_ALLOWS = "a rule of a Calico policy allows it"
    CALICO_DENIES = "a rule of a Calico policy denies it"
    CALICO_ENDS = "policies of a Calico tier select the pod, and no rule of the tier matches"
    CALICO_PASSES = "no rule of a Calico tier decides it, and after the last tier everything is allowed"
    PLUGIN_NOT_KNOWN = "it depends on whether Calico enforces its policies, which is not known (--plugin)"
    TIERS_NOT_DECIDED = "whether a rule of a cluster-wide policy decides it is not known"


_NOT_DECIDED = frozenset({Reason.NOT_DECIDED, Reason.UNKNOWN_LABEL, Reason.TIERS_NOT_DECIDED, Reason.PLUGIN_NOT_KNOWN})
_NOT_ALLOWED = _NOT_DECIDED | {
    Reason.NOT_ADMITTED,
    Reason.ADMIN_DENIES,
    Reason.BASELINE_DENIES,
    Reason.CALICO_DENIES,
    Reason.CALICO_ENDS,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class DirectionVerdict:
    """
    The answer of one end.

    Args:
        policies: the full name of every policy that was asked: those that isolate this end, and those of the tiers.
        rules: evidence for each of their rules.
    """

    policy_type: PolicyType
    reason: Reason
    policies: tuple[str, ...] = ()
    rules: tuple[RuleEvidence, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether this end surely allows the connection."""
        return self.reason not in _NOT_ALLOWED

    @property
    def decided(self) -> bool:
        """Whether the answer is certain."""
        return self.reason not in _NOT_DECIDED


def by_rules(
    policy_type: PolicyType, isolating: Sequence[NetworkPolicy], asked: Question, other: Endpoint
) -> DirectionVerdict:
    """Return what NetworkPolicies that isolate the pod answer."""
    evidence = tuple(
        RuleEvidence(policy=policy.full_name, index=index, outcome=outcome_of(rule, asked, other))
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
