"""Who passes unjudged, and who does not though it looks alike."""

import pytest
from harness.guard import Guard
from harness.machine import Machine
from harness.objects import allow, gateway, listed, namespace, operator, owner, service_account
from harness.place import Place
from harness.waiting import wait_until

OPERATOR_NAMESPACE = "eem-operator"
COLLECTED_SECONDS = 60  # the garbage collector looks for new kinds each 30 s
ENDED_SECONDS = 45  # 6 s were seen; kubectl itself is given a minute

ALIKE = "look-alike"
NAME = "ibm-eem-operator"


@pytest.fixture(scope="module")
def operators(machine: Machine, guard: Guard) -> None:
    """Install the operator, a namesake of its account elsewhere, and let both edit policies."""
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
    """Return the user of the account in one namespace, and the flags that impersonate it."""
    user = f"system:serviceaccount:{account}:{NAME}"
    return user, [f"--as={user}"]


@pytest.mark.clusters("plane", "node")  # it reads the API server's audit log
@pytest.mark.usefixtures("operators")
def test_operator_passes(place: Place) -> None:
    """The account that the operator's Deployment names may do what others may not."""
    place.set_up_gateway()
    user, flags = acting_as(OPERATOR_NAMESPACE)

    decision = place.passed(place.delete("allow-kafka", *flags), "DELETE", "allow-kafka", "exempt")

    assert decision.user == user
    assert place.audited("allow-kafka", "delete") == {"networkpolicies.eem-guardrail.io/exempt": "operator"}


@pytest.mark.usefixtures("operators")
def test_look_alike_is_judged(place: Place) -> None:
    """An account of the same name in another namespace is judged like any other user."""
    place.set_up_gateway()
    user, flags = acting_as(ALIKE)

    text = place.denied(place.delete("allow-kafka", *flags), "DELETE", "allow-kafka", user=user)

    assert "TCP/8092" in text
    assert "allow-kafka" in place.policies()


def test_namespace_deletion_ends(place: Place) -> None:
    """A namespace with instances under a default-deny is deleted without the service being asked."""
    place.set_up_gateway()

    answer = place.machine.kubectl("delete", "namespace", place.name, f"--timeout={ENDED_SECONDS}s")

    assert answer.stdout == f'namespace "{place.name}" deleted\n'
    assert place.guard.decisions.unheard(place.name) == []


def test_namespace_deletion_ends_where_the_service_is_asked(bare_place: Place) -> None:
    """Without matchConditions the namespace controller's nameless deletions reach the service, and pass."""
    bare_place.set_up_gateway()

    answer = bare_place.machine.kubectl("delete", "namespace", bare_place.name, f"--timeout={ENDED_SECONDS}s")
    user = "system:serviceaccount:kube-system:namespace-controller"
    asked = [bare_place.guard.decisions.heard(bare_place.name, "DELETE", None, "exempt", user) for _ in range(2)]

    assert answer.stdout == f'namespace "{bare_place.name}" deleted\n'
    assert len({decision.uid for decision in asked}) == 2
    assert bare_place.guard.decisions.unheard(bare_place.name) == []


def owned_allow(place: Place) -> None:
    """Set up two gateways under a default-deny, whose allow for the second belongs to the first."""
    others = [*gateway(place.name, "other"), allow(place.name, "allow-other", "other", [8092])]
    place.set_up_gateway(*others)
    uid = place.kubectl("get", "eventgateway", "gw", "--output=jsonpath={.metadata.uid}").stdout
    owners = [owner("EventGateway", "gw", uid)]
    answer = place.patch("allow-other", {"metadata": {"ownerReferences": owners}}, "merge")
    place.passed(answer, "UPDATE", "allow-other", "exempt")


def collect(place: Place) -> None:
    """Delete the owner and wait until the garbage collector has deleted what it owned."""
    place.machine.must("delete", "eventgateway", "gw", f"--namespace={place.name}")
    wait_until(lambda: "allow-other" not in place.policies(), "the garbage collection", seconds=COLLECTED_SECONDS)


def test_garbage_collection_ends(place: Place) -> None:
    """What an instance owned is collected though another instance needs it: the service is not asked."""
    owned_allow(place)

    collect(place)

    assert place.unasked() == []


def test_garbage_collection_ends_where_the_service_is_asked(bare_place: Place) -> None:
    """Without matchConditions the garbage collector's deletion reaches the service, and passes."""
    owned_allow(bare_place)

    collect(bare_place)
    user = "system:serviceaccount:kube-system:generic-garbage-collector"
    decision = bare_place.guard.decisions.heard(bare_place.name, "DELETE", "allow-other", "exempt", user)

    assert decision.user == user


def test_owner_that_is_nobody(place: Place) -> None:
    """An owner that does not exist may not be added to a needed allow: the garbage collector would delete it."""
    place.set_up_gateway()
    nobody = [owner("ConfigMap", "gone", "00000000-0000-4000-8000-000000000000", version="v1")]

    answer = place.patch("allow-kafka", {"metadata": {"ownerReferences": nobody}}, "merge")
    text = place.denied(answer, "UPDATE", "allow-kafka")
    kept = place.policy("allow-kafka")

    assert "TCP/8092" in text
    assert kept is not None
    assert "ownerReferences" not in kept["metadata"]


@pytest.mark.clusters("plane", "node")  # it reads the API server's audit log
def test_unchanged_spec_passes_where_the_service_is_asked(bare_place: Place) -> None:
    """Without matchConditions an UPDATE of labels alone reaches the service, and passes with its reason."""
    bare_place.set_up_gateway()

    answer = bare_place.patch("allow-kafka", {"metadata": {"labels": {"team": "kafka"}}}, "merge")
    bare_place.passed(answer, "UPDATE", "allow-kafka", "exempt")

    assert bare_place.audited("allow-kafka", "patch") == {"networkpolicies.eem-guardrail.io/exempt": "spec-unchanged"}
