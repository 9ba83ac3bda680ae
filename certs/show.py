"""Tell people what an installation holds: who is trusted, who signs, what is served, and when each is due."""

from datetime import datetime

from cryptography import x509

from certs.authority import fingerprint, names_of
from certs.material import Material
from certs.renewal import Lifetimes, authority_due, leaf_due
from certs.rotation import phase


def describe(material: Material, *, now: datetime, lifetimes: Lifetimes) -> str:
    """Give everything, newest authority first, as text that ends with a line break."""
    parts = [
        _described(f"authority{_part(material, each)}", each, authority_due(each, lifetimes))
        for each in material.bundle
    ]
    leaf = material.leaf.certificate
    parts.append(_described("serving", leaf, leaf_due(leaf, lifetimes)))
    parts.append(f"rotation: {phase(material, now)}\n")
    return "".join(parts)


def problems(material: Material, now: datetime) -> tuple[str, ...]:
    """List what is not in order."""
    authority = ("authority's", material.signer.certificate if material.signer is not None else None)
    found = [
        f"the {what} certificate is not valid now"
        for what, each in (authority, ("serving", material.leaf.certificate))
        if each is not None and not each.not_valid_before_utc <= now < each.not_valid_after_utc
    ]
    if material.signer is None:
        found.append("the key of the authority is not there")
    if material.leaf_authority is None:
        found.append("the serving certificate is not signed by the authority")
    return tuple(found)


def _part(material: Material, authority: x509.Certificate) -> str:
    """Say what an authority of the bundle is there for."""
    if material.signer is not None and authority == material.signer.certificate:
        return " (signs)"
    if material.successor is not None and authority == material.successor.certificate:
        return " (signs next)"
    return " (signs no more)"


def _described(what: str, certificate: x509.Certificate, due: datetime) -> str:
    lines = [
        f"{what}: {certificate.subject.rfc4514_string()}",
        f"  names:       {', '.join(names_of(certificate)) or '-'}",
        f"  not before:  {moment(certificate.not_valid_before_utc)}",
        f"  renewal due: {moment(due)}",
        f"  not after:   {moment(certificate.not_valid_after_utc)}",
        f"  sha-256:     {fingerprint(certificate)}",
    ]
    return "\n".join(lines) + "\n"


def moment(when: datetime) -> str:
    """Write a time as RFC 3339, to the second."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
