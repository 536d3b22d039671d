"""Server selection: listening sockets first, then names.

Source: `ngx_http_validate_host` and `ngx_http_find_virtual_server` in nginx's
src/http/ngx_http_request.c: the best match of the names without regular expressions, then the first
matching expression in file order, otherwise the socket's default server.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct, field

from nginx_stream_lint.nginx.hostnames import HostnameTable, lower
from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.nginx.listeners import HTTP2_DIRECTIVE, address, shortest
from nginx_stream_lint.nginx.pcre import Undecided, compile_pattern
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.numbers import whole_number

_EVERY_IPV4, _EVERY_IPV6 = "*", "[::]"
LOOPBACKS = ("127.0.0.1", "[::1]")
# From 1.29.4 a host may only have the characters that RFC 3986 allows.
_STRICT_HOSTS: Version = (1, 29, 4)
_BAD_HOST = r"\.\.|[\x00-\x20/\x7f]|^\.?$"
_STRICT_HOST = r"[A-Za-z0-9._~!$&'()*+,;=%-]*|\[[A-Za-z0-9:._~!$&'()*+,;=-]*\]"


class ListenSocket(Struct, eq=False):
    """A listening socket: its `address`, whether it uses TLS, and its servers in file order.

    `takes_ipv4`: a socket for all IPv6 addresses also accepts IPv4 (`ipv6only=off`). A `quic`
    socket is separate from the TCP socket of its address.
    """

    address: str
    tls: bool = False
    takes_ipv4: bool = False
    quic: bool = False
    servers: list[Level] = field(default_factory=list)
    marked: Level | None = None
    names: HostnameTable[Level] = field(default_factory=HostnameTable)
    patterns: list[tuple[str, Level]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    @property
    def first_port(self) -> int | None:
        return whole_number(self.address.rpartition(":")[2].partition("-")[0])

    @property
    def default(self) -> Level:
        """The server for hosts that match no name."""
        return self.marked or self.servers[0]

    @property
    def looks_at_names(self) -> bool:
        """Whether names matter: a lone server gets everything, but its name may have captures."""
        if len(self.servers) > 1:
            return True
        return bool(self.patterns) and compile_pattern(self.patterns[-1][0]).captures

    def has_port(self, port: int) -> bool:
        """Whether the socket, or its range of ports, has this port."""
        first, _, last = self.address.rpartition(":")[2].partition("-")
        least, most = whole_number(first), whole_number(last or first)
        return least is not None and most is not None and least <= port <= most


class ServerMatch(Struct, frozen=True):
    """The selected server, its socket, and the captures of its name's regular expression.

    `bad_host`: nginx refuses the host. `unreadable` are expressions that may have selected another
    server.
    """

    server: Level
    socket: ListenSocket
    named: dict[str, str] = field(default_factory=dict)
    numbered: tuple[str, ...] = ()
    bad_host: bool = False
    unreadable: tuple[str, ...] = ()


@cached_on_level
def sockets(http: Level, version: Version) -> Sequence[ListenSocket]:
    """The listening sockets of an `http` level, in file order; those for QUIC last."""
    found: dict[tuple[str, bool], ListenSocket] = {}
    for server in http.children:
        if server.kind != "server":
            continue
        all_tls = server.effective("ssl", version).text == "on" and version < HTTP2_DIRECTIVE
        listens = [row.args for row in server.rows.get("listen", []) if row.args] or [("80",)]
        for args in listens:
            where, quic = address(args[0]), "quic" in args[1:]
            socket = found.setdefault((where, quic), ListenSocket(where, tls=quic, quic=quic))
            socket.tls |= "ssl" in args[1:] or all_tls
            socket.takes_ipv4 |= "ipv6only=off" in args[1:]
            if "default_server" in args[1:] or "default" in args[1:]:
                socket.marked = server
            if not socket.servers or socket.servers[-1] is not server:
                socket.servers.append(server)
                _add_names(socket, server)
    return tuple(sorted(found.values(), key=lambda socket: socket.quic))


def tcp_sockets(http: Level, version: Version) -> list[ListenSocket]:
    """The listening sockets of an `http` level, without those for QUIC."""
    return [socket for socket in sockets(http, version) if not socket.quic]


def sockets_with_port(http: Level, version: Version, port: int) -> list[ListenSocket]:
    """The sockets that have a port, in file order."""
    by_port, ranges = _by_port(http, version)
    every = sockets(http, version)
    found = [*by_port.get(port, ()), *(at for at in ranges if every[at].has_port(port))]
    return [every[at] for at in sorted(found)]


@cached_on_level
def _by_port(http: Level, version: Version) -> tuple[dict[int, list[int]], list[int]]:
    """The indexes of sockets by their port, and of those with ranges of ports or without any."""
    by_port: dict[int, list[int]] = {}
    others: list[int] = []
    for at, socket in enumerate(sockets(http, version)):
        port = whole_number(socket.address.rpartition(":")[2])
        if port is not None:
            by_port.setdefault(port, []).append(at)
        else:
            others.append(at)
    return by_port, others


def _add_names(socket: ListenSocket, server: Level) -> None:
    for row in server.rows.get("server_name", []):
        for name in row.args:
            if name.startswith("~"):
                socket.patterns.append((name[1:], server))
            else:
                socket.names.add(name, server)


def choose_server(http: Level, request: Request, version: Version) -> ServerMatch | None:
    """The server for a request; None if no socket accepts it.

    A path alone goes to the default server of the first socket. A host that is an address selects
    the socket of that address; any other host the one with its name, wildcard sockets first.
    """
    every = sockets(http, version)
    if request.host is None:
        first = next((socket for socket in every if socket.marked is not None), None)
        socket = first or (every[0] if every else None)
        return None if socket is None else ServerMatch(socket.default, socket)
    host = host_of(request)
    assert host is not None
    port = request.port or (443 if request.scheme == "https" else 80)
    tls = request.scheme == "https"
    here = sockets_with_port(http, version, port)
    if is_address(host):
        ends = reached_sockets(shortest(host), here)
    elif host == "localhost":
        ends = [socket for one in LOOPBACKS for socket in reached_sockets(one, here)]
    else:
        # The address of the name is unknown: probably that of a wildcard socket, and rather IPv4.
        likely = [_with_host(one, here) for one in (host, _EVERY_IPV4, _EVERY_IPV6)]
        ends = list(dict.fromkeys(socket for one in (*likely, here) for socket in one))
    candidates = [socket for socket in ends if socket.tls == tls]
    return _among(candidates, request.host, host, version)


def reached_sockets(address: str, here: Sequence[ListenSocket]) -> list[ListenSocket]:
    """The sockets that a connection to an address reaches, of those with its port.

    An IPv6 address must be in its shortest form, in brackets.
    """
    exact = _with_host(address, here)
    if exact:
        return exact
    every_ipv6 = _with_host(_EVERY_IPV6, here)
    if address.startswith("["):
        return every_ipv6
    return _with_host(_EVERY_IPV4, here) or [one for one in every_ipv6 if one.takes_ipv4]


def choose_server_on(socket: ListenSocket, request: Request, version: Version) -> ServerMatch:
    """The server for a request that arrives at a socket."""
    chosen = _among([socket], request.host or "", host_of(request) or "", version)
    assert chosen is not None
    return chosen


def _with_host(host: str, sockets: Sequence[ListenSocket]) -> list[ListenSocket]:
    return [socket for socket in sockets if socket.host == host]


def _among(
    candidates: Sequence[ListenSocket], written: str, host: str, version: Version
) -> ServerMatch | None:
    """The server for a host, among those on some sockets; `written` is the host as it was sent."""
    if not candidates:
        return None
    if not valid_host(written, version):
        return ServerMatch(candidates[0].default, candidates[0], bad_host=True)
    for socket in candidates:
        named = _by_name(socket, host)
        if named is not None and socket.looks_at_names:
            return named
        if named is not None and not named.unreadable:
            # A lone server gets every host, but its name says that the host has its address.
            return ServerMatch(named.server, socket)
    return ServerMatch(candidates[0].default, candidates[0])


def has_name(http: Level, request: Request, version: Version) -> bool:
    """Whether the server for a request has the request's host as a name."""
    chosen = choose_server(http, request, version)
    if chosen is None or chosen.bad_host:
        return False
    named = _by_name(chosen.socket, host_of(request) or "")
    return named is not None and named.server is chosen.server and not named.unreadable


def host_of(request: Request) -> str | None:
    """The host of a request as nginx compares it: in lower case, and without a dot at the end."""
    return None if request.host is None else lower(request.host).removesuffix(".")


def is_address(host: str) -> bool:
    """Whether a host is an address, not a name."""
    return re.fullmatch(r"\d+(\.\d+){3}|\[.*\]", host) is not None


def valid_host(host: str, version: Version) -> bool:
    """Whether nginx accepts a host at all."""
    if version >= _STRICT_HOSTS and re.fullmatch(_STRICT_HOST, host) is None:
        return False
    return re.search(_BAD_HOST, host) is None


def _by_name(socket: ListenSocket, host: str) -> ServerMatch | None:
    """The server with this name; None if no server has it."""
    server = socket.names.find(host)
    if server is not None:
        return ServerMatch(server, socket)
    unreadable: list[str] = []
    for name, server in socket.patterns:
        # nginx ignores case if the expression has a capital letter.
        try:
            match = compile_pattern(name, re.search("[A-Z]", name) is not None).search(host)
        except Undecided:
            unreadable.append(name)
            continue
        if match is not None:
            return ServerMatch(
                server, socket, match.named, match.captures, unreadable=tuple(unreadable)
            )
    if unreadable:
        return ServerMatch(socket.default, socket, unreadable=tuple(unreadable))
    return None
