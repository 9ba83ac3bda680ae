"""
Make a certificate authority (CA) and the serving certificates that it signs.

All keys are ECDSA keys on P-256: a handshake costs half of what it costs with RSA-2048, and every API server supports
them. Time is an argument. The only outside input is the operating system's randomness, for keys and serial numbers.

Source: RFC 5280, sections 4.1 and 4.2 (profile); RFC 6125 (names are in subjectAltName, never in the subject).
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=365)  # it is replaced every eight months: seldom, but often enough to be practised
LEAF_LIFETIME = timedelta(days=7)  # a stolen serving key is useless after a week
BACKDATE = timedelta(hours=1)  # clocks of nodes and API servers differ, but rarely by an hour
MAX_DNS_NAME = 253  # characters; RFC 1035 section 2.3.4, without the dot of the root
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# What cryptography raises for bytes that are not a certificate or a key. Not all of these are a ValueError, and some
# are raised late: cryptography parses the parts of a certificate when they are accessed.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class CertificateError(ValueError):
    """Raised when a certificate or a key cannot be made, read or used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """Return the private key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def load_pair(certificate_pem: bytes, key_pem: bytes) -> KeyPair:
    """
    Parse a pair from PEM. If there are several certificates, the first one is the certificate of the pair.

    Raises:
        CertificateError: one of them is unreadable, the key is not an ECDSA key, or the two do not belong together.
    """
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        key = serialization.load_pem_private_key(key_pem, password=None)
    except UNREADABLE as error:
        raise CertificateError(f"the pair cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError("the private key is not an ECDSA key")
    if certificate.public_key() != key.public_key():
        raise CertificateError("the private key does not belong to the certificate")
    return KeyPair(certificate=certificate, key=key)


def service_names(service: str, namespace: str) -> tuple[str, ...]:
    """
    Return the three DNS names of a Service inside the cluster. The API server uses the longest one.

    Source: k8s.io/apiserver pkg/util/webhook (server name `<service>.<namespace>.svc`).
    """
    return (service, f"{service}.{namespace}", f"{service}.{namespace}.svc")


def make_authority(*, now: datetime, lifetime: timedelta = CA_LIFETIME, backdate: timedelta = BACKDATE) -> KeyPair:
    """
    Return a new self-signed authority that may sign serving certificates and nothing else.

    Its validity begins *backdate* before *now*. Each authority has a different subject: in a bundle of an old and a new
    authority, a verifier can tell them apart by name.

    Source: RFC 5280 4.2.1.9 (basicConstraints critical, pathLenConstraint 0), 4.2.1.3, 4.2.1.2.
    """
    _require_positive(lifetime)
    start = _whole_seconds(now)
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    subject = _name(f"eem-guardrail CA {identifier.digest.hex()[:16]}")
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start - backdate)
        .not_valid_after(start + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(certificate=certificate, key=key)


def issue_serving_pair(
    authority: KeyPair,
    *,
    names: Iterable[str],
    now: datetime,
    lifetime: timedelta = LEAF_LIFETIME,
    backdate: timedelta = BACKDATE,
) -> KeyPair:
    """
    Return a serving certificate for the given DNS names and IP addresses, signed by *authority*, with a new key.

    Its validity lies within the validity of the authority.

    Raises:
        CertificateError: there is no name, a name is neither a DNS name nor an IP address, or the authority is not
            valid at *now* or has no subject key identifier.
    Source: RFC 5280 4.2.1.6 (subjectAltName), 4.2.1.12 (serverAuth), 4.2.1.1 (authorityKeyIdentifier).
    """
    _require_positive(lifetime)
    start = _whole_seconds(now)
    ca = authority.certificate
    if not ca.not_valid_before_utc <= start < ca.not_valid_after_utc:
        raise CertificateError(f"the CA is not valid at {start.isoformat()}")
    alternatives = _alternative_names(names)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(_name("eem-guardrail"))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(start - backdate, ca.not_valid_before_utc))
        .not_valid_after(min(start + lifetime, ca.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(_identifier_of(ca)), critical=False
        )
        .sign(authority.key, hashes.SHA256())
    )
    return KeyPair(certificate=certificate, key=key)


def names_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names and IP addresses of a certificate, as text."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return (*dns, *(str(address) for address in addresses))


def covers(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """
    Whether a certificate is valid for all of these names, in the form in which `issue_serving_pair` writes them.

    Raises:
        CertificateError: there is no name, or a name is neither a DNS name nor an IP address.
    """
    wanted = {str(name.value) for name in _alternative_names(names)}
    return wanted <= set(names_of(certificate))


@lru_cache(maxsize=256)  # verifying a signature costs 60 µs, and a keeper asks about the same few pairs again and again
def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether *authority* issued and signed *certificate*."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def common_name(certificate: x509.Certificate) -> str:
    """Return the subject of a certificate, without the "CN=" of its common name."""
    return certificate.subject.rfc4514_string().removeprefix("CN=")


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 digest of a certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _identifier_of(authority: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as error:
        raise CertificateError("the CA has no subject key identifier") from error


def _alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    distinct = dict.fromkeys(name.lower() for name in names)
    if not distinct:
        raise CertificateError("a serving certificate needs at least one name")
    return [_general_name(name) for name in distinct]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass  # not an IP address: it must be a DNS name
    if len(name) > MAX_DNS_NAME or not all(_DNS_LABEL.fullmatch(label) for label in name.split(".")):
        raise CertificateError(f"{name!r} is neither a DNS name nor an IP address")
    return x509.DNSName(name)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _whole_seconds(now: datetime) -> datetime:
    """Return the time in UTC, without fractions of a second: X.509 has none."""
    if now.tzinfo is None:
        raise CertificateError("the time has no time zone")
    return now.astimezone(UTC).replace(microsecond=0)


def _require_positive(lifetime: timedelta) -> None:
    if lifetime <= timedelta(0):
        raise CertificateError("the lifetime must be positive")
