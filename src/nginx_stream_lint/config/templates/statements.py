"""The role of placeholders within nginx statements: a value, a statement, an omission."""

from __future__ import annotations

import re
from bisect import bisect_left

from msgspec import Struct, field

from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText
from nginx_stream_lint.config.templates.dialects import (
    ELISION,
    IN_ANGLES,
    IN_BRACKETS,
    IN_CAPITALS,
    LONGEST_MARKER,
)
from nginx_stream_lint.config.templates.overlay import Span
from nginx_stream_lint.config.tokens import TOKEN, lua_end
from nginx_stream_lint.util.problems import Problem

_ELISION = re.compile(ELISION)
_BRACKETS = re.compile(IN_BRACKETS)
_ANGLES = re.compile(IN_ANGLES)
_UPPER = re.compile(IN_CAPITALS, re.ASCII)
_PARTS = re.compile(r"[ _/.'-]+")

_REST_OF_LINE = re.compile(r"[ \t\r]*(?:\#[^\n]*)?(?:\n|\Z|(?=\}))")
_ENDS_BELOW = re.compile(r"[ \t\r\n]*(?:\#[^\n]*\n[ \t\r\n]*){0,3}[;{]")
_GOES_ON = re.compile(r"[ \t]*[^\s#}]")
_MORE_PLACEHOLDERS = re.compile(f"[ \\t]*({PLACEHOLDER}+)")
_PROSE = re.compile(r"[^;{}#\n]*")

# Directives with literal brackets and angles in their arguments.
_LITERAL = {"sub_filter", "subs_filter", "return", "rewrite", "if", "echo", "log_format"}
# Directives with literal names in capitals in their arguments.
_CAPITALS = re.compile(
    r"env$|ssl_|\w+_(?:param|set_header|hide_header|pass_header)$|add_|more_|set$"
)


class StatementScan(Struct):
    """Result of scanning a text's statements.

    `placeholders` are those that only the surrounding statement reveals; `ends` are the offsets of
    characters of placeholders that become the `;` of an unknown statement. `stops` are the
    offsets of all `;`, `{` and `}`, `braces` those of `{` (1) and `}` (-1), `words` the spans of
    all words, quoted or not, `quotes` the ends of quoted ones. `is_nginx`: some words end with `;`
    or `{`, which JSON does not have.
    """

    placeholders: list[Span] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    comments: list[Span] = field(default_factory=list)
    braces: list[tuple[int, int]] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    words: list[Span] = field(default_factory=list)
    quotes: set[int] = field(default_factory=set)
    is_nginx: bool = False

    def within(self, text: str, start: int, end: int) -> bool:
        """Whether a construct is a part of one statement, or of a quoted word."""
        if bisect_left(self.stops, start) != bisect_left(self.stops, end):
            return False
        first = bisect_left(self.words, (start,))
        if first and self.words[first - 1][1] >= end:
            return True
        if bisect_left(self.words, (end,)) == first:
            return False  # it contains no word
        stop = bisect_left(self.stops, start)
        begins = self.stops[stop - 1] if stop else -1
        if first and self.words[first - 1][0] > begins:
            return True
        return _GOES_ON.match(text, end) is not None or _goes_on_below(text, end, len(text))


def read(
    reading: MappedText, region: Span, placeholders: dict[int, int], *, is_template: bool
) -> StatementScan:
    """Scan the statements of a region in which known placeholders are already `PLACEHOLDER`.

    `placeholders` maps their starts to their ends. `is_template`: the file has the name of a
    template, so values in capitals are placeholders.
    """
    reader = _StatementReader(reading, region[1], placeholders, is_template)
    at = region[0]
    while at >= 0:
        at = reader.read_on(at)
    return reader.found


class _StatementReader:
    """Follows nginx's tokenizer; a placeholder with blanks spans more than one of its words."""

    def __init__(
        self, reading: MappedText, limit: int, placeholders: dict[int, int], is_template: bool
    ) -> None:
        self.reading = reading
        self.text = reading.text
        self.limit = limit
        self.placeholders = placeholders
        self.is_template = is_template
        self.found = StatementScan()
        self.words = 0  # in the current statement
        self.name = ""
        self.is_regex = False

    def read_on(self, offset: int) -> int:
        """Read tokens; returns the next offset, or -1 at the end."""
        found = self.found
        for match in TOKEN.finditer(self.text, offset, self.limit):
            kind = match.lastindex
            if kind == 1:
                start, end = match.span(1)
                resume = self._word(start, match[1])
                if resume > end or not self.words:
                    return resume
            elif kind == 2:
                start, end = match.span(2)
                found.stops.append(start)
                found.is_nginx = found.is_nginx or (self.words > 0 and match[2] != "}")
                if match[2] == "{" and self.words and self.name.endswith("_by_lua_block"):
                    end, problem = lua_end(self.reading, end)
                    self.words = 0
                    return min(end + 1, self.limit) if problem is None else -1
                if match[2] != ";":
                    found.braces.append((start, 1 if match[2] == "{" else -1))
                self.words = 0
            elif kind in (3, 4):
                start, end = match.span(kind)
                self.words += 1
                found.words.append((start - 1, end + 1))
                found.quotes.add(end + 1)
            elif kind == 5:
                found.comments.append(match.span(5))
        return -1

    def _word(self, start: int, word: str) -> int:
        """Process a word; returns its end, or that of the placeholder that starts in it."""
        if not self.words:
            end = self._unknown_statement(start)
            if end > start:
                return end
            self.name, self.is_regex = word, False
        self.words += 1
        end = start + len(word)
        for placeholder in self._values(start, word) if self.words > 1 else ():
            self.found.placeholders.append(placeholder)
            end = max(end, placeholder[1])
        self.found.words.append((start, end))
        self.is_regex = self.is_regex or word.startswith(("~", "!~"))
        return end

    def _unknown_statement(self, start: int) -> int:
        """The end of the unknown statement that starts here; `start` if there is none."""
        text, limit, found = self.text, self.limit, self.found
        message = ""
        if elision := _ELISION.match(text, start, limit):
            prose = _PROSE.match(text, start, limit)
            end = start + len(prose[0].rstrip() if prose else "")
            message = f'"{elision[0]}" stands for omitted lines'
        elif brackets := _BRACKETS.match(text, start, limit):
            end = brackets.end()
            message = f'"{brackets[0]}" is a placeholder'
        else:
            end = self._end_of_placeholders(start)
            if end == start and text[start] == "<":
                end = _end(_ANGLES.match(text, start, limit), start)
            elif end == start and self.is_template:
                end = _end(_UPPER.match(text, start, limit), start)
        is_alone = _REST_OF_LINE.match(text, end, limit) and not _goes_on_below(text, end, limit)
        if end == start or not is_alone:
            return start
        if message:
            found.problems.append(
                self.reading.problem(start, message, "write the lines out, or make this a comment")
            )
        if end - start == 1:  # there must be room for a name and a `;`
            if start and text[start - 1] in " \t":
                start -= 1
            elif text[end : end + 1] in (" ", "\t"):
                end += 1
        found.placeholders.append((start, end))
        found.ends.append(end - 1)
        found.stops.append(end - 1)
        found.words.append((start, end - 1))
        return end

    def _end_of_placeholders(self, start: int) -> int:
        """The end of the placeholders that start here and continue on the same line."""
        end = self.placeholders.get(start, start)
        while end > start and (more := _MORE_PLACEHOLDERS.match(self.text, end, self.limit)):
            end = max(self.placeholders.get(more.start(1), 0), more.end())
        return end

    def _values(self, start: int, word: str) -> list[Span]:
        """The placeholders in a word; the last one may extend beyond it."""
        if self.is_template and _UPPER.fullmatch(word) and not _CAPITALS.match(self.name):
            return [(start, start + len(word))]
        if self.name in _LITERAL:
            return []
        text, limit = self.text, self.limit
        if elision := _ELISION.match(text, start, limit):
            return [elision.span()]
        if word[0] == "[" and not self.is_regex:
            brackets = _BRACKETS.match(text, start, limit)
            parts = _PARTS.split(brackets[1].strip()) if brackets else []
            if brackets and all(len(part) > 1 and part.isalnum() for part in parts):
                return [brackets.span()]
        if "<" not in word:
            return []
        end = start + len(word)
        reach = min(text.find(">", end) + 1 or end, end + LONGEST_MARKER, limit)
        return [one.span() for one in _ANGLES.finditer(text, start, reach) if one.start() < end]


def _end(match: re.Match[str] | None, otherwise: int) -> int:
    return match.end() if match else otherwise


def _goes_on_below(text: str, offset: int, limit: int) -> bool:
    return _ENDS_BELOW.match(text, offset, limit) is not None
