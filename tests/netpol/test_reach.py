"""Who may connect to a port of a pod, as a set."""

import builders as b
import pytest

from netpol.asking import sources_of
from webhook.netpol import ClusterSnapshot, SpecError
from webhook.netpol.intervals import network
from webhook.netpol.reach import Reach, who_may_connect
from webhook.netpol.sources import EVERYONE, NOBODY

SERVER = b.pod("server", labels={"app": "server"}, ports=[b.container_port(3000, "ui")])


def reach(*objects: b.ApiObject, to: str = "eem/server", protocol: str = "TCP", port: int = 3000) -> Reach:
    return who_may_connect(to, protocol, port, ClusterSnapshot.from_objects([SERVER, *objects]))


def test_no_policy_everyone() -> None:
    """A pod that no policy isolates is reached by everyone."""
    assert reach(b.policy(policy_types=["Egress"])) == Reach(policies=(), sources=EVERYONE)


def test_the_policies_that_isolate_and_who_they_admit() -> None:
    """The policies are named, in order, and the sources are the union of their rules for the port."""
    objects = [
        b.policy("b", ingress=[b.from_(b.peer(namespaces={}), ports=[b.port("ui")]), b.from_(ports=[b.port(80)])]),
        b.policy("a"),
    ]

    assert reach(*objects) == Reach(policies=("eem/a", "eem/b"), sources=sources_of(b.peer(namespaces={})))
    assert reach(*objects, port=80).sources == EVERYONE
    assert reach(*objects, protocol="UDP").sources == NOBODY


def test_a_pod_on_its_nodes_network() -> None:
    """No policy isolates a pod on its node's network."""
    host = b.pod("host", host_network=True)

    assert reach(host, b.policy(), to="eem/host") == Reach(policies=(), sources=EVERYONE)


def test_a_workload_stands_for_its_pods() -> None:
    """A workload may be asked about before it has a pod."""
    assert reach(b.workload("web"), b.policy("deny"), to="eem/web") == Reach(policies=("eem/deny",), sources=NOBODY)


@pytest.mark.parametrize(
    ("policies", "cidr", "refused"),
    [
        pytest.param([], "203.0.113.0/24", [], id="everyone may"),
        pytest.param([b.policy()], "203.0.113.0/24", ["203.0.113.0/24"], id="nobody may"),
        pytest.param(
            [b.policy(ingress=[b.from_(b.block("203.0.113.0/25"))])],
            "203.0.113.0/24",
            ["203.0.113.128/25"],
            id="one half may",
        ),
        pytest.param(
            [b.policy(ingress=[b.from_(b.block("0.0.0.0/0"))])], "2001:db8::/32", ["2001:db8::/32"], id="IPv6"
        ),
    ],
)
def test_addresses_that_may_not(policies: list[b.ApiObject], cidr: str, refused: list[str]) -> None:
    """Of a range of addresses, those that may not connect are given."""
    family, interval = network(cidr)

    assert tuple(network(text)[1] for text in refused) == reach(*policies).refused(family, interval)


def test_questions_that_make_no_sense() -> None:
    """All faults of a question are told at once."""
    with pytest.raises(SpecError) as raised:
        reach(to="eem/nobody", protocol="ICMP", port=10**5000)

    assert [str(fault) for fault in raised.value.faults] == [
        "to: there is no pod or workload nobody in namespace eem",
        "protocol: must be TCP, UDP or SCTP, not 'ICMP'",
        "port: must be between 1 and 65535, not the number of more than 4,300 digits",
    ]


@pytest.mark.parametrize("to", ["server", "eem", "", "/"])
def test_what_names_no_pod(to: str) -> None:
    """A pod is asked about with its namespace."""
    with pytest.raises(SpecError, match="there is no pod or workload"):
        reach(to=to)
