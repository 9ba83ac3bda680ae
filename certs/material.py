"""
Say what the Secret holds: the authorities that are trusted, the keys of those that sign, the pair that is served.

Whatever comes from the Secret was perhaps torn, mixed up or put there by somebody: it is read whole or not at all, and
nothing is read that is larger than anything of ours. All that decides about time stands in the certificates.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

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

MAX_CERTIFICATES_BYTES = 16 * 1024  # some twenty certificates of ours; reading hostile PEM can be slow
MAX_KEY_BYTES = 1024  # a P-256 key has 241; checking a large RSA key would take seconds
MAX_AUTHORITIES = 8  # no rotation begins beyond: the bundle goes into every webhook entry

_Read = TypeVar("_Read")


def max_bytes(entry: str) -> int:
    """Give the size up to which an entry is read."""
    return MAX_KEY_BYTES if entry.endswith(".key") else MAX_CERTIFICATES_BYTES


@dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """
    Everything in the Secret that is ours.

    Args:
        bundle: the authorities to be trusted, newest first.
        signer: the authority that signs; None where its key is not there, which ends with a rotation.
        successor: the authority that is trusted but does not sign yet; None outside a rotation.
        leaf: the serving pair.
        retired: the last serving certificate of each authority that signs no more.
    """

    bundle: tuple[x509.Certificate, ...]
    signer: KeyPair | None
    leaf: KeyPair
    successor: KeyPair | None = None
    retired: tuple[x509.Certificate, ...] = ()

    @property
    def bundle_pem(self) -> bytes:
        """What every caller must trust, as PEM."""
        return bundle_to_pem(self.bundle)

    @property
    def leaf_authority(self) -> x509.Certificate | None:
        """The authority of the bundle that signed the serving certificate; None where none did."""
        return authority_of(self.leaf.certificate, self.bundle)

    def entries(self) -> dict[str, bytes]:
        """Give the Secret's entries; one that is not needed is missing."""
        found = {CA_CERTIFICATE: self.bundle_pem, CERTIFICATE: self.leaf.certificate_pem(), KEY: self.leaf.key_pem()}
        if self.signer is not None:
            found[CA_KEY] = self.signer.key_pem()
        if self.successor is not None:
            found[NEXT_KEY] = self.successor.key_pem()
        if self.retired:
            found[RETIRED] = bundle_to_pem(self.retired)
        return found


def authority_of(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> x509.Certificate | None:
    """Find the authority that signed a certificate."""
    return next((each for each in authorities if is_signed_by(certificate, each)), None)


def new_material(names: Iterable[str], *, now: datetime, lifetimes: Lifetimes) -> Material:
    """
    Make an authority and its first serving pair.

    Raises:
        CertificateError: a name is neither DNS nor IP.
    """
    signer = make_authority(now=now, lifetime=lifetimes.ca, backdate=lifetimes.backdate)
    leaf = issue_serving_pair(signer, names=names, now=now, lifetime=lifetimes.leaf, backdate=lifetimes.backdate)
    return Material(bundle=(signer.certificate,), signer=signer, leaf=leaf)


def read_material(entries: Mapping[str, bytes]) -> Material:
    """
    Read entries, and check that all of them belong together.

    Raises:
        CertificateError: says which entry is wrong and why.
    """
    material = read_parts(entries)
    if material.leaf_authority is None:
        raise CertificateError(f"{CERTIFICATE} is not signed by an authority of {CA_CERTIFICATE}")
    return material


def read_parts(entries: Mapping[str, bytes]) -> Material:
    """
    Read entries whose serving certificate may be from an authority that is not in the bundle.

    Raises:
        CertificateError: says which entry is wrong and why.
    """
    for entry in REQUIRED:
        if not entries.get(entry):
            raise CertificateError(f"{entry} is missing or empty")
    for entry in ENTRIES:
        if len(entries.get(entry, b"")) > max_bytes(entry):
            raise CertificateError(f"{entry} has more than {max_bytes(entry)} bytes")
    bundle = newest_first(_certificates(CA_CERTIFICATE, entries[CA_CERTIFICATE]))
    _reading(CA_CERTIFICATE, lambda: [each.subject for each in bundle])  # whoever is named later can be
    signer = _authority(CA_KEY, entries, bundle)
    successor = _authority(NEXT_KEY, entries, bundle)
    if signer is not None and successor is not None and signer.certificate == successor.certificate:
        raise CertificateError(f"{NEXT_KEY} is the same as {CA_KEY}")
    leaf = _reading(CERTIFICATE, lambda: load_pair(entries[CERTIFICATE], entries[KEY]))
    _reading(CERTIFICATE, lambda: names_of(leaf.certificate))
    retired = _certificates(RETIRED, entries[RETIRED]) if entries.get(RETIRED) else ()
    return Material(bundle=bundle, signer=signer, successor=successor, leaf=leaf, retired=retired)


def _authority(entry: str, entries: Mapping[str, bytes], bundle: tuple[x509.Certificate, ...]) -> KeyPair | None:
    """Find the authority that a key belongs to."""
    pem = entries.get(entry)
    if not pem:
        return None
    key = _reading(entry, lambda: serialization.load_pem_private_key(pem, password=None))
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{entry} is not an ECDSA key")
    public = key.public_key()
    for certificate in bundle:
        if _reading(CA_CERTIFICATE, certificate.public_key) == public:
            _require_authority(entry, certificate)
            return KeyPair(certificate=certificate, key=key)
    raise CertificateError(f"{entry} belongs to no certificate of {CA_CERTIFICATE}")


def _require_authority(entry: str, certificate: x509.Certificate) -> None:
    """Refuse what verifiers would refuse at the first handshake."""

    def read() -> bool:
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return constraints.ca

    try:
        sound = _reading(CA_CERTIFICATE, read)
    except x509.ExtensionNotFound:
        sound = False
    if not sound:
        raise CertificateError(f"the certificate of {entry} is not an authority")


def _certificates(entry: str, pem: bytes) -> tuple[x509.Certificate, ...]:
    return _reading(entry, lambda: certificates_in(pem))


def _reading(entry: str, read: Callable[[], _Read]) -> _Read:
    """Turn whatever a parser raises into a sentence; it may quote nothing of a key."""
    try:
        return read()
    except CertificateError:
        raise
    except UNREADABLE as error:
        raise CertificateError(f"{entry} cannot be read: {error}") from error
