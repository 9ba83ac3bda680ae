"""
Hold what one process knows of the Secret: the newest version, the newest good one, and the pair that it serves with.

Nothing here asks or waits. A version that cannot be used changes nothing but the fault that is told; a pair that
callers do not trust yet waits, and the one in use stays in use.
"""

import logging
from collections.abc import Mapping
from datetime import datetime

from cryptography import x509

from certs.authority import CertificateError, fingerprint
from certs.bundle import bundle_to_pem, newest_first
from certs.material import Material
from certs.pace import WallClock
from certs.renewal import Lifetimes, leaf_overdue
from certs.rotation import Facts, Signed, leaf_in_use, to_readmit
from certs.secret import material_of, requested_rotation
from certs.surroundings import Secret, Surroundings
from certs.trust import authorities_in, trusted_since

RETRY_SECONDS = 30.0  # a pair that could not be loaded is tried again; the cause may have been the machine

log = logging.getLogger(__name__)


class Holding:
    """
    What one process knows.

    Args:
        surroundings: whom to ask and tell.
        lifetimes: how long things last.
    """

    def __init__(self, surroundings: Surroundings, lifetimes: Lifetimes) -> None:
        clock = surroundings.clock
        self._out, self._clock, self._lifetimes = surroundings, clock, lifetimes
        self._jitter = surroundings.rng.random()
        self.wall = WallClock(
            clock,
            tolerance_seconds=lifetimes.backdate.total_seconds() / 2,
            memory_seconds=lifetimes.leaf.total_seconds(),  # by then no leaf is valid, whatever the clock says
        )
        self.known = False  # whether anything is known of the Secret
        self.secret: Secret | None = None
        self.material: Material | None = None
        self.fault: str | None = None
        self.fault_since = 0.0  # monotonic
        self._serving: Material | None = None
        self._signed: Signed | None = None  # what is served
        self._refused: Material | None = None
        self._refused_at = 0.0
        self._trusted_since: Mapping[str, float] = {}
        self._leaf_authority: x509.Certificate | None = None
        self._settled_since = 0.0

    def take(self, secret: Secret | None) -> None:
        """Take a version of the Secret, if it can be used; None where there is none."""
        if self.known and secret == self.secret:
            return
        self.known, self.secret = True, secret
        if secret is None:
            self._blame("it is not there")
            return
        try:
            material = material_of(secret)
        except CertificateError as error:
            self._out.count()
            self._blame(str(error))
            return
        self.fault = None
        if self.material is None or material.entries() != self.material.entries():
            self.material = material
        authority = material.leaf_authority
        if authority != self._leaf_authority:
            self._leaf_authority, self._settled_since = authority, self._clock.monotonic()
        self.look()

    def is_older(self, secret: Secret) -> bool:
        """
        Say whether a version is older than the one held.

        Source: resourceVersion is a number that grows (Kubernetes 1.35 promises it; etcd always did); one that is
        none is not compared.
        """
        return self.secret is not None and 0 <= _version(secret) < _version(self.secret)

    def look(self) -> None:
        """Note what is trusted, and take the serving pair if it is new and may be taken."""
        self.wall.look()
        material = self.material
        if material is None:
            return
        wanted = frozenset(fingerprint(each) for each in material.bundle)
        self._trusted_since = trusted_since(self._trusted_since, wanted, self._out.published(), self._clock.monotonic())
        if material is self._serving or self._was_refused(material) or not self._may_serve():
            return
        try:
            self._out.install(material)
        except (ValueError, OSError) as error:
            self._refused, self._refused_at = material, self._clock.monotonic()
            log.error("certificates: the pair was not taken", extra={"fields": {"reason": str(error)}})  # noqa: TRY400  the fault is in the pair
            return
        self._serving, self._refused = material, None
        if self._leaf_authority is not None:
            self._signed = Signed(leaf=material.leaf.certificate, authority=self._leaf_authority)

    def facts(self) -> Facts:
        """Give what the next step depends on besides the material."""
        monotonic = self._clock.monotonic()
        return Facts(
            now=self._clock.now(),
            steady_now=self.wall.steady_now(),
            trusted_seconds={each: monotonic - since for each, since in self._trusted_since.items()},
            settled_seconds=monotonic - self._settled_since,
            serving=self._signed,
            requested=requested_rotation(self.secret) if self.secret is not None else None,
            jitter=self._jitter,
        )

    def bundle(self) -> bytes:
        """Give what must be published: also the authority of the pair in use, where a newer Secret has lost it."""
        if self.material is None:
            return b""
        lost = to_readmit(self.material, self.facts())
        if lost is None:
            return self.material.bundle_pem
        return bundle_to_pem(newest_first((*self.material.bundle, lost.authority)))

    def overdue_seconds(self) -> float:
        """Say how long it is until anybody may renew the serving certificate; infinite where nothing is known."""
        if self.material is None:
            return float("inf")
        leaf = leaf_in_use(self.material, self.facts())
        return (leaf_overdue(leaf, self._lifetimes) - self._clock.now()).total_seconds()

    def is_waiting(self) -> bool:
        """Say whether something waits for trust, so that it is worth looking often."""
        material = self.material
        return material is not None and (material is not self._serving or material.successor is not None)

    def problem(self) -> str | None:
        """Say what is wrong with the Secret, or with the pair that it holds; None when all is well."""
        if not self.known:
            return "not read yet"
        if self.fault is not None:
            return self.fault
        if self.material is not self._serving:
            refused = self.material is self._refused
            return "its pair could not be loaded" if refused else "its pair waits until it is valid and trusted"
        return None

    def _blame(self, fault: str) -> None:
        if self.fault is None:
            self.fault_since = self._clock.monotonic()
        if fault != self.fault:
            log.log(
                logging.ERROR if self.secret is not None else logging.INFO,
                "certificates: the Secret cannot be used",
                extra={"fields": {"reason": fault}},
            )
        self.fault = fault

    def _was_refused(self, material: Material) -> bool:
        return material is self._refused and self._clock.monotonic() - self._refused_at < RETRY_SECONDS

    def _may_serve(self) -> bool:
        """Say whether no caller that trusts the pair in use would distrust the new one."""
        serving, authority, now = self._signed, self._leaf_authority, self._clock.now()
        if serving is None or authority is None or self.material is None or _has_ended(serving, now):
            return True
        if self.material.leaf.certificate.not_valid_before_utc > now:  # a clock that is ahead made it
            return False
        if serving.authority == authority or self.facts().trusts(authority, self._lifetimes):
            return True
        published, old = self._out.published(), fingerprint(serving.authority)
        return published is not None and not any(old in authorities_in(each) for each in published)


def _has_ended(serving: Signed, now: datetime) -> bool:
    return serving.leaf.not_valid_after_utc <= now


def _version(secret: Secret) -> int:
    version = secret.get("metadata", {}).get("resourceVersion")
    return int(version) if isinstance(version, str) and version.isdecimal() else -1
