"""What could not be read, said so that a person can act on it."""

from __future__ import annotations

from nginx_stream_lint.util.lazily import dataclass

# What stands around a placeholder in a word. These are noncharacters, kept by Unicode for such use
# inside a program; no file has them.
MARKS = "\ufdd0\ufdd1"


@dataclass(frozen=True, slots=True)
class Problem:
    """A place that could not be read. Any problem means exit status 2.

    `line` and `column` count from 1, columns in characters. `message` is what nginx would say, or
    what stopped us before nginx's rules were asked; `advice` is what to do about it.
    """

    file: str
    line: int
    column: int
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}; {self.advice}"


class Unreadable(Exception):
    """A file that cannot be read any further; carries the `Problem` to report."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class NotAFile(Unreadable):
    """The system gives no text for this path: missing, forbidden, a folder, a device."""


class Absent(NotAFile):
    """There is no such file."""


class LeadsOut(Absent):
    """The path leads to a file that this run may not read. Whether it is there is not told."""


def printable(text: str, limit: int | None = None) -> str:
    """Text that any terminal can show: control characters and undecodable bytes escaped."""
    if limit is not None and len(text) > limit:
        text = text[: limit - 3] + "..."
    if text.isprintable():
        return text
    # The marks of placeholders stay: they go where text is written (`source.without_marks`).
    return "".join(
        character if character.isprintable() or character in MARKS else ascii(character)[1:-1]
        for character in text
    )
