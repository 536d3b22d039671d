"""Every example of every rule on real nginx: what is said to go wrong does, what is fixed works.

Two kinds of tests. `test_delivery` runs each configuration and compares what the model says for
each client with what arrives. The others show the effect that a rule's `evidence` names.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Nginx,
    NginxBinary,
    check,
    fetch,
    measure_many,
    write_certificate,
)
from tests.conformance.effects import (
    EFFECTS,
    EXAMPLES,
    SHOWN,
    Shown,
    Stream,
    differing_headers,
    effect,
    heads,
    streams_of,
    texts,
)
from tests.conformance.examples import Named, runnable, uri

SECONDS = 600.0


@pytest.mark.parametrize("named", EXAMPLES, ids=lambda named: str(named.name))
def test_nginx_takes_it(named: Named, binaries: dict[str, NginxBinary], tmp_path: Path) -> None:
    write_certificate(tmp_path)
    upstream = dict.fromkeys(("http", "fastcgi", "scgi", "uwsgi", "h2c"), 9)
    for age in set(named.ages) & set(binaries):
        for text in texts(named).values():
            ok, said = check(binaries[age], runnable(text, tmp_path, upstream).text, tmp_path)
            assert ok, said


# The delivery model on every example


async def measured(
    text: str, folder: Path, binary: NginxBinary, upstream: DrippingUpstream, method: str | None
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

    async with DrippingUpstream() as upstream:
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


DEFAULTS = {
    "proxy": "proxy_buffering off; proxy_pass http://127.0.0.1:{http};",
    "fastcgi": "fastcgi_buffering off; fastcgi_pass 127.0.0.1:{fastcgi};",
    "uwsgi": "uwsgi_buffering off; uwsgi_pass 127.0.0.1:{uwsgi};",
    "scgi": "scgi_buffering off; scgi_pass 127.0.0.1:{scgi};",
    "grpc": "grpc_pass 127.0.0.1:{h2c};",
}


async def silences(binary: NginxBinary, folder: Path) -> dict[str, float]:
    """The seconds of silence after which each family of handlers cuts a stream by default."""
    async with DrippingUpstream() as upstream:
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


async def effects(
    evidence: str, age: str, binary: NginxBinary, folder: Path
) -> dict[str, dict[str, Shown]]:
    """What each example with this evidence shows, by its name and the kind of its text."""
    chosen = [named for named in SHOWN if named.evidence == evidence and age in named.ages]
    for named in chosen:
        (folder / named.name).mkdir()
    results = await asyncio.gather(
        *(effect(named, binary, folder / named.name) for named in chosen)
    )
    return {named.name: result for named, result in zip(chosen, results, strict=True)}


def _measurement(item: pytest.Item) -> tuple[str, str]:
    """The evidence that a test needs, and the age of its nginx."""
    assert isinstance(item, pytest.Function)
    params = item.callspec.params
    return str(params.get("evidence", "default timeout")), str(params["age"])


@pytest.fixture(scope="module")
def all_measured_effects(
    request: pytest.FixtureRequest,
    binaries: dict[str, NginxBinary],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[tuple[str, str], Any]:
    """The results, or exceptions, of `effects` and `silences` for all tests of this run.

    They are measured side by side, because most of their time is waiting.
    """
    keys = [
        _measurement(item)
        for item in request.session.items
        if isinstance(item, pytest.Function) and "measured_effect" in item.fixturenames
    ]
    gate = asyncio.Semaphore(4)

    async def measure(evidence: str, age: str) -> object:
        folder = tmp_path_factory.mktemp(f"{evidence}-{age}")
        if evidence == "default timeout":
            return await silences(binaries[age], folder)
        async with gate:
            return await effects(evidence, age, binaries[age], folder)

    async def measure_all() -> list[object]:
        work = asyncio.gather(*(measure(*key) for key in keys), return_exceptions=True)
        return await asyncio.wait_for(work, SECONDS)

    return dict(zip(keys, asyncio.run(measure_all()), strict=True))


@pytest.fixture
def measured_effect(
    request: pytest.FixtureRequest, all_measured_effects: dict[tuple[str, str], Any]
) -> Any:
    """The result of the measurement of one test."""
    result = all_measured_effects[_measurement(request.node)]
    if isinstance(result, BaseException):
        raise result
    return result


@pytest.mark.parametrize(
    ("evidence", "age"),
    sorted({(named.evidence, age) for named in SHOWN for age in named.ages}),
    indirect=["age"],
)
def test_effect(evidence: str, age: str, measured_effect: dict[str, dict[str, Shown]]) -> None:
    assert measured_effect, (evidence, age)
    for name, shown in measured_effect.items():
        assert all(one.bad == (kind == "bad") for kind, one in shown.items()), (name, shown)


def test_default_timeout(age: str, measured_effect: dict[str, float]) -> None:
    """Every family cuts a stream after 60 s of silence by default: no shorter way to see it."""
    assert set(measured_effect) == set(DEFAULTS), age
    assert all(59 < silence < 63 for silence in measured_effect.values()), measured_effect


# What the app and the client see


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
    elif named.evidence == "upstream-request":
        assert differing_headers(bad_sent, fixed_sent), "the app gets the same headers"
    else:
        assert differing_headers(bad_got, fixed_got), "the client gets the same headers"


def test_every_effect_is_shown() -> None:
    assert {named.evidence for named in SHOWN} == set(EFFECTS)
