"""Recognize files that are our own reports, which settings may replace.

Formats that name their tool are recognized by that, and GitLab's, which has no room for a name, by
its layout. All others get a comment as their last line if settings name their file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# Number of bytes that are read from the start and the end of a file.
BYTES = 4096

_LAST_LINE = "# a report of nginx-stream-lint: the next one replaces it\n"
_NAMED = re.compile(r"""<title>nginx-stream-lint|[\s<"]name(?:": |=)"nginx-stream-lint\"""")
_STARTS = {"json": "{", "sarif": "{", "rdjson": "{", "junit": "<?xml", "html": "<!doctype html>"}
# What a report begins with in a format that has neither a name nor comments.
_LAYOUTS = {
    "gitlab": re.compile(
        r'\[\]\n\Z|\[\n  \{\n    "description": ".*",\n    "check_name": "[a-z0-9-]+",\n'
        r'    "fingerprint": "[0-9a-f]{64}"'
    ),
}


def marked(name: str, parts: Iterable[str]) -> Iterator[str]:
    """Add a marker to a report that settings write, so that `is_own_report` recognizes it."""
    yield from parts
    if name not in _STARTS and name not in _LAYOUTS:
        yield _LAST_LINE


def is_own_report(name: str, first: str, last: str) -> bool:
    """Whether a file is a report in the format `name`, by its first and last `BYTES`."""
    if name in _LAYOUTS:
        return _LAYOUTS[name].match(first) is not None
    if name in _STARTS:
        return first.startswith(_STARTS[name]) and _NAMED.search(first) is not None
    return last.endswith(_LAST_LINE)
