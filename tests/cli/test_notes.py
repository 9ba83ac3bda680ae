"""
What a verdict says beside yes and no: exempt is not blind, and rules that do nothing are named.

The numbers are the rows of the inputs from the field that once failed.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    block,
    eem_labels,
    from_,
    instance,
    namespace,
    operator_deployment,
    peer,
    policy,
    port,
    selector,
    workload,
)
from builders import pod as pod_

from webhook.cli import main

GATEWAY_LABELS, OPERATOR_LABELS = eem_labels("gw"), eem_labels("ibm-eem-operator")
STATE = [
    namespace("eem"),
    namespace("shop", labels={"team": "shop"}),
    instance("gw", kind=GATEWAY_KIND),
    pod_("gw-0", labels=GATEWAY_LABELS),
    pod_("web-0", "shop", labels={"app": "web"}),
]
DENY = policy("deny", policy_types=["Ingress"])
MINE = {"deploy_network_policies": False}


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


def check(folder: Path, state: list[ApiObject], capsys: pytest.CaptureFixture[str], *words: str, **files: Any) -> Any:
    """Return the verdicts of `check`; `apply` has the changes."""
    said = ["--apply", write(folder / "changes.json", *files["apply"])] if "apply" in files else []
    main(["check", "--state", write(folder / "state.json", *state), *said, *words, "-o", "json"])
    return json.loads(capsys.readouterr().out)


def allow(name: str, *peers: ApiObject, number: int = 8092, labels: Any = None) -> ApiObject:
    rule = from_(*peers, ports=[port(number)]) if peers else {"ports": [port(number)]}
    return policy(name, pod_selector=selector(**(labels or GATEWAY_LABELS)), ingress=[rule])


# Exempt is not blind


def exempt(**spec: Any) -> list[ApiObject]:
    return [STATE[0], instance("gw", kind=GATEWAY_KIND, **MINE, **spec), *STATE[3:]]


def test_an_exempt_gateway_is_told_which_port_a_default_deny_closes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 15: nothing is refused, and the user learns what to do now."""
    switch = "with spec.deployNetworkPolicies: false, you must open this port yourself"
    (verdict,) = check(tmp_path, exempt(), capsys, apply=[DENY])

    assert (verdict["allowed"], verdict["exempt"]) == (True, "deployNetworkPolicies")
    assert verdict["warnings"] == [f"TCP/8092 of EventGateway gw will be closed: {switch}"]


def test_an_exempt_manager_is_told_both_ports_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 15: one warning for the instance, not one for each pod and port."""
    state = [STATE[0], instance("mgr", **MINE), pod_("mgr-ibm-eem-manager-0", labels=eem_labels("mgr"))]
    (verdict,) = check(tmp_path, state, capsys, apply=[DENY])

    (told,) = verdict["warnings"]
    assert told.startswith("TCP/3000, TCP/8081 of EventEndpointManagement mgr will be closed: with ")
    assert told.endswith("you must open these ports yourself")


def test_deleting_the_last_allow_of_an_exempt_gateway_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 15: the same under a default deny."""
    (verdict,) = check(tmp_path, [*exempt(), DENY, allow("own")], capsys, "--delete", "netpol/eem/own")

    assert (verdict["allowed"], len(verdict["warnings"])) == (True, 1)


@pytest.mark.parametrize(
    ("state", "change"),
    [
        pytest.param([*exempt(), DENY], policy("more", policy_types=["Ingress"]), id="closed before"),
        pytest.param([*exempt(), allow("own")], DENY, id="still open"),
        pytest.param(exempt(terminating=True), DENY, id="being deleted"),
    ],
)
def test_an_exempt_gateway_that_loses_nothing_is_told_nothing(
    state: list[ApiObject], change: ApiObject, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 15, the other way round."""
    (verdict,) = check(tmp_path, state, capsys, apply=[change])

    assert (verdict["allowed"], verdict["warnings"]) == (True, [])


def test_no_user_is_told_anything_in_audit_mode(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Audit only annotates."""
    (verdict,) = check(tmp_path, exempt(), capsys, "--mode", "audit", apply=[DENY])

    assert verdict["warnings"] == []


def test_the_last_policy_of_an_operator_with_its_switch_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 16: the switch is the operator's own, and so is its name."""
    off = operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "false"})
    mine = allow("mine", block("10.0.0.0/8"), number=8443, labels=OPERATOR_LABELS)
    (verdict,) = check(tmp_path, [STATE[0], off, DENY, mine], capsys, "--delete", "netpol/eem/mine")

    assert (verdict["allowed"], verdict["exempt"]) == (True, "operator-switch")
    (told,) = verdict["warnings"]
    assert told.startswith("TCP/8443 of Deployment ibm-eem-operator will be closed: ")
    assert told.endswith("with DEPLOY_OPERATOR_NETWORK_POLICY=false, you must open this port yourself")


# Rules that do nothing


@pytest.mark.parametrize(
    ("peers", "missing"),
    [
        pytest.param([peer(namespaces=selector(team="shpo"))], "namespace", id="a typing error in the namespace"),
        pytest.param([peer(pods=selector(app="web"))], "pod", id="a pod of another namespace, without its selector"),
        pytest.param([peer(selector(app="wbe"), selector(team="shop"))], "pod", id="a typing error in the pod"),
        pytest.param(
            [peer(pods=selector(app="web")), peer(namespaces=selector(team="x"))], "namespace or pod", id="both"
        ),
        pytest.param([peer(namespaces=selector(team="shop"))], "", id="a namespace that exists"),
        pytest.param([peer(selector(app="web"), selector(team="shop"))], "", id="a pod that exists"),
        pytest.param([peer(pods=selector(app="web")), block("10.0.0.0/8")], "", id="addresses beside it"),
        pytest.param([peer(pods={})], "", id="every pod of the namespace"),
    ],
)
def test_an_allow_that_admits_nobody_is_named(
    peers: list[ApiObject], missing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 22: under `--sources some` the verdict rests on it."""
    (verdict,) = check(tmp_path, STATE, capsys, "--sources", "some", apply=[allow("narrow", *peers)])

    told = f"spec.ingress[0].from of narrow admits no source: no {missing} matches"
    assert verdict["allowed"]
    assert verdict["warnings"] == ([told] if missing else [])


def test_a_rule_for_another_port_is_no_allow_of_eems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 22: only rules for required ports are looked at."""
    other = allow("other", peer(pods=selector(app="x")), number=9999)
    other["spec"]["ingress"].append({"ports": [port(8092)]})

    assert [found["warnings"] for found in check(tmp_path, STATE, capsys, apply=[other])] == [[]]


@pytest.mark.parametrize("make", [pod_, namespace], ids=["pods", "namespaces"])
def test_nothing_is_said_of_a_cluster_that_is_too_large_to_look_through(
    make: Callable[[str], ApiObject], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A note is not worth the time of a review."""
    many = [make(f"p-{number}") for number in range(5_000)]
    narrow = allow("narrow", peer(pods=selector(app="x")), peer(namespaces=selector(team="x")))
    (verdict,) = check(tmp_path, [*STATE, *many], capsys, "--sources", "some", apply=[narrow])

    assert verdict["warnings"] == []


def test_a_narrow_policy_beside_an_open_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 23: policies add up, so it narrows nothing."""
    narrow = allow("narrow", peer(namespaces=selector(team="shop")))
    (verdict,) = check(tmp_path, [*STATE, allow("open")], capsys, apply=[narrow])

    assert verdict["warnings"] == ["narrow restricts nothing: open admits every source to TCP/8092"]


@pytest.mark.parametrize(
    ("peers", "is_told"),
    [
        pytest.param([block("10.0.0.0/8")], True, id="a range without the API server"),
        pytest.param([block("10.0.0.0/8"), block("192.168.0.0/24")], False, id="a range with it"),
        pytest.param([block("10.0.0.0/8"), peer(namespaces=selector(team="shop"))], False, id="pods beside it"),
    ],
)
def test_a_range_without_the_api_server_is_named(
    peers: list[ApiObject],
    is_told: bool,  # noqa: FBT001
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Row 23: only the API server calls the operator's webhook."""
    server = pod_("api", "kube-system", labels={"component": "kube-apiserver"}, ips=["192.168.0.1"], host_network=True)
    narrow = allow("narrow", *peers, number=8443, labels=OPERATOR_LABELS)
    state = [*STATE, operator_deployment(), server]
    (verdict,) = check(tmp_path, state, capsys, apply=[narrow])

    told = ["TCP/8443 of ibm-eem-operator: no address of the API server may connect"]
    assert verdict["allowed"]
    assert verdict["warnings"] == (told if is_told else [])


def test_the_endpoints_of_the_api_server_beat_its_pods(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 23: the addresses of its own Service are those from which it calls."""
    pod_of_server = pod_("api", "kube-system", labels={"component": "kube-apiserver"}, ips=["10.0.0.9"])
    places = [{"addresses": ["192.168.0.1", "host.example.com"]}]
    slices = [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "namespace": space, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": places if (name, space) == ("kubernetes", "default") else [{"addresses": ["10.0.0.9"]}],
        }
        for name, space in (("kubernetes", "default"), ("kubernetes", "shop"), ("other", "default"))
    ]
    narrow = allow("narrow", block("10.0.0.0/8"), number=8443, labels=OPERATOR_LABELS)
    state = [*STATE, operator_deployment(), pod_of_server]

    assert [found["warnings"] for found in check(tmp_path, state, capsys, apply=[narrow])] == [[]]
    (verdict,) = check(tmp_path, [*state, *slices], capsys, apply=[narrow])
    assert verdict["warnings"] == ["TCP/8443 of ibm-eem-operator: no address of the API server may connect"]


# Fields of another version


def test_a_field_of_a_later_version_is_one_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 44: the API server of 11.6.1 drops `listeners`, so no port moves and no other warning follows."""
    later = instance("gw", kind=GATEWAY_KIND, listeners=[{"name": "l", "port": 9094}])
    state = [*STATE, DENY, allow("open")]
    (verdict,) = check(tmp_path, state, capsys, "--eem-version", "11.6.1", apply=[later])

    told = [text for text in verdict["warnings"] if "listeners" in text or "9094" in text]
    assert told == [
        "spec.listeners: is not a field of EventGateway 11.6.1: the API server drops it; it exists since 11.8.0"
    ]


# Gateways without an EventGateway


OF_GROUP = {"app": "group-one", "gatewayGroup": "group", "gatewayId": "one"}
TEN = [pod_(f"group-one-{number}", labels=OF_GROUP) for number in range(10)]


@pytest.mark.parametrize(
    ("objects", "names"),
    [
        pytest.param(TEN[:1], "eem/group-one-0", id="a pod"),
        pytest.param(TEN, "eem/group-one-0, eem/group-one-1, eem/group-one-2 and 7 more", id="ten pods"),
        pytest.param([workload("group-one", labels=OF_GROUP)], "eem/group-one", id="a workload without pods"),
        pytest.param([workload("group-one", "shop", labels=OF_GROUP)], "shop/group-one", id="a namespace without EEM"),
        pytest.param([workload("group-one", labels=OF_GROUP), TEN[0]], "eem/group-one-0", id="a workload with its pod"),
        pytest.param([pod_("x", labels={"gatewayGroup": "g"})], "", id="one label of the two"),
        pytest.param([pod_("x", labels={**GATEWAY_LABELS, **OF_GROUP})], "", id="a pod of an instance"),
        pytest.param([pod_("x", labels=OF_GROUP, phase="Failed")], "", id="a pod that has finished"),
        pytest.param([workload("gw", labels={**GATEWAY_LABELS, **OF_GROUP})], "", id="a workload of an instance"),
    ],
)
def test_a_gateway_without_an_instance_is_named(
    objects: list[ApiObject], names: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 47: the product documents it as a plain Deployment, and nothing guards it."""
    state = write(tmp_path / "state.json", *STATE, *objects)
    main(["check", "--state", state, "--apply", write(tmp_path / "deny.json", allow("open"))])

    told = f"warning: not guarded: {names}: the labels gatewayGroup and gatewayId of a gateway, and no EventGateway"
    found = [line for line in capsys.readouterr().err.splitlines() if "not guarded" in line]
    assert found == ([told] if names else [])


# `explain` without a source


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "  pods with such an address: that depends on the network plugin"),
        (["--ipblock-matches-pods", "yes"], "  pods with such an address (--ipblock-matches-pods yes)"),
        (["--ipblock-matches-pods", "no"], "  no pods by their address (--ipblock-matches-pods no)"),
    ],
)
def test_explain_says_what_the_flag_says(
    words: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 10: with the flag, nothing depends on the plugin."""
    state = write(tmp_path / "state.json", *STATE, allow("by-address", block("0.0.0.0/0")))
    main(["explain", "--state", state, "--to", "eem/gw-0", "--port", "8092", *words])

    assert told in capsys.readouterr().out.splitlines()


def test_explain_names_the_pods_that_cannot_send(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 14: ingress admits every pod, and some are held back by policies of their own."""
    held = [pod_(f"web-{number}", "shop", labels={"app": "web"}) for number in range(7)]
    ended = pod_("web-9", "shop", labels={"app": "web"}, phase="Failed")
    web = policy("no-egress", "shop", pod_selector=selector(app="web"), policy_types=["Egress"])
    state = write(tmp_path / "state.json", *STATE[:4], *held, ended, pod_("db-0", "shop"), web)
    words = ["explain", "--state", state, "--to", "eem/gw-0", "--port", "8092"]

    main(words)
    lines = capsys.readouterr().out.splitlines()
    names = ", ".join(f"shop/web-{number}" for number in range(5))
    assert lines[1] == "  every pod but those below, every node, every address"
    assert lines[2] == f"  but not, by their own egress policies: {names} and 2 more"
    main([*words, "-o", "json"])
    assert json.loads(capsys.readouterr().out)["heldBack"] == [f"shop/web-{number}" for number in range(7)]
