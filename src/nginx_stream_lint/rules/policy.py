"""Apply a repository's severities and overrides to findings.

A rule decides the severity first; the policy changes it. Report formats see only the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import Literal

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.finding import SEVERITIES, Finding, in_order

Worth = Literal["error", "warning", "note", "off"]
WORTHS: tuple[Worth, ...] = ("error", "warning", "note", "off")


class Override(Struct, frozen=True):
    """Settings for the files that `covers` accepts; a field is None if it is not overridden."""

    covers: Callable[[str], bool]
    severity: Mapping[str, Worth] = field(default_factory=dict)
    nginx_version: Version | None = None
    min_read_timeout_s: float | None = None


class Policy(Struct, frozen=True):
    """Severities by rule, and overrides; the last override that covers a file wins."""

    severity: Mapping[str, Worth] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()

    def severity_of(self, rule: str, file: str) -> Worth | None:
        """The severity that the policy sets for a rule in a file; None: keep the rule's own."""
        found = self.severity.get(rule)
        for override in self.overrides:
            if rule in override.severity and override.covers(file):
                found = override.severity[rule]
        return found

    def is_enabled(self, rule: str) -> bool:
        """Whether a rule is enabled for any file."""
        return self.severity.get(rule) != "off" or any(
            override.severity.get(rule, "off") != "off" for override in self.overrides
        )

    def nginx_version(self, file: str, otherwise: Version | None) -> Version | None:
        """The nginx version that the policy sets for a file, or `otherwise`."""
        for override in self.overrides:
            if override.nginx_version is not None and override.covers(file):
                otherwise = override.nginx_version
        return otherwise

    def min_read_timeout_s(self, file: str, otherwise: float) -> float:
        """The minimum read timeout in seconds that the policy sets for a file, or `otherwise`."""
        for override in self.overrides:
            if override.min_read_timeout_s is not None and override.covers(file):
                otherwise = override.min_read_timeout_s
        return otherwise

    def applied(self, findings: Iterable[Finding]) -> list[Finding]:
        """Return findings with the severities that apply in their files.

        `Finding.at_most` still caps the severity. The order changes only among findings at one
        place.
        """
        found: list[Finding] = []
        worth_of = cache(self.severity_of)  # many findings, few files
        for finding in findings:
            severity_of = worth_of(finding.rule, finding.place.source.name)
            if severity_of is None:
                found.append(finding)
            elif severity_of != "off":
                severity = max(severity_of, finding.at_most, key=SEVERITIES.index)
                found.append(replace(finding, severity=severity))
        places = groupby(found, key=lambda one: in_order(one)[:2])
        return [one for _, here in places for one in sorted(here, key=in_order)]
