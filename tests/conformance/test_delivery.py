"""`explain` against real nginx: random configurations, every family, client and scenario.

A slice of `make conformance`, which is this module run as a program:
`python -m tests.conformance.test_delivery --cases 10000`.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from nginx_stream_lint.analysis.explainer import Explainer, Explanation
from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.delivery import ANSWER_BYTES, TOKEN_BYTES, Delivery
from nginx_stream_lint.nginx.filters import USER_AGENTS
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.values import parse_size
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    free_ports,
    write_certificate,
)
from tests.conformance.choosing import add_nginx_option, chosen
from tests.conformance.random_configurations import Case, Generator

SERVERS, LOCATIONS = 4, 45
SECONDS = 600.0
AT_ONCE = 40


@dataclass(frozen=True)
class Told:
    """What `explain` says of a case: the mark of the block, and the verdicts.

    `small_tls` tells that a token fills the TLS write buffer. `classes` name what the case is about
    and few are.
    """

    mark: str
    verdict: str
    repeat: str
    family: str
    small_tls: bool
    classes: frozenset[str] = field(default=frozenset(), repr=False)


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
    small_tls = (parse_size(one.settings["ssl_buffer_size"].text) or 0) < TOKEN_BYTES
    classes = frozenset(classes_of(one, delivery, case))
    return Told(marks[0], delivery.verdict, delivery.repeat, family, small_tls, classes)


def classes_of(one: Explanation, delivery: Delivery, case: Case) -> Iterator[str]:
    """What a case is about, in words."""
    assert one.route.handler is not None
    family = one.route.handler.family

    def text(name: str) -> str:
        value = one.settings.get(f"{family}_{name}")
        return "" if value is None else " ".join(" ".join(row) for row in value.rows)

    yield delivery.held_by or "streams"
    yield f"then {delivery.repeat}"
    if delivery.held_by == "file-buffer" and case.tls is None and case.scenario.client == "h2":
        yield "file-buffer for HTTP/2 without TLS"
    if text("store") not in ("", "off"):
        yield f"{family}_store"
    if text("cache") in ("", "off"):
        return
    yield f"{family}_cache"
    rows = location_rows(one)
    if f"{family}_store" in rows:
        yield "store off beside a cache"
    valid = one.settings[f"{family}_cache_valid"].rows
    if len(valid) > 1:
        yield "cache_valid of several rows"
    if delivery.repeat == "unknown":
        yield f"the app {'allows' if case.allows else 'does not allow'} it"
    for name in ("no_cache", "cache_bypass", "cache"):
        for kind, sign in CONDITION_KINDS.items():
            if re.search(sign, text(name)):
                yield f"{name} by {kind}"
    for kind, sign in KEY_KINDS.items():
        if re.search(sign, text("cache_key")):
            yield f"a key with {kind}"
    if text("cache_min_uses") != "1":
        yield f"min_uses {text('cache_min_uses')}"
    if case.method == "POST":
        yield f"POST {'is' if 'POST' in text('cache_methods') else 'is not'} cached"


CONDITION_KINDS = {
    "argument": r"\$arg_",
    "variable": r"\$zone_",
    "set": r"\$s\d",
    "map": r"\$fresh",
    "header": r"\$http_",
    "response": r"\$upstream_",
    "constant": r"^1$",
}
KEY_KINDS = {
    "$request_id": r"\$request_id",
    "$connection": r"\$connection",
    "set": r"\$s\d",
    "map": r"\$each",
}


def location_rows(one: Explanation) -> set[str]:
    """The names of the directives of the block where a URL lands."""
    assert one.route.location is not None
    return set(one.route.location.rows)


def job(case: Case, upstream: DrippingUpstream, says: Told, number: int) -> Job:
    """The request that a case asks for, and the handler that explain says will answer."""
    scenario = case.scenario
    allows = case.allows and says.repeat == "unknown"
    accel = scenario.x_accel_buffering
    drip = Drip(
        framing=scenario.framing,
        x_accel_buffering="" if accel == "absent" else accel,
        # gzip_types of the generator know text/event-stream; gRPC needs its own type.
        type="application/grpc" if says.family == "grpc" else "text/event-stream",
        # Eight tokens of the size that verdicts are about are less than every larger buffer.
        tokens=8 if says.small_tls else 20,
        bytes=TOKEN_BYTES if says.small_tls else 40,
        interval=0.1 if says.small_tls else 0.05,
        headers=(("Cache-Control", "max-age=600"),) if allows else (),
    )
    encoding = "gzip, br" if scenario.accept_encoding == "gzip" else "identity"
    return Job(
        upstream,
        case.port,
        case.path(number),
        "h2c" if case.tls is None and scenario.client == "h2" else scenario.client,
        drip,
        encoding,
        headers=(("User-Agent", USER_AGENTS[0]),),
        method=case.method,
    )


@dataclass
class Seen:
    """Whether nginx did once what explain says, with the first request and with the second."""

    first: bool = False
    second: bool = False
    last: str = ""

    def take(self, case: Case, says: Told, first: Measurement, second: Measurement) -> None:
        """Compare two measurements."""
        mark = first.arrivals.headers.get("x-where", "none")
        verdicts, repeats = {says.verdict}, {says.repeat}
        if says.repeat == "unknown":
            # Then the app decides: what it allows is recorded, and may be sent from a file.
            repeats = {"replays", "stalls"} if case.allows else verdicts
            verdicts = {says.verdict, "stalls"} if case.allows else verdicts
        self.first |= mark == says.mark and first.verdict in verdicts
        self.second |= mark == says.mark and second.verdict in repeats
        self.last = f"{case}: explain {says}, nginx {mark} {first.verdict}, then {second.verdict}"

    @property
    def disagrees(self) -> bool:
        return not (self.first and self.second)


class Comparison:
    """Cases asked for twice each, under URLs of their own."""

    def __init__(self, upstream: DrippingUpstream, pairs: Sequence[tuple[Case, Told]]) -> None:
        self._upstream = upstream
        self._pairs = pairs
        self._seen = [Seen() for _ in pairs]
        self._numbers = count(1)

    async def _measure(self, at: int) -> None:
        case, says = self._pairs[at]
        asked = job(case, self._upstream, says, next(self._numbers))
        first = await asked.run()
        self._seen[at].take(case, says, first, await asked.run())

    async def disagreements(self) -> list[str]:
        """What disagrees beside others is measured twice more, alone."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def together(at: int) -> None:
            async with gate:
                await asyncio.sleep(at % AT_ONCE * 0.01)
                await self._measure(at)

        await asyncio.gather(*(together(at) for at in range(len(self._pairs))))
        for at, seen in enumerate(self._seen):
            for _ in range(2):
                if seen.disagrees:
                    await self._measure(at)
        return [seen.last for seen in self._seen if seen.disagrees]


async def compare(
    binary: NginxBinary, folder: Path, seed: int
) -> tuple[int, list[str], Counter[str]]:
    """How many cases were measured, those in which nginx does otherwise, and what they were."""
    ports = free_ports(2 * SERVERS)
    servers = list(zip(ports[::2], ports[1::2], strict=True))
    write_certificate(folder)
    async with DrippingUpstream() as upstream:
        made = Generator(binary, seed, upstream.ports).configuration(servers, LOCATIONS)
        main = folder / "as-written.conf"
        main.write_text(made.text)
        for name, text in made.files.items():
            (folder / name).write_text(text)
        configuration = read(str(main))
        explainer = Explainer(configuration, Options((), binary.version))
        assert explainer.problems == [], explainer.problems[:3]

        def ask(case: Case) -> Told:
            url = case.url(0)
            return told(explainer.explain(url, parse_url(url, case.method)), case)

        pairs = [(case, ask(case)) for case in made.cases]
        async with Nginx(binary, made.text, folder):
            wrong = await Comparison(upstream, pairs).disagreements()
    drawn = Counter(name for _, says in pairs for name in says.classes)
    return len(pairs), wrong, drawn


def test_the_probe_sends_as_much_as_verdicts_assume() -> None:
    assert Drip().tokens * Drip().bytes == ANSWER_BYTES


def test_explain_agrees_with_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    """180 random locations a version, each measured in one scenario."""
    compared = asyncio.wait_for(compare(binary, tmp_path, seed=1), SECONDS)
    cases, wrong, _ = asyncio.run(compared)
    assert cases == SERVERS * LOCATIONS
    assert wrong == []


def main() -> None:
    """Run as many cases as asked for on each nginx; print the figures and what disagrees."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1000)
    add_nginx_option(parser)
    options = parser.parse_args()
    disagreements = 0
    for binary in chosen(options.nginx):
        done, wrong, seed = 0, 0, options.seed
        drawn: Counter[str] = Counter()
        while done < options.cases:
            with tempfile.TemporaryDirectory() as folder:
                Path(folder).chmod(0o755)
                cases, found, classes = asyncio.run(compare(binary, Path(folder), seed))
            drawn += classes
            done, wrong, seed = done + cases, wrong + len(found), seed + 1
            for text in found:
                print(f"seed {seed - 1}: {text}", flush=True)
        print(f"{binary}: {done} cases, {wrong} disagreements", flush=True)
        disagreements += wrong
        for name, number in sorted(drawn.items()):
            print(f"{number:6} {name}", flush=True)
    raise SystemExit(disagreements > 0)


if __name__ == "__main__":
    main()
