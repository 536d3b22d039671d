"""Help of a command: options in groups, then examples and exit codes.

click's own `--help` and `--version` look up a translation of their help in each run. That imports
`locale` and looks for files: 1.2 of the 80 ms of a small lint.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import click

from nginx_stream_lint import __version__

# Heading for options without a group: --help.
_OTHER = "Help"


def _show_help(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(f"nginx-stream-lint, version {__version__}", color=ctx.color)
        ctx.exit()


def _eager(
    names: Sequence[str], show: Callable[[click.Context, click.Parameter, bool], None], help_: str
) -> click.Option:
    return click.Option(
        names, is_flag=True, expose_value=False, is_eager=True, help=help_, callback=show
    )


VERSION_OPTION = _eager(["--version"], _show_version, "Show the version and exit.")
_HELP_OPTION = _eager(["-h", "--help"], _show_help, "Show this message and exit.")


class CommandWithHelp(click.Command):
    """A command with our `--help`."""

    def get_help_option(self, _: click.Context) -> click.Option:
        """The option that shows the help."""
        return _HELP_OPTION


class HelpfulCommand(CommandWithHelp):
    """A command whose help shows its options in groups, examples and exit codes.

    `groups` maps a heading to parameter names, `examples` a command line to what it does and
    `exit_codes` a status to what it means.
    """

    def __init__(
        self,
        *args: Any,
        groups: Mapping[str, Sequence[str]],
        examples: Mapping[str, str],
        exit_codes: Mapping[int, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # Also if a program runs the command without the group: click keeps the first option made.
        self.context_settings = {"help_option_names": ["-h", "--help"], **self.context_settings}
        self.groups = groups
        self.examples = examples
        self.exit_codes = exit_codes

    def grouped(self, ctx: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Each heading with the help records of its options; ungrouped options come last."""
        records = {
            parameter.name: record
            for parameter in self.get_params(ctx)
            if isinstance(parameter, click.Option)
            and (record := parameter.get_help_record(ctx)) is not None
        }
        for heading, names in self.groups.items():
            yield heading, [records.pop(name) for name in names]
        yield _OTHER, list(records.values())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, group by group."""
        for heading, records in self.grouped(ctx):
            with formatter.section(heading):
                formatter.write_dl(records)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples and the exit codes."""
        with formatter.section("Examples"):
            for line, words in self.examples.items():
                formatter.write_text(f"# {words}")
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), words) for code, words in self.exit_codes.items()])
