"""Lines of a source with stretches of them underlined, as compilers show them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import click

from nginx_stream_lint.config import Source
from nginx_stream_lint.rules.finding import Place
from nginx_stream_lint.util.sinks import printable

_TAB = 4
_WIDTH = 84  # of a line of source; longer ones are cut around what is underlined
_ELLIPSIS = "..."


class Mark(NamedTuple):
    """A place to underline: with `^` and a colour where it is the `main` one, else with `-`."""

    place: Place
    main: bool = False
    words: str = ""
    colour: str | None = None


# A mark with the line and the column it begins at.
_Placed = tuple[Mark, int, int]


def excerpt(marks: Sequence[Mark], home: Source) -> list[str]:
    """The lines of some places, file by file and in their order, with ANSI colours.

    Files other than `home` are named above their lines.
    """
    placed = [(mark, *mark.place.source.position(mark.place.start)) for mark in marks]
    width = len(str(max([line for _, line, _ in placed])))
    by_file: dict[str, list[_Placed]] = {}
    for one in placed if len(placed) == 1 else sorted(placed, key=lambda one: not one[0].main):
        by_file.setdefault(one[0].place.source.name, []).append(one)
    lines: list[str] = []
    for name, inside in by_file.items():
        if name != home.name:
            lines.append(f"{' ' * width} {_dim('-->')} {printable(name)}")
        lines += _file(inside, width)
    return lines


def _file(marks: list[_Placed], width: int) -> list[str]:
    if len(marks) == 1:
        mark, line, _ = marks[0]
        text = mark.place.source.line_text(line)
        return _line(line, text, marks, _indentation(text), width)
    by_line: dict[int, list[_Placed]] = {}
    for one in sorted(marks, key=lambda one: one[0].place.start):
        by_line.setdefault(one[1], []).append(one)
    texts = {line: own[-1][0].place.source.line_text(line) for line, own in by_line.items()}
    shift = min([_indentation(text) for text in texts.values()])
    return [
        shown
        for line, own in by_line.items()
        for shown in _line(line, texts[line], own, shift, width)
    ]


def _line(line: int, text: str, marks: Sequence[_Placed], shift: int, width: int) -> list[str]:
    """A line by its number, without `shift` columns, and below it what is marked there."""
    shown, spans = _fitted(text, marks, shift)
    lines = [f"{line:>{width}} {_BAR} {shown}"]
    for (mark, _, _), (start, end) in zip(marks, spans, strict=True):
        drawn = ("^" if mark.main else "-") * max(1, end - start)
        words = printable(mark.words)
        before = f"{' ' * width} {_BAR} {' ' * start}"
        if words and end + len(words) < _WIDTH:
            drawn, words = f"{drawn} {words}", ""
        lines.append(before + styled(drawn, mark.colour, mark.main))
        if words:
            lines.append(before + styled(words, mark.colour))
    return lines


def styled(text: str, colour: str | None = None, bold: bool | None = None) -> str:
    """Text as `click.style` makes it, which puts the same sequences together anew each time."""
    return f"{_codes(colour, bold)}{text}{_RESET}"


def _indentation(text: str) -> int:
    expanded = text.expandtabs(_TAB)
    return len(expanded) - len(expanded.lstrip())


def _fitted(text: str, marks: Sequence[_Placed], shift: int) -> tuple[str, list[tuple[int, int]]]:
    """A line as it is shown, and the columns on the screen of what is marked in it."""
    length = len(text.rstrip())
    spans: list[tuple[int, int]] = []
    for mark, _, column in marks:
        start = column - 1
        end = start + mark.place.end - mark.place.start
        spans.append((start, end if end <= length else max(start, length)))
    shown = text
    if not (text.isascii() and text.isprintable()):
        shown = text.expandtabs(_TAB)
        if shown.isascii() and shown.isprintable():
            spans = [
                (len(text[:start].expandtabs(_TAB)), len(text[:end].expandtabs(_TAB)))
                for start, end in spans
            ]
        else:
            shown, columns = _on_screen(text)
            spans = [(columns[start], columns[end]) for start, end in spans]
    on_screen = [(start - shift, end - shift) for start, end in spans]
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


def _on_screen(text: str) -> tuple[str, list[int]]:
    """A line of any characters on the screen, and the column of each, and of its end."""
    cells: list[str] = []
    columns: list[int] = []
    at = 0
    for character in text:
        cell = " " * (_TAB - at % _TAB) if character == "\t" else printable(character)
        columns.append(at)
        cells.append(cell)
        at += _cells(cell)
    columns.append(at)
    return "".join(cells), columns


def _cells(text: str) -> int:
    """How many columns of a terminal a text takes."""
    import unicodedata

    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)


@cache
def _codes(colour: str | None, bold: bool | None) -> str:
    return click.style("", fg=colour, bold=bold, reset=False)


def _dim(text: str) -> str:
    return styled(text, "blue")


_RESET = click.style("")
_BAR = _dim("|")
