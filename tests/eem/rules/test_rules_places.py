"""What about templates, certificates and namespaces needs more than one case."""

import math
from typing import Any

import pytest
from rules_builders import Instance, context_of, denials, gateway, licence, manager, warnings

from webhook.eem.rules import ProductVersion, RuleContext, judge

RESOURCES = "spec.template.pod.spec.containers[0].resources"


def _with_resources(**resources: dict[str, Any]) -> Instance:
    return gateway(template={"pod": {"spec": {"containers": [{"name": "egw", "resources": resources}]}}})


@pytest.mark.parametrize(
    ("amount", "is_fine"),
    [
        pytest.param("500m", True, id="a text"),
        pytest.param(2, True, id="a whole number"),
        pytest.param(0.5, True, id="a fraction"),
        pytest.param(None, True, id="null, which the API server drops"),
        pytest.param("2GB", False, id="an unknown suffix"),
        pytest.param(True, False, id="a truth"),
        pytest.param(math.inf, False, id="infinity, which YAML can write"),
        pytest.param(math.nan, False, id="no number at all"),
        pytest.param([1], False, id="a list"),
    ],
)
def test_a_limit_is_a_quantity_or_a_number(amount: object, *, is_fine: bool) -> None:
    """Texts and numbers are amounts; everything else is a fault of that resource."""
    found = denials(judge(_with_resources(limits={"cpu": amount}), None, RuleContext()))

    assert found == ([] if is_fine else [("template.not-a-quantity", f"{RESOURCES}.limits.cpu")])


@pytest.mark.parametrize(("request_", "is_fine"), [("1", True), (1, True), ("1000m", True), ("1001m", False)])
def test_a_request_may_reach_its_limit(request_: object, *, is_fine: bool) -> None:
    """Equal amounts are fine in whatever words; more is not."""
    instance = _with_resources(requests={"cpu": request_, "memory": "1Gi"}, limits={"cpu": 1})
    found = denials(judge(instance, None, RuleContext()))

    assert found == ([] if is_fine else [("template.request-above-limit", f"{RESOURCES}.requests.cpu")])


@pytest.mark.parametrize(("namespace", "is_told"), [("events", True), ("elsewhere", False)])
def test_only_a_manager_beside_the_gateway_shares_its_secret(namespace: str, *, is_told: bool) -> None:
    """A manager in another namespace has its CA under any name, so nothing is said."""
    host = "portal.example.com"
    old = licence(license="L-AUKS-FKVXVL")
    known = manager(namespace=namespace, endpoints=[{"name": "gateway", "host": host}])
    mine = gateway(manager=None, managerEndpoint=f"https://{host}", tls={"caSecretName": "mine"}, license=old)
    context = context_of([known], version=ProductVersion.parse("11.4.1"))
    rules = {rule for rule, _ in warnings(judge(mine, None, context))}

    assert is_told == ("tls.other-ca-than-manager" in rules)


@pytest.mark.parametrize(
    ("namespace", "is_told"),
    [
        ("default", True),
        ("kube-system", True),
        ("openshift", True),
        ("openshift-operators", True),
        ("kubernetes-apps", False),
        ("events", False),
    ],
)
def test_the_clusters_own_namespaces_are_no_place_for_an_instance(namespace: str, *, is_told: bool) -> None:
    """What the cluster keeps for itself is a warning, and what merely sounds like it is not."""
    found = warnings(judge(gateway(namespace=namespace), None, RuleContext()))

    assert found == ([("network.reserved-namespace", "metadata.namespace")] if is_told else [])
