"""Comments that ignore findings, and findings about such comments.

    # nginx-stream-lint: ignore[rule-a,rule-b] reason
    # nginx-stream-lint: ignore-file[rule-a] reason

At the end of a line it is for that line, on lines of its own for the statement below, and if that
opens a block for the whole block.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config import SIGN, Directive, File, Source
from nginx_stream_lint.config.comments import (
    Comment,
    line_comment,
    nginx_comments,
    tags_of,
    template_comments,
)
from nginx_stream_lint.config.templates import yaml_reading
from nginx_stream_lint.config.templates.tags import Tag
from nginx_stream_lint.rules.finding import (
    Edit,
    Finding,
    LocationInfo,
    Place,
    Suppressed,
)
from nginx_stream_lint.rules.remarks import Remark, remarks
from nginx_stream_lint.rules.rule import Rule

# At the start of a comment's text, or after a `#` in it.
_IGNORE = (
    r"(?:\A\s*|(?<!\#)\#+[ \t]*)(?P<words>nginx-stream-lint:[ \t]*"
    r"(?P<what>ignore(?:-file)?)(?![\w-])[ \t]*(?:\[(?P<rules>[^\]\n]*)\])?(?P<reason>[^\n]*))"
)


class IgnoreComment(Struct, eq=False):
    """An ignore comment; it applies to findings in `[start, end)` of its source.

    `rules` is empty if the comment names none: then it applies to all; `names` is the span between
    the brackets. `removal` is the span that an edit may remove; None if none may. `hits` are the
    rules of the findings it ignored.
    """

    place: Place
    rules: tuple[str, ...]
    reason: str
    start: int
    end: int
    names: tuple[int, int] = (0, 0)
    removal: tuple[int, int] | None = None
    hits: set[str] = field(default_factory=set)

    def is_for(self, rule: str, earlier: Collection[str] = ()) -> bool:
        """Whether it ignores a rule's findings; `earlier` are former names of the rule."""
        return not self.rules or rule in self.rules or not set(earlier).isdisjoint(self.rules)


class _Region:
    """The comments for one span of a source, in order."""

    def __init__(self) -> None:
        self.ignores: list[IgnoreComment] = []
        self._first: dict[str, IgnoreComment | None] = {}

    def first(self, rule: str, earlier: Collection[str] = ()) -> IgnoreComment | None:
        """The first comment that ignores a rule's finding here; marks all that do as used."""
        if rule not in self._first:
            hits = [one for one in self.ignores if one.is_for(rule, earlier)]
            for one in hits:
                one.hits |= {rule, *earlier}
            self._first[rule] = hits[0] if hits else None
        return self._first[rule]

    def ignored_parts(self, parts: Collection[str]) -> set[str]:
        """The merged rules that a comment here names."""
        found: set[str] = set()
        for one in self.ignores:
            named = set(parts).intersection(one.rules)
            one.hits |= named
            found |= named
        return found


class _Regions:
    """The regions of one source, by offset; efficient for many comments and findings."""

    def __init__(self, ignores: Iterable[IgnoreComment]) -> None:
        regions: dict[tuple[int, int], _Region] = {}
        changes: dict[int, list[_Region]] = {}
        for one in ignores:
            span = one.start, one.end
            if span not in regions and one.start < one.end:
                regions[span] = _Region()
                for at in span:
                    changes.setdefault(at, []).append(regions[span])
            if span in regions:
                regions[span].ignores.append(one)
        self._offsets = sorted(changes)
        self._from: list[tuple[_Region, ...]] = []
        here: set[_Region] = set()
        for at in self._offsets:
            here ^= set(changes[at])
            self._from.append(tuple(here))

    def at(self, offset: int) -> tuple[_Region, ...]:
        """The regions that contain an offset."""
        index = bisect_right(self._offsets, offset)
        return self._from[index - 1] if index else ()


def without_ignored(
    findings: Iterable[Finding],
    files: Sequence[File],
    checked: Sequence[File],
    rules: Sequence[Rule],
    known: Sequence[str],
) -> tuple[list[Finding], list[Suppressed]]:
    """Return the remaining findings, with those about comments; and the ignored ones.

    `files` are all that were read, `checked` the requested ones, `rules` the applied ones, `known`
    the names of all rules.
    """
    ignores = [
        one
        for group in _by_source(files)
        if SIGN in group[0].source.text
        for one in _ignores(group)
    ]
    if not ignores:
        return list(findings), []
    earlier = {rule.name: set(rule.renamed_from) - set(known) for rule in rules}
    parts = {rule.name: set(rule.renamed_from).intersection(known) for rule in rules}
    by_source: dict[Source, list[IgnoreComment]] = {}
    for ignore in ignores:
        by_source.setdefault(ignore.place.source, []).append(ignore)
    regions = {source: _Regions(inside) for source, inside in by_source.items()}
    order = {ignore: number for number, ignore in enumerate(ignores)}
    left: list[Finding] = []
    ignored: list[Suppressed] = []
    for finding in findings:
        around = {
            region
            for place in (finding.place, finding.location.place)
            if place.source in regions
            for region in regions[place.source].at(place.start)
        }
        rule = finding.rule
        old = earlier.get(rule, ())
        hits = [hit for region in around if (hit := region.first(rule, old)) is not None]
        if hits:
            first = min(hits, key=order.__getitem__)
            ignored.append(Suppressed(finding, "inSource", first.reason))
            continue
        own = parts.get(rule)
        named = {name for region in around for name in region.ignored_parts(own)} if own else set()
        left.append(_sparing(finding, named, rules) if named else finding)
    asked = {id(file.source) for file in checked}
    asked_for = [one for one in ignores if id(one.place.source) in asked]
    return left + list(_comment_findings(asked_for, rules, frozenset(known))), ignored


def _sparing(finding: Finding, parts: Collection[str], rules: Sequence[Rule]) -> Finding:
    """A finding whose fix does not change what only an ignored merged rule would change."""
    names = {
        step.directive
        for rule in rules
        if rule.name in parts and rule.fix is not None
        for step in rule.fix.steps
    }
    return replace(finding, spared=finding.spared | names)


def _by_source(files: Sequence[File]) -> list[list[File]]:
    groups: dict[int, list[File]] = {}
    for file in files:
        groups.setdefault(id(file.source), []).append(file)
    return list(groups.values())


def _comments(files: Sequence[File], tags: Sequence[Tag]) -> list[Comment]:
    """The comments of one source, in order, of nginx, YAML and template languages."""
    source = files[0].source
    found: dict[int, Comment] = {}
    if source.is_yaml:
        from nginx_stream_lint.util.yamlfile import comments as yaml_comments

        for start, end in yaml_comments(yaml_reading(source).text):
            found[start] = line_comment(source.text, start, end, False)
    for file in files:
        found.update((one.start, one) for one in nginx_comments(file))
    found.update((one.start, one) for one in template_comments(files, tags, around=True))
    return [found[start] for start in sorted(found)]


def _ignores(files: list[File]) -> Iterator[IgnoreComment]:
    """The ignore comments of one source; in YAML it may have several files."""
    source = files[0].source
    text = source.text
    tags = tags_of(files)
    below = _Below(files, tags)
    # An edit must not leave a file empty, because an empty file cannot be checked.
    has_statements = any(file.directives for file in files)
    # In a template's comment within one of nginx, the template engine reads it: the inner counts.
    inner: dict[int, tuple[Comment, re.Match[str]]] = {}
    for comment in _comments(files, tags):
        match = re.search(_IGNORE, text[comment.text_start : comment.text_end])
        if match is not None:
            inner[comment.text_start + match.start("words")] = comment, match
    for comment, match in inner.values():
        rules = tuple(filter(None, map(str.strip, (match["rules"] or "").split(","))))
        at = comment.text_start
        names = at + match.start("rules"), at + match.end("rules")
        is_first = not match.string[: match.start()].strip()
        start = comment.start if is_first else at + match.start()
        below_it = match.string[match.end() :]
        end = at + match.end() if below_it else comment.end
        # Other words may stand before it in a comment of nginx, but not in one of a template.
        is_alone = (is_first or text[comment.start] == "#") and not below_it.strip()
        is_removable = comment.is_literal and has_statements and is_alone
        if match["what"] == "ignore-file":
            region = (0, len(text) + 1)
        else:
            region = (source.line_start(start), start)
            if source.blanks_before(start)[1]:  # on a line of its own
                region = _covered(files, below, start, comment.end)
        yield IgnoreComment(
            Place(source, start, start + len(text[start:end].rstrip())),
            rules,
            match["reason"].strip(),
            *region,
            names,
            (start, comment.end) if is_removable else None,
        )


def _covered(files: list[File], below: _Below, start: int, end: int) -> tuple[int, int]:
    """The span that a comment on its own line applies to.

    That is the statement right below; at the head of a block it is the whole block, unless another
    block begins below.
    """
    statement = below.of(end)
    for file in files:
        block = _block_around(file, start)
        if block is None or (block.block and block.block[0].start < start):
            continue
        inside = block.block or []
        if inside and inside[0].start == statement[0] and inside[0].block is not None:
            continue
        return block.start, block.whole_end
    return statement


def _block_around(file: File, offset: int) -> Directive | None:
    """The innermost block of a file that contains an offset."""
    if file.reading.author is not None:
        return None
    found: Directive | None = None
    block: list[Directive] | None = file.directives
    while block:
        at = bisect_right(block, offset, key=lambda one: one.start)
        around = block[at - 1] if at else None
        if around is None or around.block is None:
            break
        if not around.end <= offset < around.block_end:
            break
        found, block = around, around.block
    return found


class _Below:
    """Finds the statements below comments; each line is read once."""

    def __init__(self, files: list[File], tags: Iterable[Tag]) -> None:
        self._files = files
        self._source = files[0].source
        self._text = self._source.text
        self._tags = {tag.start: tag.end for tag in tags}
        self._ends: dict[int, int] = {}  # the end of a group of comment lines
        self._found: dict[int, tuple[int, int] | None] = {}

    def of(self, offset: int) -> tuple[int, int]:
        """The statement right below a comment, with its block; empty if there is none."""
        line = self._behind(self._text.find("\n", offset) + 1)
        if line not in self._found:
            self._found[line] = self._statement(line) if line else None
        return self._found[line] or (offset, offset)

    def _behind(self, line: int) -> int:
        """The first line, from one on, with more than comments and tags; 0 if there is none."""
        passed: list[int] = []
        while line:
            end = self._ends[line] if line in self._ends else self._end_of_tags(line)
            if end == line:
                break
            passed.append(line)
            line = end
        self._ends.update(dict.fromkeys(passed, line))
        return line

    def _end_of_tags(self, line: int) -> int:
        """The line below one that has only tags and a comment; otherwise the line itself."""
        at, has_tags = line, False
        while True:
            at, is_last = self._source.blanks_behind(at)
            if self._text.startswith("#", at) or (is_last and has_tags):
                return self._text.find("\n", at) + 1
            if at not in self._tags:
                return line
            at, has_tags = self._tags[at], True

    def _statement(self, line: int) -> tuple[int, int] | None:
        text = self._text
        line_end = text.find("\n", line)
        line_end = len(text) if line_end < 0 else line_end
        if not text[line:line_end].strip():
            return None
        for file in self._files:
            found = _first_behind(file, line) if file.reading.author is None else None
            if found is not None and found[0] < line_end:
                return found
        return line, _indented_end(text, line, line_end)


def _first_behind(file: File, offset: int) -> tuple[int, int] | None:
    """The first item after an offset: a statement, the rest of one, or a `}`."""
    block, brace = file.directives, None
    while True:
        at = bisect_left(block, offset, key=lambda one: one.start)
        around = block[at - 1] if at else None
        if around is not None and offset < around.end:
            rest = [start for start, _ in around.arg_spans if start >= offset]
            return (rest or [around.end - 1])[0], around.whole_end
        if around is None or around.block is None or offset > around.block_end:
            break
        block, brace = around.block, around.block_end
    if at < len(block):
        return block[at].start, block[at].whole_end
    return None if brace is None else (brace, brace + 1)


def _indented_end(text: str, line: int, line_end: int) -> int:
    """The end of a YAML line's block: the lines below that are indented further."""
    indent = len(text[line:line_end]) - len(text[line:line_end].lstrip(" "))
    end = line_end
    while end < len(text):
        following = text.find("\n", end + 1)
        following = len(text) if following < 0 else following
        row = text[end + 1 : following]
        if row.strip() and len(row) - len(row.lstrip(" ")) <= indent:
            break
        end = following
    return end


def _comment_findings(
    ignores: Sequence[IgnoreComment], rules: Sequence[Rule], known: Collection[str]
) -> Iterator[Finding]:
    """The findings about comments."""
    applied = {rule.name for rule in rules}
    names_known = set(known).union(*(rule.renamed_from for rule in rules))

    @cache
    def findings_about(mistake: str, names: tuple[str, ...]) -> list[Remark]:
        """The findings about an invalid ignore comment."""
        return list(remarks(rules, {"ignore_mistake": mistake, "ignored_rules": list(names)}))

    for ignore in ignores:
        unknown = tuple([name for name in ignore.rules if name not in names_known])
        hits = ignore.hits
        unused = tuple([name for name in ignore.rules if name in applied and name not in hits])
        mistakes: list[tuple[str, tuple[str, ...]]] = []
        if not ignore.reason:
            mistakes.append(("no-reason", ()))
        if unknown:
            mistakes.append(("unknown-rule", unknown))
        if unused or (not ignore.rules and not ignore.hits):
            mistakes.append(("unused", unused))
        for mistake, names in mistakes:
            for remark in findings_about(mistake, names):
                yield _finding(ignore, remark, mistake == "unused", names)


def _finding(
    ignore: IgnoreComment, remark: Remark, unused: bool, names: tuple[str, ...]
) -> Finding:
    """A finding about a comment; for `unused`, with the edit that removes `names`."""
    fix = remark.fix
    if fix is not None and unused and ignore.removal is not None:
        edit = _removal(ignore, ignore.removal, names)
        fix = replace(fix, applicability="safe", edits=(edit,))
    return Finding(
        rule=remark.rule.name,
        severity=remark.rule.severity[0][0],
        message=remark.message,
        place=ignore.place,
        location=LocationInfo("comment", ignore.place, ignore.place.end, ()),
        stream=None,
        fix=fix,
    )


def _removal(ignore: IgnoreComment, span: tuple[int, int], names: Sequence[str]) -> Edit:
    """Remove unused rules from a comment, or the comment as a whole: its span."""
    source, (start, end) = ignore.place.source, span
    text = source.text
    left = [name for name in ignore.rules if name not in names]
    if left:
        return Edit(source, *ignore.names, ", ".join(left))
    line_start = source.line_start(start)
    in_word = line_start > 1 and text.startswith("\\", line_start - 2)  # its line end is
    if in_word or not source.blanks_behind(end)[1]:
        return Edit(source, start, end, "")
    end -= text[start:end].endswith("\r")
    return Edit(source, *source.removal(start, end), "")
