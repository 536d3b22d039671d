"""Find tags of template languages by the records of `dialects.py`, and the parts they enclose.

Template engines process the text before nginx does, so a tag counts everywhere, also in quotes and
comments. Only the text and the file's name determine what is a tag, and its effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct, field

from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.templates.dialects import DIALECTS, Dialect, Kind, TagSyntax
from nginx_stream_lint.config.templates.overlay import Span, is_inside
from nginx_stream_lint.config.tokens import Statements, lua_end
from nginx_stream_lint.util.problems import Unreadable

# Limit for nested blocks if a text is tried as plain nginx text.
_DEEPEST = 64
_NEARBY = 500  # handwritten lines are shorter before their comment

_COMMENT = re.compile(r"(?:^|\s)#")
_LUA_BLOCK = re.compile(r"_by_lua_block\s*\{")
_STRINGS = {
    '"': re.compile(r'(?:[^"\\\n]|\\.)*"'),
    "'": re.compile(r"(?:[^'\\\n]|\\.)*'"),
    "`": re.compile(r"[^`]*`"),
}
# A string of a tag that is itself in a double-quoted string, such as of YAML.
_ESCAPED_STRING = re.compile(r'(?:[^"\\\n]|\\[^"])*\\"')


class Tag(NamedTuple):
    """One tag, from its first to after its last character; or one statement of a tag.

    `text` is the span of a comment's text, without the marks around it.
    """

    start: int
    end: int
    kind: Kind
    text: Span = (0, 0)


class TemplateBlock(Struct):
    """A construct with an end: offsets from its first to after its last tag.

    `branches` are the regions between its tags; `depth` is the number of enclosing blocks.
    """

    kind: Kind
    start: int
    depth: int
    end: int = 0
    branches: list[Span] = field(default_factory=list)


class Tags(NamedTuple):
    """The tags of a text in order, and its blocks in order of their starts.

    `unclosed` and `unopened` are the places of tags, or of blocks, without the other end.
    `dialects` are those that the text is written in.
    """

    dialects: list[Dialect]
    tags: list[Tag]
    blocks: list[TemplateBlock]
    unclosed: list[int]
    unopened: list[int]


def find(reading: MappedText, literal: list[Span]) -> Tags:
    """Find the tags of a text, except those that start in literal spans.

    Tags within Lua code count only if there are others outside.
    """
    dialects = _recognised(reading)
    if not dialects:
        return Tags([], [], [], [], [])
    finder = _Finder(reading.text, dialects)
    tags = finder.tags()
    return _paired(
        dialects,
        [tag for tag in tags if not is_inside(literal, tag.start)],
        [at for at in finder.unclosed if not is_inside(literal, at)],
    )


def is_nginx(reading: MappedText) -> bool:
    """Whether nginx's tokenizer accepts a text; then an apparently broken template is none."""
    found = Statements(reading, _DEEPEST)
    try:
        return all(not found.problems for _ in found) and not found.problems
    except Unreadable:
        return False


def _recognised(reading: MappedText) -> list[Dialect]:
    """The dialects with tags that a text is written in, by its name or by its tags.

    A tag that is only a comment is not enough if nginx accepts the text: in `server {# a #}` nginx
    sees a brace and a comment.
    """
    text = reading.text
    lua: list[Span] | None = None
    found: dict[str, Dialect] = {}
    by_comment: set[str] = set()
    for dialect in DIALECTS:
        if not dialect.tags or not any(syntax.opening in text for syntax in dialect.tags):
            continue
        if _has_name_of(dialect, reading.source.name):
            found[dialect.name] = dialect
            continue
        lua = lua_regions(reading) if lua is None else lua
        kinds = [syntax.kind for syntax in dialect.tags if _occurs(syntax, text, lua)]
        if kinds:
            found[dialect.name] = dialect
        if kinds and all(kind == "comment" for kind in kinds):
            by_comment.add(dialect.name)
    if by_comment and by_comment == found.keys() and is_nginx(reading):
        return []
    return list(found.values())


def _has_name_of(dialect: Dialect, name: str) -> bool:
    suffixes = "|".join(dialect.suffixes)
    return bool(suffixes) and re.search(rf"\.(?:{suffixes})\b[^/\\]*$", name, re.I) is not None


def _occurs(syntax: TagSyntax, text: str, lua: list[Span]) -> bool:
    """Whether a text has such a tag outside Lua and comments."""
    first = text.find(syntax.opening)
    if first < 0 or first > text.rfind(syntax.closing):
        return False
    return any(
        not is_inside(lua, match.start()) and not _in_comment(text, match.start())
        for match in re.finditer(syntax.evidence or syntax.start, text, re.ASCII)
    )


def _in_comment(text: str, offset: int) -> bool:
    """Whether a `#` before an offset in its line seems to begin a comment."""
    line = text[max(offset - _NEARBY, 0) : offset].rpartition("\n")[2]
    return _COMMENT.search(line) is not None


class _Finder:
    """Reads a text once from start to end."""

    def __init__(self, text: str, dialects: Iterable[Dialect]) -> None:
        self.text = text
        self.unclosed: list[int] = []
        # Strings of a kind that start before this offset are not closed on their line.
        self.open_until = {'"': 0, "'": 0, "`": 0}
        self.strings_hide_ends = True
        self.last: dict[str, int] = {}  # the last offsets of marks
        self.syntaxes: dict[str, list[TagSyntax]] = {}
        self.end_names: set[str] = set()
        for dialect in dialects:
            taken = set(self.syntaxes)
            for syntax in dialect.tags:
                if syntax.opening not in taken:
                    self.syntaxes.setdefault(syntax.opening, []).append(syntax)
                if syntax.end_names:
                    self.end_names.update(re.findall(syntax.end_names, text))

    def tags(self) -> list[Tag]:
        """All tags in order; a tag with several statements yields each."""
        found: list[Tag] = []
        openings = sorted(self.syntaxes, key=len, reverse=True)
        opening = re.compile("|".join(map(re.escape, openings)))
        at = 0
        while match := opening.search(self.text, at):
            at = match.start()
            syntax, tag = self._tag(match[0], at)
            if syntax is None or tag is None:
                at += 1
                continue
            found += _statements(syntax, tag, self.text)
            at = self._behind(syntax, tag)
        return found

    def _tag(self, opening: str, offset: int) -> tuple[TagSyntax | None, Tag | None]:
        """The tag that begins at an offset, if any, and its syntax."""
        for syntax in self.syntaxes[opening]:
            start = re.compile(syntax.start, re.ASCII).match(self.text, offset)
            if start is None:
                continue
            end = self._end(syntax, offset + len(opening), start.end())
            if end >= 0:
                content = self.text[offset + len(opening) : end - len(syntax.closing)]
                kind = syntax.kind
                if not isinstance(kind, str):
                    kind = kind(content, self.end_names)
                if kind != "comment":
                    return syntax, Tag(offset, end, kind)
                return syntax, Tag(offset, end, kind, self._text(syntax, start.end(), end))
            if syntax.must_close:
                self.unclosed.append(offset)
            break
        return None, None

    def _text(self, syntax: TagSyntax, start: int, end: int) -> Span:
        """The span of a comment's text, which begins at `start`; `end` is that of the comment."""
        text = self.text[start : end - len(syntax.closing)].rstrip(syntax.trims).rstrip()
        text = text.removesuffix(syntax.before_closing)
        return start, start + len(text)

    def _behind(self, syntax: TagSyntax, tag: Tag) -> int:
        """The offset at which the next tag may begin."""
        if syntax.verbatim is None:
            return tag.end
        begin, end = syntax.verbatim
        if not re.match(begin, self.text[tag.start : tag.end]):
            return tag.end
        closing = re.compile(end).search(self.text, tag.end)
        return closing.start() if closing else len(self.text)

    def _end(self, syntax: TagSyntax, offset: int, start_end: int) -> int:
        """The offset after the closing of a tag; -1 if there is none."""
        if syntax.before_closing:
            offset = max(self._find(syntax.before_closing, start_end), offset)
        if syntax.has_strings:
            return self._end_outside_strings(offset, syntax.closing)
        end = self._find(syntax.closing, offset)
        return end + len(syntax.closing) if end >= 0 else -1

    def _find(self, mark: str, offset: int) -> int:
        """The offset of a mark from an offset on; -1 if there is none, which is found out once."""
        if mark not in self.last:
            self.last[mark] = self.text.rfind(mark)
        return self.text.find(mark, offset) if offset <= self.last[mark] else -1

    def _end_outside_strings(self, offset: int, closing: str) -> int:
        text = self.text
        plain = self._find(closing, offset)
        if plain < 0 or not self.strings_hide_ends:
            return plain + len(closing) if plain >= 0 else -1
        interesting = re.compile(f"[\"'`]|{re.escape(closing)}")
        while match := interesting.search(text, offset):
            offset = match.end()
            quote = match[0]
            if quote == closing:
                return offset
            if match.start() < self.open_until[quote]:
                continue
            is_escaped = quote == '"' and text[match.start() - 1 : match.start()] == "\\"
            string = (_ESCAPED_STRING if is_escaped else _STRINGS[quote]).match(text, offset)
            if string:
                offset = string.end()
            else:
                line_end = text.find("\n", offset) if quote != "`" else -1
                self.open_until[quote] = line_end if line_end >= 0 else len(text)
        self.strings_hide_ends = False  # unpaired: do not search to the end each time
        return plain + len(closing)


def _statements(syntax: TagSyntax, tag: Tag, text: str) -> list[Tag]:
    """Split a tag into adjacent tags, one for each statement of its language."""
    written = text[tag.start : tag.end]
    if (
        syntax.statements is None
        or tag.kind in ("value", "comment")
        or "\n" not in written.strip(f"{syntax.opening}{syntax.closing}- \t\r\n")
    ):
        return [tag]
    found: list[Tag] = []
    start = tag.start
    for end, kind in syntax.statements(written):
        found.append(Tag(start, tag.start + end, kind))
        start = tag.start + end
    if not found:
        return [tag]
    found[-1] = found[-1]._replace(end=tag.end)
    return found


def _paired(dialects: list[Dialect], tags: list[Tag], unclosed: list[int]) -> Tags:
    blocks: list[TemplateBlock] = []
    unopened: list[int] = []
    stack: list[tuple[TemplateBlock, int]] = []
    for tag in tags:
        if tag.kind in ("if", "define", "group"):
            block = TemplateBlock(tag.kind, tag.start, len(stack))
            blocks.append(block)
            stack.append((block, tag.end))
        elif tag.kind in ("else", "end"):
            if not stack:
                unopened.append(tag.start)
                continue
            block, begin = stack.pop()
            block.branches.append((begin, tag.start))
            if tag.kind == "else":
                stack.append((block, tag.end))
            else:
                block.end = tag.end
    for block, begin in stack:
        unclosed.append(block.start)
        block.branches.append((begin, begin))
        block.end = begin
    return Tags(dialects, tags, blocks, sorted(unclosed), unopened)


def blocks_of(text: str, branches: Iterable[Span]) -> list[TemplateBlock]:
    """The conditions of a text whose branches are known: in order, outer ones first."""
    blocks: list[TemplateBlock] = []
    around: list[TemplateBlock] = []
    for start, end in branches:
        last: TemplateBlock | None = None
        while around and around[-1].end <= start:
            last = around.pop()
        if last is None or not _is_else(text[last.end : start]):
            last = TemplateBlock("if", start, len(around))
            blocks.append(last)
        last.branches.append((start, end))
        last.end = end
        around.append(last)
    return blocks


def _is_else(text: str) -> bool:
    """Whether a text is only a tag between two branches."""
    if len(text) > _NEARBY:
        return False
    tags = _Finder(text, _dialects_of_tag(text)).tags()
    return tags == [Tag(0, len(text), "else")]


def _dialects_of_tag(text: str) -> list[Dialect]:
    return [one for one in DIALECTS if any(_occurs(syntax, text, []) for syntax in one.tags)]


def lua_regions(reading: MappedText) -> list[Span]:
    """The spans of Lua code in a text, as far as known before templates are read."""
    text = reading.text
    regions: list[Span] = []
    at = 0
    while "_by_lua_block" in text and (match := _LUA_BLOCK.search(text, at)):
        at, _ = lua_end(reading, match.end())
        regions.append((match.end(), at))
    return regions
