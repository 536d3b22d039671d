"""What is written about a block: comments in it, right above it, and at the top of its file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence

from nginx_stream_lint.config import File
from nginx_stream_lint.nginx.levels import Level

_NEAR = 80  # characters


def comments_of(level: Level) -> list[str]:
    """Comments directly inside a block, on the lines right above it, and about all blocks."""
    directive = level.directive
    if directive is None:
        return []
    comments = directive.file.comments
    if not comments:
        return []
    start = directive.start
    text = directive.source.text
    at = bisect_left(comments, (start, 0))
    found = _above(text, comments, at, start)
    if at < len(comments) and comments[at][0] <= directive.block_end:
        inner = sorted(
            (child.directive.start, child.directive.block_end)
            for child in level.children
            if child.directive is not None and child.directive.file is directive.file
        )
        for start, end in inner:
            found += _texts(text, comments[at : bisect_left(comments, (start, 0))])
            at = max(at, bisect_left(comments, (end, 0)))
        found += _texts(text, comments[at : bisect_left(comments, (directive.block_end + 1, 0))])
    author = directive.file.reading.author
    if author is not None:
        first, last = author.notes
        found += _texts(
            text, comments[bisect_left(comments, (first, 0)) : bisect_left(comments, (last, 0))]
        )
    return found


def _texts(text: str, spans: Iterable[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def above(level: Level) -> list[str]:
    """The comments on the lines right above a block, the lowest first."""
    directive = level.directive
    if directive is None:
        return []
    comments = directive.file.comments
    at = bisect_left(comments, (directive.start, 0))
    return _above(directive.source.text, comments, at, directive.start)


def _above(text: str, comments: Sequence[tuple[int, int]], at: int, top: int) -> list[str]:
    """The comments on the lines right above an offset; `at` is the place of those behind it."""
    found: list[str] = []
    while at > 0:
        at -= 1
        start, end = comments[at]
        if text[max(end, top - _NEAR) : top].strip():
            break  # before the text in between is looked at, which may be a whole file
        between = text[end:top]
        line_start = text.rfind("\n", 0, start) + 1
        if between.strip() or between.count("\n") > 1 or text[line_start:start].strip():
            break
        found.append(text[start:end])
        top = start
    return found


def opening(level: Level) -> Iterator[str]:
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
        yield directive.source.text[start:end]


def at_the_top(file: File) -> Iterator[str]:
    """The comments of a file before its first directive."""
    first = file.directives[0].start if file.directives else None
    for start, end in file.comments:
        if first is not None and start > first:
            break
        yield file.source.text[start:end]
