"""Explanations of URLs as an HTML page that loads nothing: the path of each stream by tiers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from nginx_stream_lint import __version__
from nginx_stream_lint.analysis.explainer import Explanation
from nginx_stream_lint.report.explain import (
    TierWords,
    client_lines,
    response_words,
    tier_words,
)
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.util.escaping import in_html

_STYLE = """
:root { --page: #fff; --text: #1f2328; --faint: #59636e; --line: #d1d9e0; --box: #f6f8fa;
  --good: #1a7f37; --good-page: #dafbe1; --bad: #cf222e; --bad-page: #ffebe9;
  --warn: #8a5a00; --warn-page: #fff3d1 }
@media (prefers-color-scheme: dark) { :root { --page: #0d1117; --text: #e6edf3; --faint: #9aa4af;
  --line: #3d444d; --box: #161b22; --good: #4ac26b; --good-page: #12321d; --bad: #ff7b72;
  --bad-page: #3f1619; --warn: #e3b341; --warn-page: #352a0b } }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 48rem; background: var(--page);
  color: var(--text); font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif }
h1 { font-size: 1.5rem; margin: 0 0 .25rem } h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem }
h2, p, li { overflow-wrap: anywhere } p { margin: .25rem 0 } .faint { color: var(--faint) }
.path { list-style: none; padding: 0; margin: 1rem 0 }
.path li { border: 1.5px solid var(--line); border-radius: 8px; background: var(--box);
  padding: .6rem .9rem; margin: 0 }
.path li + li { margin-top: 1.4rem; position: relative }
.path li + li::before { content: "\\2193"; position: absolute; top: -1.45rem; left: 50% }
.path .stalls, .path .no-stream { border-color: var(--bad) }
.path .streams { border-color: var(--good) }
.chip { border-radius: 1rem; padding: 0 .6rem; font-size: .85rem; font-weight: 600 }
.chip.streams { color: var(--good); background: var(--good-page) }
.chip.stalls, .chip.replays, .chip.no-stream { color: var(--bad); background: var(--bad-page) }
.chip.unknown { color: var(--warn); background: var(--warn-page) }
code { font: 13px/1.45 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
"""


def explain_html(explanations: Sequence[Explanation], findings: Sequence[Sequence[Finding]]) -> str:
    """Render explanations as one page; `findings` are those of each URL."""
    body = "\n".join(
        part for one, own in zip(explanations, findings, strict=True) for part in _section(one, own)
    )
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>nginx-stream-lint: the path of a stream</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>The path of a stream</h1>
<p class="faint">nginx-stream-lint {__version__}: each proxy from the app to the client, and whether
it holds the stream</p>
{body}
</body>
</html>
"""
    return page.encode("utf-8", "replace").decode("utf-8")


def _section(explanation: Explanation, findings: Sequence[Finding]) -> Iterator[str]:
    yield f"<section>\n<h2><code>{in_html(explanation.url)}</code></h2>"
    if explanation.route.handler is None:
        yield f"<p>{in_html(response_words(explanation))}</p>\n</section>"
        return
    yield '<ol class="path">'
    app = explanation.app
    target = explanation.places[0].handler.target
    of = f", {in_html(app)}" if app is not None else ""
    yield f"<li><b>the app</b>{of}<p><code>{in_html(target)}</code></p></li>"
    for words in tier_words(explanation):
        yield _tier(words)
    yield "<li><b>the client</b>"
    for client, verdict, said in client_lines(explanation):
        yield f"<p>{in_html(client)} {_chip(verdict)}{in_html(said)}</p>"
    yield "</li>\n</ol>"
    if findings:
        yield "<ul>"
        for one in findings:
            place = one.location.place
            where = f"{place.source.name}:{place.line}"
            said = f"{one.severity} {one.rule} at {where}: {one.message}"
            yield f"<li>{in_html(said)}</li>"
        yield "</ul>"
    yield "</section>"


def _tier(words: TierWords) -> str:
    said = f"<p>{in_html(words.said)}</p>" if words.said else ""
    where = f'<p class="faint">{in_html(words.where)}</p>' if words.where else ""
    return (
        f'<li class="{words.verdict}"><b>{in_html(words.name)}</b> {_chip(words.verdict)}'
        f"{where}{said}</li>"
    )


def _chip(verdict: str) -> str:
    return f'<span class="chip {verdict}">{verdict}</span>'
