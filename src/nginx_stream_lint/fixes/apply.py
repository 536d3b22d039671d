"""Fixes put into the text: whole or not at all, in rounds until nothing is left to mend."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from operator import attrgetter
from typing import NamedTuple, Protocol

from nginx_stream_lint.config import File, Problem, Source
from nginx_stream_lint.rules.finding import Edit, Finding, Fix
from nginx_stream_lint.util.lazily import regex
from nginx_stream_lint.util.problems import REPORT_IT

# Each round mends all that do not overlap, and at least one. This many means that fixes undo one
# another.
_MAX_ROUNDS = 50


_span = attrgetter("start", "end")
_NUMBER = regex("[0-9]+")


class NotConverging(Exception):
    """Fixes that undo one another: a bug in the rules. `files` still change: names by key."""

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__("the fixes do not come to an end")
        self.files = files


class Linted(Protocol):
    """What a check of some texts found."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def problems(self) -> Sequence[Problem]: ...


class Fixed(NamedTuple):
    """Sources (before, after) by key; and why the fixes of other files are left out.

    `refused` has a sentence with its place for each of them.
    """

    changed: dict[str, tuple[Source, Source]]
    refused: list[str]


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


# By the identity of a source: where the regions that nginx sees of it begin, in order, and how far
# the longest of those that begin there or before reaches.
Seen = Mapping[int, tuple[list[int], list[int]]]


def seen(files: Iterable[File]) -> Seen:
    """What nginx sees of the sources of some files.

    In YAML, Markdown and templates that is only a part; a source may have thousands of them.
    """
    regions: dict[int, list[tuple[int, int]]] = {}
    for file in files:
        regions.setdefault(id(file.source), []).append(file.reading.region)
    return {
        source: ([start for start, _ in own], list(accumulate((end for _, end in own), max)))
        for source, own in ((source, sorted(own)) for source, own in regions.items())
    }


def confined(fix: Fix, regions: Seen) -> Fix:
    """A fix whose edits stay within the text that nginx sees; by hand where one would not."""
    for edit in fix.edits:
        if id(edit.source) in regions:
            starts, ends = regions[id(edit.source)]
            at = bisect_right(starts, edit.start) - 1
            if at < 0 or edit.end > ends[at]:
                return replace(fix, applicability="manual", edits=())
    return fix


def fix_soundly(lint: Callable[[Mapping[str, str]], Linted], unsafe: bool) -> Fixed:
    """Fix all files that this breaks nothing in; see `fix_all`.

    A file whose fixes do not end, or after whose fixes something cannot be read that could be
    before, keeps its text.
    """
    refused: dict[str, str] = {}
    rounds: list[Linted] = []

    def findings(texts: Mapping[str, str]) -> Sequence[Finding]:
        rounds.append(lint(texts))
        return rounds[-1].findings

    while True:
        try:
            changed = fix_all(findings, unsafe, refused.keys())
        except NotConverging as error:
            for key, name in error.files.items():
                refused[key] = f"{name}:1:1: is not fixed: {error}; {REPORT_IT}"
            continue
        before, after = rounds[0].problems, rounds[-1].problems
        new = _new_problems(before, after)
        if not new or not changed:
            return Fixed(changed, list(refused.values()))
        blamed = {problem.file for problem in new}
        broken = {key for key, (before_it, _) in changed.items() if before_it.name in blamed}
        for key in broken or changed:
            name = changed[key][0].name
            refused[key] = f"{name}:1:1: is not fixed: after it, {new[0]}; {REPORT_IT}"


def _new_problems(before: Sequence[Problem], after: Sequence[Problem]) -> list[Problem]:
    """The problems that were not there before, wherever in their file they were."""
    known = Counter(map(_without_lines, before))
    new: list[Problem] = []
    for problem in after:
        key = _without_lines(problem)
        if known[key]:
            known[key] -= 1
        else:
            new.append(problem)
    return new


def _without_lines(problem: Problem) -> tuple[str, str]:
    return problem.file, _NUMBER.sub("", problem.message)


def fix_all(
    lint: Callable[[Mapping[str, str]], Sequence[Finding]],
    unsafe: bool,
    without: Collection[str] = (),
) -> dict[str, tuple[Source, Source]]:
    """Mend everything that has a safe fix (or, with `unsafe`, an unsafe one).

    `lint` gives the findings where some files have other texts, by key (see `Workspace.overlaid`).
    Files of the keys `without` are left alone. Returns (before, after) by key; nothing is written.
    Raises NotConverging.
    """
    allowed = ("safe", "unsafe") if unsafe else ("safe",)
    by_source: dict[Source, list[Edit]] = {}
    changed: dict[str, tuple[Source, Source]] = {}
    for _ in range(_MAX_ROUNDS):
        findings = lint({key: after.text for key, (_, after) in changed.items()})
        fixes = [finding.fix for finding in findings if finding.fix is not None]
        fixes = [fix for fix in fixes if fix.applicability in allowed]
        if without:
            fixes = [fix for fix in fixes if _keys(fix).isdisjoint(without)]
        edits = compatible(fixes)
        if not edits:
            return changed
        by_source = {}
        for edit in edits:
            by_source.setdefault(edit.source, []).append(edit)
        for source, inside in by_source.items():
            before = changed[source.key][0] if source.key in changed else source
            changed[source.key] = (before, replace(source, text=edited(source.text, inside)))
    raise NotConverging({source.key: source.name for source in by_source})


def _keys(fix: Fix) -> set[str]:
    """The keys of the files that a fix edits."""
    return {edit.source.key for edit in fix.edits}
