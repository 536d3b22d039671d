"""Apply a repository's severities and overrides to findings.

A rule's opinion comes first; this changes what it is worth here. Formats see only the result.
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
    """What holds for the files whose names `covers` is true of; None where it says nothing."""

    covers: Callable[[str], bool]
    severity: Mapping[str, Worth] = field(default_factory=dict)
    nginx_version: Version | None = None
    min_read_timeout_s: float | None = None


class Policy(Struct, frozen=True):
    """Severities by rule, and overrides, of which the last that covers a file wins."""

    severity: Mapping[str, Worth] = field(default_factory=dict)
    overrides: tuple[Override, ...] = ()

    def worth(self, rule: str, file: str) -> Worth | None:
        """What a rule's findings in a file are worth; None: what the rule says."""
        found = self.severity.get(rule)
        for override in self.overrides:
            if rule in override.severity and override.covers(file):
                found = override.severity[rule]
        return found

    def wants(self, rule: str) -> bool:
        """Whether a rule is worth something anywhere."""
        return self.severity.get(rule) != "off" or any(
            override.severity.get(rule, "off") != "off" for override in self.overrides
        )

    def nginx_version(self, file: str, otherwise: Version | None) -> Version | None:
        """The nginx that runs a file."""
        for override in self.overrides:
            if override.nginx_version is not None and override.covers(file):
                otherwise = override.nginx_version
        return otherwise

    def min_read_timeout_s(self, file: str, otherwise: float) -> float:
        """The silence that streams of a file should survive."""
        for override in self.overrides:
            if override.min_read_timeout_s is not None and override.covers(file):
                otherwise = override.min_read_timeout_s
        return otherwise

    def applied(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings with the severity they have in the file they point at.

        What may not be so bad stays so: see `Finding.at_most`. Their order changes only where one
        place has several.
        """
        found: list[Finding] = []
        worth_of = cache(self.worth)  # many findings, few files
        for finding in findings:
            worth = worth_of(finding.rule, finding.place.source.name)
            if worth is None:
                found.append(finding)
            elif worth != "off":
                severity = max(worth, finding.at_most, key=SEVERITIES.index)
                found.append(replace(finding, severity=severity))
        places = groupby(found, key=lambda one: in_order(one)[:2])
        return [one for _, here in places for one in sorted(here, key=in_order)]
