"""Comments about a block: inside it, directly above it, and at the top of its file."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import accumulate

from nginx_stream_lint.config import File
from nginx_stream_lint.config.tree import SIGN
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.streams.evidence_words import evidence_words

_NEAR = 80  # characters
# Comments about other locations, or against a stream.
_OF_OTHERS = (
    r"(?i)\b(?:separately|elsewhere|everything else|all others?|the rest|remaining"
    r"|other (?:requests|paths|endpoints|routes|locations)"
    r"|(?:no|non|not|without|except(?: for)?|other than|excluding)[ -](?:the |any )?"
    r"(?:sse|web-?sockets?|stream(?:s|ed|ing)?|event[ -]?streams?|server[ -]sent|long[ -]?poll\w*))"
    r"\b"
)
# Each is about all locations of a file, and there may be thousands of both.
_MOST_NOTES = 100


class Comments:
    """The comments of a configuration that may be evidence for streams."""

    def __init__(self) -> None:
        self._evidence_counts: dict[File, list[int] | None] = {}
        self._notes: dict[File, list[str]] = {}

    def of(self, level: Level) -> list[str]:
        """The comments directly inside a block, on the lines right above it, and about all blocks.

        Comments without evidence may be omitted.
        """
        directive = level.directive
        if directive is None:
            return []
        file = directive.file
        if file not in self._evidence_counts:
            self._evidence_counts[file] = _evidence_counts(file)
        counts = self._evidence_counts[file]
        if counts is None:
            return []
        comments = file.comments
        start = directive.start
        at = bisect_left(comments, (start, 0))
        end = bisect_left(comments, (directive.block_end + 1, 0), at)
        text = directive.source.text
        found = _above(text, comments, at, start) if counts[at] else []
        if counts[end] > counts[at]:
            found += _inside(level, text, comments[at:end])
        author = file.reading.author
        if author is not None:
            if file not in self._notes:
                first, last = (bisect_left(comments, (offset, 0)) for offset in author.notes)
                with_evidence = [at for at in range(first, last) if counts[at] < counts[at + 1]]
                spans = [comments[at] for at in with_evidence[:_MOST_NOTES]]
                self._notes[file] = _texts(text, spans)
            found += self._notes[file]
        return found


@cache
def _parts() -> frozenset[str]:
    """The words and parts of words, at least one of which is in each comment that is evidence."""
    return frozenset(part for word in evidence_words()["comment"] for part in word.parts)


def _evidence_counts(file: File) -> list[int] | None:
    """For each comment, how many comments before it may be evidence; None if none may."""
    if not file.comments:
        return None
    parts = _parts()
    text = file.source.text
    texts = [text[start:end] for start, end in file.comments]
    together = "\0".join(texts)  # no source contains this character
    lower = together.lower()
    # Case-insensitive matching maps a few other letters to ASCII.
    if together.isascii():
        parts = frozenset(part for part in parts if part in lower)
        if not parts:
            return None
    is_evidence = (
        not text.isascii() or any(part in one for part in parts)
        for text, one in zip(texts, lower.split("\0"), strict=True)
    )
    return list(accumulate(is_evidence, initial=0))


def _inside(level: Level, text: str, comments: Sequence[tuple[int, int]]) -> list[str]:
    """The comments in a block that are not in an inner block."""
    inner = sorted(
        (child.directive.start, child.directive.block_end)
        for child in level.children
        if child.directive is not None
        and level.directive is not None
        and child.directive.file is level.directive.file
    )
    found: list[str] = []
    at = 0
    for start, end in inner:
        found += _texts(text, comments[at : bisect_left(comments, (start, 0))])
        at = max(at, bisect_left(comments, (end, 0)))
    return found + _texts(text, comments[at:])


def _texts(text: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    return [one for start, end in spans if SIGN not in (one := text[start:end])]


def is_of_others(comment: str) -> bool:
    """Whether a comment is about other locations' streams, or about a catch-all location."""
    return re.search(_OF_OTHERS, comment) is not None


def comments_above(level: Level) -> list[str]:
    """The comments on the lines right above a block, the lowest first."""
    directive = level.directive
    if directive is None:
        return []
    comments = directive.file.comments
    at = bisect_left(comments, (directive.start, 0))
    return _above(directive.source.text, comments, at, directive.start)


def _above(text: str, comments: Sequence[tuple[int, int]], offset: int, top: int) -> list[str]:
    """The comments on the lines right above an offset; `offset` is that of the next comment."""
    found: list[str] = []
    while offset > 0:
        offset -= 1
        start, end = comments[offset]
        between = text[max(end, top - _NEAR) : top]
        if not between.isspace():
            break  # before examining the text in between, which may be a whole file
        if top - end > _NEAR:
            between = text[end:top]
        if between.count("\n") > 1 or not between.isspace():
            break
        if (
            text[start - 1 : start] not in ("\n", "")
            and text[text.rfind("\n", 0, start) + 1 : start].strip()
        ):
            break
        found += _texts(text, ((start, end),))
        top = start
    return found


def opening_comments(level: Level) -> Iterator[str]:
    """The comments in a block before its first directive."""
    directive = level.directive
    if directive is None or not directive.file.comments:
        return
    comments = directive.file.comments
    first = directive.block[0].start if directive.block else directive.block_end
    for at in range(bisect_left(comments, (directive.end, 0)), len(comments)):
        start, end = comments[at]
        if start > first:
            break
        yield from _texts(directive.source.text, ((start, end),))


def comments_at_top(file: File) -> Iterator[str]:
    """The comments of a file before its first directive."""
    first = file.directives[0].start if file.directives else None
    for start, end in file.comments:
        if first is not None and start > first:
            break
        yield from _texts(file.source.text, ((start, end),))
