"""Problems: inputs that could not be read, and what to do about it."""

from __future__ import annotations

import os
from collections.abc import Sequence

from msgspec import Struct


class Problem(Struct, frozen=True):
    """An input that could not be read. Any problem means exit status 2.

    `line` and `column` count from 1, columns in characters. `message` is the fault, as nginx would
    report it or as the linter found it earlier; `advice` is what to do about it.
    """

    file: str
    line: int
    column: int
    message: str
    advice: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message}; {self.advice}"


_FEW = 40  # words; there are about thirty rules
_LONG = 60  # characters


def short_word(word: str) -> str:
    """A word for a message, cut if it is long."""
    return word if len(word) < _LONG else f"{word[: _LONG - 3]}..."


def nearest_words(word: str, words: Sequence[str]) -> str:
    """`; did you mean "x"?`; or, if no word is near, the list of words if it is short."""
    import difflib

    close = difflib.get_close_matches(short_word(word), words, 1)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; one of: {', '.join(words)}" if len(words) <= _FEW else ""


REPORT_IT = "please report this with the file, if you can share it"
# Set this environment variable to see the traceback of an internal error.
DEBUG = "NGINX_STREAM_LINT_DEBUG"


def unexpected(file: str, error: Exception) -> Problem:
    """Describe an internal error while a file was read or a rule was applied.

    Raises the error again in debug mode, and for a package that is not installed.
    """
    if os.environ.get(DEBUG) or isinstance(error, ModuleNotFoundError):
        raise error
    if isinstance(error, Unreadable):
        return error.problem
    return Problem(file, 1, 1, f"nginx-stream-lint failed on this file: {blamed(error)}", REPORT_IT)


def blamed(error: BaseException) -> str:
    """The type of an error, and the last place in this program on its traceback."""
    package = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
    place = ""
    traceback = error.__traceback__
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file.startswith(package):
            place = f" in {file.removeprefix(package)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return f"{type(error).__name__}{place}"


class Unreadable(Exception):
    """Stop reading a file; carries the `Problem` to report."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class NotAFile(Unreadable):
    """There is no readable file at this path: missing, forbidden, a folder, a device."""


class Absent(NotAFile):
    """There is no such file."""


class LeadsOut(Absent):
    """The path leads to a file that this run may not read, whether or not it exists."""
