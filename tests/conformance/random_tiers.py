"""Random chains of servers in one configuration, against real nginx.

Each location passes to another server of the same nginx, by an address, a name, an upstream or a
unix socket, and the last one to the dripping upstream. Run as a program it measures as many cases
as wanted on each nginx, prints each disagreement, and counts how often each class was drawn:

    python -m tests.conformance.random_tiers --cases 2000
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nginx_stream_lint.analysis.explainer import Explainer, Explanation
from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.delivery import TOKEN_BYTES, Scenario
from nginx_stream_lint.nginx.filters import USER_AGENTS
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Job,
    Measurement,
    Nginx,
    NginxBinary,
    free_ports,
    measure_many,
    write_certificate,
)
from tests.conformance.choosing import add_nginx_option, chosen

PORTS = 6
CASES = 60  # of a configuration
CLIENTS = ("h1", "h1-tls", "h2")
FRAMINGS = ("chunked", "chunked", "close", "length")
ACCELS = ("absent", "absent", "no", "yes")
ENCODINGS = ("identity", "gzip")
# The sockets that locations pass to, and those that these pass to again.
INNER = (("plain1", "plain1", "tls1", "unix1"), ("plain2", "plain2", "tls2", "unix2"))


@dataclass
class Case:
    """What to ask for, the marks of the blocks on the way, nearest the client first."""

    uri: str
    scenario: Scenario
    marks: list[int] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)


@dataclass
class Generated:
    """A configuration, its cases and the blocks of its servers, by socket and name."""

    text: str = ""
    cases: list[Case] = field(default_factory=list)
    blocks: dict[tuple[str, str], list[str]] = field(default_factory=dict)


class Generator:
    """Configurations for one nginx; the same seed, ports and folder give the same ones."""

    def __init__(
        self,
        binary: NginxBinary,
        seed: int,
        ports: Sequence[int],
        upstream: Mapping[str, int],
        folder: Path,
    ) -> None:
        self.random = random.Random(seed)
        self.new = binary.version >= (1, 29, 4)
        self.binary = binary
        self.plain, self.tls, *inner = ports
        self.ports = dict(zip(("plain1", "tls1", "plain2", "tls2"), inner, strict=True))
        self.folder = folder
        self.upstream = upstream
        self.marks = 0

    def chance(self, probability: float) -> bool:
        """Throw a weighted coin."""
        return self.random.random() < probability

    def settings(self, case: Case, entry: bool) -> list[str]:
        """What decides in one location about delivery, and about what it sends on."""
        pick = self.random.choice
        rows: list[str] = []
        choices: tuple[tuple[float, str, Sequence[str]], ...] = (
            (0.4, "proxy_buffering", ("on", "off", "off")),
            (0.25, "proxy_ignore_headers", ("X-Accel-Buffering", "Expires")),
            (0.2, "proxy_pass_header", ("X-Accel-Buffering",)),
            (0.1, "proxy_hide_header", ("X-Accel-Buffering",)),
            (0.25, "add_header X-Accel-Buffering", ("no", "no", "yes", "off", "NO")),
            (0.2, "chunked_transfer_encoding", ("off", "on")),
            (0.35, "gzip", ("on",)),
            (0.2, "gzip_http_version", ("1.0", "1.1")),
            (0.1, "gzip_min_length", ("10k", "0")),
            (0.2, "proxy_set_header Accept-Encoding", ('""', "gzip", "br", '"gzip, br"')),
        )
        for weight, name, values in choices:
            if self.chance(weight):
                value = pick(values)
                rows.append(f"{name} {value};")
                if not entry and name.startswith(("add_header", "chunked", "proxy_pass_header")):
                    case.classes.append(f"inner {name}")
        if self.binary.has("brotli") and self.chance(0.1):
            rows.append("brotli on; brotli_types text/event-stream;")
        if self.binary.has("http_sub") and self.chance(0.05):
            rows.append('sub_filter never "x"; sub_filter_types text/event-stream;')
        return rows

    def mark(self, case: Case) -> str:
        """A header that tells which block is on the way."""
        self.marks += 1
        case.marks.append(self.marks)
        return f"add_header X-Where-{len(case.marks)} {self.marks};"

    def location(self, made: Generated, case: Case, place: tuple[str, str], path: str) -> None:
        """Add a location for a case to a server, and those behind it."""
        depth = len(case.marks)
        rows = [*self.settings(case, not depth), self.mark(case)]
        if self.chance((1.0, 0.35, 0.0)[depth]):
            kind = self.random.choice(INNER[depth])
            inner = path
            target = self.target(case, kind)
            if self.chance(0.3):
                inner = f"/in{path}"
                target += f":{inner}" if "unix:" in target else inner
            rows += [f"proxy_pass {target};", *self.version(0.7, inner=True)]
            name = self.random.choice(("", "", "two.example"))
            if name:
                rows.append(f"proxy_set_header Host {name};")
            case.classes.append(f"{depth + 2} tiers")
            self.location(made, case, (kind, name), inner)
        else:
            family = self.random.choice(("proxy",) * 5 + ("fastcgi", "uwsgi", "scgi"))
            port = self.upstream["http" if family == "proxy" else family]
            scheme = "http://" if family == "proxy" else ""
            rows += [f"{family}_pass {scheme}127.0.0.1:{port};", *self.version(0.6)]
            if family == "fastcgi" and self.chance(0.5):
                rows.append("fastcgi_keep_conn on;")
        self.random.shuffle(rows)
        made.blocks.setdefault(place, []).append(f"location {path} {{ {' '.join(rows)} }}")

    def version(self, weight: float, inner: bool = False) -> list[str]:
        """How nginx asks the next one."""
        versions = ["1.0", "1.1", "1.1", "1.1"] + ["2"] * (self.new and inner)
        if self.chance(weight):
            return [f"proxy_http_version {self.random.choice(versions)};"]
        return []

    def listens(self, kind: str) -> str:
        """What an inner server listens on."""
        if kind.startswith("unix"):
            return f"unix:{self.folder}/{kind}.sock"
        return f"127.0.0.1:{self.ports[kind]}"

    def target(self, case: Case, kind: str) -> str:
        """How a location names the server that it passes to."""
        scheme = "https" if kind.startswith("tls") else "http"
        forms = [self.listens(kind), kind]
        if kind in self.ports:
            forms.append(f"localhost:{self.ports[kind]}")
        target = self.random.choice(forms)
        how = "upstream" if target == kind else target.partition(":")[0]
        case.classes.append(f"by {how}, {scheme}")
        return f"{scheme}://{target}"

    def configuration(self, cases: int) -> Generated:
        """A configuration with so many locations that pass on, and what to ask of it."""
        made = Generated()
        for number in range(cases):
            case = Case(f"/{number}/", self.scenario())
            self.location(made, case, ("entry", ""), case.uri)
            made.cases.append(case)
        http2 = "http2 on;" if self.new else ""
        old = "" if self.new else " http2"
        lines = ["events { worker_connections 4096; }", "http {", "gzip_types text/event-stream;"]
        lines.append("ssl_certificate certificate.pem; ssl_certificate_key key.pem;")
        kinds = sorted({kind for layer in INNER for kind in layer})
        lines += [f"upstream {kind} {{ server {self.listens(kind)}; }}" for kind in kinds]
        blocks = "\n".join(made.blocks[("entry", "")])
        lines.append(
            f"server {{ listen 127.0.0.1:{self.plain}; listen 127.0.0.1:{self.tls} ssl{old};"
            f" {http2} {blocks} }}"
        )
        for kind in kinds:
            tls = " ssl" if kind.startswith("tls") else ""
            for name in ("", "two.example"):
                size = self.random.choice(("", "", "ssl_buffer_size 4k;", "ssl_buffer_size 64;"))
                lines.append(f"server {{ listen {self.listens(kind)}{tls}; {http2} {size}")
                lines.append(f'server_name "{name}";')
                lines += made.blocks.get((kind, name), [])
                lines.append("}")
        lines.append("}")
        made.text = "\n".join(lines) + "\n"
        return made

    def scenario(self) -> Scenario:
        """How a location is asked for, and how the app answers."""
        pick = self.random.choice
        return Scenario(
            client=pick(CLIENTS),  # type: ignore[arg-type]
            framing=pick(FRAMINGS),  # type: ignore[arg-type]
            x_accel_buffering=pick(ACCELS),  # type: ignore[arg-type]
            accept_encoding=pick(ENCODINGS),  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Told:
    """What `explain` says of a case: the marks of the blocks, and the verdict."""

    marks: tuple[str, ...]
    verdict: str


def told(one: Explanation, case: Case) -> Told:
    """The part of an explanation that can be measured."""
    marks = [
        row.args[1]
        for tier in reversed(one.places)
        for row in tier.level.rows["add_header"]
        if row.args[0].startswith("X-Where-")
    ]
    delivery = next(each for each in one.deliveries if each.scenario == case.scenario)
    return Told(tuple(marks), delivery.verdict)


def job(case: Case, port: int, upstream: DrippingUpstream, says: Told) -> Job:
    """The request that a case asks for."""
    scenario = case.scenario
    accel = scenario.x_accel_buffering
    drip = Drip(
        framing=scenario.framing,
        x_accel_buffering="" if accel == "absent" else accel,
        type="text/event-stream",
        # A token fills the smaller TLS buffers, and all of them are less than other buffers.
        tokens=8,
        bytes=TOKEN_BYTES,
    )
    encoding = "gzip, br" if scenario.accept_encoding == "gzip" else "identity"
    headers = (("User-Agent", USER_AGENTS[0]),)
    return Job(
        upstream, port, case.uri, scenario.client, drip, encoding, headers=headers,
        expected=says.verdict,
    )  # fmt: skip


def disagrees(case: Case, says: Told, result: Measurement) -> str | None:
    """How nginx does otherwise than explain says; None if it does not."""
    headers = result.arrivals.headers
    marks = tuple(str(headers.get(f"x-where-{n + 1}")) for n in range(len(case.marks)))
    if (marks, result.verdict) == (says.marks, says.verdict):
        return None
    return f"{case}: explain {says}, nginx {marks} {result.verdict}"


@dataclass
class Outcome:
    """What came of configurations."""

    cases: int = 0
    classes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def compare(binary: NginxBinary, folder: Path, seed: int, outcome: Outcome) -> None:
    """Measure one configuration, and compare."""
    ports = free_ports(PORTS)
    write_certificate(folder)
    async with DrippingUpstream() as upstream:
        generator = Generator(binary, seed, ports, upstream.ports, folder)
        made = generator.configuration(CASES)
        main = folder / "as-written.conf"
        main.write_text(made.text)
        explainer = Explainer(read(str(main)), Options((), binary.version))
        assert explainer.problems == [], explainer.problems[:3]
        pairs: list[tuple[Case, Told]] = []
        jobs: list[Job] = []
        for case in made.cases:
            plain = case.scenario.client == "h1"
            port = generator.plain if plain else generator.tls
            url = f"{'http' if plain else 'https'}://127.0.0.1:{port}{case.uri}"
            says = told(explainer.explain(url, parse_url(url)), case)
            pairs.append((case, says))
            jobs.append(job(case, port, upstream, says))
        async with Nginx(binary, made.text, folder):
            results = await measure_many(jobs, at_once=30)
    for (case, says), result in zip(pairs, results, strict=True):
        outcome.cases += 1
        outcome.classes.update({*case.classes, f"verdict {says.verdict}"})
        different = disagrees(case, says, result)
        if different is not None:
            outcome.wrong.append(f"seed {seed}: {different}")


async def run(binary: NginxBinary, cases: int, seed: int) -> Outcome:
    """Measure at least so many cases."""
    outcome = Outcome()
    while outcome.cases < cases:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            await compare(binary, Path(folder), seed, outcome)
        seed += 1
    return outcome


def main() -> None:
    """Measure as many cases as asked for on each nginx; print the figures and what disagrees."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    add_nginx_option(parser)
    options = parser.parse_args()
    wrong = 0
    for binary in chosen(options.nginx):
        outcome = asyncio.run(run(binary, options.cases, options.seed))
        wrong += len(outcome.wrong)
        for text in outcome.wrong[:20]:
            print(text)
        for name, count in sorted(outcome.classes.items()):
            print(f"    {count:6} {name}")
        print(f"{binary}: {outcome.cases} cases, {len(outcome.wrong)} disagreements")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
