"""Regular expressions of rule files: only those that cannot search for ever.

Python's `re` tries one way through a pattern after the other, and cannot be interrupted. So the
ways are counted when a rule is read: each quantifier and each alternative multiplies them, a
quantifier around such a choice raises them to a power. What may have too many is refused, and so is
what cannot be counted. Subjects are short.
"""

from __future__ import annotations

import re
import sys
import warnings
from functools import cache
from importlib import import_module
from typing import Any

_MAX_PATTERN = 200  # characters
MAX_SUBJECT = 256  # characters; what is longer is unknown
# Searches of so many ways were seen to take 0.2 s at most.
_MAX_WAYS = 20_000_000
# What a quantifier may count to: no more can be in a subject.
_MAX_COUNT = MAX_SUBJECT

_ATOMS = {"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}

# The parser of `re` itself: what it reads is what will run.
_parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


class _Refused(Exception):
    pass


def mistake(pattern: str) -> str | None:
    """What is wrong with a regular expression; None if nothing is."""
    if len(pattern) > _MAX_PATTERN:
        return f"a regular expression has at most {_MAX_PATTERN} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = _parser.parse(pattern)
            re.compile(pattern)
        starts = 1 if _is_anchored(tree) else MAX_SUBJECT + 1
        if starts * _ways(tree) > _MAX_WAYS:
            raise _Refused("it may search for ever; use fewer quantifiers and alternatives")
    except (re.error, Warning, RecursionError, OverflowError) as error:
        return f"no regular expression: {error}"
    except _Refused as refused:
        return f"a regular expression that is not allowed: {refused}"
    return None


def finds(pattern: str, subject: str) -> bool | None:
    """Whether a pattern is found in a subject; None where that is too long to say."""
    if len(subject) > MAX_SUBJECT:
        return None
    return _compiled(pattern).search(subject) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _is_anchored(tree: Any) -> bool:
    """Whether a match can only begin where the subject does."""
    first = next(iter(tree), None)
    multiline = tree.state.flags & re.MULTILINE
    return first is not None and str(first[0]) == "AT" and _begins(first[1]) and not multiline


def _begins(position: Any) -> bool:
    return str(position) in ("AT_BEGINNING", "AT_BEGINNING_STRING")


def _ways(tree: Any) -> int:
    """How many ways there are at most through a pattern, from one place of a subject."""
    ways = 1
    for operation, argument in tree:
        ways = min(ways * _choices(str(operation), argument), _MAX_WAYS + 1)
    return ways


def _choices(operation: str, argument: Any) -> int:
    if operation in _ATOMS:
        return 1
    if operation == "SUBPATTERN":
        return _ways(argument[3])
    if operation == "BRANCH":
        return sum(map(_ways, argument[1]))
    if operation in _REPEATS:
        least, most, inner = argument
        if least > _MAX_COUNT or (most > _MAX_COUNT and str(most) != "MAXREPEAT"):
            raise _Refused(f"it counts beyond {_MAX_COUNT}")
        if inner.getwidth()[0] == 0:
            raise _Refused("a quantifier is around something that may be empty")
        least, most, inside = int(least), min(int(most), _MAX_COUNT), _ways(inner)
        if inside == 1:
            return most - least + 1
        total = 0
        for times in range(least, most + 1):
            total += inside**times
            if total > _MAX_WAYS:
                break
        return total
    raise _Refused(
        "it may have characters, classes, groups, alternatives and quantifiers;"
        " no look-around, no references"
    )
