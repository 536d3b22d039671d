"""`nginx-stream-lint rules`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from nginx_stream_lint.analysis.rule_examples import cases, failures
from nginx_stream_lint.cli.common import columns, known_rules, unusable, write
from nginx_stream_lint.cli.exit_status import EXIT_FINDINGS
from nginx_stream_lint.cli.help import HelpfulCommand
from nginx_stream_lint.cli.options import (
    PathOption,
    color_option,
    complete_rule,
    rules_folder_option,
)
from nginx_stream_lint.report.words import SEVERITY_COLOURS
from nginx_stream_lint.rules.measured import measured
from nginx_stream_lint.rules.rule import Rule, RuleMistake
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from nginx_stream_lint.util.problems import nearest_words

# seconds of processor time; the shipped examples take 0.1 s at most
_EXAMPLE_S = 1.0


@click.command(
    "rules",
    cls=HelpfulCommand,
    groups={
        "Rules": ("rules_folder", "tested"),
        "Output": ("format_", "color"),
    },
    examples={
        "nginx-stream-lint rules": "List all rules:",
        "nginx-stream-lint rules response-buffering": "Show one rule in full:",
        "nginx-stream-lint rules --test my-rules/": "Test your own rules:",
    },
    exit_status={
        0: "The rules were shown; with --test, all examples are right.",
        1: "With --test: at least one example is wrong.",
        2: "The rule does not exist, or a rule file is wrong.",
    },
)
@click.argument("name", metavar="[RULE]", required=False, shell_complete=complete_rule)
@rules_folder_option
@click.option(
    "--test",
    "tested",
    metavar="PATH",
    type=PathOption(exists=True),
    help="Test the examples of the rules in this folder or file; built-in rules must not report"
    " anything in them.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="Output format for one rule.",
)
@color_option
def rules_command(
    name: str | None,
    rules_folder: Path | None,
    tested: Path | None,
    format_: str,
    color: bool | None,
) -> None:
    """List the rules, or show one in full.

    A rule is shown with its reason, measurements, fix and examples."""
    if tested is not None:
        if name is not None or rules_folder is not None:
            raise click.UsageError(
                "--test cannot be combined with RULE or --rules; it tests all rules in PATH"
            )
        _test(tested, color)
        return
    try:
        rules = {rule.name: rule for rule in known_rules(None, *filter(None, [rules_folder]))}
    except RuleMistake as mistake:
        unusable(str(mistake))
    if name is None:
        write(_listed(list(rules.values())), None, color)
        return
    if name not in rules:
        unusable(f'unknown rule "{name}"{nearest_words(name, sorted(rules))}')
    from nginx_stream_lint.report.rule import rule_page, rule_terminal

    if format_ == "markdown":
        text = rule_page(rules[name], measured())
    else:
        text = rule_terminal(rules[name], measured(), columns())
    write(text, None, color)


def _test(path: Path, color: bool | None) -> None:
    """Run all examples of the rules in a folder or file; exits with status 1 or 2 on failure."""
    try:
        tested, rules = _tested(path)
    except RuleMistake as mistake:
        unusable(str(mistake))
    wrong = 0
    lines: list[str] = []
    for rule in tested:
        if not rule.examples:
            wrong += 1
            lines.append(_outcome(rule.name, ["the rule has no examples"]))
    every = cases(tested)
    for case in every:
        name = f"{case.rule.name}, example {case.number} ({case.kind})"
        try:
            with _limited(_EXAMPLE_S):
                found = failures(case, rules)
        except _TooLongError:
            place = path if path.is_file() else path / f"{case.rule.name}.yaml"
            unusable(
                f"{place}:1:1: example {case.number} ({case.kind}) takes too long; make it shorter"
            )
        wrong += bool(found)
        lines.append(_outcome(name, found))
    count = f"{len(every)} example{'s' * (len(every) != 1)}"
    count += f" of {len(tested)} rule{'s' * (len(tested) != 1)}"
    lines.append(f"{count}: {f'{wrong} wrong' if wrong else 'all right'}\n")
    write("".join(lines), None, color)
    if wrong:
        sys.exit(EXIT_FINDINGS)


class _TooLongError(Exception):
    """An example that takes too much time."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise _TooLongError after this much processor time; waiting does not count.

    A location in an example may have a regular expression that backtracks without end. Python's
    `re` handles signals while it searches.
    """

    def stop(_: int, __: object) -> None:
        raise _TooLongError

    if not hasattr(signal, "setitimer"):  # not on this system
        yield
        return
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _tested(path: Path) -> tuple[list[Rule], tuple[Rule, ...]]:
    """The rules in a folder or file, and all rules to apply. Raises RuleMistake."""
    folder = builtin_folder()
    if path.resolve() == folder.resolve():
        rules = load_rules(folder, check_shipped=True)
        return list(rules), rules
    if path.resolve().parent == folder.resolve():
        rules = load_rules(folder, check_shipped=True)
        return [rule for rule in rules if rule.name == path.stem], rules
    shipped = load_rules(folder)
    rules = load_rules(folder, path)
    return list(rules[len(shipped) :]), rules


def _outcome(name: str, found: Sequence[str]) -> str:
    """One line for the outcome of an example, with its faults below."""
    word = click.style("wrong", fg="red") if found else click.style("right", fg="green")
    details = [f"    {line}\n" for one in found for line in one.splitlines()]
    return "".join((f"{word}  {name}\n", *details))


def _listed(rules: list[Rule]) -> str:
    width = max(len(rule.name) for rule in rules)
    lines: list[str] = []
    for rule in rules:
        worst = rule.highest_severity
        severity = click.style(f"{worst:<7}", fg=SEVERITY_COLOURS[worst])
        lines.append(f"{severity}  {rule.name:{width}}  {rule.title}\n")
    return "".join(lines)
