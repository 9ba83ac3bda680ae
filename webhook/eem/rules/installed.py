"""
Tell the version of EEM from the definitions that a cluster has installed.

Where no operator's Deployment says which version it is, the fields do: each release line added some, and none was ever
taken away. So the newest field that is there tells the oldest version that it can be.

Source: the product's CustomResourceDefinitions, 11.0.4 to 11.8.1.
"""

import re
from collections.abc import Mapping
from typing import Any

from webhook.eem.rules.model import GROUP
from webhook.eem.rules.schema import FIELDS
from webhook.eem.rules.version import Version

_KIND_KEY = "x-kubernetes-group-version-kind"
_STEP = re.compile(r"([^.\[]+)(\[\])?")


def installed_version(openapi: Mapping[str, Any]) -> Version | None:
    """
    Give the oldest version that has every field of the installed definitions; None where there are no definitions.

    Args:
        openapi: the API server's OpenAPI v3 document of events.ibm.com/v1beta1.
    """
    found: list[Version] = []
    for schema in _mapping(_mapping(openapi.get("components")).get("schemas")).values():
        for kind in _kinds(_mapping(schema)):
            found.extend(row.since for row in FIELDS[kind] if _has(_mapping(schema), row.path))
    return max(found, default=None)


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    names = schema.get(_KIND_KEY)
    known = [_mapping(name) for name in names] if isinstance(names, list) else []
    return [str(name["kind"]) for name in known if name.get("group") == GROUP and name.get("kind") in FIELDS]


def _has(schema: Mapping[str, Any], path: str) -> bool:
    """Say whether a definition has the field at *path*, such as `spec.listeners[].groups[].name`."""
    for name, is_list in _STEP.findall(path):
        following = _mapping(schema.get("properties")).get(name)
        if not isinstance(following, Mapping):
            return False
        schema = _mapping(following.get("items")) if is_list else following
    return True


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
