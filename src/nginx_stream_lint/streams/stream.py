"""A stream: its kind, and known properties of its app and clients."""

from typing import Literal

from msgspec import Struct

from nginx_stream_lint.nginx.delivery import AccelBuffering, Framing
from nginx_stream_lint.nginx.listeners import Client

Kind = Literal["sse", "chunked", "websocket", "long-poll", "grpc"]
KINDS: tuple[Kind, ...] = ("sse", "chunked", "websocket", "long-poll", "grpc")
# The fix if an nginx consumes the app's `X-Accel-Buffering: no`: that location passes the header
# on, the location in front stops buffering, or another tier needs the fix.
AccelFix = Literal["pass-on", "stop-buffering", "elsewhere"]
# From weakest to strongest.
Confidence = Literal["possible", "likely", "known", "declared"]
CONFIDENCES: tuple[Confidence, ...] = ("possible", "likely", "known", "declared")

# Content types of each kind, which determine compression.
CONTENT_TYPES: dict[Kind, tuple[str, ...]] = {
    "sse": ("text/event-stream",),
    "chunked": ("application/x-ndjson", "application/octet-stream", "text/plain"),
    "websocket": (),
    "long-poll": (),
    "grpc": ("application/grpc", "application/grpc-web", "application/grpc-web+proto"),
}

# The reason why `explain` checks a location as a stream without evidence.
ASKED = "because you asked about it"


class Stream(Struct, frozen=True, omit_defaults=True):
    """A stream that a location serves.

    `because` is the evidence in words. The other fields are known properties of its app; None if
    unknown. `heartbeat_s` is the longest silence in seconds, if the app or its client ends each
    one; `silence_s` is a silence that is known to occur. `clients` are the only kinds of clients,
    `method` the request method if there is only one, `path` its path if that is known: the location
    may handle others, too. `kind_is_open`: nothing determines the kind; for a declared stream,
    evidence decides. `client_streams`: the client keeps sending during the stream, as in gRPC
    client streaming and bidirectional streams. `is_endless`: it never ends by itself, as with a
    camera. `accel_fix`: the app sends `X-Accel-Buffering: no`, but an nginx consumes it, so the
    nginx in front does not get it. `is_uncompressed`: no request accepts compression, because the
    nginx in front removes Accept-Encoding.
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
    accel_fix: AccelFix | None = None
    is_uncompressed: bool = False

    @property
    def words(self) -> str:
        """The confidence and its reason in words: `likely to stream (sse): its path says …`."""
        if self.because.startswith("because "):  # a declaration, not evidence
            return f"assumed to stream ({self.kind}), {self.because}"
        return f"{self.confidence} to stream ({self.kind}): {self.because}"
