"""Measure the responses that pass the copies of a configuration and of those behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.probe.chain import RunningCopy, running_copies
from nginx_stream_lint.probe.copy_model import CopiedPlace
from nginx_stream_lint.probe.drip import Drip
from nginx_stream_lint.probe.markers import MARKER
from nginx_stream_lint.probe.measure import REPLAYS, STALLS, STREAMS, UNCLEAR, Job, Measurement
from nginx_stream_lint.probe.nginx_binary import NginxBinary
from nginx_stream_lint.probe.probe_model import (
    PassedOn,
    ProbeOutcome,
    ProbeRequest,
    ProbeResult,
)
from nginx_stream_lint.probe.upstream import DrippingUpstream

_AT_ONCE = 24
_STARTS_APART = 0.005
_TIMES_ALONE = 2  # unclear measurements are repeated this often
_BEGINNING = 20  # tokens that fit into every buffer
_LATE = 0.65  # of their duration
_ACCEPT = {"identity": "identity", "gzip": "gzip, br"}

OnProgress = Callable[[int, int], None]


async def probe(
    configuration: Configuration,
    requests: Sequence[ProbeRequest],
    scenarios: Sequence[Scenario],
    binary: NginxBinary,
    *,
    tokens: int = 20,
    interval: float = 0.05,
    on_progress: OnProgress | None = None,
    passed_on: Sequence[PassedOn] = (),
) -> ProbeResult:
    """Measure every request in every scenario whose client it has a socket for.

    Everything happens on loopback and in temporary folders. These, and all processes, are removed
    afterwards. Each nginx runs in a separate sandbox.

    Args:
        configuration: as `config.read` returns it; its nginx gets the requests.
        tokens, interval: how many tokens the upstream sends, and seconds between two of them.
        on_progress: called with the number of finished measurements, and of all.
        passed_on: the requests that go to other nginx. All other requests go to the test app.

    Raises:
        NginxError: nginx refuses a copy, does not start, or dies; or there are too many.
    """
    pairs = [
        (request, scenario)
        for request in requests
        for scenario in request.scenarios or scenarios
        if scenario.client in request.sockets
    ]
    drip = Drip(tokens=tokens, interval=interval)
    async with (
        DrippingUpstream() as upstream,
        running_copies(configuration, binary, upstream, passed_on) as running,
    ):
        outcomes = await _ProbeRun(running, upstream, drip, on_progress).all(pairs)
    changes = [change for one in reversed(running) for change in one.changes]
    return ProbeResult(binary, outcomes, changes)


class _ProbeRun(Struct):
    """Measures through running copies, of which the last one gets the requests."""

    running: Sequence[RunningCopy]
    upstream: DrippingUpstream
    drip: Drip
    on_progress: OnProgress | None

    async def all(self, pairs: Sequence[tuple[ProbeRequest, Scenario]]) -> list[ProbeOutcome]:
        """The outcomes, in the order of the pairs."""
        jobs = [self._job(request, scenario) for request, scenario in pairs]
        results: list[Measurement | None] = [None] * len(jobs)
        caches = any(one.copy.caches for one in self.running)
        alone = await self._recorded(jobs) if caches else set()
        done = 0

        def finished(offset: int, result: Measurement) -> None:
            nonlocal done
            results[offset] = result
            done += 1
            if self.on_progress is not None:
                self.on_progress(done, len(jobs))

        gate = asyncio.Semaphore(_AT_ONCE)

        async def together(position: int, offset: int) -> None:
            async with gate:
                await asyncio.sleep(position % _AT_ONCE * _STARTS_APART)
                finished(offset, await jobs[offset].run())

        others = [at for at in range(len(jobs)) if at not in alone]
        await asyncio.gather(*(together(position, at) for position, at in enumerate(others)))
        for at in sorted(alone):
            finished(at, await self._second(jobs[at]))
        for at, job in enumerate(jobs):
            for _ in range(_TIMES_ALONE):
                result = results[at]
                if result is not None and self._doubtful(result):
                    self._must_run()
                    again = self._second(job) if at in alone else job.run()
                    results[at] = await again
        if any(result and result.arrivals.ended in ("cut", "refused") for result in results):
            self._must_run()
        return [
            self._outcome(request, scenario, result)
            for (request, scenario), result in zip(pairs, results, strict=True)
            if result is not None
        ]

    def _must_run(self) -> None:
        for one in self.running:
            one.must_run()

    @staticmethod
    def _doubtful(result: Measurement) -> bool:
        return result.verdict == UNCLEAR or result.arrivals.ended == "refused"

    def _job(self, request: ProbeRequest, scenario: Scenario) -> Job:
        target = self.running[-1].socket_at(request.sockets[scenario.client], request.stream)
        accel = scenario.x_accel_buffering
        client = "h2c" if scenario.client == "h2" and not target.tls else scenario.client
        return Job(
            self.upstream,
            target.port,
            request.path,
            client,
            replace(
                self.drip,
                framing=scenario.framing,
                x_accel_buffering="" if accel == "absent" else accel,
                type=request.content_type,
                websocket=request.websocket,
            ),
            accept_encoding=_ACCEPT[scenario.accept_encoding],
            host=request.host,
            method=request.method,
            websocket=request.websocket,
        )

    # Caches

    async def _recorded(self, jobs: Sequence[Job]) -> set[int]:
        """The jobs whose responses may be cached; the caches are emptied."""
        found: set[int] = set()
        places: dict[tuple[int, str, str, str], bool] = {}
        for at, job in enumerate(jobs):
            key = (job.port, job.client, job.host, job.path)
            if key not in places:
                headers = (("Cache-Control", "no-store"), ("X-Accel-Expires", "0"))
                quick = replace(job, drip=replace(_quick(job.drip), headers=headers))
                passed = self._passed(await quick.run())
                places[key] = not passed or any(place.cached for place, _ in passed)
            if places[key]:
                found.add(at)
        self._empty_caches()
        return found

    async def _second(self, job: Job) -> Measurement:
        """A measurement of a repeated request."""
        self._empty_caches()
        quick = _quick(job.drip)
        await replace(job, drip=quick).run()
        result = await job.run()
        arrivals = result.arrivals
        if arrivals.ended == "complete" and len(arrivals.times) == quick.tokens:
            # The first response again, even if the upstream got other requests meanwhile.
            return replace(result, verdict=REPLAYS)
        return result

    def _empty_caches(self) -> None:
        for one in self.running:
            one.empty_caches()

    # Results

    def _passed(self, result: Measurement) -> list[tuple[CopiedPlace, CopiedPlace]]:
        """The blocks that a response passed, each with its server, nearest the app first."""
        markers = result.arrivals.headers.get(MARKER.lower(), "").split(", ")
        return [
            (one.copy.places[marker], one.copy.places[one.copy.places[marker].server])
            for marker in markers
            for one in self.running
            if marker in one.copy.places
        ]

    def _outcome(
        self, request: ProbeRequest, scenario: Scenario, result: Measurement
    ) -> ProbeOutcome:
        arrivals, seen = result.arrivals, result.seen
        passed = self._passed(result)
        place, server = passed[-1] if passed else (None, None)
        return ProbeOutcome(
            request,
            scenario,
            _verdict(result),
            result.status,
            place,
            server,
            result.first_delay,
            tuple(result.bursts),
            () if seen is None else tuple(at - arrivals.started for at in seen.emitted),
            tuple(at - arrivals.started for _, at in arrivals.times),
            arrivals.finished - arrivals.started,
            arrivals.error or _redirect(arrivals.headers),
            None
            if seen is None
            else {
                "family": seen.family,
                "method": seen.method,
                "uri": seen.uri,
                "http_version": seen.http_version,
                **dict(_plain(seen.headers)),
            },
            tuple(one for one, _ in passed),
        )


def _verdict(result: Measurement) -> str:
    """A long response fills buffers before it ends, so its beginning shows whether it is held."""
    emitted = [] if result.seen is None else result.seen.emitted
    if result.verdict in (STREAMS, UNCLEAR) and len(emitted) > _BEGINNING:
        beginning = emitted[_BEGINNING - 1] - emitted[0]
        if result.first_delay is not None and result.first_delay > _LATE * beginning:
            return STALLS
    return result.verdict


def _redirect(headers: Mapping[str, str]) -> str:
    return f"redirects to {headers['location']}" if "location" in headers else ""


def _plain(headers: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((f"header {name}", value) for name, value in headers.items() if name != "x-drip")


def _quick(drip: Drip) -> Drip:
    """The same kind of response, but short."""
    return replace(drip, tokens=2 if drip.tokens == 3 else 3, interval=0.001)
