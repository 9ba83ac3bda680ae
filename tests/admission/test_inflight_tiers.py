"""Changes of cluster-wide policies in flight: what settles one, and in which states they may leave the policies."""

from typing import Any

import pytest
from builders import ApiObject, admin_policy, namespaces, rule

from webhook.admission.clusterpolicy import ClusterChange
from webhook.admission.inflight import PENDING_SECONDS
from webhook.admission.inflight_tiers import MOST_PENDING_TIERS, TiersInFlight
from webhook.netpol.cluster_policies import ClusterPolicies
from webhook.netpol.parse_cluster_policies import read_cluster_policy
from webhook.netpol.sources.term_algebra import NO_PODS


def known(*objects: ApiObject) -> ClusterPolicies:
    return ClusterPolicies.of(read_cluster_policy(one)[0] for one in objects)


def made(name: str = "a", action: str = "Allow", uid: str = "u", version: str = "5") -> ApiObject:
    policy = admin_policy(name, ingress=[rule(action, namespaces())])
    return {**policy, "metadata": {"name": name, "uid": uid, "resourceVersion": version}}


def change(old: ApiObject | None, new: ApiObject | None) -> ClusterChange:
    name = (old or new or {})["metadata"]["name"]
    sides: Any = [known(*(one for one in (side,) if one is not None)) for side in (old, new)]
    return ClusterChange(key=("AdminNetworkPolicy", name), before=sides[0], after=sides[1], changed=(), touched=NO_PODS)


OLD, NEW = made(), made(action="Deny", version="")


@pytest.mark.parametrize(
    ("old", "new", "cached", "current", "is_over"),
    [
        pytest.param(None, NEW, [], [], False, id="a creation that is not seen"),
        pytest.param(None, NEW, [], [made(version="6")], True, id="one that is seen: the uid is the same"),
        pytest.param(None, NEW, [], [made(uid="other")], False, id="another one of its name"),
        pytest.param(OLD, NEW, [OLD], [OLD], False, id="an update that is not seen"),
        pytest.param(OLD, NEW, [], [made(version="4")], False, id="a cache that is behind the old version"),
        pytest.param(OLD, NEW, [OLD], [made(version="6")], True, id="a later version"),
        pytest.param(OLD, None, [OLD], [], True, id="a deletion that is seen"),
        pytest.param(OLD, None, [], [], False, id="a cache that never had it"),
    ],
)
def test_what_settles_a_change(
    old: ApiObject | None,
    new: ApiObject | None,
    cached: list[ApiObject],
    current: list[ApiObject],
    is_over: bool,  # noqa: FBT001
) -> None:
    """A version later than its old one does, or the time in which it could have happened."""
    in_flight = TiersInFlight().with_admitted(change(old, new), known(*cached), 0.0)

    assert (in_flight.without_seen(known(*current), 1.0).pending == ()) is is_over
    assert in_flight.without_seen(known(*current), PENDING_SECONDS + 1).pending == ()


def test_every_state_in_which_they_may_leave_the_policies() -> None:
    """Each of two changes has happened or not; the policy that is changed now is left out."""
    policies = known(OLD, made("b"))
    in_flight = TiersInFlight().with_admitted(change(OLD, NEW), policies, 0.0)
    in_flight = in_flight.with_admitted(change(made("b"), None), policies, 0.0)
    found = [sorted(key[1] for key in one.known) for one in in_flight.others(policies)]

    assert sorted(found) == [["a"], ["a"], ["a", "b"]]
    assert [sorted(key[1] for key in one.known) for one in in_flight.others(policies, ("AdminNetworkPolicy", "b"))] == [
        ["a", "b"]
    ]


def test_what_is_kept_is_bounded() -> None:
    """The newest changes count."""
    in_flight = TiersInFlight()
    for number in range(MOST_PENDING_TIERS + 1):
        in_flight = in_flight.with_admitted(change(None, made(f"p{number}")), known(), 0.0)

    assert [one.key[1] for one in in_flight.pending] == ["p1", "p2", "p3", "p4"]
