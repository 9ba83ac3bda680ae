"""Changes of instances that are allowed without judgement: by the operator, or of anything but the spec."""

from collections.abc import Callable, Iterator

import pytest
from harness.instances import Instances
from harness.machine import Machine
from harness.objects import LICENSE, Json, event_gateway, listed, management, namespace, operator, service_account
from harness.place import Place

OPERATOR = "ibm-eem-operator"
UNACCEPTED: Json = {"spec": {"license": {"accept": False}}}


@pytest.fixture(scope="module")
def installed(here: Instances, machine: Machine) -> Iterator[None]:
    """Install the operator and an account of the same name elsewhere, and let both edit instances."""
    accounts = [(here.name, OPERATOR), ("pretender", OPERATOR)]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit-instances"}
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "edit-instances"},
        "rules": [{"apiGroups": ["events.ibm.com"], "resources": ["*"], "verbs": ["*"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "edit-instances"},
        "roleRef": role,
        "subjects": [{"kind": "ServiceAccount", "namespace": there, "name": name} for there, name in accounts],
    }
    named = [service_account(there, name) for there, name in accounts]
    idle = operator(here.name)
    idle["spec"]["replicas"] = 0
    machine.must("apply", "-f", "-", stdin=listed(rights, binding, *namespace("pretender"), *named, idle))
    here.guard.until_seen(["deployments"])
    yield
    machine.must("delete", "deployment", OPERATOR, f"--namespace={here.name}")
    here.guard.until_seen(["deployments"])


@pytest.mark.usefixtures("installed")
def test_a_change_by_the_operator_is_exempt(here: Instances) -> None:
    """The account of a namespace that the definitions name may make a change that is denied to other users."""
    instance = management(here.name, "operated")
    here.passed(here.apply(instance), "CREATE", instance)
    user = f"system:serviceaccount:{here.name}:{OPERATOR}"

    here.refused(here.patch(instance, UNACCEPTED), "UPDATE", instance)
    told = here.passed(here.patch(instance, UNACCEPTED, f"--as={user}"), "UPDATE", instance, "exempt", user)

    assert told == []
    assert here.spec(instance)["license"]["accept"] is False


@pytest.mark.usefixtures("installed")
def test_an_account_of_the_same_name_in_another_namespace_is_judged(here: Instances) -> None:
    """The name of the service account alone does not exempt a user."""
    instance = management(here.name, "pretended")
    here.passed(here.apply(instance), "CREATE", instance)
    user = f"system:serviceaccount:pretender:{OPERATOR}"

    told = here.refused(here.patch(instance, UNACCEPTED, f"--as={user}"), "UPDATE", instance, user)

    assert set(told) == {"spec.license.accept"}


def test_changes_of_status_and_metadata_are_not_sent_to_the_service(take_place: Callable[[], Place]) -> None:
    """Status, labels and finalizers of an invalid instance can be changed, and so can an instance being deleted."""
    place = take_place()
    place.set_up()
    alone = Instances(place)
    instance = event_gateway(alone.name, "kept", license=LICENSE | {"accept": False})
    alone.store_anyway(instance)

    answers = [
        alone.patch(instance, {"status": {"phase": "Failed"}}, "--subresource=status"),
        alone.patch(instance, {"metadata": {"labels": {"team": "kafka"}}}),
        alone.patch(instance, {"metadata": {"finalizers": ["example.com/hold"]}}),
        alone.kubectl("delete", "eventgateway", "kept", "--wait=false"),
        alone.patch(instance, {"spec": {"license": {"use": "nothing"}}}),
        alone.patch(instance, {"metadata": {"finalizers": []}}),
    ]

    assert [(answer.status, answer.stderr) for answer in answers] == [(0, "")] * len(answers)
    assert alone.unasked() == []
    assert alone.stored(instance) is None


def test_other_kinds_of_the_api_group_are_not_sent_to_the_service(here: Instances, machine: Machine) -> None:
    """EventProcessing, a kind of the same API group, is not judged."""
    kind = {"kind": "EventProcessing", "plural": "eventprocessings", "singular": "eventprocessing"}
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "eventprocessings.events.ibm.com"},
        "spec": {"group": "events.ibm.com", "scope": "Namespaced", "names": kind, "versions": [version]},
    }
    machine.must("apply", "-f", "-", stdin=listed(definition))
    machine.must("wait", "--for=condition=Established", "crd/eventprocessings.events.ibm.com", "--timeout=30s")
    processing = {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": "EventProcessing",
        "metadata": {"namespace": here.name, "name": "flows"},
        "spec": {"license": {"accept": False}},
    }

    here.guard.verdicts.forget(here.name)
    answer = here.apply(processing)
    asked = here.unasked()
    machine.must("delete", "crd", "eventprocessings.events.ibm.com")

    assert (answer.status, answer.stdout) == (0, "eventprocessing.events.ibm.com/flows created\n")
    assert asked == []


@pytest.mark.parametrize("there", ["kube-system", "eem-guardrail"])
def test_instances_in_excluded_namespaces_are_not_judged(here: Instances, machine: Machine, there: str) -> None:
    """The API server does not call the webhooks for kube-system and the namespace of the service."""
    unaccepted = event_gateway(there, "astray", license=LICENSE | {"accept": False})

    answer = machine.kubectl("create", "--dry-run=server", "--output=json", "-f", "-", stdin=listed(unaccepted))
    here.unasked()

    assert answer.status == 0
    assert "deployNetworkPolicies" not in answer.json["spec"]
    assert here.guard.verdicts.unheard(there) == []
