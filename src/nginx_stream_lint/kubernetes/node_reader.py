"""Convert PyYAML's nodes to those of `manifest`, with the place of every word."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator

import yaml

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.kubernetes.manifest import (
    Mapping,
    MappingEntry,
    Node,
    Scalar,
    Sequence,
    Span,
    outer_span,
)
from nginx_stream_lint.util.yamlfile import FORBIDDEN, YamlMistake, compose, place

# Manifests nest ten deep. PyYAML recurses once per level.
_MAX_DEPTH = 100
# Compose files have hundreds of aliases. Each anchor is read once, so only merges cost more.
_MAX_ALIASES = 2000
_MAX_MERGED = 100_000  # keys that merges add
# YAML 1.1 booleans, which are words in `yamlfile` and booleans in Kubernetes.
_BOOLEAN = re.compile(r"(?i)y|n|yes|no|on|off|true|false")


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


class NodeReader:
    """Converts PyYAML's nodes; an anchor is read once, however often it is used."""

    def __init__(self, text: str, base: int) -> None:
        self.text = text
        self.base = base
        self.known: dict[int, Node] = {}
        self.open: set[int] = set()
        self.words: list[tuple[int, int]] = []
        self.merged = 0  # keys that merges added

    def root(self, text: str) -> Node | None:
        """Read a text that differs from the document only in comments.

        Raises YamlMistake.
        """
        _check(self.text)
        return self.read(compose(text, _MAX_ALIASES))

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
                            raise YamlMistake(
                                "its aliases expand to too many values", *place(key_node)
                            )
                        merged = {**one.entries, **merged}
                continue
            key = self._word(key_node)
            end = (
                outer_span(key).end if is_alias else max(outer_span(key).end, outer_span(value).end)
            )
            tag = value_node.tag if value_node.tag.startswith("!") else ""
            entry = MappingEntry(key, value, Span(outer_span(key).start, end), is_alias, tag)
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
