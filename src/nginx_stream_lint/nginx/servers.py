"""Which server answers: listening sockets first, then names.

Source: `ngx_http_find_virtual_server` and `ngx_hash_find_combined` in nginx: an exact name, the
longest name with a leading asterisk, the longest with a trailing one, the first regular expression
in the order of the file, else the socket's default server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import address
from nginx_stream_lint.nginx.pcre import compile_pattern
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.versions import Version


@dataclass(slots=True)
class Socket:
    """A listening socket: its `address`, whether it speaks TLS, and its servers in file order."""

    address: str
    tls: bool = False
    servers: list[Level] = field(default_factory=list)
    default: Level | None = None

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0]

    def has_port(self, port: int) -> bool:
        """Whether the socket, or one of its range of ports, is this one."""
        first, _, last = self.address.rpartition(":")[2].partition("-")
        return first.isdigit() and int(first) <= port <= int(last or first)


@dataclass(frozen=True, slots=True)
class Chosen:
    """A server, the socket it was found on, and the named captures of its name."""

    server: Level
    socket: Socket
    captures: dict[str, str]
    numbered: tuple[str, ...] = ()


def sockets(http: Level, version: Version) -> list[Socket]:
    """The listening sockets of an `http` level, in the order of the file."""
    found: dict[str, Socket] = {}
    for server in http.children:
        if server.kind != "server":
            continue
        all_tls = server.effective("ssl", version).text == "on" and version < (1, 25, 1)
        listens = [row.args for row in server.rows.get("listen", []) if row.args] or [("80",)]
        for args in listens:
            if "quic" in args[1:]:
                continue
            where = address(args[0])
            socket = found.setdefault(where, Socket(where))
            socket.tls |= "ssl" in args[1:] or all_tls
            if server not in socket.servers:
                socket.servers.append(server)
            if "default_server" in args[1:] or "default" in args[1:]:
                socket.default = server
    return list(found.values())


def choose(http: Level, request: Request, version: Version) -> Chosen | None:
    """The server for a request; None if no socket takes it.

    A path alone goes to the default server of the first socket. A host that is an address finds the
    socket of that address; any other host the one that knows its name, wildcard sockets first.
    """
    every = sockets(http, version)
    if request.host is None:
        first = next((socket for socket in every if socket.default is not None), None)
        socket = first or (every[0] if every else None)
        if socket is None:
            return None
        return Chosen(socket.default or socket.servers[0], socket, {})
    port = request.port or (443 if request.scheme == "https" else 80)
    matching = [
        socket
        for socket in every
        if socket.has_port(port) and socket.tls == (request.scheme == "https")
    ]
    exact = [socket for socket in matching if socket.host == request.host]
    wild = [socket for socket in matching if socket.host in ("*", "0.0.0.0", "[::]")]
    is_address = re.fullmatch(r"[\d.]+|\[.*\]", request.host) is not None
    candidates = exact or (wild if is_address else wild + [s for s in matching if s not in wild])
    for socket in candidates:
        named = _by_name(socket, request.host)
        if named is not None:
            return named
    if not candidates:
        return None
    socket = candidates[0]
    return Chosen(socket.default or socket.servers[0], socket, {})


def _by_name(socket: Socket, host: str) -> Chosen | None:
    names = [
        (name, server)
        for server in socket.servers
        for row in server.rows.get("server_name", [])
        for name in row.args
    ]
    exact: Level | None = None
    leading: tuple[int, Level] | None = None
    trailing: tuple[int, Level] | None = None
    for name, server in names:
        lower = name.lower()
        if name.startswith("~"):
            continue
        if lower in (host, f".{host}"):
            exact = exact or server
        if lower.startswith(("*.", ".")):
            suffix = lower.lstrip("*")
            fits = host.endswith(suffix) and len(host) > len(suffix)
            if fits and (leading is None or len(suffix) > leading[0]):
                leading = (len(suffix), server)
        elif lower.endswith(".*"):
            prefix = lower[:-1]
            fits = host.startswith(prefix) and len(host) > len(prefix)
            if fits and (trailing is None or len(prefix) > trailing[0]):
                trailing = (len(prefix), server)
    if exact is not None:
        return Chosen(exact, socket, {})
    if leading is not None:
        return Chosen(leading[1], socket, {})
    if trailing is not None:
        return Chosen(trailing[1], socket, {})
    for name, server in names:
        if name.startswith("~"):
            # nginx ignores case where the expression has a capital letter in it.
            ignore = any("A" <= character <= "Z" for character in name)
            pattern = compile_pattern(name[1:], ignore)
            match = pattern.search(host) if pattern is not None else None
            if match is not None:
                return Chosen(server, socket, match.named, match.captures)
    return None
