"""What the vendor ships or its users run: never denied, whatever else is said."""

from typing import Any

import pytest
from rules_builders import denials, gateway, licence, manager, with_value

from webhook.eem.rules import Platform, RuleContext, Version, judge

OLD = {
    "managerEndpoint": "https://portal-ibm-eem-gateway-events.apps.example.com",
    "license": licence(license="L-KCVZ-JL5CRM"),
}


def _wildcard() -> dict[str, Any]:
    group = {"name": "main", "type": "WILDCARD", "endpoint": {"host": "*.kafka.example.com"}}
    return gateway(
        listeners=[{"name": "clients", "port": 8092, "groups": [group], "tls": {"certificateType": "WILDCARD"}}]
    )


@pytest.mark.parametrize(
    ("instance", "version", "platform"),
    [
        pytest.param(
            manager(tls={"caSecretName": "ca", "ui": {"secretName": "ui"}}), "11.8.1", None, id="CA and UI certificate"
        ),
        pytest.param(manager(tls={"caSecretName": "ca", "secretName": ""}), "11.8.1", None, id="an empty secretName"),
        pytest.param(gateway(tls={"caSecretName": "ca", "secretName": ""}), "11.8.1", None, id="the same at a gateway"),
        pytest.param(
            manager(storage={"type": "persistent-claim", "size": "250M", "storageClassName": "x"}),
            "11.8.1",
            None,
            id="250M",
        ),
        pytest.param(_wildcard(), "11.8.1", "openshift", id="WILDCARD on OpenShift"),
        pytest.param(
            with_value(
                with_value(gateway(), ("metadata", "labels"), {"events.ibm.com/manager": "portal"}), "spec.manager", {}
            ),
            "11.8.0",
            None,
            id="a manager named by label",
        ),
        pytest.param(gateway(**OLD), "11.4.0", None, id="a gateway of 11.4"),
        pytest.param(gateway(**OLD), "11.8.1", None, id="the same after an upgrade to 11.8"),
        pytest.param(
            gateway(listeners=[{"name": "clients", "port": 8092.0}], replicas=None),
            "11.8.1",
            None,
            id="8092.0 and null",
        ),
        pytest.param(
            gateway(openTelemetry={"endpoint": "http://otel:4317", "instrumentations": None}),
            "11.8.1",
            None,
            id="a null list",
        ),
        pytest.param(
            gateway(gatewayContact="Jo <jo@example.com>, see <https://example.com>"), "11.8.1", None, id="a contact"
        ),
        pytest.param(
            gateway(manager={"endpoint": "https://svc.example.com/gateway"}), "11.8.1", None, id="a host named svc"
        ),
        pytest.param(gateway(gatewayGroupName=""), "11.8.1", None, id="an empty group"),
        pytest.param(gateway(namespace="default"), "11.8.1", None, id="the namespace default"),
    ],
)
def test_is_accepted(instance: dict[str, Any], version: str, platform: Platform | None) -> None:
    """The instance is not denied."""
    context = RuleContext(version=Version.parse(version), platform=platform)

    assert denials(judge(instance, None, context)) == []


def test_a_template_is_denied_for_what_is_left_to_fill_in_and_nothing_else() -> None:
    """A sample with its licence not accepted and placeholders in place has just these faults."""
    sample = manager(endpoints=[{"name": "server", "host": "<server host>"}])
    sample["spec"]["license"] = licence(accept=False, license="<licence>")

    assert denials(judge(sample, None, RuleContext())) == [
        ("licence.not-accepted", "spec.license.accept"),
        ("structure.placeholder", "spec.license.license"),
        ("structure.placeholder", "spec.manager.endpoints[0].host"),
    ]
