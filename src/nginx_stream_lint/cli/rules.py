"""`nginx-stream-lint rules`."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import CompletionItem

from nginx_stream_lint.cli.common import known_rules, unusable, write
from nginx_stream_lint.rules.measured import measured
from nginx_stream_lint.rules.rule import Rule, RuleMistake
from nginx_stream_lint.streams.declarations import nearest

_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def _complete_rule(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    rules = known_rules()
    return [
        CompletionItem(rule.name, help=rule.title)
        for rule in rules
        if rule.name.startswith(incomplete)
    ]


@click.command("rules")
@click.argument("name", metavar="[RULE]", required=False, shell_complete=_complete_rule)
@click.option(
    "--rules",
    "rules_folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A folder with rules of your own, besides the shipped ones.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "markdown"]),
    default="text",
    show_default=True,
    help="How one rule is written.",
)
@click.option("--color/--no-color", default=None, help="Colours, or none.")
def rules_command(
    name: str | None, rules_folder: Path | None, format_: str, color: bool | None
) -> None:
    """List the rules, or show one in full: why, what was measured, bad and fixed."""
    try:
        rules = {rule.name: rule for rule in known_rules(*filter(None, [rules_folder]))}
    except RuleMistake as mistake:
        unusable(str(mistake))
    if name is None:
        write(_listed(list(rules.values())), None, color)
        return
    if name not in rules:
        unusable(f'unknown rule "{name}"{nearest(name, sorted(rules))}')
    from nginx_stream_lint.report.rule import rule_page, rule_terminal

    show = rule_page if format_ == "markdown" else rule_terminal
    write(show(rules[name], measured()), None, color)


def _listed(rules: list[Rule]) -> str:
    width = max(len(rule.name) for rule in rules)
    lines: list[str] = []
    for rule in rules:
        worst = rule.severity[0][0]
        severity = click.style(f"{worst:<7}", fg=_COLOURS[worst])
        lines.append(f"{severity}  {rule.name:{width}}  {rule.title}\n")
    return "".join(lines)
