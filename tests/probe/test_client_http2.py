"""The HTTP/2 client: frames, whole or in pieces."""

from __future__ import annotations

import struct

import pytest

from nginx_stream_lint.probe.client_http2 import FrameReader


def frame(kind: int, payload: bytes, stream: int = 1) -> bytes:
    head = struct.pack(">I", len(payload))[1:] + bytes((kind, 0)) + struct.pack(">I", stream)
    return head + payload


def goaway(last: int, code: int = 0) -> bytes:
    return frame(7, struct.pack(">II", last, code), 0)


DATA = frame(0, b"data: 1\n\n")


@pytest.mark.parametrize("size", [1, 5, 9, 1000])
@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (DATA + goaway(1) + DATA, DATA + DATA),
        (goaway(3) + DATA, DATA),
        # The server did not take the stream, or the connection has failed.
        (goaway(0) + DATA, goaway(0) + DATA),
        (goaway(1, 11) + DATA, goaway(1, 11) + DATA),
        (DATA + DATA[:12], DATA),
        # Not what we allow: h2 refuses it.
        (DATA + b"\xff" * 20, DATA + b"\xff" * 20),
    ],
    ids=["after", "before", "refused", "error", "incomplete", "too long"],
)
def test_a_goaway_that_lets_the_stream_end_is_left_out(sent: bytes, kept: bytes, size: int) -> None:
    reader = FrameReader(1)
    read = b"".join(reader.read(sent[at : at + size]) for at in range(0, len(sent), size))
    assert read == kept
