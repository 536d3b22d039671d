"""A trace as SVG or HTML: arrivals over time, by layer."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterator

from msgspec import Struct

from nginx_stream_lint.probe.measure import CUT, STREAMS
from nginx_stream_lint.report.svg import STYLE, label, ticks
from nginx_stream_lint.report.trace_words import layer_in_words, seconds, verdict
from nginx_stream_lint.report.words import clipped
from nginx_stream_lint.rules.filters import CLIENTS
from nginx_stream_lint.trace.diagnosis import Diagnosis
from nginx_stream_lint.trace.headers import READ
from nginx_stream_lint.trace.verdict import Judgement
from nginx_stream_lint.util.escaping import in_html, printable

_CUT = "cut ✕"
_MOST_NUMBERS = 8  # labelled bars in one lane
_APART = 0.045  # of a lane's width: closer numbers would overlap
_LONG_PAUSE = 0.06  # of the whole time: longer pauses are shaded
_TALL = 12  # events for a bar of full height, at least
_MOST_BARS = 600  # in one lane

_HOW_TO_READ = (
    "Time runs from left to right. A bar shows what arrived at one moment; a taller bar means that"
    " more arrived. Many small bars: the user reads while the app writes. A few tall bars: the"
    " user waits (shaded), then gets everything at once."
)


class _Bar(Struct, frozen=True):
    """Events that arrived at once: when (0 to 1 of the time), bar height (0 to 1), how many."""

    at: float
    tall: float
    events: int


class _Lane(Struct, frozen=True):
    """One client of one layer.

    `bars` are the arrivals, `numbers` the bars with a printed number.
    `pauses` are long times without arrivals, as (from, to), 0 to 1 of the time. `cut` is the time
    at which the response was cut, 0 to 1; None if it was not.
    """

    judgement: Judgement
    bars: tuple[_Bar, ...]
    numbers: tuple[_Bar, ...]
    pauses: tuple[tuple[float, float], ...]
    cut: float | None

    @property
    def tone(self) -> str:
        """The colour class for the verdict: good or not."""
        return "good" if self.judgement.verdict == STREAMS else "bad"


def _end(diagnosis: Diagnosis) -> float:
    """The end of the time axis of all lanes, in seconds."""
    times = [piece.at for one in diagnosis.judgements for piece in one.recording.pieces]
    times += [one.figures.end_s for one in diagnosis.judgements if one.verdict == CUT]
    return max([*times, 0.1]) * 1.02


def _lanes(diagnosis: Diagnosis) -> list[_Lane]:
    end = _end(diagnosis)
    most = max(
        (burst.events for one in diagnosis.judgements for burst in one.figures.bursts), default=1
    )
    return [_lane(one, end, max(most, _TALL)) for one in diagnosis.judgements]


def _lane(judgement: Judgement, end: float, most: int) -> _Lane:
    bursts = [burst for burst in judgement.figures.bursts if burst.events]
    # So many bars form a solid block: draw only those that can be distinguished.
    step = max(1, len(bursts) // _MOST_BARS)
    # Use the square root, so that one event is still visible beside a hundred.
    bars = tuple(
        _Bar(burst.at / end, (burst.events / most) ** 0.5, burst.events) for burst in bursts[::step]
    )
    numbers: list[_Bar] = []
    for bar in sorted(bars, key=lambda bar: -bar.events):
        if len(numbers) == _MOST_NUMBERS or bar.events < 3:
            break
        if all(abs(bar.at - other.at) >= _APART for other in numbers):
            numbers.append(bar)
    cut = judgement.figures.end_s / end if judgement.verdict == CUT else None
    marks = [0.0, *(bar.at for bar in bars), *([] if cut is None else [cut])]
    pauses = tuple(
        (before, after)
        for before, after in itertools.pairwise(marks)
        if after - before >= _LONG_PAUSE
    )
    return _Lane(judgement, bars, tuple(numbers), pauses, cut)


def _title(diagnosis: Diagnosis) -> str:
    return "Where the stream stops" if diagnosis.named is not None else "The stream, layer by layer"


def _name(diagnosis: Diagnosis, number: int) -> str:
    product = diagnosis.products[number]
    what = " (the app, or closest to it)" if number == 1 else ""
    if product is not None and number in diagnosis.certain:
        what = f" ({product.title})"
    return f"Layer {number}{what}"


# SVG

_WIDTH, _LEFT, _RIGHT = 860, 24, 24
_LANE, _STRIP = 108, 46
_COLUMNS = 118  # characters that fit on a line


def trace_svg(diagnosis: Diagnosis) -> str:
    """Draw one picture of a fixed width."""
    lanes = _lanes(diagnosis)
    head: list[str] = [label(_LEFT, 34, _title(diagnosis), "text title")]
    y = 58.0
    for sentence in verdict(diagnosis):
        for line in textwrap.wrap(printable(sentence), _COLUMNS - 6):
            head.append(label(_LEFT, y, line, "text name"))
            y += 18
    y += 6
    for line in textwrap.wrap(_HOW_TO_READ, _COLUMNS):
        head.append(label(_LEFT, y, line, "faint"))
        y += 17
    y += 8
    body: list[str] = []
    for lane in lanes:
        body += _svg_lane(diagnosis, lane, y)
        y += _LANE
    body += _svg_axis(diagnosis, y)
    height = y + 48
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}"'
            f' width="{_WIDTH}" height="{height:.0f}" role="img"'
            ' aria-label="What arrived when, layer by layer">',
            f"<style>{STYLE}{_BARS}</style>",
            f'<rect class="page" width="{_WIDTH}" height="{height:.0f}"/>',
            *head,
            *body,
            "</svg>",
            "",
        ]
    )


_BARS = """
    .bar { stroke-width: 2 } .floor { stroke: #d1d9e0; stroke-width: 1 }
    @media (prefers-color-scheme: dark) { .floor { stroke: #30363d } }
"""


def _svg_lane(diagnosis: Diagnosis, lane: _Lane, top: float) -> Iterator[str]:
    one = lane.judgement
    url = clipped(diagnosis.layer(one.layer).shown, 70)
    yield label(
        _LEFT, top + 16, f"{_name(diagnosis, one.layer)}, {CLIENTS[one.client]}: {url}", "text"
    )
    words = clipped(layer_in_words(one), 100)
    yield label(_LEFT, top + 34, "", "faint", (one.verdict, words, lane.tone))
    floor = top + 40 + _STRIP
    yield (f'<line class="floor" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{floor}" y2="{floor}"/>')
    for start, stop in lane.pauses if lane.tone == "bad" else ():
        yield (
            f'<rect class="wait" x="{_x(start):.1f}" y="{floor - _STRIP + 8:.1f}"'
            f' width="{_x(stop) - _x(start):.1f}" height="{_STRIP - 8}"/>'
        )
    for bar in lane.bars:
        x, y = _x(bar.at), floor - max(9.0, bar.tall * (_STRIP - 14))
        yield f'<path class="bar {lane.tone}" d="M{x:.1f} {floor}V{y:.1f}"/>'
    for bar in lane.numbers:
        y = floor - bar.tall * (_STRIP - 14) - 4
        yield label(_x(bar.at), y, str(bar.events), "faint", anchor="middle")
    if lane.cut is not None:
        yield label(_x(lane.cut), floor - 4, _CUT, "badtext name", anchor="end")


def _x(part: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * part


def _svg_axis(diagnosis: Diagnosis, top: float) -> Iterator[str]:
    end = _end(diagnosis)
    yield f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{top}" y2="{top}"/>'
    for time in ticks(end):
        x = _x(time / end)
        yield f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + 4}"/>'
        yield label(x, top + 18, f"{time:g}", "faint", anchor="middle")
    yield label(_WIDTH / 2, top + 36, "seconds since the request", "faint", anchor="middle")


# HTML

_PAGE_STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --text: #1f2328; --faint: #59636e;
  --edge: #d1d9e0; --good: #1a7f37; --bad: #cf222e; --wait: rgba(207, 34, 46, .09);
  --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --faint: #9198a1;
  --edge: #30363d; --good: #3fb950; --bad: #ff7b72; --wait: rgba(255, 123, 114, .13);
  --card: #151b23; } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 20px 16px 40px; max-width: 900px; background: var(--page);
  color: var(--text); font: 16px/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica,
  Arial, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.4rem; margin: 0 0 .6rem } h2 { font-size: 1rem; margin: 0 }
p { margin: .4rem 0 } .faint { color: var(--faint); font-size: .9rem }
.verdict { border-left: 5px solid var(--bad); background: var(--card); padding: .6rem .9rem;
  border-radius: 0 6px 6px 0; margin: 0 0 1rem; font-weight: 600 }
.verdict.good { border-color: var(--good) }
section { border: 1px solid var(--edge); border-radius: 8px; padding: .7rem .9rem .5rem;
  margin: 0 0 .5rem } section.named { border: 2px solid var(--bad) }
.down { text-align: center; color: var(--faint); font-size: .85rem; margin: 0 0 .5rem }
.mark { font-weight: 600 } .good .mark { color: var(--good) } .bad .mark { color: var(--bad) }
.client { margin-top: .7rem } .client p { margin: 0 }
.strip { position: relative; height: 74px; margin: .3rem 0 .1rem }
.strip svg { position: absolute; left: 0; bottom: 0; width: 100%; height: 54px; display: block }
.strip span { position: absolute; transform: translateX(-50%); font-size: .75rem; line-height: 1;
  white-space: nowrap; color: var(--faint) }
.strip span.cut { transform: translateX(-100%); bottom: 4px; color: var(--bad);
  font-weight: 600 }
.axis { position: relative; height: 1.1rem; border-top: 1px solid var(--faint) }
.axis span { position: absolute; transform: translateX(-50%); font-size: .75rem;
  white-space: nowrap; color: var(--faint) } .axis span:first-child { transform: none }
.axis span.last { transform: translateX(-100%) }
path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke }
.good path { stroke: var(--good) } .bad path { stroke: var(--bad) } rect { fill: var(--wait) }
details { margin-top: .5rem } summary { cursor: pointer; color: var(--faint); font-size: .9rem }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: 0 .8rem;
  margin: .3rem 0; font-size: .85rem } dt { color: var(--faint) } dd { margin: 0 }
ul { margin: .3rem 0; padding-left: 1.2rem } a { color: inherit }
"""
_STRIP_PX, _LEAST_PX = 54, 12.0


def trace_html(diagnosis: Diagnosis) -> str:
    """Render a page that loads nothing and fits a phone."""
    lanes = _lanes(diagnosis)
    sections = [_section(diagnosis, number, lanes) for number in _numbers(diagnosis)]
    good = " good" if diagnosis.streams else ""
    words = "".join(f"<p>{in_html(sentence)}</p>" for sentence in verdict(diagnosis))
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{in_html(_title(diagnosis))}</title>",
            f"<style>{_PAGE_STYLE}</style></head><body>",
            f"<h1>{in_html(_title(diagnosis))}</h1>",
            f'<div class="verdict{good}">{words}</div>',
            *_what_to_do(diagnosis),
            f'<p class="faint">{_HOW_TO_READ}</p>',
            '<p class="down">The same request, sent to each layer, starting with the app</p>',
            '<p class="down">↓</p>'.join(sections),
            "</body></html>",
            "",
        ]
    )


def _numbers(diagnosis: Diagnosis) -> list[int]:
    return [layer.number for layer in diagnosis.result.layers]


def _what_to_do(diagnosis: Diagnosis) -> Iterator[str]:
    if not diagnosis.remedies or diagnosis.named is None:
        return
    known = diagnosis.products[diagnosis.named.layer] is not None
    yield "<p><b>What to do</b></p><ul>"
    for product, remedy in diagnosis.remedies:
        name = "" if known else f"{in_html(product.title)}: "
        link = f' <a class="faint" href="{in_html(remedy.source)}">source</a>'
        yield f"<li>{name}{in_html(remedy.do)}{link}</li>"
    yield "</ul>"


def _section(diagnosis: Diagnosis, number: int, lanes: list[_Lane]) -> str:
    named = diagnosis.named is not None and diagnosis.named.layer == number
    parts = [
        f'<section class="{"named" if named else ""}">',
        f"<h2>{in_html(_name(diagnosis, number))}{': the stream stops here' if named else ''}</h2>",
        f'<p class="faint">{in_html(diagnosis.layer(number).shown)}</p>',
    ]
    for lane in lanes:
        if lane.judgement.layer == number:
            parts.append(_html_lane(diagnosis, lane))
    parts.append(_details(diagnosis, number, lanes))
    parts.append("</section>")
    return "\n".join(parts)


def _html_lane(diagnosis: Diagnosis, lane: _Lane) -> str:
    one = lane.judgement
    inherited = f" (same as layer {one.inherited})" if one.inherited is not None else ""
    parts = [
        f'<div class="client {lane.tone}"><p><span class="mark">{in_html(one.verdict)}</span>'
        f" over {in_html(CLIENTS[one.client])}</p>",
        f'<p class="faint">{in_html(layer_in_words(one))}{inherited}</p>',
    ]
    if lane.bars:
        parts += [
            f'<div class="strip"><svg viewBox="0 0 1000 {_STRIP_PX}" preserveAspectRatio="none"'
            f' role="img" aria-label="{in_html(layer_in_words(one))}">',
            *(
                f'<rect x="{start * 1000:.1f}" y="0" width="{(stop - start) * 1000:.1f}"'
                f' height="{_STRIP_PX}"/>'
                for start, stop in lane.pauses
                if lane.tone == "bad"
            ),
            f'<path d="{"".join(map(_html_bar, lane.bars))}"/></svg>',
            *(
                f'<span style="left:{bar.at * 100:.1f}%;'
                f'bottom:{max(_LEAST_PX, bar.tall * _STRIP_PX) + 3:.0f}px">{bar.events}</span>'
                for bar in lane.numbers
            ),
            *(
                []
                if lane.cut is None
                else [f'<span class="cut" style="left:{lane.cut * 100:.1f}%">{_CUT}</span>']
            ),
            "</div>",
            _html_axis(diagnosis),
        ]
    return "\n".join([*parts, "</div>"])


def _html_bar(bar: _Bar) -> str:
    return (
        f"M{bar.at * 1000:.1f} {_STRIP_PX}V{_STRIP_PX - max(_LEAST_PX, bar.tall * _STRIP_PX):.1f}"
    )


def _html_axis(diagnosis: Diagnosis) -> str:
    end = _end(diagnosis)
    times = ticks(end)
    # A phone shows half as many.
    times = times[:: 2 if len(times) > 6 else 1]
    marks = [
        f'<span class="{"last" if time / end > 0.97 else ""}" style="left:{time / end * 100:.1f}%">'
        f"{seconds(time) if time else '0 s'}</span>"
        for time in times
    ]
    return f'<div class="axis">{"".join(marks)}</div>'


def _details(diagnosis: Diagnosis, number: int, lanes: list[_Lane]) -> str:
    recording = next(
        (
            lane.judgement.recording
            for lane in lanes
            if lane.judgement.layer == number and lane.judgement.recording.head_at is not None
        ),
        None,
    )
    found = [note for note in diagnosis.notes if note.layer == number]
    if recording is None:
        return ""
    rows = "".join(
        f"<dt>{in_html(name)}</dt><dd>{in_html(recording.headers[name])}</dd>"
        for name in READ
        if recording.headers.get(name)
    )
    items = "".join(f"<li>{in_html(note.text)}</li>" for note in found)
    return (
        f"<details><summary>Response headers</summary><dl>{rows}</dl>"
        f"{f'<ul>{items}</ul>' if items else ''}</details>"
    )
