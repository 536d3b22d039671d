"""Requests for a probe: the user's URLs, or those of likely streams."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.nginx.delivery import (
    AccelBuffering,
    AcceptEncoding,
    Framing,
    Scenario,
)
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import HTTP2_DIRECTIVE, TCP_CLIENTS, Client, address
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.request import Request as Routed
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.request_route import route_in_server, route_request
from nginx_stream_lint.nginx.servers import ListenSocket, choose_server, tcp_sockets
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe.probe_model import ProbeRequest
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.evidence import stream_of_url
from nginx_stream_lint.streams.stream import CONTENT_TYPES, Stream

# Paths of this many locations are tried to reach one without a known path.
_MOST_TRIED = 200
_DEFAULT_HOST = "localhost"
_ASCII = "".join(map(chr, range(128)))


class NotProbeable(ValueError):
    """No server accepts the URL; the message explains why."""


class ScenarioChoice(Struct, frozen=True):
    """The scenarios that the user chose; for empty fields, the stream decides."""

    clients: tuple[Client, ...] = ()
    framings: tuple[Framing, ...] = ()
    x_accel_bufferings: tuple[AccelBuffering, ...] = ()
    accept_encoding: AcceptEncoding = "identity"

    def scenarios(self, stream: Stream | None) -> tuple[Scenario, ...]:
        """The scenarios for a stream, according to its known properties."""
        framings = self.framings or ((stream.framing if stream else None) or "chunked",)
        accels = self.x_accel_bufferings or (
            (stream.x_accel_buffering if stream else None) or "absent",
        )
        return tuple(
            Scenario(client, framing, accel, self.accept_encoding)
            for client in self.clients or TCP_CLIENTS
            for framing in framings
            for accel in accels
        )


def requests_for_urls(
    root: Level,
    urls: Sequence[str],
    version: Version,
    locations: Sequence[ProxiedLocation],
    wanted: ScenarioChoice,
    method: str | None = None,
) -> list[ProbeRequest]:
    """The requests for URLs.

    Raises BadUrl for an invalid URL, and NotProbeable.
    """
    return [_url_requests(root, url, version, locations, wanted, method) for url in urls]


def _url_requests(
    root: Level,
    url: str,
    version: Version,
    locations: Sequence[ProxiedLocation],
    wanted: ScenarioChoice,
    method: str | None,
) -> ProbeRequest:
    routed = parse_url(url, (method or "GET").upper())
    http = root.first("http")
    chosen = choose_server(http, routed, version) if http is not None else None
    if http is None or chosen is None:
        return _stream_server_request(root, url, routed, wanted)
    if routed.host is None:
        # A path alone: for every client that the server accepts.
        server = chosen.server
        mine = [one for one in tcp_sockets(http, version) if server in one.servers]
        host = _host(server, mine) or _DEFAULT_HOST
    else:
        mine, host = _sockets_for(http, routed, chosen.server, version), routed.host
        usual = 443 if routed.scheme == "https" else 80
        if routed.port not in (None, usual):
            host = f"{host}:{routed.port}"
    level = route_request(root, routed, version).location
    streams = next((one.streams for one in locations if one.level is level), ())
    stream = None if level is None else stream_of_url(streams, routed.target, level)
    if method is None and stream is not None and stream.method is not None:
        routed = Routed(routed.scheme, routed.host, routed.port, routed.target, stream.method)
    request = _request(url, chosen.server, mine, version, level, stream, wanted)
    if not any(one.client in request.sockets for one in request.scenarios):
        there = ", ".join(request.sockets) or "nobody"
        raise NotProbeable(f'"{url}" is served to {there} only; choose another --client')
    path = quote(routed.target.partition("#")[0], safe=_ASCII)
    if not host.isascii():
        raise NotProbeable(f'"{url}": write the host in ASCII (punycode)')
    return replace(request, host=host, path=path, method=routed.method)


def _sockets_for(
    http: Level, routed: Routed, server: Level, version: Version
) -> list[ListenSocket]:
    """The socket for a URL: that of its address, otherwise a wildcard socket, otherwise any."""
    port = routed.port or (443 if routed.scheme == "https" else 80)
    mine = [
        one
        for one in tcp_sockets(http, version)
        if server in one.servers and one.has_port(port) and one.tls == (routed.scheme == "https")
    ]
    order = {routed.host: 0, "*": 1, "0.0.0.0": 1, "[::]": 1}
    return sorted(mine, key=lambda one: order.get(one.host, 2))[:1]


def _stream_server_request(
    root: Level, url: str, routed: Routed, wanted: ScenarioChoice
) -> ProbeRequest:
    """A request to the `stream {}` server with the URL's port, if there is one."""
    stream = root.first("stream")
    for server in stream.children if stream is not None else ():
        for row in server.rows.get("listen", []):
            tls = "ssl" in row.args[1:]
            fits = row.args and "udp" not in row.args and tls == (routed.scheme == "https")
            if fits and routed.port and ListenSocket(address(row.args[0])).has_port(routed.port):
                client: Client = "h1-tls" if tls else "h1"
                return ProbeRequest(
                    url,
                    {client: row.args[0]},
                    routed.host or _DEFAULT_HOST,
                    routed.target,
                    routed.method,
                    stream=True,
                    scenarios=wanted.scenarios(None),
                )
    raise NotProbeable(f'no server listens for "{url}"; check scheme and port')


def requests_for_streams(
    root: Level,
    version: Version,
    locations: Sequence[ProxiedLocation],
    wanted: ScenarioChoice,
) -> tuple[list[ProbeRequest], list[ProxiedLocation]]:
    """Return requests for all likely streams, and the locations without a known URL."""
    http = root.first("http")
    found: list[ProbeRequest] = []
    left: list[ProxiedLocation] = []
    every = tcp_sockets(http, version) if http is not None else []
    for one in locations:
        stream = one.streams[0]
        if stream.confidence == "possible":
            continue
        if http is None or one.server.kind != "server":
            left.append(one)
            continue
        mine = [socket for socket in every if one.server in socket.servers]
        host = _host(one.server, mine)
        target = _target(one, version)
        if host is None or target is None or not mine:
            left.append(one)
            continue
        request = _request("", one.server, mine, version, one.level, stream, wanted)
        scheme = "http" if "h1" in request.sockets else "https"
        method = stream.method or "GET"
        if not any(scenario.client in request.sockets for scenario in request.scenarios):
            left.append(one)
            continue
        name = f"{scheme}://{host}{_port(request, scheme)}{target}"
        found.append(replace(request, name=name, host=host, path=target, method=method))
    return found, left


def _port(request: ProbeRequest, scheme: str) -> str:
    client = "h1" if scheme == "http" else next(iter(request.sockets), "")
    port = request.sockets.get(client, "").rpartition(":")[2]
    usual = "80" if scheme == "http" else "443"
    return f":{port}" if port.isdigit() and port != usual else ""


def _request(
    name: str,
    server: Level,
    mine: Sequence[ListenSocket],
    version: Version,
    level: Level | None,
    stream: Stream | None,
    wanted: ScenarioChoice,
) -> ProbeRequest:
    addresses: dict[str, str] = {}
    for socket in mine:
        for client in clients_at(socket, server, version):
            addresses.setdefault(client, socket.address)
    is_websocket = stream is not None and stream.kind == "websocket"
    if is_websocket:
        addresses.pop("h2", None)
    kinds = CONTENT_TYPES[stream.kind] if stream is not None else ()
    return ProbeRequest(
        name,
        {client: addresses[client] for client in TCP_CLIENTS if client in addresses},
        content_type=_content_type(level, kinds or CONTENT_TYPES["sse"], version),
        websocket=is_websocket,
        scenarios=wanted.scenarios(stream),
    )


def clients_at(socket: ListenSocket, server: Level, version: Version) -> tuple[Client, ...]:
    """The clients that reach a server through a socket.

    The parameter `http2` of a `listen` belongs to the socket. The directive belongs to the server:
    with TLS, to the one that the client names; in clear text, to the socket's default server.
    """
    options = {
        option
        for one in socket.servers
        for row in one.rows.get("listen", [])
        if row.args and address(row.args[0]) == socket.address
        for option in row.args[1:]
    }
    decides = server if socket.tls else socket.default
    directive = decides.effective("http2", version).text == "on"
    http2 = "http2" in options or (directive and (socket.tls or version >= HTTP2_DIRECTIVE))
    found: set[Client] = {"h2"} if http2 else set()
    if socket.tls:
        found.add("h1-tls")
    elif not http2 or version >= HTTP2_DIRECTIVE:
        found.add("h1")
    return tuple(client for client in TCP_CLIENTS if client in found)


def _content_type(level: Level | None, kinds: Sequence[str], version: Version) -> str:
    """The content type of the response: one that is compressed there, if possible."""
    if level is not None:
        for name in ("brotli_types", "gzip_types"):
            types = {arg.lower() for row in level.effective(name, version).rows for arg in row}
            for kind in kinds:
                if kind in types:
                    return kind
    return kinds[0]


def _host(server: Level, mine: Sequence[ListenSocket]) -> str | None:
    """A host name that selects a server on its sockets; None if unknown."""
    names = [name for row in server.rows.get("server_name", []) for name in row.args]
    for name in names:
        if name == "_" or re.fullmatch(r"[A-Za-z0-9._*-]+", name) is None:
            continue
        if name.startswith(("*.", ".")):
            return f"www.{name.lstrip('*.')}"
        return f"{name[:-2]}.example" if name.endswith(".*") else name
    if all(one.default is server for one in mine):
        return _DEFAULT_HOST
    samples = (_sample(name[1:]) for name in names if name.startswith("~"))
    return next((name for name in samples if re.fullmatch(r"[A-Za-z0-9._-]+", name)), None)


def _target(proxied: ProxiedLocation, version: Version) -> str | None:
    """A path that ends in a location, if one can be found."""
    method = proxied.streams[0].method or "GET"
    if proxied.level.kind not in ("location", "server"):
        return None
    own = list(_paths(proxied.level)) if proxied.level.kind == "location" else ["/"]
    others = [
        path
        for level in proxied.server.walk()
        if level.kind == "location"
        for path in _paths(level)
    ]
    for path in [*own, *others[:_MOST_TRIED], "/", "/x"]:
        way = route_in_server(proxied.server, Routed("http", None, None, path, method), version)
        if way.location is proxied.level and way.handler is not None:
            return path
    return None


def _paths(location: Level) -> Iterator[str]:
    match = match_of(location)
    if match.modifier == "@":
        return
    if match.is_regex:
        path = _sample(match.pattern)
        yield path if path.startswith("/") else f"/{path}"
        return
    if match.pattern.startswith("/"):
        yield match.pattern
        if match.modifier != "=":
            yield f"{match.pattern.rstrip('/')}/x"
            yield f"{match.pattern}x"


def _sample(pattern: str) -> str:
    """A text that a simple regular expression probably matches; the caller must check."""
    text = re.sub(r"\(\?(?:P?<\w+>|:|i\))", "(", pattern)
    text = re.sub(r"\[[^\]]*\]|\\[wdS]|(?<!\\)\.(?=[*+?{]|$)", "1", text)
    before = None
    while before != text:
        before = text
        text = re.sub(r"\(([^()|]*)(?:\|[^()]*)?\)[*+?]?(?:\{[^}]*\})?", r"\1", text)
    text = text.partition("|")[0]
    text = re.sub(r"(?<!\\)(?:\{[^}]*\}|[*+?])|(?<!\\)[\^$]", "", text)
    return re.sub(r"\\(.)", r"\1", text)
