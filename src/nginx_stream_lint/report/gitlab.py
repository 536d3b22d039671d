"""GitLab's code quality report: a JSON list in a subset of Code Climate's format."""

from __future__ import annotations

import hashlib

from msgspec import UNSET, Struct, UnsetType

from nginx_stream_lint.config import Problem
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.fingerprint import fingerprints
from nginx_stream_lint.util.json_text import json_text

_SEVERITIES = {"error": "critical", "warning": "minor", "note": "info"}


class GitlabLines(Struct):
    """Lines of a file; `end` is the last line, inclusive."""

    begin: int
    end: int | UnsetType = UNSET


class GitlabLocation(Struct):
    """The place of an issue."""

    path: str
    lines: GitlabLines


class GitlabIssue(Struct):
    """A finding or a problem. `report.report_files` recognizes a report by these fields."""

    description: str
    check_name: str
    fingerprint: str
    severity: str
    location: GitlabLocation


def gitlab(run: Run) -> str:
    """Render findings and problems as issues."""
    report = run.report
    names = fingerprints(report.all_findings, run.base)
    issues = [_unread(problem, run) for problem in report.problems]
    issues += [
        _issue(finding, name, run) for finding, name in zip(report.findings, names, strict=False)
    ]
    return json_text(issues, lossy=True)


def _issue(finding: Finding, fingerprint: str, run: Run) -> GitlabIssue:
    place = run.place(finding)
    lines = GitlabLines(place.line, place.source.position(place.end)[0])
    return GitlabIssue(
        description=finding.message,
        check_name=finding.rule,
        fingerprint=fingerprint,
        severity=_SEVERITIES[finding.severity],
        location=GitlabLocation(run.path(place.source), lines),
    )


def _unread(problem: Problem, run: Run) -> GitlabIssue:
    path = run.path(problem.file)
    said = "\0".join((path, str(problem.line), problem.message))
    return GitlabIssue(
        description=f"{problem.message}; {problem.advice}",
        check_name="unreadable",
        fingerprint=hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest(),
        severity="blocker",
        location=GitlabLocation(path, GitlabLines(problem.line)),
    )
