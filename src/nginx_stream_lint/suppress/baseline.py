"""The baseline: findings from before the linter was adopted, identified by content."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Sequence
from operator import attrgetter

import msgspec
from msgspec import Struct

from nginx_stream_lint.config import File
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.rules.finding import Finding, Suppressed
from nginx_stream_lint.rules.fingerprint import fingerprints, portable
from nginx_stream_lint.util.escaping import printable
from nginx_stream_lint.util.json_text import json_text
from nginx_stream_lint.util.problems import Unreadable

_TOOL = "nginx-stream-lint"
# Version of schema/baseline.schema.json; CONTRIBUTING.md says when it changes.
SCHEMA_VERSION = 1
_REASON = "in the baseline"
_SHOWN = 40  # characters of an invalid version


class BaselineMistake(Exception):
    """An unusable baseline; the message starts with `file:line:column`."""


class BaselineEntry(Struct, frozen=True):
    """A finding in a baseline; the texts are for readers."""

    fingerprint: str
    rule: str
    file: str
    location: str


class BaselineDocument(Struct):
    """A baseline as written to a file."""

    schema_version: int
    tool: str
    findings: list[BaselineEntry]


class Baseline(Struct, frozen=True):
    """The known findings. `path` is the baseline's file: names in it are relative to that."""

    path: str
    entries: tuple[BaselineEntry, ...]

    @property
    def base(self) -> str:
        """The folder that file names start from."""
        return os.path.dirname(os.path.abspath(self.path))


def load(workspace: Workspace, path: str) -> Baseline:
    """Read a baseline.

    Raises BaselineMistake for another format, or that of a newer version.
    """
    advice = "re-create it with --write-baseline"
    try:
        document = json.loads(workspace.text(path))
        if not isinstance(document, dict) or document.get("tool") != _TOOL:
            raise BaselineMistake(f"{path}:1:1: is not a baseline of {_TOOL}; {advice}")
        # Before 0.2.0 the key was `version`.
        found = document.get("schema_version", document.get("version"))
        if found != SCHEMA_VERSION:
            version = printable(repr(found), _SHOWN)
            raise BaselineMistake(
                f"{path}:1:1: is a baseline of version {version}, but this {_TOOL} supports"
                f" version {SCHEMA_VERSION}; update {_TOOL}, or {advice}"
            )
        entries = msgspec.convert(document.get("findings"), tuple[BaselineEntry, ...])
    except json.JSONDecodeError as error:
        raise BaselineMistake(
            f"{path}:{error.lineno}:{error.colno}: is not valid JSON: {error.msg}; {advice}"
        ) from None
    except (msgspec.ValidationError, RecursionError, ValueError):
        raise BaselineMistake(f"{path}:1:1: is damaged; {advice}") from None
    except Unreadable as stop:
        problem = stop.problem
        message = f"cannot be read ({problem.message})"
        where = f"{path}:{problem.line}:{problem.column}"
        raise BaselineMistake(f"{where}: {message}; {advice}") from None
    return Baseline(path, entries)


def without_known(
    findings: Sequence[Finding],
    suppressed: Sequence[Suppressed],
    files: Sequence[File],
    rules: Collection[str],
    baseline: Baseline,
    is_gone: Callable[[str], bool],
    renamed: Collection[str] = (),
) -> tuple[list[Finding], list[Suppressed], list[BaselineEntry]]:
    """Return the new findings, all suppressed ones, and the stale entries.

    Only entries for the checked `files` and the applied `rules` can be stale, and none for
    `renamed` rules, which may be found under another name. An entry is also stale if a comment
    ignores its finding. `is_gone` returns whether a file no longer exists.
    """
    names = _names(findings, suppressed, baseline.base)
    known = {entry.fingerprint for entry in baseline.entries}
    new = [one for one, name in zip(findings, names, strict=False) if name not in known]
    old = [
        Suppressed(one, "external", _REASON)
        for one, name in zip(findings, names, strict=False)
        if name in known
    ]
    alive = set(names[: len(findings)])
    read = _read(files, baseline.base)
    stale = [
        entry
        for entry in baseline.entries
        if entry.fingerprint not in alive
        and entry.rule not in renamed
        and _is_checked(entry, read, rules, baseline.base, is_gone)
    ]
    return new, [*suppressed, *old], stale


def written(
    findings: Sequence[Finding],
    suppressed: Sequence[Suppressed],
    files: Sequence[File],
    rules: Collection[str],
    path: str,
    before: Baseline | None,
    is_gone: Callable[[str], bool],
) -> str:
    """The text of a baseline with all findings.

    Entries of the baseline `before` stay if their files were not checked or their rules not applied
    this time.
    """
    baseline = Baseline(path, () if before is None else before.entries)
    names = _names(findings, suppressed, baseline.base)
    read = _read(files, baseline.base)
    entries = [
        one for one in baseline.entries if not _is_checked(one, read, rules, baseline.base, is_gone)
    ]
    entries += [
        BaselineEntry(
            name,
            one.rule,
            portable(one.place.source.name, baseline.base, os.getcwd()),
            one.location.label,
        )
        for one, name in zip(findings, names, strict=False)
    ]
    in_order = sorted(set(entries), key=attrgetter("file", "rule", "location", "fingerprint"))
    return json_text(BaselineDocument(SCHEMA_VERSION, _TOOL, in_order))


def _names(findings: Sequence[Finding], suppressed: Sequence[Suppressed], base: str) -> list[str]:
    """Fingerprints, the findings' first; the ignored ones are counted, because they vary."""
    return fingerprints([*findings, *(one.finding for one in suppressed)], base, os.getcwd())


def _read(files: Sequence[File], base: str) -> set[str]:
    return {portable(name, base, os.getcwd()) for name in {file.source.name for file in files}}


def _is_checked(
    entry: BaselineEntry,
    read: set[str],
    rules: Collection[str],
    base: str,
    is_gone: Callable[[str], bool],
) -> bool:
    """Whether this check would find an entry's finding; a deleted file has no findings."""
    if is_gone(os.path.join(base, entry.file)):
        return True
    return entry.file in read and entry.rule in rules
