"""The fields of an EventEndpointManagement, 11.0.0 to 11.8.1."""

from webhook.eem.rules.fields import (
    Choice,
    Field,
    choices,
    endpoints,
    licence,
    operations,
    pointers,
    secret,
    server_certificate,
    strings,
    telemetry,
    trusted_certificates,
    v,
)
from webhook.eem.rules.formats import data_key, http_url, https_url, labels, object_name, size

_STORAGE = (
    Field(path="spec.manager.storage", type="object", required=True),
    Field(
        path="spec.manager.storage.type",
        type="string",
        required=True,
        choices=choices("ephemeral", "persistent-claim"),
    ),
    Field(
        path="spec.manager.storage.size",
        type="string",
        format=size,
        source="k8s.io/apimachinery, type Quantity",
    ),
    Field(path="spec.manager.storage.storageClassName", type="string", format=object_name),
    Field(path="spec.manager.storage.existingClaimName", type="string", format=object_name),
    Field(path="spec.manager.storage.selectors", type="map", format=labels),
    Field(path="spec.manager.storage.deleteClaim", type="boolean"),
    *strings("spec.manager.storage", "root"),
    secret("spec.manager.storage.rotationSecretName"),
)

_OIDC = "spec.manager.authConfig.oidcConfig"
_AUTHENTICATION = (
    Field(path="spec.manager.authConfig", type="object", required=True),
    Field(
        path="spec.manager.authConfig.authType",
        type="string",
        required=True,
        choices=(*choices("LOCAL", "OIDC"), Choice(value="INTEGRATION_KEYCLOAK", since=v("11.2.1"))),
    ),
    Field(path=_OIDC, type="object"),
    Field(
        path=f"{_OIDC}.site",
        type="string",
        required=True,
        format=http_url,
        never_empty=True,
        source="OpenID Connect Discovery 1.0, section 4",
    ),
    secret(f"{_OIDC}.secretName", required=True),
    *(
        Field(path=f"{_OIDC}.{name}", type="string", required=True, format=data_key)
        for name in ("clientIDKey", "clientSecretKey")
    ),
    Field(path=f"{_OIDC}.discovery", type="boolean"),
    *strings(_OIDC, "tokenPath", "authorizationPath", "endSessionPath"),
    *strings(_OIDC, "userInfoPath", since=v("11.2.2")),
    *pointers(_OIDC, authorizationClaimPointer="11.0.0", userGroupClaimPointer="11.6.1"),
    Field(path=f"{_OIDC}.additionalScopes", type="array"),
    Field(path=f"{_OIDC}.additionalScopes[]", type="string"),
)

_TLS = (
    Field(path="spec.manager.tls", type="object"),
    secret("spec.manager.tls.caSecretName"),
    *server_certificate("spec.manager.tls"),
    Field(path="spec.manager.tls.ui", type="object"),
    *server_certificate("spec.manager.tls.ui"),
    *trusted_certificates("spec.manager.tls"),
)

_PORTAL = "spec.manager.apic.developerPortal"
_API_CONNECT = (
    Field(path="spec.manager.apic", type="object"),
    Field(path="spec.manager.apic.jwks", type="object", required=True, required_until=v("11.7.4")),
    Field(
        path="spec.manager.apic.jwks.endpoint",
        type="string",
        required=True,
        format=http_url,
        never_empty=True,
        source="RFC 7517; EEM 11.8 manager reference",
    ),
    *strings("spec.manager.apic", "clientSubjectDN"),
    Field(path="spec.manager.apic.tls", type="boolean"),
    Field(path=_PORTAL, type="array", since=v("11.8.0")),
    Field(path=f"{_PORTAL}[]", type="object", since=v("11.8.0")),
    Field(
        path=f"{_PORTAL}[].organization",
        type="string",
        since=v("11.8.0"),
        required=True,
        choices=choices("eem"),
        source="EEM 11.8 manager reference, developerPortal",
    ),
    Field(
        path=f"{_PORTAL}[].endpoint",
        type="string",
        since=v("11.8.0"),
        required=True,
        format=https_url,
        never_empty=True,
        source="EEM 11.8 manager reference, developerPortal",
    ),
    Field(path=f"{_PORTAL}[].authentication", type="object", since=v("11.8.0"), required=True),
    secret(f"{_PORTAL}[].authentication.secretName", since=v("11.8.0"), required=True),
    Field(
        path=f"{_PORTAL}[].authentication.key",
        type="string",
        since=v("11.8.0"),
        required=True,
        format=data_key,
    ),
)

_EXTENSIONS = (
    Field(path="spec.manager.extensionServices", type="array"),
    Field(path="spec.manager.extensionServices[]", type="object"),
    *strings("spec.manager.extensionServices[]", "name"),
    Field(path="spec.manager.extensionServices[].endpoint", type="string", format=http_url),
    secret("spec.manager.extensionServices[].secretName"),
    Field(path="spec.manager.extensionServices[].additionalProperties", type="map"),
)

_USAGE = (
    Field(path="spec.usageMetrics", type="object", since=v("11.6.0")),
    Field(path="spec.usageMetrics.reportUsageMetrics", type="boolean", since=v("11.6.0")),
    *strings("spec.usageMetrics", "reportFrequency", "segmentWriteKey", since=v("11.6.0")),
)

MANAGER_FIELDS: tuple[Field, ...] = (
    *licence(),
    Field(path="spec.manager", type="object", required=True, source="EEM 11.8 manager reference"),
    *_STORAGE,
    *_AUTHENTICATION,
    *_TLS,
    *endpoints("spec.manager"),
    *_API_CONNECT,
    *_EXTENSIONS,
    *operations("spec.manager"),
    *telemetry("spec.manager", enablement_since="11.6.2"),
    *_USAGE,
)
