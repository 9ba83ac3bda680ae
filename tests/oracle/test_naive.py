from typing import Any

import pytest

from oracle.cluster import made
from oracle.connections import connection_allowed
from oracle.generate import Pair, generate_pair
from oracle.naive import Change, Settings, judge
from oracle.plans import policy
from oracle.shrink import shrink

EVERY_POD = {"namespaceSelector": {}}
EVERY_IPV4 = {"ipBlock": {"cidr": "0.0.0.0/0"}}
HOLE = {"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"]}}


def gateway_cluster() -> list[dict[str, Any]]:
    """Make one gateway without pods, and one pod elsewhere with an address."""
    gateway = made("EventGateway", "eem", "gw", spec={})
    pod = made("Pod", "shop", "web", spec={"containers": []}, status={"podIPs": [{"ip": "10.244.0.9"}]})
    return [made("Namespace", None, "eem"), gateway, pod]


def allow(*peers: Any, **rule: Any) -> dict[str, Any]:
    """Make a policy on all pods with one rule."""
    return {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": list(peers), **rule}]}


DENY = {"podSelector": {}, "policyTypes": ["Ingress"]}
OPEN = allow(EVERY_POD, EVERY_IPV4)


@pytest.mark.parametrize(
    ("old", "new", "others", "settings", "expected"),
    [
        pytest.param(None, DENY, [], {}, "lost", id="a first denial isolates"),
        pytest.param(None, DENY, [OPEN], {}, "fine", id="a denial beside an allow takes nothing"),
        pytest.param(OPEN, None, [DENY], {}, "lost", id="an allow deleted under a denial is missed"),
        pytest.param(OPEN, None, [], {}, "fine", id="the last policy deleted opens"),
        pytest.param(DENY, None, [], {}, "fine", id="a denial deleted opens"),
        pytest.param(OPEN, allow(EVERY_POD), [], {}, "lost", id="addresses are lost"),
        pytest.param(OPEN, allow(EVERY_IPV4), [], {}, "undecided", id="pods may be in the block or not"),
        pytest.param(OPEN, allow(EVERY_IPV4), [], {"ipblock_matches_pods": "yes"}, "fine", id="pods are in the block"),
        pytest.param(
            OPEN, allow(EVERY_IPV4), [], {"ipblock_matches_pods": "no"}, "lost", id="pods are not in the block"
        ),
        pytest.param(OPEN, allow(EVERY_POD, HOLE), [], {}, "undecided", id="an exception where pods were seen"),
        pytest.param(
            OPEN, allow(EVERY_POD, HOLE), [], {"pod_cidrs": ("10.244.0.0/16",)}, "fine", id="an exception of pods"
        ),
        pytest.param(OPEN, allow(EVERY_POD, EVERY_IPV4, ports=[{"port": 8093}]), [], {}, "lost", id="the port is lost"),
        pytest.param(OPEN, allow(EVERY_POD), [], {"sources": "some"}, "fine", id="somebody is enough"),
        pytest.param(OPEN, DENY, [], {"sources": "some"}, "lost", id="nobody is not"),
        pytest.param(DENY, OPEN, [], {}, "fine", id="a repair loses nothing"),
        pytest.param(
            OPEN,
            allow(EVERY_IPV4, EVERY_POD),
            [],
            {"ip_families": ("IPv4", "IPv6")},
            "fine",
            id="what was never admitted is not lost",
        ),
    ],
)
def test_the_witness_on_what_a_person_can_check(
    old: Any, new: Any, others: list[Any], settings: dict[str, Any], expected: str
) -> None:
    """The witness gives the answer that the specification gives on cases small enough to see."""
    before, after = (None if spec is None else policy("subject", spec) for spec in (old, new))
    operation = "CREATE" if old is None else "DELETE" if new is None else "UPDATE"
    change = Change(operation=operation, namespace="eem", name="subject", object=after, old_object=before)
    around = [policy(f"other-{index}", spec) for index, spec in enumerate(others)]
    judgement = judge([*gateway_cluster(), *around], change, Settings(**settings))

    assert list(judgement.outcomes.values()) == [expected]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"podSelector": {}}, "denied", id="no rules deny"),
        pytest.param({"ingress": [{}]}, "allowed", id="an empty rule allows"),
        pytest.param({"ingress": [{"from": [], "ports": None}]}, "allowed", id="empty lists mean everything"),
        pytest.param({"policyTypes": ["Egress"], "ingress": []}, "allowed", id="a type not listed is inert"),
        pytest.param({"ingress": [{"from": [{"podSelector": {}}]}]}, "denied", id="own namespace only"),
        pytest.param({"ingress": [{"from": [EVERY_POD]}]}, "allowed", id="every namespace"),
        pytest.param({"ingress": [{"from": [EVERY_IPV4]}]}, "undecided", id="a block around a pod"),
        pytest.param(
            {"ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}]}]}, "denied", id="a block elsewhere"
        ),
        pytest.param({"ingress": [{"ports": [{"port": "none"}]}]}, "denied", id="an unknown name allows nothing"),
        pytest.param({"ingress": [{"ports": [{"protocol": "UDP"}]}]}, "denied", id="another protocol"),
    ],
)
def test_the_witness_on_one_connection(spec: dict[str, Any], expected: str) -> None:
    """The witness answers for one connection as the field table of the API says."""
    goal = made("Pod", "eem", "gw-0", spec={"containers": []})
    objects = [*gateway_cluster(), goal, policy("p", spec)]

    assert connection_allowed("shop/web", "eem/gw-0", "TCP", 8092, objects) == expected


def test_shrinking_leaves_what_matters() -> None:
    """A shrunk pair still has what it was wanted for, and little else."""
    pair = next(one for one in map(generate_pair, range(1000)) if loses(one))
    small = shrink(pair, loses)

    assert loses(small)
    assert len(small.objects) <= 3


def loses(pair: Pair) -> bool:
    """Whether the witness finds a loss by a CREATE."""
    judgement = judge(pair.objects, pair.change, pair.settings)
    return pair.change.operation == "CREATE" and "lost" in judgement.outcomes.values()
