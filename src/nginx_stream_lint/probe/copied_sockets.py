"""Move the listening sockets of a configuration to free ports of loopback."""

from __future__ import annotations

from collections.abc import Sequence

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import HTTP2_DIRECTIVE, addresses
from nginx_stream_lint.nginx.versions import NEW, Version
from nginx_stream_lint.probe.copy_model import CopiedDirective, CopiedSocket, Copy
from nginx_stream_lint.probe.free_ports import free_ports

_KEPT_OPTIONS = frozenset({"ssl", "http2", "default_server", "default"})


class Sockets:
    """Collects the sockets of a copy; after `finish`, each has a port."""

    def __init__(self, copy: Copy, version: Version) -> None:
        self._copy = copy
        self._version = version
        self._listens: list[tuple[CopiedDirective, str]] = []

    def listen(self, server: Level, rows: Sequence[Directive]) -> list[CopiedDirective]:
        """The `listen` directives of a server; `rows` are those of the configuration."""
        is_stream = server.kind == "stream-server"
        before = self._version < HTTP2_DIRECTIVE and not is_stream
        all_tls = before and server.effective("ssl", self._version).text == "on"
        own_http2 = before and server.effective("http2", NEW).text == "on"
        found: list[tuple[str, list[str], Directive | None]] = []
        for row in rows:
            kept = self._kept_options(row)
            if kept is not None:
                if own_http2 and ("ssl" in kept or all_tls) and "http2" not in kept:
                    kept.append("http2")
                found += [(name, kept, row) for name in addresses(row.args[0])]
        if not found:
            # A stream server must listen, though UDP is not measured; one of http does on port 80.
            nowhere = is_stream or bool(rows)
            found = [(f"nowhere:{len(self._listens)}" if nowhere else "*:80", [], None)]
        made: list[CopiedDirective] = []
        for name, options, origin in found:
            key = f"stream {name}" if is_stream else name
            socket = self._copy.sockets.setdefault(key, CopiedSocket(name, is_stream=is_stream))
            socket.tls |= "ssl" in options or all_tls
            made.append(CopiedDirective("listen", ["", *options], origin))
            self._listens.append((made[-1], key))
        return made

    def _kept_options(self, row: Directive) -> list[str] | None:
        """The options of a `listen` that the copy keeps; None if it omits the directive."""
        options = row.args[1:]
        if {"quic", "udp"} & set(options):
            self._copy.leave_out(row, "only TCP is measured", True)
            return None
        dropped = [option for option in options if option not in _KEPT_OPTIONS]
        if dropped:
            self._copy.note_replaced(row, f"the copy listens without {' '.join(dropped)}", False)
        return [option for option in options if option in _KEPT_OPTIONS]

    def finish(self) -> None:
        """Give each socket a free port. Raises NginxError if there are none."""
        sockets = self._copy.sockets
        for socket, port in zip(sockets.values(), free_ports(len(sockets)), strict=True):
            socket.port = port
        for node, key in self._listens:
            node.args[0] = f"127.0.0.1:{sockets[key].port}"
