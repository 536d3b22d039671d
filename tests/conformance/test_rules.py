"""Every example of every rule on real nginx: what is said to go wrong does, what is fixed works.

Two kinds of tests. `test_delivery` runs each configuration and compares what the model says for
each client with what arrives. The others show the effect that a rule's `evidence` names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.probe import (
    Arrivals,
    Drip,
    Job,
    Nginx,
    NginxBinary,
    Seen,
    Upstream,
    check,
    fetch,
    measure_many,
    write_certificate,
)
from nginx_stream_lint.rules.facts import Facts
from nginx_stream_lint.streams.find import Served, served
from tests.conformance.examples import SCALE, Named, Runnable, all_examples, runnable, uri

EXAMPLES = all_examples()
SECONDS = 150.0
TYPES = {"sse": "text/event-stream", "chunked": "application/x-ndjson", "long-poll": "text/plain"}


def texts(named: Named) -> dict[str, str]:
    """The configurations of an example by what they are."""
    example = named.example
    found = {"bad": example.bad, "fixed": example.fixed, "good": example.good}
    return {kind: text for kind, text in found.items() if text is not None}


@pytest.mark.parametrize("named", EXAMPLES, ids=lambda named: str(named.name))
def test_nginx_takes_it(named: Named, binaries: dict[str, NginxBinary], tmp_path: Path) -> None:
    write_certificate(tmp_path)
    upstream = dict.fromkeys(("http", "fastcgi", "scgi", "uwsgi", "h2c"), 9)
    for age in set(named.ages) & set(binaries):
        for text in texts(named).values():
            ok, said = check(binaries[age], runnable(text, tmp_path, upstream).text, tmp_path)
            assert ok, said


# The delivery model on every example


@dataclass(frozen=True)
class Stream:
    """A location of a runnable example, how one client asks it, and what the model says."""

    location: Level
    client: Client
    port: int
    drip: Drip
    method: str
    recorded: bool
    expected: str

    def job(self, upstream: Upstream, expected: str | None) -> Job:
        body = b"hello" if self.method == "POST" else b""
        return Job(
            upstream,
            self.port,
            uri(self.location),
            self.client,
            self.drip,
            method=self.method,
            body=body,
            expected=expected,
        )


def streams_of(run: Runnable, binary: NginxBinary, method: str | None) -> list[Stream]:
    """Every stream of an example that can be held, for every client it is known to have."""
    found, problems = served(run.configuration, run.root, binary.version)
    assert problems == []
    streams: list[Stream] = []
    for one in found:
        streams += _streams(one, run, binary, method)
    return streams


def _streams(one: Served, run: Runnable, binary: NginxBinary, method: str | None) -> list[Stream]:
    stream = one.streams[0]
    if one.level.kind != "location" or stream.confidence == "possible" or stream.kind not in TYPES:
        return []
    if one.level.rows.get("internal") or one.shadowed_by is not None:
        return []  # nobody outside can ask for it
    if match_of(one.level).is_regex:
        return []  # no path is at hand for it; random ones are in test_delivery.py
    facts = Facts(one, stream, binary.version, 300)
    drip = Drip(
        framing=stream.framing or "chunked",
        x_accel_buffering="" if stream.x_accel_buffering is None else stream.x_accel_buffering,
        type="application/grpc" if one.handler.family == "grpc" else TYPES[stream.kind],
    )
    return [
        Stream(
            one.level,
            delivery.scenario.client,
            run.port(one.server, delivery.scenario.client),
            drip,
            method or stream.method or "GET",
            delivery.verdict == "replays",
            delivery.verdict,
        )
        for delivery in facts.usual
    ]


async def measured(
    text: str, folder: Path, binary: NginxBinary, upstream: Upstream, method: str | None
) -> list[tuple[Stream, str]]:
    """What the model says and what arrives, for every stream of a configuration."""
    write_certificate(folder)
    run = runnable(text, folder, upstream.ports)
    streams = streams_of(run, binary, method)
    if not streams:
        return []
    async with Nginx(binary, run.text, folder):
        recorded = [stream for stream in streams if stream.recorded]
        await measure_many([stream.job(upstream, None) for stream in recorded])
        jobs = [stream.job(upstream, stream.expected) for stream in streams]
        results = await measure_many(jobs)
    return [(stream, result.verdict) for stream, result in zip(streams, results, strict=True)]


async def all_measured(
    age: str, binary: NginxBinary, folder: Path
) -> dict[tuple[str, str], list[str]]:
    """Where model and nginx disagree, and where an error or a fix is not what it says."""
    wrong: dict[tuple[str, str], list[str]] = {}
    gate = asyncio.Semaphore(8)

    async def judge(named: Named, kind: str, text: str, number: int) -> list[str]:
        inside = folder / f"{named.name}-{kind}-{number}"
        inside.mkdir()
        # Where the body is the trouble, delivery is measured without one.
        method = "GET" if named.evidence == "auth-body" else None
        found = await measured(text, inside, binary, upstream, method)
        said = [
            f"{uri(stream.location)} {stream.client}: model {stream.expected}, nginx {verdict}"
            for stream, verdict in found
            if verdict != stream.expected
        ]
        if kind != "bad" and named.evidence in ("delivery", "recording"):
            said += [
                f"{uri(stream.location)} {stream.client} {verdict} where it is said to stream"
                for stream, verdict in found
                if verdict != "streams"
            ]
        return said

    async def one(named: Named, kind: str, text: str) -> None:
        async with gate:
            said = await judge(named, kind, text, 1)
        if said:
            wrong[named.name, kind] = said

    async with Upstream() as upstream:
        chosen = [
            (named, kind, text)
            for named in EXAMPLES
            if age in named.ages
            for kind, text in texts(named).items()
        ]
        await asyncio.gather(*(one(*each) for each in chosen))
        # A busy machine looks like a stall: what is wrong has to be wrong alone, too.
        for named, kind, text in chosen:
            if (named.name, kind) in wrong:
                said = await judge(named, kind, text, 2)
                wrong[named.name, kind] = said
    return {key: said for key, said in wrong.items() if said}


def test_delivery(age: str, binary: NginxBinary, tmp_path: Path) -> None:
    found = asyncio.run(asyncio.wait_for(all_measured(age, binary, tmp_path), SECONDS))
    assert found == {}


# The other evidence: each shows the effect with `bad`, and its absence with `fixed`


@dataclass
class Lab:
    """A running example: its first stream's location, and the upstream."""

    run: Runnable
    upstream: Upstream
    nginx: Nginx
    names: int = 0

    @property
    def place(self) -> Served:
        found, _ = served(self.run.configuration, self.run.root, self.nginx.binary.version)
        return next(one for one in found if one.streams[0].confidence != "possible")

    async def ask(
        self, drip: Drip, *, timeout: float = 12.0, websocket: bool = False, method: str = "GET"
    ) -> tuple[Arrivals, list[Seen]]:
        """One request to the stream; what came, and what the upstream saw of it."""
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


def drip_of(lab: Lab, **what: object) -> Drip:
    """A drip of the type that the stream's family needs."""
    kind = "application/grpc" if lab.place.handler.family == "grpc" else "text/event-stream"
    return Drip(type=kind, **what)  # type: ignore[arg-type]


async def cut_by_silence(lab: Lab) -> bool:
    """Whether a silence of 45 scaled seconds cuts the stream."""
    arrivals, _ = await lab.ask(drip_of(lab, tokens=6, silence_after=(3, 45 * SCALE)))
    assert [number for number, _ in arrivals.times][:3] == [1, 2, 3]
    assert (len(arrivals.times) == 6) == (arrivals.ended == "complete")
    return arrivals.ended != "complete"


async def asked_twice(lab: Lab) -> bool:
    """Whether one POST reaches the app twice: mirrored, or tried again after it failed."""
    mirrored, seen = await lab.ask(drip_of(lab, tokens=2), method="POST")
    assert mirrored.status == 200
    await asyncio.sleep(0.3)
    _, again = await lab.ask(drip_of(lab, die_after=0), method="POST")
    await asyncio.sleep(0.3)
    return len(seen) > 1 or len(again) > 1


async def thought_for_nobody(lab: Lab) -> bool:
    """Whether an app that is still thinking is left alone when its client leaves."""
    _, seen = await lab.ask(drip_of(lab, silence_before=1.2), timeout=0.4)
    await asyncio.sleep(1.6)
    return bool(seen and seen[0].emitted)


async def cut_by_reload(lab: Lab) -> bool:
    """Whether a stream that runs when nginx reloads breaks off."""
    asking = asyncio.ensure_future(lab.ask(drip_of(lab, tokens=60)))
    await asyncio.sleep(0.5)
    lab.nginx.reload()
    arrivals, _ = await asking
    return arrivals.ended == "cut"


async def waits_for_body(lab: Lab) -> bool:
    """Whether a POST gets no answer, because the app behind auth_request waits for a body."""
    method = lab.place.streams[0].method or "POST"
    arrivals, _ = await lab.ask(drip_of(lab, tokens=3), method=method, timeout=2.5)
    return arrivals.status == 0


async def no_handshake(lab: Lab) -> bool:
    """Whether a WebSocket handshake fails."""
    arrivals, _ = await lab.ask(Drip(tokens=3, websocket=True), websocket=True)
    return arrivals.status != 101


EFFECTS: dict[str, Callable[[Lab], Awaitable[bool]]] = {
    "silence": cut_by_silence,
    "requests-twice": asked_twice,
    "abandoned": thought_for_nobody,
    "reload": cut_by_reload,
    "auth-body": waits_for_body,
    "handshake": no_handshake,
}
# A default of 60 s takes as long to show; test_default_timeout does.
UNSCALED = {
    named.name
    for named in EXAMPLES
    if named.evidence == "silence" and "_timeout" not in (named.example.bad or "_timeout")
}
SHOWN = [named for named in EXAMPLES if named.evidence in EFFECTS and named.name not in UNSCALED]


async def effect(named: Named, binary: NginxBinary, folder: Path) -> dict[str, bool]:
    """Whether the effect shows, for each text of an example."""
    shown: dict[str, bool] = {}
    async with Upstream() as upstream:
        for kind, text in texts(named).items():
            inside = folder / kind
            inside.mkdir()
            write_certificate(inside)
            run = runnable(text, inside, upstream.ports)
            async with Nginx(binary, run.text, inside) as nginx:
                shown[kind] = await EFFECTS[named.evidence](Lab(run, upstream, nginx))
    return shown


@pytest.mark.parametrize("evidence", sorted(EFFECTS))
def test_effect(evidence: str, age: str, binary: NginxBinary, tmp_path: Path) -> None:
    async def all_of_them() -> dict[str, dict[str, bool]]:
        chosen = [named for named in SHOWN if named.evidence == evidence and age in named.ages]
        for named in chosen:
            (tmp_path / named.name).mkdir()
        results = await asyncio.gather(
            *(effect(named, binary, tmp_path / named.name) for named in chosen)
        )
        return {named.name: result for named, result in zip(chosen, results, strict=True)}

    found = asyncio.run(asyncio.wait_for(all_of_them(), SECONDS))
    assert found
    for name, shown in found.items():
        expected = {kind: kind == "bad" for kind in shown}
        assert shown == expected, name


# What the app and the client see


Heads = dict[str, tuple[dict[str, str], dict[str, str]]]


async def heads(named: Named, binary: NginxBinary, folder: Path) -> Heads:
    """Headers that the app saw and that the client got, for `bad` and `fixed`."""
    found: Heads = {}
    async with Upstream() as upstream:
        for kind in ("bad", "fixed"):
            inside = folder / kind
            inside.mkdir()
            write_certificate(inside)
            run = runnable(texts(named)[kind], inside, upstream.ports)
            async with Nginx(binary, run.text, inside) as nginx:
                lab = Lab(run, upstream, nginx)
                arrivals, (seen, *_) = await lab.ask(drip_of(lab, tokens=2))
                sent = {**seen.headers, ":version": seen.http_version}
                sent.pop("x-drip", None)
                got = {k: v for k, v in arrivals.headers.items() if k != "date"}
                found[kind] = (sent, got)
    return found


HEADS = [
    named
    for named in EXAMPLES
    if named.example.bad and named.evidence in ("upstream-request", "client-response")
]


@pytest.mark.parametrize(
    ("named", "age"),
    [(named, age) for named in HEADS for age in named.ages],
    ids=lambda value: getattr(value, "name", value),
    indirect=["age"],
)
def test_heads(named: Named, binary: NginxBinary, tmp_path: Path) -> None:
    found = asyncio.run(asyncio.wait_for(heads(named, binary, tmp_path), SECONDS))
    (bad_sent, bad_got), (fixed_sent, fixed_got) = found["bad"], found["fixed"]
    if named.rule.name == "old-upstream-http":
        assert (bad_sent[":version"], fixed_sent[":version"]) == ("1.0", "1.1")
    elif named.rule.name == "upstream-connection-header":
        assert bad_sent["connection"] in ("close", "upgrade")
        assert "connection" not in fixed_sent
    elif named.rule.name == "lost-inherited-headers":
        assert bad_sent != fixed_sent
        # An empty Connection is one of the rows that came back: then the header is not sent.
        assert set(bad_sent) - {"connection"} <= set(fixed_sent)
    elif named.rule.name == "misplaced-accel-header":
        assert "x-accel-buffering" in bad_sent
        assert "x-accel-buffering" not in fixed_sent
    elif named.rule.name == "unchunked-response":
        assert "transfer-encoding" not in bad_got
        assert fixed_got["transfer-encoding"] == "chunked"
    elif named.rule.name == "cacheable-stream":
        assert bad_got.get("cache-control") != fixed_got.get("cache-control")
    else:
        raise AssertionError(f"say what {named.rule.name} shows")


DEFAULTS = {
    "proxy": "proxy_buffering off; proxy_pass http://127.0.0.1:{http};",
    "fastcgi": "fastcgi_buffering off; fastcgi_pass 127.0.0.1:{fastcgi};",
    "uwsgi": "uwsgi_buffering off; uwsgi_pass 127.0.0.1:{uwsgi};",
    "scgi": "scgi_buffering off; scgi_pass 127.0.0.1:{scgi};",
    "grpc": "grpc_pass 127.0.0.1:{h2c};",
}


def test_default_timeout(binaries: dict[str, NginxBinary], tmp_path: Path) -> None:
    """Every family cuts a stream after 60 s of silence by default: no shorter way to see it."""

    async def run(binary: NginxBinary) -> dict[str, float]:
        folder = tmp_path / binary.path.name / ".".join(map(str, binary.version))
        folder.mkdir(parents=True)
        async with Upstream() as upstream:
            rows = [
                f"location /{family} {{ {row.format(**upstream.ports)} }}"
                for family, row in DEFAULTS.items()
            ]
            text = f"server {{ listen 80; {' '.join(rows)} }}"
            example = runnable(text, folder, upstream.ports)
            async with Nginx(binary, example.text, folder):

                async def ended(family: str) -> float:
                    kind = "application/grpc" if family == "grpc" else "text/event-stream"
                    drip = Drip(tokens=4, type=kind, silence_after=(2, 75.0))
                    headers = [("X-Drip", drip.named(family).encode())]
                    port = example.ports["*:80"]
                    answer = await fetch(port, f"/{family}", "h1", headers=headers, timeout=90)
                    assert answer.ended == "cut" or family != "proxy"
                    return answer.finished - answer.times[-1][1]

                values = await asyncio.gather(*(ended(family) for family in DEFAULTS))
        return dict(zip(DEFAULTS, values, strict=True))

    async def all_of_them() -> list[dict[str, float]]:
        return list(await asyncio.gather(*(run(binary) for binary in binaries.values())))

    for silences in asyncio.run(asyncio.wait_for(all_of_them(), 120)):
        assert all(59 < silence < 63 for silence in silences.values()), silences
