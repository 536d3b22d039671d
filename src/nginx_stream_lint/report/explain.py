"""Explanations: for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import click

from nginx_stream_lint.analysis.explain import Explainer, Explanation
from nginx_stream_lint.config import Directive
from nginx_stream_lint.fixes.show import shown_fixes
from nginx_stream_lint.nginx.delivery import Delivery
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Effective, Level
from nginx_stream_lint.rules.filters import CLIENTS, HOLDS, amount, duration
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.util.sinks import in_json, printable, shown_line

_COLOURS = {"streams": "green", "stalls": "red", "replays": "red", "no-stream": "red"}
# What a person wants to see even where nobody has set it; the rest is shown where it is set.
_ALWAYS = (
    "_buffering",
    "_buffer_size",
    "_http_version",
    "_keep_conn",
    "_read_timeout",
    "_ignore_headers",
    "_cache",
)
_ALSO = ("gzip", "ssl_buffer_size")
_NEVER = ("types", "default_type", "ssl_certificate", "ssl_certificate_key", "ssl_protocols")


def explain_json(explanations: Sequence[Explanation]) -> str:
    """A list with one object for each URL."""
    text = json.dumps([_object(one) for one in explanations], indent=2, ensure_ascii=False)
    return f"{in_json(text)}\n"


def _object(one: Explanation) -> dict[str, Any]:
    route = one.route
    handler = route.handler
    via = [{"why": step.why, **_place(step.directive)} for step in route.via]
    via += [{"why": f"unknown: {reason}", "file": None, "line": None} for reason in route.unknown]
    return {
        "url": one.url,
        "server": _level(route.server) | {"names": _names(route.server)},
        "location": None if route.location is None else _level(route.location),
        "via": via,
        "handler": None
        if handler is None
        else {"family": handler.family, "target": handler.target, **_place(handler.directive)},
        "settings": {name: _setting(value) for name, value in one.settings.items()},
        "read_timeout_s": one.read_timeout_s,
        "deliveries": [_delivery(delivery) for delivery in one.deliveries],
    }


def _level(level: Level | None) -> dict[str, Any]:
    if level is None:
        return {"label": None, "file": None, "line": None}
    return {"label": level.label, **_place(level.directive)}


def _names(level: Level | None) -> list[str]:
    rows = [] if level is None else level.rows.get("server_name", [])
    return [arg for row in rows for arg in row.args]


def _place(directive: Directive | None) -> dict[str, Any]:
    if directive is None:
        return {"file": None, "line": None}
    return {"file": directive.source.name, "line": directive.line}


def _setting(value: Effective) -> dict[str, Any]:
    first = value.directives[0] if value.directives else None
    kind: str = value.origin
    if first is not None and first.file.reading.author is not None and not first.is_written:
        kind, first = "default", None  # a controller's
    return {
        "rows": [list(row) for row in value.rows],
        "origin": {"kind": kind, **_place(first)},
    }


def _delivery(delivery: Delivery) -> dict[str, Any]:
    scenario = delivery.scenario
    return {
        "client": scenario.client,
        "framing": scenario.framing,
        "x_accel_buffering": scenario.x_accel_buffering,
        "accept_encoding": scenario.accept_encoding,
        "verdict": delivery.verdict,
        "held_by": delivery.held_by,
        "held_bytes": delivery.held_bytes,
    }


def explain_text(
    explainer: Explainer,
    explanations: Sequence[Explanation],
    findings: Sequence[Sequence[Finding]],
) -> str:
    """The way taken, what is in force with its origin, the verdicts, findings and fix.

    `findings` are those of each place where a URL lands, with their fixes as --fix would write
    them.
    """
    pairs = zip(explanations, findings, strict=True)
    return "\n".join(line for one, own in pairs for line in [*_lines(explainer, one, own), ""])


def _lines(explainer: Explainer, one: Explanation, findings: Sequence[Finding]) -> Iterator[str]:
    route = one.route
    stream = explainer.stream(one)
    yield click.style(printable(one.url), bold=True)
    yield _line("server", f"{' '.join(_names(route.server)) or '(no name)'}{_at(route.server)}")
    for step in route.via:
        name, line = step.directive.source.name, step.directive.line
        yield _line("by way of", f"{step.why} ({name}:{line})")
    for reason in route.unknown:
        yield _line("unknown", reason)
    if route.location is not None:
        yield _line("lands in", f"{route.location.label}{_at(route.location)}")
    if stream is not None and stream.confidence != "possible":
        yield _line("streams", f"{stream.confidence} ({stream.kind}): {stream.because}")
    handler = route.handler
    if handler is None:
        yield _line("answered", _answer(one))
        return
    where = f"{handler.directive.source.name}:{handler.directive.line}"
    yield _line("passed to", f"{handler.family}_pass {handler.target} ({where})")
    yield ""
    yield from _settings(one)
    yield ""
    if explainer.is_websocket(one):
        yield from _websocket(one.deliveries)
    else:
        yield from _verdicts(one.deliveries, handler.family)
    for finding in findings:
        yield ""
        yield f"  {finding.severity} {finding.rule}: {printable(finding.message)}"
    for shown in shown_fixes(findings[0].location, findings) if findings else ():
        yield ""
        yield f"  suggested fix (apply with {shown.options}):"
        yield from (f"    unsafe: {printable(said)}" for said in shown.cautions)
        yield from (f"    {shown_line(line)}" for line in shown.text.split("\n"))


def _line(head: str, text: str) -> str:
    """What is to say under a heading, in one line."""
    return f"  {head:<9} {printable(text)}"


def _at(level: Level | None) -> str:
    directive = None if level is None else level.directive
    return "" if directive is None else f" ({directive.source.name}:{directive.line})"


def _answer(one: Explanation) -> str:
    route = one.route
    if route.redirect is not None:
        return f"by nginx: {route.status} to {route.redirect}"
    if route.status is not None:
        return f"by nginx: {route.status}"
    return "from files, if there is one"


def _settings(one: Explanation) -> Iterator[str]:
    family = "" if one.route.handler is None else one.route.handler.family
    always = _always(family)
    shown = {
        name: value
        for name, value in one.settings.items()
        if (value.origin != "default" and name not in _NEVER) or name in always
    }
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        rows = [" ".join(arg or '""' for arg in row) for row in value.rows] or ["(not set)"]
        for number, row in enumerate(rows):
            said = printable(f"{row}  [{_origin(value, number)}]")
            yield f"  {name if not number else '':{width}}  {said}"


@cache
def _always(family: str) -> frozenset[str]:
    """The settings that are shown where nobody has set them, too."""
    return frozenset(
        name
        for name in table()
        if name not in _NEVER and (name in _ALSO or name.removeprefix(family) in _ALWAYS)
    )


def _origin(value: Effective, number: int) -> str:
    if not value.directives:
        return "default"
    directive = value.directives[min(number, len(value.directives) - 1)]
    author = directive.file.reading.author
    if author is not None and not directive.is_written:
        return f"default of {author.name}"
    here = "here" if value.origin == "explicit" else "inherited"
    return f"{here}, {directive.source.name}:{directive.line}"


def _verdicts(deliveries: Sequence[Delivery], family: str) -> Iterator[str]:
    """One line for each client, and what changes its verdict."""
    clients = list(dict.fromkeys(one.scenario.client for one in deliveries))
    for client in clients:
        own = [one for one in deliveries if one.scenario.client == client]
        usual = next(one for one in own if _is_usual(one))
        yield f"  {CLIENTS[client]}: {_verdict(usual, family)}"
        for words, scenarios in _changes(own).items():
            others = [one for one in scenarios if one.verdict != usual.verdict]
            if others:
                yield f"    {words}: {_verdict(others[0], family)}"


def _websocket(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """One line for each client that can open a WebSocket."""
    verdicts = {one.scenario.client: one.verdict for one in deliveries}
    for client, verdict in verdicts.items():
        word = click.style(verdict, fg=_COLOURS[verdict])
        why = "" if verdict == "streams" else ": the handshake fails"
        yield f"  WebSocket over {CLIENTS[client]}: {word}{why}"
    if not verdicts:
        yield "  WebSocket: nginx has none over HTTP/2, and this server has nothing else"


def _is_usual(one: Delivery) -> bool:
    scenario = one.scenario
    return (scenario.framing, scenario.x_accel_buffering, scenario.accept_encoding) == (
        "chunked",
        "absent",
        "identity",
    )


def _changes(own: Sequence[Delivery]) -> dict[str, list[Delivery]]:
    """The scenarios that differ from the usual one in one thing, by what that is."""
    words = {
        ("close", "absent", "identity"): "if the app closes instead of chunking",
        ("length", "absent", "identity"): "if the app announces a length",
        ("chunked", "no", "identity"): "if the app sends X-Accel-Buffering: no",
        ("chunked", "yes", "identity"): "if the app sends X-Accel-Buffering: yes",
        ("chunked", "absent", "gzip"): "for clients that accept gzip",
    }
    found: dict[str, list[Delivery]] = {}
    for one in own:
        scenario = one.scenario
        key = (scenario.framing, scenario.x_accel_buffering, scenario.accept_encoding)
        if key in words:
            found.setdefault(words[key], []).append(one)
    return found


def _verdict(one: Delivery, family: str) -> str:
    word = click.style(one.verdict, fg=_COLOURS[one.verdict])
    if one.verdict == "streams":
        return word
    if one.verdict == "replays":
        return f"{word} from a recording"
    if one.held_by == "sub-filter":
        return f"{word}: sub_filter keeps the end of each event until the next one comes"
    holder = HOLDS[str(one.held_by)].format(family=family)
    if one.held_bytes is None:
        return f"{word}: {holder} holds the whole response until it ends"
    wait = duration(one.first_text_s)
    return (
        f"{word}: {holder} holds {amount(one.held_bytes)},"
        f" so the first text arrives after about {wait}"
    )
