"""Answers in lines of text: a verdict with its evidence, and a set of sources."""

from typing import Any

import builders as b
import pytest

from netpol.asking import ask, sources_of
from webhook.netpol import ClusterSnapshot, SpecError, explain
from webhook.netpol.evidence import Reason
from webhook.netpol.explain import Reach, describe_sources, networks, who_may_connect
from webhook.netpol.intervals import network, subtract
from webhook.netpol.parse_cluster_policies import PRIORITY_CLAUSE, read_cluster_policy
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources
from webhook.netpol.tiers import DOMAIN_CLAUSE, ORDER_CLAUSE, doubt_of

# Verdicts

PODS = [
    b.pod("server", labels={"app": "server"}, ips=["10.244.0.1"], node="n1", ports=[b.container_port(3000, "ui")]),
    b.pod("client", "shop", ips=["10.244.0.2"], node="n2"),
]
NOT_DECIDED = "policies select the pod, and whether a rule of theirs admits it is not decided"
TO = "spec.egress[0].to[0]"
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
        pytest.param(
            [
                b.admin_policy(
                    "guard",
                    ingress=[
                        b.rule("Pass", b.namespaces(team="x")),
                        b.rule("Deny", b.namespaces(), name="no strangers"),
                    ],
                )
            ],
            (
                "shop/client -> eem/server TCP/3000: NOT ALLOWED",
                f"ingress at the destination: not allowed: {Reason.ADMIN_DENIES.value}",
                "  AdminNetworkPolicy/guard rule #1 'no strangers' denies it",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="the rule of a tier that decides is named",
        ),
        pytest.param(
            [
                b.cluster_policy("pass", ingress=[b.rule("Pass", b.namespaces())]),
                b.cluster_policy("allow", tier="Baseline", ingress=[b.rule("Accept", b.namespaces(), name="all")]),
            ],
            (
                "shop/client -> eem/server TCP/3000: ALLOWED",
                f"ingress at the destination: allowed: {Reason.BASELINE_ACCEPTS.value}",
                "  ClusterNetworkPolicy/allow rule #0 'all' accepts it",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="the Baseline tier",
        ),
        pytest.param(
            [
                b.policy("deny"),
                b.cluster_policy("pass", ingress=[b.rule("Pass", b.namespaces()), b.rule("Deny", b.namespaces())]),
            ],
            (
                "shop/client -> eem/server TCP/3000: NOT ALLOWED",
                "ingress at the destination: not allowed: policies select the pod, and no rule of theirs admits it",
                "  ClusterNetworkPolicy/pass rule #0 passes it to the next tier",
                "  eem/deny selects the pod and has no rules for this direction",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="every policy that was asked is named, up to the rule that decides",
        ),
        pytest.param(
            [b.admin_policy("late", priority=100, ingress=[b.rule("Deny", b.namespaces())])],
            (
                "shop/client -> eem/server TCP/3000: NOT DECIDED",
                f"ingress at the destination: not decided: {Reason.TIERS_NOT_DECIDED.value}",
                f"  AdminNetworkPolicy/late rule #0 may deny it: {PRIORITY_CLAUSE}",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="a policy that may have no effect",
        ),
        pytest.param(
            [
                b.cluster_policy("names", egress=[b.rule("Accept", {"domainNames": ["a.b"]}, field="to")]),
                b.cluster_policy("nodes", priority=11, egress=[b.rule("Deny", b.namespaces(), field="to")]),
            ],
            (
                "shop/client -> eem/server TCP/3000: NOT DECIDED",
                f"ingress at the destination: allowed: {NOT_ISOLATED}",
                f"egress at the source: not decided: {Reason.TIERS_NOT_DECIDED.value}",
                f"  ClusterNetworkPolicy/names rule #0 may accept it: {DOMAIN_CLAUSE} ({TO}.domainNames)",
                "  ClusterNetworkPolicy/nodes rule #0 denies it",
            ),
            id="a rule that may match",
        ),
        pytest.param(
            [
                b.admin_policy("one", ingress=[b.rule("Allow", b.namespaces())]),
                b.admin_policy("two", ingress=[b.rule("Deny", b.namespaces())]),
            ],
            (
                "shop/client -> eem/server TCP/3000: NOT DECIDED",
                f"ingress at the destination: not decided: {Reason.TIERS_NOT_DECIDED.value}",
                f"  AdminNetworkPolicy/one rule #0 may accept it: {ORDER_CLAUSE}",
                f"  AdminNetworkPolicy/two rule #0 may deny it: {ORDER_CLAUSE}",
                f"egress at the source: allowed: {NOT_ISOLATED}",
            ),
            id="two policies of one priority",
        ),
    ],
)
def test_explanations(policies: list[b.ApiObject], lines: tuple[str, ...]) -> None:
    """The verdict reads like this."""
    assert lines == explain(ask([*PODS, *policies], "shop/client", "eem/server"))


# The sources of a port

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
    assert reach(*objects, protocol="UDP").sources == NO_SOURCES


def test_a_pod_on_its_nodes_network() -> None:
    """No policy isolates a pod on its node's network."""
    host = b.pod("host", host_network=True)

    assert reach(host, b.policy(), to="eem/host") == Reach(policies=(), sources=EVERYONE)


def test_a_workload_stands_for_its_pods() -> None:
    """A workload may be asked about before it has a pod."""
    assert reach(b.workload("web"), b.policy("deny"), to="eem/web") == Reach(policies=("eem/deny",), sources=NO_SOURCES)


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


# Sets of sources


@pytest.mark.parametrize(
    ("sources", "lines"),
    [
        pytest.param(EVERYONE, ["everyone: every pod, every node, every address"], id="everyone"),
        pytest.param(NO_SOURCES, ["no source"], id="no source"),
        pytest.param(sources_of(b.peer(namespaces={})), ["every pod in every namespace"], id="every pod"),
        pytest.param(sources_of(b.peer(pods={})), ["every pod in namespace eem"], id="every pod of one namespace"),
        pytest.param(
            sources_of(b.peer(pods=b.selector(app="web"))), ["pods with app=web in namespace eem"], id="by one label"
        ),
        pytest.param(
            sources_of(b.peer(pods=b.selector(app="web", tier="1"), namespaces=b.selector(team="a"))),
            ["pods with app=web and tier=1 in namespaces with team=a"],
            id="by labels of both",
        ),
        pytest.param(
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "In", "b", "a")))),
            ["every pod in namespace a, b"],
            id="namespaces by name",
        ),
        pytest.param(
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "NotIn", "a"), team="x"))),
            ["every pod in every namespace but a with team=x"],
            id="namespaces by label, but for one",
        ),
        pytest.param(
            sources_of(b.peer(namespaces=b.selector(b.expression(b.NAME_LABEL, "NotIn", "b", "a")))),
            ["every pod in every namespace but a, b"],
            id="every namespace but two",
        ),
        pytest.param(
            sources_of(b.block("203.0.113.0/24", "203.0.113.0/25"), b.block("::/0")),
            [
                "addresses in 203.0.113.128/25",
                "addresses in ::/0",
                "pods with such an address: that depends on the network plugin",
            ],
            id="addresses",
        ),
        pytest.param(
            Sources(unreadable=True), ["perhaps others: a stored policy has parts that cannot be read"], id="unreadable"
        ),
    ],
)
def test_sources_in_words(sources: Sources, lines: list[str]) -> None:
    """The set reads like this."""
    assert tuple(lines) == describe_sources(sources)


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        pytest.param(b.expression("app", "In", "a"), "pods with app=a", id="In with one value"),
        pytest.param(b.expression("app", "In", "b", "a"), "pods with app in (a, b)", id="In with two"),
        pytest.param(b.expression("app", "NotIn", "a"), "pods with app not in (a)", id="NotIn"),
        pytest.param(b.expression("app", "Exists"), "pods with label app", id="Exists"),
        pytest.param(b.expression("app", "DoesNotExist"), "pods with no label app", id="DoesNotExist"),
    ],
)
def test_operators_in_words(expression: b.Node, words: str) -> None:
    """Each operator has its words."""
    assert describe_sources(sources_of(b.peer(pods=b.selector(expression)))) == (f"{words} in namespace eem",)


def test_two_operators_on_one_key() -> None:
    """Requirements on one key are told together."""
    both = b.selector(b.expression("app", "Exists"), b.expression("app", "NotIn", "a"))

    assert describe_sources(sources_of(b.peer(pods=both))) == ("pods with label app, not in (a) in namespace eem",)


def test_lines_have_an_order() -> None:
    """The order of lines does not depend on the order of rules."""
    peers: list[Any] = [b.peer(pods=b.selector(app=name)) for name in "cab"]

    assert describe_sources(sources_of(*peers)) == tuple(f"pods with app={name} in namespace eem" for name in "abc")


def test_networks_of_a_set() -> None:
    """A set of addresses is shown as the CIDRs that make it up."""
    rest = subtract((network("10.0.0.0/30")[1],), (network("10.0.0.1/32")[1],))

    assert list(networks(4, rest)) == ["10.0.0.0/32", "10.0.0.2/31"]
    assert list(networks(6, (network("fd00::/8")[1],))) == ["fd00::/8"]


@pytest.mark.parametrize(
    ("peers", "ports", "doubt"),
    [
        pytest.param(
            [{"nodes": {}}, {"domainNames": ["a.b"]}],
            None,
            "the labels of nodes are not read (spec.egress[0].to[0].nodes); "
            "domain names are not resolved (spec.egress[0].to[1].domainNames)",
            id="every peer that is not known",
        ),
        pytest.param(
            [b.namespaces()],
            [{"icmp": {}}],
            "it has a field that cannot be read (spec.egress[0].protocols[0])",
            id="a port that cannot be read",
        ),
        pytest.param([{"networks": ["10.0.0.0/8"]}], None, "the addresses of the pod are not known", id="a new pod"),
    ],
)
def test_why_a_rule_may_match(peers: list[b.Node], ports: list[b.Node] | None, doubt: str) -> None:
    """The clause names each field that the answer depends on."""
    policy = b.cluster_policy(egress=[b.rule("Accept", *peers, field="to", protocols=ports)])

    assert doubt == doubt_of(read_cluster_policy(policy)[0].egress[0])


@pytest.mark.parametrize(
    ("policies", "lines", "doubt"),
    [
        pytest.param([], ("everyone: every pod, every node, every address",), "", id="no tier: everyone"),
        pytest.param(
            [b.admin_policy(ingress=[b.rule("Deny", b.namespaces(team="x"))])],
            (
                "every pod in namespaces with team not in (x)",
                "every node, and every address that is no pod's",
            ),
            "",
            id="an Admin Deny takes pods away",
        ),
        pytest.param(
            [b.policy("deny"), b.admin_policy(ingress=[b.rule("Allow", b.namespaces(team="x"))])],
            ("every pod in namespaces with team=x",),
            "",
            id="an Admin Allow beside a policy that admits nothing",
        ),
        pytest.param(
            [b.policy("deny"), b.admin_policy("late", priority=100, ingress=[b.rule("Allow", b.namespaces())])],
            ("no source",),
            f"AdminNetworkPolicy/late: {PRIORITY_CLAUSE}",
            id="an Allow that may have no effect",
        ),
    ],
)
def test_the_sources_that_tiers_leave(policies: list[b.ApiObject], lines: tuple[str, ...], doubt: str) -> None:
    """Without a source, the answer counts what the tiers decide, and names the policies with rules for the pod."""
    reach = who_may_connect("eem/server", "TCP", 3000, ClusterSnapshot.from_objects([SERVER, *policies]))
    tiers = tuple(f"{one['kind']}/{one['metadata']['name']}" for one in policies if one["kind"] != "NetworkPolicy")

    assert lines == describe_sources(reach.sources, pods_by_address=reach.pods_by_address)
    assert (reach.tiers, reach.doubt) == (tiers, doubt)
