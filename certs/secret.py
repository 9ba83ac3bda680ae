"""
Read and write the API object Secret: base64 around our entries, and everything else left as it was.

Source: Secret (core/v1): data holds base64; type cannot be changed, nor an immutable Secret.
"""

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from certs.authority import CertificateError
from certs.material import ENTRIES, Material, max_bytes, read_material

ROTATE_ANNOTATION = "eem-guardrail.io/rotate-ca"  # RFC 3339: when a person asked for a new authority
_LABELS = {"app.kubernetes.io/name": "eem-guardrail", "app.kubernetes.io/managed-by": "eem-guardrail"}


def entries_of(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """
    Read our entries of a Secret; none is decoded that is larger than ours can be.

    Raises:
        CertificateError: says which is no base64, too large, or no text.
    """
    data = secret.get("data")
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise CertificateError("data is not a mapping")
    return {entry: _decoded(entry, data[entry]) for entry in ENTRIES if entry in data}


def material_of(secret: Mapping[str, Any]) -> Material:
    """
    Read what a Secret holds.

    Raises:
        CertificateError: says which entry is wrong and why.
    """
    return read_material(entries_of(secret))


def new_secret(namespace: str, name: str, material: Material) -> dict[str, Any]:
    """Give the Secret to be created."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(_LABELS)},
        "type": "Opaque",
        "data": _encoded(material),
    }


def changed_secret(secret: Mapping[str, Any], material: Material) -> dict[str, Any]:
    """
    Give the Secret as it should be instead: our entries replaced, all else kept, above all its resourceVersion.

    A request for a rotation that stands in it is kept too; `without_request` takes it out.
    """
    data = secret.get("data")
    others = {key: value for key, value in data.items() if key not in ENTRIES} if isinstance(data, Mapping) else {}
    changed = {key: value for key, value in secret.items() if key != "stringData"}
    return {**changed, "apiVersion": "v1", "kind": "Secret", "data": {**others, **_encoded(material)}}


def requested_rotation(secret: Mapping[str, Any]) -> datetime | None:
    """Say when a rotation was asked for; None where it was not, or not in RFC 3339."""
    value = _annotations(secret).get(ROTATE_ANNOTATION)
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def with_request(secret: Mapping[str, Any], moment: datetime) -> dict[str, Any]:
    """Give the Secret with a request for a rotation."""
    return _annotated(secret, {**_annotations(secret), ROTATE_ANNOTATION: moment.isoformat()})


def without_request(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Give the Secret without the request that has been honoured."""
    return _annotated(secret, {key: value for key, value in _annotations(secret).items() if key != ROTATE_ANNOTATION})


def _annotated(secret: Mapping[str, Any], annotations: Mapping[str, Any]) -> dict[str, Any]:
    return {**secret, "metadata": {**secret.get("metadata", {}), "annotations": dict(annotations)}}


def _annotations(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    annotations = secret.get("metadata", {}).get("annotations")
    return annotations if isinstance(annotations, Mapping) else {}


def _encoded(material: Material) -> dict[str, str]:
    return {entry: base64.b64encode(content).decode() for entry, content in material.entries().items()}


def _decoded(entry: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise CertificateError(f"{entry} is not text")
    most = max_bytes(entry)
    if len(value) > 4 * (most // 3 + 1):  # base64 has four characters for three bytes
        raise CertificateError(f"{entry} has more than {most} bytes")
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise CertificateError(f"{entry} is not base64") from error
