"""The version that follows from the installed definitions, where no operator's Deployment tells it."""

from typing import Any

import pytest

from webhook.eem.rules import ProductVersion, installed_version


def definitions(kind: str, spec: dict[str, Any], group: str = "events.ibm.com") -> dict[str, Any]:
    """Return an OpenAPI document with one kind."""
    schema = {
        "properties": {"spec": spec},
        "x-kubernetes-group-version-kind": [{"group": group, "version": "v1beta1", "kind": kind}],
    }
    return {"components": {"schemas": {"com.ibm.events.v1beta1.X": schema, "Other": {"type": "object"}}}}


def properties(**fields: Any) -> dict[str, Any]:
    return {"type": "object", "properties": fields}


GATEWAY = {
    "x-kubernetes-group-version-kind": [{"group": "events.ibm.com", "version": "v1beta1", "kind": "EventGateway"}]
}
TEXT = {"type": "string"}
LISTENERS = {"type": "array", "items": properties(name=TEXT)}


@pytest.mark.parametrize(
    ("kind", "spec", "version"),
    [
        ("EventGateway", properties(gatewayID=TEXT), "11.0.0"),
        ("EventGateway", properties(gatewayID=TEXT, gatewayContact=TEXT), "11.2.1"),
        ("EventGateway", properties(gatewayContact=TEXT, listeners=LISTENERS), "11.8.0"),
        ("EventEndpointManagement", properties(manager=properties(traceSpec=TEXT)), "11.5.1"),
        ("EventEndpointManagement", properties(manager=properties(storage={"type": "object"})), "11.0.0"),
    ],
)
def test_the_newest_installed_field_tells_a_lower_bound_of_the_version(
    kind: str, spec: dict[str, Any], version: str
) -> None:
    """Each line of releases added fields and none was ever removed, so the release may also be a later one."""
    found = installed_version(definitions(kind, spec))

    assert found == ProductVersion.parse(version)._replace(or_later=True)
    assert version == str(found)


@pytest.mark.parametrize(
    "openapi",
    [
        pytest.param({}, id="no document"),
        pytest.param({"components": None}, id="no components"),
        pytest.param(definitions("EventProcessing", properties(name=TEXT)), id="another kind of the group"),
        pytest.param(definitions("EventGateway", properties(gatewayID=TEXT), group="x.io"), id="another group"),
        pytest.param({"components": {"schemas": {"X": GATEWAY}}}, id="a definition without fields"),
    ],
)
def test_without_definitions_there_is_no_version(openapi: dict[str, Any]) -> None:
    """Without the definitions of an EEM kind, the version must be found in another way."""
    assert installed_version(openapi) is None
