"""Changes that were admitted and not seen yet: a verdict holds whatever becomes of them."""

from collections.abc import Sequence
from itertools import product

import pytest
from builders import ApiObject, block, from_, peer, policy, port
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.reviews import allow, asked, default_deny, gateway, gateway_pod, judged, lost_ports, verdict_of, world
from webhook.admission import AdmissionResponse, Options, decide
from webhook.admission.decide import pending_change
from webhook.admission.inflight import MOST_COMBINED, PENDING_SECONDS, SETTLE_SECONDS, InFlight, Pending
from webhook.eem import EemSnapshot
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import parse_policy

DENY = default_deny()
ALLOW = allow()
TWIN = allow("twin")
GUARDED = (gateway(), gateway_pod(), DENY, ALLOW, TWIN)

Pair = tuple[ApiObject | None, ApiObject | None]
"""A change as (new, old)."""


def read(api_object: ApiObject | None) -> NetworkPolicy | None:
    return None if api_object is None else parse_policy(api_object)


def pending(new: ApiObject | None, old: ApiObject | None, *, admitted_at: float = 0.0) -> Pending:
    subject = new or old or {}
    meta = subject["metadata"]
    return Pending(
        namespace=meta["namespace"], name=meta["name"], old=read(old), new=read(new), admitted_at=admitted_at
    )


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
        pytest.param([(None, DENY)], (None, TWIN), False, id="a deny that goes"),
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
    """An allow that goes was not needed before the deny comes."""
    snapshot = world(gateway(), gateway_pod(), ALLOW)

    assert decided(snapshot, (None, ALLOW)).allowed
    assert not decided(snapshot, (None, ALLOW), (DENY, None)).allowed


def test_what_is_in_flight_in_another_namespace_is_of_no_concern() -> None:
    """A policy speaks of its own namespace."""
    assert decided(world(*GUARDED), (None, TWIN), (None, allow(namespace="other"))).allowed


def test_a_surely_lost_state_is_looked_for_behind_one_that_is_not_decided() -> None:
    """The first state that may come about only warns; another one refuses."""
    unsure = allow("twin", block("0.0.0.0/0"))
    snapshot = world(gateway(), gateway_pod(), DENY, allow("twin"), allow(ports=(1,)))
    change = (allow("twin", block("0.0.0.0/0"), ports=(8092,)), allow("twin"))
    alone = decided(snapshot, change)
    together = decided(world(gateway(), gateway_pod(), DENY, ALLOW, unsure), (None, unsure), (allow(ports=(1,)), ALLOW))

    assert [item.decided for item in verdict_of(alone).lost] == [False]
    assert [item.decided for item in verdict_of(together).lost] == [True]


def test_an_undecided_loss_as_known_does_not_hide_a_sure_one_in_flight() -> None:
    """As known, an ipBlock may or may not admit pods; once the allow is gone, addresses are lost for sure."""
    part = allow("part", peer(namespaces={}))
    most = allow("most", block("0.0.0.0/0"))
    snapshot = world(gateway(), gateway_pod(), DENY, most, part)
    narrowed = allow("part", peer(pods={}))

    assert [item.decided for item in verdict_of(decided(snapshot, (narrowed, part))).lost] == [False]
    response = decided(snapshot, (narrowed, part), (None, most))
    assert (response.allowed, [item.decided for item in verdict_of(response).lost]) == (False, [True])


def test_warnings_speak_of_the_state_as_it_is_known() -> None:
    """What may come is no reason to warn."""
    response = decided(world(*GUARDED), (allow("third"), None), (None, ALLOW), (None, TWIN))

    assert (response.result, response.warnings) == ("allowed", ())


def test_many_changes_in_flight_are_judged_by_their_extremes() -> None:
    """More than can be combined: none, all, and the worst."""
    allows = [allow(f"a{number}") for number in range(MOST_COMBINED + 2)]
    snapshot = world(gateway(), gateway_pod(), DENY, ALLOW, *allows)
    gone: list[Pair] = [(None, known) for known in allows]
    more: list[Pair] = [(allow(f"b{number}"), None) for number in range(MOST_COMBINED + 2)]

    assert not decided(snapshot, (None, ALLOW), *gone).allowed
    assert not decided(snapshot, (None, ALLOW), *gone, *more).allowed
    assert decided(snapshot, (None, ALLOW), *gone[1:]).allowed


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
def test_a_change_is_refused_if_it_would_be_in_any_state_that_may_come_about(
    change: Pair, admitted: tuple[Pair, ...], standing: ApiObject
) -> None:
    """Every combination of what happened and what failed is tried by itself."""
    known = [old for _, old in (change, *admitted) if old is not None]
    snapshot = world(gateway(), gateway_pod(), standing, *known)
    expected = all(
        judged(after(snapshot, [one for one, has in zip(admitted, happened, strict=True) if has]), *change).allowed
        for happened in product([False, True], repeat=len(admitted))
    )

    assert decided(snapshot, change, *admitted).allowed is expected


# What is still in flight


def version(number: str, **fields: bool) -> ApiObject:
    return allow(resource_version=number, uid="u", **fields)


@pytest.mark.parametrize(
    ("new", "old", "current", "seen"),
    [
        pytest.param(version("2"), version("1"), version("1"), False, id="an update, and the old version is there"),
        pytest.param(version("2"), version("1"), version("2"), True, id="an update, and another version is there"),
        pytest.param(version("2"), version("1"), None, True, id="an update, and it is gone"),
        pytest.param(None, version("1"), version("1"), False, id="a deletion, and it is there"),
        pytest.param(None, version("1"), None, True, id="a deletion, and it is gone"),
        pytest.param(None, version("1"), version("1", terminating=True), True, id="a deletion, and it is terminating"),
        pytest.param(None, version("1"), allow(resource_version="1", uid="v"), True, id="another one of its name"),
        pytest.param(version("1"), None, None, False, id="a creation, and nothing is there"),
        pytest.param(version("1"), None, version("1"), True, id="a creation, and it is there"),
    ],
)
def test_a_change_is_in_flight_until_the_policy_is_no_longer_what_it_was(
    new: ApiObject | None,
    old: ApiObject | None,
    current: ApiObject | None,
    seen: bool,  # noqa: FBT001
) -> None:
    """Then it is known what became of it."""
    policies_now = {} if current is None else {"allow-clients": read(current)}
    known = {name: found for name, found in policies_now.items() if found is not None}

    assert (InFlight().with_admitted(pending(new, old)).without_seen({"eem": known}, 0.0) == InFlight()) is seen


@pytest.mark.parametrize(
    ("elapsed", "left"), [(0.0, 1), (PENDING_SECONDS, 1), (PENDING_SECONDS + 0.001, 0)], ids=["now", "in time", "late"]
)
def test_what_is_too_old_to_happen_is_dropped(elapsed: float, left: int) -> None:
    """The API server gives a request at most a minute."""
    found = InFlight().with_admitted(pending(ALLOW, None, admitted_at=5.0))

    assert len(found.without_seen({"eem": {}}, 5.0 + elapsed).pending) == left


@pytest.mark.parametrize(
    ("namespace", "elapsed", "left"),
    [("eem", SETTLE_SECONDS, 1), ("eem", SETTLE_SECONDS + 0.001, 0), ("other", 1000.0, 1)],
)
def test_a_list_begun_later_settles_what_it_does_not_show(namespace: str, elapsed: float, left: int) -> None:
    """Only of the namespace that was listed, and only some time after the verdict."""
    found = InFlight().with_admitted(pending(ALLOW, None, admitted_at=5.0))

    assert len(found.without_failed(namespace, 5.0 + elapsed).pending) == left


def test_a_later_change_of_a_policy_settles_the_earlier_one() -> None:
    """Its old object has shown what became of it."""
    first, second = pending(None, ALLOW), pending(None, allow(ports=(1,)))
    other = pending(None, TWIN)

    assert InFlight().with_admitted(first).with_admitted(other).with_admitted(second).pending == (other, second)


def test_nothing_in_flight_stays_the_value_that_it_is() -> None:
    """Most of the time there is nothing to look through."""
    nothing = InFlight()

    assert nothing.without_seen({}, 0.0) is nothing


# What an admitted request leaves in flight


@pytest.mark.parametrize(
    ("change", "fields", "expected"),
    [
        pytest.param((DENY, None), {}, pending(DENY, None, admitted_at=7.0), id="a creation"),
        pytest.param((None, ALLOW), {}, pending(None, ALLOW, admitted_at=7.0), id="a deletion"),
        pytest.param((None, ALLOW), {"name": ""}, pending(None, ALLOW, admitted_at=7.0), id="a deletecollection"),
        pytest.param(
            (allow(ports=(1,)), ALLOW), {}, pending(allow(ports=(1,)), ALLOW, admitted_at=7.0), id="an update"
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
    """And nothing, where it changes nothing in EEM's way."""
    assert pending_change(asked(*change, **fields), world(*GUARDED), 7.0) == expected
