"""Rules for `spec.manager.authConfig`: who may log in to the manager."""

import re
from collections.abc import Sequence

from webhook.eem.rules.formats import url_of
from webhook.eem.rules.model import EEM, Fault, On, Reason, Rule, Subject
from webhook.eem.rules.nodes import Tree, child, items, mapping, text
from webhook.eem.rules.paths import shown
from webhook.eem.rules.version import Version

_PATH = ("spec", "manager", "authConfig")
_OIDC_PATH = (*_PATH, "oidcConfig")
_REFERENCE = "EEM 11.8 manager reference, authConfig"
_WELL_KNOWN = "/.well-known/openid-configuration"
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_KEYCLOAK = "INTEGRATION_KEYCLOAK"


def _config(subject: Subject) -> Tree:
    return mapping(subject.spec, "manager", "authConfig")


def _oidc(subject: Subject) -> Tree:
    return mapping(_config(subject), "oidcConfig")


def _oidc_missing(subject: Subject) -> Sequence[Fault]:
    config = _config(subject)
    if config.get("authType") != "OIDC" or config.get("oidcConfig") is not None:
        return ()
    return (Fault(path=_OIDC_PATH, message="must be set: authType is OIDC"),)


def _oidc_unused(subject: Subject) -> Sequence[Fault]:
    config = _config(subject)
    if config.get("oidcConfig") is None or config.get("authType") == "OIDC":
        return ()
    return (Fault(path=_OIDC_PATH, message=f"does not count: authType is {shown(text(config, 'authType'))}"),)


def _paths_missing(subject: Subject) -> Sequence[Fault]:
    oidc = _oidc(subject)
    if oidc.get("discovery") is not False:
        return ()
    return [
        Fault(path=(*_OIDC_PATH, name), message="must be set: discovery is off, so nothing else says where it is")
        for name in ("tokenPath", "authorizationPath")
        if not oidc.get(name)
    ]


def _site_too_long(subject: Subject) -> Sequence[Fault]:
    if _WELL_KNOWN not in text(_oidc(subject), "site"):
        return ()
    message = f"must not have {_WELL_KNOWN}: the product adds it, so expected what stands before"
    return (Fault(path=(*_OIDC_PATH, "site"), message=message),)


def _site_plain(subject: Subject) -> Sequence[Fault]:
    parts = url_of(text(_oidc(subject), "site"))
    if parts is None or parts.scheme != "http":
        return ()
    return (Fault(path=(*_OIDC_PATH, "site"), message="is plain http: the client's secret and tokens can be read"),)


def _path_is_url(subject: Subject) -> Sequence[Fault]:
    oidc = _oidc(subject)
    return [
        Fault(path=(*_OIDC_PATH, name), message="is a whole URL: expected a path, which is put behind site")
        for name in ("tokenPath", "authorizationPath", "endSessionPath", "userInfoPath")
        if "://" in text(oidc, name)
    ]


def _scope(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=(*_OIDC_PATH, "additionalScopes", position), message=f'"{shown(scope)}" is not one scope')
        for position, scope in enumerate(items(_oidc(subject), "additionalScopes"))
        if isinstance(scope, str) and not _SCOPE.fullmatch(scope)
    ]


def _keycloak_platform(subject: Subject) -> Sequence[Fault]:
    if subject.context.platform != "kubernetes" or _config(subject).get("authType") != _KEYCLOAK:
        return ()
    message = f"is {_KEYCLOAK}, which Cloud Pak for Integration brings, on OpenShift only"
    return (Fault(path=(*_PATH, "authType"), message=message),)


def _keycloak_licence(subject: Subject) -> Sequence[Fault]:
    use = text(subject.spec, "license", "use")
    if not use or use.startswith("CloudPak") or _config(subject).get("authType") != _KEYCLOAK:
        return ()
    message = f"is {_KEYCLOAK}, which Cloud Pak for Integration brings, and the licence is for {shown(use)}"
    return (Fault(path=(*_PATH, "authType"), message=message),)


def _type_changed(subject: Subject) -> Sequence[Fault]:
    before = text(_config(subject.before), "authType")
    if not before or before == text(_config(subject), "authType"):
        return ()
    return (
        Fault(path=(*_PATH, "authType"), message=f"changes from {shown(before)}: users and their roles are others"),
    )


def _group_pointer_removed(subject: Subject) -> Sequence[Fault]:
    name = "userGroupClaimPointer"
    if not text(_oidc(subject.before), name) or child(_oidc(subject), name):
        return ()
    message = "is removed: what groups were allowed is allowed to nobody any more"
    return (Fault(path=(*_OIDC_PATH, name), message=message),)


RULES: tuple[Rule, ...] = (
    Rule(
        id="authentication.oidc-missing",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig",
        message="OIDC must come with its settings.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_oidc_missing,
    ),
    Rule(
        id="authentication.oidc-unused",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig",
        message="OIDC's settings count for the authType OIDC only.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_oidc_unused,
    ),
    Rule(
        id="authentication.paths-missing",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig.tokenPath",
        message="Without discovery, tokenPath and authorizationPath must be set.",
        reason=Reason.REQUIRED,
        source=_REFERENCE,
        check=_paths_missing,
    ),
    Rule(
        id="authentication.site-with-well-known",
        severity="deny",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig.site",
        message="The site must not include the discovery document's path, which the product adds.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_site_too_long,
    ),
    Rule(
        id="authentication.site-plain-http",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig.site",
        message="The site should be https.",
        reason=Reason.INVALID,
        source="OpenID Connect Core 1.0, section 16.17",
        check=_site_plain,
    ),
    Rule(
        id="authentication.path-is-url",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig.tokenPath",
        message="OIDC's paths should be paths, which are put behind the site.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_path_is_url,
    ),
    Rule(
        id="authentication.scope",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig.additionalScopes[]",
        message="Each entry should be one scope, without blanks.",
        reason=Reason.INVALID,
        source="RFC 6749 section 3.3",
        check=_scope,
    ),
    Rule(
        id="authentication.keycloak-platform",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.authType",
        message="INTEGRATION_KEYCLOAK should be used on OpenShift only.",
        reason=Reason.NOT_SUPPORTED,
        source=_REFERENCE,
        check=_keycloak_platform,
        since=Version.parse("11.2.1"),
    ),
    Rule(
        id="authentication.keycloak-licence",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.authType",
        message="INTEGRATION_KEYCLOAK should go with a licence of Cloud Pak for Integration.",
        reason=Reason.NOT_SUPPORTED,
        source=_REFERENCE,
        check=_keycloak_licence,
        since=Version.parse("11.2.1"),
    ),
    Rule(
        id="authentication.type-changed",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.authType",
        message="Another kind of login means other users.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_type_changed,
        on=On.UPDATE,
    ),
    Rule(
        id="authentication.group-pointer-removed",
        severity="warn",
        kinds=(EEM,),
        field="spec.manager.authConfig.oidcConfig.userGroupClaimPointer",
        message="Without the pointer to groups nothing is allowed to groups.",
        reason=Reason.INVALID,
        source='EEM 11.8, "Groups"',
        check=_group_pointer_removed,
        since=Version.parse("11.6.1"),
        on=On.UPDATE,
    ),
)
