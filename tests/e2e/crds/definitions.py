"""
Make the definitions of both kinds, as one release of the product would install them.

`PYTHONPATH=.:tests/e2e python -m crds.definitions 11.4.0` prints them. They are made from the tables of the rules,
without what only the documentation requires: the definitions of the product do not require that either.
"""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from webhook.eem.resources import EEM_GROUP, EEM_VERSION, WATCHED
from webhook.eem.rules import ProductVersion
from webhook.eem.rules.field_types import CRD, Field
from webhook.eem.rules.product_fields import FIELDS

Json = dict[str, Any]

RELEASES = tuple(ProductVersion.parse(text) for text in ("11.0.4", "11.4.0", "11.7.4", "11.8.1"))

# Required by the documentation only: the definitions of the product accept an object without them.
DOCUMENTED = frozenset({"spec", "spec.manager"})
# The defaults of the definitions. Source: CRD of EEM 11.1.2 (replicas) and 11.8.1 (the others).
FILLED_IN: Mapping[str, int | str] = {
    "spec.replicas": 1,
    "spec.listeners[].groups[].type": "EXPLICIT",
    "spec.listeners[].groups[].maxNumKafkaBrokers": 20,
    "spec.listeners[].tls.certificateType": "EXPLICIT",
}
SHORT_NAMES = {"EventEndpointManagement": "eem", "EventGateway": "egw"}


def definitions(version: ProductVersion, operator_namespaces: Iterable[str] = ()) -> list[Json]:
    """Return a CustomResourceDefinition for each kind, as OLM labels it for the operators of these namespaces."""
    labels = {f"operators.coreos.com/ibm-eventendpointmanagement.{name}": "" for name in operator_namespaces}
    return [
        _definition(one.kind, one.plural, version, labels | {"app.kubernetes.io/version": str(version)})
        for one in WATCHED
        if (one.group, one.version) == (EEM_GROUP, EEM_VERSION)
    ]


def _definition(kind: str, plural: str, version: ProductVersion, labels: Mapping[str, str]) -> Json:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{EEM_GROUP}", "labels": dict(labels)},
        "spec": {
            "group": EEM_GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [SHORT_NAMES[kind]],
            },
            "versions": [
                {
                    "name": EEM_VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": schema(kind, version)},
                }
            ],
        },
    }


def schema(kind: str, version: ProductVersion) -> Json:
    """Return the structural schema of one kind."""
    rows = {row.path: row for row in FIELDS[kind] if row.since <= version}
    whole = _object(rows, "", version)
    whole["properties"]["status"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return whole


def _object(rows: Mapping[str, Field], path: str, version: ProductVersion) -> Json:
    """Return the fields of the object at *path*, and its required fields."""
    below: dict[str, Field] = {}
    for row in rows.values():
        parent, _, name = row.path.rpartition(".")
        if parent == path and not name.endswith("[]"):  # the schema of a list contains the schema of its entries
            below[name] = row
    required = [name for name, row in below.items() if _is_required(row, version)]
    properties = {name: _value(rows, row, version) for name, row in below.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _is_required(row: Field, version: ProductVersion) -> bool:
    return row.required and row.path not in DOCUMENTED and (row.required_until is None or version <= row.required_until)


def _value(rows: Mapping[str, Field], row: Field, version: ProductVersion) -> Json:
    match row.type:
        case "object":
            return _object(rows, row.path, version)
        case "array":
            entries = _value(rows, rows[f"{row.path}[]"], version)
            return {"type": "array", "items": entries, **({"minItems": 1, "maxItems": 1} if row.only_item else {})}
        case "map":
            return {"type": "object", "additionalProperties": {"type": "string"}}
        case "opaque":
            return {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        case _:
            return {"type": row.type, **_limits(row, version)}


def _limits(row: Field, version: ProductVersion) -> Json:
    """Return the constraints and the default that the product's definitions have for a value."""
    limits: Json = {"default": FILLED_IN[row.path]} if row.path in FILLED_IN else {}
    if row.source != CRD:
        return limits
    if row.choices:
        limits["enum"] = [choice.value for choice in row.choices if choice.since <= version]
    if row.minimum is not None:
        limits["minimum"] = row.minimum
    if row.maximum is not None:
        limits["maximum"] = row.maximum
    return limits


if __name__ == "__main__":
    print(yaml.safe_dump_all(definitions(ProductVersion.parse(sys.argv[1])), sort_keys=False))
