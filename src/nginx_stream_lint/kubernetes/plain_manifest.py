"""Read simple YAML, in which most compose files are written, without PyYAML.

PyYAML needs 12 ms to load, as long as Python itself, and longer than the rest of reading a
deployment. This module reads mappings and lists in blocks, words on one line with or without
quotes, lists of words in brackets, anchors and aliases, merge keys and comments. It leaves all
other texts to PyYAML.
"""

from __future__ import annotations

import re

from msgspec.structs import replace

from nginx_stream_lint.kubernetes.manifest import (
    Mapping,
    MappingEntry,
    Node,
    Scalar,
    Sequence,
    Span,
    outer_span,
)
from nginx_stream_lint.util.budget import in_force

_MAX_TEXT = 100_000  # characters; PyYAML reads longer texts faster
_MAX_DEPTH = 30
_MAX_KEY = 1000  # characters
_MAX_MERGED = 10_000  # keys that merges add
_QUOTED = r'"[^"\\\n]*"|' r"'[^'\n]*'(?!')"
# A word without quotes that no other token begins or ends.
_PLAIN = (
    r"(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`]|-(?=[^\s,\[\]{}]))(?:[^\s:#]|:(?=\S)|(?<=\S)#| +(?=[^\s#]))*"
)
_IN_BRACKETS = r"(?:[^\s\-?:,\[\]{}#&*!|>'\"%@`]|-(?=[^\s,\[\]{}]))[^\s:#,\[\]{}]*"
_END = r" *(?: #.*)?$"
_KEY = re.compile(rf"({_QUOTED}|<<|\w[\w./-]*):(?= |$) *", re.MULTILINE)
_ANCHOR = re.compile(rf"&([\w.-]+){_END}", re.MULTILINE)
_ALIAS = re.compile(rf"\*([\w.-]+){_END}", re.MULTILINE)
_WORD = re.compile(rf"({_QUOTED}|{_PLAIN}){_END}", re.MULTILINE)
_ITEM = rf"(?:{_QUOTED}|{_IN_BRACKETS})"
_ITEMS = re.compile(rf"(\[ *(?:{_ITEM} *(?:, *{_ITEM} *)*)?\]){_END}", re.MULTILINE)
_ONE_ITEM = re.compile(_ITEM)
_NOTHING = re.compile(r"(?:#.*)?$", re.MULTILINE)
_NULLS = frozenset(("~", "null", "Null", "NULL"))


class _NotSimple(Exception):
    """The text has a form that this module does not read."""


def read_plain(text: str) -> Mapping | None:
    """Read a text with one mapping; None if it is not of the form that this module reads.

    Nodes are as `manifest.documents` gives them, but `is_string` is False for each word without
    quotes, and the span of a block excludes comments at its end. Raises `Unreadable` like that.
    """
    if len(text) > _MAX_TEXT or not text.replace("\n", "").isprintable():
        return None
    reader = _PlainReader(text)
    try:
        root = reader.root()
    except _NotSimple:
        return None
    in_force().spend("yaml_nodes", reader.count)
    return root


class _PlainReader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.count = 0
        self.merged = 0
        self.anchors: dict[str, Node] = {}
        # Offset and column of the first character of each line that has content.
        self.lines: list[tuple[int, int]] = []
        at = 0
        for line in text.split("\n"):
            content = line.lstrip(" ")
            if content and not content.startswith("#"):
                column = len(line) - len(content)
                self.lines.append((at + column, column))
            at += len(line) + 1
        self.number = 0  # of the line to read next

    def root(self) -> Mapping:
        if self.lines and self.lines[0][1] == 0 and self.text.startswith("---\n", self.lines[0][0]):
            self.number = 1
        if self.number == len(self.lines):
            raise _NotSimple
        node = self._block(0)
        if self.number < len(self.lines) or not isinstance(node, Mapping):
            raise _NotSimple
        return node

    def _block(self, depth: int) -> Node:
        """Read the mapping or list that begins at the next line."""
        start, column = self.lines[self.number]
        if depth > _MAX_DEPTH:
            raise _NotSimple
        return (
            self._sequence(column, depth) if self._is_item(start) else self._mapping(column, depth)
        )

    def _is_item(self, start: int) -> bool:
        return self.text.startswith(("- ", "-\n"), start)

    def _mapping(self, column: int, depth: int) -> Mapping:
        merged: dict[str, MappingEntry] = {}
        own: list[MappingEntry] = []
        first = last = self.lines[self.number][0]
        while self.number < len(self.lines) and self.lines[self.number][1] == column:
            start = self.lines[self.number][0]
            found = _KEY.match(self.text, start)
            if found is None or found.end() - start > _MAX_KEY:
                break
            if found[1] == "<<":
                more, last = self._merge(found.end())
                merged = {**more, **merged}
                continue
            key = self._scalar(*found.span(1))
            value, is_alias = self._value(found.end(), found.end(1) + 1, column, depth, True)
            outer = outer_span(key)
            last = outer.end if is_alias else max(outer.end, outer_span(value).end)
            own.append(MappingEntry(key, value, Span(outer.start, last), is_alias))
        if first == last:
            raise _NotSimple
        self.count += 1
        entries = {entry.key.text: entry for entry in own}
        return Mapping({**merged, **entries}, tuple(own), Span(first, last), False)

    def _merge(self, start: int) -> tuple[dict[str, MappingEntry], int]:
        """Read the value of a merge key: the entries that it adds, and the offset of its end."""
        found = _ALIAS.match(self.text, start)
        node = None if found is None else self.anchors.get(found[1])
        if found is None or not isinstance(node, Mapping):
            raise _NotSimple
        self._next()
        self.merged += len(node.entries)
        if self.merged > _MAX_MERGED:
            raise _NotSimple
        return node.entries, found.end(1)

    def _sequence(self, column: int, depth: int) -> Sequence:
        first = self.lines[self.number][0]
        items: list[Node] = []
        while self.number < len(self.lines):
            start, here = self.lines[self.number]
            if here != column or not self._is_item(start):
                break
            inside = start + 1
            while self.text.startswith(" ", inside):
                inside += 1
            if _KEY.match(self.text, inside):
                # The mapping begins on the line of the dash.
                self.lines[self.number] = inside, column + inside - start
                items.append(self._block(depth + 1))
            else:
                items.append(self._value(inside, start + 1, column, depth, False)[0])
        self.count += 1
        return Sequence(tuple(items), Span(first, outer_span(items[-1]).end))

    def _value(
        self, start: int, empty: int, column: int, depth: int, is_keyed: bool
    ) -> tuple[Node, bool]:
        """Read a value from an offset of this line on, and whether it is an alias.

        `column` is that of the key or dash. `empty` is the offset of a value that is not there.
        """
        alias = _ALIAS.match(self.text, start)
        if alias is not None:
            if alias[1] not in self.anchors:
                raise _NotSimple
            self._next(column)
            return self.anchors[alias[1]], True
        anchor = _ANCHOR.match(self.text, start)
        if anchor is not None or _NOTHING.match(self.text, start):
            self._next()
            node = self._below(empty, column, depth, is_keyed)
            if anchor is not None:
                if isinstance(node, Scalar):
                    raise _NotSimple
                node = replace(node, span=Span(start, node.span.end))
                self.anchors[anchor[1]] = node
            return node, False
        word = _WORD.match(self.text, start)
        if word is not None:
            self._next(column)
            return self._scalar(*word.span(1)), False
        items = _ITEMS.match(self.text, start)
        if items is None:
            raise _NotSimple
        self._next(column)
        return self._in_brackets(*items.span(1)), False

    def _below(self, empty: int, column: int, depth: int, is_keyed: bool) -> Node:
        """Read the block below a key or a dash; without one the value is null."""
        if self.number < len(self.lines):
            start, inner = self.lines[self.number]
            # A list may begin in the column of its key.
            if inner > column or (is_keyed and inner == column and self._is_item(start)):
                return self._block(depth + 1)
        self.count += 1
        return Scalar("", empty, empty, "", True, False)

    def _next(self, column: int | None = None) -> None:
        """Go to the next line, which does not continue a word of a block in this column."""
        self.number += 1
        is_last = self.number == len(self.lines)
        if column is not None and not is_last and self.lines[self.number][1] > column:
            raise _NotSimple

    def _scalar(self, start: int, end: int) -> Scalar:
        self.count += 1
        text = self.text[start:end]
        style = text[0] if text[0] in "'\"" else ""
        if style:
            return Scalar(text[1:-1], start + 1, end - 1, style, True, True)
        return Scalar("" if text in _NULLS else text, start, end, "", text not in _NULLS, False)

    def _in_brackets(self, start: int, end: int) -> Sequence:
        self.count += 1
        words = _ONE_ITEM.finditer(self.text, start + 1, end - 1)
        return Sequence(tuple(self._scalar(*word.span()) for word in words), Span(start, end))
