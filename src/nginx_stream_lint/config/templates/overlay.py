"""Replace spans of a text by equally many other characters; line ends stay."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable

Span = tuple[int, int]

_NOT_LINE_END = re.compile(r"[^\r\n]")


def fill_spans(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """Fill each span (start, end, character) with a character; spans are in order."""
    return replace_spans(
        text,
        ((start, end, _NOT_LINE_END.sub(color, text[start:end])) for start, end, color in spans),
    )


def replace_spans(text: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """Replace spans by other text of the same length; spans are in order.

    If spans overlap, the earlier one stays.
    """
    parts = []
    at = 0
    for start, end, new in spans:
        if end > at:
            parts += [text[at:start], new[max(at - start, 0) :]]
            at = end
    return "".join([*parts, text[at:]]) if parts else text


def blank(text: str) -> str:
    """Replace a text by blanks."""
    return _NOT_LINE_END.sub(" ", text)


def is_inside(spans: list[Span], offset: int) -> bool:
    """Whether an offset is in one of the spans, which are in order and do not overlap."""
    index = bisect_right(spans, offset, key=lambda span: span[0]) - 1
    return index >= 0 and offset < spans[index][1]


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Drop spans that are inside of others; spans are in order."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda span: (span[0], -span[1])):
        if not found or span[0] >= found[-1][1]:
            found.append(span)
    return found
