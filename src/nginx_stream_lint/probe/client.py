"""Clients that note when each token arrives: HTTP/1.1 and HTTP/2, in clear text and over TLS."""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib

from nginx_stream_lint.probe.arrivals import Arrivals, ClientRequest, Headers, joined
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
CLIENTS = ("h1", "h1-tls", "h2", "h2c")


async def fetch(
    port: int,
    path: str,
    client: str,
    *,
    host: str = "localhost",
    method: str = "GET",
    headers: Headers = (),
    body: bytes = b"",
    accept_encoding: str = "identity",
    timeout: float = 30.0,
    websocket: bool = False,
) -> Arrivals:
    """Send one request to loopback and read the whole response; never raises for nginx's errors.

    Args:
        port: on 127.0.0.1.
        path: with the query, as it is sent.
        client: `h1`, `h1-tls`, `h2` (over TLS, with ALPN) or `h2c` (prior knowledge).
        host: for SNI and the Host header.
        method: GET, POST, ...
        headers: further headers; they are sent as they are.
        body: sent with a Content-Length when not empty.
        accept_encoding: value of Accept-Encoding; empty: not sent.
        timeout: seconds for everything; afterwards the connection is dropped.
        websocket: True: send a WebSocket handshake (h1 and h1-tls), and stop reading after a 101
            that does not complete the handshake.

    Raises:
        ValueError: `client` is not one of CLIENTS.
    """
    if client not in CLIENTS:
        raise ValueError(f"client is {client!r}, not one of {', '.join(CLIENTS)}")
    encoding = (("Accept-Encoding", accept_encoding),) if accept_encoding else ()
    everything = (*encoding, *headers)
    request = ClientRequest(port, path, client, host, method, everything, body, websocket)
    arrivals = Arrivals(started=time.monotonic())
    tokens = Tokens()
    arrivals.times, arrivals.lacked = tokens.times, tokens.lacked
    try:
        await asyncio.wait_for(_converse(request, arrivals, tokens), timeout)
    except (TimeoutError, asyncio.TimeoutError):
        arrivals.ended = "timeout"
    arrivals.bytes_read = tokens.bytes_read
    arrivals.finished = time.monotonic()
    return arrivals


async def _converse(request: ClientRequest, arrivals: Arrivals, tokens: Tokens) -> None:
    try:
        reader, writer = await _connect(request)
    except (OSError, ssl.SSLError, ValueError) as error:  # the last: a host that is no name
        arrivals.ended, arrivals.error = "refused", str(error)
        return
    try:
        if request.client in ("h1", "h1-tls"):
            await _converse_h1(request, arrivals, tokens, reader, writer)
        else:
            from nginx_stream_lint.probe.client_http2 import converse_http2

            await converse_http2(request, arrivals, tokens, reader, writer)
    except asyncio.IncompleteReadError:
        arrivals.ended, arrivals.error = "cut", "connection closed before the response"
    except (OSError, ssl.SSLError) as error:
        arrivals.ended, arrivals.error = "cut", str(error)
    except (asyncio.LimitOverrunError, ValueError, LookupError, zlib.error) as error:
        # Endless headers, an invalid status, or a body with another encoding than declared.
        arrivals.ended, arrivals.error = "cut", f"no valid response ({type(error).__name__})"
    finally:
        # abort, not close: closing TLS would wait for a peer that may be gone.
        writer.transport.abort()


async def _connect(request: ClientRequest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    tls = _tls(request.client)
    name = request.host.partition(":")[0] if tls else None
    for attempt in (1, 2):
        try:
            return await asyncio.open_connection(
                "127.0.0.1", request.port, ssl=tls, server_hostname=name
            )
        except ConnectionRefusedError:
            if attempt == 2:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("unreachable")


def _tls(client: str) -> ssl.SSLContext | None:
    if client in ("h1", "h2c"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # loopback, and a certificate made a moment ago
    context.set_alpn_protocols(["h2"] if client == "h2" else ["http/1.1"])
    return context


async def _converse_h1(
    request: ClientRequest,
    arrivals: Arrivals,
    tokens: Tokens,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    writer.write(_h1_head(request) + request.body)
    await writer.drain()
    while arrivals.status < 200 and arrivals.status != 101:
        _note_h1_head(arrivals, await reader.readuntil(b"\r\n\r\n"))
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


def _h1_head(request: ClientRequest) -> bytes:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {request.host}"]
    lines += [f"{name}: {value}" for name, value in request.headers]
    if request.body:
        lines.append(f"Content-Length: {len(request.body)}")
    if request.websocket:
        lines += [f"{name}: {value}" for name, value in _HANDSHAKE]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _note_h1_head(arrivals: Arrivals, head: bytes) -> None:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    arrivals.status = int(first.split()[1])
    arrivals.head_at = time.monotonic()
    pairs = (line.partition(":")[::2] for line in lines)
    arrivals.headers = joined((name, value.strip()) for name, value in pairs)
