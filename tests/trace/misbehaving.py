"""A server that does by path what servers should not do, on loopback, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator

CHUNKED = "Transfer-Encoding: chunked"
SSE = "Content-Type: text/event-stream"
TOKENS, PACE = 30, 0.02


def _head(status: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "", ""]).encode("latin-1")


def _whole(status: str, kind: str, body: bytes, *headers: str) -> bytes:
    return _head(status, f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers) + body


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class _Server:
    """Answers one request a connection; `requests` are the heads and bodies it got."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Whatever waits when the server is stopped is cancelled, and that is no error.
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
        """An error that repeats everything it was sent, in body and headers."""
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
        """Says that it is compressed and is not."""
        writer.write(_head("200 OK", SSE, CHUNKED, "Content-Encoding: gzip"))
        writer.write(_chunk(b"data: plain\n\n"))

    async def do_junk(self, writer: asyncio.StreamWriter, *_: bytes) -> None:
        writer.write(b"this is not HTTP\r\n\r\n")

    async def do_nothing(self, *_: object) -> None:
        """Closes without an answer."""


@contextlib.contextmanager
def misbehaving() -> Iterator[_Server]:
    """Run the server until the block ends."""
    server = _Server()
    loop = asyncio.new_event_loop()
    started = threading.Event()
    stop = asyncio.Event()

    async def run() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        server.port = listening.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        listening.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    started.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()
