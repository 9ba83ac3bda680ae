"""
Make, renew and bundle the certificates that the API server trusts the guard by.

`authority`, `renewal`, `bundle`, `material`, `rotation`, `trust` and `secret` are pure: time is an argument and nothing
is read or written. `keeper` puts them to work on the Secret that all replicas share, through whatever client it is
given; `files`, `kubectl` and `cli` on a directory or by hand. Nothing here knows the service that uses the
certificates.
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
from certs.material import Material, read_material
from certs.renewal import Lifetimes, needs_renewal, renewal_time

__all__ = [
    "BACKDATE",
    "CA_LIFETIME",
    "LEAF_LIFETIME",
    "CertificateError",
    "KeyPair",
    "Lifetimes",
    "Material",
    "bundle_from_pem",
    "bundle_to_pem",
    "issue_serving_pair",
    "load_pair",
    "make_authority",
    "make_bundle",
    "needs_renewal",
    "read_material",
    "renewal_time",
    "service_names",
]
