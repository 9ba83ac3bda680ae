"""Make certificates that are well-formed DER, and for which cryptography raises late or raises an unusual exception."""

import re
import ssl

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

_VERSION = b"\xa0\x03\x02\x01"
_KEY_IDENTIFIER, _KEY_USAGE = b"\x06\x03\x55\x1d\x0e", b"\x06\x03\x55\x1d\x0f"


def of_version_4(certificate: x509.Certificate) -> bytes:
    """Return the certificate with a version that X.509 does not have."""
    return _pem(_der(certificate).replace(_VERSION + b"\x02", _VERSION + b"\x03", 1))


def with_doubled_extension(certificate: x509.Certificate) -> bytes:
    """Return the certificate with the same extension twice."""
    return _pem(_der(certificate).replace(_KEY_IDENTIFIER, _KEY_USAGE, 1))


def with_odd_subject(certificate: x509.Certificate) -> bytes:
    """Return the certificate with a subject that is not valid UTF-8."""
    return _pem(re.sub(rb"(?<=\x0c.)e", b"\xff", _der(certificate), flags=re.DOTALL))


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def _pem(der: bytes) -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).encode()
