"""nginx versions, and the two that behaviour depends on."""

from __future__ import annotations

import re

# (major, minor, patch)
Version = tuple[int, int, int]

# Assumed if the version is not given: the old defaults are the worse ones.
OLD: Version = (1, 18, 0)
# The release that changed the defaults towards the upstream: HTTP/1.1, kept alive.
NEW: Version = (1, 29, 7)


def parse_version(text: str) -> Version:
    """`1.29.7`, `1.29` or `nginx/1.29.7` as a tuple.

    Raises ValueError for anything else.
    """
    match = re.fullmatch(r"(?:nginx/)?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text.strip())
    if match is None:
        raise ValueError(f'"{text}" is not an nginx version such as 1.29.7')
    return int(match[1]), int(match[2]), int(match[3] or 0)
