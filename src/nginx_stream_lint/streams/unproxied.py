"""Declared streams that nginx does not proxy: it responds itself, or no server accepts them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from nginx_stream_lint.config import Configuration, Directive, Source, has_placeholder
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import clients
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.request_route import Route, route_in_server, route_request
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.declared_in_comments import commented_at
from nginx_stream_lint.streams.endpoint_routing import applies_to

# Directives of modules that handle requests in their own way, which is unknown here.
_OTHERS = (
    r"(?:content_by|rewrite_by|access_by)_lua\w*|js_content|perl|memcached_pass|drizzle_pass|"
    r"(?:nchan|push_stream|passenger)_\w+|rtmp_\w+|hls|f4f|mp4|flv|upload_pass|redis2?_pass"
)
NO_SERVER = "no server handles it"

Absent = Mapping[Level, Sequence[Directive]]


class UnproxiedReason(Struct, frozen=True):
    """Why nginx does not proxy a declared stream, in words, and the block that decides it.

    `unless` is a missing include that may pass the stream on.
    """

    words: str
    block: Directive | None = None
    unless: Directive | None = None


class Unproxied(Struct, frozen=True):
    """A stream that a comment declares although nothing is proxied there: the comment's place."""

    source: Source
    start: int
    end: int
    reason: UnproxiedReason


def unproxied_reasons(
    root: Level,
    version: Version,
    declarations: Iterable[Declaration],
    missing: Sequence[Directive] = (),
) -> dict[Declaration, list[UnproxiedReason]]:
    """Explain why declared paths and URLs are not proxied, by server.

    Empty if a server proxies them, or if nginx's response is unknown. Declarations for none of
    these servers are omitted. `missing` are missing includes (`Configuration.missing`).
    """
    http = root.first("http")
    declared = list(declarations)
    if http is None or not declared:
        return {}
    servers = list(clients(http, version))
    absent = _absent_in(root, missing)
    found: dict[Declaration, list[UnproxiedReason]] = {}
    for one in declared:
        if one.request.host is not None:
            ends = [route_request(root, one.request, version)]
        else:
            ends = [route_in_server(server, one.request, version) for server in servers]
        mine = [end for end in ends if _is_about(one, end)]
        if _is_unclear(http, absent) or any(_may_pass(end, absent) for end in mine):
            found[one] = []
        elif mine:
            found[one] = [_reason(end, _unless(one, end, root, http, absent)) for end in mine]
    return found


def _absent_in(root: Level, missing: Sequence[Directive]) -> Absent:
    """The missing includes of each level that has some."""
    if not missing:
        return {}
    absent = set(map(id, missing))
    found: dict[Level, list[Directive]] = {}
    for level in root.walk():
        work = [level.block]
        while work:
            for directive in work.pop():
                if id(directive) in absent:
                    found.setdefault(level, []).append(directive)
                work += (file.directives for file in directive.included)
    return found


def _unless(
    declaration: Declaration, end: Route, root: Level, http: Level, absent: Absent
) -> Directive | None:
    """The missing include that may hold the location or server for a stream."""
    if not absent:
        return None
    inner = end.location or end.server
    around = [] if inner is None else [level for level in inner.outward() if level is not http]
    rows = () if end.server is None else end.server.rows.get("server_name", ())
    if declaration.request.host is None or all(
        declaration.request.host not in row.args for row in rows
    ):
        around += [http, root]  # another server may be intended
    return next((absent[level][0] for level in around if level in absent), None)


def _is_about(declaration: Declaration, end: Route) -> bool:
    levels = [level for level in (end.server, end.location) if level is not None]
    return applies_to(declaration, *levels) if levels else declaration.where is None


def _is_unclear(level: Level, absent: Absent) -> bool:
    """Whether the handler at a level is unknown for reasons other than missing includes.

    Files that come with nginx, such as mime.types, contain no handlers.
    """
    return level.uncertain and any(
        unknown.may_set is None and all(unknown is not each for each in absent.get(one, ()))
        for one in level.outward()
        for unknown in one.unknowns
    )


def _may_pass(end: Route, absent: Absent) -> bool:
    """Whether nginx proxies a request, or may do so."""
    level = end.location or end.server
    if end.handler is not None or end.unknown:
        return True
    if level is None or end.server is None:
        return False
    hidden = any(
        has_placeholder(match_of(one).pattern) for one in end.server.walk() if one is not level
    )
    return _is_unclear(level, absent) or hidden or may_be_handled_otherwise(level)


def may_be_handled_otherwise(level: Level) -> bool:
    """Whether an unknown module may handle requests here."""
    return any(re.fullmatch(_OTHERS, name) for outer in level.outward() for name in outer.rows)


def _reason(end: Route, unless: Directive | None) -> UnproxiedReason:
    level = end.location
    block = level.directive if level is not None and level.kind == "location" else None
    if end.server is None:
        return UnproxiedReason(NO_SERVER, None, unless)
    if end.redirect is not None:
        return UnproxiedReason(f"nginx redirects it to {end.redirect}", block, unless)
    if end.status is not None:
        return UnproxiedReason(f"nginx returns {end.status}", block, unless)
    if end.rejected_by is not None:
        rejecting = "nginx rejects the TLS handshake (ssl_reject_handshake)"
        return UnproxiedReason(rejecting, end.rejected_by, unless)
    if end.other is not None:
        return UnproxiedReason(f"{end.other.directive.name} responds", block, unless)
    return UnproxiedReason("nginx serves a file", block, unless)


def unproxied_comments(
    configuration: Configuration, root: Level, proxied: Sequence[Level]
) -> Iterator[Unproxied]:
    """The streams that comments declare in locations without any proxied level.

    `proxied` are the proxied levels. A comment outside of locations applies to all of those inside.
    """
    passing = {outer for level in proxied for outer in level.outward()}
    commented = commented_at(configuration, root)
    absent = _absent_in(root, configuration.missing if commented else ())
    for (source, start, end), levels in commented.items():
        inside = [level for level in levels if level.kind == "location"]
        if len(inside) < len(levels) or not inside or any(level in passing for level in inside):
            continue
        if any(_is_unclear(level, absent) or may_be_handled_otherwise(level) for level in inside):
            continue
        status = next((row.args[0] for row in inside[0].rows.get("return", ()) if row.args), None)
        words = (
            "no location here has a handler such as proxy_pass"
            if status is None
            else f"nginx returns {status}"
        )
        parts = (part for level in inside for part in level.walk())
        unless = next((absent[part][0] for part in parts if part in absent), None)
        yield Unproxied(source, start, end, UnproxiedReason(words, inside[0].directive, unless))
