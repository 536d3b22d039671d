"""Fixes put into the text: whole or not at all, in rounds until nothing is left to mend."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from nginx_stream_lint.config import Source
from nginx_stream_lint.config.source import ENCODING, ERRORS
from nginx_stream_lint.replacing import replace_file
from nginx_stream_lint.rules.finding import Edit, Finding, Fix

# Each round mends all that do not overlap, and at least one. This many means that fixes undo one
# another.
_MAX_ROUNDS = 50


class NotConverging(Exception):
    """Fixes that undo one another: a bug in the rules; nothing was written."""


def compatible(fixes: Iterable[Fix]) -> list[Edit]:
    """The edits of as many fixes as fit together, in order; a fix that overlaps is left out whole.

    Identical edits count once, and insertions at one place follow each other.
    """
    chosen: dict[Edit, None] = {}
    for fix in fixes:
        if not any(_overlap(edit, other) for edit in fix.edits for other in chosen):
            chosen |= dict.fromkeys(fix.edits)
    return list(chosen)


def _overlap(edit: Edit, other: Edit) -> bool:
    if edit.source is not other.source or edit == other:
        return False
    if edit.start == edit.end == other.start == other.end:
        return False
    return edit.start < other.end and other.start < edit.end


def edited(text: str, edits: Iterable[Edit]) -> str:
    """A text with edits that do not overlap applied."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=lambda one: (one.start, one.end)):
        parts += (text[at : edit.start], edit.text)
        at = edit.end
    return "".join((*parts, text[at:]))


def fix_all(
    lint: Callable[[dict[str, Source]], Sequence[Finding]], unsafe: bool
) -> dict[str, tuple[Source, Source]]:
    """Mend everything that has a safe fix (or, with `unsafe`, an unsafe one).

    `lint` gives the findings with the given sources standing in for files (by real path). Returns
    (before, after) by real path; nothing is written. Raises NotConverging.
    """
    allowed = ("safe", "unsafe") if unsafe else ("safe",)
    changed: dict[str, tuple[Source, Source]] = {}
    for _ in range(_MAX_ROUNDS):
        findings = lint({path: after for path, (_, after) in changed.items()})
        fixes = [finding.fix for finding in findings if finding.fix is not None]
        edits = compatible(fix for fix in fixes if fix.applicability in allowed)
        if not edits:
            return changed
        for source in {id(edit.source): edit.source for edit in edits}.values():
            path = os.path.realpath(source.name)
            before = changed[path][0] if path in changed else source
            text = edited(source.text, (edit for edit in edits if edit.source is source))
            changed[path] = (before, replace(source, text=text))
    raise NotConverging("the fixes do not come to an end; please report this configuration")


def write(path: str, source: Source) -> None:
    """Write a mended file, in one step. Raises OSError; then the file is as it was."""
    replace_file(path, source.text.encode(ENCODING, ERRORS))
