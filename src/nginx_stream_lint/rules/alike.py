"""Which places are so alike that the rules say the same of them."""

from __future__ import annotations

from collections.abc import Hashable

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.caching import depends_on_the_request
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import idle_timeout_s, plain_clients
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.facts import (
    AUTH_TARGET,
    BESIDE,
    CONDITIONS,
    HANDSHAKE,
    HEADERS,
    IDLE,
    MIRRORS,
    PLACE,
    PREFIX,
    SOCKETS,
    TARGET,
    UPSTREAM,
    auth_target,
    handshakes,
    has_one_peer,
    is_mirrored,
    keeps_alive,
    prefix_of,
    relevant_header,
)
from nginx_stream_lint.rules.verdict import behaviour
from nginx_stream_lint.streams.detect import ProxiedLocation


class Alike:
    """Gives places keys; where the keys are equal, so is all that a rule has ever asked for.

    Rules are judged like this: a place with a new key is judged, and what that asked for joins the
    keys (`learn`); then all older keys are void. So a place with a known key would ask the same
    questions as the place that had it first, one after the other, and get the same answers.
    """

    def __init__(self, version: Version | None) -> None:
        self._version = version or OLD
        self._asked: set[str] = set()
        self._headers: list[str] = []
        self._asks_beside = False
        # Levels by what is alike in them and around them, and what each is the number of.
        self._numbers: dict[Hashable, int] = {}
        self._levels: dict[Level, int] = {}
        self._streams: dict[int, tuple[object, Hashable]] = {}
        self._upstreams: dict[tuple[Level | None, str], tuple[bool, bool]] = {}

    def learn(self, asked: set[str]) -> bool:
        """Let keys have what was asked for; gives whether older keys are void for that."""
        # How the rows of a list add up is a setting itself.
        lists = {f"{name.removesuffix(HEADERS)}_inherit" for name in asked}
        asked = asked | (lists & table().keys())
        if asked <= self._asked:
            return False
        self._asked |= asked
        self._headers = [
            name.removesuffix(HEADERS) for name in self._asked if name.endswith(HEADERS)
        ]
        self._asks_beside = not self._asked.isdisjoint(BESIDE)
        self._numbers.clear()
        self._levels.clear()
        return True

    def key(self, served: ProxiedLocation) -> Hashable:
        """The key of a place; the place itself where it is like no other."""
        handler = served.handler
        if served.shadowed_by is not None or not handler.target:
            return served
        streams = served.streams
        known = self._streams.get(id(streams))
        if known is None:
            # The tuple is kept, so that nothing else has its identity.
            known = self._streams[id(streams)] = streams, tuple(map(behaviour, streams))
        beside = self._beside(served) if self._asks_beside else ()
        author = handler.directive.file.reading.author
        by = None if author is None else (author.name, author.by_class, author.assumed)
        contents = self._contents(served.level)
        return handler.family, served.clients, known[1], contents, beside, by

    def _contents(self, level: Level) -> Hashable:
        """What is the same for all levels with the same rows, in and around them."""
        parent = level.parent
        if parent is None:
            events = level.first("events")  # the only block that counts beside those around
            return 0 if events is None else self._own(events), *self._own(level)
        around = self._levels.get(parent)
        if around is None:
            contents = self._contents(parent)
            around = self._numbers.setdefault(contents, len(self._numbers))
            self._levels[parent] = around
        return around, *self._own(level)

    def _own(self, level: Level) -> tuple[Hashable, ...]:
        """What is the same for all levels with the same rows."""
        asked = self._asked
        written = level.rows
        found = [
            (name, rows[0].args) if len(rows) == 1 else (name, *[row.args for row in rows])
            for name, rows in written.items()
            if name in asked
        ]
        found += [
            (name, HEADERS, *[relevant_header(row.args) for row in written[name]])
            for name in self._headers
            if name in written
        ]
        if level.directive is not None and _is_made(level.directive):
            # In what a controller makes it counts what is written and what is its own doing.
            found += [
                (name, *["written" if row.is_written else "" for row in rows])
                for name, rows in written.items()
                if name in asked or f"{name}{HEADERS}" in asked
            ]
        rows = frozenset(found)
        if level.unknowns:
            return level.kind, level.directive is None, rows, *_unknowns(level)
        return level.kind, level.directive is None, rows

    def _beside(self, served: ProxiedLocation) -> tuple[Hashable, ...]:
        """What was asked for beside rows."""
        asked = self._asked
        found: list[Hashable] = []
        if PLACE in asked:
            found.append(served)
        if SOCKETS in asked:
            found.append(plain_clients(served.server, self._version))
        if IDLE in asked:
            found.append(idle_timeout_s(served.server, self._version))
        if CONDITIONS in asked:
            level, family = served.level, served.handler.family
            depends = depends_on_the_request(
                lambda name: level.effective(name, self._version), family
            )
            found.append(served if depends else None)
        if TARGET in asked:
            found.append(served.handler.target)
        if PREFIX in asked:
            found.append(prefix_of(served))
        if UPSTREAM in asked:
            what = served.server.parent, served.handler.target
            known = self._upstreams.get(what)
            if known is None:
                known = self._upstreams[what] = keeps_alive(served), has_one_peer(served)
            found.append(known)
        if MIRRORS in asked:
            found.append(is_mirrored(served, self._version))
        if HANDSHAKE in asked and any(one.kind == "websocket" for one in served.streams):
            found.append(handshakes(served, self._version))
        if AUTH_TARGET in asked:
            target = auth_target(served, self._version)
            if target is None or target.handler is None:
                found.append(None)
            else:
                found.append((target.label, target.handler.family, self._contents(target)))
        return tuple(found)


def _unknowns(level: Level) -> list[Hashable]:
    """What each thing that nobody can see here may set, and which of the rows it is."""
    places: dict[int, int] = {}
    for name in {one.name for one in level.unknowns}:
        places.update((id(row), at) for at, row in enumerate(level.rows.get(name, ())))
    return [
        (one.name, one.unknown != "", one.may_set, places.get(id(one))) for one in level.unknowns
    ]


def _is_made(directive: Directive) -> bool:
    """Whether a controller makes the text that a directive stands in."""
    return directive.file.reading.author is not None
