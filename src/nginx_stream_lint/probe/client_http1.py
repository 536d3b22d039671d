"""The HTTP/1.1 client: one request on one connection, or a WebSocket handshake."""

from __future__ import annotations

import asyncio
import time

from nginx_stream_lint.probe.arrivals import Arrivals, ClientRequest, joined
from nginx_stream_lint.probe.decoding import Chunks, Tokens

_HANDSHAKE = (
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
)
# Required headers of the response: RFC 6455, section 4.1.
_ACCEPTED = {
    "Upgrade": "websocket",
    "Connection": "upgrade",
    "Sec-WebSocket-Accept": "s3pplmbitxaq9kygzzhzrbk+xoo=",
}


async def converse_http1(
    request: ClientRequest,
    arrivals: Arrivals,
    tokens: Tokens,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Send a request, and note the response in `arrivals` and `tokens`."""
    writer.write(_request_head(request) + request.body)
    await writer.drain()
    while arrivals.status < 200 and arrivals.status != 101:
        _note_head(arrivals, await reader.readuntil(b"\r\n\r\n"))
    if request.websocket and arrivals.status == 101:
        wrong = [
            name
            for name, value in _ACCEPTED.items()
            if arrivals.headers.get(name.lower(), "").lower() != value
        ]
        if wrong:
            arrivals.error = f"the 101 lacks {' and '.join(wrong)}"
            return
    tokens.encoded_as(arrivals.headers.get("content-encoding", ""))
    chunks = Chunks() if "chunked" in arrivals.headers.get("transfer-encoding", "") else None
    length = arrivals.headers.get("content-length")
    while True:
        if (chunks and chunks.done) or (length and tokens.bytes_read >= int(length)):
            arrivals.ended = "complete"
            return
        data = await reader.read(65536)
        if not data:
            # Without chunks and length, closing ends a response.
            arrivals.ended = "cut" if chunks or length else "complete"
            return
        tokens.feed(chunks.feed(data) if chunks else data, time.monotonic())


def _request_head(request: ClientRequest) -> bytes:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.body:
        lines.append(f"Content-Length: {len(request.body)}")
    if request.websocket:
        lines += [f"{name}: {value}" for name, value in _HANDSHAKE]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _note_head(arrivals: Arrivals, head: bytes) -> None:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    arrivals.status = int(first.split()[1])
    arrivals.head_at = time.monotonic()
    pairs = (line.partition(":")[::2] for line in lines)
    arrivals.headers = joined((name, value.strip()) for name, value in pairs)
