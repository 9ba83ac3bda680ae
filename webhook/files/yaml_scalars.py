"""
Resolve plain YAML scalars as kubectl does.

Files must mean here what they mean to `kubectl apply`, so this module follows kubectl's YAML reader and not YAML 1.2:
`yes`, `on` and `n` are booleans, `010` is eight, `1e3` is a number. They are never turned back into strings: a boolean
in place of a label's value is reported with its field, as the API server does. Dates and base-60 numbers stay strings.

Source: sigs.k8s.io/yaml goyaml.v2/resolve.go, and encoding/json, which writes a whole float as an integer.
"""

import re
from typing import Final

_WORDS: Final[dict[str, bool | None]] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_TRAPS: Final = frozenset(
    word for word, value in _WORDS.items() if value is not None and word.lower() not in {"true", "false"}
)
_NOT_IN_JSON: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER: Final = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
_OLD_OCTAL: Final = re.compile(r"[-+]?0[0-7]+")
_BASE_60: Final = re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FIRST_OF_NUMBER: Final = frozenset("+-.0123456789")

# More digits than any 64-bit number has in base 2, with sign and prefix: a longer text can only be a float.
_MAX_INTEGER_LENGTH: Final = 67


def resolve(text: str) -> str | bool | int | float | None:
    """
    Return the value of an unquoted, untagged scalar.

    Raises:
        ValueError: the scalar is an infinity or not a number, which JSON and so Kubernetes cannot hold.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _FIRST_OF_NUMBER:
        return text
    if _NOT_IN_JSON.fullmatch(text):
        raise ValueError(f"{text} is not a value that a Kubernetes object can hold")
    return _number(text)


def number_of(value: float) -> int | float:
    """Return a whole float as an integer, if it has at most 64 bits; any other float as it is."""
    return int(value) if value.is_integer() and -(2**63) <= value < 2**63 else value


def _number(text: str) -> str | int | float:
    digits = text if text[0] == "." else text.replace("_", "")
    if len(digits) <= _MAX_INTEGER_LENGTH and _INTEGER.fullmatch(digits):
        value = int(digits, 8 if _OLD_OCTAL.fullmatch(digits) else 0)
        return value if -(2**63) <= value < 2**63 else float(value)
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        return number_of(number) if number not in {float("inf"), float("-inf")} else text
    return text


def trap(text: str) -> str:
    """
    Return a note on a plain scalar that is read otherwise than most writers mean; empty if the scalar is clear.

    Source: YAML 1.1 bool, int (octal and base 60) and YAML 1.2, which read the same text differently.
    """
    if text in _TRAPS:
        return f"{text} is read as the boolean {str(_WORDS[text]).lower()}: write that, or put a text in quotes"
    return _number_trap(text) if text[:1] in _FIRST_OF_NUMBER else ""


def _number_trap(text: str) -> str:
    if _OLD_OCTAL.fullmatch(text):
        return f"{text} is read as the octal number {int(text, 8)}: leave out the zero, or put a text in quotes"
    if _BASE_60.fullmatch(text):
        return f"{text} is read as a text, and by other readers as a base-60 number: put it in quotes"
    number = _number(text)
    if "_" in text and isinstance(number, int | float):
        return f"{text} is read as the number {number}: leave out the underscores, or put a text in quotes"
    is_odd = "." in text or (len(text) > 1 and text[0] == "0" and text.isdigit())
    return whole_float_note(text) if is_odd and isinstance(number, int) else ""


def whole_float_note(text: str) -> str:
    """Return the note on a float that is read as an integer."""
    return f"{text} is read as the integer {number_of(float(text))}"


def as_key(value: object) -> str:
    """
    Return a mapping's key as the string that kubectl makes of it.

    Raises:
        ValueError: the key is null, a list or a mapping.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("a key must be a string, not null, a list or a mapping")
