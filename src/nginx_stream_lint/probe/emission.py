"""Shared by all families of upstream: the log of requests and the clock that emits tokens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping

from msgspec import Struct, field

from nginx_stream_lint.probe.drip import HEADER, Drip


class ReceivedRequest(Struct):
    """One request as the upstream received it. Times are seconds of `time.monotonic()`.

    `id` is that of the drip, or empty. `family` is `http`, `fastcgi`, `scgi`, `uwsgi` or `h2c`.
    `method` and `uri` are empty if a CGI family does not pass them. `http_version` is `1.0`, `1.1`,
    `2`, or the SERVER_PROTOCOL of a CGI family. `headers` have lower-case names; the values of a
    repeated header are joined with a comma. `body_length` is the number of bytes of the request's
    body read so far. `connection_number` counts the connections of all families from 1.

    `started` is the time at which the request's head was read, `emitted` the times at which tokens
    were written. `finished`: the whole response was written. `client_gone`: nginx closed the
    connection before that.
    """

    id: str
    family: str
    method: str
    uri: str
    http_version: str
    headers: dict[str, str]
    connection_number: int
    body_length: int = 0
    started: float = field(default_factory=time.monotonic)
    emitted: list[float] = field(default_factory=list)
    finished: bool = False
    client_gone: bool = False


class ClientGone(Exception):
    """The peer closed the connection before the response was complete."""


class DropConnection(Exception):
    """The drip ends with a dropped connection here; `how` is `close` or `reset`."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


Log = Callable[[ReceivedRequest], None]


def requested_drip(headers: Mapping[str, str]) -> Drip:
    """Return the drip that a request's headers specify; a malformed one becomes a plain 400."""
    try:
        return Drip.parse(headers.get(HEADER, ""))
    except ValueError:
        return Drip(status=400, tokens=0)


async def skip(reader: asyncio.StreamReader, size: int) -> int:
    """Read so many bytes of a request's body and forget them; returns how many.

    Raises:
        ValueError: the number is negative.
        asyncio.IncompleteReadError: the peer closed before that.
    """
    if size < 0:
        raise ValueError("the length of a body must not be negative")
    left = size
    while left:
        piece = await reader.read(min(left, 65536))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
    return size


async def pause_before_headers(drip: Drip) -> None:
    """Wait out the silence before the headers.

    Raises:
        DropConnection: the drip ends before its headers.
    """
    await asyncio.sleep(drip.silence_before)
    if drip.die_after == 0:
        raise DropConnection(drip.die)


async def emit(
    drip: Drip,
    seen: ReceivedRequest,
    send: Callable[[bytes], Awaitable[None]],
    gone: Callable[[], bool],
) -> None:
    """Send the tokens when they are due and note the times in `seen.emitted`.

    Raises:
        ClientGone: `gone()` became true.
        DropConnection: the drip ends after a token.
    """
    # Every due time is counted from the start: sleeps that are each a little late would add up.
    start = time.monotonic()
    for number, due in enumerate(drip.schedule(), 1):
        await asyncio.sleep(start + due - time.monotonic())
        if gone():
            raise ClientGone
        seen.emitted.append(time.monotonic())
        await send(drip.token(number))
        if number == drip.die_after:
            raise DropConnection(drip.die)
