"""What the service may do, after all that the cases before had it do."""

import pytest
from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.witness import asked_by_the_service

SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAMESPACE}"


def test_rights_are_enough(guard: Guard) -> None:
    """Nothing that the service asks of the API server is forbidden to it, as far as it says itself."""
    forbidden = [line for line in guard.decisions.raw_lines() if "forbidden" in line.lower()]

    assert forbidden == []


@pytest.mark.clusters("plane")  # whose API server writes down what is asked
@pytest.mark.usefixtures("guard")
def test_nothing_was_forbidden(machine: Machine) -> None:
    """The same, as the API server has it. Others have tried what it may not with its token, but not by its name."""
    asked = [one for one in asked_by_the_service(machine) if one.agent.startswith("eem-guardrail")]

    assert {one.verb for one in asked} >= {"list", "watch"}
    assert [one for one in asked if one.forbidden] == []


@pytest.mark.usefixtures("guard")
def test_rights_are_no_more_than_reading(machine: Machine) -> None:
    """The service account may read what it judges by, and neither write nor see a Secret."""
    answers = {
        (verb, resource): machine.kubectl(
            "auth", "can-i", verb, resource, "--all-namespaces", f"--as={SERVICE_ACCOUNT}"
        ).stdout
        for verb, resource in (
            ("list", "networkpolicies"),
            ("watch", "eventgateways.events.ibm.com"),
            ("update", "networkpolicies"),
            ("delete", "pods"),
            ("get", "secrets"),
        )
    }

    assert answers == {
        ("list", "networkpolicies"): "yes\n",
        ("watch", "eventgateways.events.ibm.com"): "yes\n",
        ("update", "networkpolicies"): "no\n",
        ("delete", "pods"): "no\n",
        ("get", "secrets"): "no\n",
    }
