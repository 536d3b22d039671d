"""A sample of fixed files: of many locations with equal findings and fixes, only some are left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence

from nginx_stream_lint.config import Source
from nginx_stream_lint.fixes.apply import apply_edits, compatible
from nginx_stream_lint.rules.finding import Edit, Finding

# Three equal locations show what their fixes lead to; more of them would show the same.
_MOST_OF_A_KIND = 3
_COMMENT = re.compile(r"#[^\n]*")


def sample(
    findings: Sequence[Finding], rule_groups: Sequence[int | None], named: Collection[str] = ()
) -> tuple[dict[str, str], set[str]]:
    """Return texts by key: with all fixes, and without the locations that repeat others.

    Locations are of one kind if the rules cannot tell them apart (`rule_groups`, see
    `analysis.lint.Result`), and their fixes write the same text. After the first
    `_MOST_OF_A_KIND`, more are left out. Empty if none can be. The second value has the keys of
    files of which only comments are left. Those that the user `named` are not among them: on its
    own, such a file is refused.
    """
    left_out, kept = _divided(findings, rule_groups)
    if not left_out:
        return {}, set()
    edits: dict[Source, list[Edit]] = {}
    for edit in (*compatible(one.fix for one in kept if one.fix is not None), *left_out):
        edits.setdefault(edit.source, []).append(edit)
    texts = {source.key: apply_edits(source.text, own) for source, own in edits.items()}
    without_rest = {key for key, text in texts.items() if not _COMMENT.sub("", text).strip()}
    return texts, without_rest.difference(named)


def _divided(
    findings: Sequence[Finding], rule_groups: Sequence[int | None]
) -> tuple[list[Edit], list[Finding]]:
    """Edits that remove locations, and the findings in the others."""
    left_out: list[Edit] = []
    kept: list[Finding] = []
    numbers = {id(one): number for one, number in zip(findings, rule_groups, strict=True)}
    kinds: Counter[Hashable] = Counter()
    for here, is_outer in _by_location(findings):
        kind = tuple((numbers[id(one)] or id(one), _written(one)) for one in here)
        kinds[kind] += 1
        if kinds[kind] <= _MOST_OF_A_KIND or is_outer or not all(map(_is_inside, here)):
            kept += here
        else:
            location = here[0].location
            place = location.place
            left_out.append(Edit(place.source, place.start, location.block_end, ""))
    return left_out, kept


def _by_location(findings: Iterable[Finding]) -> Iterator[tuple[list[Finding], bool]]:
    """The findings of each location, and whether another location may be inside it."""
    found: dict[tuple[str, int], list[Finding]] = {}
    for finding in findings:
        place = finding.location.place
        found.setdefault((place.source.key, place.start), []).append(finding)
    ordered = sorted(found)
    for at, after in zip(ordered, [*ordered[1:], ("", 0)], strict=True):
        here = found[at]
        yield here, after[0] == at[0] and after[1] < here[0].location.block_end


def _written(finding: Finding) -> Hashable:
    """What the fix of a finding writes, and the length of what it replaces."""
    edits = () if finding.fix is None else finding.fix.edits
    return tuple((one.end - one.start, one.text) for one in edits)


def _is_inside(finding: Finding) -> bool:
    """Whether a finding's location is a block that contains all edits of its fix."""
    location, fix = finding.location, finding.fix
    place = location.place
    return location.is_block and all(
        edit.source is place.source and place.start < edit.start and edit.end < location.block_end
        for edit in (fix.edits if fix is not None else ())
    )
