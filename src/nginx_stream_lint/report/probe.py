"""Reports of a probe as text, JSON and SVG."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import click
from msgspec import Struct

from nginx_stream_lint.probe.copy_model import CopiedPlace, CopyChange
from nginx_stream_lint.probe.probe_model import ProbeOutcome, ProbeResult
from nginx_stream_lint.report.svg import STYLE, label, ticks
from nginx_stream_lint.report.words import clipped, counted, rounded, timeline
from nginx_stream_lint.report.wrapping import WIDTH, wrapped
from nginx_stream_lint.rules.filters import CLIENTS
from nginx_stream_lint.util.escaping import printable
from nginx_stream_lint.util.json_text import json_text

_COLOURS = {"streams": "green", "unclear": "yellow"}
_BAR = 60  # columns of a timeline
_MOST_LINES = 12  # number of listed differences from the configuration
_MOST_BURSTS = 8
# Version of schema/probe.schema.json; CONTRIBUTING.md says when it changes.
SCHEMA_VERSION = 1
_MEANINGS = {
    "streams": "the client gets each token when it is sent",
    "stalls": "the tokens are held back and arrive in bursts",
    "replays": "nginx replays a recorded response; the app gets no request",
    "cut": "the response ends too early",
    "no-stream": "no token arrived",
    "unclear": "it is unclear whether the stream is held back",
}


# Text


def probe_text(result: ProbeResult, left: Sequence[str] = (), width: int = WIDTH) -> str:
    """Render the report with ANSI colours in lines of `width` columns.

    `left` are places that could not be measured, because no request reaches them.
    """
    lines = [f"measured on {result.binary} ({result.binary.path})", ""]
    for outcomes in _by_request(result.outcomes):
        lines += _request_lines(outcomes, width)
    for one in left:
        lines += wrapped(f"not measured: {printable(one)}", width, "", "  ")
    lines += _change_lines(result.changes, width)
    lines.append(_summary(result.outcomes))
    return "\n".join(lines) + "\n"


def _by_request(outcomes: Sequence[ProbeOutcome]) -> list[list[ProbeOutcome]]:
    groups: dict[int, list[ProbeOutcome]] = {}
    for one in outcomes:
        groups.setdefault(id(one.request), []).append(one)
    return list(groups.values())


def _request_lines(outcomes: Sequence[ProbeOutcome], width: int) -> Iterator[str]:
    request = outcomes[0].request
    yield click.style(printable(request.name), bold=True)
    places = {(one.place, one.tiers) for one in outcomes}
    if len(places) == 1:
        yield from _where(outcomes[0])
    for one in outcomes:
        if len(places) > 1:
            yield from _where(one)
        yield from _outcome_lines(one, width)
    yield ""


def _where(outcome: ProbeOutcome) -> Iterator[str]:
    """The blocks that a request passed, from the client to the app."""
    if outcome.place is None:
        is_stream = outcome.request.stream
        yield "  response of a stream {} server" if is_stream else "  no response"
        return
    for place in outcome.tiers[::-1] or (outcome.place,):
        passes = "" if place is outcome.place else "  passes to "
        yield printable(f"  {passes}{place.file}:{place.line}: {place.label}")


def _outcome_lines(outcome: ProbeOutcome, width: int) -> Iterator[str]:
    verdict = click.style(
        f"{outcome.verdict:<9}", fg=_COLOURS.get(outcome.verdict, "red"), bold=True
    )
    said = f"{_scenario(outcome)}: {printable(_said(outcome))}"
    first, *rest = wrapped(said, width, " " * 12, " " * 12)
    yield f"  {verdict} {first.strip()}"
    yield from rest
    if outcome.emissions or outcome.arrivals:
        end, bar = _end(outcome), min(_BAR, width - 16)
        yield f"    app sent    {_timeline(outcome.emissions, end, bar)}"
        yield f"    client got  {_timeline(outcome.arrivals, end, bar)}"
        scale = f"{end:.1f} s"
        yield f"                0 s{scale:>{bar - 3}}"


def _scenario(outcome: ProbeOutcome) -> str:
    scenario = outcome.scenario
    words = ["WebSocket" if outcome.request.websocket else "", CLIENTS[scenario.client]]
    if not outcome.request.websocket:
        words[0] = ""
        words.append(
            {
                "chunked": "",
                "close": "app closes the connection",
                "length": "app sends Content-Length",
            }[scenario.framing]
        )
    if scenario.x_accel_buffering != "absent":
        words.append(f"X-Accel-Buffering: {scenario.x_accel_buffering}")
    if scenario.accept_encoding != "identity":
        words.append("client accepts compression")
    return ", ".join(word for word in words if word)


def _said(outcome: ProbeOutcome) -> str:
    if outcome.verdict == "no-stream":
        status = f"status {outcome.status}" if outcome.status else "no response"
        return f"no token arrived ({status}{f', {outcome.error}' if outcome.error else ''})"
    if outcome.first_delay is None:
        return _MEANINGS[outcome.verdict]
    delay = f"after {outcome.first_delay:.2f} s" if outcome.first_delay >= 0.01 else "at once"
    return f"first token {delay}, {bursts_in_words(outcome.bursts)}"


def bursts_in_words(bursts: Sequence[int]) -> str:
    """Describe how tokens arrived, from the number of tokens in each burst."""
    if not bursts:
        return "no tokens"
    if max(bursts) == 1:
        return f"{len(bursts)} tokens one by one"
    if len(bursts) == 1:
        return f"all {bursts[0]} tokens at once"
    if max(bursts) == 2 and bursts.count(1) >= len(bursts) * 0.8:
        return f"{sum(bursts)} tokens, nearly all one by one"
    shown = " + ".join(map(str, bursts[:_MOST_BURSTS]))
    more = " + ..." if len(bursts) > _MOST_BURSTS else ""
    return f"{sum(bursts)} tokens in {len(bursts)} bursts ({shown}{more})"


def _end(outcome: ProbeOutcome) -> float:
    return max([*outcome.emissions, *outcome.arrivals, 0.1])


def _timeline(times: Sequence[float], end: float, columns: int) -> str:
    return timeline(((time, 1) for time in times), end, columns)


def _change_lines(changes: Sequence[CopyChange], width: int) -> Iterator[str]:
    mattering = [one for one in changes if one.matters]
    if mattering:
        yield "differences of the measured copy that may affect the result:"
        groups: dict[tuple[str, str, str], list[CopyChange]] = {}
        for one in mattering:
            groups.setdefault((one.name, one.done, one.why), []).append(one)
        for number, ((name, done, why), rows) in enumerate(groups.items()):
            if number == _MOST_LINES:
                rest = sum(len(some) for some in list(groups.values())[_MOST_LINES:])
                yield f"  and {rest} more; see --format json"
                break
            more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
            where = f"{rows[0].file}:{rows[0].line}{more}"
            text = rows[0].text if len(rows) == 1 else name
            yield printable(f"  {where}: {text}: {done}, {why}")  # one line, for grep
    others = len(changes) - len(mattering)
    if others:
        yield from wrapped(
            f"{counted(others, 'more line')} {'was' if others == 1 else 'were'} removed or"
            " replaced (logs, files, certificates, addresses); none affects the result; see"
            " --format json",
            width,
        )
    if changes:
        yield ""


def _summary(outcomes: Sequence[ProbeOutcome]) -> str:
    """Count the URLs that stream in every measured scenario."""
    urls = _by_request(outcomes)
    good = sum(all(one.verdict == "streams" for one in url) for url in urls)
    total = len(urls)
    if total == 1:
        return "the stream gets through" if good else "the stream does not get through"
    if good == total:
        return f"all {total} measured streams get through"
    return f"{good} of {total} measured streams {'gets' if good == 1 else 'get'} through"


# JSON


class ProbeNginx(Struct):
    """The measured nginx."""

    version: str
    path: str


class ProbePlace(Struct):
    """A block of the configuration."""

    label: str
    file: str
    line: int


class ProbeMeasurement(Struct):
    """The result of one client for one URL in one scenario; times are seconds since the request."""

    url: str
    server: ProbePlace | None
    location: ProbePlace | None
    client: str
    framing: str
    x_accel_buffering: str
    accept_encoding: str
    verdict: str
    status: int
    first_token_s: float | None
    bursts: Sequence[int]
    emitted_s: list[float | None]
    arrived_s: list[float | None]
    duration_s: float | None
    upstream: Mapping[str, str] | None
    error: str | None
    tiers: list[ProbePlace]


class ProbeChange(Struct):
    """A line of the configuration that differs in the measured copy."""

    directive: str
    text: str
    file: str
    line: int
    done: str
    why: str
    matters: bool


class ProbeSummary(Struct, rename="kebab"):
    """The number of measurements with each verdict."""

    streams: int
    stalls: int
    replays: int
    cut: int
    no_stream: int
    unclear: int


class ProbeDocument(Struct):
    """The complete report."""

    schema_version: int
    nginx: ProbeNginx
    results: list[ProbeMeasurement]
    not_measured: Sequence[str]
    changes: list[ProbeChange]
    summary: ProbeSummary


def probe_json(result: ProbeResult, left: Sequence[str] = ()) -> str:
    """Render one document: the nginx, an object for each URL and scenario, and the changes."""
    binary = result.binary
    counts = Counter(one.verdict for one in result.outcomes)
    document = ProbeDocument(
        schema_version=SCHEMA_VERSION,
        nginx=ProbeNginx(".".join(map(str, binary.version)), str(binary.path)),
        results=[_measurement(one) for one in result.outcomes],
        not_measured=left,
        changes=[
            ProbeChange(one.name, one.text, one.file, one.line, one.done, one.why, one.matters)
            for one in result.changes
        ],
        summary=ProbeSummary(
            streams=counts["streams"],
            stalls=counts["stalls"],
            replays=counts["replays"],
            cut=counts["cut"],
            no_stream=counts["no-stream"],
            unclear=counts["unclear"],
        ),
    )
    return json_text(document)


def _measurement(outcome: ProbeOutcome) -> ProbeMeasurement:
    scenario = outcome.scenario
    return ProbeMeasurement(
        url=outcome.request.name,
        server=_place(outcome.server),
        location=_place(outcome.place),
        client=scenario.client,
        framing=scenario.framing,
        x_accel_buffering=scenario.x_accel_buffering,
        accept_encoding=scenario.accept_encoding,
        verdict=outcome.verdict,
        status=outcome.status,
        first_token_s=rounded(outcome.first_delay),
        bursts=outcome.bursts,
        emitted_s=[rounded(time) for time in outcome.emissions],
        arrived_s=[rounded(time) for time in outcome.arrivals],
        duration_s=rounded(outcome.duration),
        upstream=outcome.upstream,
        error=outcome.error or None,
        tiers=[ProbePlace(one.label, one.file, one.line) for one in outcome.tiers],
    )


def _place(place: CopiedPlace | None) -> ProbePlace | None:
    return None if place is None else ProbePlace(place.label, place.file, place.line)


# Picture

_WIDTH, _PANEL, _EMPTY = 860, 250, 76
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 74, 46
_HEAD = 118


def probe_svg(result: ProbeResult) -> str:
    """Draw sent and received tokens over time for each measurement, as SVG."""
    height = _HEAD + sum(map(_height, result.outcomes)) + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}"'
        f' height="{height}" role="img" aria-label="Tokens sent by the app and received by the'
        ' client over time">',
        f"<style>{STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
        label(_LEFT, 34, f"What the client gets, measured on {result.binary}", "text title"),
        f'<line class="line sent" x1="{_LEFT}" y1="60" x2="{_LEFT + 34}" y2="60"/>',
        label(_LEFT + 42, 64, "sent by the app", "text"),
        '<line class="line good" x1="290" y1="60" x2="324" y2="60"/>',
        label(332, 64, "received as sent", "text"),
        '<line class="line bad" x1="580" y1="60" x2="614" y2="60"/>',
        label(622, 64, "received late", "text"),
        label(
            _LEFT,
            92,
            "Read it from left to right: where both lines climb together, the user reads along."
            " Where the client's line",
            "faint",
        ),
        label(
            _LEFT,
            109,
            "stays at the bottom and then jumps, the user waits (shaded) and gets everything at"
            " once.",
            "faint",
        ),
    ]
    top = _HEAD
    for one in result.outcomes:
        parts += _panel(one, top)
        top += _height(one)
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def _height(outcome: ProbeOutcome) -> int:
    return _PANEL if outcome.emissions or outcome.arrivals else _EMPTY


def _panel(outcome: ProbeOutcome, top: int) -> Iterator[str]:
    end = max(_end(outcome) * 1.04, 0.2)
    most = max(len(outcome.emissions), len(outcome.arrivals), 1)
    y_0, y_1 = top + _PANEL - _BOTTOM, top + _TOP
    x_0, x_1 = _LEFT, _WIDTH - _RIGHT

    def x(time: float) -> float:
        return x_0 + (x_1 - x_0) * min(max(time, 0), end) / end

    def y(count: float) -> float:
        return y_0 - (y_0 - y_1) * count / most

    tone = "good" if outcome.verdict == "streams" else "bad"
    yield label(_LEFT, top + 34, clipped(outcome.request.name, 100), "text name")
    scenario = f"{_scenario(outcome)}: "
    said = clipped(_said(outcome), max(20, 105 - len(scenario) - len(outcome.verdict)))
    yield label(_LEFT, top + 54, scenario, "faint", (outcome.verdict, said, tone))
    if _height(outcome) == _EMPTY:
        return
    for count in ticks(most, 1):
        yield f'<line class="grid" x1="{x_0}" x2="{x_1}" y1="{y(count):.1f}" y2="{y(count):.1f}"/>'
        yield label(x_0 - 8, y(count) + 4, f"{count:g}", "faint", anchor="end")
    for time in ticks(end):
        at = f"{x(time):.1f}"
        yield label(x(time), y_0 + 18, f"{time:g}", "faint", anchor="middle")
        yield f'<line class="axis" x1="{at}" x2="{at}" y1="{y_0}" y2="{y_0 + 4}"/>'
    yield f'<line class="axis" x1="{x_0}" x2="{x_1}" y1="{y_0}" y2="{y_0}"/>'
    middle = (x_0 + x_1) / 2
    yield label(middle, y_0 + 36, "seconds since the request", "faint", anchor="middle")
    yield (
        f'<text class="faint" text-anchor="middle" transform="translate(18 {(y_0 + y_1) / 2:.1f})'
        ' rotate(-90)">tokens</text>'
    )
    if (
        outcome.emissions
        and outcome.arrivals
        and outcome.arrivals[0] - outcome.emissions[0] > end / 20
    ):
        left, right = x(outcome.emissions[0]), x(outcome.arrivals[0])
        yield (
            f'<rect class="wait" x="{left:.1f}" y="{y_1}" width="{right - left:.1f}"'
            f' height="{y_0 - y_1}"/>'
        )
    for times, name in ((outcome.emissions, "sent"), (outcome.arrivals, tone)):
        if times:
            path = [f"M{x(0):.1f} {y_0}"]
            path += [f"H{x(time):.1f}V{y(count):.1f}" for count, time in enumerate(times, 1)]
            yield f'<path class="line {name}" d="{"".join(path)}H{x(end):.1f}"/>'
