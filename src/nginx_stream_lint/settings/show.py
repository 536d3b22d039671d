"""Show the effective settings as YAML, each with its origin."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from nginx_stream_lint.settings.keys import KEYS, OVERRIDE_KEYS
from nginx_stream_lint.settings.load import Settings
from nginx_stream_lint.settings.node import Misplaced, Node, plain_node, yaml_node
from nginx_stream_lint.util.escaping import printable

# Words that some YAML readers do not read as text.
_AMBIGUOUS = {"on", "off", "yes", "no", "y", "n", "null", "~"}
_BARE = re.compile(r"[\w./][\w./*-]*")


def in_force(settings: Settings, given: Mapping[str, Any]) -> str:
    """Format the effective settings as YAML.

    `given` are the values from options, by the keys that they override. If an option adds to a
    list, the items of the file stay, too.
    """
    lines = [
        f"# from {printable(str(settings.file))}"
        if settings.file
        else "# there is no settings file"
    ]

    for key in KEYS:
        node = settings.written.get(key.name)
        option = key.option
        if key.name in given:
            more = plain_node(given[key.name])
            node = _joined(node, more) if node is not None and key.adds else more
        elif node is None and key.default is not None:
            node, option = plain_node(key.default), "default"
        if node is None:
            lines.append(f"# {key.name}: {key.unset}  # default")
        else:
            origin = _Origin(str(settings.file), option, _overruled(key.name, given))
            lines += _entry(f"{key.name}:", node, "", origin)
    return "\n".join(lines) + "\n"


def as_yaml(settings: Mapping[str, Any]) -> str:
    """Format plain settings as YAML."""
    lines = [
        line
        for key, value in settings.items()
        for line in _entry(f"{key}:", plain_node(value), "", _Origin("", "", {}))
    ]
    return "\n".join(lines) + "\n"


class _Origin(Struct, frozen=True):
    """The origin of a value, as a comment: a line of the file, an option, or the default."""

    file: str
    otherwise: str
    overruled: Mapping[str, str]

    def __call__(self, node: Node, key: str) -> str:
        said = f"{self.file}:{node.line}" if node.line else self.otherwise
        if key in self.overruled:
            said += f", overridden by {self.overruled[key]}"
        return f"  # {printable(said)}" if said else ""


def _overruled(key: str, given: Mapping[str, Any]) -> dict[str, str]:
    """The values of a key, or of keys inside it, that an option overrides."""
    if key == "overrides":
        inside = (one for one in OVERRIDE_KEYS if one.name in given and not one.adds)
        return {one.name: one.option for one in inside}
    return {key: "--select"} if key == "ignore" and "select" in given else {}


def _joined(first: Node, second: Node) -> Node:
    """Join two lists, or single values, to one list."""
    items = [
        item
        for node in (first, second)
        for item in (node.list_items() if node.kind == "list" else [node])
    ]
    return Node("list", "", 0, 0, list_items=lambda: items)


def _entry(head: str, node: Node, indent: str, origin: _Origin) -> Iterator[str]:
    """Format a value after `head`: a key with its colon, or the dash of an item."""
    items, pairs = node.list_items(), node.mapping_pairs()
    if not items and not pairs:
        yield f"{indent}{head} {_scalar(node)}{origin(node, head.rstrip(':'))}"
        return
    inside = indent + "  "
    if head == "-":
        # The contents of an item are indented to the column after its dash.
        lines = list(_inside(items, pairs, inside, origin))
        yield f"{indent}- {lines[0].lstrip()}"
        yield from lines[1:]
    else:
        yield f"{indent}{head}"
        yield from _inside(items, pairs, inside, origin)


def _inside(
    items: list[Node],
    pairs: list[tuple[Node, Node]],
    indent: str,
    origin: _Origin,
) -> Iterator[str]:
    for item in items:
        yield from _entry("-", item, indent, origin)
    for key, value in pairs:
        yield from _entry(f"{_word(key.text)}:", value, indent, origin)


def _scalar(node: Node) -> str:
    if node.kind == "list":
        return "[]"
    if node.kind == "mapping":
        return "{}"
    return _word(node.text) if node.kind == "text" else node.text


def _word(text: str) -> str:
    """Format a text as YAML, quoted if it could be misread."""
    if _BARE.fullmatch(text) and text.lower() not in _AMBIGUOUS:
        try:
            node = yaml_node(text)
        except Misplaced:
            node = None
        if node is not None and (node.kind, node.text) == ("text", text):
            return text
    return json.dumps(text, ensure_ascii=False)
