"""The few things that the values know about themselves."""

import pytest

from netpol.asking import policy_of
from webhook.netpol.model import NO_LABELS, Namespace, OwnerReference, PolicyType


@pytest.mark.parametrize(
    ("api_version", "group"),
    [
        pytest.param("v1", "", id="the core group has no name"),
        pytest.param("apps/v1", "apps", id="a group"),
        pytest.param("events.ibm.com/v1beta1", "events.ibm.com", id="a group with dots"),
        pytest.param("", "", id="no version"),
    ],
)
def test_the_group_of_an_owner(api_version: str, group: str) -> None:
    """The group stands before the slash of apiVersion."""
    owner = OwnerReference(api_version=api_version, kind="Kind", name="name", uid="")

    assert group == owner.group


@pytest.mark.parametrize(
    ("policy_types", "ingress", "egress"),
    [
        pytest.param(["Ingress"], 1, 0, id="egress rules are inert"),
        pytest.param(["Egress"], 0, 1, id="ingress rules are inert"),
        pytest.param(["Ingress", "Egress"], 1, 1, id="both count"),
    ],
)
def test_rules_of_a_direction(policy_types: list[str], ingress: int, egress: int) -> None:
    """Rules count only in a direction that the policy restricts."""
    policy = policy_of(policy_types=policy_types, ingress=[{}], egress=[{}])

    assert ingress == len(policy.rules(PolicyType.INGRESS))
    assert egress == len(policy.rules(PolicyType.EGRESS))


def test_no_labels_cannot_be_changed() -> None:
    """The labels that all values without labels share are read-only."""
    assert Namespace(name="a").labels is NO_LABELS
    with pytest.raises(TypeError):
        NO_LABELS["a"] = "b"  # type: ignore[index]
