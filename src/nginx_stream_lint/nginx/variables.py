"""nginx variables, as far as a URL and the configuration determine them.

A request for routing has no headers but Host and the given ones: the variables of other headers are
empty. Values that depend on the client's address, on time or on modules are unknown (None).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from copy import copy

from msgspec import Struct, field

from nginx_stream_lint.config import Directive, statements
from nginx_stream_lint.nginx.document_root import DocumentRoot
from nginx_stream_lint.nginx.hostnames import HostnameTable, lower
from nginx_stream_lint.nginx.levels import Level, cached_on_level
from nginx_stream_lint.nginx.pcre import Pattern, RegexMatch, Undecided, compile_pattern
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.servers import host_of
from nginx_stream_lint.nginx.uri import escape_arguments, is_quoted
from nginx_stream_lint.nginx.variable_syntax import pieces, variables_in, without_variables
from nginx_stream_lint.util.numbers import whole_number
from nginx_stream_lint.util.remembering import remembered

_GROUP_NAME = re.compile(r"\(\?(?:P?<|')(\w+)[>']", re.ASCII)
_MAX_MAPS = 50  # nested maps: deeper ones are circular
# A few lines can double a value repeatedly, or look into maps without end.
_MAX_VALUE = 16 * 1024  # characters: twice the default limit of a request line
_MAX_LOOKUPS = 10_000  # in maps, for one request

# Their values differ for each request, and with time.
_EACH_TIME = frozenset(
    ("connection", "connection_time", "msec", "remote_port", "request_id", "request_time")
)
_BY_TIME = frozenset(("date_gmt", "date_local", "time_iso8601", "time_local"))
# No request leaves these empty, whatever their values are.
_NEVER_EMPTY = _EACH_TIME | {
    "binary_remote_addr",
    "connection_requests",
    "hostname",
    "http_accept",
    "http_user_agent",
    "nginx_version",
    "pid",
    "remote_addr",
    "request",
    "request_length",
    "server_addr",
    "server_protocol",
    "time_iso8601",
    "time_local",
}
# Variables that are the path.
_PATHS = ("document_uri", "request", "request_filename", "request_uri", "uri")

# Headers that clients send by themselves: their values are unknown.
_SENT_ANYWAY = ("user_agent", "accept", "accept_encoding", "accept_language", "connection")
# Variables that depend on the path or the query of a URL.
_OF_URL = frozenset(
    {"uri", "document_uri", "args", "query_string", "is_args", "request_uri", "request_filename"}
)


class RequestState(Struct):
    """The state of a request while it is routed: rewritten URI, variables and captures.

    `files` are those behind every `root`, None if unknown. `unknown` collects undecided parts of
    the route. Without `url_is_known` the URL only represents others that lead to the same place:
    the variables that depend on it are unknown.
    """

    request: Request
    server: Level
    uri: str
    args: str
    files: DocumentRoot | None = None
    url_is_known: bool = True
    variables: dict[str, str | None] = field(default_factory=dict)
    captures: tuple[str, ...] = ()
    internal: bool = False
    unknown: list[str] = field(default_factory=list)
    method: str = ""
    # Empty if the request was refused before its host was known.
    host: str | None = None
    # Captures get escapes in arguments if the target of the request had any.
    quoted: bool = False
    # Unknown values: headers and cookies of a client that authenticates.
    headers_known: bool = True
    # `$request_method`: the client's, also in a subrequest.
    client_method: str | None = None
    # Of variables by name: whether an equal request gives another value, and whether an unknown one
    # is certainly set.
    _varying: dict[str, bool | None] = field(default_factory=dict)
    _certain: dict[str, bool] = field(default_factory=dict)
    _maps: dict[str, str | None] = field(default_factory=dict)
    _depth: int = 0
    _lookups: int = 0

    def __post_init__(self) -> None:
        self.method = self.request.method
        self.host = host_of(self.request)
        self.quoted = is_quoted(self.request.target)

    def subrequest(self, uri: str) -> RequestState:
        """The state of a subrequest of this request: its variables are shared."""
        inner = RequestState(
            self.request, self.server, uri, "", self.files, self.url_is_known, self.variables
        )
        inner.method, inner.client_method = "GET", self.method
        inner.internal, inner.headers_known = True, False
        inner.host = self.host
        inner._maps, inner._lookups = dict(self._maps), self._lookups
        return inner

    def after(self, inner: RequestState) -> None:
        """Copy the variables that a subrequest assigned."""
        self._lookups = inner._lookups
        self._maps |= {name: value for name, value in inner._maps.items() if value is not None}

    def responded(self, headers: Mapping[str, str]) -> RequestState:
        """The state of this request after a response with these headers of the upstream.

        The names are those in variables, such as `content_type`.
        """
        state = copy(self)
        state.variables = {
            **self.variables,
            **{f"upstream_http_{name}": value for name, value in headers.items()},
            "sent_http_content_type": headers["content_type"],
        }
        # Some maps were unknown without the response.
        state._maps = {name: value for name, value in self._maps.items() if value is not None}
        state.unknown = []
        return state

    def matched(self, match: RegexMatch) -> None:
        """Store the captures of a match."""
        self.captures = match.captures
        self.variables |= match.named

    def expand(self, text: str, escape: bool = False) -> str | None:
        """Fill in the variables of a text; None if one is unknown, or the result too long.

        With `escape`, captures by number get the escapes that arguments need.
        """
        filled = self.fill((text, escape))
        return None if filled is None else filled[0]

    def fill(self, *parts: tuple[str, bool]) -> list[str] | None:
        """Like `expand`, for texts that nginx expands together, each with its `escape`.

        nginx evaluates them twice, first for the length. If a map changes the captures in between,
        the result is garbage or an error, by version.
        """
        before = self.captures
        found = [self._filled(text, escape) for text, escape in parts]
        if self.captures is not before:
            again = [self._filled(text, escape) for text, escape in parts]
            if again != found:
                texts = "".join(text for text, _ in parts)
                self.unknown.append(f'the value of "{texts}": a map changes the captures in it')
                return None
        known = [text for text in found if text is not None]
        return known if len(known) == len(found) else None

    def _filled(self, text: str, escape: bool) -> str | None:
        parts: list[str] = []
        left = max(_MAX_VALUE, len(text))
        for literal, name in pieces(text):
            parts.append(literal)
            if not name:
                continue
            value = self.value(name)
            if value is None:
                return None
            escaped = escape and self.quoted and whole_number(name) is not None
            parts.append(escape_arguments(value) if escaped else value)
            left -= len(parts[-1])
            if left < 0:
                return None
        return "".join(parts)

    def value(self, name: str) -> str | None:
        """The value of a variable; None if it is unknown."""
        number = whole_number(name)
        if number is not None:
            return self.captures[number - 1] if number <= len(self.captures) else ""
        name = name.lower()
        if name in self.variables:
            return self.variables[name]
        if not self.url_is_known and (name in _OF_URL or name.startswith("arg_")):
            return None
        built_in = _BUILT_IN.get(name)
        if built_in is not None:
            return built_in(self)
        http = self.server.nearest("http")
        declared = _NOTHING if http is None else _declared(http)
        if name in declared.maps:
            return self._mapped(name, declared.maps[name])
        if name.startswith("arg_"):
            return _argument(self.args, name[4:])
        if name.startswith("cookie_"):
            return "" if self.headers_known else None
        if name.startswith("http_"):
            return self._header(name[5:])
        # Assigned elsewhere, but not on this route?
        return "" if name in declared.assigned else None

    def _header(self, name: str) -> str | None:
        for known, value in self.request.headers:
            if known == name:
                return value
        return "" if self.headers_known and name not in _SENT_ANYWAY else None

    def assign(self, name: str, text: str, value: str | None) -> None:
        """Assign the value of a text to a variable; None: unknown."""
        self._varying[name] = self.varies(text) if value is None else False
        self._certain[name] = value is None and self.is_set(text) is True
        self.variables[name] = value

    def is_set(self, text: str) -> bool | None:
        """Whether a text is neither empty nor `0`; None if unknown."""
        value = self.expand(text)
        if value is not None:
            return value not in ("", "0")
        # It contains more than a lone 0, or a variable that is never empty.
        certain = without_variables(text) not in ("", "0") or any(
            self._certain.get(name, name in _NEVER_EMPTY) for name in variables_in(text)
        )
        return True if certain else None

    def varies(self, text: str) -> bool | None:
        """Whether a text differs when the same request is sent again; None if unknown."""
        found = {self._varies(name) for name in variables_in(text)}
        return True if True in found else None if None in found else False

    def _varies(self, name: str) -> bool | None:
        if name in self._varying:
            return self._varying[name]
        if name in _EACH_TIME:
            return True
        if name in _BY_TIME:
            return None
        http = self.server.nearest("http")
        table = None if http is None else _declared(http).maps.get(name)
        if table is None or name in self.variables:
            return False
        self._varying[name] = None  # a circular reference
        if self._depth < _MAX_MAPS:
            self._depth += 1
            self._varying[name] = self._map_varies(table)
            self._depth -= 1
        return self._varying[name]

    def _map_varies(self, table: _Map) -> bool | None:
        if self.expand(table.source) is not None:
            text = self._found_in(table)
            return None if text is None else self.varies(text)
        values = table.values
        found = {self.varies(text) for text in values}
        if len(found) > 1 or (len(values) > 1 and self.varies(table.source) is not False):
            return None
        return found.pop()

    def _mapped(self, name: str, table: _Map) -> str | None:
        """The value of a `map`: computed once for a request, unless it is volatile."""
        if name in self._maps:
            return self._maps[name]
        if self._depth == _MAX_MAPS or self._lookups == _MAX_LOOKUPS:
            return None
        self._depth += 1
        self._lookups += 1
        value = self._looked_up(table)
        self._depth -= 1
        if not table.volatile:
            self._maps[name] = value
        return value

    def _looked_up(self, table: _Map) -> str | None:
        found = self._found_in(table)
        return None if found is None else self.expand(found)

    def _found_in(self, table: _Map) -> str | None:
        """The result text of a `map` for its source; None if unknown."""
        key = self.expand(table.source)
        if key is None:
            return None
        found = table.names.find(key.removesuffix(".") if table.hostnames else key)
        if found is None and key:
            for pattern, value in table.patterns:
                try:
                    match = pattern.search(key)
                except Undecided:
                    return None
                if match is not None:
                    self.matched(match)
                    found = value
                    break
        return table.default if found is None else found


def unknown_request(server: Level, method: str, path: str | None) -> RequestState:
    """The state of a request to a server of which at most the path is known."""
    state = RequestState(Request("http", None, None, path or "/", method), server, path or "/", "")
    http = server.nearest("http")
    for name in () if http is None else _declared(http).assigned:
        state.variables[name] = state._varying[name] = None
    for name in _PATHS if path is None else ():
        state.variables[name], state._varying[name] = None, False
    return state


@remembered
class _Map:
    """A `map` block, indexed for lookups."""

    def __init__(self, row: Directive) -> None:
        self.source = row.args[0]
        self.default = ""
        self.hostnames = False
        self.volatile = False
        self.names: HostnameTable[str] = HostnameTable()
        self.patterns: list[tuple[Pattern, str]] = []
        self._texts: list[str] = []
        for one in statements(row.block or []):
            self._add(one.name, one.args)

    @property
    def values(self) -> list[str]:
        """All values that the map may have."""
        return list(dict.fromkeys((self.default, *self._texts)))

    def _add(self, name: str, args: tuple[str, ...]) -> None:
        if args and name != "default":
            self._texts.append(args[0])
        if not args:
            self.hostnames |= name == "hostnames"
            self.volatile |= name == "volatile"
        elif name == "default":
            self.default = args[0]
        elif name.startswith("~"):
            ignore_case = name.startswith("~*")
            pattern = compile_pattern(name[2 if ignore_case else 1 :], ignore_case)
            self.patterns.append((pattern, args[0]))
        else:
            # Only the names after `hostnames` may have wildcards.
            add = self.names.add if self.hostnames else self.names.add_exact
            add(name.removeprefix("\\"), args[0])


class _Definitions(Struct, frozen=True):
    """The variables of an `http` level: its maps, and those that `set` or a capture may assign."""

    maps: dict[str, _Map]
    assigned: frozenset[str]


_NOTHING = _Definitions({}, frozenset())


def maps_of(http: Level, source: str) -> list[str]:
    """The variables that a `map` derives from this source alone, such as `$http_upgrade`."""
    return [name for name, table in _declared(http).maps.items() if table.source == source]


@cached_on_level
def _declared(http: Level) -> _Definitions:
    assigned: set[str] = set()
    texts: list[str] = []
    for level in http.walk():
        assigned.update(row.args[0].lstrip("$") for row in level.rows.get("set", []) if row.args)
        texts += level.directive.args if level.directive is not None else ()
        for name in ("rewrite", "server_name"):
            texts += (arg for row in level.rows.get(name, []) for arg in row.args)
    maps: dict[str, _Map] = {}
    for row in http.rows.get("map", []):
        if len(row.args) == 2:
            maps[row.args[1].lstrip("$").lower()] = _Map(row)
            texts += (one.name for one in statements(row.block or []))
    assigned.update(name for text in texts for name in _GROUP_NAME.findall(text))
    return _Definitions(maps, frozenset(name.lower() for name in assigned))


def _argument(args: str, name: str) -> str:
    """The first query argument of a name, in any case, as written in the URL."""
    for part in args.split("&"):
        key, equals, value = part.partition("=")
        if equals and lower(key) == name:
            return value
    return ""


def _server_name(state: RequestState) -> str:
    """The first name of the server."""
    name = next((arg for row in state.server.rows.get("server_name", []) for arg in row.args), "")
    return name if name.startswith("~") else name.lower().removeprefix(".")


def _host(state: RequestState) -> str | None:
    return _only_name(state) if state.host is None else state.host or _server_name(state)


def _only_name(state: RequestState) -> str | None:
    """The only possible host of a request that has just a path."""
    names = [arg for row in state.server.rows.get("server_name", []) for arg in row.args]
    return names[0] if len(names) == 1 and names[0][:1] not in ("", "*", ".", "~") else None


def _http_host(state: RequestState) -> str | None:
    host, port = state.request.host, state.request.port
    if host is None:
        return _only_name(state)
    usual = 443 if state.request.scheme == "https" else 80
    return host if not host or port in (None, usual) else f"{host}:{port}"


def _server_port(state: RequestState) -> str | None:
    if state.request.port is not None:
        return str(state.request.port)
    if state.request.host is None:
        return None
    return "443" if state.request.scheme == "https" else "80"


def _request_filename(state: RequestState) -> str | None:
    return None if state.files is None else f"{state.files.folder}{state.uri}"


_BUILT_IN: dict[str, Callable[[RequestState], str | None]] = {
    "uri": lambda state: state.uri,
    "document_uri": lambda state: state.uri,
    "args": lambda state: state.args,
    "query_string": lambda state: state.args,
    "is_args": lambda state: "?" if state.args else "",
    "request_uri": lambda state: state.request.target,
    "request_method": lambda state: state.client_method or state.method,
    "scheme": lambda state: state.request.scheme,
    "https": lambda state: "on" if state.request.scheme == "https" else "",
    "host": _host,
    "http_host": _http_host,
    "server_name": _server_name,
    "server_port": _server_port,
    "document_root": lambda state: None if state.files is None else state.files.folder,
    "request_filename": _request_filename,
    "content_length": lambda _: "",
    "content_type": lambda _: "",
    "remote_user": lambda state: "" if state.headers_known else None,
}
