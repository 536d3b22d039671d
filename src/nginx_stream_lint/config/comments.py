"""Comments as the programs that read a source see them: nginx, and template engines.

Text that looks like a comment in a string or in Lua code is none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from nginx_stream_lint.config.templates import template_tags
from nginx_stream_lint.config.templates.overlay import is_inside
from nginx_stream_lint.config.templates.tags import Tag
from nginx_stream_lint.config.tree import Directive, File


class Comment(NamedTuple):
    """A comment of a source, from its first to after its last character.

    `text_start` and `text_end` are the span of its text, without the marks of its language.
    `is_literal`: it is in literal nginx text, so an edit can remove it.
    """

    start: int
    end: int
    text_start: int
    text_end: int
    is_literal: bool


def tags_of(files: Sequence[File]) -> list[Tag]:
    """The tags of template languages in the source of these files, in order."""
    return template_tags(files[0].source) if any(file.templated for file in files) else []


def nginx_comments(file: File) -> Iterator[Comment]:
    """The comments that nginx sees in a file, in order."""
    text = file.source.text
    is_literal = file.reading.author is None and not file.reading.read_only
    for start, end in file.comments:
        yield line_comment(text, start, end, is_literal)


def line_comment(text: str, start: int, end: int, is_literal: bool) -> Comment:
    """A comment that begins with `#`, as in nginx and YAML."""
    marks = end - start - len(text[start:end].lstrip("#"))
    return Comment(start, end, start + marks, end, is_literal)


def template_comments(
    files: Sequence[File], tags: Sequence[Tag], *, around: bool = False
) -> Iterator[Comment]:
    """The comments of template languages in the files of one source, in order.

    `tags` are those of the source. `around`: also the comments outside of nginx text.
    """
    comments = [tag for tag in tags if tag.kind == "comment"]
    if not comments:
        return
    seen = sorted(start for file in files for start, _ in file.comments)
    words = [_Words(file) for file in files]
    for start, end, _, text in comments:
        if any(one.has(start) for one in words):
            continue
        if bisect_left(seen, start) < bisect_left(seen, end):
            continue  # nginx sees a comment in it: the file was not read as such a template
        inside = [file.reading for file in files if _sees(file, start, end)]
        if inside or around:
            is_literal = any(one.author is None for one in inside)
            is_literal = is_literal and not any(one.read_only for one in inside)
            yield Comment(start, end, *text, is_literal)


def _sees(file: File, start: int, end: int) -> bool:
    """Whether a span of a source is part of the text that nginx sees."""
    first, last = file.reading.region
    return first <= start and end <= last


class _Words:
    """The words of a file's statements, such as quoted strings; each statement is read once."""

    def __init__(self, file: File) -> None:
        self._directives = file.directives
        self._statement: Directive | None = None
        self._spans: list[tuple[int, int]] = []

    def has(self, offset: int) -> bool:
        """Whether an offset of the source is in a word; offsets are asked for in order."""
        block: list[Directive] | None = self._directives
        while block:
            at = bisect_right(block, offset, key=lambda one: one.start)
            around = block[at - 1] if at else None
            if around is None or offset >= around.whole_end:
                return False
            if offset < around.end:
                if around is not self._statement:
                    self._statement = around
                    self._spans = [around.name_span, *around.arg_spans]
                return is_inside(self._spans, offset)
            block = around.block
        return False
