"""Reviewdog's diagnostic format (rdjson), with fixes as suggestions.

Columns count bytes of UTF-8, and the end of a range is exclusive.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType

from nginx_stream_lint.config import Problem, Source
from nginx_stream_lint.fixes.apply import apply_edits
from nginx_stream_lint.report.run import Run, insertable
from nginx_stream_lint.rules.finding import Finding, Fix, Place
from nginx_stream_lint.util.json_text import json_text

_SEVERITIES = {"error": "ERROR", "warning": "WARNING", "note": "INFO"}


class RdjsonSource(Struct):
    """The program that wrote the result."""

    name: str


class RdjsonPosition(Struct):
    """A line, and a column in bytes; both count from 1."""

    line: int
    column: int | UnsetType = UNSET


class RdjsonRange(Struct):
    """A span of a file."""

    start: RdjsonPosition
    end: RdjsonPosition | UnsetType = UNSET


class RdjsonLocation(Struct):
    """A span of a named file."""

    path: str
    range: RdjsonRange


class RdjsonCode(Struct):
    """A rule."""

    value: str


class RdjsonSuggestion(Struct):
    """A replacement for a span of the diagnostic's file."""

    range: RdjsonRange
    text: str


class RdjsonRelated(Struct):
    """Another place that belongs to a diagnostic."""

    message: str
    location: RdjsonLocation


class RdjsonDiagnostic(Struct):
    """A finding or a problem."""

    message: str
    location: RdjsonLocation
    severity: str
    code: RdjsonCode | UnsetType = UNSET
    suggestions: list[RdjsonSuggestion] | UnsetType = UNSET
    related_locations: list[RdjsonRelated] | UnsetType = UNSET


class RdjsonResult(Struct):
    """The complete report."""

    source: RdjsonSource
    diagnostics: list[RdjsonDiagnostic]


def rdjson(run: Run) -> str:
    """Render findings and problems as one result."""
    diagnostics = [_unread(problem, run) for problem in run.report.problems]
    diagnostics += [_diagnostic(finding, run) for finding in run.report.findings]
    return json_text(RdjsonResult(RdjsonSource("nginx-stream-lint"), diagnostics), lossy=True)


def _diagnostic(finding: Finding, run: Run) -> RdjsonDiagnostic:
    place = run.place(finding)
    suggestion = None if finding.fix is None else _suggestion(finding.fix, place.source)
    related = [RdjsonRelated(one.message, _location(one.place, run)) for one in finding.related]
    return RdjsonDiagnostic(
        message=finding.message,
        location=_location(place, run),
        severity=_SEVERITIES[finding.severity],
        code=RdjsonCode(finding.rule),
        suggestions=UNSET if suggestion is None else [suggestion],
        related_locations=related or UNSET,
    )


def _suggestion(fix: Fix, source: Source) -> RdjsonSuggestion | None:
    """Convert a fix to one suggestion; None if it edits a file other than the finding's.

    reviewdog offers several suggestions one by one, so a fix must not be split.
    """
    edits = fix.edits
    if not edits or any(edit.source is not source for edit in edits) or not insertable(edits):
        return None
    start, end = min(edit.start for edit in edits), max(edit.end for edit in edits)
    text = apply_edits(source.text[start:end], edits, start)
    return RdjsonSuggestion(_range(source, start, end), text)


def _location(place: Place, run: Run) -> RdjsonLocation:
    return RdjsonLocation(run.path(place.source), _range(place.source, place.start, place.end))


def _range(source: Source, start: int, end: int) -> RdjsonRange:
    return RdjsonRange(_position(source, start), _position(source, end))


def _position(source: Source, offset: int) -> RdjsonPosition:
    line, column = source.position(offset)
    before = source.bytes_before(offset - column + 1)
    return RdjsonPosition(line, source.bytes_before(offset) - before + 1)


def _unread(problem: Problem, run: Run) -> RdjsonDiagnostic:
    # The file may be impossible to decode, so only the line is given.
    where = RdjsonRange(RdjsonPosition(problem.line))
    return RdjsonDiagnostic(
        message=f"{problem.message}; {problem.advice}",
        location=RdjsonLocation(run.path(problem.file), where),
        severity="ERROR",
    )
