"""SARIF 2.1.0, for code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/.

The document does not depend on the time, the machine or the folder, so equal findings give equal
documents.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType, field

from nginx_stream_lint import __version__
from nginx_stream_lint.config import Problem, Source
from nginx_stream_lint.report.rule import rule_markdown, rule_text
from nginx_stream_lint.report.run import Run, StreamRecord, described, insertable, uri
from nginx_stream_lint.rules.finding import Finding, Fix, Place, Suppressed
from nginx_stream_lint.rules.fingerprint import fingerprints
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.util.json_text import json_text

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_BASE = "SRCROOT"
# The name contains the version of the fingerprint algorithm; a changed one gets a new number.
_FINGERPRINT = "nginxStreamLint/v1"


class SarifText(Struct):
    """A SARIF message with only text."""

    text: str


class SarifHelp(Struct):
    """A SARIF message as text and Markdown."""

    text: str
    markdown: str


class SarifLevel(Struct):
    """The default severity of a rule's findings."""

    level: str


class SarifTags(Struct):
    """Tags of a rule."""

    tags: list[str]


class SarifRule(Struct, rename="camel"):
    """A rule."""

    id: str
    short_description: SarifText
    full_description: SarifText
    help: SarifHelp
    default_configuration: SarifLevel
    properties: SarifTags


class SarifDriver(Struct, rename="camel"):
    """This program."""

    name: str
    semantic_version: str
    rules: list[SarifRule]


class SarifTool(Struct):
    """The tool component of a log."""

    driver: SarifDriver


class SarifArtifact(Struct, rename="camel"):
    """A file: relative to `uri_base_id`, or absolute."""

    uri: str
    uri_base_id: str | UnsetType = UNSET


class SarifRegion(Struct, rename="camel"):
    """A span of a file; the end is exclusive."""

    start_line: int
    start_column: int
    end_line: int | UnsetType = UNSET
    end_column: int | UnsetType = UNSET


class SarifPhysical(Struct, rename="camel"):
    """A span of a named file."""

    artifact_location: SarifArtifact
    region: SarifRegion


class SarifLogical(Struct):
    """An nginx location, by its head."""

    name: str
    kind: str


class SarifLocation(Struct, rename="camel", kw_only=True):
    """A place; related places have a number and a message."""

    id: int | UnsetType = UNSET
    message: SarifText | UnsetType = UNSET
    physical_location: SarifPhysical
    logical_locations: list[SarifLogical] | UnsetType = UNSET


class SarifReplacement(Struct, rename="camel"):
    """A span of a file, and its replacement."""

    deleted_region: SarifRegion
    inserted_content: SarifText


class SarifChange(Struct, rename="camel"):
    """The replacements in a file."""

    artifact_location: SarifArtifact
    replacements: list[SarifReplacement]


class SarifFix(Struct, rename="camel"):
    """The changes that make up a fix."""

    description: SarifText
    artifact_changes: list[SarifChange]


class SarifSuppression(Struct):
    """The reason why a result is suppressed."""

    kind: str
    status: str
    justification: str | UnsetType = UNSET


class SarifProperties(Struct):
    """Data without a key in SARIF."""

    servers: tuple[str, ...]
    stream: StreamRecord | None


class SarifResult(Struct, rename="camel", kw_only=True):
    """A finding."""

    rule_id: str
    rule_index: int | UnsetType
    level: str
    message: SarifText
    locations: list[SarifLocation]
    partial_fingerprints: dict[str, str]
    properties: SarifProperties
    related_locations: list[SarifLocation] | UnsetType
    fixes: list[SarifFix] | UnsetType
    suppressions: list[SarifSuppression] | UnsetType


class SarifNotification(Struct):
    """A problem."""

    level: str
    message: SarifText
    locations: list[SarifLocation]


class SarifInvocation(Struct, rename="camel"):
    """The outcome of the run."""

    execution_successful: bool
    tool_execution_notifications: list[SarifNotification]


class SarifBase(Struct):
    """A folder that file names are relative to."""

    description: SarifText


class SarifRun(Struct, rename="camel"):
    """A run of the tool."""

    tool: SarifTool
    column_kind: str
    original_uri_base_ids: dict[str, SarifBase]
    invocations: list[SarifInvocation]
    results: list[SarifResult]


class SarifLog(Struct):
    """The complete document."""

    schema: str = field(name="$schema")
    version: str
    runs: list[SarifRun]


def sarif(run: Run) -> str:
    """Render the run as one SARIF log with one run."""
    report = run.report
    hidden: list[Suppressed | None] = [None] * len(report.findings)
    hidden += report.suppressed
    findings = report.all_findings
    index = {rule.name: number for number, rule in enumerate(run.rules)}
    names = fingerprints(findings, run.base)
    log = SarifRun(
        tool=SarifTool(
            SarifDriver("nginx-stream-lint", __version__, [_rule(rule) for rule in run.rules])
        ),
        column_kind="unicodeCodePoints",
        original_uri_base_ids={
            _BASE: SarifBase(SarifText("The folder in which the linter was started."))
        },
        invocations=[
            SarifInvocation(
                execution_successful=not report.problems,
                tool_execution_notifications=[
                    _notification(problem, run) for problem in report.problems
                ],
            )
        ],
        results=[
            _result(finding, index.get(finding.rule, UNSET), name, run, by)
            for finding, name, by in zip(findings, names, hidden, strict=True)
        ],
    )
    return json_text(SarifLog(_SCHEMA, "2.1.0", [log]), lossy=True)


def _rule(rule: Rule) -> SarifRule:
    return SarifRule(
        id=rule.name,
        short_description=SarifText(rule.title),
        full_description=SarifText(rule.why),
        help=SarifHelp(rule_text(rule), rule_markdown(rule)),
        # Each result has its own severity.
        default_configuration=SarifLevel(rule.highest_severity),
        properties=SarifTags(["nginx", "streaming", *rule.kinds]),
    )


def _result(
    finding: Finding, index: int | UnsetType, fingerprint: str, run: Run, by: Suppressed | None
) -> SarifResult:
    related = [
        SarifLocation(
            id=number,
            message=SarifText(one.message),
            physical_location=_physical(one.place, run),
        )
        for number, one in enumerate(finding.related)
    ]
    # Ignored findings are never fixed.
    fix = finding.fix if by is None else None
    is_fixed = fix is not None and fix.edits and insertable(fix.edits)
    return SarifResult(
        rule_id=finding.rule,
        rule_index=index,
        level=finding.severity,
        message=SarifText(finding.message),
        locations=[
            SarifLocation(
                physical_location=_physical(run.place(finding), run),
                logical_locations=[SarifLogical(finding.location.label, "resource")],
            )
        ],
        partial_fingerprints={_FINGERPRINT: fingerprint},
        properties=SarifProperties(finding.location.servers, described(finding.stream)),
        related_locations=related or UNSET,
        fixes=[_fix(fix, run)] if fix is not None and is_fixed else UNSET,
        # The kind of suppression, and its reason.
        suppressions=UNSET
        if by is None
        else [SarifSuppression(by.kind, "accepted", by.reason or UNSET)],
    )


def _physical(place: Place, run: Run) -> SarifPhysical:
    return SarifPhysical(
        _artifact(place.source.name, run), _region(place.source, place.start, place.end)
    )


def _artifact(name: str, run: Run) -> SarifArtifact:
    path = run.path(name)
    return SarifArtifact(uri(path), UNSET if path.startswith("/") else _BASE)


def _region(source: Source, start: int, end: int) -> SarifRegion:
    return SarifRegion(*source.position(start), *source.position(end))


def _fix(fix: Fix, run: Run) -> SarifFix:
    changes: dict[int, SarifChange] = {}
    for edit in fix.edits:
        change = changes.setdefault(
            id(edit.source), SarifChange(_artifact(edit.source.name, run), [])
        )
        change.replacements.append(
            SarifReplacement(_region(edit.source, edit.start, edit.end), SarifText(edit.text))
        )
    said = ". ".join((f"{fix.title} ({fix.applicability})", *fix.cautions))
    return SarifFix(SarifText(said), list(changes.values()))


def _notification(problem: Problem, run: Run) -> SarifNotification:
    place = SarifPhysical(_artifact(problem.file, run), SarifRegion(problem.line, problem.column))
    return SarifNotification(
        level="error",
        message=SarifText(f"{problem.message}; {problem.advice}"),
        locations=[SarifLocation(physical_location=place)],
    )
