"""The resources of the API that decisions rest on."""

from dataclasses import dataclass

from webhook.netpol.cluster_policies import (
    ADMIN_KIND,
    BASELINE_KIND,
    CALICO_GLOBAL_POLICY,
    CALICO_GLOBAL_SET,
    CALICO_GROUPS,
    CALICO_KINDS,
    CALICO_POLICY,
    CALICO_SET,
    CALICO_TIER,
    CLUSTER_KIND,
    CLUSTER_POLICY_GROUP,
    CLUSTER_POLICY_KINDS,
)

EEM_GROUP = "events.ibm.com"
EEM_VERSION = "v1beta1"
MANAGER_KIND = "EventEndpointManagement"
GATEWAY_KIND = "EventGateway"
INSTANCE_KINDS = frozenset({MANAGER_KIND, GATEWAY_KIND})


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceType:
    """A kind of API object with the path where it is served."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Return `apiVersion` as objects have it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def cache_name(self) -> str:
        """Return the plural, with the group where another kind that is read has the same plural."""
        is_second = self.plural == "networkpolicies" and self.group in CALICO_GROUPS
        return f"{self.plural}.{CALICO_GROUPS[0]}" if is_second else self.plural

    def path(self, namespace: str | None = None) -> str:
        """Return the path of the collection: in one namespace, or in all."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"


NETWORK_POLICIES = ResourceType(group="networking.k8s.io", version="v1", plural="networkpolicies", kind="NetworkPolicy")
NAMESPACES = ResourceType(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False)
PODS = ResourceType(group="", version="v1", plural="pods", kind="Pod")
MANAGERS = ResourceType(group=EEM_GROUP, version=EEM_VERSION, plural="eventendpointmanagements", kind=MANAGER_KIND)
GATEWAYS = ResourceType(group=EEM_GROUP, version=EEM_VERSION, plural="eventgateways", kind=GATEWAY_KIND)

STORAGE_CLASSES = ResourceType(
    group="storage.k8s.io", version="v1", plural="storageclasses", kind="StorageClass", namespaced=False
)

WATCHED: tuple[ResourceType, ...] = (
    NAMESPACES,
    STORAGE_CLASSES,
    NETWORK_POLICIES,
    MANAGERS,
    GATEWAYS,
    ResourceType(group="apps", version="v1", plural="deployments", kind="Deployment"),
    ResourceType(group="apps", version="v1", plural="statefulsets", kind="StatefulSet"),
    ResourceType(group="apps", version="v1", plural="replicasets", kind="ReplicaSet"),
    ResourceType(group="apps", version="v1", plural="daemonsets", kind="DaemonSet"),
    ResourceType(group="batch", version="v1", plural="jobs", kind="Job"),
    ResourceType(group="batch", version="v1", plural="cronjobs", kind="CronJob"),
    PODS,
)
SERVICES = ResourceType(group="", version="v1", plural="services", kind="Service")
ENDPOINT_SLICES = ResourceType(group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice")
ROUTES = ResourceType(group="route.openshift.io", version="v1", plural="routes", kind="Route")
INGRESSES = ResourceType(group="networking.k8s.io", version="v1", plural="ingresses", kind="Ingress")

DESTINATIONS: tuple[ResourceType, ...] = (SERVICES, ENDPOINT_SLICES, ROUTES, INGRESSES)
"""What tells where the egress of EEM goes. A verdict can do without them: a path that is not known is never lost."""


def _cluster_policies(version: str, plural: str, kind: str) -> ResourceType:
    return ResourceType(group=CLUSTER_POLICY_GROUP, version=version, plural=plural, kind=kind, namespaced=False)


CLUSTER_POLICIES: tuple[ResourceType, ...] = (
    _cluster_policies("v1alpha1", "adminnetworkpolicies", ADMIN_KIND),
    _cluster_policies("v1alpha1", "baselineadminnetworkpolicies", BASELINE_KIND),
    _cluster_policies("v1beta1", "clusternetworkpolicies", CLUSTER_KIND),
)
"""The cluster-wide policy kinds, which are watched where the API server serves them."""

CLUSTER_POLICY_VERSIONS = {
    ADMIN_KIND: ("v1alpha1",),
    BASELINE_KIND: ("v1alpha1",),
    CLUSTER_KIND: ("v1beta1", "v1alpha2"),
}
"""The versions of each that can be read, the preferred one first."""


def _calico(plural: str, kind: str, *, namespaced: bool = False) -> ResourceType:
    return ResourceType(group=CALICO_GROUPS[1], version="v1", plural=plural, kind=kind, namespaced=namespaced)


CALICO: tuple[ResourceType, ...] = (
    _calico("networkpolicies", CALICO_POLICY, namespaced=True),
    _calico("globalnetworkpolicies", CALICO_GLOBAL_POLICY),
    _calico("tiers", CALICO_TIER),
    _calico("networksets", CALICO_SET, namespaced=True),
    _calico("globalnetworksets", CALICO_GLOBAL_SET),
)
"""Calico's kinds, which are watched where the API server serves them; in which group is found out there."""

CALICO_VERSIONS = {CALICO_GROUPS[1]: "v1", CALICO_GROUPS[0]: "v3"}
"""
The version of each group that can be read, the preferred group first: what is stored in the API server itself does not
depend on another server.
"""

TIERED: tuple[ResourceType, ...] = (*CLUSTER_POLICIES, *CALICO)
"""The policy kinds beside NetworkPolicy that are read where they exist."""

OPTIONAL_RIGHTS = CLUSTER_POLICY_KINDS | CALICO_KINDS
"""Kinds that the account may not be allowed to read: then they count as absent, and verdicts say so."""

OPTIONAL_KINDS = INSTANCE_KINDS | OPTIONAL_RIGHTS
"""Kinds whose CustomResourceDefinition may be missing."""
