"""Read numbers from untrusted text."""

from __future__ import annotations

# Python refuses very long numbers, and accepts Unicode digits that nginx does not know.
_MOST_DIGITS = 18
_MOST: int = 10**_MOST_DIGITS


def whole_number(text: str) -> int | None:
    """Parse ASCII digits, with results capped at 10**18; None for any other text."""
    if not (text.isascii() and text.isdigit()):
        return None
    text = text.lstrip("0")
    return int(text or "0") if len(text) <= _MOST_DIGITS else _MOST
