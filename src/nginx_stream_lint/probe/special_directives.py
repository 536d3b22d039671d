"""Directives that a copy has in another form, because they lead out of the sandbox as written."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import HTTP2_DIRECTIVE
from nginx_stream_lint.nginx.location_match import locate_uri
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe.allowed_directives import NAME, NOWHERE
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy
from nginx_stream_lint.probe.folders import WRITABLE
from nginx_stream_lint.probe.kept_directives import as_written, with_words
from nginx_stream_lint.probe.pass_targets import PROTOCOLS

INVALID = "nginx rejects its arguments"
_CACHE_OPTION = re.compile(r"levels=[12](?::[12]){0,2}|inactive=\d{1,6}[smhd]?")
_HANDLERS = frozenset({"return", "rewrite", "try_files"})
_LUA_BODY_FILTERS = ("body_filter_by_lua", "body_filter_by_lua_block", "body_filter_by_lua_file")
_LUA_BODY_FILTER = "ngx.arg[1] = ngx.arg[1]"
_JS_FILE = "pass.js"
_JS_BODY_FILTER = """\
export default {pass: function (r, data, flags) { r.sendBuffer(data, flags); }};
"""
_NO_CODE = "its code is not run; the copy uses a filter that changes nothing"


class SpecialDirectives:
    """Copies the directives in `SPECIAL`; call `finish` when the copy has all locations.

    `folder` is that of the copy.
    """

    def __init__(self, copy: Copy, version: Version, folder: Path) -> None:
        self._copy = copy
        self._version = version
        self._folder = folder
        self._caches = 0
        self._asked: list[tuple[CopiedDirective, list[CopiedDirective], Level]] = []

    def copied(
        self, row: Directive, level: Level, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        """The copy of a directive, to be put behind its `siblings`; None if it is omitted."""
        return SPECIAL[row.name](self, row, level, siblings)

    def finish(self) -> None:
        """Omit each `auth_request` that no location handles."""
        for child, siblings, server in self._asked:
            assert child.origin is not None
            if not _answers(server, child.args[0]):
                siblings.remove(child)
                self._copy.leave_out(child.origin, "no location in the copy handles it", True)

    def _root(
        self, row: Directive, level: Level, _: list[CopiedDirective]
    ) -> CopiedDirective | None:
        self._copy.note_replaced(row, "there are no files in the sandbox", False)
        if level.kind == "http":
            return None  # the whole copy has it
        slash = "/" if row.name == "alias" else ""
        return CopiedDirective(row.name, [f"{NOWHERE}{slash}"], row)

    def _certificate(self, row: Directive, *_: object) -> None:
        self._copy.note_replaced(row, "the probe uses a temporary certificate", False)

    def _cache_path(self, row: Directive, *_: object) -> CopiedDirective | None:
        zone = next((arg for arg in row.args[1:] if arg.startswith("keys_zone=")), None)
        if zone is None:
            return self._copy.leave_out(row, "it has no keys_zone", True)
        name = zone.removeprefix("keys_zone=").partition(":")[0]
        if NAME.fullmatch(name) is None:
            return self._copy.leave_out(row, "the name of its zone is not plain text", True)
        kept = [arg for arg in row.args[1:] if _CACHE_OPTION.fullmatch(arg)]
        self._copy.note_replaced(row, "its files are in the sandbox", False)
        path = f"{WRITABLE}/cache/{self._caches}"
        self._caches += 1
        return CopiedDirective(row.name, [path, *kept, f"keys_zone={name}:1m"], row)

    def _listen(self, *_: object) -> None:
        """Omit the row: the server has its `listen` already (see `copied_sockets`)."""

    def _ssl(self, row: Directive, *_: object) -> CopiedDirective | None:
        if self._version < HTTP2_DIRECTIVE:
            return self._switch(row)
        why = "this nginx supports it only as a parameter of listen"
        return self._copy.leave_out(row, why, True)

    def _http2(self, row: Directive, *_: object) -> CopiedDirective | None:
        if self._version >= HTTP2_DIRECTIVE:
            return self._switch(row)
        self._copy.note_replaced(row, "this nginx supports it as a parameter of listen", False)
        return None

    def _switch(self, row: Directive) -> CopiedDirective | None:
        words = [word.lower() for word in row.args]
        if words not in (["on"], ["off"]):
            return self._copy.leave_out(row, INVALID, True)
        return with_words(self._copy, row, words)

    def _lua_body_filter(self, row: Directive, *_: object) -> CopiedDirective:
        self._copy.note_replaced(row, _NO_CODE, True)
        return CopiedDirective("body_filter_by_lua", [_LUA_BODY_FILTER], row)

    def _js_body_filter(self, row: Directive, *_: object) -> CopiedDirective:
        http = self._copy.http
        assert http is not None
        assert http.children is not None
        if not any(one.name == "js_import" for one in http.children):
            (self._folder / _JS_FILE).write_text(_JS_BODY_FILTER, encoding="utf-8")
            http.children.insert(0, CopiedDirective("js_import", ["nsl", "from", _JS_FILE]))
        self._copy.note_replaced(row, _NO_CODE, True)
        return CopiedDirective("js_body_filter", ["nsl.pass"], row)

    def _auth_request(
        self, row: Directive, level: Level, siblings: list[CopiedDirective]
    ) -> CopiedDirective | None:
        child = as_written(self._copy, row)
        server = level.nearest("server")
        if child is not None and server is not None and child.args and child.args[0] != "off":
            self._asked.append((child, siblings, server))
        return child


def is_special(name: str, kind: str) -> bool:
    """Whether a directive is copied in another form in a kind of level."""
    is_http = kind not in ("main", "upstream", "stream", "stream-server", "stream-upstream")
    return name in SPECIAL and (is_http or name in _ANYWHERE)


def _answers(server: Level, uri: str) -> bool:
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


_Special: TypeAlias = Callable[
    [SpecialDirectives, Directive, Level, list[CopiedDirective]], CopiedDirective | None
]
SPECIAL: dict[str, _Special] = {
    "alias": SpecialDirectives._root,
    "auth_request": SpecialDirectives._auth_request,
    "http2": SpecialDirectives._http2,
    "js_body_filter": SpecialDirectives._js_body_filter,
    "listen": SpecialDirectives._listen,
    "root": SpecialDirectives._root,
    "ssl": SpecialDirectives._ssl,
    "ssl_certificate": SpecialDirectives._certificate,
    "ssl_certificate_key": SpecialDirectives._certificate,
    **dict.fromkeys(_LUA_BODY_FILTERS, SpecialDirectives._lua_body_filter),
    **{
        f"{family}_cache_path": SpecialDirectives._cache_path
        for family in PROTOCOLS
        if family != "grpc"
    },
}
_ANYWHERE = frozenset({"listen", "ssl_certificate", "ssl_certificate_key"})
