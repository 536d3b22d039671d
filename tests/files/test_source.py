"""What the text of a file says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.files import Source, Workspace
from nginx_stream_lint.util.problems import Unreadable


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("a;\n  X  \nb;\n", "a;\nb;\n"),
        ("a;\r\n\tX\r\nb;\r\n", "a;\r\nb;\r\n"),
        ("a;\n  X", "a;\n"),
        ("a; X\nb;", "a;\nb;"),
        ("a; X b;", "a; b;"),
        ("  X b;\n", "  b;\n"),
        ("X", ""),
    ],
)
def test_nothing_is_left_of_what_is_removed(text: str, left: str) -> None:
    source, at = Source("a", text), text.index("X")
    start, end = source.removal(at, at + 1)
    assert text[:start] + text[end:] == left


@given(text=st.text("a \n\r", max_size=12), asked=st.sampled_from([0, 100]))
def test_where_lines_begin_and_end(text: str, asked: int) -> None:
    """The answers are the same before and after an index of the lines is made."""
    source = Source("a", text)
    for _ in range(asked):
        source.position(0)
    for offset in range(len(text) + 1):
        above = text[:offset].split("\n")
        begin, end = offset - len(above[-1]), offset + len(text[offset:].partition("\n")[0])
        assert source.position(offset) == (len(above), len(above[-1]) + 1)
        assert (source.line_start(offset), source.line_end(offset)) == (begin, end)


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"\xff", (1, 1)), (b"a\n\xc3\xa9 \xff\n", (2, 3)), (b"\xef\xbb\xbfa\xff", (1, 2))],
)
def test_the_first_byte_that_is_not_utf_8_has_a_place(
    data: bytes, place: tuple[int, int], tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(Unreadable, match="is not UTF-8") as refused:
        Workspace.on_disk(str(tmp_path)).text(str(tmp_path / "a"))
    assert (refused.value.problem.line, refused.value.problem.column) == place


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfa")
    assert Workspace.on_disk(str(tmp_path)).text(str(tmp_path / "a")) == "a"
