"""The way of a request through a configuration: server, rewriting, location, internal redirects.

Source: the phases of nginx's src/http/ngx_http_core_module.c, its try_files module, and
ngx_http_special_response.c for error pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.request import Request, normalize
from nginx_stream_lint.nginx.rewriting import Outcome, rewrite
from nginx_stream_lint.nginx.routing import Found, Match, locate, match_of
from nginx_stream_lint.nginx.servers import choose
from nginx_stream_lint.nginx.variables import State
from nginx_stream_lint.nginx.versions import Version

# NGX_HTTP_MAX_URI_CHANGES: after as many rewrites and redirects nginx gives up.
_MAX_CHANGES = 10


@dataclass(frozen=True, slots=True)
class Step:
    """An internal redirect on the way, and the directive that made it."""

    why: str
    directive: Directive


@dataclass(slots=True)
class Route:
    """Where a request ends.

    `location` is the level that finally handles it: a location, an `if` or `limit_except` in one,
    or the server itself. `handler` passes it on; where nobody does, `status` is what nginx answers
    (None: a file, if there is one). `unknown` says what could not be decided from the
    configuration; what is told then is the likeliest way.
    """

    server: Level | None = None
    location: Level | None = None
    handler: Handler | None = None
    via: list[Step] = field(default_factory=list)
    status: int | None = None
    redirect: str | None = None
    uri: str = ""
    args: str = ""
    unknown: list[str] = field(default_factory=list)


def route(root: Level, request: Request, version: Version, files: Path | None = None) -> Route:
    """The way of a request. `files` is a folder that stands for every `root`; None: unknown."""
    http = root.first("http")
    chosen = choose(http, request, version) if http is not None else None
    if chosen is None:
        return Route()
    return _walk(chosen.server, request, version, files, chosen.captures, chosen.numbered)


def route_in(server: Level, request: Request, version: Version) -> Route:
    """The way of a request that this server gets, whatever its host."""
    return _walk(server, request, version, None, {}, ())


def _walk(
    server: Level,
    request: Request,
    version: Version,
    files: Path | None,
    named: Mapping[str, str],
    numbered: tuple[str, ...],
) -> Route:
    found = Route(server=server)
    merge = server.effective("merge_slashes", version).text != "off"
    normal = normalize(request.target, merge)
    if normal is None:
        found.location, found.status = server, 400
        return found
    state = State(request, server, normal[0], normal[1], request.method, dict(named))
    state.captures = numbered
    _Walk(found, state, version, files).from_server()
    found.uri, found.args = state.uri, state.args
    return found


class _Walk:
    """One request through the phases; each internal redirect starts over."""

    def __init__(self, found: Route, state: State, version: Version, files: Path | None) -> None:
        self.found = found
        self.state = state
        self.version = version
        self.files = files
        self.changes = _MAX_CHANGES + 1
        self.error_page_used = False

    def from_server(self) -> None:
        """The server's rewrite directives, then the location."""
        assert self.found.server is not None
        server = self.found.server
        outcome = rewrite(server, self.state)
        self._note(outcome)
        if outcome.status is not None:
            self._answer(outcome.level, outcome)
            return
        self._find()

    def _find(self) -> None:
        """Find the location and carry out what it rewrites, until the URI stays as it is."""
        assert self.found.server is not None
        server = self.found.server
        while True:
            place = locate(server, self.state.uri)
            self._capture(place)
            level = place.level or server
            if place.redirects:
                self._end(level, status=301, redirect=match_of(level).pattern)
                return
            if level.rows.get("internal") and not self.state.internal:
                self._error(level, 404)
                return
            level = self._limited(level)
            if level is server:
                # No location: the server's rewrite directives have been carried out already.
                self._content(server)
                return
            if not self._rewritten(level):
                return

    def _rewritten(self, level: Level) -> bool:
        """Carry out a location's rewrite directives; True if a new location has to be found.

        Otherwise the request has ended.
        """
        outcome = rewrite(level, self.state)
        self._note(outcome)
        level = self._limited(outcome.level)
        if outcome.status is not None:
            self._answer(level, outcome)
            return False
        if outcome.changed:
            return self._count(level)
        self._content(level)
        return False

    def _limited(self, level: Level) -> Level:
        """The `limit_except` block of a location, for methods that it does not name."""
        for child in level.children:
            if child.kind == "limit_except" and child.directive is not None:
                allowed = {arg.upper() for arg in child.directive.args}
                if "GET" in allowed:
                    allowed.add("HEAD")
                if self.state.method not in allowed:
                    return child
        return level

    def _content(self, level: Level) -> None:
        """try_files, then the handler; without one a file, which is taken to be missing."""
        rows = level.rows.get("try_files")
        if rows and self._try_files(rows[0], level):
            return
        handler = level.handler
        if handler is not None:
            self._end(level, handler=handler)
            return
        if _answers_otherwise(level):
            self._end(level)
            return
        if self.files is not None and self._file_there(self.state.uri):
            self._end(level)
            return
        if level.effective("error_page", self.version).rows:
            self._error(level, 404, "no file there, so far as is known: ")
            return
        self._end(level, status=404 if self.files is not None else None)

    def _try_files(self, directive: Directive, level: Level) -> bool:
        *names, fallback = directive.args
        for name in names:
            expanded = self.state.expand(name)
            if self.files is not None and expanded is not None and self._file_there(expanded):
                self.state.uri = expanded
                return False
        why = "try_files: no file" if self.files is not None else "try_files: files are unknown"
        if fallback.startswith("="):
            self._error(level, int(fallback[1:]) if fallback[1:].isdigit() else 500)
            return True
        target = self.state.expand(fallback)
        if target is None:
            self.found.unknown.append(f'what "{fallback}" in try_files stands for')
            self._end(level)
            return True
        self.found.via.append(Step(f"{why}, so {target}", directive))
        self._redirect(target, level)
        return True

    def _file_there(self, uri: str) -> bool:
        assert self.files is not None
        path = self.files / uri.lstrip("/")
        return path.is_dir() if uri.endswith("/") else path.is_file()

    def _redirect(self, target: str, level: Level) -> None:
        """An internal redirect to a named location or a URI."""
        if not self._count(level):
            return
        self.state.internal = True
        if target.startswith("@"):
            self._named(target, level)
            return
        self.state.uri, _, self.state.args = target.partition("?")
        self.from_server()

    def _named(self, name: str, level: Level) -> None:
        assert self.found.server is not None
        for child in self.found.server.children:
            if child.kind == "location" and match_of(child) == Match("@", name[1:]):
                if self._rewritten(self._limited(child)):
                    self._find()
                return
        self._end(level, status=500)

    def _answer(self, level: Level, outcome: Outcome) -> None:
        """What `return` or a redirecting `rewrite` gives."""
        assert outcome.status is not None
        if outcome.text is not None and outcome.status in (301, 302, 303, 307, 308):
            self._error(level, outcome.status, redirect=outcome.text)
        elif outcome.text is not None:
            self._end(level, status=outcome.status)
        else:
            self._error(level, outcome.status)

    def _error(self, level: Level, status: int, why: str = "", redirect: str | None = None) -> None:
        """An answer that an error page may take the place of."""
        pages = level.effective("error_page", self.version)
        if not self.error_page_used and self.changes:
            recursive = level.effective("recursive_error_pages", self.version).text == "on"
            self.error_page_used = not recursive
            for row in pages.directives:
                *codes, target = row.args
                if codes and codes[-1].startswith("="):
                    codes = codes[:-1]
                if str(status) in codes:
                    self._error_page(row, target, level, status, why)
                    return
        self._end(level, status=status, redirect=redirect)

    def _error_page(self, row: Directive, target: str, level: Level, status: int, why: str) -> None:
        expanded = self.state.expand(target)
        if expanded is None:
            self.found.unknown.append(f'what "{target}" in error_page stands for')
            self._end(level, status=status)
        elif expanded.startswith(("/", "@")):
            self.found.via.append(Step(f"{why}error_page {status} to {expanded}", row))
            if expanded.startswith("/") and self.state.method != "HEAD":
                self.state.method = "GET"
            self._redirect(expanded, level)
        else:
            self._end(level, status=302, redirect=expanded)

    def _count(self, level: Level) -> bool:
        """Count a change of the URI; False, and the end, when there have been too many."""
        self.changes -= 1
        if self.changes:
            return True
        self._end(level, status=500)
        return False

    def _capture(self, place: Found) -> None:
        if place.match is not None:
            self.state.captures = place.match.captures
            self.state.variables |= place.match.named
        self.found.unknown += [f'what "{pattern}" matches' for pattern in place.unreadable]

    def _note(self, outcome: Outcome) -> None:
        self.found.via += [Step(why, directive) for why, directive in outcome.steps]
        self.found.unknown += outcome.unknown

    def _end(
        self,
        level: Level,
        handler: Handler | None = None,
        status: int | None = None,
        redirect: str | None = None,
    ) -> None:
        self.found.location = level
        self.found.handler = handler
        self.found.status = status
        self.found.redirect = redirect


def _answers_otherwise(level: Level) -> bool:
    """Whether a module that is no proxy answers here."""
    return any(
        name in level.rows
        for name in ("content_by_lua_block", "content_by_lua", "content_by_lua_file", "js_content",
                     "stub_status", "empty_gif", "memcached_pass", "echo", "perl", "tunnel_pass")
    )  # fmt: skip
