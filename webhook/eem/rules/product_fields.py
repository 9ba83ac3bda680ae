"""
The fields of EventEndpointManagement and EventGateway, 11.0.0 to 11.8.1, nested as they stand in the objects.

A field without a version came with the object that holds it.

Source: the product's CustomResourceDefinitions, 11.0.4 to 11.8.1, and where a field says so its documentation.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from webhook.eem.resources import GATEWAY_KIND, MANAGER_KIND
from webhook.eem.rules.field_types import ENTRY, Choice, Deprecation, Field
from webhook.eem.rules.formats import (
    annotations,
    data_key,
    host,
    http_url,
    https_url,
    json_pointer,
    labels,
    object_name,
    size,
)
from webhook.eem.rules.product_version import ProductVersion
from webhook.netpol.model import FIRST_PORT, LAST_PORT

v = ProductVersion.parse
_MANAGER_REFERENCE = "EEM 11.8 manager reference"
_GATEWAY_REFERENCE = "EEM 11.8 gateway reference"

text = partial(Field, type="string")
integer = partial(Field, type="integer")
boolean = partial(Field, type="boolean")
strings = partial(Field, type="map")
opaque = partial(Field, type="opaque")
name = partial(text, format=object_name)
"""The name of a Secret, a claim or a class; an empty one counts as not set."""
key = partial(text, format=data_key)
"""The key of an entry of a Secret."""


def obj(fields: Mapping[str, Field], **limits: Any) -> Field:
    """Return a field that holds an object."""
    return Field(type="object", fields=fields, **limits)


def array(entry: Field, **limits: Any) -> Field:
    """Return a field that holds a list."""
    return Field(type="array", fields={ENTRY: entry}, **limits)


def choices(*values: str) -> tuple[Choice, ...]:
    """Return values that every version has."""
    return tuple(Choice(value=value) for value in values)


def replaced(row: Field, instead: str) -> Field:
    """Return a field that another one replaces since 11.8.0."""
    return replace(row, deprecated=Deprecation(since=v("11.8.0"), instead=instead))


_LICENCE = obj(
    {
        "accept": boolean(required=True),
        "license": text(required=True),
        "metric": text(required=True),
        "use": text(required=True),
    },
    required=True,
)
_CERTIFICATE = {"secretName": name(required=True), "certificate": key(required=True)}
_KEY_PAIR = {"secretName": name(), "key": key(), "serverCertificate": key(), "caCertificate": key()}
_EXPOSURE = {"host": text(format=host), "class": text(), "annotations": strings(format=annotations)}
_ENDPOINTS = array(obj({"name": text(required=True), **_EXPOSURE, "type": text(since=v("11.1.0"))}))
_SWITCHES = array(obj({"name": text(required=True), "enabled": boolean()}))
_EXPLICIT = choices("EXPLICIT", "WILDCARD")


def _operations(enablement_since: str) -> dict[str, Field]:
    """Return the fields that both kinds have for running their pods."""
    switches = replace(_SWITCHES, since=v(enablement_since))
    return {
        "fips": obj(
            {"mode": text(choices=choices("wall"), may_be_empty=True, source="EEM 11.8 references, fips.mode")},
            since=v("11.1.0"),
        ),
        "template": obj(
            {
                "labels": strings(format=labels),
                "annotations": strings(format=annotations),
                "pod": obj({"spec": opaque()}),
            }
        ),
        "traceSpec": text(since=v("11.5.1")),
        "openTelemetry": obj(
            {
                "endpoint": text(
                    required=True, format=http_url, never_empty=True, source="EEM 11.8, exporting metrics"
                ),
                "protocol": text(),
                "interval": integer(),
                "tls": obj(
                    {
                        "secretName": name(),
                        "clientKey": key(),
                        "clientCertificate": key(),
                        "trustedCertificate": obj(_CERTIFICATE),
                    }
                ),
                "instrumentations": _SWITCHES,
                "metricsEnablement": switches,
                "tracesEnablement": switches,
            },
            since=v("11.3.1"),
        ),
    }


_OIDC_POINTER = partial(text, format=json_pointer, source="RFC 6901; EEM 11.8 manager reference")
_PORTAL = partial(text, required=True, source=f"{_MANAGER_REFERENCE}, developerPortal")

_MANAGER = obj(
    {
        "storage": obj(
            {
                "type": text(required=True, choices=choices("ephemeral", "persistent-claim")),
                "size": text(format=size, source="k8s.io/apimachinery, type Quantity"),
                "storageClassName": name(),
                "existingClaimName": name(),
                "selectors": strings(format=labels),
                "deleteClaim": boolean(),
                "root": text(),
                "rotationSecretName": name(),
            },
            required=True,
        ),
        "authConfig": obj(
            {
                "authType": text(
                    required=True,
                    choices=(*choices("LOCAL", "OIDC"), Choice(value="INTEGRATION_KEYCLOAK", since=v("11.2.1"))),
                ),
                "oidcConfig": obj(
                    {
                        "site": text(
                            required=True,
                            format=http_url,
                            never_empty=True,
                            source="OpenID Connect Discovery 1.0, section 4",
                        ),
                        "secretName": name(required=True),
                        "clientIDKey": key(required=True),
                        "clientSecretKey": key(required=True),
                        "discovery": boolean(),
                        "tokenPath": text(),
                        "authorizationPath": text(),
                        "endSessionPath": text(),
                        "userInfoPath": text(since=v("11.2.2")),
                        "authorizationClaimPointer": _OIDC_POINTER(),
                        "userGroupClaimPointer": _OIDC_POINTER(since=v("11.6.1")),
                        "additionalScopes": array(text()),
                    }
                ),
            },
            required=True,
        ),
        "tls": obj(
            {"caSecretName": name(), **_KEY_PAIR, "ui": obj(_KEY_PAIR), "trustedCertificates": array(obj(_CERTIFICATE))}
        ),
        "endpoints": _ENDPOINTS,
        "apic": obj(
            {
                "jwks": obj(
                    {
                        "endpoint": text(
                            required=True,
                            format=http_url,
                            never_empty=True,
                            source=f"RFC 7517; {_MANAGER_REFERENCE}",
                        )
                    },
                    required=True,
                    required_until=v("11.7.4"),
                ),
                "clientSubjectDN": text(),
                "tls": boolean(),
                "developerPortal": array(
                    obj(
                        {
                            "organization": _PORTAL(choices=choices("eem")),
                            "endpoint": _PORTAL(format=https_url, never_empty=True),
                            "authentication": obj(
                                {"secretName": name(required=True), "key": key(required=True)}, required=True
                            ),
                        }
                    ),
                    since=v("11.8.0"),
                ),
            }
        ),
        "extensionServices": array(
            obj(
                {
                    "name": text(),
                    "endpoint": text(format=http_url),
                    "secretName": name(),
                    "additionalProperties": strings(),
                }
            )
        ),
        **_operations(enablement_since="11.6.2"),
    },
    required=True,
    source=_MANAGER_REFERENCE,
)

_LISTENERS = array(
    obj(
        {
            "name": text(required=True),
            "port": integer(
                required=True, minimum=FIRST_PORT, maximum=LAST_PORT, source="RFC 6335 section 6: port numbers"
            ),
            "groups": array(
                obj(
                    {
                        "name": text(required=True),
                        "type": text(choices=_EXPLICIT),
                        "maxNumKafkaBrokers": integer(minimum=1, maximum=50),
                        "endpoint": obj(_EXPOSURE),
                    }
                ),
                only_item=True,
            ),
            "tls": obj(
                {"caSecret": obj({"secretName": name()}), **_KEY_PAIR, "certificateType": text(choices=_EXPLICIT)}
            ),
        }
    ),
    only_item=True,
    since=v("11.8.0"),
)

_GATEWAY = {
    "gatewayGroupName": text(required=True),
    "gatewayID": text(required=True),
    "managerEndpoint": replaced(
        text(
            required=True,
            required_until=v("11.7.4"),
            format=https_url,
            source=f"{_GATEWAY_REFERENCE}, managerEndpoint",
        ),
        "spec.manager.endpoint",
    ),
    "manager": obj(
        {
            "endpoint": text(format=https_url, source=f"{_GATEWAY_REFERENCE}, manager.endpoint"),
            "apiKey": obj({"secretName": name(), "key": key()}),
            "trustedCertificate": obj({"secretName": name(), "certificate": key()}),
        },
        since=v("11.8.0"),
        rule_name="gateway-manager",
    ),
    "gatewayContact": text(since=v("11.2.1")),
    "replicas": integer(since=v("11.1.0"), minimum=0, source="DeploymentSpec.replicas (apps/v1)"),
    "maxNumKafkaBrokers": replaced(
        integer(since=v("11.2.0"), minimum=1, maximum=50), "spec.listeners[].groups[].maxNumKafkaBrokers"
    ),
    "listeners": _LISTENERS,
    "tls": obj(
        {
            **{
                part: replaced(row, "spec.listeners[].tls")
                for part, row in {"caSecretName": name(), **_KEY_PAIR}.items()
            },
            "trustedCertificates": array(obj(_CERTIFICATE)),
        }
    ),
    "endpoints": replaced(_ENDPOINTS, "spec.listeners[].groups[].endpoint"),
    "security": obj(
        {
            "authentication": obj({"maxRetries": integer(), "retryBackoffMs": integer(), "lockoutPeriod": integer()}),
            "connection": obj({"closeDelayMs": integer(), "closeJitterMs": integer(), "perSubLimit": integer()}),
            "request": obj({"maxSizeBytes": integer()}),
        },
        since=v("11.2.3"),
    ),
    **_operations(enablement_since="11.6.0"),
    "config": text(),
}

_USAGE_METRICS = obj(
    {"reportUsageMetrics": boolean(), "reportFrequency": text(), "segmentWriteKey": text()}, since=v("11.6.0")
)


def _root(spec: Mapping[str, Field]) -> Field:
    """Return the object of one kind, of which only the spec is checked."""
    shared = {"license": _LICENCE, "deployNetworkPolicies": boolean()}
    source = "EEM 11.8 references: licence is required"
    return obj({"spec": obj({**shared, **spec}, required=True, source=source)}).rooted()


ROOTS: Mapping[str, Field] = {
    MANAGER_KIND: _root({"manager": _MANAGER, "usageMetrics": _USAGE_METRICS}),
    GATEWAY_KIND: _root(_GATEWAY),
}
"""The fields of each kind, as a tree."""

FIELDS: Mapping[str, tuple[Field, ...]] = {kind: tuple(root.with_descendants())[1:] for kind, root in ROOTS.items()}
"""The fields of each kind, `spec` and all below, parents first."""
