"""`--baseline` and `--write-baseline`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nginx_stream_lint.cli.common import say, unusable, write

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Options, Report
    from nginx_stream_lint.suppress.baseline import Baseline


def baseline_at(path: str | None) -> Baseline | None:
    """The baseline of a file; ends with status 2 where it cannot be used."""
    if path is None:
        return None
    from nginx_stream_lint.suppress.baseline import BaselineMistake, load

    try:
        return load(path)
    except BaselineMistake as mistake:
        unusable(str(mistake))


# Whoever cleans up sees the rest next time.
_MOST_STALE = 10


def take_out_known(
    report: Report, baseline: Baseline | None, options: Options, speak: bool = True
) -> None:
    """Suppress what a baseline knows, and say what is left of nothing any more."""
    if baseline is None:
        return
    from nginx_stream_lint.suppress.baseline import without_known

    report.findings, report.suppressed, stale = without_known(
        report.findings,
        report.suppressed,
        report.files,
        [rule.name for rule in options.rules],
        baseline,
        {name for rule in options.rules for name in rule.renamed_from},
    )
    if not speak:
        return
    for entry in stale[:_MOST_STALE]:
        say(
            f"{baseline.path}: {entry.rule} of {entry.location} in {entry.file} is gone;"
            " --write-baseline drops it"
        )
    if len(stale) > _MOST_STALE:
        say(f"{baseline.path}: so are {len(stale) - _MOST_STALE} more")


def write_baseline(report: Report, path: str, options: Options) -> None:
    """Write a baseline that knows all findings; ends with status 2 where that is not possible."""
    from nginx_stream_lint.suppress.baseline import written

    before = baseline_at(path) if os.path.exists(path) else None
    rules = [rule.name for rule in options.rules]
    text = written(report.findings, report.suppressed, report.files, rules, path, before)
    write(text, path, color=False)
    number = len(report.findings)
    say(f"{number} finding{'' if number == 1 else 's'} written to {path}")
