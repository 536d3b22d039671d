"""A file's text exactly as it is on disk, with offsets to lines and columns and back."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import cached_property
from itertools import accumulate

from msgspec import Struct

from nginx_stream_lint.util.escaping import MARKS, printable
from nginx_stream_lint.util.problems import Problem, Unreadable

# With more lookups than this, an index of line starts is faster.
_FEW = 20
_BLOCK = 1024  # characters whose bytes are counted at once

# nginx reads bytes. This decoding is lossless: invalid UTF-8 is written back unchanged.
ENCODING = "utf-8"
ERRORS = "surrogateescape"

# A character of the source that nginx does not see, such as an escape of the outer language.
FILLER = "\ufdd2"
# If a file contains one of these itself, its bytes are kept like invalid UTF-8.
_OWN = {ord(mark): mark.encode().decode("ascii", ERRORS) for mark in (*MARKS, FILLER)}
_INDENTED = r"\{[^\n]*\n([ \t]+)\S"
_OWN_START = b"\xef\xb7"
_BYTE_ORDER_MARK = "\ufeff"


class Source(Struct, eq=False, dict=True):
    """The text of one file.

    `name` is the displayed path, `text` the decoded content with its original line ends. Offsets
    are in characters from the start of `text`. `on_disk` is false for other origins: standard
    input, a dump of another machine's files. `key` identifies the file in its workspace, whatever
    the path to it; see `Workspace.key`. `is_yaml`: its nginx text is embedded in YAML.
    `is_from_image`: it comes with a container's image and is no file of the repository.
    `byte_order_mark` is the one before `text` in the file, or empty: editors neither show nor count
    it. nginx refuses it, YAML and Markdown allow it.
    """

    name: str
    text: str
    on_disk: bool = True
    key: str = ""
    is_yaml: bool = False
    is_from_image: bool = False
    byte_order_mark: str = ""

    _asked: int = 0  # number of position lookups
    _last: tuple[int, int] = (0, 1)  # the offset of the last one, and its line

    @cached_property
    def _line_starts(self) -> list[int]:
        # Only LF ends a line for nginx; a lone CR is white space.
        lengths = map(len, self.text.split("\n"))
        return list(accumulate(map((1).__add__, lengths), initial=0))[:-1]

    @cached_property
    def indentation(self) -> str:
        """The indentation of blocks in this text; four blanks if it has none."""
        match = re.search(_INDENTED, self.text)
        return match[1] if match else "    "

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (both from 1, the column in characters) of the offset."""
        if self._is_seldom_asked():
            at, line = self._last
            line += self.text.count("\n", at, offset) - self.text.count("\n", offset, at)
            self._last = offset, line
            return line, offset - self.text.rfind("\n", 0, offset)
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def _is_seldom_asked(self) -> bool:
        """Whether searching is quicker than an index of lines; counts the lookups."""
        self._asked += 1
        return self._asked < _FEW

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column (both from 1), or the nearest existing one."""
        starts = self._line_starts
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(self.text))

    @property
    def lines(self) -> int:
        """The number of lines."""
        return len(self._line_starts)

    def line_span(self, line: int) -> tuple[int, int]:
        """The offsets at which a line (from 1) begins and ends, without its LF."""
        starts = self._line_starts
        return starts[line - 1], starts[line] - 1 if line < len(starts) else len(self.text)

    def line_start(self, offset: int) -> int:
        """The offset at which the line of another offset begins."""
        if self._is_seldom_asked():
            return self.text.rfind("\n", 0, offset) + 1
        return self._line_starts[bisect_right(self._line_starts, offset) - 1]

    def line_end(self, offset: int) -> int:
        """The offset at which the line of another offset ends, without its LF."""
        if self._is_seldom_asked():
            found = self.text.find("\n", offset)
            return len(self.text) if found < 0 else found
        return self.line_span(bisect_right(self._line_starts, offset))[1]

    def blanks_before(self, offset: int) -> tuple[int, bool]:
        """The start of the white space before an offset, and whether its line starts there."""
        at, start = offset, self.line_start(offset)
        while at > start and self.text[at - 1].isspace():
            at -= 1
        return at, at == start

    def blanks_behind(self, offset: int) -> tuple[int, bool]:
        """The end of the white space right after an offset, and whether its line ends there.

        The line end itself is excluded.
        """
        at, end = offset, self.line_end(offset)
        while at < end and self.text[at].isspace():
            at += 1
        return at, at == end

    def removal(self, start: int, end: int) -> tuple[int, int]:
        """The span to remove with `[start, end)`: also the line or the blanks around it.

        The whole line if nothing else is on it, otherwise the blanks before it, or those after the
        first word on its line.
        """
        before, is_first = self.blanks_before(start)
        behind, is_last = self.blanks_behind(end)
        if is_first and is_last:
            return before, min(behind + 1, len(self.text))  # with the end of the line
        if is_first:
            return start, behind - len(self.text[end:behind].lstrip(" \t"))
        return before + len(self.text[before:start].rstrip(" \t")), end

    def bytes_before(self, offset: int) -> int:
        """The number of UTF-8 bytes in the text before an offset."""
        if self.text.isascii():
            return offset
        at = offset // _BLOCK
        return self._block_bytes[at] + _bytes(self.text[at * _BLOCK : offset])

    @cached_property
    def _block_bytes(self) -> list[int]:
        blocks = range(0, len(self.text), _BLOCK)
        sizes = (_bytes(self.text[at : at + _BLOCK]) for at in blocks)
        return list(accumulate(sizes, initial=0))

    def problem(self, offset: int, message: str, advice: str) -> Problem:
        """A problem at an offset of this file."""
        line, column = self.position(offset)
        return Problem(self.name, line, column, printable(message), advice)


def _bytes(text: str) -> int:
    return len(text.encode(ENCODING, ERRORS))


def decode(name: str, data: bytes) -> Source:
    """Decode a file's bytes.

    Raises `Unreadable` if nginx would read another text than editors show: UTF-16, or NUL bytes.
    """

    def refuse(offset: int, message: str, advice: str) -> Unreadable:
        line = data.count(b"\n", 0, offset) + 1
        before = data[data.rfind(b"\n", 0, offset) + 1 : offset]
        column = len(before.decode(ENCODING, ERRORS)) + 1
        return Unreadable(Problem(name, line, column, message, advice))

    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(0, "is UTF-16, which nginx cannot read", "save the file as UTF-8")
    mark = _BYTE_ORDER_MARK if data.startswith(_BYTE_ORDER_MARK.encode()) else ""
    data = data.removeprefix(mark.encode())
    nul = data.find(b"\0")
    if nul >= 0:
        raise refuse(
            nul, "contains a NUL byte; it is binary or UTF-16", "save the file as UTF-8 text"
        )
    text = data.decode(ENCODING, ERRORS)
    text = text.translate(_OWN) if _OWN_START in data else text
    return Source(name, text, byte_order_mark=mark)
