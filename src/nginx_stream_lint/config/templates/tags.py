"""Template languages with tags: Jinja, Go, Handlebars, ERB, Terraform.

Their engines see the text before nginx does, so a tag counts wherever it stands, in quotes and
comments as well. What is a tag, and what it does, is told by the text alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple

from msgspec import Struct, field

from nginx_stream_lint.config.source import Reading
from nginx_stream_lint.config.templates.painting import Span, inside
from nginx_stream_lint.config.tokens import Statements, lua_end
from nginx_stream_lint.util.problems import Unreadable

# `value` prints something, `control` nothing; `if` opens what may be left out or repeated, `define`
# what stands elsewhere, `group` what stands here; `else` and `end` belong to the last opened.
Kind = Literal["value", "control", "if", "define", "group", "else", "end"]


class Tag(NamedTuple):
    """One tag, from its first to behind its last character; of several statements, one of them."""

    start: int
    end: int
    kind: Kind


class Block(Struct):
    """A construct with an end: offsets from its first to behind its last tag.

    `branches` are the regions between its tags; `depth` is how many blocks are around it.
    """

    kind: Kind
    start: int
    depth: int
    end: int = 0
    branches: list[Span] = field(default_factory=list)


class Tags(NamedTuple):
    """The tags of a text in order, and its blocks in order of their starts.

    `unclosed` and `unopened` are the places of tags, or of blocks, without the other end.
    """

    tags: list[Tag]
    blocks: list[Block]
    unclosed: list[int]
    unopened: list[int]


# How a tag of each language starts where nobody would take it for nginx's.
_BRACES = re.compile(
    r"""\{\{[-~+]?\s*
        (?!["'][^"'\n]*["']\s*: | \w+\s*=[^=])     # JSON, Lua
        (?:[\w.$"'`(!>&*@|] | /[*\w] | \#[*>\w(] | \^[}\w] | \{(?=[^{}]+\}\}\}))
    """,
    re.ASCII | re.VERBOSE,
)
_JINJA = re.compile(r"\{%[-+]?\s*[a-z]+\b")
_JINJA_FILE = re.compile(r"\.(?:j2|jinja2?)\b[^/\\]*$", re.IGNORECASE)
_JINJA_COMMENT = re.compile(r"\{#(?=[- ])[^\n]*#\}")
_ERB = re.compile(r"<%(?!%)")
_SQUARE = re.compile(r"\[\[-?\s[^\[\]\n]*\s-?\]\]|\[\[\.[A-Za-z][\w.]*\]\]")
_TERRAFORM = re.compile(r"%\{~?\s*(?:if|for|else|endif|endfor)\b")

_OPENINGS = ("{{", "{%", "<%", "[[", "%{")

# Blocks of nginx within one another; what has more is not asked about.
_DEEPEST = 64

_COMMENT = re.compile(r"(?:^|\s)#")
_NEARBY = 500  # no line that people write is longer before its comment

_TAG_COMMENT = re.compile(r"\{#|\{\{[-~]?\s*(?:/\*|!)|<%[-_]?\s*#")

_LUA_BLOCK = re.compile(r"_by_lua_block\s*\{")

# What Jinja and its relatives (Django, Twig, Liquid, Nunjucks) open, besides what they end by name.
_JINJA_NAME = re.compile(r"[-+~]?\s*([a-z_]+)")
_JINJA_ENDS = re.compile(r"\{%[-+~]?\s*end([a-z_]+)")
_JINJA_IF = {"if", "for", "unless", "case", "ifchanged"}
_JINJA_ELSE = {"else", "elif", "elsif", "elseif", "when", "empty"}
_JINJA_ELSEWHERE = {"macro"}
# Prints nothing but comments, or nothing at all.
_PRINTS_NOTHING = re.compile(r"\bansible_managed\b|\|\s*comment\b|^(?:fail|assert\w*)\s")
_GO = re.compile(
    r"(if|range|with|define|block|else|end|break|continue)\b|\$\w+(?:\s*,\s*\$\w+)?\s*:?="
)
_RUBY_OPEN = re.compile(r"(?:if|unless|case|while|until|for|begin|def|class|module)\b")
_RUBY_BLOCK = re.compile(r"(?:\bdo|\{)(?:\s*\|[^|]*\|)?$")
_RUBY_VALUE = re.compile(r"=\s*(?:if|unless|case|begin)\b")  # `x = if y`, on a line of its own
_RUBY_REMARK = re.compile(r"\s#\s.*")
_RUBY_ELSE = re.compile(r"(?:\}\s*)?(?:else|elsif|when|in|rescue|ensure)\b")
_RUBY_END = re.compile(r"(?:end\b|\})")


def find(reading: Reading, literal: list[Span]) -> Tags:
    """The tags of a text, but for what starts in literal spans.

    Those within Lua code are tags only if there are others outside.
    """
    text = reading.text
    is_jinja = _JINJA_FILE.search(reading.source.name) is not None
    languages = _languages(text, lua_regions(reading), is_jinja)
    # `server {# a comment #}`: a brace and a comment for nginx, a comment for Jinja.
    if languages == ["{#"] and not is_jinja and is_nginx(reading):
        languages = []
    if not languages:
        return Tags([], [], [], [])
    finder = _Finder(text, "{%" in languages)
    tags = finder.tags("|".join(re.escape(one) for one in languages))
    return _paired(
        [tag for tag in tags if not inside(literal, tag.start)],
        [at for at in finder.unclosed if not inside(literal, at)],
    )


def is_nginx(reading: Reading) -> bool:
    """Whether nginx's tokenizer accepts a text: what looks like a broken template is none."""
    found = Statements(reading, _DEEPEST)
    try:
        return all(not found.problems for _ in found) and not found.problems
    except Unreadable:
        return False


def is_comment(text: str, tag: Tag) -> bool:
    """Whether a tag is a comment of its language."""
    return _TAG_COMMENT.match(text, tag.start) is not None


def _languages(text: str, lua: list[Span], is_jinja: bool) -> list[str]:
    """The openings of tags that the text has outside Lua and comments.

    `is_jinja` tells that the name of the file is Jinja's.
    """

    def occurs(pattern: re.Pattern[str]) -> bool:
        return any(
            not inside(lua, match.start()) and not _in_comment(text, match.start())
            for match in pattern.finditer(text)
        )

    found = []
    if "{{" in text and text.find("{{") < text.rfind("}}") and occurs(_BRACES):
        found.append("{{")
    if "{%" in text and "%}" in text and occurs(_JINJA):
        found += ["{%", "{#"]
    elif "{#" in text and "#}" in text and (is_jinja or occurs(_JINJA_COMMENT)):
        found.append("{#")
    if "<%" in text and "%>" in text and occurs(_ERB):
        found.append("<%")
    if "[[" in text and occurs(_SQUARE):
        found.append("[[")
    if "%{" in text and occurs(_TERRAFORM):
        found.append("%{")
    return found


def _in_comment(text: str, at: int) -> bool:
    """Whether there is a comment before the place in its line, as it seems."""
    line = text[max(at - _NEARBY, 0) : at].rpartition("\n")[2]
    return _COMMENT.search(line) is not None


class _Finder:
    """Reads a text once from its start to its end."""

    def __init__(self, text: str, is_jinja: bool) -> None:
        self.text = text
        self.is_jinja = is_jinja
        self.ended = set(_JINJA_ENDS.findall(text)) if is_jinja else set[str]()
        self.unclosed: list[int] = []
        # Strings of a kind that start before this are not closed on their line.
        self.open_until = {'"': 0, "'": 0, "`": 0}
        self.strings_hide_ends = True

    def tags(self, openings: str) -> list[Tag]:
        found: list[Tag] = []
        opening = re.compile(openings)
        at = 0
        while match := opening.search(self.text, at):
            at = match.start()
            tag = self._tag(match[0], at)
            if tag is None:
                at += 1
                continue
            at = tag.end
            found += _ruby_statements(tag, self.text) if match[0] == "<%" else (tag,)
            if tag.kind == "control" and re.match(r"\{%[-+]?\s*raw\b", self.text[tag.start : at]):
                literal = re.compile(r"\{%[-+]?\s*endraw\b").search(self.text, at)
                at = literal.start() if literal else len(self.text)
        return found

    def _tag(self, opening: str, at: int) -> Tag | None:
        text = self.text
        if opening == "{{":
            return self._braces(at)
        if opening == "[[":
            square = _SQUARE.match(text, at)
            return Tag(at, square.end(), _go_kind(square[0][2:-2])) if square else None
        if opening == "%{":
            if not _TERRAFORM.match(text, at):
                return None
            end = text.find("}", at)
            return (
                Tag(at, end + 1, _jinja_kind(text[at + 2 : end], self.ended)) if end >= 0 else None
            )
        if opening == "{#":
            end = text.find("#}", at + 2)
            return Tag(at, end + 2, "control") if end >= 0 else None
        if opening == "<%":
            if text.startswith("<%%", at):
                return None
            end = text.find("%>", at + 2)
            if end < 0:
                self.unclosed.append(at)
                return None
            return Tag(at, end + 2, _ruby_kind(text[at + 2 : end]))
        if not _JINJA.match(text, at):
            return None
        end = self._end(at + 2, "%}")
        if end < 0:
            self.unclosed.append(at)
            return None
        return Tag(at, end, _jinja_kind(text[at + 2 : end - 2], self.ended))

    def _braces(self, at: int) -> Tag | None:
        text = self.text
        if not _BRACES.match(text, at):
            return None
        inner = at + 2 + (text[at + 2] in "-~+")
        while text[inner].isspace():
            inner += 1
        if not self.is_jinja and text.startswith(("/*", "!--"), inner):
            closing = "*/" if text[inner] == "/" else "--"
            end = text.find("}}", max(text.find(closing, inner + 3), inner))
            end = end + 2 if end >= 0 else -1
        elif text.startswith("{{{", at) and not self.is_jinja:
            end = self._end(at + 3, "}}}")
        else:
            end = self._end(inner, "}}")
        if end < 0:
            self.unclosed.append(at)
            return None
        content = text[inner : end - 2]
        if _PRINTS_NOTHING.search(content[:_NEARBY]):
            return Tag(at, end, "control")
        if self.is_jinja:
            return Tag(at, end, "value")
        if content[0] in "/#^!>&{":
            return Tag(at, end, _handlebars_kind(content))
        return Tag(at, end, _go_kind(content))

    def _end(self, at: int, closing: str) -> int:
        """Behind the closing of a tag, which strings may contain; -1 where there is none."""
        text = self.text
        plain = text.find(closing, at)
        if plain < 0 or not self.strings_hide_ends:
            return plain + len(closing) if plain >= 0 else -1
        interesting = re.compile(f"[\"'`]|{re.escape(closing)}")
        while match := interesting.search(text, at):
            at = match.end()
            quote = match[0]
            if quote == closing:
                return at
            if match.start() < self.open_until[quote]:
                continue
            string = _STRINGS[quote].match(text, at)
            if string:
                at = string.end()
            else:
                line_end = text.find("\n", at) if quote != "`" else -1
                self.open_until[quote] = line_end if line_end >= 0 else len(text)
        self.strings_hide_ends = False  # some quote is none: do not look to the end each time
        return plain + len(closing)


_STRINGS = {
    '"': re.compile(r'(?:[^"\\\n]|\\.)*"'),
    "'": re.compile(r"(?:[^'\\\n]|\\.)*'"),
    "`": re.compile(r"[^`]*`"),
}


def _jinja_kind(content: str, ended: set[str]) -> Kind:
    """The kind of a tag, where some names of tags have an end."""
    match = _JINJA_NAME.match(content)
    name = match[1] if match else ""
    if name in _JINJA_IF:
        return "if"
    if name in _JINJA_ELSE:
        return "else"
    if name in _JINJA_ELSEWHERE:
        return "define"
    if name.startswith("end"):
        return "control" if name == "endraw" else "end"
    if name in ended and name != "raw" and (name != "set" or "=" not in content):
        return "group"
    return "value" if name == "include" else "control"


def _go_kind(content: str) -> Kind:
    content = content.strip("- \t\r\n")
    match = _GO.match(content)
    if not match:
        return "value"
    name = match[1]
    if name in ("if", "range", "with"):
        return "if" if len(content) > len(name) else "value"
    if name == "define":
        return "define"
    if name == "block":
        return "group"
    if name in ("else", "end"):
        return "else" if name == "else" else "end"
    return "control"


def _handlebars_kind(content: str) -> Kind:
    first = content[0]
    if first == "#":
        return "group" if content[1:2] in ("*", ">") else "if"
    if first == "^":
        return "if" if content.strip("^~ \t\r\n") else "else"
    if first == "/":
        return "control" if content.startswith("/*") else "end"
    return "control" if first == "!" else "value"


def _ruby_kind(content: str) -> Kind:
    if content[:1] in ("=", "#"):
        return "value" if content[0] == "=" else "control"
    code = content.strip("- \t\r\n")
    if _RUBY_ELSE.match(code):
        return "else"
    if _RUBY_END.match(code):  # in JavaScript one tag often ends a block and opens the next
        return "else" if _RUBY_BLOCK.search(code[-200:]) else "end"
    if _RUBY_BLOCK.search(code[-200:]) or (
        _RUBY_OPEN.match(code) and not re.search(r"\bend$", code[-10:])
    ):
        return "if"
    return "control"


def _ruby_statements(tag: Tag, text: str) -> list[Tag]:
    """The statements of a tag, one a line, as tags without a gap; those that do nothing join."""
    written = text[tag.start : tag.end]
    if tag.kind == "value" or is_comment(text, tag) or "\n" not in written.strip("<%- \t\r\n>"):
        return [tag]
    found: list[Tag] = []
    start = at = tag.start
    for line in written.splitlines(keepends=True):
        at += len(line)
        code = line.strip().removeprefix("<%").removesuffix("%>").strip("- \t")
        code = _RUBY_REMARK.sub("", code)
        kind = "if" if _RUBY_VALUE.search(code) else _ruby_kind(code) if code else "control"
        if kind != "control":
            found.append(Tag(start, at, kind))
            start = at
    if not found:
        return [tag]
    found[-1] = found[-1]._replace(end=tag.end)
    return found


def _paired(tags: list[Tag], unclosed: list[int]) -> Tags:
    blocks: list[Block] = []
    unopened: list[int] = []
    stack: list[tuple[Block, int]] = []
    for tag in tags:
        if tag.kind in ("if", "define", "group"):
            block = Block(tag.kind, tag.start, len(stack))
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
    return Tags(tags, blocks, sorted(unclosed), unopened)


def blocks_of(text: str, branches: Iterable[Span]) -> list[Block]:
    """The conditions of a text whose branches are known: in order, those around others first."""
    blocks: list[Block] = []
    around: list[Block] = []
    for start, end in branches:
        last: Block | None = None
        while around and around[-1].end <= start:
            last = around.pop()
        if last is None or not _is_else(text[last.end : start]):
            last = Block("if", start, len(around))
            blocks.append(last)
        last.branches.append((start, end))
        last.end = end
        around.append(last)
    return blocks


def _is_else(text: str) -> bool:
    """Whether nothing but a tag between two branches is here."""
    if len(text) > _NEARBY:
        return False
    tags = _Finder(text, "{%" in text).tags("|".join(map(re.escape, _OPENINGS)))
    return [(tag.start, tag.end, tag.kind) for tag in tags] == [(0, len(text), "else")]


def lua_regions(reading: Reading) -> list[Span]:
    """Where a text has Lua code, as far as it can be told before templates are read."""
    text = reading.text
    regions: list[Span] = []
    at = 0
    while "_by_lua_block" in text and (match := _LUA_BLOCK.search(text, at)):
        at, _ = lua_end(reading, match.end())
        regions.append((match.end(), at))
    return regions
