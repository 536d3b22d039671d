"""A text whose idle words are replaced says the same as the text itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nginx_stream_lint.streams.catalogue import (
    app_by_word,
    app_named_in,
    apps,
)
from nginx_stream_lint.streams.endpoint_names import is_general
from nginx_stream_lint.streams.evidence import responds_at_once
from nginx_stream_lint.streams.evidence_words import EvidenceWord, evidence_words
from nginx_stream_lint.streams.word_classes import normalized, normalized_pattern
from nginx_stream_lint.streams.word_lists import spellings
from nginx_stream_lint.util.escaping import MARKS

LISTS = tuple(where for where in evidence_words() if where not in ("general", "usual"))
ROWS = [(where, row) for where in (*LISTS, "general") for row in evidence_words()[where]]
SPELLED = sorted({one for _, row in ROWS for one in spellings(row.words)})
NAMES = sorted(name for app in apps() for name in app.names)

# Telling words in their spellings, whole and in part, and what stands between and around them.
told = st.sampled_from(SPELLED).map(lambda text: re.sub("[~#]", "my", text.strip() or "x"))
named = st.sampled_from(NAMES)
idle = st.sampled_from(("svc", "users", "zz", "ſse", "ı"))
whole = st.one_of(told, named, told.map(str.upper), idle)
part = st.tuples(whole, st.integers(0, 9)).map(lambda pair: pair[0][pair[1] :])
mark = st.sampled_from([*"-_/. :7$^()|?*", *"éßΣ京…", *MARKS, "\udce9"])
piece = st.one_of(whole, part, st.text("abvz019", max_size=3), mark)
text = st.lists(piece, max_size=8).map("".join)


def heard(where: str, text: str) -> list[list[str]]:
    """What each row of a list finds, in its order."""
    return [[found[0] for found in row.pattern.finditer(text)] for row in evidence_words()[where]]


def order(text: str) -> list[tuple[str, int, str]]:
    """What all lists of paths find, by place."""
    found = [
        (match.start(), where, at, match[0])
        for where in ("path", "never")
        for at, row in enumerate(evidence_words()[where])
        for match in row.pattern.finditer(text)
    ]
    return [one[1:] for one in sorted(found)]


@settings(max_examples=400, deadline=None)
@given(text)
@example("/v1/")
@example("/gpt17/chat-bot7/go2rtc7/oauth25")
@example("superuser-agents")
@example("(foo|sse)/health/bar|sse")
def test_the_same_is_heard(text: str) -> None:
    short = normalized(text)
    for where in LISTS:
        assert heard(where, short) == heard(where, text), where
    assert order(short) == order(text)
    assert is_general(short) == is_general(text)
    assert app_named_in(short) is app_named_in(text)
    for token, other in zip(re.findall(r"[\w-]+", text), re.findall(r"[\w-]+", short), strict=True):
        assert app_by_word(token.lower()) is app_by_word(other.lower())
    assert responds_at_once(normalized_pattern(text)) == responds_at_once(text)


@given(text)
def test_what_is_reduced_stays_so(text: str) -> None:
    assert normalized(normalized(text)) == normalized(text)


def test_idle_words_are_alike() -> None:
    assert normalized("/svc17/orders") == normalized("/team4/accounts")
    assert normalized("# team 3, service 17") == normalized("# crew 14, helpdesk 2")
    assert normalized("/app3/chat/completions") != normalized("/app3/orders")
    assert normalized("/chat17") == normalized("/chat3")
    start, end = MARKS[0], MARKS[1]  # around a placeholder
    assert normalized(f"/{start}a.b1{end}/x") == normalized(f"/{start}c.d2{end}/y")
    assert normalized(f"/{start}chat{end}") != normalized(f"/{start}c{end}")


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=lambda row: row.words)
def test_what_is_spelled_is_found(row: EvidenceWord) -> None:
    for text in spellings(row.words):
        plain = text.replace("~", "my").replace("#", "my7x")
        forms = [plain.replace(" ", one) for one in ("-", " ", "_", "/", ".", "", "$")]
        forms += (f"/{text.strip()}", f".{text.strip()}".replace(" ", "-"))
        assert any(map(row.pattern.search, forms)), text
