"""Make the man page from the help of the commands; `make docs` writes man/."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from nginx_stream_lint import __version__
from nginx_stream_lint.cli import COMMANDS, cli
from nginx_stream_lint.cli.help import HelpfulCommand

NAME = "nginx-stream-lint"
FILE = Path(__file__).resolve().parents[1] / "man" / f"{NAME}.1"

_FILES = (
    (
        ".nginx-stream-lint.yaml",
        "the settings; the nearest file in the folder of the first path or above is used",
    ),
    ("pyproject.toml", "the same settings in the table [tool.nginx-stream-lint]"),
)
_ENVIRONMENT = (
    ("NO_COLOR", "no colours, even on a terminal"),
    ("FORCE_COLOR", "colours, even if the output is not a terminal"),
    ("NGINX_STREAM_LINT_DEBUG", "if it is 1, show the traceback of an unexpected error"),
    (
        "GITHUB_STEP_SUMMARY",
        "the file to which --format github also appends a table of the findings",
    ),
)


def man_page() -> str:
    """The page in the macros of man(7)."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield f'.TH {NAME.upper()} 1 "" "{NAME} {__version__}" "User Commands"'
    yield ".SH NAME"
    yield f"{_text(NAME)} \\- check whether streamed responses get through nginx"
    yield ".SH SYNOPSIS"
    context = click.Context(cli, info_name=NAME, **cli.context_settings)
    for name, command in commands(context):
        inner = click.Context(command, info_name=name, parent=context)
        usage = " ".join(command.collect_usage_pieces(inner))
        word = "" if name == "lint" else f" {name}"
        yield f"\\fB{_text(NAME + word)}\\fR {_text(usage)}"
        yield ".br"
    yield ".SH DESCRIPTION"
    yield from _paragraphs(cli.help or "")
    for name, command in commands(context):
        inner = click.Context(command, info_name=name, parent=context)
        yield f".SH {_text(name.upper())}"
        yield from _paragraphs(command.help or "")
        for heading, records in command.grouped(inner):
            yield f".SS {_text(heading)}"
            yield from _items(records)
        yield ".SS Examples"
        for line, words in command.examples.items():
            yield ".PP"
            yield _text(words)
            yield ".br"
            yield f"\\fB{_text(line)}\\fR"
        yield ".SS Exit status"
        yield from _items([(str(code), words) for code, words in command.exit_status.items()])
    yield ".SH FILES"
    yield from _items(_FILES)
    yield ".SH ENVIRONMENT"
    yield from _items(_ENVIRONMENT)
    yield ".SH SEE ALSO"
    yield ".BR nginx (8)"


def commands(context: click.Context) -> Iterator[tuple[str, HelpfulCommand]]:
    """All commands with their names, in the order of the page."""
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert isinstance(command, HelpfulCommand), f"{name}: needs cls=HelpfulCommand"
        yield name, command


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split()))


def _items(rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    for term, words in rows:
        yield ".TP"
        yield f"\\fB{_text(term)}\\fR"
        yield _text(" ".join(words.split()))


def _text(text: str) -> str:
    """Escape the characters of a text that roff would interpret."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def main() -> None:
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(man_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
