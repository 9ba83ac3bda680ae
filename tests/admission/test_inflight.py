"""Changes in flight: a verdict holds for each of their outcomes."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from builders import ApiObject, block, body, from_, peer, policy, port, review
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.reviews import allow, asked, default_deny, gateway, gateway_pod, judged, lost_ports, verdict_of, world
from webhook.admission import AdmissionResponse, Options, decide
from webhook.admission.inflight import (
    MOST_PENDING,
    MOST_PENDING_BYTES,
    MOST_WORLDS,
    PENDING_SECONDS,
    SETTLE_SECONDS,
    InFlight,
    Pending,
    pending_change,
)
from webhook.admission.networkpolicy import review_of
from webhook.eem import EemSnapshot
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import read_policy

DENY = default_deny()
ALLOW = allow()
TWIN = allow("twin")
GUARDED = (gateway(), gateway_pod(), DENY, ALLOW, TWIN)

Pair = tuple[ApiObject | None, ApiObject | None]
"""A change as (new, old)."""


def read(api_object: ApiObject | None) -> NetworkPolicy | None:
    return None if api_object is None else read_policy(api_object)[0]


def pending(
    new: ApiObject | None, old: ApiObject | None, known: ApiObject | None = None, *, admitted_at: float = 0.0
) -> Pending:
    name = (new or old or {})["metadata"]["name"]
    return Pending(name=name, old=read(old), new=read(new), known=read(known), admitted_at=admitted_at)


def in_flight(*changes: Pair) -> InFlight:
    found = InFlight()
    for new, old in changes:
        found = found.with_admitted(pending(new, old))
    return found


def decided(snapshot: EemSnapshot, change: Pair, *changes: Pair, options: Options | None = None) -> AdmissionResponse:
    return decide(asked(*change), snapshot, options or Options(), in_flight(*changes))


@pytest.mark.parametrize(
    ("admitted", "change", "lost"),
    [
        pytest.param([(None, ALLOW)], (None, TWIN), True, id="two allows deleted, one after the other"),
        pytest.param([(None, ALLOW)], (None, ALLOW), False, id="the same deletion again"),
        pytest.param([], (None, TWIN), False, id="nothing in flight"),
        pytest.param([(allow("third"), None)], (None, TWIN), False, id="an allow more does no harm"),
        pytest.param([(None, ALLOW), (allow("third"), None)], (None, TWIN), True, id="an allow counts only when seen"),
        pytest.param([(allow(ports=(1,)), ALLOW)], (None, TWIN), True, id="an allow that is being narrowed"),
        pytest.param([(None, DENY)], (None, TWIN), False, id="a deny deleted"),
    ],
)
def test_two_changes_that_are_a_break_together_are_not_both_admitted(
    admitted: list[Pair],
    change: Pair,
    lost: bool,  # noqa: FBT001
) -> None:
    """A removal counts at once, an allow only when it is seen."""
    response = decided(world(*GUARDED), change, *admitted)

    assert (not response.allowed, lost_ports(response)) == (lost, [("gw", 8092)] if lost else [])


def test_an_isolation_in_flight_counts_at_once() -> None:
    """The allow was not needed before the default deny was admitted."""
    snapshot = world(gateway(), gateway_pod(), ALLOW)

    assert decided(snapshot, (None, ALLOW)).allowed
    assert not decided(snapshot, (None, ALLOW), (DENY, None)).allowed


def test_a_sure_loss_in_one_outcome_is_found_behind_an_undecided_one() -> None:
    """The first outcome only warns; another one refuses."""
    unsure = allow("twin", block("0.0.0.0/0"))
    snapshot = world(gateway(), gateway_pod(), DENY, allow("twin"), allow(ports=(1,)))
    change = (allow("twin", block("0.0.0.0/0"), ports=(8092,)), allow("twin"))
    alone = decided(snapshot, change)
    together = decided(world(gateway(), gateway_pod(), DENY, ALLOW, unsure), (None, unsure), (allow(ports=(1,)), ALLOW))

    assert [item.decided for item in verdict_of(alone).lost] == [False]
    assert [item.decided for item in verdict_of(together).lost] == [True]


def test_an_undecided_loss_in_the_known_state_does_not_hide_a_sure_one() -> None:
    """An ipBlock may admit pods in the known state; without the allow in flight, addresses are surely lost."""
    part = allow("part", peer(namespaces={}))
    most = allow("most", block("0.0.0.0/0"))
    snapshot = world(gateway(), gateway_pod(), DENY, most, part)
    narrowed = allow("part", peer(pods={}))

    assert [item.decided for item in verdict_of(decided(snapshot, (narrowed, part))).lost] == [False]
    response = decided(snapshot, (narrowed, part), (None, most))
    assert (response.allowed, [item.decided for item in verdict_of(response).lost]) == (False, [True])


def test_warnings_are_about_the_known_state() -> None:
    """A possible outcome is no reason to warn."""
    response = decided(world(*GUARDED), (allow("third"), None), (None, ALLOW), (None, TWIN))

    assert (response.result, response.warnings) == ("allowed", ())


def test_many_changes_in_flight_are_judged_in_two_extreme_states() -> None:
    """Two states stand for all outcomes if there are too many."""
    allows = [allow(f"a{number}") for number in range(MOST_WORLDS)]
    snapshot = world(gateway(), gateway_pod(), DENY, ALLOW, *allows)
    gone: list[Pair] = [(None, known) for known in allows]
    more: list[Pair] = [(allow(f"b{number}"), None) for number in range(MOST_WORLDS)]

    assert not decided(snapshot, (None, ALLOW), *gone).allowed
    assert not decided(snapshot, (None, ALLOW), *gone, *more).allowed
    assert decided(snapshot, (None, ALLOW), *gone[1:]).allowed


def test_the_extreme_states_include_one_in_which_no_other_policy_isolates() -> None:
    """Every isolating policy is deleted and its replacement fails: then the new policy isolates alone."""
    allows = [allow(f"a{number}") for number in range(MOST_WORLDS)]
    snapshot = world(gateway(), gateway_pod(), *allows)
    gone: list[Pair] = [(None, known) for known in allows]

    assert decided(snapshot, (DENY, None), *gone[1:]).allowed
    assert not decided(snapshot, (DENY, None), *gone, (allow("more"), None)).allowed


def test_a_policy_that_isolates_the_same_pods_in_each_outcome_isolates_them_in_the_extreme_states() -> None:
    """A default deny whose rules change isolates the pods before and after the change."""
    allows = [allow(f"a{number}") for number in range(MOST_WORLDS)]
    snapshot = world(gateway(), gateway_pod(), DENY, *allows)
    gone: list[Pair] = [(None, known) for known in allows]
    opened = policy("default-deny", policy_types=["Ingress"], ingress=[from_(ports=[port(1)])])

    assert decided(snapshot, (policy("second", policy_types=["Ingress"]), None), *gone, (opened, DENY)).allowed


def test_either_of_two_changes_of_one_version_may_happen() -> None:
    """A deletion and a widening have the same old version: the widening does not cancel the deletion."""
    assert not decided(world(*GUARDED), (None, TWIN), (None, ALLOW), (allow(ports=(8092, 1)), ALLOW)).allowed


def test_the_old_object_of_a_change_in_flight_may_be_the_stored_one() -> None:
    """The request has a narrow policy and the cache a wide one: if the change fails, the policy is narrow."""
    snapshot = world(gateway(), gateway_pod(), DENY, ALLOW, TWIN)
    narrow = allow(ports=(1,))

    assert not decided(snapshot, (None, TWIN), (allow(ports=(8092, 1)), narrow)).allowed


def test_changes_in_flight_that_leave_ingress_unchanged_do_not_matter() -> None:
    """Egress rules have no effect on ingress, so any number of such changes leads to one state."""
    allows = [allow(f"a{number}") for number in range(MOST_WORLDS)]
    snapshot = world(gateway(), gateway_pod(), DENY, ALLOW, *allows)
    edits: list[Pair] = [(allow(f"a{number}", egress=[{}]), old) for number, old in enumerate(allows)]

    assert decided(snapshot, (None, ALLOW), *edits).allowed


RULES = st.sampled_from(
    [
        None,
        [from_()],
        [from_(ports=[port(8092)])],
        [from_(ports=[port(1)])],
        [from_(peer(namespaces={}), ports=[port(8092)])],
        [from_(block("0.0.0.0/0"), ports=[port(8092)])],
    ]
)


@st.composite
def policies(draw: st.DrawFn, name: str) -> ApiObject:
    chosen = draw(st.sampled_from([{}, {"matchLabels": {"nobody": "here"}}]))
    return policy(name, pod_selector=chosen, policy_types=["Ingress"], ingress=draw(RULES))


@st.composite
def changes(draw: st.DrawFn, name: str) -> Pair:
    old = draw(st.none() | policies(name))
    new = draw(policies(name) if old is None else st.none() | policies(name))
    return new, old


def after(snapshot: EemSnapshot, happened: Sequence[Pair]) -> EemSnapshot:
    for new, old in happened:
        if new is not None:
            snapshot = snapshot.with_object(new)
        elif old is not None:
            snapshot = snapshot.without_object("NetworkPolicy", "eem", old["metadata"]["name"])
    return snapshot


@settings(max_examples=80, deadline=None)
@given(
    change=changes("asked"), admitted=st.tuples(changes("a"), changes("b"), changes("c")), standing=policies("standing")
)
def test_a_change_is_refused_if_and_only_if_it_would_be_in_some_outcome(
    change: Pair, admitted: tuple[Pair, ...], standing: ApiObject
) -> None:
    """Every combination of successes and failures is judged separately."""
    known = [old for _, old in (change, *admitted) if old is not None]
    snapshot = world(gateway(), gateway_pod(), standing, *known)
    expected = all(
        judged(after(snapshot, [one for one, has in zip(admitted, happened, strict=True) if has]), *change).allowed
        for happened in product([False, True], repeat=len(admitted))
    )

    assert decided(snapshot, change, *admitted).allowed is expected


@settings(max_examples=40, deadline=None)
@given(
    change=changes("asked"),
    admitted=st.tuples(*(changes(name) for name in "abcde")),
    standing=policies("standing"),
)
def test_the_two_extreme_states_miss_no_refusal(change: Pair, admitted: tuple[Pair, ...], standing: ApiObject) -> None:
    """A change that would be refused in one of 32 states is refused in one of the two extreme states."""
    known = [old for _, old in (change, *admitted) if old is not None]
    snapshot = world(gateway(), gateway_pod(), standing, *known)

    if decided(snapshot, change, *admitted).allowed:
        for happened in product([False, True], repeat=len(admitted)):
            state = after(snapshot, [one for one, has in zip(admitted, happened, strict=True) if has])
            assert judged(state, *change).allowed


# What is still in flight


def version(number: str, uid: str = "u", **fields: object) -> ApiObject:
    return allow(resource_version=number, uid=uid, **fields)


def by_name(current: ApiObject | None) -> dict[str, NetworkPolicy]:
    found = read(current)
    return {} if found is None else {found.name: found}


@pytest.mark.parametrize(
    ("change", "known", "current", "seen"),
    [
        pytest.param((version("2"), version("1")), "1", version("1"), False, id="update, the old version is there"),
        pytest.param((version("2"), version("1")), "1", version("2"), True, id="update, a later version is there"),
        pytest.param((version("3"), version("2")), "1", version("1"), False, id="update, an earlier version is there"),
        pytest.param((version("2"), version("1")), "1", version("x"), False, id="update, and no version to compare"),
        pytest.param((version("2"), version("1")), "1", None, True, id="update, and it is gone"),
        pytest.param((version("2"), version("1")), None, None, False, id="update of what was never seen"),
        pytest.param((None, version("1")), "1", version("1"), False, id="deletion, and it is there"),
        pytest.param((None, version("2")), "1", version("1"), False, id="deletion, an earlier version is there"),
        pytest.param((None, version("1")), "1", None, True, id="deletion, and it is gone"),
        pytest.param((None, version("2", uid="v")), "1", None, False, id="deletion, its predecessor is gone"),
        pytest.param((None, version("1")), "1", version("2", terminating=True), True, id="deletion, it is terminating"),
        pytest.param((None, version("1")), "1", version("2", uid="v"), True, id="deletion, another one of its name"),
        pytest.param((version("", uid="v"), None), None, None, False, id="creation, and nothing is there"),
        pytest.param((version("", uid="v"), None), None, version("1", uid="v"), True, id="creation, and it is there"),
        pytest.param((version("", uid="v"), None), "1", version("1"), False, id="creation, its predecessor is there"),
    ],
)
def test_a_change_is_in_flight_until_the_cache_has_a_later_version(
    change: Pair,
    known: str | None,
    current: ApiObject | None,
    seen: bool,  # noqa: FBT001
) -> None:
    """A later version shows the outcome; a cache that lags may have an earlier one, which shows nothing."""
    cached = None if known is None else version(known)
    found = InFlight(pending=(pending(*change, cached),))

    assert (found.without_seen(by_name(current), 0.0) == InFlight()) is seen


@pytest.mark.parametrize(
    ("change", "listed", "shown"),
    [
        pytest.param((version("3"), version("2")), version("2"), False, id="update, the old version is there"),
        pytest.param((version("3"), version("2")), version("x"), True, id="update, another version is there"),
        pytest.param((version("3"), version("2")), version("2", uid="v"), True, id="update, another one of its name"),
        pytest.param((version("3"), version("2")), None, True, id="update, and it is gone"),
        pytest.param((None, version("2")), version("2"), False, id="deletion, and it is there"),
        pytest.param((None, version("2")), None, True, id="deletion, and it is gone"),
        pytest.param((version("", uid="v"), None), None, False, id="creation, and nothing is there"),
        pytest.param((version("", uid="v"), None), version("1", uid="v"), True, id="creation, and it is there"),
        pytest.param((version("", uid="v"), None), version("1"), True, id="creation, and its name is taken"),
    ],
)
def test_a_list_that_begins_after_the_verdict_settles_the_changes_that_it_shows(
    change: Pair,
    listed: ApiObject | None,
    shown: bool,  # noqa: FBT001
) -> None:
    """It is not older than the request's old object, so a difference is an outcome."""
    found = InFlight(pending=(pending(*change, admitted_at=5.0),))

    assert (found.without_shown(by_name(listed), 5.0) == InFlight()) is shown


def test_a_list_that_begins_before_the_verdict_settles_only_later_versions() -> None:
    """It may have a version that is earlier than the request's old object."""
    found = InFlight(pending=(pending(None, version("2"), version("1"), admitted_at=5.0),))

    assert found.without_shown(by_name(version("1")), 4.9) == found
    assert found.without_shown(by_name(version("3")), 4.9) == InFlight()


def test_a_deletion_and_a_creation_of_one_name_may_both_happen() -> None:
    """While the old policy is listed, neither is settled."""
    both = (pending(None, version("1")), pending(version("", uid="v"), None))

    assert InFlight(pending=both).without_shown(by_name(version("1")), 1.0).pending == both


def test_a_policy_of_the_name_with_another_uid_settles_a_deletion_and_a_creation() -> None:
    """It is neither the policy to delete nor the one to create."""
    both = (pending(None, version("1")), pending(version("", uid="v"), None))

    assert InFlight(pending=both).without_shown(by_name(version("5", uid="w")), 1.0) == InFlight()


def test_a_deletion_is_settled_after_the_cache_has_seen_the_policy_come_and_go() -> None:
    """The cache did not have the policy when its deletion was admitted."""
    found = InFlight(pending=(pending(None, version("2")),))
    absent = found.without_seen({}, 0.0)
    present = absent.without_seen(by_name(version("1")), 0.0)

    assert absent == found
    assert len(present.pending) == 1
    assert present.without_seen({}, 0.0) == InFlight()


@pytest.mark.parametrize(
    ("elapsed", "left"), [(0.0, 1), (PENDING_SECONDS, 1), (PENDING_SECONDS + 0.001, 0)], ids=["now", "in time", "late"]
)
def test_a_change_that_is_too_old_to_happen_is_dropped(elapsed: float, left: int) -> None:
    """The API server gives a request at most a minute, and a silent watch is replaced."""
    found = InFlight().with_admitted(pending(ALLOW, None, admitted_at=5.0))

    assert len(found.without_seen({}, 5.0 + elapsed).pending) == left
    assert found.is_over(5.0 + elapsed) is (left == 0)


@pytest.mark.parametrize(
    ("listed", "elapsed", "left"),
    [
        pytest.param(version("1"), SETTLE_SECONDS, 1, id="it may still happen"),
        pytest.param(version("1"), SETTLE_SECONDS + 0.001, 0, id="it has failed"),
        pytest.param(None, SETTLE_SECONDS + 0.001, 1, id="it has happened"),
    ],
)
def test_a_list_that_begins_later_shows_which_changes_failed(
    listed: ApiObject | None, elapsed: float, left: int
) -> None:
    """A change that has happened counts until the cache has it."""
    found = InFlight(pending=(pending(None, version("1"), admitted_at=5.0),))

    assert len(found.without_failed(by_name(listed), 5.0 + elapsed).pending) == left
    assert found.without_shown(by_name(version("1")), 5.0 + SETTLE_SECONDS + 0.001) == InFlight()


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [
        pytest.param((version("2"), version("1")), (None, version("2")), True, id="its old object is a later version"),
        pytest.param(
            (version("", uid="v"), None), (None, version("2", uid="v")), True, id="it deletes what is created"
        ),
        pytest.param((None, version("1")), (None, version("1")), False, id="the same again"),
        pytest.param((None, version("1")), (version("2"), version("1")), True, id="either may happen"),
        pytest.param((None, version("1")), (version("", uid="v"), None), True, id="the creation may come too early"),
        pytest.param((None, allow("other")), (None, version("1")), True, id="another policy"),
    ],
)
def test_a_change_replaces_only_an_earlier_one_that_it_repeats(
    first: Pair,
    second: Pair,
    kept: bool,  # noqa: FBT001
) -> None:
    """Only the watch and live lists show outcomes: an old object is a claim of the review."""
    found = InFlight().with_admitted(pending(*first)).with_admitted(pending(*second))

    assert found.pending == ((pending(*first), pending(*second)) if kept else (pending(*second),))


def test_an_empty_set_of_changes_in_flight_is_not_copied() -> None:
    """Most of the time nothing is in flight."""
    nothing = InFlight()

    assert nothing.without_seen({}, 0.0) is nothing


# What an admitted request leaves in flight


@pytest.mark.parametrize(
    ("change", "fields", "expected"),
    [
        pytest.param((DENY, None), {}, pending(DENY, None, DENY, admitted_at=7.0), id="a creation"),
        pytest.param((None, ALLOW), {}, pending(None, ALLOW, ALLOW, admitted_at=7.0), id="a deletion"),
        pytest.param(
            (None, ALLOW), {"name": ""}, pending(None, ALLOW, ALLOW, admitted_at=7.0), id="a deletecollection"
        ),
        pytest.param(
            (allow(ports=(1,)), ALLOW), {}, pending(allow(ports=(1,)), ALLOW, ALLOW, admitted_at=7.0), id="an update"
        ),
        pytest.param((DENY, None), {"dry_run": True}, None, id="a dry run"),
        pytest.param((ALLOW, ALLOW), {}, None, id="an update that leaves the spec alone"),
        pytest.param((DENY, None), {"sub_resource": "status"}, None, id="a status"),
        pytest.param((default_deny(namespace="shop"), None), {}, None, id="a namespace without EEM"),
        pytest.param((default_deny(None), None), {}, None, id="a name that is to be generated"),
    ],
)
def test_an_admitted_request_leaves_in_flight_what_it_changes(
    change: Pair, fields: dict[str, object], expected: Pending | None
) -> None:
    """A request that does not change ingress of EEM leaves nothing in flight."""
    snapshot = world(*GUARDED)

    assert pending_change(review_of(asked(*change, **fields), snapshot), snapshot, 7.0) == expected


# What a review claims never makes a later verdict weaker


LATE = "9" * 5000
"""A version that is later than any other, and longer than what `int` reads."""


@pytest.mark.parametrize(
    "forged",
    [
        pytest.param((version(LATE), version(LATE)), id="an update with a late version"),
        pytest.param((version("2", ports=(1,)), version(LATE)), id="an update of a late version"),
        pytest.param((version("2"), version("1", ports=(1,))), id="an update of the same version with another content"),
        pytest.param((None, version("1", ports=(1,))), id="a deletion of the same version with another content"),
        pytest.param((version("", uid="w"), None), id="a creation of the same name"),
    ],
)
def test_no_claim_of_a_review_removes_a_change_in_flight(forged: Pair) -> None:
    """A real deletion stays in flight with the policy that it deletes, whatever comes after it or before it."""
    real = pending(None, version("1"), version("1"))

    for found in (
        InFlight().with_admitted(real).with_admitted(pending(*forged)),
        InFlight().with_admitted(pending(*forged)).with_admitted(real),
    ):
        assert real in found.without_seen(by_name(version("1")), 1.0).pending


def test_a_version_that_no_integer_holds_is_compared() -> None:
    """A review may have more digits than `int` reads; leading zeros do not count."""
    found = InFlight(pending=(pending(None, version("007"), version("7")),))

    assert found.without_seen(by_name(version("7")), 0.0) == found
    assert found.without_seen(by_name(version("8" * 5000)), 0.0) == InFlight()
    assert (
        InFlight(pending=(pending(None, version(LATE), version("7")),)).without_seen(by_name(version("8")), 0.0).pending
    )


def overfull() -> InFlight:
    found = InFlight()
    for number in range(MOST_PENDING + 1):
        found = found.with_admitted(pending(allow(f"a{number}"), None, admitted_at=5.0))
    return found


def test_the_number_of_changes_in_flight_is_bounded() -> None:
    """A change that does not fit is remembered by its time only."""
    found = overfull()

    assert (len(found.pending), found.overfull_at, found.is_empty) == (MOST_PENDING, 5.0, False)


def test_the_memory_of_changes_in_flight_is_bounded() -> None:
    """One change of any size is kept, and beside others only what keeps them within their bytes."""
    large = replace(pending(ALLOW, None), size=MOST_PENDING_BYTES + 1)
    small, other = replace(pending(TWIN, None), size=MOST_PENDING_BYTES), pending(allow("other"), None)

    assert InFlight().with_admitted(large).pending == (large,)
    assert InFlight().with_admitted(large).with_admitted(other).overfull_at == 0.0
    assert InFlight().with_admitted(small).with_admitted(other).pending == (small, other)
    assert InFlight().with_admitted(other).with_admitted(large).overfull_at == 0.0


def test_a_change_in_flight_knows_the_size_of_its_review() -> None:
    """It is the number of bytes that came over the wire."""
    snapshot, change = world(*GUARDED), (DENY, None)
    found = pending_change(review_of(asked(*change), snapshot), snapshot, 7.0)

    assert found is not None
    assert found.size == len(body(review(*change)))


@pytest.mark.parametrize(
    ("change", "is_allowed"),
    [
        pytest.param((allow("more"), None), True, id="an allow for everyone"),
        pytest.param((default_deny("more", pod_selector={"matchLabels": {"a": "b"}}), None), True, id="other pods"),
        pytest.param((None, DENY), True, id="a deny deleted"),
        pytest.param((None, TWIN), False, id="one of two allows deleted"),
        pytest.param((default_deny("more"), None), False, id="a second deny"),
        pytest.param((allow("more", peer(namespaces={})), None), False, id="a narrow allow"),
        pytest.param((allow("twin", ports=(8092, 1)), TWIN), True, id="an allow widened"),
    ],
)
def test_with_unknown_changes_in_flight_a_change_must_be_acceptable_in_any_state(
    change: Pair,
    is_allowed: bool,  # noqa: FBT001
) -> None:
    """All other policies may be gone, or may isolate every pod and admit nothing."""
    response = decide(asked(*change), world(*GUARDED), Options(), overfull())

    assert response.allowed is is_allowed


@pytest.mark.parametrize(
    ("elapsed", "left"),
    [(0.0, True), (PENDING_SECONDS, True), (PENDING_SECONDS + 0.001, False)],
    ids=["now", "in time", "late"],
)
def test_unknown_changes_are_forgotten_when_they_are_too_old_to_happen(elapsed: float, left: bool) -> None:  # noqa: FBT001
    """Until then the cache may lack them."""
    found = overfull().without_seen({}, 5.0 + elapsed)

    assert (found.overfull_at is not None, found.is_over(5.0 + elapsed)) == (left, not left)


def test_a_list_that_begins_later_shows_unknown_changes_too() -> None:
    """For judging on that list they do not matter; for judging on the cache they do."""
    settled = 5.0 + SETTLE_SECONDS + 0.001

    assert overfull().without_shown({}, 5.0 + SETTLE_SECONDS).overfull_at == 5.0
    assert overfull().without_shown({}, settled) == InFlight()
    assert overfull().without_failed({}, settled).overfull_at == 5.0
