"""HTTP/2 side of the upstream: clear text, prior knowledge, ordinary responses and gRPC."""

from __future__ import annotations

import asyncio

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from nginx_stream_lint.probe.drip import Drip
from nginx_stream_lint.probe.emission import (
    ClientGone,
    DropConnection,
    Log,
    ReceivedRequest,
    emit,
    pause_before_headers,
    requested_drip,
)

_GRPC = "application/grpc"


async def serve_http2(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection_number: int, log: Log
) -> None:
    """Respond to the streams of one connection concurrently, until it is closed.

    Raises:
        ClientGone, DropConnection, ConnectionError: the connection is over.
    """
    try:
        await _Connection(reader, writer, connection_number, log).run()
    except ProtocolError:  # what a configuration sets may be no HTTP/2
        raise ClientGone from None


class _Connection:
    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        number: int,
        log: Log,
    ) -> None:
        # Record nginx's messages unchanged, without validation.
        config = H2Configuration(
            client_side=False, header_encoding="utf-8", validate_inbound_headers=False
        )
        self._h2 = H2Connection(config)
        self._reader, self._writer, self._number, self._log = reader, writer, number, log
        self._requests: dict[int, ReceivedRequest] = {}
        self._responses: dict[int, asyncio.Task[None]] = {}
        self._more_room = asyncio.Event()

    async def run(self) -> None:
        self._h2.initiate_connection()
        try:
            await self._flush()
            while data := await self._reader.read(65536):
                for event in self._h2.receive_data(data):
                    self._handle(event)
                await self._flush()
                self._raise_died()
        finally:
            for stream, task in self._responses.items():
                if not task.done():
                    task.cancel()
                    self._requests[stream].client_gone = True
            await asyncio.gather(*self._responses.values(), return_exceptions=True)

    def _raise_died(self) -> None:
        for task in self._responses.values():
            if (
                task.done()
                and not task.cancelled()
                and isinstance(task.exception(), DropConnection)
            ):
                raise DropConnection("close")

    def _handle(self, event: events.Event) -> None:
        if isinstance(event, events.RequestReceived):
            self._begin(event)
        elif isinstance(event, events.DataReceived):
            self._requests[event.stream_id].body_length += len(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, events.StreamEnded):
            response = self._respond(event.stream_id)
            self._responses[event.stream_id] = asyncio.get_running_loop().create_task(response)
        elif isinstance(event, (events.WindowUpdated, events.RemoteSettingsChanged)):
            self._more_room.set()
        elif isinstance(event, events.StreamReset) and event.stream_id in self._requests:
            seen = self._requests[event.stream_id]
            seen.client_gone = not seen.finished
            if task := self._responses.get(event.stream_id):
                task.cancel()

    def _begin(self, event: events.RequestReceived) -> None:
        headers: dict[str, str] = {}
        for raw_name, raw_value in event.headers or ():
            name, value = _text(raw_name), _text(raw_value)
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        method, uri = headers.pop(":method", ""), headers.pop(":path", "")
        name = requested_drip(headers).id
        seen = ReceivedRequest(name, "h2c", method, uri, "2", headers, self._number)
        self._requests[event.stream_id] = seen
        self._log(seen)

    async def _respond(self, stream: int) -> None:
        seen = self._requests[stream]
        drip = requested_drip(seen.headers)
        try:
            await self._send_response(stream, seen, drip)
        except DropConnection as death:
            if death.how == "close":
                # The reading side of this connection is another task: closing wakes it up.
                self._writer.close()
                raise
            self._h2.reset_stream(stream, error_code=2)  # INTERNAL_ERROR
            await self._flush()
        except (ClientGone, ConnectionError, ProtocolError):  # the last: the stream was reset
            seen.client_gone = True

    async def _send_response(self, stream: int, seen: ReceivedRequest, drip: Drip) -> None:
        await pause_before_headers(drip)
        content_type = seen.headers.get("content-type", "")
        grpc = content_type.startswith(_GRPC) or drip.type.startswith(_GRPC)
        kind = _GRPC if grpc and not drip.type.startswith(_GRPC) else drip.type
        headers = [(":status", str(drip.status)), ("content-type", kind)]
        headers += [(name.lower(), value) for name, value in drip.headers]
        if drip.x_accel_buffering:
            headers.append(("x-accel-buffering", drip.x_accel_buffering))
        if drip.framing == "length":
            size = drip.tokens * (drip.bytes + (5 if grpc else 0))
            headers.append(("content-length", str(size)))
        self._h2.send_headers(stream, headers)
        await self._flush()

        async def send(token: bytes) -> None:
            # A gRPC message: not compressed, four bytes of length, the message.
            message = b"\0" + len(token).to_bytes(4, "big") + token if grpc else token
            await self._send_data(stream, message)

        if seen.method != "HEAD":
            await emit(drip, seen, send, self._reader.at_eof)
        if grpc:
            self._h2.send_headers(stream, [("grpc-status", "0")], end_stream=True)
        else:
            self._h2.end_stream(stream)
        seen.finished = True
        await self._flush()

    async def _send_data(self, stream: int, data: bytes) -> None:
        while data:
            room = self._h2.local_flow_control_window(stream)
            size = min(len(data), room, self._h2.max_outbound_frame_size)
            if not size:
                self._more_room.clear()
                await self._more_room.wait()
                continue
            self._h2.send_data(stream, data[:size])
            data = data[size:]
            await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._h2.data_to_send())
        await self._writer.drain()


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
