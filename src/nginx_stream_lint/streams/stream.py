"""A stream: its kind, and what is known of its app and clients."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from nginx_stream_lint.nginx.delivery import AccelBuffering, Framing
from nginx_stream_lint.nginx.listeners import Client

Kind = Literal["sse", "chunked", "websocket", "long-poll", "grpc"]
KINDS: tuple[Kind, ...] = ("sse", "chunked", "websocket", "long-poll", "grpc")
# From the weakest up.
Confidence = Literal["possible", "likely", "known", "declared"]
CONFIDENCES: tuple[Confidence, ...] = ("possible", "likely", "known", "declared")

# Content types of each kind, which decide about compression.
CONTENT_TYPES: dict[Kind, tuple[str, ...]] = {
    "sse": ("text/event-stream",),
    "chunked": ("application/x-ndjson", "application/octet-stream", "text/plain"),
    "websocket": (),
    "long-poll": (),
    "grpc": ("application/grpc", "application/grpc-web", "application/grpc-web+proto"),
}

# Why `explain` checks a location as a stream where nothing else suggests one.
ASKED = "because you asked about it"


class Stream(Struct, frozen=True):
    """A stream that a location serves.

    `because` says in words why it is thought to be one. The rest is what its app is known to do;
    None where nobody knows. `heartbeat_s` is the longest silence in seconds where the app or its
    client ends every one, `silence_s` one that is known to happen. `clients` are the only clients
    it has, `method` the request method if there is only one, `path` its path where that is known:
    the location may take others, too. `kind_is_open` tells that nothing says which kind it is: of
    one that a user declares, what else is known decides. `client_streams` tells that the client
    goes on sending while the stream lasts: gRPC client streaming, bidirectional streams.
    `is_endless` tells that it has no end of its own, as a camera's has not.
    """

    kind: Kind
    confidence: Confidence
    because: str
    framing: Framing | None = None
    x_accel_buffering: AccelBuffering | None = None
    heartbeat_s: float | None = None
    silence_s: float | None = None
    clients: tuple[Client, ...] | None = None
    method: str | None = None
    kind_is_open: bool = False
    path: str | None = None
    client_streams: bool = False
    is_endless: bool = False

    @property
    def words(self) -> str:
        """The confidence and its reason in words: `likely to stream (sse): its path says …`."""
        if self.because.startswith("because "):  # an option or a question, no evidence
            return f"assumed to stream ({self.kind}), {self.because}"
        return f"{self.confidence} to stream ({self.kind}): {self.because}"
