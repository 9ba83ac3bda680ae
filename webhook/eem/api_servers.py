"""
The addresses of the API server, which calls the webhook of EEM's operator.

They are the endpoints of its own Service; where these are not known, the addresses of the pods that run it.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.eem.resources import ENDPOINT_SLICES
from webhook.netpol.intervals import IPAddress, address_of
from webhook.netpol.reading import list_at, object_at, text_at
from webhook.netpol.snapshot import ClusterSnapshot

_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_NAMESPACE, _SERVICE = "default", "kubernetes"

_PODS: Final = (
    ("kube-system", "component", "kube-apiserver"),
    ("openshift-kube-apiserver", "app", "openshift-kube-apiserver"),
)
"""Namespace and label of the pods that run the API server. Source: kubeadm's and OpenShift's static pods."""


def endpoints_of_api_server(api_object: Mapping[str, Any]) -> tuple[IPAddress, ...]:
    """Return the addresses in an EndpointSlice of the API server's Service; none for any other object."""
    metadata = object_at(api_object, "metadata")
    if (api_object.get("apiVersion"), api_object.get("kind")) != (ENDPOINT_SLICES.api_version, ENDPOINT_SLICES.kind):
        return ()
    if text_at(metadata, "namespace") != _NAMESPACE or text_at(metadata, "labels", _SERVICE_LABEL) != _SERVICE:
        return ()
    written = (address for endpoint in list_at(api_object, "endpoints") for address in list_at(endpoint, "addresses"))
    return tuple(_addresses(written))


def pods_of_api_server(cluster: ClusterSnapshot) -> tuple[IPAddress, ...]:
    """Return the addresses of the pods that run the API server, as far as they are seen."""
    return tuple(
        address
        for namespace, key, value in _PODS
        for pod in cluster.state(namespace).pods.values()
        if pod.labels.get(key) == value and not pod.finished
        for address in pod.addresses
    )


def _addresses(written: Iterator[object]) -> Iterator[IPAddress]:
    for text in written:
        try:
            yield address_of(str(text))
        except ValueError:  # an EndpointSlice may name hosts
            continue
