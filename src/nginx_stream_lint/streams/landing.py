"""Where catalogued endpoints and declared paths really land in a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.request import Request
from nginx_stream_lint.nginx.route import route_in
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.streams.catalogue import App, Endpoint, example
from nginx_stream_lint.streams.declarations import Declaration
from nginx_stream_lint.streams.evidence import named_by
from nginx_stream_lint.streams.stream import Stream


@dataclass(slots=True)
class Landing:
    """Where streams end in one server, by level.

    `declared` are the users' own. `apps` and `endpoints` come from the catalogue: an endpoint is
    looked for because some location names it, by its path or its upstream, and counts where it
    lands. `shadowed` are locations written for endpoints that all land elsewhere, with one of those
    places.
    """

    declared: dict[Level, list[Stream]] = field(default_factory=dict)
    apps: dict[Level, App] = field(default_factory=dict)
    endpoints: dict[Level, list[Endpoint]] = field(default_factory=dict)
    shadowed: dict[Level, Level] = field(default_factory=dict)


def landing(server: Level, version: Version, declarations: Sequence[Declaration]) -> Landing:
    """Route every declared path, and every endpoint that some location names."""
    found = Landing()
    for declaration in declarations:
        method = declaration.stream.method or "GET"
        place = _place(server, declaration.path, method, version)
        if place is not None:
            found.declared.setdefault(place, []).append(declaration.stream)
    places: dict[tuple[str, str], Level | None] = {}
    for location in server.walk():
        if location.kind != "location":
            continue
        named = named_by(location, location.own_handler)
        if named.app is not None:
            found.apps[location] = named.app
        elsewhere: Level | None = None
        here = False
        for endpoint in named.endpoints:
            key = (endpoint.path, endpoint.stream.method or "GET")
            if key not in places:
                places[key] = _place(server, example(endpoint.path), key[1], version)
            place = places[key]
            if place is None:
                continue
            if location in place.outward():
                here = True
            else:
                elsewhere = place
            ends = place.nearest("location")
            # An upstream's name says what is behind its own location, not behind another one.
            if ends is not None and (ends is location or named.by_path):
                into = found.endpoints.setdefault(ends, [])
                if endpoint not in into:
                    into.append(endpoint)
        if elsewhere is not None and not here and named.by_path:
            found.shadowed[location] = elsewhere
    return found


def _place(server: Level, target: str, method: str, version: Version) -> Level | None:
    """Where a path ends in a server, if something passes it on there."""
    request = Request("http", None, None, target, method)
    found = route_in(server, request, version)
    return found.location if found.handler is not None else None
