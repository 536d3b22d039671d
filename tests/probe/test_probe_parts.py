"""The parts that need no network: drips, decoding, judging."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import brotli
import pytest

from nginx_stream_lint.probe import Arrivals, Drip, ReceivedRequest
from nginx_stream_lint.probe.decoding import DECODED_PART, Chunks, Tokens, decompressor
from nginx_stream_lint.probe.measure import bursts_of, judge

DRIPS = [
    Drip(),
    Drip(id="7", tokens=3, interval=0.5, bytes=230, framing="length", type="a/b", status=404),
    Drip(x_accel_buffering="no", headers=(("Cache-Control", "max-age=60"), ("A", "b: c&d"))),
    Drip(silence_before=2.0, silence_after=(5, 3.0), die_after=0, die="reset", websocket=True),
]


@pytest.mark.parametrize("drip", DRIPS)
def test_a_drip_survives_its_header(drip: Drip) -> None:
    assert Drip.parse(drip.encode()) == drip


def test_a_drip_can_be_written_by_hand() -> None:
    drip = Drip.parse("id=7&tokens=2&silence_after=1:3.0&header=Cache-Control:%20no-cache")
    assert drip.headers == (("Cache-Control", "no-cache"),)
    assert drip.schedule() == pytest.approx([0.05, 3.1])
    assert drip.duration == pytest.approx(3.1)


@pytest.mark.parametrize("size", [16, 40, 230])
def test_tokens_have_their_size_and_differ(size: int) -> None:
    drip = Drip(id="a", bytes=size)
    assert {len(drip.token(number)) for number in (1, 2, 9999)} == {size}
    assert drip.token(1) == drip.token(1)
    assert drip.token(1)[11:] != drip.named("b").token(1)[11:]


@pytest.mark.parametrize("wrong", [{"framing": "x"}, {"die": "x"}, {"bytes": 15}])
def test_impossible_drips_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Drip(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "asked",
    [
        "tokens=10001",
        "tokens=-1",
        "tokens=" + "9" * 5000,
        "bytes=65537",
        "tokens=100&bytes=65536",
        "interval=nan",
        "interval=inf",
        "interval=-1",
        "silence_before=1e9",
        "silence_after=1:nan",
        "status=99",
        "type=%E4%B8%AD",
        "x-accel-buffering=a%0d%0ab",
        "header=a:b%0d%0ac",
        "header=a%00:b",
    ],
)
def test_a_request_cannot_ask_for_what_costs_much_or_cannot_be_sent(asked: str) -> None:
    # A configuration may put its own X-Drip in the place of the probe's.
    with pytest.raises(ValueError, match=r"\w"):
        Drip.parse(asked)


@pytest.mark.parametrize(
    "body", [b"-5\r\nabcdef", b"0x1\r\na\r\n", b"\r\n", b"+1\r\n", b"1" * 5000, b"1_0\r\n"]
)
def test_what_is_no_chunk_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="chunk"):
        Chunks().feed(body)


def test_chunks_may_be_cut_anywhere() -> None:
    data = b"5\r\nhello\r\n1;x=y\r\n!\r\n0\r\n\r\n"
    for step in range(1, len(data) + 1):
        chunks = Chunks()
        pieces = [chunks.feed(data[at : at + step]) for at in range(0, len(data), step)]
        assert b"".join(pieces) == b"hello!"
        assert chunks.done
    unfinished = Chunks()
    assert unfinished.feed(data[:-5]) == b"hello!"
    assert not unfinished.done


def test_a_token_counts_when_it_is_complete() -> None:
    tokens = Tokens()
    data = Drip().token(1) + Drip().token(2)
    tokens.feed(data[:10], 1.0)
    tokens.feed(data[10:50], 2.0)
    tokens.feed(data[50:], 3.0)
    assert tokens.times == [(1, 2.0), (2, 3.0)]
    assert tokens.bytes_read == 80


def _feed(tokens: Tokens, data: bytes) -> None:
    for _ in range(10_000):
        tokens.feed(data, 1.0)


def _fed(encoding: str, data: bytes) -> Tokens:
    tokens = Tokens()
    tokens.encoded_as(encoding)
    with pytest.raises(ValueError, match="more"):
        _feed(tokens, data)
    return tokens


def test_an_answer_without_an_end_is_given_up() -> None:
    # `return` and `map` make such answers, and a header says that they are compressed.
    assert _fed("", b"data: 0001 " + b"x" * 65536).bytes_read < 1 << 25
    assert _fed("br", brotli.compress(b"x" * (1 << 26), quality=1)).bytes_read < 1 << 16
    assert len(_fed("", b"data: 0001 \n\n" * 5000).times) < 100_000


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
def test_what_is_not_encoded_as_it_says_is_refused(encoding: str) -> None:
    tokens = Tokens()
    tokens.encoded_as(encoding)
    with pytest.raises((ValueError, zlib.error)):
        tokens.feed(b"garbage" * 10, 1.0)


def test_gzip_is_decoded_piece_by_piece() -> None:
    decode = decompressor("gzip")
    data = gzip.compress(b"hello")
    assert b"".join(part for one in data for part in decode(bytes([one]))) == b"hello"
    with pytest.raises(ValueError, match="zstd"):
        decompressor("zstd")


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress)],
)
def test_decoded_parts_are_bounded(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    """A caller can stop a bomb, and one that does not gets all of it."""
    decode = decompressor(encoding)
    sizes = [len(part) for part in decode(encode(bytes(10_000_000)))]
    assert sum(sizes) == 10_000_000
    assert max(sizes) <= 4 * DECODED_PART


def test_bursts() -> None:
    times = [(1, 0.0), (2, 0.01), (3, 0.05), (4, 0.1), (5, 0.1)]
    assert bursts_of(times, 0.05) == [2, 1, 2]
    assert bursts_of([], 0.05) == []


def seen_at(*emitted: float) -> ReceivedRequest:
    """Return what an upstream saw that emitted its tokens at these times."""
    return ReceivedRequest(
        "a", "http", "GET", "/", "1.1", {}, 1, emitted=list(emitted), finished=True
    )


@pytest.mark.parametrize(
    ("at", "verdict"), [(0.0, "streams"), (0.5, "unclear"), (1.0, "stalls"), (2.0, "stalls")]
)
def test_the_first_arrival_decides(at: float, verdict: str) -> None:
    arrivals = Arrivals("complete", 200, times=[(1, at), (2, 2.0)])
    result = judge(Drip(tokens=2), arrivals, seen_at(0.0, 1.0))
    assert result.verdict == verdict
    assert result.first_delay == at


@pytest.mark.parametrize(
    ("ended", "status", "count", "seen", "verdict"),
    [
        ("complete", 200, 2, None, "replays"),
        ("complete", 200, 1, seen_at(0.0, 1.0), "cut"),
        ("cut", 200, 2, seen_at(0.0, 1.0), "cut"),
        ("timeout", 200, 1, seen_at(0.0, 1.0), "unclear"),
        ("complete", 200, 0, seen_at(0.0, 1.0), "no-stream"),
        ("complete", 502, 2, seen_at(0.0, 1.0), "no-stream"),
        ("complete", 200, 2, seen_at(0.0, 0.0), "unclear"),
    ],
)
def test_what_is_no_whole_stream(
    ended: str, status: int, count: int, seen: ReceivedRequest | None, verdict: str
) -> None:
    arrivals = Arrivals(ended, status, times=[(number + 1, 0.1) for number in range(count)])
    assert judge(Drip(tokens=2), arrivals, seen).verdict == verdict
