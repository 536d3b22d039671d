"""Detect whether a text is a template: most are not, and skip the other modules of this folder."""

from __future__ import annotations

import re

from nginx_stream_lint.config.templates.dialects import DIALECTS, GENERIC_SUFFIXES


def _any_of(expressions: list[str]) -> str:
    return "|".join(dict.fromkeys(expressions))


# Expressions for the suffixes of templates, and the openings of tags.
SUFFIXES = _any_of([*GENERIC_SUFFIXES, *(one for dialect in DIALECTS for one in dialect.suffixes)])
OPENINGS = tuple(dict.fromkeys(syntax.opening for dialect in DIALECTS for syntax in dialect.tags))
_NAME = re.compile(rf"\.(?:{SUFFIXES})\b[^/\\]*$", re.IGNORECASE)
_SIGNS = _any_of([sign for dialect in DIALECTS for sign in dialect.signs])
_OUTSIDE_COMMENTS = _any_of(
    [sign for dialect in DIALECTS for sign in dialect.signs_outside_comments]
)
# Most texts have neither, and are searched only once.
_ANY = re.compile(f"{_SIGNS}|{_OUTSIDE_COMMENTS}")

_LONGEST_LINE = 1000  # handwritten lines are shorter before their comment


def has_template_name(name: str) -> bool:
    """Whether a file has the name of a template."""
    return _NAME.search(name) is not None


def may_be_template(text: str) -> bool:
    """Whether a text has a sign of a template dialect."""
    if _ANY.search(text) is None:
        return False
    return re.search(_SIGNS, text) is not None or has_markers(text)


def has_markers(text: str) -> bool:
    """Whether a text has, outside comments, a sign that is common in comments."""
    for match in re.finditer(_OUTSIDE_COMMENTS, text):
        start = match.start()
        line = text.rfind("\n", max(0, start - _LONGEST_LINE), start) + 1
        if "#" not in text[line:start]:
            return True
    return False
