"""
Cases in the formats that pipelines show: SARIF, GitLab code quality, GitHub annotations, JUnit.

Sources: OASIS SARIF 2.1.0 and GitHub's "SARIF support for code scanning"; GitLab's "Code Quality report format";
GitHub's "Workflow commands"; the JUnit XML schema of Jenkins' xUnit plugin (junit-10.xsd).
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from webhook.cli.output import json_text
from webhook.cli.results import DESCRIPTIONS, Case, Result
from webhook.eem.rules import all_rules
from webhook.files.file_objects import STDIN
from webhook.version import VERSION

SARIF_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
MOST_RESULTS: Final = 25_000
"""GitHub refuses a run with more."""


def results_of(cases: Sequence[Case]) -> list[Result]:
    """Return what is to be reported, errors first."""
    return sorted((result for case in cases for result in case.results), key=lambda result: result.level)


def as_sarif(cases: Sequence[Case]) -> str:
    """Return the results as SARIF 2.1.0, as GitHub accepts it: each has a place, and a rule with help."""
    results = results_of(cases)[:MOST_RESULTS]
    ids = sorted({result.rule for result in results})
    driver = {"name": "eem-guardrail", "semanticVersion": VERSION, "rules": [_sarif_rule(rule) for rule in ids]}
    found = [_sarif_result(result, ids.index(result.rule)) for result in results]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": found}
    return json_text({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]})


def _sarif_rule(rule: str) -> dict[str, Any]:
    """
    Return a rule with its help, which names the page.

    There is no `helpUri`, which SARIF makes optional: it would have to be an absolute address, and each user has the
    pages of their own copy. GitHub shows `help`, and requires it.

    Source: SARIF 2.1.0, 3.49.12; GitHub, "SARIF support for code scanning", reportingDescriptor object.
    """
    text, page = _explained(rule)
    return {
        "id": rule,
        "shortDescription": {"text": text},
        "fullDescription": {"text": text},
        "help": {"text": f"{text} {page} explains the rule.", "markdown": f"{text} `{page}` explains the rule."},
    }


def _explained(rule: str) -> tuple[str, str]:
    """Return what a rule is about, and the page of the documentation that explains it."""
    if rule in DESCRIPTIONS:
        return DESCRIPTIONS[rule], f"docs/requirements.md#{rule.lower()}"
    known = next(one for one in all_rules() if one.id == rule)
    return known.message, f"docs/rules.md#{rule}"


def _sarif_result(result: Result, index: int) -> dict[str, Any]:
    path, line = _place(result)
    column, end = (1, 2) if result.position is None else (result.position.column, result.position.end_column)
    region = {"startLine": line, "startColumn": column, "endLine": line, "endColumn": end}
    return {
        "ruleId": result.rule,
        "ruleIndex": index,
        "level": result.level,
        "message": {"text": result.message},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": quote(path)}, "region": region}}],
        "partialFingerprints": {"primaryLocationLineHash": f"{_fingerprint(result)[:16]}:1"},
    }


def _fingerprint(result: Result) -> str:
    """Return what stays the same from run to run, and differs between results."""
    return hashlib.sha256(f"{result.rule}\n{result.message}".encode()).hexdigest()


def as_gitlab(cases: Sequence[Case]) -> str:
    """Return the results as a GitLab code quality report."""
    return json_text(
        [
            {
                "description": result.message,
                "check_name": result.rule,
                "fingerprint": _fingerprint(result),
                "severity": "critical" if result.level == "error" else "minor",
                "location": {"path": _place(result)[0], "lines": {"begin": _place(result)[1]}},
            }
            for result in results_of(cases)
        ]
    )


def as_github(cases: Sequence[Case]) -> str:
    """Return the results as GitHub annotations, errors first, since GitHub shows only a few of each level."""
    return "\n".join(_annotation(result) for result in results_of(cases))


def _annotation(result: Result) -> str:
    properties = {"title": f"eem-guardrail: {result.resource}"}
    if result.position is not None:
        position = result.position
        properties = {
            "file": _path(position.file),
            "line": str(position.line),
            "col": str(position.column),
            **properties,
        }
    written = ",".join(f"{key}={_escaped(text, ':', ',')}" for key, text in properties.items())
    return f"::{result.level} {written}::{_escaped(result.message)}"


def _escaped(text: str, *more: str) -> str:
    """Return a text with the characters escaped that would end an annotation or one of its properties."""
    for character in ("%", "\r", "\n", *more):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def as_junit(cases: Sequence[Case]) -> str:
    """
    Return one test case for each case; its errors are a failure, and warnings are its output.

    JUnit's own "errors" are tests that could not run: there is none, because then the command prints no report. The
    xUnit plugin of Jenkins refuses a report without the count.
    """
    failed = sum(bool(case.errors) for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failed), "errors": "0"}
    suites = ET.Element("testsuites", counts)
    suite = ET.SubElement(suites, "testsuite", {"name": "eem-guardrail", **counts, "skipped": "0"})
    suite.extend(map(_test_case, cases))
    ET.indent(suites)
    return ET.tostring(suites, encoding="unicode", xml_declaration=True)


def _test_case(case: Case) -> ET.Element:
    found = ET.Element("testcase", {"classname": f"eem-guardrail.{case.group}", "name": case.name, "time": "0"})
    if case.file:
        found.set("file", _path(case.file))
    if case.errors:
        failure = ET.SubElement(found, "failure", {"message": case.errors[0].message, "type": case.errors[0].rule})
        failure.text = "\n".join(result.message for result in case.errors)
    warnings = [result.message for result in case.results if result.level == "warning"]
    if warnings:
        ET.SubElement(found, "system-out").text = "\n".join(warnings)
    return found


def _place(result: Result) -> tuple[str, int]:
    """Return the file and the line; services require both, so what is in no file gets a name of its own."""
    if result.position is None:
        return "command-line", 1
    return _path(result.position.file), result.position.line


def _path(file: str) -> str:
    """Return a path as pipelines compare it: with forward slashes, and without `./` before it."""
    return "standard-input" if file == STDIN else PurePath(file).as_posix()


CI_FORMATS: Final[Mapping[str, Callable[[Sequence[Case]], str]]] = {
    "junit": as_junit,
    "sarif": as_sarif,
    "github": as_github,
    "gitlab": as_gitlab,
}
"""The formats of `check`, `plan` and `audit` for pipelines, by the value of `-o`."""
