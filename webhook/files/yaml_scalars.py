"""
Say which value a plain YAML scalar stands for, as kubectl reads it.

Files must mean here what they mean to `kubectl apply`, so this follows kubectl's YAML reader and not YAML 1.2: `yes`,
`on` and `n` are booleans, `010` is eight, `1e3` is a number. They are kept as they are, never guessed back into
strings: a boolean where a label's value belongs is then reported with its field, as the API server would. Dates and
base-60 numbers stay strings.

Source: sigs.k8s.io/yaml goyaml.v2/resolve.go.
"""

import re

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_TRAPS = frozenset(
    word for word, value in _WORDS.items() if value is not None and word.lower() not in {"true", "false"}
)
_NOT_IN_JSON = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER = re.compile(r"[-+]?(?:0[xX][0-9a-fA-F]+|0[oO]?[0-7]+|0[bB][01]+|0|[1-9][0-9]*)")
_OLD_OCTAL = re.compile(r"[-+]?0[0-7]+")
_BASE_60 = re.compile(r"[-+]?[0-9]+(?::[0-5]?[0-9])+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_FIRST_OF_NUMBER = frozenset("+-.0123456789")

# More digits than any 64-bit number has in base 2, with sign and prefix: beyond it only a float can be meant.
_MAX_INTEGER_LENGTH = 67


def resolve(text: str) -> str | bool | int | float | None:
    """
    Give the value of an unquoted, untagged scalar.

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


def _number(text: str) -> str | int | float:
    digits = text if text[0] == "." else text.replace("_", "")
    if len(digits) <= _MAX_INTEGER_LENGTH and _INTEGER.fullmatch(digits):
        value = int(digits, 8 if _OLD_OCTAL.fullmatch(digits) else 0)
        return value if -(2**63) <= value < 2**64 else float(value)
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        return number if number not in {float("inf"), float("-inf")} else text
    return text


def trap(text: str) -> str:
    """
    Say what a plain scalar is taken for where that is seldom what its writer means; empty where it is clear.

    Source: YAML 1.1 bool, int (octal and base 60) and YAML 1.2, which read the same text differently.
    """
    if text in _TRAPS:
        return f"{text} is read as the boolean {str(_WORDS[text]).lower()}: write that, or put a text in quotes"
    if text[:1] not in _FIRST_OF_NUMBER:
        return ""
    if _OLD_OCTAL.fullmatch(text):
        return f"{text} is read as the octal number {int(text, 8)}: leave out the zero, or put a text in quotes"
    if _BASE_60.fullmatch(text):
        return f"{text} is read as a text, and by other readers as a base-60 number: put it in quotes"
    if "_" in text and isinstance(_number(text), int | float):
        return f"{text} is read as the number {_number(text)}: leave out the underscores, or put a text in quotes"
    return ""


def as_key(value: object) -> str:
    """
    Give a mapping's key as the string that kubectl turns it into.

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
