"""What is read without PyYAML is read as with it; all else is left to PyYAML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.files.source import Source
from nginx_stream_lint.kubernetes.manifest import Node, Scalar, Sequence, documents
from nginx_stream_lint.kubernetes.plain_manifest import read_plain
from nginx_stream_lint.util.budget import Budget, Limits, spending
from nginx_stream_lint.util.problems import Unreadable

READ = {
    "words": "a: b\nc: 'd e'\nf: \"g: #h\"\n8080: -x\nk: ~\nl:\nm: null\nn: ''\n",
    "comments": "# one\na: b # two\n\n  # three\nc: d#e\nf: 'g' # four\n",
    "blocks": "a:\n  b:\n    image: c:1\n    ports:\n    - 80:80\n    - '1:2'\n  d:\n    e: f",
    "lists": "a:\n  - b: c\n    d: e\n  -   f: g\n      h:\n        - i\n  -\n    j: k\n  -\n",
    "lists in brackets": "a: [b, 'c, d', \"e\", -f]\ng: []\nh: [ i ] # j\n",
    "anchors": "x: &x\n  a: b\ny:\n  <<: *x\n  c: d\nz: *x\nw:\n  <<: *x\nl: &l\n  - 1\nm: *l\n",
    "addresses": "a: http://b:80/c?d#e\nf: ./g:/h:ro\ni: ${J:-k}\nl: m, n] o}\n",
    "a mark of the document": "# a\n---\nb: c\n",
    "two keys of one name": "a: b\na: c\n",
    "an indented document": "  a: b\n  c: d\n",
    "other scripts": "größe: \u4e2d\u6587 # \u00e9\n",
}
LEFT = {
    "nothing": "",
    "only a comment": "# a\n",
    "a list": "- a\n",
    "a word": "a\n",
    "a word of several lines": "a: b\n  c\n",
    "a word of several lines in a list": "a:\n  - b\n   c\n",
    "a block of text": "a: |\n  b\n",
    "a folded text": "a: >-\n  b\n",
    "an escape": 'a: "b\\n"\n',
    "a doubled quote": "a: 'b''c'\n",
    "braces": "a: {b: c}\n",
    "brackets of several lines": "a: [b,\n  c]\n",
    "brackets in brackets": "a: [[b]]\n",
    "a tag": "a: !reset b\n",
    "an anchor of a word": "a: &b c\n",
    "an unknown alias": "a: *b\n",
    "an alias of itself": "a: &a\n  b: *a\n",
    "a merge of a list": "a: &a\n  b: c\nd:\n  <<: [*a]\n",
    "a question": "? a\n: b\n",
    "a list in a list": "a:\n  - - b\n",
    "two documents": "a: b\n---\nc: d\n",
    "an end of a document": "a: b\n...\n",
    "a directive": "%YAML 1.1\n---\na: b\n",
    "a tab": "a:\tb\n",
    "a carriage return": "a: b\r\n",
    "a control character": "a: b\x07\n",
    "a colon in a word": "a: b: c\n",
    "a word after quotes": "a: 'b' c\n",
    "wrong columns": "a:\n    b: c\n  d: e\n",
    "a template": "a: {{ b }}\n",
}


def shown(node: Node, is_read: bool) -> Any:
    """A node without what `read_plain` does not promise."""
    if isinstance(node, Scalar):
        is_string = node.is_string and (is_read or bool(node.style))
        return node.text, node.start, node.end, node.style, node.is_exact, is_string, node.lines
    if isinstance(node, Sequence):
        return node.span.start, [shown(one, is_read) for one in node.items]
    entries = {
        name: (
            entry.span.start,
            entry.is_alias,
            shown(entry.key, is_read),
            shown(entry.value, is_read),
        )
        for name, entry in node.entries.items()
    }
    return node.span.start, node.is_flow, [one.key.start for one in node.own], entries


def is_alike(text: str) -> bool:
    """Whether a text is left to PyYAML, or read as PyYAML does."""
    root = read_plain(text)
    if root is None:
        return True
    found, problems = documents(Source("a.yaml", text), text)
    return not problems and [shown(one.root, False) for one in found] == [shown(root, True)]


@pytest.mark.parametrize("name", READ)
def test_usual_forms_are_read(name: str) -> None:
    assert read_plain(READ[name]) is not None
    assert is_alike(READ[name])


@pytest.mark.parametrize("name", LEFT)
def test_other_forms_are_left_to_pyyaml(name: str) -> None:
    assert read_plain(LEFT[name]) is None


PARTS = [
    *("a", "b c", "'d'", '"e f"', "-g", "h:1", "i#j", "[k, l]", "[]", "~", "&m", "*m", "-", ""),
    *(" # n", "o: p", "|", "{}", "'q''r'", "s :t", "[u:v]", "!w", "x, y]", "---", "${z:-1}"),
]
KEYS = ["a: ", "b:", "'c': ", "<<: ", "- ", "- d: ", "-   ", ""]
LINES = st.builds(
    lambda column, key, part: f"{' ' * column}{key}{part}",
    st.sampled_from([0, 0, 0, 2, 2, 4, 1]),
    st.sampled_from(KEYS),
    st.sampled_from(PARTS),
)


@given(st.lists(LINES, max_size=6).map("\n".join))
def test_no_text_is_read_otherwise(text: str) -> None:
    assert is_alike(text)


@given(
    st.sampled_from(sorted(READ)), st.integers(0, 200), st.sampled_from(list(" \n-:#'\"[]&*|,a"))
)
def test_no_mistake_is_read_otherwise(name: str, at: int, character: str) -> None:
    text = READ[name]
    assert is_alike(text[:at] + character + text[at:])
    assert is_alike(text[:at] + text[at + 1 :])


def test_values_are_charged_to_the_budget() -> None:
    with spending(Budget(Limits(yaml_nodes=3))):
        read_plain("a: b\n")
        with pytest.raises(Unreadable, match="more than 3 values"):
            read_plain("a: b\n")


def test_merges_cannot_multiply() -> None:
    lines = ["a0: &a0", "  k: v"]
    for number in range(1, 25):
        lines += [f"a{number}: &a{number}", *(f"  <<: *a{number - 1}" for _ in range(2))]
        lines += [f"  k{number}_{more}: v" for more in range(40)]
    assert read_plain("\n".join(lines)) is None


@pytest.mark.parametrize("text", ["a: b\n" * 21_000, "\n".join(" " * n + "a:" for n in range(40))])
def test_long_and_deep_texts_are_left_to_pyyaml(text: str) -> None:
    assert read_plain(text) is None
