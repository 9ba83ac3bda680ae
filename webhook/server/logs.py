"""
Write log lines that nobody can forge: one line for each record, whatever is in it.

Every character outside printable ASCII is escaped, so no name, message or traceback can begin a line of its own,
colour a terminal or turn its text round. Fields are cut to 256 characters and a line to 4 KiB: what users write into
their objects never floods the log. Objects themselves are never logged.
"""

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
MAX_FIELD = 256  # characters; a name has at most 253
MAX_TEXT = 1024  # characters of a record's own message
MAX_TRACEBACK = 2048  # characters, the last ones: the innermost frames and the error itself
MAX_LINE = 4096  # bytes; container runtimes split longer lines at 16 KiB, log shippers some at 4
_SMALLEST_FIELD = 8  # characters, to which fields are cut where every character takes six or twelve when escaped
_DELETE = b"\x7f"  # the one character of ASCII that is neither printable nor escaped by the fast encoder
_PLAIN = re.compile(r"[!#-<>-\[\]-~]+")  # printable ASCII without blank, quote, equals sign and backslash


def log_decision(webhook: str, request: AdmissionRequest, response: AdmissionResponse, milliseconds: float) -> None:
    """Write the one line that tells what was asked, by whom, and what was answered."""
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
        if noted is not None:  # in audit mode nobody is warned: what a warning would say is read here
            fields["noted"] = noted
        DECISIONS.handle(_Decision(fields))


class _Decision(logging.LogRecord):
    """The record of a decision: made in a third of the time by leaving out to look where in the code it comes from."""

    _ALIKE = logging.LogRecord(DECISIONS.name, logging.INFO, __file__, 0, "decision", (), None).__dict__

    def __init__(self, fields: Mapping[str, object]) -> None:
        now = time.time()
        self.__dict__.update(self._ALIKE, created=now, msecs=now % 1 * 1000 // 1, fields=fields)


class LineHandler(logging.Handler):
    """
    Write each line with one call of the system: it is out before its review is answered.

    Args:
        descriptor: of the file, pipe or terminal that takes the lines.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; where it cannot be written, the service goes on."""
        try:
            line = self.format(record).encode("ascii") + b"\n"
            while line:
                line = line[os.write(self._descriptor, line) :]
        except Exception:  # noqa: BLE001  as every handler of the library
            self.handleError(record)


def formatter(log_format: str) -> logging.Formatter:
    """
    Give the formatter for `json` or `text`.

    Raises:
        ValueError: another format.
    """
    if log_format == "json":
        return JsonFormatter()
    if log_format == "text":
        return TextFormatter()
    raise ValueError(f"{log_format!r} is not a log format: json or text")


class JsonFormatter(logging.Formatter):
    """Write a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""

        def line(longest: int) -> str:
            content: dict[str, object] = {"time": _time(record), "level": record.levelname, "logger": record.name}
            _add_content(content, self, record, longest)
            return _json(content)

        return _fitting(line)


class TextFormatter(logging.Formatter):
    """Write a record as one line for people: time, level, logger, message, `key=value`."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line, without its end."""
        head = f"{_time(record)} {record.levelname} {record.name}"

        def line(longest: int) -> str:
            content: dict[str, object] = {}
            _add_content(content, self, record, longest)
            event = _escaped(str(content.pop("event")))
            return " ".join((head, event, *(f"{key}={_word(value)}" for key, value in content.items())))

        return _fitting(line)


def _add_content(content: dict[str, object], base: logging.Formatter, record: logging.LogRecord, longest: int) -> None:
    """Add what a record says, with every text cut in proportion to *longest*, the length of a field."""
    content["event"] = _cut(record.getMessage(), longest * (MAX_TEXT // MAX_FIELD))
    fields: Mapping[str, object] = getattr(record, "fields", {})
    for key, value in fields.items():
        content[key] = _cut(value, longest) if isinstance(value, str) and len(value) > longest else value
    if record.exc_info:
        traceback = base.formatException(record.exc_info)
        content["traceback"] = traceback[-longest * (MAX_TRACEBACK // MAX_FIELD) :]


def _fitting(write: Callable[[int], str]) -> str:
    """Write a line, with shorter fields where escaping makes it too long. It is ASCII: characters are bytes."""
    longest = MAX_FIELD
    line = write(longest)
    while len(line) > MAX_LINE and longest > _SMALLEST_FIELD:
        longest //= 2
        line = write(longest)
    return line


def _json(content: Mapping[str, object]) -> str:
    """Write JSON in printable ASCII: fast where it is that already, as nearly every line is."""
    try:
        line = _encoder.encode(content)
    except UnicodeEncodeError:  # half of a surrogate pair
        return json.dumps(content)
    return line.decode("ascii") if line.isascii() and _DELETE not in line else json.dumps(content)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _word(value: object) -> str:
    """Write a value so that it can be told from its neighbours: bare where it is plain, in quotes otherwise."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1].replace('\\"', '"')


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}Z"


@lru_cache(maxsize=2)  # lines of one second follow one another
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
