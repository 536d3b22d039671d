"""Which clients a server lets in, against real nginx: each kind of client simply tries."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.listeners import CLIENTS, address, clients
from nginx_stream_lint.probe import Nginx, NginxBinary, fetch, free_ports, write_certificate

BOTH = ("old", "new")
# Servers by their listen and http2 directives ({a}, {b}: ports), and which nginx takes them.
CASES: dict[str, tuple[list[str], tuple[str, ...]]] = {
    "plain": (["listen 127.0.0.1:{a};"], BOTH),
    "tls": (["listen 127.0.0.1:{a} ssl;"], BOTH),
    "tls-http2": (["listen 127.0.0.1:{a} ssl http2;"], BOTH),
    "plain-and-tls": (["listen 127.0.0.1:{a}; listen 127.0.0.1:{b} ssl;"], BOTH),
    "plain-and-http2": (["listen 127.0.0.1:{a}; listen 127.0.0.1:{b} ssl http2;"], BOTH),
    "plain-http2": (["listen 127.0.0.1:{a} http2;"], BOTH),
    "shared-http2": (
        ["listen 127.0.0.1:{a} ssl;", "listen 127.0.0.1:{a} ssl http2;"],
        BOTH,
    ),
    "shared-tls": (["listen 127.0.0.1:{a};", "listen 127.0.0.1:{a} ssl;"], BOTH),
    "directive": (["listen 127.0.0.1:{a} ssl; http2 on;"], ("new",)),
    "directive-plain": (["listen 127.0.0.1:{a}; http2 on;"], ("new",)),
    "directive-one-of-two": (
        ["listen 127.0.0.1:{a} ssl; http2 on;", "listen 127.0.0.1:{a} ssl; http2 off;"],
        ("new",),
    ),
    "directive-of-the-default": (
        ["listen 127.0.0.1:{a};", "listen 127.0.0.1:{a}; http2 on;"],
        ("new",),
    ),
    "old-ssl": (["listen 127.0.0.1:{a}; ssl on;"], ("old",)),
}


async def let_in(ports: list[int], host: str) -> tuple[str, ...]:
    """The kinds of clients that get an answer on one of the ports."""
    found: set[str] = set()
    for port in ports:
        for client in ("h1", "h1-tls", "h2", "h2c"):
            answer = await fetch(port, "/", client, host=host, timeout=60)
            if answer.status == 200:
                found.add("h2" if client == "h2c" else client)
    return tuple(client for client in CLIENTS if client in found)


@pytest.mark.parametrize(
    ("name", "age"),
    [(name, age) for name, (_, ages) in CASES.items() for age in ages],
    indirect=["age"],
)
def test_clients(name: str, binary: NginxBinary, tmp_path: Path) -> None:
    write_certificate(tmp_path)
    a, b = free_ports(2)
    rows = [row.format(a=a, b=b) for row in CASES[name][0]]
    servers = "\n".join(
        f"server {{ {row} server_name s{number}.localhost; location / {{ return 200 hello; }} }}"
        for number, row in enumerate(rows)
    )
    text = f"""
    events {{}}
    http {{
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        {servers}
    }}
    """
    main = tmp_path / "as-written.conf"
    main.write_text(text)
    configuration = read(str(main))
    assert configuration.problems == []
    http = build(configuration).first("http")
    assert http is not None
    ours = clients(http, binary.version)
    ports = [a, b] if any("{b}" in row for row in CASES[name][0]) else [a]

    async def measured() -> list[tuple[str, ...]]:
        async with Nginx(binary, text, tmp_path):
            return [await let_in(ports, f"s{number}.localhost") for number in range(len(rows))]

    seen = asyncio.run(asyncio.wait_for(measured(), 60))
    assert [ours[server] for server in http.children] == seen


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("80", "*:80"),
        ("*:8080", "*:8080"),
        ("0.0.0.0:8080", "*:8080"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        ("[::]:80", "[::]:80"),
        ("[::]", "[::]:80"),
        ("localhost", "127.0.0.1:80"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
    ],
)
def test_addresses(written: str, meant: str) -> None:
    assert address(written) == meant
