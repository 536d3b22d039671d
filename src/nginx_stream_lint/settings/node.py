"""Values of a settings file with their positions, the same for YAML and TOML."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from msgspec import Struct

from nginx_stream_lint.util.numbers import whole_number

if TYPE_CHECKING:
    import yaml

Kind = Literal["text", "number", "flag", "nothing", "list", "mapping", "other"]


class Misplaced(Exception):
    """A mistake at a position; `line` and `column` count from 1."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


class Node(Struct, frozen=True):
    """A value and its position.

    `text` is a scalar's text, as written if the file format preserves it. Children are read on
    demand, so aliases that would expand beyond any memory do no harm.
    """

    kind: Kind
    text: str
    line: int
    column: int
    list_items: Callable[[], list[Node]] = list
    mapping_pairs: Callable[[], list[tuple[Node, Node]]] = list

    def fail(self, message: str) -> NoReturn:
        """Raise Misplaced at this node."""
        raise Misplaced(message, self.line, self.column)

    def pairs(self) -> list[tuple[Node, Node]]:
        """The keys and values of a mapping. Raises Misplaced for a repeated key."""
        seen: dict[str, Node] = {}
        pairs = self.mapping_pairs()
        for key, _ in pairs:
            if key.kind in ("list", "mapping", "other"):
                key.fail("a key must be a word")
            first = seen.setdefault(key.text, key)
            if first is not key:
                key.fail(f'"{key.text}" is set twice: see line {first.line}')
        return pairs

    def plain(self) -> Any:
        """The value without positions, as JSON types."""
        if self.kind == "list":
            return [item.plain() for item in self.list_items()]
        if self.kind == "mapping":
            return {key.text: value.plain() for key, value in self.mapping_pairs()}
        if self.kind == "flag":
            return self.text == "true"
        if self.kind == "number":
            number = whole_number(self.text)
            return _fraction(self.text) if number is None else number
        return None if self.kind == "nothing" else self.text


def _fraction(text: str) -> float | str:
    """Parse a number with a point; YAML-only numbers such as `1:30` stay text."""
    try:
        return float(text)
    except ValueError:
        return text


# Dates stay words: no setting is a date.
_KINDS: dict[str, Kind] = {
    "str": "text",
    "timestamp": "text",
    "value": "text",
    "merge": "text",
    "int": "number",
    "float": "number",
    "bool": "flag",
    "null": "nothing",
    "seq": "list",
    "map": "mapping",
}
_TAG = "tag:yaml.org,2002:"


def yaml_node(text: str) -> Node | None:
    """Parse a YAML text to a tree; None for an empty text.

    Raises Misplaced.
    """
    from nginx_stream_lint.util.yamlfile import YamlMistake, compose

    try:
        root = compose(text)
    except YamlMistake as mistake:
        raise Misplaced(
            f"cannot be read as YAML: {mistake.message}", mistake.line, mistake.column
        ) from None
    node = None if root is None else _from_yaml(root)
    return None if node is not None and node.kind == "nothing" else node


def _from_yaml(node: yaml.Node) -> Node:
    import yaml

    from nginx_stream_lint.util.yamlfile import place

    line, column = place(node)
    kind = _KINDS.get(node.tag.removeprefix(_TAG))
    if kind is None:
        tag = node.tag.replace(_TAG, "!!")
        raise Misplaced(f'the YAML tag "{tag}" is not supported; remove it', line, column)
    if isinstance(node, yaml.MappingNode):
        pairs = node.value
        return Node(
            "mapping" if kind == "mapping" else "other",
            "",
            line,
            column,
            mapping_pairs=lambda: [(_from_yaml(key), _from_yaml(value)) for key, value in pairs],
        )
    if isinstance(node, yaml.SequenceNode):
        items = node.value
        return Node(
            "list" if kind == "list" else "other",
            "",
            line,
            column,
            list_items=lambda: [_from_yaml(item) for item in items],
        )
    return Node("other" if kind in ("list", "mapping") else kind, node.value, line, column)


def plain_node(value: Any) -> Node:
    """Convert a plain value to a tree without positions: all lines are 0."""
    if isinstance(value, dict):
        pairs = [(plain_node(key), plain_node(one)) for key, one in value.items()]
        return Node("mapping", "", 0, 0, mapping_pairs=lambda: pairs)
    if isinstance(value, list | tuple):
        items = [plain_node(one) for one in value]
        return Node("list", "", 0, 0, list_items=lambda: items)
    if isinstance(value, bool):
        return Node("flag", str(value).lower(), 0, 0)
    kind: Kind = "number" if isinstance(value, int | float) else "text"
    return Node(kind, str(value), 0, 0)
