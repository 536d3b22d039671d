"""Findings about delivery, confirmed or refuted on a real nginx."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.nginx.delivery import Scenario
from nginx_stream_lint.nginx.handshake import HANDSHAKE_CLIENTS, as_handshake
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.listeners import TCP_CLIENTS, Client
from nginx_stream_lint.nginx.location_match import match_of
from nginx_stream_lint.nginx.request import Request as Asked
from nginx_stream_lint.nginx.request_route import route_in_server
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe import NginxBinary
from nginx_stream_lint.probe.probe_model import ProbeOutcome, ProbeRequest
from nginx_stream_lint.probe.run import probe
from nginx_stream_lint.rules.filters import of_clients
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.judge import location_info, server_names
from nginx_stream_lint.rules.remarks import remarks
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.streams.detect import ProxiedLocation
from nginx_stream_lint.streams.stream import CONTENT_TYPES, Stream

_ABOUT_DELIVERY = ("delivery", "recording")


class MeasuredDelivery(Struct, frozen=True):
    """Measurements of a location: the clients that get a stream, and the others.

    `handshake` describes the result of a WebSocket handshake: empty if none was sent, or if it
    succeeds (`accepted`).
    """

    streams: tuple[Client, ...]
    stalls: tuple[Client, ...]
    accepted: bool = False
    handshake: str = ""


def measure_locations(
    configuration: Configuration,
    locations: Sequence[ProxiedLocation],
    version: Version,
    binary: NginxBinary,
) -> dict[Level, MeasuredDelivery]:
    """Measure each location that a plain request or a handshake can reach, on a real nginx.

    Raises `probe.NginxError` if nginx cannot run the copy.
    """
    requests = {one.level: _request(one) for one in locations if _is_reachable(one, version)}
    handshakes = {
        one.level: _handshake(one) for one in locations if _can_get_handshakes(one, version)
    }
    root = configuration.root
    if not (requests or handshakes) or root is None or root.reading.author is not None:
        return {}  # the configuration that a controller would generate does not exist as files
    every = [*requests.values(), *handshakes.values()]
    result = asyncio.run(probe(configuration, every, (), binary))

    def outcomes(level: Level, request: ProbeRequest | None) -> dict[Client, ProbeOutcome]:
        return {
            outcome.scenario.client: outcome
            for outcome in result.outcomes
            if outcome.request is request
            and outcome.place is not None
            and outcome.place.directive is level.directive
        }

    measured: dict[Level, MeasuredDelivery] = {}
    for level in dict.fromkeys([*requests, *handshakes]):
        verdicts = {
            client: one.verdict for client, one in outcomes(level, requests.get(level)).items()
        }
        answers = list(outcomes(level, handshakes.get(level)).values())
        refused = next((_response_words(one) for one in answers if one.verdict == "no-stream"), "")
        good = tuple(client for client, verdict in verdicts.items() if verdict == "streams")
        bad = tuple(
            client for client, verdict in verdicts.items() if verdict in ("stalls", "replays")
        )
        if good or bad or answers:
            accepted = not refused and any(one.verdict == "streams" for one in answers)
            measured[level] = MeasuredDelivery(good, bad, accepted, refused)
    return measured


def with_measurements(
    findings: Sequence[Finding],
    rules: Sequence[Rule],
    locations: Sequence[ProxiedLocation],
    measured: dict[Level, MeasuredDelivery],
    binary: NginxBinary,
) -> list[Finding]:
    """Return the findings with their measurements; a refuted one becomes a note.

    After them, findings about handshakes that fail although no rule reports it.
    """
    about = {rule.name for rule in rules if rule.evidence in _ABOUT_DELIVERY}
    about_handshakes = [rule for rule in rules if "handshakes" in rule.about]
    names = {rule.name for rule in about_handshakes}
    version = ".".join(map(str, binary.version))
    result: list[Finding] = []
    for finding in findings:
        seen = [
            measured[one.level]
            for one in locations
            if one.level in measured
            and one.level.directive is not None
            and one.level.directive.source is finding.location.place.source
            and one.level.directive.start == finding.location.place.start
        ]
        if finding.rule in names:
            result.append(_about_handshake(finding, seen, version))
            continue
        held_or_not = [one for one in seen if one.streams or one.stalls]
        if finding.rule not in about or not held_or_not:
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
    result += _unreported(findings, about_handshakes, locations, measured, version)
    return result


def _response_words(outcome: ProbeOutcome) -> str:
    """The response to a failed handshake, in words."""
    status = f"status {outcome.status}" if outcome.status else "no response"
    return f"{status} ({outcome.error})" if outcome.error else status


def _about_handshake(finding: Finding, seen: Sequence[MeasuredDelivery], version: str) -> Finding:
    """A finding about handshakes with the measured response."""
    refused = next((one.handshake for one in seen if one.handshake), "")
    if refused:
        said = f". Confirmed on nginx {version}: a handshake gets {refused}"
        return replace(finding, message=finding.message + said)
    if not any(one.accepted for one in seen):
        return finding
    if finding.severity != "error":
        said = f". On nginx {version} a handshake gets through to an app that accepts it"
        return replace(finding, message=finding.message + said)
    said = f". Refuted on nginx {version}: a handshake gets through"
    message = finding.message + said
    return replace(finding, severity="note", at_most="note", message=message)


def _unreported(
    findings: Sequence[Finding],
    rules: Sequence[Rule],
    locations: Sequence[ProxiedLocation],
    measured: dict[Level, MeasuredDelivery],
    version: str,
) -> list[Finding]:
    """Findings about handshakes that fail on a real nginx although no rule reports it."""
    names = {rule.name for rule in rules}
    known = {
        (one.location.place.source, one.location.place.start)
        for one in findings
        if one.rule in names
    }
    result: list[Finding] = []
    for one in locations:
        refused = measured[one.level].handshake if one.level in measured else ""
        if not refused:
            continue
        info = location_info(one.level, server_names(one.server))
        if (info.place.source, info.place.start) not in known:
            known.add((info.place.source, info.place.start))
            stream = _websocket(one)
            assert stream is not None
            result += (
                Finding(remark.rule.name, remark.severity, remark.message, info.place, info, stream)
                for remark in remarks(rules, {"refused_with": refused, "refused_by": version})
            )
    return result


def _is_reachable(proxied: ProxiedLocation, version: Version) -> bool:
    """Whether the location handles a plain request for its own path."""
    if proxied.level.kind != "location" or match_of(proxied.level).is_regex:
        return False
    if not CONTENT_TYPES[proxied.streams[0].kind]:
        return False
    plain = Asked(
        "http", None, None, match_of(proxied.level).pattern, proxied.streams[0].method or "GET"
    )
    return route_in_server(proxied.server, plain, version).location is proxied.level


def _can_get_handshakes(proxied: ProxiedLocation, version: Version) -> bool:
    """Whether the location certainly handles a WebSocket handshake for its path."""
    if (
        proxied.level.kind != "location"
        or match_of(proxied.level).is_regex
        or not proxied.is_stream
    ):
        return False
    stream = _websocket(proxied)
    if stream is None or not {*HANDSHAKE_CLIENTS} & {*proxied.clients}:
        return False
    request = as_handshake(Asked("http", None, None, _path(proxied, stream)))
    return route_in_server(proxied.server, request, version).location is proxied.level


def _websocket(proxied: ProxiedLocation) -> Stream | None:
    """The first WebSocket of a location."""
    return next((each for each in proxied.streams if each.kind == "websocket"), None)


def _path(proxied: ProxiedLocation, stream: Stream) -> str:
    """The path of a WebSocket: that of the stream if it is known, otherwise the location's."""
    return (stream.path or match_of(proxied.level).pattern).partition("*")[0]


def _handshake(proxied: ProxiedLocation) -> ProbeRequest:
    """A WebSocket handshake to a location."""
    stream = _websocket(proxied)
    assert stream is not None
    plain = _request(proxied)
    sockets: dict[str, str] = {
        client: at for client, at in plain.sockets.items() if client in HANDSHAKE_CLIENTS
    }
    return replace(
        plain,
        sockets=sockets,
        path=_path(proxied, stream),
        method="GET",
        content_type="text/event-stream",
        websocket=True,
        scenarios=tuple(Scenario(client) for client in proxied.clients if client in sockets),
    )


def _request(proxied: ProxiedLocation) -> ProbeRequest:
    stream = proxied.streams[0]
    grpc = proxied.handler.family == "grpc"
    sockets: dict[str, str] = {}
    for row in proxied.server.rows.get("listen", []):
        if "quic" in row.args[1:]:
            continue
        is_tls = "ssl" in row.args[1:]
        for client in proxied.clients:
            if client in TCP_CLIENTS and is_tls == (client != "h1"):
                sockets.setdefault(client, row.args[0])
    if not sockets:
        sockets["h1"] = "80"
    names = [arg for row in proxied.server.rows.get("server_name", []) for arg in row.args]
    plain = [name for name in names if not set(name) & set("~*_")]
    return ProbeRequest(
        name=proxied.level.label,
        sockets=sockets,
        host=plain[0].lstrip(".") if plain else "localhost",
        path=match_of(proxied.level).pattern,
        method=stream.method or "GET",
        content_type="application/grpc"
        if grpc
        else next(iter(CONTENT_TYPES[stream.kind]), "text/event-stream"),
        scenarios=tuple(
            Scenario(client, stream.framing or "chunked", stream.x_accel_buffering or "absent")
            for client in proxied.clients
            if client in TCP_CLIENTS
        ),
    )
