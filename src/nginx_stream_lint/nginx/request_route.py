"""The route of a request through a configuration: server, rewrites, location, redirects.

Source: the phases of nginx's src/http/ngx_http_core_module.c, its try_files module, and
ngx_http_special_response.c for error pages.
"""

from __future__ import annotations

from itertools import takewhile

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config import Directive, statements
from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.levels import Effective, Handler, Level, rows_in_force
from nginx_stream_lint.nginx.location_match import (
    limit_except_blocks,
    locate_uri,
    match_of,
    named_location,
)
from nginx_stream_lint.nginx.other_handlers import OtherHandler, other_handler
from nginx_stream_lint.nginx.pass_target import PassTarget, parse_target, refused_with
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.rewriting import REDIRECTS, RewriteOutcome, rewrite
from nginx_stream_lint.nginx.servers import (
    ListenSocket,
    ServerMatch,
    choose_server,
    choose_server_on,
    is_address,
)
from nginx_stream_lint.nginx.uri import escape_path, is_quoted, normalize
from nginx_stream_lint.nginx.values import MOST_STATUS, parse_size
from nginx_stream_lint.nginx.variables import RequestState
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.numbers import whole_number

# NGX_HTTP_MAX_URI_CHANGES: nginx gives up after this many rewrites and redirects.
_MAX_CHANGES = 10
# The default of large_client_header_buffers.
_LONGEST_LINE = 8192
_REDIRECTIONS = range(300, 400)
# nginx closes the connection instead of responding, unless a text is given.
_CLOSING = (408, 444, 499)
# nginx's own codes, which only error pages see.
_SENT_AS = {494: 400, 495: 400, 496: 400, 497: 400}


class RedirectStep(Struct, frozen=True):
    """An internal redirect on the route, and the directive that causes it."""

    why: str
    directive: Directive


class Route(Struct):
    """The end of a request's route.

    `location` is the level that finally handles the request: a location, an `if` or `limit_except`
    in one, or the server itself. `handler` passes it on to `filled`, its target with the variables
    filled in (None if unknown). Without a handler, `status` is nginx's response (None: a file, if
    there is one), `redirect` is the Location that the client gets, and `other` the module that
    responds. `rejected_by` is the directive that makes nginx refuse the TLS handshake. `lost` is
    the level of a handler that cannot connect, because its variables are empty, need a resolver, or
    name a cache that does not exist.
    `unknown` is the first part of the route that the configuration does not determine; the rest is
    the likeliest route. `state` is the request at its end, with its variables, and `tls_of` the
    server whose TLS settings apply: the one that the client names in its handshake, or the socket's
    default.
    """

    server: Level | None = None
    location: Level | None = None
    handler: Handler | None = None
    via: list[RedirectStep] = field(default_factory=list)
    status: int | None = None
    redirect: str | None = None
    uri: str = ""
    args: str = ""
    unknown: list[str] = field(default_factory=list)
    state: RequestState | None = None
    tls_of: Level | None = None
    filled: str | None = None
    other: OtherHandler | None = None
    rejected_by: Directive | None = None
    lost: Level | None = None

    @property
    def target(self) -> PassTarget | None:
        """The target that the request is passed to; None if unknown."""
        if self.handler is None or not self.filled:
            return None
        return parse_target(self.handler.family, self.filled)


def route_request(
    root: Level, request: Request, version: Version, files: DocumentRoot | None = None
) -> Route:
    """Route a request through the configuration. `files` is the document root; None if unknown."""
    http = root.first("http")
    chosen = choose_server(http, request, version) if http is not None else None
    if chosen is None:
        return Route()
    # The server that reads the request line: with TLS, the client has already named it.
    named = chosen.socket.tls and not is_address(request.host or "")
    reader = chosen.server if named else chosen.socket.default
    rejecting = rows_in_force(reader, "ssl_reject_handshake") if chosen.socket.tls else []
    if any(row.args == ("on",) for row in rejecting):
        return Route(reader, reader, rejected_by=rejecting[0])
    return _route_to(chosen, reader, request, version, files)


def route_on_socket(
    socket: ListenSocket, request: Request, version: Version, named: str | None = None
) -> Route:
    """Route a request that arrives at a socket; `named` is the server that TLS names (SNI)."""
    reader = socket.default
    if socket.tls and named is not None:
        reader = choose_server_on(socket, replace(request, host=named), version).server
    return _route_to(choose_server_on(socket, request, version), reader, request, version, None)


def _route_to(
    chosen: ServerMatch,
    reader: Level,
    request: Request,
    version: Version,
    files: DocumentRoot | None,
) -> Route:
    walk = _walk(chosen.server, request, version, files, reader)
    walk.socket = chosen.socket
    walk.found.tls_of = reader
    walk.found.unknown += [f'whether "{pattern}" matches' for pattern in chosen.unreadable]
    if chosen.bad_host:
        walk.refusal = walk.refusal or 400
        walk.state.host = ""
    walk.state.variables |= chosen.named
    walk.state.captures = chosen.numbered
    walk.start()
    return walk.result()


def route_in_server(server: Level, request: Request, version: Version) -> Route:
    """Route a request within one server; its host is ignored."""
    walk = _walk(server, request, version, None, server)
    walk.start()
    return walk.result()


def _walk(
    server: Level, request: Request, version: Version, files: DocumentRoot | None, reader: Level
) -> _RequestPhases:
    """A request before its first phase; an unreadable one stays with the server that reads it."""
    line = f"{request.method} {request.target} HTTP/1.1\r\n".encode("utf-8", "surrogateescape")
    too_long = len(line) > _longest_line(reader)
    merge = reader.effective("merge_slashes", version).text != "off"
    normal = normalize(request.target, merge)
    if normal is not None and not too_long:
        return _RequestPhases(Route(server), RequestState(request, server, *normal, files), version)
    unread = replace(request, host="", target="")
    walk = _RequestPhases(Route(reader), RequestState(unread, reader, "", "", files), version)
    walk.state.quoted = is_quoted(request.target)
    walk.refusal = 414 if too_long else 400
    return walk


def _longest_line(server: Level) -> int:
    """The maximum length of a request line, in bytes."""
    for level in server.outward():
        for row in level.rows.get("large_client_header_buffers", []):
            return parse_size(row.args[-1]) or _LONGEST_LINE
    return _LONGEST_LINE


class _RequestPhases:
    """One request through the phases; each internal redirect starts over."""

    def __init__(self, found: Route, state: RequestState, version: Version) -> None:
        self.found = found
        self.state = state
        self.version = version
        self.changes = _MAX_CHANGES + 1
        self.error_page_used = False
        # The original status of an error page, which the client gets.
        self.error_status = 0
        # Responses that nginx sends before the first phase.
        self.refusal: int | None = None
        # The socket that accepted the request; None if unknown.
        self.socket: ListenSocket | None = None
        # A subrequest of `auth_request` has no access checks of its own.
        self.is_subrequest = False

    def start(self) -> None:
        """Run the first phase."""
        if self.refusal is None:
            self._from_server()
        else:
            self._error(self.state.server, self.refusal)

    def result(self) -> Route:
        """The end of the route."""
        self.found.uri, self.found.args = self.state.uri, self.state.args
        self.found.state = self.state
        self.found.unknown += self.state.unknown
        if (self.found.status or 0) > MOST_STATUS:
            self.found.status = None
            self.found.unknown.append("the status, because it has more than three digits")
        if self.found.status not in _REDIRECTIONS:
            self.found.redirect = None
        elif self.found.redirect is not None and self.socket is not None:
            self.found.redirect = self._sent(self.found.redirect, self.socket)
        return self.found

    def _sent(self, redirect: str, socket: ListenSocket) -> str:
        """A Location header as nginx sends it: a path gets scheme, host and port."""
        level = self.found.location or self.state.server
        if not redirect.startswith("/") or _flag(level, "absolute_redirect", "on") == "off":
            return redirect
        if _flag(level, "server_name_in_redirect", "off") == "on":
            host = self.state.value("server_name")
        elif self.state.host == "":
            host = local_address(self.state.request)
        else:
            host = self.state.host if self.state.host is not None else self.state.value("host")
        if host is None:
            if self.state.request.host is not None:
                self.found.unknown.append("the address in nginx's redirect")
            return redirect
        port = self.state.request.port or socket.first_port
        if self.state.request.host is not None and self.state.request.port is None:
            port = 443 if socket.tls else 80
        usual = port == (443 if socket.tls else 80)
        if usual or _flag(level, "port_in_redirect", "on") == "off":
            authority = host
        else:
            authority = f"{host}:{port}"
        return f"{'https' if socket.tls else 'http'}://{authority}{redirect}"

    def _from_server(self) -> None:
        """Run the server's rewrite directives, then find the location."""
        server = self.state.server
        outcome = rewrite(server, self.state, self.version)
        self._note(outcome)
        if outcome.status is not None:
            self._respond(server, outcome.status, outcome.text)
            return
        self._find()

    def _find(self) -> None:
        """Find the location and apply its rewrites, until the URI no longer changes."""
        server = self.state.server
        while True:
            place = locate_uri(server, self.state.uri)
            if place.match is not None:
                self.state.matched(place.match)
            self.found.unknown += [f'whether "{pattern}" matches' for pattern in place.unreadable]
            level = place.level or server
            if not self.state.internal and any("internal" in one.rows for one in level.outward()):
                self._error(level, 404)
                return
            if place.redirects:
                self._moved(match_of(level).pattern)
                self._error(self._limited(level), 301)
                return
            if level is server:
                # No location: the server's rewrite directives have already run.
                self._content(server, [])
                return
            if not self._rewritten(self._limited(level)):
                return

    def _rewritten(self, level: Level) -> bool:
        """Run a location's rewrite directives; True if a new location has to be found.

        Otherwise the request has ended.
        """
        outcome = rewrite(level, self.state, self.version)
        self._note(outcome)
        last = outcome.entered[-1] if outcome.entered else level
        if outcome.status is not None:
            self._respond(last, outcome.status, outcome.text)
            return False
        if outcome.changed:
            return self._count(last)
        self._content(level, outcome.entered)
        return False

    def _limited(self, level: Level) -> Level:
        """The `limit_except` block of a location, if it applies to the method."""
        for limit in limit_except_blocks(level):
            if limit.directive is not None:
                allowed = {arg.upper() for arg in limit.directive.args}
                if "GET" in allowed:
                    allowed.add("HEAD")
                if self.state.method not in allowed:
                    return limit
        return level

    def _content(self, location: Level, entered: list[Level]) -> None:
        """Run access checks, try_files, then the handler; without one, respond with a file."""
        level = entered[-1] if entered else location
        refused = None if self.is_subrequest else self._refused(level)
        if refused is not None:
            self._error(level, refused)
            return
        rows = level.rows.get("try_files")
        if rows and self._try_files(rows[0], level):
            return
        setter = location
        for block in entered:
            if block.own_handler is not None or other_handler(block, "", "") is not None:
                setter = block
        other = other_handler(setter, self.state.uri, self.state.method)
        handler = setter.handler
        if other is not None:
            self.found.other = other
            self._end(level)
        elif handler is not None:
            # The module stays that of the last block that had one; its target is this block's.
            if level.handler is None or level.handler.family != handler.family:
                self._error(level, 500)
            else:
                self._pass(level, level.handler)
        else:
            self._file(level)

    def _pass(self, level: Level, handler: Handler) -> None:
        """Pass the request on, if its cache exists and the target can be connected to."""
        self.found.filled = handler.target
        status = self._without_cache(level, handler)
        if status is None and "$" in handler.target:
            self.found.filled = text = self.state.expand(handler.target)
            status = None if text is None else self._unreachable(level, handler, text)
        if status is None:
            self._end(level, handler=handler)
        else:
            self.found.lost = level
            self._error(level, status)

    def _without_cache(self, level: Level, handler: Handler) -> int | None:
        """The error status if variables name a cache that does not exist; None otherwise."""
        name = f"{handler.family}_cache"
        rows = rows_in_force(level, name)
        if not rows or not any("$" in arg for arg in rows[0].args):
            return None
        setting = level.effective(name, self.version)
        if handler.family not in BUFFERING_FAMILIES or setting.unknown_by is not None:
            return None
        # Imported here, because few locations have such a cache.
        from nginx_stream_lint.nginx.cache_settings import CacheSettings

        def settings(name: str) -> Effective:
            return level.effective(name, self.version)

        cache = CacheSettings(settings, handler.family, lambda: self.state, permitted=False)
        zone = cache.missing_zone(setting.text, self.state.method)
        if zone is None:
            return None
        self.found.via.append(RedirectStep(f'{name}: no zone is named "{zone}"', rows[0]))
        return 500

    def _unreachable(self, level: Level, handler: Handler, text: str) -> int | None:
        """The error status if a target with variables leads nowhere; None otherwise."""
        target = parse_target(handler.family, text)
        http = level.nearest("http")
        resolver = level.effective("resolver", self.version)
        # Around a fragment there may be one.
        unseen = resolver.unknown_by is not None or (http is not None and not http.directive)
        status = refused_with(target, http, bool(resolver.rows) or unseen)
        if status is not None:
            why = "is not a valid target" if target is None else "needs a resolver; none is set"
            step = f'{handler.directive.name}: "{text}" {why}'
            self.found.via.append(RedirectStep(step, handler.directive))
        return status

    def _refused(self, level: Level) -> int | None:
        """The status of a request that the access phase rejects; None if it is allowed."""
        denied = _denies_all(level)
        satisfy = rows_in_force(level, "satisfy")
        if not any(row.args == ("any",) for row in satisfy):
            return 403 if denied else self._auth_status(level)
        password = rows_in_force(level, "auth_basic")
        users = rows_in_force(level, "auth_basic_user_file")
        if users and any(row.args != ("off",) for row in password):
            return None  # a password may be enough
        if not denied and rows_in_force(level, "allow"):
            return None
        has_auth = any(row.args != ("off",) for row in rows_in_force(level, "auth_request"))
        return self._auth_status(level) if has_auth else 403 if denied else None

    def _auth_status(self, level: Level) -> int | None:
        """The result of an `auth_request` to another location; None if it allows access.

        An app's response there, or one that depends on the client's headers, is assumed to allow
        it.
        """
        row = next(iter(rows_in_force(level, "auth_request")), None)
        if row is None or row.args == ("off",) or not row.args:
            return None
        state = self.state.subrequest(row.args[0])
        inner = _RequestPhases(Route(state.server), state, self.version)
        inner.is_subrequest = True
        inner.start()
        self.state.after(state)
        status = inner.found.status
        if inner.found.unknown:
            self.found.unknown.append(f"whether auth_request {row.args[0]} allows the request")
            return None
        if status is None or 200 <= status < 300:
            return None
        self.found.via.append(RedirectStep(f"auth_request {row.args[0]}: {status}", row))
        return status if status in (401, 403, *_CLOSING) else 500

    def _file(self, level: Level) -> None:
        """Respond with a file; it is assumed to be missing if the files are unknown."""
        method, uri = self.state.method, self.state.uri
        if method not in ("GET", "HEAD", "POST"):
            self._error(level, 405)
        elif uri.endswith("/") and self._index(level):
            pass
        elif self.state.files is None:
            if level.effective("error_page", self.version).rows:
                self._error(level, 404, "file assumed missing: ")
            else:
                self._end(level)
        elif self._there(uri, folder=True):
            if not uri.endswith("/"):
                self._moved(f"{uri}/")
            self._error(level, 403 if uri.endswith("/") else 301)
        elif not self._there(uri):
            self._error(level, 404)
        elif method == "POST":
            self._error(level, 405)
        else:
            self._end(level, status=self.error_status or None)

    def _index(self, level: Level) -> bool:
        """Redirect to the index of a folder, or fail without one; False if that is unknown."""
        rows = next((one.rows["index"] for one in level.outward() if "index" in one.rows), [])
        passed_over = ""
        for name in [arg for row in rows for arg in row.args] or ["index.html"]:
            file = self.state.expand(name)
            if file is None:
                if self.state.files is None:
                    passed_over = name
                    continue
                self.found.unknown.append(f'the value of "{name}" in index')
                return False
            if file.startswith("/"):
                if passed_over:
                    self.found.unknown.append(f"whether {passed_over} exists in {self.state.uri}")
                self.found.via.append(RedirectStep(f"index {file}", rows[0]))
                self._redirect(file, level, self.state.args)
                return True
            if self.state.files is None:
                passed_over = file
                continue
            path = self.state.uri + file
            if self._there(path):
                self._redirect(path, level, self.state.args)
                return True
            if not self._there(self.state.uri, folder=True):
                self._error(level, 404)
                return True
        return False

    def _try_files(self, directive: Directive, level: Level) -> bool:
        *names, fallback = directive.args
        for name in names:
            folder = name.endswith("/")
            uri = self.state.expand(name[:-1] if folder else name)
            if self.state.files is not None and uri is not None and self._there(uri, folder):
                self.state.uri = uri
                return False
        if fallback.startswith("="):
            status = whole_number(fallback[1:])
            self._error(level, 500 if status is None else status)
            return True
        target = self.state.expand(fallback)
        if target is None:
            self.found.unknown.append(f'the value of "{fallback}" in try_files')
            self._end(level)
            return True
        known = self.state.files is not None
        why = "try_files: no file" if known else "try_files: files are unknown (see --root)"
        self.found.via.append(RedirectStep(f"{why}, so {target}", directive))
        self._leave(target, level)
        return True

    def _there(self, uri: str, folder: bool = False) -> bool:
        """Whether a file or a folder exists."""
        files = self.state.files
        return files is not None and files.has(f"{files.folder}{uri}", "d" if folder else "f")

    def _moved(self, path: str) -> None:
        """Redirect the client to a path, with the arguments unchanged."""
        args = self.state.args
        self.found.redirect = escape_path(path) + (f"?{args}" if args else "")

    def _leave(self, target: str, level: Level) -> None:
        """Continue at a named location, or at a URI with its arguments."""
        if target.startswith("@"):
            self._named(target, level)
        else:
            uri, _, args = target.partition("?")
            self._redirect(uri, level, args)

    def _redirect(self, uri: str, level: Level, args: str) -> None:
        """Redirect internally."""
        if self._count(level):
            self.state.internal = True
            self.state.uri, self.state.args = uri, args
            self._from_server()

    def _named(self, name: str, level: Level) -> None:
        if not self._count(level):
            return
        location = named_location(self.state.server, name[1:])
        if location is None or not self.state.uri:
            self._error(level, 500)
            return
        self.state.internal = True
        if self._rewritten(self._limited(location)):
            self._find()

    def _respond(self, level: Level, status: int, text: str | None) -> None:
        """Record the response of `return` or of a redirecting `rewrite`."""
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
        """Record an error response, which an error page may replace."""
        self.error_status = status
        pages = level.effective("error_page", self.version)
        if pages.rows and not self.error_page_used and self.changes:
            recursive = level.effective("recursive_error_pages", self.version).text == "on"
            self.error_page_used = not recursive
            for row in pages.directives:
                if str(status) in row.args[:-1]:
                    self._error_page(row, level, status, why)
                    return
        self._end(level, status=_SENT_AS.get(status, status))

    def _error_page(self, row: Directive, level: Level, status: int, why: str) -> None:
        target = row.args[-1]
        instead = next((one[1:] for one in row.args[:-1] if one.startswith("=")), None)
        overwritten = whole_number(instead or "") or 0
        if instead is not None:
            self.error_status = overwritten
        expanded = self.state.expand(target)
        if expanded is None:
            self.found.unknown.append(f'the value of "{target}" in error_page')
            self._end(level, status=status)
        elif expanded.startswith(("/", "@")):
            self.found.via.append(RedirectStep(f"{why}error_page {status} to {expanded}", row))
            if expanded.startswith("/") and self.state.method != "HEAD":
                self.state.method = "GET"
            self._leave(expanded, level)
        else:
            self.found.redirect = expanded
            self._end(level, status=overwritten if overwritten in REDIRECTS else 302)

    def _count(self, level: Level) -> bool:
        """Count a change of the URI; False, and the end, if there are too many."""
        self.changes -= 1
        if self.changes:
            return True
        self._error(level, 500)
        return False

    def _note(self, outcome: RewriteOutcome) -> None:
        self.found.via += [RedirectStep(why, directive) for why, directive in outcome.steps]
        self.found.unknown += outcome.unknown

    def _end(self, level: Level, handler: Handler | None = None, status: int | None = None) -> None:
        self.found.location = level
        self.found.handler = handler
        self.found.status = status


def _flag(level: Level, name: str, default: str) -> str:
    rows = rows_in_force(level, name)
    return rows[0].args[0].lower() if rows and rows[0].args else default


def local_address(request: Request) -> str | None:
    """Return the local address of a request, without brackets; None if unknown."""
    host = request.host or ""
    return host.strip("[]") if is_address(host) else None


def _denies_all(level: Level) -> bool:
    """Whether access is denied to all clients; a partial allow list is treated as permission."""
    for one in level.outward():
        if "deny" in one.rows:
            if "allow" not in one.rows:
                return any(row.args == ("all",) for row in one.rows["deny"])
            rules = (row for row in statements(one.block) if row.name in ("allow", "deny"))
            before = takewhile(lambda row: row.name == "deny", rules)
            return any(row.args == ("all",) for row in before)
        if "allow" in one.rows:
            return False
    return False
