"""Evaluate conditions over subjects.

A rule file writes a condition as an expression (`expressions.py`), or as mappings:

    value("<family>_buffering") == "on" and not stalled_clients

    all:
      - <family>_buffering: {is: "on"}
      - not: {stalled_clients: {is_set: true}}

The `if` of a template is such an expression, too. Jinja parses it, and `templates.py` hands its
comparisons to the same `Builder`.

A subject is a fact, or the effective value of a directive (`<family>` is the handler's family). If
a subject is unknown, such as a value with an nginx variable, its condition is neither true nor
false.
"""

from collections.abc import Callable
from operator import ge, gt, le, lt
from typing import Any, Protocol, TypeAlias

from msgspec import Struct

from nginx_stream_lint.nginx.values import parse_size, parse_time
from nginx_stream_lint.rules.patterns import finds

Truth = bool | None


class Unknown:
    """A value that the configuration does not determine."""

    def __str__(self) -> str:
        return "unknown"


UNKNOWN = Unknown()


class Quantity(str):
    """The text of a time or a size. `read` parses it, because `5m` could be either."""

    __slots__ = ("read",)
    read: Callable[[str], float | None]

    def __new__(cls, text: str, read: Callable[[str], float | None]) -> "Quantity":
        self = super().__new__(cls, text)
        self.read = read
        return self


class Subjects(Protocol):
    """Where conditions get the values of their subjects."""

    def value(self, subject: str) -> Any:
        """Return a subject's value: text, number, boolean, list of text, None, or UNKNOWN."""


class All(Struct, frozen=True, tag=True):
    parts: "tuple[Condition, ...]"

    def holds(self, subjects: Subjects) -> Truth:
        truth: Truth = True
        for part in self.parts:
            one = part.holds(subjects)
            if one is False:
                return False
            if one is None:
                truth = None
        return truth


class AnyOf(Struct, frozen=True, tag=True):
    parts: "tuple[Condition, ...]"

    def holds(self, subjects: Subjects) -> Truth:
        truth: Truth = False
        for part in self.parts:
            one = part.holds(subjects)
            if one is True:
                return True
            if one is None:
                truth = None
        return truth


class Not(Struct, frozen=True, tag=True):
    part: "Condition"

    def holds(self, subjects: Subjects) -> Truth:
        one = self.part.holds(subjects)
        return None if one is None else not one


class Comparison(Struct, frozen=True, tag=True):
    """A comparison of a subject with an operand."""

    subject: str
    operator: str
    operand: Any

    def holds(self, subjects: Subjects) -> Truth:
        value = subjects.value(self.subject)
        if value is UNKNOWN:
            return None
        operand = self.operand
        if self.operator in ORDERS and isinstance(operand, str):
            if number(operand) is None:
                operand = subjects.value(operand)
            if operand is UNKNOWN:
                return None
        return OPERATORS[self.operator](value, operand)


Condition: TypeAlias = All | AnyOf | Not | Comparison


def alternatives(condition: Condition | None) -> list[Condition]:
    """The conditions that a condition joins with `or`; without a condition, one that holds."""
    if isinstance(condition, AnyOf):
        return [one for part in condition.parts for one in alternatives(part)]
    return [All(()) if condition is None else condition]


def comparisons_of(condition: Condition | None) -> list[Comparison]:
    """The comparisons in a condition."""
    if isinstance(condition, (All, AnyOf)):
        return [one for part in condition.parts for one in comparisons_of(part)]
    if isinstance(condition, Not):
        return comparisons_of(condition.part)
    return [] if condition is None else [condition]


def subjects_of(condition: Condition | None) -> frozenset[str]:
    """The subjects that a condition reads, on either side of its comparisons."""
    found: set[str] = set()
    for one in comparisons_of(condition):
        found.add(one.subject)
        operand = one.operand
        if one.operator in ORDERS and isinstance(operand, str) and number(operand) is None:
            found.add(operand)
    return frozenset(found)


def _is(value: Any, operand: Any) -> Truth:
    return bool(_plain(value) == operand)


def _is_not(value: Any, operand: Any) -> Truth:
    return not _is(value, operand)


def _is_set(value: Any, operand: Any) -> Truth:
    return (value not in (None, False, "", (), [])) is operand


def _contains_any(value: Any, operand: Any) -> Truth:
    have = {str(item).lower() for item in _items(value)}
    return any(str(item).lower() in have for item in operand)


def _less_than(value: Any, operand: Any) -> Truth:
    return _compare(value, operand, lt)


def _greater_than(value: Any, operand: Any) -> Truth:
    return _compare(value, operand, gt)


def _at_most(value: Any, operand: Any) -> Truth:
    return _compare(value, operand, le)


def _at_least(value: Any, operand: Any) -> Truth:
    return _compare(value, operand, ge)


def _matches(value: Any, operand: Any) -> Truth:
    found = {finds(operand, str(item)) for item in _items(value)}
    return True if True in found else None if None in found else False


def _compare(value: Any, operand: Any, order: Callable[[float, float], bool]) -> Truth:
    read = value.read if isinstance(value, Quantity) else number
    left, right = _as_number(value, read), _as_number(operand, read)
    return left is not None and right is not None and order(left, right)


def _as_number(value: Any, read: Callable[[str], float | None]) -> float | None:
    if isinstance(value, str):
        return value.read(value) if isinstance(value, Quantity) else read(value)
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def number(text: str) -> float | None:
    """Text as a number: bare, a size in bytes, or a time in seconds; None for any other text."""
    as_size = parse_size(text)
    return float(as_size) if as_size is not None else parse_time(text)


def _items(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


OPERATORS: dict[str, Callable[[Any, Any], Truth]] = {
    "is": _is,
    "is_not": _is_not,
    "is_set": _is_set,
    "contains_any": _contains_any,
    "less_than": _less_than,
    "greater_than": _greater_than,
    "at_most": _at_most,
    "at_least": _at_least,
    "matches": _matches,
}
# Operators whose operand is a number, a time, a size, or another subject.
ORDERS = frozenset({"less_than", "greater_than", "at_most", "at_least"})


# The operators of expressions, and those of conditions.
_SIGNS = {
    "==": "is",
    "!=": "is_not",
    "<": "less_than",
    ">": "greater_than",
    "<=": "at_most",
    ">=": "at_least",
}


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


def _unchecked(*_: Any) -> str | None:
    """Find nothing wrong."""
    return None


class Builder(Struct, frozen=True):
    """Builds conditions from operands, for expressions and for templates alike.

    `check_name` and `check_directive` return what is wrong with the name of a fact or a directive;
    `check_operand` returns what is wrong with a constant for a subject and an operator. All return
    None if nothing is wrong. The methods raise ExpressionMistake.
    """

    check_name: Callable[[str], str | None] = _unchecked
    check_directive: Callable[[str], str | None] = _unchecked
    check_operand: Callable[[str, str, Any, str], str | None] = _unchecked

    def fact(self, name: str, offset: int = 0) -> Operand:
        """The operand `name`."""
        _refuse(self.check_name(name), offset)
        return Operand(name, True, name, offset)

    def directive(self, name: Operand, offset: int = 0) -> Operand:
        """The operand `value(name)`."""
        if name.is_subject or not isinstance(name.value, str):
            message = 'value needs the name of one directive: value("proxy_buffering")'
            raise ExpressionMistake(message, name.offset)
        _refuse(self.check_directive(name.value), name.offset)
        return Operand(name.value, True, f'value("{name.written}")', offset)

    def is_set(self, left: Operand) -> Condition:
        """Build the condition `left`."""
        return Comparison(_subject(left), "is_set", True)

    def is_none(self, left: Operand) -> Condition:
        """Build `left is none`."""
        return Comparison(_subject(left), "is", None)

    def compare(self, left: Operand, sign: str, right: Operand) -> Condition:
        """Build `left == right`, `left < right` and so on."""
        operator = _SIGNS[sign]
        subject = _subject(left)
        if not right.is_subject:
            self._check(subject, operator, right)
        elif operator not in ORDERS:
            raise ExpressionMistake("== and != need a constant on the right", right.offset)
        return Comparison(subject, operator, right.value)

    def is_one_of(self, left: Operand, words: list[Operand]) -> Condition:
        """Build `left in ["one", "two"]`."""
        subject = _subject(left)
        for word in words:
            if word.is_subject:
                raise ExpressionMistake("a list must contain only constants", word.offset)
            self._check(subject, "is", word)
        return AnyOf(tuple(Comparison(subject, "is", word.value) for word in words))

    def contains(self, word: Operand, right: Operand) -> Condition:
        """Build `"word" in right`."""
        if not right.is_subject:
            raise ExpressionMistake("`in` must be followed by the name of a list", right.offset)
        if word.is_subject:
            raise ExpressionMistake(
                '`in` needs constants on one side: "h2" in clients, kind in ["sse", "grpc"]',
                right.offset,
            )
        found = Comparison(right.value, "contains_any", [word.value])
        message = self.check_operand(right.value, "contains_any", found.operand, word.written)
        _refuse(message, right.offset)
        return found

    def matches(self, left: Operand, pattern: Operand) -> Condition:
        """Build `matches(left, pattern)`."""
        if not left.is_subject:
            raise ExpressionMistake("the first argument of matches must be a name", left.offset)
        self._check(left.value, "matches", pattern)
        return Comparison(left.value, "matches", pattern.value)

    def _check(self, subject: str, operator: str, operand: Operand) -> None:
        if operand.is_subject:
            raise ExpressionMistake("expected a constant", operand.offset)
        message = self.check_operand(subject, operator, operand.value, operand.written)
        _refuse(message, operand.offset)


def _subject(left: Operand) -> str:
    """The subject on the left of a comparison."""
    if not left.is_subject:
        raise ExpressionMistake(
            "a comparison must start with a name, or with text before `in`", left.offset
        )
    name: str = left.value
    return name


def _refuse(message: str | None, offset: int) -> None:
    if message is not None:
        raise ExpressionMistake(message, offset)
