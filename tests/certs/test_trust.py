"""For how long everybody has trusted an authority."""

from certificate_builders import authority
from hypothesis import given
from hypothesis import strategies as st

from certs import bundle_to_pem
from certs.authority import fingerprint
from certs.trust import authorities_in, knows_all, nothing_published, trusted_since

AUTHORITIES = [authority() for _ in range(3)]
A, B, C = (each.certificate_pem() for each in AUTHORITIES)
NAME_A, NAME_B, NAME_C = (fingerprint(each.certificate) for each in AUTHORITIES)
BOTH = frozenset({NAME_A, NAME_B})


def test_trust_begins_when_the_last_entry_has_it() -> None:
    """An authority that one of two entries lacks is not trusted; its time begins when both have it."""
    first = trusted_since({}, BOTH, [A + B, A], 10.0)
    second = trusted_since(first, BOTH, [A + B, B + A], 20.0)

    assert first == {NAME_A: 10.0}
    assert second == {NAME_A: 10.0, NAME_B: 20.0}


def test_a_break_begins_anew() -> None:
    """What was away, even once, is trusted since it came back; so is all after nobody knew."""
    before = {NAME_A: 1.0, NAME_B: 1.0}

    assert trusted_since(before, BOTH, [A], 5.0) == {NAME_A: 1.0}
    assert trusted_since(before, BOTH, [b"", A + B], 5.0) == {}
    assert trusted_since(before, BOTH, None, 5.0) == {}
    assert trusted_since(before, BOTH, [b"junk"], 5.0) == {}


def test_where_nobody_calls_all_is_trusted() -> None:
    """Without entries there is nobody who could distrust."""
    assert trusted_since({}, BOTH, [], 5.0) == {NAME_A: 5.0, NAME_B: 5.0}


def test_who_knows_less_than_is_published_has_missed_something() -> None:
    """Knowledge is complete when no entry has an authority that is not known; unknown is not complete."""
    assert knows_all(BOTH, [A, A + B, b""])
    assert not knows_all(BOTH, [A, A + C])
    assert not knows_all(BOTH, None)
    assert knows_all(frozenset(), [])


def test_nothing_is_published_only_when_that_is_sure() -> None:
    """Entries without bundle are nothing; not knowing is not."""
    assert nothing_published([b"", b""])
    assert nothing_published([])
    assert not nothing_published([b"", A])
    assert not nothing_published(None)


def test_a_bundle_is_read_whole_or_not() -> None:
    """Junk and a cut bundle hold nothing."""
    assert authorities_in(bundle_to_pem(each.certificate for each in AUTHORITIES)) == {NAME_A, NAME_B, NAME_C}
    assert authorities_in((A + B)[:-30]) == frozenset()
    assert authorities_in(b"") == frozenset()


@given(st.lists(st.lists(st.lists(st.sampled_from([A, B, C])), max_size=3), max_size=5))
def test_time_only_counts_while_every_entry_trusts(history: list[list[list[bytes]]]) -> None:
    """Whatever was published one after the other, trust is as old as the last unbroken run."""
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
