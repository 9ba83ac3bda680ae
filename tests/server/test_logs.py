"""The form of log lines, whatever their content."""

import json
import logging
import os
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from server_builders import logged, post, review, running

from webhook.admission import AdmissionRequest, AdmissionResponse, decode_review
from webhook.server.logs import MAX_LINE, LineHandler, formatter, log_decision

HOSTILE = 'a\r\n2027 ERROR forged\x1b[31m\u202e\u200b\x00\x85\u2028"} {"event": "forged" \ud800 \U0001f600'


def record(event: str = "decision", /, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("webhook.decision", logging.INFO, __file__, 1, event, (), None)
    made.fields = fields
    made.created, made.msecs = 1_800_000_000.25, 250.0
    return made


def raised(error: Exception) -> Any:
    try:
        raise error
    except type(error):
        return sys.exc_info()


def test_a_json_line_has_time_level_logger_event_and_fields() -> None:
    """It is one object."""
    assert json.loads(formatter("json").format(record(uid="u", allowed=True, milliseconds=1.5))) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "INFO",
        "logger": "webhook.decision",
        "event": "decision",
        "uid": "u",
        "allowed": True,
        "milliseconds": 1.5,
    }


def test_a_text_line_quotes_what_is_not_a_plain_word() -> None:
    """Plain words stand without quotes."""
    line = formatter("text").format(record('it "works"', uid="u-1", message="two words", empty="", dry=False))

    assert line == (
        '2027-01-15T08:00:00.250Z INFO webhook.decision it "works" uid=u-1 message="two words" empty="" dry=false'
    )


def test_an_unknown_format_is_an_error() -> None:
    """A format is json or text."""
    with pytest.raises(ValueError, match="json or text"):
        formatter("xml")


@pytest.mark.parametrize("log_format", ["json", "text"])
@given(st.lists(st.text(), min_size=3, max_size=3), st.text())
def test_every_record_is_one_line_of_printable_ascii(log_format: str, values: list[str], message: str) -> None:
    """The line has a limited length, and JSON returns the fields."""
    line = formatter(log_format).format(record(message, uid=values[0], name=values[1], user=values[2]))

    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= MAX_LINE
    if log_format == "json":
        assert [json.loads(line)[key] for key in ("uid", "name", "user")] == values


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_hostile_fields_are_escaped(log_format: str) -> None:
    """Line ends, terminal colours, text direction, quotes and lone surrogates."""
    line = formatter(log_format).format(record(HOSTILE, **{HOSTILE[:0] + "uid": HOSTILE}))

    assert line.isascii()
    assert line.isprintable()
    if log_format == "json":
        assert json.loads(line)["uid"] == HOSTILE
        assert json.loads(line)["event"] == HOSTILE


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("letter", ["x", "\n", "ü", "\U0001f600"])
def test_long_fields_are_cut(log_format: str, letter: str) -> None:
    """With a megabyte in every field, the line has at most 4 KiB and every field."""
    made = record(letter * 100_000, **{f"field{number}": letter * 1_000_000 for number in range(13)})
    made.exc_info = raised(ValueError(letter * 100_000))
    line = formatter(log_format).format(made)

    assert len(line) <= MAX_LINE
    assert all(f"field{number}" in line for number in range(13))
    assert "traceback" in line


def test_a_field_of_256_characters_is_whole_and_one_more_is_cut() -> None:
    """The longest name fits; the cut is shown."""
    whole, cut = (json.loads(formatter("json").format(record(name="x" * size)))["name"] for size in (256, 257))

    assert whole == "x" * 256
    assert cut == "x" * 255 + "…"


def test_a_traceback_keeps_its_end() -> None:
    """The innermost frames and the error stay, in one line."""
    made = record("a bug")
    made.exc_info = raised(RuntimeError("the cause"))
    line = formatter("json").format(made)

    assert json.loads(line)["traceback"].endswith("RuntimeError: the cause")
    assert "\n" not in line


def test_a_line_is_completed_after_partial_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that accepts a few bytes gets the rest of the line before the next line."""
    reading, writing = os.pipe()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:7]))
    handler = LineHandler(writing)
    handler.setFormatter(formatter("json"))
    for uid in ("u-1", "u-2"):
        handler.handle(record(uid=uid))
    os.close(writing)
    with os.fdopen(reading) as lines:
        uids = [json.loads(line)["uid"] for line in lines]

    assert uids == ["u-1", "u-2"]


def test_a_line_that_cannot_be_written_does_not_stop_the_service(capsys: pytest.CaptureFixture[str]) -> None:
    """The logging library reports it."""
    reading, writing = os.pipe()
    os.close(reading)
    handler = LineHandler(writing)
    handler.handle(record(uid="u"))
    os.close(writing)

    assert "BrokenPipeError" in capsys.readouterr().err


def test_a_decision_record_works_with_other_formatters() -> None:
    """It has the current time."""
    asked = decode_review(review())
    before = time.time()
    with logged("webhook.decision", logging.Formatter("%(name)s %(levelname)s %(lineno)d %(message)s")) as log:
        log_decision("w", asked, AdmissionResponse(allowed=True), 1.0)
    made = log.records[0]

    assert log.lines == ["webhook.decision INFO 0 decision"]
    assert before <= made.created <= time.time()
    assert 0 <= made.msecs < 1000


@pytest.mark.parametrize("annotations", [{}, {"noted": "gateway TCP/8092 was closed before"}, {"would-deny": "no"}])
def test_the_note_of_audit_mode_is_in_the_decision_line(annotations: dict[str, str]) -> None:
    """Only a decision with a note has the field."""
    response = AdmissionResponse(allowed=True, result="audited", audit_annotations=annotations)
    with logged("webhook.decision", formatter("json")) as log:
        log_decision("w", decode_review(review()), response, 1.0)

    assert json.loads(log.lines[0]).get("noted") == annotations.get("noted")


async def test_a_review_with_hostile_text_leaves_one_clean_line() -> None:
    """The line has neither the object nor `extra`."""
    hostile = HOSTILE.replace("\ud800", "")
    secret = "-----BEGIN PRIVATE KEY----- Bearer eyJhbGciOi"
    body = review(
        uid=hostile,
        name=hostile,
        namespace=hostile * 100,
        userInfo={"username": hostile, "groups": [secret], "extra": {"token": [secret]}},
        object={"metadata": {"annotations": {"a": secret * 1000}}},
    )
    async with running() as server:
        with logged("webhook.decision", formatter("json")) as log:
            await server.ask(post(body))

    assert len(log.lines) == 1
    assert json.loads(log.lines[0])["uid"] == hostile
    assert "PRIVATE KEY" not in log.lines[0]
    assert "Bearer" not in log.lines[0]


def test_below_its_level_a_decision_is_not_built(caplog: pytest.LogCaptureFixture) -> None:
    """Above level INFO decisions cost nothing."""
    asked: AdmissionRequest = decode_review(review())
    with caplog.at_level(logging.WARNING, "webhook.decision"):
        log_decision("w", asked, AdmissionResponse(allowed=True), 1.0)

    assert caplog.records == []
