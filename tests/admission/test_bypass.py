"""Break-glass: which requests ask for it, what is asked about their users, and what the audit shows of it."""

from typing import Any

import pytest
from builders import ApiObject

from admission.reviews import allow, asked, default_deny, gateway, gateway_pod, judged, verdict_of, world
from webhook.admission import Options
from webhook.admission.audit import NOTHING_AUDITED, audit, row
from webhook.admission.bypass import access_review, bypass_reason, bypassed, refusal_to_bypass
from webhook.eem import EemSnapshot

KEY = "eem-guardrail.io/bypass"
HERE = (gateway(), gateway_pod())
DENY, ALLOW = default_deny(), allow()


def marked(policy: ApiObject, reason: object = "INC-1") -> ApiObject:
    return {**policy, "metadata": {**policy["metadata"], "annotations": {KEY: reason}}}


@pytest.mark.parametrize(
    ("new", "old", "reason"),
    [
        pytest.param(marked(DENY), None, "INC-1", id="a creation with the annotation"),
        pytest.param(DENY, None, "", id="a creation without"),
        pytest.param(marked(DENY, "  "), None, "", id="an empty reason"),
        pytest.param(marked(DENY, 3), None, "", id="no text"),
        pytest.param(marked(DENY), DENY, "INC-1", id="an update that adds it"),
        pytest.param(marked(DENY, "INC-2"), marked(DENY), "INC-2", id="an update that changes it"),
        pytest.param(marked(DENY), marked(DENY), "", id="an update that leaves it"),
        pytest.param(DENY, marked(DENY), "", id="an update that removes it"),
        pytest.param(None, marked(DENY), "INC-1", id="a deletion of a policy that carries it"),
        pytest.param(None, DENY, "", id="a deletion without"),
    ],
)
def test_it_counts_in_the_request_that_adds_or_changes_it_or_deletes_the_policy(
    new: ApiObject | None, old: ApiObject | None, reason: str
) -> None:
    """An annotation that was left there does nothing later."""
    assert bypass_reason(asked(new, old)) == reason


def test_the_question_is_about_the_user_of_the_request() -> None:
    """With the groups and everything else that may decide about a right."""
    extra = {"scopes.authorization.openshift.io": ["user:info"], "empty": None}
    user = {"username": "jane", "groups": ["ops"], "uid": "u-9", "extra": extra}
    found = access_review(asked(marked(DENY), userInfo=user))

    assert found["spec"] == {
        "user": "jane",
        "groups": ["ops"],
        "uid": "u-9",
        "extra": {"scopes.authorization.openshift.io": ["user:info"], "empty": []},
        "resourceAttributes": {
            "verb": "bypass",
            "group": "eem-guardrail.io",
            "resource": "networkpolicies",
            "namespace": "eem",
            "name": "default-deny",
        },
    }


@pytest.mark.parametrize(
    ("answer", "is_let_through"),
    [
        ({"status": {"allowed": True}}, True),
        ({"status": {"allowed": True, "denied": True}}, False),
        ({"status": {"allowed": False}}, False),
        ({"status": {"allowed": "yes"}}, False),
        ({"status": {}}, False),
        ({"status": None}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_a_plain_yes_lets_through(answer: Any, is_let_through: bool) -> None:  # noqa: FBT001
    """Everything else is a no, with its reason."""
    assert (refusal_to_bypass(answer, "jane") == "") is is_let_through


def test_a_bypassed_refusal_is_allowed_with_its_evidence() -> None:
    """The user is told what is cut off, and the audit log has the reason and the refusal."""
    refused = judged(world(*HERE), marked(DENY))
    response = bypassed(refused, "INC-1")

    assert not refused.allowed
    assert (response.allowed, response.result, verdict_of(response).exempt) == (True, "bypassed", "bypass")
    assert verdict_of(response).lost == verdict_of(refused).lost
    assert response.warnings[0].startswith("let through by eem-guardrail.io/bypass: creating NetworkPolicy")
    assert response.audit_annotations["bypass"] == "INC-1"
    assert "TCP/8092" in response.audit_annotations["would-deny"]
    with pytest.raises(ValueError, match="verdict"):
        bypassed(response.__class__(allowed=False), "INC-1")


def bypasses(*snapshots: EemSnapshot) -> list[list[tuple[str, str]]]:
    """Return what each of several audits shows about the bypasses of the one requirement."""
    found, shown = NOTHING_AUDITED, []
    for snapshot in snapshots:
        found = audit(snapshot, Options(), known=found)
        (state,) = found.states()
        shown.append([(mark["policy"], mark["reason"]) for mark in row(state)["bypasses"]])
    return shown


def test_a_bypass_is_shown_until_the_break_is_mended() -> None:
    """A policy that closes the port carries its reason."""
    healthy = world(*HERE)
    broken = healthy.with_object(marked(DENY))
    other = broken.with_object(allow("elsewhere", to="web"))

    assert bypasses(healthy, broken, other, other.with_object(ALLOW)) == [
        [],
        [("eem/default-deny", "INC-1")],
        [("eem/default-deny", "INC-1")],
        [],
    ]
    assert bypasses(broken) == [[("eem/default-deny", "INC-1")]]


def test_a_deleted_or_moved_policy_is_shown_as_well() -> None:
    """It no longer isolates the pods, and its deletion or change has broken the requirement."""
    healthy = world(*HERE, DENY, marked(ALLOW))
    deleted = healthy.without_object("NetworkPolicy", "eem", "allow-clients")
    moved = world(*HERE, DENY, ALLOW).with_object(marked(allow(to="web")))
    later = deleted.with_object(allow("elsewhere", to="web"))

    assert bypasses(healthy, deleted, later)[1:] == [[("eem/allow-clients", "INC-1")]] * 2
    assert bypasses(world(*HERE, DENY, ALLOW), moved)[1:] == [[("eem/allow-clients", "INC-1")]]


def test_a_break_by_others_is_no_bypass() -> None:
    """A policy that carries the annotation, and neither closes the port nor has changed, is not named."""
    healthy = world(*HERE, marked(allow("old", to="web")))

    assert bypasses(healthy, healthy.with_object(DENY)) == [[], []]
