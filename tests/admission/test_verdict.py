"""The JSON form of a verdict, for pipelines."""

import json
from typing import Any

import pytest
from builders import ApiObject, block, eem_labels, expression, from_, namespace, peer, policy, port, selector

from admission.reviews import allow, default_deny, gateway, gateway_pod, judged, manager, manager_pod, verdict_of, world
from webhook.admission import Options, verdict_json

DENY = default_deny()


def as_json(*objects: ApiObject, new: Any = None, old: Any = None, options: Options | None = None) -> dict[str, Any]:
    """Return the verdict after it was encoded as JSON and decoded again."""
    found = verdict_json(verdict_of(judged(world(*objects), new, old, options=options)))
    parsed: dict[str, Any] = json.loads(json.dumps(found))
    assert parsed == found
    return parsed


def test_the_json_of_a_refusal_has_all_its_evidence() -> None:
    """The complete document, in the documented form."""
    found = as_json(namespace("shop"), gateway(), gateway_pod("gw-ibm-egw-gateway-0"), new=DENY)
    message = found.pop("message")

    assert message.startswith("creating NetworkPolicy eem/default-deny would cut off required ingress: ")
    assert found == {
        "schemaVersion": "1",
        "allowed": False,
        "operation": "CREATE",
        "resource": {"kind": "NetworkPolicy", "namespace": "eem", "name": "default-deny"},
        "lost": [
            {
                "direction": "ingress",
                "instance": {"kind": "EventGateway", "namespace": "eem", "name": "gw"},
                "component": "gateway",
                "protocol": "TCP",
                "port": 8092,
                "pods": {"labels": eem_labels("gw"), "names": ["gw-ibm-egw-gateway-0"], "assumed": False},
                "counterexample": {"namespace": "shop", "labels": {}},
                "policies": ["eem/default-deny"],
                "decided": True,
                "remedy": {
                    "apiVersion": "networking.k8s.io/v1",
                    "kind": "NetworkPolicy",
                    "metadata": {"name": "allow-gw-gateway", "namespace": "eem"},
                    "spec": {
                        "podSelector": {"matchLabels": eem_labels("gw")},
                        "policyTypes": ["Ingress"],
                        "ingress": [{"ports": [{"protocol": "TCP", "port": 8092}]}],
                    },
                },
            }
        ],
        "faults": [],
        "warnings": [],
        "exempt": None,
        "policyKinds": {"read": ["NetworkPolicy.networking.k8s.io"], "unread": []},
    }


def test_the_json_of_an_allowed_change_has_the_same_form() -> None:
    """The complete document."""
    assert as_json(gateway(), new=allow()) == {
        "schemaVersion": "1",
        "allowed": True,
        "operation": "CREATE",
        "resource": {"kind": "NetworkPolicy", "namespace": "eem", "name": "allow-clients"},
        "lost": [],
        "faults": [],
        "warnings": [],
        "exempt": None,
        "message": "",
        "policyKinds": {"read": ["NetworkPolicy.networking.k8s.io"], "unread": []},
    }


def test_the_json_of_a_fault_has_its_field_reason_and_message() -> None:
    """The complete document except for the paragraph."""
    found = as_json(gateway(), new=policy(ingress=[from_(ports=[port(1, "ICMP")])]))

    assert found["faults"] == [
        {
            "field": "spec.ingress[0].ports[0].protocol",
            "reason": "NotSupported",
            "rule": "field-NotSupported",
            "message": "must be TCP, UDP or SCTP, not the string 'ICMP'",
        }
    ]
    assert (found["allowed"], found["lost"]) == (False, [])


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        pytest.param([peer(namespaces={}), block("0.0.0.0/1")], {"cidr": "128.0.0.0/3"}, id="addresses"),
        pytest.param([block("0.0.0.0/0")], {"namespace": "eem", "labels": {}}, id="a pod of a namespace that exists"),
        pytest.param(
            [peer(namespaces=selector(expression("team", "DoesNotExist"))), block("0.0.0.0/0")],
            {"namespace": "any-namespace", "labels": {}, "namespaceLabels": {"team": "other"}},
            id="a pod of a namespace that could be",
        ),
    ],
)
def test_the_counterexample_is_a_pod_or_a_range(peers: list[Any], expected: dict[str, Any]) -> None:
    """`{"namespace", "labels"}` for a pod, `{"cidr"}` for outside addresses."""
    options = Options(ipblock_matches_pods="no")
    found = as_json(
        gateway(), gateway_pod(), DENY, allow(), new=allow("allow-clients", *peers), old=allow(), options=options
    )

    assert [lost["counterexample"] for lost in found["lost"]] == [expected]


def test_the_counterexample_of_a_loss_without_an_example_is_null() -> None:
    """No client can be named if all addresses may be pods'."""
    old = allow("allow-clients", block("10.0.0.0/8"))
    options = Options(sources="some", ipblock_matches_pods="unknown", pod_cidrs=("10.0.0.0/8",), strict=True)
    found = as_json(gateway(), gateway_pod(), DENY, old, old=old, options=options)

    assert [(lost["counterexample"], lost["decided"]) for lost in found["lost"]] == [(None, False)]


def test_assumed_pods_are_marked() -> None:
    """Neither a pod nor a template was seen."""
    (lost,) = as_json(gateway(), new=DENY)["lost"]

    labels = eem_labels("gw", **{"eem.ei.ibm.com/component": "gw"})
    assert lost["pods"] == {"labels": labels, "names": [], "assumed": True}


def test_the_json_of_an_exempt_change_names_the_reason() -> None:
    """It is in `exempt`, and nothing is lost."""
    found = as_json(gateway(), DENY, new=DENY, old=DENY)

    assert (found["exempt"], found["allowed"], found["lost"]) == ("spec-unchanged", True, [])


def test_the_json_of_a_deletion_names_the_deleted_policy() -> None:
    """The operation is DELETE."""
    found = as_json(gateway(), gateway_pod(), DENY, allow(), old=allow())

    assert (found["operation"], found["resource"]["name"]) == ("DELETE", "allow-clients")
    assert found["lost"][0]["policies"] == ["eem/default-deny"]


def test_the_worst_loss_is_first() -> None:
    """Losses of live pods come before losses of future ones."""
    found = as_json(gateway("a"), manager(), manager_pod(), new=DENY)

    assert [(lost["instance"]["name"], lost["port"]) for lost in found["lost"]] == [
        ("mgr", 3000),
        ("mgr", 8081),
        ("a", 8092),
    ]
