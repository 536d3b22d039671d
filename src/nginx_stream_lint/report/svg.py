"""Shared SVG parts: colours for light and dark, text, axis ticks."""

from __future__ import annotations

import itertools
from xml.sax.saxutils import escape

from nginx_stream_lint.util.escaping import printable

STYLE = """
    svg { font: 13px system-ui, -apple-system, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif }
    .page { fill: #ffffff } .text { fill: #1f2328 } .faint { fill: #59636e }
    .grid { stroke: #d1d9e0; stroke-width: 1 } .axis { stroke: #59636e; stroke-width: 1 }
    .sent { stroke: #6e7781; stroke-dasharray: 5 4 }
    .good { stroke: #1a7f37 } .bad { stroke: #cf222e }
    .line { fill: none; stroke-width: 2.5; stroke-linejoin: round }
    .goodtext { fill: #1a7f37 } .badtext { fill: #cf222e } .wait { fill: #cf222e; opacity: .09 }
    .title { font-size: 17px; font-weight: 600 } .name { font-weight: 600 }
    @media (prefers-color-scheme: dark) {
      .page { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9198a1 }
      .grid { stroke: #30363d } .axis { stroke: #9198a1 } .sent { stroke: #9198a1 }
      .good { stroke: #3fb950 } .bad { stroke: #ff7b72 }
      .goodtext { fill: #3fb950 } .badtext { fill: #ff7b72 } .wait { fill: #ff7b72; opacity: .13 }
    }
"""


def label(
    x: float,
    y: float,
    text: str,
    style: str,
    verdict: tuple[str, str, str] | None = None,
    anchor: str = "start",
) -> str:
    more = ""
    if verdict is not None:
        word, said, tone = verdict
        more = f'<tspan class="{tone}text name">{escape(word)}</tspan>, {escape(printable(said))}'
    return (
        f'<text class="{style}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">'
        f"{escape(printable(text))}{more}</text>"
    )


def ticks(end: float, least: float = 0.01) -> list[float]:
    """Round numbers from 0 to `end`: at most nine, at least `least` apart."""
    step = least
    for factor in itertools.cycle((2, 2.5, 2)):  # 1, 2, 5, 10, ...
        if end / step < 9:
            break
        step *= factor
    return [round(number * step, 6) for number in range(int(end / step) + 1)]
