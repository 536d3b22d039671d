"""Placeholders that are told by their shape alone: variables of envsubst and shells, markers.

Whether a word within a statement is one needs the statement: that is `statements.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from nginx_stream_lint.config.source import Piece

# What gettext's envsubst replaces; and an elision without room for the `;` of an unknown statement.
_REPLACED = re.compile(
    r"\$(?:\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*))|^…$|(?<=\{)…(?=\})", re.ASCII | re.MULTILINE
)

# Every alternative starts with a character of its own: searching is several times faster so.
_MARKER = re.compile(
    r"""\$\$?(?:\{(?P<braced>_*[A-Z][A-Z0-9_]*)(?:[:?+=-][^}\n]{0,200})?\}
             |(?P<bare>_*[A-Z][A-Z0-9_]*)(?![A-Za-z0-9_]))
      | %%[A-Za-z][\w.-]*%%
      | @[A-Z][A-Z0-9_]*@
      | __(?=[a-z0-9]*[A-Z])[A-Za-z][A-Za-z0-9]*(?:_[A-Za-z0-9]+)*__
      | %\{[A-Za-z_][\w.:]*\}
      | \#(?<=[^\s;{}]\#)\{[A-Za-z_][\w.]*\}
    """,
    re.VERBOSE | re.ASCII,
)
# The same in a heredoc, where every variable that is not escaped is the shell's.
_SHELL = re.compile(
    r"""(?P<escape>\\(?=[$`\\\n]))
      | \$(?:\{[^}\n]{1,200}\}|[A-Za-z_]\w*|[0-9@*](?![\w)])|\([^()\n]*(?:\([^()\n]*\)[^()\n]*)*\))
      | `[^`\n]*`
    """,
    re.VERBOSE | re.ASCII,
)
_TERRAFORM = re.compile(r"\$\{[^}\n]{1,200}\}")

# In nginx a backslash does not keep a variable from being one, so nobody writes it before one.
_IS_SHELL = re.compile(r"""(?:^|[\s"'(:/=~,@])\\\$\{?[a-z]\w+""", re.ASCII)

# Where a configuration defines variables of its own.
_DEFINED = re.compile(
    r"""(?:^|[;{}])[ \t]*(?:set|[a-z]+_set|set_by_lua\w*|js_var)[ \t]+\$\{?(\w+)
      | (?:^|[;{}])[ \t]*(?:map|geo|split_clients)\b[^;{}]{0,300}\$\{?(\w+)\}?\s{0,80}\{
      | \(\?P?[<'](\w+)[>']
    """,
    re.VERBOSE | re.MULTILINE | re.ASCII,
)


class Found(NamedTuple):
    """Spans of placeholders in order, and offsets of escapes that nginx does not get to see."""

    spans: list[tuple[int, int]]
    escapes: list[int]


def substituted(text: str, values: Mapping[str, str]) -> tuple[str, tuple[Piece, ...]]:
    """The text with values in the place of their variables, as envsubst does, and its pieces.

    A `…` all by itself becomes `...`.
    """
    parts: list[str] = []
    pieces: list[Piece] = []
    at = length = 0

    def add(part: str, start: int, end: int) -> None:
        nonlocal length
        if end > start:
            parts.append(part)
            pieces.append(Piece(length, length + len(part), start, end))
            length += len(part)

    for start, end, value in _replacements(text, values):
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


def is_shell(text: str) -> bool:
    """Whether a text is the body of a shell's heredoc, where nginx's variables are escaped."""
    return "\\$" in text and _IS_SHELL.search(text) is not None


def find(text: str, *, shell: bool, terraform: bool) -> Found:
    """The placeholders of a text outside its tags."""
    spans: list[tuple[int, int]] = []
    escapes: list[int] = []
    defined: set[str] | None = None
    pattern = _MARKER
    if shell:
        pattern = re.compile(f"{_SHELL.pattern}|{_MARKER.pattern}", re.VERBOSE | re.ASCII)
    elif terraform:
        pattern = re.compile(f"{_TERRAFORM.pattern}|{_MARKER.pattern}", re.VERBOSE | re.ASCII)
    skip = 0
    for match in pattern.finditer(text):
        if match.start() < skip:
            continue
        if shell and match["escape"]:
            escapes.append(match.start())
            skip = match.end() + 1
            continue
        variable = match["braced"] or match["bare"]
        if variable:
            if defined is None:
                defined = _defined(text)
            if variable in defined:
                continue
        spans.append(match.span())
    return Found(spans, escapes)


def _defined(text: str) -> set[str]:
    """The variables that a configuration defines itself."""
    return {name for match in _DEFINED.finditer(text) for name in match.groups() if name}
