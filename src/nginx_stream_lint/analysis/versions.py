"""The nginx that runs a configuration: its versions, and findings that only one of them has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.rules.finding import SEVERITIES, Finding, Severity
from nginx_stream_lint.rules.judge import FindingWithContext

if TYPE_CHECKING:
    from nginx_stream_lint.analysis.lint import Options


def by_version(configuration: Configuration, options: Options) -> list[Options]:
    """The options for each version of nginx that may run a configuration.

    The user's version takes precedence over that of the deployment. A floating tag, such as
    `nginx:alpine`, may be on either side of a change of defaults: that makes two versions.
    """
    deployed = configuration.deployed
    if options.nginx_version is not None or deployed is None or not deployed.versions:
        return [options]
    return [replace(options, nginx_version=one) for one in deployed.versions]


def of_all_versions(found: Sequence[list[FindingWithContext]]) -> list[FindingWithContext]:
    """Combine the findings of several versions: one that some versions lack is no error.

    Of equal findings the first is kept, with the mildest severity.
    """
    if len(found) == 1:
        return found[0]
    by_place: dict[tuple[str, str, int, str, int], list[FindingWithContext]] = {}
    for judged in found:
        for one in judged:
            by_place.setdefault(_place(one.finding), []).append(one)
    merged: list[FindingWithContext] = []
    for several in by_place.values():
        first = several[0]
        severities: list[Severity] = [one.finding.severity for one in several]
        if len(several) < len(found):
            severities.append("warning")
        severity = max(severities, key=SEVERITIES.index)
        if severity != first.finding.severity:
            finding = replace(first.finding, severity=severity, at_most=severity)
            first = FindingWithContext(finding, first.verdict, first.served)
        merged.append(first)
    return merged


def _place(finding: Finding) -> tuple[str, str, int, str, int]:
    place, location = finding.place, finding.location.place
    return finding.rule, place.source.name, place.start, location.source.name, location.start
