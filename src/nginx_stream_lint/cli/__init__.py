"""The command line: the only part that prints, writes or exits. One module for each command."""

from __future__ import annotations

import io
import sys

import click
from click.shell_completion import CompletionItem

from nginx_stream_lint import __version__
from nginx_stream_lint.cli.common import unusable
from nginx_stream_lint.cli.completion import completion_command
from nginx_stream_lint.cli.explain import explain_command
from nginx_stream_lint.cli.lint import lint_command
from nginx_stream_lint.cli.probe import probe_command
from nginx_stream_lint.cli.rules import rules_command
from nginx_stream_lint.cli.trace import trace_command


class _LintByDefault(click.Group):
    """A group whose first word may be left out: `nginx-stream-lint nginx.conf` lints."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = ["lint", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What may come first: a command, or what `lint` takes."""
        lint = click.Context(lint_command, parent=ctx, info_name="lint")
        found = super().shell_complete(ctx, incomplete)
        own = {item.value for item in found}
        more = lint_command.shell_complete(lint, incomplete)
        return found + [item for item in more if item.value not in own]


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


cli.add_command(lint_command)
cli.add_command(explain_command)
cli.add_command(probe_command)
cli.add_command(rules_command)
cli.add_command(completion_command)
cli.add_command(trace_command)


def main() -> None:
    """The command. Terminals that know few characters get escapes; what the system refuses is one
    sentence (what a report meets is for `common.try_write` to say).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        cli()
    except OSError as error:
        where = f"{error.filename}:1:1: " if error.filename else ""
        unusable(f"{where}{error.strerror or error}")
