"""Lines that fit are those that the standard library gives."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.report.wrapping import wrapped


@given(
    text=st.text("ab -\t\n\xa0é", max_size=30),
    width=st.integers(8, 30),
    first=st.sampled_from(["", "  ", "  head "]),
)
def test_wrapped_is_textwrap(text: str, width: int, first: str) -> None:
    expected = textwrap.wrap(
        text,
        width,
        initial_indent=first,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    assert wrapped(text, width, first, "    ") == expected
