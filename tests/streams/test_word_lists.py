"""What is read from the expressions of the lists is what they find."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from nginx_stream_lint.streams import evidence_words as evidence
from nginx_stream_lint.streams.word_lists import parts


# Where case is ignored, some letters that are no ASCII match ASCII ones: such texts are searched.
@pytest.mark.parametrize(
    "word",
    [one for rows in evidence.evidence_words().values() for one in rows],
    ids=lambda one: one.words,
)
@settings(deadline=None)
@given(data=st.data())
def test_what_an_expression_finds_has_one_of_its_parts(
    word: evidence.EvidenceWord, data: st.DataObject
) -> None:
    text = data.draw(st.from_regex(re.compile(word.words, re.IGNORECASE | re.ASCII)))
    found = parts(word.words)
    assert not text.isascii() or any(one in text.lower() for one in found), text
    expression = re.compile(rf"(?<![a-z])(?:{word.words})(?![a-z])", re.IGNORECASE)
    once = replace(word, parts=found).pattern
    theirs = [match.span() for match in expression.finditer(text)]
    assert [match.span() for match in once.finditer(text)] == theirs


@settings(deadline=None)
@given(text=st.text("abcdefghijklmnopqrstuvwxyzACEHMRST-/ .0KſS"))
def test_a_finder_finds_what_its_expression_finds(text: str) -> None:
    for rows in evidence.evidence_words().values():
        for word in rows:
            finder = evidence.RegexFinder(word.words, word.parts)
            expression = re.compile(word.words, re.IGNORECASE)
            for method in ("search", "fullmatch"):
                ours, theirs = getattr(finder, method)(text), getattr(expression, method)(text)
                assert (ours and ours.span()) == (theirs and theirs.span())
