"""The authority and its certificates, as three independent verifiers see them."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from certificate_builders import NAMES, NOW, authority, openssl, pair
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.authority import (
    CertificateError,
    KeyPair,
    issue_serving_pair,
    load_pair,
    make_authority,
    names_of,
    service_names,
)


def extension(certificate: x509.Certificate, kind: type) -> x509.Extension:
    return certificate.extensions.get_extension_for_class(kind)


def test_authority_has_the_profile_of_rfc_5280() -> None:
    """An authority may sign certificates but no other authority, and both extensions are critical."""
    certificate = authority().certificate
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)

    assert certificate.version is x509.Version.v3
    assert (constraints.critical, constraints.value.ca, constraints.value.path_length) == (True, True, 0)
    assert (usage.critical, usage.value.key_cert_sign, usage.value.crl_sign) == (True, True, True)
    assert usage.value.digital_signature is False
    assert (
        extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier
        == extension(certificate, x509.SubjectKeyIdentifier).value.digest
    )
    assert isinstance(certificate.signature_hash_algorithm, hashes.SHA256)
    assert isinstance(certificate.public_key().curve, ec.SECP256R1)


def test_serving_certificate_has_the_profile_of_rfc_5280() -> None:
    """A serving certificate is not an authority, is for servers only, and names the key of its issuer."""
    ca = authority()
    certificate = pair(ca).certificate
    constraints = extension(certificate, x509.BasicConstraints)
    usage = extension(certificate, x509.KeyUsage)

    assert (constraints.critical, constraints.value.ca) == (True, False)
    assert (usage.critical, usage.value.digital_signature, usage.value.key_cert_sign) == (True, True, False)
    assert usage.value.key_encipherment is False
    assert list(extension(certificate, x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert (
        extension(certificate, x509.AuthorityKeyIdentifier).value.key_identifier
        == extension(ca.certificate, x509.SubjectKeyIdentifier).value.digest
    )
    assert len(list(certificate.extensions)) == 6


def test_serving_certificate_has_each_name_once_as_subject_alternative_name() -> None:
    """Every name is a subjectAltName of the right type. A name that is given twice appears once."""
    names = (*service_names("guard", "shop"), "LOCALHOST", "localhost", "127.0.0.1", "::1")
    certificate = pair(authority(), names=names).certificate
    alternatives = extension(certificate, x509.SubjectAlternativeName).value

    assert alternatives.get_values_for_type(x509.DNSName) == [
        "guard",
        "guard.shop",
        "guard.shop.svc",
        "localhost",
    ]
    assert alternatives.get_values_for_type(x509.IPAddress) == [
        ipaddress.ip_address("127.0.0.1"),
        ipaddress.ip_address("::1"),
    ]
    assert names_of(certificate) == ("guard", "guard.shop", "guard.shop.svc", "localhost", "127.0.0.1", "::1")


def test_authority_has_no_names() -> None:
    """An authority is not a certificate for a server."""
    assert names_of(authority().certificate) == ()


def test_default_lifetimes_are_a_year_and_a_week() -> None:
    """An authority is valid for 365 days, a serving certificate for 7. Both begin an hour before they are made."""
    ca = make_authority(now=NOW)
    leaf = issue_serving_pair(ca, names=NAMES, now=NOW)

    assert ca.certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert ca.certificate.not_valid_after_utc == NOW + timedelta(days=365)
    assert leaf.certificate.not_valid_before_utc == NOW - timedelta(hours=1)
    assert leaf.certificate.not_valid_after_utc == NOW + timedelta(days=7)


def test_validity_of_a_serving_certificate_lies_within_its_authority() -> None:
    """It begins no earlier and ends no later than the validity of the authority."""
    ca = authority(days=10)
    early = pair(ca, now=NOW - timedelta(minutes=30)).certificate
    late = pair(ca, now=NOW + timedelta(days=9)).certificate

    assert early.not_valid_before_utc == ca.certificate.not_valid_before_utc
    assert late.not_valid_after_utc == ca.certificate.not_valid_after_utc


def test_serial_numbers_are_positive_random_and_fit_twenty_octets() -> None:
    """All serial numbers differ, and each has at least 64 random bits."""
    ca = authority()
    serials = {pair(ca).certificate.serial_number for _ in range(50)}

    assert len(serials) == 50
    assert all(0 < serial < 2**159 for serial in serials)
    assert max(serials).bit_length() > 64


def test_two_authorities_differ_in_subject_and_key() -> None:
    """A verifier with both in its bundle can tell them apart by name."""
    first, second = authority(), authority()

    assert first.certificate.subject != second.certificate.subject
    assert first.certificate.public_key() != second.certificate.public_key()


def test_time_may_be_given_in_any_time_zone() -> None:
    """The time is converted to UTC. Fractions of a second are dropped."""
    elsewhere = (NOW + timedelta(microseconds=999_999)).astimezone(timezone(timedelta(hours=5)))

    assert make_authority(now=elsewhere).certificate.not_valid_after_utc == NOW + timedelta(days=365)


def test_validity_may_end_after_2050() -> None:
    """X.509 requires a different time format for years after 2049."""
    then = datetime(2055, 1, 1, tzinfo=UTC)

    assert make_authority(now=then).certificate.not_valid_after_utc.year == 2056


def test_cryptography_verifies_the_chain() -> None:
    """First verifier: the path validation of cryptography, by DNS name and by IP address."""
    ca = authority()
    leaf = pair(ca, names=(*NAMES, "10.0.0.1"))
    builder = PolicyBuilder().store(Store([ca.certificate])).time(NOW)

    for subject in (x509.DNSName(NAMES[2]), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))):
        assert builder.build_server_verifier(subject).verify(leaf.certificate, []) == [
            leaf.certificate,
            ca.certificate,
        ]
    with pytest.raises(VerificationError):
        builder.build_server_verifier(x509.DNSName("other.guard.svc")).verify(leaf.certificate, [])


def test_openssl_verifies_the_chain_strictly(tmp_path: Path) -> None:
    """Second verifier: openssl with all strict checks. It rejects the chain for a different authority."""
    ca = authority(now=datetime.now(UTC))
    leaf = pair(ca, now=datetime.now(UTC))
    (tmp_path / "ca.crt").write_bytes(ca.certificate_pem())
    (tmp_path / "other.crt").write_bytes(authority(now=datetime.now(UTC)).certificate_pem())
    (tmp_path / "tls.crt").write_bytes(leaf.certificate_pem())
    strict = ("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", NAMES[2], "-CAfile")

    good = openssl(*strict, tmp_path / "ca.crt", tmp_path / "tls.crt")
    bad = openssl(*strict, tmp_path / "other.crt", tmp_path / "tls.crt")

    assert (good.returncode, good.stderr) == (0, "")
    assert bad.returncode != 0


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_tls_handshake_succeeds(tmp_path: Path, version: ssl.TLSVersion) -> None:
    """Third verifier: a TLS handshake in which the client checks the name and the chain."""
    ca = authority(now=datetime.now(UTC))
    leaf = pair(ca, now=datetime.now(UTC))
    (tmp_path / "pair.pem").write_bytes(leaf.certificate_pem() + leaf.key_pem())
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(tmp_path / "pair.pem")
    client_context = ssl.create_default_context(cadata=ca.certificate_pem().decode())
    client_context.verify_flags |= ssl.VERIFY_X509_STRICT
    client_context.minimum_version = client_context.maximum_version = version
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname=NAMES[2])
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    unfinished = [client, server]
    while unfinished:
        for side in tuple(unfinished):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            unfinished.remove(side)

    assert client.getpeercert(binary_form=True) == leaf.certificate.public_bytes(serialization.Encoding.DER)


def test_a_pair_is_unchanged_after_pem_encoding() -> None:
    """A pair that is written as PEM and parsed again is the same pair."""
    made = pair(authority())
    read = load_pair(made.certificate_pem(), made.key_pem())

    assert read.certificate == made.certificate
    assert read.key.private_numbers() == made.key.private_numbers()
    assert b"BEGIN PRIVATE KEY" in made.key_pem()


def rsa_key_pem() -> bytes:
    return rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def encrypted_key_pem() -> bytes:
    return pair(authority()).key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )


@pytest.mark.parametrize(
    ("certificate_pem", "key_pem", "message"),
    [
        pytest.param(b"", None, "cannot be read", id="no certificate"),
        pytest.param(None, b"", "cannot be read", id="no key"),
        pytest.param(None, encrypted_key_pem(), "cannot be read", id="an encrypted key"),
        pytest.param(None, rsa_key_pem(), "not an ECDSA key", id="an RSA key"),
        pytest.param(None, pair(authority()).key_pem(), "does not belong", id="the key of a different pair"),
    ],
)
def test_an_invalid_pair_is_rejected(certificate_pem: bytes | None, key_pem: bytes | None, message: str) -> None:
    """The error says why the pair cannot be used."""
    made = pair(authority())
    certificate_pem = made.certificate_pem() if certificate_pem is None else certificate_pem
    key_pem = made.key_pem() if key_pem is None else key_pem

    with pytest.raises(CertificateError, match=message):
        load_pair(certificate_pem, key_pem)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "under_score",
        "-dash",
        "dash-",
        "a..b",
        "*.wild",
        "ü.example",
        "a" * 64,
        "line\nbreak",
        ".".join(["ab"] * 90),
    ],
)
def test_an_invalid_name_is_rejected(name: str) -> None:
    """A name that is neither a DNS name nor an IP address is an error."""
    with pytest.raises(CertificateError, match="neither a DNS name nor an IP address"):
        pair(authority(), names=(*NAMES, name))


def test_a_serving_certificate_without_names_is_rejected() -> None:
    """A serving certificate needs at least one name."""
    with pytest.raises(CertificateError, match="at least one name"):
        pair(authority(), names=())


@pytest.mark.parametrize("offset", [timedelta(days=-1), timedelta(days=365)])
def test_an_authority_that_is_not_valid_cannot_sign(offset: timedelta) -> None:
    """An authority signs neither before its validity begins nor after it ends."""
    with pytest.raises(CertificateError, match="not valid at"):
        pair(authority(), now=NOW + offset)


def test_a_time_without_time_zone_is_rejected() -> None:
    """A time without a time zone is ambiguous."""
    with pytest.raises(CertificateError, match="time zone"):
        make_authority(now=NOW.replace(tzinfo=None))


def test_a_lifetime_must_be_positive() -> None:
    """A certificate that would never be valid is an error."""
    with pytest.raises(CertificateError, match="lifetime"):
        authority(days=0)
    with pytest.raises(CertificateError, match="lifetime"):
        pair(authority(), days=-1)


def test_an_authority_without_key_identifier_cannot_sign() -> None:
    """Strict verifiers cannot build a chain to such an authority. Signing fails, instead of the first handshake."""
    made = authority()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "foreign")])
    foreign = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(made.key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=1))
        .sign(made.key, hashes.SHA256())
    )

    with pytest.raises(CertificateError, match="subject key identifier"):
        pair(KeyPair(certificate=foreign, key=made.key))
