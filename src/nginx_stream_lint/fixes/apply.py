"""Apply fixes to texts, completely or not at all, in rounds until none is left."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import File, Problem, Source
from nginx_stream_lint.fixes.order import rank_of_line
from nginx_stream_lint.rules.finding import Applicability, Edit, Finding, Fix
from nginx_stream_lint.util.problems import REPORT_IT
from nginx_stream_lint.util.remembering import latest_remembered

# Each round applies all fixes that do not overlap, and at least one. More rounds mean that fixes
# undo one another.
_MAX_ROUNDS = 50


_span = attrgetter("start", "end")
_NUMBER = re.compile("[0-9]+")


class NotConverging(Exception):
    """Fixes that undo one another: a bug in the rules.

    `files` are those that still change: their names by key.
    """

    def __init__(self, files: Mapping[str, str]) -> None:
        super().__init__("the fixes undo one another")
        self.files = files


class CheckedFiles(Protocol):
    """Result of checking some texts."""

    @property
    def findings(self) -> Sequence[Finding]: ...
    @property
    def problems(self) -> Sequence[Problem]: ...


class FixedFiles(Struct, frozen=True):
    """Sources (before, after) by key, and the reasons why files were not fixed.

    `refused` has a sentence with its place for each file that was not fixed. `edits` are all edits
    from before to after, by the index of the first round's finding that they belong to;
    `safe_edits` are those of safe fixes.
    """

    changed: dict[str, tuple[Source, Source]]
    refused: list[str]
    edits: dict[int, tuple[Edit, ...]]
    safe_edits: dict[int, tuple[Edit, ...]]


def compatible(fixes: Iterable[Fix]) -> list[Edit]:
    """The edits of as many fixes as are compatible, in order; an overlapping fix is skipped.

    Identical edits count once, and insertions at one place follow each other.
    """
    fixes = list(fixes)
    edits = [edit for fix in fixes for edit in fix.edits]
    if len(fixes) == 1 or all(edit.start == edit.end for edit in edits):
        # Insertions never overlap.
        return edits if len(edits) < 2 else list(dict.fromkeys(edits))
    chosen: dict[Edit, None] = {}
    # Chosen edits by regions of their file, so that an edit is compared with few others.
    near: dict[tuple[Source, int], dict[tuple[int, int], set[str]]] = {}
    for fix in fixes:
        if any(_overlaps(edit, near.get(at, {})) for edit in fix.edits for at in _blocks(edit)):
            continue
        for edit in fix.edits:
            if edit not in chosen:
                chosen[edit] = None
                for at in _blocks(edit):
                    texts = near.setdefault(at, {}).setdefault((edit.start, edit.end), set())
                    texts.add(edit.text)
    return list(chosen)


def _blocks(edit: Edit) -> list[tuple[Source, int]]:
    """The blocks of 256 characters of a file that an edit touches."""
    return [(edit.source, at) for at in range(edit.start >> 8, (edit.end >> 8) + 1)]


def _overlaps(edit: Edit, spans: Mapping[tuple[int, int], set[str]]) -> bool:
    """Whether an edit overlaps with other edits of its file, given by spans and texts."""
    return any(
        edit.start < end
        and start < edit.end
        and ((start, end) != (edit.start, edit.end) or texts != {edit.text})
        for (start, end), texts in spans.items()
    )


def apply_edits(text: str, edits: Iterable[Edit], start: int = 0) -> str:
    """Apply edits that do not overlap to a text, which begins at `start` of its file.

    Insertions at one place keep their order.
    """
    parts: list[str] = []
    at = 0
    for edit in sorted(edits, key=_span):
        parts += (text[at : edit.start - start], edit.text)
        at = edit.end - start
    return "".join((*parts, text[at:]))


# By the identity of a source: the starts of the regions that nginx sees, in order, and the largest
# end of those up to each start.
VisibleRegions = Mapping[int, tuple[list[int], list[int]]]


def visible_regions(files: Iterable[File]) -> VisibleRegions:
    """Return the regions of some sources that nginx sees.

    In YAML, Markdown and templates that is only a part; a source may have thousands of them.
    """
    regions: dict[int, list[tuple[int, int]]] = {}
    for file in files:
        regions.setdefault(id(file.source), []).append(file.reading.region)
    return {
        source: ([start for start, _ in own], list(accumulate((end for _, end in own), max)))
        for source, own in ((source, sorted(own)) for source, own in regions.items())
    }


def confine(fix: Fix, regions: VisibleRegions) -> Fix:
    """Return a fix whose edits stay within the text that nginx sees; manual if one would not."""
    for edit in fix.edits:
        if id(edit.source) in regions:
            starts, ends = regions[id(edit.source)]
            at = bisect_right(starts, edit.start) - 1
            if at < 0 or edit.end > ends[at]:
                return fix.as_manual()
    return fix


def with_complete_fixes(
    findings: Sequence[Finding], lint: Callable[[Mapping[str, str]], CheckedFiles]
) -> list[Finding]:
    """Return the findings with fixes whose combined edits are what `--fix` writes.

    A fix gets the edits that become necessary once it is applied, such as those for a finding that
    it uncovers. `lint` is as in `fix_checked`, and returns these findings for no texts. A fix that
    would be refused becomes `manual`.
    """
    kinds = applicable(findings)
    if not kinds:
        return list(findings)
    done = fix_checked(lint, unsafe="unsafe" in kinds)
    safe: dict[int, list[Edit]] = {}  # by their start
    for edit in dict.fromkeys(edit for own in done.safe_edits.values() for edit in own):
        safe.setdefault(edit.start, []).append(edit)

    @cache
    def written(is_safe: bool) -> Mapping[tuple[int, int], Sequence[tuple[Edit, ...]]]:
        """The edits of all fixes of a kind, by the source and start of each."""
        found: dict[tuple[int, int], list[tuple[Edit, ...]]] = {}
        for own in (done.safe_edits if is_safe else done.edits).values():
            for edit in own:
                found.setdefault((id(edit.source), edit.start), []).append(own)
        return found

    def complete(number: int, finding: Finding) -> Finding:
        fix = finding.fix
        if fix is None or not fix.edits:
            return finding
        is_safe = fix.applicability == "safe"
        edits = (done.safe_edits if is_safe else done.edits).get(number, ())
        if not edits:
            # Two nginx of a deployment may have findings with the same fix, which counts for the
            # first.
            edits = _including(fix, written(is_safe))
        if not edits:
            return finding.with_fix(fix.as_manual())
        applied = () if is_safe else _applied_parts(edits, safe)
        return finding.with_fix(
            replace(fix, edits=edits, snippet=snippet(edits), applied_parts=applied)
        )

    return [complete(number, finding) for number, finding in enumerate(findings)]


def _including(
    fix: Fix, written: Mapping[tuple[int, int], Sequence[tuple[Edit, ...]]]
) -> tuple[Edit, ...]:
    """The edits of another fix that include those of a fix; none if there is none."""
    first = fix.edits[0]
    for others in written.get((id(first.source), first.start), ()):
        if all(any(includes_edit(other, edit) for other in others) for edit in fix.edits):
            return others
    return ()


def applicable(findings: Iterable[Finding]) -> set[Applicability]:
    """Return the kinds of the fixes that have edits: safe, unsafe, both, or none."""
    return {one.fix.applicability for one in findings if one.fix is not None and one.fix.edits}


def _applied_parts(edits: Sequence[Edit], safe: Mapping[int, Sequence[Edit]]) -> tuple[str, ...]:
    """The statements of an unsafe fix that safe ones also write.

    `safe` are their edits, by their start.
    """
    within = [one for edit in edits for one in safe.get(edit.start, ()) if includes_edit(edit, one)]
    return tuple(line.rstrip(";") for line in snippet(within).splitlines())


def includes_edit(edit: Edit, other: Edit) -> bool:
    """Whether an edit includes another edit of the same place."""
    if edit.source is not other.source or (edit.start, edit.end) != (other.start, other.end):
        return False
    return set(other.text.splitlines()) <= set(edit.text.splitlines())


def without_directives(fix: Fix, names: Collection[str]) -> Fix:
    """Return a fix without its edits of some directives; manual if none is left."""
    if not fix.edits:
        return fix
    kept = tuple(edit for edit in fix.edits if _directive_of(edit) not in names)
    return replace(fix, edits=kept) if kept else fix.as_manual()


def _directive_of(edit: Edit) -> str:
    """The name of the directive that an edit writes or changes."""
    if edit.start == edit.end:
        return (edit.text.split(maxsplit=1) or [""])[0]
    text = edit.source.text
    start = max(text.rfind(end, 0, edit.start) for end in ";{}\n") + 1
    return (text[start : edit.end].split(maxsplit=1) or [""])[0]


_ENDS = re.compile(r"[;{}\n]")


def snippet(edits: Iterable[Edit]) -> str:
    """Return the new or changed statements of edits, as text for messages."""
    lines: dict[str, None] = {}
    for edit in edits:
        text = edit.source.text
        before = text[edit.start : edit.end]
        if before and not edit.text.strip():
            lines[f"# remove: {' '.join(before.split()).rstrip(';')}"] = None
            continue
        new = edit.text
        if before:
            start = max(text.rfind(end, 0, edit.start) for end in ";{}\n") + 1
            end = _ENDS.search(text, edit.end)
            stop = len(text) if end is None else end.start() + (end[0] == ";")
            if before.rstrip().endswith((";", "}")):
                stop = edit.end
            new = text[start : edit.start] + new + text[edit.end : stop]
        lines |= dict.fromkeys(_statements(new))
    return "\n".join(line for line in lines if line)


@latest_remembered(1024)
def _statements(text: str) -> tuple[str, ...]:
    """The lines of a new text, without their common indentation."""
    from textwrap import dedent

    return tuple(line.rstrip() for line in dedent(text.strip("\r\n")).splitlines())


def fix_checked(lint: Callable[[Mapping[str, str]], CheckedFiles], unsafe: bool) -> FixedFiles:
    """Fix all files in which that causes no new problems; see `fix_all`.

    A file stays unchanged if its fixes undo one another, or if they make something unreadable.
    """
    refused: dict[str, str] = {}
    rounds: list[CheckedFiles] = []

    def findings(texts: Mapping[str, str]) -> Sequence[Finding]:
        rounds.append(lint(texts))
        return rounds[-1].findings

    while True:
        rounds.clear()
        history = FixHistory()
        try:
            changed = fix_all(findings, unsafe, refused.keys(), history)
        except NotConverging as error:
            for key, name in error.files.items():
                refused[key] = f"{name}:1:1: was not fixed: {error}; {REPORT_IT}"
            continue
        before, after = rounds[0].problems, rounds[-1].problems
        new = new_problems(before, after)
        if not new or not changed:
            edits = history.edits() if unsafe else history.safe_edits
            return FixedFiles(changed, list(refused.values()), edits, history.safe_edits)
        blamed = {problem.file for problem in new}
        broken = {key for key, (before_it, _) in changed.items() if before_it.name in blamed}
        for key in broken or changed:
            name = changed[key][0].name
            refused[key] = f"{name}:1:1: was not fixed: with the fix, {new[0]}; {REPORT_IT}"


def new_problems(before: Sequence[Problem], after: Sequence[Problem]) -> list[Problem]:
    """Return the problems that are new, wherever in their file they are."""
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
    history: FixHistory | None = None,
) -> dict[str, tuple[Source, Source]]:
    """Apply all safe fixes until none is left; then, with `unsafe`, all others.

    `lint` returns the findings if some files have other texts, by key (see `Workspace.overlaid`).
    Files with the keys `without` are not changed. Returns (before, after) by key; nothing is
    written. `history` records the changes, and their findings. Raises NotConverging.
    """
    history = FixHistory() if history is None else history
    allowed = ["safe"]
    files: dict[str, str] = {}
    for _ in range(_MAX_ROUNDS):
        findings = lint({key: after.text for key, (_, after) in history.changed().items()})
        history.begin_round(findings)
        while True:
            fixes = {
                number: finding.fix
                for number, finding in enumerate(findings)
                if finding.fix is not None
                and finding.fix.applicability in allowed
                and (not without or _keys(finding.fix).isdisjoint(without))
            }
            edits = compatible(fixes.values())
            if edits or not unsafe or len(allowed) > 1:
                break
            history.end_safe()
            allowed.append("unsafe")
        if not edits:
            if len(allowed) == 1:
                history.end_safe()
            return history.changed()
        files = history.apply(fixes, edits)
    raise NotConverging(files)


def _keys(fix: Fix) -> set[str]:
    """The keys of the files that a fix edits."""
    return {edit.source.key for edit in fix.edits}


class _ChangedSpan(Struct, frozen=True):
    """A span of a changed text, and its span in the text before all changes.

    `text` is None for unchanged text; otherwise it is the new text. `owners` are the findings that
    it fixes.
    """

    start: int
    end: int
    text: str | None = None
    owners: frozenset[int] = frozenset()

    @property
    def size(self) -> int:
        """Its length in the changed text."""
        return self.end - self.start if self.text is None else len(self.text)

    def part(self, start: int, end: int) -> _ChangedSpan:
        """A part of it; offsets from its start in the changed text."""
        if self.text is None:
            return _ChangedSpan(self.start + start, self.start + end)
        return replace(self, text=self.text[start:end])


class _Owned(Struct, frozen=True):
    """An edit of the current text, with the findings that it fixes."""

    start: int
    end: int
    text: str
    owners: frozenset[int]


class FixHistory:
    """The changes of all rounds, as edits of the texts before the first round.

    Each change belongs to findings of the first round, by their index: its own, or those that
    caused it.
    """

    def __init__(self) -> None:
        self.safe_edits: dict[int, tuple[Edit, ...]] = {}
        self._before: dict[str, Source] = {}
        self._now: dict[str, Source] = {}
        self._spans: dict[str, list[_ChangedSpan]] = {}
        self._joined: dict[int, int] = {}
        self._first: Sequence[Finding] | None = None
        self._numbers: dict[tuple[str, ...], int] = {}
        self._at_location: dict[tuple[str, ...], int] = {}
        self._round: Sequence[Finding] = ()

    def changed(self) -> dict[str, tuple[Source, Source]]:
        """Sources (before, after) by key."""
        return {path: (before, self._now[path]) for path, before in self._before.items()}

    def begin_round(self, findings: Sequence[Finding]) -> None:
        """Add the findings whose fixes come next."""
        self._round = findings
        if self._first is not None:
            return
        self._first = findings
        for number, finding in enumerate(findings):
            if finding.fix is not None and finding.fix.edits:
                self._numbers.setdefault(_about(finding), number)
                self._at_location.setdefault(_location(finding), number)

    def end_safe(self) -> None:
        """Record the edits so far as those of the safe fixes."""
        self.safe_edits = self.edits()
        for number, finding in enumerate(self._first or ()):
            if finding.fix is not None and finding.fix.applicability == "unsafe":
                self._at_location[_location(finding)] = number

    def apply(self, fixes: Mapping[int, Fix], edits: Collection[Edit]) -> dict[str, str]:
        """Apply edits of some fixes, by the index of their finding.

        Returns the names of the changed files, by key.
        """
        owners: dict[Edit, set[int]] = {edit: set() for edit in edits}
        for number, fix in fixes.items():
            owner = self._owner(number)
            left_out = [edit for edit in fix.edits if edit not in owners]
            if not left_out:
                for edit in fix.edits:
                    owners[edit].add(owner)
                continue
            # Another fix overlaps with it. The rest follows in a later round, if still necessary.
            for edit in left_out:
                for other, of in owners.items():
                    if _meet(edit, other):
                        for one in of:
                            self._join(owner, one)
        by_path: dict[str, list[tuple[Edit, frozenset[int]]]] = {}
        for edit, of in owners.items():
            by_path.setdefault(edit.source.key, []).append((edit, frozenset(of)))
        for path, owned in by_path.items():
            source = owned[0][0].source
            if path not in self._before:
                self._before[path] = source
                self._spans[path] = [_ChangedSpan(0, len(source.text))]
            ordered = sorted(owned, key=lambda one: _in_order(one[0]))
            new = [_Owned(one.start, one.end, one.text, of) for one, of in ordered]
            self._spans[path] = self._replaced(self._spans[path], new)
            self._now[path] = replace(
                source, text=apply_edits(source.text, (one for one, _ in ordered))
            )
        return {key: self._now[key].name for key in by_path}

    def _owner(self, number: int) -> int:
        """The finding of the first round that one of this round belongs to."""
        finding = self._round[number]
        if self._round is self._first:
            return number
        known = self._numbers.get(_about(finding))
        if known is None:
            known = self._at_location.get(_location(finding))
        return min(self._numbers.values(), default=0) if known is None else known

    def _join(self, one: int, other: int) -> None:
        """Join two findings whose changes cannot be separated."""
        first, second = self._group(one), self._group(other)
        if first != second:
            self._joined[max(first, second)] = min(first, second)

    def _group(self, owner: int) -> int:
        while owner in self._joined:
            owner = self._joined[owner]
        return owner

    def _replaced(self, spans: list[_ChangedSpan], edits: list[_Owned]) -> list[_ChangedSpan]:
        """Apply sorted edits that do not overlap to spans."""
        found: list[_ChangedSpan] = []
        at = next_edit = 0
        begun = False  # whether the text of the next edit was already inserted
        for span in spans:
            cursor, stop = at, at + span.size
            while next_edit < len(edits) and edits[next_edit].start < stop:
                edit = edits[next_edit]
                if edit.start > cursor:
                    found.append(span.part(cursor - at, edit.start - at))
                    cursor = edit.start
                if not begun:
                    place = span.start + (cursor - at if span.text is None else 0)
                    found.append(_ChangedSpan(place, place, edit.text, edit.owners))
                    begun = True
                end = min(edit.end, stop)
                if end > cursor:
                    if span.text is None:
                        start = span.start - at
                        found.append(_ChangedSpan(start + cursor, start + end, "", edit.owners))
                    else:
                        for one in span.owners:
                            for other in edit.owners:
                                self._join(one, other)
                    cursor = end
                if edit.end > stop:
                    break
                next_edit += 1
                begun = False
            if cursor < stop:
                found.append(span.part(cursor - at, stop - at))
            elif not span.size:
                found.append(span)
            at = stop
        end = spans[-1].end
        found += (_ChangedSpan(end, end, edit.text, edit.owners) for edit in edits[next_edit:])
        return found

    def edits(self) -> dict[int, tuple[Edit, ...]]:
        """The edits so far by finding, of the texts before the first round.

        All of them together, in the order of the findings, produce the current texts.
        """
        already_joined = len(self._joined)
        owned: dict[str, list[tuple[Edit, frozenset[int]]]] = {}
        for path, before in self._before.items():
            owned[path] = list(self._edits_of(path))
            if _are_apart(owned[path]):
                continue
            if apply_edits(before.text, _all_edits(owned[path])) != self._now[path].text:
                # Edits of several findings in one place depend on their order, so they are merged.
                for gap in self._gaps(path):
                    owners = sorted({owner for one in gap for owner in one.owners})
                    for one in owners[1:]:
                        self._join(owners[0], one)
        if len(self._joined) > already_joined:
            owned = {path: list(self._edits_of(path)) for path in self._before}
        members: dict[int, list[int]] = {}
        for number in range(len(self._first or ())):
            members.setdefault(self._group(number), []).append(number)
        found: dict[int, list[Edit]] = {}
        for edits in owned.values():
            for edit, groups in edits:
                for group in groups:
                    for number in members[group]:
                        found.setdefault(number, []).append(edit)
        return {number: tuple(own) for number, own in found.items()}

    def _edits_of(self, path: str) -> Iterable[tuple[Edit, frozenset[int]]]:
        """The edits of one file, each with the groups of findings that it fixes."""
        source = self._before[path]
        for gap in self._gaps(path):
            runs: list[tuple[frozenset[int], list[_ChangedSpan]]] = []
            for span in gap:
                owners = span.owners
                if self._joined:
                    owners = frozenset(map(self._group, owners))
                if not runs or runs[-1][0] != owners:
                    runs.append((owners, []))
                runs[-1][1].append(span)
            for owners, run in runs:
                text = "".join(one.text or "" for one in run)
                yield Edit(source, run[0].start, run[-1].end, text), owners

    def _gaps(self, path: str) -> Iterable[list[_ChangedSpan]]:
        """The changes in one file, adjacent ones joined."""
        gap: list[_ChangedSpan] = []
        for span in self._spans[path]:
            if span.text is not None:
                gap.append(span)
            elif gap:
                yield gap
                gap = []
        if gap:
            yield gap


def _are_apart(owned: Iterable[tuple[Edit, frozenset[int]]]) -> bool:
    """Whether edits, in the order of their places, neither meet nor overlap."""
    return all(one.end < other.start for (one, _), (other, _) in pairwise(owned))


def _all_edits(owned: Iterable[tuple[Edit, frozenset[int]]]) -> list[Edit]:
    """The edits of one file that result from applying the fixes of all findings."""
    by_owner: dict[int, list[Edit]] = {}
    for edit, owners in owned:
        for owner in owners:
            by_owner.setdefault(owner, []).append(edit)
    return compatible(Fix("", "safe", "", tuple(by_owner[owner])) for owner in sorted(by_owner))


def _about(finding: Finding) -> tuple[str, ...]:
    """The identity of a finding without its line."""
    return (finding.rule, *_location(finding), finding.place.source.key)


def _location(finding: Finding) -> tuple[str, ...]:
    location = finding.location
    servers = " ".join(location.servers)
    return location.place.source.key, location.label, servers


def _in_order(edit: Edit) -> tuple[int, int, int]:
    """Sort key of edits: insertions at one place in the order an expert would write."""
    is_new = edit.start == edit.end
    return edit.start, edit.end, rank_of_line(edit.text) if is_new else 0


def _meet(edit: Edit, other: Edit) -> bool:
    return edit.source is other.source and edit.start <= other.end and other.start <= edit.end
