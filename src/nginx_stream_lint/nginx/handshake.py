"""A WebSocket handshake through a location: the app's request, and the client's response.

Measured on nginx 1.22 and 1.31; tests/conformance/test_handshakes.py repeats it. nginx tunnels
everything after a 101, whatever the HTTP version to the app. It never adds Upgrade by itself, so
the app gets the result of the `proxy_set_header` rows in force for this client.
"""

from __future__ import annotations

from msgspec import Struct

from nginx_stream_lint.config import has_placeholder
from nginx_stream_lint.nginx.levels import Handler, Level, cached_on_level
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.rewriting import RewriteOutcome, rewrite
from nginx_stream_lint.nginx.variables import RequestState, maps_of
from nginx_stream_lint.nginx.versions import NEW, Version

# The handler families that tunnel after a 101.
TUNNELS = ("proxy", "uwsgi", "scgi", "tunnel")
# nginx has no WebSockets over HTTP/2 and HTTP/3.
HANDSHAKE_CLIENTS: tuple[Client, ...] = ("h1", "h1-tls")
_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
# Request headers of a client, in the order in which reports name them.
_SENT = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": _KEY,
    "Sec-WebSocket-Version": "13",
}
CONNECTION = _SENT["Connection"]
# Firefox's Connection header.
LONG_CONNECTION = "keep-alive, Upgrade"
# A client needs these response headers; nginx creates Connection itself.
_NEEDED = ("Upgrade", "Sec-WebSocket-Accept")


class Handshake(Struct, frozen=True):
    """The handshake that the app receives, and the response headers that the client does not get.

    `headers` are those that a handshake needs, empty if none is sent. Values are None if the
    configuration does not determine them.
    """

    http_version: str | None
    method: str | None
    headers: tuple[tuple[str, str | None], ...]
    hidden: tuple[str, ...]

    @property
    def is_decided(self) -> bool:
        """Whether the configuration determines every relevant header."""
        values = (self.http_version, self.method, *(value for _, value in self.headers))
        return None not in values

    @property
    def wrong_headers(self) -> list[str]:
        """The headers that reach the app with a value that breaks the handshake."""
        return [name for name, value in self.headers if not _is_right(name, value)]

    @property
    def is_get(self) -> bool:
        """Whether the app receives a GET request, as a handshake must be."""
        return self.method in ("GET", None)

    @property
    def is_old(self) -> bool:
        """Whether the app receives HTTP/1.0, which some apps accept and others refuse."""
        return self.http_version == "1.0"

    @property
    def fails(self) -> bool:
        """Whether the handshake fails with every app."""
        can_upgrade = self.http_version in ("1.0", "1.1", None)
        return bool(self.wrong_headers or self.hidden) or not (can_upgrade and self.is_get)


def as_handshake(request: Request, connection: str = CONNECTION) -> Request:
    """Convert a request to the handshake of a client with this Connection header."""
    headers: dict[str, str | None] = {_variable(name): value for name, value in _SENT.items()}
    headers |= {"connection": connection, "origin": None}
    return Request(
        request.scheme, request.host, request.port, request.target, "GET", tuple(headers.items())
    )


def handshake_at(
    level: Level,
    server: Level,
    version: Version,
    path: str | None = None,
    scheme: str = "http",
    connection: str = CONNECTION,
) -> Handshake | None:
    """The handshake that the app receives through a proxied location.

    `path` is that of the URL, for rewrites; default: the location's own. The values of variables
    about the URL are unknown, because it may have a query. None if handshakes are not passed on, or
    if that is unknown.
    """
    location = level.nearest("location") or server
    pattern = match_of(location).pattern
    target = path or (pattern if pattern.startswith("/") else "/")
    request = as_handshake(Request(scheme, None, None, target), connection)
    uri, _, args = target.partition("?")
    state = RequestState(request, server, uri, args, url_is_known=False)
    outcome = rewrite(server, state, version)
    if outcome.status is not None:
        return None
    _doubt(server, outcome, state)
    place = level
    if location is not server:
        outcome = rewrite(location, state, version)
        _doubt(location, outcome, state)
        if outcome.status is not None or outcome.changed:
            return None
        if outcome.unknown and any(one.own_handler is not None for one in _conditional(location)):
            return None  # another block may handle it
        if outcome.entered and level.kind in ("location", "if-in-location"):
            place = outcome.entered[-1]
        if place is not level and (place.own_handler is not None or level is not location):
            return None  # that block handles it
        if level.kind == "if-in-location" and not outcome.entered and not outcome.unknown:
            return None
    return received_handshake(place, state, version)


def received_handshake(level: Level, state: RequestState, version: Version) -> Handshake | None:
    """The handshake that the app receives, from the request's state at the handler.

    None if the handler is not `proxy_pass`.
    """
    handler: Handler | None = level.handler
    if handler is None or handler.family != "proxy":
        return None
    rows: dict[str, list[str]] = {}
    for row in level.effective("proxy_set_header", version).rows:
        if len(row) == 2:
            rows.setdefault(row[0].lower(), []).append(row[1])
    passes = level.effective("proxy_pass_request_headers", version).text != "off"
    headers: list[tuple[str, str | None]] = []
    for name in _SENT:
        if name.lower() in rows:
            value = _joined(rows[name.lower()], state)
        elif name == "Connection":
            value = "" if version >= NEW else "close"
        else:
            value = _value(f"${{http_{_variable(name)}}}", state) if passes else ""
            if name == "Upgrade":
                value = ""
        headers.append((name, value))
    http_version = level.effective("proxy_http_version", version).text
    method = level.effective("proxy_method", version).text
    return Handshake(
        None if has_placeholder(http_version) else http_version,
        _value(method, state) if method else "GET",
        tuple(headers),
        _hidden(level, version),
    )


@cached_on_level
def connection_variable(server: Level) -> str | None:
    """A variable that suits Connection here, if a map derives one from `$http_upgrade`.

    It says upgrade for a handshake, and does not for other requests.
    """
    http = server.nearest("http")
    names = [] if http is None else maps_of(http, "$http_upgrade")
    # The usual name first.
    for name in sorted(names, key=lambda one: one != "connection_upgrade"):
        plain = Request("http", None, None, "/")
        upgraded = RequestState(as_handshake(plain), server, "/", "").value(name)
        usual = RequestState(plain, server, "/", "").value(name)
        if _is_right("Connection", upgraded or "") and not _is_right("Connection", usual):
            rewritten = {
                row.args[0] for level in server.outward() for row in level.rows.get("set", [])
            }
            if f"${name}" not in rewritten:
                return name
    return None


def _doubt(level: Level, outcome: RewriteOutcome, state: RequestState) -> None:
    """Make variables unknown if `set` may have assigned them in conditional blocks."""
    if outcome.unknown:
        for block in _conditional(level):
            for row in block.rows.get("set", ()):
                state.variables[row.args[0].lstrip("$").lower()] = None


def _conditional(level: Level) -> list[Level]:
    return [one for one in level.children if one.kind.startswith("if")]


def _variable(header: str) -> str:
    """The name of a header in a variable, after `http_`."""
    return header.lower().replace("-", "_")


def _value(text: str, state: RequestState) -> str | None:
    return None if has_placeholder(text) else state.expand(text)


def _joined(texts: list[str], state: RequestState) -> str | None:
    """The value of a header with several rows: nginx sends all non-empty ones."""
    values = [_value(text, state) for text in texts]
    known = [value for value in values if value]
    return None if None in values else ", ".join(known)


def _is_right(name: str, value: str | None) -> bool:
    """Whether a header is valid for a handshake; an unknown value is assumed to be."""
    if value is None:
        return True
    if name == "Connection":
        return "upgrade" in {word.strip().lower() for word in value.split(",")}
    wanted = _SENT[name]
    return value.lower() == wanted if name == "Upgrade" else value == wanted


def _hidden(level: Level, version: Version) -> tuple[str, ...]:
    """The headers that a client needs but `proxy_hide_header` removes."""

    def named(directive: str) -> set[str]:
        return {arg.lower() for row in level.effective(directive, version).rows for arg in row}

    hidden = named("proxy_hide_header") - named("proxy_pass_header")
    return tuple(name for name in _NEEDED if name.lower() in hidden)
