"""Bound the search time of Python's `re`, which may backtrack without end.

A running search cannot be interrupted, so its cost is estimated first. The ways through a pattern
are counted for all subjects of a length: each quantifier and each alternative multiplies them, and
a quantifier around such a choice raises them to a power. If that gives too many, as for
`(?:[a-z]+/)*x`, a given subject may still have few of them: they are walked step by step in the
order of `re`, up to a limit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.problems import Unreadable

# A search with this many ways took 0.2 s at most.
MAX_WAYS = 20_000_000
# This many steps take a tenth of a second; `re` needs a hundredth of that.
_MAX_STEPS = 50_000
# A search with this many ways costs a run as much as one step.
_WAYS_A_STEP = 400
# Number of characters that take as long as one step: to parse and compile, or to count the ways.
_CHARACTERS_A_STEP = 2
_COUNTED_A_STEP = 4
# The parser of `re` itself, so that the result matches what will run.
_NEW = sys.version_info >= (3, 11)
_parser: Any = import_module("re._parser" if _NEW else "sre_parse")
_compiler: Any = import_module("re._compiler" if _NEW else "sre_compile")

_MANY = _parser.MAXREPEAT
_CHARACTERS = (_parser.LITERAL, _parser.NOT_LITERAL, _parser.ANY, _parser.IN)
_REPEATS = (_parser.MAX_REPEAT, _parser.MIN_REPEAT)
_LOOKS = (_parser.ASSERT, _parser.ASSERT_NOT)
_BOUNDARIES = (_parser.AT_BOUNDARY, _parser.AT_NON_BOUNDARY)
_STARTS = (_parser.AT_BEGINNING, _parser.AT_BEGINNING_STRING)
_WORD = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


def can_search() -> bool:
    """Whether the run has steps left."""
    return in_force().left("regex_steps") > 0


def take_counting(length: int) -> None:
    """Spend the steps for counting the ways through a pattern of this many characters.

    Raises Unreadable if not enough steps are left.
    """
    in_force().spend("regex_steps", length // _COUNTED_A_STEP)


def parsed(pattern: str, flags: int = 0) -> Any:
    """Parse a pattern as `re` does: a list of operations with their arguments.

    Spends steps in proportion to its length. Raises the errors of `re.compile`, and Unreadable if
    not enough steps are left.
    """
    in_force().spend("regex_steps", len(pattern) // _CHARACTERS_A_STEP)
    return _parser.parse(pattern, flags)


def compiled(tree: Any) -> re.Pattern[str]:
    """Compile a parsed pattern, without adding it to the cache of `re`.

    Raises the errors of `re.compile`.
    """
    found: re.Pattern[str] = _compiler.compile(tree)
    return found


def ways(tree: Any, length: int) -> int:
    """Upper bound for the number of ways through a pattern in subjects of this length.

    Counting stops at `MAX_WAYS` + 1.
    """
    starts = 1 if _is_anchored(tree) else length + 1
    return min(starts * _ways(tree, length), MAX_WAYS + 1)


def _is_anchored(tree: Any) -> bool:
    """Whether a match can only begin at the start of the subject."""
    first = next(iter(tree), None)
    if first is None or first[0] is not _parser.AT:
        return False
    multiline = tree.state.flags & re.MULTILINE
    return first[1] in _STARTS and not multiline


def _ways(tree: Any, length: int) -> int:
    product = 1
    for operation, argument in tree:
        product = min(product * _choices(operation, argument, length), MAX_WAYS + 1)
    return product


def _choices(operation: Any, argument: Any, length: int) -> int:
    if operation is _parser.SUBPATTERN:
        return _ways(argument[3], length)
    if operation is _parser.BRANCH:
        return sum(_ways(one, length) for one in argument[1])
    if operation in _LOOKS:
        inside = _ways(argument[1], length)
        return inside if inside > 2 else 1  # `$` is a look-ahead, and cheap
    if operation not in _REPEATS:
        return 1
    least, most, inner = argument
    least = int(least)
    most = max(least, min(int(most), length))
    inside = _ways(inner, length)
    if inside == 1:
        return most - least + 1
    total = 0
    for times in range(least, most + 1):
        total += inside**times
        if total > MAX_WAYS:
            break
    return total


def ends(tree: Any, subject: str) -> bool:
    """Whether a search of this subject ends soon, within the run's remaining steps.

    `tree` must come from `nginx.pcre`: classes of bytes, groups, references, look-around.
    """
    budget = in_force()
    try:
        number = ways(tree, len(subject))
        if number <= MAX_WAYS:
            budget.spend("regex_steps", number // _WAYS_A_STEP)
            return True
        most = min(_MAX_STEPS, budget.left("regex_steps"))
        walk = _Walk(subject, most)
        try:
            starts = range(len(subject) + 1)
            any(True for start in starts for _ in walk.sequence(tree, start, False))
        except (_TooLong, RecursionError):
            budget.spend("regex_steps", most if most == _MAX_STEPS else most + 1)
            return False
        budget.spend("regex_steps", most - walk.left)
    except Unreadable:
        return False
    return True


class _TooLong(Exception):
    pass


class _Walk:
    """Walk a subject as `re` does: generators yield the ends of matches in its order."""

    def __init__(self, subject: str, steps: int) -> None:
        self._subject = subject
        self.left = steps
        self._groups: dict[int, str] = {}

    def sequence(self, tree: Sequence[Any], offset: int, fold: bool) -> Iterator[int]:
        """Yield the ends of a sequence of operations; `fold` ignores case."""
        for index, (operation, argument) in enumerate(tree):
            if operation not in _CHARACTERS:
                for end in self._one(operation, argument, offset, fold):
                    yield from self.sequence(tree[index + 1 :], end, fold)
                return
            if not self._takes(operation, argument, offset):
                return
            offset += 1
        yield offset

    def _takes(self, operation: Any, argument: Any, offset: int) -> bool:
        """Whether an operation matches the character at an offset."""
        self.left -= 1
        if self.left < 0:
            raise _TooLong
        if offset >= len(self._subject):
            return False
        code = ord(self._subject[offset])
        if operation is _parser.IN:
            return any(
                code == wanted if kind is _parser.LITERAL else wanted[0] <= code <= wanted[1]
                for kind, wanted in argument
            )
        return operation is _parser.ANY or (code == argument) == (operation is _parser.LITERAL)

    def _one(self, operation: Any, argument: Any, offset: int, fold: bool) -> Iterator[int]:
        self.left -= 1
        if operation is _parser.SUBPATTERN:
            yield from self._group(argument, offset, fold)
        elif operation is _parser.BRANCH:
            for one in argument[1]:
                yield from self.sequence(one, offset, fold)
        elif operation in _REPEATS:
            yield from self._repeat(argument, offset, fold, operation is _parser.MAX_REPEAT)
        elif operation in _LOOKS:
            start = offset if argument[0] > 0 else offset - int(argument[1].getwidth()[0])
            found = start >= 0 and any(True for _ in self.sequence(argument[1], start, fold))
            if found == (operation is _parser.ASSERT):
                yield offset
        elif operation is _parser.GROUPREF:
            wanted = self._groups.get(argument)
            end = offset + len(wanted or "")
            there = self._subject[offset:end]
            if there == wanted or (fold and wanted and there.lower() == wanted.lower()):
                yield end
        elif self._is_at(argument, offset):
            yield offset

    def _group(self, argument: Any, offset: int, fold: bool) -> Iterator[int]:
        number, added, _, inner = argument
        before = self._groups.get(number)
        for end in self.sequence(inner, offset, fold or bool(added & re.IGNORECASE)):
            self._groups[number] = self._subject[offset:end]
            yield end
            if before is not None:
                self._groups[number] = before

    def _repeat(self, argument: Any, offset: int, fold: bool, greedy: bool) -> Iterator[int]:
        least, most, inner = argument
        if len(inner) == 1 and inner[0][0] in _CHARACTERS:
            end = offset
            while end - offset < most and self._takes(inner[0][0], inner[0][1], end):
                end += 1
            first = offset + int(least)
            yield from range(end, first - 1, -1) if greedy else range(first, end + 1)
            return
        if not greedy and least <= 0:
            yield offset
        if most > 0:
            for end in self.sequence(inner, offset, fold):
                if end > offset or least > 0:
                    rest = (max(0, int(least) - 1), most if most == _MANY else most - 1, inner)
                    yield from self._repeat(rest, end, fold, greedy)
                else:
                    yield offset  # nothing was consumed, so a repetition would not end
        if greedy and least <= 0:
            yield offset

    def _is_at(self, place: Any, offset: int) -> bool:
        if place in _STARTS:
            return offset == 0
        if place is _parser.AT_END_STRING:
            return offset == len(self._subject)
        if place not in _BOUNDARIES:
            raise _TooLong  # `nginx.pcre` writes no other operation
        around = (
            self._subject[offset - 1 : offset] if offset else "",
            self._subject[offset : offset + 1],
        )
        before, after = (one in _WORD if one else False for one in around)
        return (before != after) == (place is _parser.AT_BOUNDARY)
