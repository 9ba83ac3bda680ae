"""A snapshot is a value: whatever its history, it equals the one made of what is there in the end."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    MANAGER_KIND,
    ApiObject,
    eem_labels,
    from_,
    instance,
    namespace,
    operator_deployment,
    owner,
    peer,
    pod,
    policy,
    port,
    selector,
    workload,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from webhook.eem import EemSnapshot, read
from webhook.eem.eem_snapshot import name_of
from webhook.eem.standing import Standing, standing_of
from webhook.netpol import SpecError

NAMESPACES = ("eem", "other")
NAMES = ("x", "y")
KINDS = ("Namespace", "NetworkPolicy", MANAGER_KIND, GATEWAY_KIND, "Deployment", "ReplicaSet", "Pod", "StorageClass")

LABELS = st.sampled_from(
    [
        {},
        eem_labels("x"),
        eem_labels("y", tier="a"),
        {"app.kubernetes.io/instance": "x"},
        eem_labels("ibm-eem-operator"),
        eem_labels("x", **{"app.kubernetes.io/component": "ibm-egw"}),
    ]
)
OWNERS = st.sampled_from(
    [
        [],
        [owner("Deployment", "x")],
        [owner("ReplicaSet", "y")],
        [owner(GATEWAY_KIND, "x", "events.ibm.com/v1beta1")],
        [owner(MANAGER_KIND, "y", "events.ibm.com/v1beta1", uid="another")],
    ]
)


def storage_class(name: str | None = "fast", **fields: Any) -> ApiObject:
    return {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}, **fields}


@st.composite
def api_objects(draw: st.DrawFn) -> ApiObject:  # noqa: PLR0911  one return for each kind
    """Draw one object of one of a few names, so that objects replace, own and select each other often."""
    kind = draw(st.sampled_from(KINDS))
    space, name = draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(NAMES))
    if kind == "Namespace":
        return namespace(space, labels={"team": name})
    if kind == "StorageClass":
        return storage_class(name, provisioner=space)
    if kind == "NetworkPolicy":
        chosen = draw(st.sampled_from([{}, selector(**eem_labels("x")), selector(nobody="here")]))
        rules = draw(
            st.sampled_from(
                [
                    None,
                    [from_()],
                    [from_(ports=[port(8092), port(3000)])],
                    [from_(peer(pods={}), ports=[port(8443)])],
                ]
            )
        )
        return policy(name, space, pod_selector=chosen, ingress=rules, terminating=draw(st.booleans()))
    if kind in {MANAGER_KIND, GATEWAY_KIND}:
        ours = draw(st.sampled_from([None, False]))
        return instance(name, space, kind=kind, deploy_network_policies=ours, terminating=draw(st.booleans()))
    if kind == "Pod":
        phase = draw(st.sampled_from(["Running", "Failed"]))
        ips = draw(st.sampled_from([None, ["10.0.0.1"], ["10.0.0.1", "fd00::1"]]))
        return pod(name, space, labels=draw(LABELS), owners=draw(OWNERS), phase=phase, ips=ips)
    is_operator = kind == "Deployment" and draw(st.booleans())
    if is_operator:
        return operator_deployment("ibm-eem-operator" if name == "x" else name, space)
    return workload(name, space, kind=kind, labels=draw(LABELS), owners=draw(OWNERS))


Key = tuple[str, str, str]
Known = dict[Key, ApiObject]


def key_of(api_object: ApiObject) -> Key:
    return (api_object["kind"], *name_of(api_object))


@st.composite
def steps(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw one step of a history: an object is added or changed, one is deleted, or the standings are asked for."""
    match draw(st.sampled_from(["with", "with", "with", "without", "ask"])):
        case "with":
            return "with", draw(api_objects())
        case "without":
            return "without", key_of(draw(api_objects()))
        case _:
            return "ask", None


def stepped(snapshot: EemSnapshot, known: Known, step: tuple[str, Any]) -> tuple[EemSnapshot, Known]:
    match step:
        case ("with", api_object):
            return snapshot.with_object(api_object), {**known, key_of(api_object): api_object}
        case ("without", key):
            return snapshot.without_object(*key), {other: value for other, value in known.items() if other != key}
        case _:
            for view in snapshot.eem.values():
                assert view.standings is not None
            return snapshot, known


def standing_parts(standing: Standing) -> tuple[Any, ...]:
    """Return all of a standing but which of its equal pods stands for it."""
    return standing.isolating, standing.terminating, standing.ports


def described(snapshot: EemSnapshot) -> dict[str, Any]:
    """Return everything that a decision could see of a snapshot."""
    return {
        "counts": {kind: snapshot.count(kind) for kind in KINDS},
        "names": {kind: sorted(snapshot.names(kind)) for kind in KINDS},
        "cluster": snapshot.cluster,
        "storage classes": snapshot.storage_classes,
        "neighbours": snapshot.neighbours,
        "addresses": (sorted(snapshot.cluster.pod_addresses.bearers), snapshot.cluster.pod_addresses.families()),
        "operators": sorted(snapshot.operators.values(), key=lambda operator: operator.ref),
        "eem": {
            name: (
                view.inventory.subjects,
                view.requirements("anywhere"),
                view.requirements("some"),
                view.guarded,
                view.policies,
                {key: standing_parts(standing) for key, standing in view.standings.items()},
            )
            for name, view in snapshot.eem.items()
        },
    }


@settings(max_examples=250, deadline=None)
@given(history=st.lists(steps(), max_size=25))
def test_any_history_ends_in_what_its_end_state_alone_would_be(history: list[tuple[str, Any]]) -> None:
    """Subjects, requirements, standings and counts do not depend on how the state came about."""
    snapshot, known = EemSnapshot.empty(), Known()
    for step in history:
        snapshot, known = stepped(snapshot, known, step)

    assert described(snapshot) == described(EemSnapshot.from_objects(known.values()))


@settings(max_examples=100, deadline=None)
@given(before=st.lists(api_objects(), max_size=10), history=st.lists(steps(), max_size=6))
def test_an_old_value_stays_what_it_was(before: list[ApiObject], history: list[tuple[str, Any]]) -> None:
    """A decision that runs on a snapshot is not disturbed by what happens meanwhile."""
    snapshot = EemSnapshot.from_objects(before)
    at_first, later, known = described(snapshot), snapshot, Known()
    for step in history:
        later, known = stepped(later, known, step)

    assert described(snapshot) == at_first


@settings(max_examples=100, deadline=None)
@given(objects=st.lists(api_objects(), max_size=12))
def test_what_is_carried_on_about_a_subject_is_what_a_fresh_look_says(objects: list[ApiObject]) -> None:
    """How a subject stands is kept from change to change, and never goes stale."""
    snapshot = EemSnapshot.empty()
    for api_object in objects:
        snapshot = snapshot.with_object(api_object)
        for view in snapshot.eem.values():
            for guarded in view.guarded:
                fresh = standing_of(guarded.subject.pod, guarded.ports, view.policies.values())
                known = [standing_parts(standing) for key, standing in view.standings.items() if key == guarded.key]

                assert known == ([standing_parts(fresh)] if guarded.needs else [])


class Unlooked:
    """Policies that may not be looked through."""

    def values(self) -> Iterable[object]:
        """Fail: the standings of all subjects were known."""
        raise AssertionError("all policies of the namespace are looked through again")


def test_no_policy_is_looked_at_again_where_every_standing_is_known() -> None:
    """A change of a policy costs a look at that policy alone, however many others there are."""
    view = EemSnapshot.from_objects([instance(), pod(labels=eem_labels()), policy()]).eem["eem"]
    known = view.with_standings(view.standings)

    assert dict(replace(known, policies=Unlooked()).find_standings()) == dict(view.standings)


# What makes a namespace EEM's


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([instance()], ["eem"], id="a manager"),
        pytest.param([instance(kind=GATEWAY_KIND)], ["eem"], id="a gateway"),
        pytest.param([instance(deploy_network_policies=False)], ["eem"], id="an exempt instance"),
        pytest.param([operator_deployment(namespace="operators")], ["operators"], id="the operator's Deployment"),
        pytest.param([instance("a", "one"), operator_deployment(namespace="two")], ["one", "two"], id="both, apart"),
        pytest.param([pod(labels=eem_labels("ibm-eem-operator"))], [], id="not the operator's pod"),
        pytest.param([namespace(), policy(), workload(), pod()], [], id="nothing of EEM's"),
    ],
)
def test_a_namespace_is_eems_by_its_instances_or_the_operators_deployment(
    objects: list[ApiObject], expected: list[str]
) -> None:
    """A pod may be evicted, a Deployment stays."""
    assert sorted(EemSnapshot.from_objects(objects).eem) == expected


def test_a_namespace_is_eems_no_longer_when_the_last_instance_goes() -> None:
    """Its pods may linger, and need nothing."""
    snapshot = EemSnapshot.from_objects([instance(), instance(kind=GATEWAY_KIND), pod(labels=eem_labels())])
    one_left = snapshot.without_object(MANAGER_KIND, "eem", "quick")

    assert (sorted(one_left.eem), sorted(one_left.without_object(GATEWAY_KIND, "eem", "quick").eem)) == (["eem"], [])


def test_a_namespace_is_eems_no_longer_when_the_operator_goes() -> None:
    """Deleting its Deployment takes its requirement away."""
    snapshot = EemSnapshot.from_objects([operator_deployment()])

    assert len(snapshot.without_object("Deployment", "eem", "ibm-eem-operator").eem) == 0


@pytest.mark.parametrize(
    "gone",
    [
        (MANAGER_KIND, "eem", "other"),
        (MANAGER_KIND, "elsewhere", "quick"),
        (GATEWAY_KIND, "eem", "quick"),
        ("Pod", "eem", "nobody"),
        ("NetworkPolicy", "eem", "nobody"),
        ("Namespace", "", "nobody"),
        ("Deployment", "eem", "nobody"),
        ("Secret", "eem", "nobody"),
    ],
)
def test_what_is_not_there_can_go_without_harm(gone: tuple[str, str, str]) -> None:
    """A watch may tell of a deletion twice."""
    snapshot = EemSnapshot.from_objects([namespace(), instance(), policy(), pod(labels=eem_labels())])

    assert described(snapshot.without_object(*gone)) == described(snapshot)


def test_a_pod_that_goes_takes_its_subject_with_it() -> None:
    """Then nothing is seen any more, and the documented labels are assumed."""
    snapshot = EemSnapshot.from_objects([instance(), pod("p", labels=eem_labels(a="b"))])
    (seen,), (assumed,) = (
        snapshot.eem["eem"].inventory.subjects,
        snapshot.without_object("Pod", "eem", "p").eem["eem"].inventory.subjects,
    )

    assert (seen.assumed, assumed.assumed) == (False, True)


def test_a_pod_that_changes_its_labels_belongs_to_whom_they_say() -> None:
    """To no instance, then to one, then to none again."""
    snapshot = EemSnapshot.from_objects([instance()])
    found = []
    for labels in ({}, eem_labels(), {}):
        snapshot = snapshot.with_object(pod("p", labels=labels))
        found.append([subject.names for subject in snapshot.eem["eem"].inventory.subjects])

    assert found == [[()], [("p",)], [()]]


def test_kinds_that_do_not_matter_change_nothing() -> None:
    """A ConfigMap is ignored."""
    snapshot = EemSnapshot.from_objects([instance()])

    assert snapshot.with_object({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}) is snapshot


@pytest.mark.parametrize(
    "api_object",
    [
        pytest.param(storage_class(None), id="no name"),
        pytest.param(storage_class() | {"apiVersion": "example.com/v1"}, id="another group"),
    ],
)
def test_what_is_no_storage_class_is_not_taken_for_one(api_object: ApiObject) -> None:
    """By kind, group and name, as any object."""
    assert EemSnapshot.empty().with_object(api_object).count("StorageClass") == 0


def test_a_namespace_object_and_its_absence_keep_what_is_in_it() -> None:
    """A namespace that was deleted and made again is told in any order with its objects."""
    snapshot = EemSnapshot.from_objects([namespace(labels={"a": "b"}), instance()])
    without = snapshot.without_object("Namespace", "", "eem")

    assert (dict(without.namespace("eem").labels), without.count(MANAGER_KIND)) == (
        {"kubernetes.io/metadata.name": "eem"},
        1,
    )


def test_an_unknown_namespace_is_an_empty_one() -> None:
    """Its name label is known all the same."""
    assert dict(EemSnapshot.empty().namespace("x").labels) == {"kubernetes.io/metadata.name": "x"}


def test_an_instance_is_found_by_kind_namespace_and_name() -> None:
    """And by nothing less."""
    snapshot = EemSnapshot.from_objects([instance("x")])
    asked: Iterable[tuple[str, str, str]] = [
        (MANAGER_KIND, "eem", "x"),
        (GATEWAY_KIND, "eem", "x"),
        (MANAGER_KIND, "other", "x"),
        (MANAGER_KIND, "eem", "y"),
    ]

    assert [snapshot.instance(*known) is not None for known in asked] == [True, False, False, False]


# Strict and tolerant reading


def test_a_faulty_policy_is_refused_from_files_and_taken_from_the_api_server() -> None:
    """What the API server stored is never refused: it isolates, whatever is wrong with it."""
    faulty = policy(ingress=[{"ports": [{"port": 0}]}])

    with pytest.raises(SpecError):
        EemSnapshot.from_objects([instance(), faulty])
    assert [fault.field for fault in read(faulty)[1]] == ["spec.ingress[0].ports[0].port"]
    assert EemSnapshot.from_objects([instance()]).with_object(faulty).count("NetworkPolicy") == 1


@pytest.mark.parametrize(
    ("api_object", "expected"),
    [
        (pod("p"), ("eem", "p")),
        (namespace("n"), ("", "n")),
        (storage_class("s"), ("", "s")),
        ({"kind": ["Namespace"], "metadata": {"name": "n"}}, ("default", "n")),
        ({"kind": "Pod", "metadata": {"name": "p"}}, ("default", "p")),
        ({"kind": "Pod", "metadata": {"name": None, "namespace": None}}, ("default", "")),
        ({"kind": "Pod", "metadata": None}, ("default", "")),
        ({"kind": "Pod", "metadata": []}, ("default", "")),
        ({}, ("default", "")),
    ],
)
def test_an_object_is_known_by_namespace_and_name(api_object: ApiObject, expected: tuple[str, str]) -> None:
    """Without a namespace it is in default; a Namespace is in none."""
    assert name_of(api_object) == expected


def test_a_label_of_an_instance_that_is_no_text_is_a_fault() -> None:
    """As for every other kind: `on: yes` without quotes is a boolean."""
    api_object = instance(labels={"true": True})

    assert ["metadata.labels[true]"] == [fault.field for fault in read(api_object)[1]]
