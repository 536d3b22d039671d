"""Fixes put into the text: whole or not at all, in rounds until nothing is left to mend."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter

from nginx_stream_lint.config import Source
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.rules.finding import Edit, Finding, Fix
from nginx_stream_lint.util.replacing import replace_file

# Each round mends all that do not overlap, and at least one. This many means that fixes undo one
# another.
_MAX_ROUNDS = 50


_span = attrgetter("start", "end")


class NotConverging(Exception):
    """Fixes that undo one another: a bug in the rules; nothing was written."""


def compatible(fixes: Iterable[Fix]) -> list[Edit]:
    """The edits of as many fixes as fit together, in order; a fix that overlaps is left out whole.

    Identical edits count once, and insertions at one place follow each other.
    """
    fixes = list(fixes)
    edits = [edit for fix in fixes for edit in fix.edits]
    if len(fixes) == 1 or all(edit.start == edit.end for edit in edits):
        # Insertions never overlap.
        return edits if len(edits) < 2 else list(dict.fromkeys(edits))
    chosen: dict[Edit, None] = {}
    # What was chosen, by stretches of its file: an edit is compared with those in its own only.
    near: dict[tuple[Source, int], dict[tuple[int, int], set[str]]] = {}
    for fix in fixes:
        if any(_overlaps(edit, near.get(at, {})) for edit in fix.edits for at in _stretches(edit)):
            continue
        for edit in fix.edits:
            if edit not in chosen:
                chosen[edit] = None
                for at in _stretches(edit):
                    texts = near.setdefault(at, {}).setdefault((edit.start, edit.end), set())
                    texts.add(edit.text)
    return list(chosen)


def _stretches(edit: Edit) -> list[tuple[Source, int]]:
    """The stretches of a file, of 256 characters each, that an edit touches."""
    return [(edit.source, at) for at in range(edit.start >> 8, (edit.end >> 8) + 1)]


def _overlaps(edit: Edit, spans: Mapping[tuple[int, int], set[str]]) -> bool:
    """Whether an edit overlaps with others of its file, given by their spans and texts."""
    return any(
        edit.start < end
        and start < edit.end
        and ((start, end) != (edit.start, edit.end) or texts != {edit.text})
        for (start, end), texts in spans.items()
    )


def edited(text: str, edits: Iterable[Edit], start: int = 0) -> str:
    """A text, which begins at `start` of its file, with edits that do not overlap applied."""
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=_span):
        parts += (text[at : edit.start - start], edit.text)
        at = edit.end - start
    return "".join((*parts, text[at:]))


def fix_all(
    lint: Callable[[Mapping[str, str]], Sequence[Finding]], unsafe: bool
) -> dict[str, tuple[Source, Source]]:
    """Mend everything that has a safe fix (or, with `unsafe`, an unsafe one).

    `lint` gives the findings where some files have other texts, by key (see `Workspace.overlaid`).
    Returns (before, after) by key; nothing is written. Raises NotConverging.
    """
    allowed = ("safe", "unsafe") if unsafe else ("safe",)
    changed: dict[str, tuple[Source, Source]] = {}
    for _ in range(_MAX_ROUNDS):
        findings = lint({key: after.text for key, (_, after) in changed.items()})
        fixes = [finding.fix for finding in findings if finding.fix is not None]
        edits = compatible(fix for fix in fixes if fix.applicability in allowed)
        if not edits:
            return changed
        by_source: dict[Source, list[Edit]] = {}
        for edit in edits:
            by_source.setdefault(edit.source, []).append(edit)
        for source, inside in by_source.items():
            before = changed[source.key][0] if source.key in changed else source
            changed[source.key] = (before, replace(source, text=edited(source.text, inside)))
    raise NotConverging("the fixes do not come to an end; please report this configuration")


def write(path: str, source: Source) -> None:
    """Write a mended file, in one step. Raises OSError; then the file is as it was."""
    replace_file(path, source.text.encode(ENCODING, ERRORS))
