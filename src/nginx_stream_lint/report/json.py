"""The JSON report, as described in schema/lint.schema.json."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from nginx_stream_lint import __version__
from nginx_stream_lint.report.run import NginxRecord, Run, StreamRecord, described, nginx_record
from nginx_stream_lint.rules.finding import Edit, Finding, Fix
from nginx_stream_lint.util.json_text import json_parts

# Version of schema/lint.schema.json; CONTRIBUTING.md says when it changes.
SCHEMA_VERSION = 1


class LintTool(Struct):
    """The program that wrote the document."""

    name: str
    version: str


class LintLocation(Struct):
    """The block that a finding is about."""

    label: str
    file: str
    line: int
    servers: tuple[str, ...]


class LintRelated(Struct):
    """Another place that belongs to a finding."""

    file: str
    line: int
    column: int
    message: str


class LintEdit(Struct):
    """A replacement in a file, with offsets in characters."""

    file: str
    start: int
    end: int
    text: str


class LintFix(Struct):
    """The suggested fix of a finding."""

    title: str
    applicability: str
    cautions: tuple[str, ...]
    safe_parts: tuple[str, ...]
    applied_parts: tuple[str, ...]
    snippet: str
    edits: list[LintEdit]


class LintFinding(Struct):
    """A finding; file and position are null if only the command line names its subject."""

    rule: str
    url: str | None
    instance: str | None
    severity: str
    message: str
    file: str | None
    line: int | None
    column: int | None
    end_line: int | None
    end_column: int | None
    location: LintLocation | None
    stream: StreamRecord | None
    related: list[LintRelated]
    fix: LintFix | None


class LintError(Struct):
    """An input that could not be read."""

    file: str
    line: int
    column: int
    message: str
    advice: str


class LintNote(Struct):
    """An assumption about the input."""

    file: str
    line: int
    column: int
    message: str


class LintUnchecked(Struct):
    """A proxied location without evidence that it streams."""

    file: str
    line: int
    label: str
    verdict: str


class LintSummary(Struct):
    """Counts, and the duration of the check."""

    error: int
    warning: int
    note: int
    locations: int
    streams: int
    unchecked: int
    seconds: float


class LintDocument(Struct):
    """The complete report."""

    schema_version: int
    tool: LintTool
    nginx_version: str | None
    instances: list[NginxRecord]
    inputs: list[str]
    findings: list[LintFinding]
    errors: list[LintError]
    notes: list[LintNote]
    unchecked: list[LintUnchecked]
    summary: LintSummary


def json(run: Run) -> Iterator[str]:
    """Render the run as JSON."""
    report, version = run.report, run.nginx_version
    document = LintDocument(
        schema_version=SCHEMA_VERSION,
        tool=LintTool("nginx-stream-lint", __version__),
        nginx_version=None if version is None else ".".join(map(str, version)),
        instances=[nginx_record(one) for one in report.deployed],
        inputs=report.inputs,
        findings=[_finding(one) for one in report.findings],
        errors=[
            LintError(one.file, one.line, one.column, one.message, one.advice)
            for one in report.problems
        ],
        notes=[LintNote(one.file, one.line, one.column, one.message) for one in report.notes],
        unchecked=[
            LintUnchecked(
                file=one.location.place.source.name,
                line=one.location.place.line,
                label=one.location.label,
                verdict=one.verdict,
            )
            for one in report.unchecked
        ],
        summary=LintSummary(
            error=report.count("error"),
            warning=report.count("warning"),
            note=report.count("note"),
            locations=report.locations,
            streams=report.streams,
            unchecked=len(report.unchecked),
            seconds=round(run.seconds, 3),
        ),
    )
    return json_parts(document)


def _finding(finding: Finding) -> LintFinding:
    place, location = finding.place, finding.location
    line, column = place.source.position(place.start)
    end_line, end_column = place.source.position(place.end)
    in_file = place.is_in_file
    return LintFinding(
        rule=finding.rule,
        url=None,  # rules have no public page yet
        instance=finding.instance,
        severity=finding.severity,
        message=finding.message,
        file=place.source.name if in_file else None,
        line=line if in_file else None,
        column=column if in_file else None,
        end_line=end_line if in_file else None,
        end_column=end_column if in_file else None,
        location=LintLocation(
            label=location.label,
            file=location.place.source.name,
            line=location.place.line,
            servers=location.servers,
        )
        if location.is_block
        else None,
        stream=described(finding.stream),
        related=[
            LintRelated(
                file=one.place.source.name,
                line=one.place.line,
                column=one.place.column,
                message=one.message,
            )
            for one in finding.related
        ],
        fix=None if finding.fix is None else _fix(finding.fix),
    )


def _fix(fix: Fix) -> LintFix:
    return LintFix(
        title=fix.title,
        applicability=fix.applicability,
        cautions=fix.cautions,
        safe_parts=fix.safe_parts,
        applied_parts=fix.applied_parts,
        snippet=fix.snippet,
        edits=list(map(_edit, fix.edits)),
    )


def _edit(edit: Edit) -> LintEdit:
    mark = len(edit.source.byte_order_mark)  # a character of the file
    return LintEdit(edit.source.name, edit.start + mark, edit.end + mark, edit.text)
