"""
Choose the next step for the authorities and the serving certificate, and compute its result.

An authority is replaced in three steps. Each step is one write of the Secret, so that after a crash the Secret alone
shows how far the rotation is:

1. Begin: a successor is made and added to the bundle. It signs nothing.
2. Promote: when every webhook configuration has been observed to trust the successor for the propagation time, the
   successor signs the serving certificate that all replicas use. The last certificate of the old authority is
   recorded. If the present serving certificate has expired, no API server trusts it anyway: then the successor signs
   as soon as it is published.
3. Retire: when the recorded certificate has expired, and all replicas have had time to load the new one, the old
   authority is removed from the bundle.

Only the third step removes trust. It depends on the certificates and on what this process has observed for long enough
by the monotonic clock: a jump of the wall clock cannot make it happen before the other replicas are ready.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from cryptography import x509

from certs.authority import (
    CertificateError,
    KeyPair,
    common_name,
    covers,
    fingerprint,
    is_signed_by,
    issue_serving_pair,
    make_authority,
)
from certs.bundle import bundle_to_pem, newest_first
from certs.material import MAX_AUTHORITIES, MAX_CERTIFICATES_BYTES, Material, authority_of
from certs.renewal import Lifetimes, authority_due, created, leaf_due


class Action(Enum):
    """What to do with the Secret."""

    WAIT = "wait"
    READMIT = "readmit"
    PROMOTE = "promote"
    RENEW = "renew"
    BEGIN = "begin"
    RETIRE = "retire"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """
    The next action, and its reason.

    Args:
        until: for WAIT, when time alone makes another action due. None if only an observation can.
    """

    action: Action
    reason: str
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """A serving certificate and the authority that signed it."""

    leaf: x509.Certificate
    authority: x509.Certificate


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """
    What the next step depends on, besides the Secret.

    Args:
        now: the wall clock, with a time zone. It may be wrong.
        steady_now: a time that is not later than *now* and that a jump of the wall clock does not move forward. Only
            this time decides when trust is removed.
        trusted_seconds: by fingerprint, for how long an authority has been observed in every published bundle.
        settled_seconds: for how long the Secret has been observed to hold leaves of the authority of the present leaf.
        serving: what this process serves.
        requested: when the user requested a rotation.
        jitter: 0 to 1, drawn once.
    """

    now: datetime
    steady_now: datetime
    trusted_seconds: Mapping[str, float]
    settled_seconds: float
    serving: Signed | None = None
    requested: datetime | None = None
    jitter: float = 0.0

    def trusts(self, authority: x509.Certificate, lifetimes: Lifetimes) -> bool:
        """Whether every API server certainly trusts this authority by now."""
        return self.trusted_seconds.get(fingerprint(authority), -1.0) >= lifetimes.propagation_seconds

    def publishes(self, authority: x509.Certificate) -> bool:
        """Whether this authority is in every published bundle, for however short a time."""
        return fingerprint(authority) in self.trusted_seconds


def next_step(material: Material, facts: Facts, lifetimes: Lifetimes, names: Sequence[str]) -> Step:
    """
    Return what the leader should do now.

    Args:
        names: the names that the serving certificate must have.
    """
    if (serving := to_readmit(material, facts.serving, facts.steady_now)) is not None and _has_room(
        material, serving.authority
    ):
        return Step(action=Action.READMIT, reason=f"{common_name(serving.authority)} signed what is still served")
    if (successor := material.successor) is not None and _may_succeed(successor, material, facts, lifetimes):
        trusted = common_name(successor.certificate)
        return Step(action=Action.PROMOTE, reason=f"every webhook configuration trusts {trusted}")
    if reason := _renewal(material, facts, lifetimes, names):
        return Step(action=Action.RENEW, reason=reason)
    if reason := _beginning(material, facts, lifetimes):
        return Step(action=Action.BEGIN, reason=reason)
    if leaving := _leaving(material, facts, lifetimes):
        authorities = ", ".join(common_name(each) for each in leaving)
        return Step(action=Action.RETIRE, reason=f"all certificates have expired that were signed by {authorities}")
    return _wait(material, facts, lifetimes)


def renewal_step(material: Material, facts: Facts, lifetimes: Lifetimes, names: Sequence[str]) -> Step:
    """Return what a replica that does not lead should do now: renew or wait, at any point of a rotation."""
    reason = _renewal(material, facts, lifetimes, names)
    return Step(action=Action.RENEW, reason=reason) if reason else _wait(material, facts, lifetimes)


def perform(step: Step, material: Material, facts: Facts, lifetimes: Lifetimes, names: Iterable[str]) -> Material:
    """
    Return the material after a step that `next_step` returned for the same material and facts.

    Raises:
        CertificateError: the step is not possible with this material.
    """
    if step.action is Action.READMIT and facts.serving is not None:
        return _readmitted(material, facts.serving)
    if step.action is Action.PROMOTE and material.successor is not None:
        return _reissued(replace(material, signer=material.successor, successor=None), facts, lifetimes, names)
    if step.action is Action.RENEW:
        return _reissued(material, facts, lifetimes, names)
    if step.action is Action.BEGIN:
        return _begun(material, facts, lifetimes)
    if step.action is Action.RETIRE:
        return _without(material, _leaving(material, facts, lifetimes))
    raise CertificateError(f"the step {step.action.value!r} is not possible")


def leaf_in_use(material: Material, serving: Signed | None, now: datetime) -> x509.Certificate:
    """Return the served certificate if the one in the Secret is not valid yet, else the one in the Secret."""
    leaf = material.leaf.certificate
    return leaf if serving is None or leaf.not_valid_before_utc <= now else serving.leaf


def to_readmit(material: Material, serving: Signed | None, steady_now: datetime) -> Signed | None:
    """
    Return *serving*, what this process serves, if it is valid and the Secret has lost the authority that signed it.

    This happens if another program replaces the Secret by a different, valid one, or if a replica that missed a
    rotation restores it.
    """
    if serving is None or serving.authority in material.bundle or serving.leaf.not_valid_after_utc <= steady_now:
        return None
    return serving


def is_full(material: Material) -> bool:
    """Whether no rotation may begin: every webhook entry carries the bundle, so its size has a limit."""
    return len(material.bundle) - (material.successor is not None) >= MAX_AUTHORITIES


def _has_room(material: Material, authority: x509.Certificate) -> bool:
    """Whether a bundle with one more authority can still be read. A larger one would be repaired, and grow again."""
    return len(bundle_to_pem((*material.bundle, authority))) <= MAX_CERTIFICATES_BYTES


def _may_succeed(successor: KeyPair, material: Material, facts: Facts, lifetimes: Lifetimes) -> bool:
    authority = successor.certificate
    return _is_valid(authority, facts.now) and _keeps_trust(authority, material, facts, lifetimes)


def _keeps_trust(authority: x509.Certificate, material: Material, facts: Facts, lifetimes: Lifetimes) -> bool:
    """Whether every API server that trusts the present serving certificate also trusts *authority*."""
    has_ended = material.leaf.certificate.not_valid_after_utc <= facts.steady_now  # then none trusts it
    return facts.trusts(authority, lifetimes) or (has_ended and facts.publishes(authority))


def _renewal(material: Material, facts: Facts, lifetimes: Lifetimes, names: Sequence[str]) -> str | None:
    """Return why the serving certificate should be renewed now, or None."""
    signer, leaf = material.signer, leaf_in_use(material, facts.serving, facts.now)
    if signer is None or not _is_valid(signer.certificate, facts.now):
        return None
    if not is_signed_by(leaf, signer.certificate):
        # A renewal must not do what only a promotion may do: sign before every API server trusts the signer.
        trusted = _keeps_trust(signer.certificate, material, facts, lifetimes)
        return f"the serving certificate is not signed by {common_name(signer.certificate)}" if trusted else None
    if not covers(leaf, names):
        return f"the serving certificate is not valid for {', '.join(names)}"
    # If the end of the authority cuts the lifetime, a renewal gains nothing and would be due again at once.
    gains = leaf.not_valid_after_utc < _end(signer, facts, lifetimes)
    if gains and facts.now >= leaf_due(leaf, lifetimes, jitter=facts.jitter):
        return f"the serving certificate ends at {leaf.not_valid_after_utc.isoformat()}"
    return None


def _end(signer: KeyPair, facts: Facts, lifetimes: Lifetimes) -> datetime:
    """Return when a leaf that is signed now would end."""
    return min(facts.now.replace(microsecond=0) + lifetimes.leaf, signer.certificate.not_valid_after_utc)


def _beginning(material: Material, facts: Facts, lifetimes: Lifetimes) -> str | None:
    """Return why a rotation should begin now, or None."""
    successor = material.successor
    if successor is not None and _is_valid(successor.certificate, facts.now):
        return None
    if is_full(material):
        return None
    if material.signer is None:
        return "the key of the CA is missing"
    signer = material.signer.certificate
    if facts.now >= authority_due(signer, lifetimes, jitter=facts.jitter):
        return f"{common_name(signer)} ends at {signer.not_valid_after_utc.isoformat()}"
    if _is_requested(signer, facts, lifetimes):
        return "the user requested a rotation"
    return None


def _is_requested(signer: x509.Certificate, facts: Facts, lifetimes: Lifetimes) -> bool:
    """Whether a rotation was requested after the authority was made. A request from the future is a mistake."""
    if facts.requested is None or facts.requested > facts.now:
        return False
    made = created(signer, lifetimes)
    return facts.requested > made or made > facts.now


def _leaving(material: Material, facts: Facts, lifetimes: Lifetimes) -> tuple[x509.Certificate, ...]:
    """Return the authorities that may be removed from the bundle."""
    if facts.settled_seconds < lifetimes.settling_seconds:
        return ()
    kept = [*_signing(material), material.leaf_authority]
    leaving = []
    for authority in (each for each in material.bundle if each not in kept):
        leaves = [each for each in material.retired if is_signed_by(each, authority)] or [authority]
        if all(each.not_valid_after_utc <= facts.steady_now for each in leaves):
            leaving.append(authority)
    return tuple(leaving)


def _signing(material: Material) -> list[x509.Certificate]:
    """Return the authorities whose keys are in the Secret: the signer and the successor."""
    return [pair.certificate for pair in (material.signer, material.successor) if pair is not None]


def _readmitted(material: Material, serving: Signed) -> Material:
    bundle = newest_first((*material.bundle, serving.authority))
    return replace(material, bundle=bundle, retired=_recorded(material, serving.leaf, bundle))


def _begun(material: Material, facts: Facts, lifetimes: Lifetimes) -> Material:
    """Add a new successor to the bundle; a previous one that cannot be used is removed."""
    successor = make_authority(now=facts.now, lifetime=lifetimes.ca, backdate=lifetimes.backdate)
    unusable = material.successor.certificate if material.successor is not None else None
    kept = (each for each in material.bundle if each != unusable)
    return replace(material, bundle=newest_first((*kept, successor.certificate)), successor=successor)


def _without(material: Material, leaving: tuple[x509.Certificate, ...]) -> Material:
    bundle = tuple(each for each in material.bundle if each not in leaving)
    retired = tuple(each for each in material.retired if authority_of(each, bundle) is not None)
    return replace(material, bundle=bundle, retired=retired)


def _reissued(material: Material, facts: Facts, lifetimes: Lifetimes, names: Iterable[str]) -> Material:
    """Sign a new leaf. The old one is recorded, unless the same authority signed it and it ends no later."""
    if material.signer is None:
        raise CertificateError("the key of the CA is missing")
    leaf = issue_serving_pair(
        material.signer, names=names, now=facts.now, lifetime=lifetimes.leaf, backdate=lifetimes.backdate
    )
    old = material.leaf.certificate
    outlived = old.not_valid_after_utc <= leaf.certificate.not_valid_after_utc
    if outlived and is_signed_by(old, material.signer.certificate):
        return replace(material, leaf=leaf)
    return replace(material, leaf=leaf, retired=_recorded(material, old, material.bundle))


def _recorded(
    material: Material, leaf: x509.Certificate, authorities: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    """Return the recorded leaves with one more. Of the leaves of one authority, only the longest-lived is kept."""
    last: dict[x509.Certificate, x509.Certificate] = {}
    for each in (*material.retired, leaf):
        authority = authority_of(each, authorities)
        if authority is None:
            continue
        before = last.get(authority)
        if before is None or before.not_valid_after_utc < each.not_valid_after_utc:
            last[authority] = each
    return tuple(last.values())


def _wait(material: Material, facts: Facts, lifetimes: Lifetimes) -> Step:
    leaf = leaf_in_use(material, facts.serving, facts.now)
    times = [leaf_due(leaf, lifetimes, jitter=facts.jitter)]
    times.extend(each.not_valid_after_utc for each in material.retired)
    if material.signer is not None and material.successor is None:
        times.append(authority_due(material.signer.certificate, lifetimes, jitter=facts.jitter))
    until = min((each for each in times if each > facts.now), default=None)
    return Step(action=Action.WAIT, reason="nothing is due", until=until)


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc
