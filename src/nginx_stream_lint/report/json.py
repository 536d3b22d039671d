"""The report for programs: one JSON document, as schema/lint.schema.json describes it."""

from __future__ import annotations

from typing import Any

from nginx_stream_lint import __version__
from nginx_stream_lint.report.encoding import indented
from nginx_stream_lint.report.run import Run, described
from nginx_stream_lint.rules.finding import Finding, Fix
from nginx_stream_lint.util.sinks import in_json

# Of schema/lint.schema.json; CONTRIBUTING.md says when it grows.
SCHEMA_VERSION = 1


def json(run: Run) -> str:
    """The run as JSON."""
    report, version = run.report, run.nginx_version
    document = {
        "schema_version": SCHEMA_VERSION,
        "tool": {"name": "nginx-stream-lint", "version": __version__},
        "nginx_version": None if version is None else ".".join(map(str, version)),
        "inputs": report.inputs,
        "findings": map(_finding, report.findings),
        "errors": [
            {
                "file": problem.file,
                "line": problem.line,
                "column": problem.column,
                "message": problem.message,
                "advice": problem.advice,
            }
            for problem in report.problems
        ],
        "notes": [
            {"file": note.file, "line": note.line, "column": note.column, "message": note.message}
            for note in report.notes
        ],
        "unchecked": [
            {
                "file": one.location.place.source.name,
                "line": one.location.place.line,
                "label": one.location.label,
                "verdict": one.verdict,
            }
            for one in report.unchecked
        ],
        "summary": {
            "error": report.count("error"),
            "warning": report.count("warning"),
            "note": report.count("note"),
            "locations": report.locations,
            "streams": report.streams,
            "unchecked": len(report.unchecked),
            "seconds": round(run.seconds, 3),
        },
    }
    # Bytes that are no UTF-8 are told as JSON's escapes.
    return in_json(f"{indented(document)}\n")


def _finding(finding: Finding) -> dict[str, Any]:
    place = finding.place
    end_line, end_column = place.source.position(place.end)
    location = finding.location
    # What only the command line names stands in no file.
    where: dict[str, Any] = {
        "file": place.source.name,
        "line": place.line,
        "column": place.column,
        "end_line": end_line,
        "end_column": end_column,
    }
    return {
        "rule": finding.rule,
        "url": None,  # the page of a rule has no address yet
        "instance": None,  # the deployment does not say what it calls this nginx
        "severity": finding.severity,
        "message": finding.message,
        **(where if place.is_in_file else dict.fromkeys(where)),
        "location": {
            "label": location.label,
            "file": location.place.source.name,
            "line": location.place.line,
            "servers": list(location.servers),
        }
        if location.is_block
        else None,
        "stream": described(finding.stream),
        "related": [
            {
                "file": related.place.source.name,
                "line": related.place.line,
                "column": related.place.column,
                "message": related.message,
            }
            for related in finding.related
        ],
        "fix": None if finding.fix is None else _fix(finding.fix),
    }


def _fix(fix: Fix) -> dict[str, Any]:
    return {
        "title": fix.title,
        "applicability": fix.applicability,
        "snippet": fix.snippet,
        "edits": [
            {
                "file": edit.source.name,
                "start": edit.start,
                "end": edit.end,
                "text": edit.text,
            }
            for edit in fix.edits
        ],
    }
