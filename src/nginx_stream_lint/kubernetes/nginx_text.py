"""Build nginx text with the source place of every token."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from nginx_stream_lint.config.mapped_text import PLACEHOLDER, SourceMapping
from nginx_stream_lint.kubernetes.manifest import Scalar, Span

# A part of an argument: plain text, text with a place, or a word of the source.
Part: TypeAlias = str | tuple[str, Span] | Scalar
Arg: TypeAlias = Part | list[Part]
# A part of a text, with the mappings of its offsets to the source.
TextPart: TypeAlias = tuple[str, list[SourceMapping]]

# Unquoted words that are unambiguous; a # would begin a comment.
_WORD = (
    r"""(?:"[^"\\]*(?:\\.[^"\\]*)*"|'[^'\\]*(?:\\.[^'\\]*)*'"""
    r"""|(?:[^\s;{}"'\#\\]|\\.|\$\{)(?:[^\s;{}\\]|\\.|\$\{|(?<=\w)\})*)"""
)
_WORDS = re.compile(rf"\s*(?:{_WORD}\s+)*(?:{_WORD})?\s*", re.DOTALL)
_NEEDS_QUOTES = re.compile(r"""[\s;{}"'#]|\A\Z""")


class TooLong(Exception):
    """A text has grown beyond its limit."""


class NginxText:
    """nginx text that grows line by line.

    Generated text has an empty span, `nowhere`. Raises TooLong above `most` characters.
    """

    def __init__(self, nowhere: int, most: int | None = None) -> None:
        self.pieces: list[SourceMapping] = []
        self._nowhere = Span(nowhere, nowhere)
        self._parts: list[str] = []
        self._length = 0
        self._most = most
        self._depth = 0

    def __len__(self) -> int:
        return self._length

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def line(self, name: str, *args: Arg, at: Span | None = None) -> None:
        """Write a directive that is generated from the source's text `at` a position."""
        if at is None and all(type(arg) is str for arg in args):
            words = " ".join((name, *args))  # type: ignore[arg-type]
            self._put(f"{'    ' * self._depth}{words};\n", None)
            return
        end = self._head(name, args, at, at)
        self._put(";", None if end is None else Span(end, end))
        self._add("\n")

    def open(self, name: str, *args: Arg, at: Span | None = None) -> None:
        """Write the head of a block that begins at the same place as `at`."""
        start = None if at is None else Span(at.start, at.start)
        end = self._head(name, args, start, at if all(isinstance(a, str) for a in args) else None)
        self._add(" ")
        self._put("{", None if end is None else Span(end, end))
        self._add("\n")
        self._depth += 1

    def close(self, span: Span | None = None) -> None:
        """Write the end of a block that ends at the same place as `span`."""
        self._depth -= 1
        self._add("    " * self._depth)
        self._put("}", None if span is None else Span(max(span.start, span.end - 1), span.end))
        self._add("\n")

    def once(self, written: dict[str, TextPart], key: str, write: Callable[[], None]) -> None:
        """Append the lines of `write`, or a copy of the lines it wrote for the same key before."""
        known = written.get(key)
        if known is not None:
            self._copy(*known)
            return
        first, number, start = len(self._parts), len(self.pieces), self._length
        write()
        if number and self.pieces[number - 1].end > start:
            number -= 1  # the mapping of generated text that began before
        pieces = [
            SourceMapping(max(at - start, 0), end - start, *span)
            for at, end, *span in self.pieces[number:]
        ]
        written[key] = "".join(self._parts[first:]), pieces

    def _copy(self, text: str, pieces: list[SourceMapping]) -> None:
        start = self._length
        if pieces and self.pieces and pieces[0][2:] == self.pieces[-1][2:] == self._nowhere:
            before = self.pieces.pop()
            self.pieces.append(before._replace(end=pieces[0].end + start))
            pieces = pieces[1:]
        self.pieces += [SourceMapping(at + start, end + start, *span) for at, end, *span in pieces]
        self._add(text)

    def lines(self, texts: Iterable[tuple[str, Span]]) -> None:
        """Append nginx text from the source, line by line."""
        for text, span in texts:
            self._add("    " * self._depth)
            self._put(text, span)
            if text.strip(f"{PLACEHOLDER} \t") == "" and PLACEHOLDER in text:
                self._add(";")  # possibly complete statements
            self._add("\n")

    def raw(self, text: str) -> None:
        """Append generated nginx text, one directive a line."""
        for line in text.strip().splitlines():
            stripped = line.strip()
            self._depth -= stripped.startswith("}")
            self._add("    " * self._depth)
            tokens = re.findall(r"\"[^\"]*\"|'[^']*'|[^\s;{}]+|[;{}]", stripped)
            self._put(" ".join(tokens).replace(" ;", ";"), None)
            self._depth += stripped.endswith("{")
            self._add("\n")

    def _head(
        self, name: str, args: Sequence[Arg], at: Span | None, plain: Span | None
    ) -> int | None:
        """Write a name and arguments; plain text has the place `plain`. Returns the last place."""
        self._add("    " * self._depth)
        self._put(name, at)
        last = at.end if at is not None else None
        for arg in args:
            self._add(" ")
            for part in arg if isinstance(arg, list) else _whole(arg):
                if isinstance(part, str):
                    self._put(part, plain or (None if last is None else Span(last, last)))
                    continue
                text, span = (part.text, part.span) if isinstance(part, Scalar) else part
                self._put(text, span)
                last = span.end
        return last

    def _put(self, text: str, span: Span | None) -> None:
        start, end = span or self._nowhere
        if not text:
            return
        at, length = self._length, self._length + len(text)
        if span is None and self.pieces and self.pieces[-1][2:] == self._nowhere:
            at = self.pieces.pop()[0]  # there are many of them, all with the same place
        self.pieces.append(SourceMapping(at, length, start, end))
        self._add(text)

    def _add(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
        if self._most is not None and self._length > self._most:
            raise TooLong


def _whole(part: Part) -> list[Part]:
    """Escape a part so that it stays within its statement, even if untrusted."""
    if isinstance(part, str):
        return [part]
    text, span = (part.text, part.span) if isinstance(part, Scalar) else part
    if _WORDS.fullmatch(text):
        return [part]
    if PLACEHOLDER in text:
        return [(PLACEHOLDER, span)]  # the controller's result would be unknown
    inside = in_quotes("", part)
    return inside if isinstance(inside, list) else [inside]


def quoted(part: Part) -> Arg:
    """Convert a part to one argument of nginx, quoted if necessary."""
    text = part if isinstance(part, str) else part.text if isinstance(part, Scalar) else part[0]
    if not _NEEDS_QUOTES.search(text):
        return part
    return in_quotes("", part)


def in_quotes(before: str, part: Part, after: str = "") -> Arg:
    """Quote a part with text before and after it, as templates write `"^{{ path }}"`."""
    if isinstance(part, str):
        return f'"{before}{escaped(part)}{after}"'
    text, span = (part.text, part.span) if isinstance(part, Scalar) else part
    inner: Part = part if escaped(text) == text else (escaped(text), span)
    start, end = Span(span.start, span.start), Span(span.end, span.end)
    return [(f'"{before}', start), inner, (f'{after}"', end)]


def escaped(text: str) -> str:
    """Escape text for double quotes; inner backslashes stay."""
    return re.sub(r'((?<!\\)(?:\\\\)*)("|\\\Z)', r"\1\\\2", text)
