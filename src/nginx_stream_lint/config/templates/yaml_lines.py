"""Placeholders in YAML around nginx, masked so that the text is still YAML."""

from __future__ import annotations

import re

from nginx_stream_lint.config.source import HOLE
from nginx_stream_lint.config.templates.painting import painted
from nginx_stream_lint.config.templates.tags import Block

_NAME = re.compile(r"\.ya?ml(?:\.\w+)?$", re.IGNORECASE)
_KEYS = re.compile(r"^(?:apiVersion|kind|metadata|data|services|stringData):", re.MULTILINE)

_INDENT = re.compile(r"[ \t]*")
_ALONE = re.compile(f"[ \\t]*({HOLE}[{HOLE} \\t]*?)[ \\t\\r]*(?:\\#.*)?")
# `key: |` and `- >-` start a block of text.
_STARTS_TEXT = re.compile(r"(?:[^#]*:|[ \t]*-)[ \t]+[|>][-+0-9]{0,2}[ \t\r]*(?:#.*)?")
_NEARBY = 1000  # no line of YAML that people write is longer
_INDENTED = re.compile(r"\bn?indent\s+(\d{1,2})\b")


def is_yaml(name: str, text: str) -> bool:
    """Whether a text is YAML around nginx's configuration, by its file's name or its keys."""
    return _NAME.search(name) is not None or _KEYS.search(text) is not None


def fitted(original: str, text: str, placeholders: dict[int, int], blocks: list[Block]) -> str:
    """The masked text with what only YAML wants.

    A line of nothing but placeholders becomes an unknown statement within a block of text, which
    is nginx's probably; elsewhere an entry of a mapping or sequence.
    """
    text = painted(text, _parts_of_lines(text, blocks))
    text = painted(
        text,
        (
            (text.index("\n", start, end), end, " ")
            for start, end in sorted(placeholders.items())
            if "\n" in text[start:end]
        ),
    )
    lines: list[str] = []
    shorter: dict[int, int] = {}  # lengths of keys that are there, to lengths worth a try
    outer = inner = -1  # indentation of a block of text's key, and its own; -1 outside of any
    is_text = False
    before = ""
    offset = 0
    for line in text.split("\n"):
        alone = _ALONE.fullmatch(line)
        begin, offset = offset, offset + len(line) + 1
        indent = len(line) - len(line.lstrip(" \t"))
        if alone:
            end = alone.end(1)
            written = _INDENTED.search(original, begin, _end_of(original, begin, placeholders))
            indent = int(written[1]) if written else indent
            is_text = is_text and indent > outer
            if is_text:
                indent = max(indent, inner)
                new = f"{HOLE * (end - indent - 1)};" if end - indent > 1 else ""
            elif not before:
                new = ""  # whole documents, or nothing
            elif before.lstrip().startswith("-") and len(before) - len(before.lstrip()) == indent:
                new = f"- {HOLE * (end - indent - 2)}" if end - indent > 2 else ""
            else:
                longest = size = end - indent - 1
                while size in shorter:
                    size = shorter[size]
                shorter[size] = shorter[longest] = size - 1
                new = f"{HOLE * size}:".ljust(end - indent) if size > 0 else ""
            lines.append((" " * (end - len(new)) + new if new else " " * end) + line[end:])
            continue
        lines.append(line)
        if not line.strip():
            continue
        if is_text and indent <= outer:
            is_text = False
        if is_text:
            inner = indent if inner < 0 else inner
        elif _STARTS_TEXT.fullmatch(line):
            is_text, outer, inner = True, indent, -1
        before = line
    return "\n".join(lines)


def _parts_of_lines(text: str, blocks: list[Block]) -> list[tuple[int, int, str]]:
    """Conditions within a line that has more: unknown values."""
    parts: list[tuple[int, int, str]] = []
    for block in blocks:
        start, end = block.start, block.end
        inner = text[start:end]
        if (parts and start < parts[-1][1]) or "\n" in inner or ";" in inner or not inner.strip():
            continue
        before = text[max(start - _NEARBY, 0) : start].rpartition("\n")[2]
        after = text[end : end + _NEARBY].partition("\n")[0]
        if (before + after).strip() and "#" not in before:
            parts.append((start, end, HOLE))
    return parts


def _end_of(original: str, begin: int, placeholders: dict[int, int]) -> int:
    """Behind the placeholder that the line starts with."""
    indent = _INDENT.match(original, begin)
    assert indent is not None  # it matches nothing, too
    return placeholders.get(indent.end(), indent.end())
