"""The AdmissionReview as it stands on the wire, in the API's own camelCase. Source: k8s.io/api/admission/v1."""

from typing import Any, Generic, TypeVar

import msgspec

ObjectT = TypeVar("ObjectT")
"""What the objects of a review are read as."""


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
    """authentication.k8s.io/v1 UserInfo; `extra` is not looked at."""

    username: str = ""
    groups: list[str] | None = None


class WirePolicyMetadata(msgspec.Struct, rename="camel"):
    """
    metav1.ObjectMeta of a NetworkPolicy, as far as it is looked at.

    The rest, above all `managedFields`, is most of a review's bytes; to pass over it takes a quarter of the time.
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
    """networking.k8s.io/v1 NetworkPolicy, as far as it is looked at."""

    api_version: Any = msgspec.UNSET
    kind: Any = msgspec.UNSET
    metadata: WirePolicyMetadata | msgspec.UnsetType = msgspec.UNSET
    spec: Any = msgspec.UNSET


class WireRequest(msgspec.Struct, Generic[ObjectT], rename="camel"):
    """admission.k8s.io/v1 AdmissionRequest, as far as it is looked at."""

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
    """admission.k8s.io/v1 AdmissionReview, as the API server sends it."""

    api_version: str
    kind: str
    request: WireRequest[ObjectT] | None = None
