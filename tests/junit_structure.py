"""
What a JUnit report has to look like for the readers of pipelines, some of which refuse anything else.

The structure is that of the newest schema of Jenkins' xUnit plugin, the strictest reader, with one addition: GitLab
shows the `file` of a test case. The standard library cannot validate a schema, and the counts, which no schema can
compare with the elements, have to be compared by hand anyway.

Sources: Jenkins, xunit-plugin, junit-10.xsd; GitLab, "Unit test reports", parsed elements.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

COUNT: Final = r"\d+"
SECONDS: Final = r"\d+(\.\d+)?"
TEXT: Final = r"(?s).+"
"""Where the schema takes any text, an empty one would tell a reader nothing."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """
    What an element may be.

    Args:
        required: the attributes that must be there, each with what its value has to match.
        optional: those that may be there.
        children: the elements that may be in it, in the order in which the readers expect them.
        has_text: whether it may have text of its own.
    """

    required: Mapping[str, str]
    optional: Mapping[str, str]
    children: tuple[str, ...] = ()
    has_text: bool = False


OUTCOMES: Final = ("skipped", "error", "failure")
_OUTCOME: Final = Form(required={"message": TEXT, "type": TEXT}, optional={}, has_text=True)
_OUTPUT: Final = Form(required={}, optional={}, has_text=True)
FORMS: Final[Mapping[str, Form]] = {
    "testsuites": Form(
        required={"tests": COUNT, "failures": COUNT, "errors": COUNT},
        optional={"name": TEXT, "time": SECONDS},
        children=("testsuite",),
    ),
    "testsuite": Form(
        required={"name": TEXT, "tests": COUNT, "failures": COUNT, "errors": COUNT, "skipped": COUNT},
        optional={
            **dict.fromkeys(("group", "timestamp", "hostname", "id", "package", "file", "log", "url"), TEXT),
            "time": SECONDS,
        },
        children=("testcase",),
    ),
    "testcase": Form(
        required={"name": TEXT, "classname": TEXT, "time": SECONDS},
        optional={"group": TEXT, "file": TEXT},
        children=(*OUTCOMES, "system-out", "system-err"),
    ),
    **dict.fromkeys(OUTCOMES, _OUTCOME),
    **dict.fromkeys(("system-out", "system-err"), _OUTPUT),
}
COUNTED: Final = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
"""The element whose number each count is."""


def faults(report: str) -> list[str]:
    """Return what readers of JUnit reports would not accept or misread, each with the element that it is about."""
    root = ET.fromstring(report)  # noqa: S314  written by the commands themselves
    found = [] if root.tag == "testsuites" else [f"the root is {root.tag}"]
    return found + [fault for element in root.iter() for fault in _faults_of(element)]


def _faults_of(element: ET.Element) -> Iterator[str]:
    form = FORMS.get(element.tag)
    if form is None:
        yield f"{element.tag}: no such element"
        return
    known = {**form.required, **form.optional}
    yield from (f"{element.tag}: {name} is missing" for name in form.required if name not in element.attrib)
    yield from (f"{element.tag}: {name} is not known" for name in element.attrib if name not in known)
    yield from (
        f"{element.tag}: {name} is {value!r}"
        for name, value in element.attrib.items()
        if name in known and not re.fullmatch(known[name], value)
    )
    yield from _faults_inside(element, form)


def _faults_inside(element: ET.Element, form: Form) -> Iterator[str]:
    tags = [child.tag for child in element]
    yield from (f"{element.tag}: {tag} is in it" for tag in tags if tag not in form.children)
    if tags != sorted(tags, key=[*form.children, *tags].index):
        yield f"{element.tag}: the order is {', '.join(tags)}"
    if element.tag == "testcase" and sum(tag in OUTCOMES for tag in tags) > 1:
        yield "testcase: it has more than one outcome, and is counted once"
    between = [element.text, *(child.tail for child in element)]
    if not form.has_text and any((text or "").strip() for text in between):
        yield f"{element.tag}: it has text"
    for name, tag in COUNTED.items():
        if name in element.attrib and name in form.required:
            count = str(len(list(element.iter(tag))))
            if element.attrib[name] != count:
                yield f"{element.tag}: {name} is {element.attrib[name]}, and there are {count}"
