"""The state of each requirement, whatever changes led to it."""

from typing import Any

import pytest
from builders import (
    ApiObject,
    block,
    eem_labels,
    from_,
    namespace,
    operator_deployment,
    peer,
    policy,
    port,
    selector,
)

from admission.reviews import allow, default_deny, gateway, gateway_pod, judged, manager, manager_pod, world
from webhook.admission import Options
from webhook.admission.audit import audit

DENY = default_deny()
OPEN_OPERATOR = policy(
    "operator",
    pod_selector=selector(**eem_labels("ibm-eem-operator")),
    ingress=[from_(peer(pods={}), ports=[port(8443)])],
)


def states(*objects: ApiObject, options: Options | None = None) -> dict[tuple[str, str, int], bool]:
    """Return whether each requirement is met, by (namespace, instance, port)."""
    return {
        (state.requirement.instance.namespace, state.requirement.instance.name, state.requirement.port): state.met
        for state in audit(world(*objects), options or Options()).states()
    }


@pytest.mark.parametrize(
    ("objects", "met"),
    [
        pytest.param([gateway()], [True], id="nothing isolates"),
        pytest.param([gateway(), gateway_pod(), DENY], [False], id="a deny alone"),
        pytest.param([gateway(), DENY], [False], id="a deny alone, and pods that are assumed"),
        pytest.param([gateway(), gateway_pod(), DENY, allow()], [True], id="a deny and an allow"),
        pytest.param([gateway(), gateway_pod(), allow("a", peer(pods={}))], [False], id="an allow for some"),
        pytest.param([gateway(), gateway_pod(), DENY, allow(terminating=True)], [False], id="an allow that goes"),
        pytest.param([gateway(), allow("a", block("0.0.0.0/0"))], [True], id="what is not decided counts as holding"),
        pytest.param([gateway(deploy_network_policies=False), DENY], [], id="an exempt instance needs nothing"),
        pytest.param(
            [manager(), manager_pod(), allow("a", to="mgr", ports=(3000,))], [True, False], id="one port of two"
        ),
        pytest.param([operator_deployment(), DENY, OPEN_OPERATOR], [True], id="the operator from some"),
        pytest.param([operator_deployment(), DENY], [False], id="the operator from no source"),
        pytest.param(
            [
                gateway(),
                gateway_pod("a"),
                gateway_pod("b", labels=eem_labels("gw", b="b")),
                policy(pod_selector=selector(b="b")),
            ],
            [False],
            id="one of two label sets",
        ),
        pytest.param([namespace(), default_deny(namespace="shop")], [], id="no EEM"),
    ],
)
def test_each_requirement_is_met_or_not(objects: list[ApiObject], met: list[bool]) -> None:
    """It is met if it holds for every subject, by the union of all policies."""
    assert list(states(*objects).values()) == met


@pytest.mark.parametrize(
    ("options", "annotation", "met"),
    [
        (Options(), None, False),
        (Options(sources="some"), None, True),
        (Options(), "some", True),
        (Options(sources="some"), "anywhere", False),
    ],
)
def test_the_audit_respects_which_sources_requirements_demand(options: Any, annotation: str | None, met: bool) -> None:  # noqa: FBT001
    """The namespace's annotation takes precedence over the option."""
    annotations = None if annotation is None else {"eem-guardrail.io/sources": annotation}
    objects = [namespace(annotations=annotations), gateway(), allow("a", peer(pods={}))]

    assert list(states(*objects, options=options).values()) == [met]


def test_namespaces_are_in_order() -> None:
    """The order of a metric's samples does not change."""
    spaces = [f"n{number}" for number in range(6)]
    objects = [gateway(namespace=space) for space in reversed(spaces)]

    assert [space for space, _, _ in states(*objects)] == spaces


def test_the_audit_finds_what_a_refused_change_would_have_broken() -> None:
    """Both evaluate the same requirements."""
    objects = [gateway(), gateway_pod(), manager(), manager_pod(), allow()]
    response = judged(world(*objects), DENY)
    broken = sorted((name, number) for (_, name, number), met in states(*objects, DENY).items() if not met)

    assert response.verdict is not None
    assert broken == [(lost.instance.name, lost.port) for lost in response.verdict.lost]
