"""Rules for templates, certificates and namespaces that need more than one case."""

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
        pytest.param(True, False, id="a boolean"),
        pytest.param(math.inf, False, id="infinity, which YAML has"),
        pytest.param(math.nan, False, id="not a number"),
        pytest.param([1], False, id="a list"),
        pytest.param(10**400, True, id="an integer beyond every float"),
    ],
)
def test_a_resource_limit_is_a_quantity_or_a_number(amount: object, *, is_fine: bool) -> None:
    """A string or a number is an amount; any other value is a fault at that resource."""
    found = denials(judge(_with_resources(limits={"cpu": amount}), None, RuleContext()))

    assert found == ([] if is_fine else [("template.not-a-quantity", f"{RESOURCES}.limits.cpu")])


@pytest.mark.parametrize(("request_", "is_fine"), [("1", True), (1, True), ("1000m", True), ("1001m", False)])
def test_a_request_may_equal_its_limit(request_: object, *, is_fine: bool) -> None:
    """Equal amounts in different notations are allowed; a larger request is denied."""
    instance = _with_resources(requests={"cpu": request_, "memory": "1Gi"}, limits={"cpu": 1})
    found = denials(judge(instance, None, RuleContext()))

    assert found == ([] if is_fine else [("template.request-above-limit", f"{RESOURCES}.requests.cpu")])


@pytest.mark.parametrize(("namespace", "is_told"), [("events", True), ("elsewhere", False)])
def test_the_ca_secret_is_compared_only_within_one_namespace(namespace: str, *, is_told: bool) -> None:
    """A manager in another namespace may have its CA in a Secret of another name."""
    host = "portal.example.com"
    old = licence(license="L-AUKS-FKVXVL")
    known = manager(namespace=namespace, endpoints=[{"name": "gateway", "host": host}])
    mine = gateway(manager=None, managerEndpoint=f"https://{host}", tls={"caSecretName": "mine"}, license=old)
    context = context_of([known], version=ProductVersion.parse("11.4.1"))
    rules = {rule for rule, _ in warnings(judge(mine, None, context))}

    assert is_told == ("tls.other-ca-than-manager" in rules)


def _listening(**group: Any) -> Instance:
    return gateway(listeners=[{"name": "clients", "port": 8092, "groups": [{"name": "main", **group}]}])


@pytest.mark.parametrize(
    ("type_", "host", "is_told"),
    [
        ("WILDCARD", "*.example.com", False),
        ("WILDCARD", "wildcard.example.com", False),
        ("WILDCARD", "kafka.example.com", True),
        ("EXPLICIT", "kafka.example.com", False),
        ("EXPLICIT", "*.example.com", True),
    ],
)
def test_a_wildcard_host_goes_with_the_type_wildcard(type_: str, host: str, *, is_told: bool) -> None:
    """A host that begins with `*.` without the type, and the type without such a host, is a warning."""
    found = warnings(judge(_listening(type=type_, endpoint={"host": host}), None, RuleContext()))

    assert is_told == (("gateway.wildcard-host", "spec.listeners[0].groups[0].endpoint.host") in found)


def test_another_ca_of_a_listener_is_a_warning() -> None:
    """Only the CA of a listener that was there before can change."""
    first, second = ({"name": "a", "port": 1, "tls": {"caSecret": {"secretName": name}}} for name in ("one", "two"))
    more = warnings(judge(gateway(listeners=[first, first]), gateway(listeners=[first]), RuleContext()))
    other = warnings(judge(gateway(listeners=[second]), gateway(listeners=[first]), RuleContext()))

    assert [rule for rule, _ in more] == []
    assert other == [("tls.ca-changed", "spec.listeners[0].tls.caSecret.secretName")]


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
def test_a_namespace_that_belongs_to_the_cluster_is_a_warning(namespace: str, *, is_told: bool) -> None:
    """A namespace with a similar name is allowed."""
    found = warnings(judge(gateway(namespace=namespace), None, RuleContext()))

    assert found == ([("network.reserved-namespace", "metadata.namespace")] if is_told else [])
