"""Help of a command: options in groups, then examples and exit status."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click

# Heading for options without a group: --help.
_OTHER = "Help"


class HelpfulCommand(click.Command):
    """A command whose help shows its options in groups, examples and exit status.

    `groups` maps a heading to parameter names, `examples` a command line to what it does and
    `exit_status` a status to what it means.
    """

    def __init__(
        self,
        *args: Any,
        groups: Mapping[str, Sequence[str]],
        examples: Mapping[str, str],
        exit_status: Mapping[int, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        # `-h` also works if a program runs the command without its group.
        self.context_settings = {"help_option_names": ["-h", "--help"], **self.context_settings}
        self.groups = groups
        self.examples = examples
        self.exit_status = exit_status

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
        """Write the examples and the exit status."""
        write_end(formatter, self.examples, self.exit_status)


def write_end(
    formatter: click.HelpFormatter, examples: Mapping[str, str], exit_status: Mapping[int, str]
) -> None:
    """Write the end of a help: command lines with what they do, and what each status means."""
    with formatter.section("Examples"):
        for line, words in examples.items():
            formatter.write_text(f"# {words}")
            formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
    with formatter.section("Exit status"):
        formatter.write_dl([(str(status), words) for status, words in exit_status.items()])
