"""One line for each finding, for editors and grep: `file:line:column: severity rule message`."""

from __future__ import annotations

from nginx_stream_lint.report.run import Run
from nginx_stream_lint.util.escaping import printable


def concise(run: Run) -> str:
    """Render the findings, one per line."""
    return "".join(
        f"{printable(finding.place.source.name)}:{finding.place.line}:{finding.place.column}:"
        f" {finding.severity} {finding.rule} {printable(finding.message)}\n"
        for finding in run.report.findings
    )
