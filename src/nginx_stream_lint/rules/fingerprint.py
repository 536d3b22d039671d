"""Fingerprints of findings by content, not by line number."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.util.remembering import latest_remembered


def portable(name: str, base: str, here: str | None = None) -> str:
    """A file's name as other machines know it: from the folder `base`, if it is below that.

    `here` is the folder that relative names start from; `base` where not given.
    """
    path = os.path.join(here or base, name)
    is_absolute = os.path.isabs(path) and os.path.isabs(base)
    return _from(path, base, None if is_absolute else os.getcwd()) or name


@latest_remembered(4096)
def _from(path: str, base: str, _: str | None) -> str | None:
    """A path from `base` if it is below that; other than absolute ones hang on the third."""
    inside = os.path.relpath(path, base)
    return None if inside.split(os.sep)[0] == os.pardir else inside.replace(os.sep, "/")


def fingerprints(findings: Sequence[Finding], base: str, here: str | None = None) -> list[str]:
    """A name for each finding: the hexadecimal SHA-256 of what it says about what.

    It is made of the rule, the file (see `portable`), the location's label, the text it points at
    with its white space made even, and a number that tells those apart which are alike in all of
    that: they are counted in the order of their places.
    """
    import hashlib

    contents = [_content(finding, base, here) for finding in findings]
    in_order = sorted(range(len(findings)), key=lambda at: findings[at].place.start)
    seen: dict[tuple[str, ...], int] = {}
    found = [""] * len(findings)
    for at in in_order:
        content = contents[at]
        seen[content] = number = seen.get(content, 0) + 1
        text = "\0".join((*content, str(number)))
        found[at] = hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
    return found


def _content(finding: Finding, base: str, here: str | None) -> tuple[str, ...]:
    place = finding.place
    words = (finding.location.label, place.source.text[place.start : place.end])
    return (
        finding.rule,
        portable(place.source.name, base, here),
        *(" ".join(text.split()) for text in words),
    )
