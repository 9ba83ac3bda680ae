"""Rules for `spec.manager.authConfig`: how users log in to the manager."""

import re

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.rule import MANAGER_ONLY, UPDATE_ONLY, Resource, Violations, rule
from webhook.netpol.reading import Tree, list_at, object_at, shown, text_at, value_at

_PATH = ("spec", "manager", "authConfig")
_TYPE = (*_PATH, "authType")
_OIDC = (*_PATH, "oidcConfig")
_REFERENCE = "EEM 11.8 manager reference, authConfig"
_WELL_KNOWN = "/.well-known/openid-configuration"
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_KEYCLOAK = "INTEGRATION_KEYCLOAK"


def _config(resource: Resource) -> Tree:
    return object_at(resource.spec, "manager", "authConfig")


def _oidc(resource: Resource) -> Tree:
    return object_at(_config(resource), "oidcConfig")


@rule(
    "authentication.oidc-missing",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig",
    message="The authType OIDC must come with oidcConfig.",
    reason="Required",
    source=_REFERENCE,
)
def _oidc_missing(resource: Resource) -> Violations:
    config = _config(resource)
    if config.get("authType") == "OIDC" and config.get("oidcConfig") is None:
        yield _OIDC, "must be set: authType is OIDC"


@rule(
    "authentication.oidc-unused",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig",
    message="oidcConfig has an effect with the authType OIDC only.",
    reason="Forbidden",
    source=_REFERENCE,
)
def _oidc_unused(resource: Resource) -> Violations:
    config = _config(resource)
    if config.get("oidcConfig") is not None and config.get("authType") != "OIDC":
        yield _OIDC, f"has no effect: authType is {shown(text_at(config, 'authType'))}, not OIDC"


@rule(
    "authentication.paths-missing",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig.tokenPath",
    message="Without discovery, tokenPath and authorizationPath must be set.",
    reason="Required",
    source=_REFERENCE,
)
def _paths_missing(resource: Resource) -> Violations:
    oidc = _oidc(resource)
    if oidc.get("discovery") is not False:
        return
    for name in ("tokenPath", "authorizationPath"):
        if not oidc.get(name):
            yield (*_OIDC, name), "must be set: discovery is false, so the manager cannot look it up"


@rule(
    "authentication.site-with-well-known",
    "deny",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig.site",
    message="The site must not include the path of the discovery document; the product appends it.",
    source=_REFERENCE,
)
def _site_with_well_known(resource: Resource) -> Violations:
    if _WELL_KNOWN in text_at(_oidc(resource), "site"):
        yield (*_OIDC, "site"), f"must not contain {_WELL_KNOWN}: the product appends it, so end the URL before it"


@rule(
    "authentication.site-plain-http",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig.site",
    message="The site should be an https URL.",
    source="OpenID Connect Core 1.0, section 16.17",
)
def _site_plain_http(resource: Resource) -> Violations:
    parts = url_of(text_at(_oidc(resource), "site"))
    if parts is not None and parts.scheme == "http":
        yield (*_OIDC, "site"), "should be an https URL: http sends the client secret and the tokens unencrypted"


@rule(
    "authentication.path-is-url",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig.tokenPath",
    message="Paths of OIDC should be paths, which the product appends to the site.",
    source=_REFERENCE,
)
def _path_is_url(resource: Resource) -> Violations:
    oidc = _oidc(resource)
    for name in ("tokenPath", "authorizationPath", "endSessionPath", "userInfoPath"):
        if "://" in text_at(oidc, name):
            yield (*_OIDC, name), "should be a path, which the product appends to site, not a whole URL"


@rule(
    "authentication.scope",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig.additionalScopes[]",
    message="Each entry should be one scope, without spaces.",
    source="RFC 6749 section 3.3",
)
def _scope(resource: Resource) -> Violations:
    for position, scope in enumerate(list_at(_oidc(resource), "additionalScopes")):
        if isinstance(scope, str) and not _SCOPE.fullmatch(scope):
            path = (*_OIDC, "additionalScopes", position)
            yield path, f'should be one scope without spaces and quotation marks, not "{shown(scope)}"'


@rule(
    "authentication.keycloak-platform",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.authType",
    message="INTEGRATION_KEYCLOAK should be used on OpenShift only.",
    reason="NotSupported",
    source=_REFERENCE,
    since="11.2.1",
)
def _keycloak_platform(resource: Resource) -> Violations:
    if resource.context.platform == "kubernetes" and _config(resource).get("authType") == _KEYCLOAK:
        yield _TYPE, f"should not be {_KEYCLOAK} here: Cloud Pak for Integration installs it, on OpenShift only"


@rule(
    "authentication.keycloak-licence",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.authType",
    message="INTEGRATION_KEYCLOAK should be used with a licence for Cloud Pak for Integration.",
    reason="NotSupported",
    source=_REFERENCE,
    since="11.2.1",
)
def _keycloak_licence(resource: Resource) -> Violations:
    use = text_at(resource.spec, "license", "use")
    if use and not use.startswith("CloudPak") and _config(resource).get("authType") == _KEYCLOAK:
        message = f"should not be {_KEYCLOAK}: Cloud Pak for Integration installs it"
        yield _TYPE, f"{message}, and the licence is for {shown(use)}"


@rule(
    "authentication.type-changed",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.authType",
    message="Another authType means other users and roles.",
    source=_REFERENCE,
    requests=UPDATE_ONLY,
)
def _type_changed(resource: Resource) -> Violations:
    before = text_at(_config(resource.before), "authType")
    if before and before != text_at(_config(resource), "authType"):
        yield _TYPE, f"changes from {shown(before)}: the previous users and their roles no longer apply"


@rule(
    "authentication.group-pointer-removed",
    "warn",
    kinds=MANAGER_ONLY,
    field="spec.manager.authConfig.oidcConfig.userGroupClaimPointer",
    message="Without userGroupClaimPointer, permissions of groups have no effect.",
    source='EEM 11.8, "Groups"',
    since="11.6.1",
    requests=UPDATE_ONLY,
)
def _group_pointer_removed(resource: Resource) -> Violations:
    name = "userGroupClaimPointer"
    if text_at(_oidc(resource.before), name) and not value_at(_oidc(resource), name):
        yield (*_OIDC, name), "is removed: the permissions that groups have no longer apply to their members"
