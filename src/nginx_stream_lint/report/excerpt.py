"""Excerpts of a source with underlined spans, in the style of compilers."""

from __future__ import annotations

from collections.abc import Sequence

import click
from msgspec import Struct

from nginx_stream_lint.config import Source
from nginx_stream_lint.report.wrapping import WIDTH
from nginx_stream_lint.rules.finding import Place
from nginx_stream_lint.util.escaping import printable
from nginx_stream_lint.util.remembering import latest_remembered

_TAB = 4
# Columns around a line of source: its number, the bar, and the marks for omitted text.
_MARGIN = 12
_NARROWEST = 20
_ELLIPSIS = "..."
# In a longer line, only the part around the underlined text is processed. Otherwise a line with a
# thousand places would be processed a thousand times.
_LONG = 1_000
_BEFORE, _BEHIND = 20, 2 * WIDTH


class Mark(Struct, frozen=True):
    """A place to underline: the `main` one with `^` and a colour, others with `-`."""

    place: Place
    main: bool = False
    words: str = ""
    colour: str | None = None


# A mark with the line and the column of its start.
_Placed = tuple[Mark, int, int]


def excerpt(marks: Sequence[Mark], home: Source, columns: int = WIDTH) -> list[str]:
    """Render the source lines of some places, file by file, with ANSI colours.

    Files other than `home` are named above their lines. Lines that do not fit into `columns` are
    cut around the underlined text.
    """
    room = max(columns - _MARGIN, _NARROWEST)
    placed = [(mark, *mark.place.source.position(mark.place.start)) for mark in marks]
    width = len(str(max([line for _, line, _ in placed])))
    by_file: dict[str, list[_Placed]] = {}
    for one in placed if len(placed) == 1 else sorted(placed, key=lambda one: not one[0].main):
        by_file.setdefault(one[0].place.source.name, []).append(one)
    lines: list[str] = []
    for name, inside in by_file.items():
        if name != home.name:
            lines.append(f"{' ' * width} {click.style('-->', fg='blue')} {printable(name)}")
        lines += _file(inside, width, room)
    return lines


def _file(marks: list[_Placed], width: int, room: int) -> list[str]:
    if len(marks) == 1:
        line = marks[0][1]
        text, marks, shift = _part(line, marks, room)
        return _line(line, text, marks, shift or 0, width, room)
    by_line: dict[int, list[_Placed]] = {}
    for one in sorted(marks, key=lambda one: one[0].place.start):
        by_line.setdefault(one[1], []).append(one)
    parts = {line: _part(line, own, room) for line, own in by_line.items()}
    shift = min([one for _, _, one in parts.values() if one is not None], default=0)
    return [
        shown
        for line, (text, own, indentation) in parts.items()
        for shown in _line(line, text, own, 0 if indentation is None else shift, width, room)
    ]


def _part(line: int, marks: list[_Placed], room: int) -> tuple[str, list[_Placed], int | None]:
    """The visible part of a line, its marks with shifted positions, and its indentation.

    The indentation is None for a part from the middle of a long line.
    """
    source = marks[-1][0].place.source
    start, end = source.line_span(line)
    begin = 0
    if end - start > _LONG:
        first = marks[0][2] - 1
        if first + marks[0][0].place.end - marks[0][0].place.start > room:
            begin = max(0, first - _BEFORE)
        end = min(end, start + first + _BEHIND)
    text = source.text[start + begin : end].rstrip("\r")
    if not begin:
        return text, marks, _indentation(text)
    return text, [(mark, line, column - begin) for mark, line, column in marks], None


def _line(
    line: int, text: str, marks: Sequence[_Placed], shift: int, width: int, room: int
) -> list[str]:
    """Render a line with its number, without its first `shift` columns, and the marks below it."""
    shown, spans = _fitted(text, marks, shift, room)
    lines = [f"{line:>{width}} {_BAR} {shown}"]
    for (mark, _, _), (start, end) in zip(marks, spans, strict=True):
        drawn = ("^" if mark.main else "-") * max(1, end - start)
        words = printable(mark.words)
        before = f"{' ' * width} {_BAR} {' ' * start}"
        if words and end + len(words) < room:
            drawn, words = f"{drawn} {words}", ""
        lines.append(before + click.style(drawn, fg=mark.colour, bold=mark.main))
        if words:
            before = f"{' ' * width} {_BAR} {' ' * max(0, min(start, room - len(words)))}"
            lines.append(before + click.style(words, fg=mark.colour))
    return lines


def _indentation(text: str) -> int:
    expanded = text.expandtabs(_TAB)
    return len(expanded) - len(expanded.lstrip())


def _fitted(
    text: str, marks: Sequence[_Placed], shift: int, room: int
) -> tuple[str, list[tuple[int, int]]]:
    """A line as shown, and the screen columns of its marks."""
    length = len(text.rstrip())
    spans: list[tuple[int, int]] = []
    for mark, _, column in marks:
        start = min(column - 1, len(text))
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
    if len(shown) <= room:
        return shown, on_screen
    # If the first mark would not be visible from the line's start, begin shortly before it.
    first = 0 if max(end for _, end in on_screen) <= room else max(0, on_screen[0][0] - 8)
    cut = shown[first : first + room]
    lead = _ELLIPSIS if first else ""
    tail = _ELLIPSIS if first + room < len(shown) else ""
    limit = len(lead) + room
    moved = [
        (min(start - first + len(lead), limit), min(end - first + len(lead), limit))
        for start, end in on_screen
    ]
    return f"{lead}{cut}{tail}", moved


def _on_screen(text: str) -> tuple[str, list[int]]:
    """Any line as shown on a screen, and the column of each character and of the end."""
    cells: list[str] = []
    columns: list[int] = []
    at = 0
    for character in text:
        cell, width = _cell(character)
        if character == "\t":
            width = _TAB - at % _TAB
            cell = " " * width
        columns.append(at)
        cells.append(cell)
        at += width
    columns.append(at)
    return "".join(cells), columns


@latest_remembered(1024)
def _cell(character: str) -> tuple[str, int]:
    """A character as shown, and its width in terminal columns."""
    import unicodedata

    text = printable(character)
    wide = sum(unicodedata.east_asian_width(one) in "WF" for one in text)
    return text, len(text) + wide - sum(unicodedata.combining(one) > 0 for one in text)


_BAR = click.style("|", fg="blue")
