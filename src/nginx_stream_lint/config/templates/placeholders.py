"""Placeholders with an unambiguous form: variables of envsubst and shells, markers.

Other words are placeholders only in certain statements: see `statements.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from nginx_stream_lint.config.mapped_text import SourceMapping
from nginx_stream_lint.config.templates.dialects import DIALECTS, ENVSUBST_VARIABLE, Dialect

# Variables of envsubst; and an ellipsis, which leaves no room for the `;` of an unknown statement.
_REPLACED = re.compile(rf"{ENVSUBST_VARIABLE}|^…$|(?<=\{{)…(?=\}})", re.ASCII | re.MULTILINE)

# Characters that values may add to a file.
_MAX_INSERTED = 4 * 1024 * 1024

# Directives that define variables of the configuration.
_DEFINED = re.compile(
    r"""(?:^|[;{}])[ \t]*(?:set|[a-z]+_set|set_by_lua\w*|js_var)[ \t]+\$\{?(\w+)
      | (?:^|[;{}])[ \t]*(?:map|geo|split_clients)\b[^;{}]{0,300}\$\{?(\w+)\}?\s{0,80}\{
      | \(\?P?[<'](\w+)[>']
    """,
    re.VERBOSE | re.MULTILINE | re.ASCII,
)


class PlaceholderMatches(NamedTuple):
    """Spans of placeholders in order, and offsets of escapes that are removed before nginx."""

    spans: list[tuple[int, int]]
    escapes: list[int]


def substitute(text: str, values: Mapping[str, str]) -> tuple[str, tuple[SourceMapping, ...]]:
    """Insert values for their variables, as envsubst does; returns the text and its pieces.

    A standalone `…` becomes `...`. Variables stay as written once the text is too long.
    """
    parts: list[str] = []
    pieces: list[SourceMapping] = []
    at = length = 0

    def add(part: str, start: int, end: int) -> None:
        nonlocal length
        if end > start:
            parts.append(part)
            pieces.append(SourceMapping(length, length + len(part), start, end))
            length += len(part)

    for start, end, value in _replacements(text, values):
        if length + len(value) > len(text) + _MAX_INSERTED:
            break
        add(text[at:start], at, start)
        add(value, start, end)
        at = end
    if not pieces:
        return text, ()
    add(text[at:], at, len(text))
    return "".join(parts), tuple(pieces)


def _replacements(text: str, values: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    if not values and "…" not in text:
        return
    for match in _REPLACED.finditer(text):
        value = "..." if match[0] == "…" else values.get(match[1] or match[2])
        if value is not None:
            yield *match.span(), value


def recognised(text: str) -> list[Dialect]:
    """The dialects without tags that a text is written in."""
    return [
        dialect
        for dialect in DIALECTS
        if dialect.recognised_by
        and any(re.search(sign, text) for sign in dialect.signs)
        and re.search(dialect.recognised_by, text, re.ASCII)
    ]


def find(text: str, dialects: Iterable[Dialect]) -> PlaceholderMatches:
    """Find placeholders in a text outside of tags, for these recognized dialects."""
    spans: list[tuple[int, int]] = []
    escapes: list[int] = []
    defined: set[str] | None = None
    everywhere = [one for one in DIALECTS if not one.tags and not one.recognised_by]
    patterns = [one.placeholder for one in (*dialects, *everywhere) if one.placeholder]
    skip = 0
    for match in re.finditer("|".join(patterns), text, re.ASCII):
        if match.start() < skip:
            continue
        groups = match.groupdict()
        if groups.get("escape"):
            escapes.append(match.start())
            skip = match.end() + 1
            continue
        variable = groups.get("braced") or groups.get("bare")
        if variable:
            if defined is None:
                defined = _defined(text)
            if variable in defined:
                continue
        spans.append(match.span())
    return PlaceholderMatches(spans, escapes)


def _defined(text: str) -> set[str]:
    """The variables that a configuration defines itself."""
    return {name for match in _DEFINED.finditer(text) for name in match.groups() if name}
