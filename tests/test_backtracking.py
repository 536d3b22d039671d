"""How long `re` may search: the walk against `re` itself, and patterns that people do write."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint.nginx.pcre import Pattern, Undecided, compile_pattern, prefix
from nginx_stream_lint.util import backtracking
from nginx_stream_lint.util.backtracking import MAX_WAYS, ends, parsed, ways
from nginx_stream_lint.util.budget import Budget, Limits, spending

ATOMS = ["a", "b", "[ab]", "[^a]", "(?s:.)", r"\A", r"\Z", r"\b", "", r"(?=a)", r"(?!b)", "(?<=a)"]


def patterns() -> st.SearchStrategy[str]:
    def larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(inner, inner).map("".join),
            st.lists(inner, min_size=2, max_size=3).map(lambda some: f"(?:{'|'.join(some)})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "*?", "+?", "{2}", "{1,2}?"])).map(
                lambda pair: f"(?:{pair[0]}){pair[1]}"
            ),
            inner.map(lambda one: f"(?={one})"),
        )

    return st.recursive(st.sampled_from(ATOMS), larger, max_leaves=8)


def walked(pattern: str, subject: str) -> int | None:
    """Where the first match ends by our walk; None where there is none."""
    walk = backtracking._Walk(subject, 50_000)
    tree = parsed(pattern, re.ASCII)
    every = (end for at in range(len(subject) + 1) for end in walk.sequence(tree, at, False))
    return next(every, None)


@settings(max_examples=300, deadline=None)
@given(patterns(), st.text("ab-", max_size=8))
def test_the_walk_is_that_of_re(pattern: str, subject: str) -> None:
    found = re.search(pattern, subject, re.ASCII)
    assert walked(pattern, subject) == (None if found is None else found.end())


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        (r"(?P<_1>a|ab)(?P=_1)c", "ababc"),
        (r"(?P<_1>[Aa]b)(?i:(?P=_1))c", "AbaBc"),
        (r"(?=(?P<_a1>a+))(?P=_a1)b", "aaab"),
        (r"(?=(?P<_a1>a+))(?P=_a1)ab", "aaab"),
        (r"(?:(?P<_1>a)|b)*(?P=_1)", "abab"),
        (r"(?P<_1>a)?b(?P=_1)", "bb"),
        (r"(?:\A|a)*", "a"),
        (r"(?:\A|a)*?b", "ab"),
    ],
)
def test_references_and_empty_turns_are_followed(pattern: str, subject: str) -> None:
    found = re.search(pattern, subject, re.ASCII)
    assert walked(pattern, subject) == (None if found is None else found.end())


# Each with a subject on which `re` would search for minutes or for ever.
ENDLESS = [
    (r"^/(a+)+$", "/" + "a" * 60 + "!"),
    (r"^/(a|a)*$", "/" + "a" * 60 + "!"),
    (r"^/(?:a*)*b", "/" + "a" * 60),
    (r"^/([a-zA-Z0-9]+/?)*\.php$", "/" + "a" * 60),
    (r"^/(.*)*x", "/" + "a" * 60),
    (r"(?:(?:a?){20}){20}b", "a" * 40),
    (r"^/(\w+\s?)*$", "/" + "a" * 60 + "!"),
    (r"^(?:.*a){12}$", "a" * 60 + "b"),
    (r"(.*)(.*)(.*)(.*)(.*)(.*)x", "a" * 200),
    (r"^/(?=(a+)+!x)", "/" + "a" * 60 + "!"),
    (r"^/(?<x>(?:a|b|ab)+)\1c", "/" + "ab" * 30),
    (r"(?i)^/(A+)+$", "/" + "a" * 60 + "!"),
]


@pytest.mark.parametrize(("pattern", "subject"), ENDLESS)
def test_what_would_never_end_is_undecided_soon(pattern: str, subject: str) -> None:
    before = os.times().user
    with pytest.raises(Undecided):
        compile_pattern(pattern).search(subject)
    assert os.times().user - before < 2


# What people write, with a subject that matches and one that does not.
USUAL = [
    (r"^/(?:[^/]+/)*stream$", "/a/b/c/stream", "/" + "abc/" * 30),
    (r"^(?:[a-z0-9-]+\.)+example\.com$", "a.b.example.com", "a." * 30 + "example.org"),
    (r"^/(?:[a-z]+-)*[a-z]+/events$", "/a-b-c/events", "/" + "ab-" * 30),
    (r"\.(?:css|js|map|png|jpe?g|gif|svg|ico|woff2?)$", "/a/b.jpeg", "/a" * 50),
    (r"^(/.*)/(.*)/(.*)\.(php|phtml)$", "/a/b/c.php", "/a" * 100),
    (r"^/(?:%[0-9A-Fa-f]{2}|[a-z])*$", "/a%20b", "/" + "a%20" * 40 + "!"),
    (r"^/(?:v\d+\.)*\d+/(?:[\w.-]+/)*(?:chat|completions)$", "/v1.2/a/b/chat", "/2/" + "a.b/" * 20),
    (r"^(.+\.php)(/.+)*$", "/a.php/b/c", "/a.html" + "/a" * 40),
    (r"^/(\w+)(?:/(\w+))*/?$", "/a/b/c/", "/" + "abc/" * 30 + "!"),
    (r"(?:^|;\s*)session=([^;]+)(?:;|$)", "a=b; session=1", "a=b; " * 40),
]


@pytest.mark.parametrize(("pattern", "match", "other"), USUAL)
def test_what_people_write_is_decided(pattern: str, match: str, other: str) -> None:
    assert compile_pattern(pattern).search(match) is not None
    assert compile_pattern(pattern).search(other) is None


def test_ways_are_counted() -> None:
    assert ways(parsed("^abc"), 100) == 1
    assert ways(parsed("abc"), 100) == 101
    assert ways(parsed("^a*b*"), 10) == 11 * 11
    assert ways(parsed("^(?:a|b|cd)"), 10) == 3
    assert ways(parsed("^(?:a*)*"), 100) == MAX_WAYS + 1
    assert not ends(parsed("^(?:a*)*b"), "a" * 100)
    assert ends(parsed("^(?:a*)*b"), "b" * 100)


@pytest.mark.parametrize(
    ("pattern", "start"),
    [
        ("^/svc/v1/(chat|events)$", "/svc/v1/"),
        (r"^/a\.b-c\/d", "/a.b-c/d"),
        (r"^/a\d", "/a"),
        ("^/ab*", "/a"),
        ("^/ab?", "/a"),
        ("^/ab{0,1}", "/a"),
        (r"^/a\.*", "/a"),
        ("^/ab+", "/ab"),
        ("^/a|/b", ""),
        ("^/a(b)|c", ""),
        ("^/a(?:b|(c|d))[|)(]e", "/a"),
        (r"^/a(b\)|c)d\|e", "/a"),
        (r"^/a\Q(\E|b", ""),
        ("^/a(?x)(b # (\n|c # )\n", ""),
        ("^/a[[:alpha:]|]|b", ""),
        ("^/a[]|]b", "/a"),
        ("^*a", ""),
        ("/a", ""),
        ("(?i)^/a", ""),
        ("^é", ""),
    ],
)
def test_what_a_subject_must_begin_with(pattern: str, start: str) -> None:
    assert prefix(pattern) == start


ALPHABET = "^/ab|()[]*?+{1}\\.$-"


@settings(max_examples=200, deadline=None)
@given(st.text(ALPHABET, max_size=10).map("^".__add__))
def test_what_matches_begins_like_that(pattern: str) -> None:
    for letters in product("/ab", repeat=3):
        subject = "".join(letters)
        with_prefix = Pattern(pattern, False)
        without = Pattern(pattern, False)
        without._prefix = ""
        try:
            found = without.search(subject)
        except Undecided:
            return
        assert (with_prefix.search(subject) is None) == (found is None)


def test_reading_patterns_is_paid_by_the_run() -> None:
    budget = Budget(Limits(regex_steps=10_000))
    texts = [f"{number}" + "[a-z]" * 200 for number in range(1000)]
    read = 0
    with spending(budget):
        for text in texts:
            pattern = Pattern(text, ignore_case=False)
            with suppress(Undecided):
                pattern.search("x")
            read += "_read" in vars(pattern)
    assert 5 < read < 30
    assert [one.message for one in budget.problems] == [
        "the regular expressions take more than 10,000 steps to match"
    ]


def test_a_search_again_is_paid_again() -> None:
    budget = Budget(Limits(regex_steps=10_000))
    pattern = Pattern("(?:a*)*b" * 20, ignore_case=False)
    with spending(budget):
        for length in range(1000):
            with suppress(Undecided):
                pattern.search("b" * length)
        with pytest.raises(Undecided):
            pattern.search("b")
    assert not budget.left("regex_steps")


def test_a_pattern_that_nginx_would_not_read_is_not_read() -> None:
    assert compile_pattern("a" * 4096).search("a" * 4096) is not None
    with pytest.raises(Undecided):
        compile_pattern("a" * 4097).search("a" * 4097)
