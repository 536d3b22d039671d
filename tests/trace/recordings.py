"""Recordings for tests: responses as clients would record them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from nginx_stream_lint.trace.recording import BodyPart, Recording

PACE, SIZE, COUNT = 0.03, 800, 50
SSE = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}


def recording(
    pieces: Sequence[BodyPart],
    client: str = "h1",
    headers: dict[str, str] | None = None,
    tail: float = 0.005,
    **more: object,
) -> Recording:
    """A response that arrived in these pieces and ended a little later."""
    made = Recording(client, 0.0, 0.001, 200, "1.1", dict(SSE), 0.002, list(pieces), "sse")
    made.headers |= headers or {}
    made.ended = "complete"
    made.finished = (pieces[-1].at if pieces else 0.0) + tail
    for name, value in more.items():
        setattr(made, name, value)
    return made


def streamed(
    count: int = COUNT, pace: float = PACE, size: int = SIZE, late: Sequence[float] = ()
) -> list[BodyPart]:
    """One event per piece, at regular times; `late` is the delay that a busy machine adds to each.

    A late piece also delays those after it: no piece overtakes another.
    """
    due = [pace * number for number in range(1, count + 1)]
    delays = [*late, *([0.0] * count)][:count]
    at = list(accumulate((time + delay for time, delay in zip(due, delays, strict=True)), max))
    return [BodyPart(time, size, 1, False) for time in at]


def buffered(
    buffer: int, count: int = COUNT, pace: float = PACE, size: int = SIZE
) -> list[BodyPart]:
    """A stream behind a buffer of this number of bytes: full buffers, and the rest at the end."""
    pieces: list[BodyPart] = []
    held = sent = 0
    for number in range(1, count + 1):
        held += size
        while held >= buffer:
            before, sent, held = sent, sent + buffer, held - buffer
            events = sent // size - before // size
            pieces.append(BodyPart(number * pace, buffer, events, bool(sent % size)))
    if held:
        pieces.append(BodyPart(count * pace, held, count - sent // size, False))
    return pieces


def at_once(at: float, count: int = COUNT, size: int = SIZE) -> list[BodyPart]:
    """The whole response in one piece."""
    return [BodyPart(at, size * count, count, False)]
