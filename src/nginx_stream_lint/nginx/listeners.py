"""Which clients a server accepts: plain HTTP/1.1, HTTP/1.1 over TLS, HTTP/2, HTTP/3.

`ssl` and `http2` belong to the listening socket, so the parameters of one server's `listen` apply
to every server at that address. A QUIC socket is separate from the TCP socket of its address.
"""

from __future__ import annotations

import re
from typing import Literal

from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.nginx.values import parse_time
from nginx_stream_lint.nginx.versions import Version

Client = Literal["h1", "h1-tls", "h2", "h3"]
CLIENTS: tuple[Client, ...] = ("h1", "h1-tls", "h2", "h3")
TCP_CLIENTS = CLIENTS[:3]
# The clients without TLS, if HTTP/2 uses TLS.
PLAIN: frozenset[Client] = frozenset({"h1"})

# From 1.25.1 `http2` is a separate directive, and a plain listener with HTTP/2 also accepts
# HTTP/1.1 clients; before, it accepts nothing else. The directive `ssl` is gone.
HTTP2_DIRECTIVE: Version = (1, 25, 1)


_ANY = r"^0\.0\.0\.0(?=:|$)"
_WITH_PORT = r"(^|[^:\]]|\]):\d+(-\d+)?$"
_RANGE = r":(\d+)-(\d+)$"
# Further ports of a `listen` are ignored.
_MOST_PORTS = 64


def address(argument: str) -> str:
    """Normalize a listen address: `host:port`, `[ip6]:port` or `unix:path`."""
    if argument.startswith("unix:"):
        return argument
    first, hyphen, last = argument.partition("-")
    if first.isdecimal() and (last.isdecimal() or not hyphen):
        return f"*:{argument}"
    argument = re.sub(_ANY, "*", argument)
    if not re.search(_WITH_PORT, argument):
        argument += ":80"
    host, _, port = argument.rpartition(":")
    if host.startswith("["):
        host = shortest(host)
    elif host.lower() == "localhost":
        host = "127.0.0.1"
    return f"{host}:{port}"


def addresses(argument: str) -> list[str]:
    """The address of each socket of a `listen`; several for a range of ports."""
    name = address(argument)
    span = None if name.startswith("unix:") else re.search(_RANGE, name)
    if span is None:
        return [name]
    first, last = (int(port[:6]) for port in span.groups())
    last = min(last, first + _MOST_PORTS - 1)
    return [f"{name[: span.start()]}:{port}" for port in range(first, last + 1)]


def shortest(host: str) -> str:
    """Shorten an IPv6 address; return other hosts unchanged."""
    if ":" not in host:
        return host
    from ipaddress import IPv6Address

    try:
        return f"[{IPv6Address(host.strip('[]'))}]"
    except ValueError:
        return host


def clients(http: Level, version: Version) -> dict[Level, tuple[Client, ...]]:
    """The clients that can reach each server of an `http` level, in the order of `CLIENTS`.

    A server without `listen` uses plain port 80; so does the implied one around a fragment.
    """
    return {
        server: tuple(client for client in CLIENTS if client in found)
        for server, found in _reach(http, version).items()
    }


def plain_clients(server: Level, version: Version) -> frozenset[Client]:
    """The clients that reach a server without TLS; HTTP/2 only if none uses TLS."""
    http = server.nearest("http")
    found = {} if http is None else _reach(http, version).get(server, {})
    return PLAIN | {client for client, over_tls in found.items() if not over_tls}


def idle_timeout_s(server: Level, version: Version) -> float | None:
    """The silence in seconds after which nginx closes HTTP/3 connections.

    It is the `keepalive_timeout` of the socket's default server, because the name is not known yet.
    None without HTTP/3, and for 0, which was not measured.
    """
    http = server.nearest("http")
    if http is None or "h3" not in _reach(http, version).get(server, {}):
        return None
    defaults = _sockets(http)[1]
    limits = [
        parse_time(defaults[where, True].effective("keepalive_timeout", version).rows[0][0])
        for where, said in _listens(server)
        if "quic" in said
    ]
    return min((limit for limit in limits if limit), default=None)


@cached_on_level
def _reach(http: Level, version: Version) -> dict[Level, dict[Client, bool]]:
    """The clients of each server, each with whether it may use TLS."""
    options, defaults = _sockets(http)
    reach: dict[Level, dict[Client, bool]] = {}
    for server in http.children:
        if server.kind == "server":
            listens = _listens(server) or [("*:80", [])]
            reach[server] = _clients(server, listens, options, defaults, version)
    return reach


_Sockets = tuple[dict[tuple[str, bool], set[str]], dict[tuple[str, bool], Level]]


@cached_on_level
def _sockets(http: Level) -> _Sockets:
    """The `listen` parameters and the default server of each socket, by address and QUIC."""
    options: dict[tuple[str, bool], set[str]] = {}
    defaults: dict[tuple[str, bool], Level] = {}
    for server in http.children:
        for where, said in _listens(server) if server.kind == "server" else ():
            socket = where, "quic" in said
            options.setdefault(socket, set()).update(said)
            defaults.setdefault(socket, server)
            if "default_server" in said or "default" in said:
                defaults[socket] = server
    return options, defaults


def _listens(server: Level) -> list[tuple[str, list[str]]]:
    """The addresses that a server listens on, with the parameters of each."""
    rows = server.rows.get("listen", ())
    return [(address(row.args[0]), list(row.args[1:])) for row in rows if row.args]


def _clients(
    server: Level,
    listens: list[tuple[str, list[str]]],
    options: dict[tuple[str, bool], set[str]],
    defaults: dict[tuple[str, bool], Level],
    version: Version,
) -> dict[Client, bool]:
    all_tls = version < HTTP2_DIRECTIVE and server.effective("ssl", version).text == "on"
    found: dict[Client, bool] = {}
    for where, said in listens:
        if "quic" in said:
            if server.effective("http3", version).text == "on":
                found["h3"] = True
            continue
        socket = options.get((where, False), set())
        tls = "ssl" in socket or all_tls
        # With TLS, the server that the client names decides; in clear text, the socket's default.
        decides = server if tls else defaults.get((where, False), server)
        if "http2" in socket or decides.effective("http2", version).text == "on":
            found["h2"] = found.get("h2", False) or tls
        if tls:
            found["h1-tls"] = True
        elif "http2" not in socket or version >= HTTP2_DIRECTIVE:
            found["h1"] = False
    return found
