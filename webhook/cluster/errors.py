"""Say how asking the API server went wrong."""

from collections.abc import Mapping
from typing import Final

import msgspec

from webhook.eem import ResourceType

# What the API server says goes into log lines and problem texts: long enough for its sentence, too short to flood.
_MAX_MESSAGE_LENGTH: Final = 400


class ClusterError(Exception):
    """Tell that the API server did not do what was asked."""


class UnreachableError(ClusterError):
    """Tell that no whole answer came: no connection, no trust, no time, or cut off."""


class AnswerTooLargeError(ClusterError):
    """Tell that an answer is larger than the client takes."""


class ApiError(ClusterError):
    """
    Tell that the API server answered something else than success.

    Args:
        status: the HTTP status, or the `code` of a Status object in a watch.
        reason: the API's word, `Expired`, `Forbidden`; may be empty.
        message: the API server's sentence, on one line.
        retry_after_seconds: what the answer asked for; 0 when it did not.
    """

    def __init__(self, status: int, reason: str, message: str, retry_after_seconds: float = 0.0) -> None:
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        super().__init__(f"{status} {reason}: {message}" if reason else f"{status}: {message}")


class ForbiddenError(ClusterError):
    """Tell which right is missing, in the words of a Role."""

    def __init__(self, verb: str, resource: ResourceType, message: str) -> None:
        self.verb = verb
        self.resource = resource
        super().__init__(
            f'the account may not {verb} {resource.plural}: a ClusterRole with apiGroups ["{resource.group}"], '
            f'resources ["{resource.plural}"], verbs ["{verb}"] is missing ({message})'
        )


class _Status(msgspec.Struct):
    """A metav1.Status, as far as it is used."""

    code: int = 0
    reason: str = ""
    message: str = ""


def api_error(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    """Make the error out of an HTTP answer, whether or not its body is a Status."""
    try:
        said = msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, msgspec.ValidationError):
        said = _Status(message=body[:_MAX_MESSAGE_LENGTH].decode("utf-8", "replace"))
    retry_after = headers.get("Retry-After", "")
    seconds = float(retry_after) if retry_after.isascii() and retry_after.isdecimal() else 0.0
    return ApiError(status, one_line(said.reason), one_line(said.message), seconds)


def status_error(mapping: Mapping[str, object]) -> ApiError:
    """Make the error out of the Status object of an ERROR event."""
    code = mapping.get("code")
    return ApiError(
        code if isinstance(code, int) else 0,
        one_line(str(mapping.get("reason", ""))),
        one_line(str(mapping.get("message", ""))),
    )


def one_line(text: str) -> str:
    """Keep a foreign text to one short line without control characters."""
    clean = "".join(character if character.isprintable() else " " for character in text[:_MAX_MESSAGE_LENGTH])
    return clean.strip()
