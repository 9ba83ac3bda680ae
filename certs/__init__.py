"""
Make, renew and bundle the certificates that the API server trusts the guard by.

`authority`, `renewal` and `bundle` are pure: time is an argument and nothing is read or written. `files` and `cli`
put them to work on a directory. Nothing here knows the service that uses the certificates.
"""

from certs.authority import (
    BACKDATE,
    CA_LIFETIME,
    LEAF_LIFETIME,
    CertificateError,
    KeyPair,
    issue_serving_pair,
    load_pair,
    make_authority,
    service_names,
)
from certs.bundle import bundle_from_pem, bundle_to_pem, make_bundle
from certs.renewal import needs_renewal, renewal_time

__all__ = [
    "BACKDATE",
    "CA_LIFETIME",
    "LEAF_LIFETIME",
    "CertificateError",
    "KeyPair",
    "bundle_from_pem",
    "bundle_to_pem",
    "issue_serving_pair",
    "load_pair",
    "make_authority",
    "make_bundle",
    "needs_renewal",
    "renewal_time",
    "service_names",
]
