"""Texts as the lists of words see them: what no list has in it is all the same.

A configuration has thousands of paths and comments, and few that differ in a word that says
something. `reduced` makes those alike equal, so that each is looked at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from nginx_stream_lint.lazily import regex
from nginx_stream_lint.streams.catalogue import apps, words

# What stands in for all words that are in no list, and for all numbers.
_ANY_WORD = "zz"
_ANY_NUMBER = "0"

_TOKEN = regex(r"[A-Za-z0-9]+|[^A-Za-z0-9]+")
_LETTERS = regex(r"[a-z]+")
_PIECE = regex(r"\(\?<?[:=!]|[()|]|(\[[^\]]*\]|\\.|[^()|])([?*+]?)")
# Lists that are asked about single labels and names, not about texts.
_OTHERS = ("hosts", "usual")
_MANY = 100_000


def reduced(text: str) -> str:
    """A text in which every list of `evidence.yaml` finds the same words, in the same order, and
    every app is named that is named in the text itself.
    """
    if not text.isascii():
        return text  # where case is ignored, a few other letters are ASCII ones
    return "".join(map(_tokens().__getitem__, _TOKEN.findall(text)))


def reduced_pattern(pattern: str) -> str:
    """The same of a location's pattern. Alternatives stay as they are: they are compared."""
    if "|" not in pattern:
        return reduced(pattern)
    head, group, rest = pattern.partition("(")
    return pattern if "|" in head else f"{reduced(head)}{group}{rest}"


class _Tokens(dict[str, str]):
    """Each run of letters and digits with what stands in for it; other characters stay."""

    def __init__(self) -> None:
        super().__init__()
        self._known = _vocabulary()

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
        if known.words.isdisjoint(runs) and not any(part in lower for part in known.parts):
            return _ANY_WORD
        name = lower.rstrip("0123456789")
        if runs[-1] in known.numbered or any(part in lower for part in known.parts_with_numbers):
            return token
        return token if name == lower else token[: len(name)] + _ANY_NUMBER


@cache
def _tokens() -> _Tokens:
    return _Tokens()


class _Vocabulary(NamedTuple):
    """The runs of letters that lists and the names of apps have.

    `numbered` are those with a number behind. `parts` tell something whatever letters stand around
    them, and `parts_with_numbers` are those whose word goes on behind a number.
    """

    words: frozenset[str]
    numbered: frozenset[str]
    parts: frozenset[str]
    parts_with_numbers: frozenset[str]


def _vocabulary() -> _Vocabulary:
    texts = [name for app in apps() for name in app.names]
    for where, rows in words().items():
        if where not in _OTHERS:
            texts += (one for row in rows for one in spellings(row.words))
    runs: set[str] = set()
    numbered: set[str] = set()
    parts: set[str] = set()
    with_numbers: set[str] = set()
    for token in re.findall(r"[a-z0-9~#]+", " ".join(texts)):
        for run in re.findall(r"[a-z~#]+", token):
            part = run.strip("~#")
            (runs if part == run else parts).add(part)
            if run.endswith("#"):
                with_numbers.add(part)
        if token[-1].isdigit():
            numbered.add(token.rstrip("0123456789"))
    return _Vocabulary(*map(frozenset, (runs, numbered, parts, with_numbers)))


def spellings(pattern: str) -> list[str]:
    """What an alternation of `evidence.yaml` can find.

    `~` stands for any letters, `#` for any letters and digits. Of repeated characters one is there,
    of characters that are no letters a space. Look-arounds are taken for part of what is found.
    """
    return _alternatives(_PIECE.finditer(pattern))


def _alternatives(pieces: Iterator[re.Match[str]]) -> list[str]:
    found: list[str] = []
    texts = [""]
    last = [""]  # what stood before the last piece, for a group that may be left out
    for piece in pieces:
        atom, quantifier = piece[1], piece[2]
        if piece[0] == "|":
            found += texts
            texts = [""]
        elif piece[0] == ")":
            break
        elif atom is None:
            last = texts
            inner = _alternatives(pieces)
            if piece[0].startswith("(?<"):
                inner = [f"~{one}" for one in inner]  # where it begins, letters may stand before
            texts = [text + one for text in texts for one in inner]
        elif atom == "?":
            texts = [*last, *texts]
        else:
            choices = _choices(atom)
            if quantifier in ("?", "*"):
                choices = [*choices, ""]
            texts = [text + one for text in texts for one in choices]
    return found + texts


def _choices(atom: str) -> list[str]:
    """What one character of a pattern, or a class, stands for."""
    if atom in ("^", "$"):
        return [""]
    if atom in (".", "*", "+", "{"):
        raise ValueError(f"what {atom} stands for here is not looked into")
    if not atom.startswith("["):
        return [atom[-1] if atom[-1].isalnum() else " "]
    if "a-z" in atom:
        return ["#" if "0-9" in atom else "~"]
    if "0-9" in atom:
        return ["0"]
    letters = [one for one in atom if one.isalpha()]
    return letters or [" "]
