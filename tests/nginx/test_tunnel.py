"""`tunnel_pass` (1.31.0): CONNECT opens a tunnel, which nothing holds."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from nginx_stream_lint import Workspace, explain, lint
from nginx_stream_lint.probe import Nginx, NginxBinary, free_ports

# All that would hold or end another stream.
ROWS = """
    proxy_buffering on; gzip on; gzip_types *;
    chunked_transfer_encoding off; proxy_read_timeout 1ms;
"""
CONFIG = "http {{ server {{ listen 127.0.0.1:{port}; {rows} {tunnel} }} }}"


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(100):
        writer.write(piece)
        await writer.drain()
    writer.close()


async def _through(port: int, app: int) -> tuple[list[bytes], bytes]:
    """What comes back of three pieces sent one by one, and then of none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.closing(writer):
        writer.write(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % (app, app))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        came = []
        for piece in (b"a\n", b"b\n", b"c\n"):
            writer.write(piece)
            came.append(await reader.read(100))
        return came, await reader.read()


def test_pieces_come_at_once_and_silence_ends_them(
    binaries: dict[str, NginxBinary], tmp_path: Path
) -> None:
    async def run() -> None:
        app, port = free_ports(2)
        tunnel = "tunnel_pass; tunnel_read_timeout 500ms;"
        text = CONFIG.format(port=port, rows=ROWS, tunnel=tunnel)
        server = await asyncio.start_server(_echo, "127.0.0.1", app)
        async with server, Nginx(binaries["new"], text, tmp_path):
            assert await _through(port, app) == ([b"a\n", b"b\n", b"c\n"], b"")

    asyncio.run(asyncio.wait_for(run(), 60))


def test_what_we_say_of_it() -> None:
    tunnel = "location /t { # nginx-stream-lint: stream sse\ntunnel_pass 127.0.0.1:1; }"
    text = f"events {{}} {CONFIG.format(port=80, rows=ROWS, tunnel=tunnel)}"
    workspace = Workspace.in_memory({"nginx.conf": text})
    [finding] = lint(workspace, ["nginx.conf"]).findings
    assert finding.rule == "short-read-timeout"
    assert "tunnel_read_timeout" in finding.message
    [explained] = explain(workspace, "nginx.conf", ["/t"])
    assert explained.settings["tunnel_read_timeout"].text == "60s"
    assert {one.verdict for one in explained.deliveries} == {"streams"}


def test_a_server_may_be_one() -> None:
    rows = "# nginx-stream-lint: stream sse\ntunnel_pass; tunnel_read_timeout 20s;"
    text = f"events {{}} {CONFIG.format(port=80, rows='', tunnel=rows)}"
    [finding] = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"]).findings
    assert (finding.rule, finding.severity) == ("short-read-timeout", "error")
    [explained] = explain(Workspace.in_memory({"nginx.conf": text}), "nginx.conf", ["/"])
    assert explained.read_timeout_s == 20
