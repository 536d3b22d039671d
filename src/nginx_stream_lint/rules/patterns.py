"""Regular expressions of rule files: only those with bounded search time.

The ways through a pattern are counted when a rule is read (`util/backtracking.py`). What may have
too many is refused, and so is what cannot be counted. Subjects are short.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

from nginx_stream_lint.util.backtracking import MAX_WAYS, parsed, ways

_MAX_PATTERN = 200  # characters
MAX_SUBJECT = 256  # characters; what is longer is unknown
# What a quantifier may count to: no more can be in a subject.
_MAX_COUNT = MAX_SUBJECT

_ATOMS = {"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}


class _UnsafePattern(Exception):
    pass


def mistake(pattern: str) -> str | None:
    """What is wrong with a regular expression; None if nothing is."""
    if len(pattern) > _MAX_PATTERN:
        return f"a regular expression must have at most {_MAX_PATTERN} characters"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            tree = parsed(pattern)
            re.compile(pattern)
        _look_through(tree)
        if ways(tree, MAX_SUBJECT) > MAX_WAYS:
            raise _UnsafePattern("it may take too long; use fewer quantifiers and alternatives")
    except (re.error, Warning, RecursionError, OverflowError) as error:
        return f"not a valid regular expression: {error}"
    except _UnsafePattern as refused:
        return f"this regular expression is not allowed: {refused}"
    return None


def finds(pattern: str, subject: str) -> bool | None:
    """Whether a pattern is found in a subject; None where that is too long to say."""
    if len(subject) > MAX_SUBJECT:
        return None
    return _compiled(pattern).search(subject) is not None


@lru_cache(1024)  # by the rules, not by what is checked
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _look_through(tree: Any) -> None:
    """Refuse what a rule's pattern may not have."""
    for code, argument in tree:
        operation = str(code)
        if operation == "SUBPATTERN":
            _look_through(argument[3])
        elif operation == "BRANCH":
            for one in argument[1]:
                _look_through(one)
        elif operation in _REPEATS:
            least, most, inner = argument
            if least > _MAX_COUNT or (most > _MAX_COUNT and str(most) != "MAXREPEAT"):
                raise _UnsafePattern(f"it repeats more than {_MAX_COUNT} times")
            if inner.getwidth()[0] == 0:
                raise _UnsafePattern("it repeats something that may be empty")
            _look_through(inner)
        elif operation not in _ATOMS:
            raise _UnsafePattern(
                "only characters, classes, groups, alternatives and quantifiers are allowed; no"
                " look-around, no references"
            )
