"""Which clients a server lets in: plain HTTP/1.1, HTTP/1.1 over TLS, HTTP/2.

`ssl` and `http2` belong to the listening socket, so what one server says of an address holds for
every server there. HTTP/3 is left out: nobody has measured it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version

Client = Literal["h1", "h1-tls", "h2"]
CLIENTS: tuple[Client, ...] = ("h1", "h1-tls", "h2")

# From 1.25.1 `http2` is a directive of its own, and a plain listener with HTTP/2 also takes
# HTTP/1.1 clients; before, it takes nothing else.
_HTTP2_DIRECTIVE: Version = (1, 25, 1)


@lru_cache(maxsize=4096)
def address(argument: str) -> str:
    """A listen address in one form: `host:port`, `[ip6]:port` or `unix:path`."""
    if argument.startswith("unix:"):
        return argument
    argument = re.sub(r"^0\.0\.0\.0(?=:|$)", "*", argument)
    if re.fullmatch(r"\d+(-\d+)?", argument):
        return f"*:{argument}"
    if re.search(r"(^|[^:\]]|\]):\d+(-\d+)?$", argument):
        return argument
    return f"{argument}:80"


def _listens(server: Level) -> list[tuple[str, ...]]:
    return [row.args for row in server.rows.get("listen", []) if row.args]


def clients(http: Level, version: Version) -> dict[Level, tuple[Client, ...]]:
    """The clients that can reach each server of an `http` level, in the order of `CLIENTS`.

    A server without `listen` listens on plain port 80; so does the one assumed around a fragment,
    of which nothing is known.
    """
    servers = [level for level in http.children if level.kind == "server"]
    options: dict[str, set[str]] = {}
    defaults: dict[str, Level] = {}
    for server in servers:
        for where, *said in _listens(server):
            options.setdefault(address(where), set()).update(said)
            defaults.setdefault(address(where), server)
            if "default_server" in said or "default" in said:
                defaults[address(where)] = server
    found: dict[Level, tuple[Client, ...]] = {}
    for server in servers:
        its_own = _clients(server, options, defaults, version)
        found[server] = tuple(client for client in CLIENTS if client in its_own)
    return found


def _clients(
    server: Level, options: dict[str, set[str]], defaults: dict[str, Level], version: Version
) -> set[Client]:
    all_tls = server.effective("ssl", version).text == "on" and version < _HTTP2_DIRECTIVE
    found: set[Client] = set()
    for where, *said in _listens(server) or [("80",)]:
        if "quic" in said:
            continue
        socket = options.get(address(where), set())
        tls = "ssl" in socket or all_tls
        # Over TLS the server that the client names decides, in clear text the socket's default.
        decides = server if tls else defaults.get(address(where), server)
        if "http2" in socket or decides.effective("http2", version).text == "on":
            found.add("h2")
        if tls:
            found.add("h1-tls")
        elif "http2" not in socket or version >= _HTTP2_DIRECTIVE:
            found.add("h1")
    return found
