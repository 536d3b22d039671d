"""Explanations of URLs as JSON, as described in schema/explain.schema.json."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from nginx_stream_lint.analysis.explainer import Explanation, UnexplainedUrl
from nginx_stream_lint.analysis.stream_paths import Passed, PassedPlace
from nginx_stream_lint.config import Directive
from nginx_stream_lint.nginx.delivery import Delivery
from nginx_stream_lint.nginx.levels import Effective, Level
from nginx_stream_lint.nginx.request_route import Route
from nginx_stream_lint.report.explain import buffers_unknown, names_of, worst_delivery
from nginx_stream_lint.report.run import NginxRecord, nginx_record
from nginx_stream_lint.util.json_text import json_text

# Version of schema/explain.schema.json; CONTRIBUTING.md says when it changes.
SCHEMA_VERSION = 1


class ExplainError(Struct):
    """A URL that could not be explained."""

    schema_version: int
    url: str
    error: str


class ExplainPlace(Struct):
    """A directive of the configuration; None if there is none."""

    file: str | None
    line: int | None


class ExplainBlock(ExplainPlace):
    """A block of the configuration; None if there is none."""

    label: str | None


class ExplainServer(ExplainBlock):
    """The server that accepts the request."""

    names: list[str]


class ExplainStep(ExplainPlace):
    """An internal redirect, or the reason why the route is unknown from here."""

    why: str


class ExplainHandler(ExplainPlace):
    """The directive that passes the request to an app."""

    family: str
    target: str


class ExplainAnswer(ExplainPlace):
    """The responder if it is neither an app nor a `return`."""

    directive: str
    streaming: str


class ExplainOrigin(ExplainPlace):
    """The origin of a value."""

    kind: str


class ExplainSetting(Struct):
    """A directive in force: its arguments, one row for each occurrence."""

    rows: Sequence[Sequence[str]]
    origin: ExplainOrigin


class ExplainTier(ExplainPlace):
    """A proxy on the route, with its worst delivery in the usual scenarios."""

    name: str
    kind: str
    verdict: str | None
    held_by: str | None


class ExplainDelivery(Struct):
    """The delivery of the stream in one scenario."""

    client: str
    framing: str
    x_accel_buffering: str
    accept_encoding: str
    verdict: str
    repeat: str
    held_by: str | None
    held_bytes: int | None


class ExplainDocument(Struct):
    """The location that handles a URL, and what happens to a stream there."""

    schema_version: int
    url: str
    nginx: NginxRecord | None
    app: str | None
    server: ExplainServer
    location: ExplainBlock | None
    via: list[ExplainStep]
    handler: ExplainHandler | None
    status: int | None
    redirect: str | None
    answered_by: ExplainAnswer | None
    settings: dict[str, ExplainSetting]
    read_timeout_s: float | None
    tiers: list[ExplainTier]
    deliveries: list[ExplainDelivery]


def explain_json(explanations: Sequence[Explanation | UnexplainedUrl]) -> str:
    """Render explanations as a JSON list with one object per URL."""
    return json_text(
        [
            ExplainError(SCHEMA_VERSION, one.url, one.why)
            if isinstance(one, UnexplainedUrl)
            else _document(one)
            for one in explanations
        ]
    )


def _document(explanation: Explanation) -> ExplainDocument:
    route = explanation.route
    handler = route.handler
    via = [ExplainStep(*_place(step.directive), step.why) for step in route.via]
    via += [ExplainStep(None, None, f"unknown: {reason}") for reason in route.unknown]
    return ExplainDocument(
        schema_version=SCHEMA_VERSION,
        url=explanation.url,
        nginx=None if explanation.nginx is None else nginx_record(explanation.nginx),
        app=explanation.app,
        server=ExplainServer(*_block(route.server), names_of(route.server)),
        location=None if route.location is None else ExplainBlock(*_block(route.location)),
        via=via,
        handler=None
        if handler is None
        else ExplainHandler(*_place(handler.directive), handler.family, handler.target),
        status=route.status,
        redirect=route.redirect,
        answered_by=_answered_by(route),
        settings={name: _setting(value) for name, value in explanation.settings.items()},
        read_timeout_s=explanation.read_timeout_s,
        tiers=[_tier(explanation, tier) for tier in explanation.tiers],
        deliveries=[_delivery(delivery) for delivery in explanation.deliveries],
    )


def _answered_by(route: Route) -> ExplainAnswer | None:
    """The responder if it is neither an app nor a `return`: a module, or a refused handshake."""
    if route.other is not None:
        directive, streaming = route.other.directive, str(route.other.streaming)
    elif route.rejected_by is not None:
        directive, streaming = route.rejected_by, "no"
    else:
        return None
    return ExplainAnswer(*_place(directive), directive.name, streaming)


def _block(level: Level | None) -> tuple[str | None, int | None, str | None]:
    """File, line and label of a block."""
    return (None, None, None) if level is None else (*_place(level.directive), level.label)


def _place(directive: Directive | None) -> tuple[str | None, int | None]:
    """File and line of a directive."""
    return (None, None) if directive is None else (directive.source.name, directive.line)


def _setting(value: Effective) -> ExplainSetting:
    first = value.directives[0] if value.directives else None
    kind: str = value.origin
    if first is not None and first.file.reading.author is not None and not first.is_written:
        kind, first = "default", None  # a controller's default
    return ExplainSetting(value.rows, ExplainOrigin(*_place(first), kind))


def _tier(explanation: Explanation, tier: Passed) -> ExplainTier:
    """A tier with its worst delivery in the usual scenarios."""
    worst = worst_delivery(explanation, tier)
    verdict = None if worst is None else str(worst.verdict)
    held_by = None if worst is None else worst.held_by
    if isinstance(tier, PassedPlace):
        place = _place(tier.level.directive)
        return ExplainTier(
            *place, name=tier.level.label, kind="nginx", verdict=verdict, held_by=held_by
        )
    one = tier.tier
    verdict = "unknown" if buffers_unknown(one) else verdict
    return ExplainTier(one.file, one.line, one.name, one.kind, verdict, held_by)


def _delivery(delivery: Delivery) -> ExplainDelivery:
    scenario = delivery.scenario
    return ExplainDelivery(
        client=scenario.client,
        framing=scenario.framing,
        x_accel_buffering=scenario.x_accel_buffering,
        accept_encoding=scenario.accept_encoding,
        verdict=delivery.verdict,
        repeat=delivery.repeat,
        held_by=delivery.held_by,
        held_bytes=delivery.held_bytes,
    )
