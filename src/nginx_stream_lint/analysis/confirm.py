"""Findings about delivery, confirmed or refuted on a real nginx."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import TCP_CLIENTS, Client
from nginx_stream_lint.nginx.request import Request as Asked
from nginx_stream_lint.nginx.route import route_in
from nginx_stream_lint.nginx.routing import match_of
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe import NginxBinary
from nginx_stream_lint.probe.run import Request, probe
from nginx_stream_lint.rules.filters import of_clients
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.find import Served
from nginx_stream_lint.streams.stream import CONTENT_TYPES
from nginx_stream_lint.util.lazily import dataclass

_ABOUT_DELIVERY = ("delivery", "recording")


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured for a location: for whom it streams, and for whom it does not."""

    streams: tuple[Client, ...]
    stalls: tuple[Client, ...]


def measure_served(
    configuration: Configuration, found: Sequence[Served], version: Version, binary: NginxBinary
) -> dict[Level, Measured]:
    """What a real nginx does at each place that a plain request can be sent to.

    Raises `probe.NginxError` where the configuration's copy does not run.
    """
    requests = {one.level: _request(one) for one in found if _can_be_asked(one, version)}
    root = configuration.root
    if not requests or root is None or root.reading.author is not None:
        return {}  # what a controller would make of a file is not there to be run
    result = asyncio.run(probe(configuration, list(requests.values()), (), binary))
    measured: dict[Level, Measured] = {}
    for level, request in requests.items():
        verdicts = {
            outcome.scenario.client: outcome.verdict
            for outcome in result.outcomes
            if outcome.request is request
            and outcome.place is not None
            and outcome.place.directive is level.directive
        }
        good = tuple(client for client, verdict in verdicts.items() if verdict == "streams")
        bad = tuple(
            client for client, verdict in verdicts.items() if verdict in ("stalls", "replays")
        )
        if good or bad:
            measured[level] = Measured(good, bad)
    return measured


def confirmed(
    findings: Sequence[Finding],
    rules: Sequence[Rule],
    found: Sequence[Served],
    measured: dict[Level, Measured],
    binary: NginxBinary,
) -> list[Finding]:
    """The findings with what was measured said; one that was refuted is a note."""
    about = {rule.name for rule in rules if rule.evidence in _ABOUT_DELIVERY}
    version = ".".join(map(str, binary.version))
    result: list[Finding] = []
    for finding in findings:
        seen = [
            measured[one.level]
            for one in found
            if one.level in measured
            and one.level.directive is not None
            and one.level.directive.source is finding.location.place.source
            and one.level.directive.start == finding.location.place.start
        ]
        if finding.rule not in about or not seen:
            result.append(finding)
            continue
        stalls = tuple(dict.fromkeys(client for one in seen for client in one.stalls))
        streams = tuple(dict.fromkeys(client for one in seen for client in one.streams))
        if stalls:
            said = f". Confirmed on nginx {version}: it stalls for {of_clients(stalls)}"
            if streams:
                said += f" and streams for {of_clients(streams)}"
            result.append(replace(finding, message=finding.message + said))
        elif finding.severity == "error":
            said = f". Refuted on nginx {version}: it streams for {of_clients(streams)}"
            message = finding.message + said
            result.append(replace(finding, severity="note", at_most="note", message=message))
        else:
            said = f". On nginx {version} it streams today for {of_clients(streams)}"
            result.append(replace(finding, message=finding.message + said))
    return result


def _can_be_asked(one: Served, version: Version) -> bool:
    """Whether a plain request for the location's own path ends in it."""
    if one.level.kind != "location" or match_of(one.level).is_regex:
        return False
    if not CONTENT_TYPES[one.streams[0].kind]:
        return False
    asked = Asked("http", None, None, match_of(one.level).pattern, one.streams[0].method or "GET")
    return route_in(one.server, asked, version).location is one.level


def _request(one: Served) -> Request:
    stream = one.streams[0]
    grpc = one.handler.family == "grpc"
    sockets: dict[str, str] = {}
    for row in one.server.rows.get("listen", []):
        if "quic" in row.args[1:]:
            continue
        is_tls = "ssl" in row.args[1:]
        for client in one.clients:
            if client in TCP_CLIENTS and is_tls == (client != "h1"):
                sockets.setdefault(client, row.args[0])
    if not sockets:
        sockets["h1"] = "80"
    names = [arg for row in one.server.rows.get("server_name", []) for arg in row.args]
    plain = [name for name in names if not set(name) & set("~*_")]
    return Request(
        name=one.level.label,
        sockets=sockets,
        host=plain[0].lstrip(".") if plain else "localhost",
        path=match_of(one.level).pattern,
        method=stream.method or "GET",
        content_type="application/grpc" if grpc else CONTENT_TYPES[stream.kind][0],
        scenarios=tuple(
            Scenario(client, stream.framing or "chunked", stream.x_accel_buffering or "absent")
            for client in one.clients
            if client in TCP_CLIENTS
        ),
    )
