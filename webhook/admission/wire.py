"""The AdmissionReview as it stands on the wire, in the API's own camelCase. Source: k8s.io/api/admission/v1."""

from typing import Any

import msgspec


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


class WireRequest(msgspec.Struct, rename="camel"):
    """admission.k8s.io/v1 AdmissionRequest, as far as it is looked at."""

    uid: str
    kind: WireGroupVersionKind
    resource: WireGroupVersionResource
    operation: str
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None
    user_info: WireUserInfo | None = None
    object: dict[str, Any] | None = None
    old_object: dict[str, Any] | None = None
    dry_run: bool | None = None


class WireReview(msgspec.Struct, rename="camel"):
    """admission.k8s.io/v1 AdmissionReview, as the API server sends it."""

    api_version: str
    kind: str
    request: WireRequest | None = None
