"""Normalize texts for the word lists: replace every word that is in no list.

A configuration has thousands of paths and comments, but few that differ in a relevant word.
Normalized texts are equal if they have the same evidence, so each is searched once.
"""

from __future__ import annotations

import re
from functools import cache

from nginx_stream_lint.streams.evidence_words import Vocabulary, vocabulary
from nginx_stream_lint.util.remembering import forgotten

# Replacements for words that are in no list, and for numbers.
_ANY_WORD = "zz"
_ANY_NUMBER = "0"

_TOKEN = re.compile(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
# Case-insensitive matching maps these to i, s and k; no other non-ASCII character, such as the mark
# of a placeholder, matches ASCII.
_LIKE_ASCII = "[\u0130\u0131\u017f\u212a]"
_DIGITS = "0123456789"
_LETTERS = re.compile(r"[a-z]+")


def normalized(text: str) -> str:
    """Normalize a text without changing its evidence.

    In the result, every list of `evidence.yaml` finds the same words in the same order; it names
    the same apps, and begins like the same endpoints.
    """
    if not text.isascii() and re.search(_LIKE_ASCII, text) is not None:
        return text
    return "".join(map(_tokens().__getitem__, _TOKEN.findall(text)))


def normalized_pattern(pattern: str) -> str:
    """Normalize a location's pattern. Alternatives stay unchanged, because they are compared."""
    if "|" not in pattern:
        return normalized(pattern)
    head, group, rest = pattern.partition("(")
    return pattern if "|" in head else f"{normalized(head)}{group}{rest}"


class _WordClasses(dict[str, str]):
    """Maps each run of letters and digits to its replacement; other characters stay."""

    def __init__(self, known: Vocabulary) -> None:
        super().__init__()
        self._known = known
        self._part = re.compile("|".join(sorted(known.parts)))
        # The replacement of a name followed by a number; empty if the number matters.
        self._numbered: dict[str, str] = {}

    def __missing__(self, token: str) -> str:
        name = token.rstrip(_DIGITS)
        if not name:
            return _ANY_NUMBER
        if name != token:
            found = self._numbered.get(name)
            if found is None:
                found = self._numbered[name] = self._with_a_number(name)
            return found or token
        found = self[token] = token if self._may_be_evidence(token) else _ANY_WORD
        return found

    def forget(self) -> None:
        """Clear the cache of texts."""
        self.clear()
        self._numbered.clear()

    def _with_a_number(self, name: str) -> str:
        if not self._may_be_evidence(name):
            return _ANY_WORD
        lower = name.lower()
        known = self._known
        counts = _LETTERS.findall(lower)[-1] in known.numbered
        if counts or any(part in lower for part in known.numbered_parts):
            return ""
        return name + _ANY_NUMBER

    def _may_be_evidence(self, token: str) -> bool:
        """Whether a text that contains this may be evidence."""
        if not (token.isascii() and token.isalnum()):
            return True
        lower = token.lower()
        runs = (lower,) if lower.isalpha() else _LETTERS.findall(lower)
        return not self._known.runs.isdisjoint(runs) or self._part.search(lower) is not None


@cache
def _tokens() -> _WordClasses:
    tokens = _WordClasses(vocabulary())
    forgotten(tokens.forget)
    return tokens
