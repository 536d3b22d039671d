"""Show fixes: a location with its fixes applied."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from msgspec import Struct

from nginx_stream_lint.config import Source
from nginx_stream_lint.fixes.apply import apply_edits, compatible, includes_edit
from nginx_stream_lint.rules.filters import listed
from nginx_stream_lint.rules.finding import Edit, Finding, LocationInfo
from nginx_stream_lint.util.remembering import latest_remembered

_CONTEXT = 3  # unchanged lines shown around a change
# In a longer location, or on a line with so much before it, only the text near its first words and
# its changes is processed. Otherwise a thousand locations on one line, or nested in one another,
# would each process all of it.
_LARGE = 4_000
_BEFORE = 500
_NEAR = 100  # characters of a long line shown around a change
_LEFT_OUT = "    ..."
_CUT = "..."

_span = attrgetter("start", "end")


class ShownFix(Struct, frozen=True):
    """A location with its fixes, and the options that apply them.

    `cautions` are the other effects of unsafe fixes, or their titles, each once. `safe_parts` are
    their statements that are safe without the others, and that `--fix` does not apply.
    """

    options: str
    text: str
    cautions: tuple[str, ...] = ()
    safe_parts: tuple[str, ...] = ()

    @property
    def remarks(self) -> list[str]:
        """What to say about it in a text, line by line."""
        lines = [f"unsafe: {caution}" for caution in self.cautions]
        if self.safe_parts:
            lines.append(f"safe without the rest: {listed(self.safe_parts)}")
        return lines


def shown_fixes(location: LocationInfo, findings: Sequence[Finding]) -> list[ShownFix]:
    """Return a location's safe fixes as --fix writes them, and its unsafe ones."""
    fixable = [one for one in findings if one.fix is not None and one.fix.edits]
    safe = [one for one in fixable if one.fix is not None and one.fix.applicability == "safe"]
    others = [one for one in fixable if one not in safe]
    unsafe = [one.fix for one in others if one.fix is not None]
    # If the order matters, an unsafe fix contains the safe ones.
    has = [edit for fix in unsafe for edit in fix.edits]
    fixable = [one for one in fixable if one in others or not _is_within(one, has)]
    found: list[ShownFix] = []
    if safe:
        found.append(ShownFix("--fix", location_with_fixes(location, safe)))
    if unsafe:
        cautions = dict.fromkeys(said for fix in unsafe for said in fix.cautions or (fix.title,))
        parts = dict.fromkeys(part for fix in unsafe for part in fix.safe_parts)
        applied = {part for fix in unsafe for part in fix.applied_parts}
        found.append(
            ShownFix(
                "--fix --unsafe-fixes",
                location_with_fixes(location, fixable),
                tuple(cautions),
                tuple(part for part in parts if part not in applied),
            )
        )
    return found


def _is_within(finding: Finding, edits: Sequence[Edit]) -> bool:
    """Whether some edits include the whole fix of a finding."""
    own = () if finding.fix is None else finding.fix.edits
    return all(any(includes_edit(edit, one) for edit in edits) for one in own)


def location_with_fixes(location: LocationInfo, findings: Iterable[Finding]) -> str:
    """Render a location with its findings' fixes, changed lines marked; empty without any."""
    edits = compatible([one.fix for one in findings if one.fix is not None])
    if not edits:
        return ""
    place, end = location.place, location.block_end
    source = place.source
    start = source.line_span(place.line)[0]
    spans = [(place.start, place.end)]
    elsewhere = _elsewhere(edits, source, start, end)
    if len(elsewhere) == len(edits):
        around = _around(source, edits)
        if around is not None:
            (start, end), spans = around, []
        elsewhere = _elsewhere(edits, source, start, end)
    inside = [
        edit for edit in edits if edit.source is source and start <= edit.start and edit.end <= end
    ]
    if not inside:
        lines = []  # the fix leaves the location as it is
    elif end - start > _LARGE or (spans and place.start - start > _BEFORE):
        lines = _parts(source, spans + list(map(_span, inside)), inside)
    else:
        before = source.text[start:end]
        lines = _compared(before, apply_edits(before, inside, start))
    also = "and in" if lines else "in"
    lines += [
        f"{also} {edit.source.name}:{edit.source.position(edit.start)[0]}: {_changed_line(edit)}"
        for edit in elsewhere
    ]
    return "\n".join(lines).rstrip("\n")


def _changed_line(edit: Edit) -> str:
    """The line that an edit changes, as it is afterwards; of an edit of several lines its text."""
    text = edit.source.text
    if "\n" in edit.text or "\n" in text[edit.start : edit.end]:
        return edit.text.strip()
    start, end = edit.source.line_span(edit.source.position(edit.start)[0])
    return f"{text[start : edit.start]}{edit.text}{text[edit.end : end]}".strip()


def _elsewhere(edits: list[Edit], source: Source, start: int, end: int) -> list[Edit]:
    """The edits that are not completely in a span of a file."""
    return [
        edit
        for edit in edits
        if edit.source is not source or not (start <= edit.start and edit.end <= end)
    ]


def _around(source: Source, edits: list[Edit]) -> tuple[int, int] | None:
    """The lines of a file that edits change; None if other files are edited as well.

    Annotations are outside of the location that they affect.
    """
    if any(edit.source is not source for edit in edits):
        return None
    first = source.position(min(edit.start for edit in edits))[0]
    last = source.position(max(edit.end for edit in edits))[0]
    return source.line_span(max(1, first - 1))[0], source.line_span(last)[1]


def _parts(source: Source, spans: list[tuple[int, int]], edits: list[Edit]) -> list[str]:
    """The fixed text near some spans of a file, in parts."""
    near: list[tuple[int, int]] = []
    for begin, stop in sorted(_near(source, *span) for span in spans):
        if near and begin <= near[-1][1]:
            near[-1] = near[-1][0], max(stop, near[-1][1])
        else:
            near.append((begin, stop))
    lines: list[str] = []
    text = source.text
    for start, end in near:
        inside = [edit for edit in edits if start <= edit.start and edit.end <= end]
        head = "" if text[start - 1 : start] in ("", "\n") else _CUT
        tail = "" if text[end : end + 1] in ("", "\n", "\r") else _CUT
        before = text[start:end]
        after = apply_edits(before, inside, start)
        lines += [_LEFT_OUT] if lines else []
        lines += _compared(f"{head}{before}{tail}", f"{head}{after}{tail}")
    return lines


def _near(source: Source, start: int, end: int) -> tuple[int, int]:
    """A span of a file with a few lines around it; of long lines only the nearest characters."""
    first, last = source.position(start)[0], source.position(end)[0]
    begin = source.line_span(max(1, first - _CONTEXT))[0]
    stop = source.line_span(min(last + _CONTEXT, source.lines))[1]
    return (
        begin if start - begin <= _BEFORE else start - _NEAR,
        stop if stop - end <= _BEFORE else end + _NEAR,
    )


def _compared(before: str, after: str) -> list[str]:
    """The lines of the new text; added lines are marked +, removed ones -."""
    lines, behind = _dedented(before.replace("\r\n", "\n"), after.replace("\r\n", "\n"))
    # Lines are only compared for equality, so equal ones get equal numbers.
    numbers = {line: at for at, line in enumerate(lines)}
    shown = _shown(tuple(map(numbers.__getitem__, lines)), behind)
    lines.append(_LEFT_OUT)
    return [mark + lines[at] for mark, at in shown]


def _dedented(before: str, after: str) -> tuple[list[str], int]:
    """The lines of two texts, one after the other, and the number of the first's.

    The common indentation of both texts is removed.
    """
    margin = before[: len(before) - len(before.lstrip(" \t"))]
    both = f"\n{before}\n{after}"
    text = both.replace(f"\n{margin}", "\n")[1:]
    lines, behind = text.split("\n"), before.count("\n") + 1
    if (
        # The usual block: the first line has the least indentation, no line is blank, and only LF
        # ends a line.
        both.count(f"\n{margin}") == len(lines)
        and all(map(str.strip, lines))
        and not lines[behind][0].isspace()
        and text.splitlines() == lines
    ):
        return lines, behind
    import textwrap

    old, new = before.splitlines(), after.splitlines()
    both = "\n".join((*old, *new))
    return (textwrap.dedent(both).split("\n") if old or new else []), len(old)


@latest_remembered(1024)
def _shown(lines: tuple[int, ...], behind: int) -> list[tuple[str, int]]:
    """The lines to show of a text before and after, represented by numbers.

    `lines` are those before and, from the index `behind` on, those after. Each line to show comes
    with its mark and its index; an index past the end is the sign for omitted lines.
    """
    merged: list[tuple[str, int]] = []
    for tag, i, j, k, m in _changes(lines[:behind], lines[behind:]):
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


def _changes(
    old: tuple[int, ...], new: tuple[int, ...]
) -> Sequence[tuple[str, int, int, int, int]]:
    """The stretches of two texts, as `difflib.SequenceMatcher.get_opcodes` returns them."""
    both = min(len(old), len(new))
    head = next((at for at in range(both) if old[at] != new[at]), both)
    left = both - head
    tail = next((at for at in range(left) if old[-1 - at] != new[-1 - at]), left)
    i, k = len(old) - tail, len(new) - tail
    if i > head and k > head:
        import difflib

        return difflib.SequenceMatcher(None, old, new, False).get_opcodes()
    # The usual fix only adds lines at one place.
    return [
        ("equal", 0, head, 0, head),
        ("insert" if k > head else "delete", head, i, head, k),
        ("equal", i, len(old), k, len(new)),
    ]
