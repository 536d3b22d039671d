"""The way of a request through a configuration: server, rewriting, location, internal redirects.

Source: the phases of nginx's src/http/ngx_http_core_module.c, its try_files module, and
ngx_http_special_response.c for error pages.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from nginx_stream_lint.config import Directive, statements
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.rewriting import REDIRECTS, Outcome, rewrite
from nginx_stream_lint.nginx.routing import Match, locate, match_of
from nginx_stream_lint.nginx.servers import choose
from nginx_stream_lint.nginx.uri import escape_path, normalize
from nginx_stream_lint.nginx.variables import State
from nginx_stream_lint.nginx.versions import Version

# NGX_HTTP_MAX_URI_CHANGES: after as many rewrites and redirects nginx gives up.
_MAX_CHANGES = 10
_REDIRECTIONS = range(300, 400)
# nginx closes the connection instead of answering, unless a text is given.
_CLOSING = (408, 444, 499)
# nginx's own codes, which only error pages see.
_SENT_AS = {494: 400, 495: 400, 496: 400, 497: 400}


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
    default = chosen.socket.default
    walk = _walk(chosen.server, request, version, files, default)
    walk.found.unknown += [f'what "{pattern}" matches' for pattern in chosen.unreadable]
    if chosen.bad_host:
        walk.refuse()
    else:
        walk.state.variables |= chosen.named
        walk.state.captures = chosen.numbered
        walk.start()
    return walk.result()


def route_in(server: Level, request: Request, version: Version) -> Route:
    """The way of a request that this server gets, whatever its host."""
    walk = _walk(server, request, version, None, server)
    walk.start()
    return walk.result()


def _walk(
    server: Level, request: Request, version: Version, files: Path | None, default: Level
) -> _Walk:
    """A request that has been read, before its first phase."""
    # The host is not known yet when the target is read.
    merge = default.effective("merge_slashes", version).text != "off"
    normal = normalize(request.target, merge)
    if normal is None:
        server = default
    uri, args = normal or ("", "")
    return _Walk(Route(server), State(request, server, uri, args, files), version)


class _Walk:
    """One request through the phases; each internal redirect starts over."""

    def __init__(self, found: Route, state: State, version: Version) -> None:
        self.found = found
        self.state = state
        self.version = version
        self.changes = _MAX_CHANGES + 1
        self.error_page_used = False
        # What an error page was for: the client gets that status with it.
        self.error_status = 0

    def start(self) -> None:
        """The first phase."""
        if self.state.uri:
            self._from_server()
        else:
            self.refuse()

    def refuse(self) -> None:
        """Answer 400 before the request has been read."""
        self._error(self.state.server, 400)

    def result(self) -> Route:
        """Where the request has ended."""
        self.found.uri, self.found.args = self.state.uri, self.state.args
        if self.found.status not in _REDIRECTIONS:
            self.found.redirect = None
        return self.found

    def _from_server(self) -> None:
        """The server's rewrite directives, then the location."""
        server = self.state.server
        outcome = rewrite(server, self.state, self.version)
        self._note(outcome)
        if outcome.status is not None:
            self._answer(server, outcome.status, outcome.text)
            return
        self._find()

    def _find(self) -> None:
        """Find the location and carry out what it rewrites, until the URI stays as it is."""
        server = self.state.server
        while True:
            place = locate(server, self.state.uri)
            if place.match is not None:
                self.state.matched(place.match)
            self.found.unknown += [f'what "{pattern}" matches' for pattern in place.unreadable]
            level = place.level or server
            if not self.state.internal and any("internal" in one.rows for one in level.outward()):
                self._error(level, 404)
                return
            if place.redirects:
                to = escape_path(match_of(level).pattern)
                self.found.redirect = f"{to}?{self.state.args}" if self.state.args else to
                self._error(self._limited(level), 301)
                return
            if level is server:
                # No location: the server's rewrite directives have been carried out already.
                self._content(server, [])
                return
            if not self._rewritten(self._limited(level)):
                return

    def _rewritten(self, level: Level) -> bool:
        """Carry out a location's rewrite directives; True if a new location has to be found.

        Otherwise the request has ended.
        """
        outcome = rewrite(level, self.state, self.version)
        self._note(outcome)
        last = outcome.entered[-1] if outcome.entered else level
        if outcome.status is not None:
            self._answer(last, outcome.status, outcome.text)
            return False
        if outcome.changed:
            return self._count(last)
        self._content(level, outcome.entered)
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

    def _content(self, location: Level, entered: list[Level]) -> None:
        """Access, try_files, then the handler; without one, a file."""
        level = entered[-1] if entered else location
        if _denies_all(level):
            self._error(level, 403)
            return
        rows = level.rows.get("try_files")
        if rows and self._try_files(rows[0], level):
            return
        setter = next((one for one in reversed(entered) if one.own_handler), location)
        handler = setter.handler
        if handler is not None:
            # The module stays the one of the last block that had one, its target is this block's.
            if level.handler is None or level.handler.family != handler.family:
                self._error(level, 500)
            else:
                self._end(level, handler=level.handler)
        elif _answers_otherwise(level):
            self._end(level)
        else:
            self._file(level)

    def _file(self, level: Level) -> None:
        """Answer with a file, which is taken to be missing where files are unknown."""
        if self.state.method not in ("GET", "HEAD", "POST"):
            self._error(level, 405)
            return
        uri, files = self.state.uri, self.state.files
        if uri.endswith("/") and self._index(level):
            return
        if files is None:
            if level.effective("error_page", self.version).rows:
                self._error(level, 404, "no file there, so far as is known: ")
            else:
                self._end(level)
        elif self._there(uri):
            if uri.endswith("/"):
                self._error(level, 403)
            else:
                self._end(level)
        elif not uri.endswith("/") and self._there(f"{uri}/"):
            self.found.redirect = f"{uri}/"
            self._error(level, 301)
        else:
            self._error(level, 404)

    def _index(self, level: Level) -> bool:
        """Redirect to the index of a folder; False where none is there for sure."""
        row = next((one.rows["index"][-1] for one in level.outward() if "index" in one.rows), None)
        if self.state.method in ("GET", "HEAD", "POST"):
            for name in row.args if row is not None else ("index.html",):
                file = self.state.expand(name)
                if file is None:
                    return False
                path = file if file.startswith("/") else self.state.uri + file
                if file.startswith("/") or (self.state.files is not None and self._there(path)):
                    if row is not None:
                        self.found.via.append(Step(f"index {path}", row))
                    self._redirect(path, level, self.state.args)
                    return True
        return False

    def _try_files(self, directive: Directive, level: Level) -> bool:
        *names, fallback = directive.args
        for name in names:
            expanded = self.state.expand(name)
            if self.state.files is not None and expanded is not None and self._there(expanded):
                self.state.uri = expanded
                return False
        if fallback.startswith("="):
            self._error(level, int(fallback[1:]) if fallback[1:].isdigit() else 500)
            return True
        target = self.state.expand(fallback)
        if target is None:
            self.found.unknown.append(f'what "{fallback}" in try_files stands for')
            self._end(level)
            return True
        known = self.state.files is not None
        why = "try_files: no file" if known else "try_files: files are unknown"
        self.found.via.append(Step(f"{why}, so {target}", directive))
        self._leave(target, level)
        return True

    def _there(self, uri: str) -> bool:
        """Whether a file is there, or a folder where the URI ends with a slash."""
        assert self.state.files is not None
        path = f"{self.state.files}/{uri}"
        return os.path.isdir(path) if uri.endswith("/") else os.path.isfile(path)

    def _leave(self, target: str, level: Level) -> None:
        """Go on at a named location, or at a URI with its arguments."""
        if target.startswith("@"):
            self._named(target, level)
        else:
            uri, _, args = target.partition("?")
            self._redirect(uri, level, args)

    def _redirect(self, uri: str, level: Level, args: str) -> None:
        """An internal redirect."""
        if self._count(level):
            self.state.internal = True
            self.state.uri, self.state.args = uri, args
            self._from_server()

    def _named(self, name: str, level: Level) -> None:
        if not self._count(level):
            return
        for child in self.state.server.children:
            named = child.kind == "location" and match_of(child) == Match("@", name[1:])
            if named and self.state.uri:
                self.state.internal = True
                if self._rewritten(self._limited(child)):
                    self._find()
                return
        self._error(level, 500)

    def _answer(self, level: Level, status: int, text: str | None) -> None:
        """What `return` or a redirecting `rewrite` gives."""
        if text is not None and status in REDIRECTS:
            self.found.redirect = text
            self._error(level, status)
        elif text is not None:
            self._end(level, status=self.error_status or status)
        elif status in _CLOSING:
            self._end(level, status=status)
        else:
            self._error(level, status)

    def _error(self, level: Level, status: int, why: str = "") -> None:
        """An answer that an error page may take the place of."""
        self.error_status = status
        pages = level.effective("error_page", self.version)
        if pages.rows and not self.error_page_used and self.changes:
            recursive = level.effective("recursive_error_pages", self.version).text == "on"
            self.error_page_used = not recursive
            for row in pages.directives:
                *codes, target = row.args
                instead = codes.pop() if codes and codes[-1].startswith("=") else None
                if str(status) in codes:
                    if instead is not None:
                        self.error_status = int(instead[1:]) if instead[1:].isdigit() else 0
                    self._error_page(row, target, level, status, why)
                    return
        self._end(level, status=_SENT_AS.get(status, status))

    def _error_page(self, row: Directive, target: str, level: Level, status: int, why: str) -> None:
        expanded = self.state.expand(target)
        if expanded is None:
            self.found.unknown.append(f'what "{target}" in error_page stands for')
            self._end(level, status=status)
        elif expanded.startswith(("/", "@")):
            self.found.via.append(Step(f"{why}error_page {status} to {expanded}", row))
            if expanded.startswith("/") and self.state.method != "HEAD":
                self.state.method = "GET"
            self._leave(expanded, level)
        else:
            self.found.redirect = expanded
            self._end(level, status=self.error_status if self.error_status in REDIRECTS else 302)

    def _count(self, level: Level) -> bool:
        """Count a change of the URI; False, and the end, when there have been too many."""
        self.changes -= 1
        if self.changes:
            return True
        self._error(level, 500)
        return False

    def _note(self, outcome: Outcome) -> None:
        self.found.via += [Step(why, directive) for why, directive in outcome.steps]
        self.found.unknown += outcome.unknown

    def _end(
        self, level: Level, handler: Handler | None = None, status: int | None = None
    ) -> None:
        self.found.location = level
        self.found.handler = handler
        self.found.status = status


def _denies_all(level: Level) -> bool:
    """Whether nobody gets in; what lets some clients in is taken to let this one in."""
    for one in level.outward():
        if "allow" in one.rows or "deny" in one.rows:
            first = next(row for row in statements(one.block) if row.name in ("allow", "deny"))
            return (first.name, *first.args) == ("deny", "all")
    return False


def _answers_otherwise(level: Level) -> bool:
    """Whether a module that is no proxy answers here."""
    return any(
        name in level.rows
        for name in ("content_by_lua_block", "content_by_lua", "content_by_lua_file", "js_content",
                     "stub_status", "empty_gif", "memcached_pass", "echo", "perl", "tunnel_pass",
                     "dav_methods", "autoindex")
    )  # fmt: skip
