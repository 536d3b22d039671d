"""Declared streams that nginx passes to no app: it answers them itself, or no server takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from nginx_stream_lint.config import Configuration, Directive, Source, has_hole
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import clients
from nginx_stream_lint.nginx.route import Route, route, route_in
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.find import commented_at
from nginx_stream_lint.streams.landing import is_for
from nginx_stream_lint.util.lazily import dataclass, regex

# Directives of modules that answer in a location without passing the request on as we know it.
_OTHERS = regex(
    r"(?:content_by|rewrite_by|access_by)_lua\w*|js_content|perl|memcached_pass|drizzle_pass|"
    r"(?:nchan|push_stream|passenger)_\w+|rtmp_\w+|hls|f4f|mp4|flv|upload_pass|redis2?_pass"
)
NO_SERVER = "no server takes it"


@dataclass(frozen=True, slots=True)
class Answer:
    """What nginx does with a declared stream instead, in words, and the block that does it."""

    words: str
    block: Directive | None = None


@dataclass(frozen=True, slots=True)
class Unproxied:
    """A stream that a comment declares where nothing is passed on: the comment's place."""

    source: Source
    start: int
    end: int
    answer: Answer


def answers(
    root: Level, version: Version, declarations: Iterable[Declaration]
) -> dict[Declaration, list[Answer]]:
    """What nginx does with declared paths and URLs, by server; empty where one passes it on.

    It is empty, too, where nobody can see what nginx does. A declaration that is for none of these
    servers is left out.
    """
    http = root.first("http")
    if http is None:
        return {}
    servers = list(clients(http, version))
    found: dict[Declaration, list[Answer]] = {}
    for one in declarations:
        if one.request.host is not None:
            ends = [route(root, one.request, version)]
        else:
            ends = [route_in(server, one.request, version) for server in servers]
        mine = [end for end in ends if _is_about(one, end)]
        if http.uncertain or any(map(_may_pass, mine)):
            found[one] = []
        elif mine:
            found[one] = [_answer(end) for end in mine]
    return found


def _is_about(one: Declaration, end: Route) -> bool:
    levels = [level for level in (end.server, end.location) if level is not None]
    return is_for(one, *levels) if levels else one.where is None


def _may_pass(end: Route) -> bool:
    """Whether nginx passes a request on, or nobody can see that it does not."""
    level = end.location or end.server
    if end.handler is not None or end.unknown:
        return True
    if level is None or end.server is None:
        return False
    hidden = any(has_hole(match_of(one).pattern) for one in end.server.walk() if one is not level)
    return level.uncertain or hidden or answers_otherwise(level)


def answers_otherwise(level: Level) -> bool:
    """Whether a module that we know nothing of may answer here."""
    return any(_OTHERS.fullmatch(name) for outer in level.outward() for name in outer.rows)


def _answer(end: Route) -> Answer:
    level = end.location
    block = level.directive if level is not None and level.kind == "location" else None
    if end.server is None:
        return Answer(NO_SERVER)
    if end.redirect is not None:
        return Answer(f"nginx redirects it to {end.redirect}", block)
    if end.status is not None:
        return Answer(f"nginx returns {end.status}", block)
    if end.rejected_by is not None:
        return Answer("nginx rejects the TLS handshake (ssl_reject_handshake)", end.rejected_by)
    if end.other is not None:
        return Answer(f"{end.other.directive.name} responds", block)
    return Answer("nginx looks for a file", block)


def unproxied_comments(
    configuration: Configuration, root: Level, served: Sequence[Level]
) -> Iterator[Unproxied]:
    """The streams that comments declare in locations of which none passes anything on.

    `served` are the levels that do. A comment outside of locations is for all that do there.
    """
    passing = {outer for level in served for outer in level.outward()}
    for (source, start, end), levels in commented_at(configuration, root).items():
        inside = [level for level in levels if level.kind == "location"]
        if len(inside) < len(levels) or not inside or any(level in passing for level in inside):
            continue
        if any(level.uncertain or answers_otherwise(level) for level in inside):
            continue
        status = next((row.args[0] for row in inside[0].rows.get("return", ()) if row.args), None)
        words = "nginx passes nothing on here" if status is None else f"nginx returns {status}"
        yield Unproxied(source, start, end, Answer(words, inside[0].directive))
