"""The manifests, as a real API server reads them."""

import pytest
import yaml
from harness.guard import CRDS, MANIFESTS, NAMESPACE, Guard
from harness.machine import Machine

from webhook.eem import WATCHED


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


def test_role_grants_what_is_watched_and_nothing_else() -> None:
    """The ClusterRole names exactly the resources that the service watches, for reading."""
    role, _ = yaml.safe_load_all((MANIFESTS / "base" / "role.yaml").read_text())

    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }

    assert granted == {(one.group, one.plural): {"get", "list", "watch"} for one in WATCHED}
