"""The words that are evidence for streams (`evidence.yaml`), and the search for them."""

import re
from collections.abc import Collection, Iterator
from functools import cache

from msgspec import Struct

from nginx_stream_lint.streams.stream import Kind
from nginx_stream_lint.util.data import table


class RegexFinder:
    """A regular expression for text in any case; each match contains one of `parts`.

    `parts` and the expression are in lower case. It is compiled when a text first contains one of
    the parts, because compiling takes longer than all searches in a small configuration. The text
    is converted to lower case, because compiling for any case takes four times as long.
    """

    def __init__(self, expression: str, parts: Collection[str]) -> None:
        self._expression = expression
        self._parts = parts
        self._pattern: re.Pattern[str] | None = None

    def search(self, text: str) -> re.Match[str] | None:
        """The first match, perhaps in the lower-case text."""
        pattern, text = self._for(text)
        return pattern and pattern.search(text)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """The match that is the whole text."""
        pattern, text = self._for(text)
        return pattern and pattern.fullmatch(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        """All matches that do not overlap."""
        pattern, text = self._for(text)
        return iter(()) if pattern is None else pattern.finditer(text)

    def _for(self, text: str) -> tuple[re.Pattern[str] | None, str]:
        """The expression, None if it cannot match the text; and the text in suitable case."""
        if not text.isascii():
            # Case-insensitive matching maps a few other letters to ASCII.
            return re.compile(self._expression, re.IGNORECASE), text
        text = text.lower()
        if self._pattern is None:
            if not any(part in text for part in self._parts):
                return None, text
            self._pattern = re.compile(self._expression)
        return self._pattern, text


class EvidenceWord(Struct, frozen=True, omit_defaults=True):
    """A word that is evidence for a stream, worth `points` for one of `kinds`.

    `words` are regular expressions for whole words, separated by `|`; for `parts` see
    `RegexFinder`. The other fields are properties of such a stream, as in `Stream`.
    """

    words: str
    kind: Kind | None
    points: int
    parts: tuple[str, ...] = ("",)
    heartbeat_s: float | None = None
    is_endless: bool = False

    @property
    def pattern(self) -> RegexFinder:
        """The compiled expression."""
        return _in_any_case(self.words, self.parts)


class Vocabulary(Struct, frozen=True):
    """The runs of letters in evidence words, apps' names and their own paths, in lower case.

    Words in `numbered` are followed by a number. `parts` are evidence inside any other letters;
    matches of `numbered_parts` extend past a number.
    """

    runs: frozenset[str]
    numbered: frozenset[str]
    parts: frozenset[str]
    numbered_parts: frozenset[str]


class Evidence(Struct, frozen=True):
    """The evidence words by the place where they are searched, as in `evidence.yaml`.

    `vocabulary` is that of these words and of the catalogue of apps.
    """

    words: dict[str, tuple[EvidenceWord, ...]]
    vocabulary: Vocabulary


def evidence_words() -> dict[str, tuple[EvidenceWord, ...]]:
    """The evidence words by the place where they are searched, as in `evidence.yaml`."""
    return evidence().words


def vocabulary() -> Vocabulary:
    """All words and parts that texts are searched for."""
    return evidence().vocabulary


@cache
def evidence() -> Evidence:
    """Load the evidence words."""
    return table("evidence", Evidence, read)


def read() -> Evidence:
    """Read the evidence words from YAML."""
    from nginx_stream_lint.streams.word_lists import read_evidence

    return read_evidence()


@cache
def _in_any_case(words: str, parts: tuple[str, ...]) -> RegexFinder:
    return RegexFinder(rf"(?<![a-z])(?:{words})(?![a-z])", parts)
