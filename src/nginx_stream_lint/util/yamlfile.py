"""Read YAML: `on` and `no` stay words, and every mistake has a position.

YAML 1.1 reads `on`, `off`, `yes` and `no` as booleans, and nginx is full of them. Here they are
strings; only `true` and `false` are booleans. Where writing them bare could still be read wrongly
elsewhere (rule files), the caller asks for quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from nginx_stream_lint.util.budget import in_force

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_ALIASES = 100  # a handful is a convenience, thousands are an attack
# A few aliases of aliases stand for millions of nodes.
_MAX_NODES = 100_000


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
    """The value of a YAML text that is ours: a table of this package.

    Raises YamlMistake.
    """
    loader = _Loader(_characters(text))
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise _mistake(error, text) from None
    finally:
        loader.dispose()


def compose(text: str, aliases: int = _MAX_ALIASES) -> yaml.Node | None:
    """The node tree of a YAML text, for callers that need the places; None for an empty text.

    `aliases` is how many there may be. Raises YamlMistake.
    """
    try:
        _bounded(text, aliases)
        loader = _Loader(_characters(text))
    except yaml.YAMLError as error:
        raise _mistake(error, text) from None
    try:
        node: yaml.Node | None = loader.get_single_node()
    except yaml.YAMLError as error:
        raise _mistake(error, text) from None
    finally:
        loader.dispose()
    return node


def compose_all(text: str) -> tuple[list[yaml.Node], YamlMistake | None]:
    """The node trees of all documents up to the first mistake, and that mistake."""
    nodes: list[yaml.Node] = []
    try:
        _bounded(text)
        loader = _Loader(_characters(text))
    except yaml.YAMLError as error:
        return nodes, _mistake(error, text)
    except YamlMistake as mistake:
        return nodes, mistake
    try:
        while loader.check_node():
            nodes.append(loader.get_node())
    except yaml.YAMLError as error:
        return nodes, _mistake(error, text)
    finally:
        loader.dispose()
    return nodes, None


def comments(text: str) -> list[tuple[int, int]]:
    """The comments of a YAML text, as the scanner sees them, up to the first mistake."""
    found: list[tuple[int, int]] = []
    at = 0
    try:
        _bounded(text)
        for token in yaml.scan(_characters(text), _Loader):
            if isinstance(token, _WORDS):
                found += _comments_between(text, at, token.start_mark.index)
                at = token.end_mark.index
    except (yaml.YAMLError, YamlMistake):
        return found
    return found + _comments_between(text, at, len(text))


# What may have a # in it that begins no comment.
_WORDS = (yaml.ScalarToken, yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#[^\r\n]*", re.MULTILINE)


def _comments_between(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [match.span() for match in _COMMENT.finditer(text, start, end)]


_NO_CHARACTER = re.compile("[\ud800-\udfff]")
# What no YAML text may have in it.
FORBIDDEN = re.compile("[^\t\r\n\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _characters(text: str) -> str:
    """A text as YAML takes it, of the same length: it has no bytes that are no UTF-8."""
    return text if text.isascii() else _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text)


def _bounded(text: str, aliases: int = _MAX_ALIASES) -> None:
    """Refuse what no reader of nodes should be given.

    Raises YamlMistake, yaml's own errors, and Unreadable where the run has no more values left.
    """
    if text.count("*") > aliases and len(re.findall(r"(?<!\w)\*\w", text)) > aliases:
        raise YamlMistake("too many aliases", 1, 1)
    budget = in_force()
    left, most = budget.left("yaml_nodes"), budget.limits.yaml_depth
    number = _most_nodes(text)
    if number > left or _may_be_deep(text, most):
        number = _counted(text, left, most)
    if number > left:
        budget.exceed("yaml_nodes")
    budget.spend("yaml_nodes", number)


def _counted(text: str, left: int, most: int) -> int:
    """How many values a text has, or more than are `left`. Raises YamlMistake for a deep one."""
    number = depth = 0
    known = 0  # the structure is known up to this offset
    too_deep = f"it is nested deeper than {most} levels"
    events: Iterable[Any] = yaml.parse(_characters(text), _Loader)
    try:
        for event in events:
            number += isinstance(event, yaml.NodeEvent)
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > most:
                    # libyaml's composer calls itself for each level, until the stack ends and the
                    # process with it.
                    raise YamlMistake(too_deep, *place(event))
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            known = event.end_mark.index
            if number > left:
                break
    except yaml.MarkedYAMLError as error:
        # Before it yields a bracket, libyaml looks 1,024 characters ahead for the colon of a key.
        # Since 0.2.6 (PyYAML 6.0.4) a limit of its own, 1,000 levels, ends that look.
        mark = error.problem_mark
        if mark is None or "nesting depth" not in (error.problem or ""):
            raise
        where = _first_too_deep(text, known, depth, most, mark)
        raise YamlMistake(too_deep, *where) from None
    return number


def _first_too_deep(
    text: str, known: int, depth: int, most: int, mark: yaml.Mark
) -> tuple[int, int]:
    """Line and column of the bracket that exceeds our limit, at the latest the mark.

    The levels between are flow collections on the line of the mark.
    """
    words = r""""(?:\\.|[^"\\])*"|'[^']*'|[\[{\]}]"""
    for word in re.finditer(words, text[known : mark.index]):
        depth += (word[0] in ("[", "{")) - (word[0] in ("]", "}"))
        if depth > most:
            return mark.line + 1, mark.column + 1 - (mark.index - known - word.start())
    return mark.line + 1, mark.column + 1


def _most_nodes(text: str) -> int:
    """How many values a YAML text can have at most: each needs a character that begins it.

    Most have fewer, since these characters stand in texts as well.
    """
    return 1 + sum(map(text.count, "[{,\n")) + 2 * text.count(":") + 2 * text.count("- ")


def _may_be_deep(text: str, limit: int) -> bool:
    """Whether a look at the structure is worth its time: most texts are plainly flat.

    A level of a block begins one column further right, or is a list below a key of that column.
    """
    most = limit // 3
    if text.count("[") + text.count("{") > most:
        return True
    return re.search(rf"^[ ?:-]{{{most},}}", text, re.MULTILINE) is not None


def refuse_bombs(node: yaml.Node | None) -> None:
    """Refuse a node whose aliases, followed as if written out, have no end or nearly none.

    For callers that do not look whether a node is an alias. Raises YamlMistake.
    """
    if node is not None:
        _size(node, {})


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes a node stands for, its aliases written out. Raises YamlMistake."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = _MAX_NODES + 1  # for one that has itself inside
    size = 1
    if not isinstance(node, yaml.ScalarNode):
        items = node.value
        if isinstance(node, yaml.MappingNode):
            items = [item for pair in items for item in pair]
        size += sum(_size(item, known) for item in items)
    if size > _MAX_NODES:
        raise YamlMistake("its aliases expand to too much", *place(node))
    known[id(node)] = size
    return size


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
    except ValueError:  # such as 2020-99-99
        raise YamlMistake("an invalid number or date", *place(node)) from None
    finally:
        loader.dispose()


def place(node: Any) -> tuple[int, int]:
    """Line and column (from 1) of a node or an event."""
    return node.start_mark.line + 1, node.start_mark.column + 1


def _mistake(error: yaml.YAMLError, text: str = "") -> YamlMistake:
    """What is wrong, in our form; `text` is all of it."""
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        # The reader of characters has no mark.
        odd = FORBIDDEN.search(_characters(text))
        at = 0 if odd is None else odd.start()
        return YamlMistake(message, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return YamlMistake(message, mark.line + 1, mark.column + 1)
