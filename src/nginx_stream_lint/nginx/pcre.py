"""Search with nginx's regular expressions (PCRE, on bytes) in Python's `re`.

The result of a pattern that `re` cannot express is unknown, and so is that of one on which Python
would search without end.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from nginx_stream_lint.util.problems import Unreadable
from nginx_stream_lint.util.remembering import latest_remembered, remembered

if TYPE_CHECKING:
    from nginx_stream_lint.nginx.pcre_syntax import RegexTranslator

# nginx accepts no longer word, so patterns are at most this long.
_MAX_PATTERN = 4096  # bytes


class RegexMatch:
    """A match: `captures` by number from 1, and `named` ones, as text."""

    def __init__(self, found: re.Match[str], groups: int, names: dict[str, int]) -> None:
        texts = (found[f"_{number}"] for number in range(1, groups + 1))
        self.captures = tuple("" if text is None else _text(text) for text in texts)
        self.named = {name: self.captures[number - 1] for name, number in names.items()}


class Undecided(Exception):
    """Whether a pattern matches is unknown: Python cannot read it, or not in time."""


class Pattern:
    """A regular expression; subjects and captures are text as in `config.mapped_text`.

    It is parsed on first use, because few of thousands of locations are searched.
    """

    def __init__(self, text: str, ignore_case: bool) -> None:
        self._text = text
        self._ignore_case = ignore_case
        self._prefix = prefix(text).lower() if ignore_case else prefix(text)
        # Subjects of at most this many characters are always fast.
        self._any_of_length = -1
        # Subjects for which the search was given up; they are not tried again. The number is
        # limited.
        self._endless: set[str] = set()

    @property
    def captures(self) -> bool:
        """Whether it captures something, if that is known."""
        return self._read is None or self._read[1].groups > 0

    def search(self, subject: str) -> RegexMatch | None:
        """The first match in a subject, or None; raises `Undecided`."""
        start = subject[: len(self._prefix)]
        if start != self._prefix and not (self._ignore_case and start.lower() == self._prefix):
            return None
        # Imported here, as below: most patterns differ from their subjects in their literal prefix.
        from nginx_stream_lint.util.backtracking import can_search

        if not can_search() or self._read is None:
            raise Undecided
        compiled, reader, tree = self._read
        data = _bytes(subject)
        if len(data) > self._any_of_length:
            if data in self._endless:
                raise Undecided
            if not self._ends(tree, data):
                if len(self._endless) < _MOST_ENDLESS:
                    self._endless.add(data)
                raise Undecided
        found = compiled.search(data)
        if found is None:
            return None
        # nginx's variable names are case-insensitive.
        names = {name.lower(): number for name, number in reader.names.items()}
        return RegexMatch(found, reader.groups, names)

    @cached_property
    def _read(self) -> tuple[re.Pattern[str], RegexTranslator, Any] | None:
        from nginx_stream_lint.nginx.pcre_syntax import RegexTranslator, UnreadableError
        from nginx_stream_lint.util.backtracking import compiled, parsed

        text = _bytes(self._text)
        if len(text) > _MAX_PATTERN:
            return None
        reader = RegexTranslator(text)
        try:
            tree = parsed(reader.everything(self._ignore_case), re.ASCII)
            return compiled(tree), reader, tree
        except (UnreadableError, re.error, RecursionError, OverflowError, Unreadable):
            return None

    def _ends(self, tree: Any, data: str) -> bool:
        """Whether a search of some bytes ends soon."""
        from nginx_stream_lint.util.backtracking import MAX_WAYS, ends, take_counting, ways

        try:
            take_counting(len(self._text))
            for length in (1024, 128):
                if length >= len(data) and ways(tree, length) <= MAX_WAYS:
                    self._any_of_length = length
                    return True
            return ends(tree, data)
        except (RecursionError, Unreadable):
            return False


_MOST_ENDLESS = 64


@remembered
def compile_pattern(pattern: str, ignore_case: bool = False) -> Pattern:
    """Compile a pattern as nginx does."""
    return Pattern(pattern, ignore_case)


# Literal characters after a `^`, and the quantifiers that make one optional.
_LITERALS = r"\^(?:[A-Za-z0-9/_=:;,@%&~!<>\"' -]|\\[./_-])*"
# Simple escapes and classes; groups without nested groups.
_ATOMS = r"\\[^QE]|\[\^?\]?(?:\\[^QE]|[^]\\[])*\]"
_GROUP = r"\([^()]*\)"


@latest_remembered(4096)
def prefix(pattern: str) -> str:
    """The literal prefix of every match of a pattern, if it is easy to find."""
    found = re.match(_LITERALS, pattern)
    if found is None:
        return ""
    text = found[0]
    if pattern[found.end() : found.end() + 1] in ("*", "?", "{"):
        text = re.sub(r"\\?.\Z", "", text)
    if "|" in pattern:
        bare, groups = re.sub(_ATOMS, "", pattern), 1
        if re.search(r"[\\\[#]", bare):
            return ""  # a comment, or too complex
        while groups:
            bare, groups = re.subn(_GROUP, "", bare)
        if "|" in bare:
            return ""
    return text[1:].replace("\\", "")


def _bytes(text: str) -> str:
    """Convert text to one character for each byte, as nginx sees it."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _text(data: str) -> str:
    return data.encode("latin-1").decode("utf-8", "surrogateescape")
