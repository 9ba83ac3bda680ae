"""A user who applies the remedy first may then make the change."""

from itertools import chain
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    Node,
    block,
    eem_labels,
    from_,
    instance,
    operator_deployment,
    owned_by,
    owner,
    peer,
    pod,
    policy,
    port,
    selector,
    workload,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st

from admission.reviews import allow, default_deny, gateway, gateway_pod, judged, manager, manager_pod, verdict_of, world
from webhook.admission import AdmissionResponse, Options
from webhook.eem import EemSnapshot

DENY = default_deny()


def remedies(response: AdmissionResponse) -> list[ApiObject]:
    """Return the distinct remedies of a refusal, as a user would apply them."""
    found: dict[str, ApiObject] = {}
    for lost in verdict_of(response).lost:
        if lost.remedy is not None:
            known = found.setdefault(lost.remedy["metadata"]["name"], dict(lost.remedy))
            assert known == lost.remedy
    return list(found.values())


def followed(snapshot: EemSnapshot, response: AdmissionResponse, options: Options | None = None) -> EemSnapshot:
    """Apply every remedy of a refusal, each of which must be allowed by itself."""
    for remedy in remedies(response):
        names = {name for _, name in snapshot.names("NetworkPolicy")}
        assert remedy["metadata"]["name"] not in names
        assert judged(snapshot, remedy, options=options).allowed
        snapshot = snapshot.with_object(remedy)
    return snapshot


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            [gateway(), gateway_pod()],
            {"allow-gw-gateway": (eem_labels("gw"), [8092])},
            id="a gateway: the labels that say whose it is",
        ),
        pytest.param(
            [manager(), manager_pod()],
            {"allow-mgr-manager": (eem_labels("mgr"), [3000, 8081])},
            id="a manager: both ports, or one would take the other away",
        ),
        pytest.param(
            [operator_deployment()],
            {"allow-ibm-eem-operator": (eem_labels("ibm-eem-operator"), [8443])},
            id="the operator",
        ),
        pytest.param(
            [gateway(), gateway_pod(labels=eem_labels("gw", **{"pod-template-hash": "1", "tier": "edge"}))],
            {"allow-gw-gateway": (eem_labels("gw"), [8092])},
            id="no label that another rollout changes",
        ),
        pytest.param(
            [gateway(), gateway_pod(labels={"team": "a", "pod-template-hash": "1"}, owners=[owned_by(gateway())])],
            {"allow-gw-gateway": ({"team": "a"}, [8092])},
            id="the labels that there are, where none says whose it is",
        ),
        pytest.param(
            [gateway(), gateway_pod(labels={"pod-template-hash": "1"}, owners=[owned_by(gateway())])],
            {"allow-gw-gateway": ({"pod-template-hash": "1"}, [8092])},
            id="a label of the rollout, where there is no other",
        ),
        pytest.param(
            [gateway("x"), manager("x")],
            {
                "allow-x-manager": (eem_labels("x"), [3000, 8081, 8092]),
                "allow-x-gateway": (eem_labels("x"), [3000, 8081, 8092]),
            },
            id="instances that only share their labels share the ports",
        ),
        pytest.param(
            [
                gateway("x"),
                manager("x"),
                pod("x-ibm-egw-gateway-1", labels=eem_labels("x", **{"app.kubernetes.io/component": "ibm-egw"})),
                pod(
                    "x-ibm-eem-manager-0", labels=eem_labels("x", **{"app.kubernetes.io/component": "ibm-eem-manager"})
                ),
            ],
            {
                "allow-x-manager": (
                    eem_labels("x", **{"app.kubernetes.io/component": "ibm-eem-manager"}),
                    [3000, 8081],
                ),
                "allow-x-gateway": (eem_labels("x", **{"app.kubernetes.io/component": "ibm-egw"}), [8092]),
            },
            id="the component label keeps them apart",
        ),
        pytest.param([gateway("g" * 100)], {}, id="a name that no label can have has no remedy"),
    ],
)
def test_a_remedy_selects_by_lasting_labels_and_opens_every_port_that_its_pods_need(
    objects: list[ApiObject], expected: dict[str, tuple[Node, list[int]]]
) -> None:
    """A policy that selects pods isolates them as well."""
    found = {
        remedy["metadata"]["name"]: (
            remedy["spec"]["podSelector"]["matchLabels"],
            [entry["port"] for entry in remedy["spec"]["ingress"][0]["ports"]],
        )
        for remedy in remedies(judged(world(*objects), DENY))
    }

    assert found == expected


def test_a_remedy_is_a_complete_network_policy() -> None:
    """A user can apply it with kubectl."""
    assert remedies(judged(world(gateway()), DENY)) == [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "allow-gw-gateway", "namespace": "eem"},
            "spec": {
                "podSelector": {"matchLabels": eem_labels("gw")},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"protocol": "TCP", "port": 8092}]}],
            },
        }
    ]


@pytest.mark.parametrize(
    ("there", "name", "expected"),
    [
        pytest.param([], "other", "allow-gw-gateway", id="no policy has the name"),
        pytest.param([], "allow-gw-gateway", "allow-gw-gateway-2", id="the deleted policy has it"),
        pytest.param(["allow-gw-gateway"], "other", "allow-gw-gateway-2", id="another policy has it"),
        pytest.param(
            ["allow-gw-gateway", "allow-gw-gateway-2"], "allow-gw-gateway-3", "allow-gw-gateway-4", id="three have"
        ),
    ],
)
def test_a_remedy_has_a_name_that_no_policy_has(there: list[str], name: str, expected: str) -> None:
    """It would replace a policy of that name, or be deleted with it."""
    others = [allow(known, to="nobody") for known in there]
    snapshot = world(gateway(), gateway_pod(), DENY, allow(name), *others)
    response = judged(snapshot, None, allow(name))

    assert [remedy["metadata"]["name"] for remedy in remedies(response)] == [expected]
    assert judged(followed(snapshot, response), None, allow(name)).allowed


@pytest.mark.parametrize("length", [40, 44, 45, 50, 60, 63])
def test_long_names_are_cut_and_stay_distinct(length: int) -> None:
    """The remedies of a manager and of a gateway are two policies with valid names."""
    name = "x" * length
    objects = [
        gateway(name),
        manager(name),
        pod(f"{name}-ibm-eem-manager-0", labels={"m": "1"}, owners=[owned_by(manager(name))]),
        pod(f"{name}-ibm-egw-gateway-0", labels={"g": "1"}, owners=[owned_by(gateway(name))]),
    ]
    names = [remedy["metadata"]["name"] for remedy in remedies(judged(world(*objects), DENY))]

    assert len(names) == len(set(names)) == 2
    assert all(len(known) <= 63 for known in names)


def test_a_name_is_not_cut_after_a_dot_or_a_dash() -> None:
    """A name ends in a letter or a digit."""
    for length in range(45, 56):
        name = "x" * length + "-.-" + "y" * 5
        (remedy,) = remedies(judged(world(gateway(name)), DENY))

        assert remedy["metadata"]["name"][-1].isalnum()


def test_a_remedy_covers_the_deletion_that_an_added_owner_may_cause() -> None:
    """It covers the update as well."""
    old = allow("allow-gw-gateway")
    new = allow("allow-gw-gateway", ports=(1,), owners=[owner("ConfigMap", "gone", "v1")])
    snapshot = world(gateway(), gateway_pod(), DENY, old)
    response = judged(snapshot, new, old)

    assert len(remedies(response)) == 1
    assert judged(followed(snapshot, response), new, old).allowed


def test_a_remedy_opens_the_ports_of_pods_that_the_change_does_not_touch() -> None:
    """Its labels select the pods of a manager with the same name as well."""
    snapshot = world(
        gateway("x"),
        manager("x"),
        pod("x-ibm-egw-gateway-1", labels=eem_labels("x", g="1")),
        pod("x-ibm-eem-manager-0", labels=eem_labels("x", m="1")),
    )
    new = default_deny(pod_selector=selector(g="1"))
    response = judged(snapshot, new)

    assert [remedy["spec"]["podSelector"] for remedy in remedies(response)] == [selector(**eem_labels("x"))]
    assert judged(followed(snapshot, response), new).allowed


def test_pods_without_a_common_label_have_no_remedy() -> None:
    """They need two policies: one alone leaves a loss."""
    objects = [gateway(), *(pod(name, labels={name: "1"}, owners=[owned_by(gateway())]) for name in ("a", "b"))]

    assert remedies(judged(world(*objects), DENY)) == []


def test_pods_without_labels_have_a_remedy_for_the_whole_namespace() -> None:
    """It opens the ports that all pods of EEM in the namespace need."""
    objects = [gateway(), pod("bare", owners=[owned_by(gateway())]), manager(), manager_pod()]
    response = judged(world(*objects), DENY)
    found = {remedy["metadata"]["name"]: remedy["spec"] for remedy in remedies(response)}

    assert found["allow-gw-gateway"]["podSelector"] == {"matchLabels": {}}
    assert [entry["port"] for entry in found["allow-gw-gateway"]["ingress"][0]["ports"]] == [3000, 8081, 8092]


# In general


NAMES = ("x", "y")
LABELS = st.sampled_from(
    [
        {},
        {"team": "a"},
        eem_labels("x"),
        eem_labels("y"),
        eem_labels("x", tier="a"),
        eem_labels("x", **{"app.kubernetes.io/component": "ibm-egw"}),
        eem_labels("x", **{"app.kubernetes.io/component": "ibm-eem-manager"}),
        eem_labels("ibm-eem-operator"),
    ]
)
SELECTORS = st.sampled_from(
    [
        {},
        selector(**eem_labels("x")),
        selector(**eem_labels("y")),
        selector(tier="a"),
        selector(team="a"),
    ]
)
PORTS = st.lists(st.sampled_from([3000, 8081, 8092, 8443, 1]), max_size=4, unique=True)
PEERS = st.lists(
    st.sampled_from(
        [
            peer(pods={}),
            peer(namespaces={}),
            peer(namespaces={}, pods=selector(app="a")),
            block("0.0.0.0/0"),
            block("10.0.0.0/8"),
            block("0.0.0.0/0", "10.0.0.0/8"),
        ]
    ),
    max_size=2,
)


@st.composite
def policies(draw: st.DrawFn, name: str) -> ApiObject:
    rules: Any = [
        from_(*draw(PEERS), ports=[port(number) for number in draw(PORTS)] or None)
        for _ in range(draw(st.integers(0, 2)))
    ]
    return policy(name, pod_selector=draw(SELECTORS), policy_types=["Ingress"], ingress=rules)


@st.composite
def worlds(draw: st.DrawFn) -> list[ApiObject]:
    """Draw instances, their pods, and policies."""
    kinds = st.sampled_from([GATEWAY_KIND, "EventEndpointManagement"])
    instances = [instance(name, kind=draw(kinds)) for name in NAMES[: draw(st.integers(1, 2))]]
    if draw(st.booleans()):
        instances.append(instance("x", kind=draw(kinds), uid="second"))
    owners = st.sampled_from([[], [owned_by(instances[0])], [owned_by(instances[-1])]])
    pods = [
        pod(f"p{number}", labels=draw(LABELS), owners=draw(owners), ips=draw(st.sampled_from([None, ["10.1.2.3"]])))
        for number in range(draw(st.integers(0, 3)))
    ]
    templates = [workload("w", labels=draw(LABELS), owners=draw(owners))] if draw(st.booleans()) else []
    operators = [operator_deployment()] if draw(st.booleans()) else []
    known = [draw(policies(f"p{number}")) for number in range(draw(st.integers(0, 3)))]
    if known and draw(st.booleans()):
        known[-1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    return [
        *{
            (one["kind"], one["metadata"]["name"]): one for one in chain(instances, pods, templates, operators, known)
        }.values()
    ]


OPTIONS = st.builds(
    Options,
    strict=st.booleans(),
    sources=st.sampled_from(["anywhere", "some"]),
    ipblock_matches_pods=st.sampled_from(["yes", "no", "unknown"]),
    pod_cidrs=st.sampled_from([(), ("10.0.0.0/8",)]),
)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), objects=worlds(), options=OPTIONS)
def test_a_change_is_allowed_after_its_remedies_are_applied(
    data: st.DataObject, objects: list[ApiObject], options: Options
) -> None:
    """Each remedy is allowed by itself; after all of them the change is allowed, if each loss has one."""
    snapshot = world(*objects)
    known = [one for one in objects if one["kind"] == "NetworkPolicy"]
    old = data.draw(st.sampled_from([None, *known]))
    new = data.draw(policies("new" if old is None else old["metadata"]["name"]))
    if old is not None:
        new = data.draw(st.sampled_from([new, None]))
        if new is not None:
            new["metadata"] |= {key: value for key, value in old["metadata"].items() if key == "deletionTimestamp"}
    response = judged(snapshot, new, old, options=options)
    event(response.result)
    if response.allowed:
        return
    counted = [lost for lost in verdict_of(response).lost if lost.decided or options.strict]
    event(f"remedies for all: {all(lost.remedy for lost in counted)}")
    after = followed(snapshot, response, options)

    if all(lost.remedy for lost in counted):
        assert judged(after, new, old, options=options).allowed
