"""What is in a caBundle, and in which order."""

from datetime import timedelta
from itertools import permutations

import pytest
from certificate_builders import NOW, authority

from certs import CertificateError, bundle_from_pem, bundle_to_pem, make_bundle
from certs.bundle import MAX_BUNDLE_BYTES

OLD = authority(now=NOW - timedelta(days=300)).certificate
NEW = authority(now=NOW).certificate
TWIN = authority(now=NOW).certificate


def test_newest_first_in_whatever_order_they_come() -> None:
    """One set of authorities has one order, even where two were made in the same second."""
    bundles = {make_bundle(order, now=NOW) for order in permutations([OLD, NEW, TWIN])}

    assert len(bundles) == 1
    assert bundles.pop()[2] == OLD


def test_each_authority_is_there_once() -> None:
    """Adding an authority twice, once read back from PEM, leaves one of it and keeps the other."""
    again = bundle_from_pem(bundle_to_pem([NEW, OLD]))

    assert make_bundle([NEW, OLD, *again], now=NOW) == (NEW, OLD)


def test_the_expired_leave() -> None:
    """An authority leaves the bundle at its end, not before; one from the future stays."""
    end = OLD.not_valid_after_utc

    assert make_bundle([OLD, NEW], now=end - timedelta(seconds=1)) == (NEW, OLD)
    assert make_bundle([OLD, NEW], now=end) == (NEW,)
    assert make_bundle([NEW], now=NOW - timedelta(days=2)) == (NEW,)


def test_pem_keeps_the_order() -> None:
    """What is written is read back, in the same order."""
    assert bundle_from_pem(bundle_to_pem([OLD, NEW])) == (OLD, NEW)
    assert bundle_to_pem([]) == b""


@pytest.mark.parametrize(
    ("pem", "complaint"),
    [
        pytest.param(b"", "cannot be read", id="nothing"),
        pytest.param(b"no PEM at all", "cannot be read", id="not PEM"),
        pytest.param(bundle_to_pem([NEW])[:-40], "cannot be read", id="truncated"),
        pytest.param(bundle_to_pem([NEW]).replace(b"MII", b"AAA", 1), "cannot be read", id="garbled"),
        pytest.param(b"-" * (MAX_BUNDLE_BYTES + 1), "at most", id="too large"),
    ],
)
def test_what_is_no_bundle_is_refused(pem: bytes, complaint: str) -> None:
    """A bundle that cannot be read whole is not read in part."""
    with pytest.raises(CertificateError, match=complaint):
        bundle_from_pem(pem)
