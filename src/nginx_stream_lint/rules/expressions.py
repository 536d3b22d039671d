"""Conditions written as expressions: `kind == "sse" and cut_after_s < 60`.

Expressions have the words and the precedence of `{% if %}` in messages, so a rule author learns one
syntax; `conditions.Builder` gives both one meaning. The parser is our own because Jinja takes 30 ms
to import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from nginx_stream_lint.rules.conditions import (
    All,
    AnyOf,
    Builder,
    Condition,
    ExpressionMistake,
    Not,
    Operand,
)
from nginx_stream_lint.util.problems import short_word

_MAX_TEXT = 4000  # characters
_MAX_DEPTH = 20  # nested parentheses and `not`
_MAX_DIGITS = 15
_TOKEN = re.compile(
    r"""(?P<number>\d+(?:\.\d+)?)(?![\w.])
    |(?P<text>"[^"\\]*"|'[^'\\]*')
    |(?P<name>[A-Za-z_]\w*)
    |(?P<sign>==|!=|<=|>=|[<>()\[\],])""",
    re.VERBOSE,
)
_BLANK = re.compile(r"\s*")
_WORDS = {"and", "or", "not", "in", "is", "none"}
_COMPARISONS = {"==", "!=", "<", ">", "<=", ">="}
_CONSTANTS: dict[str, Any] = {"true": True, "false": False}
# Functions of expressions: `matches` is a condition, the other one a subject.
_VALUE, _MATCHES = "value", "matches"


class _Token(Struct, frozen=True):
    kind: str
    text: str
    offset: int


def parse(text: str, builder: Builder) -> Condition:
    """Parse an expression into a condition, which `builder` checks. Raises ExpressionMistake."""
    if len(text) > _MAX_TEXT:
        raise ExpressionMistake(f"an expression must have at most {_MAX_TEXT} characters", 0)
    parser = _Parser(list(_tokens(text)), builder)
    condition = parser.either()
    if parser.token.kind != "end":
        raise parser.unexpected("`and`, `or` or the end of the expression")
    return condition


def _tokens(text: str) -> Iterator[_Token]:
    offset = _end_of_blank(text, 0)
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None or match.lastgroup is None:
            raise ExpressionMistake(
                f'not a valid expression: unexpected "{text[offset]}"; it can contain'
                " names, numbers, quoted text, ==, !=, <, >, <=, >=, in, is none, and, or, not,"
                ' value("directive"),'
                ' matches(name, "pattern") and parentheses',
                offset,
            )
        kind = "word" if match[0] in _WORDS else match.lastgroup
        yield _Token(kind, match[0], offset)
        offset = _end_of_blank(text, match.end())
    yield _Token("end", "the end", offset)


def _end_of_blank(text: str, offset: int) -> int:
    match = _BLANK.match(text, offset)
    assert match is not None
    return match.end()


class _Parser:
    """A recursive-descent parser. Each method parses one form and returns its condition."""

    def __init__(self, tokens: list[_Token], builder: Builder) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._builder = builder

    @property
    def token(self) -> _Token:
        return self._tokens[self._next]

    def either(self) -> Condition:
        """Parse `a or b or …`."""
        return self._joined("or", self._both, AnyOf)

    def _both(self) -> Condition:
        """Parse `a and b and …`."""
        return self._joined("and", self._negated, All)

    def _joined(
        self, word: str, part: Callable[[], Condition], join: type[All | AnyOf]
    ) -> Condition:
        parts = [part()]
        while self._take(word):
            parts.append(part())
        return parts[0] if len(parts) == 1 else join(tuple(parts))

    def _negated(self) -> Condition:
        """Parse `not a`, `(a)`, or a comparison."""
        if self.token.text not in ("not", "(") or self.token.kind == "text":
            return self._comparison()
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise ExpressionMistake(
                f"it is nested deeper than {_MAX_DEPTH} levels", self.token.offset
            )
        if self._take("not"):
            condition: Condition = Not(self._negated())
        else:
            self._expect("(")
            condition = self.either()
            self._expect(")")
        self._depth -= 1
        return condition

    def _comparison(self) -> Condition:
        """`name`, `name < 60`, `"text" in name`, `name in ["one", "two"]`, `matches(name, "…")`."""
        if self.token.text == _MATCHES and self.token.kind == "name":
            return self._matching()
        left = self._operand()
        if self._take("in"):
            return self._contained(left)
        if self.token.text == "not" and self._tokens[self._next + 1].text == "in":
            self._next += 2
            return Not(self._contained(left))
        if self._take("is"):
            is_not = self._take("not")
            self._expect("none")
            return Not(self._builder.is_none(left)) if is_not else self._builder.is_none(left)
        sign = self.token.text
        if sign not in _COMPARISONS or self.token.kind != "sign":
            return self._builder.is_set(left)
        self._next += 1
        return self._builder.compare(left, sign, self._operand())

    def _contained(self, left: Operand) -> Condition:
        """Parse the rest of `left in …`."""
        if left.is_subject:
            return self._builder.is_one_of(left, self._list())
        return self._builder.contains(left, self._operand())

    def _matching(self) -> Condition:
        """Parse `matches(name, "pattern")`."""
        self._next += 1
        self._expect("(")
        subject = self._operand()
        self._expect(",")
        pattern = self._operand()
        self._expect(")")
        return self._builder.matches(subject, pattern)

    def _operand(self) -> Operand:
        token = self.token
        self._next += token.kind != "end"
        if token.kind == "number":
            if len(token.text) > _MAX_DIGITS:
                message = f"a number must be at most {10**_MAX_DIGITS}"
                raise ExpressionMistake(message, token.offset)
            number = float(token.text) if "." in token.text else int(token.text)
            return Operand(number, False, token.text, token.offset)
        if token.kind == "text":
            return Operand(token.text[1:-1], False, token.text[1:-1], token.offset)
        if token.text in _CONSTANTS:
            return Operand(_CONSTANTS[token.text], False, token.text, token.offset)
        if token.kind == "name" and token.text == _VALUE:
            self._expect("(")
            directive = self._operand()
            self._expect(")")
            return self._builder.directive(directive, token.offset)
        if token.kind == "name":
            return self._builder.fact(token.text, token.offset)
        self._next -= token.kind != "end"
        raise self.unexpected("a name, a number or quoted text")

    def _list(self) -> list[Operand]:
        self._expect("[")
        items = [self._operand()]
        while self._take(","):
            items.append(self._operand())
        self._expect("]")
        return items

    def _take(self, text: str) -> bool:
        found = self.token.text == text and self.token.kind in ("word", "sign")
        self._next += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self.unexpected(f'"{text}"')

    def unexpected(self, expected: str) -> ExpressionMistake:
        """The error for a token that is not the expected one."""
        found = self.token.text if self.token.kind == "end" else f'"{short_word(self.token.text)}"'
        return ExpressionMistake(
            f"not a valid expression: expected {expected}, not {found}", self.token.offset
        )
