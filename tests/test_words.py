"""Printed texts are plain English: none has a word that language.md replaced."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.manpage import man_page
from tests.pages import pages

_ROOT = Path(__file__).resolve().parents[1]
_SOURCES = _ROOT / "src" / "nginx_stream_lint"

# Each with what to write instead.
_AVOIDED = {
    r"nobody|somebody|anybody|whoever|whatsoever": "name the actor",
    r"what is asked|asked|asks for so": "requested, or name who requests what",
    r"answer(?:s|ed|ing)?": "response, respond",
    r"speaks?|speaking|spoken": "use, mention",
    r"hand(?:s|ed)? on": "pass, forward",
    r"mend(?:s|ed)?": "fix, correct",
    r"told|thought": "likely, assumed, reported",
    r"taken (?:for|to be|not to)": "assumed",
    r"count(?:s|ed)? in": "include",
    r"anew": "again",
    r"so it is with": "subject, verb, object",
    r"where (?:not given|nothing is (?:said|given))": "[default: …]",
    r"; else": "otherwise, [default: …]",
    r"(?:is|are|was) not here": "not found",
    r"(?<!there )is no [A-Z]\w*|(?<!there )is no [a-z]+ of": "is not a …",
    r"is wanted|wants": "expected, needs",
    r"br(?:eaks?|oke|oken) off": "truncated, cut off",
    r"heaps?": "bursts",
    r"lets? in": "accepts, supports",
    r"of ours|of one's own|of your own": "your own, ours",
    r"put right|set right|made good": "fix",
    r"all the same": "still",
    r"nothing of": "none of, no",
    r"by hand": "manual",
}
_AVOIDED_WORDS = re.compile("|".join(rf"\b(?:{words})\b" for words in _AVOIDED), re.IGNORECASE)
# What language.md itself writes, and names.
_ALLOWED = re.compile(r"because you asked about it|the user nobody|text/html; else")
# Phrases of other servers, to recognize them by.
_QUOTED = {"known_words.py"}


def _strings(path: Path) -> Iterator[str]:
    """The texts in a module: strings of several words without docstrings and patterns."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or id(node) in skipped:
            continue
        text = node.value
        if isinstance(text, str) and " " in text and not re.search(r"\\[a-zA-Z]|\(\?|\n", text):
            yield text


@cache
def _printed() -> tuple[tuple[str, str], ...]:
    """Every text that the product prints, with where it is."""
    return tuple(_texts())


def _texts() -> Iterator[tuple[str, str]]:
    for path in sorted(_SOURCES.rglob("*.py")):
        if path.name not in _QUOTED:
            for text in _strings(path):
                yield str(path.relative_to(_ROOT)), text
    yield "tiers/products.yaml", _without_comments(_SOURCES / "tiers" / "products.yaml")
    page = (_SOURCES / "report" / "page.html").read_text(encoding="utf-8")
    yield "report/page.html", re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "", page, flags=re.DOTALL)
    for path in sorted((_ROOT / "rules").glob("*.yaml")):
        text = path.read_text(encoding="utf-8")
        yield path.name, re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "", text, flags=re.DOTALL)
    yield "the man page", man_page().replace("\\-", "-")
    yield from ((name, text) for name, text in pages().items() if name != "json.md")


def _without_comments(path: Path) -> str:
    """The values of a table, without comments and names of causes."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return "\n".join(line for line in lines if not re.match(r" *(#|- for:)", line))


def _found(text: str) -> list[str]:
    text = _ALLOWED.sub("", " ".join(text.split()))
    return [
        f"…{text[max(0, found.start() - 40) : found.end() + 40]}…"
        for found in _AVOIDED_WORDS.finditer(text)
    ]


def test_printed_texts_have_no_avoided_word() -> None:
    found = [f"{where}: {said}" for where, text in _printed() for said in _found(text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "an answer that breaks off",
        "300s where not given",
        "The nginx to run; else the one in PATH",
        "this is no NAME=VALUE",
        "Nobody says whether this streams",
        "a list is wanted here",
    ],
)
def test_an_avoided_word_is_found(text: str) -> None:
    assert _found(text)


def test_many_texts_are_read() -> None:
    printed = [text for _, text in _printed()]
    assert len(printed) > 800
    for text in ("no findings", "Apply the safe fixes to the files.", "nginx buffers the response"):
        assert any(text in one for one in printed), text
