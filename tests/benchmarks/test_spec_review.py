"""The review with a long spec is measured in every checkout; no time is looked at."""

import json
from pathlib import Path

import pytest

from benchmarks import spec_review


def test_a_review_has_about_7_kb_without_managed_fields() -> None:
    """Its two specs, which are all that is judged, and what kubectl keeps of them."""
    for content in spec_review.reviews().values():
        request = json.loads(content)["request"]

        assert 7_000 <= len(content) <= 8_000
        assert set(request["object"]["metadata"]) == {"name", "namespace", "uid", "resourceVersion", "annotations"}


def test_every_checkout_has_a_column(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Both reviews get the expected verdict in each, else the measurement stops."""
    monkeypatch.setattr(spec_review, "TIMES", 2)
    paths = [str(spec_review.ROOT), str(Path(spec_review.ROOT, "tests", ".."))]

    assert spec_review.main([*paths, "--rounds", "1"]) == 0

    table = capsys.readouterr().out.splitlines()
    assert [line.count(" ms |") for line in table] == [0, 0, 3, 3]
