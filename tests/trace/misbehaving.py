"""A hostile server on loopback, in a separate thread; the path of a request selects its attack."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import zlib
from collections.abc import Iterator
from email.parser import BytesParser

import brotli

from tests.trace.disguises import DISGUISES
from tests.trace.listening import listening

CHUNKED = "Transfer-Encoding: chunked"
SSE = "Content-Type: text/event-stream"
TOKENS, PACE = 30, 0.02
# Headers that repeat a secret: those that a trace reads, and others.
ECHOED = (
    "Content-Type", "Location", "Via", "Server", "X-Cache", "CF-Cache-Status", "Cache-Control",
    "Age", "Alt-Svc", "X-Accel-Buffering", "Set-Cookie", "CF-Ray", "WWW-Authenticate", "X-Echo",
)  # fmt: skip


def _head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def _whole(status: str, kind: str, body: bytes, *headers: str) -> bytes:
    return _head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


@functools.cache
def bombs() -> dict[str, bytes]:
    """Bodies of some kilobytes that decompress to 2 GB (brotli), 200 MB and 200 MB."""
    line = b"data: " + b"x" * 65528 + b"\n\n"
    press = brotli.Compressor(quality=5)
    some = press.process(line * 16) + press.flush()
    more = press.process(line * 16) + press.flush()
    # Repeat one flushed block, which is valid on its own.
    gzip, deflate = zlib.compressobj(9, wbits=31), zlib.compressobj(9)
    text = [line * 16] * 200
    return {
        "br": some + more * 2000,
        "gzip": b"".join(map(gzip.compress, text)) + gzip.flush(),
        "deflate": b"".join(map(deflate.compress, text)) + deflate.flush(),
    }


class _Server:
    """Handles one request per connection; `requests` are the heads and bodies that it got."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Stopping the server cancels all waiting handlers, which is no error.
        quiet = (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError)
        with contextlib.suppress(*quiet):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if
                 line.startswith(b"content-length:")),
                0,
            )  # fmt: skip
            body = await reader.readexactly(length)
            self.requests.append(head + body)
            path = head.split()[1].decode().partition("?")[0].rpartition("/")[2]
            await getattr(self, f"do_{path}", self.do_missing)(writer, head, body)
            await writer.drain()
        writer.close()

    async def do_stream(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED))
        for number in range(TOKENS):
            await asyncio.sleep(PACE)
            writer.write(_chunk(b"data: %04d\n\n" % number))
            await writer.drain()
        writer.write(_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    async def do_missing(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_whole("404 Not Found", "text/plain", b"no such thing"))

    async def do_echo401(self, writer: asyncio.StreamWriter, head: bytes, body: bytes) -> None:
        """An error whose body and headers repeat the whole request."""
        repeated = b'{"error": {"message": "bad: ' + head.replace(b"\r\n", b" ") + body + b'"}}'
        via = "Via: " + " ".join(head.decode("latin-1").split())
        writer.write(_whole("401 Unauthorized", "application/json", repeated, via))

    async def do_busy(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_whole("429 Too Many Requests", "text/plain", b"slow down"))

    async def do_error(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_whole("500 Internal Server Error", "text/plain", b"\x1b[31mboom\x00"))

    async def do_page(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        page = b"<html><head><title>Please log in</title></head><body>...</body></html>"
        writer.write(_whole("200 OK", "text/html; charset=utf-8", page))

    async def do_json(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_whole("200 OK", "application/json", b'{"choices": ["all of it"]}'))

    async def do_loop(self, writer: asyncio.StreamWriter, head: bytes, *_: bytes) -> None:
        to = head.split()[1].decode()
        writer.write(_whole("302 Found", "text/plain", b"", f"Location: {to}"))

    async def do_silent(self, *_: object) -> None:
        await asyncio.sleep(30)

    async def do_endless(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED))
        while True:
            writer.write(_chunk(b"data: again\n\n"))
            await writer.drain()
            await asyncio.sleep(PACE)

    async def do_flood(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED))
        event = _chunk(b"data: " + b"x" * 994 + b"\n\n")
        while True:
            writer.write(event * 100)
            await writer.drain()

    async def do_latin(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", f"{SSE}; charset=latin-1", CHUNKED))
        for number in range(TOKENS):
            await asyncio.sleep(PACE * (number > 0))
            writer.write(_chunk("data: grün\n\n".encode("latin-1")))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    async def do_lies(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        """A response that claims to be compressed but is not."""
        writer.write(_head("200 OK", SSE, CHUNKED, "Content-Encoding: gzip"))
        writer.write(_chunk(b"data: plain\n\n"))

    async def do_junk(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"this is not HTTP\r\n\r\n")

    async def do_nothing(self, *_: object) -> None:
        """Close the connection without a response."""

    async def do_echo(self, writer: asyncio.StreamWriter, head: bytes, *_: bytes) -> None:
        """Repeat the request everywhere; the path selects the form (`disguises`) and the type."""
        request = BytesParser().parsebytes(head.partition(b"\r\n")[2])
        disguise, kind = head.split()[1].decode().partition("?")[0].split("/")[1:3]
        secret = request["authorization"].split()[-1]
        said = DISGUISES[disguise](secret)
        line = " ".join(said.split())
        lines = [f"HTTP/1.1 {kind} {line}", CHUNKED, "Trailer: X-Last"]
        lines += [f"{name}: {line}" for name in ECHOED if (name, kind) != ("Location", "200")]
        text = f"event: {line}\ndata: {line}\n\n: {line}\n\n" if kind == "200" else said
        writer.write("\r\n".join([*lines, "", ""]).encode())
        writer.write(_chunk(text.encode()) + f"0\r\nX-Last: {line}\r\n\r\n".encode())

    # Attacks on the client's memory and time; each continues until the client disconnects.

    async def _bomb(self, writer: asyncio.StreamWriter, encoding: str, bomb: bytes) -> None:
        headers = (SSE, f"Content-Encoding: {encoding}", f"Content-Length: {len(bomb)}")
        writer.write(_head("200 OK", *headers) + bomb)

    async def do_bomb_br(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        await self._bomb(writer, "br", bombs()["br"])

    async def do_bomb_gzip(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        await self._bomb(writer, "gzip", bombs()["gzip"])

    async def do_bomb_deflate(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        await self._bomb(writer, "deflate", bombs()["deflate"])

    async def do_bomb_error(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        bomb = bombs()["br"]
        kind = "Content-Type: application/json"
        headers = (kind, "Content-Encoding: br", f"Content-Length: {len(bomb)}")
        writer.write(_head("500 Internal Server Error", *headers) + bomb)

    async def do_bomb_window(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        """Brotli with a window of a gigabyte, which only some decoders accept."""
        await self._bomb(writer, "br", b"\x11\x1e" + b"\0" * 64)

    async def do_bomb_zstd(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        """An encoding that the client did not offer: a frame that requires a window of 2 GB."""
        frame = b"\x28\xb5\x2f\xfd\x00\xa8" + b"\x02\xff\xff\x00" * 50
        await self._bomb(writer, "zstd", frame)

    async def _for_ever(self, writer: asyncio.StreamWriter, data: bytes, pace: float = 0) -> None:
        while not writer.is_closing():
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(pace)

    async def do_informed(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        await self._for_ever(writer, _head("103 Early Hints", "Link: </a.css>") * 100)

    async def do_continued(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        await self._for_ever(writer, _head("100 Continue"), PACE)

    async def do_headers(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await self._for_ever(writer, b"X-More: and more\r\n" * 1000)

    async def do_header_line(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        await self._for_ever(writer, b"x" * 65536)

    async def do_slow_headers(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        await self._for_ever(writer, b"H", 0.1)

    async def do_slow_lines(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n")
        await self._for_ever(writer, b"X: y\r\n", 0.1)

    async def do_reason(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"HTTP/1.1 200 ")
        await self._for_ever(writer, b"OK " * 10000)

    async def do_chunk_size(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED))
        await self._for_ever(writer, b"0" * 65536)

    async def do_chunk_extension(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED) + b"5;")
        await self._for_ever(writer, b"a=b;" * 10000)

    async def do_chunk_negative(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED) + b"-5\r\nhello\r\n")

    async def do_chunk_huge(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED) + b"f" * 15 + b"\r\n")
        await self._for_ever(writer, b"data: x\n\n" * 5000)

    async def do_tiny(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        """A long line, one byte per chunk."""
        writer.write(_head("200 OK", SSE, CHUNKED))
        await self._for_ever(writer, b"1\r\nx\r\n" * 1000)

    async def do_comments(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED))
        await self._for_ever(writer, _chunk(b":\n" * 10000))

    async def do_many(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        """More events than any app sends."""
        writer.write(_head("200 OK", SSE, CHUNKED))
        await self._for_ever(writer, _chunk(b"data:\n\n" * 5000))

    async def do_trailers(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, CHUNKED) + _chunk(b"data: x\n\n") * 5 + b"0\r\n")
        await self._for_ever(writer, b"X-More: and more\r\n" * 1000)

    async def do_length_negative(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, "Content-Length: -1") + b"data: x\n\n")

    async def do_length_huge(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, f"Content-Length: {10**30}") + b"data: x\n\n")

    async def do_length_digits(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, f"Content-Length: {'9' * 5000}") + b"data: x\n\n")

    async def do_lengths(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("200 OK", SSE, "Content-Length: 1", "Content-Length: 2") + b"data")

    async def do_status(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("99999999999 OK", SSE))

    async def do_status_zero(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("000 ", SSE))

    async def do_switch(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_head("101 Switching Protocols", "Upgrade: nothing", "Connection: upgrade"))
        await self._for_ever(writer, b"\0" * 1000)

    async def do_zeros(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        """HTTP/0.9 at most: no head, and no end."""
        await self._for_ever(writer, b"\0" * 65536)

    async def do_bad_names(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n: none\r\n\x00\xff: \x01\r\n folded\r\n\r\n")

    async def do_bad_location(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(_whole("302 Found", "text/plain", b"", "Location: http://[::1:99999999/%zz"))


@contextlib.contextmanager
def misbehaving() -> Iterator[_Server]:
    """Run the server until the block ends."""
    bombs()  # before a handler waits for them
    server = _Server()
    with listening(server.serve) as server.port:
        yield server
