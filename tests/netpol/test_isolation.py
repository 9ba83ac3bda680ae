"""Which policies select a pod, and when that isolates it."""

from typing import Any

import builders as b
import pytest

from netpol.asking import pod_of, policy_of
from webhook.netpol.isolation import is_isolated, selecting, selects
from webhook.netpol.model import PolicyType

WEB = b.selector(app="web")


@pytest.mark.parametrize(
    ("policy", "pod", "directions"),
    [
        pytest.param({}, {}, {"Ingress"}, id="an empty selector selects every pod of the namespace"),
        pytest.param({"pod_selector": WEB}, {"labels": {"app": "web", "a": "b"}}, {"Ingress"}, id="labels that match"),
        pytest.param({"pod_selector": WEB}, {"labels": {"app": "db"}}, set(), id="labels that do not"),
        pytest.param({"pod_selector": WEB}, {}, set(), id="no labels"),
        pytest.param({"namespace": "shop"}, {}, set(), id="a policy of another namespace"),
        pytest.param({}, {"host_network": True}, set(), id="a pod on its node's network is never selected"),
        pytest.param({"policy_types": ["Egress"]}, {}, {"Egress"}, id="Egress alone does not isolate for ingress"),
        pytest.param(
            {"policy_types": ["Egress"], "ingress": []}, {}, {"Egress"}, id="nor with an ingress section beside it"
        ),
        pytest.param({"policy_types": ["Ingress"], "egress": []}, {}, {"Ingress"}, id="nor the other way round"),
        pytest.param({"policy_types": ["Ingress", "Egress"]}, {}, {"Ingress", "Egress"}, id="both directions"),
        pytest.param({"egress": [{}]}, {}, {"Ingress", "Egress"}, id="both where only an egress rule is written"),
        pytest.param({"ingress": [{}]}, {}, {"Ingress"}, id="a policy that admits everyone still isolates"),
        pytest.param(
            {"ingress": [b.from_(ports=[b.port(1, "SCTP")])]}, {}, {"Ingress"}, id="so does one for SCTP only"
        ),
        pytest.param({"terminating": True}, {}, {"Ingress"}, id="a terminating policy isolates"),
    ],
)
def test_what_a_policy_selects(policy: dict[str, Any], pod: dict[str, Any], directions: set[str]) -> None:
    """A policy isolates the pods that it selects, in each direction that it restricts."""
    one, subject = policy_of(**policy), pod_of(**pod)

    assert directions == {each.value for each in PolicyType if selects(one, subject, each)}
    assert directions == {each.value for each in PolicyType if is_isolated(subject, each, [one])}


def test_all_that_select_a_pod() -> None:
    """Every policy that selects the pod isolates it, in the order given."""
    policies = [
        policy_of("c"),
        policy_of("a"),
        policy_of("b", pod_selector=WEB),
        policy_of("d", policy_types=["Egress"]),
    ]

    assert [policy.name for policy in selecting(policies, pod_of(), PolicyType.INGRESS)] == ["c", "a"]
    assert [policy.name for policy in selecting(policies, pod_of(), PolicyType.EGRESS)] == ["d"]


@pytest.mark.parametrize("policy_type", PolicyType)
def test_no_policy_no_isolation(policy_type: PolicyType) -> None:
    """A pod that no policy selects is not isolated."""
    assert not is_isolated(pod_of(), policy_type, [])
