"""Verdicts on recordings made by hand: which layer, and why. No network, no clock."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint.trace import verdict as v
from nginx_stream_lint.trace.metrics import cluster, metrics
from nginx_stream_lint.trace.recording import BodyPart, Recording
from nginx_stream_lint.trace.verdict import Judgement, LayerMeasurement, first_failing_layer, judge
from tests.trace.recordings import COUNT, PACE, SIZE, at_once, buffered, recording, streamed

APP = recording(streamed())


def trace(*layers: Recording | tuple[Recording, ...]) -> list[Judgement]:
    """Judge layers; a tuple is what several clients got from one."""
    return judge(
        [
            LayerMeasurement(number, one.client, (one,))
            for number, found in enumerate(layers, 1)
            for one in (found if isinstance(found, tuple) else (found,))
        ]
    )


def named(*layers: Recording | tuple[Recording, ...]) -> tuple[int, str | None] | None:
    """Layer and cause that are blamed."""
    found = first_failing_layer(trace(*layers))
    return None if found is None else (found.layer, found.cause)


# Figures


def test_figures_of_a_stream() -> None:
    what = metrics(APP)
    assert (what.events, what.size) == (COUNT, COUNT * SIZE)
    assert what.first_event_s == pytest.approx(PACE)
    assert what.gap_median_s == what.gap_95_s == pytest.approx(PACE)
    assert what.pace_s == pytest.approx(PACE)
    assert what.together == 1
    assert len(what.bursts) == COUNT
    assert what.cut_inside == 0


def test_figures_of_a_buffer() -> None:
    what = metrics(recording(buffered(4096)), metrics(APP))
    assert what.cluster == 4096
    assert what.cut_inside == 1
    assert 4.5 < what.together < 6
    assert what.gap_max_s == pytest.approx(6 * PACE)


def test_a_pause_is_no_part_of_the_pace() -> None:
    pieces = streamed(8) + [BodyPart(one.at + 3, SIZE, 1, False) for one in streamed(16)[8:]]
    what = metrics(recording(pieces))
    assert what.pace_s == pytest.approx(PACE)
    assert what.silence_s == pytest.approx(3 + PACE)
    assert what.together == 1


def test_an_answer_without_events_has_figures() -> None:
    what = metrics(recording([]))
    assert (what.events, what.together, what.bursts) == (0, 0, ())
    assert what.first_event_s is None
    assert what.gap_max_s is None


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([4025, 4096, 4096], 4096),
        ([16140, 15900], 16384),
        ([8192, 8000, 500], 8192),
        ([800, 1600, 2400], None),
        ([5600, 5600, 6400], None),
        ([], None),
    ],
)
def test_sizes_of_buffers_are_known(sizes: list[int], expected: int | None) -> None:
    assert cluster(sizes) == expected


# One thing wrong at a time


def test_all_well() -> None:
    assert named(APP, APP, APP) is None
    assert [one.verdict for one in trace(APP, APP)] == ["streams", "streams"]


@pytest.mark.parametrize("buffer", [4096, 8192])
def test_an_upstream_buffer(buffer: int) -> None:
    assert named(APP, recording(buffered(buffer))) == (2, v.UPSTREAM_BUFFER)


def test_it_is_the_first_layer_and_the_later_ones_inherit() -> None:
    held = recording(buffered(4096))
    found = trace(APP, APP, held, held)
    assert [one.verdict for one in found] == ["streams", "streams", "stalls", "stalls"]
    assert [one.inherited for one in found] == [None, None, None, 3]


def test_the_tls_buffer_shows_by_the_other_client() -> None:
    held = recording(buffered(16384), client="h1-tls")
    h2 = recording(streamed(), client="h2")
    assert named(APP, (held, h2)) == (2, v.TLS_BUFFER)
    assert named(APP, held) == (2, v.TLS_BUFFER)  # by its size alone
    small = recording(at_once(COUNT * PACE, size=100), client="h1-tls")
    assert named(APP, (small, h2)) == (2, v.TLS_BUFFER)  # by the other client alone


def test_what_holds_all_clients_is_named_before_the_tls_buffer() -> None:
    held = recording(buffered(16384), client="h1-tls")
    h2 = recording(buffered(4096), client="h2")
    assert named(APP, (held, h2)) == (2, v.UPSTREAM_BUFFER)


def test_compression_shows_by_its_header() -> None:
    zipped = recording(
        [BodyPart(0.9, 12288, 30, True), BodyPart(1.5, 9000, 20, False)],
        headers={"content-encoding": "gzip"},
    )
    assert named(APP, zipped) == (2, v.COMPRESSION)
    # A layer that compresses and flushes is no trouble.
    flushed = recording(streamed(), headers={"content-encoding": "gzip"})
    assert named(APP, flushed) is None


def test_a_recording_is_faster_than_the_app() -> None:
    kept = recording(at_once(0.004))
    found = trace(APP, kept)
    assert (found[1].verdict, found[1].cause) == ("replays", v.CACHE)
    # A whole answer held back comes at its end: that is no recording.
    assert named(APP, recording(at_once(COUNT * PACE))) == (2, v.WHOLE_ANSWER)


def test_one_run_cannot_tell_whose_recording_it_is() -> None:
    kept = recording(at_once(0.004))
    assert [one.maybe_from for one in trace(APP, APP, kept)] == [None, None, 2]
    again = [
        LayerMeasurement(1, "h1", (APP, APP)),
        LayerMeasurement(2, "h1", (APP, kept)),
        LayerMeasurement(3, "h1", (kept, kept)),
    ]
    found = judge(again)
    first = first_failing_layer(found)
    assert first is not None
    assert (first.layer, first.cause, first.maybe_from) == (2, v.CACHE, None)
    assert found[2].inherited == 2


def test_the_app_itself_may_give_a_recording() -> None:
    kept = recording(at_once(0.004))
    found = judge([LayerMeasurement(1, "h1", (APP, kept))])
    assert (found[0].verdict, found[0].cause) == ("replays", v.CACHE)


def test_cut_after_a_silence() -> None:
    pause = recording(
        streamed(8) + [BodyPart(one.at + 3, SIZE, 1, False) for one in streamed(16)[8:]]
    )
    cut = recording(streamed(8), tail=2.0, ended="cut")
    found = trace(pause, pause, cut)
    assert (found[2].verdict, found[2].cause) == ("cut", v.READ_TIMEOUT)
    assert found[2].silence_s == pytest.approx(2.0)
    # Where nothing is chunked a cut answer looks whole.
    whole = recording(streamed(8), tail=2.0)
    assert named(pause, whole) == (2, v.READ_TIMEOUT)
    ended = recording(streamed(8), tail=2.0, said_last=True)
    assert named(pause, ended) is None


def test_a_gateway_error_after_a_silence_is_a_cut() -> None:
    error = recording([], status=504, head_at=60.0, tail=60.0)
    found = trace(APP, error)
    assert (found[1].verdict, found[1].cause, found[1].silence_s) == ("cut", v.READ_TIMEOUT, 60.0)
    at_once = recording([], status=502, head_at=0.01)
    assert named(APP, at_once) == (2, v.REFUSED)


def test_broken_off_without_a_silence() -> None:
    assert named(APP, recording(streamed(20), ended="cut")) == (2, v.BROKEN)


def test_a_rate_limit_stretches_the_answer() -> None:
    slow = [
        BodyPart(0.2 * number, 1624, 2, bool(number % 3)) for number in range(1, COUNT // 2 + 1)
    ]
    assert named(APP, recording(slow)) == (2, v.RATE_LIMIT)
    # As nginx's limit_rate does it: a little at first, then more and more at once.
    grows = [(0.03, 1), (0.15, 2), (0.35, 2), (0.55, 5), (1.03, 6), (1.62, 14), (3.0, 11), (4.0, 9)]
    pieces = [BodyPart(at, SIZE * count, count, count in (5, 14)) for at, count in grows]
    assert named(APP, recording(pieces)) == (2, v.RATE_LIMIT)
    # An app may be slower now and then: that alone is nothing, three times over it is.
    slower = recording(streamed(pace=2 * PACE))
    assert named(APP, slower) is None
    runs = [LayerMeasurement(1, "h1", (APP,) * 3), LayerMeasurement(2, "h1", (slower,) * 3)]
    first = first_failing_layer(judge(runs))
    assert first is not None
    assert (first.layer, first.cause) == (2, v.RATE_LIMIT)


def test_a_regular_delay() -> None:
    pieces = [BodyPart(0.21 * number, 7 * SIZE, 7, False) for number in range(1, 8)]
    found = trace(APP, recording(pieces))
    assert (found[1].verdict, found[1].cause) == ("stalls", v.DELAY)
    assert found[1].beat_s == pytest.approx(0.21)


def test_a_collected_answer_knows_its_length() -> None:
    whole = recording(at_once(COUNT * PACE), headers={"content-length": "40000"})
    assert named(APP, whole) == (2, v.WHOLE_ANSWER)
    # Too short for its size to say anything.
    app = recording(streamed(size=40))
    short = recording(at_once(COUNT * PACE, size=40))
    assert named(app, short) == (2, v.BUFFER)


def test_an_error_is_no_stall() -> None:
    for status in (401, 429, 500):
        found = trace(APP, recording([], status=status))
        assert (found[1].verdict, found[1].cause) == ("no-stream", v.REFUSED)
    dead = Recording("h1", error="refused", ended="failed")
    assert [one.verdict for one in trace(APP, dead)] == ["streams", "no-stream"]
    assert named(APP, dead) is None
    page = recording(at_once(0.1), headers={"content-type": "text/html"}, kind="chunks")
    assert trace(APP, page)[1].verdict == "no-stream"


def test_a_stall_counts_for_more_than_a_refusal() -> None:
    refused = recording([], status=401)
    assert named(APP, refused, recording(buffered(4096))) == (3, v.UPSTREAM_BUFFER)


# The first layer, and few events


def test_the_first_layer_is_judged_by_itself() -> None:
    assert named(recording(buffered(4096))) == (1, v.UPSTREAM_BUFFER)
    assert named(recording(buffered(16384), client="h1-tls")) == (1, v.TLS_BUFFER)
    assert named(recording(at_once(1.5))) == (1, v.WHOLE_ANSWER)


def test_an_app_may_send_in_bursts_of_its_own() -> None:
    own = [BodyPart(0.3 * number, 10 * SIZE, 10, False) for number in range(1, 9)]
    assert named(recording(own)) is None
    assert named(recording(own), recording(own)) is None


def test_a_flood_is_not_held() -> None:
    """10 MB/s: what carries it cuts it into pieces of its own, and a busy machine makes heaps."""
    for step in (0.0016, 0.005):
        flood = recording([BodyPart(step * n, 16384, 16, True) for n in range(1, 400)])
        assert named(flood) is None
        assert named(flood, flood) is None


def test_too_little_is_not_judged() -> None:
    few = recording(streamed(2))
    assert [one.verdict for one in trace(few, few)] == ["unclear", "unclear"]
    assert trace(recording([]))[0].verdict == "no-stream"
    fast = recording(at_once(0.01))
    assert trace(fast)[0].verdict == "unclear"


def test_stopping_ourselves_is_no_cut() -> None:
    stopped = recording(streamed(20), ended="limit", tail=5.0)
    assert [one.verdict for one in trace(APP, stopped)] == ["streams", "streams"]


PLAIN = {"content-type": "text/plain"}


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        (streamed(), ("streams", None)),
        (buffered(4096), ("stalls", v.UPSTREAM_BUFFER)),
        (buffered(16384), ("stalls", v.BUFFER)),
        (at_once(COUNT * PACE), ("stalls", v.WHOLE_ANSWER)),
        (at_once(0.004), ("replays", v.CACHE)),
    ],
)
def test_plain_pieces_are_judged_by_their_bytes(
    pieces: list[BodyPart], expected: tuple[str, str | None]
) -> None:
    app = recording(streamed(), kind="chunks", headers=PLAIN)
    plain = [BodyPart(one.at, one.size, 1, False) for one in pieces]
    found = trace(app, recording(plain, kind="chunks", headers=PLAIN))
    assert (found[1].verdict, found[1].cause) == expected


def test_a_heap_may_take_its_time_on_a_slow_network() -> None:
    heap = [BodyPart(COUNT * PACE + 0.005 * number, SIZE, 1, False) for number in range(COUNT)]
    assert named(APP, recording(heap)) == (2, v.WHOLE_ANSWER)


def test_a_slow_start_is_no_heap() -> None:
    """An app that thinks for two seconds and then is fast."""
    fast = [BodyPart(2 + 0.004 * number, 230, 1, False) for number in range(50)]
    assert named(recording(fast)) is None


# A busy machine


def busy(seed: int, longest: float) -> list[float]:
    """What two busy cores do to arrivals: most in time, some late, a few very late."""
    choose = random.Random(seed)
    return [
        choose.uniform(0, longest) if choose.random() < 0.3 else choose.uniform(0, 0.005)
        for _ in range(COUNT)
    ]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 10**9), st.floats(0.0, 0.3))
def test_what_streams_is_never_called_stalled(seed: int, longest: float) -> None:
    late = recording(streamed(late=busy(seed, longest)))
    assert named(APP, late) is None
    assert named(late, APP) is None


@settings(max_examples=200, deadline=None)
@given(st.integers(200, 1500), st.sampled_from([0.01, 0.02, 0.03, 0.05]))
def test_a_buffer_is_found_at_any_size_of_event(size: int, pace: float) -> None:
    count = 60_000 // size
    app = recording(streamed(count, pace, size))
    held = recording(buffered(4096, count, pace, size))
    if 4096 % size:  # a buffer that ends with an event shows by its size alone
        assert named(app, held) == (2, v.UPSTREAM_BUFFER)


def test_one_run_that_streams_is_enough() -> None:
    heap = recording(at_once(COUNT * PACE))
    measured = [LayerMeasurement(1, "h1", (APP, APP)), LayerMeasurement(2, "h1", (heap, APP))]
    found = judge(measured)
    assert (found[1].verdict, found[1].runs, found[1].agreeing) == ("streams", 2, 1)
