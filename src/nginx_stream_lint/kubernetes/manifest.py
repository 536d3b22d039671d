"""YAML manifests, with the place of every word."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from msgspec import Struct, field

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Problem

_DOCUMENT = r"(?m)^(?:---|\.\.\.)(?=[ \t\r\n]|\Z)[ \t]*"
# Only directives, such as %YAML, which belong to the document after the next `---`.
_DIRECTIVES = r"(?:[ \t]*(?:#[^\n]*)?\n)*(?:%[^\n]*\n(?:[ \t]*(?:#[^\n]*)?\n)*)+"
_COMMENT = r"(?m)(?:^|(?<=[ \t]))#[^\r\n]*"
# Statements that a template inserts: a line with nothing else on it.
_PLACEHOLDER_LINE = rf"(?m)^([ \t]*){PLACEHOLDER}({PLACEHOLDER}[{PLACEHOLDER} \t]*)(?=\r?$)"


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

    def mappings(self, *path: str) -> list[Mapping]:
        """The items of the sequence at a path of keys that are mappings."""
        return [item for item in self.items(*path) if isinstance(item, Mapping)]

    def words(self, *path: str) -> list[Scalar]:
        """The items of the sequence at a path of keys that are words and not empty."""
        return [item for item in self.items(*path) if isinstance(item, Scalar) and item.text]


class Sequence(Struct, frozen=True, eq=False):
    """A sequence."""

    items: tuple[Node, ...]
    span: Span


Node: TypeAlias = Scalar | Mapping | Sequence


class Document(Struct, eq=False):
    """One document of a YAML file; `text` is that of the file.

    `comments` are those outside of all words, `placeholder_lines` lines with nothing else.
    """

    source: Source
    text: str
    span: Span
    root: Node
    comments: list[Span] = field(default_factory=list)
    placeholder_lines: list[Span] = field(default_factory=list)


class NodeOrigin(Struct, frozen=True, eq=False):
    """Where an entry or a mapping of a patched object is written: in another document."""

    document: Document
    node: MappingEntry | Mapping


def documents(source: Source, text: str) -> tuple[list[Document], list[Problem]]:
    """Parse the documents of a YAML text (`text`: the source, placeholders masked), or JSON.

    An invalid document becomes a problem, and the others are read. Bytes that are not UTF-8, which
    `text` has as lone surrogates, become `?`.
    """
    from nginx_stream_lint.kubernetes.node_reader import NodeReader
    from nginx_stream_lint.util.yamlfile import YamlMistake

    text = re.sub("[\ud800-\udfff]", "?", text)
    starts = [0]
    ends: list[int] = []
    for mark in re.finditer(_DOCUMENT, text):
        if mark[0][0] == "-" and re.fullmatch(_DIRECTIVES, text[starts[-1] : mark.start()]):
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
        placeholder_lines = [
            Span(start + match.end(1), start + match.end())
            for match in re.finditer(_PLACEHOLDER_LINE, part)
        ]
        try:
            reader = NodeReader(part, start)
            # Make it a comment for now: in a block of text that stays a line.
            root = reader.root(re.sub(_PLACEHOLDER_LINE, r"\1#\2", part))
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
            for one in re.finditer(_COMMENT, part)
            if not reader.is_in_word(one.start())
        ]
        found.append(Document(source, text, Span(start, end), root, comments, placeholder_lines))
    return found, problems


def document_within(source: Source, span: Span) -> Document | None:
    """Parse a part of a text, such as YAML in a block of YAML; None if it is not valid YAML."""
    from nginx_stream_lint.kubernetes.node_reader import NodeReader
    from nginx_stream_lint.util.yamlfile import YamlMistake

    part = re.sub("[\ud800-\udfff]", "?", source.text[span.start : span.end])
    try:
        root = NodeReader(part, span.start).root(part)
    except YamlMistake:
        return None
    return None if root is None else Document(source, source.text, span, root)


def outer_span(node: Node) -> Span:
    """The place of a node, including quotes."""
    if isinstance(node, Scalar) and node.style in ("'", '"'):
        return Span(node.start - 1, node.end + 1)
    return node.span
