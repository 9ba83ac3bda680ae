"""
Read and write the content of the Secret: the trusted authorities, their keys, and the serving pair.

The content of the Secret may be torn, mixed up or written by another program. It is accepted completely or not at all,
and no entry is parsed that is larger than ours can be. Every decision about time rests on the certificates alone.

Source: Secret (core/v1): data holds base64; the type cannot be changed, and an immutable Secret cannot be changed.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from certs.authority import (
    UNREADABLE,
    CertificateError,
    KeyPair,
    is_signed_by,
    issue_serving_pair,
    load_pair,
    make_authority,
    names_of,
)
from certs.bundle import bundle_to_pem, certificates_in, newest_first
from certs.renewal import Lifetimes

CA_CERTIFICATE = "ca.crt"
CA_KEY = "ca.key"
NEXT_KEY = "ca-next.key"
CERTIFICATE = "tls.crt"
KEY = "tls.key"
RETIRED = "retired.crt"
ENTRIES = (CA_CERTIFICATE, CA_KEY, NEXT_KEY, CERTIFICATE, KEY, RETIRED)
REQUIRED = (CA_CERTIFICATE, CERTIFICATE, KEY)

MAX_CERTIFICATES_BYTES = 16 * 1024  # about twenty certificates of ours; parsing hostile PEM can be slow
MAX_KEY_BYTES = 1024  # a P-256 key has 241; checking a large RSA key would take seconds
MAX_AUTHORITIES = 8  # no rotation begins beyond this: every webhook entry carries the whole bundle

ROTATE_ANNOTATION = "eem-guardrail.io/rotate-ca"  # RFC 3339: when the user requested a rotation
_LABELS = {"app.kubernetes.io/name": "eem-guardrail", "app.kubernetes.io/managed-by": "eem-guardrail"}

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True, kw_only=True)  # without slots, for the cached properties
class Material:
    """
    The content of the Secret.

    Args:
        bundle: the trusted authorities, newest first.
        signer: the authority that signs. None if its key is missing; a rotation ends that.
        successor: the authority that is trusted but does not sign yet. None outside a rotation.
        leaf: the serving pair.
        retired: the last serving certificate of each authority that no longer signs.
    """

    bundle: tuple[x509.Certificate, ...]
    signer: KeyPair | None
    leaf: KeyPair
    successor: KeyPair | None = None
    retired: tuple[x509.Certificate, ...] = ()

    @cached_property
    def bundle_pem(self) -> bytes:
        """The bundle as PEM."""
        return bundle_to_pem(self.bundle)

    @cached_property
    def leaf_authority(self) -> x509.Certificate | None:
        """The authority of the bundle that signed the serving certificate. None if none of them did."""
        return authority_of(self.leaf.certificate, self.bundle)

    def entries(self) -> dict[str, bytes]:
        """Return the entries of the Secret. An entry without content is left out."""
        found = {CA_CERTIFICATE: self.bundle_pem, CERTIFICATE: self.leaf.certificate_pem(), KEY: self.leaf.key_pem()}
        if self.signer is not None:
            found[CA_KEY] = self.signer.key_pem()
        if self.successor is not None:
            found[NEXT_KEY] = self.successor.key_pem()
        if self.retired:
            found[RETIRED] = bundle_to_pem(self.retired)
        return found


def authority_of(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """Return the authority that signed a certificate, or None."""
    return next((each for each in authorities if is_signed_by(certificate, each)), None)


def new_material(names: Iterable[str], *, now: datetime, lifetimes: Lifetimes) -> Material:
    """
    Return a new authority and its first serving pair.

    Raises:
        CertificateError: a name is neither a DNS name nor an IP address.
    """
    signer = make_authority(now=now, lifetime=lifetimes.ca, backdate=lifetimes.backdate)
    leaf = issue_serving_pair(signer, names=names, now=now, lifetime=lifetimes.leaf, backdate=lifetimes.backdate)
    return Material(bundle=(signer.certificate,), signer=signer, leaf=leaf)


def read_material(entries: Mapping[str, bytes]) -> Material:
    """
    Parse entries that must all belong together.

    Raises:
        CertificateError: names the entry that is wrong, and the reason.
    """
    material = read_parts(entries)
    if material.leaf_authority is None:
        raise CertificateError(f"{CERTIFICATE} is not signed by a CA of {CA_CERTIFICATE}")
    return material


def read_parts(entries: Mapping[str, bytes]) -> Material:
    """
    Parse entries whose serving certificate may come from an authority outside the bundle.

    Raises:
        CertificateError: names the entry that is wrong, and the reason.
    """
    for entry in REQUIRED:
        if not entries.get(entry):
            raise CertificateError(f"{entry} is missing or empty")
    for entry in ENTRIES:
        if len(entries.get(entry, b"")) > _max_bytes(entry):
            raise CertificateError(f"{entry} has more than {_max_bytes(entry)} bytes")
    bundle = newest_first(_certificates(CA_CERTIFICATE, entries[CA_CERTIFICATE]))
    _parsed(CA_CERTIFICATE, lambda: [each.subject for each in bundle])  # fails now, not where it is logged
    signer = _authority(CA_KEY, entries, bundle)
    successor = _authority(NEXT_KEY, entries, bundle)
    if signer is not None and successor is not None and signer.certificate == successor.certificate:
        raise CertificateError(f"{NEXT_KEY} is the same as {CA_KEY}")
    leaf = _parsed(CERTIFICATE, lambda: load_pair(entries[CERTIFICATE], entries[KEY]))
    _parsed(CERTIFICATE, lambda: names_of(leaf.certificate))
    retired = _certificates(RETIRED, entries[RETIRED]) if entries.get(RETIRED) else ()
    return Material(bundle=bundle, signer=signer, successor=successor, leaf=leaf, retired=retired)


def entries_of(secret: Mapping[str, Any]) -> dict[str, bytes]:
    """
    Decode our entries of a Secret, none of which may be larger than ours can be.

    Raises:
        CertificateError: names the entry that is not base64, too large or not a string.
    """
    data = secret.get("data")
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise CertificateError("data is not a mapping")
    return {entry: _decoded(entry, data[entry]) for entry in ENTRIES if entry in data}


def material_of(secret: Mapping[str, Any]) -> Material:
    """
    Parse the content of a Secret.

    Raises:
        CertificateError: names the entry that is wrong, and the reason.
    """
    return read_material(entries_of(secret))


def new_secret(namespace: str, name: str, material: Material) -> dict[str, Any]:
    """Return the Secret to create."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(_LABELS)},
        "type": "Opaque",
        "data": _encoded(material),
    }


def changed_secret(secret: Mapping[str, Any], material: Material) -> dict[str, Any]:
    """
    Return the Secret with our entries replaced. Everything else is kept, above all its resourceVersion.

    The request for a rotation is kept too; `without_request` removes it.
    """
    data = secret.get("data")
    others = {key: value for key, value in data.items() if key not in ENTRIES} if isinstance(data, Mapping) else {}
    changed = {key: value for key, value in secret.items() if key != "stringData"}
    return {**changed, "apiVersion": "v1", "kind": "Secret", "data": {**others, **_encoded(material)}}


def requested_rotation(secret: Mapping[str, Any]) -> datetime | None:
    """Return when the user requested a rotation. None if there is no request, or it is not in RFC 3339."""
    value = _annotations(secret).get(ROTATE_ANNOTATION)
    if not isinstance(value, str):
        return None
    try:
        requested = datetime.fromisoformat(value)
    except ValueError:
        return None
    return requested if requested.tzinfo is not None else None


def without_request(secret: Mapping[str, Any]) -> dict[str, Any]:
    """Return the Secret without the request for a rotation."""
    annotations = {key: value for key, value in _annotations(secret).items() if key != ROTATE_ANNOTATION}
    return {**secret, "metadata": {**secret.get("metadata", {}), "annotations": annotations}}


def _annotations(secret: Mapping[str, Any]) -> Mapping[str, Any]:
    annotations = secret.get("metadata", {}).get("annotations")
    return annotations if isinstance(annotations, Mapping) else {}


def _encoded(material: Material) -> dict[str, str]:
    return {entry: base64.b64encode(content).decode() for entry, content in material.entries().items()}


def _decoded(entry: str, value: object) -> bytes:
    if not isinstance(value, str):
        raise CertificateError(f"{entry} is not a string")
    limit = _max_bytes(entry)
    if len(value) > 4 * (limit // 3 + 1):  # base64 has four characters for three bytes
        raise CertificateError(f"{entry} has more than {limit} bytes")
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error) as error:
        raise CertificateError(f"{entry} is not base64") from error


def _max_bytes(entry: str) -> int:
    return MAX_KEY_BYTES if entry.endswith(".key") else MAX_CERTIFICATES_BYTES


def _authority(entry: str, entries: Mapping[str, bytes], bundle: tuple[x509.Certificate, ...]) -> KeyPair | None:
    """Return the authority of the bundle to which the key in *entry* belongs."""
    pem = entries.get(entry)
    if not pem:
        return None
    key = _parsed(entry, lambda: serialization.load_pem_private_key(pem, password=None))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{entry} is not an ECDSA key")
    public = key.public_key()
    for certificate in bundle:
        if _parsed(CA_CERTIFICATE, certificate.public_key) == public:
            _require_authority(entry, certificate)
            return KeyPair(certificate=certificate, key=key)
    raise CertificateError(f"{entry} belongs to no certificate of {CA_CERTIFICATE}")


def _require_authority(entry: str, certificate: x509.Certificate) -> None:
    """Reject an authority that verifiers would reject at the first handshake."""

    def parse() -> bool:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return constraints.ca

    try:
        is_authority = _parsed(CA_CERTIFICATE, parse)
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        raise CertificateError(f"the certificate of {entry} is not a CA certificate")


def _certificates(entry: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    return _parsed(entry, lambda: certificates_in(pem))


def _parsed(entry: str, parse: Callable[[], _Parsed]) -> _Parsed:
    """Return what *parse* returns, and turn whatever it raises into a CertificateError that quotes no part of a key."""
    try:
        return parse()
    except CertificateError:
        raise
    except UNREADABLE as error:
        raise CertificateError(f"{entry} cannot be read: {error}") from error
