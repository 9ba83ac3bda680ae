"""
The clusters that the generator makes: EEM instances, their pods and workloads, and pods that only look like theirs.

Where the documents leave open whose a pod is, none is made: the witness is for what is specified.
"""

from random import Random
from typing import Any

from oracle.vocabulary import NAME_LABEL, NAMESPACE_KEYS, POD_KEYS
from oracle.world import (
    COMPONENT_LABEL,
    COMPONENT_VALUES,
    GATEWAY_KIND,
    INSTANCE_LABEL,
    MANAGER_KIND,
    NO_WEBHOOK,
    OPERATOR,
    OPERATOR_SWITCH,
    POD_NAMES,
    PRODUCT,
    PRODUCT_LABEL,
    PROFILE,
    RELEASE_NAMESPACE,
)

Node = dict[str, Any]

LICENSE = {"accept": True, "license": "L-HRZF-DWHH7A", "metric": "VIRTUAL_PROCESSOR_CORE", "use": "CP4IProduction"}
SPECS = {
    MANAGER_KIND: {"license": LICENSE, "manager": {}},
    GATEWAY_KIND: {
        "license": LICENSE,
        "gatewayGroupName": "group",
        "gatewayID": "one",
        "managerEndpoint": "https://manager.example.com",
    },
}
VERSIONS = {"Pod": "v1", "Namespace": "v1", "NetworkPolicy": "networking.k8s.io/v1"}
DELETED = "2026-01-01T00:00:00Z"
UIDS = {
    (MANAGER_KIND, "mgr"): "11111111-0000-4000-8000-000000000001",
    (GATEWAY_KIND, "gw"): "11111111-0000-4000-8000-000000000002",
    (GATEWAY_KIND, "gw2"): "11111111-0000-4000-8000-000000000003",
    (MANAGER_KIND, "gw"): "11111111-0000-4000-8000-000000000004",
}
PORT_SETS: tuple[list[Node], ...] = (
    [{"name": "c", "ports": [{"name": "kafka-client", "containerPort": 8092}, {"name": "ui", "containerPort": 3000}]}],
    [{"name": "c", "ports": [{"name": "kafka-client", "containerPort": 8092, "protocol": "SCTP"}]}],
    [
        {"name": "c", "ports": [{"name": "kafka-client", "containerPort": 9999}]},
        {"name": "d", "ports": [{"name": "kafka-client", "containerPort": 8092, "protocol": "TCP"}]},
    ],
    [{"name": "c", "ports": None}],
    [{"name": "c"}],
)


def made(kind: str, namespace: str | None, name: str, **fields: Any) -> Node:
    """Make an API object."""
    metadata: Node = {"name": name} if namespace is None else {"name": name, "namespace": namespace}
    return {"apiVersion": VERSIONS.get(kind, "apps/v1"), "kind": kind, "metadata": metadata, **fields}


def namespaces(rng: Random) -> list[Node]:
    """Make the namespaces, some without the label that the API server sets, one sometimes terminating."""
    spaces = []
    for name in ("eem", "shop", "bank"):
        space = made("Namespace", None, name)
        labels = {"team": rng.choice(NAMESPACE_KEYS["team"])} if rng.random() < 0.6 else {}
        if rng.random() < 0.5:
            labels[NAME_LABEL] = name
        if labels or rng.random() < 0.5:
            space["metadata"]["labels"] = labels or None
        if rng.random() < 0.03:
            space["metadata"]["deletionTimestamp"] = DELETED
            space["status"] = {"phase": "Terminating"}
        spaces.append(space)
    if rng.random() < 0.05:
        spaces[0]["metadata"]["annotations"] = {"eem-guardrail.io/sources": rng.choice(("some", "anywhere"))}
    return spaces


class Maker:
    """Make the pods of one cluster, each with an address of its own."""

    def __init__(self, rng: Random, *, ipv6: bool) -> None:
        self.rng = rng
        self.ipv6 = ipv6
        self.count = 0

    def pod(self, namespace: str, name: str, labels: Node, containers: list[Node]) -> Node:
        """Make a running pod; some have no address yet."""
        self.count += 1
        pod = made("Pod", namespace, name, spec={"containers": containers, "nodeName": f"node-{self.count % 2}"})
        pod["metadata"]["labels"] = labels
        pod["status"] = {"phase": "Running", "hostIP": f"192.168.77.{self.count % 2 + 1}"}
        if self.rng.random() < 0.8:
            texts = [f"10.244.{self.count % 3}.{self.count}"]
            texts += [f"fd00:10:244::{self.count}"] if self.ipv6 else []
            pod["status"] |= {"podIP": texts[0], "podIPs": [{"ip": text} for text in texts]}
        return pod

    def on_host(self, namespace: str, name: str, labels: Node, containers: list[Node]) -> Node:
        """Make a pod on its node's network, with its node's address."""
        pod = self.pod(namespace, name, labels, containers)
        pod["spec"]["hostNetwork"] = True
        address = pod["status"]["hostIP"]
        pod["status"] |= {"podIP": address, "podIPs": [{"ip": address}]}
        return pod


def owned_by(item: Node, kind: str, name: str, uid: str) -> Node:
    """Return an object with a controller."""
    group = "events.ibm.com/v1beta1" if kind in SPECS else "apps/v1"
    item["metadata"]["ownerReferences"] = [
        {"apiVersion": group, "kind": kind, "name": name, "uid": uid, "controller": True}
    ]
    return item


def instance(rng: Random, kind: str, name: str) -> Node:
    """Make a custom resource with its switch, its port and its template."""
    spec: Node = dict(SPECS[kind])
    roll = rng.random()
    if roll < 0.4:
        spec["deployNetworkPolicies"] = roll > 0.1
    if kind == GATEWAY_KIND and rng.random() < 0.35:
        spec["listeners"] = [{"name": "l", "port": rng.choice((9094, 8092))}]
    if rng.random() < 0.25:
        template = {"template": {"labels": {"tier": rng.choice(("gold", "silver"))}}}
        spec |= template if kind == GATEWAY_KIND else {"manager": template}
    resource = made(kind, "eem", name, spec=spec)
    resource["apiVersion"] = "events.ibm.com/v1beta1"
    resource["metadata"]["uid"] = UIDS[kind, name]
    if rng.random() < 0.03:
        resource["metadata"] |= {"deletionTimestamp": DELETED, "finalizers": ["events.ibm.com/cleanup"]}
    return resource


def workload(kind: str, name: str, labels: Node, containers: list[Node]) -> Node:
    """Make a workload whose template has these labels."""
    chosen = {INSTANCE_LABEL: labels[INSTANCE_LABEL]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "selector": {"matchLabels": chosen}, "template": template}
    return made(kind, "eem", name, spec=spec | ({"serviceName": name} if kind == "StatefulSet" else {}))


def backing(rng: Random, maker: Maker, kind: str, name: str, *, shared: bool) -> list[Node]:
    """Make what runs for an instance: pods, a workload, both, or nothing that counts; shared is another's name."""
    component = "manager" if kind == MANAGER_KIND else "gateway"
    documented = POD_NAMES[component].format(name)
    labels: Node = {PRODUCT_LABEL: PRODUCT, INSTANCE_LABEL: name}
    evidence = rng.choice(("label", "label", "label", "name", "owner"))
    stem = documented if shared or evidence == "name" or rng.random() < 0.4 else f"{component}-{name}-own"
    if evidence != "label":
        del labels[PRODUCT_LABEL]
    if rng.random() < 0.4:
        labels[COMPONENT_LABEL] = COMPONENT_VALUES[component]
    if rng.random() < 0.4:
        labels["tier"] = rng.choice(("gold", "silver", "on"))
    containers = rng.choice(PORT_SETS)
    shape = rng.choice(("pods", "both", "both", "template", "nothing"))
    built: list[Node] = []
    workload_kind = "StatefulSet" if kind == MANAGER_KIND else "Deployment"
    if shape in {"template", "both"}:
        built.append(workload(workload_kind, stem, labels, containers))
        built[0]["metadata"]["uid"] = f"22222222-{UIDS[kind, name][9:]}"
        if evidence == "owner" or rng.random() < 0.3:
            owned_by(built[0], kind, name, UIDS[kind, name])
    if shape in {"pods", "both"}:
        built += live_pods(rng, maker, (stem, labels, containers), len(built) and rng.random() < 0.5)
        if evidence == "owner":
            own_pods(built, (kind, name), UIDS[kind, name])
    if shape == "nothing" and rng.random() < 0.4:
        finished = maker.pod("eem", f"{stem}-0", labels, containers)
        finished["status"] = {"phase": rng.choice(("Succeeded", "Failed"))}
        built.append(finished)
    return built


def live_pods(rng: Random, maker: Maker, like: tuple[str, Node, list[Node]], more: Any) -> list[Node]:
    """Make one to three pods of a component, differing in labels and ports; some finished, some on the host."""
    stem, labels, containers = like
    pods = [maker.pod("eem", f"{stem}-0", dict(labels), containers)]
    if more or rng.random() < 0.35:
        other = {**labels, "tier": rng.choice(("gold", "silver"))} if rng.random() < 0.6 else dict(labels)
        pods.append(maker.pod("eem", f"{stem}-1", other, rng.choice(PORT_SETS)))
    if rng.random() < 0.15:
        pods.append(maker.on_host("eem", f"{stem}-2", {**labels, "tier": "on"}, containers))
    if rng.random() < 0.1:
        pods.append(maker.pod("eem", f"{stem}-3", {**labels, "tier": "silver", "old": "x"}, containers))
        pods[-1]["status"] = {"phase": "Succeeded"}
    if rng.random() < 0.12:
        port = {"name": "kafka-client", "containerPort": rng.choice((8092, 9094))}
        sidecar = {"name": "s", "restartPolicy": "Always", "ports": [port]}
        pods[0]["spec"]["initContainers"] = [sidecar if rng.random() < 0.6 else {"name": "s", "ports": [port]}]
    return pods


def own_pods(built: list[Node], owner: tuple[str, str], uid: str) -> None:
    """Set the controller of the pods: the workload, through a ReplicaSet, if there is one; otherwise the instance."""
    above: tuple[str, str, str] = (*owner, uid)
    first = built[0]
    if first["kind"] == "StatefulSet":
        above = "StatefulSet", first["metadata"]["name"], first["metadata"]["uid"]
        for index, pod in enumerate(built[1:]):
            pod["metadata"]["labels"] |= {
                "statefulset.kubernetes.io/pod-name": pod["metadata"]["name"],
                "apps.kubernetes.io/pod-index": str(index),
                "controller-revision-hash": "5d8f",
            }
    elif first["kind"] == "Deployment":
        name, uid = f"{first['metadata']['name']}-5d8f", f"33333333-{first['metadata']['uid'][9:]}"
        pod = built[1]
        for one in built[1:]:
            one["metadata"]["labels"]["pod-template-hash"] = "5d8f"
        middle = workload("ReplicaSet", name, pod["metadata"]["labels"], pod["spec"]["containers"])
        if "initContainers" in pod["spec"]:
            middle["spec"]["template"]["spec"]["initContainers"] = pod["spec"]["initContainers"]
        middle["metadata"]["uid"] = uid
        owned_by(middle, "Deployment", first["metadata"]["name"], first["metadata"]["uid"])
        built.append(middle)
        above = "ReplicaSet", name, uid
    for pod in built:
        if pod["kind"] == "Pod":
            owned_by(pod, *above)


def operator(rng: Random, maker: Maker, namespace: str) -> list[Node]:
    """Make the operator's Deployment, mostly with its pod."""
    labels = {PRODUCT_LABEL: PRODUCT, INSTANCE_LABEL: OPERATOR}
    container: Node = {"name": OPERATOR}
    if rng.random() < 0.4:
        container["env"] = [{"name": OPERATOR_SWITCH, "value": rng.choice(("true", "true", "false"))}]
    if rng.random() < 0.15:
        container["env"] = [*container.get("env", ()), {"name": PROFILE, "value": NO_WEBHOOK}]
    deployment = workload("Deployment", OPERATOR, labels, [container])
    deployment["metadata"] |= {"namespace": namespace, "labels": labels}
    deployment["spec"]["template"]["spec"]["serviceAccountName"] = OPERATOR
    built = [deployment]
    if rng.random() < 0.6:
        built.append(maker.pod(namespace, f"{OPERATOR}-6c4-x", labels, [container]))
    return built


def definition(operator_namespace: str) -> Node:
    """Make the definition of a kind as Helm installs it for the operator of a namespace."""
    named: Node = {"name": "eventgateways.events.ibm.com", "annotations": {RELEASE_NAMESPACE: operator_namespace}}
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": named}


def strangers(rng: Random, maker: Maker) -> list[Node]:
    """Make pods of no instance: sources, and one with only the instance label."""
    built = []
    for namespace in ("shop", "eem"):
        if rng.random() < 0.5:
            key = rng.choice(tuple(POD_KEYS))
            built.append(maker.pod(namespace, "client-0", {key: rng.choice(POD_KEYS[key])}, [{"name": "c"}]))
    if rng.random() < 0.2:
        built.append(maker.pod("eem", "release-0", {INSTANCE_LABEL: "gw", "tier": "gold"}, [{"name": "c"}]))
    return built


def cluster(rng: Random) -> tuple[list[Node], bool]:
    """Make a cluster without policies, and say whether it has IPv6."""
    ipv6 = rng.random() < 0.3
    maker = Maker(rng, ipv6=ipv6)
    objects = namespaces(rng)
    names = [(GATEWAY_KIND, "gw"), (MANAGER_KIND, "mgr"), (GATEWAY_KIND, "gw2"), (MANAGER_KIND, "gw")]
    chosen = rng.sample(names, rng.choice((1, 1, 2, 2, 3)))
    for kind, name in chosen:
        shared = sum(other == name for _, other in chosen) > 1
        objects.append(instance(rng, kind, name))
        objects += backing(rng, maker, kind, name, shared=shared)
    if rng.random() < 0.3:
        objects += operator(rng, maker, "eem" if rng.random() < 0.75 else "bank")
    if rng.random() < 0.5:
        objects.append(definition(rng.choice(("eem", "shop"))))
    return objects + strangers(rng, maker), ipv6
