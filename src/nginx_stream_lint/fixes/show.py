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

# A location as it should be, the new lines marked.
_LOCATION = """\
{% for line in lines -%}
{{ "+ " if line.is_new else "  " }}{{ line.text }}
{% endfor %}
{%- for edit in elsewhere -%}
and in {{ edit.source.name }}:{{ edit.source.position(edit.start)[0] }}: {{ edit.text.strip() }}
{% endfor %}"""

_CONTEXT = 3  # unchanged lines shown around a change


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    is_new: bool


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


def _compared(before: str, after: str) -> list[_Line]:
    old, new = (
        textwrap.dedent(text.replace("\r\n", "\n")).splitlines() for text in (before, after)
    )
    changed: set[int] = set()
    for tag, _, _, first, last in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if tag != "equal":
            changed |= set(range(first, last))
    shown = {0, len(new) - 1} | {
        near for at in changed for near in range(at - _CONTEXT, at + _CONTEXT + 1)
    }
    lines: list[_Line] = []
    skipped = False
    for at, text in enumerate(new):
        if at in shown:
            lines.append(_Line(text, at in changed))
            skipped = False
        elif not skipped:
            lines.append(_Line("    ...", False))
            skipped = True
    return lines


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
