"""The text of a refusal: one paragraph and single lines, whatever names are in them."""

import re
from typing import Any

import pytest
from builders import (
    ApiObject,
    Node,
    block,
    eem_labels,
    expression,
    from_,
    namespace,
    operator_deployment,
    owned_by,
    peer,
    pod,
    policy,
    port,
    selector,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from admission.reviews import (
    allow,
    answer,
    asked,
    default_deny,
    gateway,
    gateway_pod,
    judged,
    manager,
    manager_pod,
    verdict_of,
    world,
)
from webhook.admission import AdmissionResponse, Options
from webhook.eem import EemSnapshot

DENY = default_deny()
ADVICE = (
    "First apply a NetworkPolicy that allows ingress on {ports} without `from` to pods with "
    "app.kubernetes.io/instance={name}, app.kubernetes.io/name=ibm-event-endpoint-management{likewise}. Or set "
    "spec.deployNetworkPolicies: false on {kind} {name}: then you must open these ports yourself."
)


def gateway_advice(likewise: str = "") -> str:
    return ADVICE.format(ports="TCP/8092", name="gw", likewise=likewise, kind="EventGateway")


@pytest.mark.parametrize(
    ("objects", "new", "old", "expected"),
    [
        pytest.param(
            [namespace("shop"), gateway(), gateway_pod("p")],
            DENY,
            None,
            "creating NetworkPolicy eem/default-deny would cut off required ingress: EventGateway eem/gw: gateway "
            "TCP/8092 of pod p could not be reached from any pod, for example a pod without labels in "
            f"namespace shop, isolated by eem/default-deny. {gateway_advice()}",
            id="a pod of another namespace comes first as an example",
        ),
        pytest.param(
            [gateway(), gateway_pod("p"), DENY, allow()],
            None,
            allow(),
            "deleting NetworkPolicy eem/allow-clients would cut off required ingress: EventGateway eem/gw: gateway "
            "TCP/8092 of pod p could not be reached from any pod, for example a pod without labels in namespace eem, "
            f"isolated by eem/default-deny. {gateway_advice()}",
            id="a deletion",
        ),
        pytest.param(
            [namespace("shop"), gateway(), gateway_pod("p"), DENY, allow()],
            allow(
                "allow-clients", peer(pods=selector(expression("team", "Exists")), namespaces={}), block("0.0.0.0/0")
            ),
            allow(),
            "changing NetworkPolicy eem/allow-clients would cut off required ingress: EventGateway eem/gw: gateway "
            "TCP/8092 of pod p could not be reached from some pods, for example a pod without labels in "
            f"namespace shop, isolated by eem/allow-clients, eem/default-deny. {gateway_advice()}",
            id="a narrowing tells the smallest pod that is cut off",
        ),
        pytest.param(
            [gateway(), gateway_pod("p"), DENY, allow()],
            allow("allow-clients", peer(namespaces={}), block("0.0.0.0/1")),
            allow(),
            "changing NetworkPolicy eem/allow-clients would cut off required ingress: EventGateway eem/gw: gateway "
            "TCP/8092 of pod p could not be reached from addresses outside the cluster such as 128.0.0.0/3, isolated "
            f"by eem/allow-clients, eem/default-deny. {gateway_advice()}",
            id="addresses",
        ),
        pytest.param(
            [gateway(), manager(), gateway_pod("p"), manager_pod("m")],
            DENY,
            None,
            "creating NetworkPolicy eem/default-deny would cut off required ingress: EventEndpointManagement eem/mgr: "
            "manager TCP/3000 and TCP/8081 of pod m could not be reached from any pod, for example a pod without "
            "labels in namespace eem, isolated by eem/default-deny; EventGateway eem/gw: gateway TCP/8092 of pod p "
            "could not be reached from any pod, for example a pod without labels in namespace eem, isolated by "
            "eem/default-deny. "
            + ADVICE.format(
                ports="TCP/3000, TCP/8081",
                name="mgr",
                likewise=" (and likewise for the others)",
                kind="EventEndpointManagement",
            ),
            id="several ports in one sentence, several instances in several",
        ),
        pytest.param(
            [operator_deployment(), pod("o", labels=eem_labels("ibm-eem-operator"))],
            DENY,
            None,
            "creating NetworkPolicy eem/default-deny would cut off required ingress: Deployment eem/ibm-eem-operator: "
            "operator TCP/8443 of pod o could not be reached from any pod, for example a pod without labels in "
            "namespace eem, isolated by eem/default-deny. First apply a NetworkPolicy that allows ingress on TCP/8443 "
            "without `from` to pods with app.kubernetes.io/instance=ibm-eem-operator, "
            "app.kubernetes.io/name=ibm-event-endpoint-management. Or set "
            "DEPLOY_OPERATOR_NETWORK_POLICY=false on the operator: then you must open these ports yourself.",
            id="the operator has a switch of its own",
        ),
    ],
)
def test_a_refusal_names_the_pods_the_port_the_client_the_policy_and_the_remedy(
    objects: list[ApiObject], new: ApiObject | None, old: ApiObject | None, expected: str
) -> None:
    """Instance, component, port, pods, the client that is cut off, the policy, and the remedy."""
    assert judged(world(*objects), new, old, options=Options(ipblock_matches_pods="no")).message == expected


@pytest.mark.parametrize(
    ("objects", "part"),
    [
        pytest.param([gateway()], "of future pods (no pod seen yet) with app.kubernetes.io/instance=gw", id="assumed"),
        pytest.param(
            [gateway(), *(gateway_pod(f"p{n}") for n in range(4))],
            "of pods p0, p1 and 2 more could not",
            id="many pods",
        ),
        pytest.param([gateway(), gateway_pod("p")], "of pod p could not", id="one pod"),
    ],
)
def test_a_refusal_names_at_most_two_pods(objects: list[ApiObject], part: str) -> None:
    """Then it counts them."""
    assert part in judged(world(*objects), DENY).message


def test_a_refusal_names_at_most_two_policies() -> None:
    """The changed one is first; then it counts them."""
    denies = [default_deny(f"d{n}") for n in range(3)]
    response = judged(world(gateway(), gateway_pod(), *denies, allow()), None, allow())
    changed = judged(world(gateway(), gateway_pod(), *denies, allow()), allow(ports=(1,)), allow())

    assert "isolated by eem/d0, eem/d1 and 1 more." in response.message
    assert "isolated by eem/allow-clients, eem/d0 and 2 more." in changed.message


def test_an_example_in_a_namespace_that_does_not_exist_has_its_labels() -> None:
    """The pod that is cut off may be a future one."""
    old = allow("allow-clients", peer(namespaces=selector(team="blue"), pods=selector(app="client")))
    response = judged(world(gateway(), gateway_pod("p"), DENY, old), None, old)

    assert "from some pods, for example a pod with app=client in a namespace with team=blue" in response.message


def test_an_example_in_a_namespace_that_exists_names_it() -> None:
    """Users know the names of their namespaces."""
    old = allow("allow-clients", peer(namespaces=selector(team="blue"), pods=selector(app="client")))
    snapshot = world(namespace("shop", labels={"team": "blue"}), gateway(), gateway_pod("p"), DENY, old)

    assert "from some pods, for example a pod with app=client in namespace shop" in judged(snapshot, None, old).message


def test_without_a_remedy_the_advice_is_general() -> None:
    """Pods that have no label in common need more than one policy."""
    owned = [pod(name, labels={name: "1"}, owners=[owned_by(gateway())]) for name in ("a", "b")]
    response = judged(world(gateway(), *owned), DENY)

    assert [lost.remedy for lost in verdict_of(response).lost] == [None]
    assert response.message.endswith(
        "First allow this ingress in a policy that selects these pods. Or set spec.deployNetworkPolicies: false on "
        "EventGateway gw: then you must open these ports yourself."
    )


def test_a_refusal_names_at_most_three_labels() -> None:
    """Then it counts them."""
    wanted = {f"k{n}": "v" for n in range(5)}
    old = allow("allow-clients", peer(pods=selector(**wanted)))
    response = judged(world(gateway(), gateway_pod("p"), DENY, old), None, old)

    assert (
        "from some pods, for example a pod with k0=v, k1=v, k2=v and 2 more labels in namespace eem" in response.message
    )


def test_a_loss_of_all_sources_without_an_example_has_a_text() -> None:
    """If the only sources are addresses that may be pods', no example is certain."""
    old = allow("allow-clients", block("10.0.0.0/8"))
    options = Options(sources="some", pod_cidrs=("10.0.0.0/8",), ipblock_matches_pods="yes")
    response = judged(world(gateway(), gateway_pod("p"), DENY, old), None, old, options=options)

    assert not response.allowed
    assert "could not be reached from" in response.message


# Length and characters


LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]*")
KEY = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def assert_presentable(response: AdmissionResponse) -> None:
    """Assert what the API server and a terminal need of every text of a response."""
    for text in (response.message, *(part for cause in response.causes for part in (cause.message, cause.field))):
        assert LINE.fullmatch(text), text
        assert len(text) <= 1024
    for text in response.warnings:
        assert LINE.fullmatch(text), text
    for text in answer(asked(DENY), response)["response"].get("warnings", ()):
        assert len(text) <= 256
    for key, value in response.audit_annotations.items():
        assert KEY.fullmatch(key), key
        assert LINE.fullmatch(value), value
        assert len(value) <= 1024


HOSTILE = [
    pytest.param("x" * 253, id="253 characters"),
    pytest.param("a\nb\r\x00\x1b[31mred\x7f\x85", id="control characters"),
    pytest.param("\u202edrowkcab\u2066", id="right to left"),
    pytest.param("zero\u200bwidth\u2028line", id="separators that cannot be seen"),
    pytest.param("\U0001f4a3" * 200, id="wide characters"),
    pytest.param("%s{0}${x}", id="formats"),
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
def test_no_name_makes_a_text_of_several_lines_or_too_long(name: str, mode: Any) -> None:
    """Names of instances, pods, namespaces, labels, policies and ports are hostile at once."""
    snapshot = EemSnapshot.empty()
    for api_object in (
        gateway(name),
        manager(name),
        namespace(name),
        pod(name, labels=eem_labels(name, **{name: name})),
        pod(name + "2", labels=eem_labels(name)),
        policy(name, pod_selector=selector(**{name: name})),
    ):
        snapshot = snapshot.with_object(api_object)
    options = Options(mode=mode)
    responses = [
        judged(snapshot, default_deny(name), options=options, name=name),
        judged(snapshot, default_deny("d", ingress=[{name: name, "ports": [{"port": name}]}]), options=options),
        judged(snapshot, policy("s", pod_selector=selector(**{name: name})), options=options),
        judged(snapshot.with_object(DENY), default_deny(name + "3"), options=options),
    ]

    assert [response.result for response in responses[:1]] == [
        {"enforce": "denied", "warn": "warned", "audit": "audited"}[mode]
    ]
    for response in responses:
        assert_presentable(response)


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.text(min_size=1, max_size=300), min_size=3, max_size=3),
    count=st.integers(1, 30),
)
def test_any_names_and_any_number_of_losses_are_presentable(names: list[str], count: int) -> None:
    """Up to thirty instances have arbitrary names."""
    snapshot = EemSnapshot.empty().with_object(namespace(names[1]))
    for number in range(count):
        snapshot = snapshot.with_object(gateway(f"{names[0]}{number}"))
    response = judged(snapshot, default_deny(names[2]), name="x")

    assert_presentable(response)
    assert len(response.causes) == count


def test_a_long_refusal_has_the_worst_loss_first_and_counts_the_others() -> None:
    """Decided losses come before undecided ones, live pods before future ones."""
    objects = [gateway(f"g{n:02}") for n in range(40)] + [pod("live", labels=eem_labels("g39"))]
    response = judged(world(*objects), DENY)

    assert "required ingress: EventGateway eem/g39: gateway TCP/8092 of pod live could" in response.message
    assert re.search(r"; and \d\d more\. First apply", response.message)
    assert len(response.causes) == 40
    told = response.message.count("could not be reached")
    assert f"; and {40 - told} more." in response.message


def test_there_is_one_cause_for_each_lost_requirement() -> None:
    """It has a reason, a sentence, a component and a port, for programs."""
    response = judged(world(manager(), manager_pod()), DENY)

    assert [(cause.reason, cause.field) for cause in response.causes] == [
        ("RequiredIngressLost", "manager:TCP/3000"),
        ("RequiredIngressLost", "manager:TCP/8081"),
    ]
    assert all(cause.message in response.message.replace(" and TCP/8081", "") for cause in response.causes[:1])


def test_under_strict_a_refusal_says_what_is_not_decided() -> None:
    """It names the setting that would decide it."""
    snapshot = world(gateway(), gateway_pod("p"), DENY, allow())
    response = judged(snapshot, allow("allow-clients", block("0.0.0.0/0")), allow(), options=Options(strict=True))

    assert "(not decided: whether an ipBlock admits pods depends on the network plugin (--ipblock-matches-pods))" in (
        response.message
    )


def test_faults_are_in_one_line_with_their_fields() -> None:
    """The line is cut to the length of a message."""
    rules = [from_(ports=[port(0), port(70000)])]
    response = judged(world(gateway()), policy("p", ingress=rules))

    assert response.message == (
        "NetworkPolicy eem/p is not valid: spec.ingress[0].ports[0].port: must be between 1 and 65535, not the "
        "number 0; spec.ingress[0].ports[1].port: must be between 1 and 65535, not the number 70000"
    )
    many = judged(world(gateway()), policy("p", ingress=[from_(ports=[port(0)] * 100)]))
    assert_presentable(many)
    assert len(many.causes) == 100


def test_a_fault_of_a_policy_without_a_name_is_reported() -> None:
    """The API server has yet to generate the name."""
    new: Node = policy(None, ingress=[from_(ports=[port(0)])])

    assert judged(world(gateway()), new).message.startswith("NetworkPolicy eem/(generated name) is not valid: ")


def test_a_refusal_with_hostile_names_can_be_encoded() -> None:
    """All texts are valid UTF-8."""
    name = "\u202e\x00\u00e4\U0001f4a3"
    snapshot = EemSnapshot.empty().with_object(gateway(name))
    found = asked(DENY)

    assert answer(found, judged(snapshot, DENY))["response"]["allowed"] is False
