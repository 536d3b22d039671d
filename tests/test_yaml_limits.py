"""Our limits on YAML come before PyYAML's, whatever its version, with our message and place."""

from __future__ import annotations

import pytest

from nginx_stream_lint.util.yamlfile import YamlMistake, compose, compose_all

SAYS = "it is nested deeper than 200 levels"
MANY = 3000  # libyaml 0.2.6 has a limit of its own at 1,000


def lines(unit: str, many: int = MANY) -> str:
    return "".join(" " * level + unit + "\n" for level in range(many))


# The text, and the line and column of the first level too deep.
DEEP = {
    "lists": ("[" * MANY, 1, 201),
    "closed": ("[" * MANY + "]" * MANY, 1, 201),
    "mappings": ("{a: " * MANY, 1, 801),
    "mappings without blanks": ("{" * MANY, 1, 201),
    "JSON": ('{"a":[' * MANY, 1, 601),
    "lists of a line each": ("[\n" * MANY, 201, 1),
    "blanks between": ("[ " * MANY, 1, 401),
    "below keys": ("x: 1\ny: " + "[" * MANY, 2, 203),
    "among lists": ("- a\n- - - " + "[" * MANY, 2, 204),
    "after flat lists": ("[[],[],[[]]," + "[" * MANY, 1, 212),
    "above a bracket in quotes": ('["[[", ' + "[" * MANY, 1, 207),
    "anchors": ("&a [" * MANY, 1, 801),
    "tags": ("!t [" * MANY, 1, 801),
    "later documents": ("---\na: 1\n---\n" + "[" * MANY, 4, 201),
    "a line of items": ("- " * MANY, 1, 401),
    "a line of keys": ("? " * MANY, 1, 401),
    "blocks": (lines("a:"), 201, 201),
    "blocks of items": (lines("-"), 201, 201),
    "blocks and lists": (lines("a:", 150) + " " * 150 + "[" * MANY, 151, 201),
}


@pytest.mark.parametrize("name", DEEP)
def test_what_nests_too_deep_is_refused_with_our_words(name: str) -> None:
    text, line, column = DEEP[name]
    documents, mistake = compose_all(text)
    assert mistake is not None
    assert (mistake.message, mistake.line, mistake.column) == (SAYS, line, column)
    assert documents == []
    with pytest.raises(YamlMistake) as raised:
        compose(text)
    assert (raised.value.message, raised.value.line, raised.value.column) == (SAYS, line, column)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200 + "]" * 200,
        "# " + "[" * MANY + "\na: 1",
        "a: '" + "[" * MANY + "'",
        "a: |\n  " + "[" * MANY,
        "a: " + "x[" * MANY,
        "[" + "[]," * MANY + "]",
        lines("a:", 150) + " " * 150 + "1\n",
    ],
)
def test_what_does_not_nest_is_read(text: str) -> None:
    assert compose(text) is not None


def test_another_mistake_keeps_its_words() -> None:
    _, mistake = compose_all("[" * 150 + '"\n' * 3)
    assert mistake is not None
    assert "nest" not in mistake.message
