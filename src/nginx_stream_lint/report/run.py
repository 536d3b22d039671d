"""The input of a report format: a finished run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable

from msgspec import Struct, field

from nginx_stream_lint.analysis.lint import Result
from nginx_stream_lint.config import Source
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.report.wrapping import WIDTH
from nginx_stream_lint.rules.finding import Edit, Finding, Place, Severity
from nginx_stream_lint.rules.policy import Policy
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.util.remembering import latest_remembered


class Run(Struct, frozen=True):
    """A finished check.

    `rules` are the applied rules, `nginx_version` is None if it is unknown, `seconds` is the
    duration, `base` the folder that names in machine-readable formats are relative to, `fail_on`
    the lowest severity that fails, `policy` the source of the findings' severities. Text for people
    has lines of `width` columns; `verbose` adds the reason of each rule, `quiet` omits everything
    but findings.
    """

    report: Result
    rules: tuple[Rule, ...]
    nginx_version: Version | None
    seconds: float
    base: str
    fail_on: Severity = "error"
    policy: Policy = field(default_factory=Policy)
    width: int = WIDTH
    verbose: bool = False
    quiet: bool = False

    def place(self, finding: Finding) -> Place:
        """The place to show for programs that require a file: the first input if there is none."""
        if finding.place.is_in_file or not self.report.files:
            return finding.place
        return Place(self.report.files[0].source, 0, 0)

    def path(self, source: Source | str) -> str:
        """A file's name for other programs: relative to `base`, or unchanged if it is outside."""
        from nginx_stream_lint.rules.fingerprint import portable

        return portable(source if isinstance(source, str) else source.name, self.base)


class StreamRecord(Struct):
    """A stream as a record for programs."""

    kind: str
    confidence: str
    because: str


def described(stream: Stream | None) -> StreamRecord | None:
    """Convert a stream to a record; None stays None."""
    if stream is None:
        return None
    return StreamRecord(stream.kind, stream.confidence, stream.because)


class NginxRecord(Struct):
    """An nginx of the deployment as a record for programs."""

    name: str
    file: str
    line: int
    product: str
    version: str | None
    version_file: str | None
    version_line: int | None


def nginx_record(nginx: Deployed) -> NginxRecord:
    """Convert an nginx of the deployment to a record."""
    stated = nginx.version_origin
    return NginxRecord(
        name=nginx.name,
        file=nginx.origin.file,
        line=nginx.origin.line,
        product=nginx.product,
        version=nginx.version,
        version_file=None if stated is None else stated.file,
        version_line=None if stated is None else stated.line,
    )


@latest_remembered(1024)
def uri(path: str) -> str:
    """Convert a path to a URI: relative, or with `file:` if it is absolute."""
    from urllib.parse import quote

    escaped = quote(os.fsencode(path))
    return f"file://{escaped}" if path.startswith("/") else escaped


def insertable(edits: Iterable[Edit]) -> bool:
    """Whether the texts of edits can be encoded in UTF-8."""
    return not any(re.search("[\ud800-\udfff]", edit.text) for edit in edits)
