"""A small cluster with EEM, and reviews of changes in it that were encoded and decoded."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from builders import (
    GATEWAY_KIND,
    MANAGER_KIND,
    ApiObject,
    Node,
    body,
    eem_labels,
    from_,
    instance,
    pod,
    policy,
    port,
    review,
    selector,
)
from rpds import HashTrieMap

from webhook.admission import AdmissionRequest, AdmissionResponse, Options, decide, decode_review, encode_review
from webhook.admission.verdict import Verdict
from webhook.eem import EemSnapshot

GATEWAY_POD = "gw-ibm-egw-gateway-7f9c-x2x"
MANAGER_POD = "mgr-ibm-eem-manager-0"


def gateway(name: str = "gw", **fields: Any) -> ApiObject:
    return instance(name, kind=GATEWAY_KIND, **fields)


def manager(name: str = "mgr", **fields: Any) -> ApiObject:
    return instance(name, kind=MANAGER_KIND, **fields)


def gateway_pod(name: str = GATEWAY_POD, **fields: Any) -> ApiObject:
    return pod(name, **{"labels": eem_labels("gw"), **fields})


def manager_pod(name: str = MANAGER_POD, **fields: Any) -> ApiObject:
    return pod(name, **{"labels": eem_labels("mgr"), **fields})


def default_deny(name: str | None = "default-deny", **fields: Any) -> ApiObject:
    """Return a policy that isolates every pod of its namespace and admits nothing."""
    return policy(name, policy_types=["Ingress"], **fields)


def allow(
    name: str = "allow-clients",
    *peers: Node,
    to: str | None = "gw",
    ports: tuple[int | str, ...] = (8092,),
    **fields: Any,
) -> ApiObject:
    """Return a policy that admits *peers* (default: everyone) to the pods of instance *to* (None: to all pods)."""
    chosen = {} if to is None else selector(**eem_labels(to))
    rule = from_(*peers, ports=[port(number, "TCP") for number in ports])
    return policy(name, pod_selector=chosen, policy_types=["Ingress"], ingress=[rule], **fields)


def world(*objects: ApiObject) -> EemSnapshot:
    return EemSnapshot.from_objects(objects)


def installed_for(snapshot: EemSnapshot, *namespaces: str) -> EemSnapshot:
    """Return the cluster with definitions of EEM's kinds that were installed for the operators of *namespaces*."""
    return replace(snapshot, operator_namespaces=HashTrieMap({MANAGER_KIND: frozenset(namespaces)}))


def asked(new: ApiObject | None = None, old: ApiObject | None = None, **fields: Any) -> AdmissionRequest:
    """Return the request as the webhook decodes it."""
    return decode_review(body(review(new, old, **fields)))


def judged(
    snapshot: EemSnapshot,
    new: ApiObject | None = None,
    old: ApiObject | None = None,
    *,
    options: Options | None = None,
    **fields: Any,
) -> AdmissionResponse:
    """Decide a change of a NetworkPolicy in *snapshot*."""
    return decide(asked(new, old, **fields), snapshot, options or Options())


def verdict_of(response: AdmissionResponse) -> Verdict:
    assert response.verdict is not None
    return response.verdict


def answer(request: AdmissionRequest, response: AdmissionResponse) -> Mapping[str, Any]:
    """Return the AdmissionReview that the API server gets."""
    found: Mapping[str, Any] = json.loads(encode_review(request, response))
    return found


def lost_ports(response: AdmissionResponse) -> list[tuple[str, int]]:
    """Return (instance, port) of every ingress that is or may be lost."""
    lost = (item for item in verdict_of(response).lost if item.direction == "ingress")
    return sorted((item.instance.name, item.port) for item in lost if item.port is not None)
