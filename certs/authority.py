"""
Make a certificate authority and the serving certificates that it signs.

Everything is ECDSA on P-256: a handshake costs half of what RSA-2048 costs, and every API server speaks it. Time is
an argument; the only thing taken from outside is the operating system's randomness, for keys and serial numbers.

Source: RFC 5280, sections 4.1 and 4.2 (profile); RFC 6125 (names are in subjectAltName, never in the subject).
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CA_LIFETIME = timedelta(days=365)  # long enough that trust changes once a year, short enough that changing is practised
LEAF_LIFETIME = timedelta(days=7)  # a stolen serving key is worthless within a week
BACKDATE = timedelta(hours=1)  # clocks of nodes and API servers differ; nobody's is an hour behind for long
MAX_DNS_NAME = 253  # characters; RFC 1035 section 2.3.4, without the root's dot
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

# What cryptography raises over bytes that are no certificate or no key, not all of it a ValueError. Some of it comes
# late: a certificate is taken apart when its parts are asked for.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)


class CertificateError(ValueError):
    """Tell that a certificate or key cannot be made, read or used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A certificate and the private key that belongs to it."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        """Give the certificate as PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """Give the private key as unencrypted PKCS#8 PEM."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def load_pair(certificate_pem: bytes, key_pem: bytes) -> KeyPair:
    """
    Read a pair from PEM; of several certificates the first is the pair's own.

    Raises:
        CertificateError: either is unreadable, the key is not ECDSA, or they do not belong together.
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
    Name a Service as it is called inside the cluster; the API server uses the longest of the three.

    Source: k8s.io/apiserver pkg/util/webhook (server name `<service>.<namespace>.svc`).
    """
    return (service, f"{service}.{namespace}", f"{service}.{namespace}.svc")


def make_authority(*, now: datetime, lifetime: timedelta = CA_LIFETIME, backdate: timedelta = BACKDATE) -> KeyPair:
    """
    Make a self-signed authority that may sign serving certificates and nothing else.

    Its validity begins *backdate* before *now*.

    Every authority gets a subject of its own, so that a bundle of an old and a new one never leaves a verifier to
    guess between two of the same name.

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
    Sign a serving certificate for the given DNS names and IP addresses, with a new key.

    It never outlives the authority, nor begins before it.

    Raises:
        CertificateError: no name, a name that is neither DNS nor IP, or an authority that is not valid at `now` or has
            no subject key identifier.
    Source: RFC 5280 4.2.1.6 (subjectAltName), 4.2.1.12 (serverAuth), 4.2.1.1 (authorityKeyIdentifier).
    """
    _require_positive(lifetime)
    start = _whole_seconds(now)
    ca = authority.certificate
    if not ca.not_valid_before_utc <= start < ca.not_valid_after_utc:
        raise CertificateError(f"the authority is not valid at {start.isoformat()}")
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
    """List the DNS names and IP addresses that a certificate is for, as text."""
    try:
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    dns = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return (*dns, *(str(address) for address in addresses))


def covers(certificate: x509.Certificate, names: Iterable[str]) -> bool:
    """
    Say whether a certificate is for all of these names, as `issue_serving_pair` would write them.

    Raises:
        CertificateError: there is no name, or one is neither DNS nor IP.
    """
    wanted = {_plain(name) for name in _alternative_names(names)}
    return wanted <= set(names_of(certificate))


def is_signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Say whether *authority* issued and signed *certificate*."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def fingerprint(certificate: x509.Certificate) -> str:
    """Give what tells this certificate from every other: its SHA-256, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _plain(name: x509.GeneralName) -> str:
    return str(name.value)


def _identifier_of(authority: x509.Certificate) -> x509.SubjectKeyIdentifier:
    try:
        return authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound as error:
        raise CertificateError("the authority has no subject key identifier") from error


def _alternative_names(names: Iterable[str]) -> list[x509.GeneralName]:
    distinct = dict.fromkeys(name.lower() for name in names)
    if not distinct:
        raise CertificateError("a serving certificate needs at least one name")
    return [_general_name(name) for name in distinct]


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass  # not an address, so it must be a DNS name
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
    """Bring a time to UTC and to the whole seconds that X.509 can hold."""
    if now.tzinfo is None:
        raise CertificateError("the time has no time zone")
    return now.astimezone(UTC).replace(microsecond=0)


def _require_positive(lifetime: timedelta) -> None:
    if lifetime <= timedelta(0):
        raise CertificateError("the lifetime must be positive")
