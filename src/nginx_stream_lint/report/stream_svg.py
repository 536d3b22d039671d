"""The path of a stream as SVG, narrow enough for a phone."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from nginx_stream_lint.nginx.listeners import Client
from nginx_stream_lint.report.stream_path import Arrival, HoldStage, StreamPath
from nginx_stream_lint.report.words import clipped
from nginx_stream_lint.rules.filters import CLIENT_ADJECTIVES, amount, duration
from nginx_stream_lint.util.escaping import printable

_WIDTH = 380
_LEFT = 128  # left edge of the lanes; the names are left of it
_RIGHT = _WIDTH - 8
_BOX = 44
_GAP = 22
_ROW = 52
_STAGES = {
    "cache": "cache",
    "upstream-buffer": "{family} buffer",
    "brotli": "brotli",
    "gzip": "gzip",
    "body-filter": "Lua or njs filter",
    "file-buffer": "write buffer (sendfile)",
    "tls-buffer": "TLS write buffer",
}
_CLIENTS = {
    "h1": ("HTTP/1.1", "plain"),
    "h1-tls": ("HTTP/1.1", "over TLS"),
    "h2": ("HTTP/2", ""),
    "h3": ("HTTP/3", ""),
}


def stream_svg(path: StreamPath) -> str:
    """Draw the path as SVG; the page that embeds it defines the colours of the classes."""
    rows = max(1, len(path.stages))
    nginx_top = _BOX + 8 + _GAP
    nginx_bottom = nginx_top + 26 + rows * _ROW
    clients_top = nginx_bottom + _GAP + 6
    height = clients_top + 84
    parts = [
        f'<svg class="stream" viewBox="0 0 {_WIDTH} {height}" role="img"'
        f" aria-label={quoteattr(stream_in_words(path))}>",
        f'<rect class="box" x="{_LEFT}" y="4" width="{_RIGHT - _LEFT}" height="{_BOX}" rx="6"/>',
        _text(8, 31, "the app", "name"),
        _text((_LEFT + _RIGHT) / 2, 31, clipped(_target(path), 34), "text", "middle"),
        f'<rect class="nginx" x="2" y="{nginx_top}" width="{_WIDTH - 4}"'
        f' height="{nginx_bottom - nginx_top}" rx="6"/>',
        _text(8, nginx_top + 18, "nginx", "name"),
    ]
    if not path.stages:
        parts += _words(8, nginx_top + 26 + _ROW / 2, _nothing(path))
    for number, stage in enumerate(path.stages):
        parts += _stage(stage, path, nginx_top + 26 + number * _ROW)
    for number, arrival in enumerate(path.arrivals):
        parts += _lane(arrival, path, _x(number, path), nginx_top + 26, clients_top)
    parts.append(_text(8, clients_top + 24, "the client", "name"))
    parts.append("</svg>")
    return "\n".join(parts)


def stream_in_words(path: StreamPath) -> str:
    """Describe the picture in words."""
    clients = [f"{CLIENT_ADJECTIVES[one.client]} clients: {outcome(one)}" for one in path.arrivals]
    return printable(f"{path.proxied.level.label}, from {_target(path)}. {'. '.join(clients)}.")


def outcome(arrival: Arrival) -> str:
    """Describe what a client gets."""
    if arrival.verdict == "streams":
        return "streams"
    if arrival.verdict == "replays":
        return "gets a recorded response"
    if arrival.verdict == "no-stream":
        return "is rejected: the handshake fails"
    if arrival.held_bytes is None:
        return "stalls until the response ends"
    bursts, wait = amount(arrival.held_bytes), duration(arrival.first_text_s)
    return f"stalls: bursts of {bursts}, the first after about {wait}"


def _target(path: StreamPath) -> str:
    return path.proxied.handler.target


def _nothing(path: StreamPath) -> tuple[str, ...]:
    if path.stream.kind == "websocket":
        return ("a tunnel,", "nothing is buffered")
    if path.stream.kind == "long-poll":
        return ("one piece,", "nothing to buffer")
    return ("not buffered,", "forwarded at once")


def _x(number: int, path: StreamPath) -> float:
    """The middle of a lane."""
    width = (_RIGHT - _LEFT) / len(path.arrivals)
    return _LEFT + width * (number + 0.5)


def _stage(stage: HoldStage, path: StreamPath, top: float) -> Iterator[str]:
    name = _STAGES[stage.hold].format(family=path.proxied.handler.family)
    held = "recorded" if stage.hold == "cache" else amount(stage.held_bytes)
    y = top + 6
    yield (
        f'<rect class="stage" x="8" y="{y:g}" width="{_WIDTH - 16}" height="{_ROW - 12}" rx="4"/>'
    )
    second = f"if {stage.only_if}" if stage.only_if else held
    yield from _words(14, top + _ROW / 2, (name, second))


def _lane(
    arrival: Arrival, path: StreamPath, x: float, inside: float, clients_top: float
) -> Iterator[str]:
    """Draw a client's line: a bar at each hold, and the line dashed below the bar."""
    dams = [
        inside + number * _ROW + _ROW / 2
        for number, stage in enumerate(path.stages)
        if arrival.client in stage.clients and not stage.only_if
    ]
    doubts = [
        inside + number * _ROW + _ROW / 2
        for number, stage in enumerate(path.stages)
        if arrival.client in stage.clients and stage.only_if
    ]
    good = arrival.verdict == "streams"
    end = clients_top - 7
    middle = dams[0] if dams else end
    yield f'<line class="flow" x1="{x:g}" y1="{4 + _BOX}" x2="{x:g}" y2="{middle:g}"/>'
    if dams:
        yield f'<line class="held" x1="{x:g}" y1="{middle:g}" x2="{x:g}" y2="{end:g}"/>'
    for y in dams:
        yield f'<rect class="bar" x="{x - 20:g}" y="{y - 5:g}" width="40" height="10" rx="2"/>'
    for y in doubts:
        yield f'<rect class="doubt" x="{x - 20:g}" y="{y - 5:g}" width="40" height="10" rx="2"/>'
    tone = "good" if good else "bad"
    yield f'<path class="{tone}tip" d="M{x - 5:g} {end - 2:g}h10l-5 8z"/>'
    width = (_RIGHT - _LEFT) / len(path.arrivals) - 6
    yield (
        f'<rect class="{tone}box" x="{x - width / 2:g}" y="{clients_top:g}" width="{width:g}"'
        ' height="80" rx="6"/>'
    )
    lines = _client_lines(arrival)
    for number, (words, style) in enumerate(lines):
        yield _text(x, clients_top + 17 + 14.5 * number, words, style, "middle")


def _client_lines(arrival: Arrival) -> list[tuple[str, str]]:
    lines = [(words, "text") for words in _client(arrival.client)]
    verdict = {"replays": "replayed", "no-stream": "refused"}.get(arrival.verdict, arrival.verdict)
    lines.append((verdict, "good" if arrival.verdict == "streams" else "bad"))
    if arrival.verdict == "stalls":
        if arrival.held_bytes is None:
            lines.append(("until the end", "faint"))
        else:
            lines.append((amount(arrival.held_bytes), "faint"))
            lines.append((f"after {duration(arrival.first_text_s)}", "faint"))
    return lines


def _client(client: Client) -> list[str]:
    return [words for words in _CLIENTS[client] if words]


def _words(x: float, y: float, lines: tuple[str, ...]) -> Iterator[str]:
    """Draw two lines of text around a height."""
    for number, line in enumerate(lines):
        yield _text(x, y - 3 + 15 * number, line, "text" if number == 0 else "faint")


def _text(x: float, y: float, words: str, style: str, anchor: str = "start") -> str:
    return (
        f'<text class="{style}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">'
        f"{escape(printable(words))}</text>"
    )
