"""Which instances and operators there are, which of them are exempt, and what the others need."""

from typing import Any

import pytest
from builders import (
    ANOTHER_TIME,
    GATEWAY_KIND,
    MANAGER_KIND,
    Node,
    container,
    eem_labels,
    instance,
    operator_deployment,
    workload,
)

from webhook.eem import EemSnapshot, read
from webhook.eem.instances import Component, Instance, InstanceRef
from webhook.netpol import SpecError


def only_instance(api_object: Node) -> Instance:
    snapshot = EemSnapshot.empty().with_object(api_object)
    (found,) = (known for view in snapshot.eem.values() for known in view.inventory.instances.values())
    return found


def needed(*objects: Node, sources: Any = "anywhere") -> list[tuple[str, str, int, str]]:
    """Return (component, protocol, port, sources) of every requirement."""
    snapshot = EemSnapshot.from_objects(objects)
    return [
        (known.component.value, known.protocol.value, known.port, known.sources)
        for view in snapshot.eem.values()
        for known in view.requirements(sources)
    ]


MANAGER_NEEDS = [("manager", "TCP", 3000, "anywhere"), ("manager", "TCP", 8081, "anywhere")]
GATEWAY_NEEDS = [("gateway", "TCP", 8092, "anywhere")]
OPERATOR_NEEDS = [("operator", "TCP", 8443, "some")]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([instance()], MANAGER_NEEDS, id="a manager needs the UI and its readiness from anywhere"),
        pytest.param([instance(kind=GATEWAY_KIND)], GATEWAY_NEEDS, id="a gateway needs 8092 from anywhere"),
        pytest.param([operator_deployment()], OPERATOR_NEEDS, id="the operator needs 8443 from some source"),
        pytest.param(
            [instance(kind=GATEWAY_KIND, listeners=[{"name": "a", "port": 9443}, {"name": "b", "port": 1}])],
            [("gateway", "TCP", 9443, "anywhere")],
            id="a gateway with listeners needs the port of the first",
        ),
        pytest.param(
            [instance(kind=MANAGER_KIND, listeners=[{"name": "a", "port": 9443}])],
            MANAGER_NEEDS,
            id="listeners mean nothing on a manager",
        ),
        pytest.param(
            [instance("x"), instance("x", kind=GATEWAY_KIND), operator_deployment()],
            MANAGER_NEEDS + GATEWAY_NEEDS + OPERATOR_NEEDS,
            id="a manager and a gateway of one name are two instances",
        ),
    ],
)
def test_each_component_needs_what_the_documentation_says(
    objects: list[Node], expected: list[tuple[str, str, int, str]]
) -> None:
    """Manager 3000 and 8081, gateway its listener's port or 8092, operator 8443; all TCP."""
    assert needed(*objects) == expected


@pytest.mark.parametrize(
    "listeners",
    [
        pytest.param([], id="no listener"),
        pytest.param([{"name": "a"}], id="a listener without port"),
        pytest.param([{"port": None}], id="null"),
        pytest.param([{"port": "9443"}], id="text"),
        pytest.param([{"port": True}], id="a boolean, which Python takes for 1"),
        pytest.param([{"port": 0}], id="below the range"),
        pytest.param([{"port": 65536}], id="above the range"),
        pytest.param([{"port": 9443.0}], id="a float"),
        pytest.param(["9443"], id="a listener that is no object"),
        pytest.param([None], id="a null listener"),
        pytest.param({"port": 9443}, id="an object in the place of the list"),
    ],
)
def test_a_listener_port_that_is_none_leaves_the_default(listeners: Any) -> None:
    """What the resource rules refuse must not break what is stored already."""
    gateway = instance(kind=GATEWAY_KIND, spec={"listeners": listeners})

    assert needed(gateway) == GATEWAY_NEEDS


@pytest.mark.parametrize("port", [1, 65535])
def test_both_ends_of_the_port_range_are_ports(port: int) -> None:
    """1 and 65535 are ports."""
    assert needed(instance(kind=GATEWAY_KIND, listeners=[{"port": port}])) == [("gateway", "TCP", port, "anywhere")]


def test_the_sources_demanded_are_those_asked_for_but_the_operator_always_needs_only_some() -> None:
    """Narrowing who may reach the operator is what IBM's documentation advises."""
    objects = [instance(), operator_deployment()]

    assert [demand for *_, demand in needed(*objects, sources="some")] == ["some", "some", "some"]
    assert [demand for *_, demand in needed(*objects, sources="anywhere")] == ["anywhere", "anywhere", "some"]


@pytest.mark.parametrize(
    ("fields", "exempt"),
    [
        pytest.param({}, False, id="absent: it carries its requirements"),
        pytest.param({"deploy_network_policies": True}, False, id="true: it carries them"),
        pytest.param({"deploy_network_policies": False}, True, id="false: its owner has taken the network over"),
        pytest.param({"spec": {"deployNetworkPolicies": None}}, False, id="null is absent"),
        pytest.param({"spec": {"deployNetworkPolicies": "false"}}, False, id="a text is no boolean"),
        pytest.param({"spec": {"deployNetworkPolicies": 0}}, False, id="a number is no boolean"),
        pytest.param({"terminating": True}, True, id="terminating: it needs nothing any more"),
    ],
)
@pytest.mark.parametrize("kind", [MANAGER_KIND, GATEWAY_KIND])
def test_only_a_switched_off_or_terminating_instance_is_exempt(kind: str, fields: Node, exempt: bool) -> None:  # noqa: FBT001
    """Exempt means without requirements, and nothing else makes an instance exempt."""
    api_object = instance(kind=kind, **fields)
    found = only_instance(api_object)
    view = EemSnapshot.empty().with_object(api_object).eem["eem"]

    assert (bool(found.exemption), view.requirements("anywhere") == ()) == (exempt, exempt)


def test_each_instance_has_its_own_switch() -> None:
    """Switching the manager's policies off leaves the gateway's requirements on."""
    assert needed(instance(deploy_network_policies=False), instance(kind=GATEWAY_KIND)) == GATEWAY_NEEDS


@pytest.mark.parametrize("switch", [True, False])
def test_the_switch_of_an_instance_is_not_the_operators(switch: bool) -> None:  # noqa: FBT001
    """`spec.deployNetworkPolicies` says nothing about the operator."""
    objects = [instance(deploy_network_policies=switch), operator_deployment()]

    assert needed(*objects)[-1:] == OPERATOR_NEEDS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("false", [], id="false"),
        pytest.param("False", [], id="a capital"),
        pytest.param(" false ", [], id="spaces"),
        pytest.param("true", OPERATOR_NEEDS, id="true"),
        pytest.param("", OPERATOR_NEEDS, id="empty"),
        pytest.param("no", OPERATOR_NEEDS, id="a word that is not false"),
    ],
)
def test_the_operators_own_switch_exempts_it(value: str, expected: list[Any]) -> None:
    """`DEPLOY_OPERATOR_NETWORK_POLICY=false` on its Deployment, and nothing else."""
    assert needed(operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": value})) == expected


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        pytest.param("nowebhook", [], id="the profile of the chart"),
        pytest.param("prod, nowebhook", [], id="among other profiles"),
        pytest.param("prod", OPERATOR_NEEDS, id="another profile"),
        pytest.param("nowebhooks", OPERATOR_NEEDS, id="a longer word"),
        pytest.param("", OPERATOR_NEEDS, id="empty"),
    ],
)
def test_an_operator_installed_without_its_webhook_needs_no_ingress(profiles: str, expected: list[Any]) -> None:
    """The chart sets `QUARKUS_PROFILE=nowebhook` for `webhook.create=false`; nothing listens on 8443 then."""
    assert needed(operator_deployment(env={"QUARKUS_PROFILE": profiles})) == expected


def test_a_switch_that_comes_from_elsewhere_counts_as_not_set() -> None:
    """A `valueFrom` cannot be read here, so the requirement stays."""
    variable = {"name": "DEPLOY_OPERATOR_NETWORK_POLICY", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}
    operator = workload(
        "ibm-eem-operator", labels=eem_labels("ibm-eem-operator"), containers=[container() | {"env": [variable]}]
    )

    assert needed(operator) == OPERATOR_NEEDS


OTHER_PRODUCT = {"app.kubernetes.io/name": "other", "app.kubernetes.io/instance": "ibm-eem-operator"}


@pytest.mark.parametrize(
    ("deployment", "is_operator"),
    [
        pytest.param(operator_deployment(), True, id="name and labels as documented"),
        pytest.param(operator_deployment("renamed"), True, id="the documented labels under another name"),
        pytest.param(operator_deployment(labels=OTHER_PRODUCT), True, id="the documented name with the instance label"),
        pytest.param(operator_deployment("renamed", labels=OTHER_PRODUCT), False, id="the instance label alone"),
        pytest.param(operator_deployment(labels={}), False, id="the name alone"),
        pytest.param(operator_deployment(labels=eem_labels("gw")), False, id="another instance of the product"),
        pytest.param(operator_deployment(kind="StatefulSet"), False, id="not a Deployment"),
        pytest.param(operator_deployment(terminating=True), False, id="a terminating Deployment"),
    ],
)
def test_the_operator_is_known_by_the_labels_of_its_pods(deployment: Node, is_operator: bool) -> None:  # noqa: FBT001
    """The product's labels, or the documented name with the instance label; nothing less."""
    snapshot = EemSnapshot.from_objects([deployment])

    assert (len(snapshot.operators), len(snapshot.eem)) == ((1, 1) if is_operator else (0, 0))


def test_the_operators_labels_may_stand_on_the_deployment_itself() -> None:
    """Labels of the Deployment count as those of its pods do."""
    deployment = operator_deployment(labels={})
    deployment["metadata"]["labels"] = eem_labels("ibm-eem-operator")

    assert [known.name for known in EemSnapshot.from_objects([deployment]).operators.values()] == ["ibm-eem-operator"]


@pytest.mark.parametrize(
    ("written", "expected"), [("my-account", "my-account"), (None, "default"), ("", "default")], ids=str
)
def test_an_operator_without_a_service_account_runs_as_default(written: str | None, expected: str) -> None:
    """So Kubernetes does it."""
    (operator,) = EemSnapshot.from_objects([operator_deployment(service_account=written)]).operators.values()

    assert operator.service_account == expected


@pytest.mark.parametrize(
    "api_object",
    [
        pytest.param(instance() | {"kind": "EventProcessing"}, id="another product of the group"),
        pytest.param(instance() | {"apiVersion": "example.com/v1"}, id="the same kind in another group"),
        pytest.param(instance() | {"apiVersion": "events.ibm.com.evil/v1beta1"}, id="a group that begins alike"),
        pytest.param(instance() | {"apiVersion": "v1beta1"}, id="no group"),
        pytest.param(instance() | {"apiVersion": None}, id="no apiVersion"),
        pytest.param(instance() | {"kind": None}, id="no kind"),
        pytest.param(instance() | {"kind": ["EventGateway"]}, id="a kind that is a list"),
        pytest.param(instance() | {"kind": {}}, id="a kind that is an object"),
    ],
)
def test_other_kinds_are_no_instances_and_have_no_faults(api_object: Node) -> None:
    """The group `events.ibm.com` is shared with other products."""
    assert (len(EemSnapshot.from_objects([api_object]).eem), read(api_object)[1]) == (0, ())


def test_every_version_of_the_group_is_an_instance() -> None:
    """The version says how an object is written down, not what it is."""
    assert only_instance(instance() | {"apiVersion": "events.ibm.com/v1"}).name == "quick"


def test_an_instance_keeps_what_rules_read_and_drops_what_nobody_reads() -> None:
    """`managedFields` say nothing to any rule; `status` tells which licences the operator knows."""
    api_object = instance(spec={"license": {"accept": True}}) | {"status": {"phase": "Running"}}
    api_object["metadata"]["managedFields"] = [{"manager": "kubectl"}]

    expected = dict(api_object)
    expected["metadata"] = {key: value for key, value in api_object["metadata"].items() if key != "managedFields"}
    assert only_instance(api_object).source == expected


@pytest.mark.parametrize(
    ("kind", "template", "expected"),
    [
        (MANAGER_KIND, {"labels": {"team": "a"}}, {"team": "a"}),
        (GATEWAY_KIND, {"labels": {"team": "b"}}, {"team": "b"}),
        (GATEWAY_KIND, {"labels": {"team": 5}}, {"team": ""}),
        (GATEWAY_KIND, None, {}),
    ],
)
def test_template_labels_are_read_from_where_the_kind_has_them(kind: str, template: Any, expected: Node) -> None:
    """`spec.manager.template` for a manager, `spec.template` for a gateway."""
    assert dict(only_instance(instance(kind=kind, template=template)).template_labels) == expected


def test_an_instance_without_namespace_is_in_default() -> None:
    """As kubectl takes a file without a namespace."""
    api_object = instance(namespace=None)

    assert only_instance(api_object).ref == InstanceRef(kind=MANAGER_KIND, namespace="default", name="quick")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        pytest.param({"metadata": None}, ["metadata.name"], id="no metadata"),
        pytest.param({"metadata": {"name": ""}}, ["metadata.name"], id="an empty name"),
        pytest.param({"metadata": 5}, ["metadata", "metadata.name"], id="metadata that is a number"),
        pytest.param({"metadata": {"name": 5}}, ["metadata.name", "metadata.name"], id="a name that is a number"),
        pytest.param({"metadata": {"name": "x", "namespace": []}}, ["metadata.namespace"], id="a namespace list"),
        pytest.param({"metadata": {"name": "x", "uid": 1}}, ["metadata.uid"], id="a uid that is a number"),
        pytest.param({"spec": "x"}, ["spec"], id="a spec that is text"),
        pytest.param({"spec": {"manager": []}}, ["spec.manager"], id="a manager that is a list"),
        pytest.param(
            {"spec": {"manager": {"template": 1}}}, ["spec.manager.template"], id="a template that is a number"
        ),
        pytest.param(
            {"spec": {"manager": {"template": {"labels": {"a": 1, "b": []}}}}},
            ["spec.manager.template.labels[a]", "spec.manager.template.labels[b]"],
            id="labels that are no texts, each",
        ),
        pytest.param(
            {"spec": {"deployNetworkPolicies": "no"}}, ["spec.deployNetworkPolicies"], id="a switch that is text"
        ),
        pytest.param({"spec": None}, [], id="no spec passes the API server, and here"),
    ],
)
def test_every_structural_fault_of_an_instance_is_told_with_its_path(change: Node, fields: list[str]) -> None:
    """Strict reading names all faults at once; tolerant reading never fails."""
    api_object = instance() | change

    assert [fault.field for fault in read(api_object)[1]] == fields
    assert isinstance(EemSnapshot.empty().with_object(api_object), EemSnapshot)


def test_a_fault_names_the_object_that_it_belongs_to() -> None:
    """A file holds many objects."""
    (fault,) = read(instance(kind=GATEWAY_KIND, spec={"deployNetworkPolicies": 1}))[1]

    assert str(fault) == ("EventGateway eem/quick: spec.deployNetworkPolicies: must be true or false, not the number 1")


def test_a_snapshot_from_files_refuses_all_faulty_objects_at_once() -> None:
    """All faults are in one error, so that the user corrects the files once."""
    objects = [instance(spec={"deployNetworkPolicies": 1}), instance("fine"), instance(spec={"manager": 1})]

    with pytest.raises(SpecError) as caught:
        EemSnapshot.from_objects(objects)
    assert [fault.field for fault in caught.value.faults] == ["spec.deployNetworkPolicies", "spec.manager"]


def test_an_instance_without_a_name_changes_nothing() -> None:
    """The API server stores none; a snapshot that took one in could never lose it again."""
    before = EemSnapshot.from_objects([instance()])

    assert before.with_object(instance(name=None)) is before


def test_a_deletion_timestamp_in_any_form_means_terminating() -> None:
    """Whatever stands there, the API server only ever sets it once a deletion has begun."""
    api_object = instance()
    api_object["metadata"]["deletionTimestamp"] = ANOTHER_TIME

    assert only_instance(api_object).terminating


def test_an_instance_runs_the_component_of_its_kind() -> None:
    """An EventGateway runs gateways, an EventEndpointManagement runs managers."""
    found = [only_instance(instance(kind=kind)).component for kind in (MANAGER_KIND, GATEWAY_KIND)]

    assert found == [Component.MANAGER, Component.GATEWAY]
