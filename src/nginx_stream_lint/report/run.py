"""What a format is given, and what several formats need of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from json.encoder import encode_basestring
from urllib.parse import quote

from nginx_stream_lint.config import Source
from nginx_stream_lint.lint import Report
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.rules.finding import Edit, Severity
from nginx_stream_lint.rules.fingerprint import portable
from nginx_stream_lint.rules.policy import Policy
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.stream import Stream


@dataclass(frozen=True, slots=True)
class Run:
    """A finished check.

    `rules` are those that were applied, `nginx_version` is None where nobody said, `seconds` is how
    long it took, `base` the folder that names in machine-readable formats start from, `fail_on` the
    mildest severity that fails, `policy` what made the findings worth what they are.
    """

    report: Report
    rules: tuple[Rule, ...]
    nginx_version: Version | None
    seconds: float
    base: str
    fail_on: Severity = "error"
    policy: Policy = field(default_factory=Policy)

    def path(self, source: Source | str) -> str:
        """A file's name for other programs: from `base`, or as it is if it lies elsewhere."""
        return portable(source if isinstance(source, str) else source.name, self.base)


def described(stream: Stream | None) -> dict[str, str] | None:
    """A stream for programs."""
    if stream is None:
        return None
    return {"kind": stream.kind, "confidence": stream.confidence, "because": stream.because}


@lru_cache(1024)
def uri(path: str) -> str:
    """A path as a URI: relative, or with `file:` where it is absolute."""
    escaped = quote(os.fsencode(path))
    return f"file://{escaped}" if path.startswith("/") else escaped


def encoded(document: object) -> str:
    """JSON with a line end; bytes that are no UTF-8 become question marks, as JSON has none."""
    return f"{indented(document)}\n".encode("utf-8", "replace").decode("utf-8")


def indented(value: object, line: str = "\n") -> str:
    """JSON as `json.dumps` writes it with an indent of 2, without ASCII escapes.

    That takes several times as long: it hands each word up through a generator for each level.
    `line` is the line end with the indentation of what is around.
    """
    if isinstance(value, str):
        return encode_basestring(value)
    if type(value) is int:
        return str(value)
    inner = f"{line}  "
    if isinstance(value, dict) and value:
        rows = [f"{encode_basestring(key)}: {indented(one, inner)}" for key, one in value.items()]
        return f"{{{inner}{f',{inner}'.join(rows)}{line}}}"
    if isinstance(value, (list, tuple)) and value:
        rows = [indented(one, inner) for one in value]
        return f"[{inner}{f',{inner}'.join(rows)}{line}]"
    return json.dumps(value)


def insertable(edits: Iterable[Edit]) -> bool:
    """Whether the texts of edits can be told in UTF-8."""
    return not any(re.search("[\ud800-\udfff]", edit.text) for edit in edits)
