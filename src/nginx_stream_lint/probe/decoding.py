"""Find tokens in an answer while it is still coming: through chunks, gzip and brotli."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable

from .drip import TOKEN


def decompressor(encoding: str) -> Callable[[bytes], bytes]:
    """Return a function that decodes an answer of this Content-Encoding piece by piece.

    Raises:
        ValueError: an encoding other than identity, gzip, deflate and br.
        ImportError: br, without the package brotli.
    """
    if encoding in ("", "identity"):
        return lambda data: data
    if encoding in ("gzip", "deflate"):
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress  # 32: header of either
    if encoding == "br":
        decode: Callable[[bytes], bytes] = importlib.import_module("brotli").Decompressor().process
        return decode
    raise ValueError(f"unknown Content-Encoding {encoding!r}")


class Chunks:
    """Takes `Transfer-Encoding: chunked` apart as it comes.

    Attributes:
        done: the last chunk has been read.
    """

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
                break
            self._held = rest
            if self._after_data:  # the line end that closes a chunk's data
                self._after_data = False
                continue
            self._left = int(line.split(b";")[0], 16)
            self._after_data = True
            self.done = self._left == 0
        return payload


class Tokens:
    """Notes when each token of an answer is complete.

    Attributes:
        times: (token number, monotonic seconds), in the order of arrival.
        bytes_read: length of the body so far, before Content-Encoding is undone.
    """

    def __init__(self) -> None:
        self.times: list[tuple[int, float]] = []
        self.bytes_read = 0
        self._decode = decompressor("")
        self._held = b""

    def encoded_as(self, encoding: str) -> None:
        """Set the answer's Content-Encoding; raises what `decompressor` does."""
        self._decode = decompressor(encoding.strip().lower())

    def feed(self, data: bytes, now: float) -> None:
        """Take a piece of the body that arrived at `now`.

        Raises:
            zlib.error and brotli's error: the body is not encoded as it says.
        """
        self.bytes_read += len(data)
        self._held += self._decode(data)
        end = 0
        for token in TOKEN.finditer(self._held):
            self.times.append((int(token[1]), now))
            end = token.end()
        self._held = self._held[end:]
