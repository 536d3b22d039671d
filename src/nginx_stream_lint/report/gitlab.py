"""GitLab's code quality report: one JSON list, a small part of Code Climate's format."""

from __future__ import annotations

import hashlib
from typing import Any

from nginx_stream_lint.config import Problem
from nginx_stream_lint.report.encoding import encoded
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.fingerprint import fingerprints

_SEVERITIES = {"error": "critical", "warning": "minor", "note": "info"}


def gitlab(run: Run) -> str:
    """The findings, and what could not be read, as issues."""
    report = run.report
    names = fingerprints(report.all_findings, run.base)
    issues = [_unread(problem, run) for problem in report.problems]
    issues += [
        _issue(finding, name, run) for finding, name in zip(report.findings, names, strict=False)
    ]
    return encoded(issues)


def _issue(finding: Finding, fingerprint: str, run: Run) -> dict[str, Any]:
    place = run.place(finding)
    return {
        "description": finding.message,
        "check_name": finding.rule,
        "fingerprint": fingerprint,
        "severity": _SEVERITIES[finding.severity],
        "location": {
            "path": run.path(place.source),
            "lines": {"begin": place.line, "end": place.source.position(place.end)[0]},
        },
    }


def _unread(problem: Problem, run: Run) -> dict[str, Any]:
    path = run.path(problem.file)
    said = "\0".join((path, str(problem.line), problem.message))
    return {
        "description": f"{problem.message}; {problem.advice}",
        "check_name": "unreadable",
        "fingerprint": hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest(),
        "severity": "blocker",
        "location": {"path": path, "lines": {"begin": problem.line}},
    }
