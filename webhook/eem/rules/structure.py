"""Rules for the object as a whole: nothing left to fill in, nothing set that the product advises against."""

import re
from collections.abc import Iterable, Mapping

from webhook.eem.rules.model import API_VERSION, GATEWAY, KINDS, Fault, Reason, Rule, Subject
from webhook.eem.rules.nodes import text
from webhook.eem.rules.paths import Path, shown

_PLACEHOLDER = re.compile(r"<[A-Za-z][^<>\n]{0,100}>")
# Below these fields a text may be a program or a page, so only a text that is nothing else counts as a placeholder.
_FREE_TEXT = frozenset({"annotations", "pod", "config", "traceSpec"})


def _placeholder(subject: Subject) -> Iterable[Fault]:
    found: list[Fault] = []
    waiting: list[tuple[object, Path, bool]] = [(subject.spec, ("spec",), False)]
    while waiting:
        node, path, is_free = waiting.pop()
        if isinstance(node, str):
            if "<" in node and (match := (_PLACEHOLDER.fullmatch if is_free else _PLACEHOLDER.search)(node)):
                found.append(_left(path, match[0]))
        elif isinstance(node, (dict, Mapping)):
            for key, below in node.items():
                name = str(key)
                if "<" in name and (match := _PLACEHOLDER.search(name)):
                    found.append(_left((*path, name), match[0]))
                if isinstance(below, (str, dict, list, tuple, Mapping)):
                    waiting.append((below, (*path, name), is_free or name in _FREE_TEXT))
        elif isinstance(node, (list, tuple)):
            waiting += [(below, (*path, position), is_free) for position, below in enumerate(node)]
    return found


def _left(path: Path, placeholder: str) -> Fault:
    return Fault(path=path, message=f"still has {shown(placeholder)}: put the value in its place")


def _api_version(subject: Subject) -> Iterable[Fault]:
    version = text(subject.document, "apiVersion")
    if version in ("", API_VERSION):
        return ()
    message = f'"{shown(version)}" was never served: expected {API_VERSION}'
    return (Fault(path=("apiVersion",), message=message),)


def _config(subject: Subject) -> Iterable[Fault]:
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
