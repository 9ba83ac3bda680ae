"""Instances made from the table of fields: the fullest one of a version, and any valid one."""

import copy
import itertools
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from rules_builders import Instance, Steps

from webhook.eem.resources import MANAGER_KIND
from webhook.eem.rules import NEWEST, ProductVersion, formats
from webhook.eem.rules.conformance import Node, tree
from webhook.eem.rules.licence_catalogue import LICENCES, USES
from webhook.eem.rules.rule import KINDS

VERSIONS = [
    ProductVersion.parse(text)
    for text in ("11.0.0", "11.1.2", "11.2.3", "11.3.1", "11.4.0", "11.5.1", "11.6.2", "11.7.4", "11.8.1")
]

GOOD: dict[formats.Format, tuple[Any, ...]] = {
    formats.object_name: ("tls-secret", "a", "my.secret.1"),
    formats.data_key: ("tls.key", "ca.crt", "_A-1"),
    formats.size: ("500Mi", "250M", "1e9", "0.5Ti", "+1Gi"),
    formats.host: ("host.example.com", "a", "x1.example", "*.example.com", "host.example.123", "999.1.1.1"),
    formats.http_url: (
        "http://example.com",
        "https://login.example.com:8443/realms/a?b=c",
        "https://[2001:db8::1]:4317",
    ),
    formats.https_url: ("https://example.com", "https://portal.example.com:8443/gateway"),
    formats.json_pointer: ("/", "/realm_access/roles", "/a~1b/m~0n", "//"),
    formats.labels: ({}, {"example.com/team": "a"}, {"team": ""}),
    formats.annotations: ({}, {"example.com/Team_1": "any text at all"}, {"HAProxy.org/ssl-passthrough": "true"}),
}
BAD: dict[formats.Format, tuple[Any, ...]] = {
    formats.object_name: ("Upper", "a_b", "-a", "a..b", "a" * 254),
    formats.data_key: ("a/b", "a b", "ä"),
    formats.size: ("10GiB", "10 Gi", "Gi", "-1Gi", "0", "1" * 65),
    formats.host: (
        "https://a.example.com",
        "a.example.com:443",
        "UI.example.com",
        "10.0.0.1",
        "010.0.0.001",
        "a." + "b" * 64,
        "a." * 126 + "bc",
    ),
    formats.http_url: (
        "",
        "example.com:4317",
        "ftp://example.com",
        "http://",
        "http://a b",
        "http://[::1",
        "http://a:x",
    ),
    formats.https_url: ("http://example.com", "example.com", "https:///path", "https://" + "a" * 2048),
    formats.json_pointer: ("a/b", "/a~2", "/a~", "/~0~"),
    formats.labels: ({"team": "a b"}, {"/a": "b"}, {"team": "a" * 64}, {"A.b/c": "d"}),
    formats.annotations: ({"a b": ""}, {"x/y/z": ""}, {"": ""}, {"n" * 64: ""}),
}
WRONG_TYPE: dict[str, tuple[Any, ...]] = {
    "string": (7, True, [], {}),
    "integer": ("7", True, 1.5, {}),
    "boolean": ("true", 1),
    "object": ("x", [], 3, True),
    "array": ({}, "x", 1),
    "map": ("x", []),
    "opaque": ([], "x"),
}


def _scalar(node: Node) -> st.SearchStrategy[Any]:
    row = node.row
    if row.format is not None:
        return st.sampled_from(GOOD[row.format])
    if node.choices:
        return st.sampled_from(sorted(node.choices))
    by_type: dict[str, st.SearchStrategy[Any]] = {
        "integer": st.integers(row.minimum or 0, 50 if row.maximum is None else row.maximum),
        "boolean": st.booleans(),
        "map": st.dictionaries(st.text("abc", max_size=3), st.text("abc", max_size=3), max_size=2),
        "opaque": st.just({"containers": [{"name": "egw", "resources": {"requests": {"cpu": 1, "memory": "1Gi"}}}]}),
        "string": st.text("abcdefghijklmnopqrstuvwxyz /", max_size=12),
    }
    return by_type[node.row.type]


@st.composite
def _value(draw: st.DrawFn, node: Node) -> Any:
    """Draw a value that the field may have."""
    if node.row.type == "object":
        required = {name for name, _ in node.required}
        return {
            name: draw(_value(child))
            for name, child in node.children.items()
            if name in required or draw(st.booleans())
        }
    if node.row.type == "array":
        least = 1 if node.row.only_item else 0
        return draw(st.lists(_value(node.children["[]"]), min_size=least, max_size=1 if least else 2))
    return draw(_scalar(node))


@st.composite
def instances(draw: st.DrawFn, version: ProductVersion = NEWEST, kind: str | None = None) -> Instance:
    """Draw an instance that is valid in *version*."""
    kind = kind or draw(st.sampled_from(KINDS))
    spec = draw(_value(tree(kind, version).children["spec"]))
    licence = draw(st.sampled_from(sorted(LICENCES)))
    _make_coherent(kind, spec, licence, version)
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": kind,
        "metadata": {"name": "mine", "namespace": "events"},
        "spec": spec,
    }


def fullest(kind: str, version: ProductVersion = NEWEST) -> Instance:
    """Return the instance that has every field of the version."""
    numbers = itertools.count()

    def full(node: Node) -> Any:
        if node.row.type == "object":
            return {name: full(child) for name, child in node.children.items()}
        if node.row.type == "array":
            return [full(node.children["[]"])]
        by_type: dict[str, Callable[[], Any]] = {
            "integer": lambda: node.row.minimum or 1,
            "boolean": lambda: True,
            "map": lambda: {"key": "value"},
            "opaque": lambda: {"containers": [{"name": "egw"}]},
            "string": lambda: f"text {next(numbers)}",
        }
        if node.row.format is not None:
            return copy.deepcopy(GOOD[node.row.format][0])
        return min(node.choices) if node.choices else by_type[node.row.type]()

    spec = full(tree(kind, version).children["spec"])
    _make_coherent(kind, spec, "L-CYBH-K48BZQ", version)
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": kind,
        "metadata": {"name": "mine", "namespace": "events"},
        "spec": spec,
    }


def _make_coherent(kind: str, spec: dict[str, Any], licence: str, version: ProductVersion) -> None:
    """Make the fields consistent with each other, which the tables of single fields do not do."""
    known = LICENCES[licence]
    use = next(use for use in USES if use.startswith(known.programme))
    spec["license"] = {"accept": True, "license": licence, "metric": known.metric, "use": use}
    parent = spec["manager"] if kind == MANAGER_KIND else spec
    names = ("ui", "admin", "gateway") if kind == MANAGER_KIND else ("gateway",)
    parent["endpoints"] = [
        {**entry, "name": name, "host": f"{name}.example.com"}
        for entry, name in zip(parent.get("endpoints", ()), names, strict=False)
    ]
    if kind == MANAGER_KIND:
        authentication = parent["authConfig"]
        oidc = authentication.get("oidcConfig")
        if oidc is None and authentication["authType"] == "OIDC":
            authentication["authType"] = "LOCAL"
        if oidc is not None:
            oidc |= {"tokenPath": "/token", "authorizationPath": "/authorize"}
    elif version >= ProductVersion.parse("11.8.0"):
        spec.setdefault("manager", {})["endpoint"] = "https://portal.example.com/gateway"
        spec.setdefault("managerEndpoint", "https://portal.example.com/gateway")
    else:
        spec["managerEndpoint"] = "https://portal.example.com/gateway"


def places(node: Any, path: Steps = ()) -> list[Steps]:
    """Return the path of every node below an object."""
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    return [found for step, child in below for found in ((*path, step), *places(child, (*path, step)))]
