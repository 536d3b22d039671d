"""Copy a configuration so that a real nginx runs it without touching anything of its author's.

Includes are expanded, so that the copy is one text. Directives are kept by an allow list
(`permitted`), listening sockets move to free ports of loopback, targets become the dripping
upstream, paths lead into the sandbox. Whatever changes is put on a list.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from nginx_stream_lint.config import Configuration, Directive, File, Problem

from .copied import Copy, Node, Place, Socket
from .listening import dropped_options, names
from .nginx import NginxError, free_ports
from .permitted import (
    DATA_BLOCKS,
    HTTP,
    LEADS_TO_FILES,
    STREAM,
    STREAM_UPSTREAM,
    UPSTREAM,
    reason,
)
from .targets import SPEAKS, Groups, quoted, renamed, rewritten

MARKER = "X-Nsl-Route"

_Version = tuple[int, int, int]
_HTTP2_DIRECTIVE: _Version = (1, 25, 1)  # which took `ssl` away
_HTTP2_UPSTREAM: _Version = (1, 29, 4)

_OPENS = {
    "main": {"http": "http", "stream": "stream"},
    "http": {"server": "server", "upstream": "upstream"},
    "server": {"location": "location", "if": "if-in-server"},
    "location": {"location": "location", "if": "if-in-location", "limit_except": "limit_except"},
    "stream": {"server": "stream-server", "upstream": "stream-upstream"},
}
_KEPT: dict[str, frozenset[str]] = {
    "main": frozenset(),
    "upstream": UPSTREAM,
    "stream": STREAM,
    "stream-server": STREAM,
    "stream-upstream": STREAM_UPSTREAM,
}
_ANSWERS = {"server": "server", "location": "location", "if-in-location": "if"}
# The levels around a fragment, by its context.
_AROUND: dict[tuple[str, ...], tuple[str, ...]] = {
    (): (),
    ("http",): ("http",),
    ("http", "server"): ("http", "server"),
    ("http", "location"): ("http", "server", "location"),
    ("http", "location", "if"): ("http", "server", "location"),
    ("http", "upstream"): ("http", "upstream"),
    ("stream",): ("stream",),
    ("stream", "server"): ("stream", "stream-server"),
}
_FILE_TEST = re.compile(r"\(?!?-[fdex]")
_UPWARDS = re.compile(r"(?:^|/)\.\.(?:/|$)")
# Included files that hold no more than content types, parameters for applications, or modules.
_ONLY_TABLES = re.compile(
    r"(?:^|/)(?:mime\.types|(?:fastcgi|scgi|uwsgi)_params|fastcgi\.conf|modules-enabled/[^/]*)$"
)
_MISUSED = re.compile(r'"(\w+)" directive')
_LUA_BODY_FILTERS = ("body_filter_by_lua", "body_filter_by_lua_block", "body_filter_by_lua_file")
_JS_BODY_FILTER = """\
export default {pass: function (r, data, flags) { r.sendBuffer(data, flags); }};
"""
_MY_CERTIFICATE = "the probe has a throw-away certificate"


@dataclass(frozen=True, slots=True)
class _Scope:
    """What a block inherits, as far as the copy has to know it."""

    protocol: str = "http"
    caches: frozenset[str] = frozenset()
    all_tls: bool = False
    all_http2: bool = False
    server: str = ""

    def inside(self, rows: list[Directive], version: _Version) -> _Scope:
        """The scope of a block with these rows."""
        scope = self
        for row in rows:
            value = row.args[0].lower() if row.args else ""
            if row.name == "proxy_http_version":
                http2 = value == "2" and version >= _HTTP2_UPSTREAM
                scope = replace(scope, protocol="h2c" if http2 else "http")
            elif row.name == "ssl":
                scope = replace(scope, all_tls=value == "on")
            elif row.name == "http2":
                scope = replace(scope, all_http2=value == "on")
            elif row.name.endswith("_cache") and row.name.removesuffix("_cache") in SPEAKS:
                family = {row.name.removesuffix("_cache")}
                caches = scope.caches - family if value == "off" else scope.caches | family
                scope = replace(scope, caches=caches)
        return scope


def copy_of(
    configuration: Configuration,
    version: _Version,
    upstream: Mapping[str, int],
    folder: Path,
) -> Copy:
    """The copy of a configuration.

    Args:
        configuration: as `config.read` gives it; what could not be read is not in it.
        version: of the nginx that is to run it.
        upstream: protocol to port of the dripping upstream.
        folder: an existing one, for everything that the copy names; it is written into.

    Raises:
        NginxError: there is nothing to run, or there are no free ports.
    """
    (folder / "empty").mkdir(exist_ok=True)
    (folder / "cache").mkdir(exist_ok=True)
    return _Copying(configuration, version, upstream, folder).run()


class _Copying:
    def __init__(
        self,
        configuration: Configuration,
        version: _Version,
        upstream: Mapping[str, int],
        folder: Path,
    ) -> None:
        self.configuration = configuration
        self.version = version
        self.upstream = upstream
        self.folder = folder
        self.tree = tree_of(configuration.path)
        self.copy = Copy(Node("main", children=[]))
        self.groups = {"http": Groups(), "stream": Groups()}
        self._group_nodes: list[tuple[str, Node, Node]] = []
        self._listens: list[tuple[Node, str]] = []
        self._asked: list[tuple[Node, Node, Node]] = []
        self._work: list[tuple[str, Node, Iterable[Directive], _Scope]] = []
        self._noted: set[tuple[int, str]] = set()

    # The whole

    def run(self) -> Copy:
        root = self.configuration.root
        if root is None:
            raise NginxError(f"{self.configuration.path} cannot be read")
        self._find_groups(root)
        kind, into, scope = self._around()
        self._work.append((kind, into, root.directives, scope))
        while self._work:
            self._fill(*self._work.pop())
        self._finish_groups()
        self._finish_asked()
        self._finish_sockets()
        return self.copy

    def _around(self) -> tuple[str, Node, _Scope]:
        """The levels around a fragment; gives the innermost."""
        scope = _Scope()
        kind, node = "main", self.copy.root
        for inner in _AROUND[self.configuration.context]:
            child = Node(inner.removeprefix("stream-"), children=[])
            if inner == "location":
                child.args = ["/"]
            elif inner == "upstream":
                child.args = ["fragment"]
            assert node.children is not None
            node.children.append(child)
            # The rows of a server say where it listens; a location has none.
            if inner == "server" and self.configuration.context[-1] != "server":
                self._listen_rows(child, [], scope, is_stream=False)
                scope = replace(scope, server=self._mark("server", child, scope))
            self._remember(inner, child)
            kind, node = inner, child
        return kind, node, scope

    def _remember(self, kind: str, node: Node) -> None:
        if kind == "http":
            self.copy.http = self.copy.http or node
        elif kind == "stream":
            self.copy.stream = self.copy.stream or node

    def _find_groups(self, root: File) -> None:
        """The names of all upstream blocks: targets may name them before they come."""
        context = self.configuration.context
        if len(context) > 1:
            return
        work: list[tuple[str, Iterable[Directive]]] = [("".join(context), root.directives)]
        while work:
            area, block = work.pop()
            for directive in self._statements(block, quiet=True):
                if directive.block is None:
                    continue
                if not area and directive.name in ("http", "stream"):
                    work.append((directive.name, directive.block))
                elif area and directive.name == "upstream" and directive.args:
                    self.groups[area].names.add(directive.args[0].lower())

    def _statements(self, block: Iterable[Directive], quiet: bool = False) -> Iterator[Directive]:
        """The directives of a block, with includes replaced by what they lead to in the tree."""
        for directive in block:
            if directive.name != "include" or directive.block is not None:
                yield directive
                continue
            matters = not directive.args or _ONLY_TABLES.search(directive.args[0]) is None
            if not quiet and not directive.included and not _has_wildcard(directive):
                self._leave_out(directive, "the file cannot be read", matters)
            for file in directive.included:
                if self._is_inside(file):
                    yield from self._statements(file.directives, quiet)
                elif not quiet:
                    self._leave_out(directive, f"it is outside {self.tree}", matters)

    def _is_inside(self, file: File) -> bool:
        return _is_below(file.source.name, self.tree)

    # One block

    def _fill(self, kind: str, node: Node, block: Iterable[Directive], scope: _Scope) -> None:
        rows = list(self._statements(block))
        scope = scope.inside(rows, self.version)
        if kind in _ANSWERS:
            marker = self._mark(_ANSWERS[kind], node, scope)
            if kind == "server":
                scope = replace(scope, server=marker)
        if kind in ("server", "stream-server"):
            listens = [row for row in rows if row.name == "listen" and row.args]
            self._listen_rows(node, listens, scope, is_stream=kind == "stream-server")
        assert node.children is not None
        for row in rows:
            child = self._row(row, kind, node, scope)
            if child is not None:
                node.children.append(child)

    def _row(self, row: Directive, kind: str, node: Node, scope: _Scope) -> Node | None:
        """What stands for one directive in the copy; None where nothing does."""
        inner = _OPENS.get(kind, {}).get(row.name)
        if inner is not None and row.block is not None:
            return self._block(row, inner, scope)
        if row.name in DATA_BLOCKS.get(kind, ()) and row.block is not None:
            rows = self._statements(row.block)
            children = [Node(_raw_name(one), _raw(one), one) for one in rows if one.block is None]
            return Node(row.name, _raw(row), row, children)
        if row.block is not None and not row.name.endswith("_by_lua_block"):
            self._unlisted(row)
            return None
        if kind in ("upstream", "stream-upstream") and row.name == "server":
            flags = [arg for arg in row.args[1:] if re.match(r"(weight=|backup$|down$)", arg)]
            return Node("server", ["", *flags], row)
        if kind.startswith("stream") and row.name == "proxy_pass" and row.args:
            return self._pass(row, "stream", scope)
        family = row.name.removesuffix("_pass")
        in_http = kind not in _KEPT
        if in_http and row.name.endswith("_pass") and family in SPEAKS and row.args:
            return self._pass(row, family, scope)
        special = _SPECIAL.get(row.name)
        if special is not None and (in_http or row.name in _ANYWHERE):
            return special(self, row, kind, node, scope)
        if row.name in _KEPT.get(kind, HTTP | LEADS_TO_FILES):
            return self._as_written(row)
        self._unlisted(row)
        return None

    def _block(self, row: Directive, inner: str, scope: _Scope) -> Node | None:
        args = _raw(row)
        if row.name == "if":
            args = self._condition(row, args)
        child = Node(row.name, args, row, [])
        self._remember(inner, child)
        if inner in ("upstream", "stream-upstream"):
            area = "http" if inner == "upstream" else "stream"
            parent = self.copy.http if area == "http" else self.copy.stream
            assert parent is not None
            self._group_nodes.append((area, child, parent))
        assert row.block is not None
        self._work.append((inner, child, row.block, scope))
        return child

    def _as_written(self, row: Directive) -> Node | None:
        if row.name in LEADS_TO_FILES:
            paths = row.args[1:] if row.name == "rewrite" else row.args
            if any(_UPWARDS.search(path) for path in paths):
                self._leave_out(row, "it leads out of the root", True)
                return None
        return Node(row.name, _raw(row), row)

    def _unlisted(self, row: Directive) -> None:
        why = reason(row.name)
        self._leave_out(row, why.why, why.matters)

    def _condition(self, row: Directive, args: list[str]) -> list[str]:
        """The condition of an `if`, where files are looked for in the empty root."""
        for at in range(1, len(args)):
            test, path = args[at - 1], args[at]
            if _FILE_TEST.fullmatch(test) and re.match(r"[\"']?/", path):
                quote = path[0] if path[0] in "\"'" else ""
                # Relative to where nginx runs, which is the sandbox.
                args[at] = f"{quote}empty{path[len(quote) :]}"
                self._replaced(row, "there are no files in the sandbox", True)
        return args

    # Markers

    def _mark(self, kind: str, node: Node, scope: _Scope) -> str:
        """Let a block's answers carry a number that leads back to it."""
        marker = str(len(self.copy.places) + 1)
        directive = node.origin
        if directive is None:
            file, line, label = self.configuration.path, 1, node.name
        else:
            file, line = directive.source.name, directive.line
            args = " ".join(directive.args)
            label = f"if ({args})" if kind == "if" else f"{directive.name} {args}".strip()
        self.copy.places[marker] = Place(
            kind, label, file, line, directive, scope.server or marker, bool(scope.caches)
        )
        assert node.children is not None
        node.children.append(Node("add_header", [MARKER, marker, "always"]))
        return marker

    # Listening

    def _listen_rows(
        self, node: Node, rows: list[Directive], scope: _Scope, is_stream: bool
    ) -> None:
        assert node.children is not None
        all_tls = scope.all_tls and self.version < _HTTP2_DIRECTIVE
        own_http2 = scope.all_http2 and self.version < _HTTP2_DIRECTIVE and not is_stream
        found: list[tuple[str, list[str], Directive | None]] = []
        for row in rows:
            options = list(row.args[1:])
            if {"quic", "udp"} & set(options):
                self._leave_out(row, "only TCP is measured", True)
                continue
            dropped = dropped_options(options)
            if dropped:
                self._replaced(row, f"listens without {' '.join(dropped)}", False)
            kept = [option for option in options if option not in dropped]
            if own_http2 and ("ssl" in kept or all_tls) and "http2" not in kept:
                kept.append("http2")
            found += [(name, kept, row) for name in names(row.args[0])]
        if not found and is_stream:
            # nginx refuses a stream server that listens nowhere; UDP is nobody's business here.
            found = [(f"nowhere:{len(self._listens)}", [], None)]
        elif not found:
            name = f"nowhere:{len(self._listens)}" if rows else "*:80"
            found = [(name, [], None)]
        for name, options, origin in found:
            key = f"stream {name}" if is_stream else name
            socket = self.copy.sockets.setdefault(key, Socket(name, is_stream=is_stream))
            socket.tls |= "ssl" in options or (all_tls and not is_stream)
            listen = Node("listen", ["", *options], origin)
            node.children.append(listen)
            self._listens.append((listen, key))

    def _finish_sockets(self) -> None:
        sockets = self.copy.sockets
        for socket, port in zip(sockets.values(), free_ports(len(sockets)), strict=True):
            socket.port = port
        for node, key in self._listens:
            node.args[0] = f"127.0.0.1:{sockets[key].port}"
        for block, is_stream in ((self.copy.http, False), (self.copy.stream, True)):
            if block is None or block.children is None:
                continue
            if any(one.tls for one in sockets.values() if one.is_stream == is_stream):
                block.children[:0] = [
                    Node("ssl_certificate", [quoted(f"{self.folder}/certificate.pem")]),
                    Node("ssl_certificate_key", [quoted(f"{self.folder}/key.pem")]),
                ]

    # Targets

    def _pass(self, row: Directive, family: str, scope: _Scope) -> Node:
        protocol = scope.protocol if family == "proxy" else SPEAKS.get(family, "http")
        groups = self.groups["stream" if family == "stream" else "http"]
        target = rewritten(family, row.args[0], protocol, self.upstream, groups)
        if "$" in row.args[0]:
            self._replaced(row, "what it stands for is not asked: always the upstream", False)
        return Node(row.name, _raw(row) if target is None else [target], row)

    def _finish_groups(self) -> None:
        for area, node, parent in self._group_nodes:
            assert node.origin is not None
            name = node.origin.args[0].lower()
            protocols = self.groups[area].speaks.get(name, ["http"])
            if not any(child.name == "server" for child in node.children or ()):
                assert node.children is not None
                node.children.append(Node("server", [""]))
                self._replaced(node.origin, "it has no server that can be read", True)
            siblings = parent.children
            assert siblings is not None
            at = next((at for at, one in enumerate(siblings) if one is node), len(siblings))
            clones = []
            for protocol in protocols:
                clone = Node(
                    "upstream",
                    [quoted(renamed(name, protocol))],
                    node.origin,
                    [Node(one.name, list(one.args), one.origin) for one in node.children or ()],
                )
                for one in clone.children or ():
                    if one.name == "server":
                        one.args[0] = f"127.0.0.1:{self.upstream[protocol]}"
                    elif one.name == "zone" and one.args:
                        one.args = [renamed(one.args[0], protocol), "1m"]
                clones.append(clone)
            siblings[at : at + 1] = clones

    # What has a way of its own

    def _root(self, row: Directive, *_: object) -> Node:
        slash = "/" if row.name == "alias" else ""
        self._replaced(row, "there are no files in the sandbox", False)
        return Node(row.name, [quoted(f"{self.folder}/empty{slash}")], row)

    def _certificate(self, row: Directive, *_: object) -> None:
        self._replaced(row, _MY_CERTIFICATE, False)

    def _cache_path(self, row: Directive, *_: object) -> Node | None:
        zone = next((arg for arg in row.args[1:] if arg.startswith("keys_zone=")), None)
        if zone is None:
            self._leave_out(row, "it has no keys_zone", True)
            return None
        number = sum(1 for node, _ in self.copy.root.walk() if node.name.endswith("_cache_path"))
        kept = [arg for arg in row.args[1:] if re.fullmatch(r"(levels|inactive)=[\w:]+", arg)]
        name = zone.removeprefix("keys_zone=").partition(":")[0]
        self._replaced(row, "its files are in the sandbox", False)
        path = quoted(f"{self.folder}/cache/{number}-{name}")
        return Node(row.name, [path, *kept, quoted(f"keys_zone={name}:1m")], row)

    def _listen(self, *_: object) -> None:
        """Written for the whole server at once."""

    def _ssl(self, row: Directive, *_: object) -> Node | None:
        if self.version < _HTTP2_DIRECTIVE:
            return Node(row.name, _raw(row), row)
        self._leave_out(row, "this nginx has it only as a parameter of listen", True)
        return None

    def _http2(self, row: Directive, *_: object) -> Node | None:
        if self.version >= _HTTP2_DIRECTIVE:
            return Node(row.name, _raw(row), row)
        self._replaced(row, "this nginx has it as a parameter of listen", False)
        return None

    def _lua_body_filter(self, row: Directive, *_: object) -> Node:
        self._replaced(row, "its code is not run: a filter that changes nothing", True)
        return Node("body_filter_by_lua", ["'ngx.arg[1] = ngx.arg[1]'"], row)

    def _js_body_filter(self, row: Directive, *_: object) -> Node:
        http = self.copy.http
        assert http is not None
        assert http.children is not None
        if not any(one.name == "js_import" for one in http.children):
            path = self.folder / "pass.js"
            path.write_text(_JS_BODY_FILTER, encoding="utf-8")
            http.children.insert(0, Node("js_import", ["nsl", "from", quoted(str(path))]))
        self._replaced(row, "its code is not run: a filter that changes nothing", True)
        return Node("js_body_filter", ["nsl.pass"], row)

    def _asks(self, row: Directive, _: str, node: Node, scope: _Scope) -> Node | None:
        """`auth_request`: kept where a location of the copy answers it."""
        child = self._as_written(row)
        if child is not None and row.args and row.args[0] != "off":
            self._asked.append((child, node, self._server_of(scope)))
        return child

    def _server_of(self, scope: _Scope) -> Node:
        place = self.copy.places.get(scope.server)
        for node, _ in self.copy.root.walk():
            if place is not None and node.name == "server" and self._marker(node) == scope.server:
                return node
        return self.copy.root

    @staticmethod
    def _marker(node: Node) -> str | None:
        found = (
            one.args[1]
            for one in node.children or ()
            if one.name == "add_header" and one.origin is None
        )
        return next(found, None)

    def _finish_asked(self) -> None:
        for child, node, server in self._asked:
            assert child.origin is not None
            if server.name != "main" and not _answers(server, child.origin.args[0]):
                assert node.children is not None
                node.children.remove(child)
                self._leave_out(child.origin, "nothing in the copy answers it", True)

    # The list

    def _leave_out(self, directive: Directive, why: str, matters: bool) -> None:
        self._note(directive, "left out", why, matters)

    def _replaced(self, directive: Directive, why: str, matters: bool) -> None:
        self._note(directive, "replaced", why, matters)

    def _note(self, directive: Directive, done: str, why: str, matters: bool) -> None:
        """Once for a directive, however often its file is included."""
        key = (id(directive), why)
        if key not in self._noted:
            self._noted.add(key)
            self.copy.note(directive, done, why, matters)


def hindrance(configuration: Configuration) -> Problem | None:
    """The first problem for which no nginx would run a configuration, sandboxed or not.

    An include that leads nowhere here, or out of the tree, is none: the copy goes without. So it
    does without a directive that is not on the list, wherever that stands.
    """
    if configuration.root is None:
        return configuration.problems[0]
    tree = tree_of(configuration.path)
    for problem in configuration.problems:
        missing = problem.message.startswith('included file "')
        name = _MISUSED.search(problem.message)
        if _is_below(problem.file, tree) and not missing and (name is None or may_run(name[1])):
            return problem
    return None


def may_run(name: str) -> bool:
    """Whether a copy may have a directive, in some form."""
    blocks = {inner for opened in _OPENS.values() for inner in opened}
    data = {inner for block in DATA_BLOCKS.values() for inner in block}
    return (
        name in HTTP | STREAM | UPSTREAM | LEADS_TO_FILES | blocks | data
        or name in _SPECIAL
        or name.removesuffix("_pass") in SPEAKS
    )


def tree_of(path: str) -> str:
    """The folder that belongs to a configuration, absolute.

    It is the main file's own, or the nearest above it with an `nginx.conf`, so that a site of
    `/etc/nginx/sites-enabled` may include what lies in `/etc/nginx`.
    """
    own = os.path.dirname(os.path.abspath(path))
    folder = own
    while True:
        if os.path.isfile(os.path.join(folder, "nginx.conf")):
            return folder
        above = os.path.dirname(folder)
        if above == folder:
            return own
        folder = above


def _is_below(path: str, folder: str) -> bool:
    return os.path.abspath(path).startswith(folder.rstrip(os.sep) + os.sep)


def _has_wildcard(directive: Directive) -> bool:
    return bool(directive.args) and re.search(r"[*?[]", directive.args[0]) is not None


def _raw(directive: Directive) -> list[str]:
    text = directive.source.text
    return [text[start:end] for start, end in directive.arg_spans]


def _raw_name(directive: Directive) -> str:
    start, end = directive.name_span
    return directive.source.text[start:end]


def _answers(server: Node, uri: str) -> bool:
    """Whether some location of a server answers a URI, as far as that is easily told."""
    if "$" in uri:
        return True
    path = uri.partition("?")[0]
    best: tuple[int, Node] | None = None
    for node, _ in server.walk():
        if node.name != "location" or node.origin is None:
            continue
        modifier, _, pattern = " ".join(node.origin.args).rpartition(" ")
        if modifier in ("~", "~*") or pattern.startswith("~"):
            try:
                if re.search(pattern.lstrip("~*"), path):
                    return True  # nearly always: it has a handler
            except re.error:
                return True
        elif modifier == "=" and pattern == path:
            best = (len(path) + 1, node)
        elif modifier != "=" and path.startswith(pattern.removeprefix("^~")):
            length = len(pattern.removeprefix("^~"))
            if best is None or length > best[0]:
                best = (length, node)
    if best is None:
        return False
    names_ = {one.name for one in best[1].children or ()}
    return bool(names_ & {"return", "rewrite", "try_files", *(f"{one}_pass" for one in SPEAKS)})


_Special = Callable[[_Copying, Directive, str, Node, _Scope], Node | None]

_ANYWHERE = frozenset({"listen", "ssl_certificate", "ssl_certificate_key"})
_SPECIAL: dict[str, _Special] = {
    "alias": _Copying._root,
    "auth_request": _Copying._asks,
    "http2": _Copying._http2,
    "js_body_filter": _Copying._js_body_filter,
    "listen": _Copying._listen,
    "root": _Copying._root,
    "ssl": _Copying._ssl,
    "ssl_certificate": _Copying._certificate,
    "ssl_certificate_key": _Copying._certificate,
    **dict.fromkeys(_LUA_BODY_FILTERS, _Copying._lua_body_filter),
    **{f"{family}_cache_path": _Copying._cache_path for family in SPEAKS if family != "grpc"},
}
