"""The modules that stand for YAML at run time: `make docs` writes them.

tests/test_compiled.py fails where one is not what this makes of the YAML.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from nginx_stream_lint.compiled import checksum
from nginx_stream_lint.nginx import directives
from nginx_stream_lint.rules import rule
from nginx_stream_lint.rules.rule_file import read_rules
from nginx_stream_lint.streams import catalogue

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
            "from nginx_stream_lint.streams.catalogue import App, Endpoint, Word\n"
            "from nginx_stream_lint.streams.stream import Stream",
            {"APPS: tuple[App, ...]": apps, "WORDS: dict[str, tuple[Word, ...]]": words},
        ),
    )
    yield (
        "rules/rules_compiled.py",
        _module(
            rule.shipped_files(),
            "from nginx_stream_lint.rules.conditions import All, AnyOf, Not, Test\n"
            "from nginx_stream_lint.rules.rule import Example, FixPlan, Rule, Step",
            {"RULES: tuple[Rule, ...]": read_rules([rule.builtin_folder()])},
        ),
    )


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


def _module(sources: Sequence[str], imports: str, values: Mapping[str, Any]) -> str:
    names = {os.path.basename(path) for path in sources}
    of = names.pop() if len(names) == 1 else f"{len(names)} files"
    lines = [f'"""Made of {of} by `make docs`: edit those, and never this."""', "", imports, ""]
    lines.append(f"CHECKSUM = {checksum(sources)}")
    for name, value in values.items():
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
