"""Fingerprints of findings by content, not by line number."""

from __future__ import annotations

import os
from collections.abc import Sequence

from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.util.remembering import latest_remembered


def portable(name: str, base: str, here: str | None = None) -> str:
    """The name of a file relative to the folder `base`, if it is inside; equal on all machines.

    `here` is the folder that relative names start from. Default: `base`.
    """
    path = os.path.join(here or base, name)
    is_absolute = os.path.isabs(path) and os.path.isabs(base)
    return _from(path, base, None if is_absolute else os.getcwd()) or name


@latest_remembered(4096)
def _from(path: str, base: str, _: str | None) -> str | None:
    """The path relative to `base` if it is inside. The third argument is only a cache key."""
    inside = os.path.relpath(path, base)
    return None if inside.split(os.sep)[0] == os.pardir else inside.replace(os.sep, "/")


def fingerprints(findings: Sequence[Finding], base: str, here: str | None = None) -> list[str]:
    """Compute a stable id for each finding: a hexadecimal SHA-256.

    It covers the rule, the file (see `portable`), the location's label, the marked text with its
    white space normalized, and a number that separates findings which are equal in all of these, in
    the order of their places.
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
