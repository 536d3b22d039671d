"""Parse times and sizes as nginx does.

Source: `ngx_parse_time` and `ngx_parse_size` in nginx's src/core/ngx_parse.c.
"""

from __future__ import annotations

import re

MOST_STATUS = 999  # of a response

_UNITS = {
    "y": 365 * 24 * 3600.0,
    "M": 30 * 24 * 3600.0,
    "w": 7 * 24 * 3600.0,
    "d": 24 * 3600.0,
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 0.001,
}
_ORDER = list(_UNITS)
# nginx refuses numbers that do not fit 64 bits; 18 digits do.
_PART = re.compile(r"([0-9]{0,18})(ms|[yMwdhms])? *")


def parse_time(text: str) -> float | None:
    """Parse a time (`60s`, `1h30m`, `500ms`, bare seconds) to seconds; None if it is invalid."""
    total = 0.0
    last = -1
    at = 0
    while at < len(text):
        match = _PART.match(text, at)
        if match is None or match.end() == at:
            return None
        unit = match[2] or "s"
        if _ORDER.index(unit) <= last:
            return None
        last = _ORDER.index(unit)
        total += int(match[1] or 0) * _UNITS[unit]
        at = match.end()
    return total if any(digit in text for digit in "0123456789") else None


def parse_size(text: str) -> int | None:
    """Parse a size (`4k`, `1m`, `1g`, bare bytes) to bytes; None if it is invalid."""
    match = re.fullmatch(r"([0-9]{1,18})([kKmMgG]?)", text)
    if match is None:
        return None
    return int(match[1]) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[match[2].lower()]
