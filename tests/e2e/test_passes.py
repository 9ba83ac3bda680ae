"""Changes of policies that are allowed without judgement, and similar ones that are judged."""

import pytest
from harness.guard import OPERATOR_NAMESPACE, Guard
from harness.machine import Machine
from harness.objects import allow, gateway, listed, namespace, operator, owner, service_account
from harness.place import Place
from harness.waiting import wait_until

COLLECTED_SECONDS = 60  # the garbage collector detects new kinds every 30 s
ENDED_SECONDS = 45  # measured: 6 s; kubectl itself may take a minute

ALIKE = "look-alike"
NAME = "ibm-eem-operator"


@pytest.fixture(scope="module")
def operators(machine: Machine, guard: Guard) -> None:
    """Install the operator and an account of the same name elsewhere, and let both edit policies."""
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "edit-policies"},
        "rules": [{"apiGroups": ["networking.k8s.io"], "resources": ["networkpolicies"], "verbs": ["*"]}],
    }
    accounts = [(OPERATOR_NAMESPACE, NAME), (ALIKE, NAME)]
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "edit-policies"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit-policies"},
        "subjects": [{"kind": "ServiceAccount", "namespace": there, "name": name} for there, name in accounts],
    }
    namespaces = [*namespace(OPERATOR_NAMESPACE), *namespace(ALIKE)]
    named = [service_account(there, name) for there, name in accounts]
    machine.must("apply", "-f", "-", stdin=listed(rights, binding, *namespaces, *named, operator(OPERATOR_NAMESPACE)))
    machine.must("rollout", "status", "deployment", NAME, f"--namespace={OPERATOR_NAMESPACE}", "--timeout=30s")
    guard.until_seen()


def acting_as(account: str) -> tuple[str, list[str]]:
    """Return the user name of the account in a namespace, and the flags to impersonate it."""
    user = f"system:serviceaccount:{account}:{NAME}"
    return user, [f"--as={user}"]


@pytest.mark.clusters("plane", "node")  # it reads the audit log of the API server
@pytest.mark.usefixtures("operators")
def test_the_operator_may_delete_a_required_policy(place: Place) -> None:
    """The account of a namespace that the definitions of EEM's kinds name is exempt; the audit log has the reason."""
    place.set_up_gateway()
    user, flags = acting_as(OPERATOR_NAMESPACE)

    decision = place.passed(place.delete("allow-kafka", *flags), "DELETE", "allow-kafka", "exempt")

    assert decision.user == user
    assert place.audited("allow-kafka", "delete") == {"networkpolicies.eem-guardrail.io/exempt": "operator"}


@pytest.mark.usefixtures("operators")
def test_an_account_with_the_name_of_the_operator_is_judged(place: Place) -> None:
    """An account of the same name in another namespace is not exempt."""
    place.set_up_gateway()
    user, flags = acting_as(ALIKE)

    text = place.denied(place.delete("allow-kafka", *flags), "DELETE", "allow-kafka", user=user)

    assert "TCP/8092" in text
    assert "allow-kafka" in place.policies()


def test_a_namespace_with_instances_can_be_deleted(place: Place) -> None:
    """The namespace is deleted under a default deny, and the API server does not call the service."""
    place.set_up_gateway()

    answer = place.machine.kubectl("delete", "namespace", place.name, f"--timeout={ENDED_SECONDS}s")

    assert answer.stdout == f'namespace "{place.name}" deleted\n'
    assert place.guard.decisions.unheard(place.name) == []


def test_a_namespace_can_be_deleted_without_match_conditions(bare_place: Place) -> None:
    """The requests of the namespace controller have no object name. They reach the service and are exempt."""
    bare_place.set_up_gateway()

    answer = bare_place.machine.kubectl("delete", "namespace", bare_place.name, f"--timeout={ENDED_SECONDS}s")
    user = "system:serviceaccount:kube-system:namespace-controller"
    asked = [bare_place.guard.decisions.heard(bare_place.name, "DELETE", None, "exempt", user) for _ in range(2)]

    assert answer.stdout == f'namespace "{bare_place.name}" deleted\n'
    assert len({decision.uid for decision in asked}) == 2
    assert bare_place.guard.decisions.unheard(bare_place.name) == []


def owned_allow(place: Place) -> None:
    """Set up two gateways under a default deny. The allow of the second one belongs to the first one."""
    others = [*gateway(place.name, "other"), allow(place.name, "allow-other", "other", [8092])]
    place.set_up_gateway(*others)
    uid = place.kubectl("get", "eventgateway", "gw", "--output=jsonpath={.metadata.uid}").stdout
    owners = [owner("EventGateway", "gw", uid)]
    answer = place.patch("allow-other", {"metadata": {"ownerReferences": owners}}, "merge")
    place.passed(answer, "UPDATE", "allow-other", "exempt")


def collect(place: Place) -> None:
    """Delete the owner, and wait until the garbage collector has deleted its policy."""
    place.machine.must("delete", "eventgateway", "gw", f"--namespace={place.name}")
    wait_until(lambda: "allow-other" not in place.policies(), "the garbage collection", seconds=COLLECTED_SECONDS)


def test_the_garbage_collector_may_delete_a_required_policy(place: Place) -> None:
    """The API server does not call the service for requests of the garbage collector."""
    owned_allow(place)

    collect(place)

    assert place.unasked() == []


def test_the_garbage_collector_is_exempt_without_match_conditions(bare_place: Place) -> None:
    """The request of the garbage collector reaches the service and is exempt."""
    owned_allow(bare_place)

    collect(bare_place)
    user = "system:serviceaccount:kube-system:generic-garbage-collector"
    decision = bare_place.guard.decisions.heard(bare_place.name, "DELETE", "allow-other", "exempt", user)

    assert decision.user == user


def test_adding_an_owner_that_does_not_exist_is_denied(place: Place) -> None:
    """The garbage collector would delete the required policy."""
    place.set_up_gateway()
    missing = [owner("ConfigMap", "gone", "00000000-0000-4000-8000-000000000000", version="v1")]

    answer = place.patch("allow-kafka", {"metadata": {"ownerReferences": missing}}, "merge")
    text = place.denied(answer, "UPDATE", "allow-kafka")
    kept = place.policy("allow-kafka")

    assert "TCP/8092" in text
    assert kept is not None
    assert "ownerReferences" not in kept["metadata"]


@pytest.mark.clusters("plane", "node")  # it reads the audit log of the API server
def test_a_change_of_labels_is_exempt_without_match_conditions(bare_place: Place) -> None:
    """The request reaches the service and is exempt. The audit log names the reason."""
    bare_place.set_up_gateway()

    answer = bare_place.patch("allow-kafka", {"metadata": {"labels": {"team": "kafka"}}}, "merge")
    bare_place.passed(answer, "UPDATE", "allow-kafka", "exempt")

    assert bare_place.audited("allow-kafka", "patch") == {"networkpolicies.eem-guardrail.io/exempt": "spec-unchanged"}
