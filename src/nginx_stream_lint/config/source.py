"""A file's text exactly as it is on disk, what nginx gets to see of it, and the way back."""

from __future__ import annotations

import os
import re
import stat
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, Protocol

from nginx_stream_lint.config.problems import Absent, NotAFile, Problem, Unreadable
from nginx_stream_lint.util.lazily import dataclass, regex
from nginx_stream_lint.util.sinks import MARKS, printable

# No configuration is this large; a device or a data file included by mistake is.
MAX_BYTES = 64 * 1024 * 1024

# To find the start of each line pays for whoever asks for more places than this.
_FEW = 20

_CHUNK = 64 * 1024  # bytes

# nginx reads bytes. Decoding this way loses none: what is not UTF-8 is written back as it was.
ENCODING = "utf-8"
ERRORS = "surrogateescape"


@dataclass(eq=False)
class Source:
    """The text of one file.

    `name` is the path as it is shown to people, `text` the decoded content with its line ends
    untouched. Offsets are in characters from the start of `text`. `on_disk` is false for what came
    some other way: standard input, a dump of another machine's files. `is_yaml` tells that its
    nginx text stands in YAML.
    """

    name: str
    text: str
    on_disk: bool = True
    is_yaml: bool = False

    _asked = 0  # how many places somebody asked for
    _last = (0, 1)  # the offset of the last one, and its line

    @cached_property
    def _line_starts(self) -> list[int]:
        # Only LF ends a line for nginx; a lone CR is white space.
        lengths = map(len, self.text.split("\n"))
        return list(accumulate(map((1).__add__, lengths), initial=0))[:-1]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column (both from 1, the column in characters) of the offset."""
        self._asked += 1
        if self._asked < _FEW:
            at, line = self._last
            line += self.text.count("\n", at, offset) - self.text.count("\n", offset, at)
            self._last = offset, line
            return line, offset - self.text.rfind("\n", 0, offset)
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def offset(self, line: int, column: int) -> int:
        """The offset of a line and column (both from 1), or the nearest that there is."""
        starts = self._line_starts
        return min(starts[min(line, len(starts)) - 1] + column - 1, len(self.text))

    def line_text(self, line: int) -> str:
        """The text of a line (from 1) without its line end."""
        start = self._line_starts[line - 1]
        end = self.text.find("\n", start)
        return self.text[start : len(self.text) if end < 0 else end].rstrip("\r")

    def problem(self, offset: int, message: str, advice: str) -> Problem:
        """A problem at an offset of this file."""
        line, column = self.position(offset)
        return Problem(self.name, line, column, printable(message), advice)


# A character of a placeholder: nobody knows what will stand there.
HOLE = MARKS[0]
_END_OF_HOLE = MARKS[1]
# A character of the source that nginx does not get to see, such as an escape of the outer language.
FILLER = "\ufdd2"

_HOLES = regex(f"{HOLE}+")


# Stretches of a source, (start, end) each.
Regions = tuple[tuple[int, int], ...]


class Piece(NamedTuple):
    """A stretch of a reading's text, and the stretch of the source that it stands for.

    Offsets are in characters. Where both are of one length they correspond one to one; otherwise
    the one as a whole stands for the other as a whole.
    """

    start: int
    end: int
    source_start: int
    source_end: int


class Change(NamedTuple):
    """Replace `[start, end)` of a source by `text`; what is not safe needs the user's word."""

    start: int
    end: int
    text: str
    is_safe: bool = True


class Author(Protocol):
    """Who makes nginx text of a source that is none: a controller that reads Kubernetes' YAML.

    What it adds of its own, such as its defaults, has a place without extent in the source.
    `by_class` tells that only a class's name says that it is this author, `assumed` that nothing
    does. Comments in the stretch `notes` are about all locations. `region` is all that is read.
    """

    @property
    def name(self) -> str: ...
    @property
    def by_class(self) -> bool: ...
    @property
    def assumed(self) -> bool: ...
    @property
    def notes(self) -> tuple[int, int]: ...
    @property
    def region(self) -> tuple[int, int]: ...

    def line(self, name: str, value: str) -> str:
        """A directive as people write it in the source."""

    def others(self, offset: int) -> list[str]:
        """The paths that settings for the location at an offset would change as well."""

    def changes(self, settings: Sequence[tuple[str, str]], offset: int) -> list[Change] | None:
        """How to give directives values at a location that begins at an offset of the source.

        None where nobody can say: then it is for people to do.
        """


@dataclass(eq=False, slots=True)
class Reading:
    """What nginx gets to see of a source: of a template, of a block in a YAML file, of it all.

    Placeholders are runs of `HOLE`, what is not nginx's is blank. `pieces`, in order, tell where
    the text comes from; without any, text and source have the same offsets. `conditional` are
    regions of the source, in order of their starts and perhaps nested, that are there under a
    condition, or several times. `problems` are what could not be read on the way to this text.
    `read_only` tells that nginx text cannot simply be put into the source, as in a YAML string with
    escapes.
    `author` is who made the text, where the source is not nginx's.
    """

    source: Source
    text: str
    pieces: tuple[Piece, ...] = ()
    conditional: Regions = ()
    problems: tuple[Problem, ...] = ()
    read_only: bool = False
    author: Author | None = None

    @property
    def region(self) -> tuple[int, int]:
        """The stretch of the source that the text comes from, or that its author reads."""
        if self.author is not None:
            return self.author.region
        if not self.pieces:
            return 0, len(self.source.text)
        return self.pieces[0].source_start, self.pieces[-1].source_end

    def source_span(self, start: int, end: int) -> tuple[int, int]:
        """Where in the source a stretch of the text comes from."""
        if not self.pieces:
            return start, end
        first = self._piece(start)
        last = self._piece(max(start, end - 1))
        begin, stop = first.source_start, last.source_end
        if first.end - first.start == first.source_end - first.source_start:
            begin += start - first.start
        if last.end - last.start == last.source_end - last.source_start:
            stop -= last.end - end
        size = len(self.source.text)  # what is put in behind it takes no room
        return min(begin, size), min(max(begin, stop), size)

    def _piece(self, offset: int) -> Piece:
        at = bisect_right(self.pieces, offset, key=lambda piece: piece.start)
        return self.pieces[max(at - 1, 0)]

    def problem(self, offset: int, message: str, advice: str) -> Problem:
        """A problem at an offset of the text, placed in the source."""
        return self.source.problem(self.source_span(offset, offset)[0], message, advice)

    def filled(self, start: int, end: int) -> str:
        """A stretch of the text, with holes as they are written in the source, and marked."""

        def fill(hole: re.Match[str]) -> str:
            begin, stop = self.source_span(start + hole.start(), start + hole.end())
            return f"{HOLE}{self.source.text[begin:stop]}{_END_OF_HOLE}"

        return _HOLES.sub(fill, self.text[start:end]).replace(FILLER, "")


def has_hole(text: str) -> bool:
    """Whether a word has a placeholder in it: its value is unknown."""
    return HOLE in text


def without_marks(text: str) -> str:
    """Text for people: placeholders as they are written."""
    if HOLE not in text:
        return text
    return text.replace(HOLE, "").replace(_END_OF_HOLE, "")


def load(path: str) -> Source:
    """Read a configuration file.

    Raises `NotAFile` for what is no regular file (devices, FIFOs and sockets are not opened: they
    may never end) and for what the system refuses, `Unreadable` as `decode` does.
    """

    def refuse(message: str, advice: str) -> NotAFile:
        return NotAFile(Problem(path, 1, 1, message, advice))

    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            if stat.S_ISDIR(status.st_mode):
                raise refuse("is a folder", "name the configuration file in it")
            if os.path.samefile(path, os.devnull):
                return Source(path, "")  # as good as an empty file to nginx, and used as one
            raise refuse("is not a regular file", "name a configuration file")
        if status.st_size > MAX_BYTES:
            raise _too_large(path)
        with open(path, "rb", buffering=0) as stream:
            # Room is made for as much as is asked for, and nearly all files are small.
            data = more = stream.read(min(status.st_size, MAX_BYTES) + 1)
            while more and len(data) <= MAX_BYTES:
                more = stream.read(_CHUNK)
                data += more
    except FileNotFoundError:
        raise Absent(Problem(path, 1, 1, "no such file", "check the path")) from None
    except PermissionError:
        raise refuse("permission denied", "make the file readable") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(f"cannot be read ({reason})", "check the path") from None
    return decode(path, data)


def _too_large(name: str) -> Unreadable:
    message = f"is larger than {MAX_BYTES // (1024 * 1024)} MB"
    return Unreadable(Problem(name, 1, 1, message, "split the file; nothing in it was checked"))


def decode(name: str, data: bytes) -> Source:
    """The source for a file's bytes.

    Raises `Unreadable` where nginx would read something else than a person sees: a byte order mark,
    UTF-16, NUL bytes, or more than `MAX_BYTES`.
    """

    def refuse(offset: int, message: str, advice: str) -> Unreadable:
        line = data.count(b"\n", 0, offset) + 1
        before = data[data.rfind(b"\n", 0, offset) + 1 : offset]
        column = len(before.decode(ENCODING, ERRORS)) + 1
        return Unreadable(Problem(name, line, column, message, advice))

    if len(data) > MAX_BYTES:
        raise _too_large(name)
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise refuse(0, "is UTF-16, which nginx cannot read", "save the file as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        raise refuse(
            0,
            "starts with a byte order mark, to nginx a part of the first directive's name",
            "save the file as UTF-8 without BOM",
        )
    nul = data.find(b"\0")
    if nul >= 0:
        raise refuse(nul, "has a NUL byte: binary or UTF-16", "save the file as UTF-8 text")
    return Source(name, data.decode(ENCODING, ERRORS))
