"""TOML with positions: `tomllib` reads the values, a scan finds their positions."""

from __future__ import annotations

import re
import sys
from bisect import bisect_right
from itertools import accumulate
from typing import Any

from nginx_stream_lint.settings.node import Kind, Misplaced, Node
from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.remembering import latest_remembered

# The keys and item numbers that lead to a value.
_Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:\\.|[^"\\])*"|'[^']*'""")
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\])*"'
    r"|'[^']*'",
    re.DOTALL,
)
# Strings and comments, to skip, and the characters that form the structure.
_SHAPE = re.compile(
    r'#[^\n]*|"""(?:\\.|[^\\])*?"{3,5}(?!")'
    r"|'''.*?'{3,5}(?!')"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'|[][{}.=,]",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\r\n]*")


def toml_node(text: str) -> Node:
    """Parse a TOML text to a tree. Raises Misplaced."""
    _bounded(text)
    values = _values(text)
    return _node(text, values, (), _Scan(text).places)


def _bounded(text: str) -> None:
    """Refuse text that `tomllib` cannot parse safely. Raises Misplaced.

    A key with 20,000 dots takes 2.4 GB, and each bracket is a level of recursion.
    """
    limits = in_force().limits
    depth = parts = row = 0
    for match in _SHAPE.finditer(text):
        sign = match[0]
        if sign[0] in "\"'#":
            continue
        row = row + 1 if sign == "." else 0
        depth += (sign in "[{") - (sign in "]}")
        parts += 1
        if max(depth, row) > limits.toml_depth:
            message = f"it is nested deeper than {limits.toml_depth} levels"
            raise Misplaced(message, *_position(text, match.start()))
        if parts > limits.toml_parts:
            message = f"there are more than {limits.toml_parts:,} keys and values"
            raise Misplaced(message, *_position(text, match.start()))


def _values(text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _mistake(str(error), text) from None
    except ValueError:
        raise Misplaced("an invalid number or date", 1, 1) from None
    except RecursionError:
        raise Misplaced("the values are nested too deeply", 1, 1) from None


def _mistake(said: str, text: str) -> Misplaced:
    """Convert an error of tomllib, whose message ends with the position."""
    message, _, where = said.rpartition(" (at ")
    place = re.fullmatch(r"line (\d+), column (\d+)\)", where)
    if place is not None:
        return Misplaced(f"cannot be read as TOML: {message}", int(place[1]), int(place[2]))
    if where == "end of document)":
        return Misplaced(f"cannot be read as TOML: {message}", *_position(text, len(text)))
    return Misplaced(f"cannot be read as TOML: {said}", 1, 1)


def _position(text: str, offset: int) -> tuple[int, int]:
    """Line and column (from 1) of an offset."""
    starts = _line_starts(text)
    line = bisect_right(starts, offset)
    return line, offset - starts[line - 1] + 1


@latest_remembered(2)
def _line_starts(text: str) -> list[int]:
    return list(accumulate((len(line) + 1 for line in text.split("\n")), initial=0))[:-1]


def _node(text: str, value: Any, path: _Path, places: dict[_Path, tuple[int, int]]) -> Node:
    line, column = _position(text, places[path][1])

    def child(name: str | int) -> Node:
        return _node(text, value[name], (*path, name), places)

    def key(name: str) -> Node:
        return Node("text", name, *_position(text, places[(*path, name)][0]))

    if isinstance(value, dict):
        return Node(
            "mapping",
            "",
            line,
            column,
            mapping_pairs=lambda: [(key(name), child(name)) for name in value],
        )
    if isinstance(value, list):
        return Node(
            "list",
            "",
            line,
            column,
            list_items=lambda: [child(number) for number in range(len(value))],
        )
    if isinstance(value, bool):
        return Node("flag", str(value).lower(), line, column)
    if isinstance(value, str):
        return Node("text", value, line, column)
    kind: Kind = "number" if isinstance(value, int | float) else "other"
    try:
        return Node(kind, str(value), line, column)
    except ValueError:  # thousands of digits, written in base 16
        raise Misplaced("a number that is too large", line, column) from None


class _Scan:
    """Find the start of keys and values in a text that tomllib has parsed.

    `places` are the offsets of a key and of its value by the path to it; a table begins with its
    header. The text is known to be valid TOML.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[_Path, tuple[int, int]] = {(): (0, 0)}
        self._tables: dict[_Path, int] = {}  # count, by the path of their array
        table: _Path = ()
        self._blank()
        while self.at < len(text):
            if text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._blank()

    def _blank(self) -> None:
        """Skip white space and comments."""
        self.at = self._match(_BLANK).end()

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        assert match is not None, f"tomllib has read what is not TOML at {self.at}"
        return match

    def _header(self) -> _Path:
        """Read `[a.b]` or `[[a.b]]`: the path of the table that begins."""
        start = self.at
        brackets = 2 if self.text.startswith("[[", start) else 1
        self.at += brackets
        names = self._names()
        self.at += brackets
        path: _Path = ()
        for number, (name, offset) in enumerate(names, 1):
            path = (*path, name)
            self.places.setdefault(path, (offset, start))
            if number == len(names) and brackets == 2:
                self._tables[path] = self._tables.get(path, 0) + 1
            if path in self._tables:
                path = (*path, self._tables[path] - 1)
                self.places.setdefault(path, (start, start))
        return path

    def _names(self) -> list[tuple[str, int]]:
        """Read a dotted key: its names with their offsets; stops after the blanks that follow."""
        names: list[tuple[str, int]] = []
        while True:
            self._blank()
            match = self._match(_KEY)
            word = match[0]
            name = next(iter(_values(f"{word} = 0"))) if word[0] in "\"'" else word
            names.append((name, self.at))
            self.at = match.end()
            self._blank()
            if self.text[self.at] != ".":
                return names
            self.at += 1

    def _pair(self, path: _Path) -> None:
        names = self._names()
        self.at += 1  # the `=`
        self._blank()
        for name, offset in names:
            path = (*path, name)
            self.places.setdefault(path, (offset, self.at))
        self._value(path)

    def _value(self, path: _Path) -> None:
        first = self.text[self.at]
        if first in "\"'":
            self.at = self._match(_STRING).end()
        elif first == "[":
            self.at += 1
            number = 0
            while self._more("]"):
                item = (*path, number)
                self.places[item] = (self.at, self.at)
                self._value(item)
                number += 1
        elif first == "{":
            self.at += 1
            while self._more("}"):
                self._pair(path)
        else:
            self.at = self._match(_SCALAR).end()

    def _more(self, end: str) -> bool:
        """Whether another item follows before `end`, which is consumed."""
        self._blank()
        if self.text[self.at] == ",":
            self.at += 1
            self._blank()
        if self.text[self.at] == end:
            self.at += 1
            return False
        return True
