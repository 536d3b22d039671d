"""Check a finished copy against the allow list, right before nginx reads it.

The check is independent of the configuration and of the code that made the copy: it uses only the
text, the allow lists and the bounds of the sandbox. It refuses everything that it does not expect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from msgspec import Struct

from nginx_stream_lint.config import Directive, Source
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.probe.allowed_directives import (
    BELOW_ROOT,
    DATA_BLOCKS,
    KEPT,
    LARGEST_WEIGHT,
    MACHINE,
    NAME,
    NOWHERE,
    too_large,
)
from nginx_stream_lint.util.problems import Unreadable


class Forbidden(Exception):
    """The sandbox does not allow something in the text; `line` counts from 1."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Bounds(Struct, frozen=True):
    """The ports of loopback and the modules that a copy may use.

    It may listen on `listens`, pass requests to `upstream` (also over TLS if `over_tls`), and load
    `modules` (absolute paths).
    """

    listens: frozenset[int]
    upstream: frozenset[int]
    modules: frozenset[str] = frozenset()
    over_tls: bool = False


# Blocks that hold directives, by the kind of block they stand in.
_BLOCKS: dict[str, dict[str, str]] = {
    "main": {"events": "events", "http": "http", "stream": "stream"},
    "http": {"server": "server", "upstream": "upstream"},
    "server": {"location": "location", "if": "if-in-server"},
    "location": {"location": "location", "if": "if-in-location", "limit_except": "limit_except"},
    "stream": {"server": "stream-server", "upstream": "stream-upstream"},
}
_WITHOUT_WORDS = frozenset({"events", "http", "server", "stream"})
# Directives whose value only the sandbox sets. Paths are relative to its folder.
_FIXED = {
    "main": {
        "daemon": "off",
        "master_process": "off",
        "error_log": "stderr warn",
        "pid": "run/nginx.pid",
    },
    "events": {"worker_connections": "4096"},
    "http": {
        "access_log": "off",
        "client_body_temp_path": "run/tmp/body",
        "proxy_temp_path": "run/tmp/proxy",
        "fastcgi_temp_path": "run/tmp/fastcgi",
        "scgi_temp_path": "run/tmp/scgi",
        "uwsgi_temp_path": "run/tmp/uwsgi",
        "js_import": "nsl from pass.js",
    },
}
_FIXED_IN_BOTH = {
    "ssl_certificate": "certificate.pem",
    "ssl_certificate_key": "key.pem",
}
_FIXED_ANYWHERE_IN_HTTP = {
    "root": NOWHERE,
    "js_body_filter": "nsl.pass",
}
_SWITCHES = frozenset({"ssl", "http2"})
_LISTEN_OPTIONS = frozenset({"ssl", "http2", "default_server", "default"})
_PASSES = frozenset({"fastcgi_pass", "grpc_pass", "scgi_pass", "uwsgi_pass"})
_CACHE_PATHS = frozenset(f"{one}_cache_path" for one in ("fastcgi", "proxy", "scgi", "uwsgi"))
_CACHE = re.compile(r"run/cache/[0-9]{1,6}")
_CACHE_OPTION = re.compile(r"levels=[12](:[12]){0,2}|inactive=[0-9]{1,6}[smhd]?")
_ADDRESS = re.compile(r"127\.0\.0\.1:([1-9][0-9]{0,4})")
_HTTP_TARGET = re.compile(r"http(?P<tls>s)?://(?P<host>[^/?]+)([/?].*)?", re.DOTALL)
_TEST = re.compile(r"!?-[fdex]")
_OPERATORS = frozenset({"=", "!=", "~", "~*", "!~", "!~*"})
_CONTROL = re.compile("[\0\ufdd0-\ufdef]")


def verify(text: str, bounds: Bounds) -> list[Directive]:
    """Return the directives of a whole main configuration that may run in the sandbox.

    Raises:
        Forbidden: it may not.
    """
    odd = _CONTROL.search(text)
    if odd is not None:
        raise Forbidden(
            text.count("\n", 0, odd.start()) + 1, "a character that is not allowed in a word"
        )
    try:
        file = parse(Source("nginx.conf", text))
    except Unreadable as error:
        raise Forbidden(1, str(error)) from None
    if file.problems:
        raise Forbidden(file.problems[0].line, file.problems[0].message)
    _Verifier(bounds, file.directives).run()
    return file.directives


class _Verifier:
    def __init__(self, bounds: Bounds, directives: list[Directive]) -> None:
        self.bounds = bounds
        self.directives = directives
        self.groups: dict[str, set[str]] = {"http": set(), "stream": set()}
        self.roots = 0

    def run(self) -> None:
        blocks = [one for one in self.directives if one.name in self.groups and one.block]
        for block in blocks:
            for one in block.block or ():
                if one.name == "upstream" and len(one.args) == 1:
                    self.groups[block.name].add(one.args[0].lower())
        work = [("main", self.directives)]
        while work:
            kind, directives = work.pop()
            if kind == "http" and not any(one.name == "root" for one in directives):
                raise self._refused(directives[0] if directives else None, "no root is set")
            for one in directives:
                inner = self._one(kind, one)
                if inner is not None:
                    work.append((inner, one.block or []))

    def _one(self, kind: str, directive: Directive) -> str | None:
        """Check a directive; returns the kind of its block if its contents must be checked."""
        self._words(directive)
        if directive.block is None:
            judge = self._judge(kind, directive)
            if judge is None or not judge(directive):
                raise self._refused(directive)
            return None
        inner = _BLOCKS.get(kind, {}).get(directive.name)
        if inner is not None:
            if not self._opens(directive):
                raise self._refused(directive)
            return inner
        if directive.name not in DATA_BLOCKS.get(kind, ()):
            raise self._refused(directive)
        for row in directive.block:
            self._words(row)
            if row.block is not None or row.name.lower() == "include":
                raise self._refused(row)
        return None

    def _refused(
        self, directive: Directive | None, why: str = "it is not allowed there"
    ) -> Forbidden:
        if directive is None:
            return Forbidden(1, why)
        return Forbidden(directive.line, f'"{directive.name}": {why}')

    def _words(self, directive: Directive) -> None:
        """Check the rules for every word in any place."""
        if directive.unknown:
            raise self._refused(directive)
        for word in (directive.name, *directive.args):
            if MACHINE.search(word):
                raise self._refused(directive, "it uses a variable that shows this machine")
        if too_large(directive.name, directive.args):
            raise self._refused(directive, "it needs too much memory")

    def _opens(self, directive: Directive) -> bool:
        if directive.name in _WITHOUT_WORDS:
            return not directive.args
        if directive.name == "upstream":
            return len(directive.args) == 1 and NAME.fullmatch(directive.args[0]) is not None
        if directive.name == "if":
            return _is_condition(directive.args)
        return bool(directive.args)

    # Directives

    def _judge(self, kind: str, one: Directive) -> Callable[[Directive], bool] | None:
        """The check of a directive without a block; None if it is not allowed."""
        name = one.name
        in_stream = kind.startswith("stream")
        in_http = kind not in ("main", "events", "upstream") and not in_stream
        fixed = _FIXED.get(kind, {}).get(name)
        if fixed is None and kind in ("http", "stream"):
            fixed = _FIXED_IN_BOTH.get(name)
        if fixed is None and in_http:
            fixed = _FIXED_ANYWHERE_IN_HTTP.get(name)
        if fixed is not None:
            return lambda one: list(one.args) == fixed.split()
        if in_http and name == "body_filter_by_lua":
            return lambda one: one.args == ("ngx.arg[1] = ngx.arg[1]",)
        if kind == "main" and name == "load_module":
            return lambda one: len(one.args) == 1 and one.args[0] in self.bounds.modules
        if kind in ("server", "stream-server") and name == "listen":
            return self._listen
        if kind in ("upstream", "stream-upstream") and name == "server":
            return self._server
        if kind in ("upstream", "stream-upstream") and name == "zone":
            return lambda one: (
                (len(one.args) == 2 and NAME.fullmatch(one.args[0]) is not None)
                and one.args[1] == "1m"
            )
        if kind == "upstream" and name == "sticky":
            return lambda one: (
                one.args[:1] in (("cookie",), ("route",)) and "zone=" not in " ".join(one.args)
            )
        if kind in ("stream", "stream-server") and name == "proxy_pass":
            return lambda one: len(one.args) == 1 and self._target(one.args[0], "stream")
        if in_http and name == "proxy_pass":
            return self._proxy_pass
        if in_http and name in _PASSES:
            return self._other_pass
        if kind == "http" and name in _CACHE_PATHS:
            return self._cache_path
        if in_http and name == "alias":
            return lambda one: one.args == (f"{NOWHERE}/",)
        if in_http and name in _SWITCHES:
            return lambda one: one.args in (("on",), ("off",))
        return (lambda _: True) if name in KEPT.get(kind, ()) else None

    def _listen(self, directive: Directive) -> bool:
        port = _port(directive.args[0]) if directive.args else None
        return port in self.bounds.listens and set(directive.args[1:]) <= _LISTEN_OPTIONS

    def _server(self, directive: Directive) -> bool:
        port = _port(directive.args[0]) if directive.args else None
        return port in self.bounds.upstream and all(
            flag in ("backup", "down")
            or (re.fullmatch(r"weight=[0-9]{1,4}", flag) and int(flag[7:]) <= LARGEST_WEIGHT)
            for flag in directive.args[1:]
        )

    def _target(self, host: str, area: str) -> bool:
        """Whether a host is the dripping upstream, or a group whose servers all are."""
        if _port(host) in self.bounds.upstream:
            return True
        return NAME.fullmatch(host) is not None and host.lower() in self.groups[area]

    def _other_pass(self, directive: Directive) -> bool:
        target = directive.args[0] if len(directive.args) == 1 else ""
        if self.bounds.over_tls and directive.name == "grpc_pass":
            target = target.removeprefix("grpcs://")
        return self._target(target, "http")

    def _proxy_pass(self, directive: Directive) -> bool:
        found = _HTTP_TARGET.fullmatch(directive.args[0]) if len(directive.args) == 1 else None
        if found is None or (found["tls"] and not self.bounds.over_tls):
            return False
        # With a variable, nginx would evaluate the whole target for each request.
        return "$" not in found[0] and self._target(found["host"], "http")

    def _cache_path(self, directive: Directive) -> bool:
        zones = [arg for arg in directive.args if arg.startswith("keys_zone=")]
        options = [arg for arg in directive.args[1:] if arg not in zones]
        return (
            bool(directive.args)
            and _CACHE.fullmatch(directive.args[0]) is not None
            and len(zones) == 1
            and zones[0].endswith(":1m")
            and NAME.fullmatch(zones[0][len("keys_zone=") : -len(":1m")]) is not None
            and all(_CACHE_OPTION.fullmatch(option) for option in options)
        )


def _port(address: str) -> int | None:
    """The port of an address of loopback; None for any other address."""
    found = _ADDRESS.fullmatch(address)
    return None if found is None else int(found[1])


def _is_condition(args: Sequence[str]) -> bool:
    """Whether an `if` tests a variable, or a file below the empty root."""
    if len(args) == 2 and _TEST.fullmatch(args[0]):
        path = args[1]
        return path.startswith(f"{NOWHERE}/") or BELOW_ROOT.match(path) is not None
    if not args or not args[0].startswith("$"):
        return False
    return len(args) == 1 or (len(args) == 3 and args[1] in _OPERATORS)
