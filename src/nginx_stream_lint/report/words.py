"""Words that several reports share."""

from __future__ import annotations

from collections.abc import Iterable


def rounded(number: float | None) -> float | None:
    """A time in seconds as reports write it."""
    return None if number is None else round(number, 4)


def clipped(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(number: int, word: str) -> str:
    """A number of things: `1 stream`, `2 streams`."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def timeline(events: Iterable[tuple[float, int]], end: float, columns: int) -> str:
    """How many events in each part of the time until `end`: `.` none, `|` one, 2 to 9, `#` more.

    `events` are times, each with how many there are.
    """
    counts = [0] * columns
    for time, number in events:
        counts[min(int(time / end * columns), columns - 1)] += number
    return "".join("." if n == 0 else "|" if n == 1 else str(n) if n < 10 else "#" for n in counts)
