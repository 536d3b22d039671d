"""Mutated cases as Hypothesis strategies.

Every operation works on spans of a text: tokens, statements and blocks as the real tokenizer sees
them, lines, words and single characters. Hypothesis draws the operations, so it can shrink them,
repeat them, and be guided by coverage.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import strategies as st

from fuzz.dialects import PAIRS, WRAPPERS
from fuzz.grammar import main_files, manifests
from fuzz.seeds import CONFIGURATIONS, Case, case, seeds
from fuzz.words import CHARACTERS, WORDS
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.config.tokens import TOKEN, Statements
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.util.problems import Unreadable

_MAXCHARACTERS = 64 * 1024
_MAX_MUTATIONS = 6
_MAX_DEPTH = 256

_PIECES = re.compile(r"[ \t]+|\r?\n|\w+|[^\w\s]")
_LINES = re.compile(r"[^\n]*\n?")

_KINDS = ("token", "statement", "line", "piece")
_LARGE = 1_000_000

Span = tuple[int, int]


def token_spans(text: str) -> list[Span]:
    """The tokens of a text as nginx sees it."""
    return [match.span(match.lastindex) for match in TOKEN.finditer(text) if match.lastindex]


def statement_spans(text: str) -> list[Span]:
    """Its statements, each with its block."""
    spans: list[Span] = []
    opened: list[int] = []
    try:
        for _, _, start, end, mark in Statements(MappedText(Source("a", text), text), _MAX_DEPTH):
            if mark == "{":
                opened.append(start)
            elif mark == ";":
                spans.append((start, end))
            elif opened:
                spans.append((opened.pop(), end))
    except Unreadable:
        pass
    return spans


def _spans(text: str, kind: str) -> list[Span]:
    """The spans of one kind; the whole text where it has none."""
    if kind == "token":
        found = token_spans(text)
    elif kind == "statement":
        found = statement_spans(text)
    else:
        pattern = _LINES if kind == "line" else _PIECES
        found = [match.span() for match in pattern.finditer(text)]
    return [span for span in found if span[0] < span[1]] or [(0, len(text))]


@st.composite
def _mutated(draw: st.DrawFn, text: str, others: Sequence[Case]) -> str:
    """One operation on a text. `others` are where foreign spans come from."""
    spans = _spans(text, draw(st.sampled_from(_KINDS)))
    start, end = draw(st.sampled_from(spans))
    operation = draw(st.sampled_from(_OPERATIONS))
    if operation == "delete":
        return text[:start] + text[end:]
    if operation == "replace":
        return text[:start] + draw(st.sampled_from(WORDS)) + text[end:]
    if operation == "insert":
        return text[:start] + draw(st.sampled_from(WORDS)) + " " + text[start:]
    if operation == "append":
        return text[:end] + " " + draw(st.sampled_from(WORDS)) + text[end:]
    if operation == "character":
        at = draw(st.integers(start, end))
        cut = draw(st.integers(0, 1))
        character: str = draw(st.sampled_from(CHARACTERS))
        return text[:at] + character + text[at + cut :]
    if operation == "surround":
        before, after = draw(st.sampled_from(PAIRS))
        return text[:start] + before + text[start:end] + after + text[end:]
    if operation == "repeat":
        times = draw(st.sampled_from((2, 3, 20, 300)))
        return text[:start] + text[start:end] * times + text[end:]
    if operation == "swap":
        first, second = sorted(((start, end), draw(st.sampled_from(spans))))
        if first[1] > second[0]:
            return text[: first[0]] + text[first[1] :]
        between = text[first[1] : second[0]]
        moved = text[slice(*second)] + between + text[slice(*first)]
        return text[: first[0]] + moved + text[second[1] :]
    if operation == "cut":
        return text[:end]
    other = draw(st.sampled_from(others)).text
    begin, stop = draw(st.sampled_from(_spans(other, draw(st.sampled_from(_KINDS)))))
    return text[:start] + other[begin:stop] + text[end:]


_OPERATIONS = (
    *("delete", "replace", "insert", "append", "character", "surround", "repeat", "swap", "cut"),
    "cross",
)


@st.composite
def _often_mutated(draw: st.DrawFn, text: str, others: Sequence[Case]) -> str:
    for _ in range(draw(st.integers(0, _MAX_MUTATIONS))):
        text = draw(_mutated(text, others))[:_MAXCHARACTERS]
    return text


@st.composite
def mutated(draw: st.DrawFn, kind: str, with_corpus: bool = False) -> Case:
    """A mutated seed of a kind."""
    found = seeds(kind, with_corpus)
    seed = draw(st.sampled_from(found))
    return case(seed.name, draw(_often_mutated(seed.text, found)))


@st.composite
def wrapped(draw: st.DrawFn, with_corpus: bool = False) -> Case:
    """nginx text, mutated, in a mutated wrapping of another language."""
    found = seeds("nginx", with_corpus)
    text = draw(_often_mutated(draw(st.sampled_from(found)).text, found))
    outer = draw(st.sampled_from(WRAPPERS))(text)
    others = (*seeds("template"), *seeds("yaml"))
    return case(outer.name, draw(_often_mutated(outer.text, others)))


def nginx(with_corpus: bool = False) -> st.SearchStrategy[Case]:
    """Main files and snippets."""
    return st.one_of(mutated("nginx", with_corpus), main_files())


def configurations(with_corpus: bool = False) -> st.SearchStrategy[Case]:
    """Whatever lint and explain read."""
    kinds = [mutated(kind, with_corpus) for kind in CONFIGURATIONS]
    return st.one_of(*kinds, wrapped(with_corpus), main_files(), manifests())


@st.composite
def grown(draw: st.DrawFn, with_corpus: bool = False) -> Case:
    """A configuration of about 1 MB: one span of a mutated seed, again and again."""
    one = draw(configurations(with_corpus))
    text = one.text
    start, end = draw(st.sampled_from(_spans(text, draw(st.sampled_from(_KINDS)))))
    times = _LARGE // max(end - start, 1)
    return case(one.name, text[:start] + text[start:end] * times + text[end:])
