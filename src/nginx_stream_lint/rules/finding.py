"""Findings, fixes and their edits, as data."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import Source
from nginx_stream_lint.streams.stream import Stream

Severity = Literal["error", "warning", "note"]
# From worst to mildest.
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
Applicability = Literal["safe", "unsafe", "manual"]
# Name of the source that stands for the command line.
COMMAND_LINE = "(command line)"


class Place(Struct, frozen=True):
    """A span of a file, as offsets in characters; `end` is exclusive."""

    source: Source
    start: int
    end: int

    @property
    def is_in_file(self) -> bool:
        """Whether the place is in a file, not on the command line."""
        return self.source.name != COMMAND_LINE

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]


class Related(Struct, frozen=True):
    """Another place that belongs to a finding, and how it is related."""

    place: Place
    message: str


class Edit(Struct, frozen=True):
    """Replace `[start, end)` of a file by `text`; an insertion if both are equal."""

    source: Source
    start: int
    end: int
    text: str


class Fix(Struct, frozen=True):
    """Edits to apply together or not at all. A `manual` fix has no edits, only a `snippet`.

    `title` says in a few words what the fix does; `cautions` say what else it changes and how to
    avoid that. A caution has one or two sentences, without the last full stop, as a message.
    `safe_parts` are the statements of an unsafe fix that are safe without the others;
    `applied_parts` are those that `--fix` applies even without `--unsafe-fixes`, because safe fixes
    of other findings have them, too.
    """

    title: str
    applicability: Applicability
    snippet: str
    edits: tuple[Edit, ...] = ()
    cautions: tuple[str, ...] = ()
    safe_parts: tuple[str, ...] = ()
    applied_parts: tuple[str, ...] = ()

    def as_manual(self) -> Fix:
        """Return the fix as one that is only shown."""
        return Fix(self.title, "manual", self.snippet, cautions=self.cautions)


# Otherwise a thousand findings in servers with a thousand names would each list all of them.
MOST_SERVERS = 100


class LocationInfo(Struct, frozen=True):
    """The location of a finding: how it is written, where, and in which servers.

    `place` is its head; its block ends before the offset `block_end` of the same file. `servers`
    are the first `MOST_SERVERS` server names. `is_block` is false if there is no such block,
    because only settings or options declare the stream.
    """

    label: str
    place: Place
    block_end: int
    servers: tuple[str, ...]
    is_block: bool = True


# Rule, file, offset and message.
Identity = tuple[str, str, int, str]


class Finding(Struct, frozen=True):
    """A rule's report about one place and stream, with the suggested fix.

    `stream` is None for findings about comments, blocks and declarations. `at_most` caps the
    severity, because parts of the configuration are unknown. For `assumes_old_nginx` and
    `assumes_defaults` see `verdict.Verdict`. `spared` are directives that the fix must not change,
    because a comment ignores the rule about them. `instance` names the nginx of the deployment, or
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
        """Return a copy with a fix."""
        return replace(self, fix=fix)

    @property
    def identity(self) -> Identity:
        """Distinguishes the findings of a run; the same snippet may be in two configurations."""
        return self.rule, self.place.source.name, self.place.start, self.message

    @property
    def stream_words(self) -> str:
        """Confidence and kind of the stream, in words; empty if there is no stream."""
        if self.stream is None:
            return ""
        return self.stream.words


StreamOutcome = Literal["streams", "stalls", "replays"]


class Unchecked(Struct, frozen=True):
    """A proxied location that was not checked, because nothing suggests that it streams.

    `verdict` is the outcome for a stream there, for the worst of the usual clients; `stream` is
    that assumed stream.
    """

    location: LocationInfo
    verdict: StreamOutcome
    stream: Stream

    @property
    def path(self) -> str:
        """The location as its block names it, without the word `location`."""
        return self.location.label.removeprefix("location ")


class Suppressed(Struct, frozen=True):
    """A finding that a comment or a baseline hides.

    `kind` is `inSource` for a comment and `external` for a baseline, as in SARIF; `reason` may be
    empty.
    """

    finding: Finding
    kind: Literal["inSource", "external"]
    reason: str


def in_order(finding: Finding) -> tuple[str, int, int, str]:
    """Sort key for findings: by place, then worst first."""
    place = finding.place
    return place.source.name, place.start, SEVERITIES.index(finding.severity), finding.rule
