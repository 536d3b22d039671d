"""Texts as the lists of words see them: what no list has in it is all the same.

A configuration has thousands of paths and comments, and few that differ in a word that says
something. `reduced` makes those alike equal, so that each is looked at once.
"""

from __future__ import annotations

from functools import cache

from nginx_stream_lint.lazily import regex
from nginx_stream_lint.streams.catalogue import Vocabulary, vocabulary

# What stands in for all words that are in no list, and for all numbers.
_ANY_WORD = "zz"
_ANY_NUMBER = "0"

_TOKEN = regex(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
_LETTERS = regex(r"[a-z]+")
_MANY = 100_000


def reduced(text: str) -> str:
    """A text in which every list of `evidence.yaml` finds the same words, in the same order, and
    every app is named that is named in the text itself.
    """
    tokens = _tokens()
    if tokens is None or not text.isascii():
        return text  # where case is ignored, a few other letters are ASCII ones
    return "".join(map(tokens.__getitem__, _TOKEN.findall(text)))


def reduced_pattern(pattern: str) -> str:
    """The same of a location's pattern. Alternatives stay as they are: they are compared."""
    if "|" not in pattern:
        return reduced(pattern)
    head, group, rest = pattern.partition("(")
    return pattern if "|" in head else f"{reduced(head)}{group}{rest}"


class _Tokens(dict[str, str]):
    """Each run of letters and digits with what stands in for it; other characters stay."""

    def __init__(self, known: Vocabulary) -> None:
        super().__init__()
        self._known = known

    def __missing__(self, token: str) -> str:
        if len(self) > _MANY:
            self.clear()
        found = self[token] = self._stand_in(token)
        return found

    def _stand_in(self, token: str) -> str:
        if not token.isalnum():
            return token
        lower = token.lower()
        runs = _LETTERS.findall(lower)
        if not runs:
            return _ANY_NUMBER
        known = self._known
        if known.runs.isdisjoint(runs) and not any(part in lower for part in known.parts):
            return _ANY_WORD
        name = lower.rstrip("0123456789")
        if runs[-1] in known.numbered or any(part in lower for part in known.numbered_parts):
            return token
        return token if name == lower else token[: len(name)] + _ANY_NUMBER


@cache
def _tokens() -> _Tokens | None:
    known = vocabulary()
    return None if known is None else _Tokens(known)
