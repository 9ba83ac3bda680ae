"""Independent verifiers accept the certificates in each phase of a rotation."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from certificate_builders import NAMES, openssl
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certs.authority import fingerprint
from certs.material import Material, new_material
from certs.renewal import Lifetimes
from certs.rotation import Action, Facts, next_step, perform

NOW = datetime.now(UTC)
SHORT = Lifetimes(ca=timedelta(seconds=120), leaf=timedelta(seconds=20), propagation_seconds=3.0)
LONG = Lifetimes()


def phases(lifetimes: Lifetimes) -> Iterator[tuple[str, Material]]:
    """Yield the material before a rotation and after each of its steps."""
    material = new_material(NAMES, now=NOW, lifetimes=lifetimes)
    yield "made", material
    later = NOW
    for action in (Action.BEGIN, Action.PROMOTE, Action.RENEW, Action.RETIRE):
        if action is Action.RENEW:  # when the first leaf has ended
            later = material.retired[0].not_valid_after_utc
        facts = Facts(
            now=later,
            steady_now=later,
            trusted_seconds={fingerprint(each): 1e9 for each in material.bundle},
            settled_seconds=1e9,
            requested=NOW + timedelta(seconds=1) if action is Action.BEGIN else None,
        )
        if action is Action.BEGIN:
            facts = Facts(
                now=NOW + timedelta(seconds=2),
                steady_now=NOW,
                trusted_seconds={},
                settled_seconds=0.0,
                requested=NOW + timedelta(seconds=1),
            )
        step = next_step(material, facts, lifetimes, NAMES)
        assert step.action is action, step
        material = perform(step, material, facts, lifetimes, NAMES)
        yield action.value, material


@pytest.mark.parametrize("lifetimes", [SHORT, LONG], ids=["seconds", "days"])
def test_cryptography_accepts_every_phase(lifetimes: Lifetimes) -> None:
    """The chain from the leaf to an authority of the bundle is valid, and the other authorities do not verify it."""
    names = []
    for name, material in phases(lifetimes):
        leaf = material.leaf.certificate
        when = leaf.not_valid_after_utc - timedelta(seconds=1)
        builder = PolicyBuilder().time(when)
        verifier = builder.store(Store(material.bundle)).build_server_verifier(x509.DNSName(NAMES[2]))
        names.append(name)

        assert verifier.verify(leaf, []) == [leaf, material.leaf_authority]
        others = [each for each in material.bundle if each != material.leaf_authority]
        if others:
            with pytest.raises(VerificationError):
                builder.store(Store(others)).build_server_verifier(x509.DNSName(NAMES[2])).verify(leaf, [])
    assert names == ["made", "begin", "promote", "renew", "retire"]


@pytest.mark.parametrize("lifetimes", [SHORT, LONG], ids=["seconds", "days"])
def test_openssl_accepts_every_phase_strictly(tmp_path: Path, lifetimes: Lifetimes) -> None:
    """The openssl command accepts the chain with all strict checks, and rejects it for a different authority."""
    for name, material in phases(lifetimes):
        bundle, leaf = tmp_path / f"{name}.ca", tmp_path / f"{name}.crt"
        bundle.write_bytes(material.bundle_pem)
        leaf.write_bytes(material.leaf.certificate_pem())
        when = int(material.leaf.certificate.not_valid_after_utc.timestamp()) - 1
        strict = ("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", NAMES[2], "-attime", str(when))

        accepted = openssl(*strict, "-no-CApath", "-no-CAstore", "-CAfile", bundle, leaf)
        assert (accepted.returncode, accepted.stderr) == (0, ""), name
    other = tmp_path / "other.ca"
    other.write_bytes(new_material(NAMES, now=NOW, lifetimes=lifetimes).bundle_pem)
    assert openssl("verify", "-x509_strict", "-CAfile", other, tmp_path / "made.crt").returncode != 0
