"""Words that several reports share."""

from __future__ import annotations

from collections.abc import Iterable

SEVERITY_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def rounded(number: float | None) -> float | None:
    """Round a time in seconds to the precision of reports."""
    return None if number is None else round(number, 4)


def clipped(text: str, most: int) -> str:
    """Shorten a text to a number of characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(number: int, word: str) -> str:
    """Format a count: `1 stream`, `2 streams`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def timeline(events: Iterable[tuple[float, int]], end: float, columns: int) -> str:
    """Draw the number of events per time slot until `end`: `.` none, `|` one, 2 to 9, `#` more.

    `events` are pairs of a time and a number of events.
    """
    counts = [0] * columns
    for time, number in events:
        counts[min(int(time / end * columns), columns - 1)] += number
    return "".join("." if n == 0 else "|" if n == 1 else str(n) if n < 10 else "#" for n in counts)
