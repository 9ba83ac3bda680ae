"""The rights of the service, after all that the tests before made it do."""

import pytest
from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.witness import asked_by_the_service

SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAMESPACE}"


def test_the_service_logs_no_forbidden_request(guard: Guard) -> None:
    """The log lines of the service report no forbidden request."""
    forbidden = [line for line in guard.decisions.raw_lines() if "forbidden" in line.lower()]

    assert forbidden == []


@pytest.mark.clusters("plane")  # its API server writes an audit log
@pytest.mark.usefixtures("guard")
def test_the_audit_log_has_no_forbidden_request_of_the_service(machine: Machine) -> None:
    """Requests that tests sent with the token of the service have a different user agent."""
    asked = [one for one in asked_by_the_service(machine) if one.agent.startswith("eem-guardrail")]

    assert {one.verb for one in asked} >= {"list", "watch"}
    assert [one for one in asked if one.forbidden] == []


@pytest.mark.usefixtures("guard")
def test_the_account_can_only_read(machine: Machine) -> None:
    """The service account can read what the service judges by. It can neither write nor read Secrets."""
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
