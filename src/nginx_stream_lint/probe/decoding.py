"""Find tokens in a response while it arrives: through chunks, gzip and brotli."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Callable, Iterator
from typing import Any

from nginx_stream_lint.probe.drip import LARGEST_TOKEN, TOKEN

DECODED_PART = 65536  # bytes of decoded text given at once
# Of one response; the upstream's have no more than one megabyte and 10,000 tokens.
_MOST_DECODED = 1 << 24  # bytes
_MOST_TOKENS = 50_000
_MOST_HELD = 2 * LARGEST_TOKEN
_CHUNK_SIZE = re.compile(rb"[ \t]*([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_LONGEST_CHUNK_LINE = 1 << 12  # bytes


def decompressor(encoding: str) -> Callable[[bytes], Iterator[bytes]]:
    """Return a function that decodes a response of this Content-Encoding piece by piece.

    The function yields the decoded text of each piece in parts of at most about `DECODED_PART`
    bytes, so that a caller can stop: a kilobyte of brotli may decode to gigabytes. The caller must
    take all parts of one piece before it passes the next one.

    The function raises ValueError or zlib.error for data with another encoding.

    Raises:
        ValueError: an encoding other than identity, gzip, deflate and br.
        ImportError: br, without the package brotli.
    """
    if encoding in ("", "identity"):
        return _undecoded
    if encoding in ("gzip", "deflate"):
        return _inflater()
    if encoding == "br":
        return _unbrotli()
    raise ValueError(f"unknown Content-Encoding {encoding!r}")


def _undecoded(data: bytes) -> Iterator[bytes]:
    yield data


def _inflater() -> Callable[[bytes], Iterator[bytes]]:
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # 32: header of either

    def decode(data: bytes) -> Iterator[bytes]:
        while True:
            part = inflate.decompress(data, DECODED_PART)
            yield part
            data = inflate.unconsumed_tail
            # A full part may leave some of its output inside, even with all input taken.
            if inflate.eof or (not data and len(part) < DECODED_PART):
                return

    return decode


def _unbrotli() -> Callable[[bytes], Iterator[bytes]]:
    brotli: Any = importlib.import_module("brotli")
    decoder = brotli.Decompressor()

    def process(data: bytes) -> bytes:
        try:
            return bytes(decoder.process(data, output_buffer_limit=DECODED_PART))
        except brotli.error:
            raise ValueError("no brotli") from None

    def decode(data: bytes) -> Iterator[bytes]:
        part = process(data)
        yield part
        # It may take all input and still hold output back.
        while not decoder.is_finished() and (
            len(part) >= DECODED_PART or not decoder.can_accept_more_data()
        ):
            part = process(b"")
            yield part

    return decode


class Chunks:
    """Decodes `Transfer-Encoding: chunked` as it arrives; `done` after the last chunk."""

    def __init__(self) -> None:
        self.done = False
        self._held = b""
        self._left = 0  # bytes of the current chunk's data still to come
        self._after_data = False

    def feed(self, data: bytes) -> bytes:
        """Return the payload that `data` completes.

        Raises:
            ValueError: it is not chunked encoding.
        """
        self._held += data
        payload = b""
        while self._held and not self.done:
            if self._left:
                piece, self._held = self._held[: self._left], self._held[self._left :]
                self._left -= len(piece)
                payload += piece
                continue
            line, newline, rest = self._held.partition(b"\r\n")
            if not newline:
                if len(line) > _LONGEST_CHUNK_LINE:
                    raise ValueError("invalid chunk header")
                break
            self._held = rest
            if self._after_data:  # the line end that closes a chunk's data
                self._after_data = False
                continue
            size = _CHUNK_SIZE.fullmatch(line)
            if size is None:
                raise ValueError("invalid chunk size")
            self._left = int(size[1], 16)
            self._after_data = True
            self.done = self._left == 0
        return payload


class Tokens:
    """Records when each token of a response is complete.

    `times` are (token number, monotonic seconds) in the order of arrival. `lacked` has for each of
    these tokens how many bytes of its end arrived last. `bytes_read` is the length of the body so
    far, before Content-Encoding is undone.
    """

    def __init__(self) -> None:
        self.times: list[tuple[int, float]] = []
        self.lacked: list[int] = []
        self.bytes_read = 0
        self._decoded = 0
        self._decode = decompressor("")
        self._held = b""

    def encoded_as(self, encoding: str) -> None:
        """Set the response's Content-Encoding; raises the errors of `decompressor`."""
        self._decode = decompressor(encoding.strip().lower())

    def feed(self, data: bytes, now: float) -> None:
        """Take a piece of the body that arrived at `now`.

        Raises:
            ValueError, zlib.error: the body is not encoded as its header says, or decodes to far
                more than the upstream sends: the configuration may create its own responses.
        """
        self.bytes_read += len(data)
        for part in self._decode(data):
            self._decoded += len(part)
            if self._decoded > _MOST_DECODED:
                raise ValueError("more data than the upstream sends")
            self._take(part, now)

    def _take(self, text: bytes, now: float) -> None:
        before = len(self._held)
        self._held += text
        end = 0
        for token in TOKEN.finditer(self._held):
            self.times.append((int(token[1]), now))
            self.lacked.append(token.end() - max(before, token.start()))
            end = token.end()
        if len(self.times) > _MOST_TOKENS:
            raise ValueError("more tokens than the upstream sends")
        self._held = self._held[max(end, len(self._held) - _MOST_HELD) :]
