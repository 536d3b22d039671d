"""`explain` against real nginx: random configurations, every family, client and scenario.

A slice of `make conformance`, which is this module run as a program:
`python -m tests.conformance.test_delivery --cases 10000`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nginx_stream_lint.analysis.explain import Explainer, Explanation
from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.delivery import ANSWER_BYTES, TOKEN_BYTES
from nginx_stream_lint.nginx.filters import USER_AGENTS
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.values import size
from nginx_stream_lint.probe import (
    Drip,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    Upstream,
    find_nginx,
    free_ports,
    measure_many,
    write_certificate,
)
from tests.conformance.random_configurations import Case, Generator

SERVERS, LOCATIONS = 4, 45
SECONDS = 600.0


@dataclass(frozen=True)
class Told:
    """What `explain` says of a case: the mark of the block, and the verdict.

    `small_tls` tells that a token fills the TLS write buffer.
    """

    mark: str
    verdict: str
    family: str
    small_tls: bool


def told(one: Explanation, case: Case) -> Told:
    """The part of an explanation that can be measured."""
    location, handler = one.route.location, one.route.handler
    assert location is not None
    assert handler is not None, case
    marks = [row.args[1] for row in location.rows["add_header"] if row.args[0] == "X-Where"]
    delivery = next(each for each in one.deliveries if each.scenario == case.scenario)
    family = handler.family
    if family == "proxy" and one.settings["proxy_http_version"].text == "2":
        family = "http2"
    small_tls = (size(one.settings["ssl_buffer_size"].text) or 0) < TOKEN_BYTES
    return Told(marks[0], delivery.verdict, family, small_tls)


def job(case: Case, upstream: Upstream, says: Told, expected: str | None) -> Job:
    """The request that a case asks for, and the handler that explain says will answer."""
    scenario = case.scenario
    accel = scenario.x_accel_buffering
    drip = Drip(
        framing=scenario.framing,
        x_accel_buffering="" if accel == "absent" else accel,
        # gzip_types of the generator know text/event-stream; gRPC needs its own type.
        type="application/grpc" if says.family == "grpc" else "text/event-stream",
        # Eight tokens of the size that verdicts are about are less than every larger buffer.
        tokens=8 if says.small_tls else 20,
        bytes=TOKEN_BYTES if says.small_tls else 40,
    )
    encoding = "gzip, br" if scenario.accept_encoding == "gzip" else "identity"
    return Job(
        upstream,
        case.port,
        case.uri,
        scenario.client,
        drip,
        encoding,
        headers=(("User-Agent", USER_AGENTS[0]),),
        expected=expected,
    )


def disagrees(case: Case, says: Told, result: Measurement) -> str | None:
    """How nginx does otherwise than explain says; None if it does not."""
    mark = result.arrivals.headers.get("x-where", "none")
    if (mark, result.verdict) == (says.mark, says.verdict):
        return None
    return f"{case}: explain {says}, nginx {mark} {result.verdict}"


async def compare(binary: NginxBinary, folder: Path, seed: int) -> tuple[int, list[str]]:
    """How many cases were measured, and those in which nginx does otherwise."""
    ports = free_ports(2 * SERVERS)
    servers = list(zip(ports[::2], ports[1::2], strict=True))
    write_certificate(folder)
    async with Upstream() as upstream:
        made = Generator(binary, seed, upstream.ports).configuration(servers, LOCATIONS)
        main = folder / "as-written.conf"
        main.write_text(made.text)
        for name, text in made.files.items():
            (folder / name).write_text(text)
        configuration = read(str(main))
        explainer = Explainer(configuration, Options((), binary.version))
        assert explainer.problems == [], explainer.problems[:3]

        def ask(case: Case) -> Told:
            scheme = "http" if case.scenario.client == "h1" else "https"
            url = f"{scheme}://127.0.0.1:{case.port}{case.uri}"
            return told(explainer.explain(url, parse_url(url)), case)

        cases = made.cases
        says = [ask(case) for case in cases]
        pairs = list(zip(cases, says, strict=True))
        async with Nginx(binary, made.text, folder):
            # What is recorded is recorded by a first request; the second one is measured.
            await measure_many([job(c, upstream, s, None) for c, s in pairs], at_once=60)
            jobs = [job(c, upstream, s, s.verdict) for c, s in pairs]
            results = await measure_many(jobs, at_once=40)
    wrong = [disagrees(c, s, result) for (c, s), result in zip(pairs, results, strict=True)]
    return len(cases), [text for text in wrong if text is not None]


def test_the_probe_sends_as_much_as_verdicts_assume() -> None:
    assert Drip().tokens * Drip().bytes == ANSWER_BYTES


def test_explain_agrees_with_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    """180 random locations a version, each measured in one scenario."""
    cases, wrong = asyncio.run(asyncio.wait_for(compare(binary, tmp_path, seed=1), SECONDS))
    assert cases == SERVERS * LOCATIONS
    assert wrong == []


def main() -> None:
    """Run as many cases as asked for on each nginx; print the figures and what disagrees."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1000)
    options = parser.parse_args()
    for binary in find_nginx():
        done, wrong, seed = 0, 0, options.seed
        while done < options.cases:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder).chmod(0o755)
                cases, found = asyncio.run(compare(binary, Path(folder), seed))
            done, wrong, seed = done + cases, wrong + len(found), seed + 1
            for text in found:
                print(f"seed {seed - 1}: {text}", flush=True)
        print(f"{binary}: {done} cases, {wrong} disagreements", flush=True)


if __name__ == "__main__":
    main()
