"""The delivery model against real nginx: random settings, every family, client and scenario."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.delivery import path
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.routing import find
from nginx_stream_lint.probe import (
    Drip,
    Job,
    Nginx,
    NginxBinary,
    Upstream,
    free_ports,
    measure_many,
    write_certificate,
)
from tests.conformance.random_configurations import Case, Generator

SERVERS, LOCATIONS = 4, 45
SECONDS = 120.0


def expected(root: Level, case: Case, binary: NginxBinary) -> str:
    """What the model says of a case."""
    http = root.first("http")
    assert http is not None
    server = next(
        server
        for server in http.children
        if any(row.args[0].endswith(f":{case.plain}") for row in server.rows.get("listen", []))
    )
    location = find(server, case.uri)
    assert location is not None
    handler = location.handler
    assert handler is not None
    kind = "application/grpc" if case.family == "grpc" else "text/event-stream"
    model = path(location, handler.family, binary.version, (kind,))
    return model.deliver(case.scenario).verdict


def job(case: Case, upstream: Upstream, wanted: str | None) -> Job:
    """The request that a case asks for."""
    scenario = case.scenario
    accel = scenario.x_accel_buffering
    drip = Drip(
        framing=scenario.framing,
        x_accel_buffering="" if accel == "absent" else accel,
        type="application/grpc" if case.family == "grpc" else "text/event-stream",
    )
    return Job(
        upstream,
        case.port,
        case.uri,
        scenario.client,
        drip,
        "gzip, br" if scenario.accept_encoding == "gzip" else "identity",
        expected=wanted,
    )


async def disagreements(binary: NginxBinary, folder: Path, seed: int) -> list[str]:
    """Cases in which nginx does otherwise than the model says."""
    ports = free_ports(2 * SERVERS)
    servers = list(zip(ports[::2], ports[1::2], strict=True))
    write_certificate(folder)
    async with Upstream() as upstream:
        text, cases = Generator(binary, seed, upstream.ports).configuration(servers, LOCATIONS)
        main = folder / "as-written.conf"
        main.write_text(text)
        configuration = read(str(main))
        assert configuration.problems == [], configuration.problems[:3]
        root = build(configuration)
        wanted = [expected(root, case, binary) for case in cases]
        async with Nginx(binary, text, folder):
            # What is recorded is recorded by a first request; the second one is measured.
            await measure_many(
                [
                    job(case, upstream, None)
                    for case in cases
                    if case.family in ("proxy", "http2") and case.scenario.client != "h1-tls"
                ],
                at_once=60,
            )
            cold = [case for case in cases if case.scenario.client == "h1-tls"]
            await measure_many([job(case, upstream, None) for case in cold], at_once=60)
            jobs = [job(case, upstream, want) for case, want in zip(cases, wanted, strict=True)]
            results = await measure_many(jobs, at_once=40)
    return [
        f"{case}: model {want}, nginx {result.verdict}"
        for case, want, result in zip(cases, wanted, results, strict=True)
        if result.verdict != want
    ]


@pytest.mark.parametrize("seed", [1])
def test_model_agrees_with_nginx(binary: NginxBinary, tmp_path: Path, seed: int) -> None:
    """180 random locations a version, each measured in one scenario."""
    found = asyncio.run(asyncio.wait_for(disagreements(binary, tmp_path, seed), SECONDS))
    assert found == []
