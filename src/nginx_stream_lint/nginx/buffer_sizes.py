"""Combinations of buffer sizes that nginx refuses. Source: `ngx_http_proxy_merge_loc_conf`."""

from __future__ import annotations

from collections.abc import Callable

from nginx_stream_lint.config import Directive, has_placeholder
from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.nginx.levels import Effective, Level
from nginx_stream_lint.nginx.missing_includes import has_missing_includes
from nginx_stream_lint.nginx.values import parse_size
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.util.numbers import whole_number

Say = Callable[[Directive, str], None]

_WHAT = ("buffer_size", "buffers", "busy_buffers_size", "max_temp_file_size")
_NAMES = frozenset(f"{family}_{what}" for family in BUFFERING_FAMILIES for what in _WHAT)


class MismatchedBuffers:
    """Finds buffer sizes in force at levels that nginx refuses together.

    nginx compares them when it merges levels, from the server inwards. It also compares inherited
    values, so a value in `http` counts at each server.
    """

    def __init__(self) -> None:
        # Combinations of outer block and own rows that were compared; many locations share one.
        self._seen: set[tuple[Level | None, tuple[tuple[str, ...], ...]]] = set()

    def look_at(self, level: Level, say: Say) -> None:
        """Report buffer sizes at a level that nginx refuses together."""
        names = level.rows.keys() & _NAMES
        if level.kind == "server" and level.parent is not None:
            names |= level.parent.rows.keys() & _NAMES
        if not names or level.kind not in ("server", "location"):
            return
        rows = tuple((name, *row.args) for name in names for row in level.rows.get(name, ()))
        if (level.parent, rows) in self._seen:
            return
        self._seen.add((level.parent, rows))
        if any(map(has_missing_includes, level.outward())):
            return
        for family in BUFFERING_FAMILIES:
            if any(name.startswith(family) for name in names):
                _compare(level, family, say)


def _compare(level: Level, family: str, say: Say) -> None:
    buffer, buffers, busy, temporary = (level.effective(f"{family}_{what}", OLD) for what in _WHAT)
    number, each = _buffers(buffers)
    first = _size(buffer)
    if number is None or each is None or first is None:
        return
    largest = max(first, each)

    def refuse(message: str, *because: Effective) -> None:
        rows = [row for one in because for row in one.directives]
        if rows:
            say(rows[0], message)

    largest_said = f'the maximum of the value of "{family}_buffer_size" and one of the'
    if number < 2:
        refuse(f'there must be at least 2 "{family}_buffers"', buffers)
        return
    kept = 2 * largest if busy.is_default else _size(busy)
    if kept is None:
        return
    name = f'"{family}_busy_buffers_size" must be'
    if kept < largest:
        message = f'{name} equal to or greater than {largest_said} "{family}_buffers"'
        refuse(message, busy)
    elif kept > (number - 1) * each:
        message = f'{name} less than the size of all "{family}_buffers" minus one buffer'
        refuse(message, busy, buffer, buffers)
    elif not temporary.is_default and 0 < (_size(temporary) or 0) < largest:
        message = (
            f'"{family}_max_temp_file_size" must be equal to zero to disable temporary files usage'
            f' or must be equal to or greater than {largest_said} "{family}_buffers"'
        )
        refuse(message, temporary)


def _size(effective: Effective) -> int | None:
    return None if has_placeholder(effective.text) else parse_size(effective.text)


def _buffers(effective: Effective) -> tuple[int | None, int | None]:
    """The number of buffers, and the size of each."""
    words = effective.rows[0] if effective.rows else ()
    if len(words) != 2 or any(map(has_placeholder, words)):
        return None, None
    return whole_number(words[0]), parse_size(words[1])
