"""A text whose idle words are replaced says the same as the text itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nginx_stream_lint.streams.catalogue import Word, apps, by_word, named_in, words
from nginx_stream_lint.streams.evidence import answers_at_once
from nginx_stream_lint.streams.naming import is_general
from nginx_stream_lint.streams.vocabulary import reduced, reduced_pattern
from nginx_stream_lint.streams.word_lists import spellings
from nginx_stream_lint.util.sinks import MARKS

LISTS = tuple(where for where in words() if where not in ("general", "usual"))
ROWS = [(where, row) for where in (*LISTS, "general") for row in words()[where]]
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
    return [[found[0] for found in row.pattern.finditer(text)] for row in words()[where]]


def order(text: str) -> list[tuple[str, int, str]]:
    """What all lists of paths find, by place."""
    found = [
        (match.start(), where, at, match[0])
        for where in ("path", "never")
        for at, row in enumerate(words()[where])
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
    short = reduced(text)
    for where in LISTS:
        assert heard(where, short) == heard(where, text), where
    assert order(short) == order(text)
    assert is_general(short) == is_general(text)
    assert named_in(short) is named_in(text)
    for token, other in zip(re.findall(r"[\w-]+", text), re.findall(r"[\w-]+", short), strict=True):
        assert by_word(token.lower()) is by_word(other.lower())
    assert answers_at_once(reduced_pattern(text)) == answers_at_once(text)


@given(text)
def test_what_is_reduced_stays_so(text: str) -> None:
    assert reduced(reduced(text)) == reduced(text)


def test_idle_words_are_alike() -> None:
    assert reduced("/svc17/orders") == reduced("/team4/accounts")
    assert reduced("# team 3, service 17") == reduced("# crew 14, helpdesk 2")
    assert reduced("/app3/chat/completions") != reduced("/app3/orders")
    assert reduced("/chat17") == reduced("/chat3")
    start, end = MARKS[0], MARKS[1]  # around a placeholder
    assert reduced(f"/{start}a.b1{end}/x") == reduced(f"/{start}c.d2{end}/y")
    assert reduced(f"/{start}chat{end}") != reduced(f"/{start}c{end}")


@pytest.mark.parametrize("row", [row for _, row in ROWS], ids=lambda row: row.words)
def test_what_is_spelled_is_found(row: Word) -> None:
    for text in spellings(row.words):
        plain = text.replace("~", "my").replace("#", "my7x")
        forms = [plain.replace(" ", one) for one in ("-", " ", "_", "/", ".", "", "$")]
        forms += (f"/{text.strip()}", f".{text.strip()}".replace(" ", "-"))
        assert any(map(row.pattern.search, forms)), text
