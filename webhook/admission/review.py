"""
Decode what the API server asks and encode what it is told. The uid is echoed here and nowhere else.

Source: k8s.io/api/admission/v1 and the API server's webhook/request/admissionreview.go.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import msgspec
from msgspec.structs import astuple, fields

from webhook.admission.response import INVALID, AdmissionResponse
from webhook.admission.wire import WirePolicy, WirePolicyMetadata, WireRequest, WireReview
from webhook.eem.resources import NETWORK_POLICIES
from webhook.netpol.faults import Fault
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.reading import shorten

API_VERSION = "admission.k8s.io/v1"
KIND = "AdmissionReview"
OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
BAD_REQUEST = 400

_decoder = msgspec.json.Decoder(WireReview[dict[str, Any]])
_policy_decoder = msgspec.json.Decoder(WireReview[WirePolicy])
_METADATA_FIELDS = tuple(known.encode_name for known in fields(WirePolicyMetadata))
_POLICY_FIELDS = tuple(known.encode_name for known in fields(WirePolicy))
_encoder = msgspec.json.Encoder()

Reading = tuple[NetworkPolicy, tuple[Fault, ...]]
"""What was read of one policy, and its faults."""


class ReviewError(ValueError):
    """
    Tell that a request cannot be read as a review, which is no verdict: the API server applies its failurePolicy.

    Args:
        path: field of the review, `request.uid`.
        problem: what is wrong there.
        status: the HTTP status to answer with: 400, 413 or 415.
    """

    def __init__(self, path: str, problem: str, status: int = BAD_REQUEST) -> None:
        self.path = path
        self.problem = problem
        self.status = status
        super().__init__(f"{path}: {problem}")


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupVersionKind:
    """Which kind of object. Source: metav1.GroupVersionKind."""

    group: str
    version: str
    kind: str


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupVersionResource:
    """Which collection. Source: metav1.GroupVersionResource."""

    group: str
    version: str
    resource: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """What was read beforehand of the policies of a request; None where there is no such object."""

    new: Reading | None
    old: Reading | None


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionRequest:
    """
    One change that somebody asks for.

    Args:
        name: empty for a CREATE with generateName; for a deletecollection it is taken from the old object.
        object: the object as it will be; None for DELETE. Of a NetworkPolicy only what is looked at: `spec`, and of
            `metadata` what WirePolicyMetadata has.
        old_object: the object as it is; None for CREATE.
        readings: both as policies, where that was found out beforehand; it changes no verdict, only who waits for it.
    """

    uid: str
    operation: str
    kind: GroupVersionKind
    resource: GroupVersionResource
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    username: str = ""
    groups: tuple[str, ...] = ()
    object: Mapping[str, Any] | None = None
    old_object: Mapping[str, Any] | None = None
    dry_run: bool = False
    readings: Readings | None = field(default=None, compare=False, repr=False)


def decode_review(body: bytes) -> AdmissionRequest:
    """
    Read an AdmissionReview of version v1.

    Duplicate keys are last-wins, as in the API server.

    Raises:
        ReviewError: it is not one; the message says where.
    """
    if not body.strip():
        raise ReviewError("body", "is empty; an AdmissionReview was expected")
    try:
        review: WireReview[Any] = _policies(body) or _decoder.decode(body)
    except msgspec.ValidationError as error:
        raise ReviewError(*_place(str(error))) from error
    except RecursionError as error:
        raise ReviewError("body", "is nested too deeply") from error
    except ValueError as error:
        raise ReviewError("body", f"is not JSON in UTF-8: {shorten(str(error), 200)}") from error
    if review.api_version != API_VERSION:
        raise ReviewError("apiVersion", f"must be {API_VERSION}, not {shorten(repr(review.api_version))}")
    if review.kind != KIND:
        raise ReviewError("kind", f"must be {KIND}, not {shorten(repr(review.kind))}")
    if review.request is None:
        raise ReviewError("request", "must be set")
    return _request(review.request)


def _policies(body: bytes) -> WireReview[WirePolicy] | None:
    """Read a review of a NetworkPolicy without what nobody looks at; None where it is no such review."""
    try:
        review = _policy_decoder.decode(body)
    except msgspec.ValidationError:  # it may be one of another kind, or a policy that must be read field by field
        return None
    asked = review.request
    if asked is None or (asked.kind.group, asked.kind.kind) != (NETWORK_POLICIES.group, NETWORK_POLICIES.kind):
        return None
    return review


def _mapping(api_object: dict[str, Any] | WirePolicy | None) -> dict[str, Any] | None:
    """Give an object as the mapping that it was on the wire, as far as it was read."""
    if not isinstance(api_object, WirePolicy):
        return api_object
    found = _written(api_object, _POLICY_FIELDS)
    if "metadata" in found:
        found["metadata"] = {**_written(api_object.metadata, _METADATA_FIELDS)}
    return found


def _written(struct: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Give the fields that were there: null is there, and missing is not."""
    return {name: value for name, value in zip(names, astuple(struct), strict=True) if value is not msgspec.UNSET}


def _place(message: str) -> tuple[str, str]:
    """Turn msgspec's "what - at `$.a.b`" into the field's path and the problem."""
    problem, _, place = message.partition(" - at `$")
    return place.rstrip("`").lstrip(".") or "body", shorten(problem, 200)


def _request(wire: WireRequest[Any]) -> AdmissionRequest:
    if not wire.uid:
        raise ReviewError("request.uid", "must be set")
    if wire.operation not in OPERATIONS:
        raise ReviewError("request.operation", f"{shorten(repr(wire.operation))} is not an operation")
    user = wire.user_info
    new, old = _mapping(wire.object), _mapping(wire.old_object)
    return AdmissionRequest(
        uid=wire.uid,
        operation=wire.operation,
        kind=_kind(wire.kind.group, wire.kind.version, wire.kind.kind),
        resource=_resource(wire.resource.group, wire.resource.version, wire.resource.resource),
        sub_resource=wire.sub_resource or "",
        name=wire.name or metadata_text(new or old, "name"),
        namespace=wire.namespace or "",
        username=user.username if user is not None else "",
        groups=tuple(user.groups or ()) if user is not None else (),
        object=new,
        old_object=old,
        dry_run=bool(wire.dry_run),
    )


@lru_cache(maxsize=64)  # the API server asks about a handful of kinds; strangers cannot make it grow
def _kind(group: str, version: str, kind: str) -> GroupVersionKind:
    return GroupVersionKind(group=group, version=version, kind=kind)


@lru_cache(maxsize=64)
def _resource(group: str, version: str, resource: str) -> GroupVersionResource:
    return GroupVersionResource(group=group, version=version, resource=resource)


def metadata_text(api_object: Mapping[str, Any] | None, key: str) -> str:
    """Give one text of an object's metadata; empty where there is none."""
    metadata = (api_object or {}).get("metadata")
    value = metadata.get(key) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) else ""


def encode_review(request: AdmissionRequest, response: AdmissionResponse) -> bytes:
    """Write the answer to *request*, with its uid."""
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
                # kubectl prints it; errors.NewInvalid of k8s.io/apimachinery names the kind, NewForbidden the resource
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
        answer["warnings"] = list(response.warnings)
    if response.audit_annotations:
        answer["auditAnnotations"] = dict(response.audit_annotations)
    return _encoder.encode({"apiVersion": API_VERSION, "kind": KIND, "response": answer})
