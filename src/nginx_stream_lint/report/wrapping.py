"""Lines of text for people, broken to fit."""

from __future__ import annotations

from nginx_stream_lint.util.remembering import latest_remembered

# Columns, where there is no terminal to follow.
WIDTH = 100


@latest_remembered(1024)
def wrapped(text: str, width: int = WIDTH, first: str = "", rest: str = "") -> list[str]:
    """The lines of a text, broken at blanks as `textwrap` does it; words are left whole.

    `first` is what the first line begins with, `rest` what the others do. Many findings share a
    message, so the latest results are kept.
    """
    if "  " in f" {text} " or not text.isprintable():
        import textwrap

        return textwrap.wrap(
            text,
            width,
            initial_indent=first,
            subsequent_indent=rest,
            break_long_words=False,
            break_on_hyphens=False,
        )
    # One blank between words, no other space: the last one that fits ends a line.
    lines: list[str] = []
    indent = first
    while len(text) > (room := width - len(indent)):
        blank = text.rfind(" ", 0, max(0, room + 1))
        if blank < 0:
            blank = text.find(" ")
        if blank < 0:
            break
        lines.append(indent + text[:blank])
        text = text[blank + 1 :]
        indent = rest
    lines.append(indent + text)
    return lines
