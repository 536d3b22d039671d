"""Fixes as a unified diff."""

from __future__ import annotations

import difflib
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping

from nginx_stream_lint.config import Source
from nginx_stream_lint.files.source import ENCODING, ERRORS

# Characters that git escapes, and those with a C escape.
_ODD = re.compile(r"[^ !#-\[\]-~]")
_LETTERS = dict(zip('"\\\a\b\t\n\v\f\r', '"\\abtnvfr', strict=True))

_CONTEXT = 3  # unchanged lines shown around a change
# Up to this many lines difflib is fast enough: 0.2 s for 13,000 lines, 1,200 of them new.
_MANY_LINES = 20_000


def diff(changed: Mapping[str, tuple[Source, Source]]) -> str:
    """A unified diff of sources before and after."""
    parts: list[str] = []
    for before, after in changed.values():
        mark = before.byte_order_mark
        old, new = _lines(mark + before.text), _lines(mark + after.text)
        unified = difflib.unified_diff if len(old) <= _MANY_LINES else _unified
        name = os.path.normpath(before.name).lstrip("/")
        for line in unified(old, new, _name(f"a/{name}"), _name(f"b/{name}")):
            parts.append(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return "".join(parts)


def _lines(text: str) -> list[str]:
    """The lines of a text with their ends. For git and patch only LF ends a line."""
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return [*lines, last] if last else lines


def _name(path: str) -> str:
    """A file's name as git writes it in a diff: quoted as in C if necessary."""
    data = path.encode(ENCODING, ERRORS).decode("latin-1")  # a character for each byte
    if not _ODD.search(data):
        return f"{path}\t" if " " in path else path  # the tab marks the end of the name
    return f'"{_ODD.sub(_as_in_c, data)}"'


def _as_in_c(byte: re.Match[str]) -> str:
    letter = _LETTERS.get(byte[0])
    return f"\\{ord(byte[0]):03o}" if letter is None else f"\\{letter}"


def _unified(old: list[str], new: list[str], name: str, new_name: str) -> Iterator[str]:
    """A unified diff in linear time; that of difflib is quadratic in the number of changes.

    Lines that occur once, both before and after, are unchanged, and difflib only gets the parts
    between them. If lines around a change repeat, the result may differ from difflib's but is
    equally correct.
    """
    groups = list(_ChangedLines(old, new).get_grouped_opcodes(_CONTEXT))
    if groups:
        yield f"--- {name}\n"
        yield f"+++ {new_name}\n"
    for group in groups:
        (_, i, _, k, _), (_, _, j, _, m) = group[0], group[-1]
        yield f"@@ -{_range(i, j)} +{_range(k, m)} @@\n"
        for tag, i, j, k, m in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[i:j])
            else:
                yield from (f"-{line}" for line in old[i:j])
                yield from (f"+{line}" for line in new[k:m])


def _range(start: int, end: int) -> str:
    """Lines as a unified diff counts them."""
    if end - start == 1:
        return str(end)
    return f"{start + 1 if end > start else start},{end - start}"


class _ChangedLines(difflib.SequenceMatcher[str]):
    """Lines before and after, of which difflib itself only gets the changed ones."""

    def __init__(self, old: list[str], new: list[str]) -> None:
        super().__init__()
        self._blocks = [*_alike(old, new), difflib.Match(len(old), len(new), 0)]

    def get_matching_blocks(self) -> list[difflib.Match]:
        return self._blocks


def _alike(old: list[str], new: list[str]) -> list[difflib.Match]:
    """The unchanged runs of lines, in order, as long as possible."""
    once = {line for line, number in Counter(old).items() if number == 1}
    once &= {line for line, number in Counter(new).items() if number == 1}
    where = {line: at for at, line in enumerate(old) if line in once}
    found: list[difflib.Match] = []
    i = j = 0
    while i < len(old) or j < len(new):
        start = i
        while i < len(old) and i - start + j < len(new) and old[i] == new[i - start + j]:
            i += 1
        found.append(difflib.Match(start, j, i - start))
        j += i - start
        anchor = next((at for at in range(j, len(new)) if where.get(new[at], -1) >= i), len(new))
        k, m = (where[new[anchor]], anchor) if anchor < len(new) else (len(old), len(new))
        while k > i and m > j and old[k - 1] == new[m - 1]:
            k, m = k - 1, m - 1
        inner = difflib.SequenceMatcher(None, old[i:k], new[j:m]).get_matching_blocks()
        found += [difflib.Match(i + one.a, j + one.b, one.size) for one in inner]
        i, j = k, m
    merged: list[difflib.Match] = []
    for one in found:
        last = merged[-1] if merged else difflib.Match(0, 0, 0)
        if one.size and last.a + last.size == one.a and last.b + last.size == one.b:
            merged[-1:] = [difflib.Match(last.a, last.b, last.size + one.size)]
        elif one.size:
            merged.append(one)
    return merged
