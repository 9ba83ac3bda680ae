"""Whose pods are these: by owner chain, labels and documented names, and what is assumed where none is seen."""

from itertools import permutations
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    MANAGER_KIND,
    Node,
    container_port,
    eem_labels,
    instance,
    operator_deployment,
    owned_by,
    owner,
    pod,
    workload,
)

from webhook.eem import EemSnapshot
from webhook.eem.claims import has_documented_name
from webhook.eem.instances import Component
from webhook.eem.subjects import Subject
from webhook.netpol.selectors import UNKNOWN

INSTANCE = "app.kubernetes.io/instance"
COMPONENT = "app.kubernetes.io/component"
EVENTS_COMPONENT = "events.ibm.com/component"
MANAGER = instance("x")
GATEWAY = instance("x", kind=GATEWAY_KIND, uid="uid-of-gateway-x")
DOCUMENTED = eem_labels("x", **{"eem.ei.ibm.com/component": "x"})
OF_GATEWAY = {**DOCUMENTED, "pod-template-hash": UNKNOWN}
OF_MANAGER = {
    **DOCUMENTED,
    "statefulset.kubernetes.io/pod-name": "x-ibm-eem-manager-0",
    "apps.kubernetes.io/pod-index": "0",
    "controller-revision-hash": UNKNOWN,
}


def subjects(*objects: Node, namespace: str = "eem") -> tuple[Subject, ...]:
    return EemSnapshot.from_objects(objects).eem[namespace].inventory.subjects


def seen(*objects: Node) -> list[tuple[str, str, list[str]]]:
    """Return (component, instance, live pods) of each subject that is not assumed."""
    return sorted(
        (known.component.value, known.instance.name, list(known.names))
        for known in subjects(*objects)
        if not known.assumed
    )


def only(component: str, name: str = "x", *, pods: tuple[str, ...]) -> list[tuple[str, str, list[str]]]:
    return [(component, name, list(pods))]


# Whose is a pod?


@pytest.mark.parametrize(
    ("labels", "name", "is_theirs"),
    [
        pytest.param(eem_labels("x"), "any-0", True, id="instance label and product name"),
        pytest.param({INSTANCE: "x"}, "x-ibm-egw-gateway-7f-a1", True, id="instance label and documented pod name"),
        pytest.param({INSTANCE: "x"}, "x-ibm-egw-gateway-7f", True, id="instance label and one suffix"),
        pytest.param({INSTANCE: "x"}, "x-ibm-egw-gateway", True, id="instance label and no suffix"),
        pytest.param({INSTANCE: "x"}, "any-0", False, id="the instance label alone: every Helm release has it"),
        pytest.param(
            {INSTANCE: "x", "app.kubernetes.io/name": "postgres"}, "x-0", False, id="another product's name label"
        ),
        pytest.param({INSTANCE: "x"}, "x-ibm-egw-gateway-a-b-c", False, id="too many suffixes"),
        pytest.param({INSTANCE: "x"}, "x-ibm-egw-gatewayb-0", False, id="a name that only begins alike"),
        pytest.param({INSTANCE: "x"}, "my-x-ibm-egw-gateway-0", False, id="a name that only ends alike"),
        pytest.param(eem_labels("y"), "x-ibm-egw-gateway-0", False, id="the label of another instance"),
        pytest.param(
            {"app.kubernetes.io/name": "ibm-event-endpoint-management"},
            "x-ibm-egw-gateway-0",
            False,
            id="the product name without an instance label",
        ),
        pytest.param({}, "x-ibm-egw-gateway-0", False, id="the documented name alone"),
        pytest.param(eem_labels("x", **{COMPONENT: "ibm-eem-manager"}), "any-0", False, id="a manager's component"),
    ],
)
def test_a_pod_is_a_gateways_by_its_instance_label_and_one_more_proof(
    labels: Node,
    name: str,
    is_theirs: bool,  # noqa: FBT001
) -> None:
    """The product's name label or the documented pod name must agree with the instance label."""
    expected = only("gateway", pods=(name,)) if is_theirs else []

    assert seen(GATEWAY, pod(name, labels=labels)) == expected


@pytest.mark.parametrize(
    ("labels", "name", "expected"),
    [
        pytest.param(eem_labels("x"), "any", ["gateway", "manager"], id="nothing tells: it may be either"),
        pytest.param(eem_labels("x", **{COMPONENT: "ibm-egw"}), "any", ["gateway"], id="component ibm-egw"),
        pytest.param(eem_labels("x", **{COMPONENT: "ibm-eem-manager"}), "any", ["manager"], id="component manager"),
        pytest.param(eem_labels("x", **{COMPONENT: "else"}), "any", ["gateway", "manager"], id="unknown component"),
        pytest.param(eem_labels("x", **{EVENTS_COMPONENT: "x-ibm-egw"}), "any", ["gateway"], id="events component"),
        pytest.param(
            eem_labels("x", **{EVENTS_COMPONENT: "x-ibm-eem-manager"}), "any", ["manager"], id="events manager"
        ),
        pytest.param(
            eem_labels("x", **{EVENTS_COMPONENT: "ibm-egw"}),
            "any",
            ["gateway", "manager"],
            id="an events component without an instance before it",
        ),
        pytest.param(
            eem_labels("x", **{COMPONENT: "ibm-egw", EVENTS_COMPONENT: "x-ibm-eem-manager"}),
            "x-ibm-eem-manager-0",
            ["gateway"],
            id="the component label beats the longer one and the name",
        ),
        pytest.param(eem_labels("x"), "x-ibm-egw-gateway-7f-a1", ["gateway"], id="the documented gateway name"),
        pytest.param(eem_labels("x"), "x-ibm-eem-manager-0", ["manager"], id="the documented manager name"),
        pytest.param({INSTANCE: "x"}, "x-ibm-eem-manager-0", ["manager"], id="the documented name without the product"),
    ],
)
def test_a_manager_and_a_gateway_of_one_name_are_told_apart(labels: Node, name: str, expected: list[str]) -> None:
    """By component labels, else by the documented name; a pod that may be either counts as both."""
    found = [component for component, _, names in seen(MANAGER, GATEWAY, pod(name, labels=labels)) if names]

    assert found == expected


@pytest.mark.parametrize(
    ("reference", "is_theirs"),
    [
        pytest.param(owned_by(GATEWAY), True, id="the instance itself"),
        pytest.param(owned_by(GATEWAY) | {"uid": ""}, True, id="a reference without uid"),
        pytest.param(owned_by(GATEWAY) | {"uid": "other"}, False, id="the uid of a predecessor of the same name"),
        pytest.param(owned_by(GATEWAY) | {"name": "y"}, False, id="another instance"),
        pytest.param(owned_by(GATEWAY) | {"apiVersion": "example.com/v1"}, False, id="the same kind of another group"),
        pytest.param(owned_by(GATEWAY) | {"kind": "EventProcessing"}, False, id="another product of the group"),
        pytest.param(owned_by(GATEWAY) | {"kind": MANAGER_KIND}, False, id="a manager that is not there"),
        pytest.param(owned_by(GATEWAY) | {"apiVersion": "events.ibm.com/v1"}, True, id="another version of the group"),
    ],
)
def test_a_pod_that_an_instance_owns_is_its_own_whatever_its_labels(
    reference: Node,
    is_theirs: bool,  # noqa: FBT001
) -> None:
    """An ownerReference counts by group, kind, name and uid."""
    expected = only("gateway", pods=("p",)) if is_theirs else []

    assert seen(GATEWAY, pod("p", labels={"team": "a"}, owners=[reference])) == expected


def test_an_instance_from_a_file_has_no_uid_and_owns_by_name() -> None:
    """A file that a person wrote has no uids."""
    gateway = instance("x", kind=GATEWAY_KIND)
    del gateway["metadata"]["uid"]
    reference = owner(GATEWAY_KIND, "x", "events.ibm.com/v1beta1", uid="any")

    assert seen(gateway, pod("p", owners=[reference])) == only("gateway", pods=("p",))


def test_owners_beat_labels() -> None:
    """A gateway's pod that bears a manager's labels is a gateway's."""
    objects = [MANAGER, GATEWAY, pod("x-ibm-eem-manager-0", labels=eem_labels("x"), owners=[owned_by(GATEWAY)])]

    assert seen(*objects) == only("gateway", pods=("x-ibm-eem-manager-0",))


CHAIN = {
    "deployment": workload("d", owners=[owned_by(GATEWAY)], labels={"made": "new"}),
    "replica set": workload(
        "d-1", kind="ReplicaSet", owners=[owner("Deployment", "d")], labels={"made": "new", "pod-template-hash": "1"}
    ),
    "pod": pod("d-1-a", owners=[owner("ReplicaSet", "d-1")], labels={"made": "new", "pod-template-hash": "1"}),
}


@pytest.mark.parametrize("order", list(permutations(["instance", *CHAIN])), ids="-".join)
def test_the_owner_chain_is_followed_in_whatever_order_its_links_arrive(order: tuple[str, ...]) -> None:
    """Watches of different kinds are not ordered: the end state counts."""
    snapshot = EemSnapshot.empty()
    for link in order:
        snapshot = snapshot.with_object({**CHAIN, "instance": GATEWAY}[link])

    found = {(known.names, tuple(sorted(known.pod.labels))) for known in snapshot.eem["eem"].inventory.subjects}
    assert found == {((), ("made", "pod-template-hash")), (("d-1-a",), ("made", "pod-template-hash"))}


@pytest.mark.parametrize("kind", ["StatefulSet", "DaemonSet", "Job", "CronJob", "ReplicaSet"])
def test_every_kind_of_workload_can_stand_between(kind: str) -> None:
    """A pod belongs to who owns its workload."""
    middle = workload("w", kind=kind, owners=[owned_by(MANAGER)], labels={"a": "b"})
    objects = [MANAGER, middle, pod("w-0", labels={"a": "b"}, owners=[owner(kind, "w")])]

    assert [found for found in seen(*objects) if found[2]] == only("manager", pods=("w-0",))


def test_a_pod_of_an_unknown_workload_is_nobodys() -> None:
    """A workload of an unwatched kind ends the chain of owners."""
    assert seen(GATEWAY, pod("p", owners=[owner("Rollout", "r", "argoproj.io/v1alpha1")])) == []


# The operator


def test_the_operators_pods_are_its_own_through_its_replica_set() -> None:
    """The Deployment of the operator owns them, whatever their labels are."""
    replica_set = workload("o-1", kind="ReplicaSet", owners=[owner("Deployment", "ibm-eem-operator")])
    live = pod("o-1-a", labels={"other": "label"}, owners=[owner("ReplicaSet", "o-1")])

    assert ("operator", "ibm-eem-operator", ["o-1-a"]) in seen(operator_deployment(), replica_set, live)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("ibm-eem-operator-7d9-x", "operator", id="the operator's pod"),
        pytest.param("ibm-eem-operator-ibm-eem-manager-0", "manager", id="the manager's pod"),
        pytest.param("ibm-eem-operator-ibm-egw-gateway-7d9-x", "gateway", id="the gateway's pod"),
    ],
)
def test_an_instance_may_be_called_as_the_operator_is(name: str, expected: str) -> None:
    """The documented pod names keep the three apart."""
    objects = [
        instance("ibm-eem-operator"),
        instance("ibm-eem-operator", kind=GATEWAY_KIND),
        operator_deployment(),
        pod(name, labels=eem_labels("ibm-eem-operator")),
    ]

    assert [(component, names) for component, _, names in seen(*objects) if names] == [(expected, [name])]


def test_a_pod_with_the_operators_labels_is_nobodys_where_the_operator_is_not() -> None:
    """The Deployment makes the operator, not a pod, which may be evicted."""
    snapshot = EemSnapshot.from_objects([pod("ibm-eem-operator-7d9-x", labels=eem_labels("ibm-eem-operator"))])

    assert len(snapshot.eem) == 0


def test_two_operators_in_one_namespace_share_what_only_labels_tell() -> None:
    """Where the labels fit both, the pod may be either's."""
    objects = [
        operator_deployment("ibm-eem-operator"),
        operator_deployment("second"),
        pod("loose", labels=eem_labels("ibm-eem-operator")),
    ]

    assert [(name, names) for _, name, names in seen(*objects) if names] == [
        ("ibm-eem-operator", ["loose"]),
        ("second", ["loose"]),
    ]


# Distinct label sets


def test_pods_of_one_label_set_are_one_subject_and_each_other_set_is_another() -> None:
    """A subject is a distinct label set, with the names of the pods that bear it."""
    objects = [
        GATEWAY,
        pod("b", labels=eem_labels("x")),
        pod("a", labels=eem_labels("x")),
        pod("c", labels=eem_labels("x", tier="edge")),
    ]

    assert seen(*objects) == [("gateway", "x", ["a", "b"]), ("gateway", "x", ["c"])]


def test_named_ports_make_a_subject_of_their_own() -> None:
    """A policy may name a port that only some pods have."""
    named = container_port(8092, "kafka")
    objects = [
        GATEWAY,
        pod("a", labels=eem_labels("x")),
        pod("b", labels=eem_labels("x"), ports=[named]),
        pod("c", labels=eem_labels("x"), ports=[container_port(8092)]),
    ]

    assert seen(*objects) == [("gateway", "x", ["a", "c"]), ("gateway", "x", ["b"])]


def test_the_template_of_a_workload_is_a_subject_beside_its_live_pods() -> None:
    """The next pod will have the template's labels."""
    objects = [
        GATEWAY,
        workload("d", owners=[owned_by(GATEWAY)], labels=eem_labels("x", next="1")),
        pod("a", labels=eem_labels("x")),
    ]

    assert seen(*objects) == [("gateway", "x", []), ("gateway", "x", ["a"])]


def test_a_template_with_the_labels_of_live_pods_is_no_second_subject() -> None:
    """Its name is no pod's name either."""
    objects = [
        GATEWAY,
        workload("d", kind="ReplicaSet", owners=[owned_by(GATEWAY)], labels=eem_labels("x")),
        pod("a", labels=eem_labels("x")),
    ]

    assert seen(*objects) == only("gateway", pods=("a",))


def test_a_template_is_theirs_by_its_labels_too() -> None:
    """A Deployment without an owner, as Helm makes it, with the documented labels."""
    assert seen(GATEWAY, workload("loose", labels=eem_labels("x"))) == only("gateway", pods=())


def test_a_replica_set_of_an_older_rollout_makes_no_pods_any_more() -> None:
    """The Deployment's template counts, and the older set's live pods; its template does not."""
    deployment = workload("d", owners=[owned_by(GATEWAY)], labels=eem_labels("x", rollout="2"))
    objects = [
        GATEWAY,
        deployment,
        workload("d-1", kind="ReplicaSet", owners=[owned_by(deployment)], labels=eem_labels("x", rollout="1")),
        workload("d-2", kind="ReplicaSet", owners=[owned_by(deployment)], labels=eem_labels("x", rollout="2")),
        pod("d-0-a", labels=eem_labels("x", rollout="0"), owners=[owner("ReplicaSet", "d-1")]),
    ]
    found = {(known.pod.labels["rollout"], known.names) for known in subjects(*objects)}

    assert found == {("2", ()), ("0", ("d-0-a",))}


def test_a_replica_set_of_its_own_does_make_pods() -> None:
    """Only a workload that another one here made is left out."""
    assert seen(GATEWAY, workload("r", kind="ReplicaSet", owners=[owned_by(GATEWAY)])) == only("gateway", pods=())


# What no policy can touch, and what is not seen


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_is_no_subject_and_hides_nothing(phase: str) -> None:
    """An evicted pod is left as Failed: the component is then not seen, so its documented labels are assumed."""
    (found,) = subjects(GATEWAY, pod("a", labels=eem_labels("x", old="1"), phase=phase))

    assert (found.assumed, found.names, dict(found.pod.labels)) == (True, (), OF_GATEWAY)


def test_a_finished_pod_beside_a_live_one_is_left_out() -> None:
    """Only what still accepts connections counts."""
    objects = [GATEWAY, pod("a", labels=eem_labels("x"), phase="Failed"), pod("b", labels=eem_labels("x"))]

    assert seen(*objects) == only("gateway", pods=("b",))


@pytest.mark.parametrize("phase", ["Pending", "Unknown", "Running"])
def test_a_pod_that_is_not_finished_counts(phase: str) -> None:
    """A pending pod will be there in a moment."""
    assert seen(GATEWAY, pod("a", labels=eem_labels("x"), phase=phase)) == only("gateway", pods=("a",))


def test_a_pod_on_the_hosts_network_is_no_subject_and_nothing_is_assumed_for_it() -> None:
    """No policy selects it, so no policy can cut it off."""
    assert subjects(GATEWAY, pod("a", labels=eem_labels("x"), host_network=True)) == ()


def test_a_template_on_the_hosts_network_is_no_subject() -> None:
    """Its pods will be on their nodes' network."""
    assert subjects(GATEWAY, workload("d", owners=[owned_by(GATEWAY)], host_network=True)) == ()


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([GATEWAY], [("gateway", "x", OF_GATEWAY)], id="a gateway of which nothing is seen"),
        pytest.param(
            [instance("x", kind=GATEWAY_KIND, template={"labels": {"team": "a"}})],
            [("gateway", "x", {**OF_GATEWAY, "team": "a"})],
            id="with the labels of its template",
        ),
        pytest.param(
            [instance("x", template={"labels": {INSTANCE: "forged"}})],
            [("manager", "x", OF_MANAGER)],
            id="the documented labels are the operator's to set",
        ),
        pytest.param(
            [MANAGER, GATEWAY, pod("x-ibm-eem-manager-0", labels=eem_labels("x"))],
            [("gateway", "x", OF_GATEWAY)],
            id="only for the component that is not seen",
        ),
        pytest.param([GATEWAY, workload("d", owners=[owned_by(GATEWAY)])], [], id="not where a template is seen"),
    ],
)
def test_documented_labels_are_assumed_where_neither_pod_nor_template_is_seen(
    objects: list[Node], expected: list[tuple[str, str, Node]]
) -> None:
    """A component that is about to come is guarded already."""
    found = [
        (known.component.value, known.instance.name, dict(known.pod.labels))
        for known in subjects(*objects)
        if known.assumed
    ]

    assert found == expected


def test_an_operator_whose_template_is_on_the_pod_network_is_never_assumed() -> None:
    """Its Deployment is what makes it an operator, and has a template."""
    (found,) = subjects(operator_deployment())

    assert (found.assumed, found.component, found.names) == (False, Component.OPERATOR, ())


def test_a_pod_of_another_namespace_is_nobodys_here() -> None:
    """An instance's pods run in its own namespace."""
    (found,) = subjects(GATEWAY, pod("a", "other", labels=eem_labels("x")))

    assert found.assumed


def test_subjects_stand_in_one_order_however_their_pods_are_iterated() -> None:
    """Two replicas must name the same pods first; templates with nothing but labels to tell them apart, too."""
    templates = [workload(f"d{n}", owners=[owned_by(GATEWAY)], labels=eem_labels("x", n=str(n))) for n in range(9)]
    found = [known.pod.labels["n"] for known in subjects(GATEWAY, *templates)]

    assert found == sorted(found)


@pytest.mark.parametrize(
    ("name", "component", "expected"),
    [
        ("x.y-ibm-eem-manager-0", Component.MANAGER, True),
        ("xzy-ibm-eem-manager-0", Component.MANAGER, False),
        ("x.y-ibm-eem-manager-0\n", Component.MANAGER, False),
        ("x.y-ibm-eem-manager-", Component.MANAGER, False),
        ("x.y-ibm-egw-gateway-A", Component.GATEWAY, False),
    ],
)
def test_a_documented_name_is_the_whole_name(name: str, component: Any, expected: bool) -> None:  # noqa: FBT001
    """A dot in an instance's name is a dot, and nothing may follow the suffixes."""
    assert has_documented_name(name, component, "x.y") is expected


def test_a_workload_with_two_owners_of_one_instance_is_counted_once() -> None:
    """Owner chains may meet again; each workload and each pod belongs to the instance once."""
    owners = [owned_by(GATEWAY)]
    first, second = workload("a", owners=owners), workload("b", owners=owners)
    both = workload("c", kind="ReplicaSet", owners=[owner("Deployment", "a"), owner("Deployment", "b")])
    found = seen(GATEWAY, first, second, both, pod("p", owners=[owner("ReplicaSet", "c")]))

    assert found == [*only("gateway", pods=()), *only("gateway", pods=("p",))]
