"""What is quick for ordinary text says the same as what is right for any."""

from __future__ import annotations

import textwrap

import click
from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.config import Source
from nginx_stream_lint.report.excerpt import Mark, excerpt, styled
from nginx_stream_lint.report.wrapping import wrapped
from nginx_stream_lint.rules.finding import Place

# Too short to be cut on the screen.
LINES = st.text(st.sampled_from("ab;{}\t "), max_size=20)
WORDS = st.lists(
    st.sampled_from(["\n", "\t", "a", "bc-d", "é", " ", " ", "  ", "x" * 47, "y" * 48, "z" * 120])
)


@given(LINES, st.data())
def test_an_ordinary_line_is_shown_as_any_other_would_be(line: str, data: st.DataObject) -> None:
    """A letter outside ASCII at the far end takes the general way, and changes no column."""
    start = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(start, len(line)))
    plain, other = (
        excerpt([Mark(Place(source, start, end), True)], source)
        for source in (Source("a", f"{line};"), Source("a", f"{line};é"))
    )
    assert plain[0] == other[0].removesuffix("é")
    assert plain[1:] == other[1:]


@given(WORDS, st.sampled_from([40, 100]), st.sampled_from(["", "  ", "    "]))
def test_messages_are_wrapped_as_textwrap_does(words: list[str], width: int, first: str) -> None:
    message = "".join(words)
    expected = textwrap.wrap(
        message,
        width,
        initial_indent=first,
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    assert wrapped(message, width, first, "    ") == expected


@given(
    st.text(),
    st.sampled_from([None, "red", "green", "blue"]),
    st.sampled_from([None, True, False]),
)
def test_text_is_styled_as_click_does(text: str, colour: str | None, bold: bool | None) -> None:
    assert styled(text, colour, bold) == click.style(text, fg=colour, bold=bold)
