"""Where the kinds that decisions rest on are served."""

import pytest

from webhook.eem import OPTIONAL_KINDS, WATCHED, ResourceType
from webhook.eem.resources import CALICO, CLUSTER_POLICIES

BY_KIND = {resource.kind: resource for resource in WATCHED}


@pytest.mark.parametrize(
    ("kind", "everywhere", "in_one_namespace"),
    [
        ("Pod", "/api/v1/pods", "/api/v1/namespaces/eem/pods"),
        ("Deployment", "/apis/apps/v1/deployments", "/apis/apps/v1/namespaces/eem/deployments"),
        ("CronJob", "/apis/batch/v1/cronjobs", "/apis/batch/v1/namespaces/eem/cronjobs"),
        (
            "NetworkPolicy",
            "/apis/networking.k8s.io/v1/networkpolicies",
            "/apis/networking.k8s.io/v1/namespaces/eem/networkpolicies",
        ),
        (
            "EventGateway",
            "/apis/events.ibm.com/v1beta1/eventgateways",
            "/apis/events.ibm.com/v1beta1/namespaces/eem/eventgateways",
        ),
    ],
)
def test_a_kind_has_one_path_for_all_namespaces_and_one_for_each(
    kind: str, everywhere: str, in_one_namespace: str
) -> None:
    """A collection is addressed as the API server serves it: core kinds under /api, the others under /apis."""
    resource = BY_KIND[kind]

    assert (resource.path(), resource.path("eem")) == (everywhere, in_one_namespace)


@pytest.mark.parametrize(
    ("kind", "api_version"), [("Pod", "v1"), ("StatefulSet", "apps/v1"), ("EventGateway", "events.ibm.com/v1beta1")]
)
def test_a_kind_knows_the_api_version_that_objects_write(kind: str, api_version: str) -> None:
    """The core group has no prefix, every other group has."""
    assert BY_KIND[kind].api_version == api_version


def test_everything_that_a_decision_rests_on_is_watched() -> None:
    """Namespaces, policies, both EEM kinds, pods, what can own a pod, and the storage that instances ask for."""
    assert set(BY_KIND) == {
        "Namespace",
        "StorageClass",
        "NetworkPolicy",
        "EventEndpointManagement",
        "EventGateway",
        "Deployment",
        "StatefulSet",
        "ReplicaSet",
        "DaemonSet",
        "Job",
        "CronJob",
        "Pod",
    }
    assert [kind for kind, resource in BY_KIND.items() if not resource.namespaced] == ["Namespace", "StorageClass"]


def test_only_kinds_that_are_installed_apart_may_be_missing() -> None:
    """A cluster without EEM, cluster-wide policies and Calico is a fine cluster; one without pods is not."""
    apart = {one.kind for one in (*CLUSTER_POLICIES, *CALICO)}

    assert OPTIONAL_KINDS == {"EventEndpointManagement", "EventGateway"} | apart


def test_a_resource_type_is_a_value() -> None:
    """Two that say the same are the same."""
    pods = ResourceType(group="", version="v1", plural="pods", kind="Pod")

    assert pods == BY_KIND["Pod"]
