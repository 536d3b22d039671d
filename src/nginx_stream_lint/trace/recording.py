"""Records of one client's response from one layer: every part with its time. Data only.

No field has text of the server's: what it says is there in the words of `known_words` only.
"""

from __future__ import annotations

from msgspec import Struct, field

# How a recording may end.
COMPLETE, CUT, LIMIT = "complete", "cut", "limit"
FAILED, UNOFFERED = "failed", "unoffered"


class BodyPart(Struct, frozen=True):
    """The data of one read of the body.

    Attributes:
        at: seconds after the request was sent.
        size: bytes, as they came (compressed, where the response is).
        events: how many events it completed.
        inside: whether it ended in the middle of an event.
    """

    at: float
    size: int
    events: int
    inside: bool


class Recording(Struct):
    """One response. Times are seconds after the request was sent.

    Attributes:
        client: `h1` (HTTP/1.1), `h1-tls`, `h2` or `h3`.
        started: when the request was sent, in seconds of `time.monotonic()`.
        connect_s: seconds for DNS, TCP and TLS before that; None where it did not come to that.
        status: 0 when no response came.
        protocol: what was spoken in the end: `1.0`, `1.1`, `2` or `3`.
        headers: of the response, names in lower case; of all that it says only known words.
        head_at: when the response's headers came; None when they did not.
        pieces: in order.
        kind: what events are here: `sse`, `ndjson` or `chunks`.
        comments: lines sent to keep the connection alive.
        said_last: whether the last event is one that apps end their responses with.
        text_is_utf8: False where it should be and is not.
        ended: `complete`, `cut` (an incomplete response), `limit` (we stopped reading) or `failed`
            (no response at all), `unoffered` (the layer does not speak this HTTP version).
        finished: when the reading ended.
        error: what went wrong, in words of ours; empty when nothing did.
        said: what a response that is no stream says, in known words.
        redirect: where a redirect leads, in words of ours.
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
        """Bytes of the body as they came."""
        return sum(piece.size for piece in self.pieces)

    @property
    def events(self) -> int:
        """How many events came."""
        return sum(piece.events for piece in self.pieces)

    @property
    def is_answer(self) -> bool:
        """Whether the response is successful: status 2xx."""
        return 200 <= self.status < 300
