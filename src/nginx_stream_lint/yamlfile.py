"""YAML as this project reads it: words stay words, and every mistake has a place.

YAML 1.1 reads `on`, `off`, `yes` and `no` as booleans, and nginx is full of them. Here they are
strings; only `true` and `false` are booleans. Where writing them bare could still be read wrongly
elsewhere (rule files), the caller asks for quotes.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_ALIASES = 100  # a handful is a convenience, thousands are an attack
_MAX_DEPTH = 100  # libyaml recurses, and its stack ends before Python's does
_DEEP = re.compile(r"^[ \t?:-]{50}", re.MULTILINE)


class YamlMistake(Exception):
    """What is wrong with a YAML text; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader without YAML 1.1's surprises."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_text(text: str) -> Any:
    """The value of a YAML text.

    Raises YamlMistake.
    """
    return construct(compose(text))


def compose(text: str) -> yaml.Node | None:
    """The node tree of a YAML text, for callers that need the places; None for an empty text.

    Raises YamlMistake.
    """
    _bounded(text)
    loader = _Loader(text)
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.YAMLError as error:
        raise _mistake(error) from None
    finally:
        loader.dispose()
    return node


def compose_all(text: str) -> tuple[list[yaml.Node], YamlMistake | None]:
    """The node trees of all documents up to the first mistake, and that mistake."""
    nodes: list[yaml.Node] = []
    try:
        _bounded(text)
        loader = _Loader(text)
    except yaml.YAMLError as error:
        return nodes, _mistake(error)
    except YamlMistake as mistake:
        return nodes, mistake
    try:
        while loader.check_node():
            nodes.append(loader.get_node())
    except yaml.YAMLError as error:
        return nodes, _mistake(error)
    finally:
        loader.dispose()
    return nodes, None


def _bounded(text: str) -> None:
    if text.count("*") > _MAX_ALIASES and len(re.findall(r"(?<!\w)\*\w", text)) > _MAX_ALIASES:
        raise YamlMistake("too many aliases", 1, 1)
    # Only what has many brackets or stands far to the right can be deep.
    if text.count("[") + text.count("{") > _MAX_DEPTH or _DEEP.search(text):
        with suppress(yaml.YAMLError):  # composing it will say so
            _shallow(text)


def _shallow(text: str) -> None:
    """Raises YamlMistake where a text nests too deep."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _MAX_DEPTH:
                line, column = place(event)
                raise YamlMistake(f"this is more than {_MAX_DEPTH} levels deep", line, column)
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def construct(node: yaml.Node | None) -> Any:
    """The value of a node.

    Raises YamlMistake.
    """
    if node is None:
        return None
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _mistake(error) from None
    finally:
        loader.dispose()


def place(node: yaml.Node | yaml.Event) -> tuple[int, int]:
    """Line and column (from 1) of a node."""
    assert node.start_mark is not None
    return node.start_mark.line + 1, node.start_mark.column + 1


def _mistake(error: yaml.YAMLError) -> YamlMistake:
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return YamlMistake(message, 1, 1)
    return YamlMistake(message, mark.line + 1, mark.column + 1)
