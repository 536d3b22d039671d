"""SARIF 2.1.0, for code scanning: https://docs.oasis-open.org/sarif/sarif/v2.1.0/.

Nothing in it depends on the time, the machine or the folder, so that equal findings give equal
documents.
"""

from __future__ import annotations

from typing import Any

from nginx_stream_lint import __version__
from nginx_stream_lint.config import Problem, Source
from nginx_stream_lint.report.encoding import encoded
from nginx_stream_lint.report.rule import rule_markdown, rule_text
from nginx_stream_lint.report.run import Run, described, insertable, uri
from nginx_stream_lint.rules.finding import Finding, Fix, Place, Suppressed
from nginx_stream_lint.rules.fingerprint import fingerprints
from nginx_stream_lint.rules.rule import Rule

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_BASE = "SRCROOT"
# The name says how a fingerprint is made; another recipe gets another number.
_FINGERPRINT = "nginxStreamLint/v1"


def sarif(run: Run) -> str:
    """The run as one SARIF log with one run."""
    hidden: list[Suppressed | None] = [None] * len(run.report.findings)
    hidden += run.report.suppressed
    findings = run.report.all_findings
    index = {rule.name: number for number, rule in enumerate(run.rules)}
    names = fingerprints(findings, run.base)
    document = {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "nginx-stream-lint",
                        "semanticVersion": __version__,
                        "rules": [_rule(rule) for rule in run.rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {
                    _BASE: {"description": {"text": "The folder in which the linter was started."}}
                },
                "invocations": [
                    {
                        "executionSuccessful": not run.report.problems,
                        "toolExecutionNotifications": [
                            _notification(problem, run) for problem in run.report.problems
                        ],
                    }
                ],
                "results": (
                    _result(finding, index.get(finding.rule), name, run, by) | _suppressions(by)
                    for finding, name, by in zip(findings, names, hidden, strict=True)
                ),
            }
        ],
    }
    return encoded(document)


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.name,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule_text(rule), "markdown": rule_markdown(rule)},
        # The worst that the rule can say; each result has its own.
        "defaultConfiguration": {"level": rule.severity[0][0]},
        "properties": {"tags": ["nginx", "streaming", *rule.kinds]},
    }


def _suppressions(by: Suppressed | None) -> dict[str, Any]:
    """Who does not want to see a result, and why."""
    if by is None:
        return {}
    reason = {"justification": by.reason} if by.reason else {}
    return {"suppressions": [{"kind": by.kind, "status": "accepted", **reason}]}


def _result(
    finding: Finding, index: int | None, fingerprint: str, run: Run, by: Suppressed | None
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        **({} if index is None else {"ruleIndex": index}),
        "level": finding.severity,
        "message": {"text": finding.message},
        "locations": [
            {
                "physicalLocation": _physical(run.place(finding), run),
                "logicalLocations": [{"name": finding.location.label, "kind": "resource"}],
            }
        ],
        "partialFingerprints": {_FINGERPRINT: fingerprint},
        "properties": {
            "servers": list(finding.location.servers),
            "stream": described(finding.stream),
        },
    }
    if finding.related:
        result["relatedLocations"] = [
            {
                "id": number,
                "message": {"text": related.message},
                "physicalLocation": _physical(related.place, run),
            }
            for number, related in enumerate(finding.related)
        ]
    # What is ignored is never fixed.
    if by is None and finding.fix and finding.fix.edits and insertable(finding.fix.edits):
        result["fixes"] = [_fix(finding.fix, run)]
    return result


def _physical(place: Place, run: Run) -> dict[str, Any]:
    return {
        "artifactLocation": _artifact(place.source.name, run),
        "region": _region(place.source, place.start, place.end),
    }


def _artifact(name: str, run: Run) -> dict[str, Any]:
    path = run.path(name)
    return {"uri": uri(path)} | ({} if path.startswith("/") else {"uriBaseId": _BASE})


def _region(source: Source, start: int, end: int) -> dict[str, int]:
    line, column = source.position(start)
    end_line, end_column = source.position(end)
    return {
        "startLine": line,
        "startColumn": column,
        "endLine": end_line,
        "endColumn": end_column,
    }


def _fix(fix: Fix, run: Run) -> dict[str, Any]:
    by_source: dict[int, list[dict[str, Any]]] = {}
    sources: dict[int, Source] = {}
    for edit in fix.edits:
        sources[id(edit.source)] = edit.source
        by_source.setdefault(id(edit.source), []).append(
            {
                "deletedRegion": _region(edit.source, edit.start, edit.end),
                "insertedContent": {"text": edit.text},
            }
        )
    return {
        "description": {"text": f"{fix.title} ({fix.applicability})"},
        "artifactChanges": [
            {"artifactLocation": _artifact(sources[key].name, run), "replacements": replacements}
            for key, replacements in by_source.items()
        ],
    }


def _notification(problem: Problem, run: Run) -> dict[str, Any]:
    return {
        "level": "error",
        "message": {"text": f"{problem.message}; {problem.advice}"},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": _artifact(problem.file, run),
                    "region": {"startLine": problem.line, "startColumn": problem.column},
                }
            }
        ],
    }
