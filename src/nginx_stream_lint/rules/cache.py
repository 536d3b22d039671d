"""Cache keys: locations with equal keys get equal verdicts.

A key holds everything that the facts of the active rules read from a location (`reads.py`). Most
locations have the same key as others, so only a few of twenty thousand need to be judged.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from operator import attrgetter
from typing import Generic, TypeVar

from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.nginx.versions import OLD, Version
from nginx_stream_lint.rules.facts.base import OtherInput, directives_meant, relevant_header
from nginx_stream_lint.rules.facts.other_inputs import VERSION
from nginx_stream_lint.rules.reads import Reads
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import Stream

_T = TypeVar("_T")

# Everything about a stream, except its position and the evidence for it.
behaviour = attrgetter(*(set(Stream.__struct_fields__) - {"because", "path"}))


class LocationCache(Generic[_T]):
    """Cache the results of `compute`: locations with equal keys share one.

    `reads` is what `compute` reads. `reads_in_doubt` is what it also reads if the configuration
    may contain unseen directives or is a fragment.
    """

    def __init__(
        self,
        compute: Callable[[ProxiedLocation], _T],
        version: Version | None,
        reads: Reads,
        reads_in_doubt: Callable[[], Reads] = Reads,
    ) -> None:
        self._compute = compute
        self._reads = reads
        self._reads_in_doubt = reads_in_doubt
        self._version = version or OLD
        # Other inputs: those that are always read, and those that only some directives need.
        others = reads.elsewhere - {VERSION}
        self._always = [one for one in others if not one.only_with]
        self._sometimes = [(one, conditions_of(one)) for one in others if one.only_with]
        self._known: dict[Hashable, _T] = {}
        # Number the streams, because numbers hash faster. Keeping each stream keeps its id unique.
        self._streams: dict[int, tuple[object, int]] = {}
        self._behaviours: dict[Hashable, int] = {}
        self._for_streams: dict[tuple[int, tuple[Client, ...]], list[OtherInput]] = {}
        self._may_differ: dict[Level, bool] = {}

    @cached_property
    def _certain(self) -> _Contents:
        return _Contents(self._reads)

    @cached_property
    def _doubtful(self) -> _Contents:
        return _Contents(self._reads | self._reads_in_doubt())

    def get(self, proxied: ProxiedLocation) -> _T:
        """Return the result for this location, or for another one with an equal key."""
        key = self.key(proxied)
        found = self._known.get(key)  # hashing a key takes as long as building it
        if found is None:
            found = self._known[key] = self._compute(proxied)
        return found

    def key(self, proxied: ProxiedLocation) -> Hashable:
        """Return the key of a location; the location itself if its result cannot be shared."""
        handler = proxied.handler
        if proxied.shadowed_by is not None or not handler.target:
            return proxied
        streams = proxied.streams
        known = self._streams.get(id(streams))
        if known is None:
            what = tuple(map(behaviour, streams))
            number = self._behaviours.setdefault(what, len(self._behaviours))
            known = self._streams[id(streams)] = streams, number
        who = known[1], proxied.clients
        always = self._for_streams.get(who)
        if always is None:
            always = self._for_streams[who] = [one for one in self._always if one.is_for(proxied)]
        server = proxied.server
        in_doubt = self._may_differ.get(server)
        if in_doubt is None:
            in_doubt = self._may_differ[server] = _may_differ(server)
        in_doubt = in_doubt or proxied.level.uncertain
        contents = self._doubtful if in_doubt else self._certain
        version = self._version
        elsewhere = [one.value(proxied, version) for one in always]
        own, present = contents.of(proxied.level)
        if present:
            elsewhere += [
                one.value(proxied, version)
                for one, names in self._sometimes
                if not names.isdisjoint(present)
            ]
        author = handler.directive.file.reading.author
        by = None if author is None else (author.name, author.by_class, author.assumed)
        return handler.family, who, in_doubt, own, *elsewhere, by


def conditions_of(other_input: OtherInput) -> frozenset[str]:
    """The directives that an input depends on: if none is in force, the input is not read."""
    return frozenset(name for word in other_input.only_with for name in directives_meant(word))


class _Contents:
    """Keys for the contents of levels, limited to what the rules read."""

    def __init__(self, reads: Reads) -> None:
        self._directives = reads.directives
        self._headers = sorted(reads.headers - reads.directives)
        self._written = sorted(reads.written - reads.directives - reads.headers)
        self._read = reads.directives | reads.headers | reads.written
        self._conditions = frozenset().union(*map(conditions_of, reads.elsewhere))
        # A number for the surroundings of a level, and which of `_conditions` occur there.
        self._numbers: dict[Hashable, int] = {}
        self._around: dict[Level, tuple[int, frozenset[str]]] = {}

    def of(self, level: Level) -> tuple[Hashable, frozenset[str]]:
        """Return the key of a level and its outer levels, and the conditions that occur there.

        The conditions are those directives of `_conditions` that are written in any of these
        levels.
        """
        parent = level.parent
        conditions = self._conditions
        if parent is None:
            events = level.first("events")  # matters to inner levels, too
            beside = 0 if events is None else self._own(events)
            return (beside, self._own(level)), conditions & level.rows.keys()
        around = self._around.get(parent)
        if around is None:
            contents, present = self.of(parent)
            number = self._numbers.setdefault(contents, len(self._numbers))
            around = self._around[parent] = number, present
        number, present = around
        if not conditions.isdisjoint(level.rows):
            present |= conditions & level.rows.keys()
        return (number, self._own(level)), present

    def _own(self, level: Level) -> tuple[Hashable, ...]:
        """Return the key of a level's own rows."""
        read = self._directives
        written = level.rows
        found: list[tuple[Hashable, ...]] = [
            (name, rows[0].args) if len(rows) == 1 else (name, *[row.args for row in rows])
            for name, rows in written.items()
            if name in read
        ]
        found += [
            (name, "headers", *[relevant_header(row.args) for row in written[name]])
            for name in self._headers
            if name in written
        ]
        if self._written:
            found += [(name, len(written[name])) for name in self._written if name in written]
        if level.directive is not None and _is_generated(level.directive):
            # In generated configuration, it matters who wrote a row: the user or the controller.
            found += [
                (name, *["written" if row.is_written else "" for row in rows])
                for name, rows in written.items()
                if name in self._read
            ]
        rows = frozenset(found)
        if level.unknowns:
            return level.kind, level.directive is None, rows, *_unknowns(level)
        return level.kind, level.directive is None, rows


def _may_differ(server: Level) -> bool:
    """Whether the blocks around a server are absent or may contain unseen directives."""
    root = server
    is_fragment = server.directive is None
    while root.parent is not None:
        is_fragment = is_fragment or root.directive is None
        root = root.parent
    events = root.first("events")
    return is_fragment or root.uncertain or (events is not None and events.uncertain)


def _unknowns(level: Level) -> list[Hashable]:
    """For each unseen part of a level: the directives it may set, and its row number."""
    places: dict[int, int] = {}
    for name in {one.name for one in level.unknowns}:
        places.update((id(row), index) for index, row in enumerate(level.rows.get(name, ())))
    return [
        (one.name, one.unknown != "", one.may_set, places.get(id(one))) for one in level.unknowns
    ]


def _is_generated(directive: Directive) -> bool:
    """Whether a directive is in text that a controller generates."""
    return directive.file.reading.author is not None
