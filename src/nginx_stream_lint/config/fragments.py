"""The level of a file: a complete nginx.conf, or a fragment that others include in a block."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nginx_stream_lint.config.tree import Context, Directive, enter, fits, has_commands

# Possible levels of a file given by name; the first that fits is assumed.
_LEVELS: tuple[Context, ...] = (
    (),
    ("http",),
    ("http", "server"),
    ("http", "location"),
    ("stream",),
    ("stream", "server"),
    ("http", "upstream"),
    ("http", "location", "if"),
)
# The levels for statements that do not fit the rest of a file.
_ELSEWHERE: tuple[Context, ...] = (("http",), ("http", "server"), ("http", "location"))

_MAIN_BLOCKS = frozenset({"http", "events", "stream", "mail"})


def is_main(directives: Iterable[Directive]) -> bool:
    """Whether these are the directives of a complete nginx.conf."""
    return any(one.block is not None and one.name in _MAIN_BLOCKS for one in directives)


def fragment_level(directives: Sequence[Directive]) -> Context:
    """The level of a fragment: the outermost one that allows most of its directives.

    `directives` are those of a file, with its includes replaced by their contents.
    """
    if is_main(directives):
        return ()
    return min(_LEVELS, key=lambda one: _misfits(directives, one))


def other_level(directive: Directive, context: Context) -> Context | None:
    """The level of a directive that a context forbids; None if allowed there or nowhere."""
    if _fits(directive, context):
        return None
    return next((one for one in _ELSEWHERE if _fits(directive, one)), None)


def _fits(directive: Directive, context: Context) -> bool:
    """Whether a context allows a directive, by its name."""
    if directive.name == "server" and (directive.block is None) != (context[-1:] == ("upstream",)):
        return False  # one with a block is a virtual server, one without is an upstream's
    return fits(directive.name, context)


def _misfits(block: Sequence[Directive], context: Context) -> int:
    """Count directives that nginx would refuse in this context, including those in inner blocks."""
    count = 0
    work = [(block, context)]
    while work:
        block, context = work.pop()
        if not has_commands(context):
            continue
        for directive in block:
            if not _fits(directive, context):
                count += 1
            elif directive.block is not None:
                work.append((directive.block, enter(directive, context)))
    return count
