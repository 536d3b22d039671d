"""HTTP/1.0, HTTP/1.1 and WebSocket side of the upstream."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re

from nginx_stream_lint.probe.drip import Drip
from nginx_stream_lint.probe.emission import (
    Log,
    ReceivedRequest,
    emit,
    pause_before_headers,
    requested_drip,
    skip,
)

_WEBSOCKET_KEY_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_WEBSOCKET_KEY = re.compile("[A-Za-z0-9+/]{22}==")  # 16 bytes in base64
_REASONS = {101: "Switching Protocols", 200: "OK", 400: "Bad Request", 426: "Upgrade Required"}


async def serve_http1(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection_number: int, log: Log
) -> None:
    """Respond to the requests of one connection until either side closes it.

    Raises:
        ClientGone, DropConnection, ConnectionError, asyncio.IncompleteReadError: it is over.
    """
    while head := await _read_head(reader):
        seen = _request(head, connection_number)
        log(seen)
        await _read_body(reader, seen)
        drip = requested_drip(seen.headers)
        await pause_before_headers(drip)
        if _wants_websocket(seen):
            await _respond_websocket(reader, writer, seen, drip)
            return
        if "websocket" in seen.headers.get("upgrade", "").lower():
            drip = Drip(id=drip.id, status=400, tokens=0)  # a handshake, and a wrong one
        elif drip.websocket:
            drip = Drip(id=drip.id, status=426, tokens=0)
        if not await _respond(reader, writer, seen, drip):
            return


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """Return a request's head, or nothing if the peer closed between two requests."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


def _request(head: bytes, connection_number: int) -> ReceivedRequest:
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, uri, protocol = first.split(" ", 2)
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        key, value = name.strip().lower(), value.strip()
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    drip = requested_drip(headers)
    version = protocol.removeprefix("HTTP/")
    return ReceivedRequest(drip.id, "http", method, uri, version, headers, connection_number)


async def _read_body(reader: asyncio.StreamReader, seen: ReceivedRequest) -> None:
    """Read the body before responding, as most apps do, even if it never arrives."""
    if "chunked" in seen.headers.get("transfer-encoding", "").lower():
        while size := int((await reader.readline()).split(b";")[0], 16):
            seen.body_length += await skip(reader, size)
            await skip(reader, 2)
        while (await reader.readline()).strip():
            pass  # trailers
        return
    seen.body_length += await skip(reader, int(seen.headers.get("content-length", "0")))


def _wants_websocket(seen: ReceivedRequest) -> bool:
    """Whether a request is a handshake by RFC 6455, in HTTP/1.1 or HTTP/1.0."""
    return (
        seen.method == "GET"
        and seen.headers.get("upgrade", "").lower() == "websocket"
        and "upgrade" in _connection_options(seen)
        and seen.headers.get("sec-websocket-version") == "13"
        and _WEBSOCKET_KEY.fullmatch(seen.headers.get("sec-websocket-key", "")) is not None
    )


def _connection_options(seen: ReceivedRequest) -> set[str]:
    return {word.strip().lower() for word in seen.headers.get("connection", "").split(",")}


def _head(status: int, headers: list[tuple[str, str]], protocol: str = "HTTP/1.1") -> bytes:
    lines = [f"{protocol} {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


async def _respond(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: ReceivedRequest, drip: Drip
) -> bool:
    """Send one response; return whether the connection can take another request."""
    options = _connection_options(seen)
    old = seen.http_version == "1.0"
    # HTTP/1.0 has no chunks: a stream ends with its connection.
    framing = "close" if old and drip.framing == "chunked" else drip.framing
    keep = framing != "close" and "close" not in options and (not old or "keep-alive" in options)
    headers = [("Content-Type", drip.type), *drip.headers]
    if drip.x_accel_buffering:
        headers.append(("X-Accel-Buffering", drip.x_accel_buffering))
    if framing == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
    if framing == "length":
        headers.append(("Content-Length", str(drip.tokens * drip.bytes)))
    headers.append(("Connection", "keep-alive" if keep else "close"))
    writer.write(_head(drip.status, headers))
    await writer.drain()

    async def send(token: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(token), token) if framing == "chunked" else token)
        await writer.drain()

    if seen.method != "HEAD":
        await emit(drip, seen, send, reader.at_eof)
        if framing == "chunked":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    seen.finished = True
    return keep


async def _respond_websocket(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seen: ReceivedRequest, drip: Drip
) -> None:
    key = seen.headers.get("sec-websocket-key", "") + _WEBSOCKET_KEY_SUFFIX
    accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
    headers = [
        ("Upgrade", "websocket"),
        ("Connection", "upgrade"),
        ("Sec-WebSocket-Accept", accept),
        *drip.headers,
    ]
    writer.write(_head(101, headers))
    await writer.drain()

    async def send(token: bytes) -> None:
        writer.write(_frame(0x1, token))
        await writer.drain()

    await emit(drip, seen, send, reader.at_eof)
    writer.write(_frame(0x8, b"\x03\xe8"))  # close, status 1000
    await writer.drain()
    seen.finished = True


def _frame(opcode: int, payload: bytes) -> bytes:
    """Return a final, unmasked WebSocket frame."""
    size = len(payload)
    if size < 126:
        length = bytes([size])
    elif size < 65536:
        length = b"\x7e" + size.to_bytes(2, "big")
    else:
        length = b"\x7f" + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + payload
