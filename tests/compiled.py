"""The modules that stand for YAML at run time: `make docs` writes them.

tests/test_compiled.py fails where one is not what this makes of the YAML.
"""

from __future__ import annotations

import dataclasses
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from nginx_stream_lint.nginx import directives
from nginx_stream_lint.rules import shipped
from nginx_stream_lint.rules.rule_file import read_rules
from nginx_stream_lint.streams import catalogue
from nginx_stream_lint.util.compiled import checksum
from tests import compiled_templates

PACKAGE = Path(directives.__file__).parents[1]


def modules() -> Iterator[tuple[str, str]]:
    """The path in the package and the text of each module; each may need the ones before."""
    yield (
        "nginx/directives_compiled.py",
        _module(
            [directives.FILE],
            "from nginx_stream_lint.nginx.directives import Entry",
            {"TABLE: dict[str, Entry]": directives.read()},
        ),
    )
    apps, read = catalogue.read()
    words = {
        where: tuple(dataclasses.replace(one, parts=parts(one.words)) for one in rows)
        for where, rows in read.items()
    }
    yield (
        "streams/catalogue_compiled.py",
        _module(
            catalogue.FILES,
            "from nginx_stream_lint.streams.catalogue import App, Endpoint, Vocabulary, Word\n"
            "from nginx_stream_lint.streams.stream import Stream",
            {
                "APPS: tuple[App, ...]": apps,
                "WORDS: dict[str, tuple[Word, ...]]": words,
                "VOCABULARY": vocabulary(apps, words),
            },
        ),
    )
    rules = read_rules([shipped.builtin_folder()])
    yield (
        "rules/rules_compiled.py",
        _module(
            shipped.shipped_files(),
            "from nginx_stream_lint.rules.conditions import All, AnyOf, Not, Test\n"
            "from nginx_stream_lint.rules.rule import Example, FixPlan, Rule, Step",
            {"RULES: tuple[Rule, ...]": rules},
        ),
    )
    yield "rules/templates_compiled.py", compiled_templates.module(rules)


# The parser of `re` itself: what it reads is what will run.
_parser: Any = import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")


def parts(expression: str) -> tuple[str, ...]:
    """Texts one of which is in every match of a regular expression, in lower case."""
    found = _parts(_parser.parse(expression))
    return tuple(sorted(one for one in found if not any(o in one for o in found - {one})))


def _parts(tree: Any) -> set[str]:
    """The parts of the piece of a sequence that tells most; an empty text where none tells."""
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


# Lists that are asked about single labels, not about texts.
_OTHERS = ("usual",)


def vocabulary(
    apps: Sequence[catalogue.App], words: Mapping[str, Sequence[catalogue.Word]]
) -> catalogue.Vocabulary:
    """What the lists for texts, and the names and endpoints of apps, have in them."""
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
    # Whatever has a longer part in it has the shorter one in it, too.
    shortest = (one for one in around if not any(o in one for o in around - {one}))
    return catalogue.Vocabulary(*map(frozenset, (runs, numbered, shortest, numbered_parts)))


def spellings(expression: str) -> list[str]:
    """What a regular expression of words can find.

    `~` stands for any letters, `#` for any letters and digits. Of repeated characters one is there,
    of characters that are no letters a space. Look-arounds are taken for part of what is found.
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
            # Where it begins looking back, letters may stand before.
            before = "~" if argument[0] < 0 else ""
            choices = [before + text for text in _spellings(argument[1])]
        else:
            assert name == "AT", name
            choices = [""]
        found = [text + one for text in found for one in choices]
    return found


def _members(members: Any) -> list[str]:
    """What stands for one of the characters of a class."""
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


def _module(sources: Sequence[str], imports: str, values: Mapping[str, Any]) -> str:
    names = {os.path.basename(path) for path in sources}
    of = names.pop() if len(names) == 1 else f"{len(names)} files"
    lines = [f'"""Made of {of} by `make docs`: edit those, and never this."""', "", imports, ""]
    lines.append(f"CHECKSUM = {checksum(sources)}")
    for name, value in values.items():
        if not isinstance(value, (dict, tuple)):
            lines.append(f"{name} = {_text(value)}")
            continue
        items = (
            [f"{key!r}: {_text(one)}" for key, one in value.items()]
            if isinstance(value, dict)
            else list(map(_text, value))
        )
        opening, closing = "{}" if isinstance(value, dict) else "()"
        lines += [f"{name} = {opening}", *(f"    {item}," for item in items), closing]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    """A value as Python that makes it again, the same in every run."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = [
            f"{field.name}={_text(one)}"
            for field in dataclasses.fields(value)
            if (one := getattr(value, field.name)) != field.default
        ]
        return f"{type(value).__name__}({', '.join(given)})"
    if isinstance(value, frozenset):
        return f"frozenset({sorted(value)!r})"
    if isinstance(value, (tuple, list)):
        items = ", ".join(map(_text, value))
        return f"[{items}]" if isinstance(value, list) else f"({items}{',' * (len(value) == 1)})"
    assert isinstance(value, (str, int, float, type(None))), value
    return repr(value)


def main() -> None:
    for path, text in modules():
        (PACKAGE / path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
