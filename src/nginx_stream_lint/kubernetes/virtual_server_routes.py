"""The routes of a VirtualServer and the upstreams to which they pass requests."""

from __future__ import annotations

from collections.abc import Iterator

from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar


def routes_of(spec: Mapping) -> list[Mapping]:
    """The routes of a VirtualServer's `spec`, or the subroutes of a VirtualServerRoute's."""
    return [*spec.mappings("routes"), *spec.mappings("subroutes")]


def upstreams_of(spec: Mapping) -> dict[str, Mapping]:
    """The upstreams of a `spec` by name; the first one of each name."""
    found: dict[str, Mapping] = {}
    for node in spec.mappings("upstreams"):
        name = node.word("name")
        if name is not None:
            found.setdefault(name.text, node)
    return found


def action_of(route: Mapping) -> Mapping | None:
    """A route's action, or that of its first split or after its matches."""
    actions = (one.mapping("action") for one in (route, *route.mappings("splits")))
    return next((one for one in actions if one is not None), None)


def upstream_name(action: Mapping | None) -> Scalar | None:
    """The name of the upstream to which an action passes requests."""
    return None if action is None else action.word("pass") or action.word("proxy", "upstream")


def upstreams_by_route(spec: Mapping) -> dict[int, Mapping]:
    """The upstreams that the routes pass to, by the offsets of the routes."""
    by_name = upstreams_of(spec)
    found: dict[int, Mapping] = {}
    for route in routes_of(spec):
        name = upstream_name(action_of(route))
        if name is not None and name.text in by_name:
            found.setdefault(route.span.start, by_name[name.text])
    return found


def paths_by_upstream(spec: Mapping) -> dict[int, dict[str, None]]:
    """The paths of the routes that may pass to each upstream, by the upstream's offset.

    A route may split its requests (`splits`), or distribute them by condition (`matches`).
    """
    by_name = upstreams_of(spec)
    found: dict[int, dict[str, None]] = {}
    for route in routes_of(spec):
        path = route.word("path")
        for name in _upstream_names(route) if path is not None else ():
            upstream = by_name.get(name)
            if upstream is not None and path is not None:
                found.setdefault(upstream.span.start, {})[path.text] = None
    return found


def paths_by_route(spec: Mapping) -> dict[int, str]:
    """The paths of the routes, by the offsets of the routes."""
    paths = ((route.span.start, route.word("path")) for route in routes_of(spec))
    return {start: path.text for start, path in paths if path is not None}


def _upstream_names(route: Mapping) -> Iterator[str]:
    """The names of all upstreams that a route may pass to."""
    holders = [route]
    for one in (*route.mappings("splits"), *route.mappings("matches")):
        holders += one, *one.mappings("splits")
    for holder in holders:
        name = upstream_name(holder.mapping("action"))
        if name is not None:
            yield name.text
