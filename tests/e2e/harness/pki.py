"""Certificates of the control plane itself; the service brings its own."""

import datetime as dt
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LIFETIME = dt.timedelta(days=1)  # longer than any test run


def write_key(key: ec.EllipticCurvePrivateKey, path: Path) -> None:
    """Write *key* in the form that Go's and OpenSSL's readers share."""
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
    )


def start_certificate(name: str, issuer: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    """Begin a certificate with what every certificate here has."""
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return the key usage extension of RFC 5280, section 4.2.1.3."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def write_pki(folder: Path, names: list[str], addresses: list[str]) -> None:
    """Write an authority, a serving pair for the API server, and the pair that signs service-account tokens."""
    key = ec.generate_private_key(ec.SECP256R1())
    authority = (
        start_certificate("e2e-ca", "e2e-ca", key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.crt").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
    write_key(key, folder / "ca.key")
    sans = [x509.DNSName(name) for name in names] + [x509.IPAddress(ipaddress.ip_address(a)) for a in addresses]
    write_serving_pair(folder, x509.SubjectAlternativeName(sans))
    renew_token_pair(folder)


def write_serving_pair(folder: Path, names: x509.SubjectAlternativeName) -> None:
    """Write apiserver.crt and apiserver.key, by the authority that is in *folder*."""
    ca_key = serialization.load_pem_private_key((folder / "ca.key").read_bytes(), password=None)
    if not isinstance(ca_key, ec.EllipticCurvePrivateKey):
        raise TypeError("ca.key is not ours")
    key = ec.generate_private_key(ec.SECP256R1())
    server = (
        start_certificate("kube-apiserver", "e2e-ca", key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / "apiserver.crt").write_bytes(server.public_bytes(serialization.Encoding.PEM))
    write_key(key, folder / "apiserver.key")


def renew_serving_pair(folder: Path) -> None:
    """Write another serving pair for the names of the one that is there."""
    present = x509.load_pem_x509_certificate((folder / "apiserver.crt").read_bytes())
    write_serving_pair(folder, present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def renew_token_pair(folder: Path) -> None:
    """Write tokens.key and tokens.pub: what an older pair signed is worth nothing then."""
    key = ec.generate_private_key(ec.SECP256R1())
    write_key(key, folder / "tokens.key")
    (folder / "tokens.pub").write_bytes(
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
