"""YAML manifests, with the place of every word."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

import yaml
from msgspec import Struct, field

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Problem
from nginx_stream_lint.util.yamlfile import FORBIDDEN, YamlMistake, compose, place

# Manifests nest ten deep. PyYAML recurses once per level.
_MAX_DEPTH = 100
# Compose files have hundreds of aliases. Each anchor is read once, so only merges cost more.
_MAX_ALIASES = 2000
_MAX_MERGED = 100_000  # keys that merges add
# YAML 1.1 booleans, which are words in `yamlfile` and booleans in Kubernetes.
_BOOLEAN = re.compile(r"(?i)y|n|yes|no|on|off|true|false")
_DOCUMENT = re.compile(r"^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)[ \t]*", re.MULTILINE)
# Only directives, such as %YAML, which belong to the document after the next `---`.
_DIRECTIVES = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*(?:%[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\n)*)+")
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#[^\r\n]*", re.MULTILINE)
# Statements that a template inserts: a line with nothing else on it.
_ONLY_HOLES = re.compile(
    rf"^([ \t]*){PLACEHOLDER}({PLACEHOLDER}[{PLACEHOLDER} \t]*)(?=\r?$)", re.MULTILINE
)
_AS_COMMENT = r"\1#\2"
# The tags that PyYAML accepts; others do not occur in valid manifests.


class Span(NamedTuple):
    """A span of a source; offsets in characters, `end` is exclusive."""

    start: int
    end: int


class Scalar(Struct, frozen=True, eq=False):
    """A scalar: its value, its place without quotes, and its style.

    `style` is a quote, `|` or `>` for blocks, or empty. `is_exact`: value and place correspond
    character by character. `lines` are those of a literal block: text and place.
    """

    text: str
    start: int
    end: int
    style: str
    is_exact: bool
    is_string: bool
    lines: tuple[tuple[str, Span], ...] = ()

    @property
    def span(self) -> Span:
        return Span(self.start, self.end)


class MappingEntry(Struct, frozen=True, eq=False):
    """A key with its value. `is_alias`: the value is written elsewhere, as an anchor.

    `tag` is the value's tag, if it is one of an application: `!reset`.
    """

    key: Scalar
    value: Node
    span: Span
    is_alias: bool = False
    tag: str = ""


class Mapping(Struct, frozen=True, eq=False):
    """A mapping, merge keys resolved; `own` are the keys written in it, `is_flow` in braces."""

    entries: dict[str, MappingEntry]
    own: tuple[MappingEntry, ...]
    span: Span
    is_flow: bool

    def word(self, *path: str) -> Scalar | None:
        """The word at a path of keys, if there is one and it is not empty."""
        node = self.at(*path)
        return node if isinstance(node, Scalar) and node.text else None

    def at(self, *path: str) -> Node | None:
        """The node at a path of keys."""
        node: Node = self
        for key in path:
            if not isinstance(node, Mapping) or key not in node.entries:
                return None
            node = node.entries[key].value
        return node

    def mapping(self, *path: str) -> Mapping | None:
        """The mapping at a path of keys."""
        node = self.at(*path)
        return node if isinstance(node, Mapping) else None

    def items(self, *path: str) -> tuple[Node, ...]:
        """The items of the sequence at a path of keys; none without a sequence."""
        node = self.at(*path)
        return node.items if isinstance(node, Sequence) else ()


class Sequence(Struct, frozen=True, eq=False):
    """A sequence."""

    items: tuple[Node, ...]
    span: Span


Node: TypeAlias = Scalar | Mapping | Sequence


class Document(Struct, eq=False):
    """One document of a YAML file. `text` is that of the file; `holes` are lines of placeholders.

    `comments` are those outside of all words.
    """

    source: Source
    text: str
    span: Span
    root: Node
    comments: list[Span] = field(default_factory=list)
    holes: list[Span] = field(default_factory=list)


def documents(source: Source, text: str) -> tuple[list[Document], list[Problem]]:
    """Parse the documents of a YAML text (`text`: the source, placeholders masked), or JSON.

    An invalid document becomes a problem, and the others are read.
    """
    starts = [0]
    ends: list[int] = []
    for mark in _DOCUMENT.finditer(text):
        if mark[0][0] == "-" and _DIRECTIVES.fullmatch(text, starts[-1], mark.start()):
            continue
        ends.append(mark.start())
        starts.append(mark.end())
    ends.append(len(text))
    found: list[Document] = []
    problems: list[Problem] = []
    for start, end in zip(starts, ends, strict=True):
        part = text[start:end]
        if not part.strip():
            continue
        holes = [
            Span(start + hole.end(1), start + hole.end()) for hole in _ONLY_HOLES.finditer(part)
        ]
        try:
            _check(part)
            reader = _NodeReader(part, start)
            # Make it a comment for now: in a block of text that stays a line.
            root = reader.read(compose(_ONLY_HOLES.sub(_AS_COMMENT, part), _MAX_ALIASES))
        except YamlMistake as mistake:
            lines = part.splitlines(keepends=True)
            offset = start + sum(map(len, lines[: mistake.line - 1])) + mistake.column - 1
            problems.append(
                source.problem(
                    min(offset, len(text)),
                    f"not valid YAML: {mistake.message}",
                    "correct it; this document was not checked"
                    if PLACEHOLDER not in part
                    else "render the template first, and check the result",
                )
            )
            continue
        if root is None:
            continue
        comments = [
            Span(start + one.start(), start + one.end())
            for one in _COMMENT.finditer(part)
            if not reader.is_in_word(one.start())
        ]
        found.append(Document(source, text, Span(start, end), root, comments, holes))
    return found, problems


def _check(part: str) -> None:
    """Refuse YAML that PyYAML cannot handle. Raises YamlMistake with the position."""

    def refuse(offset: int, message: str) -> YamlMistake:
        line = part.count("\n", 0, offset) + 1
        return YamlMistake(message, line, offset - part.rfind("\n", 0, offset))

    odd = FORBIDDEN.search(part)
    if odd is not None:
        raise refuse(odd.start(), "a character that YAML does not allow")
    depth = 0
    for bracket in re.finditer(r"[\[{}\]]|^(?:[ ]*[-?:][ ])+|^[ ]+", part, re.MULTILINE):
        if bracket[0] in "[{":
            depth += 1
        elif bracket[0] in "]}":
            depth = max(0, depth - 1)
        within = bracket[0].count("- ") + bracket[0].count("? ") + bracket[0].count(": ")
        if depth > _MAX_DEPTH or within > _MAX_DEPTH or len(bracket[0]) > 100 * _MAX_DEPTH:
            raise refuse(bracket.start(), f"it is nested deeper than {_MAX_DEPTH} levels")


class _NodeReader:
    """Converts PyYAML's nodes; an anchor is read once, however often it is used."""

    def __init__(self, text: str, base: int) -> None:
        self.text = text
        self.base = base
        self.known: dict[int, Node] = {}
        self.open: set[int] = set()
        self.words: list[tuple[int, int]] = []
        self.merged = 0  # keys that merges added

    def is_in_word(self, offset: int) -> bool:
        """Whether an offset lies in a word; valid only after the whole document was read."""
        self.words.sort()
        at = bisect_right(self.words, (offset, len(self.text))) - 1
        return at >= 0 and offset < self.words[at][1]

    def read(self, node: yaml.Node | None, depth: int = 0) -> Node | None:
        """Convert a node; None if it contains itself."""
        if node is None or id(node) in self.open:
            return None
        if depth > _MAX_DEPTH:
            line, column = node.start_mark.line + 1, node.start_mark.column + 1
            raise YamlMistake(f"it is nested deeper than {_MAX_DEPTH} levels", line, column)
        if id(node) in self.known:
            return self.known[id(node)]
        self.open.add(id(node))
        found: Node
        if isinstance(node, yaml.MappingNode):
            found = self._mapping(node, depth)
        elif isinstance(node, yaml.SequenceNode):
            items = (self.read(item, depth + 1) for item in node.value)
            found = Sequence(tuple(one for one in items if one is not None), self._span(node))
        else:
            assert isinstance(node, yaml.ScalarNode)
            found = self._word(node)
        self.open.discard(id(node))
        self.known[id(node)] = found
        return found

    def _span(self, node: yaml.Node) -> Span:
        # PyYAML ends a collection or block where the next token begins.
        start, end = node.start_mark.index, node.end_mark.index
        if isinstance(node, yaml.CollectionNode):
            words = self.text[start:end]
            lines = [line.split(" #")[0].rstrip() for line in words.splitlines(keepends=True)]
            while lines and (not lines[-1] or lines[-1].lstrip().startswith("#")):
                lines.pop()
            end = start + len("".join(words.splitlines(keepends=True)[: len(lines)]).rstrip())
        else:
            end = start + len(self.text[start:end].rstrip())
        return Span(self.base + start, self.base + end)

    def _mapping(self, node: yaml.MappingNode, depth: int) -> Mapping:
        merged: dict[str, MappingEntry] = {}
        entries: dict[str, MappingEntry] = {}
        own: list[MappingEntry] = []
        for key_node, value_node in node.value:
            is_alias = id(value_node) in self.known
            value = self.read(value_node, depth + 1)
            if not isinstance(key_node, yaml.ScalarNode) or value is None:
                self.read(key_node, depth + 1)
                continue
            if key_node.tag == "tag:yaml.org,2002:merge":
                for one in value.items if isinstance(value, Sequence) else (value,):
                    if isinstance(one, Mapping):
                        self.merged += len(one.entries)
                        if self.merged > _MAX_MERGED:
                            raise YamlMistake("its aliases stand for too much", *place(key_node))
                        merged = {**one.entries, **merged}
                continue
            key = self._word(key_node)
            end = _outer(key).end if is_alias else max(_outer(key).end, _outer(value).end)
            tag = value_node.tag if value_node.tag.startswith("!") else ""
            entry = MappingEntry(key, value, Span(_outer(key).start, end), is_alias, tag)
            entries[key.text] = entry
            own.append(entry)
        is_flow = bool(node.flow_style)
        return Mapping({**merged, **entries}, tuple(own), self._span(node), is_flow)

    def _word(self, node: yaml.ScalarNode) -> Scalar:
        style = node.style or ""
        whole = self._span(node)
        start, end = whole
        if style in ("'", '"'):
            start, end = start + 1, end - 1
        self.words.append((node.start_mark.index, node.end_mark.index))
        text = "" if node.tag == "tag:yaml.org,2002:null" else node.value
        text = text.replace(f"#{PLACEHOLDER}", PLACEHOLDER * 2)
        written = self.text[start - self.base : end - self.base]
        is_string = bool(style) or (
            node.tag == "tag:yaml.org,2002:str" and not _BOOLEAN.fullmatch(text)
        )
        lines = tuple(self._lines(node, text)) if style == "|" else ()
        return Scalar(text, start, end, style, written == text, is_string, lines)

    def _lines(self, node: yaml.ScalarNode, value: str) -> Iterator[tuple[str, Span]]:
        """The lines of a literal block."""
        at = self.text.find("\n", node.start_mark.index) + 1
        stop = node.end_mark.index
        for line in value.split("\n"):
            end = self.text.find("\n", at)
            end = len(self.text) if end < 0 else end
            if not at or at > stop:
                return
            written = self.text[at:end].rstrip("\r")
            if line and written.endswith(line):
                stop_of_line = at + len(written)
                yield line, Span(self.base + stop_of_line - len(line), self.base + stop_of_line)
            at = end + 1


def _outer(node: Node) -> Span:
    """The place of a node, including quotes."""
    if isinstance(node, Scalar) and node.style in ("'", '"'):
        return Span(node.start - 1, node.end + 1)
    return node.span
