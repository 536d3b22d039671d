"""Find the sockets of the same configuration that the target of a handler leads to."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.listeners import shortest
from nginx_stream_lint.nginx.pass_target import PassTarget, parse_target
from nginx_stream_lint.nginx.servers import (
    LOOPBACKS,
    ListenSocket,
    reached_sockets,
    sockets,
    sockets_with_port,
)
from nginx_stream_lint.nginx.upstreams import upstream_block
from nginx_stream_lint.nginx.versions import Version

_PATH_VARIABLE = r"\$\{?(?:request_uri|uri)\b"
_MOST_PEERS = 20  # of an upstream


def may_be_self_proxied(http: Level, handler: Handler, version: Version) -> bool:
    """Whether a handler may proxy to a server of this configuration (a quick estimate).

    False if the host has a variable: its value depends on the whole route of a request.
    """
    if handler.family not in ("proxy", "grpc"):
        return False
    written, variable, _ = handler.target.partition("$")
    authority, slash, _ = written.partition("://")[2].partition("/")
    if variable:
        is_path = re.match(_PATH_VARIABLE, handler.target[len(written) :]) is not None
        if not (authority and (slash or is_path)):
            return False
    target = parse_target(handler.family, written)
    peers = [] if target is None else target_peers(http, target)
    return any(sockets_of(http, peer, version) for peer in peers)


def target_peers(http: Level, target: PassTarget) -> Iterator[PassTarget]:
    """The servers of an upstream, or the target itself.

    nginx uses `backup` servers only while the others fail.
    """
    block = upstream_block(http, target.host)
    if block is None or target.has_port:
        yield target
        return
    rows = [row for row in block.rows.get("server", ()) if row.args and "down" not in row.args]
    usual = [row for row in rows if "backup" not in row.args]
    for row in (usual or rows)[:_MOST_PEERS]:
        peer = parse_target("fastcgi", row.args[0])  # an address alone
        if peer is not None:
            port = peer.port or 80
            yield PassTarget(target.scheme, peer.host, port, peer.has_port)


def sockets_of(http: Level, peer: PassTarget, version: Version) -> list[ListenSocket]:
    """The sockets of this configuration that a connection to a peer reaches."""
    tls = peer.scheme in ("https", "grpcs")
    if peer.host.startswith("unix:"):
        found = [socket for socket in sockets(http, version) if socket.address == peer.host]
    else:
        here = sockets_with_port(http, version, peer.port)
        names = LOOPBACKS if lower(peer.host) == "localhost" else (shortest(peer.host),)
        found = []
        for name in names:
            at = reached_sockets(name, here)
            # The address may belong to another machine; it is this one only if nginx listens on it.
            mine = name.startswith("127.") or name == "[::1]"
            found += [socket for socket in at if mine or socket.host == name]
    tcp = (socket for socket in dict.fromkeys(found) if not socket.quic)
    return [socket for socket in tcp if socket.tls == tls]
