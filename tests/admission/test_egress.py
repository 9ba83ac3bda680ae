"""Egress: a change is refused, where it is enforced, if and only if it surely cuts egress that EEM needs."""

from dataclasses import replace

import pytest
from builders import (
    ApiObject,
    admin_policy,
    block,
    eem_labels,
    endpoint,
    endpoint_slice,
    namespace,
    operator_deployment,
    owner,
    peer,
    pod,
    policy,
    port,
    rule,
    selector,
    to,
    written,
)

from admission.egress_scene import (
    CLUSTER,
    ENFORCED,
    GATEWAY,
    HOST,
    MANAGER,
    NETWORK,
    OF_GATEWAY,
    OF_OPERATOR,
    OPERATOR_POD,
    TO_API,
    TO_DNS,
    TO_KAFKA,
    TO_MANAGER,
    TO_READINESS,
    TO_ROUTER,
    dns,
    doubtful_needs,
    in_namespace,
    limits,
    refused_needs,
    without,
)
from admission.reviews import asked, gateway, judged, manager, verdict_of, world
from webhook.admission import Options, verdict_json
from webhook.admission.inflight import InFlight, pending_change
from webhook.admission.networkpolicy import assess
from webhook.admission.review import PolicyReview

EVERY_POD: ApiObject = {}
BEFORE_POLICY = replace(ENFORCED, service_translation="before-policy")
AFTER_POLICY = replace(ENFORCED, service_translation="after-policy")
REST = (TO_DNS, TO_KAFKA)
OPERATOR_REST = (TO_READINESS, TO_DNS)
TO_CLUSTER_IP = to(block("172.30.0.1/32"), ports=[port(443, "TCP")])
ELSEWHERE = gateway(spec={"manager": {"endpoint": f"https://{HOST}"}}, namespace="edge")
ELSEWHERE_POD = pod("gw-ibm-egw-gateway-1", "edge", labels=eem_labels("gw"), ips=["10.128.0.41"])
TABLE_LABEL = {"eem.ei.ibm.com/component": "mgr"}
NO_READY_DNS = endpoint_slice(
    "dns-default",
    "openshift-dns",
    ports=[written(name="dns", port=5353, protocol="UDP")],
    endpoints=[endpoint("10.128.0.10", ready=False)],
)
WITHOUT_DNS_SLICE = tuple(known for known in CLUSTER if known["metadata"]["name"] != "dns-default-x7x2")
NO_PLACES = without(CLUSTER, "EndpointSlice", "Service", "Route", "Ingress")


@pytest.mark.parametrize(
    ("objects", "new", "options", "refused", "doubtful"),
    [
        pytest.param(
            CLUSTER, limits(pods=EVERY_POD), ENFORCED, ["E1", "E2", "E3", "E4", "E5"], [], id="1: nothing for every pod"
        ),
        pytest.param(CLUSTER, limits(TO_DNS), ENFORCED, ["E3", "E4"], [], id="2: only DNS"),
        pytest.param(
            CLUSTER,
            limits(dns(in_namespace("openshift-dns"), number=53), TO_MANAGER, TO_ROUTER, TO_KAFKA),
            ENFORCED,
            ["E5"],
            ["E4"],
            id="3: port 53 of the namespace whose pods listen on 5353",
        ),
        pytest.param(
            CLUSTER,
            limits(dns(number=53), TO_MANAGER, TO_ROUTER, TO_KAFKA),
            ENFORCED,
            [],
            ["E4", "E5"],
            id="3: port 53 of everything: the cluster IP remains",
        ),
        pytest.param(
            CLUSTER,
            limits(dns(number=53), TO_MANAGER, TO_ROUTER, TO_KAFKA),
            BEFORE_POLICY,
            ["E5"],
            ["E4"],
            id="3: port 53 of everything, and policies see the pods",
        ),
        pytest.param(
            CLUSTER,
            limits(*OPERATOR_REST, TO_CLUSTER_IP, pods=OF_OPERATOR),
            ENFORCED,
            [],
            ["E2"],
            id="4: the API server by its cluster IP only",
        ),
        pytest.param(
            CLUSTER,
            limits(*OPERATOR_REST, TO_CLUSTER_IP, pods=OF_OPERATOR),
            BEFORE_POLICY,
            ["E2"],
            [],
            id="4: the cluster IP only, and policies see the endpoints",
        ),
        pytest.param(
            CLUSTER,
            limits(*OPERATOR_REST, TO_CLUSTER_IP, pods=OF_OPERATOR),
            AFTER_POLICY,
            [],
            [],
            id="4: the cluster IP only, and policies see it",
        ),
        pytest.param(
            CLUSTER,
            limits(*OPERATOR_REST, to(peer(namespaces={})), pods=OF_OPERATOR),
            ENFORCED,
            ["E2"],
            [],
            id="5: the API server by a selector of namespaces",
        ),
        pytest.param(
            CLUSTER,
            limits(*OPERATOR_REST, to(block("10.0.0.1/32")), pods=OF_OPERATOR),
            ENFORCED,
            ["E2"],
            [],
            id="6: one of three API servers",
        ),
        pytest.param(
            CLUSTER, limits(*OPERATOR_REST, TO_API, pods=OF_OPERATOR), BEFORE_POLICY, [], [], id="all API servers"
        ),
        pytest.param(CLUSTER, limits(TO_MANAGER, *REST), ENFORCED, [], ["E3", "E4"], id="7: the manager's pods only"),
        pytest.param(CLUSTER, limits(TO_ROUTER, *REST), ENFORCED, [], ["E3", "E4"], id="8: the router only"),
        pytest.param(CLUSTER, limits(*REST), ENFORCED, ["E3"], ["E4"], id="9: neither the manager nor the router"),
        pytest.param(
            (*CLUSTER, namespace("edge"), ELSEWHERE, ELSEWHERE_POD),
            limits(TO_MANAGER, *REST, namespace="edge"),
            ENFORCED,
            ["E3"],
            ["E4"],
            id="10: a manager elsewhere and no selector of namespaces",
        ),
        pytest.param(
            CLUSTER,
            limits(to(block("0.0.0.0/0"))),
            ENFORCED,
            [],
            ["E3", "E4", "E5"],
            id="11: every address, pods unknown",
        ),
        pytest.param(
            CLUSTER,
            limits(to(block("0.0.0.0/0"))),
            replace(ENFORCED, ipblock_matches_pods="yes"),
            [],
            [],
            id="11: every address, and blocks match pods",
        ),
        pytest.param(
            CLUSTER,
            limits(to(block("0.0.0.0/0"))),
            replace(BEFORE_POLICY, ipblock_matches_pods="no"),
            ["E3", "E5"],
            ["E4"],
            id="11: every address, and blocks match no pod",
        ),
        pytest.param(
            CLUSTER,
            limits(to(peer(selector(**TABLE_LABEL)), ports=[port(3000, "TCP")]), *REST),
            ENFORCED,
            ["E3"],
            ["E4"],
            id="12: the label of the product's table, which no pod has",
        ),
        pytest.param(
            (*without(CLUSTER, "EventEndpointManagement"), manager(spec={"license": {"metric": "MONTHLY_API_CALL"}})),
            limits(TO_KAFKA, pods=selector(**eem_labels("mgr"))),
            ENFORCED,
            [],
            [],
            id="15: usage without a licensing service",
        ),
        pytest.param(
            (*WITHOUT_DNS_SLICE, NO_READY_DNS),
            limits(dns(number=5353), TO_MANAGER, TO_ROUTER, TO_KAFKA),
            BEFORE_POLICY,
            [],
            ["E4", "E5"],
            id="16: no address is ready, and the pods' port is not known",
        ),
        pytest.param(
            NO_PLACES, limits(TO_DNS, TO_KAFKA), ENFORCED, ["E3"], ["E4", "E5"], id="17: nothing readable, DNS narrowed"
        ),
        pytest.param(
            NO_PLACES,
            limits(TO_KAFKA, to(ports=[port(443, "TCP")])),
            ENFORCED,
            ["E5"],
            ["E3", "E4"],
            id="17: nothing readable, and no DNS",
        ),
        pytest.param(
            CLUSTER,
            limits(to(peer(namespaces={}), block("0.0.0.0/0"))),
            ENFORCED,
            [],
            [],
            id="18: IPv4 and pods are all there is",
        ),
        pytest.param(CLUSTER, limits(to()), ENFORCED, [], [], id="everything allowed"),
        pytest.param(CLUSTER, limits(to(), pods=selector(a="b")), ENFORCED, [], [], id="pods of another application"),
        pytest.param(CLUSTER, limits(pods=EVERY_POD, namespace="shop"), ENFORCED, [], [], id="a namespace without EEM"),
        pytest.param(
            CLUSTER,
            limits(pods=EVERY_POD),
            replace(ENFORCED, egress="off"),
            [],
            [],
            id="egress is not judged",
        ),
    ],
)
def test_a_change_is_judged_by_the_paths_that_it_leaves(
    objects: tuple[ApiObject, ...], new: ApiObject, options: Options, refused: list[str], doubtful: list[str]
) -> None:
    """A need is lost if some path was reachable and none is, and perhaps lost if a path or some destinations are."""
    response = judged(world(*objects), new, options=options)

    assert (refused_needs(response), doubtful_needs(response)) == (refused, doubtful)
    assert response.allowed is not bool(refused)


def test_a_policy_without_policy_types_cuts_both_directions() -> None:
    """Rules for egress isolate the pod for ingress, too: the ingress comes first in the one message."""
    response = judged(world(*CLUSTER), policy("both", egress=[TO_DNS]), options=ENFORCED)
    lost = verdict_of(response).lost

    assert [item.direction for item in lost] == sorted((item.direction for item in lost), reverse=True)
    assert {item.direction for item in lost} == {"ingress", "egress"}
    assert "would cut off required ingress and egress: " in response.message


def test_a_change_that_keeps_ingress_and_cuts_egress_is_refused_without_a_small_edit() -> None:
    """The small edits of the change are for ingress alone."""
    rules = {"ingress": [{"ports": [port(8092, "TCP")]}], "egress": [TO_DNS]}
    both = policy("limits", pod_selector=OF_GATEWAY, policy_types=["Ingress", "Egress"], **rules)
    response = judged(world(*CLUSTER), both, options=ENFORCED)
    verdict = verdict_of(response)

    assert (response.allowed, refused_needs(response)) == (False, ["E3", "E4"])
    assert len(verdict.advice) == 2
    assert "would cut off required egress: " in verdict.message


def test_a_named_port_is_looked_up_at_the_destination() -> None:
    """14: the container port egw of a gateway is not a port of the manager."""
    rule = to(peer(selector(**eem_labels("mgr"))), ports=[port("egw", "TCP")])

    assert refused_needs(judged(world(*CLUSTER), limits(rule, *REST), options=ENFORCED)) == ["E3"]


def test_a_deleted_last_policy_is_a_gain() -> None:
    """13: a pod that no policy isolates sends everything."""
    only = limits(TO_DNS)
    response = judged(world(*CLUSTER, only), None, only, options=ENFORCED)

    assert (response.allowed, verdict_of(response).lost, response.warnings) == (True, (), ())


def test_a_deleted_allow_beside_a_deny_is_a_loss() -> None:
    """Policies add up: what the other ones do not allow is lost."""
    allow = limits(TO_MANAGER, TO_ROUTER, name="allow")
    snapshot = world(*CLUSTER, limits(TO_DNS, TO_KAFKA), allow)

    assert refused_needs(judged(snapshot, None, allow, options=ENFORCED)) == ["E3"]
    assert refused_needs(judged(snapshot, None, limits(TO_DNS, TO_KAFKA), options=ENFORCED)) == ["E4", "E5"]


def test_a_need_that_did_not_hold_is_a_warning_only() -> None:
    """Nothing is lost that was not there; the change that touches it says so."""
    snapshot = world(*CLUSTER, limits())
    response = judged(snapshot, limits(name="second"), options=ENFORCED)

    assert (response.allowed, verdict_of(response).lost) == (True, ())
    assert any("was cut off and still is" in text for text in response.warnings)


def test_the_label_of_the_table_is_named_where_no_pod_has_it() -> None:
    """12: the reader followed the product's table, and the refusal names the label."""
    rule = to(peer(selector(**TABLE_LABEL)), ports=[port(3000, "TCP")])
    response = judged(world(*CLUSTER), limits(rule, *REST), options=ENFORCED)

    assert "no such pod has the label eem.ei.ibm.com/component" in response.message


@pytest.mark.parametrize(
    ("mode", "egress", "allowed", "result"),
    [
        ("enforce", "enforce", False, "denied"),
        ("enforce", "warn", True, "warned"),
        ("enforce", "off", True, "allowed"),
        ("warn", "enforce", True, "warned"),
        ("audit", "enforce", True, "audited"),
        ("audit", "warn", True, "audited"),
    ],
)
def test_egress_is_refused_only_where_both_modes_enforce(mode: str, egress: str, *, allowed: bool, result: str) -> None:
    """The mode of the service or namespace applies to egress, which has a mode of its own besides."""
    options = Options(mode=mode, egress=egress)  # type: ignore[arg-type]
    response = judged(world(*CLUSTER), limits(), options=options)

    assert (response.allowed, response.result) == (allowed, result)


@pytest.mark.parametrize(("written_mode", "allowed"), [("enforce", False), ("off", True), ("mistyped", True)])
def test_the_annotation_of_the_namespace_beats_the_setting(written_mode: str, *, allowed: bool) -> None:
    """An annotation that is no mode leaves the setting of the service, here `warn`."""
    annotated = namespace(annotations={"eem-guardrail.io/egress": written_mode})
    response = judged(world(*CLUSTER, annotated), limits())

    assert response.allowed is allowed


def test_strict_refuses_what_is_only_perhaps_lost() -> None:
    """A second path or an unknown address is lack of knowledge; a need of level warning stays a warning."""
    strict = replace(ENFORCED, strict=True)
    snapshot = world(*CLUSTER)

    assert not judged(snapshot, limits(TO_MANAGER, *REST), options=strict).allowed
    assert judged(
        snapshot, limits(*OPERATOR_REST, TO_API, pods=OF_OPERATOR), options=replace(BEFORE_POLICY, strict=True)
    ).allowed
    assert judged(
        snapshot, limits(TO_READINESS, TO_API, pods=OF_OPERATOR), options=replace(BEFORE_POLICY, strict=True)
    ).allowed


def test_an_exempt_instance_has_no_needs() -> None:
    """`deployNetworkPolicies: false` and the operator's own switch waive egress as they waive ingress."""
    objects = (
        *NETWORK,
        namespace(),
        operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "false"}),
        OPERATOR_POD,
        manager(deploy_network_policies=False),
        MANAGER,
        gateway(deploy_network_policies=False, spec={"manager": {"endpoint": f"https://{HOST}"}}),
        GATEWAY,
    )
    response = judged(world(*objects), limits(pods=EVERY_POD), options=ENFORCED)

    assert (response.allowed, verdict_of(response).lost, response.warnings) == (True, (), ())


def test_the_verdict_names_the_need_and_the_destination() -> None:
    """The JSON of a lost need has its direction, its row in the table, and what cannot be reached."""
    found = verdict_json(verdict_of(judged(world(*CLUSTER), limits(*REST), options=ENFORCED)))["lost"][0]

    assert (found["direction"], found["need"], found["destination"], found["port"]) == (
        "egress",
        "E3",
        "the manager",
        443,
    )
    assert found["policies"] == ["eem/limits"]


def test_a_change_without_egress_is_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no changed policy restricts egress, no need is worked out."""
    monkeypatch.setattr(
        "webhook.admission.egress.need_changes.needs_of", lambda *_: pytest.fail("the needs were asked for")
    )
    ingress_only = policy("deny", policy_types=["Ingress"])

    assert not judged(world(*CLUSTER, limits()), ingress_only, options=ENFORCED).allowed


ALLOW = limits(TO_MANAGER, TO_ROUTER, name="allow")
GONE = owner("EventGateway", "other", "events.ibm.com/v1beta1", uid="gone")


@pytest.mark.parametrize(
    ("fields", "refused"),
    [({}, []), ({"terminating": True}, ["E3"]), ({"owners": [GONE]}, ["E3"])],
    ids=["an allow that stays", "a terminating one", "one whose owner does not exist"],
)
def test_an_allow_that_is_going_does_not_count(fields: ApiObject, refused: list[str]) -> None:
    """What it allows ends with it, without another review; that it goes may also cut what others leave."""
    beside = limits(TO_MANAGER, TO_ROUTER, name="beside", **fields)
    snapshot = world(*CLUSTER, limits(*REST), ALLOW, beside)

    assert refused_needs(judged(snapshot, None, ALLOW, options=ENFORCED)) == refused


def test_an_admitted_removal_counts_before_it_is_seen() -> None:
    """Of two allows that double each other, the second one may not be deleted while the first deletion is in flight."""
    beside = limits(TO_MANAGER, TO_ROUTER, name="beside")
    snapshot = world(*CLUSTER, limits(*REST), ALLOW, beside)
    review = PolicyReview.of(asked(None, beside), snapshot.cluster.state("eem").policies)
    change = pending_change(review, snapshot, 0.0)
    assert change is not None
    in_flight = InFlight().with_admitted(change)
    second = PolicyReview.of(asked(None, ALLOW), snapshot.cluster.state("eem").policies)
    assessment = assess(second, snapshot, in_flight, ENFORCED)

    assert (assessment.is_refusal(ENFORCED), assessment.is_in_doubt(ENFORCED)) == (True, True)
    assert not assess(second, snapshot, InFlight(), ENFORCED).needs_confirmation
    assert not assess(second, snapshot, in_flight, Options()).is_refusal(Options())


def test_with_too_many_changes_in_flight_two_extremes_stand_for_all() -> None:
    """The other policies may isolate everything, or be absent."""
    snapshot = world(*CLUSTER, ALLOW)
    review = PolicyReview.of(asked(limits(*REST), None), snapshot.cluster.state("eem").policies)

    assert assess(review, snapshot, InFlight(overfull_at=0.0), ENFORCED).is_in_doubt(ENFORCED)


@pytest.mark.parametrize(
    ("rule", "refused", "doubtful"),
    [
        pytest.param({"to": [{"ipBlock": {"cidr": "nonsense"}}]}, [], ["E3", "E4", "E5"], id="a peer"),
        pytest.param({"ports": [{"protocol": "TCP", "port": True}]}, [], ["E3", "E4", "E5"], id="a port"),
    ],
)
def test_a_part_that_cannot_be_read_may_allow_anything(
    rule: ApiObject, refused: list[str], doubtful: list[str]
) -> None:
    """It was stored with a fault; nothing that it may allow is surely lost."""
    stored = limits(rule)
    snapshot = world(*CLUSTER).with_object(limits(to())).with_object(stored)
    found = judged(snapshot, None, limits(to(), name="all"), options=ENFORCED)

    assert found.allowed
    response = judged(
        world(*CLUSTER, limits(to(), name="all")).with_object(stored), None, limits(to(), name="all"), options=ENFORCED
    )
    assert (refused_needs(response), doubtful_needs(response)) == (refused, doubtful)


@pytest.mark.parametrize(
    ("rules", "refused"),
    [
        pytest.param([to(block("10.128.0.30/32"))], ["E4", "E5"], id="the manager's address alone"),
        pytest.param([to(block("10.128.0.30/31"))], ["E5"], id="an address more"),
        pytest.param([to(in_namespace("openshift-ingress"))], ["E4", "E5"], id="the router alone"),
        pytest.param([to(in_namespace("shop"))], ["E3", "E5"], id="pods to come"),
        pytest.param([to(peer({}, {}), ports=[port(5353, "TCP")])], ["E3", "E4", "E5"], id="a port of DNS"),
        pytest.param([to(peer({}, {}), ports=[port(50, "TCP", end=60)])], ["E3", "E5"], id="ports around it"),
        pytest.param([to(ports=[port("kafka", "TCP")])], ["E3", "E5"], id="a port name"),
        pytest.param([to(ports=[port("kafka", "UDP")])], ["E3", "E4", "E5"], id="a port name of another protocol"),
        pytest.param(
            [to(peer({}, {}), block("0.0.0.0/0"), ports=[port(1, "TCP", end=65535)])], ["E5"], id="every port"
        ),
    ],
)
def test_kafka_is_lost_only_if_nothing_but_known_destinations_is_left(
    rules: list[ApiObject], refused: list[str]
) -> None:
    """E4: DNS, the manager and its router are no Kafka; any other address or pod may be."""
    snapshot = world(*CLUSTER, pod("web-0", labels={"app": "web"}))

    assert (
        refused_needs(judged(snapshot, limits(*rules), options=replace(ENFORCED, ipblock_matches_pods="yes")))
        == refused
    )


def test_lost_ipv6_is_a_warning() -> None:
    """18: EEM supports IPv4 only, so a gateway that only loses IPv6 loses nothing that it needs."""
    options = replace(ENFORCED, ip_families=(4, 6), strict=True, ipblock_matches_pods="yes")
    response = judged(world(*CLUSTER), limits(to(peer({}, {}), block("0.0.0.0/0"))), options=options)

    assert (response.allowed, refused_needs(response), doubtful_needs(response)) == (True, [], [])
    assert any("only IPv6 is cut off" in text for text in response.warnings)


def test_a_cluster_wide_policy_may_allow_what_no_other_does() -> None:
    """Then nothing at an unknown address is surely lost; what is known is decided connection by connection."""
    elsewhere = admin_policy(egress=[rule("Allow", {"networks": ["203.0.113.0/24"]}, field="to")])
    response = judged(world(*CLUSTER, elsewhere), limits(TO_DNS), options=ENFORCED)

    assert (refused_needs(response), doubtful_needs(response)) == (["E3"], ["E4"])
    response = judged(world(*CLUSTER, admin_policy()), limits(TO_DNS), options=ENFORCED)
    assert (refused_needs(response), doubtful_needs(response)) == (["E3", "E4"], [])
    response = judged(world(*NO_PLACES, elsewhere), limits(), options=ENFORCED)
    assert (refused_needs(response), doubtful_needs(response)) == ([], ["E3", "E4", "E5"])


DENY_ALL = limits(pods=EVERY_POD)
NARROW = limits(TO_DNS, TO_KAFKA)


@pytest.mark.parametrize("options", [ENFORCED, BEFORE_POLICY, AFTER_POLICY, replace(ENFORCED, strict=True)])
@pytest.mark.parametrize(
    ("objects", "change"),
    [
        pytest.param(CLUSTER, DENY_ALL, id="a deny for every pod"),
        pytest.param(CLUSTER, limits(TO_DNS), id="only DNS"),
        pytest.param(CLUSTER, NARROW, id="without the manager"),
        pytest.param(CLUSTER, limits(*OPERATOR_REST, pods=OF_OPERATOR), id="without the API server"),
        pytest.param(NO_PLACES, DENY_ALL, id="a deny where no path is known"),
        pytest.param((*CLUSTER, limits(TO_KAFKA, name="kafka")), DENY_ALL, id="a deny beside an allow for Kafka"),
        pytest.param(
            (*CLUSTER, namespace("edge"), ELSEWHERE, ELSEWHERE_POD), limits(namespace="edge"), id="a manager elsewhere"
        ),
        pytest.param((*CLUSTER, limits(to())), limits(TO_DNS), id="only DNS where everything was allowed by a rule"),
    ],
)
def test_a_remedy_that_is_applied_first_makes_the_change_acceptable(
    objects: tuple[ApiObject, ...], change: ApiObject, options: Options
) -> None:
    """Each remedy is acceptable itself, and after all of them the change is."""
    snapshot = world(*objects)
    old = objects[-1] if objects[-1]["metadata"] == change["metadata"] else None
    response = judged(snapshot, change, old, options=options)
    remedies = {item.remedy["metadata"]["name"]: item.remedy for item in verdict_of(response).lost if item.remedy}

    assert remedies
    for remedy in remedies.values():
        assert judged(snapshot, dict(remedy), options=options).allowed
        snapshot = snapshot.with_object(remedy)
    assert judged(snapshot, change, old, options=options).allowed
