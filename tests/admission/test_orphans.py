"""Policies whose owner does not exist: the garbage collector deletes them, so they do not count as lasting."""

import pytest
from builders import GATEWAY_KIND, ApiObject, Node, owned_by, owner, peer, selector

from admission.reviews import allow, default_deny, gateway, gateway_pod, judged, lost_ports, verdict_of, world
from webhook.admission import Options
from webhook.admission.audit import audit

LIVE = gateway(uid="uid-of-gw")
ELSEWHERE = owner(GATEWAY_KIND, "other", "events.ibm.com/v1beta1", uid="gone")
DENY, ALLOW = default_deny(), allow()
HERE = (LIVE, gateway_pod(), DENY, ALLOW)


def copy(*owners: Node, **fields: object) -> ApiObject:
    """Return a copy of the allow as `kubectl get -o yaml` writes it, with the owners of the original."""
    return allow("copy", owners=list(owners), **fields)


@pytest.mark.parametrize(
    ("owners", "is_allowed"),
    [
        pytest.param([], True, id="no owner"),
        pytest.param([owned_by(LIVE)], True, id="a live instance"),
        pytest.param([ELSEWHERE], False, id="an instance that is not in this namespace"),
        pytest.param([owned_by(LIVE) | {"uid": "old"}], False, id="an instance of the same name with another uid"),
        pytest.param([owner("Deployment", "web")], True, id="an owner of another kind"),
        pytest.param([ELSEWHERE, owner("Deployment", "web")], True, id="one of two owners is of another kind"),
        pytest.param([ELSEWHERE, owned_by(LIVE)], True, id="one of two owners is a live instance"),
    ],
)
def test_a_policy_counts_as_lasting_unless_all_its_owners_are_instances_that_do_not_exist(
    owners: list[Node],
    is_allowed: bool,  # noqa: FBT001
) -> None:
    """The original cannot be deleted if only such a copy would be left."""
    response = judged(world(*HERE, copy(*owners)), None, ALLOW)

    assert (response.allowed, lost_ports(response)) == (is_allowed, [] if is_allowed else [("gw", 8092)])


def test_a_refusal_names_the_policy_that_does_not_count() -> None:
    """Otherwise the user sees an allow and a refusal."""
    response = judged(world(*HERE, copy(ELSEWHERE)), None, ALLOW)

    assert response.warnings == (
        "policy copy does not count: its owner EventGateway other does not exist here, so it will be deleted",
    )


def test_a_policy_of_an_instance_that_is_being_deleted_does_not_count() -> None:
    """It will be deleted with the instance."""
    going = gateway("going", uid="g", terminating=True)
    response = judged(world(*HERE, going, copy(owned_by(going))), None, ALLOW)

    assert not response.allowed


def test_a_policy_counts_again_when_its_owner_is_created() -> None:
    """The owner may be created after the policy."""
    instance = gateway("late", uid="l")
    snapshot = world(*HERE, copy(owned_by(instance)))

    assert not judged(snapshot, None, ALLOW).allowed
    assert judged(snapshot.with_object(instance), None, ALLOW).allowed
    assert not judged(snapshot.with_object(instance).without_object(GATEWAY_KIND, "eem", "late"), None, ALLOW).allowed


def test_a_policy_that_loses_its_owner_counts() -> None:
    """A user may remove the reference from the copy."""
    snapshot = world(*HERE, copy(ELSEWHERE)).with_object(copy())

    assert judged(snapshot, None, ALLOW).allowed
    assert not judged(snapshot.without_object("NetworkPolicy", "eem", "copy"), None, ALLOW).allowed


def test_a_change_is_judged_without_a_deny_that_will_be_deleted_as_well() -> None:
    """Without it, a narrow allow is the first policy that isolates the pods."""
    deny = default_deny("deny", owners=[ELSEWHERE])
    response = judged(world(LIVE, gateway_pod(), deny), allow("narrow", peer(pods=selector(app="client"))))

    assert lost_ports(response) == [("gw", 8092)]


def test_the_copy_itself_can_be_deleted_and_created() -> None:
    """Its creation is allowed with a warning that names the owner."""
    created = judged(world(*HERE), copy(ELSEWHERE))
    deleted = judged(world(*HERE, copy(ELSEWHERE)), None, copy(ELSEWHERE))

    assert created.warnings == (
        "its owner EventGateway other does not exist here, so the garbage collector will delete this policy",
    )
    assert (created.result, deleted.result) == ("warned", "allowed")


def test_a_creation_with_an_owner_that_exists_is_no_warning() -> None:
    """Nor is one with an owner of another kind, which is not known."""
    owners = ([owned_by(LIVE)], [owner("Deployment", "web")], [])

    assert [judged(world(*HERE), copy(*known)).warnings for known in owners] == [(), (), ()]


def test_in_audit_mode_the_warning_is_an_annotation() -> None:
    """The user sees nothing."""
    response = judged(world(*HERE), copy(ELSEWHERE), options=Options(mode="audit"))

    assert (response.warnings, "garbage collector" in response.audit_annotations["noted"]) == ((), True)


def test_a_remedy_covers_the_state_without_the_copy() -> None:
    """After it is applied, the original can be deleted."""
    snapshot = world(*HERE, copy(ELSEWHERE))
    (lost,) = verdict_of(judged(snapshot, None, ALLOW)).lost
    assert lost.remedy is not None

    assert judged(snapshot.with_object(lost.remedy), None, ALLOW).allowed


def test_the_audit_is_about_the_policies_that_exist() -> None:
    """A copy that exists admits its clients until it is deleted."""
    snapshot = world(LIVE, gateway_pod(), DENY, copy(ELSEWHERE))

    assert [state.met for state in audit(snapshot, Options()).states()] == [True]
