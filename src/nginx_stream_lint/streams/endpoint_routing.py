"""Route catalogued endpoints and declared paths to the locations that handle them in a server."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from nginx_stream_lint.config import File
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.location_match import LocationPattern, match_of
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.catalogue import App, Endpoint, app_by_name, example_path
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.endpoint_names import (
    app_endpoints_for,
    candidates,
    endpoints_named_by,
    is_catch_all,
    names_endpoint,
)
from nginx_stream_lint.streams.evidence import StreamCandidate, serves_pages
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.streams.surroundings import Surroundings
from nginx_stream_lint.streams.upstreams import Upstreams


class RoutedEndpoints(Struct):
    """The levels of one server that handle streams.

    `endpoints` are those of the catalogue that some location names, by its path or its upstream, at
    the level that handles them. `hinted` are streams of apps that something else names: another
    location, or the surroundings. `shadowed` are locations written for endpoints that other
    locations handle, each with one of these.
    """

    endpoints: dict[Level, list[Endpoint]] = field(default_factory=dict)
    hinted: dict[Level, list[Stream]] = field(default_factory=dict)
    shadowed: dict[Level, Level] = field(default_factory=dict)


class _AppHint(Struct, frozen=True):
    """The reason why a server may serve an app: its surroundings, or another `location`'s path.

    A name of the included `file` says nothing about a catch-all that is outside of it.
    """

    because: str
    location: Level | None = None
    file: File | None = None


class EndpointRouter:
    """Routes paths in a server, each path once."""

    def __init__(self, server: Level, version: Version) -> None:
        self._server = server
        self._version = version
        self._places: dict[tuple[str, str], Level | None] = {}

    def place(self, path: str, method: str) -> Level | None:
        """The level where a path ends, if it has a handler or probably should."""
        key = (path, method)
        if key not in self._places:
            # Imported here, because in most servers nothing names an endpoint.
            from nginx_stream_lint.nginx.request import Request
            from nginx_stream_lint.nginx.request_route import route_in_server

            request = Request("http", None, None, path, method)
            found = route_in_server(self._server, request, self._version)
            # A handler without a usable target is judged like others, because a target is intended.
            self._places[key] = found.lost or (found.location if found.handler else None)
        return self._places[key]

    def endpoint(self, endpoint: Endpoint, path: str = "") -> Level | None:
        """The level where an endpoint ends, with or without a slash; `path` is one of its paths."""
        path = path or example_path(endpoint.path)
        method = endpoint.stream.method or "GET"
        return self.place(path, method) or self.place(f"{path}/", method)


def route_declarations(
    server: Level, router: EndpointRouter, declarations: Sequence[Declaration]
) -> dict[Level, list[Declaration]]:
    """The declarations of paths, by the level where they end in a server."""
    found: dict[Level, list[Declaration]] = {}
    for one in declarations:
        if one.request.host is None:
            place = router.place(one.request.target, one.request.method)
            if place is not None and applies_to(one, server, place):
                found.setdefault(place, []).append(one)
    return found


def route_url_declarations(
    root: Level, version: Version, declarations: Iterable[Declaration]
) -> dict[Level, dict[Level, list[Declaration]]]:
    """The declarations of URLs, by server and by the level where they end."""
    found: dict[Level, dict[Level, list[Declaration]]] = {}
    for one in declarations:
        if one.request.host is None:
            continue
        from nginx_stream_lint.nginx.request_route import route_request

        end = route_request(root, one.request, version)
        server, location = end.server, end.location
        if server is None or location is None or end.handler is None:
            continue
        if applies_to(one, server, location):
            found.setdefault(server, {}).setdefault(location, []).append(one)
    return found


def route_endpoints(
    router: EndpointRouter,
    levels: Iterable[Level],
    places: Mapping[Level, StreamCandidate],
    upstreams: Upstreams,
    surroundings: Surroundings,
) -> RoutedEndpoints:
    """Route every endpoint that something in a server names.

    `levels` are all of the server, `places` those of them that proxy.
    """
    found = RoutedEndpoints()
    hints: dict[App, _AppHint] = {}
    seen: set[File | None] = set()
    for location in levels:
        if location.kind != "location":
            continue
        known = places.get(location)
        match = match_of(location) if known is None else known.match
        app = None if known is None else known.behind.app
        among = candidates(match) if known is None else known.path.endpoints
        by_path = endpoints_named_by(match, among) if among else ()
        if by_path or app is not None:
            _add_endpoints(found, router, location, match, app, by_path, known, places)
            for endpoint in by_path:
                of = app_by_name(endpoint.app)
                if not of.shared:
                    hints.setdefault(
                        of, _AppHint(f"its server also handles {endpoint.path}", location)
                    )
        file = location.directive.file if location.directive is not None else None
        if file not in seen:
            seen.add(file)
            apps = surroundings.apps(file)
            of_server = surroundings.apps(None) if apps else {}
            for of, because in apps.items():
                hint = _AppHint(because, file=None if of in of_server else file)
                if of not in hints or (hint.file is None and hints[of].file is not None):
                    hints[of] = hint
    for of, hint in hints.items():
        _follow(hint, of, found, router, upstreams)
    return found


def applies_to(declaration: Declaration, *levels: Level) -> bool:
    """A function that tests whether a declaration applies to levels, by the files they are in."""
    where = declaration.where
    return where is None or any(
        where(level.directive.source.name) for level in levels if level.directive is not None
    )


def _add_endpoints(
    found: RoutedEndpoints,
    router: EndpointRouter,
    location: Level,
    match: LocationPattern,
    app: App | None,
    named: Sequence[Endpoint],
    known: StreamCandidate | None,
    places: Mapping[Level, StreamCandidate],
) -> None:
    """Add the endpoints that a location serves, by its upstream's app or by its path.

    Each is added at the level that handles it. `known` is the location's own place among `places`.
    """
    endpoints: Sequence[Endpoint] = app_endpoints_for(match, app) if app is not None else ()
    if endpoints and known is not None and _is_for_pages(known, endpoints, router, places):
        return
    by_path = any(names_endpoint(match, endpoint) for endpoint in endpoints)
    if not endpoints:
        # An app's own endpoints are more certain than those of others with the same path.
        endpoints, by_path = named, True
    elsewhere: Level | None = None
    here = False
    for endpoint in endpoints:
        place = router.endpoint(endpoint, match.pattern if match.modifier == "=" else "")
        if place is None:
            continue
        if location in place.outward():
            here = True
        else:
            elsewhere = place
        ends = place.nearest("location")
        # An upstream's name says something about its own location, not about others.
        if ends is not None and (ends is location or by_path):
            into = found.endpoints.setdefault(ends, [])
            if endpoint not in into:
                into.append(endpoint)
    if elsewhere is not None and not here and by_path and not _of_one_entry(location, elsewhere):
        found.shadowed[location] = elsewhere


def _is_for_pages(
    place: StreamCandidate,
    endpoints: Sequence[Endpoint],
    router: EndpointRouter,
    places: Mapping[Level, StreamCandidate],
) -> bool:
    """Whether a location serves an app's pages, because other locations serve its streams.

    It is a catch-all, its upstream is named after pages, and some stream ends at another upstream.
    If the deployment says which app it is, its name does not matter.
    """
    if not place.is_catch_all or place.behind.is_deployed or not serves_pages(place.behind):
        return False
    ends = {level.nearest("location") for one in endpoints if (level := router.endpoint(one))}
    others = (places[level] for level in ends if level is not None and level in places)
    return any(other.behind.host != place.behind.host for other in others)


def _of_one_entry(location: Level, place: Level) -> bool:
    """Whether a controller generates both from one path, as it does for `pathType: Prefix`."""
    one, other = location.directive, place.directive
    if one is None or other is None or one.file.reading.author is None:
        return False
    return (one.source, one.start) == (other.source, other.start)


def _follow(
    hint: _AppHint, app: App, found: RoutedEndpoints, router: EndpointRouter, upstreams: Upstreams
) -> None:
    """Add an app's endpoints where they end, unless another app is known there."""
    ends = {
        endpoint: place.nearest("location")
        for endpoint in app.endpoints
        if not endpoint.path.startswith("/**") and (place := router.endpoint(endpoint)) is not None
    }
    apart = any(one is not None and not is_catch_all(one) for one in ends.values())
    for endpoint, location in ends.items():
        if location is None or location.own_handler is None or location in found.endpoints:
            continue
        if upstreams.behind(location, location.own_handler).app not in (None, app):
            continue
        if is_catch_all(location):
            # This place also gets requests for other apps.
            if apart and serves_pages(upstreams.behind(location, location.own_handler)):
                continue
            if hint.file is not None:
                here = location.directive is not None and location.directive.file is hint.file
            elif hint.location is None:
                here = not (app.shared and apart)
            else:
                here = upstreams.host(location) == upstreams.host(hint.location)
            if not here:
                continue
        why = f"it handles {endpoint.path} ({app.name}), and {hint.because}"
        found.hinted.setdefault(location, []).append(
            replace(endpoint.stream, confidence="likely", because=why, path=endpoint.path)
        )
