"""WebSocket handshakes against real nginx and a real WebSocket server, for random configurations.

A slice of what `python -m tests.conformance.test_handshakes --cases 1000` runs as part of `make
conformance`. With `--app`, another server than ours is the judge.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from nginx_stream_lint.analysis.websockets import gets_through
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.handshake import asked, handshake_at
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.route import route
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe import Drip, Nginx, NginxBinary, Upstream, find_nginx, free_ports
from tests.conformance.random_handshakes import Case, Generator

HEAD = """GET {uri} HTTP/1.1
Host: localhost
Upgrade: websocket
Connection: {connection}
Sec-WebSocket-Version: 13
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
X-Drip: {drip}

"""
ACCEPTED = (
    "upgrade: websocket",
    "connection: upgrade",
    "sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=",
)
SERVERS, LOCATIONS, AT_ONCE = 4, 50, 8
SECONDS = 120.0


def told(root: Level, case: Case, port: int, version: Version) -> tuple[bool, bool | None]:
    """What is said of a case: for its URL, and for the place it ends in without one (lint).

    The second is None where nothing is said.
    """
    request = Request("http", "localhost", port, case.uri)
    found = gets_through(root, request, version, connection=case.connection)
    way = route(root, asked(request, case.connection), version)
    if way.location is None or way.server is None or way.handler is None:
        return found, None
    place = handshake_at(way.location, way.server, version, connection=case.connection)
    if place is None or (not place.fails and not place.is_decided):
        return found, None
    return found, not place.fails


async def seen(case: Case, port: int) -> bool:
    """Whether a handshake gets through, by what RFC 6455 wants of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    drip = Drip(tokens=1).encode()  # another answer than a 101 is over at once
    head = HEAD.format(uri=case.uri, connection=case.connection, drip=drip)
    writer.write(head.replace("\n", "\r\n").encode())
    try:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().splitlines()
    except asyncio.IncompleteReadError:
        return False
    finally:
        writer.transport.abort()
    return " 101 " in lines[0] and {*ACCEPTED} <= {*lines}


async def disagreements(
    binary: NginxBinary, seed: int, folder: Path, app: str | None = None
) -> tuple[list[str], Counter[str]]:
    """The cases of one configuration in which nginx does otherwise, and how many of each kind."""
    async with Upstream() as upstream:
        ports = free_ports(SERVERS)
        target = app or f"http://127.0.0.1:{upstream.ports['http']}"
        generator = Generator(binary, seed, target)
        text, cases = generator.configuration(ports, LOCATIONS)
        file = folder / "nginx.conf"
        file.write_text(text)
        root = build(read(str(file)))
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        gate = asyncio.Semaphore(AT_ONCE)

        async def judge(case: Case) -> None:
            port = ports[case.server]
            url, place = told(root, case, port, binary.version)
            async with gate:
                real = await seen(case, port)
            counts["through" if real else "refused"] += 1
            counts["nothing said without a URL"] += place is None
            if real != url or place not in (None, real):
                wrong.append(
                    f"seed {seed}, {case}: nginx {real}, with its URL {url}, without {place}"
                )

        async with Nginx(binary, text, folder):
            await asyncio.gather(*map(judge, cases))
    return wrong, counts


def test_random_handshakes(binary: NginxBinary, tmp_path: Path) -> None:
    job = disagreements(binary, 7, tmp_path)
    wrong, counts = asyncio.run(asyncio.wait_for(job, SECONDS))
    assert wrong == []
    assert min(counts["through"], counts["refused"]) > SERVERS * LOCATIONS / 20
    assert counts["nothing said without a URL"] < SERVERS * LOCATIONS / 4


def main() -> None:
    """Run many random configurations on every nginx that is here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000, help="for each nginx")
    parser.add_argument("--seed", type=int, default=0, help="of the first configuration")
    parser.add_argument("--app", help="the URL of another WebSocket server than ours")
    options = parser.parse_args()
    failed = False
    for binary in find_nginx():
        total: Counter[str] = Counter()
        for number in range(-(-options.cases // (SERVERS * LOCATIONS))):
            with tempfile.TemporaryDirectory() as folder:
                job = disagreements(binary, options.seed + number, Path(folder), options.app)
                wrong, counts = asyncio.run(job)
            total += counts
            failed = failed or bool(wrong)
            for one in wrong:
                print(one, flush=True)
        print(f"nginx {binary}: {dict(total)}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
