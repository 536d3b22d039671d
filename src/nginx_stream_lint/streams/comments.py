"""What is written about a block: comments in it, right above it, and at the top of its file."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from nginx_stream_lint.config import File
from nginx_stream_lint.nginx.levels import Level


def comments_of(level: Level) -> Iterator[str]:
    """Comments directly inside a block, on the lines right above it, and about all blocks."""
    directive = level.directive
    if directive is None or not directive.file.comments:
        return
    comments = directive.file.comments
    yield from above(level)
    inner = [
        (child.directive.start, child.directive.block_end)
        for child in level.children
        if child.directive is not None and child.directive.file is directive.file
    ]
    text = directive.source.text
    end_of_block = directive.block_end
    for at in range(bisect_left(comments, (directive.start, 0)), len(comments)):
        start, end = comments[at]
        if start > end_of_block:
            break
        if not any(begin <= start < stop for begin, stop in inner):
            yield text[start:end]
    author = directive.file.reading.author
    if author is not None:
        begin, stop = author.notes
        yield from (text[start:end] for start, end in comments if begin <= start < stop)


def above(level: Level) -> Iterator[str]:
    """The comments on the lines right above a block, the lowest first."""
    directive = level.directive
    if directive is None:
        return
    comments = directive.file.comments
    text = directive.source.text
    top = directive.start
    for at in range(bisect_left(comments, (directive.start, 0)) - 1, -1, -1):
        start, end = comments[at]
        between = text[end:top]
        line_start = text.rfind("\n", 0, start) + 1
        if between.strip() or between.count("\n") > 1 or text[line_start:start].strip():
            break
        yield text[start:end]
        top = start


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
