"""Which clients a server lets in: plain HTTP/1.1, HTTP/1.1 over TLS, HTTP/2.

`ssl` and `http2` belong to the listening socket, so what one server says of an address holds for
every server there. HTTP/3 is left out: nobody has measured it.
"""

from __future__ import annotations

from typing import Literal

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.lazily import regex

Client = Literal["h1", "h1-tls", "h2"]
CLIENTS: tuple[Client, ...] = ("h1", "h1-tls", "h2")

# From 1.25.1 `http2` is a directive of its own, and a plain listener with HTTP/2 also takes
# HTTP/1.1 clients; before, it takes nothing else.
_HTTP2_DIRECTIVE: Version = (1, 25, 1)


_PORTS = regex(r"\d+(-\d+)?")
_ANY = regex(r"^0\.0\.0\.0(?=:|$)")
_WITH_PORT = regex(r"(^|[^:\]]|\]):\d+(-\d+)?$")
_RANGE = regex(r":(\d+)-(\d+)$")
# More ports than that in one `listen` are cut off.
_MOST_PORTS = 64


def address(argument: str) -> str:
    """A listen address in one form: `host:port`, `[ip6]:port` or `unix:path`."""
    if argument.startswith("unix:"):
        return argument
    if _PORTS.fullmatch(argument):
        return f"*:{argument}"
    argument = _ANY.sub("*", argument)
    if not _WITH_PORT.search(argument):
        argument += ":80"
    host, _, port = argument.rpartition(":")
    if host.startswith("["):
        host = shortest(host)
    elif host.lower() == "localhost":
        host = "127.0.0.1"
    return f"{host}:{port}"


def addresses(argument: str) -> list[str]:
    """The address of each socket of a `listen`; more than one for a range of ports."""
    name = address(argument)
    span = None if name.startswith("unix:") else _RANGE.search(name)
    if span is None:
        return [name]
    first, last = (int(port[:6]) for port in span.groups())
    last = min(last, first + _MOST_PORTS - 1)
    return [f"{name[: span.start()]}:{port}" for port in range(first, last + 1)]


def shortest(host: str) -> str:
    """An IPv6 address as people write it; what is none stays."""
    from ipaddress import IPv6Address

    try:
        return f"[{IPv6Address(host.strip('[]'))}]"
    except ValueError:
        return host


def clients(http: Level, version: Version) -> dict[Level, tuple[Client, ...]]:
    """The clients that can reach each server of an `http` level, in the order of `CLIENTS`.

    A server without `listen` listens on plain port 80; so does the one assumed around a fragment,
    of which nothing is known.
    """
    servers = {level: _listens(level) for level in http.children if level.kind == "server"}
    options: dict[str, set[str]] = {}
    defaults: dict[str, Level] = {}
    for server, listens in servers.items():
        for where, said in listens:
            options.setdefault(where, set()).update(said)
            defaults.setdefault(where, server)
            if "default_server" in said or "default" in said:
                defaults[where] = server
    reach: dict[Level, tuple[Client, ...]] = {}
    for server, listens in servers.items():
        found = _clients(server, listens or [("*:80", [])], options, defaults, version)
        reach[server] = tuple(client for client in CLIENTS if client in found)
    return reach


def _listens(server: Level) -> list[tuple[str, list[str]]]:
    """The addresses a server listens on, and what it says of each."""
    rows = server.rows.get("listen", ())
    return [(address(row.args[0]), list(row.args[1:])) for row in rows if row.args]


def _clients(
    server: Level,
    listens: list[tuple[str, list[str]]],
    options: dict[str, set[str]],
    defaults: dict[str, Level],
    version: Version,
) -> set[Client]:
    all_tls = version < _HTTP2_DIRECTIVE and server.effective("ssl", version).text == "on"
    found: set[Client] = set()
    for where, said in listens:
        if "quic" in said:
            continue
        socket = options.get(where, set())
        tls = "ssl" in socket or all_tls
        # Over TLS the server that the client names decides, in clear text the socket's default.
        decides = server if tls else defaults.get(where, server)
        if "http2" in socket or decides.effective("http2", version).text == "on":
            found.add("h2")
        if tls:
            found.add("h1-tls")
        elif "http2" not in socket or version >= _HTTP2_DIRECTIVE:
            found.add("h1")
    return found
