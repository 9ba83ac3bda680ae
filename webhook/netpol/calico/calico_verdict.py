"""
Ask Calico's tiers about one connection, at one end, with the evidence of each rule.

Several answers are possible where a rule may match, where a policy may have no effect, and where the order is not
known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from webhook.netpol.calico.calico_model import (
    ADMIN_TIER,
    ANY_ENTITY,
    BASELINE_TIER,
    DEFAULT_TIER,
    NETWORK_POLICY_ORDER,
    CalicoRule,
    CalicoTier,
    Entity,
    Networks,
    lookup_of,
    lookup_of_set,
)
from webhook.netpol.calico.calico_selectors import Expression, all_of, holds
from webhook.netpol.calico.calico_tiers import CalicoPolicies, Selecting, Stage, Stages
from webhook.netpol.calico.course import PART_CLAUSE
from webhook.netpol.cluster_policies import RuleAction, Tier, TierPolicies, by_tier
from webhook.netpol.evidence import DirectionVerdict, Outcome, Question, Reason, RuleEvidence, by_rules
from webhook.netpol.intervals import WHOLE, IPAddress
from webhook.netpol.intervals import holds as holds_address
from webhook.netpol.matching import Address, Endpoint, PodEndpoint, rule_covers, selecting, unresolved_names
from webhook.netpol.model import NetworkPolicy, PolicyType
from webhook.netpol.snapshot import ClusterSnapshot
from webhook.netpol.tiers import NO_RULE, Answer, TierVerdict, any_order, ask_tier, in_order


def ask_calico(  # noqa: PLR0913, PLR0917  the parts of one question
    calico: CalicoPolicies,
    snapshot: ClusterSnapshot,
    asked: Question,
    end: PodEndpoint,
    other: Endpoint,
    policy_type: PolicyType,
) -> DirectionVerdict | None:
    """Return the answer of a pod where Calico enforces its policies; None where none of them may select it."""
    stages = calico.stages(end.pod, end.namespace_labels, policy_type)
    if stages is None:
        return None
    cluster_wide = by_tier(snapshot.cluster_policies.speaking_of(end.pod, end.namespace_labels, policy_type))
    isolating = selecting(snapshot.state(end.pod.namespace).sorted_policies(), end.pod, policy_type)
    asking = _Ends(snapshot=snapshot, asked=asked, end=end, other=other, policy_type=policy_type, stages=stages)
    found = asking.verdict(cluster_wide.get(Tier.ADMIN, ()), cluster_wide.get(Tier.BASELINE, ()), isolating)
    return (
        found
        if not stages.doubt
        else DirectionVerdict(
            policy_type=policy_type, reason=Reason.TIERS_NOT_DECIDED, policies=found.policies, rules=found.rules
        )
    )


_Step = tuple[CalicoTier, TierVerdict, bool | None]
"""A tier, what its rules may do, and whether a policy of it selects the pod."""

_BY_POLICY = {RuleAction.ACCEPT: Reason.CALICO_ALLOWS, RuleAction.DENY: Reason.CALICO_DENIES}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ends:
    """One connection, at one end."""

    snapshot: ClusterSnapshot
    asked: Question
    end: PodEndpoint
    other: Endpoint
    policy_type: PolicyType
    stages: Stages

    def verdict(
        self, admin: TierPolicies, baseline: TierPolicies, isolating: Sequence[NetworkPolicy]
    ) -> DirectionVerdict:
        """Return what all tiers decide together."""
        steps = [self._step(stage, isolating) for stage in self.stages.tiers]
        for tier, policies in ((ADMIN_TIER, admin), (BASELINE_TIER, baseline)):
            if policies:
                steps.append((tier, ask_tier(policies, self.asked, self.other, self.policy_type), True))
        steps.sort(key=lambda step: step[0].order)
        reasons: set[Reason] = set()
        reached: list[TierVerdict] = []
        is_last = True
        for tier, found, is_applied in steps:
            reached.append(found)
            reasons |= {self._reason(found, action) for action in found.answers if action in _BY_POLICY}
            ends = tier.default_action == "Deny" and is_applied is not False
            if None in found.answers and ends:
                reasons.add(Reason.CALICO_ENDS)
            is_last = RuleAction.PASS in found.answers or (None in found.answers and not (ends and is_applied))
            if not is_last:
                break
        reasons |= {Reason.CALICO_PASSES} if is_last else set()
        return DirectionVerdict(
            policy_type=self.policy_type,
            reason=_only(reasons, isolating, reached),
            policies=tuple(name for found in reached for name in found.policies),
            rules=tuple(item for found in reached for item in found.rules),
        )

    def _reason(self, found: TierVerdict, action: Answer) -> Reason:
        """Return the reason of a rule that decides: one of a NetworkPolicy has no action."""
        admits = any(item.outcome is Outcome.ADMITS for item in found.rules)
        if action is RuleAction.ACCEPT and admits:
            return Reason.ADMITTED
        return _BY_POLICY[RuleAction.ACCEPT if action is RuleAction.ACCEPT else RuleAction.DENY]

    def _step(self, stage: Stage, isolating: Sequence[NetworkPolicy]) -> _Step:
        is_default = stage.tier.name == DEFAULT_TIER
        own = isolating if is_default else ()
        orders = [self._in_order(order, own) for order in stage.orders]
        answers = frozenset[Answer]().union(*(one.answers for one in orders))
        found = TierVerdict(answers=answers, policies=orders[0].policies, rules=orders[0].rules)
        return stage.tier, found, True if own else stage.is_applied

    def _in_order(self, order: Sequence[Selecting], isolating: Sequence[NetworkPolicy]) -> TierVerdict:
        """Return what the policies of a tier do, with NetworkPolicies at their place."""
        early = [self._ask(one) for one in order if one.policy.order < NETWORK_POLICY_ORDER]
        beside = [self._ask(one) for one in order if one.policy.order == NETWORK_POLICY_ORDER]
        late = [self._ask(one) for one in order if one.policy.order > NETWORK_POLICY_ORDER]
        if not isolating:
            return in_order([*early, *beside, *late])
        own = self._by_policies(isolating)
        middle = any_order([in_order(beside), own]) if beside else own
        return in_order([*early, middle, *late])

    def _by_policies(self, isolating: Sequence[NetworkPolicy]) -> TierVerdict:
        in_calico = Question(
            protocol=self.asked.protocol,
            port=self.asked.port,
            named_ports=self.asked.named_ports,
            ipblock_matches_pods="yes",
        )
        found = by_rules(self.policy_type, tuple(isolating), in_calico, self.other)
        answers: frozenset[Answer] = frozenset({RuleAction.ACCEPT}) if found.allowed else NO_RULE
        if not found.decided:
            answers |= {RuleAction.ACCEPT}
        return TierVerdict(answers=answers, policies=found.policies, rules=found.rules)

    def _ask(self, one: Selecting) -> TierVerdict:
        """Return what one policy does: its first rule that matches."""
        answers: set[Answer] = set()
        evidence: list[RuleEvidence] = []
        for rule in one.policy.rules(self.policy_type):
            outcome = self._outcome(rule)
            doubt = ""
            if outcome in {Outcome.MATCHES, Outcome.UNDECIDED}:
                answers.add(rule.action)
                doubt = one.doubt or (_doubt_of(rule) if outcome is Outcome.UNDECIDED else "")
            evidence.append(
                RuleEvidence(
                    policy=one.policy.full_name,
                    index=rule.index,
                    outcome=Outcome.UNDECIDED if doubt else outcome,
                    action=rule.action,
                    doubt=doubt,
                )
            )
            if outcome is Outcome.MATCHES:
                break
        else:
            answers.add(None)
        if one.doubt:
            answers.add(None)
        return TierVerdict(answers=frozenset(answers), policies=(one.policy.full_name,), rules=tuple(evidence))

    def _outcome(self, rule: CalicoRule) -> Outcome:
        peers = [self._matches(rule.own, self.end), self._matches(rule.other, self.other), self._family(rule)]
        if False in peers:
            return Outcome.OTHER_PEER
        covered = rule_covers(rule, self.asked.named_ports, self.asked.protocol, self.asked.port)
        if covered is False:
            unresolved = unresolved_names(rule.ports, self.asked.named_ports)
            return Outcome.UNRESOLVED_PORT if unresolved else Outcome.OTHER_PORT
        return Outcome.UNDECIDED if None in peers or covered is None or rule.doubts else Outcome.MATCHES

    def _family(self, rule: CalicoRule) -> bool | None:
        """Whether a connection has the family of a rule; None for one between pods."""
        if rule.family is None:
            return True
        return self.other.family == rule.family if isinstance(self.other, Address) else None

    def _matches(self, entity: Entity, end: Endpoint) -> bool | None:
        """Whether one end is what a rule describes."""
        if entity == ANY_ENTITY:
            return True
        answers: list[bool | None] = [None] * len(entity.doubts)
        if entity.selector is not None:
            answers.append(self._selected(entity.selector, end))
        if entity.not_selector is not None:
            answers.append(_not(self._selected(entity.not_selector, end)))
        if entity.nets is not None:
            answers.append(_inside(entity.nets, end))
        if entity.not_nets is not None:
            answers.append(_not(_inside(entity.not_nets, end)))
        return all_of(iter(answers))

    def _selected(self, selector: Expression, end: Endpoint) -> bool | None:
        """Whether a selector matches a pod by its labels, or an address by a network set that holds it."""
        answers: list[bool | None] = []
        if isinstance(end, PodEndpoint) and not end.pod.host_network:
            answers.append(holds(selector, lookup_of(end.pod, end.namespace_labels)))
        for known in self.stages.sets:
            labels = (self.snapshot.labels_of(known.namespace) if known.namespace else None) or {}
            is_matched = holds(selector, lookup_of_set(known, labels))
            if is_matched is not False:
                answers.append(all_of(iter((is_matched, _inside(known.nets, end)))))
        return _not(all_of(_not(answer) for answer in answers))


def _only(reasons: set[Reason], isolating: Sequence[NetworkPolicy], reached: Sequence[TierVerdict]) -> Reason:
    """Return the reason of a verdict, where all that are possible allow, or all deny."""
    denying = reasons & {Reason.CALICO_DENIES, Reason.CALICO_ENDS}
    if denying and denying != reasons:
        return Reason.TIERS_NOT_DECIDED
    if reasons == {Reason.CALICO_ENDS} and isolating and not any(item.action for one in reached for item in one.rules):
        return Reason.NOT_ADMITTED
    for reason in (Reason.ADMITTED, Reason.CALICO_ALLOWS, Reason.CALICO_DENIES):
        if reason in reasons and len(reasons) == 1:
            return reason
    return Reason.CALICO_ENDS if denying else Reason.CALICO_PASSES


def _not(answer: bool | None) -> bool | None:  # noqa: FBT001  a predicate on answers
    return None if answer is None else not answer


def _doubt_of(rule: CalicoRule) -> str:
    return next(iter((*rule.doubts, *rule.own.doubts, *rule.other.doubts)), PART_CLAUSE)


def _inside(nets: Networks, end: Endpoint) -> bool | None:
    """Whether one end has an address of some networks; None for a pod whose addresses are not known."""
    addresses: Iterable[IPAddress]
    if isinstance(end, Address):
        addresses = ((end.family, end.number),)
    else:
        addresses = end.pod.addresses or (end.pod.host_addresses if end.pod.host_network else ())
    if addresses:
        return any(holds_address(nets.get(family, ()), number) for family, number in addresses)
    if not any(nets.values()):
        return False
    return True if all(nets.get(family) == whole for family, whole in WHOLE.items()) else None
