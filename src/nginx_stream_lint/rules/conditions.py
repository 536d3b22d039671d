"""Evaluate conditions over subjects.

A rule file writes a condition as an expression (`expressions.py`), or as mappings:

    value("<family>_buffering") == "on" and not stalled_clients

    all:
      - <family>_buffering: {is: "on"}
      - not: {stalled_clients: {is_set: true}}

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
