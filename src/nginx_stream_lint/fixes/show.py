"""Fixes as people read them: the location with everything mended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from nginx_stream_lint.config import Source
from nginx_stream_lint.fixes.apply import compatible, edited
from nginx_stream_lint.rules.finding import Edit, Finding, LocationInfo

_CONTEXT = 3  # unchanged lines shown around a change


class ShownFix(NamedTuple):
    """A location with fixes in it, the options that write them, and what else those change."""

    options: str
    text: str
    cautions: tuple[str, ...]


def shown_fixes(location: LocationInfo, findings: Sequence[Finding]) -> list[ShownFix]:
    """What --fix writes for the findings of a location, and what it writes with unsafe fixes."""
    fixable = [one for one in findings if one.fix is not None and one.fix.edits]
    safe = [one for one in fixable if one.fix is not None and one.fix.applicability == "safe"]
    unsafe = [one.fix.title for one in fixable if one.fix is not None and one not in safe]
    found: list[ShownFix] = []
    if safe:
        found.append(ShownFix("--fix", mended(location, safe), ()))
    if unsafe:
        titles = tuple(dict.fromkeys(unsafe))
        found.append(ShownFix("--fix --unsafe-fixes", mended(location, fixable), titles))
    return found


def mended(location: LocationInfo, findings: Iterable[Finding]) -> str:
    """A location with the fixes of its findings in it, changed lines marked; empty without any."""
    edits = compatible([one.fix for one in findings if one.fix is not None])
    if not edits:
        return ""
    place, end = location.place, location.block_end
    source = place.source
    start = source.text.rfind("\n", 0, place.start) + 1
    elsewhere = _elsewhere(edits, source, start, end)
    if len(elsewhere) == len(edits):
        start, end = _around(source, edits) or (start, end)
        elsewhere = _elsewhere(edits, source, start, end)
    inside = [
        edit for edit in edits if edit.source is source and start <= edit.start and edit.end <= end
    ]
    before = source.text[start:end]
    lines = _compared(before, edited(before, inside, start))
    lines += [
        f"and in {edit.source.name}:{edit.source.position(edit.start)[0]}: {edit.text.strip()}"
        for edit in elsewhere
    ]
    return "\n".join(lines).rstrip("\n")


def _elsewhere(edits: list[Edit], source: Source, start: int, end: int) -> list[Edit]:
    """The edits that do not begin in a stretch of a file."""
    return [edit for edit in edits if edit.source is not source or not start <= edit.start <= end]


def _around(source: Source, edits: list[Edit]) -> tuple[int, int] | None:
    """The lines of a file that edits change; none where they are in other files as well.

    Annotations stand elsewhere than the location that they are about.
    """
    if any(edit.source is not source for edit in edits):
        return None
    text = source.text
    start = text.rfind("\n", 0, min(edit.start for edit in edits)) + 1
    start = text.rfind("\n", 0, max(start - 1, 0)) + 1
    end = text.find("\n", max(edit.end for edit in edits))
    return start, len(text) if end < 0 else end


def _compared(before: str, after: str) -> list[str]:
    """The lines of a text as it should be; those that come are marked +, those that go -."""
    lines, behind = _dedented(before.replace("\r\n", "\n"), after.replace("\r\n", "\n"))
    # Lines are compared for being equal and nothing else: equal ones get equal numbers.
    numbers = {line: at for at, line in enumerate(lines)}
    shown = _shown(tuple(map(numbers.__getitem__, lines)), behind)
    lines.append("    ...")
    return [mark + lines[at] for mark, at in shown]


def _dedented(before: str, after: str) -> tuple[list[str], int]:
    """The lines of two texts, one after the other, and how many are the first's.

    Each text goes without the indentation that its lines share.
    """
    margin = before[: len(before) - len(before.lstrip(" \t"))]
    both = f"\n{before}\n{after}"
    text = both.replace(f"\n{margin}", "\n")[1:]
    lines, behind = text.split("\n"), before.count("\n") + 1
    if (
        # The usual block: the first line has the least indentation, no line is blank, and nothing
        # but LF ends one.
        both.count(f"\n{margin}") == len(lines)
        and all(map(str.strip, lines))
        and not lines[behind][0].isspace()
        and text.splitlines() == lines
    ):
        return lines, behind
    import textwrap

    old, new = textwrap.dedent(before).splitlines(), textwrap.dedent(after).splitlines()
    return old + new, len(old)


@lru_cache(1024)
def _shown(lines: tuple[int, ...], behind: int) -> list[tuple[str, int]]:
    """The lines to show of a text before and after, where numbers stand for them.

    `lines` are those before and, from the index `behind` on, those after. Each line to show comes
    with its mark and its index, which is one more than there are for the sign that some are left
    out.
    """
    import difflib

    old, new = lines[:behind], lines[behind:]
    merged: list[tuple[str, int]] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag == "equal":
            merged += [("  ", behind + at) for at in range(k, m)]
        else:
            merged += [("- ", at) for at in range(i, j)]
            merged += [("+ ", behind + at) for at in range(k, m)]
    near = {0, len(merged) - 1}
    for at, (mark, _) in enumerate(merged):
        if mark != "  ":
            near |= set(range(at - _CONTEXT, at + _CONTEXT + 1))
    shown: list[tuple[str, int]] = []
    for at, line in enumerate(merged):
        if at in near:
            shown.append(line)
        elif at - 1 in near:
            shown.append(("  ", len(lines)))
    return shown
