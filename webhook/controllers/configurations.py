"""
Read the webhook configurations as the API server has them, and compare them with the entries that they should hold.

Source: Server-Side Apply, "Merge strategy": the list `webhooks` has the key `name`; a LabelSelector is one value.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from webhook.controllers.entries import (
    CLUSTER_POLICIES,
    CONDITION_NAMES,
    NAMESPACE_LABEL,
    OWN_NAMES,
    POLICIES,
    SHIPPED,
    Json,
    trust_in,
)


def bundle_entries(configuration: Json, ca_bundle: bytes) -> list[dict[str, Any]]:
    """Return the service's own part of the shipped entries that exist: their caBundle."""
    shipped = [entry["name"] for entry in SHIPPED[configuration["kind"]]]
    return [
        {"name": name, "clientConfig": trust_in(ca_bundle)}
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


def has_surplus(configuration: Json, entries: Iterable[Json]) -> bool:
    """Whether the configuration has an entry for cluster-wide policies that *entries* does not have."""
    wanted = any(entry["name"] == CLUSTER_POLICIES for entry in entries)
    return not wanted and find_entry(configuration, CLUSTER_POLICIES) is not None


def strays(configuration: Json, entries: Sequence[Json]) -> list[dict[str, Any]]:
    """
    Return the JSON patch that removes the additions of other clients from the entries for policies, or nothing.

    The entry for cluster-wide policies is removed as a whole if it is not wanted any more. A server-side apply would
    leave the part of it that another client owns, such as an injected caBundle.

    A server-side apply leaves the fields of other owners. A condition of theirs can turn the entry off. A URL of theirs
    sends the reviews elsewhere, and makes each apply invalid, since an entry has either a service or a URL. The patch
    tests the resourceVersion, so that it removes nothing else.

    Args:
        entries: the entries to be written.
    """
    wanted = {one["name"]: one for one in entries}
    operations: list[dict[str, Any]] = []
    for at, entry in enumerate(configuration.get("webhooks") or ()):
        name = entry.get("name")
        if name in CONDITION_NAMES:
            path = f"/webhooks/{at}"
            named = [one.get("name") for one in entry.get("matchConditions") or ()]
            operations.extend(
                {"op": "remove", "path": f"{path}/matchConditions/{number}"}
                for number in reversed(range(len(named)))
                if named[number] not in CONDITION_NAMES[name]
            )
            if name in wanted and "url" in client_config(entry):
                value = wanted[name]["clientConfig"]
                operations.append({"op": "replace", "path": f"{path}/clientConfig", "value": value})
    if has_surplus(configuration, entries):
        names = [entry.get("name") for entry in configuration["webhooks"]]
        operations.append({"op": "remove", "path": f"/webhooks/{names.index(CLUSTER_POLICIES)}"})
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
        if (one.get("key"), one.get("operator")) == (NAMESPACE_LABEL, "In")
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
        one.get("key") == NAMESPACE_LABEL
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


def wants_cluster_policies(
    configuration: Json, *, served: bool | None, eem: frozenset[str] | None, proven: bool
) -> bool:
    """
    Whether the entry for cluster-wide policies belongs into the configuration.

    It is there while a kind of them and an EEM namespace exist. It is created only after a proof that reviews arrive;
    then it stays, also while it is not known whether it is needed.

    Args:
        served: whether such a kind is served and read; None while that is not known.
        eem: the namespaces where EEM runs; None while they are not known.
    """
    is_there = find_entry(configuration, CLUSTER_POLICIES) is not None
    if served is None or eem is None:
        return is_there
    return served and bool(eem) and (proven or is_there)


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
    return tuple(bundle_of(configuration, name) for name in found if name in OWN_NAMES)


def client_config(entry: Json) -> Json:
    """Return the clientConfig of an entry; empty if it is not a mapping."""
    config = entry.get("clientConfig")
    return config if isinstance(config, Mapping) else {}


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
