"""What several reports say alike."""

from __future__ import annotations


def rounded(number: float | None) -> float | None:
    """A time in seconds as reports write it."""
    return None if number is None else round(number, 4)


def clipped(text: str, most: int) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def counted(number: int, word: str) -> str:
    """A number of things: `1 stream`, `2 streams`."""
    return f"{number} {word}{'' if number == 1 else 's'}"
