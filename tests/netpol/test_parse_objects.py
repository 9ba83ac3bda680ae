"""Namespaces, pods and workloads as the API writes them: what is kept of them, and what is faulty."""

import copy
from collections.abc import Iterator
from typing import Any

import builders as b
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook.netpol.intervals import address_of
from webhook.netpol.model import ContainerPort, OwnerReference, Protocol
from webhook.netpol.parse_objects import MOST_VALUES, TEMPLATE_PATHS, is_large, read_namespace, read_pod, read_workload
from webhook.netpol.reading import Faults

HTTP = b.container_port(8080, "http")
HTTP_READ = ContainerPort(name="http", protocol=Protocol.TCP, number=8080)


def faults_of(api_object: b.ApiObject) -> list[tuple[str, str]]:
    faults = Faults()
    kind = api_object["kind"]
    if kind in TEMPLATE_PATHS:
        read_workload(api_object, kind, faults)
    else:
        {"Pod": read_pod, "Namespace": read_namespace}[kind](api_object, faults)
    return list(dict.fromkeys((fault.field, fault.reason) for fault in faults.found))


# Namespaces


@pytest.mark.parametrize(
    ("api_object", "is_terminating"),
    [
        pytest.param(b.namespace(), False, id="active"),
        pytest.param(b.namespace(phase="Terminating"), True, id="by its phase"),
        pytest.param(b.namespace(terminating=True), True, id="by its deletionTimestamp"),
        pytest.param({"kind": "Namespace", "metadata": {"name": "a"}}, False, id="without a status"),
    ],
)
def test_terminating_namespaces(api_object: b.ApiObject, is_terminating: bool) -> None:  # noqa: FBT001  a column
    """A namespace is terminating by either sign."""
    assert is_terminating is read_namespace(api_object, Faults()).terminating


def test_namespace_labels_and_annotations() -> None:
    """Labels and annotations are kept; what kubectl keeps for itself is not."""
    note = "eem-guardrail.example/mode"
    annotations = {note: "warn", "kubectl.kubernetes.io/last-applied-configuration": "{}"}
    namespace = read_namespace(b.namespace("shop", labels={"team": "a"}, annotations=annotations), Faults())

    assert namespace.labels == {b.NAME_LABEL: "shop", "team": "a"}
    assert namespace.annotations == {note: "warn"}


# Pods


@pytest.mark.parametrize(
    ("fields", "ports"),
    [
        pytest.param({}, (), id="no ports"),
        pytest.param({"ports": [HTTP]}, (HTTP_READ,), id="TCP where no protocol is written"),
        pytest.param({"ports": [b.container_port(8080)]}, (), id="a port without a name does not matter"),
        pytest.param({"ports": [{"name": "http"}]}, (), id="nor does a name without a port"),
        pytest.param(
            {"ports": [b.container_port(53, "dns", "UDP"), b.container_port(53, "dns", "TCP")]},
            (
                ContainerPort(name="dns", protocol=Protocol.UDP, number=53),
                ContainerPort(name="dns", protocol=Protocol.TCP, number=53),
            ),
            id="one name with two protocols",
        ),
        pytest.param(
            {"containers": [b.container(HTTP), b.container(b.container_port(9090, "http"), name="other")]},
            (HTTP_READ, ContainerPort(name="http", protocol=Protocol.TCP, number=9090)),
            id="one name in two containers",
        ),
        pytest.param(
            {"containers": [], "init_containers": [b.container(HTTP, restartPolicy="Always")]},
            (HTTP_READ,),
            id="a native sidecar's ports count",
        ),
        pytest.param(
            {"containers": [], "init_containers": [b.container(HTTP), b.container(HTTP, restartPolicy="Never")]},
            (),
            id="those of other init containers do not",
        ),
        pytest.param(
            {"containers": [b.container({**HTTP, "hostPort": 80, "hostIP": "10.0.0.1"})]},
            (HTTP_READ,),
            id="hostPort is irrelevant",
        ),
    ],
)
def test_named_ports(fields: dict[str, Any], ports: tuple[ContainerPort, ...]) -> None:
    """Named ports of containers that stay are kept, by name and protocol."""
    assert ports == read_pod(b.pod(**fields), Faults()).ports
    assert ports == read_workload(b.workload(**fields), "Deployment", Faults()).template.ports


@pytest.mark.parametrize(
    ("status", "addresses"),
    [
        pytest.param({}, [], id="none yet"),
        pytest.param({"podIP": ""}, [], id="an empty one"),
        pytest.param({"podIP": "10.0.0.7"}, ["10.0.0.7"], id="podIP alone"),
        pytest.param({"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}]}, ["10.0.0.7"], id="the same in podIPs"),
        pytest.param(
            {"podIP": "10.0.0.7", "podIPs": [{"ip": "10.0.0.7"}, {"ip": "fd00::7"}]},
            ["10.0.0.7", "fd00::7"],
            id="both families",
        ),
        pytest.param({"podIPs": [{"ip": None}, {}, None]}, [], id="items without an address"),
    ],
)
def test_pod_addresses(status: b.Node, addresses: list[str]) -> None:
    """A pod's addresses are those of podIP and podIPs, each once."""
    api_object = {**b.pod(), "status": status}

    assert tuple(address_of(text) for text in addresses) == read_pod(api_object, Faults()).addresses
    assert faults_of(api_object) == []


def test_what_else_is_kept_of_a_pod() -> None:
    """A pod keeps its node, its node's addresses, its labels and its owners."""
    owner = b.owner("StatefulSet", "quick")
    pod = read_pod(
        b.pod("p", "shop", labels={"a": "b"}, node="n1", host_ips=["192.168.0.1", "fd01::1"], owners=[owner]), Faults()
    )

    assert (pod.namespace, pod.name, pod.labels, pod.node) == ("shop", "p", {"a": "b"}, "n1")
    assert pod.host_addresses == (address_of("192.168.0.1"), address_of("fd01::1"))
    assert pod.owners == (OwnerReference(api_version="apps/v1", kind="StatefulSet", name="quick", uid="uid-of-quick"),)
    assert (pod.host_network, pod.finished, pod.template_of) == (False, False, "")


@pytest.mark.parametrize(
    ("phase", "is_finished"),
    [("Pending", False), ("Running", False), ("Unknown", False), ("Succeeded", True), ("Failed", True)],
)
def test_finished_pods(phase: str, is_finished: bool) -> None:  # noqa: FBT001  a column of the table
    """A pod that has succeeded or failed is finished."""
    assert is_finished is read_pod(b.pod(phase=phase), Faults()).finished


@pytest.mark.parametrize(("written", "is_host"), [(True, True), (False, False), (None, False)])
def test_host_network(written: bool | None, is_host: bool) -> None:  # noqa: FBT001  columns of the table
    """A pod is on its node's network only where it says so."""
    assert is_host is read_pod(b.pod(host_network=written), Faults()).host_network
    assert is_host is read_workload(b.workload(host_network=written), "Deployment", Faults()).template.host_network


@pytest.mark.parametrize(
    ("api_object", "faults"),
    [
        pytest.param({"kind": "Pod", "metadata": 1}, [("metadata", "TypeInvalid")], id="metadata"),
        pytest.param(
            {"kind": "Pod", "spec": [], "status": 1}, [("spec", "TypeInvalid"), ("status", "TypeInvalid")], id="parts"
        ),
        pytest.param(
            {"kind": "Pod", "metadata": {"labels": {"a": 1}}}, [("metadata.labels[a]", "TypeInvalid")], id="a label"
        ),
        pytest.param(
            {"kind": "Pod", "metadata": {"ownerReferences": [1, {"controller": "yes"}]}},
            [("metadata.ownerReferences[0]", "TypeInvalid"), ("metadata.ownerReferences[1].controller", "TypeInvalid")],
            id="owners",
        ),
        pytest.param(
            {"kind": "Pod", "status": {"podIP": "x", "podIPs": [{"ip": 7}, "10.0.0.1"], "hostIP": "10.0.0"}},
            [
                ("status.podIPs[1]", "TypeInvalid"),
                ("status.podIP", "Invalid"),
                ("status.podIPs[0].ip", "TypeInvalid"),
                ("status.hostIP", "Invalid"),
            ],
            id="addresses",
        ),
        pytest.param({"kind": "Pod", "status": {"phase": []}}, [("status.phase", "TypeInvalid")], id="the phase"),
        pytest.param(
            {"kind": "Pod", "spec": {"hostNetwork": "no", "nodeName": 1}},
            [("spec.nodeName", "TypeInvalid"), ("spec.hostNetwork", "TypeInvalid")],
            id="the node",
        ),
        pytest.param(
            {"kind": "Pod", "spec": {"containers": [1, {"ports": [{"containerPort": "80", "name": "a"}, 2]}]}},
            [
                ("spec.containers[0]", "TypeInvalid"),
                ("spec.containers[1].ports[0].containerPort", "TypeInvalid"),
                ("spec.containers[1].ports[1]", "TypeInvalid"),
            ],
            id="ports",
        ),
        pytest.param(
            {"kind": "Pod", "spec": {"initContainers": [{"restartPolicy": "Always", "ports": [{"protocol": "tcp"}]}]}},
            [("spec.initContainers[0].ports[0].protocol", "NotSupported")],
            id="a protocol",
        ),
        pytest.param(
            {"kind": "CronJob", "spec": {"jobTemplate": {"spec": {"template": {"spec": {"hostNetwork": 1}}}}}},
            [("spec.jobTemplate.spec.template.spec.hostNetwork", "TypeInvalid")],
            id="deep in a CronJob",
        ),
        pytest.param(
            {"kind": "Deployment", "spec": {"template": {"spec": {"containers": [{"env": [3, {"value": 1}]}]}}}},
            [
                ("spec.template.spec.containers[0].env[0]", "TypeInvalid"),
                ("spec.template.spec.containers[0].env[1].value", "TypeInvalid"),
            ],
            id="an environment",
        ),
        pytest.param(
            {"kind": "Namespace", "metadata": {"annotations": [], "labels": 1}, "status": "x"},
            [("status", "TypeInvalid"), ("metadata.labels", "TypeInvalid"), ("metadata.annotations", "TypeInvalid")],
            id="a namespace",
        ),
    ],
)
def test_faulty_objects(api_object: b.ApiObject, faults: list[tuple[str, str]]) -> None:
    """Each fault is told with its path."""
    assert faults == faults_of(api_object)


# Workloads


@pytest.mark.parametrize("kind", TEMPLATE_PATHS)
def test_the_template_of_each_kind(kind: str) -> None:
    """Each kind of workload has one pod to stand for it, wherever it keeps its template."""
    workload = read_workload(b.workload("web", "shop", kind=kind, labels={"a": "b"}, ports=[HTTP]), kind, Faults())

    assert (workload.kind, workload.namespace, workload.name, workload.uid) == (kind, "shop", "web", "uid-of-web")
    assert (workload.template.namespace, workload.template.name) == ("shop", "web")
    assert (workload.template.labels["a"], workload.template.ports) == ("b", (HTTP_READ,))
    assert workload.template.template_of == kind
    assert [(owner.kind, owner.name, owner.uid) for owner in workload.template.owners] == [(kind, "web", "uid-of-web")]


def test_what_else_is_kept_of_a_workload() -> None:
    """A workload keeps its service account, its owners, and the operator's variables; of several, the last wins."""
    containers = [
        b.container(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "true", "QUARKUS_PROFILE": "nowebhook"}),
        {
            "name": "other",
            "env": [
                {"name": "DEPLOY_OPERATOR_NETWORK_POLICY", "value": "false"},
                {"name": "QUARKUS_PROFILE", "valueFrom": {}},
            ],
        },
    ]
    owner = b.owner("EventGateway", "edge", "events.ibm.com/v1beta1")
    workload = read_workload(
        b.workload(containers=containers, service_account="runner", owners=[owner], terminating=True),
        "Deployment",
        Faults(),
    )

    assert workload.environment == {"DEPLOY_OPERATOR_NETWORK_POLICY": "false", "QUARKUS_PROFILE": "nowebhook"}
    assert (workload.service_account, workload.owners[0].group) == ("runner", "events.ibm.com")
    assert workload.terminating


def test_no_other_variable_and_no_long_value_is_kept() -> None:
    """Other variables may hold passwords, and long values would fill the memory."""
    containers = [b.container(env={"PASSWORD": "s3cret", "DEPLOY_OPERATOR_NETWORK_POLICY": "x" * 1_000_000})]
    workload = read_workload(b.workload(containers=containers), "Deployment", Faults())

    assert workload.environment == {"DEPLOY_OPERATOR_NETWORK_POLICY": "x" * 256}
    assert "s3cret" not in repr(workload)


@pytest.mark.parametrize("api_object", [b.pod(namespace=None), b.workload(namespace=None)], ids=["pod", "workload"])
def test_the_default_namespace(api_object: b.ApiObject) -> None:
    """An object from a file may leave its namespace out."""
    kind = api_object["kind"]
    read = read_pod(api_object, Faults()) if kind == "Pod" else read_workload(api_object, kind, Faults())

    assert read.namespace == "default"


# Laws

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FULL = [
    b.namespace(labels={"a": "b"}, annotations={"c": "d"}),
    b.pod(
        labels={"a": "b"},
        ips=["10.0.0.1", "fd00::1"],
        host_ips=["10.1.0.1"],
        owners=[b.owner("ReplicaSet", "web")],
        ports=[HTTP],
        init_containers=[b.container(b.container_port(8081, "side"), restartPolicy="Always")],
        node="n",
        host_network=False,
    ),
    b.workload(
        kind="CronJob",
        labels={"a": "b"},
        containers=[b.container(b.container_port(80), env={"A": "1"})],
        service_account="s",
    ),
]
Place = tuple[int, tuple[str | int, ...]]


def places() -> Iterator[Place]:
    """Yield every node below the roots, `kind` aside."""
    open_nodes: list[tuple[int, tuple[str | int, ...], Any]] = [(index, (), root) for index, root in enumerate(FULL)]
    while open_nodes:
        index, path, node = open_nodes.pop()
        steps: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for step, child in steps:
            if (*path, step) != ("kind",):
                yield index, (*path, step)
                open_nodes.append((index, (*path, step), child))


@given(st.sampled_from(sorted(places(), key=str)), JSON)
@example((1, ("status", "phase")), {})
@example((1, ("status", "podIP")), "1" * 5000)
@example((1, ("spec", "containers", 0, "ports", 0, "containerPort")), 10**5000)
def test_any_json_anywhere_is_read_or_is_a_fault(place: Place, value: object) -> None:
    """Whatever JSON stands at whatever node, reading only finds faults, in the object that holds it or around that."""
    index, path = place
    changed = copy.deepcopy(FULL[index])
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    holder = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path[:-1]).lstrip(".")

    assert all(field.startswith(holder) or holder.startswith(field) for field, _ in faults_of(changed))


# The size of an object

CASES = {
    "nothing": (None, 0, False),
    "a text is one value, however long": ({"a": "x" * 100}, 1, False),
    "an object with one value more": ({"a": 1, "b": 2}, 1, True),
    "a list with as many": ([1, 2, 3], 3, False),
    "what is in a list counts, and the list": ({"a": [1, {"b": 2}]}, 4, False),
    "and is too much for a smaller bound": ({"a": [1, {"b": 2}]}, 3, True),
    "a tuple counts as a list does": (([], (1, 2)), 3, True),
}


@pytest.mark.parametrize("name", CASES)
def test_values_are_counted_at_any_depth(name: str) -> None:
    """An object is large if there is more in it than the bound."""
    value, most, expected = CASES[name]

    assert expected == is_large(value, most)


def test_depth_does_no_harm() -> None:
    """An object that is nested more deeply than Python can call is counted like any other."""
    nested: list[object] = []
    for _ in range(MOST_VALUES + 1):
        nested = [nested]

    assert is_large(nested)
