"""A cluster as a persistent value: what it holds, how it changes, and that nothing that is held changes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.netpol import ClusterSnapshot, SpecError
from webhook.netpol.intervals import address_of
from webhook.netpol.parse_objects import KIND_GROUPS, WORKLOAD_KINDS, kind_of, read_object
from webhook.netpol.snapshot import implied

Key = tuple[str, str, str]


def parsed(api_object: b.ApiObject) -> Any:
    made, faults = read_object(api_object)
    assert made is not None
    assert not faults
    return made


# Reading


@pytest.mark.parametrize(
    ("api_version", "kind", "known"),
    [
        *(
            pytest.param(f"{group}/v1" if group else "v1", kind, kind, id=f"{kind} of its group")
            for kind, group in KIND_GROUPS.items()
        ),
        pytest.param("networking.k8s.io/v1beta9", "NetworkPolicy", "NetworkPolicy", id="another version of the group"),
        pytest.param("crd.projectcalico.org/v1", "NetworkPolicy", "CalicoNetworkPolicy", id="Calico's NetworkPolicy"),
        pytest.param("crd.antrea.io/v1beta1", "NetworkPolicy", None, id="another group's NetworkPolicy"),
        pytest.param("v1", "NetworkPolicy", None, id="a NetworkPolicy of the core group"),
        pytest.param("metrics.k8s.io/v1", "Pod", None, id="another group's Pod"),
        pytest.param("v1", "Service", None, id="a kind that does not matter"),
        pytest.param("v1", None, None, id="no kind"),
        pytest.param(None, "Pod", None, id="no version"),
        pytest.param(1, "Pod", None, id="a version that is a number"),
        pytest.param("v1", ["Pod"], None, id="a kind that is a list"),
    ],
)
def test_kinds_that_matter(api_version: object, kind: object, known: str | None) -> None:
    """A kind matters by its name and its group."""
    assert known == kind_of({"apiVersion": api_version, "kind": kind})


def test_what_does_not_matter_is_ignored() -> None:
    """Objects of other kinds have no faults and are not kept."""
    assert (
        ClusterSnapshot.from_objects([{"apiVersion": "v1", "kind": "Service", "metadata": 7}, {}]) == ClusterSnapshot()
    )


def test_every_fault_of_every_object() -> None:
    """Reading strictly tells the faults of all objects, with the object that each belongs to."""
    objects = [
        b.policy("allow", ingress=[{"from": [{}]}], policy_types=["In"]),
        b.pod("web", "shop", labels={"a": 1}),
        b.namespace("shop", annotations={"a": 1}),
        b.workload(None, kind="Job"),
        {"apiVersion": "v1", "kind": "Pod", "metadata": []},
        b.pod("fine"),
    ]
    with pytest.raises(SpecError) as raised:
        ClusterSnapshot.from_objects(objects)

    assert [(fault.kind, fault.name, fault.field, fault.reason) for fault in raised.value.faults] == [
        ("NetworkPolicy", "eem/allow", "spec.policyTypes[0]", "NotSupported"),
        ("NetworkPolicy", "eem/allow", "spec.ingress[0].from[0]", "Required"),
        ("Pod", "shop/web", "metadata.labels[a]", "TypeInvalid"),
        ("Namespace", "shop", "metadata.annotations[a]", "TypeInvalid"),
        ("Job", "eem/(no name)", "metadata.name", "Required"),
        ("Pod", "default/(no name)", "metadata", "TypeInvalid"),
        ("Pod", "default/(no name)", "metadata.name", "Required"),
    ]


@pytest.mark.parametrize(
    ("name", "faults"),
    [(None, [("metadata.name", "Required")]), (7, [("metadata.name", "TypeInvalid"), ("metadata.name", "Required")])],
    ids=["missing", "a number"],
)
@pytest.mark.parametrize(
    "make", [b.policy, b.pod, b.workload, b.namespace, b.cluster_policy], ids=lambda make: make.__name__
)
def test_an_object_without_a_name(make: Callable[..., b.ApiObject], name: Any, faults: list[tuple[str, str]]) -> None:
    """An object that has no name is faulty, once, and cannot be kept."""
    api_object = make("some")
    api_object["metadata"]["name"] = name
    made, found = read_object(api_object)

    assert made is None
    assert sorted(faults) == sorted((fault.field, fault.reason) for fault in found)


# Content


def test_an_unknown_namespace_is_an_empty_one() -> None:
    """An unknown namespace has its name label and nothing in it."""
    state = ClusterSnapshot().state("shop")

    assert state.namespace == implied("shop")
    assert state.namespace.labels == {b.NAME_LABEL: "shop"}
    assert state.is_empty()
    assert not state.seen


def test_a_namespace_of_objects_alone() -> None:
    """Objects imply their namespace, which has its name label, seen or not."""
    snapshot = ClusterSnapshot.from_objects([b.policy()])

    assert [state.namespace for state in snapshot.namespaces()] == [implied("eem")]
    assert snapshot.names("Namespace") == ()


def test_the_name_label_is_always_there() -> None:
    """A manifest may leave the name label out or write another name: the API server sets it."""
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}}
    forged = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {b.NAME_LABEL: "eem"}}}
    for api_object in (bare, forged):
        assert ClusterSnapshot.from_objects([api_object]).state("shop").namespace.labels == {b.NAME_LABEL: "shop"}


def test_policies_come_by_name() -> None:
    """The policies of a namespace come in the order of their names."""
    snapshot = ClusterSnapshot.from_objects([b.policy("c"), b.policy("a"), b.policy("b", "shop"), b.policy("b")])

    assert [policy.name for policy in snapshot.state("eem").sorted_policies()] == ["a", "b", "c"]


def test_the_last_of_two_objects_counts() -> None:
    """A name stands for one object of its kind: the last one."""
    snapshot = ClusterSnapshot.from_objects([b.policy(ingress=[{}]), b.policy(), b.policy(namespace="shop")])

    assert snapshot.count("NetworkPolicy") == 2
    assert snapshot.state("eem").policies["policy"].ingress == ()


def test_names_and_counts() -> None:
    """Objects are listed by kind; namespaces that are only implied are not."""
    snapshot = ClusterSnapshot.from_objects(
        [
            b.namespace("shop"),
            b.pod("p"),
            b.policy("n", "shop"),
            b.workload("w"),
            b.workload("w", kind="Job"),
            b.workload("w", "shop", kind="Job"),
        ]
    )

    assert snapshot.names("Namespace") == (("", "shop"),)
    assert snapshot.names("Pod") == (("eem", "p"),)
    assert snapshot.names("NetworkPolicy") == (("shop", "n"),)
    assert sorted(snapshot.names("Job")) == [("eem", "w"), ("shop", "w")]
    assert {kind: snapshot.count(kind) for kind in WORKLOAD_KINDS if snapshot.count(kind)} == {
        "Deployment": 1,
        "Job": 2,
    }


def test_one_object_is_found_by_its_kind() -> None:
    """Only what was seen is found; a namespace is cluster-scoped."""
    seen = [b.namespace("shop"), b.pod("p", "shop"), b.policy("n", "shop"), b.workload("w", "shop", kind="Job")]
    snapshot = ClusterSnapshot.from_objects([*seen, b.pod("p")])
    found = [
        snapshot.find(kind, namespace, name)
        for kind, namespace, name in (
            ("Namespace", "", "shop"),
            ("Pod", "shop", "p"),
            ("NetworkPolicy", "shop", "n"),
            ("Job", "shop", "w"),
            ("Namespace", "", "eem"),
            ("Pod", "shop", "q"),
            ("Deployment", "shop", "w"),
        )
    ]

    assert found[:4] == [snapshot.state("shop").namespace, *(parsed(one) for one in seen[1:])]
    assert found[4:] == [None, None, None]


OBJECTS = st.sampled_from(
    [
        *(b.namespace(name) for name in ("eem", "shop")),
        *(b.pod(name, ips=[ip]) for name in ("a", "b") for ip in ("10.0.0.1", "fd00::1")),
        *(b.pod(name, phase="Failed", ips=["fd00::1"]) for name in ("a", "b")),
        *(b.workload("w", kind=kind) for kind in ("Deployment", "Job")),
        *(b.policy("n", namespace) for namespace in ("eem", "shop")),
        b.policy("n", ingress=[{}]),
        b.admin_policy("a"),
        b.admin_policy("a", priority=3),
        b.cluster_policy("a", tier="Baseline"),
    ]
)


@given(st.lists(OBJECTS, max_size=12))
def test_a_snapshot_made_at_once_is_the_one_made_step_by_step(objects: list[b.ApiObject]) -> None:
    """Of several objects of one name the last counts, for their addresses too."""
    known = [parsed(one) for one in objects]
    step_by_step = ClusterSnapshot()
    for one in known:
        step_by_step = step_by_step.with_parsed(one)

    assert ClusterSnapshot.from_parsed(known) == step_by_step


def test_names_of_namespaces_are_in_order() -> None:
    """The names of the namespaces that hold something are known in order; the others are not."""
    snapshot = ClusterSnapshot.from_objects([b.namespace("shop"), b.pod("p", "bank"), b.policy("n", "eem")])
    changed = snapshot.with_parsed(parsed(b.namespace("a"))).without("Pod", "bank", "p")

    assert list(snapshot.names_in_order) == ["bank", "eem", "shop"]
    assert list(changed.names_in_order) == ["a", "eem", "shop"]


def test_the_parts_of_a_snapshot() -> None:
    """The parts hold every pod, workload and policy, and the index of addresses."""
    objects = [b.pod("p"), b.workload("w"), b.policy("n", "shop"), b.admin_policy("a")]
    snapshot = ClusterSnapshot.from_objects(objects)
    parts = list(snapshot.parts())
    names = {getattr(value, "name", None) for part in parts[1:] for value in part.values()}  # type: ignore[attr-defined]

    assert (parts[0], names) == (snapshot.pod_addresses, {"p", "w", "n", "a"})


# Addresses


@pytest.mark.parametrize(
    ("pods", "addresses", "families"),
    [
        pytest.param([], [], (4,), id="IPv4 is always in use"),
        pytest.param([b.pod(ips=["10.0.0.1"])], ["10.0.0.1"], (4,), id="a pod with one address"),
        pytest.param([b.pod(ips=["10.0.0.1", "fd00::1"])], ["10.0.0.1", "fd00::1"], (4, 6), id="both families"),
        pytest.param([b.pod(ips=["fd00::1"], phase="Failed")], [], (4,), id="a finished pod's address is free"),
        pytest.param([b.pod(ips=["fd00::1"], host_network=True)], [], (4,), id="a host pod's is its node's"),
    ],
)
def test_pod_addresses(pods: list[b.ApiObject], addresses: list[str], families: tuple[int, ...]) -> None:
    """Addresses of live pods on the pod network are known, and so are their families."""
    snapshot = ClusterSnapshot.from_objects(pods)

    assert {address_of(text) for text in addresses} == set(snapshot.pod_addresses.bearers)
    assert families == snapshot.pod_addresses.families()


def test_an_address_that_two_pods_bear() -> None:
    """An address is known until the last pod that bears it is gone."""
    both = ClusterSnapshot.from_objects([b.pod("a", ips=["fd00::1"]), b.pod("b", ips=["fd00::1"])])
    one = both.without("Pod", "eem", "a")
    none = one.without("Pod", "eem", "b")

    assert [len(snapshot.pod_addresses.bearers) for snapshot in (both, one, none)] == [1, 1, 0]
    assert [snapshot.pod_addresses.families() for snapshot in (both, one, none)] == [(4, 6), (4, 6), (4,)]


# Changes


@pytest.mark.parametrize(
    "kind", ["Namespace", "Pod", "NetworkPolicy", "Deployment", "AdminNetworkPolicy", "ClusterNetworkPolicy", "Service"]
)
def test_removing_what_is_not_there(kind: str) -> None:
    """Removing an object that is not there changes nothing."""
    snapshot = ClusterSnapshot.from_objects([b.namespace("shop"), b.pod("p", "shop")])

    assert snapshot.without(kind, "eem", "nothing") == snapshot
    assert snapshot.without(kind, "shop", "nothing") == snapshot


MAKERS: dict[str, Callable[..., b.ApiObject]] = {
    "Namespace": b.namespace,
    "Pod": b.pod,
    "NetworkPolicy": b.policy,
    "AdminNetworkPolicy": b.admin_policy,
    "BaselineAdminNetworkPolicy": b.baseline_policy,
    "ClusterNetworkPolicy": b.cluster_policy,
}


@pytest.mark.parametrize("kind", KIND_GROUPS)
def test_what_was_added_and_removed_is_gone(kind: str) -> None:
    """An object of any kind that is added and removed again leaves nothing behind, and nothing else goes with it."""
    api_object = MAKERS[kind]("default") if kind in MAKERS else b.workload("default", kind=kind)
    namespace = api_object["metadata"].get("namespace", "")
    others = ClusterSnapshot.from_objects([b.pod("b"), b.policy("b"), b.workload("b", kind="Job"), b.namespace("b")])
    added = others.with_parsed(parsed(api_object))

    assert (namespace, "default") in added.names(kind)
    assert added.find(kind, namespace, "default") == parsed(api_object)
    assert added.without(kind, namespace, "default") == others
    assert ClusterSnapshot().with_parsed(parsed(api_object)).without(kind, namespace, "default") == ClusterSnapshot()


def test_a_namespace_that_still_holds_something() -> None:
    """A namespace whose object is gone is implied by what is in it, without its labels."""
    snapshot = ClusterSnapshot.from_objects([b.namespace("shop", labels={"team": "a"}), b.pod("p", "shop")])
    gone = snapshot.without("Namespace", "", "shop")

    assert gone == ClusterSnapshot.from_objects([b.pod("p", "shop")])
    assert gone.without("Pod", "shop", "p") == ClusterSnapshot()


# Laws

NAMES = st.sampled_from(["a", "b"])
SPACES = st.sampled_from(["eem", "shop"])
IPS = st.lists(st.sampled_from(["10.0.0.1", "10.0.0.2", "fd00::1", "fd00::2"]), max_size=3)
OBJECTS = st.one_of(
    st.builds(
        b.pod,
        NAMES,
        SPACES,
        ips=IPS,
        phase=st.sampled_from(["Running", "Failed"]),
        host_network=st.sampled_from([None, True]),
    ),
    st.builds(b.policy, NAMES, SPACES, ingress=st.sampled_from([None, [{}]])),
    st.builds(b.workload, NAMES, SPACES, kind=st.sampled_from(sorted(WORKLOAD_KINDS)), labels=st.just({"a": "b"})),
    st.builds(b.namespace, SPACES, labels=st.sampled_from([None, {"team": "a"}])),
    st.builds(b.admin_policy, NAMES, priority=st.integers(0, 3)),
    st.builds(b.cluster_policy, NAMES, priority=st.integers(0, 3), tier=st.sampled_from(["Admin", "Baseline"])),
)


@dataclass(frozen=True)
class Step:
    """One change: an object that is there from now on, or one that is not."""

    api_object: b.ApiObject
    is_removal: bool

    @property
    def key(self) -> Key:
        meta = self.api_object["metadata"]
        return self.api_object["kind"], meta.get("namespace", ""), meta["name"]


HISTORIES = st.lists(st.builds(Step, OBJECTS, st.booleans()), max_size=14)


def content(snapshot: ClusterSnapshot) -> object:
    """Return all that a snapshot holds, as plain values that no later change can reach."""
    return (
        {
            name: (state.namespace, state.seen, dict(state.pods), dict(state.workloads), dict(state.policies))
            for name, state in snapshot.states.items()
        },
        dict(snapshot.pod_addresses.bearers),
        tuple(snapshot.pod_addresses.ipv4),
        tuple(snapshot.pod_addresses.ipv6),
        dict(snapshot.cluster_policies.known),
        tuple(snapshot.cluster_policies.in_order),
    )


@given(HISTORIES)
def test_any_history_ends_as_if_it_began_there(history: list[Step]) -> None:
    """A snapshot is what is in it, and not how it came about; counts of addresses are no exception."""
    snapshot = ClusterSnapshot()
    present: dict[Key, b.ApiObject] = {}
    taken: list[tuple[ClusterSnapshot, object]] = []
    for step in history:
        taken.append((snapshot, content(snapshot)))
        if step.is_removal:
            present.pop(step.key, None)
            snapshot = snapshot.without(*step.key)
        else:
            present[step.key] = step.api_object
            snapshot = snapshot.with_parsed(parsed(step.api_object))

    assert snapshot == ClusterSnapshot.from_objects(present.values())
    assert content(snapshot) == content(ClusterSnapshot.from_objects(present.values()))
    for old, before in taken:
        assert content(old) == before


@given(HISTORIES)
def test_what_is_counted_is_what_is_listed(history: list[Step]) -> None:
    """Names, counts and addresses agree with the objects in it."""
    snapshot = ClusterSnapshot()
    for step in history:
        snapshot = snapshot.with_parsed(parsed(step.api_object))
    pods = [pod for state in snapshot.namespaces() for pod in state.pods.values()]
    live = [pod for pod in pods if not pod.finished and not pod.host_network]
    kinds = {step.key[0] for step in history}

    assert {step.key for step in history} == {(kind, *name) for kind in kinds for name in snapshot.names(kind)}
    assert all(snapshot.count(kind) == len(snapshot.names(kind)) for kind in KIND_GROUPS)
    assert dict(snapshot.pod_addresses.bearers) == {
        address: sum(address in pod.addresses for pod in live) for pod in live for address in pod.addresses
    }
    for family, numbers in ((4, snapshot.pod_addresses.ipv4), (6, snapshot.pod_addresses.ipv6)):
        assert sorted({a[1] for pod in live for a in pod.addresses if a[0] == family}) == list(numbers)
