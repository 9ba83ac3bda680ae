"""
The selector language of Calico: parse an expression, and ask it about the labels of one endpoint.

| written | holds where |
|---|---|
| nothing, `all()` | everywhere |
| `global()` | the endpoint is in no namespace |
| `has(k)` | the label k is there |
| `k == 'v'`, `k in {'v', 'w'}` | the label is there with such a value |
| `k != 'v'`, `k not in {'v'}` | the label has another value, or is missing |
| `k contains 't'`, `k starts with 't'`, `k ends with 't'` | the label is there, and its value has the text |
| `!e`, `e && e`, `e || e`, `(e)` | as in logic; `!` binds closest, then `&&` |

An answer is None where it depends on a label whose value is not known, such as those of a service account.

Source: Calico documentation, "Selector" of NetworkPolicy; libcalico-go lib/selector (tokenizer, parser).
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final, Literal

from webhook.netpol.selectors import FITTING, UNKNOWN

LONGEST_SELECTOR: Final = 1024
DEEPEST_SELECTOR: Final = 64
"""Nested parentheses and negations that are read: more in 1,024 characters are no selector that a user writes."""

Comparison = Literal["contains", "starts with", "ends with"]


@dataclass(frozen=True, slots=True)
class Constant:
    """`all()`, with True."""

    value: bool


@dataclass(frozen=True, slots=True)
class Has:
    """Whether a label is there."""

    key: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """Whether a label is there with one of some values."""

    key: str
    values: frozenset[str]


@dataclass(frozen=True, slots=True)
class HasText:
    """Whether a label is there with a value that has a text at some place."""

    key: str
    comparison: Comparison
    text: str


@dataclass(frozen=True, slots=True)
class Not:
    """Whether a part does not hold."""

    part: "Expression"


@dataclass(frozen=True, slots=True)
class Every:
    """Whether all parts hold."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """Whether one of the parts holds."""

    parts: tuple["Expression", ...]


Expression = Constant | Has | OneOf | HasText | Not | Every | Some
EVERYTHING: Final[Expression] = Constant(value=True)
GLOBAL_KEY: Final = "global()"
"""Stands for a label that endpoints without a namespace have, until a policy gives it its meaning."""

Lookup = Callable[[str], str | None]
"""Returns the value of a label: None where it is missing, UNKNOWN or FITTING where it is not known."""


def holds(expression: Expression, lookup: Lookup) -> bool | None:
    """Whether an expression holds for the labels that *lookup* knows; None where that is not known."""
    match expression:
        case Constant(value):
            return value
        case Not(part):
            inner = holds(part, lookup)
            return None if inner is None else not inner
        case Every(parts):
            return all_of(holds(part, lookup) for part in parts)
        case Some(parts):
            opposite = all_of(_opposite(holds(part, lookup)) for part in parts)
            return _opposite(opposite)
        case _:
            return _label_holds(expression, lookup(expression.key))


def _opposite(answer: bool | None) -> bool | None:  # noqa: FBT001  a predicate on answers
    return None if answer is None else not answer


def all_of(answers: Iterator[bool | None]) -> bool | None:
    """Whether all of some answers are yes; None where that depends on one that is not known."""
    found = True if (known := set(answers)) == {True} or not known else None
    return False if False in known else found


def _label_holds(leaf: Has | OneOf | HasText, value: str | None) -> bool | None:
    if value is None or isinstance(leaf, Has):
        return value is not None
    if value in {UNKNOWN, FITTING}:
        return None
    if isinstance(leaf, OneOf):
        return value in leaf.values
    if leaf.comparison == "contains":
        return leaf.text in value
    return value.startswith(leaf.text) if leaf.comparison == "starts with" else value.endswith(leaf.text)


_TOKEN: Final = re.compile(
    r"""\s*(?:
      (?P<call>all\(\s*\)|global\(\s*\)|has\(\s*(?P<key>[A-Za-z0-9_./-]{1,512})\s*\))
    | (?P<text>'[^']*'|"[^"]*")
    | (?P<operator>==|!=|&&|\|\||[!(){},])
    | (?P<word>not\s+in(?![A-Za-z0-9_./-])|(?:starts|ends)\s+with(?![A-Za-z0-9_./-])|[A-Za-z0-9_./-]{1,512})
    )""",
    re.VERBOSE,
)
_WORDS: Final = frozenset({"in", "not in", "contains", "starts with", "ends with"})


class SelectorError(ValueError):
    """Raised when a text is no selector; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class _Token:
    """One token: `sort` is one of call, text, operator and word."""

    sort: str
    text: str


def parse_selector(text: str) -> Expression:
    """
    Return the expression of a selector; an empty one holds everywhere.

    Raises:
        SelectorError: *text* is no selector.
    """
    tokens = list(_tokens(text))
    if not tokens:
        return EVERYTHING
    parser = _Parser(tokens)
    found = parser.either(0)
    if parser.tokens:
        raise SelectorError(f"unexpected {parser.tokens[0].text}")
    return found


def _tokens(text: str) -> Iterator[_Token]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise SelectorError(f"unexpected {text[position : position + 20].strip()}")
        sort = str(match.lastgroup) if match.lastgroup != "key" else "call"
        found = match.group(sort)
        yield _Token(sort, " ".join(found.split()) if sort == "word" else found)
        position = match.end()


class _Parser:
    """Recursive descent; `tokens` are those that are left."""

    def __init__(self, tokens: list[_Token]) -> None:
        self.tokens = tokens

    def either(self, depth: int) -> Expression:
        """Read parts that are joined by `||`."""
        parts = [self._both(depth)]
        while self._skip("||"):
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _both(self, depth: int) -> Expression:
        parts = [self._operand(depth)]
        while self._skip("&&"):
            parts.append(self._operand(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _operand(self, depth: int) -> Expression:
        if depth > DEEPEST_SELECTOR:
            raise SelectorError("it is nested too deeply")
        if self._skip("!"):
            return Not(self._operand(depth + 1))
        if self._skip("("):
            found = self.either(depth + 1)
            self._expect(")")
            return found
        token = self._take()
        if token.sort == "call":
            return _call(token.text)
        if token.sort == "word":
            return self._comparison(token.text)
        raise SelectorError(f"unexpected {token.text}")

    def _comparison(self, key: str) -> Expression:
        operator = self._take()
        if operator.text in {"==", "!="} and operator.sort == "operator":
            equal = OneOf(key, frozenset({self._text()}))
            return equal if operator.text == "==" else Not(equal)
        if operator.sort != "word" or operator.text not in _WORDS:
            raise SelectorError(f"expected a comparison after {key}, not {operator.text}")
        if operator.text in {"in", "not in"}:
            listed = OneOf(key, self._set())
            return listed if operator.text == "in" else Not(listed)
        comparison: Comparison = "contains"
        if operator.text != "contains":
            comparison = "starts with" if operator.text == "starts with" else "ends with"
        return HasText(key, comparison, self._text())

    def _set(self) -> frozenset[str]:
        self._expect("{")
        values: set[str] = set()
        while self.tokens and self.tokens[0].sort == "text":
            values.add(self._text())
            if not self._skip(","):
                break
        self._expect("}")
        return frozenset(values)

    def _text(self) -> str:
        token = self._take()
        if token.sort != "text":
            raise SelectorError(f"expected a text in quotes, not {token.text}")
        return token.text[1:-1]

    def _take(self) -> _Token:
        if not self.tokens:
            raise SelectorError("it ends too early")
        return self.tokens.pop(0)

    def _skip(self, operator: str) -> bool:
        if not self.tokens or self.tokens[0] != _Token("operator", operator):
            return False
        self.tokens.pop(0)
        return True

    def _expect(self, operator: str) -> None:
        if not self._skip(operator):
            raise SelectorError(f"expected {operator}" + (f", not {self.tokens[0].text}" if self.tokens else ""))


def _call(text: str) -> Expression:
    name, _, argument = text.partition("(")
    if name == "has":
        return Has(argument.rstrip(")").strip())
    return EVERYTHING if name == "all" else Has(GLOBAL_KEY)


def with_keys(expression: Expression, rename: Callable[[str], Expression | str]) -> Expression:
    """Return an expression with other keys; where *rename* returns an expression, a test of the key's presence."""
    match expression:
        case Not(part):
            return Not(with_keys(part, rename))
        case Every(parts):
            return Every(tuple(with_keys(part, rename) for part in parts))
        case Some(parts):
            return Some(tuple(with_keys(part, rename) for part in parts))
        case Constant():
            return expression
        case _:
            found = rename(expression.key)
            return replace(expression, key=found) if isinstance(found, str) else found
