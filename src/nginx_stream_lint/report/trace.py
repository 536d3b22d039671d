"""Reports of a trace as text and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import click
from msgspec import Struct

from nginx_stream_lint.analysis.trace_findings import TraceFindings
from nginx_stream_lint.report.trace_words import layer_in_words, verdict
from nginx_stream_lint.report.words import clipped, rounded, timeline
from nginx_stream_lint.report.wrapping import WIDTH, wrapped
from nginx_stream_lint.rules.filters import CLIENTS
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.trace.diagnosis import Diagnosis
from nginx_stream_lint.trace.headers import READ
from nginx_stream_lint.trace.verdict import Judgement
from nginx_stream_lint.util.escaping import printable
from nginx_stream_lint.util.json_text import json_text

Hide = Callable[[str], str]

# Version of schema/trace.schema.json; CONTRIBUTING.md says when it changes.
SCHEMA_VERSION = 1
_COLOURS = {"streams": "green", "unclear": "yellow", "no-stream": "yellow"}
_BAR = 70  # columns of a timeline
_INDENT = 12  # columns
_HEADERS_SHOWN = 400  # characters
_MOST_REMEDIES = 4


# Text


def trace_text(
    diagnosis: Diagnosis, layer_findings: TraceFindings | None = None, width: int = WIDTH
) -> str:
    """Render the report with ANSI colours in lines of `width` columns.

    `layer_findings` has the findings in the layer's configuration.
    """
    lines: list[str] = []
    for layer in diagnosis.result.layers:
        product = diagnosis.products[layer.number]
        maybe = (
            "" if layer.number in diagnosis.certain else ", or a layer that forwards its headers"
        )
        name = f"  ({product.title}{maybe})" if product is not None else ""
        lines.append(click.style(f"layer {layer.number}  {layer.shown}", bold=True) + name)
        judgements = [one for one in diagnosis.judgements if one.layer == layer.number]
        end = max((_end(one) for one in diagnosis.judgements), default=0.0)
        for one in judgements:
            lines += _judgement(one, end, width)
        lines += _headers(diagnosis, layer.number, judgements, width)
        lines.append("")
    for sentence in verdict(diagnosis):
        colour = "red" if diagnosis.named else "green" if diagnosis.streams else "yellow"
        sentences = _wrapped(sentence, "", width)
        lines += [click.style(line, fg=colour, bold=True) for line in sentences]
    lines += _remedies(diagnosis, width)
    if layer_findings is not None:
        lines += _layer_findings(layer_findings, diagnosis.hide, width)
    return "\n".join(lines) + "\n"


def _judgement(judgement: Judgement, end: float, width: int) -> Iterator[str]:
    word = click.style(
        f"{judgement.verdict:<9}", fg=_COLOURS.get(judgement.verdict, "red"), bold=True
    )
    inherited = f" (same as layer {judgement.inherited})" if judgement.inherited is not None else ""
    words = f"{CLIENTS[judgement.client]}: {layer_in_words(judgement)}{inherited}"
    first, *rest = _wrapped(words, " " * _INDENT, width)
    yield f"  {word} {first.strip()}"
    yield from rest
    if judgement.figures.events and end:
        pieces = ((piece.at, piece.events) for piece in judgement.recording.pieces)
        yield f"{' ' * _INDENT}{timeline(pieces, end, min(_BAR, width - _INDENT))}"


def _end(judgement: Judgement) -> float:
    return max([piece.at for piece in judgement.recording.pieces], default=0.0)


def _headers(
    diagnosis: Diagnosis, number: int, judgements: list[Judgement], width: int
) -> Iterator[str]:
    answered = [one.recording for one in judgements if one.recording.head_at is not None]
    if answered:
        headers = answered[0].headers
        shown = "; ".join(f"{name}: {headers[name]}" for name in READ if headers.get(name))
        words = clipped(
            printable(shown) or "no header that shows what this layer is", _HEADERS_SHOWN
        )
        yield from _wrapped(words, "  ", width)
    for note in diagnosis.notes:
        if note.layer == number:
            yield from _wrapped(f"- {note.text}", "  ", width)


def _remedies(diagnosis: Diagnosis, width: int) -> Iterator[str]:
    if not diagnosis.remedies:
        return
    known = diagnosis.products[diagnosis.named.layer] if diagnosis.named is not None else None
    if known is None:
        yield "The headers of this layer do not show what it is. What to do if it is"
    else:
        yield "What to do:"
    for product, remedy in diagnosis.remedies[:_MOST_REMEDIES]:
        name = f"{product.title}: " if known is None else ""
        yield from _wrapped(f"{name}{remedy.do}", "  ", width)
        yield f"    {remedy.source}"
    left = len(diagnosis.remedies) - _MOST_REMEDIES
    if left > 0:
        yield f"  and {left} more; see --format json"


def _layer_findings(layer_findings: TraceFindings, hide: Hide, width: int) -> Iterator[str]:
    yield ""
    if not layer_findings.place:
        yield "No server in the configuration handles this URL."
        return
    where = "this repository" if layer_findings.is_found else "the configuration"
    yield f"In {where}, this URL is handled by {hide(layer_findings.place)}"
    if not layer_findings.findings:
        yield from _wrapped(
            "No finding explains the trace. Perhaps nginx runs another configuration, or there is"
            " another layer in between.",
            "  ",
            width,
        )
    elif not layer_findings.explains:
        yield "  None of its findings explains the trace:"
    for finding in layer_findings.findings:
        place = finding.place
        where = f"{place.source.name}:{place.line}:{place.column}"
        yield f"  {finding.severity} {finding.rule} at {where}"
        yield from _wrapped(hide(finding.message), "    ", width)


def _wrapped(text: str, indent: str, width: int) -> list[str]:
    return wrapped(text, width, indent, f"{indent}  " if text.startswith("- ") else indent)


# JSON


class TraceBurst(Struct):
    """Events that arrived at once."""

    at_s: float | None
    until_s: float | None
    events: int
    bytes: int
    ends_inside_event: bool


class TraceClient(Struct):
    """The result of a client at a layer; times are seconds since the request."""

    client: str
    verdict: str
    cause: str | None
    said: str
    inherited_from: int | None
    maybe_from: int | None
    held_bytes: int | None
    encoding: str | None
    silence_before_cut_s: float | None
    interval_s: float | None
    times_slower: float | None
    runs: int
    agreeing: int
    status: int
    http_version: str | None
    ended: str
    error: str | None
    answer: str | None
    headers: dict[str, str]
    kind: str
    events: int
    bytes: int
    heartbeats: int
    connect_s: float | None
    head_s: float | None
    first_byte_s: float | None
    first_event_s: float | None
    last_event_s: float | None
    end_s: float | None
    gap_median_s: float | None
    gap_95_s: float | None
    gap_max_s: float | None
    silence_s: float | None
    buffer_bytes: int | None
    bursts: list[TraceBurst]


class TraceNote(Struct):
    """A remark about a layer."""

    code: str
    text: str


class TraceLayer(Struct):
    """A layer, with the result of each client."""

    number: int
    url: str
    product: str | None
    clients: list[TraceClient]
    notes: list[TraceNote]


class TraceRemedy(Struct):
    """A remedy for a product."""

    product: str
    setting: str
    do: str
    source: str
    measured: bool
    rules: Sequence[str]


class TraceTimeout(Struct):
    """A timeout of a product."""

    product: str
    seconds: float
    what: str
    source: str


class TraceVerdict(Struct):
    """The layer where the stream stops, if any."""

    streams: bool
    measured: bool
    layer: int | None
    url: str | None
    client: str | None
    verdict: str | None
    cause: str | None
    words: Sequence[str]
    remedies: list[TraceRemedy]
    timeouts: list[TraceTimeout]


class TraceFinding(Struct):
    """A finding in the configuration of the layer that stops the stream."""

    rule: str
    severity: str
    message: str
    file: str
    line: int
    column: int
    snippet: str | None


class TraceConfiguration(Struct):
    """The findings in the configuration of that layer."""

    location: str | None
    explains: bool
    findings: list[TraceFinding]
    errors: list[str]


class TraceDocument(Struct):
    """The complete report."""

    schema_version: int
    layers: list[TraceLayer]
    verdict: TraceVerdict
    configuration: TraceConfiguration | None


def trace_json(diagnosis: Diagnosis, layer_findings: TraceFindings | None = None) -> str:
    """Render one document: the layers with the result of each client, and the verdict."""
    named = diagnosis.named
    document = TraceDocument(
        schema_version=SCHEMA_VERSION,
        layers=[
            TraceLayer(
                number=layer.number,
                url=layer.shown,
                product=product.name if (product := diagnosis.products[layer.number]) else None,
                clients=[_client(one) for one in diagnosis.judgements if one.layer == layer.number],
                notes=[
                    TraceNote(one.code, one.text)
                    for one in diagnosis.notes
                    if one.layer == layer.number
                ],
            )
            for layer in diagnosis.result.layers
        ],
        verdict=TraceVerdict(
            streams=diagnosis.streams,
            measured=diagnosis.measured,
            layer=named.layer if named else None,
            url=diagnosis.layer(named.layer).shown if named else None,
            client=named.client if named else None,
            verdict=named.verdict if named else None,
            cause=named.cause if named else None,
            words=verdict(diagnosis),
            remedies=[
                TraceRemedy(
                    product=product.name,
                    setting=remedy.setting,
                    do=remedy.do,
                    source=remedy.source,
                    measured=remedy.measured,
                    rules=remedy.rules,
                )
                for product, remedy in diagnosis.remedies
            ],
            timeouts=[
                TraceTimeout(product.name, timeout.seconds, timeout.what, timeout.source)
                for product, timeout in diagnosis.timeouts
            ],
        ),
        configuration=None
        if layer_findings is None
        else _configuration(layer_findings, diagnosis.hide),
    )
    return json_text(document)


def _client(judgement: Judgement) -> TraceClient:
    recording, what = judgement.recording, judgement.figures
    return TraceClient(
        client=judgement.client,
        verdict=judgement.verdict,
        cause=judgement.cause,
        said=layer_in_words(judgement),
        inherited_from=judgement.inherited,
        maybe_from=judgement.maybe_from,
        held_bytes=judgement.held_bytes,
        encoding=judgement.encoding or None,
        silence_before_cut_s=rounded(judgement.silence_s),
        interval_s=rounded(judgement.beat_s),
        times_slower=rounded(judgement.slower),
        runs=judgement.runs,
        agreeing=judgement.agreeing,
        status=recording.status,
        http_version=recording.protocol or None,
        ended=recording.ended,
        error=recording.error or None,
        answer=recording.said or None,
        headers={name: recording.headers[name] for name in READ if name in recording.headers},
        kind=recording.kind,
        events=recording.events,
        bytes=what.size,
        heartbeats=recording.comments,
        connect_s=rounded(recording.connect_s),
        head_s=rounded(what.head_s),
        first_byte_s=rounded(what.first_byte_s),
        first_event_s=rounded(what.first_event_s),
        last_event_s=rounded(what.last_event_s),
        end_s=rounded(what.end_s),
        gap_median_s=rounded(what.gap_median_s),
        gap_95_s=rounded(what.gap_95_s),
        gap_max_s=rounded(what.gap_max_s),
        silence_s=rounded(what.silence_s),
        buffer_bytes=what.cluster,
        bursts=[
            TraceBurst(
                at_s=rounded(burst.at),
                until_s=rounded(burst.until),
                events=burst.events,
                bytes=burst.size,
                ends_inside_event=burst.inside,
            )
            for burst in what.bursts
        ],
    )


def _configuration(layer_findings: TraceFindings, hide: Hide) -> TraceConfiguration:
    return TraceConfiguration(
        location=hide(layer_findings.place) or None,
        explains=layer_findings.explains,
        findings=[_finding(one, hide) for one in layer_findings.findings],
        errors=[hide(str(one)) for one in layer_findings.problems],
    )


def _finding(finding: Finding, hide: Hide) -> TraceFinding:
    place = finding.place
    return TraceFinding(
        rule=finding.rule,
        severity=finding.severity,
        message=hide(finding.message),
        file=place.source.name,
        line=place.line,
        column=place.column,
        snippet=hide(finding.fix.snippet) if finding.fix is not None else None,
    )
