"""nginx versions, and the two that behaviour depends on."""

from __future__ import annotations

import re

# (major, minor, patch)
Version = tuple[int, int, int]

# Assumed if the version is unknown: the old defaults hold back more streams.
OLD: Version = (1, 18, 0)
# The release that changed the upstream defaults: HTTP/1.1, kept-alive connections.
NEW: Version = (1, 29, 7)
# The release before it. Nothing but these defaults differs between the two.
LAST_OLD: Version = (1, 29, 6)


def parse_version(text: str) -> Version:
    """Parse `1.29.7`, `1.29` or `nginx/1.29.7` to a tuple. Raises ValueError."""
    match = re.fullmatch(r"(?:nginx/)?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?", text.strip())
    if match is None:
        raise ValueError(f'"{text}" is not an nginx version such as 1.29.7')
    return int(match[1]), int(match[2]), int(match[3] or 0)
