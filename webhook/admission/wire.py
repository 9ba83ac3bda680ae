"""
Decode the AdmissionReview that the API server sends, and encode the one that answers it.

The uid of the request is returned here and nowhere else.

Source: k8s.io/api/admission/v1 and the API server's webhook/request/admissionreview.go.
"""

import base64
from typing import Any, Generic, TypeVar

import msgspec
from msgspec.structs import astuple, fields

from webhook.admission.response import INVALID, LONGEST_WARNING, AdmissionResponse, one_line
from webhook.admission.review import (
    AdmissionRequest,
    GroupVersionKind,
    GroupVersionResource,
    ReviewError,
    metadata_text,
)
from webhook.admission.written_spec import WrittenSpec
from webhook.eem.resources import NETWORK_POLICIES
from webhook.netpol.reading import shorten

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})

ObjectT = TypeVar("ObjectT")
"""The type into which the objects of a review are decoded."""


class WireGroupVersionKind(msgspec.Struct):
    """metav1.GroupVersionKind."""

    group: str = ""
    version: str = ""
    kind: str = ""


class WireGroupVersionResource(msgspec.Struct):
    """metav1.GroupVersionResource."""

    group: str = ""
    version: str = ""
    resource: str = ""


class WireUserInfo(msgspec.Struct):
    """The fields of authentication.k8s.io/v1 UserInfo that are evaluated."""

    username: str = ""
    groups: list[str] | None = None
    uid: str | None = None
    extra: dict[str, list[str] | None] | None = None


class WirePolicyMetadata(msgspec.Struct, rename="camel"):
    """
    The fields of a NetworkPolicy's metav1.ObjectMeta that are evaluated.

    The other fields, above all `managedFields`, are most of a review's bytes. To skip them takes a quarter of the time
    that decoding them takes.
    """

    name: Any = msgspec.UNSET
    namespace: Any = msgspec.UNSET
    uid: Any = msgspec.UNSET
    resource_version: Any = msgspec.UNSET
    deletion_timestamp: Any = msgspec.UNSET
    labels: Any = msgspec.UNSET
    annotations: Any = msgspec.UNSET
    owner_references: Any = msgspec.UNSET


class WirePolicy(msgspec.Struct, rename="camel"):
    """The fields of a networking.k8s.io/v1 NetworkPolicy that are evaluated."""

    api_version: Any = msgspec.UNSET
    kind: Any = msgspec.UNSET
    metadata: WirePolicyMetadata | msgspec.UnsetType = msgspec.UNSET
    spec: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class WireRequest(msgspec.Struct, Generic[ObjectT], rename="camel"):
    """The fields of an admission.k8s.io/v1 AdmissionRequest that are evaluated."""

    uid: str
    kind: WireGroupVersionKind
    resource: WireGroupVersionResource
    operation: str
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    user_info: WireUserInfo | None = None
    object: ObjectT | None = None
    old_object: ObjectT | None = None
    dry_run: bool | None = None


class WireReview(msgspec.Struct, Generic[ObjectT], rename="camel"):
    """An admission.k8s.io/v1 AdmissionReview as the API server sends it."""

    api_version: str
    kind: str
    request: WireRequest[ObjectT] | None = None


_decoder = msgspec.json.Decoder(WireReview[dict[str, Any]])
_policy_decoder = msgspec.json.Decoder(WireReview[WirePolicy])
_encoder = msgspec.json.Encoder()
_METADATA_FIELDS = tuple(known.encode_name for known in fields(WirePolicyMetadata))
_POLICY_FIELDS = tuple(known.encode_name for known in fields(WirePolicy))


def decode_review(body: bytes) -> AdmissionRequest:
    """
    Parse an AdmissionReview of version v1.

    Of duplicate keys the last one counts, as in the API server.

    Raises:
        ReviewError: the body is no such review; the message says where.
    """
    if not body.strip():
        raise ReviewError("body", "is empty; an AdmissionReview was expected")
    try:
        review: WireReview[Any] = _decoded_policies(body) or _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ReviewError(*_place(str(error))) from error
    except RecursionError as error:
        raise ReviewError("body", "is nested too deeply") from error
    except ValueError as error:
        raise ReviewError("body", f"is not JSON in UTF-8: {shorten(str(error), 200)}") from error
    if review.api_version != API_VERSION:
        raise ReviewError("apiVersion", f"must be {API_VERSION}, not {_shown(review.api_version)}")
    if review.kind != KIND:
        raise ReviewError("kind", f"must be {KIND}, not {_shown(review.kind)}")
    if review.request is None:
        raise ReviewError("request", "must be set")
    return _request(review.request, len(body))


def _decoded_policies(body: bytes) -> WireReview[WirePolicy] | None:
    """Decode the review of a NetworkPolicy without the fields that are not evaluated; None for another review."""
    try:
        review = _policy_decoder.decode(body)
    except msgspec.ValidationError:  # a review of another kind, or a policy with a field of the wrong type
        return None
    request = review.request
    if request is None or (request.kind.group, request.kind.kind) != (NETWORK_POLICIES.group, NETWORK_POLICIES.kind):
        return None
    return review


def _mapping(api_object: dict[str, Any] | WirePolicy | None) -> dict[str, Any] | None:
    """Return an object as the mapping that was on the wire, without the fields that were skipped."""
    if not isinstance(api_object, WirePolicy):
        return api_object
    found = _written(api_object, _POLICY_FIELDS)
    if "metadata" in found:
        found["metadata"] = _written(api_object.metadata, _METADATA_FIELDS)
    if "spec" in found:
        text = bytes(found["spec"])
        found["spec"] = WrittenSpec(text) if text.startswith(b"{") else msgspec.json.decode(text)
    return found


def _written(struct: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields that the wire had: a field that is null is included, a missing one is not."""
    return {name: value for name, value in zip(names, astuple(struct), strict=True) if value is not msgspec.UNSET}


def _place(message: str) -> tuple[str, str]:
    """Split msgspec's message "problem - at `$.a.b`" into the field's path and the problem."""
    problem, _, place = message.partition(" - at `$")
    return place.rstrip("`").lstrip(".") or "body", shorten(problem, 200)


def _request(wire: WireRequest[Any], size: int) -> AdmissionRequest:
    if not wire.uid:
        raise ReviewError("request.uid", "must be set")
    if wire.operation not in OPERATIONS:
        raise ReviewError("request.operation", f"{_shown(wire.operation)} is not an operation")
    user = wire.user_info
    new, old = _mapping(wire.object), _mapping(wire.old_object)
    kind, resource = wire.kind, wire.resource
    return AdmissionRequest(
        uid=wire.uid,
        operation=wire.operation,
        kind=GroupVersionKind(group=kind.group, version=kind.version, kind=kind.kind),
        resource=GroupVersionResource(group=resource.group, version=resource.version, resource=resource.resource),
        sub_resource=wire.sub_resource or "",
        name=wire.name or metadata_text(new or old, "name"),
        namespace=wire.namespace or "",
        username=user.username if user is not None else "",
        groups=tuple(user.groups or ()) if user is not None else (),
        user_uid=(user.uid or "") if user is not None else "",
        user_extra={key: values or () for key, values in (user.extra or {}).items()} if user is not None else {},
        object=new,
        old_object=old,
        dry_run=bool(wire.dry_run),
        size=size,
    )


def _shown(text: str) -> str:
    return shorten(repr(text))


def encode_review(request: AdmissionRequest, response: AdmissionResponse) -> bytes:
    """Return the AdmissionReview that answers *request*, with the uid of the request."""
    answer: dict[str, Any] = {"uid": request.uid, "allowed": response.allowed}
    if not response.allowed:
        answer["status"] = {
            "status": "Failure",
            "code": response.code,
            "reason": response.reason,
            "message": response.message,
            "details": {
                "name": request.name,
                "group": request.kind.group,
                # kubectl prints it: errors.NewInvalid of k8s.io/apimachinery names the kind, NewForbidden the resource
                "kind": request.kind.kind if response.code == INVALID else request.resource.resource,
                "causes": [
                    {"reason": cause.reason, "message": cause.message, "field": cause.field}
                    for cause in response.causes
                ],
            },
        }
    if response.patch:
        answer["patchType"] = "JSONPatch"
        answer["patch"] = base64.b64encode(_encoder.encode(response.patch)).decode()
    if response.warnings:
        answer["warnings"] = [one_line(text, LONGEST_WARNING) for text in response.warnings]
    if response.audit_annotations:
        answer["auditAnnotations"] = dict(response.audit_annotations)
    return _encoder.encode({"apiVersion": API_VERSION, "kind": KIND, "response": answer})
