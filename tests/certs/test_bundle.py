"""The content and order of a CA bundle, and for how long every webhook configuration has trusted an authority."""

from datetime import timedelta
from itertools import permutations

import pytest
from certificate_builders import NOW, authority
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import CertificateError, fingerprint
from certs.bundle import (
    MAX_BUNDLE_BYTES,
    authorities_in,
    bundle_from_pem,
    bundle_to_pem,
    knows_all,
    newest_first,
    nothing_published,
    trusted_since,
)

OLD = authority(now=NOW - timedelta(days=300)).certificate
NEW = authority(now=NOW).certificate
TWIN = authority(now=NOW).certificate  # made in the same second

AUTHORITIES = [authority() for _ in range(3)]
A, B, C = (each.certificate_pem() for each in AUTHORITIES)
NAME_A, NAME_B, NAME_C = (fingerprint(each.certificate) for each in AUTHORITIES)
BOTH = frozenset({NAME_A, NAME_B})


def test_a_bundle_is_ordered_newest_first() -> None:
    """The same authorities always have the same order, even if two were made in the same second."""
    bundles = {newest_first(order) for order in permutations([OLD, NEW, TWIN])}

    assert len(bundles) == 1
    assert bundles.pop()[2] == OLD


def test_a_bundle_holds_each_authority_once() -> None:
    """An authority that is added twice, once parsed from PEM, appears once."""
    again = bundle_from_pem(bundle_to_pem([NEW, OLD]))

    assert newest_first([NEW, OLD, *again]) == (NEW, OLD)


def test_pem_keeps_the_order_of_a_bundle() -> None:
    """A bundle that is written as PEM is parsed in the same order."""
    assert bundle_from_pem(bundle_to_pem([OLD, NEW])) == (OLD, NEW)
    assert bundle_to_pem([]) == b""


@pytest.mark.parametrize(
    ("pem", "message"),
    [
        pytest.param(b"", "cannot be read", id="empty"),
        pytest.param(b"no PEM at all", "cannot be read", id="not PEM"),
        pytest.param(bundle_to_pem([NEW])[:-40], "cannot be read", id="truncated"),
        pytest.param(bundle_to_pem([NEW]).replace(b"MII", b"AAA", 1), "cannot be read", id="garbled"),
        pytest.param(b"-" * (MAX_BUNDLE_BYTES + 1), "the limit is", id="too large"),
    ],
)
def test_an_invalid_bundle_is_rejected(pem: bytes, message: str) -> None:
    """A bundle is parsed completely or not at all."""
    with pytest.raises(CertificateError, match=message):
        bundle_from_pem(pem)


def test_an_authority_is_trusted_since_the_last_entry_published_it() -> None:
    """An authority that is missing in one of two entries is not trusted. Its time begins when both entries have it."""
    first = trusted_since({}, BOTH, [A + B, A], 10.0)
    second = trusted_since(first, BOTH, [A + B, B + A], 20.0)

    assert first == {NAME_A: 10.0}
    assert second == {NAME_A: 10.0, NAME_B: 20.0}


def test_an_interruption_of_trust_starts_the_time_again() -> None:
    """If an entry loses an authority, even once, or the entries are unknown, the time starts again."""
    before = {NAME_A: 1.0, NAME_B: 1.0}

    assert trusted_since(before, BOTH, [A], 5.0) == {NAME_A: 1.0}
    assert trusted_since(before, BOTH, [b"", A + B], 5.0) == {}
    assert trusted_since(before, BOTH, None, 5.0) == {}
    assert trusted_since(before, BOTH, [b"junk"], 5.0) == {}


def test_without_entries_every_authority_is_trusted() -> None:
    """Without webhook entries the API server makes no call that could fail."""
    assert trusted_since({}, BOTH, [], 5.0) == {NAME_A: 5.0, NAME_B: 5.0}


def test_a_published_authority_that_is_unknown_shows_a_missed_rotation() -> None:
    """A replica knows all if no entry has an authority that the replica does not know. Unknown entries do not count."""
    assert knows_all(BOTH, [A, A + B, b""])
    assert not knows_all(BOTH, [A, A + C])
    assert not knows_all(BOTH, None)
    assert knows_all(frozenset(), [])


def test_nothing_is_published_only_if_the_entries_are_known() -> None:
    """Entries without a bundle publish nothing. Unknown entries may publish something."""
    assert nothing_published([b"", b""])
    assert nothing_published([])
    assert not nothing_published([b"", A])
    assert not nothing_published(None)


def test_a_truncated_bundle_has_no_authorities() -> None:
    """The fingerprints of a published bundle are empty if a part of it cannot be parsed."""
    assert authorities_in(bundle_to_pem(each.certificate for each in AUTHORITIES)) == {NAME_A, NAME_B, NAME_C}
    assert authorities_in((A + B)[:-30]) == frozenset()
    assert authorities_in(b"") == frozenset()


@given(st.lists(st.lists(st.lists(st.sampled_from([A, B, C])), max_size=3), max_size=5))
def test_trust_is_as_old_as_the_last_unbroken_run(history: list[list[list[bytes]]]) -> None:
    """For any sequence of published bundles, time counts only while every entry has the authority."""
    wanted = frozenset({NAME_A, NAME_B, NAME_C})
    since: dict[str, float] = {}
    for moment, entries in enumerate(history):
        since = trusted_since(since, wanted, [b"".join(each) for each in entries], float(moment))
    expected = {}
    for name, pem in ((NAME_A, A), (NAME_B, B), (NAME_C, C)):
        run = 0
        for entries in reversed(history):
            if not all(pem in each for each in entries):
                break
            run += 1
        if run:
            expected[name] = float(len(history) - run)

    assert since == expected
