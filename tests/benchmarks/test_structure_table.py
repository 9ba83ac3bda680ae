"""The table of measures counts what it says, in this checkout and in another one."""

import json
from pathlib import Path

import pytest

from benchmarks.structure import REVIEW_TIME, ROOT, ROWS, TEST_ROW, Checkout, main


def checkout(folder: Path, **files: str) -> Checkout:
    """Write the modules of a small checkout; `a__b` is the module b of the package a."""
    for name, text in {"webhook____init__": "", "certs____init__": "", **files}.items():
        package, _, module = name.partition("__")
        (folder / package).mkdir(exist_ok=True)
        (folder / package / f"{module}.py").write_text(text)
    return Checkout(folder=folder)


def test_lines_of_code_leave_out_layout_and_docstrings(tmp_path: Path) -> None:
    """Blank lines, comments and docstrings are no code; each line of a call is."""
    text = '"""Why."""\n\n# a comment\nx = dict(\n    a=1,\n)\n\n\ndef f():\n    """Return it."""\n    return x\n'
    module = checkout(tmp_path, webhook__a=text).modules[1]

    assert (module.lines, module.code_lines, list(module.function_lengths())) == (11, 5, [3])


def test_names_used_twice_are_found(tmp_path: Path) -> None:
    """A module name and a public class name count across both packages; private ones and `__init__` do not."""
    found = checkout(
        tmp_path,
        webhook__a="class A: ...\nclass _B: ...\n",
        certs__a="class A: ...\nclass _B: ...\n",
        certs__b="",
    )

    assert (found.repeated_module_names(), found.repeated_class_names()) == (["a"], ["A"])


def test_circles_and_single_importers_are_found(tmp_path: Path) -> None:
    """Modules that import each other through a third are one circle; an importer counts once."""
    found = checkout(
        tmp_path,
        webhook__a="import webhook.b\nfrom webhook import b\n",
        webhook__b="import webhook.c\n",
        webhook__c="import webhook.a\nimport certs.d\n",
        certs__d="",
    )

    assert found.circles() == [["webhook.a", "webhook.b", "webhook.c"]]
    assert set(found.modules_with_one_importer()) >= {"webhook.a", "webhook.b", "webhook.c", "certs.d"}


def test_times_come_from_the_benchmarks_of_the_checkout(tmp_path: Path) -> None:
    """The median of each size is shown; where no figures were written, the row names the command."""
    folder = tmp_path / "docs/evidence"
    folder.mkdir(parents=True)
    unmeasured = Checkout(folder=tmp_path).review_times()
    figure = {"figure": REVIEW_TIME, "policies": 5_000, "pods": 20_000, "samples": [0.1, 0.2, 9.0]}
    (folder / "benchmarks.json").write_text(json.dumps({"figures": [figure]}))

    assert unmeasured == "not measured: `python -m benchmarks` writes it"
    assert Checkout(folder=tmp_path).review_times() == "0.200 ms (5,000, 20,000)"


def test_two_checkouts_stand_side_by_side(capsys: pytest.CaptureFixture[str]) -> None:
    """Each path is a column; both verdicts of the traced reviews are the expected ones."""
    assert main([str(ROOT), f"{ROOT}/.", "--test-seconds", "862", "360"]) == 0

    head, _, *rows = capsys.readouterr().out.splitlines()

    assert head == f"| measure | {ROOT} | {ROOT}/. |"
    assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == [*ROWS, TEST_ROW]
    assert rows[-1] == f"| {TEST_ROW} | 862 | 360 |"


def test_a_number_is_wanted_for_each_path(capsys: pytest.CaptureFixture[str]) -> None:
    """Seconds that cannot be assigned to a checkout are a usage error."""
    with pytest.raises(SystemExit):
        main([".", "--test-seconds", "1", "2"])

    assert "one number for each of 1 paths" in capsys.readouterr().err
