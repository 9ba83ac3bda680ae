"""Egress through kubectl on a real API server: refused, warned of, together with ingress, and at a new instance."""

from harness.objects import Json, event_gateway, gateway, policy
from harness.place import Place

BOTH = ["Ingress", "Egress"]
DNS_ONLY: list[Json] = [
    {"ports": [{"protocol": protocol, "port": port} for protocol in ("UDP", "TCP") for port in (53, 5353)]}
]


def enforced(name: str) -> Json:
    """Return the namespace with the annotation that enforces egress."""
    annotations = {"eem-guardrail.io/egress": "enforce"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "annotations": annotations}}


def limits(namespace: str, name: str, egress: list[Json], types: list[str] | None = None) -> Json:
    """Return a policy that restricts the egress of every pod of a namespace to some rules."""
    written = policy(namespace, name)
    written["spec"] = {"podSelector": {}, "policyTypes": types or ["Egress"], "egress": egress}
    return written


def test_a_deny_of_both_directions_is_denied_in_one_message(place: Place) -> None:
    """Ingress comes first, then what the gateway could not reach, and one remedy for it."""
    place.set_up(enforced(place.name), *gateway(place.name))

    text = place.denied(place.apply(limits(place.name, "deny-all", [], BOTH)), "CREATE", "deny-all")

    assert f"creating NetworkPolicy {place.name}/deny-all would cut off required ingress and egress: " in text
    assert 0 < text.index("TCP/8092") < text.index("could not reach the manager") < text.index("(E4)")
    assert place.policies() == set()


def test_dns_alone_is_denied_where_egress_is_enforced(place: Place) -> None:
    """A gateway that reaches only DNS has no manager and no Kafka; a rule for everything is allowed."""
    place.set_up(enforced(place.name), *gateway(place.name))

    text = place.denied(place.apply(limits(place.name, "dns-only", DNS_ONLY)), "CREATE", "dns-only")
    place.passed(place.apply(limits(place.name, "everything", [{}])), "CREATE", "everything")
    place.passed(place.apply(limits(place.name, "dns-only", DNS_ONLY)), "CREATE", "dns-only")

    assert "would cut off required egress: " in text
    assert "(E3)" in text
    assert "First apply a NetworkPolicy that allows this egress" in text
    assert place.policies() == {"everything", "dns-only"}


def test_lost_egress_is_a_warning_by_default(place: Place) -> None:
    """Without the annotation kubectl prints a warning for each need, and the policy is created."""
    place.set_up(*gateway(place.name))

    answer = place.apply(limits(place.name, "dns-only", DNS_ONLY))
    place.passed(answer, "CREATE", "dns-only", "warned")

    assert "Warning:" in answer.stderr
    assert "egress E3, gw gateway to the manager" in answer.stderr
    assert "egress E4, gw gateway to Kafka" in answer.stderr
    assert place.policies() == {"dns-only"}


def test_a_new_instance_under_a_deny_of_egress_gets_warnings(place: Place) -> None:
    """It is created: the user has to open its egress."""
    place.set_up(limits(place.name, "no-egress", []))

    answer = place.apply(event_gateway(place.name))

    assert answer.status == 0
    assert "egress E3 to the manager" in answer.stderr
    assert "is cut off: isolated by no-egress" in answer.stderr
