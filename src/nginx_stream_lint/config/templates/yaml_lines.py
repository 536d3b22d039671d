"""Mask placeholders in YAML around nginx text so that it remains valid YAML."""

from __future__ import annotations

import re
from bisect import bisect_left

from nginx_stream_lint.config.mapped_text import PLACEHOLDER
from nginx_stream_lint.config.templates.dialects import INDENTATION
from nginx_stream_lint.config.templates.overlay import fill_spans
from nginx_stream_lint.config.templates.tags import TemplateBlock

_ALONE = re.compile(f"[ \\t]*({PLACEHOLDER}[{PLACEHOLDER} \\t]*?)[ \\t\\r]*(?:\\#.*)?")
# `key: |` and `- >-` start a block of text.
_STARTS_TEXT = re.compile(r"(?:[^#]*:|[ \t]*-)[ \t]+[|>][-+0-9]{0,2}[ \t\r]*(?:#.*)?")
_NEARBY = 1000  # handwritten lines of YAML are shorter
_INDENTED = re.compile(INDENTATION)


def fit_lines(
    original: str, text: str, placeholders: dict[int, int], blocks: list[TemplateBlock]
) -> str:
    """Adapt the masked text so that it is valid YAML.

    A line with only placeholders becomes an unknown statement within a block of text, which is
    probably nginx text; elsewhere it becomes an entry of a mapping or sequence.
    """
    text = fill_spans(text, _parts_of_lines(text, blocks))
    text = fill_spans(
        text,
        (
            (text.index("\n", start, end), end, " ")
            for start, end in sorted(placeholders.items())
            if "\n" in text[start:end]
        ),
    )
    made = _YamlLines(original, placeholders)
    for line in text.split("\n"):
        made.add(line)
    return "\n".join(made.lines)


class _YamlLines:
    """The lines so far, and their YAML context."""

    def __init__(self, original: str, placeholders: dict[int, int]) -> None:
        self.original = original
        self.placeholders = placeholders
        self.lines: list[str] = []
        self.offset = 0
        # Indentation of the key of the current text, and of the text itself; -1 outside of a text.
        self.key = self.text = -1
        self.entry = ""  # the last line that is no placeholder
        # This line and the enclosing ones, by indentation: each with whether it has a dash.
        self.indents: list[int] = []
        self.dashes: list[bool] = []
        self.shorter: dict[int, int] = {}  # lengths of existing keys, to the next length to try

    def add(self, line: str) -> None:
        """Add a line of the masked text."""
        start, self.offset = self.offset, self.offset + len(line) + 1
        alone = _ALONE.fullmatch(line)
        if alone:
            end = alone.end(1)
            new = self._placeholder(line, start, end)
            line = (" " * (end - len(new)) + new).ljust(end) + line[end:]
        elif line.strip():
            self._content(line)
        self.lines.append(line)

    def _content(self, line: str) -> None:
        indent = _indent(line)
        if indent <= self.key:
            self.key = self.text = -1
        if self.key >= 0:
            self._begin_text(indent)
        elif _STARTS_TEXT.fullmatch(line):
            self.key = indent
        self.entry = line
        outer = bisect_left(self.indents, indent)
        self.indents[outer:] = [indent]
        self.dashes[outer:] = [line.lstrip().startswith("-")]

    def _is_in_sequence(self, indent: int) -> bool:
        """Whether a line with this indentation follows an item of a sequence."""
        at = bisect_left(self.indents, indent)
        return at < len(self.indents) and self.indents[at] == indent and self.dashes[at]

    def _begin_text(self, indent: int) -> None:
        """Limit the indentation of blank lines at the start of a text to that of its first line."""
        if self.text >= 0:
            return
        self.text = indent
        for index in range(len(self.lines) - 1, 0, -1):
            line = self.lines[index]
            if line.strip():
                break
            if len(line.rstrip("\r")) > indent:
                self.lines[index] = f"{line[:indent]}#{line[indent + 1 :]}"

    def _placeholder(self, line: str, start: int, end: int) -> str:
        """Replacement of a line that has only placeholders, in at most as many characters."""
        begin = start + _indent(line)
        written = _INDENTED.search(self.original, begin, self.placeholders.get(begin, begin))
        indent = int(written[1]) if written else _indent(line)
        if indent <= self.key:
            self.key = self.text = -1
        if self.key >= 0:
            self._begin_text(indent)
            size = end - max(indent, self.text) - 1
            return f"{PLACEHOLDER * size};" if size > 0 else ""
        if not self.entry:
            return ""  # whole documents, or nothing
        if self._is_in_sequence(indent):
            size = end - indent - 2
            return f"- {PLACEHOLDER * size}" if size > 0 else ""
        longest = size = end - indent - 1
        while size in self.shorter:
            size = self.shorter[size]
        self.shorter[size] = self.shorter[longest] = size - 1
        return f"{PLACEHOLDER * size}:".ljust(end - indent) if size > 0 else ""


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _parts_of_lines(text: str, blocks: list[TemplateBlock]) -> list[tuple[int, int, str]]:
    """Conditions within a line that has other text: unknown values."""
    parts: list[tuple[int, int, str]] = []
    for block in blocks:
        start, end = block.start, block.end
        if (parts and start < parts[-1][1]) or end - start > _NEARBY:
            continue
        inner = text[start:end]
        if "\n" in inner or ";" in inner or not inner.strip():
            continue
        before = text[max(start - _NEARBY, 0) : start].rpartition("\n")[2]
        after = text[end : end + _NEARBY].partition("\n")[0]
        if (before + after).strip() and "#" not in before:
            parts.append((start, end, PLACEHOLDER))
    return parts
