"""The manifests, as a real API server reads them."""

import pytest
from harness.guard import CRDS, MANIFESTS, NAMESPACE, Guard
from harness.machine import Machine

SERVICE_ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAMESPACE}"


def test_overlay_is_accepted_strictly(machine: Machine, guard: Guard) -> None:
    """Every object of the base and of static-registration passes strict validation without one warning."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(guard.overlay))

    assert (answer.status, answer.stderr) == (0, "")


@pytest.mark.usefixtures("guard")
def test_base_is_accepted_strictly_on_its_own(machine: Machine) -> None:
    """The base needs no component to be applied."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(MANIFESTS / "base"))

    assert (answer.status, answer.stderr) == (0, "")


@pytest.mark.usefixtures("guard")
def test_kinds_of_the_tests_are_accepted_strictly(machine: Machine) -> None:
    """The cut-down kinds of these tests are structural schemas."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(CRDS))

    assert (answer.status, answer.stderr) == (0, "")


def test_pods_run_under_the_restricted_standard(machine: Machine, guard: Guard) -> None:
    """The namespace enforces the restricted Pod Security standard, and the replicas run all the same."""
    enforced = machine.must("get", "namespace", NAMESPACE, "--output=json").json["metadata"]["labels"]

    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(guard.replicas()) == 2


def test_rights_are_enough(guard: Guard) -> None:
    """Nothing that the service asks of the API server is forbidden to it."""
    forbidden = [line for line in guard.raw_lines() if "forbidden" in line.lower()]

    assert forbidden == []


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
