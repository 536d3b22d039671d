"""Events of an answer: the rules of the HTML standard, in whatever pieces it comes."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from nginx_stream_lint.trace.events import Events, EventStream, JsonLines, PlainPieces, events_for

WHOLE = (
    "\ufeff: hello\n\ndata: one\n\ndata: two\r\ndata: lines\r\n\r\nevent: ping\r\r"
    "id: 7\ndata: grüße, 世界 🎉\n\n\n\ndata\n\ndata: {}\rid: 8\r\r: bye\n\ndata: lost"
).encode()


def fed(events: Events, pieces: list[bytes]) -> int:
    return sum(events.feed(piece) for piece in pieces)


def test_an_event_has_data_and_ends_with_an_empty_line() -> None:
    # one; two lines; the one with an id; "data" alone (its data is empty, but there); {}.
    # No data: the ping. No end: lost.
    events = EventStream()
    assert fed(events, [WHOLE]) == 5
    assert events.comments == 2
    assert events.inside
    assert events.text_is_utf8


@given(st.lists(st.integers(0, len(WHOLE)), max_size=30))
def test_pieces_make_no_difference(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[a:b] for a, b in itertools.pairwise(edges)]
    events = EventStream()
    assert fed(events, pieces) == 5
    assert (events.comments, events.text_is_utf8) == (2, True)


@given(st.binary(max_size=300))
def test_any_bytes_are_taken(data: bytes) -> None:
    whole, single = EventStream(), EventStream()
    assert fed(whole, [data]) == fed(single, [bytes([one]) for one in data])
    assert whole.comments == single.comments
    assert whole.text_is_utf8 == single.text_is_utf8


def test_an_event_counts_at_its_cr_and_not_after_what_may_follow() -> None:
    events = EventStream()
    assert events.feed(b"data: 1\r\n\r") == 1
    assert not events.inside
    assert events.feed(b"\ndata: 2\r\n\r\n") == 1


def test_inside_tells_a_full_buffer_from_the_end_of_an_event() -> None:
    events = EventStream()
    events.feed(b"data: 1\n\n")
    assert not events.inside
    events.feed(b"data: 2\n")
    assert events.inside
    events.feed(b"\n")
    assert not events.inside
    events.feed(b"da")
    assert events.inside


def test_what_apps_send_last_is_known() -> None:
    for last in ("data: [DONE]\n\n", "event: message_stop\ndata: {}\n\n"):
        events = EventStream()
        events.feed(f"data: x\n\n{last}".encode())
        assert events.said_last
        events.feed(b"data: more\n\n")
        assert not events.said_last
    lines = JsonLines()
    lines.feed(b'{"response":"x","done":false}\n')
    assert not lines.said_last
    lines.feed(b'{"done": true}\n')
    assert lines.said_last


def test_a_wrong_charset_is_noticed() -> None:
    events = EventStream()
    assert events.feed("data: grün\n\n".encode("latin-1")) == 1
    assert not events.text_is_utf8


def test_json_lines_and_plain_pieces() -> None:
    lines = JsonLines()
    assert fed(lines, [b'{"a":1}\n{"b"', b":2}\r", b'\n\n{"c":3}']) == 2
    assert lines.inside
    assert lines.comments == 1
    pieces = PlainPieces()
    assert fed(pieces, [b"abc", b"", b"d"]) == 2


def test_the_kind_is_that_of_the_type_or_of_what_comes() -> None:
    kinds = {
        ("text/event-stream; charset=utf-8", b""): "sse",
        ("application/x-ndjson", b"{"): "ndjson",
        ("text/plain", b"data: x"): "sse",
        ("", b"\xef\xbb\xbfevent: x"): "sse",
        ("text/html", b"data: x"): "chunks",
        ("application/json", b"{"): "chunks",
    }
    for (kind, beginning), expected in kinds.items():
        assert events_for(kind, beginning).kind == expected
