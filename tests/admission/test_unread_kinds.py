"""Verdicts in a cluster with policy kinds that are not read: each says once that it may be overridden."""

from dataclasses import replace

import pytest
from builders import namespace, policy

from admission.reviews import allow, asked, default_deny, gateway, gateway_pod, judged, verdict_of, world
from webhook.admission import AdmissionResponse, Options, validate, verdict_json
from webhook.admission.response import LONGEST_MESSAGE
from webhook.eem.policy_kinds import POLICY_KINDS

NOTE = "Calico policies are not read and may override this verdict"
CALICO = tuple(known for known in POLICY_KINDS if known.group == "projectcalico.org")
CLUSTER = replace(world(namespace("eem"), namespace("shop"), gateway(), gateway_pod()), unread_kinds=CALICO)


def mentions(response: AdmissionResponse) -> int:
    """Count how often the user reads the note."""
    return " ".join([response.message if not response.allowed else "", *response.warnings]).count(NOTE)


@pytest.mark.parametrize(
    ("response", "result"),
    [
        pytest.param(judged(CLUSTER, default_deny()), "denied", id="refused"),
        pytest.param(judged(CLUSTER, allow()), "allowed", id="allowed"),
        pytest.param(judged(CLUSTER, default_deny(), options=Options(mode="warn")), "warned", id="warned"),
    ],
)
def test_a_verdict_says_once_that_it_may_be_overridden(response: AdmissionResponse, result: str) -> None:
    """Row 25: the user reads it in the refusal or as a warning; the audit annotation has it, too."""
    assert (response.result, mentions(response)) == (result, 1)
    assert response.audit_annotations["unread-policy-kinds"] == NOTE
    kinds = verdict_json(verdict_of(response))["policyKinds"]
    assert kinds["read"] == ["NetworkPolicy.networking.k8s.io"]
    assert kinds["unread"][:2] == ["NetworkPolicy.projectcalico.org", "NetworkSet.projectcalico.org"]


def test_a_long_refusal_has_room_for_the_note() -> None:
    """The refusal is cut, and the note stays whole."""
    cluster = replace(
        world(namespace("eem"), *(gateway(f"gw-{number}-{'x' * 40}") for number in range(40))), unread_kinds=CALICO
    )

    message = judged(cluster, default_deny()).message

    assert message.endswith(f"({NOTE}.)")
    assert len(message) <= LONGEST_MESSAGE


def test_in_audit_mode_only_the_annotation_has_it() -> None:
    """The user of an audited namespace sees nothing."""
    response = judged(CLUSTER, default_deny(), options=Options(mode="audit"))

    assert (response.result, mentions(response)) == ("audited", 0)
    assert response.audit_annotations["unread-policy-kinds"] == NOTE


@pytest.mark.parametrize(
    "response",
    [
        pytest.param(judged(CLUSTER, policy("p", "shop"), namespace="shop"), id="a namespace without EEM"),
        pytest.param(judged(CLUSTER, allow(), allow()), id="the spec is unchanged"),
        pytest.param(judged(replace(CLUSTER, unread_kinds=()), default_deny()), id="no such kind"),
    ],
)
def test_a_verdict_that_cannot_be_overridden_does_not_say_so(response: AdmissionResponse) -> None:
    """Nothing was judged, or every kind was read."""
    assert mentions(response) == 0
    assert "unread-policy-kinds" not in response.audit_annotations


def test_a_verdict_on_an_instance_names_the_kinds() -> None:
    """Its warnings about ingress rest on the same policies."""
    response = validate(asked(gateway("new")), CLUSTER, Options())

    assert verdict_json(verdict_of(response))["policyKinds"]["unread"]
