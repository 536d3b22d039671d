"""A client's request, and the response as it arrived."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

Headers = Iterable[tuple[str, str]]


class Arrivals(Struct):
    """A response as a client received it. Times are seconds of `time.monotonic()`.

    `ended` is `complete`, `cut` (a chunked response without its end, an unreached Content-Length, a
    reset stream or connection), `timeout` or `refused` (no connection, or no HTTP/2). `error`
    describes a failure. `status` and `head_at`, the time of the response's headers, are 0 without a
    response. `headers` have lower-case names; the values of a repeated header are joined.
    `trailers` are those of an HTTP/2 response.

    `times` are (token number, time of arrival). `lacked` has for each of these tokens how many
    bytes of its end arrived last. `bytes_read` is the length of the body, before Content-Encoding
    is undone. The request was sent after `started`, and the client stopped reading at `finished`.
    """

    ended: str = "cut"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    times: list[tuple[int, float]] = field(default_factory=list)
    lacked: list[int] = field(default_factory=list)
    bytes_read: int = 0
    started: float = 0.0
    head_at: float = 0.0
    finished: float = 0.0
    error: str = ""


class ClientRequest(Struct, frozen=True):
    """A request for a client to send; see `fetch`."""

    port: int
    path: str
    client: str
    host: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    websocket: bool


def joined(pairs: Headers) -> dict[str, str]:
    """Return headers by name in lower case, the values of repeated ones with commas between."""
    found: dict[str, str] = {}
    for name, value in pairs:
        key = name.strip().lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return found
