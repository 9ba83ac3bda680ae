"""
API objects as the API writes them, with good defaults: what a test does not say does not matter to it.

An argument that is None leaves its field out; `{}` and `[]` are written as they are. Every call makes a new object.
"""

# ruff: noqa: PLR0913  a builder names every field that a test may care about

import copy
import json
from collections.abc import Iterator
from typing import Any

ApiObject = dict[str, Any]
Node = dict[str, Any]

EEM_NAMESPACE = "eem"
MANAGER_KIND = "EventEndpointManagement"
GATEWAY_KIND = "EventGateway"
NAME_LABEL = "kubernetes.io/metadata.name"
ANOTHER_TIME = "2026-01-01T00:00:00Z"


def written(**fields: Any) -> Node:
    """Keep the fields that are not None; a trailing underscore lets a Python keyword be a field."""
    return {key.rstrip("_"): value for key, value in fields.items() if value is not None}


def metadata(
    name: str | None,
    namespace: str | None,
    *,
    labels: Node | None = None,
    annotations: Node | None = None,
    owners: list[Node] | None = None,
    uid: str | None = None,
    resource_version: str | None = None,
    terminating: bool = False,
) -> Node:
    return written(
        name=name,
        namespace=namespace,
        uid=uid or (f"uid-of-{name}" if name else None),
        resourceVersion=resource_version,
        labels=labels,
        annotations=annotations,
        ownerReferences=owners,
        deletionTimestamp=ANOTHER_TIME if terminating else None,
    )


def owner(kind: str, name: str, api_version: str = "apps/v1", *, uid: str | None = None) -> Node:
    """Return an ownerReference of a controller; its uid is the one that the builders give."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": name,
        "uid": f"uid-of-{name}" if uid is None else uid,
        "controller": True,
    }


def owned_by(owner_object: ApiObject) -> Node:
    """Return an ownerReference to an object of these builders."""
    meta = owner_object["metadata"]
    return owner(owner_object["kind"], meta["name"], owner_object["apiVersion"], uid=meta["uid"])


# Values within objects


def places(node: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every value in an object."""
    if path:
        yield path
    if isinstance(node, dict):
        for key, value in node.items():
            yield from places(value, (*path, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from places(value, (*path, index))


def replaced(tree: Node, path: tuple[str | int, ...], value: Any) -> Node:
    """Return a copy of an object with another value at *path*."""
    changed: Any = copy.deepcopy(tree)
    node = changed
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    return dict(changed)


# Namespaces, pods, workloads


def namespace(
    name: str = EEM_NAMESPACE, *, labels: Node | None = None, phase: str = "Active", **meta: Any
) -> ApiObject:
    """Return a Namespace with the name label that the API server sets."""
    known = {NAME_LABEL: name, **(labels or {})}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": metadata(name, None, labels=known, **meta),
        "status": {"phase": phase},
    }


def container_port(number: int, name: str | None = None, protocol: str | None = None) -> Node:
    return written(name=name, containerPort=number, protocol=protocol)


def container(*ports: Node, name: str = "main", env: Node | None = None, **fields: Any) -> Node:
    """Return a container; *env* is a mapping of names to literal values."""
    variables = None if env is None else [{"name": key, "value": value} for key, value in env.items()]
    return written(name=name, image="app:1", ports=list(ports) or None, env=variables, **fields)


def pod_spec(
    *,
    ports: list[Node] | None = None,
    containers: list[Node] | None = None,
    init_containers: list[Node] | None = None,
    node: str | None = None,
    host_network: bool | None = None,
    service_account: str | None = None,
) -> Node:
    """Return a PodSpec; *ports* are those of its one container where *containers* are not given."""
    return written(
        containers=containers if containers is not None else [container(*(ports or []))],
        initContainers=init_containers,
        nodeName=node,
        hostNetwork=host_network,
        serviceAccountName=service_account,
    )


def pod(
    name: str = "web-0",
    namespace: str = EEM_NAMESPACE,
    *,
    labels: Node | None = None,
    ips: list[str] | None = None,
    host_ips: list[str] | None = None,
    phase: str = "Running",
    owners: list[Node] | None = None,
    uid: str | None = None,
    **spec: Any,
) -> ApiObject:
    """Return a Pod; the first of *ips* is its podIP, the first of *host_ips* its hostIP, *spec* is for `pod_spec`."""
    status = written(
        phase=phase,
        podIP=ips[0] if ips else None,
        podIPs=[{"ip": ip} for ip in ips] if ips else None,
        hostIP=host_ips[0] if host_ips else None,
        hostIPs=[{"ip": ip} for ip in host_ips] if host_ips else None,
    )
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata(name, namespace, labels=labels, owners=owners, uid=uid),
        "spec": pod_spec(**spec),
        "status": status,
    }


def workload(
    name: str = "web",
    namespace: str = EEM_NAMESPACE,
    *,
    kind: str = "Deployment",
    labels: Node | None = None,
    owners: list[Node] | None = None,
    uid: str | None = None,
    terminating: bool = False,
    **spec: Any,
) -> ApiObject:
    """Return a workload of any kind; *labels* are those of its pods, *spec* is for `pod_spec`."""
    template = {"metadata": written(labels=labels), "spec": pod_spec(**spec)}
    in_batch = kind in {"Job", "CronJob"}
    return {
        "apiVersion": "batch/v1" if in_batch else "apps/v1",
        "kind": kind,
        "metadata": metadata(name, namespace, owners=owners, uid=uid, terminating=terminating),
        "spec": {"jobTemplate": {"spec": {"template": template}}} if kind == "CronJob" else {"template": template},
    }


# Policies


def policy(
    name: str | None = "policy",
    namespace: str | None = EEM_NAMESPACE,
    *,
    pod_selector: Any = None,
    policy_types: list[Any] | None = None,
    ingress: Any = None,
    egress: Any = None,
    **meta: Any,
) -> ApiObject:
    """
    Return a NetworkPolicy.

    Without arguments it is a default deny for ingress: it selects every pod and has no rule. *meta* is for `metadata`.
    """
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(name, namespace, **meta),
        "spec": written(
            podSelector={} if pod_selector is None else pod_selector,
            policyTypes=policy_types,
            ingress=ingress,
            egress=egress,
        ),
    }


def selector(*expressions: Node, **match_labels: str) -> Node:
    """Return a label selector; without arguments `{}`."""
    return written(matchLabels=match_labels or None, matchExpressions=list(expressions) or None)


def expression(key: str, operator: str, *values: str) -> Node:
    return written(key=key, operator=operator, values=list(values) or None)


def peer(pods: Node | None = None, namespaces: Node | None = None) -> Node:
    """Return a peer of selectors."""
    return written(podSelector=pods, namespaceSelector=namespaces)


def block(cidr: str, *except_: str) -> Node:
    """Return a peer that is an ipBlock."""
    return {"ipBlock": written(cidr=cidr, except_=list(except_) or None)}


def port(port: int | str | None = None, protocol: str | None = None, end: int | None = None) -> Node:
    return written(protocol=protocol, port=port, endPort=end)


def from_(*peers: Node, ports: list[Node] | None = None) -> Node:
    """Return an ingress rule; without peers, one that admits everyone."""
    return written(from_=list(peers) or None, ports=ports)


def to(*peers: Node, ports: list[Node] | None = None) -> Node:
    """Return an egress rule; without peers, one that lets out to everyone."""
    return written(to=list(peers) or None, ports=ports)


# Cluster-wide policies


def admin_policy(name: str = "admin", *, priority: Any = 10, **spec: Any) -> ApiObject:
    """Return an AdminNetworkPolicy; without arguments it speaks of every pod and has no rule."""
    return _cluster_wide("AdminNetworkPolicy", "v1alpha1", name, priority=priority, **spec)


def baseline_policy(name: str = "default", **spec: Any) -> ApiObject:
    """Return the BaselineAdminNetworkPolicy; without arguments it speaks of every pod and has no rule."""
    return _cluster_wide("BaselineAdminNetworkPolicy", "v1alpha1", name, **spec)


def cluster_policy(
    name: str = "cluster", *, tier: Any = "Admin", priority: Any = 10, version: str = "v1beta1", **spec: Any
) -> ApiObject:
    """Return a ClusterNetworkPolicy; without arguments it speaks of every pod and has no rule."""
    return _cluster_wide("ClusterNetworkPolicy", version, name, tier=tier, priority=priority, **spec)


def _cluster_wide(kind: str, version: str, name: str, *, terminating: bool = False, **spec: Any) -> ApiObject:
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": kind,
        "metadata": metadata(name, None, terminating=terminating),
        "spec": {"subject": namespaces(), **written(**spec)},
    }


def namespaces(*expressions: Node, **match_labels: str) -> Node:
    """Return a subject or a peer: every pod of the namespaces with these labels."""
    return {"namespaces": selector(*expressions, **match_labels)}


def pods(labels: Node | None = None, in_namespaces: Node | None = None) -> Node:
    """Return a subject or a peer: the pods that one selector matches, in the namespaces that another one matches."""
    return {"pods": {"namespaceSelector": in_namespaces or {}, "podSelector": labels or {}}}


def rule(action: str, *peers: Any, field: str = "from", **fields: Any) -> Node:
    """Return a rule of a cluster-wide policy; *field* is `from` or `to`."""
    return {"action": action, field: list(peers), **written(**fields)}


# What is behind names and virtual addresses


def service(
    name: str,
    namespace: str = EEM_NAMESPACE,
    *,
    cluster_ip: str | None = "172.30.0.7",
    ports: list[Node] | None = None,
    balancers: list[Node] | None = None,
    **spec: Any,
) -> ApiObject:
    """Return a Service; *balancers* are the entries in its status, *spec* adds to what the arguments write."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(name, namespace),
        "spec": {**written(clusterIP=cluster_ip, ports=ports), **spec},
        "status": {"loadBalancer": written(ingress=balancers)},
    }


def service_port(number: int, target: int | str | None = None, name: str | None = None, protocol: str = "TCP") -> Node:
    """Return a port of a Service."""
    return written(name=name, protocol=protocol, port=number, targetPort=target)


def endpoint_slice(
    service_name: str,
    namespace: str = EEM_NAMESPACE,
    *,
    name: str | None = None,
    ports: list[Node] | None = None,
    endpoints: list[Node] | None = None,
) -> ApiObject:
    """Return an EndpointSlice of a Service."""
    labels = {"kubernetes.io/service-name": service_name}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": metadata(name or f"{service_name}-x7x2", namespace, labels=labels),
        "addressType": "IPv4",
        "ports": ports or [],
        "endpoints": endpoints or [],
    }


def endpoint(address: str, pod: ApiObject | None = None, *, ready: bool | None = None) -> Node:
    """Return an endpoint of a slice, with a reference to the pod that has the address."""
    target = None
    if pod is not None:
        target = {"kind": "Pod", "namespace": pod["metadata"]["namespace"], "name": pod["metadata"]["name"]}
    conditions = None if ready is None else {"ready": ready}
    return written(addresses=[address], targetRef=target, conditions=conditions)


def route(host: str, to_service: str, namespace: str = EEM_NAMESPACE, *, router: str | None = "default") -> ApiObject:
    """Return a Route that *router* admitted."""
    admitted = None if router is None else [{"host": host, "routerName": router}]
    return {
        "apiVersion": "route.openshift.io/v1",
        "kind": "Route",
        "metadata": metadata(to_service, namespace),
        "spec": {"host": host, "to": {"kind": "Service", "name": to_service}},
        "status": written(ingress=admitted),
    }


def ingress(
    host: str, to_service: str, namespace: str = EEM_NAMESPACE, *, balancers: list[Node] | None = None
) -> ApiObject:
    """Return an Ingress; *balancers* are the entries in its status."""
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": to_service}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata(to_service, namespace),
        "spec": {"rules": [{"host": host, "http": {"paths": [path]}}]},
        "status": {"loadBalancer": written(ingress=balancers)},
    }


# Event Endpoint Management


def instance(
    name: str = "quick",
    namespace: str = EEM_NAMESPACE,
    *,
    kind: str = MANAGER_KIND,
    deploy_network_policies: bool | None = None,
    listeners: list[Node] | None = None,
    template: Node | None = None,
    spec: Node | None = None,
    **meta: Any,
) -> ApiObject:
    """Return an EventEndpointManagement, or an EventGateway by *kind*; *spec* adds to what the arguments write."""
    is_manager = kind == MANAGER_KIND
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": kind,
        "metadata": metadata(name, namespace, **meta),
        "spec": {
            **written(
                deployNetworkPolicies=deploy_network_policies,
                listeners=listeners,
                manager=written(template=template) if is_manager else None,
                template=None if is_manager else template,
            ),
            **(spec or {}),
        },
    }


def eem_labels(instance: str = "quick", **more: str) -> Node:
    """Return the labels that the documentation gives for the pods of an instance, or of the operator."""
    return {
        "app.kubernetes.io/name": "ibm-event-endpoint-management",
        "app.kubernetes.io/instance": instance,
        **more,
    }


def operator_deployment(
    name: str = "ibm-eem-operator",
    namespace: str = EEM_NAMESPACE,
    *,
    service_account: str | None = "ibm-eem-operator",
    env: Node | None = None,
    **fields: Any,
) -> ApiObject:
    """Return the Deployment of the EEM operator; *env* is the environment of its container."""
    containers = [container(container_port(8443, "webhook"), name="manager", env=env)]
    labels = fields.pop("labels", eem_labels("ibm-eem-operator"))
    return workload(name, namespace, labels=labels, containers=containers, service_account=service_account, **fields)


# Reviews

RESOURCES = {
    "NetworkPolicy": ("networking.k8s.io", "v1", "networkpolicies"),
    MANAGER_KIND: ("events.ibm.com", "v1beta1", "eventendpointmanagements"),
    GATEWAY_KIND: ("events.ibm.com", "v1beta1", "eventgateways"),
    "AdminNetworkPolicy": ("policy.networking.k8s.io", "v1alpha1", "adminnetworkpolicies"),
    "BaselineAdminNetworkPolicy": ("policy.networking.k8s.io", "v1alpha1", "baselineadminnetworkpolicies"),
    "ClusterNetworkPolicy": ("policy.networking.k8s.io", "v1beta1", "clusternetworkpolicies"),
}


def request(
    new: ApiObject | None = None,
    old: ApiObject | None = None,
    *,
    uid: str = "705ab4f5-6393-11e8-b7cc-42010a800002",
    username: str = "alice",
    groups: list[str] | None = None,
    sub_resource: str | None = None,
    dry_run: bool | None = None,
    **fields: Any,
) -> Node:
    """
    Return the `request` of an AdmissionReview: CREATE for a new object, DELETE for an old one, UPDATE for both.

    *fields* replaces any field, by its name on the wire.
    """
    subject = new if new is not None else old
    if subject is None:
        raise ValueError("a request needs a new object, an old one, or both")
    group, version, plural = RESOURCES[subject["kind"]]
    kind = {"group": group, "version": version, "kind": subject["kind"]}
    resource = {"group": group, "version": version, "resource": plural}
    user = written(username=username, groups=["system:authenticated"] if groups is None else groups)
    operation = "CREATE" if old is None else "DELETE" if new is None else "UPDATE"
    made: Node = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        **written(subResource=sub_resource),
        "requestKind": kind,
        "requestResource": resource,
        **written(name=subject["metadata"].get("name"), namespace=subject["metadata"].get("namespace")),
        "operation": operation,
        "userInfo": user,
        "object": new,
        "oldObject": old,
        "dryRun": bool(dry_run),
        "options": None,
    }
    return made | fields


def review(new: ApiObject | None = None, old: ApiObject | None = None, **fields: Any) -> Node:
    """Return a whole AdmissionReview; the arguments are those of `request`."""
    return {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": request(new, old, **fields),
    }


def body(review_object: Node) -> bytes:
    """Return a review as it stands on the wire."""
    return json.dumps(review_object).encode()
