"""Documents as a few kinds of blocks, rendered as Markdown or for a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import click
from msgspec import Struct

from nginx_stream_lint.report.wrapping import WIDTH, wrapped


class Heading(Struct, frozen=True):
    """A heading; `level` counts from 1."""

    text: str
    level: int = 2


class Paragraph(Struct, frozen=True):
    """Text in which only `code` and [links](to) are markup."""

    text: str


class Code(Struct, frozen=True):
    """Preformatted text, in a language."""

    text: str
    language: str = "nginx"


class Table(Struct, frozen=True):
    """Rows of cells below a header; cells have the markup of paragraphs."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class Items(Struct, frozen=True):
    """A list; items have the markup of paragraphs."""

    items: tuple[str, ...]


Block = Heading | Paragraph | Code | Table | Items


def markdown(blocks: Iterable[Block]) -> str:
    """Render blocks as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks) + "\n"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {block.text}"
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Code):
        return f"```{block.language}\n{block.text.rstrip()}\n```"
    if isinstance(block, Items):
        return "\n".join(f"- {item}" for item in block.items)
    rows = [block.head, tuple("---" for _ in block.head), *block.rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', '&#124;') for cell in row)} |" for row in rows
    )


def terminal(blocks: Iterable[Block], width: int = WIDTH) -> str:
    """Render blocks for a terminal of `width` columns, with ANSI colours."""
    return "\n".join("\n".join(_terminal(block, width)) + "\n" for block in blocks)


def _terminal(block: Block, width: int) -> Iterator[str]:
    if isinstance(block, Heading):
        yield click.style(_plain(block.text), bold=True)
    elif isinstance(block, Paragraph):
        yield from wrapped(_plain(block.text), width)
    elif isinstance(block, Code):
        yield from (f"    {line}".rstrip() for line in block.text.rstrip().splitlines())
    elif isinstance(block, Items):
        for item in block.items:
            yield from wrapped(_plain(item), width, "- ", "  ")
    else:
        yield from _columns([block.head, *block.rows], width)


def _columns(rows: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    """Render a table as columns if it fits, otherwise as a paragraph per row."""
    cells = [[_plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if sum(widths) + 2 * len(widths) <= room:
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            yield f"  {line}".rstrip()
        return
    head, *others = cells
    for row in others:
        yield from wrapped(row[0], room, "- ", "  ")
        for name, cell in zip(head[1:], row[1:], strict=True):
            yield from wrapped(f"{name}: {cell}", room, "    ", "      ")


def _plain(text: str) -> str:
    """Remove markup from a text; a link's address follows its text, unless it is the address."""
    text = re.sub(r"\[([^\]]+)\]\((https?://\1)\)", r"\2", text)
    text = re.sub(r"\[([^\]]+)\]\((https?:[^)]+)\)", r"\1 (\2)", text)
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", text)
    return text.replace("`", "")
