"""What the commands print in each format, compared with the files in tests/golden/outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden.outputs import FILES, OUTPUTS, cases, printed
from json_outputs import compare
from junit_structure import faults

CASES = list(cases())


@pytest.mark.parametrize(("name", "words"), CASES, ids=[name for name, _ in CASES])
def test_an_output_is_that_of_its_file(name: str, words: list[str]) -> None:
    """If the change is meant: `PYTHONPATH=.:tests python -m golden.outputs` writes the files."""
    assert (OUTPUTS / name).read_text() == printed(words)


def test_each_file_is_the_output_of_a_command() -> None:
    """A format that is gone leaves none."""
    assert {path.name for path in OUTPUTS.iterdir()} == {name for name, _ in CASES}


@pytest.mark.parametrize("command", ["check", "plan", "audit", "explain", "report", "rules"])
def test_a_process_prints_json_that_is_what_its_schema_says(command: str) -> None:
    """Where tests call `main`, `tests/json_outputs.py` compares."""
    listed = {words[0]: words for _, words in CASES if words[-1] == "json"} | {"rules": ["rules", "-o", "json"]}
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = [sys.executable, "-m", "webhook", *listed[command]]
    done = subprocess.run(process, cwd=FILES, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode < 2
    compare(command, json.loads(done.stdout))


@pytest.mark.parametrize("command", ["check", "plan", "audit"])
def test_a_junit_report_has_the_structure_that_pipelines_read(command: str) -> None:
    """Required attributes, their types, the order of the elements, and counts that are those of the elements."""
    report = (OUTPUTS / f"{command}.junit").read_text()

    assert "<failure" in report
    assert faults(report) == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (' name="eem-guardrail"', "", "testsuite: name is missing"),
        (' classname="eem-guardrail.Pod"', "", "testcase: classname is missing"),
        (' time="0"', ' time="at once"', "testcase: time is 'at once'"),
        (
            '<testsuite name="eem-guardrail" tests="14"',
            '<testsuite name="x" tests="13"',
            "tests is 13, and there are 14",
        ),
        ('failures="3"', 'failures="2"', "failures is 2, and there are 3"),
        ('errors="0"', 'errors="1"', "errors is 1, and there are 0"),
        ('skipped="0"', 'skipped="1"', "skipped is 1, and there are 0"),
        ("<testsuites ", '<testsuites skipped="0" ', "testsuites: skipped is not known"),
        ("</failure>", "</failure><failure message='m' type='t'/>", "testcase: it has more than one outcome"),
        ("<failure ", "<system-out>first</system-out><failure ", "testcase: the order is system-out, failure"),
        ("<system-out>", "text<system-out>", "testcase: it has text"),
        ("system-out>", "output>", "output: no such element"),
        ("testcase>", "testcase><failure message='m' type='t'/>", "testsuite: failure is in it"),
    ],
)
def test_the_structure_of_a_junit_report_is_compared(old: str, new: str, fault: str) -> None:
    """Otherwise any output would pass."""
    report = (OUTPUTS / "audit.junit").read_text()

    assert old in report
    assert any(fault in found for found in faults(report.replace(old, new)))


def test_a_junit_report_without_its_root_is_none() -> None:
    """Readers look for `testsuites`."""
    assert faults('<testsuite name="x" tests="0" failures="0" errors="0" skipped="0"/>') == ["the root is testsuite"]
