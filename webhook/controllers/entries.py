"""
Compute what the webhook configurations should hold.

The manifests ship, and own, the entries for EEM resources; the service may own the caBundle in them. The service owns
the whole entries for policies. Every field is written out, even one with a default: then the answer of the API server
can be compared field by field, and each field has an owner.

Source: admissionregistration.k8s.io/v1 ValidatingWebhook, MutatingWebhook; Server-Side Apply, "Merge strategy": the
list `webhooks` has the key `name`, `matchConditions` too; a LabelSelector and the list `rules` are one value each.
"""

import base64
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

from webhook.admission.exemptions import CANARY_NAMESPACE, GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER
from webhook.eem.resources import CLUSTER_POLICIES as CLUSTER_POLICY_TYPES
from webhook.eem.resources import (
    CLUSTER_POLICY_VERSIONS,
    EEM_GROUP,
    EEM_VERSION,
    GATEWAYS,
    MANAGERS,
    NETWORK_POLICIES,
    ResourceType,
)

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
CLUSTER_POLICIES: Final = "clusterpolicies.eem-guardrail.io"
INSTANCES: Final = "eem.eem-guardrail.io"
DEFAULTS: Final = "defaults.eem-guardrail.io"
# With a webhook for these namespaces, a guard that is down could keep itself, or the cluster, from starting.
NEVER_MATCHED: Final = frozenset({NAMESPACE, "kube-system"})
NAMESPACE_LABEL: Final = "kubernetes.io/metadata.name"
_TIMEOUT_SECONDS: Final = 5  # a verdict takes milliseconds; the client of the API server waits 30 s and more


def _entry(name: str, path: str, rules: Sequence[Json], namespaces: Json, **fields: Any) -> Json:
    service = {"namespace": NAMESPACE, "name": NAME, "port": 443, "path": path}
    return MappingProxyType(
        {
            "name": name,
            "clientConfig": {"service": service},
            "rules": list(rules),
            "namespaceSelector": namespaces,
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
        "scope": "Namespaced",
    }


def _namespaces(operator: str, names: Iterable[str]) -> Json:
    return {"matchExpressions": [{"key": NAMESPACE_LABEL, "operator": operator, "values": sorted(names)}]}


_ANYWHERE_ELSE: Final = _namespaces("NotIn", NEVER_MATCHED)

# The API server evaluates these, so they hold while no pod of the service runs: a namespace can be deleted, dependents
# can be garbage-collected, and finalizers, labels and annotations can be edited.
_NOT_GARBAGE: Final = {
    "name": "not-the-garbage-collector",
    "expression": f'request.userInfo.username != "{GARBAGE_COLLECTOR}"',
}
_SPEC_CHANGES: Final = {
    "name": "spec-changes",
    "expression": 'request.operation != "UPDATE" || object.?spec != oldObject.?spec',
}
_POLICY_CONDITIONS: Final = (
    _NOT_GARBAGE,
    {"name": "not-the-namespace-controller", "expression": f'request.userInfo.username != "{NAMESPACE_CONTROLLER}"'},
    {
        "name": "spec-or-owners-change",
        "expression": 'request.operation != "UPDATE" || object.?spec != oldObject.?spec'
        " || object.metadata.?ownerReferences != oldObject.metadata.?ownerReferences",
    },
)
_CLUSTER_POLICY_CONDITIONS: Final = (_NOT_GARBAGE, _SPEC_CHANGES)
CONDITION_NAMES: Final = {
    POLICIES: frozenset(condition["name"] for condition in _POLICY_CONDITIONS),
    CLUSTER_POLICIES: frozenset(condition["name"] for condition in _CLUSTER_POLICY_CONDITIONS),
}
"""The conditions of the entries that the service owns."""
_EEM_CONDITIONS: Final = (
    {"name": "not-terminating", "expression": "!has(object.metadata.deletionTimestamp)"},
    _SPEC_CHANGES,
)

SHIPPED: Final[Mapping[str, tuple[Json, ...]]] = MappingProxyType(
    {
        VALIDATING.kind: (
            _entry(
                INSTANCES,
                "/validate-eem",
                [_eem_rule("CREATE", "UPDATE")],
                _ANYWHERE_ELSE,
                matchConditions=list(_EEM_CONDITIONS),
                failurePolicy="Ignore",
            ),
        ),
        MUTATING.kind: (
            _entry(
                DEFAULTS,
                "/mutate-eem",
                [_eem_rule("CREATE")],
                _ANYWHERE_ELSE,
                reinvocationPolicy="Never",
                failurePolicy="Ignore",
            ),
        ),
    }
)
"""The entries that the manifests ship, by the kind of the configuration, without a caBundle."""

OWN_NAMES: Final = frozenset({POLICIES, CLUSTER_POLICIES, INSTANCES, DEFAULTS})


def policy_entry(namespaces: Iterable[str], ca_bundle: bytes, failure_policy: FailurePolicy) -> dict[str, Any]:
    """Return the whole entry for NetworkPolicies in *namespaces* and in the canary namespace."""
    rule = {
        "apiGroups": [NETWORK_POLICIES.group],
        "apiVersions": [NETWORK_POLICIES.version],
        "resources": [NETWORK_POLICIES.plural],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "scope": "Namespaced",
    }
    entry = _entry(
        POLICIES,
        "/validate-networkpolicy",
        [rule],
        _namespaces("In", {CANARY_NAMESPACE, *namespaces} - NEVER_MATCHED),
        matchConditions=list(_POLICY_CONDITIONS),
        failurePolicy=failure_policy,
    )
    return {**entry, "clientConfig": {**entry["clientConfig"], **trust_in(ca_bundle)}}


def cluster_policy_entry(ca_bundle: bytes, failure_policy: FailurePolicy) -> dict[str, Any]:
    """Return the whole entry for cluster-wide policies, in every version that can be read."""
    rules = [
        {
            "apiGroups": [resource.group],
            "apiVersions": list(CLUSTER_POLICY_VERSIONS[resource.kind]),
            "resources": [resource.plural],
            "operations": ["CREATE", "UPDATE", "DELETE"],
            "scope": "Cluster",
        }
        for resource in CLUSTER_POLICY_TYPES
    ]
    entry = _entry(
        CLUSTER_POLICIES,
        "/validate-cluster-policy",
        rules,
        {},
        matchConditions=list(_CLUSTER_POLICY_CONDITIONS),
        failurePolicy=failure_policy,
    )
    return {**entry, "clientConfig": {**entry["clientConfig"], **trust_in(ca_bundle)}}


def trust_in(ca_bundle: bytes) -> dict[str, str]:
    """Return the part of a clientConfig that names the authorities to trust."""
    return {"caBundle": base64.b64encode(ca_bundle).decode()}
