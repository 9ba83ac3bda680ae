"""
Do by hand, and on paper, what the keeper does by itself: renew the serving pair, and rotate the authority step by step.

Nobody watches what is published here: that the bundle is trusted everywhere is the word of the person who runs the
next step, after the propagation wait at the earliest.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from certs.authority import CertificateError, fingerprint, names_of
from certs.material import Material
from certs.renewal import Lifetimes, created, leaf_due
from certs.rotation import Action, Facts, Step, is_full, next_step, perform, phase
from certs.show import moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Done:
    """
    What came of it.

    Args:
        material: to be written; None where nothing changed.
        message: what to do next, in a sentence.
    """

    material: Material | None
    message: str


def renew(material: Material, *, now: datetime, lifetimes: Lifetimes, force: bool) -> Done:
    """
    Sign a new serving pair for the same names, if it is due.

    Raises:
        CertificateError: the key of the authority is not there, or the authority is not valid.
    """
    due = leaf_due(material.leaf.certificate, lifetimes)
    signed = material.signer is not None and material.leaf_authority == material.signer.certificate
    if now < due and signed and not force:
        return Done(material=None, message=f"not due before {moment(due)}; --force renews it now")
    renewed = _renewed(material, _facts(material, now, lifetimes), lifetimes)
    return Done(material=renewed, message="the serving pair is new")


def rotate(material: Material, *, now: datetime, lifetimes: Lifetimes, force: bool) -> Done:
    """
    Take the next step of a rotation: begin it, let the successor sign, or let the old authority go.

    Args:
        force: begin another rotation though an authority of the last one has not left yet.

    Raises:
        CertificateError: the bundle is full, or the successor is not valid.
    """
    facts = _facts(material, now, lifetimes)
    names = names_of(material.leaf.certificate)
    if material.successor is not None:
        ready = created(material.successor.certificate, lifetimes) + timedelta(seconds=lifetimes.propagation_seconds)
        if now < ready:
            return Done(material=None, message=f"publish ca.crt everywhere, and run this again after {moment(ready)}")
        action, message = Action.PROMOTE, "the new authority signs; run this again when the old pair has expired"
    else:
        action = next_step(material, facts, lifetimes, names).action
        if action is Action.RENEW:  # not asked for here; what else there is to do is found with a fresh pair
            action = next_step(_renewed(material, facts, lifetimes), facts, lifetimes, names).action
        if action is not Action.RETIRE and len(material.bundle) > 1 and not force:
            return Done(material=None, message=f"{phase(material, now)}; --force begins another rotation now")
        if action is Action.RETIRE:
            message = "what has no pair left has gone from ca.crt; publish it"
        else:
            if is_full(material):
                raise CertificateError(f"the bundle is full: it has {len(material.bundle)} authorities")
            action = Action.BEGIN
            message = "publish ca.crt everywhere, wait a minute, and run this again"
    return Done(
        material=perform(Step(action=action, reason="by hand"), material, facts, lifetimes, names), message=message
    )


def _renewed(material: Material, facts: Facts, lifetimes: Lifetimes) -> Material:
    names = names_of(material.leaf.certificate)
    return perform(Step(action=Action.RENEW, reason="by hand"), material, facts, lifetimes, names)


def _facts(material: Material, now: datetime, lifetimes: Lifetimes) -> Facts:
    trusted = {fingerprint(each): lifetimes.propagation_seconds for each in material.bundle}
    return Facts(
        now=now,
        steady_now=now,
        trusted_seconds=trusted,
        settled_seconds=lifetimes.settling_seconds,
        requested=None,
    )
