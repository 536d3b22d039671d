"""Find the first layer that does not let the stream through, and the cause. Pure.

Each layer is judged against one nearer to the app where the same request streamed: an app may send
in bursts, and a busy machine may deliver late. A layer stalls if far more events arrive together
than there, and one of these is true: the bursts have the size of a buffer or end inside an event,
which neither apps nor schedulers cause, or the events wait long. All runs must agree that it
stalls. If the request streamed at no layer before, a layer is judged by its own response alone.
"""

from __future__ import annotations

import itertools
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.probe.measure import CUT, NO_STREAM, REPLAYS, STALLS, STREAMS, UNCLEAR
from nginx_stream_lint.trace.known_words import NOT_SHOWN
from nginx_stream_lint.trace.metrics import ResponseMetrics, metrics
from nginx_stream_lint.trace.recording import CUT as BROKEN_OFF
from nginx_stream_lint.trace.recording import FAILED, LIMIT, UNOFFERED, Recording

# Causes.
UPSTREAM_BUFFER = "upstream-buffer"  # a buffer of 4 or 8 KB fills up
TLS_BUFFER = "tls-buffer"  # a TLS record of 16 KB fills up, for HTTP/1.1 only
COMPRESSION = "compression"
CACHE = "cache"
RATE_LIMIT = "rate-limit"
READ_TIMEOUT = "read-timeout"
BROKEN = "broken"  # cut, and not after a silence
WHOLE_ANSWER = "whole-answer"  # collected to its end, by a layer that then knows its length
DELAY = "delay"  # data is sent at regular intervals
BUFFER = "buffer"  # of another or an unknown size
REFUSED = "refused"  # an error status, although the layer before responds
CAUSES = (
    UPSTREAM_BUFFER, TLS_BUFFER, COMPRESSION, CACHE, RATE_LIMIT, READ_TIMEOUT, BROKEN,
    WHOLE_ANSWER, DELAY, BUFFER, REFUSED,
)  # fmt: skip

_FEWEST = 3  # events to judge by
_MANY, _SOME = 3.0, 1.8  # times as many events together as before
_FULL = 0.5  # of the bursts end inside an event
_LONG_WAIT = 0.25  # seconds that events may wait, without other evidence
_SHORTEST_PAUSE = 0.02  # seconds between bursts that are noticeable
_FEWEST_BEATS, _SHORTEST_BEAT, _REGULAR, _MOSTLY = 4, 0.1, 0.15, 0.7
_HEAP = 0.8  # of the events in one burst: all at once
_HEAP_TIME, _HEAP_SPAN = 0.05, 0.2  # a heap takes so many seconds, or this part of the app's time
_AT_THE_END = 0.6  # of the response's time
_SHORT_ANSWER = 0.2  # seconds: too short to tell a stream from a burst
_REPLAYED_SPAN, _REPLAYED_END = 0.25, 0.5  # of the time that the app took
_SLOWER = 1.3  # times as long as before
_RUNS_TO_BE_SURE = 3  # an app may be slower now and then
_A_SILENCE = 1.0  # seconds
_FEWER = 0.9  # of the events
_GATEWAY_ERRORS = frozenset({408, 502, 503, 504, 520, 522, 524, 598})
_SMALL_BUFFERS = frozenset({4096, 8192})
_TLS_RECORD = 16384


class LayerMeasurement(Struct, frozen=True):
    """The responses of one layer to one client, a recording for each run."""

    layer: int
    client: str
    recordings: tuple[Recording, ...]


class Judgement(Struct, frozen=True):
    """The verdict on one layer, counted from 1, and one client (`h1`, `h1-tls`, `h2`, `h3`).

    `verdict` is `streams`, `stalls`, `replays`, `cut`, `no-stream` or `unclear`. `cause` is one of
    CAUSES, or None if it streams or the cause is unknown.

    `held_bytes` is the number of bytes of a held burst; None if nothing or everything is held.
    `encoding` is the compression that holds the stream, or empty. `silence_s` is the silence after
    which it was cut, and `beat_s` the interval at which the layer sends what it has. `slower` is
    how many times longer the response took than before, if that is much.

    `inherited` is the layer nearer to the app that has the same effect already; None if this layer
    is the first. `maybe_from` is such a layer that only a second run can tell from this one.
    `agreeing` of `runs` runs have this verdict. `recording` and `figures` are those of the run that
    is shown.
    """

    layer: int
    client: str
    verdict: str
    cause: str | None
    recording: Recording
    figures: ResponseMetrics
    held_bytes: int | None = None
    encoding: str = ""
    silence_s: float | None = None
    beat_s: float | None = None
    inherited: int | None = None
    maybe_from: int | None = None
    slower: float | None = None
    runs: int = 1
    agreeing: int = 1


def judge(measured: Sequence[LayerMeasurement]) -> list[Judgement]:
    """Judge all layers, nearest to the app first; the order of `measured` is kept."""
    found: list[Judgement] = []
    for layer in sorted({one.layer for one in measured}):
        reference = _reference(found)
        looks = {one.client: _look_at_all(one, reference) for one in measured if one.layer == layer}
        verdicts = {client: one.verdict for client, one in looks.items()}
        found += [_with_cause(one, reference, verdicts) for one in looks.values()]
    return _with_origins(found)


def first_failing_layer(judgements: Sequence[Judgement]) -> Judgement | None:
    """The first layer that does not let the stream through; None if all do.

    A layer that refuses the request is returned only if no other layer affects the stream. Of the
    layer's clients, one is chosen whose cause is not the TLS buffer, because its cause affects all
    clients.
    """
    new = [one for one in judgements if one.inherited is None]
    guilty = [one for one in new if one.verdict in (STALLS, REPLAYS, CUT)]
    guilty = guilty or [one for one in new if one.cause == REFUSED]
    first = [one for one in guilty if one.layer == guilty[0].layer]
    return min(first, key=lambda one: one.cause == TLS_BUFFER, default=None)


def _reference(judgements: Sequence[Judgement]) -> Judgement | None:
    """The nearest layer before where the request streamed."""
    streaming = [
        one for one in judgements if one.verdict == STREAMS and one.figures.events >= _FEWEST
    ]
    return min(streaming, key=lambda one: (-one.layer, one.figures.together), default=None)


# One layer, one client


def _look_at_all(measurement: LayerMeasurement, reference: Judgement | None) -> Judgement:
    """The verdict of all runs, with the run that shows it best."""
    looks: list[Judgement] = []
    for recording in measurement.recordings:
        # A layer that got the request before may have cached the response, the nearest one too.
        before = reference.figures if reference else None
        if before is None and looks and looks[0].verdict == STREAMS:
            before = looks[0].figures
        looks.append(_look(measurement, recording, before))
    count = Counter(look.verdict for look in looks)
    # Noise can hide a stream, so one run that streams is enough; nothing but a cache replays,
    # and nothing but a cut cuts.
    order = (REPLAYS, CUT, STREAMS, STALLS, UNCLEAR, NO_STREAM)
    verdict = next(each for each in order if count[each])
    chosen = [look for look in looks if look.verdict == verdict]
    shown = min(chosen, key=lambda look: look.figures.together)
    slower = [look.slower for look in looks if look.slower is not None]
    if verdict == STREAMS and len(slower) == len(looks) >= _RUNS_TO_BE_SURE:
        # Again and again, although the app was as fast as ever.
        return replace(
            shown, verdict=STALLS, cause=RATE_LIMIT, runs=len(looks), agreeing=len(looks)
        )
    return replace(shown, runs=len(looks), agreeing=len(chosen))


def _look(
    measurement: LayerMeasurement, recording: Recording, before: ResponseMetrics | None
) -> Judgement:
    """The verdict of one run."""
    what = metrics(recording, before)
    look = Judgement(measurement.layer, measurement.client, STREAMS, None, recording, what)
    slower = _slower(what, before)
    if slower is not None:
        look = replace(look, slower=slower)
    if not recording.is_success:
        return _refusal(look, before)
    if _is_html(recording):
        return replace(look, verdict=NO_STREAM, cause=REFUSED if before else None)
    if recording.ended == BROKEN_OFF or _lost_its_end(recording, what, before):
        silence = what.last_silence_s if what.last_silence_s >= _A_SILENCE else None
        cause = READ_TIMEOUT if silence else BROKEN
        return replace(look, verdict=CUT, cause=cause, silence_s=silence)
    if before is not None and _is_replayed(what, before):
        return replace(look, verdict=REPLAYS, cause=CACHE)
    if what.events < _FEWEST and not (before is not None and before.kind == what.kind == "chunks"):
        return _of_few(look, before)
    if _is_held(recording, what, before):
        return replace(look, verdict=STALLS)
    if before is None and _is_heap(what) and len(what.bursts) == 1:
        return replace(look, verdict=UNCLEAR)
    return look


def _of_few(look: Judgement, before: ResponseMetrics | None) -> Judgement:
    """The verdict on a response of one or two events."""
    what = look.figures
    other = what.kind == "chunks" and look.recording.ended != LIMIT
    if what.events and not other:
        return replace(look, verdict=UNCLEAR)
    return replace(look, verdict=NO_STREAM, cause=REFUSED if before else None)


def _refusal(look: Judgement, before: ResponseMetrics | None) -> Judgement:
    recording = look.recording
    waited = recording.head_at or 0.0
    if before is not None and recording.status in _GATEWAY_ERRORS and waited >= _A_SILENCE:
        return replace(look, verdict=CUT, cause=READ_TIMEOUT, silence_s=waited)
    refused = before is not None and recording.ended not in (FAILED, UNOFFERED)
    return replace(look, verdict=NO_STREAM, cause=REFUSED if refused else None)


def _is_html(recording: Recording) -> bool:
    return recording.headers.get("content-type", "").lower().startswith("text/html")


def _lost_its_end(
    recording: Recording, metrics: ResponseMetrics, before: ResponseMetrics | None
) -> bool:
    """Whether a response that seems complete is truncated: an unchunked one ends by closing."""
    return (
        before is not None
        and recording.ended != LIMIT
        and not recording.said_last
        and metrics.events < _FEWER * before.events
        and metrics.last_silence_s >= max(_A_SILENCE, 5 * before.pace_s)
    )


def _is_replayed(metrics: ResponseMetrics, before: ResponseMetrics) -> bool:
    """Whether the response came faster than the app sends it."""
    return (
        before.span_s >= _SHORT_ANSWER
        and metrics.events >= max(_FEWEST, before.events / 2)
        and metrics.last_event_s is not None
        and before.last_event_s is not None
        and metrics.span_s <= _REPLAYED_SPAN * before.span_s
        and metrics.span_s
        <= _REPLAYED_SPAN * before.pace_s * metrics.events  # a pause left out is none
        and metrics.last_event_s <= _REPLAYED_END * before.last_event_s
    )


def _is_heap(metrics: ResponseMetrics, before: ResponseMetrics | None = None) -> bool:
    """Whether nearly all events came at once, as fast as the network permits."""
    longest = max(_HEAP_TIME, _HEAP_SPAN * before.span_s if before else 0.0)
    return any(
        burst.events >= _HEAP * metrics.events and burst.until - burst.at <= longest
        for burst in metrics.bursts
    )


def _is_held(
    recording: Recording, metrics: ResponseMetrics, before: ResponseMetrics | None
) -> bool:
    base = max(1.0, before.together) if before else 1.0
    end = metrics.last_event_s or 0.0
    if end < _SHORT_ANSWER:
        return False
    if _is_heap(metrics, before) and (before is None or not _is_heap(before)):
        heap = max(metrics.bursts, key=lambda burst: burst.events)
        took = max(end, before.last_event_s or 0.0) if before else end
        return heap.at >= _AT_THE_END * took
    if _pause(metrics) < _SHORTEST_PAUSE:
        return False  # so much data at once is split into pieces by any transport
    many = metrics.together >= _MANY * base
    some = metrics.together >= _SOME * base
    full = _is_full(metrics, before)
    sized = _buffer(recording, metrics, before) is not None
    if (many and (full or sized or _encoding(recording))) or (some and sized):
        return True
    if before is None:
        return False  # an app may send in bursts of its own
    paused = (metrics.gap_max_s or 0.0) >= _LONG_WAIT
    if _slower(metrics, before) is not None and ((some and full) or (many and paused)):
        return True
    waits = (metrics.together - base) * before.pace_s
    return many and (waits >= _LONG_WAIT or _beat(metrics) is not None)


def _pause(metrics: ResponseMetrics) -> float:
    """The usual time in seconds from the end of one burst to the next."""
    pauses = [after.at - burst.until for burst, after in itertools.pairwise(metrics.bursts)]
    return statistics.median(pauses) if pauses else 0.0


def _beat(metrics: ResponseMetrics) -> float | None:
    """The interval in seconds at which bursts come, where it is regular."""
    starts = [burst.at for burst in metrics.bursts if burst.events]
    steps = [after - start for start, after in itertools.pairwise(starts)]
    if len(steps) < _FEWEST_BEATS:
        return None
    beat = statistics.median(steps)
    regular = sum(abs(step - beat) <= _REGULAR * beat for step in steps)
    return beat if beat >= _SHORTEST_BEAT and regular >= _MOSTLY * len(steps) else None


def _is_full(metrics: ResponseMetrics, before: ResponseMetrics | None) -> bool:
    """Whether bursts end where a buffer was full, not where an event ends."""
    return metrics.cut_inside >= _FULL and (before is None or before.cut_inside < _FULL)


def _buffer(
    recording: Recording, metrics: ResponseMetrics, before: ResponseMetrics | None
) -> int | None:
    """The size of the buffer that fills, where bursts have one; by chance they do not end inside
    an event as well."""
    if before is not None and before.cluster is not None:
        return None
    return metrics.cluster if recording.kind == "chunks" or _is_full(metrics, before) else None


def _slower(metrics: ResponseMetrics, before: ResponseMetrics | None) -> float | None:
    """How many times longer the same response took, if it is much longer."""
    if before is None or not before.span_s or metrics.events < _FEWER * before.events:
        return None
    times = metrics.span_s / before.span_s
    return times if times >= _SLOWER and before.span_s >= _SHORT_ANSWER else None


# Why


def _with_cause(
    judgement: Judgement, reference: Judgement | None, verdicts: Mapping[str, str]
) -> Judgement:
    """Add the cause of a stall; `verdicts` are those of all clients of the layer."""
    if judgement.verdict != STALLS or judgement.cause is not None:
        return judgement
    recording, what = judgement.recording, judgement.figures
    before = reference.figures if reference else None
    inner = [burst.size for burst in what.bursts if burst.events][:-1]
    held = round(statistics.median(inner)) if inner else None
    encoding = _encoding(recording)
    if encoding and not (reference and _encoding(reference.recording)):
        return replace(judgement, cause=COMPRESSION, encoding=encoding, held_bytes=held)
    if judgement.client == "h1-tls" and STREAMS in (verdicts.get("h2"), verdicts.get("h3")):
        return replace(judgement, cause=TLS_BUFFER, held_bytes=held)
    buffer = _buffer(recording, what, before)
    if judgement.slower is not None and buffer not in _SMALL_BUFFERS:
        return replace(judgement, cause=RATE_LIMIT, held_bytes=held)
    if buffer in _SMALL_BUFFERS:
        return replace(judgement, cause=UPSTREAM_BUFFER, held_bytes=held)
    if buffer == _TLS_RECORD and judgement.client == "h1-tls":
        return replace(judgement, cause=TLS_BUFFER, held_bytes=held)
    known = reference is not None and "content-length" in reference.recording.headers
    if "content-length" in recording.headers and not known:
        return replace(judgement, cause=WHOLE_ANSWER)
    if _is_heap(what, before):
        return replace(judgement, cause=WHOLE_ANSWER if what.size > _TLS_RECORD else BUFFER)
    beat = _beat(what)
    if beat is not None and not _is_full(what, before):
        return replace(judgement, cause=DELAY, beat_s=beat, held_bytes=held)
    return replace(judgement, cause=BUFFER, held_bytes=held)


def _encoding(recording: Recording) -> str:
    name = recording.headers.get("content-encoding", "").strip().lower()
    return {"identity": "", NOT_SHOWN: "an unknown encoding"}.get(name, name)


def _with_origins(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Mark problems that a layer inherits from the one before."""
    result: list[Judgement] = []
    for one in judgements:
        earlier = next(
            (
                other.layer
                for other in result
                if other.layer < one.layer
                and other.verdict == one.verdict
                and other.verdict in (STALLS, REPLAYS, CUT)
                and other.inherited is None
            ),
            None,
        )
        if earlier is not None:
            result.append(replace(one, inherited=earlier))
        elif one.verdict == REPLAYS and one.runs == 1 and one.layer > 2:
            # The layers before got this request a moment ago, and may have cached the response.
            result.append(replace(one, maybe_from=2))
        else:
            result.append(one)
    return result
