"""Explanations of URLs as text."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cache

import click
from msgspec import Struct

from nginx_stream_lint.analysis.explainer import Explainer, Explanation
from nginx_stream_lint.analysis.stream_paths import Passed, PassedPlace
from nginx_stream_lint.config import Directive
from nginx_stream_lint.config.deployed import Deployed
from nginx_stream_lint.fixes.show import ShownFix, shown_fixes
from nginx_stream_lint.nginx.delivery import Delivery
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.levels import Effective, Handler, Level
from nginx_stream_lint.nginx.request_route import RedirectStep
from nginx_stream_lint.report.closing_lines import deployed_words
from nginx_stream_lint.report.words import counted
from nginx_stream_lint.report.wrapping import WIDTH, wrapped
from nginx_stream_lint.rules.filters import CLIENTS, HOLDS, amount, duration, listed
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.messages import default_words
from nginx_stream_lint.tiers.records import ProductBehaviour, ProxyTier
from nginx_stream_lint.util.escaping import printable, shown_line

# How handlers other than an app treat streams.
_STREAMING = {
    "by-itself": "it streams by itself",
    "depends": "whether it streams depends on its code",
    "no": "it does not stream",
    "unknown": "whether it streams is unknown",
}
_COLOURS = {
    "streams": "green",
    "stalls": "red",
    "replays": "red",
    "no-stream": "red",
    "unknown": "yellow",
}
_VERDICT = re.compile(rf"\b(?:{'|'.join(_COLOURS)})\b")
# These settings are always shown; others only if the configuration sets them.
_ALWAYS = (
    "_buffering",
    "_buffer_size",
    "_http_version",
    "_keep_conn",
    "_read_timeout",
    "_ignore_headers",
    "_cache",
)
_MOST_OTHERS = 3  # nginx that are named
_ALSO = ("gzip", "ssl_buffer_size")
_NEVER = ("types", "default_type", "ssl_certificate", "ssl_certificate_key", "ssl_protocols")


class TierWords(Struct, frozen=True):
    """A tier in words: its name, its position, its verdict, and what it does."""

    name: str
    where: str
    verdict: str
    said: str


def tier_words(explanation: Explanation) -> list[TierWords]:
    """The tiers of a stream in words, nearest the app first."""
    return [_in_words(explanation, tier) for tier in explanation.tiers]


def _in_words(explanation: Explanation, tier: Passed) -> TierWords:
    worst = worst_delivery(explanation, tier)
    verdict = "streams" if worst is None else str(worst.verdict)
    limit = tier.read_timeout_s
    cuts = f"closes the stream after {duration(limit)} of silence" if limit else ""
    if isinstance(tier, PassedPlace):
        held = "" if worst is None else _held_here(worst, tier.handler.family, "")
        known = tier.nginx.knows_version
        version = f" {'.'.join(map(str, tier.nginx.version))}" if known else ""
        block = tier.level.directive or tier.handler.directive
        where = f"nginx{version}, {_where(block)}"
        name = tier.level.label
    else:
        one = tier.tier
        held = "holds the response" if verdict == "stalls" else ""
        verdict = "unknown" if buffers_unknown(one) else verdict
        where = one.because if one.file is None else f"{one.because}, {one.file}:{one.line}"
        name = one.name
    return TierWords(name, where, verdict, "; ".join(filter(None, (held, cuts))))


def _tier_lines(words: TierWords, width: int) -> Iterator[str]:
    where = f" ({words.where})" if words.where else ""
    colon = ": " if words.verdict == "stalls" else "; "
    said = f"{colon}{words.said}" if words.said else ""
    text = printable(f"{words.name}{where}: {words.verdict}{said}")
    lines = wrapped(text, width, "    ", "      ")
    yield from _VERDICT.sub(_coloured, "\n".join(lines)).split("\n")


def client_lines(explanation: Explanation) -> Iterator[tuple[str, str, str]]:
    """For each client of a URL: its kind, the verdict, and what holds the stream."""
    handler = explanation.route.handler
    family = "" if handler is None else handler.family
    for client in dict.fromkeys(one.scenario.client for one in explanation.deliveries):
        own = [one for one in explanation.deliveries if one.scenario.client == client]
        usual = next(one for one in own if _is_usual(one))
        said = (
            ""
            if explanation.is_websocket
            else f"{_held(explanation, usual, family)}{_later(usual)}"
        )
        yield CLIENTS[client], str(usual.verdict), said


def names_of(server: Level | None) -> list[str]:
    """The names of a server."""
    rows = [] if server is None else server.rows.get("server_name", [])
    return [arg for row in rows for arg in row.args]


def worst_delivery(explanation: Explanation, tier: Passed) -> Delivery | None:
    """What a tier does in the worst of the usual scenarios; None if no client reaches it."""
    pairs = zip(explanation.deliveries, tier.deliveries, strict=True)
    usual = [here for whole, here in pairs if _is_usual(whole, any_encoding=True)]
    return next((here for here in usual if here.verdict != "streams"), usual[0] if usual else None)


def buffers_unknown(tier: ProxyTier) -> bool:
    """Whether it is unknown if a product holds streams."""
    return isinstance(tier.behaviour, ProductBehaviour) and tier.behaviour.buffers == "unknown"


def explain_text(
    explanations: Sequence[tuple[Explainer, Explanation]],
    findings: Sequence[Sequence[Finding]],
    width: int = WIDTH,
) -> str:
    """Render explanations: the route, settings with their origins, verdicts, findings and fix.

    `findings` are those of each place where a URL ends, with their fixes as --fix would write them.
    Lines have `width` columns, except for text that cannot be broken.
    """
    return "\n".join(
        line
        for (explainer, one), own in zip(explanations, findings, strict=True)
        for line in [*_lines(explainer, one, own, width), ""]
    )


def _lines(
    explainer: Explainer, explanation: Explanation, findings: Sequence[Finding], width: int
) -> Iterator[str]:
    route = explanation.route
    stream = explanation.stream
    yield click.style(printable(explanation.url), bold=True)
    names = " ".join(names_of(route.server)) or "(no name)"
    stands = "" if route.server is None else route.server.place
    if explanation.nginx is not None:
        yield from _line("nginx", _nginx(explanation.nginx, explainer.other_nginx), width)
    yield from _line("server", f"{names}{stands}", width)
    for said, times in Counter(map(_step, route.via)).items():
        yield from _line("via", f"{said}, {times} times" if times > 1 else said, width)
    for reason in route.unknown:
        yield from _line("unknown", reason, width)
    if route.location is not None:
        yield from _line("routed to", f"{route.location.label}{route.location.place}", width)
    if stream is not None and stream.confidence != "possible":
        yield from _line("stream", stream.words, width)
    handler = route.handler
    if handler is None:
        yield from _line("response", response_words(explanation), width)
        return
    yield from _line("passed to", _passed(handler), width)
    for tier in explanation.places[-2::-1]:
        yield from _line("then in", f"{tier.level.label}{tier.level.place}", width)
        yield from _line("passed to", _passed(tier.handler), width)
    if explanation.app is not None:
        yield from _line("app", explanation.app, width)
    yield ""
    yield from _settings(explainer, explanation, width)
    yield ""
    if len(explanation.tiers) > 1:
        yield "  proxies from the app to the client, each in the worst usual case:"
        for words in tier_words(explanation):
            yield from _tier_lines(words, width)
        yield ""
    if explanation.is_websocket:
        yield from _websocket(explanation.deliveries)
    else:
        yield from _verdicts(explanation, handler.family, width)
    blocks = (tier.level.directive for tier in explanation.places[:-1])
    inner = {(block.source.name, block.start) for block in blocks if block is not None}
    for finding in findings:
        yield ""
        place = finding.location.place
        elsewhere = (place.source.name, place.start) in inner
        where = f" at {printable(place.source.name)}:{place.line}" if elsewhere else ""
        said = f"{finding.severity} {finding.rule}{where}: {printable(finding.message)}"
        yield from wrapped(said, width, "  ", "    ")
    for shown in _fixes(findings):
        yield ""
        yield f"  suggested fix (apply with {shown.options}):"
        for said in shown.remarks:
            yield from wrapped(printable(said), width, "    ", "    ")
        yield from (f"    {shown_line(line)}" for line in shown.text.split("\n"))


def _nginx(nginx: Deployed, others: Sequence[Deployed]) -> str:
    """Describe the nginx that is explained, and name others that read the same file."""
    words = deployed_words(nginx)
    names = list(dict.fromkeys(f"{one.name} ({one.origin})" for one in others))
    # Overrides of a compose file make several of one service.
    names = [one for one in names if one != f"{nginx.name} ({nginx.origin})"]
    if not names:
        return words
    if len(names) > _MOST_OTHERS:
        names = [*names[:_MOST_OTHERS], counted(len(names) - _MOST_OTHERS, "other")]
    return f"{words}; {listed(names)} {'reads' if len(names) == 1 else 'read'} this file, too"


def _fixes(findings: Sequence[Finding]) -> Iterator[ShownFix]:
    """The fixes of each location."""
    by_place: dict[int, list[Finding]] = {}
    for finding in findings:
        by_place.setdefault(finding.location.place.start, []).append(finding)
    for here in by_place.values():
        yield from shown_fixes(here[0].location, here)


def _step(step: RedirectStep) -> str:
    return f"{step.why} ({step.directive.source.name}:{step.directive.line})"


def _passed(handler: Handler) -> str:
    return f"{handler.family}_pass {handler.target} ({_where(handler.directive)})"


def _line(head: str, text: str, width: int) -> list[str]:
    """Render a heading with the text beside it."""
    return wrapped(printable(text), width, f"  {head:<9} ", " " * 12)


def _where(directive: Directive) -> str:
    return f"{directive.source.name}:{directive.line}"


def response_words(explanation: Explanation) -> str:
    """How nginx responds to a request without an app."""
    route = explanation.route
    if route.redirect is not None:
        return f"by nginx: {route.status} to {route.redirect}"
    if route.status is not None:
        return f"by nginx: {route.status}"
    if route.rejected_by is not None:
        return f"by nginx, which rejects the TLS handshake ({_where(route.rejected_by)})"
    if route.other is not None:
        other = route.other
        where = _where(other.directive)
        return f"by {other.directive.name} ({where}): {_STREAMING[other.streaming]}"
    return "from a file, if it exists"


def _settings(explainer: Explainer, explanation: Explanation, columns: int) -> Iterator[str]:
    family = "" if explanation.route.handler is None else explanation.route.handler.family
    names = _always(family) | explanation.written.difference(_NEVER)
    shown = {name: value for name, value in explanation.settings.items() if name in names}
    width = max((len(name) for name in shown), default=0)
    for name, value in shown.items():
        rows = [" ".join(arg or '""' for arg in row) for row in value.rows] or ["(not set)"]
        for number, row in enumerate(rows):
            line = f"  {name if not number else '':{width}}  {printable(row)}"
            origin = printable(f"  [{_origin(explainer, value, number)}]")
            if len(line) + len(origin) <= columns:
                yield line + origin
            else:
                yield line
                yield f"  {'':{width}}{origin}"


@cache
def _always(family: str) -> frozenset[str]:
    """The settings that are shown even if the configuration does not set them."""
    return frozenset(
        name
        for name in table()
        if name not in _NEVER and (name in _ALSO or name.removeprefix(family) in _ALWAYS)
    )


def _origin(explainer: Explainer, value: Effective, number: int) -> str:
    if not value.directives:
        return default_words(value.name, explainer.version, explainer.running)
    directive = value.directives[min(number, len(value.directives) - 1)]
    author = directive.file.reading.author
    if author is not None and not directive.is_written:
        return f"default of {author.name}"
    here = "here" if value.origin == "explicit" else "inherited"
    return f"{here}, {directive.source.name}:{directive.line}"


def _verdicts(explanation: Explanation, family: str, width: int) -> Iterator[str]:
    """One line for each client, and the changes that would change its verdict."""
    deliveries = explanation.deliveries

    def said(head: str, delivery: Delivery, indent: str) -> list[str]:
        words = (
            f"{head}: {delivery.verdict}{_held(explanation, delivery, family)}{_later(delivery)}"
        )
        lines = wrapped(words, width, indent, f"{indent}  ")
        return _VERDICT.sub(_coloured, "\n".join(lines)).split("\n")

    clients = list(dict.fromkeys(one.scenario.client for one in deliveries))
    for client in clients:
        own = [one for one in deliveries if one.scenario.client == client]
        usual = next(one for one in own if _is_usual(one))
        yield from said(CLIENTS[client], usual, "  ")
        for words, scenarios in _changes(own).items():
            others = [one for one in scenarios if _outcome(one) != _outcome(usual)]
            if others:
                yield from said(words, others[0], "    ")


def _websocket(deliveries: Sequence[Delivery]) -> Iterator[str]:
    """One line for each client that can open a WebSocket."""
    verdicts = {one.scenario.client: one.verdict for one in deliveries}
    for client, verdict in verdicts.items():
        word = click.style(verdict, fg=_COLOURS[verdict])
        why = "" if verdict == "streams" else ": the handshake fails"
        yield f"  WebSocket, {CLIENTS[client]}: {word}{why}"
    if not verdicts:
        yield (
            "  WebSocket: nginx does not support it over HTTP/2, and this server offers only HTTP/2"
        )


def _holding(explanation: Explanation, delivery: Delivery) -> tuple[Passed, Delivery] | None:
    """The tier that holds a stream, and its delivery there; None if it is the last tier."""
    is_refused = delivery.verdict == "no-stream"
    if delivery.held_by != "tier" and delivery.slowest != "tier" and not is_refused:
        return None
    at = next(n for n, each in enumerate(explanation.deliveries) if each is delivery)
    passed = ((tier, tier.deliveries[at]) for tier in explanation.tiers)
    return next((pair for pair in passed if pair[1].verdict != "streams"), None)


def _is_usual(delivery: Delivery, any_encoding: bool = False) -> bool:
    scenario = delivery.scenario
    return (scenario.framing, scenario.x_accel_buffering) == ("chunked", "absent") and (
        any_encoding or scenario.accept_encoding == "identity"
    )


def _changes(own: Sequence[Delivery]) -> dict[str, list[Delivery]]:
    """The scenarios that differ from the usual one in one property, by that property."""
    words = {
        ("close", "absent", "identity"): "if the app closes the connection instead of chunking",
        ("length", "absent", "identity"): "if the app sends Content-Length",
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


def _outcome(delivery: Delivery) -> tuple[str, str, bool, float | None]:
    """The parts of a delivery that clients notice."""
    return delivery.verdict, delivery.repeat, delivery.is_replayed, delivery.first_text_s


def _coloured(verdict: re.Match[str]) -> str:
    return click.style(verdict[0], fg=_COLOURS[verdict[0]])


def _later(delivery: Delivery) -> str:
    if delivery.repeat == "replays":
        return "; nginx replays a recording to the second request"
    if delivery.is_replayed:
        return "; nginx replays a recording to later requests"
    if delivery.repeat == "unknown":
        return "; nginx may replay a recording to the second request"
    return "" if delivery.repeat == delivery.verdict else f"; the second request {delivery.repeat}"


def _held(explanation: Explanation, delivery: Delivery, family: str) -> str:
    """Describe which buffer holds a stream, and for how long."""
    of = ""
    holding = _holding(explanation, delivery)
    if holding is not None:
        tier, delivery = holding
        if not isinstance(tier, PassedPlace):
            return f": {tier.tier.name} holds the response"
        family, of = tier.handler.family, f" in {tier.level.label}{tier.level.place}"
    held = _held_here(delivery, family, of)
    return f": {held}" if held else ""


def _held_here(delivery: Delivery, family: str, of: str) -> str:
    """Describe the hold of one tier; `of` says which tier it is."""
    if delivery.verdict == "streams":
        return ""
    if delivery.verdict == "no-stream":
        return f"nginx{of} responds with 400, because HTTP/2 forbids a header of the next tier"
    if delivery.held_by == "sub-filter":
        return f"sub_filter{of} holds the end of each event until the next event"
    holder = HOLDS[str(delivery.slowest)].format(family=family) + of
    if delivery.held_bytes is None:
        return f"{holder} holds the whole response until it ends"
    wait = duration(delivery.first_text_s)
    held = amount(delivery.held_bytes)
    return f"{holder} holds {held}, so the first text arrives after about {wait}"
