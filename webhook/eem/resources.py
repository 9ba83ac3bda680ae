"""The resources of the API that decisions rest on."""

from dataclasses import dataclass

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

OPTIONAL_KINDS = INSTANCE_KINDS
"""Kinds whose CustomResourceDefinition may be missing: a cluster may be without EEM."""
