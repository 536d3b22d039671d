"""Reviewdog's diagnostic format (rdjson), with fixes as suggestions.

Its columns count bytes of UTF-8, and a range ends before its end.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

from nginx_stream_lint.config import Problem, Source
from nginx_stream_lint.fixes.apply import apply_edits
from nginx_stream_lint.report.encoding import encoded
from nginx_stream_lint.report.run import Run, insertable
from nginx_stream_lint.rules.finding import Finding, Fix

_SEVERITIES = {"error": "ERROR", "warning": "WARNING", "note": "INFO"}


def rdjson(run: Run) -> str:
    """The findings, and what could not be read, as one result."""
    report = run.report
    unread = (_unread(problem, run) for problem in report.problems)
    diagnostics = chain(unread, (_diagnostic(finding, run) for finding in report.findings))
    return encoded({"source": {"name": "nginx-stream-lint"}, "diagnostics": diagnostics})


def _diagnostic(finding: Finding, run: Run) -> dict[str, Any]:
    place = run.place(finding)
    found: dict[str, Any] = {
        "message": finding.message,
        "location": {
            "path": run.path(place.source),
            "range": _range(place.source, place.start, place.end),
        },
        "severity": _SEVERITIES[finding.severity],
        "code": {"value": finding.rule},
    }
    suggestion = None if finding.fix is None else _suggestion(finding.fix, place.source)
    if suggestion is not None:
        found["suggestions"] = [suggestion]
    if finding.related:
        found["related_locations"] = [
            {
                "message": related.message,
                "location": {
                    "path": run.path(related.place.source),
                    "range": _range(related.place.source, related.place.start, related.place.end),
                },
            }
            for related in finding.related
        ]
    return found


def _suggestion(fix: Fix, source: Source) -> dict[str, Any] | None:
    """A fix as one suggestion: several would be offered one by one, and half a fix is none.

    None where it cannot be one, because it reaches into another file than the finding's.
    """
    edits = fix.edits
    if not edits or any(edit.source is not source for edit in edits) or not insertable(edits):
        return None
    start, end = min(edit.start for edit in edits), max(edit.end for edit in edits)
    text = apply_edits(source.text[start:end], edits, start)
    return {"range": _range(source, start, end), "text": text}


def _range(source: Source, start: int, end: int) -> dict[str, Any]:
    return {"start": _position(source, start), "end": _position(source, end)}


def _position(source: Source, offset: int) -> dict[str, int]:
    line, column = source.position(offset)
    before = source.bytes_before(offset - column + 1)
    return {"line": line, "column": source.bytes_before(offset) - before + 1}


def _unread(problem: Problem, run: Run) -> dict[str, Any]:
    # Its column may be in a file that could not even be decoded: the line will do.
    return {
        "message": f"{problem.message}; {problem.advice}",
        "location": {"path": run.path(problem.file), "range": {"start": {"line": problem.line}}},
        "severity": "ERROR",
    }
