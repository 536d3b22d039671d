"""Help of every command: options in groups, examples that work, exit status."""

from __future__ import annotations

import re
import shlex

import click
import pytest
from click.testing import CliRunner

from nginx_stream_lint.cli import COMMANDS, cli
from nginx_stream_lint.cli.help import HelpfulCommand

_NAME = "nginx-stream-lint"


def _command(name: str) -> tuple[HelpfulCommand, click.Context]:
    context = click.Context(cli, info_name=_NAME, **cli.context_settings)
    command = cli.get_command(context, name)
    assert isinstance(command, HelpfulCommand), "its decorator needs cls=HelpfulCommand"
    return command, click.Context(command, info_name=name, parent=context)


def _help(name: str) -> str:
    done = CliRunner().invoke(cli, [name, "--help"], prog_name=_NAME, terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_shown_once_in_a_group(name: str) -> None:
    command, context = _command(name)
    groups = dict(command.grouped(context))
    assert [words for words, _ in groups.pop("Help")] == ["-h, --help"]
    shown = [option for records in groups.values() for option, _ in records]
    options = [one for one in command.params if isinstance(one, click.Option)]
    assert len(shown) == len(set(shown)) == len(options)
    text = _help(name)
    for heading in groups:
        assert f"\n{heading}:\n" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_commands_that_parse(name: str) -> None:
    command, _ = _command(name)
    text = _help(name)
    assert command.examples
    assert "\nExamples:\n" in text
    for line in command.examples:
        assert f"\n  {line}\n" in text  # never wrapped, so that it can be copied
        found = re.search(rf"{_NAME} ([^>)]*)", line)
        assert found is not None
        words = shlex.split(found[1])
        used = words.pop(0) if words[0] in COMMANDS else "lint"
        assert used == name
        # Files of an example need not exist here.
        args = [word for word in words if word not in ("--test", "my-rules/")]
        command.make_context(name, args, parent=click.Context(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_exit_status_is_shown(name: str) -> None:
    command, _ = _command(name)
    assert {0, 2} <= command.exit_status.keys(), "0: done; 2: at least wrong arguments"
    shown = _help(name).partition("\nExit status:\n")[2]
    assert [int(code) for code in re.findall(r"^  (\d+) ", shown, re.MULTILINE)] == [
        *command.exit_status
    ]


def test_the_help_of_all_commands_ends_with_examples_and_exit_status() -> None:
    text = CliRunner().invoke(cli, ["--help"], prog_name=_NAME, terminal_width=80).output
    examples, _, status = text.partition("\nExamples:\n")[2].partition("\nExit status:\n")
    lines = re.findall(rf"^  {_NAME} (.*)$", examples, re.MULTILINE)
    assert len(lines) >= 3
    for line in lines:
        name, *args = shlex.split(line)
        name, args = (name, args) if name in COMMANDS else ("lint", [name, *args])
        _command(name)[0].make_context(name, args, parent=click.Context(cli))
    assert re.findall(r"^  (\d+) ", status, re.MULTILINE) == ["0", "1", "2", "130"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_shows_whole_sentences(name: str) -> None:
    command, _ = _command(name)
    listed = CliRunner().invoke(cli, ["--help"], prog_name=_NAME, terminal_width=80).output
    first = (command.help or "").partition("\n")[0]
    assert first.endswith(".")
    assert f"  {first}\n" in listed
