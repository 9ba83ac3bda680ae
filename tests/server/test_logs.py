"""What a log line may hold, whoever writes into it."""

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


def test_a_json_line() -> None:
    """The JSON form is one object with time, level, logger, event and the fields."""
    assert json.loads(formatter("json").format(record(uid="u", allowed=True, milliseconds=1.5))) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "INFO",
        "logger": "webhook.decision",
        "event": "decision",
        "uid": "u",
        "allowed": True,
        "milliseconds": 1.5,
    }


def test_a_text_line() -> None:
    """The text form is for people: plain words bare, everything else in quotes."""
    line = formatter("text").format(record('it "works"', uid="u-1", message="two words", empty="", dry=False))

    assert line == (
        '2027-01-15T08:00:00.250Z INFO webhook.decision it "works" uid=u-1 message="two words" empty="" dry=false'
    )


def test_another_format_is_refused() -> None:
    """A format is json or text."""
    with pytest.raises(ValueError, match="json or text"):
        formatter("xml")


@pytest.mark.parametrize("log_format", ["json", "text"])
@given(st.lists(st.text(), min_size=3, max_size=3), st.text())
def test_no_text_breaks_out_of_its_line(log_format: str, values: list[str], message: str) -> None:
    """Whatever is logged is one line of printable ASCII within its length; JSON gives the fields back."""
    line = formatter(log_format).format(record(message, uid=values[0], name=values[1], user=values[2]))

    assert line.isascii()
    assert line.isprintable()
    assert len(line) <= MAX_LINE
    if log_format == "json":
        assert [json.loads(line)[key] for key in ("uid", "name", "user")] == values


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_hostile_fields_stay_fields(log_format: str) -> None:
    """Line ends, terminal colours, text direction, quotes and half characters are escaped."""
    line = formatter(log_format).format(record(HOSTILE, **{HOSTILE[:0] + "uid": HOSTILE}))

    assert line.isascii()
    assert line.isprintable()
    if log_format == "json":
        assert json.loads(line)["uid"] == HOSTILE
        assert json.loads(line)["event"] == HOSTILE


@pytest.mark.parametrize("log_format", ["json", "text"])
@pytest.mark.parametrize("letter", ["x", "\n", "ü", "\U0001f600"])
def test_long_fields_are_cut_and_lines_bounded(log_format: str, letter: str) -> None:
    """A megabyte in every field is a line of at most 4 KiB that still tells the fields apart."""
    made = record(letter * 100_000, **{f"field{number}": letter * 1_000_000 for number in range(13)})
    made.exc_info = raised(ValueError(letter * 100_000))
    line = formatter(log_format).format(made)

    assert len(line) <= MAX_LINE
    assert all(f"field{number}" in line for number in range(13))
    assert "traceback" in line


def test_a_field_of_256_characters_is_whole_and_one_more_is_cut() -> None:
    """The longest name there is fits; the cut is shown."""
    whole, cut = (json.loads(formatter("json").format(record(name="x" * size)))["name"] for size in (256, 257))

    assert whole == "x" * 256
    assert cut == "x" * 255 + "…"


def test_a_traceback_keeps_its_end() -> None:
    """Of a long traceback the innermost part and the error itself are kept, in one line."""
    made = record("a bug")
    made.exc_info = raised(RuntimeError("the cause"))
    line = formatter("json").format(made)

    assert json.loads(line)["traceback"].endswith("RuntimeError: the cause")
    assert "\n" not in line


def test_a_line_is_written_whole_however_little_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe or terminal that takes a few bytes of a line gets the rest of it before the next."""
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


def test_a_line_that_cannot_be_written_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Who listened has gone: the library's own complaint is all that comes of it."""
    reading, writing = os.pipe()
    os.close(reading)
    handler = LineHandler(writing)
    handler.handle(record(uid="u"))
    os.close(writing)

    assert "BrokenPipeError" in capsys.readouterr().err


def test_a_decision_is_a_record_like_any_other() -> None:
    """Its time is now, and other formatters of the library can show it."""
    asked = decode_review(review())
    before = time.time()
    with logged("webhook.decision", logging.Formatter("%(name)s %(levelname)s %(lineno)d %(message)s")) as log:
        log_decision("w", asked, AdmissionResponse(allowed=True), 1.0)
    made = log.records[0]

    assert log.lines == ["webhook.decision INFO 0 decision"]
    assert before <= made.created <= time.time()
    assert 0 <= made.msecs < 1000


@pytest.mark.parametrize("annotations", [{}, {"noted": "gateway TCP/8092 was closed before"}, {"would-deny": "no"}])
def test_what_nobody_is_told_is_read_in_the_log(annotations: dict[str, str]) -> None:
    """A decision that only notes what would be a warning has it in its line; no other has such a field."""
    response = AdmissionResponse(allowed=True, result="audited", audit_annotations=annotations)
    with logged("webhook.decision", formatter("json")) as log:
        log_decision("w", decode_review(review()), response, 1.0)

    assert json.loads(log.lines[0]).get("noted") == annotations.get("noted")


async def test_what_users_write_reaches_the_log_only_as_fields() -> None:
    """A review with hostile text everywhere leaves one clean line, without the object and without `extra`."""
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


def test_nothing_is_built_where_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Above level INFO decisions cost nothing and leave nothing."""
    asked: AdmissionRequest = decode_review(review())
    with caplog.at_level(logging.WARNING, "webhook.decision"):
        log_decision("w", asked, AdmissionResponse(allowed=True), 1.0)

    assert caplog.records == []
