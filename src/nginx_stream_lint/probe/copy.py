"""Copy a configuration so that a real nginx runs it without touching anything of its author's.

The copy is made of the parsed words of `nginx.levels`, never of source text: includes are expanded
into one text. Directives are kept by an allow list (`permitted`), listening sockets move to free
ports of loopback, targets become the dripping upstream or the copy of the next nginx, paths lead
into the sandbox. All changes are listed. `verify` checks the finished text against the allow list
again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from nginx_stream_lint.config import Configuration, Directive, File, Problem, has_placeholder
from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.nginx.levels import Level, build, rows_in_force
from nginx_stream_lint.nginx.listeners import addresses
from nginx_stream_lint.nginx.location_match import locate_uri
from nginx_stream_lint.nginx.validity import condition_error
from nginx_stream_lint.nginx.versions import NEW, Version
from nginx_stream_lint.probe.allowed_directives import (
    BELOW_ROOT,
    DATA_BLOCKS,
    HTTP,
    KEPT,
    LARGEST_WEIGHT,
    LEADS_TO_FILES,
    MACHINE,
    MACHINE_RENAMED,
    NAME,
    NOWHERE,
    STREAM,
    UPSTREAM,
    reason_for_omission,
    too_large,
)
from nginx_stream_lint.probe.copy_model import (
    CopiedDirective,
    CopiedPlace,
    CopiedSocket,
    Copy,
    NextCopy,
)
from nginx_stream_lint.probe.launch import NginxError
from nginx_stream_lint.probe.nginx import free_ports
from nginx_stream_lint.probe.pass_targets import (
    PROTOCOLS,
    Groups,
    rewritten_target,
    tier_protocol,
    tier_target,
)
from nginx_stream_lint.probe.quoting import UnwritableWord, quoted

MARKER = "X-Nsl-Route"
# The only places inside the folder to which nginx may write.
WRITABLE = "run"
CERTIFICATE, KEY = "certificate.pem", "key.pem"
JS_FILTER = "pass.js"
LUA_BODY_FILTER = "ngx.arg[1] = ngx.arg[1]"
KEPT_OPTIONS = frozenset({"ssl", "http2", "default_server", "default"})

_HTTP2_DIRECTIVE: Version = (1, 25, 1)  # which took `ssl` away
_HTTP2_UPSTREAM: Version = (1, 29, 4)
_HEADER_INHERITANCE: Version = (1, 29, 3)
_MOST_HEADERS = 50  # that a block inherits: each block repeats them

# Kinds of levels that are written with another name.
_WRITTEN = {
    "if-in-server": "if",
    "if-in-location": "if",
    "stream-server": "server",
    "stream-upstream": "upstream",
}
# Arguments of the blocks that are assumed around a fragment, by the kind of level. The method is
# never empty, so the `if` is always true.
_AROUND_FRAGMENTS = {
    "location": ("/",),
    "upstream": ("fragment",),
    "if-in-location": ("($request_method)",),
}
_IN_STREAM = ("stream", "stream-server", "stream-upstream")
_NOT_HTTP = ("main", "upstream", *_IN_STREAM)
_ANSWERS = {"server": "server", "location": "location", "if-in-location": "if"}
_BLOCKS = frozenset({"http", "if", "limit_except", "location", "server", "stream", "upstream"})
_WITHOUT_WORDS = frozenset({"http", "server", "stream"})
_RENAMED = re.compile(
    rf"(?<=\$)\{{?{MACHINE_RENAMED}(hostname|pid|realpath_root)(?!\w)", re.IGNORECASE | re.ASCII
)
CACHE_OPTION = re.compile(r"levels=[12](?::[12]){0,2}|inactive=\d{1,6}[smhd]?")
_FILE_TEST = re.compile(r"\(?!?-[fdex]")
_UPWARDS = re.compile(r"(?:^|/)\.\.(?:/|$)")
# Included files that hold no more than content types, parameters for applications, or modules.
_ONLY_TABLES = re.compile(
    r"(?:^|/)(?:mime\.types|(?:fastcgi|scgi|uwsgi)_params|fastcgi\.conf|modules-enabled/[^/]*)$"
)
# Beginnings of problems about files that are missing, or that may not be read.
_NOT_INCLUDED = ('included file "', 'include "')
_MISUSED = re.compile(r'"(\w+)" directive')
_HANDLERS = frozenset({"return", "rewrite", "try_files"})
_LUA_BODY_FILTERS = ("body_filter_by_lua", "body_filter_by_lua_block", "body_filter_by_lua_file")
_JS_BODY_FILTER = """\
export default {pass: function (r, data, flags) { r.sendBuffer(data, flags); }};
"""
_INVALID = "nginx rejects its arguments"
_MY_CERTIFICATE = "the probe uses a temporary certificate"


def copy_of(
    configuration: Configuration,
    version: Version,
    upstream: Mapping[str, int],
    folder: Path,
    next_copies: Mapping[int, NextCopy] | None = None,
    markers: int = 0,
) -> Copy:
    """The copy of a configuration.

    Args:
        configuration: as `config.read` returns it, without the parts that could not be read.
        version: of the nginx that will run the copy.
        upstream: protocol to port of the dripping upstream.
        folder: an existing one, which is written into. All paths in the copy are relative to it.
        next_copies: by the `id` of a `*_pass` directive, where it leads instead of the upstream.
        markers: how many markers other copies of the chain have.

    Raises:
        NginxError: there is nothing to run, or there are no free ports.
    """
    for name in ("tmp", "cache"):
        (folder / WRITABLE / name).mkdir(parents=True, exist_ok=True)
    return _Copying(configuration, version, upstream, folder, next_copies or {}, markers).run()


class _Copying:
    def __init__(
        self,
        configuration: Configuration,
        version: Version,
        upstream: Mapping[str, int],
        folder: Path,
        next_copies: Mapping[int, NextCopy],
        markers: int,
    ) -> None:
        self.configuration = configuration
        self.version = version
        self.upstream = dict(upstream)
        self.next_copies = next_copies
        self.markers = markers
        self.folder = folder
        self.tree = tree_of(configuration.path)
        self.copy = Copy(
            CopiedDirective("main", children=[]), upstream=frozenset(upstream.values())
        )
        self.groups = {"http": Groups(), "stream": Groups()}
        self._group_nodes: list[tuple[str, CopiedDirective, list[CopiedDirective]]] = []
        self._passes: list[tuple[CopiedDirective, str, str]] = []
        self._passes_on: list[tuple[CopiedDirective, str, NextCopy]] = []
        self._listens: list[tuple[CopiedDirective, str]] = []
        self._asked: list[tuple[CopiedDirective, list[CopiedDirective], Level]] = []
        self._caches = 0
        self._work: list[tuple[Level, CopiedDirective]] = []
        self._markers: dict[Level, str] = {}
        self._noted: set[tuple[int, str]] = set()

    # The whole

    def run(self) -> Copy:
        if self.configuration.root is None:
            raise NginxError(f"{self.configuration.path} cannot be read")
        self._work.append((build(self.configuration), self.copy.root))
        while self._work:
            self._fill(*self._work.pop())
        self._finish_passes_on()
        self._finish_passes()
        self._finish_groups()
        self._finish_asked()
        self._finish_sockets()
        self._finish_http()
        return self.copy

    def _statements(self, block: Iterable[Directive]) -> Iterator[Directive]:
        """The directives of a block, with includes replaced by their contents."""
        for directive in block:
            if directive.name != "include" or directive.block is not None:
                yield directive
                continue
            matters = not directive.args or _ONLY_TABLES.search(directive.args[0]) is None
            if not directive.included and not _has_wildcard(directive):
                self._leave_out(directive, "the file cannot be read", matters)
            for file in directive.included:
                if self._is_inside(file):
                    yield from self._statements(file.directives)
                else:
                    self._leave_out(directive, f"it is outside {self.tree}", matters)

    def _is_inside(self, file: File) -> bool:
        return _is_below(file.source.name, self.tree)

    # One block

    def _fill(self, level: Level, node: CopiedDirective) -> None:
        rows = list(self._statements(level.block))
        assert node.children is not None
        if level.kind in _ANSWERS:
            node.children += [*self._inherited_headers(level), self._mark(level)]
        if level.kind in ("server", "stream-server"):
            listens = [row for row in rows if row.name == "listen" and row.args]
            self._listen_rows(level, node.children, listens)
        inner: dict[int, list[Level]] = {}
        for child in reversed(level.children):
            if child.directive is None:
                # The blocks around a fragment, which are unknown.
                args = list(_AROUND_FRAGMENTS.get(child.kind, ()))
                self._open(child, CopiedDirective(_name(child), args, None, []), node.children)
                node.children.append(self._work[-1][1])
            else:
                inner.setdefault(id(child.directive), []).append(child)
        for row in rows:
            opened = inner.get(id(row))
            made = self._row(row, level, opened.pop() if opened else None, node.children)
            if made is not None:
                node.children.append(made)

    def _row(
        self, row: Directive, level: Level, opened: Level | None, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        """The copy of one directive; None if it is removed."""
        kind = level.kind
        if opened is not None and opened.kind != "events":
            return self._block(row, opened, siblings)
        if row.block is not None:
            if row.name in DATA_BLOCKS.get(kind, ()):
                return self._data(row)
            if not row.name.endswith("_by_lua_block"):
                return self._unlisted(row)
        if kind in ("upstream", "stream-upstream") and row.name == "server":
            return CopiedDirective("server", ["", *filter(_is_flag, row.args[1:])], row)
        in_http = kind not in _NOT_HTTP
        family = row.name.removesuffix("_pass")
        if kind in _IN_STREAM and row.name == "proxy_pass" and row.args:
            return self._pass(row, level, "stream")
        if in_http and row.name.endswith("_pass") and family in PROTOCOLS and row.args:
            return self._pass(row, level, family)
        special = _SPECIAL.get(row.name)
        if special is not None and (in_http or row.name in _ANYWHERE):
            return special(self, row, level, siblings)
        if row.name in KEPT.get(kind, ()):
            return self._as_written(row)
        return self._unlisted(row)

    def _block(
        self, row: Directive, level: Level, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        words = row.words if row.name == "if" else list(row.args)
        if not _opens_block(row.name, words):
            return self._leave_out(row, _INVALID, True)
        if row.name == "if":
            words = self._condition(row, words)
        if level.kind in ("upstream", "stream-upstream") and (
            len(words) != 1 or NAME.fullmatch(words[0]) is None
        ):
            return self._leave_out(row, "its name is not valid in the copy", True)
        node = self._written(row, words, [])
        if node is not None:
            self._open(level, node, siblings)
        return node

    def _open(self, level: Level, node: CopiedDirective, siblings: list[CopiedDirective]) -> None:
        """Remember a block for later steps."""
        if level.kind == "http":
            self.copy.http = self.copy.http or node
        elif level.kind == "stream":
            self.copy.stream = self.copy.stream or node
        elif level.kind in ("upstream", "stream-upstream"):
            area = "http" if level.kind == "upstream" else "stream"
            self.groups[area].names.add(node.args[0].lower())
            self._group_nodes.append((area, node, siblings))
        self._work.append((level, node))

    def _data(self, row: Directive) -> CopiedDirective | None:
        """Copy a block of rows, which nginx always reads as data."""
        assert row.block is not None
        rows = [one for one in self._statements(row.block) if one.block is None]
        node = self._written(row, list(row.args), [])
        if node is not None:
            made = (self._written(one, list(one.args)) for one in rows)
            node.children = [one for one in made if one is not None]
        return node

    def _as_written(self, row: Directive) -> CopiedDirective | None:
        if row.name in LEADS_TO_FILES:
            paths = row.args[1:] if row.name == "rewrite" else row.args
            if any(_UPWARDS.search(path) for path in paths):
                return self._leave_out(row, "it leads out of the document root", True)
        if row.name == "sticky" and (
            row.args[:1] not in (("cookie",), ("route",)) or "zone=" in " ".join(row.args)
        ):
            return self._leave_out(row, "the probe keeps no sessions", True)
        if row.name == "zone":
            if not row.args or NAME.fullmatch(row.args[0]) is None:
                return self._leave_out(row, "its name is not plain text", False)
            return self._written(row, [row.args[0], "1m"])
        return self._written(row, list(row.args))

    def _written(
        self, row: Directive, words: list[str], children: list[CopiedDirective] | None = None
    ) -> CopiedDirective | None:
        """A directive with these words, if nginx's syntax and the sandbox's limits have room."""
        if too_large(row.name, words):
            return self._leave_out(row, "it needs more memory than the probe allows", True)
        kept = [MACHINE.sub(rf"\1{MACHINE_RENAMED}", word) for word in (row.name, *words)]
        try:
            for word in kept:
                quoted(word)
        except UnwritableWord as error:
            return self._leave_out(row, f"the copy cannot contain it: {error}", True)
        if kept != [row.name, *words]:
            self._replaced(row, "values that show this machine are empty in the copy", True)
        return CopiedDirective(kept[0], kept[1:], row, children)

    def _unlisted(self, row: Directive) -> CopiedDirective | None:
        why = reason_for_omission(row.name)
        return self._leave_out(row, why.why, why.matters)

    def _condition(self, row: Directive, words: list[str]) -> list[str]:
        """The words of an `if`, in which file tests are limited to the root."""
        for at in range(1, len(words)):
            test, path = words[at - 1], words[at]
            if _FILE_TEST.fullmatch(test) and BELOW_ROOT.match(path) is None:
                words[at] = f"{NOWHERE}/{path.lstrip('/')}"
                self._replaced(row, "there are no files in the sandbox", True)
        return words

    # Markers

    def _inherited_headers(self, level: Level) -> Iterator[CopiedDirective]:
        """Repeat the outer `add_header`, which a block with a marker no longer inherits.

        The next nginx obeys some of these headers.
        """
        if "add_header" in level.rows:
            return
        inherits = level.effective("add_header_inherit", self.version).text
        if self.version >= _HEADER_INHERITANCE and inherits in ("merge", "off"):
            return
        for number, row in enumerate(rows_in_force(level, "add_header")):
            name = row.source.name
            if name != self.configuration.path and not _is_below(name, self.tree):
                continue  # it is on the list already
            if number >= _MOST_HEADERS:
                self._leave_out(row, "the block inherits too many headers", True)
                continue
            made = self._written(row, list(row.args))
            if made is not None:
                yield made

    def _mark(self, level: Level) -> CopiedDirective:
        """Add a header with a block's number to its responses."""
        marker = str(self.markers + len(self.copy.places) + 1)
        self._markers[level] = marker
        directive = level.directive
        if directive is None:
            file, line = self.configuration.path, 1
        else:
            file, line = directive.source.name, directive.line
        server = level.nearest("server")
        self.copy.places[marker] = CopiedPlace(
            _ANSWERS[level.kind],
            level.label,
            file,
            line,
            directive,
            marker if server is None else self._markers[server],
            any(
                level.effective(f"{family}_cache", self.version).text not in ("", "off")
                for family in BUFFERING_FAMILIES
            ),
        )
        return CopiedDirective("add_header", [MARKER, marker, "always"])

    # Listening

    def _listen_rows(
        self, level: Level, children: list[CopiedDirective], rows: list[Directive]
    ) -> None:
        is_stream = level.kind == "stream-server"
        before = self.version < _HTTP2_DIRECTIVE and not is_stream
        all_tls = before and level.effective("ssl", self.version).text == "on"
        own_http2 = before and level.effective("http2", NEW).text == "on"
        found: list[tuple[str, list[str], Directive | None]] = []
        for row in rows:
            options = list(row.args[1:])
            if {"quic", "udp"} & set(options):
                self._leave_out(row, "only TCP is measured", True)
                continue
            kept = [option for option in options if option in KEPT_OPTIONS]
            dropped = [option for option in options if option not in KEPT_OPTIONS]
            if dropped:
                self._replaced(row, f"the copy listens without {' '.join(dropped)}", False)
            if own_http2 and ("ssl" in kept or all_tls) and "http2" not in kept:
                kept.append("http2")
            found += [(name, kept, row) for name in addresses(row.args[0])]
        if not found:
            # A stream server must listen, though UDP is not measured; one of http does on port 80.
            nowhere = is_stream or bool(rows)
            found = [(f"nowhere:{len(self._listens)}" if nowhere else "*:80", [], None)]
        for name, options, origin in found:
            key = f"stream {name}" if is_stream else name
            socket = self.copy.sockets.setdefault(key, CopiedSocket(name, is_stream=is_stream))
            socket.tls |= "ssl" in options or all_tls
            listen = CopiedDirective("listen", ["", *options], origin)
            children.append(listen)
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
                    CopiedDirective("ssl_certificate", [CERTIFICATE]),
                    CopiedDirective("ssl_certificate_key", [KEY]),
                ]

    # Targets

    def _pass(self, row: Directive, level: Level, family: str) -> CopiedDirective:
        protocol = PROTOCOLS.get(family, "http")
        if family == "proxy" and self.version >= _HTTP2_UPSTREAM:
            version = level.effective("proxy_http_version", self.version).text
            protocol = "h2c" if version == "2" else "http"
        node = CopiedDirective(row.name, [row.args[0]], row)
        following = self.next_copies.get(id(row))
        if following is not None:
            self._passes_on.append((node, family, following))
            return node
        if _is_variable(row.args[0]):
            self._replaced(
                row, "variables are not evaluated; the target is always the probe's upstream", False
            )
        # Groups may come after the directives that use them.
        self._passes.append((node, family, protocol))
        return node

    def _finish_passes_on(self) -> None:
        """Lead requests to the copies of the next nginx, with the header Host that they have."""
        groups, http = self.groups["http"], self.copy.http
        for node, family, following in self._passes_on:
            assert http is not None
            assert http.children is not None
            target = following.target
            name = (target.host if NAME.fullmatch(target.host) else "localhost").lower()
            if name not in groups.names:
                groups.names.add(name)
                rows = [CopiedDirective("server", [""])]
                made = CopiedDirective("upstream", [name], None, rows)
                self._group_nodes.append(("http", made, http.children))
            protocol = tier_protocol(following.port)
            self.upstream[protocol] = following.port
            self.copy.upstream |= {following.port}
            self.copy.over_tls |= target.scheme in ("https", "grpcs")
            uri = target.uri
            if _is_variable(node.args[0]):
                assert node.origin is not None
                self._replaced(
                    node.origin,
                    "variables are not evaluated; the next nginx gets the path unchanged",
                    bool(uri),
                )
                uri = ""
            group = groups.use(name, protocol)
            assert group is not None
            if group != name:
                assert node.origin is not None
                why = f"the next nginx gets the Host {group}, because another target has that name"
                self._replaced(node.origin, why, True)
            node.args = [tier_target(family, target.scheme, group, uri)]

    def _finish_passes(self) -> None:
        for node, family, protocol in self._passes:
            groups = self.groups["stream" if family == "stream" else "http"]
            target = rewritten_target(family, node.args[0], protocol, self.upstream, groups)
            if target is None:
                row = node.origin
                assert row is not None
                raise NginxError(
                    "nginx rejects the copy: invalid URL prefix, or no host after it, in"
                    f" {row.name} of {row.source.name}:{row.line}"
                )
            node.args = [target]

    def _finish_groups(self) -> None:
        for area, node, siblings in self._group_nodes:
            name = node.args[0].lower()
            variants = self.groups[area].variants.get(name, {"http": name})
            if not any(child.name == "server" for child in node.children or ()):
                assert node.children is not None
                node.children.append(CopiedDirective("server", [""]))
                if node.origin is not None:
                    self._replaced(node.origin, "no server in it can be read", True)
            at = next((at for at, one in enumerate(siblings) if one is node), len(siblings))
            clones = []
            for protocol, variant in variants.items():
                clone = CopiedDirective(
                    "upstream",
                    [variant],
                    node.origin,
                    [
                        CopiedDirective(one.name, list(one.args), one.origin)
                        for one in node.children or ()
                    ],
                )
                for one in clone.children or ():
                    if one.name == "server":
                        one.args[0] = f"127.0.0.1:{self.upstream[protocol]}"
                    elif one.name == "zone" and variant != name:
                        one.args[0] = f"{one.args[0]}-nsl-{protocol}"
                clones.append(clone)
            siblings[at : at + 1] = clones

    def _finish_http(self) -> None:
        """Set nginx's paths, and values for variables of this machine."""
        http = self.copy.http
        if http is not None and http.children is not None:
            http.children[:0] = [
                CopiedDirective("access_log", ["off"]),
                CopiedDirective("root", [NOWHERE]),
                CopiedDirective("client_body_temp_path", [f"{WRITABLE}/tmp/body"]),
                *(
                    CopiedDirective(f"{family}_temp_path", [f"{WRITABLE}/tmp/{family}"])
                    for family in BUFFERING_FAMILIES
                ),
            ]
        for block, source in ((http, "$host"), (self.copy.stream, "$remote_addr")):
            if block is None or block.children is None:
                continue
            names = {
                f"{MACHINE_RENAMED}{found[1].lower()}"
                for node, _ in block.walk()
                for word in (node.name, *node.args)
                for found in _RENAMED.finditer(word)
            }
            block.children[:0] = [
                CopiedDirective(
                    "map", [source, f"${name}"], None, [CopiedDirective("default", [""])]
                )
                for name in sorted(names)
            ]

    # Directives with special treatment

    def _root(
        self, row: Directive, level: Level, _: list[CopiedDirective]
    ) -> CopiedDirective | None:
        self._replaced(row, "there are no files in the sandbox", False)
        if level.kind == "http":
            return None  # the whole copy has it
        slash = "/" if row.name == "alias" else ""
        return CopiedDirective(row.name, [f"{NOWHERE}{slash}"], row)

    def _certificate(self, row: Directive, *_: object) -> None:
        self._replaced(row, _MY_CERTIFICATE, False)

    def _cache_path(self, row: Directive, *_: object) -> CopiedDirective | None:
        zone = next((arg for arg in row.args[1:] if arg.startswith("keys_zone=")), None)
        if zone is None:
            return self._leave_out(row, "it has no keys_zone", True)
        name = zone.removeprefix("keys_zone=").partition(":")[0]
        if NAME.fullmatch(name) is None:
            return self._leave_out(row, "the name of its zone is not plain text", True)
        kept = [arg for arg in row.args[1:] if CACHE_OPTION.fullmatch(arg)]
        self._replaced(row, "its files are in the sandbox", False)
        path = f"{WRITABLE}/cache/{self._caches}"
        self._caches += 1
        return CopiedDirective(row.name, [path, *kept, f"keys_zone={name}:1m"], row)

    def _listen(self, *_: object) -> None:
        """Skip the row: `listen` is written once for the whole server."""

    def _ssl(self, row: Directive, *_: object) -> CopiedDirective | None:
        if self.version < _HTTP2_DIRECTIVE:
            return self._switch(row)
        return self._leave_out(row, "this nginx supports it only as a parameter of listen", True)

    def _http2(self, row: Directive, *_: object) -> CopiedDirective | None:
        if self.version >= _HTTP2_DIRECTIVE:
            return self._switch(row)
        self._replaced(row, "this nginx supports it as a parameter of listen", False)
        return None

    def _switch(self, row: Directive) -> CopiedDirective | None:
        words = [word.lower() for word in row.args]
        if words not in (["on"], ["off"]):
            return self._leave_out(row, _INVALID, True)
        return self._written(row, words)

    def _lua_body_filter(self, row: Directive, *_: object) -> CopiedDirective:
        self._replaced(
            row, "its code is not run; the copy uses a filter that changes nothing", True
        )
        return CopiedDirective("body_filter_by_lua", [LUA_BODY_FILTER], row)

    def _js_body_filter(self, row: Directive, *_: object) -> CopiedDirective:
        http = self.copy.http
        assert http is not None
        assert http.children is not None
        if not any(one.name == "js_import" for one in http.children):
            (self.folder / JS_FILTER).write_text(_JS_BODY_FILTER, encoding="utf-8")
            http.children.insert(0, CopiedDirective("js_import", ["nsl", "from", JS_FILTER]))
        self._replaced(
            row, "its code is not run; the copy uses a filter that changes nothing", True
        )
        return CopiedDirective("js_body_filter", ["nsl.pass"], row)

    def _asks(
        self, row: Directive, level: Level, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        """`auth_request`: kept if a location of the copy handles it."""
        child = self._as_written(row)
        server = level.nearest("server")
        if child is not None and server is not None and child.args and child.args[0] != "off":
            self._asked.append((child, siblings, server))
        return child

    def _finish_asked(self) -> None:
        for child, siblings, server in self._asked:
            assert child.origin is not None
            if not self._answers(server, child.args[0]):
                siblings.remove(child)
                self._leave_out(child.origin, "no location in the copy handles it", True)

    def _answers(self, server: Level, uri: str) -> bool:
        """Whether a location of a server handles a URI with a handler that the copy has."""
        if "$" in uri:
            return True
        found = locate_uri(server, uri.partition("?")[0])
        if found.unreadable or found.redirects:
            return True
        location = found.level
        return location is not None and (
            location.handler is not None or bool(location.rows.keys() & _HANDLERS)
        )

    # The list

    def _leave_out(self, directive: Directive, why: str, matters: bool) -> CopiedDirective | None:
        """Add a directive to the list of removed ones; returns None, its replacement."""
        self._note(directive, "removed", why, matters)
        return None

    def _replaced(self, directive: Directive, why: str, matters: bool) -> None:
        self._note(directive, "replaced", why, matters)

    def _note(self, directive: Directive, done: str, why: str, matters: bool) -> None:
        """Add a change once per directive, however often its file is included."""
        key = (id(directive), why)
        if key not in self._noted:
            self._noted.add(key)
            self.copy.note(directive, done, why, matters)


def first_problem(configuration: Configuration) -> Problem | None:
    """The first problem for which no nginx would run a configuration, sandboxed or not.

    A missing include, or one that leads out of the tree, does not count, because the copy omits it;
    nor does a directive that is not on the allow list.
    """
    if configuration.root is None:
        return configuration.problems[0]
    tree = tree_of(configuration.path)
    for problem in configuration.problems:
        missing = problem.message.startswith(_NOT_INCLUDED)
        name = _MISUSED.search(problem.message)
        if _is_below(problem.file, tree) and not missing and (name is None or may_run(name[1])):
            return problem
    return None


def may_run(name: str) -> bool:
    """Whether a copy may have a directive, in some form."""
    data = {inner for block in DATA_BLOCKS.values() for inner in block}
    return (
        name in HTTP | STREAM | UPSTREAM | LEADS_TO_FILES | _BLOCKS | data
        or name in _SPECIAL
        or name.removesuffix("_pass") in PROTOCOLS
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


def _is_variable(target: str) -> bool:
    return "$" in target or has_placeholder(target)


def _is_flag(arg: str) -> bool:
    """Whether a parameter of an upstream's server affects which server is used."""
    weight = re.fullmatch(r"weight=(\d{1,4})", arg)
    if weight is not None:
        return int(weight[1]) <= LARGEST_WEIGHT
    return arg in ("backup", "down")


def _opens_block(name: str, words: list[str]) -> bool:
    """Whether nginx opens a block with these words."""
    if name == "if":
        return bool(words) and condition_error(words) is None
    return not words if name in _WITHOUT_WORDS else bool(words)


def _name(level: Level) -> str:
    return _WRITTEN.get(level.kind, level.kind)


_Special = Callable[[_Copying, Directive, Level, list[CopiedDirective]], CopiedDirective | None]

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
    **{f"{family}_cache_path": _Copying._cache_path for family in PROTOCOLS if family != "grpc"},
}
