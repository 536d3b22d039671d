"""Measure the effect that a rule's `evidence` names, with the examples of the rule.

test_rules.py checks that the effect is as in the rule, record.py writes down the measurement.
"""

from __future__ import annotations

import asyncio
import re
import statistics
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.probe import (
    Arrivals,
    Drip,
    DrippingUpstream,
    Job,
    Nginx,
    NginxBinary,
    ReceivedRequest,
    fetch,
    write_certificate,
)
from nginx_stream_lint.probe.measure import judge
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.rules.facts.delivery import usual_deliveries, whole_path
from nginx_stream_lint.streams.detect import ProxiedLocation, find_proxied
from nginx_stream_lint.streams.passed_on import TierLocations, link_streams
from nginx_stream_lint.tiers.hops import TierConfiguration
from tests.conformance.client_streams import OpenRequests
from tests.conformance.examples import SCALE, Named, Runnable, all_examples, runnable, uri
from tests.waiting import leave, until

EXAMPLES = all_examples()
TYPES = {
    "sse": "text/event-stream",
    "chunked": "application/x-ndjson",
    "long-poll": "text/plain",
    "grpc": "application/grpc",
}


@dataclass(frozen=True)
class Shown:
    """A measurement: whether the fault of the rule occurred, and a description."""

    bad: bool
    said: str


def texts(named: Named) -> dict[str, str]:
    """The configurations of an example by their kind: `bad`, `fixed` or `good`."""
    example = named.example
    found = {"bad": example.bad, "fixed": example.fixed, "good": example.good}
    return {kind: text for kind, text in found.items() if text is not None}


# Delivery


@dataclass(frozen=True)
class Stream:
    """A location of a runnable example, with a request of one client, and the expected verdict."""

    location: Level
    client: Client
    port: int
    drip: Drip
    method: str
    recorded: bool
    expected: str
    accept_encoding: str = "identity"
    path: str | None = None  # None: that of the location

    def job(self, upstream: DrippingUpstream, expected: str | None) -> Job:
        body = b"hello" if self.method == "POST" else b""
        return Job(
            upstream,
            self.port,
            uri(self.location) if self.path is None else self.path,
            self.client,
            self.drip,
            "gzip, br" if self.accept_encoding == "gzip" else "identity",
            method=self.method,
            body=body,
            expected=expected,
        )


def streams_of(run: Runnable, binary: NginxBinary, method: str | None) -> list[Stream]:
    """Every stream of an example that may be held, for each kind of client that uses it."""
    streams: list[Stream] = []
    for one in proxied(run, binary):
        streams += _streams(one, run, binary, method)
    return streams


def proxied(run: Runnable, binary: NginxBinary) -> list[ProxiedLocation]:
    """The proxied locations of an example, which may pass their streams to one another."""
    found, problems = find_proxied(run.configuration, run.root, binary.version)
    assert problems == []
    nginx = TierConfiguration(run.configuration, run.root.first("http"), binary.version)
    link_streams([TierLocations(nginx, found)])
    return found


def _streams(
    one: ProxiedLocation, run: Runnable, binary: NginxBinary, method: str | None
) -> list[Stream]:
    stream = one.streams[0]
    if one.level.kind != "location" or stream.confidence == "possible" or stream.kind not in TYPES:
        return []
    if one.level.rows.get("internal") or one.shadowed_by is not None:
        return []  # no client can request it
    if match_of(one.level).is_regex:
        return []  # no path is known for it; test_delivery.py has random ones
    facts = Facts(one, stream, binary.version, 300)
    app = (one.detected or one.streams)[0]
    # If another nginx is behind the location, its comment says which header the app sends.
    accel = app.x_accel_buffering or stream.x_accel_buffering
    if stream.accel_fix in ("stop-buffering", "elsewhere"):
        accel = "no"
    drip = Drip(
        framing=app.framing or "chunked",
        x_accel_buffering=accel or "",
        type="application/grpc" if one.handler.family == "grpc" else TYPES[stream.kind],
    )
    return [
        Stream(
            one.level,
            delivery.scenario.client,
            run.port(one.server, delivery.scenario.client),
            drip,
            method or stream.method or "GET",
            delivery.is_replayed,
            whole_path(facts).deliver(delivery.scenario).worst,
            delivery.scenario.accept_encoding,
            stream.path if one.other_tiers else None,
        )
        for delivery in usual_deliveries(facts)
    ]


# The other evidence: each shows the effect with `bad`, and its absence with `fixed`


@dataclass
class Lab:
    """A running example: the location of its first stream, the upstream, and a path to request."""

    run: Runnable
    upstream: DrippingUpstream
    nginx: Nginx
    path: str = ""
    names: int = 0

    @property
    def place(self) -> ProxiedLocation:
        found = proxied(self.run, self.nginx.binary)
        return next(one for one in found if one.streams[0].confidence != "possible")

    async def ask(
        self, drip: Drip, *, timeout: float = 12.0, websocket: bool = False, method: str = "GET"
    ) -> tuple[Arrivals, list[ReceivedRequest]]:
        """Send one request to the stream. Returns the response and what the app got."""
        self.names += 1
        asked = drip.named(f"lab-{id(self)}-{self.names}")
        place = self.place
        stream = place.level.kind != "stream-server"
        client: Client = place.clients[0] if stream else "h1"
        arrivals = await fetch(
            self.run.port(place.server, client),
            uri(place.level) if stream else "/",
            client,
            method=method,
            headers=[("X-Drip", asked.encode())],
            body=b"hello" if method == "POST" else b"",
            timeout=timeout,
            websocket=websocket,
        )
        return arrivals, self.upstream.find(asked.id)

    async def ask_app(self, drip: Drip, timeout: float = 12.0) -> tuple[Arrivals, ReceivedRequest]:
        """Send one request, which must reach the app. Returns the response and what the app got."""
        arrivals, seen = await self.ask(drip, timeout=timeout)
        assert seen, (
            f"the app gets no request with the header X-Drip (status {arrivals.status}), so this"
            " evidence cannot be measured; name another one in the rule file"
        )
        return arrivals, seen[0]


def drip_of(lab: Lab, **what: object) -> Drip:
    """A drip of the type that the stream's family needs."""
    kind = "application/grpc" if lab.place.handler.family == "grpc" else "text/event-stream"
    return Drip(type=kind, **what)  # type: ignore[arg-type]


async def cut_by_silence(lab: Lab, silence: float = 45 * SCALE, timeout: float = 12.0) -> Shown:
    """Whether a silence (45 scaled seconds) cuts the stream."""
    drip = drip_of(lab, tokens=6, silence_after=(3, silence))
    arrivals, _ = await lab.ask(drip, timeout=timeout)
    assert [number for number, _ in arrivals.times][:3] == [1, 2, 3]
    assert (len(arrivals.times) == 6) == (arrivals.ended == "complete")
    if arrivals.ended == "complete":
        return Shown(False, f"survives a silence of {silence:.2f} s")
    quiet = arrivals.finished - arrivals.times[-1][1]
    return Shown(True, f"cut after a silence of {quiet:.2f} s")


async def sent_twice(lab: Lab) -> Shown:
    """Whether one POST reaches the app twice: by a mirror, or by a retry after a failure."""
    mirrored, seen = await lab.ask(drip_of(lab, tokens=2), method="POST")
    assert mirrored.status == 200
    await asyncio.sleep(1)  # a second request would arrive at once
    _, again = await lab.ask(drip_of(lab, die_after=0), method="POST")
    await asyncio.sleep(1)
    return Shown(
        len(seen) > 1 or len(again) > 1,
        f"an accepted POST reaches an app {_times(len(seen))}, a failed one {_times(len(again))}",
    )


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")


async def continues_without_client(lab: Lab) -> Shown:
    """Whether an app that has not responded yet continues after its client has left."""
    before = len(lab.upstream.seen)
    asking = asyncio.ensure_future(lab.ask(drip_of(lab, silence_before=1.2)))
    await until(lambda: len(lab.upstream.seen) > before)
    await leave(asking)
    seen = lab.upstream.seen[before]
    await until(lambda: seen.client_gone or seen.finished)
    tokens = len(seen.emitted)
    many = "1 token" if tokens == 1 else f"{tokens} tokens"
    return Shown(tokens > 0, f"the app sends {many} after the client has left")


async def cut_by_reload(lab: Lab) -> Shown:
    """Whether a reload of nginx cuts a running stream."""
    before = len(lab.upstream.seen)
    asking = asyncio.ensure_future(lab.ask(drip_of(lab, tokens=60)))
    await until(lambda: [one for one in lab.upstream.seen[before:] if one.emitted])
    lab.nginx.reload()
    arrivals, _ = await asking
    return Shown(arrivals.ended == "cut", f"{len(arrivals.times)} of 60 tokens arrive")


async def waits_for_body(lab: Lab) -> Shown:
    """Whether a POST gets no response, because the app behind auth_request waits for a body."""
    method = lab.place.streams[0].method or "POST"
    arrivals, _ = await lab.ask(drip_of(lab, tokens=3), method=method, timeout=6)
    if arrivals.status == 0:
        return Shown(True, "no response within 6 s")
    wait = arrivals.head_at - arrivals.started
    return Shown(False, f"status {arrivals.status} after {wait:.2f} s")


async def no_handshake(lab: Lab) -> Shown:
    """Whether a WebSocket handshake fails."""
    arrivals, _ = await lab.ask(Drip(tokens=3, websocket=True), websocket=True)
    wrong = f"; {arrivals.error}" if arrivals.error else ""
    return Shown(arrivals.status != 101 or bool(wrong), f"status {arrivals.status}{wrong}")


async def does_not_reach_app(lab: Lab) -> Shown:
    """Whether a request does not reach the app."""
    lab.names += 1
    asked = Drip(tokens=2).named(f"lab-{id(lab)}-{lab.names}")
    headers = [("X-Drip", asked.encode())]
    arrivals = await fetch(lab.run.ports["*:80"], lab.path, "h1", headers=headers, timeout=12)
    reached = bool(lab.upstream.find(asked.id))
    verb = "reaches" if reached else "does not reach"
    return Shown(not reached, f"GET {lab.path} {verb} the app; status {arrivals.status}")


async def cut_while_client_is_silent(lab: Lab) -> Shown:
    """Whether a silence (45 scaled seconds) of a client that has not ended its request cuts it."""
    silence = 45 * SCALE
    async with OpenRequests.to(lab) as requests:
        one = await requests.begin(b"hello")
        await requests.wait(silence)
        if one.ended:
            quiet = one.ended - one.began
            return Shown(True, f"cut after {quiet:.2f} s without data from the client")
        await requests.end(one)
        await until(lambda: bool(one.ended))
    assert one.status == 200
    return Shown(False, f"survives {silence:.2f} s without data from the client")


async def events_end_late(lab: Lab) -> Shown:
    """Whether the end of each event arrives with the next event."""
    drip = drip_of(lab, tokens=10)
    arrivals, seen = await lab.ask_app(drip)
    late = judge(drip, arrivals, seen).verdict == "stalls"
    lag = statistics.median(
        at - sent for (_, at), sent in zip(arrivals.times, seen.emitted, strict=True)
    )
    return Shown(late, f"events sent every 50 ms are complete after {max(lag, 0) * 1000:.0f} ms")


async def slowed_down(lab: Lab) -> Shown:
    """Whether the last of twenty 230-byte tokens, 50 ms apart, arrives more than a second late."""
    arrivals, seen = await lab.ask_app(drip_of(lab, tokens=20, bytes=230), timeout=30)
    late = arrivals.times[-1][1] - seen.emitted[-1]
    return Shown(
        late > 1, f"the last of 20 tokens arrives {max(late, 0):.1f} s after the app sent it"
    )


async def collected(lab: Lab) -> Shown:
    """Whether the app gets no byte of a request before the client has ended it."""
    async with OpenRequests.to(lab) as requests:
        one = await requests.begin(b"hello")
        for _ in range(30):
            await requests.wait(0.1)
            if lab.upstream.find(one.name):
                return Shown(False, "the app gets the request while the client still sends it")
        await requests.end(one)
        await until(lambda: bool(lab.upstream.find(one.name)))
    return Shown(True, "the app gets nothing until the client has ended its request")


async def refused_when_many(lab: Lab) -> Shown:
    """Whether some of five streams on one HTTP/2 connection are rejected."""
    async with OpenRequests.to(lab) as requests:
        streams = [await requests.begin() for _ in range(5)]
        await until(lambda: all(one.ended for one in streams))
    statuses = [one.status for one in streams]
    said = ", ".join(map(str, statuses))
    return Shown(statuses != [200] * 5, f"five streams on one connection: {said}")


def path_of_first_handler(root: Level) -> str:
    """A path that the first proxied location matches."""
    match = next(match_of(one) for one in root.walk() if one.own_handler is not None)
    path = match.pattern.lstrip("^").replace("[^/]+", "x").replace("\\", "")
    assert not match.is_regex or re.search(match.pattern, path)
    return path


EFFECTS: dict[str, Callable[[Lab], Awaitable[Shown]]] = {
    "silence": cut_by_silence,
    "requests-twice": sent_twice,
    "abandoned": continues_without_client,
    "reload": cut_by_reload,
    "auth-body": waits_for_body,
    "handshake": no_handshake,
    "passed-on": does_not_reach_app,
    "client-silence": cut_while_client_is_silent,
    "collected-request": collected,
    "many-streams": refused_when_many,
    "late-events": events_end_late,
    "slowed-down": slowed_down,
}
# A default of 60 s takes 60 s to measure; test_default_timeout does that.
UNSCALED = {
    named.name
    for named in EXAMPLES
    if named.evidence == "silence" and "_timeout" not in (named.example.bad or "_timeout")
}
SHOWN = [named for named in EXAMPLES if named.evidence in EFFECTS and named.name not in UNSCALED]


async def effect(named: Named, binary: NginxBinary, folder: Path) -> dict[str, Shown]:
    """The measurement for each text of an example."""
    shown: dict[str, Shown] = {}
    path = ""
    async with DrippingUpstream() as upstream:
        # Send the fixed text's path to the bad text, too.
        for kind, text in reversed(texts(named).items()):
            inside = folder / kind
            inside.mkdir()
            write_certificate(inside)
            run = runnable(text, inside, upstream.ports)
            async with Nginx(binary, run.text, inside) as nginx:
                if named.evidence == "passed-on":
                    path = path or path_of_first_handler(run.root)
                shown[kind] = await EFFECTS[named.evidence](Lab(run, upstream, nginx, path))
    return dict(reversed(shown.items()))


# The headers that the app and the client get


Heads = dict[str, tuple[dict[str, str], dict[str, str]]]


# Headers that differ between requests, or with the length of the body.
_CHANGING = {
    "date",
    "etag",
    "host",
    "server",
    "content-length",
    "sec-websocket-key",
    "x-request-id",
}


def differing_headers(bad: Mapping[str, str], fixed: Mapping[str, str]) -> list[str]:
    """The names of the headers that differ between `bad` and `fixed`."""
    return sorted(name for name in {*bad, *fixed} - _CHANGING if bad.get(name) != fixed.get(name))


async def heads(named: Named, binary: NginxBinary, folder: Path) -> Heads:
    """The headers that the app and the client get, for `bad` and `fixed`."""
    found: Heads = {}
    async with DrippingUpstream() as upstream:
        for kind in ("bad", "fixed"):
            inside = folder / kind
            inside.mkdir()
            write_certificate(inside)
            run = runnable(texts(named)[kind], inside, upstream.ports)
            async with Nginx(binary, run.text, inside) as nginx:
                lab = Lab(run, upstream, nginx)
                arrivals, seen = await lab.ask_app(drip_of(lab, tokens=2))
                sent = {**seen.headers, ":version": seen.http_version}
                sent.pop("x-drip", None)
                got = {k: v for k, v in arrivals.headers.items() if k != "date"}
                found[kind] = (sent, got)
    return found
