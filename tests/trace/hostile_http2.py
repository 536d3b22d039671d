"""A hostile HTTP/2 server over TLS on loopback; the path of a request selects the attack."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterator
from pathlib import Path

from hpack import Decoder, Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PushPromiseFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nginx_stream_lint.probe import write_certificate
from tests.trace.listening import listening

_PREFACE = 24  # bytes
_HEADERS = 1  # type of frame
OK = [(":status", "200"), ("content-type", "text/event-stream")]


class _Connection:
    """One connection, one request, one attack."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._encoder = Encoder()
        self._stream = 1

    async def serve(self) -> None:
        """Read the request, and attack as its path says."""
        await self._reader.readexactly(_PREFACE)
        self._send(SettingsFrame(0))
        while True:
            head = memoryview(await self._reader.readexactly(9))
            frame, length = Frame.parse_frame_header(head)
            body = await self._reader.readexactly(length)
            if head[3] == _HEADERS:
                frame.parse_body(memoryview(body))
                self._stream = frame.stream_id
                break
        headers = Decoder().decode(frame.data)  # type: ignore[attr-defined]
        path = str(dict(headers)[":path"]).rpartition("/")[2]  # type: ignore[index]
        # Discard the client's data, so that it can continue.
        reading = asyncio.ensure_future(self._read())
        try:
            await getattr(self, f"do_{path}")()
            await self._writer.drain()
            await reading
        finally:
            reading.cancel()

    async def _read(self) -> None:
        while await self._reader.read(65536):
            pass

    def _send(self, *frames: Frame) -> None:
        self._writer.write(b"".join(frame.serialize() for frame in frames))

    async def _for_ever(self, *frames: Frame) -> None:
        data = b"".join(frame.serialize() for frame in frames)
        while not self._writer.is_closing():
            self._writer.write(data)
            await self._writer.drain()
            await asyncio.sleep(0)

    def _head(self, headers: list[tuple[str, str]], *flags: str) -> HeadersFrame:
        block = self._encoder.encode(headers)
        return HeadersFrame(self._stream, block, flags=("END_HEADERS", *flags))

    def _data(self, data: bytes, *flags: str) -> DataFrame:
        return DataFrame(self._stream, data, flags=flags)

    async def do_pings(self) -> None:
        await self._for_ever(*[PingFrame(0, b"12345678")] * 500)

    async def do_settings(self) -> None:
        await self._for_ever(*[SettingsFrame(0, {3: 100})] * 500)

    async def do_windows(self) -> None:
        await self._for_ever(*[WindowUpdateFrame(0, window_increment=1)] * 500)

    async def do_pings_in_answer(self) -> None:
        self._send(self._head(OK), *[self._data(b"data: x\n\n")] * 5)
        await self._for_ever(*[PingFrame(0, b"12345678")] * 500)

    async def do_continuations(self) -> None:
        block = self._encoder.encode([(":status", "200")])
        self._send(HeadersFrame(self._stream, block))
        more = self._encoder.encode([("x-more", "and more")])
        await self._for_ever(*[ContinuationFrame(self._stream, more)] * 500)

    async def do_empty_continuations(self) -> None:
        self._send(HeadersFrame(self._stream, self._encoder.encode([(":status", "200")])))
        await self._for_ever(*[ContinuationFrame(self._stream, b"")] * 500)

    async def do_empty_data(self) -> None:
        self._send(self._head(OK))
        await self._for_ever(*[self._data(b"")] * 500)

    async def do_empty_between(self) -> None:
        event = self._data(b"data: x\n\n")
        for frame in (self._head(OK), event, self._data(b""), event, self._data(b""), event):
            self._send(frame)
            await self._writer.drain()
            await asyncio.sleep(0.1)  # so that the client reads each one separately
        self._send(self._data(b"", "END_STREAM"))

    async def do_informed(self) -> None:
        while not self._writer.is_closing():
            self._send(*[self._head([(":status", "103"), ("link", "</a>")]) for _ in range(50)])
            await self._writer.drain()
            await asyncio.sleep(0)

    async def do_header_bomb(self) -> None:
        """One long header in the table, referenced by each of the many bytes that follow."""
        first = self._encoder.encode([(":status", "200"), ("x-bomb", "x" * 4000)])
        self._send(HeadersFrame(self._stream, first + b"\xbe" * 10_000))
        await self._for_ever(ContinuationFrame(self._stream, b"\xbe" * 16_000))

    async def do_header_count(self) -> None:
        block = self._encoder.encode(OK) + b"".join(
            self._encoder.encode([(f"x-{number}", "y")]) for number in range(1500)
        )
        self._send(HeadersFrame(self._stream, block[:16_000], flags=["END_HEADERS"]))

    async def do_after_end(self) -> None:
        self._send(self._head(OK), *[self._data(b"data: x\n\n")] * 5, self._data(b"", "END_STREAM"))
        await self._for_ever(*[self._data(b"data: more\n\n")] * 500)

    async def do_trailers(self) -> None:
        self._send(self._head(OK), *[self._data(b"data: x\n\n")] * 5)
        while not self._writer.is_closing():
            self._send(self._head([("x-more", "and more")]))
            await self._writer.drain()
            await asyncio.sleep(0)

    async def do_reset(self) -> None:
        self._send(RstStreamFrame(self._stream, error_code=11))

    async def do_goaway(self) -> None:
        self._send(GoAwayFrame(0, 0, 2, b"secret? " * 100))

    async def do_pushes(self) -> None:
        request = [(":method", "GET"), (":scheme", "https"), (":authority", "a"), (":path", "/")]
        for number in range(2, 2000, 2):
            block = self._encoder.encode(request)
            self._send(PushPromiseFrame(self._stream, number, block, flags=["END_HEADERS"]))
            await self._writer.drain()

    async def do_beyond_window(self) -> None:
        self._send(self._head(OK))
        await self._for_ever(*[self._data(b"data: x\n\n" * 1000)] * 50)

    async def do_status(self) -> None:
        self._send(self._head([(":status", "9" * 30)]), self._data(b"", "END_STREAM"))

    async def do_no_status(self) -> None:
        self._send(self._head([("content-type", "text/plain")]), self._data(b"", "END_STREAM"))

    async def do_huge_frame(self) -> None:
        self._writer.write(b"\xff\xff\xff\x00\x00" + self._stream.to_bytes(4, "big"))
        while not self._writer.is_closing():
            self._writer.write(b"\0" * 65536)
            await self._writer.drain()
            await asyncio.sleep(0)


ATTACKS = [name[3:] for name in vars(_Connection) if name.startswith("do_")]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    quiet = (OSError, asyncio.IncompleteReadError, asyncio.CancelledError)
    with contextlib.suppress(*quiet):
        await _Connection(reader, writer).serve()
    writer.transport.abort()


@contextlib.contextmanager
def hostile_http2(folder: Path) -> Iterator[int]:
    """Run the server until the block ends; returns its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*write_certificate(folder))
    context.set_alpn_protocols(["h2"])
    with listening(_serve, context) as port:
        yield port
