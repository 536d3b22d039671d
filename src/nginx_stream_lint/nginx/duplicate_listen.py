"""Duplicate `listen`: two default servers of a socket, or an address named twice by a server.

Source: `ngx_http_add_listen` and `ngx_http_add_addresses`. The same address for TCP and for QUIC is
two sockets; `[::]:80` and `80` are two as well.
"""

from __future__ import annotations

from collections.abc import Callable

from nginx_stream_lint.config import Directive, has_placeholder
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import addresses
from nginx_stream_lint.nginx.missing_includes import is_complete_configuration

Say = Callable[[Directive, str], None]


def duplicate_listens(root: Level, say: Say) -> None:
    """Report each `listen` that adds a second default server or repeats an address."""
    found: list[tuple[Directive, str]] = []
    defaults: set[tuple[str, bool]] = set()
    for http in root.children:
        for server in http.children if http.kind == "http" else ():
            found += _of(server, defaults)
    if found and is_complete_configuration(root):
        for directive, message in found:
            say(directive, message)


def _of(server: Level, defaults: set[tuple[str, bool]]) -> list[tuple[Directive, str]]:
    found: list[tuple[Directive, str]] = []
    here: set[tuple[str, bool]] = set()
    for row in server.rows.get("listen", ()):
        if not row.args or any(map(has_placeholder, row.args)):
            continue
        is_default = "default_server" in row.args or "default" in row.args[1:]
        sockets = {(address, "quic" in row.args) for address in addresses(row.args[0])}
        twice = here & sockets
        second = defaults & sockets if is_default else set()
        if twice:
            found.append((row, f"a duplicate listen {_said(min(twice)[0])}"))
        elif second:
            found.append((row, f"a duplicate default server for {_said(min(second)[0])}"))
        here |= sockets
        if is_default:
            defaults |= sockets
    return found


def _said(address: str) -> str:
    """Format an address as in nginx's error messages."""
    return f"0.0.0.0{address[1:]}" if address.startswith("*:") else address
