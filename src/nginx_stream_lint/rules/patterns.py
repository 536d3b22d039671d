"""Regular expressions of rule files: only those with bounded search time.

When a rule is read, the number of ways to match each pattern is counted (`util/backtracking.py`). A
pattern is refused if it has too many or if they cannot be counted. Subjects are short.
"""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import Any

_MAX_PATTERN = 200  # characters
MAX_SUBJECT = 256  # characters; a longer subject is unknown
# Upper limit of a quantifier: subjects are no longer than this.
_MAX_COUNT = MAX_SUBJECT

_ATOMS = {"LITERAL", "NOT_LITERAL", "ANY", "IN", "AT"}
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}


class _UnsafePattern(Exception):
    pass


def mistake(pattern: str) -> str | None:
    """Return what is wrong with a regular expression; None if nothing is."""
    from nginx_stream_lint.util.backtracking import MAX_WAYS, parsed, ways

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
    """Search a pattern in a subject; None if the subject is too long."""
    if len(subject) > MAX_SUBJECT:
        return None
    return _compiled(pattern).search(subject) is not None


@lru_cache(1024)  # rules have few patterns, whatever the checked files contain
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


def _look_through(tree: Any) -> None:
    """Refuse constructs that patterns of rules may not use."""
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
