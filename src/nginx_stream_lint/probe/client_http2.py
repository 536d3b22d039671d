"""The HTTP/2 client: one stream on one connection."""

from __future__ import annotations

import asyncio
import time

from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from nginx_stream_lint.probe.arrivals import Arrivals, ClientRequest, joined
from nginx_stream_lint.probe.decoding import Tokens

_FRAME_HEAD = 9  # bytes: the length, the type, flags, and the stream
_GOAWAY = 7
_MAX_FRAME = 16384  # bytes that a server may send without being asked for more


async def converse_http2(
    request: ClientRequest,
    arrivals: Arrivals,
    tokens: Tokens,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Send a request, and note the response in `arrivals` and `tokens`."""
    transport = writer.get_extra_info("ssl_object")
    if transport is not None and transport.selected_alpn_protocol() != "h2":
        arrivals.ended, arrivals.error = "refused", "the server does not use HTTP/2"
        return
    connection = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    connection.initiate_connection()
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, _h2_headers(request), end_stream=not request.body)
    left = request.body
    frames = FrameReader(stream)
    while True:
        # A body larger than the window goes out as nginx makes room for it.
        while left and (room := connection.local_flow_control_window(stream)):
            size = min(len(left), room, connection.max_outbound_frame_size)
            connection.send_data(stream, left[:size], end_stream=size == len(left))
            left = left[size:]
        writer.write(connection.data_to_send())
        await writer.drain()
        data = await reader.read(65536)
        if not data:
            arrivals.ended, arrivals.error = "cut", "connection closed"
            return
        now = time.monotonic()
        try:
            received = connection.receive_data(frames.read(data))
        except ProtocolError as error:
            arrivals.ended, arrivals.error = "cut", str(error)
            return
        for event in received:
            if isinstance(event, events.ResponseReceived):
                pairs = [(str(name), str(value)) for name, value in event.headers or ()]
                arrivals.headers = joined(pairs)
                arrivals.status = int(arrivals.headers.pop(":status"))
                arrivals.head_at = now
                tokens.encoded_as(arrivals.headers.get("content-encoding", ""))
            elif isinstance(event, events.TrailersReceived):
                pairs = [(str(name), str(value)) for name, value in event.headers or ()]
                arrivals.trailers = joined(pairs)
            elif isinstance(event, events.DataReceived):
                tokens.feed(event.data or b"", now)
                connection.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            elif isinstance(event, events.StreamEnded):
                arrivals.ended = "complete"
                return
            elif isinstance(event, (events.StreamReset, events.ConnectionTerminated)):
                arrivals.ended, arrivals.error = "cut", f"{type(event).__name__}"
                return


class FrameReader:
    """Cuts what a server sends into frames, without a GOAWAY that lets a stream end.

    nginx sends one at once with `keepalive_timeout 0`, and on a reload. Clients go on reading the
    stream, but h2 reads nothing after it.
    """

    def __init__(self, stream: int) -> None:
        self._stream = stream
        self._buffer = b""
        self._is_refused = False  # h2 refuses a longer frame, and all that follows

    def read(self, data: bytes) -> bytes:
        """The frames that are complete with more data."""
        if self._is_refused:
            return data
        buffer = self._buffer + data
        kept: list[bytes] = []
        at = 0
        while len(buffer) - at >= _FRAME_HEAD:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if length > _MAX_FRAME:
                self._is_refused = True
                kept.append(buffer[at:])
                at = len(buffer)
                break
            end = at + _FRAME_HEAD + length
            if end > len(buffer):
                break
            if not self._lets_end(buffer[at:end]):
                kept.append(buffer[at:end])
            at = end
        self._buffer = buffer[at:]
        return b"".join(kept)

    def _lets_end(self, frame: bytes) -> bool:
        if frame[3] != _GOAWAY or len(frame) < _FRAME_HEAD + 8:
            return False
        last = int.from_bytes(frame[_FRAME_HEAD : _FRAME_HEAD + 4], "big") & 0x7FFFFFFF
        code = int.from_bytes(frame[_FRAME_HEAD + 4 : _FRAME_HEAD + 8], "big")
        return code == 0 and last >= self._stream


def _h2_headers(request: ClientRequest) -> list[tuple[str, str]]:
    headers = [
        (":method", request.method),
        (":scheme", "http" if request.client == "h2c" else "https"),
        (":authority", request.host),
        (":path", request.path),
    ]
    headers += [(name.lower(), value) for name, value in request.headers]
    if request.body:
        headers.append(("content-length", str(len(request.body))))
    return headers
