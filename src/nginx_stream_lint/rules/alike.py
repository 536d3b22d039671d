"""Which places are so alike that the rules say the same of them."""

from __future__ import annotations

from collections.abc import Hashable

from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.facts import (
    AUTH_TARGET,
    MIRRORS,
    PLACE,
    PREFIX,
    TARGET,
    UPSTREAM,
    auth_target,
    has_one_peer,
    is_mirrored,
    keeps_alive,
    prefix_of,
)
from nginx_stream_lint.rules.verdict import behaviour
from nginx_stream_lint.streams.find import Served


class Alike:
    """Gives places keys; where the keys are equal, so is all that a rule has ever asked for.

    Rules are judged like this: a place with a new key is judged, and what that asked for joins the
    keys (`learn`); then all older keys are void. So a place with a known key would ask the same
    questions as the place that had it first, one after the other, and get the same answers.
    """

    def __init__(self, version: Version | None) -> None:
        self._version = version or OLD
        self._asked: set[str] = set()
        # Numbers of what is alike, of levels, and of streams by the identity of their tuple.
        self._numbers: dict[Hashable, int] = {}
        self._levels: dict[Level, int] = {}
        self._streams: dict[int, tuple[object, int]] = {}
        self._upstreams: dict[tuple[Level, str], tuple[bool, bool]] = {}
        # The levels, by number, whose text a controller makes.
        self._made: set[int] = set()

    def learn(self, asked: set[str]) -> bool:
        """Let keys have what was asked for; gives whether older keys are void for that."""
        # How the rows of a list add up is a setting itself.
        asked = asked | {f"{name}_inherit" for name in asked if f"{name}_inherit" in table()}
        if asked <= self._asked:
            return False
        self._asked |= asked
        self._numbers.clear()
        self._levels.clear()
        self._streams.clear()
        self._made.clear()
        return True

    def key(self, served: Served) -> Hashable:
        """The key of a place; the place itself where it is like no other."""
        handler = served.handler
        level = self._level(served.level)
        if (
            served.shadowed_by is not None
            or not handler.target
            or level in self._made
            or handler.directive.file.reading.author is not None
        ):
            return served
        return level, handler.family, served.clients, self._stream(served), *self._own(served)

    def _level(self, level: Level) -> int:
        """The number of a level: that of all levels with the same rows, in and around them."""
        known = self._levels.get(level)
        if known is not None:
            return known
        parent = level.parent
        # A root is like no other: its other blocks, such as `events`, count as well.
        around = self._level(parent) if parent is not None else level
        directive = level.directive
        number = self._number((around, level.kind, directive is None, self._rows(level)))
        if around in self._made or (
            directive is not None and directive.file.reading.author is not None
        ):
            self._made.add(number)
        self._levels[level] = number
        return number

    def _rows(self, level: Level) -> Hashable:
        """What was asked for of the rows of a level, and the doubts about them."""
        asked = self._asked
        rows = frozenset(
            [
                (name, rows[0].args) if len(rows) == 1 else (name, *[row.args for row in rows])
                for name, rows in level.rows.items()
                if name in asked
            ]
        )
        return (rows, *map(id, level.unknowns)) if level.unknowns else rows

    def _stream(self, served: Served) -> int:
        """The number of streams that do the same, in the same order."""
        streams = served.streams
        known = self._streams.get(id(streams))
        if known is None:
            # The tuple is kept, so that nothing else has its identity.
            known = streams, self._number(("streams", *map(behaviour, streams)))
            self._streams[id(streams)] = known
        return known[1]

    def _number(self, what: Hashable) -> int:
        return self._numbers.setdefault(what, len(self._numbers))

    def _own(self, served: Served) -> list[Hashable]:
        """What was asked for beside rows."""
        asked = self._asked
        found: list[Hashable] = []
        if PLACE in asked:
            found.append(served)
        if TARGET in asked:
            found.append(served.handler.target)
        if PREFIX in asked:
            found.append(prefix_of(served))
        if UPSTREAM in asked:
            found.append(self._upstream(served))
        if MIRRORS in asked:
            found.append(is_mirrored(served, self._version))
        if AUTH_TARGET in asked:
            target = auth_target(served, self._version)
            if target is None or target.handler is None:
                found.append(None)
            else:
                found.append((target.label, target.handler.family, self._level(target)))
        return found

    def _upstream(self, served: Served) -> tuple[bool, bool]:
        what = served.server, served.handler.target
        known = self._upstreams.get(what)
        if known is None:
            known = self._upstreams[what] = keeps_alive(served), has_one_peer(served)
        return known
