"""Where reports go: formats by name, several at once, standard output or files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nginx_stream_lint.cli.common import try_write
from nginx_stream_lint.config.problems import unexpected
from nginx_stream_lint.report import FORMATS, render
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.streams.declarations import nearest
from nginx_stream_lint.util.lazily import dataclass

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_STDOUT = ("", "-", "/dev/stdout")


@dataclass(frozen=True, slots=True)
class Target:
    """A format, and the file it goes to; None is standard output."""

    format: str
    file: str | None = None


def targets_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Target, ...]:
    """Callback of `--format NAME[=FILE]`."""
    try:
        return targets_of(values)
    except ValueError as mistake:
        raise click.BadParameter(str(mistake)) from None


def targets_of(values: Sequence[str]) -> tuple[Target, ...]:
    """The targets that words such as `sarif=out.sarif` name. Raises ValueError."""
    targets: list[Target] = []
    for value in values:
        name, _equals, file = value.partition("=")
        if name not in FORMATS:
            raise ValueError(
                f'unknown format "{name}"{nearest(name, FORMATS)}; one of {", ".join(FORMATS)}'
            )
        targets.append(Target(name, None if file in _STDOUT else file))
    for place in {target.file for target in targets}:
        same = [target.format for target in targets if target.file == place]
        if len(same) > 1:
            where = place or "standard output"
            raise ValueError(f"{' and '.join(same)} cannot both go to {where}: say {same[1]}=FILE")
    return tuple(targets)


def complete_format(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell may complete after `--format`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in FORMATS if name.startswith(incomplete)]


def targets_with(targets: Sequence[Target], output: str | None) -> tuple[Target, ...]:
    """The targets with `--output FILE` taken in, which stands for the FILE of a single format."""
    chosen = tuple(targets) or (Target("text"),)
    if output is None or output in _STDOUT:
        return chosen
    if len(chosen) > 1 or chosen[0].file is not None:
        raise click.UsageError(
            "--output is for a single format; say --format NAME=FILE for several"
        )
    return (Target(chosen[0].format, output),)


def write_all(run: Run, targets: Sequence[Target], color: bool | None) -> list[str]:
    """Write a run in every format asked for. Returns what could not be written, in words."""
    tried: list[str | None] = []
    for target in targets:
        try:
            text = render(target.format, run)
        except Exception as error:
            tried.append(str(unexpected(f"--format {target.format}", error)))
            continue
        tried.append(try_write(text, target.file, color, target.format == "github"))
        if target.format == "github":
            tried.append(_append_summary(run))
    return [failure for failure in tried if failure is not None]


def _append_summary(run: Run) -> str | None:
    """Give a GitHub job the findings as a table, where it offers the file for that."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    from nginx_stream_lint.report.github import step_summary

    text = step_summary(run).encode("utf-8", "replace")
    try:
        with open(path, "ab") as stream:
            stream.write(text)
    except OSError as error:
        return f"{path}:1:1: cannot be written ({error.strerror}); see GITHUB_STEP_SUMMARY"
    return None
