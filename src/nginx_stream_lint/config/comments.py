"""Comments as the programs that read a source see them: nginx, and template engines.

Text that looks like a comment in a string or in Lua code is none.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

from nginx_stream_lint.config.templates import template_tags
from nginx_stream_lint.config.templates.overlay import is_inside, outermost
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


def tags_of(files: Sequence[File]) -> Sequence[Tag]:
    """The tags of template languages in the source of these files, in order."""
    return template_tags(files[0].source) if any(file.templated for file in files) else ()


def tags_in(files: Sequence[File]) -> Sequence[Tag]:
    """The tags between the first and the last character of these files of one source, in order."""
    tags = tags_of(files)
    regions = [file.reading.region for file in files]
    first, last = min(start for start, _ in regions), max(end for _, end in regions)
    key = attrgetter("start")
    return tags[bisect_left(tags, first, key=key) : bisect_left(tags, last, key=key)]


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
    files: Sequence[File], tags: Iterable[Tag]
) -> Iterator[tuple[Comment, list[File]]]:
    """The comments of template languages in the source of these files, in order.

    Each with the files that it is in; none for a comment around nginx text. `tags` are those of the
    source, or of a part of it.
    """
    comments = [tag for tag in tags if tag.kind == "comment"]
    if not comments:
        return
    seen = sorted(start for file in files for start, _ in file.comments)
    ahead = sorted(map(_Text, files), key=lambda one: one.start, reverse=True)
    around: list[_Text] = []  # the texts that have not ended before a comment
    for start, end, _, text in comments:
        while ahead and ahead[-1].start <= start:
            around.append(ahead.pop())
        around = [one for one in around if start < one.end]
        if any(one.has_word_at(start) for one in around):
            continue
        if bisect_left(seen, start) < bisect_left(seen, end):
            continue  # nginx sees a comment in it: the file was not read as such a template
        inside = [one.file for one in around if end <= one.end]
        is_literal = any(file.reading.author is None for file in inside)
        is_literal = is_literal and not any(file.reading.read_only for file in inside)
        yield Comment(start, end, *text, is_literal), inside


class _Text:
    """The span of a file in its source, and the words of its statements, which are read once."""

    def __init__(self, file: File) -> None:
        self.file = file
        self.start, self.end = file.reading.region
        self._statement: Directive | None = None
        self._spans: list[tuple[int, int]] = []

    def has_word_at(self, offset: int) -> bool:
        """Whether an offset of the source is in a word of a statement, such as a quoted string."""
        block: list[Directive] | None = self.file.directives
        while block:
            at = bisect_right(block, offset, key=lambda one: one.start)
            around = block[at - 1] if at else None
            if around is None or offset >= around.whole_end:
                return False
            if offset < around.end:
                if around is not self._statement:
                    self._statement = around
                    self._spans = outermost([around.name_span, *around.arg_spans])
                return is_inside(self._spans, offset)
            block = around.block
        return False
