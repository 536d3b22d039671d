"""Directives, values and parameters that some nginx versions do not support.

Older versions refuse what a later one added.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from nginx_stream_lint.config import Directive, has_placeholder
from nginx_stream_lint.config.tree import is_known
from nginx_stream_lint.nginx.directives import FAMILIES, DirectiveEntry, table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.util.remembering import remembered

Say = Callable[[Directive, str], None]

_HTTP2_TO_UPSTREAMS: Version = (1, 29, 4)
_QUIC: Version = (1, 25, 0)


class Unavailable(Struct, frozen=True):
    """Directives that a version of nginx lacks; without a version, those that all versions lack.

    `names` are the directives that it lacks, and those that it does not take in some contexts.
    """

    version: Version | None
    names: frozenset[str]

    def say_which(self, level: Level, say: Say) -> None:
        """Report the directives of a level, and their values, that are not supported."""
        for name in level.rows.keys() & self.names:
            reason = _reason(table()[name], level, self.version) if self.version else None
            if reason:
                say(level.rows[name][0], reason)
        for row in level.rows.get("proxy_http_version", ()):
            _http_version(row, self.version, say)
        if self.version is not None and self.version < _QUIC:
            for row in level.rows.get("listen", ()):
                if "quic" in row.args[1:]:
                    say(row, 'invalid parameter "quic"')


def unsupported_in(version: Version | None) -> Unavailable:
    """What an nginx of this version does not support; None if the version is unknown."""
    if version is None:
        return Unavailable(None, frozenset())
    names = (
        entry.name
        for entry in table().values()
        if _is_lacking(entry, version) or any(version < since for _, since in entry.context_since)
    )
    return Unavailable(version, frozenset(names))


def _is_lacking(entry: DirectiveEntry, version: Version) -> bool:
    if entry.since is not None and version < entry.since:
        return True
    return entry.until is not None and version >= entry.until


def _reason(entry: DirectiveEntry, level: Level, version: Version) -> str | None:
    if _is_lacking(entry, version):
        return f'unknown directive "{entry.name}"'
    for context, since in entry.context_since:
        if context == level.kind and version < since:
            return f'"{entry.name}" directive is not allowed here'
    return None


def _http_version(row: Directive, version: Version | None, say: Say) -> None:
    value = row.args[0] if row.args else "1.1"
    if has_placeholder(value) or value in ("1.0", "1.1"):
        return
    if value != "2" or (version is not None and version < _HTTP2_TO_UPSTREAMS):
        say(row, f'invalid value "{value}"')


@remembered
def is_of_another_family(name: str) -> bool:
    """Whether nginx has no such directive, but another family has a similar one.

    `grpc_buffering` is an example, because of `proxy_buffering`.
    """
    family, _, rest = name.partition("_")
    if family not in FAMILIES or is_known(name):
        return False
    return any(is_known(f"{other}_{rest}") for other in FAMILIES)
