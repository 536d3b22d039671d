"""Explanations: for people, and as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import click

from nginx_stream_lint.analysis.explain import Explainer, Explanation
from nginx_stream_lint.config import Directive
from nginx_stream_lint.fixes.show import mended
from nginx_stream_lint.nginx.delivery import Delivery
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Effective, Level
from nginx_stream_lint.rules.filters import CLIENTS, amount, duration, listed
from nginx_stream_lint.util.sinks import in_json, printable, shown_line

_COLOURS = {"streams": "green", "stalls": "red", "replays": "red"}
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
    return {
        "rows": [list(row) for row in value.rows],
        "origin": {"kind": value.origin, **_place(first)},
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


def explain_text(explainer: Explainer, explanations: Sequence[Explanation]) -> str:
    """The way taken, what is in force with its origin, the verdicts, findings and fix."""
    return "\n".join(line for one in explanations for line in [*_lines(explainer, one), ""])


def _lines(explainer: Explainer, one: Explanation) -> Iterator[str]:
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
    yield from _verdicts(one.deliveries)
    findings = explainer.findings(one)
    for finding in findings:
        yield ""
        yield f"  {finding.severity} {finding.rule}: {printable(finding.message)}"
    shown = mended(findings[0].location, findings) if findings else ""
    if shown:
        yield ""
        yield from (f"    {shown_line(line)}" for line in shown.split("\n"))


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
    here = "here" if value.origin == "explicit" else "inherited"
    return f"{here}, {directive.source.name}:{directive.line}"


def _verdicts(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """One line for each client and usual scenario, and what changes it."""
    clients = list(dict.fromkeys(one.scenario.client for one in deliveries))
    for client in clients:
        own = [one for one in deliveries if one.scenario.client == client]
        usual = next(one for one in own if _is_usual(one))
        yield f"  {CLIENTS[client]}: {_verdict(usual)}"
        for words, scenarios in _changes(own).items():
            others = [one for one in scenarios if one.verdict != usual.verdict]
            if others:
                yield f"    {words}: {_verdict(others[0])}"


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
        ("chunked", "absent", "gzip"): "if the client accepts compression",
    }
    found: dict[str, list[Delivery]] = {}
    for one in own:
        scenario = one.scenario
        key = (scenario.framing, scenario.x_accel_buffering, scenario.accept_encoding)
        if key in words:
            found.setdefault(words[key], []).append(one)
    return found


def _verdict(one: Delivery) -> str:
    word = click.style(one.verdict, fg=_COLOURS[one.verdict])
    if one.verdict == "streams":
        return word
    if one.verdict == "replays":
        return f"{word} from a recording"
    wait = duration(one.first_text_s)
    held = f"held by {listed([str(one.held_by)])}, {amount(one.held_bytes)}"
    return f"{word}: {held}, first text after {wait}"
