"""Run a configuration's copy on a real nginx, with those behind it, and measure the responses."""

from __future__ import annotations

import asyncio
import contextlib
import graphlib
import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config import Configuration, Directive
from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.nginx.listeners import addresses
from nginx_stream_lint.nginx.pass_target import PassTarget
from nginx_stream_lint.probe.adapt_copy import adapt_copy
from nginx_stream_lint.probe.certificate import write_certificate
from nginx_stream_lint.probe.copy import MARKER, WRITABLE, copy_of
from nginx_stream_lint.probe.copy_model import (
    CopiedPlace,
    CopiedSocket,
    Copy,
    CopyChange,
    NextCopy,
)
from nginx_stream_lint.probe.drip import Drip
from nginx_stream_lint.probe.folders import temporary_folder
from nginx_stream_lint.probe.launch import NginxError
from nginx_stream_lint.probe.measure import REPLAYS, STALLS, STREAMS, UNCLEAR, Job, Measurement
from nginx_stream_lint.probe.nginx import Nginx, NginxBinary
from nginx_stream_lint.probe.upstream import DrippingUpstream

_AT_ONCE = 24
_STARTS_APART = 0.005
_TIMES_ALONE = 2  # unclear measurements are repeated this often
_MOST_NGINX = 16  # each may use the memory that the sandbox allows
_STARTS = 3  # another process may take a port between looking and binding
_SECONDS_TO_CONNECT = 5.0
_SECONDS_TO_DIE = 0.3
_BEGINNING = 20  # tokens that fit into every buffer
_LATE = 0.65  # of their duration
_ACCEPT = {"identity": "identity", "gzip": "gzip, br"}

OnProgress = Callable[[int, int], None]


class PassedOn(Struct, frozen=True):
    """Requests that one nginx passes on to another: by a `*_pass` directive of `front`.

    `target` is the one of the directive, with its variables filled in. `socket` is the listen
    address of the configuration `behind` that it leads to.
    """

    front: Configuration
    directive: Directive
    target: PassTarget
    behind: Configuration
    socket: str


class ProbeRequest(Struct, frozen=True):
    """A request to measure on the copy.

    `sockets` has the listen address of the configuration for each kind of client (`h1`, `h1-tls`,
    `h2`) that sends it. `stream`: it goes to a `stream {}` server. `content_type` is that of the
    response. `scenarios` replace the scenarios that are given for all requests.
    """

    name: str
    sockets: Mapping[str, str]
    host: str = "localhost"
    path: str = "/"
    method: str = "GET"
    content_type: str = "text/event-stream"
    websocket: bool = False
    stream: bool = False
    scenarios: tuple[Scenario, ...] = ()


class ProbeOutcome(Struct, frozen=True):
    """The measurement of one request in one scenario.

    `verdict` is that of `Measurement`. `place` is the block that handled the request, or None if
    that is unknown (a closed connection, or a `stream {}` server). `first_delay` is the time in
    seconds from the emission of the first token to its arrival. `emissions` and `arrivals` have a
    time for each token, in seconds since the request was sent. `error` describes a failed
    connection or a redirect. `upstream` is the request that the upstream received (method, URI,
    protocol, headers), or None. `tiers` are the blocks of all nginx that the response passed,
    nearest the app first; the last one is `place`.
    """

    request: ProbeRequest
    scenario: Scenario
    verdict: str
    status: int
    place: CopiedPlace | None
    server: CopiedPlace | None
    first_delay: float | None
    bursts: tuple[int, ...]
    emissions: tuple[float, ...]
    arrivals: tuple[float, ...]
    duration: float
    error: str
    upstream: Mapping[str, str] | None
    tiers: tuple[CopiedPlace, ...] = ()


class ProbeResult(Struct):
    """Everything that was measured, and how the copies differ from the configurations."""

    binary: NginxBinary
    outcomes: list[ProbeOutcome] = field(default_factory=list)
    changes: list[CopyChange] = field(default_factory=list)


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
    order = _start_order(configuration, passed_on)
    async with contextlib.AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(DrippingUpstream())
        running: list[_RunningCopy] = []
        for one in order:
            folder = stack.enter_context(temporary_folder())
            made = await _started(one, binary, upstream, folder, running, passed_on)
            stack.push_async_exit(made.nginx)
            running.append(made)
        run = _ProbeRun(running, upstream, drip, on_progress)
        outcomes = await run.all(pairs)
    changes = [change for one in reversed(running) for change in one.changes()]
    return ProbeResult(binary, outcomes, changes)


def _start_order(
    configuration: Configuration, passed_on: Sequence[PassedOn]
) -> list[Configuration]:
    """The nginx to run, each after all those to which it passes requests."""
    every = {id(configuration): configuration}
    behind: dict[int, list[int]] = {id(configuration): []}
    for one in passed_on:
        every |= {id(one.front): one.front, id(one.behind): one.behind}
        behind.setdefault(id(one.front), []).append(id(one.behind))
    if len(every) > _MOST_NGINX:
        count = f"{len(every)} nginx instances"
        raise NginxError(f"the requests pass {count}; at most {_MOST_NGINX} are run")
    try:
        return [every[one] for one in graphlib.TopologicalSorter(behind).static_order()]
    except graphlib.CycleError:
        raise NginxError("a request returns to an nginx that it has passed") from None


class _RunningCopy(Struct):
    configuration: Configuration
    copy: Copy
    nginx: Nginx
    folder: Path

    def changes(self) -> list[CopyChange]:
        """The changes of the copy in the order of the configuration."""
        files = {file.source.name: at for at, file in enumerate(self.configuration.files)}
        return sorted(self.copy.changes, key=lambda one: (files.get(one.file, 0), one.line))


async def _started(
    configuration: Configuration,
    binary: NginxBinary,
    upstream: DrippingUpstream,
    folder: Path,
    running: Sequence[_RunningCopy],
    passed_on: Sequence[PassedOn],
) -> _RunningCopy:
    copies = {id(one.configuration): one.copy for one in running}
    next_copies = {
        id(one.directive): NextCopy(socket_at(copies[id(one.behind)], one.socket).port, one.target)
        for one in passed_on
        if one.front is configuration
    }
    markers = sum(len(one.copy.places) for one in running)
    for attempt in range(_STARTS):
        copy = copy_of(configuration, binary.version, upstream.ports, folder, next_copies, markers)
        if any(one.tls for one in copy.sockets.values()):
            write_certificate(folder)
        text, sandbox = await adapt_copy(copy, binary, folder)
        nginx = Nginx(binary, text, folder, sandbox)
        try:
            await nginx.__aenter__()
        except NginxError as error:
            if attempt + 1 < _STARTS and "Address already in use" in str(error):
                continue
            raise
        return _RunningCopy(configuration, copy, nginx, folder)
    raise AssertionError("unreachable")


class _ProbeRun(Struct):
    """Measures through running copies, of which the last one gets the requests."""

    running: Sequence[_RunningCopy]
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
        # A supervisor needs a moment to notice that nginx has ended; connections fail at once.
        for one in self.running:
            ports = [socket.port for socket in one.copy.sockets.values()]
            if not one.nginx.is_running or not all(map(_accepts, ports[:1])):
                said = " ".join(one.nginx.error_log.strip().splitlines()[-3:])
                raise NginxError(f"{one.nginx.binary} died during the measurement: {said}")

    @staticmethod
    def _doubtful(result: Measurement) -> bool:
        return result.verdict == UNCLEAR or result.arrivals.ended == "refused"

    def _job(self, request: ProbeRequest, scenario: Scenario) -> Job:
        target = socket_at(self.running[-1].copy, request.sockets[scenario.client], request.stream)
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
        self._forget()
        return found

    async def _second(self, job: Job) -> Measurement:
        """A measurement of a repeated request."""
        self._forget()
        quick = _quick(job.drip)
        await replace(job, drip=quick).run()
        result = await job.run()
        arrivals = result.arrivals
        if arrivals.ended == "complete" and len(arrivals.times) == quick.tokens:
            # The first response again, even if the upstream got other requests meanwhile.
            return replace(result, verdict=REPLAYS)
        return result

    def _forget(self) -> None:
        """Empty all caches: nginx requests responses again that are no longer on disk."""
        for one in self.running:
            top = str(one.folder / WRITABLE / "cache")
            # By descriptors of open folders, so that links made by nginx cannot lead elsewhere.
            for path, folders, files, number in os.fwalk(top, topdown=False):
                for name in files:
                    with contextlib.suppress(OSError):
                        os.unlink(name, dir_fd=number)
                for name in folders if path != top else ():
                    with contextlib.suppress(OSError):
                        os.rmdir(name, dir_fd=number)

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


def _accepts(port: int) -> bool:
    """Whether something listens on a port of loopback, and keeps listening.

    After nginx was killed, the kernel still accepts connections for a moment, and resets them.
    """
    try:
        connection = socket.create_connection(("127.0.0.1", port), _SECONDS_TO_CONNECT)
    except OSError:
        return False
    with connection:
        connection.settimeout(_SECONDS_TO_DIE)
        try:
            connection.recv(1)
        except ConnectionError:
            return False
        except TimeoutError:
            pass
    return True


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


def socket_at(copy: Copy, address: str, stream: bool = False) -> CopiedSocket:
    """Where the copy listens for an address of the configuration.

    Raises:
        NginxError: it does not.
    """
    name = addresses(address)[0]
    found = copy.sockets.get(f"stream {name}" if stream else name)
    if found is None:
        raise NginxError(f'the copy does not listen on "{address}"')
    return found
