"""Rules for the object as a whole: nothing left to fill in, nothing set that the product advises against."""

import re
from collections.abc import Iterable, Sequence

from webhook.eem.rules.model import API_VERSION, GATEWAY, KINDS, Fault, Reason, Rule, Subject
from webhook.eem.rules.nodes import is_object, text
from webhook.eem.rules.paths import Path, shown

_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>@\n]{0,100}>")
# Below these fields a text may be a program, a page or an address: only a text that is nothing else is a placeholder.
_FREE_TEXT = frozenset({"annotations", "pod", "config", "gatewayContact", "traceSpec"})


def _placeholder(subject: Subject) -> Sequence[Fault]:
    return _placeholders(subject.spec) if _has_bracket(subject.spec) else ()


def _has_bracket(spec: object) -> bool:
    """Say whether "<" occurs at all: nearly always no, and far cheaper than keeping track of where."""
    waiting = [spec]
    while waiting:
        node = waiting.pop()
        if is_object(node):
            parts: Iterable[object] = (*node, *node.values())
        else:
            parts = node if isinstance(node, (list, tuple)) else (node,)
        for part in parts:
            if isinstance(part, str):
                if "<" in part:
                    return True
            elif isinstance(part, (list, tuple)) or is_object(part):
                waiting.append(part)
    return False


def _placeholders(spec: object) -> list[Fault]:
    found: list[Fault] = []
    waiting: list[tuple[object, Path, bool]] = [(spec, ("spec",), False)]
    while waiting:
        node, path, is_free = waiting.pop()
        if isinstance(node, str):
            match = _PLACEHOLDER.fullmatch(node) if is_free else _PLACEHOLDER.search(node)
            if match:
                found.append(_left(path, match[0]))
        elif is_object(node):
            for key, below in node.items():
                where = (*path, str(key))
                match = _PLACEHOLDER.search(str(key))
                if match:
                    found.append(_left(where, match[0]))
                waiting.append((below, where, is_free or key in _FREE_TEXT))
        elif isinstance(node, (list, tuple)):
            waiting += [(below, (*path, position), is_free) for position, below in enumerate(node)]
    return found


def _left(path: Path, placeholder: str) -> Fault:
    return Fault(path=path, message=f"still has {shown(placeholder)}: put the value in its place")


def _api_version(subject: Subject) -> Sequence[Fault]:
    version = text(subject.document, "apiVersion")
    if version in ("", API_VERSION):
        return ()
    message = f'"{shown(version)}" was never served: expected {API_VERSION}'
    return (Fault(path=("apiVersion",), message=message),)


def _config(subject: Subject) -> Sequence[Fault]:
    if not text(subject.spec, "config"):
        return ()
    return (Fault(path=("spec", "config"), message="is for the product's own use"),)


RULES: tuple[Rule, ...] = (
    Rule(
        id="structure.api-version",
        severity="deny",
        kinds=KINDS,
        field="apiVersion",
        message="The only version of the API is events.ibm.com/v1beta1.",
        reason=Reason.NOT_SUPPORTED,
        source="CRD of EEM 11.0.4 to 11.8.1",
        check=_api_version,
    ),
    Rule(
        id="structure.placeholder",
        severity="deny",
        kinds=KINDS,
        field="spec",
        message="Placeholders such as <namespace> must be replaced.",
        reason=Reason.INVALID,
        source="samples of EEM",
        check=_placeholder,
    ),
    Rule(
        id="structure.config",
        severity="warn",
        kinds=(GATEWAY,),
        field="spec.config",
        message="The field config should be left alone.",
        reason=Reason.FORBIDDEN,
        source="EEM 11.8 gateway reference",
        check=_config,
    ),
)
