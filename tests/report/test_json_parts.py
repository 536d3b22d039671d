"""A JSON document in parts is the same text as the whole."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from nginx_stream_lint.util.json_text import json_parts, json_text


class _Inner(Struct):
    text: str
    rows: list[int]


class _Document(Struct, rename="camel"):
    first_key: str
    many: list[_Inner]
    few: list[str]
    last: _Inner | None = None


_TEXT = st.text(max_size=6)


@given(
    text=_TEXT,
    few=st.lists(_TEXT, max_size=3),
    inner=st.lists(st.builds(_Inner, _TEXT, st.lists(st.integers(), max_size=2)), max_size=3),
    times=st.sampled_from([1, 400, 1000]),
    last=st.none() | st.builds(_Inner, _TEXT, st.just([])),
)
def test_parts_make_the_whole_text(
    text: str, few: list[str], inner: list[_Inner], times: int, last: _Inner | None
) -> None:
    document = _Document(text, inner * times, few, last)
    parts = list(json_parts(document))
    assert "".join(parts) == json_text(document)


def test_a_long_list_takes_several_parts() -> None:
    document = _Document("", [_Inner("x", [])] * 10_000, [])
    sizes = [len(part) for part in json_parts(document)]
    assert max(sizes) < sum(sizes) / 9
