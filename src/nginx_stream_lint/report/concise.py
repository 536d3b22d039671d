"""One line for each finding, for editors and grep: `file:line:column: severity rule message`."""

from __future__ import annotations

from nginx_stream_lint.lint import Report


def concise(report: Report) -> str:
    """The report as lines."""
    return "".join(
        f"{finding.place.source.name}:{finding.place.line}:{finding.place.column}:"
        f" {finding.severity} {finding.rule} {finding.message}\n"
        for finding in report.findings
    )
