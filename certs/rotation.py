"""
Decide the next step in the life of the authorities and the serving certificate, and carry it out on paper.

An authority is replaced in steps, each of which is one write of the Secret, so that whoever comes after a crash sees
in the Secret alone how far it went:

1. Begin: a successor is made and put into the bundle. It signs nothing.
2. Promote: when every caller has been seen to trust the successor for the propagation wait, it signs the serving
   certificate that all replicas take; the last one that the old authority signed is kept on record. Where the present
   one has ended, no caller can lose its trust: then it signs as soon as it has been published.
3. Retire: when that certificate has expired, and all replicas have had time to take the new one, the old authority
   leaves the bundle.

Trust is only ever taken away by the third step. It rests on the certificates, and on what this process has seen for
long enough by the monotonic clock: a wall clock that jumps cannot hurry it past another replica.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from cryptography import x509

from certs.authority import (
    CertificateError,
    KeyPair,
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
    """What is to be done with the Secret."""

    WAIT = "wait"
    READMIT = "readmit"
    PROMOTE = "promote"
    RENEW = "renew"
    BEGIN = "begin"
    RETIRE = "retire"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """
    The next thing to do, and why.

    Args:
        until: for WAIT, when the clock alone makes something due; None where only an observation can.
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
    What is known besides the Secret.

    Args:
        now: aware, and perhaps wrong.
        steady_now: no later than `now`, and never hurried on by a jump of the clock: what ends trust goes by this.
        trusted_seconds: by fingerprint, for how long an authority has been seen in every published bundle.
        settled_seconds: for how long the Secret has been seen to hold leaves of the authority that signed the present.
        serving: what this process serves with.
        requested: when somebody asked for a rotation.
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
        """Say whether every caller is sure to trust this authority by now."""
        return self.trusted_seconds.get(fingerprint(authority), -1.0) >= lifetimes.propagation_seconds

    def publishes(self, authority: x509.Certificate) -> bool:
        """Say whether this authority is in every published bundle, however lately."""
        return fingerprint(authority) in self.trusted_seconds


def next_step(material: Material, facts: Facts, lifetimes: Lifetimes, names: Sequence[str]) -> Step:
    """
    Say what is to be done now.

    Args:
        names: what the serving certificate must be for.
    """
    if (serving := to_readmit(material, facts)) is not None and _has_room(material, serving.authority):
        return Step(action=Action.READMIT, reason=f"{_name(serving.authority)} signed what is still being served")
    if material.successor is not None and _may_succeed(material.successor, material, facts, lifetimes):
        return Step(action=Action.PROMOTE, reason=f"{_name(material.successor.certificate)} is trusted everywhere")
    if reason := _renewal(material, facts, lifetimes, names):
        return Step(action=Action.RENEW, reason=reason)
    if reason := _beginning(material, facts, lifetimes):
        return Step(action=Action.BEGIN, reason=reason)
    if leaving := _leaving(material, facts, lifetimes):
        return Step(action=Action.RETIRE, reason=", ".join(f"{_name(each)} has no leaf left" for each in leaving))
    return _wait(material, facts, lifetimes)


def renewal_step(material: Material, facts: Facts, lifetimes: Lifetimes, names: Sequence[str]) -> Step:
    """Say the same where nothing may be done but to renew, however far a rotation is."""
    reason = _renewal(material, facts, lifetimes, names)
    return Step(action=Action.RENEW, reason=reason) if reason else _wait(material, facts, lifetimes)


def _has_room(material: Material, authority: x509.Certificate) -> bool:
    """Say whether a bundle with one more authority can still be read: else it would be mended, and be full again."""
    return len(bundle_to_pem((*material.bundle, authority))) <= MAX_CERTIFICATES_BYTES


def perform(step: Step, material: Material, facts: Facts, lifetimes: Lifetimes, names: Iterable[str]) -> Material:
    """
    Carry out a step that `next_step` gave for the same material and facts.

    Raises:
        CertificateError: it cannot be done with this material.
    """
    if step.action is Action.READMIT and facts.serving is not None:
        return replace(
            material,
            bundle=newest_first((*material.bundle, facts.serving.authority)),
            retired=_recorded(material, facts.serving.leaf, (*material.bundle, facts.serving.authority)),
        )
    if step.action is Action.PROMOTE and material.successor is not None:
        return _reissue(replace(material, signer=material.successor, successor=None), facts, lifetimes, names)
    if step.action is Action.RENEW:
        return _reissue(material, facts, lifetimes, names)
    if step.action is Action.BEGIN:
        successor = make_authority(now=facts.now, lifetime=lifetimes.ca, backdate=lifetimes.backdate)
        useless = material.successor.certificate if material.successor is not None else None
        kept = (each for each in material.bundle if each != useless)
        return replace(material, bundle=newest_first((*kept, successor.certificate)), successor=successor)
    if step.action is Action.RETIRE:
        return _without(material, _leaving(material, facts, lifetimes))
    raise CertificateError(f"nothing can be done to {step.action.value}")


def leaf_in_use(material: Material, facts: Facts) -> x509.Certificate:
    """Give the serving certificate that counts: the Secret's, or what is served where a clock ahead made that one."""
    leaf = material.leaf.certificate
    if facts.serving is not None and leaf.not_valid_before_utc > facts.now:
        return facts.serving.leaf
    return leaf


def to_readmit(material: Material, facts: Facts) -> Signed | None:
    """
    Find what this process serves with while the Secret has lost the authority of it.

    Somebody replaced the Secret by another good one, or a replica that had missed a rotation restored it.
    """
    serving = facts.serving
    if serving is None or serving.authority in material.bundle or serving.leaf.not_valid_after_utc <= facts.steady_now:
        return None
    return serving


def _may_succeed(successor: KeyPair, material: Material, facts: Facts, lifetimes: Lifetimes) -> bool:
    authority = successor.certificate
    return _is_valid(authority, facts.now) and _loses_nobody(authority, material, facts, lifetimes)


def _loses_nobody(authority: x509.Certificate, material: Material, facts: Facts, lifetimes: Lifetimes) -> bool:
    """Say whether everybody who trusts the present serving certificate, nobody if it has ended, trusts *authority*."""
    has_ended = material.leaf.certificate.not_valid_after_utc <= facts.steady_now
    return facts.trusts(authority, lifetimes) or (has_ended and facts.publishes(authority))


def _renewal(material: Material, facts: Facts, lifetimes: Lifetimes, names: Sequence[str]) -> str | None:
    signer, leaf = material.signer, leaf_in_use(material, facts)
    if signer is None or not _is_valid(signer.certificate, facts.now):
        return None
    if not is_signed_by(leaf, signer.certificate):
        # Never by way of a renewal what only a promotion may do: sign before everybody trusts.
        trusted = _loses_nobody(signer.certificate, material, facts, lifetimes)
        return f"the serving certificate is not from {_name(signer.certificate)}" if trusted else None
    if not covers(leaf, names):
        return f"the serving certificate is not for {', '.join(names)}"
    # A renewal that gains nothing, since the authority ends, would be due again at once.
    gains = leaf.not_valid_after_utc < _end(signer, facts, lifetimes)
    if gains and facts.now >= leaf_due(leaf, lifetimes, jitter=facts.jitter):
        return f"the serving certificate ends at {leaf.not_valid_after_utc.isoformat()}"
    return None


def _end(signer: KeyPair, facts: Facts, lifetimes: Lifetimes) -> datetime:
    """Say when a leaf that is signed now would end."""
    return min(facts.now.replace(microsecond=0) + lifetimes.leaf, signer.certificate.not_valid_after_utc)


def _beginning(material: Material, facts: Facts, lifetimes: Lifetimes) -> str | None:
    successor = material.successor
    if successor is not None and _is_valid(successor.certificate, facts.now):
        return None
    if is_full(material):
        return None
    if material.signer is None:
        return "the key of the authority is not there"
    signer = material.signer.certificate
    if facts.now >= authority_due(signer, lifetimes, jitter=facts.jitter):
        return f"{_name(signer)} ends at {signer.not_valid_after_utc.isoformat()}"
    if _is_asked_for(signer, facts, lifetimes):
        return "it was asked for"
    return None


def is_full(material: Material) -> bool:
    """Say whether no further authority may begin: the bundle is in every entry, so it does not grow without end."""
    return len(material.bundle) - (material.successor is not None) >= MAX_AUTHORITIES


def _is_asked_for(signer: x509.Certificate, facts: Facts, lifetimes: Lifetimes) -> bool:
    """Say whether a rotation was asked for after the authority was made; one from the future was made by a mistake."""
    if facts.requested is None or facts.requested > facts.now:
        return False
    made = created(signer, lifetimes)
    return facts.requested > made or made > facts.now


def _leaving(material: Material, facts: Facts, lifetimes: Lifetimes) -> tuple[x509.Certificate, ...]:
    """List the authorities that nothing needs any more."""
    if facts.settled_seconds < lifetimes.settling_seconds:
        return ()
    signing = [pair.certificate for pair in (material.signer, material.successor) if pair is not None]
    kept = [*signing, material.leaf_authority]
    leaving = []
    for authority in (each for each in material.bundle if each not in kept):
        leaves = [each for each in material.retired if is_signed_by(each, authority)] or [authority]
        if all(each.not_valid_after_utc <= facts.steady_now for each in leaves):
            leaving.append(authority)
    return tuple(leaving)


def _without(material: Material, leaving: tuple[x509.Certificate, ...]) -> Material:
    bundle = tuple(each for each in material.bundle if each not in leaving)
    retired = tuple(each for each in material.retired if authority_of(each, bundle) is not None)
    return replace(material, bundle=bundle, retired=retired)


def _reissue(material: Material, facts: Facts, lifetimes: Lifetimes, names: Iterable[str]) -> Material:
    """Have the signer sign a new leaf, and keep the old one on record where it outlives its authority's service."""
    if material.signer is None:
        raise CertificateError("the key of the authority is not there")
    leaf = issue_serving_pair(
        material.signer, names=names, now=facts.now, lifetime=lifetimes.leaf, backdate=lifetimes.backdate
    )
    old = material.leaf.certificate
    if (
        is_signed_by(old, material.signer.certificate)
        and old.not_valid_after_utc <= leaf.certificate.not_valid_after_utc
    ):
        return replace(material, leaf=leaf)
    return replace(material, leaf=leaf, retired=_recorded(material, old, material.bundle))


def _recorded(
    material: Material, leaf: x509.Certificate, bundle: Iterable[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Put a leaf on record, and of those from one authority keep the one that lives longest."""
    last: dict[x509.Certificate | None, x509.Certificate] = {}
    authorities = tuple(bundle)
    for each in (*material.retired, leaf):
        authority = authority_of(each, authorities)
        before = last.get(authority)
        if before is None or before.not_valid_after_utc < each.not_valid_after_utc:
            last[authority] = each
    last.pop(None, None)
    return tuple(last.values())


def _wait(material: Material, facts: Facts, lifetimes: Lifetimes) -> Step:
    moments = [leaf_due(leaf_in_use(material, facts), lifetimes, jitter=facts.jitter)]
    moments.extend(each.not_valid_after_utc for each in material.retired)
    if material.signer is not None and material.successor is None:
        moments.append(authority_due(material.signer.certificate, lifetimes, jitter=facts.jitter))
    until = min((each for each in moments if each > facts.now), default=None)
    return Step(action=Action.WAIT, reason=phase(material, facts.now), until=until)


def phase(material: Material, now: datetime) -> str:
    """Say in words how far a rotation is."""
    signing = [pair.certificate for pair in (material.signer, material.successor) if pair is not None]
    others = [each for each in material.bundle if each not in signing]
    told = []
    if material.successor is not None:
        told.append(
            f"{_name(material.successor.certificate)} signs when it has been trusted everywhere for long enough"
        )
    for each in others:
        leaves = [leaf.not_valid_after_utc for leaf in material.retired if is_signed_by(leaf, each)]
        if is_signed_by(material.leaf.certificate, each):
            leaves.append(material.leaf.certificate.not_valid_after_utc)
        last = max(leaves, default=each.not_valid_after_utc)
        told.append(f"{_name(each)} leaves {'after ' + last.isoformat() if last > now else 'next'}")
    return "; ".join(told) or "no rotation"


def _is_valid(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc


def _name(authority: x509.Certificate) -> str:
    return authority.subject.rfc4514_string().removeprefix("CN=")
