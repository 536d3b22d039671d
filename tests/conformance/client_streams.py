"""A client that keeps requests open: it does not end them, or has several at a time.

It uses HTTP/2 over TLS if the server supports it, otherwise HTTP/1.1 with chunks (one request for
each connection).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection

from nginx_stream_lint.probe import Drip
from tests.conformance.examples import uri

if TYPE_CHECKING:
    from tests.conformance.effects import Lab


@dataclass
class OpenRequest:
    """One request. `began` and `ended` are seconds of `time.monotonic()`; 0 means not yet."""

    name: str
    stream: int = 0
    status: int = 0
    began: float = field(default_factory=time.monotonic)
    ended: float = 0.0


@dataclass
class OpenRequests:
    """Requests on one connection, each to the path of a lab."""

    path: str
    type: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http2: H2Connection | None
    requests: list[OpenRequest] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def to(cls, lab: Lab) -> AsyncIterator[OpenRequests]:
        """Connect to the server of a lab's stream."""
        place = lab.place
        over_http2 = "h2" in place.clients
        tls = _tls() if over_http2 else None
        port = lab.run.port(place.server, "h2" if over_http2 else "h1")
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        kind = "application/grpc" if place.handler.family == "grpc" else "text/event-stream"
        http2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        found = cls(uri(place.level), kind, reader, writer, http2 if over_http2 else None)
        if over_http2:
            http2.initiate_connection()
        listening = asyncio.ensure_future(found._listen())
        try:
            yield found
        finally:
            listening.cancel()
            writer.transport.abort()

    async def begin(self, piece: bytes = b"") -> OpenRequest:
        """Send a request; with a piece of its body, it stays open."""
        name = f"open-{id(self)}-{len(self.requests)}"
        one = OpenRequest(name)
        self.requests.append(one)
        drip = Drip(id=name, tokens=10, type=self.type).encode()
        if self.http2 is None:
            head = f"POST {self.path} HTTP/1.1\r\nHost: localhost\r\nX-Drip: {drip}\r\n"
            self.writer.write(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
            self.writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        else:
            one.stream = self.http2.get_next_available_stream_id()
            names = (":method", ":scheme", ":authority", ":path", "x-drip", "content-type")
            values = ("POST", "https", "localhost", self.path, drip, self.type)
            headers = list(zip(names, values, strict=True))
            self.http2.send_headers(one.stream, headers, end_stream=not piece)
            if piece:
                self.http2.send_data(one.stream, piece)
        await self._flush()
        return one

    async def end(self, one: OpenRequest) -> None:
        """End a request."""
        if self.http2 is None:
            self.writer.write(b"0\r\n\r\n")
        else:
            self.http2.end_stream(one.stream)
        await self._flush()

    async def wait(self, seconds: float) -> None:
        """Send nothing for some time, or until all requests have ended."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not all(one.ended for one in self.requests):
            await asyncio.sleep(0.02)

    async def _flush(self) -> None:
        if self.http2 is not None:
            self.writer.write(self.http2.data_to_send())
        await self.writer.drain()

    async def _listen(self) -> None:
        if self.http2 is None:
            await self._listen_http1(self.requests)
            return
        while data := await self.reader.read(65536):
            for event in self.http2.receive_data(data):
                self._note(self.http2, event)
            await self._flush()

    def _note(self, http2: H2Connection, event: events.Event) -> None:
        one = next((o for o in self.requests if o.stream == getattr(event, "stream_id", 0)), None)
        if one is None:
            return
        if isinstance(event, events.ResponseReceived):
            headers = {str(name): str(value) for name, value in event.headers or ()}
            one.status = int(headers[":status"])
        elif isinstance(event, events.DataReceived):
            http2.acknowledge_received_data(event.flow_controlled_length or 0, one.stream)
        elif isinstance(event, (events.StreamEnded, events.StreamReset)):
            one.ended = one.ended or time.monotonic()

    async def _listen_http1(self, requests: list[OpenRequest]) -> None:
        head = b""
        while data := await self.reader.read(65536):
            head += data
            if b"\r\n0\r\n\r\n" in head:
                break
        for one in requests:
            one.status = int(head.split(b" ", 2)[1]) if head else 0
            one.ended = time.monotonic()


def _tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # loopback, and a certificate that was just made
    context.set_alpn_protocols(["h2"])
    return context
