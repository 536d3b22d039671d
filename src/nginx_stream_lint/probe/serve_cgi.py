"""FastCGI, SCGI and uwsgi side of the upstream: three wrappings of the same CGI response."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

from nginx_stream_lint.probe.drip import Drip
from nginx_stream_lint.probe.emission import (
    Log,
    ReceivedRequest,
    emit,
    pause_before_headers,
    requested_drip,
    skip,
)

_FCGI_BEGIN_REQUEST, _FCGI_END_REQUEST = 1, 3
_FCGI_PARAMS, _FCGI_STDIN, _FCGI_STDOUT = 4, 5, 6
_FCGI_KEEP_CONN = 1
_FCGI_LARGEST_CONTENT = 0xFFFF
_MOST_PARAMS = 1 << 17  # bytes of a request's parameters

Send = Callable[[bytes], Awaitable[None]]


async def serve_fastcgi(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection_number: int, log: Log
) -> None:
    """Serve FastCGI requests, one at a time; keep the connection if FCGI_KEEP_CONN is set.

    Raises:
        ClientGone, DropConnection, ConnectionError, asyncio.IncompleteReadError: it is over.
    """
    while not reader.at_eof():
        try:
            record = await _read_record(reader)
        except asyncio.IncompleteReadError as error:
            if error.partial:
                raise
            return
        kind, request_id, content = record
        if kind != _FCGI_BEGIN_REQUEST:
            continue
        keep = bool(content[2] & _FCGI_KEEP_CONN)
        seen = await _fastcgi_request(reader, connection_number, log)

        async def send(data: bytes, request_id: int = request_id) -> None:
            for at in range(0, len(data), _FCGI_LARGEST_CONTENT):
                piece = data[at : at + _FCGI_LARGEST_CONTENT]
                writer.write(_record(_FCGI_STDOUT, request_id, piece))
            await writer.drain()

        await _respond(seen, send, reader.at_eof, status_line="Status:")
        writer.write(_record(_FCGI_STDOUT, request_id, b""))
        writer.write(_record(_FCGI_END_REQUEST, request_id, bytes(8)))
        await writer.drain()
        seen.finished = True
        if not keep:
            return


async def serve_scgi(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection_number: int, log: Log
) -> None:
    """Serve one SCGI request; the response ends with the connection.

    Raises:
        ClientGone, DropConnection, ConnectionError, asyncio.IncompleteReadError: it is over.
    """
    size = int((await reader.readuntil(b":"))[:-1])
    if size > _MOST_PARAMS:
        raise ValueError("more parameters than any request has")
    words = (await reader.readexactly(size + 1))[:-1].decode("latin-1").split("\0")
    params = dict(zip(words[0::2], words[1::2], strict=False))
    await _serve_plain(reader, writer, _seen("scgi", params, connection_number, log), params)


async def serve_uwsgi(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection_number: int, log: Log
) -> None:
    """Serve one uwsgi request; the response ends with the connection.

    Raises:
        ClientGone, DropConnection, ConnectionError, asyncio.IncompleteReadError: it is over.
    """
    _, size, _ = struct.unpack("<BHB", await reader.readexactly(4))
    packet = await reader.readexactly(size)
    words: list[str] = []
    at = 0
    while at < size:
        (length,) = struct.unpack_from("<H", packet, at)
        words.append(packet[at + 2 : at + 2 + length].decode("latin-1"))
        at += 2 + length
    params = dict(zip(words[0::2], words[1::2], strict=False))
    await _serve_plain(reader, writer, _seen("uwsgi", params, connection_number, log), params)


async def _serve_plain(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    seen: ReceivedRequest,
    params: dict[str, str],
) -> None:
    length = params.get("CONTENT_LENGTH") or params.get("HTTP_CONTENT_LENGTH") or "0"
    seen.body_length = await skip(reader, int(length))

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    # nginx accepts either form; each family gets the form that its own servers send.
    await _respond(
        seen, send, reader.at_eof, status_line="Status:" if seen.family == "scgi" else "HTTP/1.1"
    )
    seen.finished = True


async def _respond(
    seen: ReceivedRequest, send: Send, gone: Callable[[], bool], status_line: str
) -> None:
    drip = requested_drip(seen.headers)
    await pause_before_headers(drip)
    await send(_head(drip, status_line))
    if seen.method != "HEAD":
        await emit(drip, seen, send, gone)


def _head(drip: Drip, status_line: str) -> bytes:
    lines = [f"{status_line} {drip.status} Status", f"Content-Type: {drip.type}"]
    lines += [f"{name}: {value}" for name, value in drip.headers]
    if drip.x_accel_buffering:
        lines.append(f"X-Accel-Buffering: {drip.x_accel_buffering}")
    if drip.framing == "length":
        lines.append(f"Content-Length: {drip.tokens * drip.bytes}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def _seen(family: str, params: dict[str, str], connection_number: int, log: Log) -> ReceivedRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in params.items()
        if name.startswith("HTTP_")
    }
    seen = ReceivedRequest(
        id=requested_drip(headers).id,
        family=family,
        method=params.get("REQUEST_METHOD", ""),
        uri=params.get("REQUEST_URI", ""),
        http_version=params.get("SERVER_PROTOCOL", "").removeprefix("HTTP/"),
        headers=headers,
        connection_number=connection_number,
    )
    log(seen)
    return seen


async def _fastcgi_request(
    reader: asyncio.StreamReader, connection_number: int, log: Log
) -> ReceivedRequest:
    """Read parameters and body of the request that has just begun."""
    packed = b""
    while True:
        kind, _, content = await _read_record(reader)
        if kind == _FCGI_PARAMS and not content:
            break
        packed += content
        if len(packed) > _MOST_PARAMS:
            raise ValueError("more parameters than any request has")
    seen = _seen("fastcgi", _fastcgi_params(packed), connection_number, log)
    while True:
        kind, _, content = await _read_record(reader)
        if kind == _FCGI_STDIN and not content:
            return seen
        seen.body_length += len(content)


def _fastcgi_params(packed: bytes) -> dict[str, str]:
    params: dict[str, str] = {}
    at = 0

    def length() -> int:
        nonlocal at
        # One byte, or four when the first one's high bit is set.
        wide = packed[at] & 0x80
        value = int.from_bytes(packed[at : at + 4], "big") & 0x7FFFFFFF if wide else packed[at]
        at += 4 if wide else 1
        return value

    while at < len(packed):
        name_length, value_length = length(), length()
        name = packed[at : at + name_length].decode("latin-1")
        value = packed[at + name_length : at + name_length + value_length].decode("latin-1")
        params[name] = value
        at += name_length + value_length
    return params


async def _read_record(reader: asyncio.StreamReader) -> tuple[int, int, bytes]:
    _, kind, request_id, length, padding, _ = struct.unpack(">BBHHBB", await reader.readexactly(8))
    content = await reader.readexactly(length + padding)
    return kind, request_id, content[:length]


def _record(kind: int, request_id: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBB", 1, kind, request_id, len(content), 0, 0) + content
