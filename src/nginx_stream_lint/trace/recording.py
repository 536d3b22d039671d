"""Records of one client's response from one layer: every part with its time. Data only.

No field contains text of the server, except words in the lists of `known_words`.
"""

from __future__ import annotations

from msgspec import Struct, field

# How a recording may end.
COMPLETE, CUT, LIMIT = "complete", "cut", "limit"
FAILED, UNOFFERED = "failed", "unoffered"


class BodyPart(Struct, frozen=True):
    """The data of one read of the body, `at` seconds after the request was sent.

    `size` is in bytes as received, compressed or not. The part completed `events` events. `inside`:
    it ended in the middle of one.
    """

    at: float
    size: int
    events: int
    inside: bool


class Recording(Struct):
    """One response. Times are seconds after the request was sent, unless stated otherwise.

    `client` is `h1` (HTTP/1.1), `h1-tls`, `h2` or `h3`, and `protocol` the version in the end:
    `1.0`, `1.1`, `2` or `3`. `started` is the time of the request in seconds of `time.monotonic()`.
    `connect_s` is the time for DNS, TCP and TLS before it, or None without a connection. `status`
    is 0 and `head_at` None without a response. `headers` have lower-case names and only known
    words.

    `pieces` are the parts of the body in order. `kind` is that of the events: `sse`, `ndjson` or
    `chunks`. `comments` counts lines that only keep the connection alive. `said_last`: the last
    event is one that apps send as the last one. `text_is_utf8` is False if the text should be UTF-8
    and is not.

    `ended` is `complete`, `cut` (an incomplete response), `limit` (we stopped reading), `failed`
    (no response) or `unoffered` (the layer does not support this HTTP version); `finished` is when
    the reading ended. `error` describes a failure in our words. `said` has the known words of a
    response that is no stream, and `redirect` describes the target of a redirect.
    """

    client: str
    started: float = 0.0
    connect_s: float | None = None
    status: int = 0
    protocol: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    head_at: float | None = None
    pieces: list[BodyPart] = field(default_factory=list)
    kind: str = "chunks"
    comments: int = 0
    said_last: bool = False
    text_is_utf8: bool = True
    ended: str = FAILED
    finished: float = 0.0
    error: str = ""
    said: str = ""
    redirect: str = ""

    @property
    def size(self) -> int:
        """Number of bytes of the body as received."""
        return sum(piece.size for piece in self.pieces)

    @property
    def events(self) -> int:
        """Number of received events."""
        return sum(piece.events for piece in self.pieces)

    @property
    def is_success(self) -> bool:
        """Whether the response is successful: status 2xx."""
        return 200 <= self.status < 300
