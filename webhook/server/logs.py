"""
Write log lines that cannot be forged: one line per record, whatever the record contains.

Every character outside printable ASCII is escaped, so no name, message or traceback can start a line, colour a terminal
or reverse its text. Fields are cut to 256 characters and a line to 4 KiB, so the content of objects never floods the
log. Objects themselves are never logged.
"""

import asyncio
import json
import logging
import os
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache

import msgspec

from webhook.admission import AdmissionRequest, AdmissionResponse

_encoder = msgspec.json.Encoder()
DECISIONS = logging.getLogger("webhook.decision")
MAX_LINES = 10  # of one message that clients cause, in a period
PERIOD_SECONDS = 10.0
MAX_FIELD = 256  # characters; a name has at most 253
MAX_TEXT = 1024  # characters of a record's message
MAX_TRACEBACK = 2048  # the last characters: the innermost frames and the error
MAX_LINE = 4096  # bytes; container runtimes split lines at 16 KiB, some log shippers at 4 KiB
_SMALLEST_FIELD = 8  # characters; fields are cut to this length if every character is escaped to six or twelve
_DELETE = b"\x7f"  # the only ASCII character that is not printable and that the fast encoder does not escape
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII except space, quote, equals sign and backslash


def log_decision(webhook: str, request: AdmissionRequest, response: AdmissionResponse, milliseconds: float) -> None:
    """Write the decision line of a review: the request, its user, and the answer."""
    if DECISIONS.isEnabledFor(logging.INFO):
        fields = {
            "webhook": webhook,
            "uid": request.uid,
            "operation": request.operation,
            "kind": request.kind.kind,
            "namespace": request.namespace,
            "name": request.name,
            "user": request.username,
            "dryRun": request.dry_run,
            "result": response.result,
            "allowed": response.allowed,
            "code": response.code,
            "milliseconds": round(milliseconds, 3),
            "message": response.message,
        }
        noted = response.audit_annotations.get("noted")
        if noted is not None:  # in audit mode the user gets no warning; the log line has its text
            fields["noted"] = noted
        DECISIONS.handle(_Decision(fields))


class _Decision(logging.LogRecord):
    """The record of a decision, without the source position: finding the caller takes two thirds of the time."""

    _ALIKE = logging.LogRecord(DECISIONS.name, logging.INFO, __file__, 0, "decision", (), None).__dict__

    def __init__(self, fields: Mapping[str, object]) -> None:
        now = time.time()
        self.__dict__.update(self._ALIKE, created=now, msecs=now % 1 * 1000 // 1, fields=fields)


class LineHandler(logging.Handler):
    """
    Write each line with one system call, so that it is written before its review is answered.

    Args:
        descriptor: the file descriptor of the log.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line. If that fails, the service goes on."""
        try:
            line = self.format(record).encode("ascii") + b"\n"
            while line:
                line = line[os.write(self._descriptor, line) :]
        except Exception:  # noqa: BLE001  as every handler of the standard library
            self.handleError(record)


class LimitedLog:
    """
    Log lines that a client can cause, limited per message: the rest is counted, and the count logged.

    Args:
        log: the logger.
        most: lines of one message in a period.
        seconds: the length of a period.
    """

    def __init__(self, log: logging.Logger, *, most: int = MAX_LINES, seconds: float = PERIOD_SECONDS) -> None:
        self._log = log
        self._most = most
        self._seconds = seconds
        self._written: dict[str, int] = {}  # the lines of the current period, by message

    def write(self, level: int, message: str, fields: Mapping[str, object], error: BaseException | None = None) -> None:
        """Log a line with *fields*, and the traceback of *error*; or count it if the period has its lines already."""
        written = self._written[message] = self._written.get(message, 0) + 1
        if written == 1:
            asyncio.get_running_loop().call_later(self._seconds, self._end_period, level, message)
        if written <= self._most:
            self._log.log(level, message, exc_info=error, extra={"fields": fields})

    def _end_period(self, level: int, message: str) -> None:
        left_out = self._written.pop(message) - self._most
        if left_out > 0:
            fields = {"line": message, "count": left_out, "seconds": self._seconds}
            self._log.log(level, "log lines were left out", extra={"fields": fields})


def formatter(log_format: str) -> logging.Formatter:
    """
    Return the formatter for `json` or `text`.

    Raises:
        ValueError: the format is another one.
    """
    if log_format == "json":
        return JsonFormatter()
    if log_format == "text":
        return TextFormatter()
    raise ValueError(f"{log_format!r} is not a log format: json or text")


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line end."""

        def line(longest: int) -> str:
            content: dict[str, object] = {"time": _time(record), "level": record.levelname, "logger": record.name}
            _add_content(content, self, record, longest)
            return _json(content)

        return _fitting(line)


class TextFormatter(logging.Formatter):
    """Formats a record as one line for people: time, level, logger, message, `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without a line end."""
        head = f"{_time(record)} {record.levelname} {record.name}"

        def line(longest: int) -> str:
            content: dict[str, object] = {}
            _add_content(content, self, record, longest)
            event = _escaped(str(content.pop("event")))
            return " ".join((head, event, *(f"{key}={_word(value)}" for key, value in content.items())))

        return _fitting(line)


def _add_content(content: dict[str, object], base: logging.Formatter, record: logging.LogRecord, longest: int) -> None:
    """Add the content of a record; every text is cut in proportion to *longest*, the length of a field."""
    content["event"] = _cut(record.getMessage(), longest * (MAX_TEXT // MAX_FIELD))
    fields: Mapping[str, object] = getattr(record, "fields", {})
    for key, value in fields.items():
        content[key] = _cut(value, longest) if isinstance(value, str) and len(value) > longest else value
    if record.exc_info:
        traceback = base.formatException(record.exc_info)
        content["traceback"] = traceback[-longest * (MAX_TRACEBACK // MAX_FIELD) :]


def _fitting(write: Callable[[int], str]) -> str:
    """Return the line, with shorter fields if escaping makes it too long. The line is ASCII: characters are bytes."""
    longest = MAX_FIELD
    line = write(longest)
    while len(line) > MAX_LINE and longest > _SMALLEST_FIELD:
        longest //= 2
        line = write(longest)
    return line


def _json(content: Mapping[str, object]) -> str:
    """Return JSON in printable ASCII; with the fast encoder if its result is printable, as it nearly always is."""
    try:
        line = _encoder.encode(content)
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(content)
    return line.decode("ascii") if line.isascii() and _DELETE not in line else json.dumps(content)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _word(value: object) -> str:
    """Return a value as one word: unquoted if it is plain, in quotes otherwise."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1].replace('\\"', '"')


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=2)  # consecutive lines mostly share their second
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
