"""Metrics of a recording. Pure: recordings in, numbers out."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence

from msgspec import Struct

from nginx_stream_lint.trace.recording import BodyPart, Recording

_SAME_BURST = 0.4  # of the app's pace: pieces closer together came together
_LONGEST_BURST_GAP = 0.1  # seconds: shorter pauses are not noticeable
_SHORTEST_BURST_GAP = 0.002
_ONE_HEAP = 0.1  # of the response's time: data within it counts as simultaneous
_PAUSES = 0.1  # of the gaps: the longest are no part of the pace
_NEAR = 0.12  # of a buffer's size: HTTP headers and chunk sizes take their part of it
_MOST = 0.6  # of the bursts
# Sizes that buffers have: memory pages of nginx and of zlib, TLS records, the copy buffer of Go.
BUFFER_SIZES = (4096, 8192, 16384, 32768, 65536)


class Burst(Struct, frozen=True):
    """Parts of a response that arrived together.

    The first arrived `at` seconds after the request, the last at `until`. They have `events` events
    and `size` bytes. `inside`: whether the burst ends in the middle of an event: full buffers
    do that, apps do not.
    """

    at: float
    until: float
    events: int
    size: int
    inside: bool


class ResponseMetrics(Struct, frozen=True):
    """Metrics of one response. Times are seconds after the request was sent.

    The times of head, bytes and events are None if there were none. `end_s` is the end of the
    response. `kind` is `sse`, `ndjson` or `chunks`.

    `events` counts the events. Parts are counted by their size at the layer before, because a proxy
    may join them. `size` is in bytes. `pace_s` is the mean time between two events without pauses.
    The gaps between events are None with fewer than two. `silence_s` is the longest time without a
    byte, and `last_silence_s` the time from the last byte to the end.

    `bursts` are the parts that arrived together, and `together` is the number of events that
    arrived with a typical event, which is included. `cluster` is the buffer size in bytes that
    most bursts have, or None. `cut_inside` is the share of the bursts, without the last, that end
    in the middle of an event.
    """

    head_s: float | None
    first_byte_s: float | None
    first_event_s: float | None
    last_event_s: float | None
    end_s: float
    kind: str
    events: int
    size: int
    pace_s: float
    gap_median_s: float | None
    gap_95_s: float | None
    gap_max_s: float | None
    silence_s: float
    last_silence_s: float
    bursts: tuple[Burst, ...]
    together: float
    cluster: int | None
    cut_inside: float

    @property
    def span_s(self) -> float:
        """Seconds from the first event to the last."""
        if self.first_event_s is None or self.last_event_s is None:
            return 0.0
        return self.last_event_s - self.first_event_s


def metrics(recording: Recording, before: ResponseMetrics | None = None) -> ResponseMetrics:
    """Return the figures of a recording.

    Args:
        recording: what came.
        before: the figures of a layer nearer to the app, at which the same response streams. They
            show the app's pace, and the size of a piece in a response without events.
    """
    pieces = [piece for piece in recording.pieces if piece.size]
    times = [piece.at for piece in pieces for _ in range(piece.events)]
    own_pace = _pace(times)
    unit = before.size / before.events if recording.kind == "chunks" and before else 0.0
    bursts = _bursts(pieces, own_pace if before is None else before.pace_s, unit)
    gaps = [after - before for before, after in itertools.pairwise(times)]
    marks = [0.0, *(piece.at for piece in pieces), recording.finished]
    with_events = [burst for burst in bursts if burst.events]
    total = sum(burst.events for burst in with_events)
    inner = with_events[:-1]
    return ResponseMetrics(
        head_s=recording.head_at,
        first_byte_s=pieces[0].at if pieces else None,
        first_event_s=times[0] if times else None,
        last_event_s=times[-1] if times else None,
        end_s=recording.finished,
        kind=recording.kind,
        events=total if unit else len(times),
        size=recording.size,
        pace_s=own_pace,
        gap_median_s=statistics.median(gaps) if gaps else None,
        gap_95_s=_percentile(gaps, 0.95) if gaps else None,
        gap_max_s=max(gaps) if gaps else None,
        silence_s=max(after - before for before, after in itertools.pairwise(marks)),
        last_silence_s=recording.finished - (pieces[-1].at if pieces else 0.0),
        bursts=tuple(bursts),
        together=sum(burst.events**2 for burst in with_events) / total if total else 0.0,
        cluster=cluster([burst.size for burst in inner]),
        cut_inside=sum(burst.inside for burst in inner) / len(inner) if inner else 0.0,
    )


def _pace(times: Sequence[float]) -> float:
    """Seconds from one event to the next, without pauses.

    For a response that arrived all at once, its whole duration.
    """
    if len(times) < 2 or times[-1] - times[0] <= _ONE_HEAP * times[-1]:
        return times[-1] / len(times) if times else 0.0
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    usual = gaps[: max(1, int(len(gaps) * (1 - _PAUSES)))]
    return sum(usual) / len(usual)


def _bursts(pieces: Sequence[BodyPart], pace_s: float, unit: float) -> list[Burst]:
    """`unit` is the number of bytes that is treated as an event; 0: the events that were found."""
    gap = min(max(_SAME_BURST * pace_s, _SHORTEST_BURST_GAP), _LONGEST_BURST_GAP)
    groups: list[list[BodyPart]] = []
    for piece in pieces:
        if groups and piece.at - groups[-1][-1].at <= gap:
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return [
        Burst(
            group[0].at,
            group[-1].at,
            max(1, round(sum(piece.size for piece in group) / unit))
            if unit
            else sum(piece.events for piece in group),
            sum(piece.size for piece in group),
            group[-1].inside,
        )
        for group in groups
    ]


def cluster(sizes: Sequence[int]) -> int | None:
    """Return the buffer size that most of these bursts have, or None.

    A burst may be a little smaller than the buffer (headers and chunk sizes take their part), or
    the content of several that came together.
    """
    for buffer in BUFFER_SIZES:
        fit = [size for size in sizes if abs(size - buffer) <= _NEAR * buffer]
        if fit and len(fit) >= _MOST * len(sizes):
            return buffer
    return None


def _percentile(values: Sequence[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
