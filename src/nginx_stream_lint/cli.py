"""The command line: the only module that prints, writes or exits."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from nginx_stream_lint import __version__
from nginx_stream_lint.config import Source
from nginx_stream_lint.lint import Options, Report, expand, lint
from nginx_stream_lint.nginx.versions import Version, parse_version
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.rule import Rule, RuleMistake, builtin_folder, load_rules
from nginx_stream_lint.settings import Settings, SettingsMistake, find_file, load, timeout_s
from nginx_stream_lint.streams.declarations import (
    Declaration,
    Misdeclared,
    declaration,
    nearest,
)

EXIT_FINDINGS = 1
EXIT_UNUSABLE = 2


class _LintByDefault(click.Group):
    """A group whose first word may be left out: `nginx-stream-lint nginx.conf` lints."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = ["lint", *args]
        return super().parse_args(ctx, args)


def _version(_: click.Context, __: click.Parameter, value: str | None) -> Version | None:
    try:
        return None if value is None else parse_version(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _timeout(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else timeout_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _streams(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Declaration, ...]:
    try:
        return tuple(declaration(value, "--stream says so") for value in values)
    except Misdeclared as mistake:
        raise click.BadParameter(str(mistake)) from None


@click.group(
    cls=_LintByDefault,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="nginx-stream-lint")
def cli() -> None:
    """Say whether a streamed answer (SSE, LLM tokens) gets through an nginx configuration.

    `nginx-stream-lint nginx.conf` is short for `nginx-stream-lint lint nginx.conf`.
    """


@cli.command("lint")
@click.argument("paths", nargs=-1, type=click.Path(path_type=str))
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "concise", "json"]),
    default="text",
    show_default=True,
    help="How findings are written.",
)
@click.option("--output", type=click.Path(dir_okay=False), help="Write there, not to stdout.")
@click.option(
    "--fail-on",
    type=click.Choice(["error", "warning", "note"]),
    default="error",
    show_default=True,
    help="The mildest finding that gives exit status 1.",
)
@click.option("--exit-zero", is_flag=True, help="Exit with 0 whatever is found.")
@click.option("--fix", "do_fix", is_flag=True, help="Write the safe fixes into the files.")
@click.option("--unsafe-fixes", is_flag=True, help="Count unsafe fixes in, too.")
@click.option(
    "--diff", "do_diff", is_flag=True, help="Print what --fix would change; write nothing."
)
@click.option(
    "--stream",
    "streams",
    multiple=True,
    metavar="PATH",
    callback=_streams,
    help="A path that streams; repeatable.",
)
@click.option("--all-streams", is_flag=True, help="Check every location that proxies as a stream.")
@click.option(
    "--nginx-version",
    metavar="X.Y.Z",
    callback=_version,
    help="The nginx that runs this; the old defaults where not given.",
)
@click.option("--select", metavar="RULES", help="Only these rules, by comma.")
@click.option("--ignore", metavar="RULES", help="All rules but these, by comma.")
@click.option(
    "--rules",
    "rules_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with rules of your own, besides the shipped ones.",
)
@click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The settings file; else .nginx-stream-lint.yaml upwards from the first path.",
)
@click.option(
    "--min-read-timeout",
    metavar="TIME",
    callback=_timeout,
    help="The silence a stream should survive; 300s where not given.",
)
@click.option(
    "--color/--no-color",
    default=None,
    help="Colours, or none; else as the terminal, NO_COLOR and FORCE_COLOR say.",
)
def lint_command(paths: tuple[str, ...], **flags: Any) -> None:
    """Check nginx configurations: files, folders, or - for standard input."""
    started = time.monotonic()
    if not paths:
        raise click.UsageError("name a configuration file, a folder, or - for standard input")
    try:
        settings = _settings(paths[0], flags["config_file"])
        rules = _rules(flags["rules_folder"], flags["select"], flags["ignore"])
    except (SettingsMistake, RuleMistake) as mistake:
        _unusable(str(mistake))
    version: Version | None = flags["nginx_version"] or settings.nginx_version
    timeout = flags["min_read_timeout"]
    options = Options(
        rules=rules,
        nginx_version=version,
        min_read_timeout_s=settings.min_read_timeout_s if timeout is None else timeout,
        streams=(*settings.streams, *flags["streams"]),
        all_streams=flags["all_streams"],
    )
    inputs, texts = _inputs(paths)
    if flags["do_fix"] or flags["do_diff"]:
        texts = _fix(inputs, options, texts, flags["unsafe_fixes"], flags["do_diff"])
    report = lint(inputs, options, texts)
    if not flags["do_diff"]:
        _write(_formatted(report, flags["format_"], version, started), flags)
    for problem in report.problems:
        click.echo(_safe(str(problem)), err=True)
    if report.problems:
        sys.exit(EXIT_UNUSABLE)
    if report.reaches(flags["fail_on"]) and not flags["exit_zero"]:
        sys.exit(EXIT_FINDINGS)


def _settings(first: str, config_file: Path | None) -> Settings:
    path = config_file or find_file(Path() if first == "-" else Path(first))
    return Settings() if path is None else load(path)


def _rules(folder: Path | None, select: str | None, ignore: str | None) -> tuple[Rule, ...]:
    rules = load_rules(builtin_folder(), *([] if folder is None else [folder]))
    names = sorted(rule.name for rule in rules)

    def chosen(text: str, option: str) -> set[str]:
        wanted = {word.strip() for word in text.split(",") if word.strip()}
        for name in wanted - set(names):
            raise click.BadParameter(
                f'unknown rule "{name}"{nearest(name, names)}', param_hint=option
            )
        return wanted

    keep = chosen(select, "--select") if select is not None else set(names)
    drop = chosen(ignore, "--ignore") if ignore is not None else set()
    return tuple(rule for rule in rules if rule.name in keep - drop)


def _inputs(paths: tuple[str, ...]) -> tuple[list[str], dict[str, Source]]:
    """The main files to check, and the text that stands in for standard input."""
    texts: dict[str, Source] = {}
    if "-" in paths:
        from nginx_stream_lint.config.problems import Unreadable  # noqa: PLC0415
        from nginx_stream_lint.config.source import decode  # noqa: PLC0415

        try:
            source = decode("<stdin>", sys.stdin.buffer.read())
        except Unreadable as stop:
            _unusable(str(stop))
        texts[os.path.realpath("<stdin>")] = source
    named = ["<stdin>" if path == "-" else path for path in paths]
    return expand(named), texts


def _fix(
    inputs: list[str],
    options: Options,
    texts: dict[str, Source],
    unsafe: bool,
    only_show: bool,
) -> dict[str, Source]:
    """Mend what can be mended; gives the texts to judge the rest by."""
    from nginx_stream_lint.fixes.apply import NotConverging, fix_all, write  # noqa: PLC0415
    from nginx_stream_lint.fixes.show import diff  # noqa: PLC0415

    def findings(changed: dict[str, Source]) -> list[Finding]:
        return lint(inputs, options, texts | changed).findings

    try:
        changed = fix_all(findings, unsafe)
    except NotConverging as error:
        _unusable(str(error))
    if only_show:
        click.echo(_safe(diff(changed)), nl=False)
        return texts
    for path, (_, after) in changed.items():
        if path in texts:
            _unusable("- cannot be fixed in place: use --diff")
        try:
            write(path, after)
        except OSError as error:
            _unusable(f"{after.name}:1:1: cannot be written ({error.strerror}); nothing changed")
        click.echo(f"fixed {_safe(after.name)}", err=True)
    return texts | {path: after for path, (_, after) in changed.items()}


def _formatted(report: Report, format_: str, version: Version | None, started: float) -> str:
    seconds = time.monotonic() - started
    if format_ == "json":
        from nginx_stream_lint.report.json import json  # noqa: PLC0415

        return json(report, version, seconds)
    if format_ == "concise":
        from nginx_stream_lint.report.concise import concise  # noqa: PLC0415

        return concise(report)
    from nginx_stream_lint.report.text import text  # noqa: PLC0415

    return text(report, seconds)


def _write(text: str, flags: dict[str, Any]) -> None:
    text = _safe(text)
    output = flags["output"]
    if output is None or output == "-":
        click.echo(text, nl=False, color=_colour(flags["color"]))
        return
    try:
        Path(output).write_text(click.unstyle(text), encoding="utf-8")
    except OSError as error:
        _unusable(f"{output}:1:1: cannot be written ({error.strerror})")


def _colour(flag: bool | None) -> bool | None:
    """Whether to colour: the flag, else NO_COLOR, else FORCE_COLOR, else as the terminal is."""
    if flag is not None:
        return flag
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def _safe(text: str) -> str:
    """Text that any terminal takes: bytes that are no UTF-8 are shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _unusable(message: str) -> NoReturn:
    click.echo(_safe(message), err=True)
    sys.exit(EXIT_UNUSABLE)


def main() -> None:
    """The command; a reader that goes away (`| head`) is no error."""
    try:
        cli()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FINDINGS)


if __name__ == "__main__":
    main()
