"""Find the streams that comments declare, and the levels that each comment applies to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeVar

from nginx_stream_lint.config import SIGN, Configuration, File, Problem, Source
from nginx_stream_lint.config.comments import (
    Comment,
    nginx_comments,
    tags_of,
    template_comments,
)
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.streams.declaration_syntax import COMMENT, DeclarationMistake, from_comment
from nginx_stream_lint.streams.stream import Stream

_T = TypeVar("_T")

_MOST_DECLARED = 50  # streams declared by comments for one place: all rules check each of them


def declared_in_comments(
    configuration: Configuration, root: Level
) -> tuple[dict[Level, list[Stream]], list[Problem]]:
    """Declarations in comments, by level, and problems with them.

    Outside a location they apply to all inside.
    """
    found: dict[Level, dict[Stream, None]] = {}
    problems: list[Problem] = []
    crowded: dict[Level, File] = {}
    for file in configuration.files:
        if SIGN not in file.source.text:
            continue
        declared: list[tuple[int, Stream]] = []
        for comment in _comments(file):
            try:
                stream = from_comment(_text(file, comment))
            except DeclarationMistake as mistake:
                problems.append(
                    file.source.problem(
                        comment.start, str(mistake), "see docs/streams.md for the syntax"
                    )
                )
                continue
            if stream is not None:
                declared.append((comment.start, stream))
        if declared:
            for stream, level in _inside(root, file.source.name, declared):
                for inner in _proxying(level):
                    ones = found.setdefault(inner, {})
                    if len(ones) < _MOST_DECLARED or stream in ones:
                        ones[stream] = None
                    else:
                        crowded.setdefault(inner, file)
    problems += [_too_many(level, file) for level, file in crowded.items()]
    return {level: list(ones) for level, ones in found.items()}, problems


def _too_many(level: Level, file: File) -> Problem:
    directive = level.directive
    source, start = (file.source, 0) if directive is None else (directive.source, directive.start)
    return source.problem(
        start,
        f"the comments here declare more than {_MOST_DECLARED} different streams",
        "declare fewer; the others were not checked",
    )


def commented_at(
    configuration: Configuration, root: Level
) -> dict[tuple[Source, int, int], list[Level]]:
    """Return the positions of comments that declare streams, and the levels around each."""
    found: dict[tuple[Source, int, int], list[Level]] = {}
    for file in configuration.files:
        if SIGN not in file.source.text:
            continue
        places = [
            (one.start, (file.source, one.start, one.end))
            for one in _comments(file)
            if re.match(COMMENT, _text(file, one)) is not None
        ]
        for place, level in _inside(root, file.source.name, places):
            found.setdefault(place, []).append(level)
    return found


def _comments(file: File) -> list[Comment]:
    """The comments of nginx and of template languages in a file, in order."""
    found = [*nginx_comments(file), *template_comments([file], tags_of([file]))]
    return sorted(found, key=lambda one: one.start)


def _text(file: File, comment: Comment) -> str:
    return file.source.text[comment.text_start : comment.text_end]


def _proxying(level: Level) -> Iterator[Level]:
    """The level itself if it proxies, otherwise all levels inside it that do."""
    if level.handler is not None:
        yield level
    else:
        for inner in level.walk():
            if inner.own_handler is not None:
                yield inner


def _inside(
    root: Level, name: str, declared: Sequence[tuple[int, _T]]
) -> Iterator[tuple[_T, Level]]:
    """Declarations at offsets of a file, in order, with the innermost level around each.

    If the file is included several times, each use is returned.
    """
    blocks: list[tuple[int, int, Level]] = []
    into: list[Level] = []  # the levels that include the file
    for level in root.walk():
        directive = level.directive
        if directive is not None and directive.source.name == name:
            blocks.append((directive.start, directive.block_end, level))
        elif any(
            one.source.name == name
            for one in (
                *(row for rows in level.rows.values() for row in rows),
                *(child.directive for child in level.children if child.directive is not None),
            )
        ):
            into.append(level)
    blocks.sort(key=lambda block: block[0], reverse=True)
    around: list[tuple[int, int, Level]] = []
    for offset, what in declared:
        while blocks and blocks[-1][0] <= offset:
            around.append(blocks.pop())
        around = [block for block in around if block[1] >= offset]
        outer = {level.parent for _, _, level in around}
        for level in (*into, *(level for _, _, level in around)):
            if level not in outer:
                yield what, level
