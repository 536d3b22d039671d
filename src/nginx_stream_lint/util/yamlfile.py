"""Read YAML: `on` and `no` stay text, and every mistake has a position.

YAML 1.1 reads `on`, `off`, `yes` and `no` as booleans, but they are common words in nginx. Here
they are strings; only `true` and `false` are booleans. If other readers could misread such a word
(rule files), the caller requires quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from os.path import basename
from typing import Any, TypeVar

import yaml
from msgspec import ValidationError, convert

from nginx_stream_lint.util.budget import in_force
from nginx_stream_lint.util.data import data_text

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MAX_ALIASES = 100  # a handful is a convenience, thousands are an attack
_T = TypeVar("_T")
# A few nested aliases can expand to millions of nodes.
_MAX_NODES = 100_000


class YamlMistake(Exception):
    """An error in a YAML text; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class _Loader(_Base):  # type: ignore[misc]
    """A safe loader without the surprises of YAML 1.1."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))


def load_text(text: str) -> Any:
    """Load a trusted YAML text: a table of this package.

    Raises YamlMistake.
    """
    loader = _Loader(_characters(text))
    try:
        return loader.get_single_data()
    except yaml.YAMLError as error:
        raise _mistake(error, text) from None
    finally:
        loader.dispose()


def load_records(path: str, kind: type[_T]) -> _T:
    """Load a table of this package as records of a kind.

    Raises YamlMistake, and ValueError with the file, the row (from 0) and what is wrong with it.
    """
    try:
        return convert(load_text(data_text(path)), kind)
    except ValidationError as error:
        raise ValueError(f"{basename(path)}: {error}; see the comment at its top") from None


def compose(text: str, aliases: int = _MAX_ALIASES) -> yaml.Node | None:
    """Parse a YAML text to nodes with positions; None for an empty text.

    `aliases` is the allowed number of aliases. Raises YamlMistake.
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
    """Parse all documents up to the first mistake; returns their nodes and that mistake."""
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
    """The comments of a YAML text up to the first mistake, as pairs of offsets."""
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


# Tokens that may contain a # which begins no comment.
_WORDS = (yaml.ScalarToken, yaml.AnchorToken, yaml.AliasToken, yaml.TagToken)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#[^\r\n]*", re.MULTILINE)


def _comments_between(text: str, start: int, end: int) -> list[tuple[int, int]]:
    return [match.span() for match in _COMMENT.finditer(text, start, end)]


_NO_CHARACTER = re.compile("[\ud800-\udfff]")
# Characters that no YAML text may contain. Python needs 6 ms to compile the others into a set.
FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufffe\uffff]")


def _characters(text: str) -> str:
    """Convert a text to one of the same length that YAML accepts, without surrogates."""
    return text if text.isascii() else _NO_CHARACTER.sub("\N{REPLACEMENT CHARACTER}", text)


def _bounded(text: str, aliases: int = _MAX_ALIASES) -> None:
    """Refuse text that would be too expensive to parse.

    Raises YamlMistake, yaml's own errors, and Unreadable if the run has not enough values left.
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
    """Count the values of a text, up to one more than `left`. Raises YamlMistake if too deep."""
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
                    # libyaml's composer recurses for each level, until the stack overflows and the
                    # process crashes.
                    raise YamlMistake(too_deep, *place(event))
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            known = event.end_mark.index
            if number > left:
                break
    except yaml.MarkedYAMLError as error:
        # Before it yields a bracket, libyaml looks 1,024 characters ahead for the colon of a key.
        # Since 0.2.6 (PyYAML 6.0.4) its own limit of 1,000 levels stops that search.
        mark = error.problem_mark
        if mark is None or "nesting depth" not in (error.problem or ""):
            raise
        where = _first_too_deep(text, known, depth, most, mark)
        raise YamlMistake(too_deep, *where) from None
    return number


def _first_too_deep(
    text: str, known: int, depth: int, most: int, mark: yaml.Mark
) -> tuple[int, int]:
    """Line and column of the bracket that exceeds our depth limit, at the latest the mark.

    The levels between are flow collections on the line of the mark.
    """
    words = r""""(?:\\.|[^"\\])*"|'[^']*'|[\[{\]}]"""
    for word in re.finditer(words, text[known : mark.index]):
        depth += (word[0] in ("[", "{")) - (word[0] in ("]", "}"))
        if depth > most:
            return mark.line + 1, mark.column + 1 - (mark.index - known - word.start())
    return mark.line + 1, mark.column + 1


def _most_nodes(text: str) -> int:
    """Upper bound for the number of values: each needs a character that begins it.

    Most texts have fewer, since these characters also occur inside of values.
    """
    return 1 + sum(map(text.count, "[{,\n")) + 2 * text.count(":") + 2 * text.count("- ")


def _may_be_deep(text: str, limit: int) -> bool:
    """Whether a text may be too deep to skip the exact check: most are plainly flat.

    A level of a block begins one column further right, or is a list below a key of that column.
    """
    most = limit // 3
    if text.count("[") + text.count("{") > most:
        return True
    return re.search(rf"^[ ?:-]{{{most},}}", text, re.MULTILINE) is not None


def refuse_bombs(node: yaml.Node | None) -> None:
    """Refuse a node that expands to too many nodes, or endlessly, through its aliases.

    For callers that do not treat aliases specially. Raises YamlMistake.
    """
    if node is not None:
        _size(node, {})


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """Count the nodes below a node with aliases expanded. Raises YamlMistake."""
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = _MAX_NODES + 1  # for a node that contains itself
    size = 1
    if not isinstance(node, yaml.ScalarNode):
        items = node.value
        if isinstance(node, yaml.MappingNode):
            items = [item for pair in items for item in pair]
        size += sum(_size(item, known) for item in items)
    if size > _MAX_NODES:
        raise YamlMistake("its aliases expand to too many values", *place(node))
    known[id(node)] = size
    return size


def construct(node: yaml.Node | None) -> Any:
    """Convert a node to its value. Raises YamlMistake."""
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
    """Convert an error of yaml; `text` is the complete text."""
    mark = getattr(error, "problem_mark", None)
    message = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        # Errors about characters have no mark.
        odd = FORBIDDEN.search(_characters(text))
        at = 0 if odd is None else odd.start()
        return YamlMistake(message, text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))
    return YamlMistake(message, mark.line + 1, mark.column + 1)
