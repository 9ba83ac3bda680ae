"""
Renew the serving pair and rotate the authority step by step, as the user asks, and describe the certificates in words.

Nothing here observes what is published. The user confirms that every webhook configuration trusts the bundle by running
the next step, after the propagation time at the earliest.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from certs.authority import CertificateError, common_name, fingerprint, is_signed_by, names_of
from certs.material import Material
from certs.renewal import Lifetimes, authority_due, created, leaf_due
from certs.rotation import Action, Facts, Step, is_full, next_step, perform


@dataclass(frozen=True, kw_only=True, slots=True)
class ManualResult:
    """
    The result of a command.

    Args:
        material: what to write. None if nothing changes.
        message: what was done and what to do next, in a sentence.
    """

    material: Material | None
    message: str


def renew(material: Material, *, now: datetime, lifetimes: Lifetimes, force: bool) -> ManualResult:
    """
    Return a new serving pair for the same names, if it is due.

    Args:
        force: renew the pair before it is due.

    Raises:
        CertificateError: the key of the authority is missing, or the authority is not valid.
    """
    due = leaf_due(material.leaf.certificate, lifetimes)
    signed = material.signer is not None and material.leaf_authority == material.signer.certificate
    if now < due and signed and not force:
        message = f"the serving certificate is not due for renewal before {_text(due)}; --force renews it now"
        return ManualResult(material=None, message=message)
    renewed = _performed(Action.RENEW, material, _facts(material, now, lifetimes), lifetimes)
    return ManualResult(material=renewed, message="the serving certificate was renewed")


def rotate(material: Material, *, now: datetime, lifetimes: Lifetimes, force: bool) -> ManualResult:
    """
    Return the next step of a rotation: begin it, let the successor sign, or remove the old authority.

    Args:
        force: begin another rotation before the old authority of the last one is removed.

    Raises:
        CertificateError: the bundle is full, or the successor is not valid.
    """
    facts = _facts(material, now, lifetimes)
    if material.successor is not None:
        return _promoted(material, material.successor.certificate, facts, lifetimes)
    if _may_retire(material, facts, lifetimes):
        retired = _performed(Action.RETIRE, material, facts, lifetimes)
        message = "CAs whose serving certificates have all expired were removed from ca.crt; publish it"
        return ManualResult(material=retired, message=message)
    if len(material.bundle) > 1 and not force:
        return ManualResult(material=None, message=f"{phase(material, now)}; --force begins another rotation now")
    if is_full(material):
        raise CertificateError(f"the bundle is full: it has {len(material.bundle)} CAs")
    begun = _performed(Action.BEGIN, material, facts, lifetimes)
    message = "publish ca.crt in every webhook configuration, wait a minute, and run this command again"
    return ManualResult(material=begun, message=message)


def describe(material: Material, *, now: datetime, lifetimes: Lifetimes) -> str:
    """Return all certificates, newest authority first, and the phase of a rotation, as lines of text."""
    parts = [
        _described(f"CA ({_role(material, each)})", each, authority_due(each, lifetimes)) for each in material.bundle
    ]
    leaf = material.leaf.certificate
    parts.append(_described("serving", leaf, leaf_due(leaf, lifetimes)))
    parts.append(f"rotation: {phase(material, now)}\n")
    return "".join(parts)


def phase(material: Material, now: datetime) -> str:
    """Return in words how far a rotation is."""
    signing = [pair.certificate for pair in (material.signer, material.successor) if pair is not None]
    parts = []
    if material.successor is not None:
        parts.append(
            f"{common_name(material.successor.certificate)} signs after every webhook configuration has trusted it for "
            "the propagation time"
        )
    for each in material.bundle:
        if each not in signing:
            leaves = (*material.retired, material.leaf.certificate)
            ends = [leaf.not_valid_after_utc for leaf in leaves if is_signed_by(leaf, each)]
            last = max(ends, default=each.not_valid_after_utc)
            when = f"after {_text(last)}" if last > now else "with the next step"
            parts.append(f"{common_name(each)} leaves the bundle {when}")
    return "; ".join(parts) or "none"


def problems(material: Material, now: datetime) -> tuple[str, ...]:
    """Return what is wrong with the certificates, one sentence for each problem."""
    authority = ("CA", material.signer.certificate if material.signer is not None else None)
    found = [
        f"the {what} certificate is not valid now"
        for what, each in (authority, ("serving", material.leaf.certificate))
        if each is not None and not each.not_valid_before_utc <= now < each.not_valid_after_utc
    ]
    if material.signer is None:
        found.append("the key of the CA is missing")
    if material.leaf_authority is None:
        found.append("the serving certificate is not signed by a CA of the bundle")
    return tuple(found)


def _promoted(material: Material, successor: x509.Certificate, facts: Facts, lifetimes: Lifetimes) -> ManualResult:
    ready = created(successor, lifetimes) + timedelta(seconds=lifetimes.propagation_seconds)
    if facts.now < ready:
        message = f"publish ca.crt in every webhook configuration, and run this command again after {_text(ready)}"
        return ManualResult(material=None, message=message)
    promoted = _performed(Action.PROMOTE, material, facts, lifetimes)
    message = "the new CA signs now; run this command again after the old serving certificate has expired"
    return ManualResult(material=promoted, message=message)


def _may_retire(material: Material, facts: Facts, lifetimes: Lifetimes) -> bool:
    """Whether an authority may be removed now, or could be removed if the serving pair were renewed first."""
    names = names_of(material.leaf.certificate)
    action = next_step(material, facts, lifetimes, names).action
    if action is Action.RENEW:
        action = next_step(_performed(Action.RENEW, material, facts, lifetimes), facts, lifetimes, names).action
    return action is Action.RETIRE


def _performed(action: Action, material: Material, facts: Facts, lifetimes: Lifetimes) -> Material:
    names = names_of(material.leaf.certificate)
    return perform(Step(action=action, reason="the user asked"), material, facts, lifetimes, names)


def _facts(material: Material, now: datetime, lifetimes: Lifetimes) -> Facts:
    """Return facts by which every authority of the bundle is trusted everywhere."""
    return Facts(
        now=now,
        steady_now=now,
        trusted_seconds={fingerprint(each): lifetimes.propagation_seconds for each in material.bundle},
        settled_seconds=lifetimes.settling_seconds,
    )


def _role(material: Material, authority: x509.Certificate) -> str:
    if material.signer is not None and authority == material.signer.certificate:
        return "signs"
    if material.successor is not None and authority == material.successor.certificate:
        return "signs next"
    return "no longer signs"


def _described(what: str, certificate: x509.Certificate, due: datetime) -> str:
    lines = [
        f"{what}: {certificate.subject.rfc4514_string()}",
        f"  names:       {', '.join(names_of(certificate)) or '-'}",
        f"  not before:  {_text(certificate.not_valid_before_utc)}",
        f"  renewal due: {_text(due)}",
        f"  not after:   {_text(certificate.not_valid_after_utc)}",
        f"  sha-256:     {fingerprint(certificate)}",
    ]
    return "\n".join(lines) + "\n"


def _text(time: datetime) -> str:
    """Return a time in RFC 3339, without fractions of a second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")
