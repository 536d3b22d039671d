"""The target of a `*_pass` with its variables filled in, and the error status if it has none.

Source: `ngx_parse_url` in nginx's src/core/ngx_inet.c, the `_eval` functions of the modules, and
`ngx_http_upstream_init_request` in src/http/ngx_http_upstream.c.
"""

from __future__ import annotations

import re

from msgspec import Struct

from nginx_stream_lint.nginx.hostnames import lower
from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.util.numbers import whole_number

_SCHEMES = {
    "proxy": {"http://": 80, "https://": 443},
    "grpc": {"grpc://": 0, "grpcs://": 0},
    "uwsgi": {"uwsgi://": 0, "suwsgi://": 0},
}
_IPV4 = r"\d{1,3}(?:\.\d{1,3}){3}"


class PassTarget(Struct, frozen=True):
    """A parsed target: `scheme` (empty without one), `host`, `port` (0: none given or default).

    `host` is a name, an IPv4 address, an IPv6 address in brackets, or `unix:` with a path; `uri` is
    the rest, from its slash or question mark. `has_port`: the port is written.
    """

    scheme: str
    host: str
    port: int
    has_port: bool
    uri: str = ""

    @property
    def is_address(self) -> bool:
        """Whether nginx can connect without a lookup."""
        return self.host.startswith(("unix:", "[")) or _is_ipv4(self.host)


def parse_target(family: str, text: str) -> PassTarget | None:
    """Parse a target without variables; None if nginx responds with 500 to it."""
    schemes = _SCHEMES.get(family, {})
    name, separator, _ = text.partition("://")
    scheme = lower(name + separator) if separator and name.isascii() and name.isalpha() else ""
    default = 0
    if scheme in schemes:
        default, text = schemes[scheme], text[len(scheme) :]
    elif family == "proxy":
        return None
    else:
        scheme = ""
    scheme = scheme.removesuffix("://")
    with_uri = family == "proxy"
    if text[:5].lower() == "unix:":
        path, _, uri = text[5:].partition(":") if with_uri else (text[5:], "", "")
        return PassTarget(scheme, f"unix:{path}", 0, False, uri) if path else None
    ends = [at for at in (text.find("/"), text.find("?")) if at >= 0]
    authority, uri = (text[: min(ends)], text[min(ends) :]) if ends else (text, "")
    if uri and not with_uri:
        return None
    return _parsed(scheme, authority, default, uri)


def _parsed(scheme: str, authority: str, default: int, uri: str) -> PassTarget | None:
    if authority.startswith("["):
        from ipaddress import IPv6Address

        inside, bracket, rest = authority[1:].partition("]")
        try:
            host = f"[{IPv6Address(inside)}]"
        except ValueError:
            return None
        if not bracket or (rest and not rest.startswith(":")):
            return None
        colon, port_text = rest[:1], rest[1:]
    else:
        host, colon, port_text = authority.partition(":")
    if not host:
        return None
    if not colon:
        return PassTarget(scheme, host, default, False, uri)
    port = whole_number(port_text)
    if port is None or not 0 < port < 65536:
        return None
    return PassTarget(scheme, host, port, True, uri)


def refused_with(target: PassTarget | None, http: Level | None, has_resolver: bool) -> int | None:
    """The error status for a target with variables; None if nginx can connect to it."""
    if target is None:
        return 500
    if target.is_address or (http is not None and _is_known(http, target)):
        return None
    if not target.port:
        return 500
    return None if has_resolver else 502


def _is_known(http: Level, target: PassTarget) -> bool:
    """Whether the name is that of an upstream, or of a target without variables."""
    name = lower(target.host)
    known = _known(http)
    return (not target.has_port and (name, 0) in known) or (name, target.port) in known


@cached_on_level
def _known(http: Level) -> frozenset[tuple[str, int]]:
    """The upstreams, with port 0, and the targets without variables."""
    found: set[tuple[str, int]] = set()
    for level in http.walk():
        if level.kind == "upstream" and level.directive is not None and level.directive.args:
            found.add((lower(level.directive.args[0]), 0))
        handler = level.own_handler
        if handler is not None and "$" not in handler.target:
            target = parse_target(handler.family, handler.target)
            if target is not None and not target.is_address:
                found.add((lower(target.host), target.port))
    return frozenset(found)


def _is_ipv4(host: str) -> bool:
    # nginx accepts leading zeros, `ipaddress` does not.
    return re.fullmatch(_IPV4, host) is not None and all(
        int(part) < 256 for part in host.split(".")
    )
