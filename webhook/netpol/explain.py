"""Put a verdict about one connection into sentences for people."""

from webhook.netpol.evaluate import DirectionVerdict, Outcome, Reason, Verdict
from webhook.netpol.model import PolicyType


def explain(verdict: Verdict) -> tuple[str, ...]:
    """Give the answer, then what each end says, one line each."""
    connection = verdict.connection
    asked = f"{connection.source} -> {connection.destination} {connection.protocol}/{connection.port}"
    answer = "NOT DECIDED" if not verdict.decided else "ALLOWED" if verdict.allowed else "NOT ALLOWED"
    return (f"{asked}: {answer}", *_direction(verdict.ingress), *_direction(verdict.egress))


def _direction(verdict: DirectionVerdict) -> tuple[str, ...]:
    end = "ingress at the destination" if verdict.policy_type is PolicyType.INGRESS else "egress at the source"
    answer = "allowed" if verdict.allowed else "not allowed" if verdict.decided else "not decided"
    lines = [f"{end}: {answer}: {verdict.reason.value}"]
    if verdict.reason is Reason.ADMITTED:
        lines.extend(
            f"  {item.policy} rule #{item.index} {item.outcome.value}"
            for item in verdict.rules
            if item.outcome is Outcome.ADMITS
        )
        return tuple(lines)
    for policy in verdict.policies:
        rules = [item for item in verdict.rules if item.policy == policy]
        if not rules:
            lines.append(f"  {policy} selects the pod and has no rules for this direction")
        lines.extend(f"  {policy} rule #{item.index} {item.outcome.value}" for item in rules)
    return tuple(lines)
