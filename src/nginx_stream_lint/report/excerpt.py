"""Lines of a source with stretches of them underlined, as compilers show them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import click

from nginx_stream_lint.config import Source
from nginx_stream_lint.config.problems import printable
from nginx_stream_lint.rules.finding import Place

_TAB = 4
_WIDTH = 84  # of a line of source; longer ones are cut around what is underlined
_ELLIPSIS = "..."


@dataclass(frozen=True, slots=True)
class Mark:
    """A place to underline: with `^` and a colour where it is the `main` one, else with `-`."""

    place: Place
    main: bool = False
    words: str = ""
    colour: str | None = None


def excerpt(marks: Sequence[Mark], home: Source) -> Iterator[str]:
    """The lines of some places, file by file and in their order, with ANSI colours.

    Files other than `home` are named above their lines.
    """
    width = max(len(str(mark.place.line)) for mark in marks)
    by_file: dict[str, list[Mark]] = {}
    for mark in sorted(marks, key=lambda one: not one.main):
        by_file.setdefault(mark.place.source.name, []).append(mark)
    for name, inside in by_file.items():
        if inside[0].place.source.name != home.name:
            yield f"{' ' * width} {_dim('-->')} {printable(name)}"
        yield from _file(sorted(inside, key=lambda one: one.place.start), width)


def _file(marks: Sequence[Mark], width: int) -> Iterator[str]:
    lines = {mark.place.line: mark.place.source.line_text(mark.place.line) for mark in marks}
    shift = min(_indentation(text) for text in lines.values())
    for line, text in lines.items():
        own = [mark for mark in marks if mark.place.line == line]
        shown, spans = _fitted(text, [_columns(mark, text) for mark in own], shift)
        yield f"{line:>{width}} {_dim('|')} {shown}"
        for mark, (start, end) in zip(own, spans, strict=True):
            drawn = ("^" if mark.main else "-") * max(1, end - start)
            words = printable(mark.words)
            margin = f"{' ' * width} {_dim('|')} {' ' * start}"
            if words and end + len(words) < _WIDTH:
                drawn, words = f"{drawn} {words}", ""
            yield margin + click.style(drawn, fg=mark.colour, bold=mark.main)
            if words:
                yield margin + click.style(words, fg=mark.colour)


def _columns(mark: Mark, text: str) -> tuple[int, int]:
    """Where a place starts and ends in its first line, in characters from 0."""
    start = mark.place.column - 1
    return start, min(start + mark.place.end - mark.place.start, len(text.rstrip()))


def _indentation(text: str) -> int:
    expanded = text.expandtabs(_TAB)
    return len(expanded) - len(expanded.lstrip())


def _fitted(
    text: str, spans: Sequence[tuple[int, int]], shift: int
) -> tuple[str, list[tuple[int, int]]]:
    """A line as it is shown, and the columns on the screen of some stretches of it."""
    cells: list[str] = []
    columns: list[int] = []  # on the screen, of each character
    at = 0
    for character in text:
        cell = " " * (_TAB - at % _TAB) if character == "\t" else printable(character)
        columns.append(at)
        cells.append(cell)
        at += _cells(cell)
    columns.append(at)
    shown = "".join(cells)
    on_screen = [(columns[start] - shift, columns[max(start, end)] - shift) for start, end in spans]
    shown = shown[shift:].rstrip()
    if len(shown) <= _WIDTH:
        return shown, on_screen
    # Begin a little before the first stretch where the line's start would not show all of it.
    first = 0 if max(end for _, end in on_screen) <= _WIDTH else max(0, on_screen[0][0] - 8)
    cut = shown[first : first + _WIDTH]
    lead = _ELLIPSIS if first else ""
    tail = _ELLIPSIS if first + _WIDTH < len(shown) else ""
    limit = len(lead) + _WIDTH
    moved = [
        (min(start - first + len(lead), limit), min(end - first + len(lead), limit))
        for start, end in on_screen
    ]
    return f"{lead}{cut}{tail}", moved


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)


def _dim(text: str) -> str:
    return click.style(text, fg="blue")
