"""Chains of real proxies in front of the dripping app, each with at most one fault.

`make trace-conformance` traces all sixty, three times each:

    python -m tests.trace.chains [--runs 3] [--only WORD] [--busy]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

from nginx_stream_lint.nginx.versions import NEW
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Nginx,
    NginxBinary,
    find_nginx,
    free_ports,
    write_certificate,
)
from nginx_stream_lint.trace.request import TraceLimits, TraceRequest, parse_layers
from nginx_stream_lint.trace.run import TraceResult, trace
from nginx_stream_lint.trace.verdict import (
    CACHE,
    COMPRESSION,
    DELAY,
    RATE_LIMIT,
    READ_TIMEOUT,
    TLS_BUFFER,
    UPSTREAM_BUFFER,
    WHOLE_ANSWER,
    Judgement,
    first_failing_layer,
    judge,
)
from tests.waiting import until

SECONDS_TO_START = 60.0
# 40 KB in 1.5 s. The size of a buffer of 4 KB is visible after more than five, of 16 KB after two.
DRIP = Drip(tokens=50, bytes=800, interval=0.03)
PAUSE = Drip(tokens=16, bytes=800, interval=0.03, silence_after=(8, 3.0))
ASKING = Drip(tokens=50, bytes=800, interval=0.03, x_accel_buffering="no")


@dataclass(frozen=True)
class Tier:
    """One proxy: its product, and its fault (empty: none)."""

    product: str
    wrong: str = ""

    @property
    def is_tls(self) -> bool:
        """Whether the trace connects to it with TLS."""
        return self.wrong == "tls"


@dataclass(frozen=True)
class Case:
    """A chain, nearest to the app first, and the expected result of a trace.

    `layer` is the number of the failing URL, from 1, which is the app; None if the stream gets
    through.
    """

    name: str
    tiers: tuple[Tier, ...]
    drip: Drip
    layer: int | None
    cause: str | None
    repeat: int = 1

    @property
    def products(self) -> set[str]:
        """The products that must be installed."""
        return {tier.product for tier in self.tiers}


CAUSES = {
    "http10": UPSTREAM_BUFFER,
    "ignored": UPSTREAM_BUFFER,
    "swallowed": UPSTREAM_BUFFER,
    "gzip": COMPRESSION,
    "tls": TLS_BUFFER,
    "cache": CACHE,
    "timeout": READ_TIMEOUT,
    "rate": RATE_LIMIT,
    "collect": WHOLE_ANSWER,
    "delay": DELAY,
}
GOOD = ("new", "haproxy", "old", "caddy", "apache")
# Faults, and the products that can have them.
WRONG = (
    ("old http10", "new http10"),
    ("old accel", "new accel"),
    ("new gzip", "old gzip"),
    ("caddy gzip", "haproxy gzip"),
    ("old tls", "new tls"),
    ("new cache", "old cache"),
    ("old timeout", "haproxy timeout", "apache timeout", "caddy timeout", "new timeout"),
    ("new rate", "old rate", "apache rate"),
    ("caddy collect", "haproxy delay"),
    GOOD,
)
# The number of tiers, and the position of the faulty one.
POSITIONS = ((1, 1), (2, 1), (2, 2), (3, 1), (3, 2), (3, 3))


def cases() -> list[Case]:
    """All sixty: ten faults (one of them: none) in six positions."""
    found = []
    for row, ways in enumerate(WRONG):
        for column, (length, position) in enumerate(POSITIONS):
            product, _, wrong = ways[column % len(ways)].partition(" ")
            found.append(_case(wrong, product, length, position, row))
    return found


def _case(wrong: str, product: str, length: int, position: int, row: int) -> Case:
    others = itertools.cycle(GOOD[row % len(GOOD) :] + GOOD[: row % len(GOOD)])
    tiers = [Tier(next(others)) for _ in range(length)]
    if wrong == "accel":
        wrong = "ignored" if position == 1 else "swallowed"
        # A plain nginx obeys the app's header and does not forward it.
        if wrong == "swallowed":
            tiers[position - 2] = Tier("new", "obeys")
    tiers[position - 1] = Tier(product, wrong)
    drip = PAUSE if wrong == "timeout" else DRIP
    if wrong in ("ignored", "swallowed"):
        drip = ASKING
    names = "-".join(f"{one.product}{'!' if one.wrong == wrong and wrong else ''}" for one in tiers)
    return Case(
        f"{wrong or 'fine'}:{names}",
        tuple(tiers),
        drip,
        position + 1 if wrong else None,
        CAUSES.get(wrong),
        repeat=2 if wrong == "cache" else 1,
    )


# Servers


@dataclass(frozen=True)
class Place:
    """The resources of a tier: its ports, plain and TLS, its folder and its certificate."""

    plain: int
    tls: int
    folder: Path
    chain: Path
    key: Path


def nginx_text(tier: Tier, place: Place, upstream: int) -> str:
    """The configuration of an nginx."""
    rows = {
        "": "proxy_http_version 1.1; proxy_buffering off;",
        "obeys": "proxy_http_version 1.1;",
        "http10": "proxy_http_version 1.0;",
        "ignored": "proxy_http_version 1.0; proxy_ignore_headers X-Accel-Buffering;",
        "swallowed": "proxy_http_version 1.0;",
        "gzip": "proxy_http_version 1.1; gzip on; gzip_types text/event-stream; gzip_proxied any;",
        "tls": "proxy_http_version 1.1;",
        "cache": "proxy_http_version 1.1; proxy_cache kept; proxy_cache_valid 10m;",
        "timeout": "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 2s;",
        "rate": "proxy_http_version 1.1; limit_rate 8k;",
    }[tier.wrong]
    return f"""
        http {{
          proxy_cache_path {place.folder}/cache keys_zone=kept:1m;
          server {{
            listen 127.0.0.1:{place.plain};
            listen 127.0.0.1:{place.tls} ssl http2;
            ssl_certificate {place.chain}; ssl_certificate_key {place.key};
            location / {{
              proxy_pass http://127.0.0.1:{upstream}; proxy_set_header Connection "";
              {rows}
            }}
          }}
        }}"""


def haproxy_text(tier: Tier, place: Place, upstream: int) -> str:
    """The configuration of an HAProxy."""
    rows = {
        "": "option http-no-delay",
        "delay": "",
        "timeout": "option http-no-delay",
        "gzip": "compression algo gzip\n compression type text/event-stream",
    }[tier.wrong]
    server = "2s" if tier.wrong == "timeout" else "60s"
    return f"""
defaults
 mode http
 timeout connect 5s
 timeout client 60s
 timeout server {server}
listen all
 bind 127.0.0.1:{place.plain}
 {rows}
 server app 127.0.0.1:{upstream}
"""


def apache_text(tier: Tier, place: Place, upstream: int) -> str:
    """The configuration of an Apache."""
    rows = {
        "": "",
        "timeout": "ProxyTimeout 2",
        "rate": "<Location />\nSetOutputFilter RATE_LIMIT\nSetEnv rate-limit 8\n</Location>",
    }[tier.wrong]
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so"
        for name in ("mpm_event", "authz_core", "proxy", "proxy_http", "filter", "ratelimit", "env")
    )  # fmt: skip
    return f"""
ServerRoot {place.folder}
ServerName localhost
PidFile {place.folder}/apache.pid
DefaultRuntimeDir {place.folder}
ErrorLog {place.folder}/apache.log
Listen 127.0.0.1:{place.plain}
{modules}
{rows}
ProxyPass / http://127.0.0.1:{upstream}/
"""


def caddy_text(tier: Tier, place: Place, upstream: int) -> str:
    """The configuration of a Caddy."""
    outer = {"gzip": "encode {\n gzip\n match header Content-Type text/event-stream*\n }"}
    inner = {
        "collect": "buffer_responses",
        "timeout": "transport http {\n read_timeout 2s\n }",
    }
    site = f"""
 bind 127.0.0.1
 {outer.get(tier.wrong, "")}
 reverse_proxy 127.0.0.1:{upstream} {{
  {inner.get(tier.wrong, "")}
 }}
"""
    return f"""
{{
 admin off
 auto_https off
}}
http://127.0.0.1:{place.plain} {{{site}}}
https://localhost:{place.tls} {{
 tls {place.chain} {place.key}{site}}}
"""


TEXTS = {"haproxy": haproxy_text, "apache": apache_text, "caddy": caddy_text}
FILES = {"haproxy": "haproxy.cfg", "apache": "apache.conf", "caddy": "Caddyfile"}
PROGRAMS = {
    "haproxy": Path("/usr/sbin/haproxy"),
    "apache": Path("/usr/sbin/apache2"),
    "caddy": Path("/usr/bin/caddy"),
}


def binaries() -> dict[str, NginxBinary]:
    """The nginx of the tests by age."""
    return {"new" if one.version >= NEW else "old": one for one in find_nginx()}


def installed() -> set[str]:
    """The installed products."""
    return {*binaries(), *(name for name, path in PROGRAMS.items() if path.exists())}


def _command(product: str, file: Path) -> list[str]:
    program = str(PROGRAMS[product])
    if product == "haproxy":
        return [program, "-db", "-f", str(file)]
    if product == "apache":
        return [program, "-D", "FOREGROUND", "-f", str(file)]
    return [program, "run", "--config", str(file), "--adapter", "caddyfile"]


def place_for(folder: Path) -> Place:
    """A place for one tier in a folder."""
    certificate, key = write_certificate(folder)
    plain, tls = free_ports(2)
    return Place(plain, tls, folder, certificate, key)


@contextlib.asynccontextmanager
async def running_nginx(text: str, place: Place) -> AsyncIterator[None]:
    """Run a configuration on the newest nginx until the block ends."""
    async with Nginx(binaries()["new"], text, place.folder):
        yield


@contextlib.asynccontextmanager
async def running(tier: Tier, place: Place, upstream: int) -> AsyncIterator[None]:
    """Run one tier until the block ends."""
    if tier.product in ("old", "new"):
        text = nginx_text(tier, place, upstream)
        async with Nginx(binaries()[tier.product], text, place.folder):
            yield
        return
    file = place.folder / FILES[tier.product]
    file.write_text(TEXTS[tier.product](tier, place, upstream), encoding="utf-8")
    with (place.folder / "said").open("wb") as said:
        process = subprocess.Popen(
            _command(tier.product, file),
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            start_new_session=True,
            env={**os.environ, "HOME": str(place.folder), "XDG_DATA_HOME": str(place.folder)},
        )
    try:
        await _listening(process, place)
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        # Child processes of a server may hold its port a little longer than the server itself.
        await until(lambda: not _is_reached(place.plain))


def _is_reached(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


async def _listening(process: subprocess.Popen[bytes], place: Place) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while True:
        if _is_reached(place.plain):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError((place.folder / "said").read_text(errors="replace"))
        await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def chain(case: Case, upstream: DrippingUpstream) -> AsyncIterator[list[str]]:
    """Run a chain. Returns the URLs of the app and of all tiers."""
    app = upstream.ports["http"]
    urls = [f"http://127.0.0.1:{app}/stream"]
    async with contextlib.AsyncExitStack() as stack:
        before = app
        for tier in case.tiers:
            place = place_for(Path(stack.enter_context(tempfile.TemporaryDirectory())))
            await stack.enter_async_context(running(tier, place, before))
            before = place.plain
            url = f"https://localhost:{place.tls}" if tier.is_tls else f"http://127.0.0.1:{before}"
            urls.append(f"{url}/stream")
        yield urls


async def traced(case: Case, urls: list[str], run: int) -> tuple[TraceResult, list[Judgement]]:
    """Trace a chain; the number of the run makes the URLs unique, so that no cache has them."""
    layers = parse_layers([f"{url}?run={run}" for url in urls], (), ())
    headers = (("X-Drip", case.drip.named(f"{os.getpid()}-{run}").encode()),)
    request = TraceRequest(headers=headers, verify=False, limits=TraceLimits(time_s=30.0))
    result = await trace(layers, request, case.repeat)
    return result, judge(result.measured)


def mistake(case: Case, found: list[Judgement]) -> str:
    """The fault of a trace in words; empty if it is right."""
    named = first_failing_layer(found)
    got = (named.layer, named.cause) if named else (None, None)
    wanted = (case.layer, case.cause)
    if got == wanted:
        return ""
    told = "; ".join(
        f"{one.layer} {one.client} {one.verdict} {one.cause or ''} {one.recording.status}"
        f" {one.recording.error} together {one.figures.together:.1f}"
        f" first {one.figures.first_event_s} last {one.figures.last_event_s}"
        f" end {one.figures.end_s:.2f} n {one.figures.events}"
        f" bursts {[(round(b.at, 2), b.events, b.size, b.inside) for b in one.figures.bursts][:6]}"
        for one in found
    )
    return f"{case.name}: named {got}, not {wanted}\n    {told}"


# The program


@contextlib.contextmanager
def busy(wanted: bool) -> Iterator[None]:
    """Keep every core busy, if `wanted`."""
    count = os.cpu_count() or 1 if wanted else 0
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in burners:
            one.kill()
            one.wait()


async def _all(runs: int, only: str, load: bool) -> int:
    wrong = right = 0
    here = installed()
    with busy(load):
        async with DrippingUpstream() as upstream:
            for case in cases():
                if only not in case.name:
                    continue
                if not case.products <= here:
                    print(f"not here: {case.name}")
                    wrong += 1
                    continue
                async with chain(case, upstream) as urls:
                    for run in range(runs):
                        said = mistake(case, (await traced(case, urls, run))[1])
                        wrong, right = wrong + bool(said), right + (not said)
                        if said:
                            print(said, flush=True)
                print(f"{right} right, {wrong} wrong after {case.name}", flush=True)
    print(f"{right} of {right + wrong} traces name the right layer and cause")
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", default="")
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    sys.exit(bool(asyncio.run(_all(options.runs, options.only, options.busy))))
