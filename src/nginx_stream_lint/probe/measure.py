"""Judge whether a response streamed: compare its arrivals with the upstream's clock."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Sequence

from msgspec import Struct

from nginx_stream_lint.probe.arrivals import Arrivals, Headers
from nginx_stream_lint.probe.client import fetch
from nginx_stream_lint.probe.drip import HEADER, PLAIN, Drip
from nginx_stream_lint.probe.emission import ReceivedRequest
from nginx_stream_lint.probe.upstream import DrippingUpstream

STREAMS, STALLS, REPLAYS, CUT = "streams", "stalls", "replays", "cut"
NO_STREAM, UNCLEAR = "no-stream", "unclear"

_EARLY, _LATE = 0.35, 0.65  # of the response's duration
_END_BYTES = 3  # "\n\n", and the brace before it
_SAME_BURST = 0.4  # of the interval
_GRACE = 5.0  # seconds a client waits after the response should be complete
_STARTS_APART = 0.005  # seconds between the starts of streams measured together

_numbers = itertools.count(1)


class Measurement(Struct, frozen=True):
    """One measured stream.

    `verdict` is `streams` (the first token arrived before 35 % of the response's duration),
    `stalls` (after 65 %, or the end of each token arrived with the next one), `replays` (tokens
    arrived without a request to the upstream), `cut` (tokens are missing, or the response is
    incomplete), `no-stream` (an error status, or no tokens) or `unclear`.

    `status` is 0 without a response. `first_delay` is the time in seconds from the emission of the
    first token to its arrival, or None. `bursts` has the number of tokens of each burst; arrivals
    closer together than 40 % of the interval are one. `seen` is the request that the upstream
    received, or None. Of several with one id (mirror, auth_request, next_upstream) it is the last
    one with the most tokens.
    """

    verdict: str
    status: int
    first_delay: float | None
    bursts: list[int]
    arrivals: Arrivals
    seen: ReceivedRequest | None


class Job(Struct, frozen=True):
    """The arguments of one `measure`, and the verdict that is `expected` (None: none is)."""

    upstream: DrippingUpstream
    port: int
    path: str
    client: str
    drip: Drip = PLAIN
    accept_encoding: str = "identity"
    host: str = "localhost"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    timeout: float | None = None
    websocket: bool = False
    expected: str | None = None

    async def run(self) -> Measurement:
        """Measure once."""
        return await measure(
            self.upstream,
            self.port,
            self.path,
            self.client,
            self.drip,
            accept_encoding=self.accept_encoding,
            host=self.host,
            method=self.method,
            headers=self.headers,
            body=self.body,
            timeout=self.timeout,
            websocket=self.websocket,
        )

    def doubts(self, measurement: Measurement) -> bool:
        """Whether this result has to be measured again."""
        if self.expected is None:
            return measurement.verdict == UNCLEAR
        return measurement.verdict != self.expected


async def measure(
    upstream: DrippingUpstream,
    port: int,
    path: str,
    client: str,
    drip: Drip = PLAIN,
    *,
    accept_encoding: str = "identity",
    host: str = "localhost",
    method: str = "GET",
    headers: Headers = (),
    body: bytes = b"",
    timeout: float | None = None,
    websocket: bool = False,
) -> Measurement:
    """Send one request through nginx to `upstream` and judge how its tokens arrive.

    Args:
        upstream: where nginx passes it to; it must be running in this event loop.
        drip: the response to request; its id is replaced by a new one.
        timeout: seconds; None: five more than the response takes.
        port, path, client, accept_encoding, host, method, headers, body, websocket: see `fetch`.

    Raises:
        ValueError: an unknown client.
    """
    # Other processes may measure through the same cache, so a number alone would not be unique.
    own_drip = drip.named(f"{os.getpid():x}-{next(_numbers)}")
    arrivals = await fetch(
        port,
        path,
        client,
        host=host,
        method=method,
        headers=[(HEADER, own_drip.encode()), *headers],
        body=body,
        accept_encoding=accept_encoding,
        timeout=own_drip.duration + _GRACE if timeout is None else timeout,
        websocket=websocket,
    )
    # Of several with equally many tokens the last one: an auth_request comes before the request.
    found = reversed(upstream.find(own_drip.id))
    seen = max(found, key=lambda one: len(one.emitted), default=None)
    return judge(own_drip, arrivals, seen, websocket)


def judge(
    drip: Drip, arrivals: Arrivals, seen: ReceivedRequest | None, websocket: bool = False
) -> Measurement:
    """Join one request's arrivals with its emissions; a handshake must get a 101."""
    delay = None
    if arrivals.times and seen and seen.emitted:
        delay = arrivals.times[0][1] - seen.emitted[0]
    bursts = bursts_of(arrivals.times, drip.interval)
    refused = websocket and arrivals.status != 101
    verdict = NO_STREAM if refused else _verdict(drip, arrivals, seen)
    return Measurement(verdict, arrivals.status, delay, bursts, arrivals, seen)


def _verdict(drip: Drip, arrivals: Arrivals, seen: ReceivedRequest | None) -> str:
    if not arrivals.times or arrivals.status >= 400:
        return NO_STREAM
    if seen is None:
        return REPLAYS
    if arrivals.ended == "timeout":
        return UNCLEAR
    if arrivals.ended == "cut" or len(arrivals.times) < drip.tokens:
        return CUT
    duration = seen.emitted[-1] - seen.emitted[0]
    if duration <= 0:
        return UNCLEAR
    if _ends_wait(arrivals, seen):
        return STALLS
    part = (arrivals.times[0][1] - seen.emitted[0]) / duration
    if part < _EARLY:
        return STREAMS
    return STALLS if part > _LATE else UNCLEAR


def _ends_wait(arrivals: Arrivals, seen: ReceivedRequest) -> bool:
    """Whether most events arrived without their end, which came with the next event.

    On a busy machine, events are late as a whole.
    """
    emitted = dict(enumerate(seen.emitted[1:], 1))  # when the next one was
    waiting = [
        emitted[number] <= at and lacked <= _END_BYTES
        for (number, at), lacked in zip(arrivals.times, arrivals.lacked, strict=False)
        if number in emitted
    ]
    return len(waiting) > 1 and sum(waiting) > len(waiting) / 2


def bursts_of(times: Sequence[tuple[int, float]], interval: float) -> list[int]:
    """Count the tokens in each burst; `interval` is seconds between emissions."""
    bursts: list[int] = []
    before = float("-inf")
    for _, now in times:
        if now - before < _SAME_BURST * interval:
            bursts[-1] += 1
        else:
            bursts.append(1)
        before = now
    return bursts


async def measure_many(jobs: Sequence[Job], at_once: int = 24) -> list[Measurement]:
    """Measure many streams in parallel; repeat alone those that are unclear or unexpected.

    A busy event loop or a retried SYN looks like a stall. So an unclear result, or one that differs
    from the expected verdict, is measured again alone, and is accepted only if two more
    measurements agree with it. Use `measure` for jobs whose results depend on earlier ones
    (caches), one after the other.

    Args:
        jobs: what to measure.
        at_once: how many streams at a time.

    Returns:
        A measurement for each job, in their order.
    """
    gate = asyncio.Semaphore(at_once)

    async def together(position: int, job: Job) -> Measurement:
        async with gate:
            await asyncio.sleep(position % at_once * _STARTS_APART)
            return await job.run()

    results = list(await asyncio.gather(*(together(at, job) for at, job in enumerate(jobs))))
    for at, job in enumerate(jobs):
        for _ in range(2):
            if job.doubts(results[at]):
                results[at] = await job.run()
    return results
