"""What placeholders are within nginx's statements: a value, a statement, something left out."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass, field

from nginx_stream_lint.config.problems import Problem
from nginx_stream_lint.config.source import HOLE, Reading
from nginx_stream_lint.config.templates.painting import Span
from nginx_stream_lint.config.tokens import TOKEN, lua_end

_ELISION = re.compile(r"(?:\.\.\.+|…|\[(?:\.\.\.|…)\]|<(?:\.\.\.|…)>|\((?:\.\.\.|…)\))(?![^\s;{}])")
_BRACKETS = re.compile(r"""\[([A-Za-z][^\[\]{};"'$\n\\^|*+?()]{1,80})\]""")
_ANGLES = re.compile(r"""(?<![?k])(?<!\?P)<[A-Za-z][^<>;{}"'$\n\\^|*+?()]{0,80}>""")
_UPPER = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", re.ASCII)
_PLACEHOLDER_PARTS = re.compile(r"[ _/.'-]+")

_REST_OF_LINE = re.compile(r"[ \t\r]*(?:\#[^\n]*)?(?:\n|\Z|(?=\}))")
_MORE_HOLES = re.compile(f"[ \\t]*({HOLE}+)")
_GOES_ON = re.compile(r"[ \t]*[^\s#}]")
_PROSE = re.compile(r"[^;{}#\n]*")

# Where text between brackets and angles is meant as it stands.
_LITERAL = {"sub_filter", "subs_filter", "return", "rewrite", "if", "echo", "log_format"}
# Where names in capitals are meant as they stand.
_CAPITALS = re.compile(
    r"env$|ssl_|\w+_(?:param|set_header|hide_header|pass_header)$|add_|more_|set$"
)

_LEFT_OUT = "write it out, or make it a comment"


@dataclass(slots=True)
class Statements:
    """What is known of a text's statements.

    `holes` are placeholders that only a statement's words tell, `ends` the offsets of those
    characters of placeholders that stand for the `;` of an unknown statement. `stops` are the
    offsets of all `;`, `{` and `}`, `braces` those of `{` (1) and `}` (-1), `words` the spans of
    all words, quoted or not.
    """

    holes: list[Span] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    comments: list[Span] = field(default_factory=list)
    braces: list[tuple[int, int]] = field(default_factory=list)
    stops: list[int] = field(default_factory=list)
    words: list[Span] = field(default_factory=list)

    def within(self, text: str, start: int, end: int) -> bool:
        """Whether a construct is a part of one statement, or of a quoted word."""
        if bisect_left(self.stops, start) != bisect_left(self.stops, end):
            return False
        first = bisect_left(self.words, (start,))
        if first and self.words[first - 1][1] >= end:
            return True
        if bisect_left(self.words, (end,)) == first:
            return False  # there is no word in it
        stop = bisect_left(self.stops, start)
        begins = self.stops[stop - 1] if stop else -1
        if first and self.words[first - 1][0] > begins:
            return True
        return _GOES_ON.match(text, end) is not None or _follows(text, end, len(text)) in (";", "{")


def read(
    reading: Reading, region: Span, placeholders: dict[int, int], *, is_template: bool
) -> Statements:
    """Read the statements of a region of a text whose placeholders are `HOLE` already.

    `placeholders` maps their starts to their ends. `is_template` tells that the file's name is a
    template's: there, values in capitals are placeholders.
    """
    text = reading.text
    found = Statements()
    words = 0  # of the statement being read
    name = ""
    is_regex = False
    at, limit = region
    while True:
        resume = -1
        for match in TOKEN.finditer(text, at, limit):
            kind = match.lastindex
            if kind == 1:
                start, end = match.span(1)
                word = match[1]
                if not words:
                    name, is_regex = word, False
                    end_of_unknown = _unknown_statement(
                        reading, start, limit, placeholders, found, is_template
                    )
                    if end_of_unknown > start:
                        resume = end_of_unknown
                        words = 0
                        break
                elif word in ("~", "~*") or word.startswith(("~", "!~")):
                    is_regex = True
                words += 1
                hole = _value(text, start, word, name, words, is_regex, is_template)
                found.words.append((start, max(end, hole[1])))
                if hole[1] > hole[0]:
                    found.holes.append(hole)
                    if hole[1] > end:
                        resume = hole[1]
                        break
            elif kind == 2:
                start, end = match.span(2)
                found.stops.append(start)
                if match[2] == "{":
                    if words and name.endswith("_by_lua_block"):
                        resume, problem = lua_end(reading, end)
                        resume = min(resume + 1, limit) if problem is None else limit
                        words = 0
                        break
                    found.braces.append((start, 1))
                elif match[2] == "}":
                    found.braces.append((start, -1))
                words = 0
            elif kind in (3, 4):
                start, end = match.span(kind)
                words += 1
                found.words.append((start - 1, end + 1))
            elif kind == 5:
                found.comments.append(match.span(5))
            elif kind == 6:
                break
        if resume < 0:
            return found
        at = resume


def _unknown_statement(
    reading: Reading,
    start: int,
    limit: int,
    placeholders: dict[int, int],
    found: Statements,
    is_template: bool,
) -> int:
    """Where the unknown statement that starts here ends; `start` where none does."""
    text = reading.text
    elision = _ELISION.match(text, start, limit)
    brackets = _BRACKETS.match(text, start, limit) if text[start] == "[" else None
    if elision:
        prose = _PROSE.match(text, start, limit)
        assert prose is not None  # it matches nothing, too
        end = start + len(prose[0].rstrip())
        found.problems.append(
            reading.problem(start, "stands for something that is left out", _LEFT_OUT)
        )
    elif brackets:
        end = brackets.end()
    elif text[start] in (HOLE, "<") or is_template:
        end = _end_of_holes(text, start, placeholders)
        if end == start:
            marker = _ANGLES.match(text, start, limit)
            if marker is None and is_template:
                marker = _UPPER.match(text, start, limit)
            end = marker.end() if marker else start
    else:
        end = start
    if end == start:
        return start
    if not _REST_OF_LINE.match(text, end, limit) or _follows(text, end, limit) in (";", "{"):
        if elision:
            found.holes.append((start, end))
        return start
    if brackets:
        found.problems.append(
            reading.problem(start, f'"{brackets[0]}" stands for something else', _LEFT_OUT)
        )
    if end - start == 1:  # there must be room for a name and a `;`
        if start and text[start - 1] in " \t":
            start -= 1
        elif text[end : end + 1] in (" ", "\t"):
            end += 1
    found.holes.append((start, end))
    found.ends.append(end - 1)
    found.stops.append(end - 1)
    found.words.append((start, end - 1))
    return end


def _end_of_holes(text: str, start: int, placeholders: dict[int, int]) -> int:
    """The end of the placeholders that start here and go on in the same line."""
    end = placeholders.get(start, start)
    while end > start:
        more = _MORE_HOLES.match(text, end)
        if not more or placeholders.get(more.start(1), end) <= end:
            break
        end = placeholders[more.start(1)]
    return end


_NEXT = re.compile(r"[ \t\r\n]*(?:\#[^\n]*\n[ \t\r\n]*){0,3}([;{])?")


def _follows(text: str, at: int, limit: int) -> str:
    match = _NEXT.match(text, at, limit)
    return (match[1] or "") if match else ""


def _value(
    text: str, start: int, word: str, name: str, words: int, is_regex: bool, is_template: bool
) -> Span:
    """The placeholder in a word, or one that starts with it; empty where there is none."""
    nothing = (start, start)
    if words == 1:
        return nothing
    if is_template and _UPPER.fullmatch(word) and not _CAPITALS.match(name):
        return start, start + len(word)
    if name in _LITERAL:
        return nothing
    elision = _ELISION.match(text, start)
    if elision:
        return elision.span()
    if "<" in word:
        marker = _ANGLES.search(text, start, start + len(word) + 82)
        if marker and marker.start() < start + len(word):
            return marker.span()
    if word[0] == "[" and not is_regex:
        marker = _BRACKETS.match(text, start)
        if marker and all(len(part) > 1 and part.isalnum() for part in _parts(marker[1])):
            return marker.span()
    return nothing


def _parts(text: str) -> list[str]:
    return _PLACEHOLDER_PARTS.split(text.strip())
