"""Conditions written as expressions: `kind == "sse" and cut_after_s < 60`.

Expressions have the words and the precedence of `{% if %}` in messages, so a rule author learns one
syntax. The parser is our own for two reasons: a condition may be unknown, which Jinja does not
support, and Jinja takes 30 ms to import.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from msgspec import Struct

from nginx_stream_lint.rules.conditions import ORDERS, All, AnyOf, Comparison, Condition, Not
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
_WORDS = {"and", "or", "not", "in"}
_CONSTANTS: dict[str, Any] = {"true": True, "false": False}
_OPERATORS = {
    "==": "is",
    "!=": "is_not",
    "<": "less_than",
    ">": "greater_than",
    "<=": "at_most",
    ">=": "at_least",
}
# Functions of expressions: `matches` is a condition, the other one a subject.
_VALUE, _MATCHES = "value", "matches"


class ExpressionMistake(Exception):
    """An error in an expression, at `offset`."""

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class Operand(Struct, frozen=True):
    """One side of a comparison: a constant, or the name of a subject."""

    value: Any
    is_subject: bool
    written: str
    offset: int


class _Token(Struct, frozen=True):
    kind: str
    text: str
    offset: int


def parse(
    text: str,
    check_name: Callable[[str], str | None],
    check_directive: Callable[[str], str | None],
    check_operand: Callable[[str, str, Any, str], str | None],
) -> Condition:
    """Parse an expression into a condition. Raises ExpressionMistake.

    `check_name` and `check_directive` return what is wrong with the name of a fact or a directive;
    `check_operand` returns what is wrong with an operand for a subject and an operator. All return
    None if nothing is wrong.
    """
    if len(text) > _MAX_TEXT:
        raise ExpressionMistake(f"an expression must have at most {_MAX_TEXT} characters", 0)
    parser = _Parser(list(_tokens(text)), check_name, check_directive, check_operand)
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
                " names, numbers, quoted text, ==, !=, <, >, <=, >=, in, and, or, not,"
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

    def __init__(
        self,
        tokens: list[_Token],
        check_name: Callable[[str], str | None],
        check_directive: Callable[[str], str | None],
        check_operand: Callable[[str, str, Any, str], str | None],
    ) -> None:
        self._tokens = tokens
        self._next = 0
        self._depth = 0
        self._check_name = check_name
        self._check_directive = check_directive
        self._check_operand = check_operand

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
        if not left.is_subject:
            raise ExpressionMistake(
                "a comparison must start with a name, or with text before `in`", left.offset
            )
        operator = _OPERATORS.get(self.token.text) if self.token.kind == "sign" else None
        if operator is None:
            return Comparison(left.value, "is_set", True)
        self._next += 1
        right = self._operand()
        if right.is_subject and operator not in ORDERS:
            raise ExpressionMistake("== and != need a constant on the right", right.offset)
        if not right.is_subject:
            self._check(left.value, operator, right)
        return Comparison(left.value, operator, right.value)

    def _contained(self, left: Operand) -> Condition:
        """Parse the rest of `left in …`."""
        if left.is_subject:
            words = self._list()
            for word in words:
                self._check(left.value, "is", word)
            return AnyOf(tuple(Comparison(left.value, "is", word.value) for word in words))
        right = self._operand()
        if not right.is_subject:
            raise ExpressionMistake("`in` must be followed by the name of a list", right.offset)
        return Comparison(right.value, "contains_any", [left.value])

    def _matching(self) -> Condition:
        """Parse `matches(name, "pattern")`."""
        self._next += 1
        self._expect("(")
        subject = self._operand()
        self._expect(",")
        pattern = self._operand()
        self._expect(")")
        if not subject.is_subject:
            raise ExpressionMistake("the first argument of matches must be a name", subject.offset)
        self._check(subject.value, "matches", pattern)
        return Comparison(subject.value, "matches", pattern.value)

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
            if directive.is_subject or not isinstance(directive.value, str):
                message = 'value needs the name of one directive: value("proxy_buffering")'
                raise ExpressionMistake(message, directive.offset)
            self._refuse(self._check_directive(directive.value), directive.offset)
            return Operand(directive.value, True, token.text, token.offset)
        if token.kind == "name":
            self._refuse(self._check_name(token.text), token.offset)
            return Operand(token.text, True, token.text, token.offset)
        self._next -= token.kind != "end"
        raise self.unexpected("a name, a number or quoted text")

    def _list(self) -> list[Operand]:
        self._expect("[")
        items = [self._operand()]
        while self._take(","):
            items.append(self._operand())
        self._expect("]")
        for item in items:
            if item.is_subject:
                raise ExpressionMistake("a list must contain only constants", item.offset)
        return items

    def _check(self, subject: str, operator: str, operand: Operand) -> None:
        if operand.is_subject:
            raise ExpressionMistake("expected a constant", operand.offset)
        message = self._check_operand(subject, operator, operand.value, operand.written)
        self._refuse(message, operand.offset)

    def _refuse(self, message: str | None, offset: int) -> None:
        if message is not None:
            raise ExpressionMistake(message, offset)

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
