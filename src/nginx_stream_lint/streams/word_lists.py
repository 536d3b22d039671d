"""Read the evidence words from their YAML (`evidence.yaml`), and what their expressions match."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from msgspec import Struct

from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.streams.catalogue import App, apps
from nginx_stream_lint.streams.evidence_words import Evidence, EvidenceWord, Vocabulary
from nginx_stream_lint.streams.stream import Kind
from nginx_stream_lint.util.yamlfile import load_records

FILE = os.path.join(os.path.dirname(__file__), "evidence.yaml")

# The parser of `re` itself, so that the result matches what will run.
_parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


class _WordRow(Struct, forbid_unknown_fields=True):
    """A word of evidence as it is written."""

    words: str
    kind: Kind | None = None
    points: int = 0
    heartbeat: str | None = None
    endless: bool = False


def read_evidence() -> Evidence:
    """Read the evidence words and the vocabulary."""
    rows = load_records(FILE, dict[str, tuple[_WordRow, ...]])
    words = {where: tuple(map(_word, several)) for where, several in rows.items()}
    return Evidence(words, vocabulary(apps(), words))


def _word(row: _WordRow) -> EvidenceWord:
    return EvidenceWord(
        row.words,
        row.kind,
        row.points,
        parts(row.words),
        heartbeat_s=None if row.heartbeat is None else parse_time(row.heartbeat),
        is_endless=row.endless,
    )


def parts(expression: str) -> tuple[str, ...]:
    """Texts of which every match of a regular expression contains one, in lower case."""
    found = _parts(_parser.parse(expression))
    return tuple(sorted(one for one in found if not any(o in one for o in found - {one})))


def _parts(tree: Any) -> set[str]:
    """The alternatives of the most selective item of a sequence; an empty text if none is."""
    choices: list[set[str]] = [{""}]
    letters = ""
    for operation, argument in tree:
        if str(operation) == "LITERAL":
            letters += chr(argument).lower()
            continue
        choices.append({letters})
        letters = ""
        if str(operation) == "SUBPATTERN":
            choices.append(_parts(argument[3]))
        elif str(operation) == "BRANCH":
            choices.append(set().union(*map(_parts, argument[1])))
        elif str(operation) == "MAX_REPEAT" and argument[0] > 0:
            choices.append(_parts(argument[2]))
    choices.append({letters})
    return max(choices, key=lambda one: min(map(len, one)))


# Lists that are used for single labels and names, not for texts.
_OTHERS = ("usual",)


def vocabulary(apps: Sequence[App], words: Mapping[str, Sequence[EvidenceWord]]) -> Vocabulary:
    """Build the vocabulary of the word lists and of the apps' names and endpoints."""
    texts = [name for app in apps for name in app.names]
    texts += (one.distinctive.lower() for app in apps for one in app.endpoints)
    for where, rows in words.items():
        if where not in _OTHERS:
            texts += (text for row in rows for text in spellings(row.words))
    runs: set[str] = set()
    numbered: set[str] = set()
    around: set[str] = set()
    numbered_parts: set[str] = set()
    for token in re.findall(r"[a-z0-9~#]+", " ".join(texts)):
        for run in re.findall(r"[a-z~#]+", token):
            part = run.strip("~#")
            (runs if part == run else around).add(part)
            if run.endswith("#"):
                numbered_parts.add(part)
            elif token[-1].isdigit():
                numbered.add(part)
    # A text that contains a longer part also contains the shorter one.
    shortest = (one for one in around if not any(o in one for o in around - {one}))
    return Vocabulary(*map(frozenset, (runs, numbered, shortest, numbered_parts)))


def spellings(expression: str) -> list[str]:
    """The spellings that a regular expression of words can match.

    `~` is any number of letters, `#` any letters and digits. Repeated characters occur once; a
    non-letter becomes a space. Look-arounds are treated as a part of the match.
    """
    return _spellings(_parser.parse(expression))


def _spellings(tree: Any) -> list[str]:
    found = [""]
    for operation, argument in tree:
        name = str(operation)
        if name == "LITERAL":
            letter = chr(argument).lower()
            choices = [letter if letter.isalnum() else " "]
        elif name == "IN":
            choices = _members(argument)
        elif name == "SUBPATTERN":
            choices = _spellings(argument[3])
        elif name == "BRANCH":
            choices = [text for one in argument[1] for text in _spellings(one)]
        elif name == "MAX_REPEAT":
            choices = _spellings(argument[2]) + ([""] if argument[0] == 0 else [])
        elif name in ("ASSERT", "ASSERT_NOT"):
            # At the start of a look-behind, letters may come before.
            before = "~" if argument[0] < 0 else ""
            choices = [before + text for text in _spellings(argument[1])]
        else:
            assert name == "AT", name
            choices = [""]
        found = [text + one for text in found for one in choices]
    return found


def _members(members: Any) -> list[str]:
    """The replacement for the characters of a class."""
    ranges = [argument for operation, argument in members if str(operation) == "RANGE"]
    if (ord("a"), ord("z")) in ranges:
        return ["#" if (ord("0"), ord("9")) in ranges else "~"]
    if ranges:
        assert ranges == [(ord("0"), ord("9"))], members
        assert len(members) == 1, members
        return ["0"]
    assert {str(operation) for operation, _ in members} == {"LITERAL"}, members
    letters = {chr(argument) for _, argument in members}
    return sorted({one if one.isalnum() else " " for one in letters})
