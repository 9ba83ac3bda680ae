"""
Ask the cluster-wide policies of one tier about one connection.

The first rule that matches decides, in the order of priorities and of rules. Several answers are possible where a rule
may match, where a policy may have no effect, and where nothing says which of two policies is asked first.

Source: ClusterNetworkPolicySpec.priority and ClusterNetworkPolicyRuleAction (policy.networking.k8s.io).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from webhook.netpol.cluster_policies import (
    ClusterPolicy,
    ClusterRule,
    DomainPeer,
    NodePeer,
    RuleAction,
    TierPolicies,
)
from webhook.netpol.evidence import Outcome, Question, RuleEvidence, cluster_outcome_of
from webhook.netpol.matching import Endpoint
from webhook.netpol.model import PolicyType, Unreadable

Answer = RuleAction | None
"""What a tier does with a connection; None where no rule matches it."""

NO_RULE: frozenset[Answer] = frozenset({None})

DOMAIN_CLAUSE = "domain names are not resolved"
NODE_CLAUSE = "the labels of nodes are not read"
FIELD_CLAUSE = "it has a field that cannot be read"
ORDER_CLAUSE = "the order of two policies with one priority, or of two schemas, is not defined"


@dataclass(frozen=True, kw_only=True, slots=True)
class TierVerdict:
    """
    What a tier may do with a connection.

    Args:
        answers: all that are possible; one where everything is known.
        policies: the full names of the policies that were asked.
        rules: evidence for each of their rules, up to the one that surely decides.
    """

    answers: frozenset[Answer] = NO_RULE
    policies: tuple[str, ...] = ()
    rules: tuple[RuleEvidence, ...] = ()


NOT_ASKED = TierVerdict()


def ask_tier(policies: TierPolicies, asked: Question, other: Endpoint, policy_type: PolicyType) -> TierVerdict:
    """Return what the policies of one tier do with a connection, at one end; *other* is the other end."""
    return any_order(
        [
            in_order([any_order([_ask(p, asked, other, policy_type) for p in equal]) for equal in of_schema])
            for of_schema in policies
        ]
    )


def _ask(policy: ClusterPolicy, asked: Question, other: Endpoint, policy_type: PolicyType) -> TierVerdict:
    """Return what one policy does: its first rule that matches."""
    answers: set[Answer] = set()
    evidence: list[RuleEvidence] = []
    for rule in policy.rules(policy_type):
        outcome = shown = cluster_outcome_of(rule, asked, other)
        accepts = rule.action is RuleAction.ACCEPT
        is_reached = outcome in {Outcome.MATCHES, Outcome.UNDECIDED}
        if is_reached:
            answers.add(rule.action)
        if rule.may_fail_closed and (is_reached or not accepts):
            answers |= set() if accepts else {RuleAction.DENY}
            is_sure = outcome is Outcome.MATCHES and rule.action is RuleAction.DENY
            shown = outcome if is_sure else Outcome.UNDECIDED
        evidence.append(_evidence(policy, rule, shown))
        if outcome is Outcome.MATCHES and not (accepts and rule.may_fail_closed):
            break
    else:
        answers.add(None)
    if policy.why_perhaps:
        answers.add(None)
    return TierVerdict(answers=frozenset(answers), policies=(policy.full_name,), rules=tuple(evidence))


def _evidence(policy: ClusterPolicy, rule: ClusterRule, outcome: Outcome) -> RuleEvidence:
    doubt = ""
    if outcome in {Outcome.MATCHES, Outcome.UNDECIDED}:
        doubt = policy.why_perhaps or (doubt_of(rule) if outcome is Outcome.UNDECIDED else "")
    return RuleEvidence(
        policy=policy.full_name,
        index=rule.index,
        outcome=Outcome.UNDECIDED if doubt else outcome,
        action=rule.action,
        name=rule.name,
        doubt=doubt,
    )


def doubt_of(rule: ClusterRule) -> str:
    """Return why it is not known whether a rule matches, with the field that it depends on."""
    parts = (*rule.peers, *(port for port in rule.ports or () if isinstance(port, Unreadable)))
    clauses = {_clause(part): None for part in parts if isinstance(part, (DomainPeer, NodePeer, Unreadable))}
    return "; ".join(clauses) or "the addresses of the pod are not known"


def _clause(part: DomainPeer | NodePeer | Unreadable) -> str:
    why = {DomainPeer: DOMAIN_CLAUSE, NodePeer: NODE_CLAUSE, Unreadable: FIELD_CLAUSE}[type(part)]
    return f"{why} ({part.field})"


def any_order(parts: Sequence[TierVerdict]) -> TierVerdict:
    """Return what parts do of which any may be asked first: what any of them does, or nothing where none does."""
    answers = frozenset[Answer]().union(*(part.answers - NO_RULE for part in parts))
    if all(None in part.answers for part in parts):
        answers |= NO_RULE
    joined = _joined(answers, parts)
    deciding = [part.answers - NO_RULE for part in parts if part.answers != NO_RULE]
    if len(set(deciding)) < 2:  # noqa: PLR2004  only answers that differ depend on the order
        return joined
    return replace(joined, rules=tuple(_with_doubt(item) for item in joined.rules))


def _with_doubt(item: RuleEvidence) -> RuleEvidence:
    """Return the evidence of a rule that matches with the doubt that another policy may be asked first."""
    return replace(item, outcome=Outcome.UNDECIDED, doubt=ORDER_CLAUSE) if item.outcome is Outcome.MATCHES else item


def in_order(parts: Iterable[TierVerdict]) -> TierVerdict:
    """Return what parts do that are asked one after the other, until one surely decides."""
    answers: frozenset[Answer] = frozenset()
    reached: list[TierVerdict] = []
    for part in parts:
        reached.append(part)
        answers |= part.answers - NO_RULE
        if None not in part.answers:
            return _joined(answers, reached)
    return _joined(answers | NO_RULE, reached)


def _joined(answers: frozenset[Answer], parts: Sequence[TierVerdict]) -> TierVerdict:
    return TierVerdict(
        answers=answers,
        policies=tuple(name for part in parts for name in part.policies),
        rules=tuple(item for part in parts for item in part.rules),
    )
