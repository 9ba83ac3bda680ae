"""
Track what one replica knows of the Secret: the newest version, the newest valid material, and the pair that it serves.

Nothing here sends a request or waits. A version that cannot be used changes only the reported fault. A pair that an API
server may not trust yet waits, and the server keeps the pair in use.
"""

import logging
import math
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime

from cryptography import x509

from certs.authority import CertificateError, fingerprint
from certs.bundle import authorities_in, bundle_to_pem, newest_first, trusted_since
from certs.dependencies import Clocks, KeeperDependencies, Secret
from certs.material import Material, material_of, requested_rotation
from certs.renewal import Lifetimes, leaf_overdue
from certs.rotation import Facts, Signed, leaf_in_use, to_readmit

RETRY_SECONDS = 30.0  # a pair that could not be loaded is tried again: the machine may have been the cause

log = logging.getLogger(__name__)


class WallClockWatch:
    """
    Detects jumps of the wall clock by comparing it with the monotonic clock.

    Args:
        tolerance_seconds: a smaller jump does no harm, because certificates are valid some time before they are made.
        memory_seconds: for how long a reading counts against later readings that are further ahead.
    """

    def __init__(self, clocks: Clocks, *, tolerance_seconds: float, memory_seconds: float) -> None:
        self._clocks = clocks
        self._tolerance_seconds, self._memory_seconds = tolerance_seconds, memory_seconds
        self._offset = self._measure()
        self._jumped_at = float("-inf")
        # When each offset was last measured, the smallest first. A smaller offset replaces the larger ones before it.
        self._offsets: deque[tuple[float, float]] = deque()
        self.update()

    def update(self) -> None:
        """Compare the clocks now."""
        monotonic, offset = self._clocks.monotonic(), self._measure()
        if abs(offset - self._offset) > self._tolerance_seconds:
            self._jumped_at = monotonic
        self._offset = offset
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((monotonic, offset))
        while self._offsets[0][0] < monotonic - self._memory_seconds:
            self._offsets.popleft()

    def seconds_since_jump(self) -> float:
        """Return the seconds of the monotonic clock since the wall clock jumped; infinite if it did not."""
        return self._clocks.monotonic() - self._jumped_at

    def steady_now(self) -> datetime:
        """
        Return the time by the earliest of the remembered readings, moved on by the monotonic clock.

        A jump forward moves this time only when every reading from before the jump has been forgotten.
        """
        return datetime.fromtimestamp(self._clocks.monotonic() + self._offsets[0][1], UTC)

    def _measure(self) -> float:
        """Return the lead of the wall clock over the monotonic clock, in whole seconds: smaller steps do not matter."""
        return float(math.floor(self._clocks.now().timestamp() - self._clocks.monotonic()))


class ReplicaState:
    """What one replica knows of the Secret, and the pair that it serves."""

    def __init__(self, dependencies: KeeperDependencies, lifetimes: Lifetimes) -> None:
        clocks = dependencies.clocks
        self._dependencies, self._clocks, self._lifetimes = dependencies, clocks, lifetimes
        self._jitter = dependencies.rng.random()
        self.wall_clock = WallClockWatch(
            clocks,
            tolerance_seconds=lifetimes.backdate.total_seconds() / 2,
            memory_seconds=lifetimes.leaf.total_seconds(),  # after this, no leaf is valid by any clock
        )
        self.known = False  # whether the Secret was observed at all
        self.secret: Secret | None = None
        self.material: Material | None = None
        self.fault: str | None = None
        self.fault_since = 0.0  # monotonic
        self._serving: Material | None = None
        self._signed: Signed | None = None  # the served certificate
        self._refused: Material | None = None
        self._refused_at = 0.0  # monotonic
        self._trusted_since: Mapping[str, float] = {}
        self._leaf_authority: x509.Certificate | None = None
        self._settled_since = 0.0  # monotonic

    def observe(self, secret: Secret | None) -> None:
        """Record a version of the Secret, None if there is none, and use its material if it is valid."""
        if self.known and secret == self.secret:
            return
        self.known, self.secret = True, secret
        if secret is None:
            self._report("it does not exist")
            return
        try:
            material = material_of(secret)
        except CertificateError as error:
            self._dependencies.count_unusable()
            self._report(str(error))
            return
        self.fault = None
        if self.material is None or material.entries() != self.material.entries():
            self.material = material
        authority = material.leaf_authority
        if authority != self._leaf_authority:
            self._leaf_authority, self._settled_since = authority, self._clocks.monotonic()
        self.update()

    def is_older(self, secret: Secret) -> bool:
        """
        Whether a version is older than the recorded one.

        Source: resourceVersion is a number that grows (promised since Kubernetes 1.35, and true of etcd before). A
        resourceVersion that is not a number is not compared.
        """
        return self.secret is not None and 0 <= _version(secret) < _version(self.secret)

    def update(self) -> None:
        """Note which authorities are trusted, and load the serving pair if it is new and may be served."""
        self.wall_clock.update()
        material, authority = self.material, self._leaf_authority
        if material is None or authority is None:
            return
        wanted = frozenset(fingerprint(each) for each in material.bundle)
        published = self._dependencies.published()
        self._trusted_since = trusted_since(self._trusted_since, wanted, published, self._clocks.monotonic())
        if material is not self._serving and not self._was_refused(material) and self._may_serve(material, authority):
            self._install(material, authority)

    def facts(self) -> Facts:
        """Return what the next step depends on, besides the material."""
        monotonic = self._clocks.monotonic()
        return Facts(
            now=self._clocks.now(),
            steady_now=self.wall_clock.steady_now(),
            trusted_seconds={each: monotonic - since for each, since in self._trusted_since.items()},
            settled_seconds=monotonic - self._settled_since,
            serving=self._signed,
            requested=requested_rotation(self.secret) if self.secret is not None else None,
            jitter=self._jitter,
        )

    def bundle(self) -> bytes:
        """Return what must be published: the bundle, and the authority of the served pair if the Secret has lost it."""
        if self.material is None:
            return b""
        lost = to_readmit(self.material, self._signed, self.wall_clock.steady_now())
        if lost is None:
            return self.material.bundle_pem
        return bundle_to_pem(newest_first((*self.material.bundle, lost.authority)))

    def seconds_until_overdue(self, material: Material) -> float:
        """Return the seconds until any replica may renew the serving certificate."""
        now = self._clocks.now()
        leaf = leaf_in_use(material, self._signed, now)
        return (leaf_overdue(leaf, self._lifetimes) - now).total_seconds()

    def is_waiting(self, material: Material) -> bool:
        """Whether the valid pair of *material* is not served yet: it waits until it is trusted or loaded."""
        return material is not self._serving and self.seconds_until_valid(material) <= 0

    def seconds_until_valid(self, material: Material) -> float:
        """Return the seconds until the serving certificate is valid by the wall clock; negative if it is valid."""
        return (material.leaf.certificate.not_valid_before_utc - self._clocks.now()).total_seconds()

    def problem(self) -> str | None:
        """Return what is wrong with the Secret or its pair, or None."""
        if not self.known:
            return "not read yet"
        if self.fault is not None:
            return self.fault
        if self.material is not self._serving:
            refused = self.material is self._refused
            return "its pair could not be loaded" if refused else "its pair waits until it is valid and trusted"
        return None

    def _install(self, material: Material, authority: x509.Certificate) -> None:
        try:
            self._dependencies.install(material)
        except (ValueError, OSError) as error:
            self._refused, self._refused_at = material, self._clocks.monotonic()
            log.error("certificates: the serving pair could not be loaded", extra={"fields": {"reason": str(error)}})  # noqa: TRY400  the fault is in the pair
            return
        self._serving, self._refused = material, None
        self._signed = Signed(leaf=material.leaf.certificate, authority=authority)

    def _report(self, fault: str) -> None:
        if self.fault is None:
            self.fault_since = self._clocks.monotonic()
        if fault != self.fault:
            log.log(
                logging.ERROR if self.secret is not None else logging.INFO,
                "certificates: the Secret cannot be used",
                extra={"fields": {"reason": fault}},
            )
        self.fault = fault

    def _was_refused(self, material: Material) -> bool:
        return material is self._refused and self._clocks.monotonic() - self._refused_at < RETRY_SECONDS

    def _may_serve(self, material: Material, authority: x509.Certificate) -> bool:
        """Whether every API server that trusts the served pair also trusts the new one."""
        serving, now = self._signed, self._clocks.now()
        if serving is None or serving.leaf.not_valid_after_utc <= now:
            return True
        if material.leaf.certificate.not_valid_before_utc > now:  # the clock of the replica that signed it is ahead
            return False
        if serving.authority == authority or self.facts().trusts(authority, self._lifetimes):
            return True
        published, old = self._dependencies.published(), fingerprint(serving.authority)
        return published is not None and not any(old in authorities_in(each) for each in published)


def _version(secret: Secret) -> int:
    version = secret.get("metadata", {}).get("resourceVersion")
    return int(version) if isinstance(version, str) and version.isdecimal() else -1
