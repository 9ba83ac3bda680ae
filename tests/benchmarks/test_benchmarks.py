"""The benchmarks run from end to end, in clusters so small that it takes seconds; no time is looked at."""

import json
import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks import __main__ as command
from benchmarks.chart import draw
from benchmarks.cluster import EDITED, LARGE, SMALL, Size, review
from benchmarks.figures import AFTER_CHANGE, CPU, DECISION, QUANTITIES, REAL_MEMORY, REAL_SYNCED, REVIEWS, Figures
from benchmarks.plan import Plan
from benchmarks.report import markdown

TINY = Plan(
    sizes=(SMALL, Size(policies=20, pods=100)),
    largest=Size(policies=20, pods=600),
    repository=Size(policies=5, pods=10),
    printed=(Size(policies=5, pods=500), Size(policies=5, pods=20)),
    runs=1,
    closed_seconds=0.2,
    open_seconds=0.5,
    relist_seconds=1.5,
    repeats=5,
    real=False,
    growth=False,
)

SVG = "{http://www.w3.org/2000/svg}"


def picture(text: str) -> ET.Element:
    return ET.fromstring(text)  # noqa: S314  written by the command itself


@pytest.mark.timeout(600)  # everything that the command measures, on a small scale
def test_everything_is_measured_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure but those of a real API server is a time, a size or a rate; page, picture and samples are there."""
    monkeypatch.setattr(command, "QUICK", TINY)

    assert command.main(["--quick", "--output", str(tmp_path)]) == 0

    found = json.loads((tmp_path / "benchmarks.json").read_text())["figures"]
    page = (tmp_path / "benchmarks.md").read_text()

    assert {one["figure"] for one in found} == {one.name for one in QUANTITIES} - {REAL_MEMORY.name, REAL_SYNCED.name}
    assert all(0 < sample < math.inf for one in found for sample in one["samples"])
    assert "Not measured" not in page
    assert page == capsys.readouterr().out
    assert picture((tmp_path / "benchmarks.svg").read_text()).tag == f"{SVG}svg"


def test_a_review_is_as_large_as_those_of_kubectl() -> None:
    """Each review has about 7 KB, in the largest cluster too."""
    sizes = {len(review(name, size)) for name in EDITED for size in (SMALL, LARGE)}

    assert all(7_000 <= size <= 8_000 for size in sizes)


def test_the_page_says_what_was_not_reached() -> None:
    """A figure counts by its median, against what is wanted, whether more is better or less."""
    figures = Figures()
    figures.add(CPU, SMALL, [0.1, 0.14, 9.0])
    figures.add(REVIEWS, SMALL, [5_000])
    page = markdown(figures, ["Not measured: this."], ["| what grows |"])

    assert "| 10, 50 | ≤ 0.150 | 0.140 ms | yes |" in page
    assert "| 10, 50 | ≥ 6,600 | 5,000 a second | **no** |" in page
    assert "Not measured: this." in page
    assert "## How the cost grows" in page
    assert "\n| what grows |\n" in page


def test_the_picture_keeps_its_labels_apart() -> None:
    """Lines that end at the same height have labels below one another."""
    figures = Figures()
    for quantity in (DECISION, AFTER_CHANGE):
        for size in (SMALL, LARGE):
            figures.add(quantity, size, [50.0])
    labels = [
        float(text.attrib["y"])
        for text in picture(draw(figures)).iter(f"{SVG}text")
        if text.text is not None and "decision" in text.text
    ]

    assert len(labels) == 2
    assert abs(labels[0] - labels[1]) >= 16
