"""Mark each block of a copy that can handle a request, by a header of its responses."""

from __future__ import annotations

from collections.abc import Iterator

from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.nginx.levels import Level, rows_in_force
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe.copied_files import is_below
from nginx_stream_lint.probe.copy_model import CopiedDirective, CopiedPlace, Copy
from nginx_stream_lint.probe.kept_directives import with_words

MARKER = "X-Nsl-Route"
_HEADER_INHERITANCE: Version = (1, 29, 3)
_MOST_HEADERS = 50  # that a block inherits: each block repeats them
_KINDS = {"server": "server", "location": "location", "if-in-location": "if"}


class Markers:
    """Numbers the blocks of a copy, starting after the `first` ones, of other copies.

    `path` is the configuration's.
    """

    def __init__(self, copy: Copy, path: str, version: Version, first: int) -> None:
        self._copy = copy
        self._path = path
        self._version = version
        self._first = first
        self._by_level: dict[Level, str] = {}

    def rows(self, level: Level) -> list[CopiedDirective]:
        """The headers to add to a block: its own marker, and those that it no longer inherits."""
        if level.kind not in _KINDS:
            return []
        return [*self._inherited_headers(level), self._mark(level)]

    def _inherited_headers(self, level: Level) -> Iterator[CopiedDirective]:
        """Repeat the outer `add_header`, which a block with a marker no longer inherits.

        The next nginx obeys some of these headers.
        """
        if "add_header" in level.rows:
            return
        inherits = level.effective("add_header_inherit", self._version).text
        if self._version >= _HEADER_INHERITANCE and inherits in ("merge", "off"):
            return
        for number, row in enumerate(rows_in_force(level, "add_header")):
            name = row.source.name
            if name != self._path and not is_below(name, self._copy.tree):
                continue  # it is on the list already
            if number >= _MOST_HEADERS:
                self._copy.leave_out(row, "the block inherits too many headers", True)
                continue
            made = with_words(self._copy, row, list(row.args))
            if made is not None:
                yield made

    def _mark(self, level: Level) -> CopiedDirective:
        """Add a header with a block's number to its responses."""
        marker = str(self._first + len(self._copy.places) + 1)
        self._by_level[level] = marker
        directive = level.directive
        if directive is None:
            file, line = self._path, 1
        else:
            file, line = directive.source.name, directive.line
        server = level.nearest("server")
        self._copy.places[marker] = CopiedPlace(
            _KINDS[level.kind],
            level.label,
            file,
            line,
            directive,
            marker if server is None else self._by_level[server],
            any(
                level.effective(f"{family}_cache", self._version).text not in ("", "off")
                for family in BUFFERING_FAMILIES
            ),
        )
        return CopiedDirective("add_header", [MARKER, marker, "always"])
