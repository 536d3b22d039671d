"""Detect the proxied locations and the streams of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config import SIGN, Configuration, File, Problem
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Handler, Level, always_responds
from nginx_stream_lint.nginx.listeners import TCP_CLIENTS, Client, clients
from nginx_stream_lint.nginx.location_match import find_location as route
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.unreachable_locations import unreachable_locations
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.declarations import (
    Declaration,
    with_found_facts,
    without_assumptions,
)
from nginx_stream_lint.streams.endpoint_names import begins_with
from nginx_stream_lint.streams.endpoint_routing import (
    EndpointRouter,
    route_endpoints,
    route_url_declarations,
)
from nginx_stream_lint.streams.endpoint_routing import route_declarations as declared_in
from nginx_stream_lint.streams.evidence import (
    Clue,
    StreamCandidate,
    candidate_of,
    streams_of_candidate,
    streams_of_path,
    switches_off,
)
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.streams.surroundings import surroundings_of
from nginx_stream_lint.streams.upstreams import Upstreams, upstreams_of

_NAMELESS = ("if-in-location", "limit_except")
_SUBREQUEST_DIRECTIVES = ("auth_request", "mirror")
_HABIT = 5  # a setting in this many places is no evidence for any one of them

NO_EVIDENCE = Stream("chunked", "possible", "nothing suggests that it streams")
WRITTEN_FOR_ONE = Stream("sse", "likely", "its path is that of a streaming endpoint")
_NO_EVIDENCE = (NO_EVIDENCE,)
_WRITTEN_FOR_ONE = (WRITTEN_FOR_ONE,)
EVERYTHING = Stream("sse", "declared", "because --all-streams is set", kind_is_open=True)


class ProxiedLocation(Struct, eq=False):
    """A level that handles requests, with its `clients` and `streams`, strongest first.

    `shadowed_by` is the block that really handles the streams that a location was written for; None
    if the location does. `requested` is the declaration that this location was requested for, if
    any. `other_tiers` are the other locations that its streams pass, of this nginx or others, and
    `detected` its streams as they leave the app (None: `streams`). `nginx` is the one of the
    deployment that reads it.
    """

    level: Level
    handler: Handler
    server: Level
    clients: tuple[Client, ...]
    streams: tuple[Stream, ...]
    shadowed_by: Level | None = None
    requested: Declaration | None = None
    other_tiers: tuple[Level, ...] = ()
    detected: tuple[Stream, ...] | None = None
    nginx: Deployed | None = None

    @property
    def is_stream(self) -> bool:
        """Whether a declaration or evidence says that it streams."""
        return any(stream.confidence != "possible" for stream in self.streams)


# The requested places of each server, with the declarations for each. Each declaration is a
# judged separately and gets its own `ProxiedLocation`.
Requested = Mapping[Level, Mapping[Level, Sequence[Declaration]]]


def find_proxied(
    configuration: Configuration,
    root: Level,
    version: Version,
    declarations: Sequence[Declaration] = (),
    all_streams: bool = False,
    only: Callable[[Level], bool] | None = None,
    requested: Requested | None = None,
    isolated: bool = False,
) -> tuple[list[ProxiedLocation], list[Problem]]:
    """Return all proxied locations in file order, and problems with comments that declare streams.

    `only` limits the servers, `requested` the places in servers, with declarations for each place;
    default: all. `isolated`: comments add streams but weaken no check.
    """
    commented, problems = _commented(configuration, root)
    if isolated:
        commented = {
            level: list(dict.fromkeys(map(without_assumptions, said)))
            for level, said in commented.items()
        }
    found: list[ProxiedLocation] = []
    http = root.first("http")
    if http is not None:
        deployed = configuration.deployed
        upstreams = upstreams_of(http, None if deployed is None else deployed.app_of)
        look = _DetectionContext(
            configuration.top, version, upstreams, commented, all_streams, isolated
        )
        by_url = route_url_declarations(root, version, declarations)
        for server, its_clients in clients(http, version).items():
            if only is not None and not only(server):
                continue
            if always_responds(server):
                continue  # the server responds to every request before it looks up a location
            here = None if requested is None else requested.get(server)
            if requested is not None and here is None:
                continue
            places = dict.fromkeys(server.walk(), ()) if here is None else here
            found += look.locations_of(
                server, its_clients, declarations, by_url.get(server, {}), places
            )
    stream = root.first("stream")
    if stream is not None:
        for server in stream.children:
            if server.own_handler is not None:
                users_say = commented.get(server, [EVERYTHING if all_streams else NO_EVIDENCE])
                if isolated and all_streams:
                    users_say = [*users_say, EVERYTHING]
                said = tuple(one for stream in users_say for one in with_found_facts(stream, ()))
                found.append(ProxiedLocation(server, server.own_handler, server, TCP_CLIENTS, said))
    if configuration.deployed is not None:
        for one in found:
            one.nginx = configuration.deployed
    return found, problems


class _DetectionContext(Struct):
    """Shared state of the detection for all servers of a configuration."""

    folder: str
    version: Version
    upstreams: Upstreams
    commented: dict[Level, list[Stream]]
    all_streams: bool
    isolated: bool
    openings: dict[File, list[str]] = field(default_factory=dict)
    _alike: dict[tuple[Stream, ...], tuple[Stream, ...]] = field(default_factory=dict)

    def locations_of(
        self,
        server: Level,
        its_clients: tuple[Client, ...],
        declarations: Sequence[Declaration],
        by_url: Mapping[Level, Sequence[Declaration]],
        places: Mapping[Level, Sequence[Declaration]],
    ) -> Iterator[ProxiedLocation]:
        """Proxied locations of a server, with streams; `by_url` has the URLs declared for it."""
        router = EndpointRouter(server, self.version)
        declared = declared_in(server, router, declarations)
        for place, ones in by_url.items():
            declared.setdefault(place, []).extend(ones)
        evidence: _ServerEvidence | None = None
        dead = unreachable_locations(server)
        requested: Declaration | None
        for level, requested in (
            (place, one) for place, ones in places.items() for one in ones or (None,)
        ):
            handler = level.own_handler or level.handler
            if handler is None or not _handles(level):
                continue
            if dead and not dead.keys().isdisjoint(level.outward()):
                continue
            said = _said(level, declared, self.commented)
            if requested is not None and not any(_says_more(requested, *one) for one in said):
                said = [*said, (replace(requested.stream, path=requested.path), requested.path)]
            is_open = any(stream.kind_is_open or self._is_doubted(path) for stream, path in said)
            if is_open or not said:
                # Finding evidence takes as long as everything else: do it only if declarations are
                # incomplete.
                if evidence is None:
                    evidence = _ServerEvidence(server, router, self, dead)
                if not said and level in evidence.unseen:
                    continue
            streams, shadowed_by = self._streams(level, handler, said, evidence)
            yield ProxiedLocation(
                level, handler, server, its_clients, streams, shadowed_by, requested
            )

    def _streams(
        self,
        level: Level,
        handler: Handler,
        said: Sequence[tuple[Stream, str | None]],
        evidence: _ServerEvidence | None,
    ) -> tuple[tuple[Stream, ...], Level | None]:
        """The streams of a level with declarations, and the location that shadows it.

        `evidence` is required if the declarations are incomplete.
        """
        shadowed_by = None
        if evidence is None:
            found = tuple(stream for stream, _ in said)
        else:
            named = level if level.kind == "location" else level.nearest("location") or level
            if said:
                found = tuple(
                    one
                    for stream, path in said
                    for one in _settled(stream, evidence.known(named, handler, path), handler)
                )
                if any(self._is_doubted(path) for _, path in said):
                    found += self._without_comment(evidence.streams(named, handler))
            elif self.all_streams:
                found = _settled(EVERYTHING, evidence.streams(named, handler), handler)
            else:
                shadowed_by = evidence.lands.shadowed.get(named)
                found = _supported_by(handler, evidence.streams(named, handler))
                if not found:
                    found = _NO_EVIDENCE if shadowed_by is None else _WRITTEN_FOR_ONE
                return found, shadowed_by
        found = tuple(dict.fromkeys(found))
        return self._alike.setdefault(found, found), shadowed_by

    def _is_doubted(self, path: str | None) -> bool:
        """Whether an untrusted comment declares this path."""
        return self.isolated and path is None

    def _without_comment(self, found: tuple[Stream, ...]) -> tuple[Stream, ...]:
        """The streams of a place without its comment, with the comment's confidence."""
        if self.all_streams:
            return with_found_facts(EVERYTHING, found)
        return tuple(replace(one, confidence="declared", kind_is_open=False) for one in found)


def _settled(stream: Stream, known: tuple[Stream, ...], handler: Handler) -> tuple[Stream, ...]:
    """Complete a declared stream with properties that are known from its location."""
    found = with_found_facts(stream, known)
    return _supported_by(handler, found) if stream.kind_is_open else found


def _supported_by(handler: Handler, streams: tuple[Stream, ...]) -> tuple[Stream, ...]:
    """The streams that a handler can proxy: for grpc_pass only gRPC."""
    if handler.family != "grpc":
        return streams
    return tuple(replace(one, kind="grpc", kind_is_open=False) for one in streams)


def _said(
    level: Level, declared: dict[Level, list[Declaration]], commented: dict[Level, list[Stream]]
) -> list[tuple[Stream, str | None]]:
    """The declarations for a level, or for the location that contains a nameless block.

    Each with its declared path, unless a comment declares it.
    """
    if not declared and not commented:
        return []
    for one in (level, level.parent if level.kind in _NAMELESS else None):
        said: list[tuple[Stream, str | None]] = []
        if one is not None:
            said += [
                (replace(each.stream, path=each.path), each.path) for each in declared.get(one, ())
            ]
            said += [(stream, None) for stream in commented.get(one, ())]
        if said:
            return said
    return []


def _says_more(requested: Declaration, stream: Stream, path: str | None) -> bool:
    """Whether a declaration is about a requested path, too, and may say more about its stream."""
    is_about = path is None or path == requested.path
    return is_about and (stream.kind == requested.stream.kind or stream.kind != "websocket")


class _ServerEvidence:
    """The evidence for streams in one server; `dead` are locations that no request reaches.

    `unseen` are locations that only serve `auth_request` or `mirror`: no client sees their
    responses.
    """

    def __init__(
        self,
        server: Level,
        router: EndpointRouter,
        look: _DetectionContext,
        dead: Mapping[Level, object],
    ) -> None:
        levels = list(server.walk())
        if dead:
            levels = [one for one in levels if dead.keys().isdisjoint(one.outward())]
        self._upstreams = upstreams = look.upstreams
        self._places = {
            level: candidate_of(level, level.own_handler, upstreams)
            for level in levels
            if level.own_handler is not None
        }
        self._mark_usual()
        self._mark_sites()
        self.unseen = _unseen(server, levels)
        self._around = surroundings_of(server, self._places.values(), look.folder, look.openings)
        self.lands = route_endpoints(router, levels, self._places, upstreams, self._around)
        self._mark_sockets()
        self._homes = {
            self._places[location].behind.host: location
            for location in self.lands.endpoints
            if location in self._places
        }
        self._own: dict[Level, tuple[Stream, ...]] = {}

    @cached_property
    def _settled(self) -> frozenset[str]:
        """The upstreams that have a location for their streams.

        Other locations of these upstreams, catch-all ones included, probably do not stream.
        """
        return frozenset(
            place.behind.host
            for place in self._places.values()
            if any(map(_is_response, self._judged(place)))
        )

    def _judged(self, place: StreamCandidate) -> tuple[Stream, ...]:
        """The streams of a place by its own clues, computed once."""
        if place.level not in self._own:
            self._own[place.level] = self._judge(place)
        return self._own[place.level]

    def _mark_usual(self) -> None:
        """Mark settings that are a habit of this server: most of its locations have them."""
        off = [place for place in self._places.values() if switches_off(place)]
        if len(off) >= _HABIT and 2 * len(off) > len(self._places):
            for place in off:
                place.off_is_usual = True

    def _mark_sockets(self) -> None:
        """Mark catch-all places if a narrower one is for WebSockets."""
        rest = [place for place in self._places.values() if place.is_catch_all_or_fallback]
        if rest and any(map(self._is_for_sockets, self._places.values())):
            for place in rest:
                place.sockets_elsewhere = True

    def _mark_sites(self) -> None:
        """Mark the places whose upstream also gets the pages of a site."""
        sites = {place.behind.host for place in self._places.values() if place.path.says_site}
        for place in self._places.values() if sites else ():
            place.is_of_site = place.behind.host in sites

    def _is_for_sockets(self, place: StreamCandidate) -> bool:
        """Whether a narrow place is for WebSockets, by its path or a known endpoint."""
        if place.is_catch_all_or_fallback:
            return False
        endpoints = self.lands.endpoints.get(place.level, ())
        return place.path.says_websocket or any(one.stream.kind == "websocket" for one in endpoints)

    def streams(self, location: Level, handler: Handler) -> tuple[Stream, ...]:
        """The streams of a location with this handler; empty without evidence."""
        place = self._places.get(location)
        if place is None:
            return self._judge(candidate_of(location, handler, self._upstreams))
        found = self._judged(place)
        if location not in self._around.general or place.behind.host in self._settled:
            return found
        if self._settled and place.is_catch_all:
            return found
        clues = self._around.clues(place)
        return self._judge(place, clues) if clues else found

    def known(self, location: Level, handler: Handler, path: str | None) -> tuple[Stream, ...]:
        """Known streams of a declared path in a location, or of the location if it is None."""
        if path is not None:
            endpoints = self.lands.endpoints.get(location, ())
            here = tuple(one.stream for one in endpoints if begins_with(one.path, path))
            if here:
                return here
            return tuple(streams_of_path(path, location, lambda: self.streams(location, handler)))
        return self.streams(location, handler)

    def _judge(self, place: StreamCandidate, clues: Sequence[Clue] = ()) -> tuple[Stream, ...]:
        location = place.level
        endpoints = self.lands.endpoints.get(location, ())
        handler = location.own_handler or location.handler
        host = place.behind.host if handler is not None else ""
        at_home = self._homes.get(host, location) is not location
        found = streams_of_candidate(place, endpoints, at_home, clues)
        hinted = self.lands.hinted.get(location)
        if hinted is None:
            return found
        # An app identified by name explains streams without a name: they are the app's, of which
        # more is known.
        kinds = {stream.kind for stream in hinted}
        found = tuple(
            one
            for one in found
            if one.path is not None or not (one.kind in kinds or _is_open(one, hinted))
        )
        known = set(map(_is_response, found))
        return (*found, *(stream for stream in hinted if _is_response(stream) not in known))


def _is_response(stream: Stream) -> bool:
    """Whether a stream is a response to a request, as all except WebSockets are."""
    return stream.kind != "websocket"


def _is_open(stream: Stream, others: Iterable[Stream]) -> bool:
    """Whether the kind of a stream is undecided between several kinds of response streams."""
    return stream.kind_is_open and any(map(_is_response, others))


def _handles(level: Level) -> bool:
    """Whether requests end at this level, and differently from the level around it."""
    if always_responds(level):
        return False
    if level.kind == "location":
        return True
    # A nameless block without relevant directives only repeats its location.
    return level.own_handler is not None or any(
        name in table() and table()[name].merge not in ("own", "handler") for name in level.rows
    )


def _unseen(server: Level, levels: Iterable[Level]) -> set[Level]:
    """The locations of a server that serve only `auth_request` or `mirror` subrequests."""
    paths = {
        row.args[0].split("?")[0]
        for level in (*levels, *server.outward())
        for name in _SUBREQUEST_DIRECTIVES
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
    """Declarations in comments, by level, and problems with them."""
    if not any(SIGN in file.source.text for file in configuration.files):
        return {}, []
    from nginx_stream_lint.streams.declared_in_comments import declared_in_comments

    return declared_in_comments(configuration, root)
