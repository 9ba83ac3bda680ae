"""Which cluster-wide policies speak of a pod, and in which order they are asked."""

import builders as b
import pytest

from netpol.asking import pod_of
from webhook.netpol.cluster_policies import ClusterPolicies, Tier, TierPolicies, by_tier
from webhook.netpol.model import PolicyType
from webhook.netpol.parse_cluster_policies import read_cluster_policy

RULE = [b.rule("Deny", b.namespaces())]
OUT = [b.rule("Deny", b.namespaces(), field="to")]
WEB = pod_of("web", labels={"app": "web"})
LABELS = {b.NAME_LABEL: "eem", "team": "a"}


def policies(*objects: b.ApiObject) -> ClusterPolicies:
    return ClusterPolicies.of(read_cluster_policy(one)[0] for one in objects)


def names(tier: TierPolicies) -> list[list[list[str]]]:
    return [[[policy.name for policy in equal] for equal in schema] for schema in tier]


def test_the_order_within_a_tier() -> None:
    """In each schema the lowest priority is first; policies of one priority, and the two schemas, have no order."""
    known = policies(
        b.cluster_policy("c9", priority=9, ingress=RULE),
        b.admin_policy("a7", priority=7, ingress=RULE),
        b.admin_policy("a5", priority=5, ingress=RULE),
        b.admin_policy("a5b", priority=5, ingress=RULE),
        b.admin_policy("a10", priority=10, ingress=RULE),
        b.cluster_policy("c0", tier="Baseline", priority=0, ingress=RULE),
    )
    found = by_tier(known.speaking_of(WEB, LABELS, PolicyType.INGRESS))

    assert names(found[Tier.ADMIN]) == [[["a5", "a5b"], ["a7"], ["a10"]], [["c9"]]]
    assert names(found[Tier.BASELINE]) == [[["c0"]]]


@pytest.mark.parametrize(
    ("subject", "speaks"),
    [
        pytest.param(b.namespaces(), True, id="every pod"),
        pytest.param(b.namespaces(team="a"), True, id="the pods of its namespace"),
        pytest.param(b.namespaces(team="b"), False, id="the pods of another namespace"),
        pytest.param(b.pods(b.selector(app="web")), True, id="pods with its labels"),
        pytest.param(b.pods(b.selector(app="db")), False, id="pods with other labels"),
        pytest.param(
            b.pods(b.selector(app="web"), b.selector(team="b")), False, id="pods with its labels, in another namespace"
        ),
    ],
)
def test_subjects(subject: b.Node, speaks: bool) -> None:  # noqa: FBT001  a column
    """A policy speaks of the pods that its subject holds."""
    found = policies(b.admin_policy(subject=subject, ingress=RULE)).speaking_of(WEB, LABELS, PolicyType.INGRESS)

    assert speaks is bool(found)


def test_pods_on_their_nodes_network_are_no_subjects() -> None:
    """No policy speaks of a pod on its node's network."""
    host = pod_of("host", host_network=True)

    assert policies(b.admin_policy(ingress=RULE)).speaking_of(host, LABELS, PolicyType.INGRESS) == ()


def test_a_policy_without_rules_for_a_direction_does_not_count_there() -> None:
    """A policy isolates nothing: without a rule it has no effect in that direction."""
    known = policies(b.admin_policy("in", ingress=RULE), b.admin_policy("out", egress=OUT))

    assert names(by_tier(known.speaking_of(WEB, LABELS, PolicyType.INGRESS))[Tier.ADMIN]) == [[["in"]]]
    assert names(by_tier(known.speaking_of(WEB, LABELS, PolicyType.EGRESS))[Tier.ADMIN]) == [[["out"]]]


def test_a_policy_that_moves() -> None:
    """A policy that gets another tier or priority is asked there alone."""
    known = policies(b.cluster_policy("a", priority=3, ingress=RULE), b.cluster_policy("b", priority=5, ingress=RULE))
    moved, _ = read_cluster_policy(b.cluster_policy("a", priority=7, ingress=RULE))
    lowered, _ = read_cluster_policy(b.cluster_policy("a", tier="Baseline", ingress=RULE))
    after = known.with_policy(moved)

    assert names(by_tier(after.speaking_of(WEB, LABELS, PolicyType.INGRESS))[Tier.ADMIN]) == [[["b"], ["a"]]]
    assert names(by_tier(after.with_policy(lowered).speaking_of(WEB, LABELS, PolicyType.INGRESS))[Tier.BASELINE]) == [
        [["a"]]
    ]
    assert names(by_tier(known.speaking_of(WEB, LABELS, PolicyType.INGRESS))[Tier.ADMIN]) == [[["a"], ["b"]]]


def test_names_of_policies() -> None:
    """The same name may be taken by three kinds."""
    known = policies(b.admin_policy("default"), b.baseline_policy(), b.cluster_policy("default"))

    assert {policy.full_name for policy in known.known.values()} == {
        "AdminNetworkPolicy/default",
        "BaselineAdminNetworkPolicy/default",
        "ClusterNetworkPolicy/default",
    }
    assert len(known.without("ClusterNetworkPolicy", "default").known) == 2
