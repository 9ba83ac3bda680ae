"""
Check an object as the API server would before it is stored: what only files can get wrong.

A fault makes the file unreadable. A note tells how the API server or the guard reads something that the writer may have
meant otherwise.
"""

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from webhook.eem import WATCHED
from webhook.eem.resources import (
    CALICO,
    CALICO_VERSIONS,
    CLUSTER_POLICIES,
    CLUSTER_POLICY_VERSIONS,
    DESTINATIONS,
    EEM_GROUP,
    NAMESPACES,
    NETWORK_POLICIES,
    ResourceType,
)
from webhook.netpol.cluster_policies import CALICO_GROUPS, CALICO_POLICY
from webhook.netpol.names import is_dns_label, is_dns_subdomain, is_label_key, is_label_value

_BY_KIND: Final = {resource.kind: resource for resource in (*WATCHED, *CLUSTER_POLICIES)}
_CALICO: Final = {"NetworkPolicy" if one.kind == CALICO_POLICY else one.kind: one for one in CALICO}
_DESTINATIONS: Final = {resource.kind: resource for resource in DESTINATIONS}
_GROUPS: Final = frozenset(resource.group for resource in _BY_KIND.values() if resource.group)
_SPELLINGS: Final = {
    spelling: known.kind for known in _BY_KIND.values() for spelling in (known.kind.lower(), known.plural)
}
# "NetworkPolicie" and "Eventgateway" are this close to a kind, other products' kinds are not.
_CLOSE_KIND: Final = 0.88
_CLOSE_GROUP: Final = 0.85
# Kinds that were served in this group until Kubernetes 1.22, and are still found in old files.
_OLD_GROUP: Final = "extensions"
_OLD_KINDS: Final = frozenset({"NetworkPolicy", "Deployment", "ReplicaSet", "DaemonSet"})
_OLD_PRODUCT: Final = "EventEndpointManager"

_Schema = Mapping[str, Any]
"""The fields of an object; the value is the schema below: None for anything, a list of one schema for a list."""

_SELECTOR: Final[_Schema] = {"matchLabels": None, "matchExpressions": [{"key": None, "operator": None, "values": None}]}
_PEER: Final[_Schema] = {
    "podSelector": _SELECTOR,
    "namespaceSelector": _SELECTOR,
    "ipBlock": {"cidr": None, "except": None},
}
_PORTS: Final = [{"protocol": None, "port": None, "endPort": None}]
_POLICY: Final[_Schema] = {
    "apiVersion": None,
    "kind": None,
    "metadata": None,
    "status": None,  # Kubernetes 1.24 to 1.27 had it
    "spec": {
        "podSelector": _SELECTOR,
        "policyTypes": None,
        "ingress": [{"from": [_PEER], "ports": _PORTS}],
        "egress": [{"to": [_PEER], "ports": _PORTS}],
    },
}
"""Source: networking.k8s.io/v1 NetworkPolicy, metav1.LabelSelector."""

_UNKNOWN: Final = (
    "with kubectl's default, --validate=strict, the API server refuses the object; otherwise it drops the field, and "
    "that is how the object is read here"
)


def resource_of(kind: str, api_version: str) -> ResourceType | None:
    """Return the resource that verdicts depend on and that an object belongs to; None for any other object."""
    group, _, version = api_version.rpartition("/")
    if group in CALICO_GROUPS:
        return _CALICO.get(kind) if version == CALICO_VERSIONS[group] else None
    known = _BY_KIND.get(kind) or _DESTINATIONS.get(kind)
    if known is None:
        return None
    versions = CLUSTER_POLICY_VERSIONS.get(kind, (known.version,))
    return known if group == known.group and version in versions else None


def mistyped(kind: str, api_version: str) -> tuple[str, str] | None:
    """
    Return the field and the fault, if the kind or version of an object is close to one that verdicts depend on.

    Kinds of another API group that have the same name, as Calico's NetworkPolicy, are not faults.
    """
    group = api_version.rpartition("/")[0]
    known = _BY_KIND.get(kind)
    if known is not None:
        if (group == _OLD_GROUP and kind in _OLD_KINDS) or group == known.group:
            return "apiVersion", f"{api_version} is not served for {kind} any more: expected {known.api_version}"
        if "." not in group or group in _GROUPS or _is_close(group, known.group, _CLOSE_GROUP):
            return "apiVersion", f"{kind} has no version {api_version}: expected {known.api_version}"
        return None
    meant = _SPELLINGS.get(kind.lower()) or next(
        iter(difflib.get_close_matches(kind, _BY_KIND, n=1, cutoff=_CLOSE_KIND)), None
    )
    if kind == _OLD_PRODUCT or (meant is None and group == EEM_GROUP and kind.lower().startswith("eventendpoint")):
        return "kind", f"{kind} is not a kind of Event Endpoint Management: expected EventEndpointManagement"
    if meant is not None and ("." not in group or _is_close(group, _BY_KIND[meant].group, _CLOSE_GROUP)):
        return "kind", f"there is no kind {kind}: did you mean {meant}?"
    return None


def type_in_words(value: object) -> str:
    """Return the type of a value of JSON."""
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), "null")


def is_stored(value: Mapping[str, Any]) -> bool:
    """Whether an API server once stored the object: only an API server sets a uid."""
    return bool(value["metadata"].get("uid"))


def faults_of_names(api_object: Mapping[str, Any], resource: ResourceType) -> Iterator[tuple[str, str]]:
    """
    Return the names and labels of an object that the API server refuses: field and fault.

    Source: ValidateObjectMeta of k8s.io/apimachinery.
    """
    metadata = api_object.get("metadata")
    if not isinstance(metadata, Mapping):
        return
    name, namespace, labels = metadata.get("name"), metadata.get("namespace"), metadata.get("labels")
    is_name = is_dns_label if resource == NAMESPACES else is_dns_subdomain
    if isinstance(name, str) and name and not is_name(name):
        yield "metadata.name", f"{_quoted(name)} is not a name: use a-z, 0-9, '-'{_placeholder(name)}"
    if isinstance(namespace, str) and namespace and not is_dns_label(namespace):
        yield "metadata.namespace", f"{_quoted(namespace)} is not a namespace{_placeholder(namespace)}"
    if isinstance(labels, Mapping):
        for key, value in labels.items():
            if not is_label_key(key):
                yield f"metadata.labels[{key}]", f"{_quoted(key)} is not a label key"
            if isinstance(value, str) and not is_label_value(value):
                yield f"metadata.labels[{key}]", f"{_quoted(value)} is not a label value{_placeholder(value)}"


def notes_of(api_object: Mapping[str, Any], resource: ResourceType) -> Iterator[tuple[str, str]]:
    """Return the fields of an object that do not do what their writer may expect: field and note."""
    if resource == NETWORK_POLICIES:
        yield from _unknown_fields(api_object, _POLICY, "")
    if resource == NAMESPACES:
        yield from _annotations(api_object)


def _unknown_fields(value: Any, schema: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(schema, list) and isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_fields(item, schema[0], f"{path}[{index}]")
    elif isinstance(schema, Mapping) and isinstance(value, Mapping):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            if key in schema:
                yield from _unknown_fields(inner, schema[key], where)
            else:
                close = difflib.get_close_matches(key, schema, n=1)
                meant = f" (did you mean {close[0]}?)" if close else ""
                yield where, f"there is no such field{meant}: {_UNKNOWN}"


def _annotations(api_object: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    metadata = api_object.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, Mapping) else None
    if not isinstance(annotations, Mapping) or not annotations:
        return
    from webhook.admission.options import unknown_values  # noqa: PLC0415  slow, and seldom needed

    for key, message in unknown_values(annotations):
        yield f"metadata.annotations[{key}]", message


def _is_close(text: str, other: str, cutoff: float) -> bool:
    return difflib.SequenceMatcher(None, text, other).ratio() >= cutoff


def _quoted(text: str) -> str:
    return f'"{text[:80]}"'


def _placeholder(text: str) -> str:
    return " (a placeholder that was not replaced?)" if "<" in text or "{{" in text or "${" in text else ""
