"""Report targets: formats by name, several at once, to standard output or files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click
from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.cli.common import columns, try_write
from nginx_stream_lint.report import FORMATS, format_of, parts
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.util.problems import unexpected

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

_STDOUT = ("", "-", "/dev/stdout")


class Target(Struct, frozen=True):
    """A format and its file; None is standard output.

    A `guarded` target only replaces an older report of ours.
    """

    format: str
    file: str | None = None
    guarded: bool = False


def targets_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Target, ...]:
    """Callback of `--format NAME[=FILE]`."""
    try:
        return targets_of(values)
    except ValueError as mistake:
        raise click.BadParameter(str(mistake)) from None


def targets_of(values: Sequence[str]) -> tuple[Target, ...]:
    """Parse targets such as `sarif=out.sarif`. Raises ValueError."""
    targets: list[Target] = []
    for value in values:
        file = value.partition("=")[2]
        targets.append(Target(format_of(value), None if file in _STDOUT else file))
    for place in {target.file for target in targets}:
        same = [target.format for target in targets if target.file == place]
        if len(same) > 1:
            where = place or "standard output"
            raise ValueError(f"{' and '.join(same)} cannot both go to {where}; use {same[1]}=FILE")
    return tuple(targets)


def complete_format(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Shell completions for `--format`."""
    from click.shell_completion import CompletionItem

    return [CompletionItem(name) for name in FORMATS if name.startswith(incomplete)]


def targets_with(targets: Sequence[Target], output: str | None) -> tuple[Target, ...]:
    """Apply `--output FILE`, which sets the file of a single format."""
    chosen = tuple(targets) or (Target("text"),)
    if output is None or output in _STDOUT:
        return chosen
    if len(chosen) > 1 or chosen[0].file is not None:
        raise click.UsageError(
            "--output works with a single format only; use --format NAME=FILE for several"
        )
    return (Target(chosen[0].format, output),)


def write_all(run: Run, targets: Sequence[Target], color: bool | None) -> list[str]:
    """Write a run in every requested format. Returns error messages."""
    tried: list[str | None] = []
    checked = {file.source.key for file in run.report.files}
    for target in targets:
        if target.file is not None and os.path.realpath(target.file) in checked:
            said = "is one of the checked files, so it is not overwritten; choose another file"
            tried.append(f"{target.file}:1:1: {said}")
            continue
        tried.append(_write(run, target, color))
        if target.format == "github":
            tried.append(_append_summary(run))
    return [failure for failure in tried if failure is not None]


def _write(run: Run, target: Target, color: bool | None) -> str | None:
    """Write a run to one target. Returns an error message or None."""
    are_commands = target.format == "github"
    try:
        text = parts(target.format, replace(run, width=columns(target.file)))
        if target.guarded and target.file is not None:
            return _replace_own(text, target.format, target.file, are_commands)
        return try_write(text, target.file, color, are_commands)
    except Exception as error:
        return str(unexpected(f"--format {target.format}", error))


def _replace_own(text: Iterable[str], name: str, path: str, commands: bool) -> str | None:
    """Write a report to a file that the settings name. Returns an error message or None."""
    from nginx_stream_lint.report.report_files import marked

    if not _may_replace(path, name):
        return (
            f"{path}:1:1: is not a {name} report of nginx-stream-lint, so it is not"
            f" overwritten; remove it, or use --format {name}=FILE"
        )
    return try_write(marked(name, text), path, commands=commands)


def _may_replace(path: str, name: str) -> bool:
    """Whether the path is free, or has an older report in the format `name`."""
    from nginx_stream_lint.report.report_files import BYTES, is_own_report

    if not os.path.lexists(path):
        return True
    if os.path.islink(path) or not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as stream:
            first = stream.read(BYTES)
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - BYTES))
            last = stream.read(BYTES)
    except OSError:
        return False
    return is_own_report(name, first.decode("utf-8", "replace"), last.decode("utf-8", "replace"))


def _append_summary(run: Run) -> str | None:
    """Append the findings as a table to a GitHub job's summary, if the job has one."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return None
    from nginx_stream_lint.report.github import step_summary

    text = step_summary(run).encode("utf-8", "replace")
    try:
        with open(path, "ab") as stream:
            stream.write(text)
    except OSError as error:
        return f"{path}:1:1: cannot be written ({error.strerror}); check GITHUB_STEP_SUMMARY"
    return None
