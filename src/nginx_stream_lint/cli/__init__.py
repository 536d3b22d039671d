"""The command line: the only part that prints, writes or exits. One module for each command."""

from __future__ import annotations

import os
import sys

import click

from nginx_stream_lint import __version__
from nginx_stream_lint.cli.common import EXIT_FINDINGS
from nginx_stream_lint.cli.explain import explain_command
from nginx_stream_lint.cli.lint import lint_command
from nginx_stream_lint.cli.probe import probe_command
from nginx_stream_lint.cli.trace import trace_command


class _LintByDefault(click.Group):
    """A group whose first word may be left out: `nginx-stream-lint nginx.conf` lints."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        own = {"--help", "-h", "--version"}
        if args and args[0] not in self.commands and args[0] not in own:
            args = ["lint", *args]
        return super().parse_args(ctx, args)


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
cli.add_command(trace_command)


def main() -> None:
    """The command; a reader that goes away (`| head`) is no error."""
    try:
        cli()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FINDINGS)
