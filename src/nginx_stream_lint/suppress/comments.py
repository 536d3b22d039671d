"""Comments that ignore findings, and findings about such comments.

    # nginx-stream-lint: ignore[rule-a,rule-b] reason
    # nginx-stream-lint: ignore-file[rule-a] reason

At the end of a line it is for that line, on lines of its own for the statement below, and if that
opens a block for the whole block.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from nginx_stream_lint.config import Directive, File
from nginx_stream_lint.rules.finding import (
    Edit,
    Finding,
    Fix,
    LocationInfo,
    Place,
    Suppressed,
)
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.wording import render

_SIGN = "nginx-stream-lint:"
# nginx's and YAML's comments, and those of template languages.
_COMMENT = re.compile(
    r"(?:\{#-?|/\*|#+)[ \t]*nginx-stream-lint:[ \t]*(?P<what>ignore(?:-file)?)(?![\w-])"
    r"[ \t]*(?:\[(?P<rules>[^\]\n]*)\])?(?P<reason>[^\n]*)"
)
_COMMENT_END = re.compile(r"[ \t]*(?:\*/|-?#\}|-?%>|-?\}\})[\s\S]*|[ \t\r]+$")
# What a template's comment has before that.
_BEFORE = re.compile(r"(?:\{\{-?|<%)[ \t]*$|(?<=\{)$")
_ONLY_CONTROL = re.compile(r"[ \t]*(?:\{\{.*\}\}|\{%.*%\}|<%.*%>)[ \t\r]*$", re.MULTILINE)
_ONLY_COMMENT = re.compile(r"[ \t]*(?:#|\{#|\{\{-?[ \t]*/\*|<%#)")


@dataclass(eq=False, slots=True)
class Ignore:
    """One comment. It is for findings that stand in `[start, end)` of its source.

    `rules` is empty where the comment names none: then it is for all. `hits` are the rules of the
    findings it ignored.
    """

    place: Place
    rules: tuple[str, ...]
    reason: str
    start: int
    end: int
    hits: set[str] = field(default_factory=set)

    def is_for(self, finding: Finding) -> bool:
        """Whether it ignores a finding."""
        return (not self.rules or finding.rule in self.rules) and any(
            place.source is self.place.source and self.start <= place.start < self.end
            for place in (finding.place, finding.location.place)
        )


def without_ignored(
    findings: Iterable[Finding],
    files: Sequence[File],
    checked: Sequence[File],
    rules: Sequence[Rule],
    known: Sequence[str],
) -> tuple[list[Finding], list[Suppressed]]:
    """The findings that are left, with those about the comments; and the ignored ones.

    `files` are all that were read, `checked` those that somebody asked for, `rules` those that were
    applied, `known` the names of all.
    """
    ignores = [
        one
        for group in _by_source(files)
        if _SIGN in group[0].source.text
        for one in _ignores(group)
    ]
    if not ignores:
        return list(findings), []
    left: list[Finding] = []
    ignored: list[Suppressed] = []
    for finding in findings:
        hits = [one for one in ignores if one.is_for(finding)]
        for one in hits:
            one.hits.add(finding.rule)
        if hits:
            ignored.append(Suppressed(finding, "inSource", hits[0].reason))
        else:
            left.append(finding)
    asked = {id(file.source) for file in checked}
    said = [
        one
        for ignore in ignores
        if id(ignore.place.source) in asked
        for one in _said(ignore, rules, known)
    ]
    return left + said, ignored


def _by_source(files: Sequence[File]) -> list[list[File]]:
    groups: dict[int, list[File]] = {}
    for file in files:
        groups.setdefault(id(file.source), []).append(file)
    return list(groups.values())


def _ignores(files: list[File]) -> Iterator[Ignore]:
    """The comments of one source, of which there may be several files, as in YAML."""
    source = files[0].source
    text = source.text
    for match in _COMMENT.finditer(text):
        start = match.start()
        reason = _COMMENT_END.sub("", match["reason"]).strip()
        rules = tuple(word.strip() for word in (match["rules"] or "").split(",") if word.strip())
        line_start = text.rfind("\n", 0, start) + 1
        opening = _BEFORE.search(text, line_start, start)
        begin = opening.start() if opening is not None else start
        place = Place(source, begin, start + len(match[0].rstrip()))
        if match["what"] == "ignore-file":
            region = (0, len(text) + 1)
        else:
            own_line = not text[line_start:begin].strip()
            region = _below(files, match.end()) if own_line else (line_start, start)
        yield Ignore(place, rules, reason, *region)


def _below(files: list[File], at: int) -> tuple[int, int]:
    """The statement right below a comment, its block included; empty where there is none."""
    text = files[0].source.text
    line = text.find("\n", at) + 1
    while line and (_ONLY_COMMENT.match(text, line) or _ONLY_CONTROL.match(text, line)):
        line = text.find("\n", line) + 1
    line_end = text.find("\n", line)
    line_end = len(text) if line_end < 0 else line_end
    if not line or not text[line:line_end].strip():
        return (at, at)
    for file in files:
        found = _first_behind(file, line) if file.reading.author is None else None
        if found is not None and found[0] < line_end:
            return found
    return line, _indented_end(text, line, line_end)


def _first_behind(file: File, offset: int) -> tuple[int, int] | None:
    """What begins first in a file from an offset on: a statement, what is left of one, or a `}`."""
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
    """The offset behind a statement, its block included."""
    return directive.end if directive.block is None else directive.block_end + 1


def _indented_end(text: str, line: int, line_end: int) -> int:
    """The end of what a line of YAML opens: the lines below that are indented further."""
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


class _About:
    """What rules about comments can ask: `facts.ignore_mistake` and `facts.ignored_rules`."""

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def value(self, subject: str) -> Any:
        """The value of a subject; nothing for those that are about streams."""
        return self._values.get(subject)


def _said(ignore: Ignore, rules: Sequence[Rule], known: Sequence[str]) -> Iterator[Finding]:
    """The findings about one comment."""
    applied = {rule.name for rule in rules}
    unknown = [name for name in ignore.rules if name not in known]
    unused = [name for name in ignore.rules if name in applied and name not in ignore.hits]
    mistakes: list[tuple[str, list[str]]] = []
    if not ignore.reason:
        mistakes.append(("no-reason", []))
    if unknown:
        mistakes.append(("unknown-rule", unknown))
    if unused or (not ignore.rules and not ignore.hits):
        mistakes.append(("unused", unused))
    for mistake, names in mistakes:
        subjects = _About({"ignore_mistake": mistake, "ignored_rules": names})
        for rule in rules:
            if not rule.is_about_comments or rule.when is None:
                continue
            if rule.when.holds(subjects) is not True:
                continue
            location = LocationInfo("comment", ignore.place, ignore.place.end, ())
            fix = Fix(rule.fix.title, "manual", rule.fix.snippet) if rule.fix is not None else None
            if fix is not None and mistake == "unused":
                fix = replace(fix, applicability="safe", edits=(_removal(ignore, names),))
            yield Finding(
                rule=rule.name,
                severity=rule.severity[0][0],
                message=render(rule.message, subjects, lambda name: name),
                place=ignore.place,
                location=location,
                stream=None,
                fix=fix,
            )


def _removal(ignore: Ignore, names: list[str]) -> Edit:
    """Take the rules that nothing is ignored of out of a comment, or the comment as a whole."""
    place = ignore.place
    text = place.source.text
    left = [name for name in ignore.rules if name not in names]
    if left:
        start = text.index("[", place.start) + 1
        return Edit(place.source, start, text.index("]", start), ", ".join(left))
    line_start = text.rfind("\n", 0, place.start) + 1
    line_end = text.find("\n", place.end)
    line_end = len(text) if line_end < 0 else line_end + 1
    if text[line_start : place.start].strip():
        start = line_start + len(text[line_start : place.start].rstrip())
        end = line_end - 1 if text[line_end - 1 : line_end] == "\n" else line_end
        end -= text[end - 1 : end] == "\r"
    else:
        start, end = line_start, line_end
    return Edit(place.source, start, end, "")
