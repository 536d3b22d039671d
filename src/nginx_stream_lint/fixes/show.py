"""Fixes as people read them: the location with everything mended, or a unified diff."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from jinja2 import Environment, Template

from nginx_stream_lint.config import Source
from nginx_stream_lint.fixes.apply import compatible, edited
from nginx_stream_lint.rules.finding import Edit, Finding, LocationInfo

# A location as it should be; lines that come are marked +, lines that go -.
_LOCATION = """\
{% for line in lines -%}
{{ line.mark }} {{ line.text }}
{% endfor %}
{%- for edit in elsewhere -%}
and in {{ edit.source.name }}:{{ edit.source.position(edit.start)[0] }}: {{ edit.text.strip() }}
{% endfor %}"""

_CONTEXT = 3  # unchanged lines shown around a change


@dataclass(frozen=True, slots=True)
class _Line:
    mark: str  # `+`, `-` or a space
    text: str


@cache
def _template() -> Template:
    # Plain text for a terminal: nothing in it is ever read as markup.
    environment = Environment(autoescape=False)
    return environment.from_string(_LOCATION)


def mended(location: LocationInfo, findings: Iterable[Finding]) -> str:
    """A location with the fixes of its findings in it, changed lines marked; empty without any."""
    edits = compatible(one.fix for one in findings if one.fix is not None)
    if not edits:
        return ""
    place, end = location.place, location.block_end
    source = place.source
    start = source.text.rfind("\n", 0, place.start) + 1
    if not any(edit.source is source and start <= edit.start <= end for edit in edits):
        start, end = _around(source, edits) or (start, end)
    inside = [
        Edit(source, edit.start - start, edit.end - start, edit.text)
        for edit in edits
        if edit.source is source and start <= edit.start and edit.end <= end
    ]
    elsewhere = [
        edit for edit in edits if not (edit.source is source and start <= edit.start <= end)
    ]
    before = source.text[start:end]
    lines = _compared(before, edited(before, inside))
    return _template().render(lines=lines, elsewhere=elsewhere).rstrip("\n")


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


def _compared(before: str, after: str) -> list[_Line]:
    old, new = (
        textwrap.dedent(text.replace("\r\n", "\n")).splitlines() for text in (before, after)
    )
    merged: list[_Line] = []
    for tag, i, j, k, m in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag == "equal":
            merged += [_Line(" ", text) for text in new[k:m]]
        else:
            merged += [_Line("-", text) for text in old[i:j]]
            merged += [_Line("+", text) for text in new[k:m]]
    near = {0, len(merged) - 1}
    for at, line in enumerate(merged):
        if line.mark != " ":
            near |= set(range(at - _CONTEXT, at + _CONTEXT + 1))
    shown: list[_Line] = []
    for at, line in enumerate(merged):
        if at in near:
            shown.append(line)
        elif at - 1 in near:
            shown.append(_Line(" ", "    ..."))
    return shown


def diff(changed: Mapping[str, tuple[Source, Source]]) -> str:
    """A unified diff of sources before and after."""
    parts: list[str] = []
    for before, after in changed.values():
        lines = difflib.unified_diff(
            before.text.splitlines(keepends=True),
            after.text.splitlines(keepends=True),
            f"a/{before.name.lstrip('/')}",
            f"b/{after.name.lstrip('/')}",
        )
        for line in lines:
            parts.append(line if line.endswith("\n") else line + "\n\\ No newline at end of file\n")
    return "".join(parts)
