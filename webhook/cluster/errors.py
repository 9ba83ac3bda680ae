"""The errors of a request to the API server, and how their text is made fit for a log line."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from webhook.eem import ResourceType

# The API server's text goes into log lines and problem texts: this is enough for a sentence and cannot flood a log.
_MAX_MESSAGE_LENGTH: Final = 400
_RELIST_STATUSES: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.NOT_FOUND})
# The message of an API server whose state is older than the resourceVersion that the watch named: it lags behind
# another API server, or etcd was restored from a backup.
_TOO_LARGE: Final = "too large resource version"


class ClusterError(Exception):
    """Raised when a request to the API server fails."""


class UnreachableError(ClusterError):
    """Raised when no complete answer came: no connection, an untrusted certificate, a timeout, or a cut connection."""


class AnswerTooLargeError(ClusterError):
    """Raised when an answer has more bytes than the client reads."""


class ApiError(ClusterError):
    """
    Raised when the API server answers with a status other than success.

    Args:
        status: the HTTP status, or the `code` of a Status object in a watch.
        reason: the reason of the Status, such as `Expired` or `Forbidden`; may be empty.
        message: the message of the Status, on one line.
        retry_after_seconds: the value of the Retry-After header; 0 without one.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after_seconds: float = 0.0) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")


class ForbiddenError(ClusterError):
    """Raised when the account lacks a right; the message names the rule that a ClusterRole must have."""

    def __init__(self, verb: str, resource: ResourceType, message: str) -> None:
        self.verb = verb
        self.resource = resource
        super().__init__(
            f'the account may not {verb} {resource.plural}: a ClusterRole with apiGroups ["{resource.group}"], '
            f'resources ["{resource.plural}"], verbs ["{verb}"] is missing ({message})'
        )


class MissingError(ClusterError):
    """Raised when the API server does not know a kind."""


class DistrustedError(ClusterError):
    """Raised when what is known of a kind may be wrong, so that it must be listed."""


class _Status(msgspec.Struct):
    """The fields of a metav1.Status that are used."""

    code: int = 0
    reason: str = ""
    message: str = ""


def calls_for_a_list(error: ApiError) -> bool:
    """Whether a watch cannot go on after *error*, so that the kind must be listed."""
    return error.status in _RELIST_STATUSES or _TOO_LARGE in error.message.lower()


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Return the error for an HTTP answer, whether or not its body is a Status."""
    try:
        decoded = msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, msgspec.ValidationError):
        decoded = _Status(message=body[:_MAX_MESSAGE_LENGTH].decode("utf-8", "replace"))
    retry_after = headers.get("Retry-After", "")
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0
    return ApiError(status, one_line(decoded.reason), one_line(decoded.message), seconds)


def status_error(mapping: Mapping[str, object]) -> ApiError:
    """Return the error for the Status object of a watch's ERROR event."""
    code = mapping.get("code")
    return ApiError(
        code if isinstance(code, int) else 0,
        one_line(str(mapping.get("reason", ""))),
        one_line(str(mapping.get("message", ""))),
    )


def one_line(text: str) -> str:
    """Return the first 400 characters of *text* on one line, without control characters."""
    clean = "".join(character if character.isprintable() else " " for character in text[:_MAX_MESSAGE_LENGTH])
    return clean.strip()
