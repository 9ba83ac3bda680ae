"""A verdict in sentences: the answer first, then each end with its evidence."""

import builders as b
import pytest

from netpol.asking import ask
from webhook.netpol import explain

PODS = [
    b.pod("server", labels={"app": "server"}, ips=["10.244.0.1"], node="n1", ports=[b.container_port(3000, "ui")]),
    b.pod("client", "shop", ips=["10.244.0.2"], node="n2"),
]
NOT_DECIDED = "policies select the pod, and whether a rule of theirs admits it is not decided"
NOT_ISOLATED = "no policy selects the pod in this direction"


@pytest.mark.parametrize(
    ("policies", "lines"),
    [
        pytest.param(
            [],
            (
                "shop/client -> eem/server TCP/3000: ALLOWED",
                f"ingress at the destination: allowed: {NOT_ISOLATED}",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="nothing isolates",
        ),
        pytest.param(
            [b.policy("deny"), b.policy("allow", ingress=[b.from_(b.peer(pods={})), b.from_()])],
            (
                "shop/client -> eem/server TCP/3000: ALLOWED",
                "ingress at the destination: allowed: a rule admits it",
                "  eem/allow rule #1 admits it",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="the rule that admits is named, the others are not",
        ),
        pytest.param(
            [
                b.policy("deny"),
                b.policy(
                    "allow",
                    ingress=[b.from_(b.peer(pods={})), b.from_(ports=[b.port(80)]), b.from_(ports=[b.port("web")])],
                ),
            ],
            (
                "shop/client -> eem/server TCP/3000: NOT ALLOWED",
                "ingress at the destination: not allowed: policies select the pod, and no rule of theirs admits it",
                "  eem/allow rule #0 does not match the other end",
                "  eem/allow rule #1 matches the other end, but not the port",
                "  eem/allow rule #2 matches the other end, but its port name is not one of the destination's",
                "  eem/deny selects the pod and has no rules for this direction",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="every policy that isolates is named with what its rules miss",
        ),
        pytest.param(
            [b.policy("allow", ingress=[b.from_(b.block("0.0.0.0/0"))])],
            (
                "shop/client -> eem/server TCP/3000: NOT DECIDED",
                f"ingress at the destination: not decided: {NOT_DECIDED}",
                "  eem/allow rule #0 may admit it: that depends on the network plugin or on a part that cannot be read",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="what is not known is named",
        ),
        pytest.param(
            [
                b.policy("out", "shop", policy_types=["Egress"]),
                b.policy("allow", ingress=[b.from_(b.block("0.0.0.0/0"))]),
            ],
            (
                "shop/client -> eem/server TCP/3000: NOT ALLOWED",
                f"ingress at the destination: not decided: {NOT_DECIDED}",
                "  eem/allow rule #0 may admit it: that depends on the network plugin or on a part that cannot be read",
                "egress at the source: not allowed: policies select the pod, and no rule of theirs admits it",
                "  shop/out selects the pod and has no rules for this direction",
            ),
            id="one end refuses, whatever the other one does",
        ),
    ],
)
def test_explanations(policies: list[b.ApiObject], lines: tuple[str, ...]) -> None:
    """The verdict reads like this."""
    assert lines == explain(ask([*PODS, *policies], "shop/client", "eem/server"))
