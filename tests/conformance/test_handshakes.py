"""WebSocket handshakes against real nginx and a real WebSocket server, for random configurations.

A slice of what `python -m tests.conformance.test_handshakes --cases 1000` runs as part of `make
conformance`. With `--app`, another server than ours is the judge.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections import Counter
from pathlib import Path

from nginx_stream_lint.analysis.stream_paths import StreamPaths
from nginx_stream_lint.analysis.websockets import handshake_succeeds
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.handshake import as_handshake, handshake_at
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.request_route import route_request
from nginx_stream_lint.probe import Drip, DrippingUpstream, Nginx, NginxBinary, free_ports
from nginx_stream_lint.tiers.hops import Hop, TierConfiguration
from tests.conformance.choosing import add_nginx_option, chosen
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


def told(nginx: TierConfiguration, root: Level, case: Case, port: int) -> tuple[bool, bool | None]:
    """What is said of a case: for its URL, and for the place it ends in without one (lint).

    The second is None where nothing is said.
    """
    request, version = Request("http", "localhost", port, case.uri), nginx.version
    way = route_request(root, as_handshake(request, case.connection), version)
    found = handshake_succeeds(Hop(nginx, way), StreamPaths())
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
    async with DrippingUpstream() as upstream:
        ports = free_ports(SERVERS)
        target = app or f"http://127.0.0.1:{upstream.ports['http']}"
        generator = Generator(binary, seed, target)
        text, cases = generator.configuration(ports, LOCATIONS)
        file = folder / "nginx.conf"
        file.write_text(text)
        configuration = read(str(file))
        root = build(configuration)
        nginx = TierConfiguration(configuration, root.first("http"), binary.version)
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        gate = asyncio.Semaphore(AT_ONCE)

        async def judge(case: Case) -> None:
            port = ports[case.server]
            url, place = told(nginx, root, case, port)
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


TIMEOUT, BEATS, PAUSE = 1.5, 12, 0.25


async def lasts(port: int, beats: int) -> tuple[float, bool]:
    """How long a WebSocket lasts to whose app the client sends so often, and the longest pause.

    Gives the seconds from the last byte sent until nginx closes it, and whether no pause before was
    as long as the timeout (a busy machine's).
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = HEAD.format(uri="/ws", connection="Upgrade", drip="").replace("\n", "\r\n")
    writer.write(head.encode())
    await reader.readuntil(b"\r\n\r\n")
    last, regular = time.monotonic(), True
    for _ in range(beats):
        await asyncio.sleep(PAUSE)
        writer.write(b"\x8a\x80\0\0\0\0")  # a pong without a text
        await writer.drain()
        regular = regular and time.monotonic() - last < TIMEOUT / 2
        last = time.monotonic()
    await reader.read()
    writer.transport.abort()
    return time.monotonic() - last, regular


def test_the_timeout_counts_while_neither_side_sends(binary: NginxBinary, tmp_path: Path) -> None:
    async def measured() -> list[tuple[float, bool]]:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 101 \r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n")
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        app = server.sockets[0].getsockname()[1]
        (port,) = free_ports(1)
        text = (
            f"events {{}} http {{ server {{ listen 127.0.0.1:{port}; location / {{"
            f" proxy_pass http://127.0.0.1:{app}; proxy_http_version 1.1;"
            " proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"
            f" proxy_read_timeout {TIMEOUT * 1000:.0f}ms; }} }} }}"
        )
        async with server, Nginx(binary, text, tmp_path):
            return await asyncio.gather(lasts(port, 0), *(lasts(port, BEATS) for _ in range(3)))

    unheard, *heard = asyncio.run(asyncio.wait_for(measured(), SECONDS))
    assert unheard[0] > TIMEOUT * 0.9
    # The client has sent for longer than the timeout, and only then it began to count.
    assert BEATS * PAUSE > 1.5 * TIMEOUT
    undisturbed = [seconds for seconds, regular in heard if regular]
    assert all(seconds > TIMEOUT * 0.9 for seconds in undisturbed)
    assert undisturbed


def main() -> None:
    """Run many random configurations on each nginx."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=1000, help="for each nginx")
    parser.add_argument("--seed", type=int, default=0, help="of the first configuration")
    parser.add_argument("--app", help="the URL of another WebSocket server than ours")
    add_nginx_option(parser)
    options = parser.parse_args()
    failed = False
    for binary in chosen(options.nginx):
        total: Counter[str] = Counter()
        for number in range(-(-options.cases // (SERVERS * LOCATIONS))):
            with tempfile.TemporaryDirectory() as folder:
                job = disagreements(binary, options.seed + number, Path(folder), options.app)
                wrong, counts = asyncio.run(job)
            total += counts
            failed = failed or bool(wrong)
            for one in wrong:
                print(one, flush=True)
        print(f"{binary}: {dict(total)}", flush=True)
    raise SystemExit(failed)


if __name__ == "__main__":
    main()
