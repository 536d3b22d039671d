"""`--baseline` and `--write-baseline`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nginx_stream_lint.cli.common import say, unusable, write

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Options, Result
    from nginx_stream_lint.files import Workspace
    from nginx_stream_lint.suppress.baseline import Baseline


def baseline_at(workspace: Workspace, path: str) -> Baseline:
    """Read a baseline; exit with status 2 if it is unusable."""
    from nginx_stream_lint.suppress.baseline import BaselineMistake, load

    try:
        return load(workspace, path)
    except BaselineMistake as mistake:
        unusable(str(mistake))


# Later runs list the rest.
_MOST_STALE = 10


def say_stale(report: Result, path: str) -> None:
    """Report baseline entries whose findings no longer occur."""
    for entry in report.stale[:_MOST_STALE]:
        say(
            f"{path}: {entry.rule} of {entry.location} in {entry.file} no longer occurs;"
            " --write-baseline removes it"
        )
    if len(report.stale) > _MOST_STALE:
        say(f"{path}: {len(report.stale) - _MOST_STALE} more entries no longer occur")


def write_baseline(workspace: Workspace, report: Result, path: str, options: Options) -> None:
    """Write a baseline with all findings; exit with status 2 if that fails."""
    from nginx_stream_lint.suppress.baseline import written

    before = baseline_at(workspace, path) if os.path.exists(path) else None
    rules = [rule.name for rule in options.rules]
    text = written(
        report.findings, report.suppressed, report.files, rules, path, before, workspace.is_gone
    )
    write(text, path, color=False)
    number = len(report.findings)
    say(f"{number} finding{'' if number == 1 else 's'} written to {path}")
