"""Places in TOML against texts whose places are known, and against tomllib's values."""

from __future__ import annotations

import json
import string
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.settings.node import Misplaced, Node
from nginx_stream_lint.settings.toml import toml_node

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]

# QQQ are three single quotes.
TEXT = """\
# comment = [
top = 1_000
"quoted key" . 'an = other' = QQQa
# no comment
[no.header] x''QQQ
'' = ''

[a.b]  # [c]
x.y = { one = [1, 2, { three = '#' }], "two" = 1979-05-27 07:32:00 } # end
long = [ # first
  'a', # second ]
  QQQb]QQQ,
  {},
]
[[a.list]]
n = QQQit''s\\QQQ
[a.list.inner]
m = true
[[a.list]]
n = "\\"]\\\\" # "
[[a.list.deep]]
k = -1.5e3
""".replace("QQQ", "'''")


def nodes(node: Node, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Node, Node]]:
    """Every path with its key's node (or the item's own) and its value's."""
    for number, item in enumerate(node.list_items()):
        yield (*path, number), item, item
        yield from nodes(item, (*path, number))
    for key, value in node.pairs():
        yield (*path, key.text), key, value
        yield from nodes(value, (*path, key.text))


def at(text: str, node: Node) -> str:
    """The text from a node's place to the end of its line."""
    return text.split("\n")[node.line - 1][node.column - 1 :]


def test_every_place_in_a_text_of_all_forms() -> None:
    places = {path: (at(TEXT, key), at(TEXT, value)) for path, key, value in nodes(toml_node(TEXT))}
    assert toml_node(TEXT).plain()["a"]["list"][0]["n"] == tomllib.loads(TEXT)["a"]["list"][0]["n"]

    def check(path: tuple[Any, ...], key: str, value: str) -> None:
        assert places[path][0].startswith(key), path
        assert places[path][1].startswith(value), path

    check(("top",), "top = 1", "1_000")
    check(("quoted key",), '"quoted key"', "'''a")
    check(("quoted key", "an = other"), "'an = other'", "'''a")
    check(("",), "'' =", "''")
    check(("a", "b"), "b]", "[a.b]")
    check(("a", "b", "x"), "x.y", "{ one")
    check(("a", "b", "x", "y"), "y = {", "{ one")
    check(("a", "b", "x", "y", "one", 1), "2,", "2,")
    check(("a", "b", "x", "y", "one", 2, "three"), "three", "'#'")
    check(("a", "b", "x", "y", "two"), '"two"', "1979")
    check(("a", "b", "long", 1), "'''b]", "'''b]")
    check(("a", "b", "long", 2), "{}", "{}")
    check(("a", "list"), "list]]", "[[a.list]]")
    check(("a", "list", 0), "[[a.list]]", "[[a.list]]")
    check(("a", "list", 0, "n"), "n = '''", "'''it")
    check(("a", "list", 0, "inner", "m"), "m = true", "true")
    check(("a", "list", 1, "n"), "n = ", '"\\"]')
    check(("a", "list", 1, "deep", 0, "k"), "k = -1", "-1.5e3")


WORDS = st.text(string.ascii_letters + "-_ .#=[]{}'\"\\,é\n\t", max_size=8)
VALUES: st.SearchStrategy[Any] = st.recursive(
    WORDS | st.integers(-(10**6), 10**6) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


class _Writer:
    """TOML in forms that are drawn, with the offset of each key and value that is written."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.places: dict[tuple[Any, ...], tuple[int, int]] = {}

    def any_of(self, *forms: str) -> str:
        chosen: str = self.draw(st.sampled_from(forms))
        return chosen

    def blank(self) -> None:
        self.text += self.any_of("", " ", "\t ")

    def key(self, word: str) -> None:
        bare = word.replace("-", "").replace("_", "")
        forms = [json.dumps(word)]
        if bare.isascii() and bare.isalnum():
            forms.append(word)
        if not set(word) & set("'\n"):
            forms.append(f"'{word}'")
        self.text += self.any_of(*forms)

    def value(self, value: Any, path: tuple[Any, ...]) -> None:
        start = len(self.text)
        if path not in self.places:
            self.places[path] = (start, start)
        if isinstance(value, list):
            self.text += "["
            for number, item in enumerate(value):
                self.text += self.any_of("", " ", "\n  # ] , {\n ")
                self.value(item, (*path, number))
                self.text += self.any_of(",", " ,")
            self.text += self.any_of("]", "\n]")
        elif isinstance(value, dict):
            self.text += "{"
            for number, (word, one) in enumerate(value.items()):
                self.text += ", " if number else ""
                self.pair(word, one, path)
            self.text += " }"
        elif isinstance(value, str):
            forms = [json.dumps(value, ensure_ascii=False)]
            newline = value.startswith("\n") * "\n"  # the first one in three quotes does not count
            if "'" not in value:
                forms.append(f"'''{newline}{value}'''")
                if "\n" not in value:
                    forms.append(f"'{value}'")
            if "\\" not in value and '"' not in value:
                forms.append(f'"""{newline}{value}"""')
            self.text += self.any_of(*forms)
        else:
            self.text += str(value).lower()

    def pair(self, word: str, value: Any, path: tuple[Any, ...]) -> None:
        self.blank()
        start = len(self.text)
        self.key(word)
        self.blank()
        self.text += "="
        self.blank()
        self.places[(*path, word)] = (start, len(self.text))
        self.value(value, (*path, word))

    def table(self, value: dict[str, Any]) -> None:
        later: list[tuple[str, Any]] = []
        for word, one in value.items():
            tables = isinstance(one, dict) or (
                isinstance(one, list) and one and all(isinstance(item, dict) for item in one)
            )
            if tables and self.draw(st.booleans()):
                later.append((word, one))
            else:
                self.pair(word, one, ())
                self.text += self.any_of("\n", " # x = 1\n", "\n\n")
        for word, one in later:
            items = one if isinstance(one, list) else [one]
            for number, item in enumerate(items):
                path = (word, number) if isinstance(one, list) else (word,)
                start = len(self.text)
                self.text += "[[" if isinstance(one, list) else "["
                self.places.setdefault((word,), (len(self.text), start))
                if isinstance(one, list):
                    self.places[path] = (start, start)
                self.key(word)
                self.text += "]]\n" if isinstance(one, list) else "]\n"
                for name, inner in item.items():
                    self.pair(name, inner, path)
                    self.text += "\n"


@given(st.data(), st.dictionaries(WORDS, VALUES, max_size=5))
def test_places_of_texts_of_any_form(data: st.DataObject, value: dict[str, Any]) -> None:
    writer = _Writer(data.draw)
    writer.table(value)
    text = writer.text
    assert tomllib.loads(text) == value
    found = {path: (key, node) for path, key, node in nodes(toml_node(text))}
    assert toml_node(text).plain() == value
    assert found.keys() == writer.places.keys()

    def offset(node: Node) -> int:
        return sum(len(line) + 1 for line in text.split("\n")[: node.line - 1]) + node.column - 1

    for path, places in writer.places.items():
        assert tuple(map(offset, found[path])) == places, path


def test_a_real_file_with_both_line_ends() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for written in (text, text.replace("\n", "\r\n")):
        rows = list(nodes(toml_node(written)))
        assert len(rows) > 100
        for path, key, _ in rows:
            if isinstance(path[-1], str):
                assert path[-1] in at(written, key).split("=")[0], path


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a = 1\nb = ", 2, 5),
        ("a = 1\n  a = 2", 2, 8),
        ('x = "', 1, 6),
        ("\n[a", 2, 3),
        ("é=1", 1, 1),
    ],
)
def test_mistakes_have_the_place_that_tomllib_says(text: str, line: int, column: int) -> None:
    with pytest.raises(Misplaced) as raised:
        toml_node(text)
    assert (raised.value.line, raised.value.column) == (line, column)
    assert "(at " not in raised.value.message


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("a = " + "[" * 100_000, 105),
        ("a = " + "[" * 900 + "]" * 900, 105),
        ("a = " + "{a=" * 900, 305),
        ("a = " + "[{a=" * 900, 205),
        ("x = {a" + ".a" * 50_000 + " = 1}", 207),
        ('b = "[" # [\n\na = ' + "[" * 101, 105),
    ],
)
def test_our_own_limit_comes_first(text: str, column: int) -> None:
    with pytest.raises(Misplaced, match="it is nested deeper than 100") as raised:
        toml_node(text)
    assert (raised.value.line, raised.value.column) == (text.count("\n") + 1, column)


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100 + "]" * 100,
        "a = " + "[1]\n#".join(["", *"[" * 300]),
        "a = '" + "[" * 300 + "'",
        'a = """\n' + "[" * 300 + '"""',
        "a" + ".a" * 99 + " = 1",
    ],
)
def test_what_is_not_deep_is_read(text: str) -> None:
    assert toml_node(text).kind == "mapping"
