"""Findings, fixes and their edits, as data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nginx_stream_lint.config import Source
from nginx_stream_lint.streams.stream import Stream

Severity = Literal["error", "warning", "note"]
# From the worst down.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
Applicability = Literal["safe", "unsafe", "manual"]
# The name of the source that stands for what only the command line says.
COMMAND_LINE = "(command line)"


class Place(Struct, frozen=True):
    """A stretch of a file; offsets in characters, `end` behind the last one."""

    source: Source
    start: int
    end: int

    @property
    def is_in_file(self) -> bool:
        """Whether it is a place in a file, not on the command line."""
        return self.source.name != COMMAND_LINE

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]


class Related(Struct, frozen=True):
    """Another place that belongs to a finding, and what it has to do with it."""

    place: Place
    message: str


class Edit(Struct, frozen=True):
    """Replace `[start, end)` of a file by `text`; an insertion where the two are equal."""

    source: Source
    start: int
    end: int
    text: str


class Fix(Struct, frozen=True):
    """Edits that belong together, all or none. `manual` ones have no edits, only a `snippet`."""

    title: str
    applicability: Applicability
    snippet: str
    edits: tuple[Edit, ...] = ()


# Where a thousand findings are in servers with a thousand names, each would list all of them.
MOST_SERVERS = 100


class LocationInfo(Struct, frozen=True):
    """The location a finding is about: how it is written, where, and in which servers.

    `place` is its head; its block ends before the offset `block_end` of the same file. `servers`
    are the first `MOST_SERVERS` of their names. `is_block` is false for what is no block of a
    configuration: a stream that settings or options declare.
    """

    label: str
    place: Place
    block_end: int
    servers: tuple[str, ...]
    is_block: bool = True


class Finding(Struct, frozen=True):
    """What a rule says, about which place and stream, and what to do.

    `stream` is None for what is said of a comment. `at_most` is the worst severity that it can be
    given, since more is not known. For `assumes_old_nginx` and `assumes_defaults` see
    `verdict.Verdict`. `spared` are directives that its fix must not touch, since a comment ignores
    the rule that is about them. `instance` names the nginx of the deployment that it is about, or
    several.
    """

    rule: str
    severity: Severity
    message: str
    place: Place
    location: LocationInfo
    stream: Stream | None
    related: tuple[Related, ...] = ()
    fix: Fix | None = None
    at_most: Severity = "error"
    assumes_old_nginx: bool = False
    assumes_defaults: bool = False
    spared: frozenset[str] = frozenset()
    instance: str | None = None

    def with_fix(self, fix: Fix | None) -> Finding:
        """The same finding with a fix. There are many: `dataclasses.replace` would take longer."""
        return Finding(
            self.rule,
            self.severity,
            self.message,
            self.place,
            self.location,
            self.stream,
            self.related,
            fix,
            self.at_most,
            self.assumes_old_nginx,
            self.assumes_defaults,
            self.spared,
            self.instance,
        )

    @property
    def thought(self) -> str:
        """What is thought of the stream, in words; empty where it is about none."""
        if self.stream is None:
            return ""
        return self.stream.words


Fate = Literal["streams", "stalls", "replays"]


class Unchecked(Struct, frozen=True):
    """A location that proxies and that nothing suggests to stream: no rule judges it.

    `verdict` is what would happen to a stream there, for the worst of the usual clients; `stream`
    is that stream.
    """

    location: LocationInfo
    verdict: Fate
    stream: Stream

    @property
    def path(self) -> str:
        """The location as its block names it, without the word `location`."""
        return self.location.label.removeprefix("location ")


class Suppressed(Struct, frozen=True):
    """A finding that somebody does not want to see.

    `kind` is `inSource` for a comment and `external` for a baseline, as SARIF calls them; `reason`
    may be empty.
    """

    finding: Finding
    kind: Literal["inSource", "external"]
    reason: str


def in_order(finding: Finding) -> tuple[str, int, int, str]:
    """What findings are sorted by: their place, and there the worst first."""
    place = finding.place
    return place.source.name, place.start, SEVERITIES.index(finding.severity), finding.rule
