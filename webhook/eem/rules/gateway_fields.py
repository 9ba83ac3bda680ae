"""The fields of an EventGateway, 11.0.0 to 11.8.1."""

from webhook.eem.rules.fields import (
    Field,
    certificate_reference,
    choices,
    deprecated,
    endpoints,
    exposure,
    keys,
    licence,
    operations,
    secret,
    server_certificate,
    strings,
    telemetry,
    trusted_certificates,
    v,
)
from webhook.eem.rules.formats import https_url

_LISTENERS_CAME = v("11.8.0")


def _brokers(path: str, *, since: str) -> Field:
    """Return how many brokers a gateway may stand for; the limits are the CRD's."""
    return Field(path=path, type="integer", since=v(since), minimum=1, maximum=50)


def _listeners() -> tuple[Field, ...]:
    listener, since = "spec.listeners[]", _LISTENERS_CAME
    group = f"{listener}.groups[]"
    kinds = choices("EXPLICIT", "WILDCARD")
    return (
        Field(path="spec.listeners", type="array", since=since, only_item=True),
        Field(path=listener, type="object", since=since),
        Field(path=f"{listener}.name", type="string", since=since, required=True),
        Field(
            path=f"{listener}.port",
            type="integer",
            since=since,
            required=True,
            minimum=1,
            maximum=65535,
            source="RFC 6335 section 6: port numbers",
        ),
        Field(path=f"{listener}.groups", type="array", since=since, only_item=True),
        Field(path=group, type="object", since=since),
        Field(path=f"{group}.name", type="string", since=since, required=True),
        Field(path=f"{group}.type", type="string", since=since, choices=kinds),
        _brokers(f"{group}.maxNumKafkaBrokers", since="11.8.0"),
        Field(path=f"{group}.endpoint", type="object", since=since),
        *exposure(f"{group}.endpoint", since=since),
        Field(path=f"{listener}.tls", type="object", since=since),
        Field(path=f"{listener}.tls.caSecret", type="object", since=since),
        secret(f"{listener}.tls.caSecret.secretName", since=since),
        *server_certificate(f"{listener}.tls", since=since),
        Field(path=f"{listener}.tls.certificateType", type="string", since=since, choices=kinds),
    )


def _security() -> tuple[Field, ...]:
    since = v("11.2.3")
    limits = {
        "authentication": ("maxRetries", "retryBackoffMs", "lockoutPeriod"),
        "connection": ("closeDelayMs", "closeJitterMs", "perSubLimit"),
        "request": ("maxSizeBytes",),
    }
    return (
        Field(path="spec.security", type="object", since=since),
        *(Field(path=f"spec.security.{part}", type="object", since=since) for part in limits),
        *(
            Field(path=f"spec.security.{part}.{name}", type="integer", since=since)
            for part, names in limits.items()
            for name in names
        ),
    )


_REGISTRATION = (
    *(Field(path=f"spec.{name}", type="string", required=True) for name in ("gatewayGroupName", "gatewayID")),
    *deprecated(
        (
            Field(
                path="spec.managerEndpoint",
                type="string",
                required=True,
                required_until=v("11.7.4"),
                format=https_url,
                source="EEM 11.8 gateway reference, managerEndpoint",
            ),
        ),
        since=_LISTENERS_CAME,
        instead="spec.manager.endpoint",
    ),
    Field(path="spec.manager", type="object", since=v("11.8.0"), rule_name="gateway-manager"),
    Field(
        path="spec.manager.endpoint",
        type="string",
        since=v("11.8.0"),
        format=https_url,
        source="EEM 11.8 gateway reference, manager.endpoint",
    ),
    Field(path="spec.manager.apiKey", type="object", since=v("11.8.0")),
    secret("spec.manager.apiKey.secretName", since=v("11.8.0")),
    *keys("spec.manager.apiKey", "key", since=v("11.8.0")),
    *certificate_reference("spec.manager.trustedCertificate", since=v("11.8.0"), required=False),
    *strings("spec", "gatewayContact", since=v("11.2.1")),
)

_SCALE = (
    Field(
        path="spec.replicas",
        type="integer",
        since=v("11.1.0"),
        minimum=0,
        source="DeploymentSpec.replicas (apps/v1)",
    ),
    *deprecated(
        (_brokers("spec.maxNumKafkaBrokers", since="11.2.0"),),
        since=_LISTENERS_CAME,
        instead="spec.listeners[].groups[].maxNumKafkaBrokers",
    ),
)

_TLS = (
    Field(path="spec.tls", type="object"),
    *deprecated(
        (secret("spec.tls.caSecretName"), *server_certificate("spec.tls")),
        since=_LISTENERS_CAME,
        instead="spec.listeners[].tls",
    ),
    *trusted_certificates("spec.tls"),
)

_ENDPOINTS = (
    *deprecated(endpoints("spec")[:1], since=_LISTENERS_CAME, instead="spec.listeners[].groups[].endpoint"),
    *endpoints("spec")[1:],
)

GATEWAY_FIELDS: tuple[Field, ...] = (
    *licence(),
    *_REGISTRATION,
    *_SCALE,
    *_listeners(),
    *_TLS,
    *_ENDPOINTS,
    *_security(),
    *operations("spec"),
    *telemetry("spec", enablement_since="11.6.0"),
    *strings("spec", "config"),
)
