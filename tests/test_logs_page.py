"""The page about the log has every line that has fields, with exactly the fields that the code writes."""

import ast
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from webhook.server.logs import JsonFormatter

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "logs.md"
DECISION = "decision"  # its record is made without a call of the logger

Functions = dict[str, ast.AST]


def functions(tree: ast.Module) -> Functions:
    """Return the functions of a module by name."""
    return {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def keys(value: ast.AST, function: ast.AST, known: Functions) -> set[str]:
    """Return the keys of the mapping that an expression in *function* has."""
    match value:
        case ast.Dict():
            own = {key.value for key in value.keys if isinstance(key, ast.Constant)}
            spread = [one for key, one in zip(value.keys, value.values, strict=True) if key is None]
            return own.union(*(keys(one, function, known) for one in spread))
        case ast.BinOp():
            return keys(value.left, function, known) | keys(value.right, function, known)
        case ast.Name():
            return assigned(function, value.id, known)
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in known:
            inner = known[name]
            made = [one for one in ast.walk(inner) if isinstance(one, ast.Dict | ast.Subscript)]
            return {key for one in made for key in (keys(one, inner, known) | subscript(one))}
    return set()


def assigned(function: ast.AST, name: str, known: Functions) -> set[str]:
    """Return the keys of the mapping that a function keeps under *name*."""
    found: set[str] = set()
    for node in ast.walk(function):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if is_annotated(node) else []
        for target in targets:
            if isinstance(target, ast.Name) and target.id == name:
                found |= keys(node.value, function, known)
            elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name) and target.value.id == name:
                found |= subscript(target)
    return found


def is_annotated(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and node.value is not None


def subscript(node: ast.AST) -> set[str]:
    """Return the key of an assignment to one key."""
    stored = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    return {node.slice.value} if stored and isinstance(node.slice, ast.Constant) else set()


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield the text of each log line with fields, and the expression of the fields."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        for extra in (one.value for one in node.keywords if one.arg == "extra"):
            if texts and isinstance(extra, ast.Dict):
                yield texts[0], extra.values[0]
        if isinstance(node.func, ast.Attribute) and node.func.attr == "write" and len(node.args) > 2 and texts:
            yield texts[0], node.args[2]


def written() -> dict[str, set[str]]:
    """Return the fields of each log line that has some."""
    found: dict[str, set[str]] = {}
    for path in sorted(path for package in ("webhook", "certs") for path in (ROOT / package).rglob("*.py")):
        known = functions(ast.parse(path.read_text()))
        for function in known.values():
            for text, fields in calls(function):
                found.setdefault(text, set()).update(keys(fields, function, known))
        if path.name == "logs.py":
            found[DECISION] = assigned(known["log_decision"], "fields", known)
    return found


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading of the page."""
    part = PAGE.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line[:3] == "| `"]


def names(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


def test_the_page_has_every_line_with_its_fields() -> None:
    """No line and no field is missing, and none is on the page that the code does not write."""
    documented = {text.strip("`"): names(fields) for text, _, fields in rows("Lines")}

    assert documented == written()


def test_every_field_has_a_meaning() -> None:
    """The second table has each field once."""
    explained = [name for cells in rows("Fields") for name in sorted(names(cells[0]))]
    always = json.loads(JsonFormatter().format(logging.makeLogRecord({"msg": "text"}))).keys() | {"traceback"}

    assert sorted(explained) == sorted(set().union(*written().values()) | always)
