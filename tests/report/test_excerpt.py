"""What is quick for ordinary text says the same as what is right for any."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.config import Source
from nginx_stream_lint.report.excerpt import Mark, excerpt
from nginx_stream_lint.rules.finding import Place

# Too short to be cut on the screen.
LINES = st.text(st.sampled_from("ab;{}\t "), max_size=20)


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
