"""The command line: the only part that prints, writes or exits. One module for each command.

A command is imported when it is called, or when the list of commands is shown.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

import click

from nginx_stream_lint import __version__
from nginx_stream_lint.cli.help import write_end
from nginx_stream_lint.cli.quick_exit import quick_exit

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

EXAMPLES = {
    "nginx-stream-lint nginx.conf": "Check a configuration:",
    "nginx-stream-lint .": "Check all configurations of a repository:",
    "nginx-stream-lint nginx.conf --fix": "Apply the safe fixes:",
    "nginx-stream-lint explain nginx.conf /v1/chat/completions": "Explain a path:",
}
EXIT_STATUS = {
    0: "Nothing stops a stream, or the command does not check that.",
    1: "Something stops a stream, or with `rules --test` an example is wrong.",
    2: "The command line is wrong, or something could not be checked completely.",
    130: "Interrupted.",
}
# In the order of the manual. The command NAME is NAME_command in the module cli.NAME.
COMMANDS = ("lint", "explain", "probe", "rules", "completion", "trace")


class _LintByDefault(click.Group):
    """A group with a default command: `nginx-stream-lint nginx.conf` lints."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, _: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{__name__}.{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in COMMANDS and args[0] not in own:
            _refuse_mistyped(args[0])
            args = ["lint", *args]
        return super().parse_args(ctx, args)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        write_end(formatter, EXAMPLES, EXIT_STATUS)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Completions for the first word: a command, or an argument of `lint`."""
        from nginx_stream_lint.cli.lint import lint_command

        lint = click.Context(lint_command, parent=ctx, info_name="lint")
        found = super().shell_complete(ctx, incomplete)
        own = {item.value for item in found}
        more = lint_command.shell_complete(lint, incomplete)
        return found + [item for item in more if item.value not in own]


def _refuse_mistyped(word: str) -> None:
    """Refuse a first word that is no file but resembles a command."""
    if not word.isalpha() or os.path.lexists(word):
        return
    import difflib

    for command in difflib.get_close_matches(word.lower(), COMMANDS, 1):
        raise click.UsageError(f'there is no command or file "{word}"; did you mean {command}?')


@click.group(
    cls=_LintByDefault,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    no_args_is_help=True,
)
@click.version_option(__version__, prog_name="nginx-stream-lint")
def cli() -> None:
    """Check whether streamed responses (SSE, LLM tokens) get through nginx.

    `nginx-stream-lint nginx.conf` is short for `nginx-stream-lint lint nginx.conf`. `COMMAND
    --help` shows options, examples and exit status.
    """


def main() -> None:
    """Run the command line.

    Limited terminals get escapes, and an error of the operating system is one line. (Errors while
    writing a report are handled by `common.try_write`.)
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        _run()
    except SystemExit as end:
        if isinstance(end.code, int):
            quick_exit(end.code)
        raise


def _run() -> None:
    try:
        status = cli.main(standalone_mode=False)
    except SystemExit as end:
        # click exits with 1 if the reader of its help is gone, but 1 would mean findings.
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(0)
        raise
    except click.ClickException as mistake:
        from nginx_stream_lint.cli.unexpected import refuse

        refuse(mistake)
        status = mistake.exit_code
    except (click.Abort, KeyboardInterrupt):
        from nginx_stream_lint.cli.common import say
        from nginx_stream_lint.cli.exit_status import EXIT_INTERRUPTED

        say("interrupted")
        status = EXIT_INTERRUPTED
    except OSError as error:
        from nginx_stream_lint.cli.unexpected import fail

        fail(error)
    except Exception as error:
        from nginx_stream_lint.cli.unexpected import give_up

        give_up(error)
    sys.exit(status if isinstance(status, int) else 0)
