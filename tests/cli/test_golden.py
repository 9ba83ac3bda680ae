"""What the commands print in each format, compared with the files in tests/golden/outputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from golden.outputs import FILES, OUTPUTS, cases, printed
from json_outputs import compare

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
