"""
Compute what the webhook configurations should hold.

The manifests ship, and own, the entries for EEM resources; the service may own the caBundle in them. The service owns
the whole entry for NetworkPolicies. Every field is written out, even one with a default: then the answer of the API
server can be compared field by field, and each field has an owner.

Source: admissionregistration.k8s.io/v1 ValidatingWebhook, MutatingWebhook; Server-Side Apply, "Merge strategy": the
list `webhooks` has the key `name`, `matchConditions` too; a LabelSelector and the list `rules` are one value each.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

from webhook.admission.exemptions import CANARY_NAMESPACE, GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER
from webhook.eem.resources import EEM_GROUP, EEM_VERSION, GATEWAYS, MANAGERS, NETWORK_POLICIES, ResourceType

Json = Mapping[str, Any]
FailurePolicy = Literal["Fail", "Ignore"]

NAME: Final = "eem-guardrail"
"""The name of both configurations, of the Service, and of the field manager."""
NAMESPACE: Final = "eem-guardrail"
_GROUP: Final = "admissionregistration.k8s.io"
VALIDATING: Final = ResourceType(
    group=_GROUP,
    version="v1",
    plural="validatingwebhookconfigurations",
    kind="ValidatingWebhookConfiguration",
    namespaced=False,
)
MUTATING: Final = ResourceType(
    group=_GROUP,
    version="v1",
    plural="mutatingwebhookconfigurations",
    kind="MutatingWebhookConfiguration",
    namespaced=False,
)

POLICIES: Final = "networkpolicies.eem-guardrail.io"
INSTANCES: Final = "eem.eem-guardrail.io"
DEFAULTS: Final = "defaults.eem-guardrail.io"
# With a webhook for these namespaces, a guard that is down could keep itself, or the cluster, from starting.
NEVER_MATCHED: Final = frozenset({NAMESPACE, "kube-system"})
_NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
_TIMEOUT_SECONDS: Final = 5  # a verdict takes milliseconds; the client of the API server waits 30 s and more


def _entry(name: str, path: str, rule: Json, selector: Json, **fields: Any) -> Json:
    service = {"namespace": NAMESPACE, "name": NAME, "port": 443, "path": path}
    return MappingProxyType(
        {
            "name": name,
            "clientConfig": {"service": service},
            "rules": [{**rule, "scope": "Namespaced"}],
            "namespaceSelector": {"matchExpressions": [{"key": _NAMESPACE_LABEL, **selector}]},
            "objectSelector": {},
            "matchPolicy": "Equivalent",
            "timeoutSeconds": _TIMEOUT_SECONDS,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **fields,
        }
    )


def _eem_rule(*operations: str) -> Json:
    return {
        "apiGroups": [EEM_GROUP],
        "apiVersions": [EEM_VERSION],
        "resources": [MANAGERS.plural, GATEWAYS.plural],
        "operations": list(operations),
    }


_ANYWHERE_ELSE: Final = {"operator": "NotIn", "values": sorted(NEVER_MATCHED)}

# The API server evaluates these, so they hold while no pod of the service runs: a namespace can be deleted, dependents
# can be garbage-collected, and finalizers, labels and annotations can be edited.
_POLICY_CONDITIONS: Final = (
    {"name": "not-the-garbage-collector", "expression": f'request.userInfo.username != "{GARBAGE_COLLECTOR}"'},
    {"name": "not-the-namespace-controller", "expression": f'request.userInfo.username != "{NAMESPACE_CONTROLLER}"'},
    {
        "name": "spec-or-owners-change",
        "expression": 'request.operation != "UPDATE" || object.?spec != oldObject.?spec'
        " || object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences",
    },
)
_POLICY_CONDITION_NAMES: Final = frozenset(condition["name"] for condition in _POLICY_CONDITIONS)
_EEM_CONDITIONS: Final = (
    {"name": "not-terminating", "expression": "!has(object.metadata.deletionTimestamp)"},
    {"name": "spec-changes", "expression": 'request.operation != "UPDATE" || object.?spec != oldObject.?spec'},
)

SHIPPED: Final[Mapping[str, tuple[Json, ...]]] = MappingProxyType(
    {
        VALIDATING.kind: (
            _entry(
                INSTANCES,
                "/validate-eem",
                _eem_rule("CREATE", "UPDATE"),
                _ANYWHERE_ELSE,
                matchConditions=list(_EEM_CONDITIONS),
                failurePolicy="Ignore",
            ),
        ),
        MUTATING.kind: (
            _entry(
                DEFAULTS,
                "/mutate-eem",
                _eem_rule("CREATE"),
                _ANYWHERE_ELSE,
                reinvocationPolicy="Never",
                failurePolicy="Ignore",
            ),
        ),
    }
)
"""The entries that the manifests ship, by the kind of the configuration, without a caBundle."""

_OWN_NAMES: Final = frozenset({POLICIES, INSTANCES, DEFAULTS})


def policy_entry(namespaces: Iterable[str], ca_bundle: bytes, failure_policy: FailurePolicy) -> dict[str, Any]:
    """Return the whole entry for NetworkPolicies in *namespaces* and in the canary namespace."""
    rule = {
        "apiGroups": [NETWORK_POLICIES.group],
        "apiVersions": [NETWORK_POLICIES.version],
        "resources": [NETWORK_POLICIES.plural],
        "operations": ["CREATE", "UPDATE", "DELETE"],
    }
    entry = _entry(
        POLICIES,
        "/validate-networkpolicy",
        rule,
        {"operator": "In", "values": sorted({CANARY_NAMESPACE, *namespaces} - NEVER_MATCHED)},
        matchConditions=list(_POLICY_CONDITIONS),
        failurePolicy=failure_policy,
    )
    return {**entry, "clientConfig": {**entry["clientConfig"], **_trust(ca_bundle)}}


def bundle_entries(configuration: Json, ca_bundle: bytes) -> list[dict[str, Any]]:
    """Return the service's own part of the shipped entries that exist: their caBundle."""
    shipped = [entry["name"] for entry in SHIPPED[configuration["kind"]]]
    return [
        {"name": name, "clientConfig": _trust(ca_bundle)}
        for name in shipped
        if find_entry(configuration, name) is not None
    ]


def apply_body(configuration: Json, entries: Sequence[Json]) -> dict[str, Any]:
    """
    Return the body of a server-side apply: all that the service owns in an existing configuration.

    The uid is in it, so that a deleted configuration stays deleted, and the resourceVersion, so that no change is
    overwritten that was not seen. The service gives up the ownership of what is left out, so *entries* must be
    complete.
    """
    metadata = configuration["metadata"]
    identity = {"name": metadata["name"], "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}
    return {
        "apiVersion": configuration["apiVersion"],
        "kind": configuration["kind"],
        "metadata": identity,
        "webhooks": [dict(entry) for entry in entries],
    }


def is_written(configuration: Json, entries: Iterable[Json]) -> bool:
    """
    Whether the configuration holds *entries*, with every field that they have.

    Other fields are not compared: *entries* have every field of today's API, and a later API may add some with a
    default.
    """
    return all(_holds(find_entry(configuration, entry["name"]), entry) for entry in entries)


def strays(configuration: Json, entries: Iterable[Json]) -> list[dict[str, Any]]:
    """
    Return the JSON patch that removes the additions of other clients from the entry for NetworkPolicies, or nothing.

    A server-side apply leaves the fields of other owners. A condition of theirs can turn the entry off. A URL of theirs
    sends the reviews elsewhere, and makes each apply invalid, since an entry has either a service or a URL. The patch
    tests the resourceVersion, so that it removes nothing else.

    Args:
        entries: the entries to be written.
    """
    wanted = next((one for one in entries if one["name"] == POLICIES), None)
    operations: list[dict[str, Any]] = []
    for at, entry in enumerate(configuration.get("webhooks") or ()):
        if entry.get("name") == POLICIES:
            path = f"/webhooks/{at}"
            named = [one.get("name") for one in entry.get("matchConditions") or ()]
            operations = [
                {"op": "remove", "path": f"{path}/matchConditions/{number}"}
                for number in reversed(range(len(named)))
                if named[number] not in _POLICY_CONDITION_NAMES
            ]
            if wanted is not None and "url" in client_config(entry):
                operations.append({"op": "replace", "path": f"{path}/clientConfig", "value": wanted["clientConfig"]})
    version = configuration["metadata"]["resourceVersion"]
    return [{"op": "test", "path": "/metadata/resourceVersion", "value": version}, *operations] if operations else []


def find_entry(configuration: Json | None, name: str) -> Json | None:
    """Return one entry of a configuration; None if either does not exist."""
    entries = (configuration or {}).get("webhooks") or ()
    return next((entry for entry in entries if entry.get("name") == name), None)


def registered_namespaces(configuration: Json | None) -> frozenset[str] | None:
    """Return the namespaces in the entry for NetworkPolicies; None if there is no such entry."""
    entry = find_entry(configuration, POLICIES)
    if entry is None:
        return None
    expressions = (entry.get("namespaceSelector") or {}).get("matchExpressions") or ()
    return frozenset(
        value
        for one in expressions
        if (one.get("key"), one.get("operator")) == (_NAMESPACE_LABEL, "In")
        for value in one.get("values") or ()
    )


def covered_namespaces(configuration: Json | None, names: frozenset[str]) -> frozenset[str]:
    """Return those of *names* that the selector of the entry for NetworkPolicies matches, in whatever form."""
    entry = find_entry(configuration, POLICIES)
    selector = {} if entry is None else entry.get("namespaceSelector") or {}
    wanted = [
        {"key": key, "operator": "In", "values": [value]} for key, value in (selector.get("matchLabels") or {}).items()
    ]
    requirements = [*wanted, *(selector.get("matchExpressions") or ())]
    return frozenset() if entry is None else frozenset(name for name in names if _fulfils(requirements, name))


def _fulfils(requirements: Iterable[Json], name: str) -> bool:
    """Whether a namespace meets all requirements, judged by its name alone."""
    return all(
        one.get("key") == _NAMESPACE_LABEL
        and {
            "In": name in (one.get("values") or ()),
            "NotIn": name not in (one.get("values") or ()),
            "Exists": True,
        }.get(str(one.get("operator")), False)
        for one in requirements
    )


def wanted_namespaces(
    registered: frozenset[str] | None, eem: frozenset[str] | None, *, proven: bool
) -> frozenset[str] | None:
    """
    Return the namespaces to register; None if the entry must not be created yet, not even for the canary namespace.

    Without a proof that reviews arrive, registered namespaces stay, and none is added: a webhook that does not answer
    must not block a namespace.

    Args:
        registered: the namespaces in the configuration; None if the entry does not exist.
        eem: the namespaces where EEM runs; None while they are not known.
        proven: whether the last heartbeat was refused.
    """
    if eem is None:
        return registered
    if proven:
        return eem
    return eem & (registered or frozenset())


def bundle_of(configuration: Json | None, name: str) -> bytes:
    """Return the caBundle of one entry; empty if it has none, or one that is not base64."""
    entry = find_entry(configuration, name)
    try:
        return base64.b64decode(client_config(entry or {}).get("caBundle") or "", validate=True)
    except (binascii.Error, ValueError):
        return b""


def bundles(configuration: Json) -> tuple[bytes, ...]:
    """Return the caBundle of each entry with one of the service's names."""
    found = (entry.get("name") for entry in configuration.get("webhooks") or ())
    return tuple(bundle_of(configuration, name) for name in found if name in _OWN_NAMES)


def client_config(entry: Json) -> Json:
    """Return the clientConfig of an entry; empty if it is not a mapping."""
    config = entry.get("clientConfig")
    return config if isinstance(config, Mapping) else {}


def _trust(ca_bundle: bytes) -> dict[str, str]:
    return {"caBundle": base64.b64encode(ca_bundle).decode()}


def _holds(found: Json | None, wanted: Json) -> bool:
    if found is None:
        return False
    trust, wanted_trust = client_config(found), wanted["clientConfig"]
    return all(trust.get(key) == value for key, value in wanted_trust.items()) and all(
        _by_name(found.get(key)) == value if key == "matchConditions" else found.get(key) == value
        for key, value in _compared(wanted).items()
    )


def _compared(wanted: Json) -> dict[str, Any]:
    fields = {key: value for key, value in wanted.items() if key != "clientConfig"}
    if "matchConditions" in fields:
        fields["matchConditions"] = _by_name(fields["matchConditions"])
    return fields


def _by_name(conditions: object) -> dict[str, object]:
    """Return conditions by name, since their order has no meaning."""
    known = conditions if isinstance(conditions, list) else []
    return {str(one.get("name")): one.get("expression") for one in known}
