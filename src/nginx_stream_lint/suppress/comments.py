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
from typing import NamedTuple

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config import SIGN, Directive, File, Source
from nginx_stream_lint.config.templates import template_comments, yaml_reading
from nginx_stream_lint.rules.finding import (
    Edit,
    Finding,
    LocationInfo,
    Place,
    Suppressed,
)
from nginx_stream_lint.rules.remarks import Remark, remarks
from nginx_stream_lint.rules.rule import Rule

# Comments of nginx, YAML, and template languages.
_COMMENT = (
    r"(?:\{#-?|/\*|#+)[ \t]*nginx-stream-lint:[ \t]*(?P<what>ignore(?:-file)?)(?![\w-])"
    r"[ \t]*(?:\[(?P<rules>[^\]\n]*)\])?(?P<reason>[^\n]*)"
)
_COMMENT_END = r"[ \t]*(?:\*/|-?#\}|-?%>|-?\}\})[\s\S]*|[ \t\r]+$"
_ONLY_END = r"\s*(?:(?:\*/\s*)?-?(?:#\}|%>|\}\}))?\Z"
# The text before `nginx-stream-lint` in a template's comment.
_BEFORE = r"(?:\{\{-?|<%)[ \t]*$|(?<=\{)$"
_ONLY_CONTROL = r"(?m)[ \t]*(?:\{\{.*\}\}|\{%.*%\}|<%.*%>)[ \t\r]*$"
_ONLY_COMMENT = r"[ \t]*(?:#|\{#|\{\{-?[ \t]*/\*|<%#)"


class _Comment(NamedTuple):
    """A comment of a source, from its first to after its last character.

    `is_removable`: it is literal nginx text, so an edit can remove it.
    """

    start: int
    end: int
    is_removable: bool


class IgnoreComment(Struct, eq=False):
    """An ignore comment; it applies to findings in `[start, end)` of its source.

    `rules` is empty if the comment names none: then it applies to all. `hits` are the rules of the
    findings it ignored.
    """

    place: Place
    rules: tuple[str, ...]
    reason: str
    start: int
    end: int
    comment: _Comment
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


def _comments(files: list[File]) -> list[_Comment]:
    """The comments of one source, in order, as the programs that read it see them.

    These are nginx's tokenizer, template engines, and YAML scanners: text that looks like a comment
    in a string or in Lua code is none.
    """
    source = files[0].source
    found: dict[int, _Comment] = {}
    if source.is_yaml:
        from nginx_stream_lint.util.yamlfile import comments as yaml_comments

        for start, end in yaml_comments(yaml_reading(source).text):
            found[start] = _Comment(start, end, False)
    # An edit must not leave a file empty, because an empty file cannot be checked.
    has_statements = any(file.directives for file in files)
    for file in files:
        is_text = file.reading.author is None and not file.reading.read_only and has_statements
        for start, end in file.comments:
            found[start] = _Comment(start, end, is_text)
    if any(file.templated for file in files):
        seen = sorted(found)
        for start, end in template_comments(source):
            if any(_is_in_word(file, start) for file in files):
                continue
            if bisect_left(seen, start) < bisect_left(seen, end):
                continue  # nginx sees a comment in it: the file was not read as such a template
            inside = [file for file in files if _sees(file, start, end)]
            is_text = has_statements and any(one.reading.author is None for one in inside)
            is_text = is_text and not any(one.reading.read_only for one in inside)
            found[start] = _Comment(start, end, is_text)
    return [found[start] for start in sorted(found)]


def _sees(file: File, start: int, end: int) -> bool:
    """Whether a span of a source is part of the text that nginx sees."""
    first, last = file.reading.region
    return first <= start and end <= last


def _is_in_word(file: File, offset: int) -> bool:
    """Whether an offset of the source is in a word of a statement, such as a quoted string."""
    block: list[Directive] | None = file.directives
    while block:
        at = bisect_right(block, offset, key=lambda one: one.start)
        around = block[at - 1] if at else None
        if around is None or offset >= _end(around):
            return False
        if offset < around.end:
            spans = [around.name_span, *around.arg_spans]
            return any(start <= offset < end for start, end in spans)
        block = around.block
    return False


def _ignores(files: list[File]) -> Iterator[IgnoreComment]:
    """The ignore comments of one source; in YAML it may have several files."""
    source = files[0].source
    text = source.text
    below = _Below(files)
    # In a template's comment within one of nginx, the template engine reads it: the inner counts.
    inner: dict[int, tuple[_Comment, re.Match[str]]] = {}
    for comment in _comments(files):
        match = re.compile(_COMMENT).search(text, comment.start, comment.end)
        if match is not None:
            inner[match.start()] = comment, match
    for comment, match in inner.values():
        reason = re.sub(_COMMENT_END, "", match["reason"]).strip()
        rules = tuple(filter(None, map(str.strip, (match["rules"] or "").split(","))))
        start = match.start()
        line_start = text.rfind("\n", 0, start) + 1
        opening = re.compile(_BEFORE).search(text, line_start, start)
        begin = opening.start() if opening is not None else start
        place = Place(source, begin, start + len(match[0].rstrip()))
        taken = comment
        if begin != comment.start:  # other words stand before it
            is_removable = comment.is_removable and text[comment.start] == "#"
            taken = _Comment(begin, comment.end, is_removable)
        elif not re.compile(_ONLY_END).match(text, match.end(), comment.end):  # or below it
            taken = comment._replace(is_removable=False)
        if match["what"] == "ignore-file":
            region = (0, len(text) + 1)
        else:
            own_line = not text[line_start:begin].strip()
            region = (line_start, start)
            if own_line:
                region = _covered(files, below, begin, match.end())
        yield IgnoreComment(place, rules, reason, *region, taken)


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
        return block.start, _end(block)
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

    def __init__(self, files: list[File]) -> None:
        self._files = files
        self._text = files[0].source.text
        self._ends: dict[int, int] = {}  # the end of a group of comment lines
        self._found: dict[int, tuple[int, int] | None] = {}

    def of(self, offset: int) -> tuple[int, int]:
        """The statement right below a comment, with its block; empty if there is none."""
        line = self._behind(self._text.find("\n", offset) + 1)
        if line not in self._found:
            self._found[line] = self._statement(line) if line else None
        return self._found[line] or (offset, offset)

    def _behind(self, line: int) -> int:
        """The first line, from one on, that is more than a comment; 0 if there is none."""
        text = self._text
        passed: list[int] = []
        comment, control = re.compile(_ONLY_COMMENT), re.compile(_ONLY_CONTROL)
        while line and (comment.match(text, line) or control.match(text, line)):
            passed.append(line)
            line = self._ends.get(line, text.find("\n", line) + 1)
        self._ends.update(dict.fromkeys(passed, line))
        return line

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
            return (rest or [around.end - 1])[0], _end(around)
        if around is None or around.block is None or offset > around.block_end:
            break
        block, brace = around.block, around.block_end
    if at < len(block):
        return block[at].start, _end(block[at])
    return None if brace is None else (brace, brace + 1)


def _end(directive: Directive) -> int:
    """The offset after a statement, with its block."""
    return directive.end if directive.block is None else directive.block_end + 1


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
    if fix is not None and unused and ignore.comment.is_removable:
        fix = replace(fix, applicability="safe", edits=(_removal(ignore, names),))
    return Finding(
        rule=remark.rule.name,
        severity=remark.rule.severity[0][0],
        message=remark.message,
        place=ignore.place,
        location=LocationInfo("comment", ignore.place, ignore.place.end, ()),
        stream=None,
        fix=fix,
    )


def _removal(ignore: IgnoreComment, names: Sequence[str]) -> Edit:
    """Remove unused rules from a comment, or the comment as a whole."""
    source, (start, end, _) = ignore.place.source, ignore.comment
    text = source.text
    left = [name for name in ignore.rules if name not in names]
    if left:
        opening = text.index("[", ignore.place.start) + 1
        return Edit(source, opening, text.index("]", opening), ", ".join(left))
    line_start = source.line_start(start)
    in_word = line_start > 1 and text.startswith("\\", line_start - 2)  # its line end is
    if in_word or not source.blanks_behind(end)[1]:
        return Edit(source, start, end, "")
    end -= text[start:end].endswith("\r")
    return Edit(source, *source.removal(start, end), "")
