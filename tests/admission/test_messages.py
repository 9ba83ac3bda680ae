"""
What messages name: the policies, the clients, the exemption and the advice.

The numbers are the rows of the inputs from the field that once had a worse message.
"""

import pytest
from builders import (
    ApiObject,
    block,
    eem_labels,
    from_,
    namespace,
    operator_deployment,
    peer,
    pod,
    policy,
    port,
    selector,
)

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
from webhook.admission import AdmissionResponse, Options, verdict_json
from webhook.admission.refusal import isolated_by
from webhook.admission.response import LONGEST_WARNING
from webhook.eem import EemSnapshot

DENY = default_deny()


def examples(response: AdmissionResponse) -> list[dict[str, object]]:
    """Return the names of the pods that exist and are the examples of a refusal."""
    found = (lost.counterexample for lost in verdict_of(response).lost)
    return [{"pod": getattr(example, "pod", ""), "labels": dict(getattr(example, "labels", {}))} for example in found]


def test_a_warning_is_whole_in_the_verdict_and_cut_on_the_wire() -> None:
    """Row 27: the end of a warning has the flag or the remedy."""
    options = Options(mode="warn")
    response = judged(world(gateway(), gateway_pod()), DENY, options=options)
    sent = answer(asked(DENY), response)["response"]["warnings"]

    assert verdict_of(response).warnings[0].endswith("isolated by eem/default-deny")
    assert len(verdict_of(response).warnings[0]) > 120
    assert [len(text) <= LONGEST_WARNING for text in sent] == [True]
    assert sent[0] == verdict_of(response).warnings[0][:LONGEST_WARNING]


def test_a_longer_warning_is_cut_on_the_wire_at_its_end() -> None:
    """Row 27: the API server would cut it at the same place, if all warnings are too long together."""
    name = "n" * 250
    response = judged(world(gateway(name)), default_deny(name), options=Options(mode="warn"))
    sent = answer(asked(DENY), response)["response"]["warnings"]

    assert len(verdict_of(response).warnings[0]) > LONGEST_WARNING
    assert [(len(text), text[-1]) for text in sent] == [(LONGEST_WARNING, "…")]


def test_a_broken_requirement_names_the_policies_that_had_closed_it() -> None:
    """Row 28: not the new policy, which changes nothing."""
    here = world(gateway(), DENY, default_deny("second"))

    assert judged(here, default_deny("aaa")).warnings == (
        "eem/gw gateway TCP/8092 was not open as required and still is not (isolated by eem/default-deny, eem/second)",
    )
    assert (
        "(isolated by eem/default-deny)"
        in judged(
            world(gateway(), DENY), default_deny(labels={"a": "b"}, ingress=[from_(ports=[port(1)])]), DENY
        ).warnings[0]
    )


def test_a_terminating_policy_is_called_so() -> None:
    """Row 29: the allow is still there, and does not last."""
    leaving = allow("leaving", terminating=True)
    refused = judged(world(gateway(), gateway_pod(), DENY, leaving, allow()), None, allow())
    warned = judged(world(gateway(), DENY, leaving), default_deny("third"))

    assert "isolated by eem/default-deny, eem/leaving (terminating). First" in refused.message
    assert verdict_of(refused).lost[0].policies == ("eem/default-deny", "eem/leaving")
    assert "(isolated by eem/default-deny, eem/leaving (terminating))" in warned.warnings[0]


@pytest.mark.parametrize("platform", ["openshift", "kubernetes", None])
def test_the_host_network_of_openshift_is_no_selection_of_pods(platform: object) -> None:
    """Row 30: IBM's policy for OpenShift selects the host network, where the API server runs, by this label."""
    host_network = peer(namespaces=selector(**{"policy-group.network.openshift.io/host-network": ""}))
    snapshot = world(operator_deployment(), pod("o", labels=eem_labels("ibm-eem-operator")))
    chosen = selector(**eem_labels("ibm-eem-operator"))
    options = Options(platform=platform)  # type: ignore[arg-type]

    def warnings(*peers: dict[str, object]) -> tuple[str, ...]:
        new = policy("operator", pod_selector=chosen, ingress=[from_(*peers, ports=[port(8443)])])
        return judged(snapshot, new, options=options).warnings

    assert warnings(host_network) == ()
    assert warnings(host_network, peer(pods={})) == ()
    assert len(warnings(peer(namespaces=selector(team="a")))) == 1


@pytest.mark.parametrize(
    ("objects", "word"),
    [
        pytest.param([gateway(terminating=True)], "terminating", id="terminating"),
        pytest.param(
            [gateway(terminating=True, deploy_network_policies=False)], "terminating", id="terminating and off"
        ),
        pytest.param([gateway(deploy_network_policies=False)], "deployNetworkPolicies", id="the instance's switch"),
        pytest.param(
            [operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "false"})],
            "operator-switch",
            id="the operator's switch",
        ),
        pytest.param(
            [gateway(terminating=True), manager(deploy_network_policies=False)],
            "deployNetworkPolicies",
            id="several reasons: the first by the alphabet",
        ),
    ],
)
def test_each_exemption_has_its_word(objects: list[ApiObject], word: str) -> None:
    """Row 31: a terminating instance is not one whose switch is off."""
    assert verdict_of(judged(world(*objects), DENY)).exempt == word


def test_a_pod_that_exists_is_named_where_one_is_cut_off() -> None:
    """Row 42: a pod of another namespace that the policies do not admit any more."""
    clients = [pod("orders-0", "shop", labels={"app": "orders"}), pod("job-0", "shop", phase="Succeeded")]
    snapshot = world(namespace("shop"), gateway(), gateway_pod(), *clients)
    response = judged(snapshot, DENY)

    assert "could not be reached from pod shop/orders-0, isolated by" in response.message
    assert examples(response) == [{"pod": "orders-0", "labels": {}}]


def test_a_pod_that_stays_admitted_is_no_example() -> None:
    """Row 42: of several pods, one that is cut off is named, with the label for which it is."""
    old = allow("allow-clients", peer(namespaces={}))
    new = allow("allow-clients", peer(namespaces={}, pods=selector(team="red")))
    red, blue = pod("a-red", "shop", labels={"team": "red"}), pod("b-blue", "shop", labels={"team": "blue"})
    snapshot = world(namespace("shop"), gateway(), gateway_pod(), DENY, old, red, blue)

    assert "from pod shop/b-blue, isolated by" in judged(snapshot, new, old).message
    only_red = world(namespace("shop"), gateway(), gateway_pod(), DENY, old, red)
    assert "from some pods, for example a pod without labels in namespace shop" in judged(only_red, new, old).message


def test_a_pod_whose_address_stays_admitted_is_no_example_unless_blocks_hold_no_pods() -> None:
    """Row 42: on some network plugins an ipBlock admits it."""
    old = allow("allow-clients", peer(namespaces={}), block("10.0.0.0/8"))
    new = allow("allow-clients", block("10.0.0.0/8"))
    snapshot = world(namespace("shop"), gateway(), gateway_pod(), DENY, old, pod("web", "shop", ips=["10.1.1.1"]))

    def found(matches: str) -> AdmissionResponse:
        return judged(snapshot, new, old, options=Options(ipblock_matches_pods=matches, strict=True))  # type: ignore[arg-type]

    assert "from pod shop/web" in found("no").message
    assert "from some pods, for example a pod without labels in namespace shop" in found("unknown").message


def test_the_json_of_a_verdict_names_the_pod() -> None:
    """Row 42: for programs."""
    snapshot = world(namespace("shop"), gateway(), pod("web-0", "shop", labels={"app": "web"}))
    lost = verdict_json(verdict_of(judged(snapshot, DENY)))["lost"]

    assert lost[0]["counterexample"] == {"namespace": "shop", "labels": {}, "pod": "web-0"}


def test_policies_that_are_only_in_flight_have_no_names() -> None:
    """They may be any."""
    assert isolated_by((), frozenset()) == "isolated by other policies"


def test_without_such_a_pod_the_text_does_not_sound_like_one_that_exists() -> None:
    """Row 42: the text begins with "any pod, for example" where all pods are cut off."""
    assert (
        "from any pod, for example a pod without labels in namespace shop"
        in judged(world(namespace("shop"), gateway()), DENY).message
    )


def advice(snapshot: EemSnapshot, new: ApiObject | None, old: ApiObject | None = None) -> tuple[str, ...]:
    return verdict_of(judged(snapshot, new, old)).advice


EXTRA = policy(
    "allow-clients",
    pod_selector=selector(**eem_labels("gw", tier="x")),
    policy_types=["Ingress"],
    ingress=[from_(ports=[port(8092, "TCP")])],
)
SWITCH = "Or set spec.deployNetworkPolicies: false on EventGateway gw: then you must open these ports yourself."


def test_the_advice_is_a_policy_then_a_small_edit_then_the_switch() -> None:
    """Section 3 of the issue: a missing port in the change is the second advice."""
    told = advice(world(gateway(), gateway_pod()), allow(ports=(8093,)))

    assert told[0].startswith("First apply a NetworkPolicy that allows ingress on TCP/8092 ")
    assert told[1:] == ("Or add port TCP/8092 to spec.ingress[0].ports.", SWITCH)


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param(allow(ports=(1,)), allow(), "add port TCP/8092 to spec.ingress[0].ports", id="a port dropped"),
        pytest.param(
            EXTRA,
            allow(),
            "leave tier out of spec.podSelector.matchLabels",
            id="a label added",
        ),
        pytest.param(
            allow(to="other"),
            allow(),
            "keep app.kubernetes.io/instance=gw in spec.podSelector.matchLabels",
            id="a label changed",
        ),
    ],
)
def test_the_small_edit_is_one_port_or_one_label(new: ApiObject, old: ApiObject, expected: str) -> None:
    """Section 3 of the issue: each edit was judged, and is acceptable."""
    snapshot = world(gateway(), gateway_pod(), DENY, old)

    assert advice(snapshot, new, old)[1] == f"Or {expected}."


@pytest.mark.parametrize(
    ("new", "old"),
    [
        pytest.param(None, allow(), id="a deletion"),
        pytest.param(DENY, None, id="no rule"),
        pytest.param(allow("allow-clients", peer(pods={}), ports=(1,)), None, id="a rule for selected pods"),
        pytest.param(allow("allow-clients", peer(pods={})), allow(), id="the port is there, the sources are not"),
    ],
)
def test_there_is_no_small_edit_where_none_is_enough(new: ApiObject | None, old: ApiObject | None) -> None:
    """Section 3 of the issue: what would not make the change acceptable is not advised."""
    snapshot = world(gateway(), gateway_pod(), default_deny("d"), *([old] if old else []))
    state = snapshot if old else world(gateway(), gateway_pod())

    assert len(advice(state, new, old)) == 2


def test_one_edit_opens_all_lost_ports() -> None:
    """Section 3 of the issue: a manager needs two."""
    told = advice(world(manager(), manager_pod()), allow(to="mgr", ports=(443,)))

    assert told[1] == "Or add ports TCP/3000, TCP/8081 to spec.ingress[0].ports."


def test_a_large_policy_is_not_tried_with_edits() -> None:
    """The refusal would take too long."""
    many = allow("allow-clients", *(block(f"10.0.{n // 250}.{n % 250}/32") for n in range(3000)), ports=(1,))
    many["spec"]["ingress"].append(from_(ports=[port(1, "TCP")]))

    assert len(advice(world(gateway(), gateway_pod()), many)) == 2
