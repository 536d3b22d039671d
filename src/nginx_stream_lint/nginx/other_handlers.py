"""Modules that handle requests themselves, by their directives, and whether they stream.

Excludes the families that proxy requests: those are in `directives.FAMILIES`.
"""

from __future__ import annotations

import re
from typing import Literal

from msgspec import Struct

from nginx_stream_lint.config import Directive, statements
from nginx_stream_lint.nginx.directives import FAMILIES
from nginx_stream_lint.nginx.levels import Level, rows_in_force
from nginx_stream_lint.util.remembering import remembered

# `by-itself`: the module sends each message at once, whatever the location sets. `depends`: on the
# code that it runs, or on its own settings. `no`: nginx has the whole response at once.
Streaming = Literal["by-itself", "depends", "no", "unknown"]

_STREAMING: tuple[tuple[str, Streaming], ...] = (
    (r"nchan_(?:subscriber|pubsub)(?:_location)?|push_subscriber", "by-itself"),
    (r"push_stream_(?:subscriber|websocket)|tunnel_pass", "by-itself"),
    (r"content_by_lua(?:_block|_file)?|js_content|perl|echo\w*", "depends"),
    (r"passenger_enabled|wasm_call|proxy_wasm", "depends"),
    (r"nchan_(?:publisher(?:_location)?|group_location|stub_status)|push_publisher", "no"),
    (r"push_stream_(?:publisher|channels_statistics)", "no"),
    (r"stub_status|empty_gif|autoindex|dav_methods|random_index|api|status|upstream_conf", "no"),
    (r"memcached_pass|redis_pass|flv|mp4|hls|f4f|rtmp_stat|rtmp_control", "no"),
    (r"vhost_traffic_status_display|check_status|image_filter_status", "no"),
    (r"\w+_pass", "unknown"),
)
# Settings with names like handlers, and the families.
_SETTINGS = rf"echo_(?:after|before|read|abort)\w*|(?:{'|'.join(FAMILIES)})_\w*"
# Their argument decides whether they handle requests; inherited if nothing else does.
_INHERITED = ("passenger_enabled", "autoindex", "dav_methods")
_FLAGS = ("passenger_enabled", "autoindex", "random_index", "api")


class OtherHandler(Struct, frozen=True):
    """A module that handles requests, with the directive that enables it."""

    directive: Directive
    streaming: Streaming


def other_handler(level: Level, uri: str, method: str) -> OtherHandler | None:
    """The module that handles a request that ends at a level; None if none does.

    Each handler of a block replaces the ones before it, including those of the families.
    """
    own = _own(level)
    if own is not None or level.own_handler is not None:
        return own
    for name in _INHERITED:
        for row in rows_in_force(level, name)[-1:]:
            if name == "dav_methods":
                answers = method in {arg.upper() for arg in row.args}
            else:
                answers = row.args == ("on",) and (name != "autoindex" or uri.endswith("/"))
            if answers:
                return OtherHandler(row, _streaming(name) or "unknown")
    return None


def _own(level: Level) -> OtherHandler | None:
    """The module that a block itself enables; None, too, if one of the families comes after it."""
    last: Directive | None = None
    for name, rows in level.rows.items():
        if name in _INHERITED or _streaming(name) is None:
            continue
        for row in rows:
            is_on = name not in _FLAGS or row.args == ("on",)
            if is_on and (last is None or _comes_after(level, row, last)):
                last = row
    family = level.own_handler
    if last is None or (family is not None and _comes_after(level, family.directive, last)):
        return None
    return OtherHandler(last, _streaming(last.name) or "unknown")


def _comes_after(level: Level, directive: Directive, other: Directive) -> bool:
    rows = [row for row in statements(level.block) if row is directive or row is other]
    return bool(rows) and rows[-1] is directive


@remembered
def _streaming(name: str) -> Streaming | None:
    """Whether a directive's module streams; None if it handles no requests."""
    if re.fullmatch(_SETTINGS, name):
        return None
    return next((known for words, known in _STREAMING if re.fullmatch(words, name)), None)
