"""The table of directives that matter to streams (`directives.yaml`)."""

import os
from collections.abc import Mapping
from functools import cache

from msgspec import Struct

from nginx_stream_lint.nginx.versions import Version, parse_version
from nginx_stream_lint.util.data import data_text
from nginx_stream_lint.util.data import table as data_table

FILE = os.path.join(os.path.dirname(__file__), "directives.yaml")
# Those that buffer, cache and store responses.
BUFFERING_FAMILIES = ("proxy", "fastcgi", "uwsgi", "scgi")
FAMILIES = (*BUFFERING_FAMILIES, "grpc", "tunnel")


class DirectiveEntry(Struct, frozen=True, omit_defaults=True):
    """A directive: its `contexts`, how values `merge`, the type of its `value`.

    `defaults` are (since, arguments) pairs, oldest first; arguments are None if the default has no
    effect. `stream_default` applies in `stream {}` if it differs there. `since` and `until` are the
    versions that added and removed the directive, None if all have it; `context_since` are contexts
    that were added later.
    """

    name: str
    contexts: frozenset[str]
    merge: str
    value: str
    joins: bool
    defaults: tuple[tuple[Version, tuple[str, ...] | None], ...]
    stream_default: tuple[str, ...] | None
    since: Version | None = None
    until: Version | None = None
    context_since: tuple[tuple[str, Version], ...] = ()

    def default(self, version: Version, in_stream: bool) -> tuple[str, ...] | None:
        """The arguments that nginx uses by default; None if there are none."""
        if in_stream and self.stream_default is not None:
            return self.stream_default
        found: tuple[str, ...] | None = None
        for since, args in self.defaults:
            if version >= since:
                found = args
        return found

    @property
    def default_changed(self) -> bool:
        """Whether the default differs between nginx versions."""
        return len(self.defaults) > 1


@cache
def table() -> Mapping[str, DirectiveEntry]:
    """The directives by name."""
    return data_table("directives", dict[str, DirectiveEntry], read)


def read() -> dict[str, DirectiveEntry]:
    """Read the directives by name from YAML."""
    from nginx_stream_lint.util.yamlfile import load_text

    return {name: _entry(name, raw) for name, raw in load_text(data_text(FILE)).items()}


def _entry(name: str, raw: dict[str, object]) -> DirectiveEntry:
    def args(value: object) -> tuple[str, ...] | None:
        return None if value is None else tuple(str(value).split())

    def version(value: object) -> Version | None:
        return None if value is None else parse_version(str(value))

    default = raw["default"]
    newer: Mapping[str, object] = raw.get("context_since", {})  # type: ignore[assignment]
    rows = default if isinstance(default, list) else [{"args": default}]
    return DirectiveEntry(
        name=name,
        contexts=frozenset(raw["contexts"]) | frozenset(newer),  # type: ignore[call-overload]
        merge=str(raw["merge"]),
        value=str(raw["value"]),
        joins="repeat" in raw,
        defaults=tuple(
            (parse_version(str(row.get("since", "0.0"))), args(row["args"])) for row in rows
        ),
        stream_default=args(raw.get("stream_default")),
        since=version(raw.get("since")),
        until=version(raw.get("until")),
        context_since=tuple((name, parse_version(str(text))) for name, text in newer.items()),
    )
