"""GitHub's workflow commands, which become annotations, and a table for the job summary."""

from __future__ import annotations

from collections.abc import Iterator

from nginx_stream_lint.report.run import Run
from nginx_stream_lint.report.words import counted
from nginx_stream_lint.rules.finding import SEVERITIES, Finding
from nginx_stream_lint.util.escaping import printable, workflow_data, workflow_property

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}
# A summary may have 1 MB. This is far below it, and enough for any reader.
_MOST_ROWS = 200


def github(run: Run) -> str:
    """Render a command for each finding and each problem, worst first."""
    report = run.report
    lines = [
        _command(
            "error",
            f"{problem.message}; {problem.advice}",
            file=run.path(problem.file),
            line=problem.line,
            col=problem.column,
            title="cannot be read",
        )
        for problem in report.problems
    ]
    # GitHub shows only the first ten of each kind per step.
    for finding in sorted(report.findings, key=lambda one: SEVERITIES.index(one.severity)):
        place = run.place(finding)
        end_line, end_column = place.source.position(place.end)
        # GitHub accepts columns only for a single line.
        end = {"endColumn": end_column} if end_line == place.line else {}
        lines.append(
            _command(
                _COMMANDS[finding.severity],
                finding.message,
                file=run.path(place.source),
                line=place.line,
                endLine=end_line,
                col=place.column,
                **end,
                title=f"{finding.rule}: {finding.location.label}",
            )
        )
    return "".join(f"{line}\n" for line in lines)


def _command(name: str, message: str, **properties: str | int) -> str:
    said = ",".join(f"{key}={workflow_property(str(one))}" for key, one in properties.items())
    return f"::{name} {said}::{workflow_data(message)}"


def step_summary(run: Run) -> str:
    """Render the findings as Markdown, for $GITHUB_STEP_SUMMARY."""
    return "\n".join(_summary(run)) + "\n"


def _summary(run: Run) -> Iterator[str]:
    report = run.report
    yield "## nginx-stream-lint"
    yield ""
    counts = ", ".join(counted(report.count(word), word) for word in SEVERITIES)
    suppressed = f" {len(report.suppressed)} suppressed." if report.suppressed else ""
    locations = counted(report.locations, "proxied location")
    yield f"{counts} in {locations}, {counted(report.streams, 'likely stream')}.{suppressed}"
    yield ""
    if report.problems:
        yield "| could not be read | reason |"
        yield "| --- | --- |"
        for problem in report.problems[:_MOST_ROWS]:
            where = f"{run.path(problem.file)}:{problem.line}"
            yield f"| {_code(where)} | {_cell(f'{problem.message}; {problem.advice}')} |"
        yield ""
    if report.findings:
        yield "| | rule | location | what | fix |"
        yield "| --- | --- | --- | --- | --- |"
        ordered = sorted(report.findings, key=lambda one: SEVERITIES.index(one.severity))
        for finding in ordered[:_MOST_ROWS]:
            yield _row(finding, run)
        if len(ordered) > _MOST_ROWS:
            yield ""
            yield f"and {len(ordered) - _MOST_ROWS} more"


def _row(finding: Finding, run: Run) -> str:
    place = finding.place
    where = f"{run.path(place.source)}:{place.line}" if place.is_in_file else "--stream"
    fix = "" if finding.fix is None else _code(" ".join(finding.fix.snippet.split("\n")))
    cells = (
        finding.severity,
        _code(finding.rule),
        f"{_code(finding.location.label)} in {_code(where)}",
        _cell(finding.message),
        fix,
    )
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Render text as code in a table cell."""
    ticks = "`" * (max((len(run) for run in _ticks(text)), default=0) + 1)
    space = " " if "`" in text else ""
    return f"{ticks}{space}{printable(text).replace('|', chr(92) + '|')}{space}{ticks}"


def _ticks(text: str) -> list[str]:
    return ["`" * len(part) for part in "".join(c if c == "`" else " " for c in text).split()]


def _cell(text: str) -> str:
    """Escape the markup in a table cell."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~&@$" else c for c in printable(text))
