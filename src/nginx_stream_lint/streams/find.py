"""The places that hand requests on, and what streams through each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from nginx_stream_lint.config import Configuration, File, Problem
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Handler, Level
from nginx_stream_lint.nginx.listeners import CLIENTS, Client, clients
from nginx_stream_lint.nginx.routing import find as route
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.around import around
from nginx_stream_lint.streams.declarations import Declaration, Misdeclared, from_comment
from nginx_stream_lint.streams.evidence import Clue, Place, place_of, streams_of
from nginx_stream_lint.streams.landing import Router, landing
from nginx_stream_lint.streams.landing import declared as declared_in
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.streams.upstreams import Upstreams, upstreams_of
from nginx_stream_lint.util.lazily import dataclass

_NAMELESS = ("if-in-location", "limit_except")
_ASIDE = ("auth_request", "mirror")

NOBODY_SAYS = Stream("chunked", "possible", "it proxies; nothing says whether it streams")
WRITTEN_FOR_ONE = Stream("sse", "likely", "its path names a stream's endpoint")
_NOBODY_SAYS = (NOBODY_SAYS,)
_WRITTEN_FOR_ONE = (WRITTEN_FOR_ONE,)
EVERYTHING = Stream("sse", "declared", "--all-streams says so")


@dataclass(slots=True, eq=False)
class Served:
    """A level that finally handles requests, with its `clients` and `streams`, strongest first.

    `shadowed_by` is where the streams really end that a location was written for; None where it
    gets them itself.
    """

    level: Level
    handler: Handler
    server: Level
    clients: tuple[Client, ...]
    streams: tuple[Stream, ...]
    shadowed_by: Level | None = None

    @property
    def is_stream(self) -> bool:
        """Whether anybody or anything says that it streams."""
        return any(stream.confidence != "possible" for stream in self.streams)


@dataclass(frozen=True, slots=True)
class Asked:
    """The places of one server that somebody wants to know about, and what is declared for it."""

    places: Collection[Level]
    declarations: Collection[Declaration]


def served(
    configuration: Configuration,
    root: Level,
    version: Version,
    declarations: Sequence[Declaration] = (),
    all_streams: bool = False,
    only: Callable[[Level], bool] | None = None,
    asked: Mapping[Level, Asked] | None = None,
) -> tuple[list[Served], list[Problem]]:
    """Everything that hands requests on, in the order of the file, and comments gone wrong.

    `only` tells which servers are wanted, `asked` which places of which servers, with declarations
    for each server; all where not given.
    """
    commented, problems = _commented(configuration, root)
    found: list[Served] = []
    http = root.first("http")
    if http is not None:
        upstreams = upstreams_of(http)
        openings: dict[File, list[str]] = {}
        alike: dict[tuple[Stream, ...], tuple[Stream, ...]] = {}
        for server, its_clients in clients(http, version).items():
            if only is not None and not only(server):
                continue
            if server.rows.get("return"):
                continue  # every request is answered before a location is looked for
            here = None if asked is None else asked.get(server)
            if asked is not None and here is None:
                continue
            router = Router(server, version)
            users = declarations if here is None else (*declarations, *here.declarations)
            declared = declared_in(server, router, users)
            evidence: _Evidence | None = None
            for level in server.walk() if here is None else here.places:
                handler = level.own_handler or level.handler
                if handler is None or not _handles(level):
                    continue
                said: tuple[Stream, ...] = ()
                if commented or declared:
                    said = _said(level, declared, commented)
                    said = alike.setdefault(said, said)
                if said:
                    found.append(Served(level, handler, server, its_clients, said))
                    continue
                # It takes as long as all the rest: only where somebody has to be convinced.
                if evidence is None:
                    evidence = _Evidence(server, router, upstreams, configuration.top, openings)
                if level in evidence.unseen:
                    continue
                shadowed_by = None
                if all_streams:
                    said = (EVERYTHING,)
                else:
                    named = level
                    if level.kind != "location":
                        named = level.nearest("location") or level
                    said = evidence.streams(named, handler)
                    shadowed_by = evidence.lands.shadowed.get(named)
                    if shadowed_by is not None and not said:
                        said = _WRITTEN_FOR_ONE
                found.append(
                    Served(level, handler, server, its_clients, said or _NOBODY_SAYS, shadowed_by)
                )
    stream = root.first("stream")
    if stream is not None:
        for server in stream.children:
            if server.own_handler is not None:
                said = tuple(commented.get(server, ())) or (
                    (EVERYTHING,) if all_streams else _NOBODY_SAYS
                )
                found.append(Served(server, server.own_handler, server, CLIENTS, said))
    return found, problems


def _said(
    level: Level, declared: dict[Level, list[Stream]], commented: dict[Level, list[Stream]]
) -> tuple[Stream, ...]:
    """What users say of a level, or of the location that a nameless block is in."""
    said = (*declared.get(level, ()), *commented.get(level, ()))
    if not said and level.kind in _NAMELESS and level.parent is not None:
        said = (*declared.get(level.parent, ()), *commented.get(level.parent, ()))
    return said


class _Evidence:
    """What speaks for streams in one server.

    `unseen` are locations that only answer `auth_request` or `mirror`: no client sees what they
    answer.
    """

    def __init__(
        self,
        server: Level,
        router: Router,
        upstreams: Upstreams,
        folder: str,
        openings: dict[File, list[str]],
    ) -> None:
        levels = list(server.walk())
        self._upstreams = upstreams
        self._places = {
            level: place_of(level, level.own_handler, upstreams)
            for level in levels
            if level.own_handler is not None
        }
        self.unseen = _unseen(server, levels)
        self._around = around(server, self._places.values(), folder, openings)
        self.lands = landing(router, levels, self._places, upstreams, self._around)
        self._homes = {
            self._places[location].behind.host: location
            for location in self.lands.endpoints
            if location in self._places
        }
        self._own: dict[Level, tuple[Stream, ...]] = {}
        # Where a location of an upstream is for its streams, its others are not, and what is left
        # over is not either.
        self._settled: set[str] = set()
        for level, place in self._places.items():
            found = self._own[level] = self._judge(place)
            if found and any(map(_answers, found)):
                self._settled.add(place.behind.host)

    def streams(self, location: Level, handler: Handler) -> tuple[Stream, ...]:
        """The streams of a location with this handler in it; empty if nothing speaks for any."""
        place = self._places.get(location)
        if place is None:
            return self._judge(place_of(location, handler, self._upstreams))
        found = self._own[location]
        if location not in self._around.general or place.behind.host in self._settled:
            return found
        if self._settled and place.takes_all:
            return found
        clues = self._around.clues(place)
        return self._judge(place, clues) if clues else found

    def _judge(self, place: Place, clues: Sequence[Clue] = ()) -> tuple[Stream, ...]:
        location = place.level
        endpoints = self.lands.endpoints.get(location, ())
        handler = location.own_handler or location.handler
        host = place.behind.host if handler is not None else ""
        at_home = self._homes.get(host, location) is not location
        found = streams_of(place, endpoints, at_home, clues)
        hinted = self.lands.hinted.get(location)
        if hinted is None:
            return found
        told = set(map(_answers, found))
        return (*found, *(stream for stream in hinted if _answers(stream) not in told))


def _answers(stream: Stream) -> bool:
    """Whether a stream is an answer to a request, as all but WebSockets are."""
    return stream.kind != "websocket"


def _handles(level: Level) -> bool:
    """Whether requests end at this level, and differently from the level around it."""
    if level.rows.get("return"):
        return False
    if level.kind == "location":
        return True
    # A nameless block that sets nothing of interest is its location over again.
    return level.own_handler is not None or any(
        name in table() and table()[name].merge not in ("own", "handler") for name in level.rows
    )


def _unseen(server: Level, levels: Iterable[Level]) -> set[Level]:
    """What only answers `auth_request` or `mirror` in a server."""
    paths = {
        row.args[0].split("?")[0]
        for level in (*levels, *server.outward())
        for name in _ASIDE
        if name in level.rows
        for row in level.rows[name]
        if row.args
    }
    targets = (route(server, path) for path in paths)
    return {
        target
        for target in targets
        if target is not None and ("internal" in target.rows or match_of(target).modifier == "=")
    }


def _commented(
    configuration: Configuration, root: Level
) -> tuple[dict[Level, list[Stream]], list[Problem]]:
    """What comments declare, by level; outside a location it is for everything inside."""
    found: dict[Level, list[Stream]] = {}
    problems: list[Problem] = []
    for file in configuration.files:
        if "nginx-stream-lint:" not in file.source.text:
            continue
        declared: list[tuple[int, Stream]] = []
        for start, end in file.comments:
            try:
                stream = from_comment(file.source.text[start:end])
            except Misdeclared as mistake:
                problems.append(
                    file.source.problem(start, str(mistake), "see the README for the words")
                )
                continue
            if stream is not None:
                declared.append((start, stream))
        if declared:
            for stream, level in _inside(root, file.source.name, declared):
                for inner in _proxying(level):
                    found.setdefault(inner, []).append(stream)
    return found, problems


def _proxying(level: Level) -> Iterator[Level]:
    """The level itself if it proxies, else all inside it that do."""
    if level.handler is not None:
        yield level
    else:
        for inner in level.walk():
            if inner.own_handler is not None:
                yield inner


def _inside(
    root: Level, name: str, declared: Sequence[tuple[int, Stream]]
) -> Iterator[tuple[Stream, Level]]:
    """What is declared at offsets of a file, in their order, with the innermost level around it.

    There are several where the file is included often.
    """
    blocks: list[tuple[int, int, Level]] = []
    into: list[Level] = []  # what the file is included into
    for level in root.walk():
        directive = level.directive
        if directive is not None and directive.source.name == name:
            blocks.append((directive.start, directive.block_end, level))
        elif any(
            one.source.name == name
            for one in (
                *(row for rows in level.rows.values() for row in rows),
                *(child.directive for child in level.children if child.directive is not None),
            )
        ):
            into.append(level)
    blocks.sort(key=lambda block: block[0], reverse=True)
    around: list[tuple[int, int, Level]] = []
    for offset, stream in declared:
        while blocks and blocks[-1][0] <= offset:
            around.append(blocks.pop())
        around = [block for block in around if block[1] >= offset]
        outer = {level.parent for _, _, level in around}
        for level in (*into, *(level for _, _, level in around)):
            if level not in outer:
                yield stream, level
