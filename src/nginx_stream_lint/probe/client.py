"""Clients that note when each token arrives: HTTP/1.1 and HTTP/2, in clear text and over TLS."""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib

from nginx_stream_lint.probe.arrivals import Arrivals, ClientRequest, Headers
from nginx_stream_lint.probe.client_http1 import converse_http1
from nginx_stream_lint.probe.decoding import Tokens

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
            await converse_http1(request, arrivals, tokens, reader, writer)
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
