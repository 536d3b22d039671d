"""nginx variables, as far as a URL and the configuration decide them.

A request for routing has no headers but Host: the variables of other headers are empty. What hangs
on the client's address, on time or on modules is unknown (None).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from nginx_stream_lint.config import Directive, statements
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.pcre import compile_pattern
from nginx_stream_lint.nginx.request import Request

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_MAX_MAPS = 20  # maps of maps; deeper is a circle

# Headers that clients send without being told to: nobody knows them.
_SENT_ANYWAY = ("user_agent", "accept", "accept_encoding", "accept_language", "connection")


@dataclass(slots=True)
class State:
    """A request on its way: what rewriting changes, and what patterns have captured."""

    request: Request
    server: Level
    uri: str
    args: str
    method: str
    variables: dict[str, str | None] = field(default_factory=dict)
    captures: tuple[str, ...] = ()
    internal: bool = False

    def expand(self, text: str, quote: Callable[[str], str] | None = None) -> str | None:
        """A text with its variables filled in; None if one of them is unknown.

        `quote` is applied to captures by number.
        """
        parts: list[str] = []
        at = 0
        for match in _VARIABLE.finditer(text):
            name = match[1] or match[2]
            # After a bare $, only one digit counts.
            end = match.end()
            if match[2] and name[0].isdigit():
                name = name[0]
                end = match.start() + 2
            value = self.value(name)
            if value is None:
                return None
            if quote is not None and name.isdigit():
                value = quote(value)
            parts += (text[at : match.start()], value)
            at = end
        return "".join((*parts, text[at:]))

    def value(self, name: str, depth: int = 0) -> str | None:
        """The value of a variable; None if it is unknown."""
        if name.isdigit():
            number = int(name)
            return self.captures[number - 1] if 0 < number <= len(self.captures) else ""
        if name in self.variables:
            return self.variables[name]
        built_in = _BUILT_IN.get(name)
        if built_in is not None:
            return built_in(self)
        if name.startswith("arg_"):
            return _argument(self.args, name[4:])
        if name.startswith("cookie_"):
            return ""
        if name.startswith("http_"):
            return None if name[5:] in _SENT_ANYWAY else ""
        http = self.server.nearest("http")
        for row in http.rows.get("map", []) if http is not None else []:
            if len(row.args) == 2 and row.args[1] == f"${name}" and depth < _MAX_MAPS:
                return self._mapped(row, depth)
        if name in _assigned(http):
            return ""  # `set` somewhere, and not on the way here
        return None

    def _mapped(self, row: Directive, depth: int) -> str | None:
        """What a `map` makes of its source."""
        source = row.args[0]
        if source.startswith("$") and _VARIABLE.fullmatch(source):
            key = self.value(source.strip("${}"), depth + 1)
        else:
            key = self.expand(source)
        if key is None:
            return None
        rows = [one for one in statements(row.block or []) if len(one.args) == 1]
        hostnames = any(one.name == "hostnames" for one in row.block or [])
        found = _look_up(rows, key, hostnames, self)
        if found is None:
            return None
        return self.expand(found)


def _look_up(rows: list[Directive], key: str, hostnames: bool, state: State) -> str | None:
    """The value a map's rows give a key; None where a pattern cannot be read."""
    lower = key.lower()
    default = ""
    wild: list[tuple[int, int, str]] = []
    for row in rows:
        name, value = row.name, row.args[0]
        if name == "default":
            default = value
        elif name.startswith("~"):
            continue
        else:
            plain = name[1:] if name.startswith("\\") else name
            if plain.lower() == lower:
                return value
            if hostnames:
                wild += _wildcard(plain.lower(), lower, value)
    if wild:
        return min(wild)[2]
    for row in rows:
        if row.name.startswith("~"):
            ignore = row.name.startswith("~*")
            pattern = compile_pattern(row.name[2 if ignore else 1 :], ignore)
            if pattern is None:
                return None
            match = pattern.search(key)
            if match is not None:
                state.captures = match.captures
                state.variables |= match.named
                return row.args[0]
    return default


def _wildcard(name: str, host: str, value: str) -> list[tuple[int, int, str]]:
    """How well a name with an asterisk fits a host: (kind, minus length, value); empty if not."""
    if name.startswith((".", "*.")):
        suffix = name.lstrip("*")
        if host.endswith(suffix) or (name.startswith(".") and host == name[1:]):
            return [(0, -len(suffix), value)]
    elif name.endswith(".*") and host.startswith(name[:-1]):
        return [(1, -len(name), value)]
    return []


def _argument(args: str, name: str) -> str:
    """The first query argument of a name, in any case, as it stands in the URL."""
    for part in args.split("&"):
        key, equals, value = part.partition("=")
        if equals and key.lower() == name.lower():
            return value
    return ""


def _assigned(http: Level | None) -> set[str]:
    """The names of all variables that some `set` gives a value."""
    if http is None:
        return set()
    return {
        row.args[0].lstrip("$")
        for level in http.walk()
        for row in level.rows.get("set", [])
        if row.args
    }


def _host(state: State) -> str | None:
    if state.request.host is not None:
        return state.request.host
    names = [arg for row in state.server.rows.get("server_name", []) for arg in row.args]
    return names[0] if len(names) == 1 and "*" not in names[0] else None


def _request_uri(state: State) -> str | None:
    return state.request.target.partition("#")[0]


_BUILT_IN: dict[str, Callable[[State], str | None]] = {
    "uri": lambda state: state.uri,
    "document_uri": lambda state: state.uri,
    "args": lambda state: state.args,
    "query_string": lambda state: state.args,
    "is_args": lambda state: "?" if state.args else "",
    "request_uri": _request_uri,
    "request_method": lambda state: state.method,
    "scheme": lambda state: state.request.scheme,
    "https": lambda state: "on" if state.request.scheme == "https" else "",
    "host": _host,
    "http_host": _host,
    "server_name": lambda state: next(
        (arg for row in state.server.rows.get("server_name", []) for arg in row.args), ""
    ),
    "server_port": lambda state: None if state.request.port is None else str(state.request.port),
    "content_length": lambda _: "",
    "content_type": lambda _: "",
    "remote_user": lambda _: "",
}
