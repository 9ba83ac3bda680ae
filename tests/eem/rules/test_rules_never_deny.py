"""What the vendor ships, its users run and the API server accepts: it is never denied, and rarely a warning."""

from typing import Any

import pytest
from rules_builders import denials, gateway, licence, manager, warnings, with_value

from webhook.eem.rules import Platform, ProductVersion, RuleContext, judge

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
        pytest.param(manager(fips={"mode": ""}), "11.8.1", None, id="an empty FIPS mode"),
        pytest.param(gateway(fips={"mode": ""}), "11.8.1", None, id="an empty FIPS mode of a gateway"),
        pytest.param(
            manager(template={"annotations": {"Example.COM/Note": "text"}}), "11.8.1", None, id="capitals in a prefix"
        ),
        pytest.param(
            gateway(manager={"endpoint": "https://eem.prod.svc.example.com/gateway"}), "11.8.1", None, id="a label svc"
        ),
        pytest.param(
            manager(endpoints=[{"name": "ui", "host": "ui.example.123"}]),
            "11.8.1",
            None,
            id="a host that ends in digits",
        ),
    ],
)
def test_an_instance_that_works_is_not_denied(
    instance: dict[str, Any], version: str, platform: Platform | None
) -> None:
    """The instance may have warnings, and no denial."""
    context = RuleContext(version=ProductVersion.parse(version), platform=platform)

    assert denials(judge(instance, None, context)) == []


def test_a_sample_is_denied_only_for_its_licence_and_placeholders() -> None:
    """A sample as IBM publishes it has the licence to accept and the placeholders to replace."""
    sample = manager(endpoints=[{"name": "server", "host": "<server host>"}])
    sample["spec"]["license"] = licence(accept=False, license="<licence>")

    assert denials(judge(sample, None, RuleContext())) == [
        ("licence.not-accepted", "spec.license.accept"),
        ("structure.placeholder", "spec.license.license"),
        ("structure.placeholder", "spec.manager.endpoints[0].host"),
    ]


REENCRYPT = {
    "nginx.ingress.kubernetes.io/backend-protocol": "HTTPS",
    "nginx.ingress.kubernetes.io/configuration-snippet": 'proxy_ssl_name "ui.example.com";',
    "nginx.ingress.kubernetes.io/proxy-ssl-protocols": "TLSv1.3",
    "nginx.ingress.kubernetes.io/proxy-ssl-secret": "events/ui-tls",
    "nginx.ingress.kubernetes.io/proxy-ssl-verify": "on",
}
OWN_SECRET = {
    "ui": {"secretName": "ui-tls"},
    "trustedCertificates": [{"secretName": "ui-tls", "certificate": "ca.crt"}],
}


@pytest.mark.parametrize(
    ("name", "tls", "annotations", "is_told"),
    [
        pytest.param("ui", OWN_SECRET, REENCRYPT, False, id="the documented annotations of a UI with its own Secret"),
        pytest.param("ui", {}, REENCRYPT, True, id="the same without a Secret"),
        pytest.param("admin", OWN_SECRET, REENCRYPT, True, id="the same for another endpoint"),
        pytest.param("ui", OWN_SECRET, {"example.com/team": "a"}, True, id="other annotations"),
    ],
)
def test_the_ui_with_its_own_secret_may_encrypt_again(
    name: str, tls: dict[str, Any], annotations: dict[str, str], *, is_told: bool
) -> None:
    """Row 51: the ingress of a UI with its own Secret does not need TLS passthrough, as the product documents it."""
    endpoints = [{"name": name, "host": "ui.example.com", "annotations": annotations}]
    found = judge(manager(tls=tls, endpoints=endpoints), None, RuleContext())

    assert is_told == (("endpoints.no-passthrough", "spec.manager.endpoints[0].annotations") in warnings(found))


@pytest.mark.parametrize(
    ("host", "rules"),
    [
        pytest.param("portal-ibm-eem-manager.events.svc", ["gateway.internal-manager"], id="a Service"),
        pytest.param("portal.events.svc.cluster.local", ["gateway.internal-manager"], id="its full name"),
        pytest.param("portal.events.svc.cluster.example", ["gateway.service-like-manager"], id="another DNS domain"),
        pytest.param("eem.prod.svc.example.com", ["gateway.service-like-manager"], id="a public host with a label svc"),
        pytest.param("eem.svc.example.com", [], id="svc in the second place"),
    ],
)
def test_only_a_host_that_is_certainly_a_service_is_denied(host: str, rules: list[str]) -> None:
    """A public host may have a label svc, and a cluster may have a DNS domain of its own, so those are warnings."""
    found = judge(gateway(manager={"endpoint": f"https://{host}/gateway"}), None, RuleContext())

    assert rules == [violation.rule.id for violation in found]
    assert denials(found) == [(rule, "spec.manager.endpoint") for rule in rules if rule == "gateway.internal-manager"]


def test_two_endpoints_with_one_host_may_change_places() -> None:
    """The duplicate host was there before, whichever of the two endpoints comes first."""
    ui, admin = ({"name": name, "host": "eem.example.com"} for name in ("ui", "admin"))
    old, new = manager(endpoints=[ui, admin]), manager(endpoints=[admin, ui])

    assert denials(judge(new, old, RuleContext())) == []
    assert warnings(judge(new, old, RuleContext())) == [
        ("endpoints.duplicate-host", "spec.manager.endpoints[1].host"),
    ]


def test_another_duplicate_host_is_new() -> None:
    """An old duplicate does not excuse a new one with another host."""
    old = manager(endpoints=[{"name": name, "host": "a.example.com"} for name in ("ui", "admin")])
    new = manager(endpoints=[{"name": name, "host": "b.example.com"} for name in ("ui", "admin")])

    assert denials(judge(new, old, RuleContext())) == [
        ("endpoints.duplicate-host", "spec.manager.endpoints[1].host"),
    ]


@pytest.mark.parametrize("licence_id", ["L-DPTV-SYNAFJ", "L-JPYS-XJV9ZL", "L-VCNK-GTT2F3"])
@pytest.mark.parametrize("version", ["11.8.1", "11.8.2", "11.9.0"])
def test_the_licences_of_the_newest_releases_are_known(licence_id: str, version: str) -> None:
    """The ids that EEM 11.8.2 and 11.9.0 brought are neither unknown nor compared with terms that are not known."""
    instance = with_value(manager(), "spec.license.license", licence_id)

    assert judge(instance, None, RuleContext(version=ProductVersion.parse(version))) == ()
