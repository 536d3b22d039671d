"""The HTML page in a real browser, at the width of a desk and of a phone; the pictures in it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from lxml import etree
from tests.browser import DESKTOP, PHONE, laid_out
from tests.report.schemas import run_of

from nginx_stream_lint.report import render
from nginx_stream_lint.report.github import step_summary
from nginx_stream_lint.report.stream_path import StreamPath, stream_paths
from nginx_stream_lint.report.stream_svg import stream_in_words, stream_svg

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo" / "nginx.conf"
# Long names, every hold there is, every kind of client, something that cannot be read.
CROWDED = """\
events {}
http {
    gzip on;
    gzip_types *;
    proxy_cache_path cache keys_zone=a:1m;
    server {
        listen 80;
        listen 443 ssl http2;
        ssl_certificate a.pem;
        ssl_certificate_key a.key;
        server_name a-really-long-name.internal.example.com another.example.com;
        location ~ ^/(?:v1|something-else-that-is-rather-long)/chat/completions/(?<model>[a-z]+)$ {
            proxy_pass http://a-backend-with-a-really-long-name.internal.example.com:8000;
            body_filter_by_lua_file /usr/share/a-filter-with-a-really-long-name-for-a-file.lua;
            proxy_cache a;
            proxy_cache_valid 200 1h;
        }
        location /events { uwsgi_pass unix:/run/app.sock; body_filter_by_lua_file a.lua; }
        location /ws/ { proxy_pass http://b; proxy_set_header Upgrade $http_upgrade; }
        location /sse { proxy_pass http://b; proxy_http_version 1.1; proxy_buffer_size 48k; }
        location /other { proxy_pass http://b; }
        include missing.conf;
    }
}
"""


@pytest.fixture
def crowded(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(CROWDED)
    return path


def test_the_worst_comes_first_and_nothing_is_hidden_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(CROWDED)
    page = render("html", run_of(path))
    mixed = 0
    for card in page.split('<section class="card"')[1:]:
        severities = re.findall(r'class="chip (error|warning|note)">\1<', card)
        assert severities == sorted(severities, key=["error", "warning", "note"].index)
        mixed += len(set(severities)) > 1
    assert mixed
    assert "suppressed" not in page
    comment = "# nginx-stream-lint: ignore[response-buffering] x"
    ignored = CROWDED.replace("location /events {", f"location /events {{ {comment}\n")
    path.write_text(ignored)
    run = run_of(path)
    assert len(run.report.suppressed) == 1
    assert "<b>1</b> suppressed" in render("html", run)
    assert "1 suppressed" in step_summary(run)


@pytest.mark.browser
def test_the_page_fits_a_desk_and_a_phone(crowded: Path, tmp_path: Path) -> None:
    for main in (DEMO, crowded):
        run = run_of(main)
        desk, phone = laid_out(render("html", run), tmp_path)
        for found, width in ((desk, DESKTOP), (phone, PHONE)):
            assert found["content"] <= found["width"] <= width, "it scrolls sideways"
            assert found["pictures"] == len(stream_paths(run.report, None)) > 3
            assert found["outside"] == []
            assert found["targets"]
            assert found["smallest"] >= 9
            for finding in run.report.findings:
                assert finding.rule in found["text"]
                assert finding.message in found["text"]
            for problem in run.report.problems:
                assert str(problem) in found["text"]


def _way(path: Path, text: str) -> StreamPath:
    path.write_text(text)
    (way,) = stream_paths(run_of(path).report, None)
    return way


def _counts(way: StreamPath) -> dict[str, int]:
    root = etree.fromstring(stream_svg(way))
    classes = [str(one.get("class")) for one in root.iter()]
    return {name: classes.count(name) for name in ("flow", "held", "bar", "doubt", "goodbox")}


STREAM = "location /events {{ # nginx-stream-lint: stream sse\nproxy_pass http://a:1; {more} }}"


def test_the_picture_shows_where_the_stream_is_held(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    server = "server {{ listen 80; listen 443 ssl; {0} }}"
    bare = _way(path, server.format(STREAM.format(more="")))
    assert [(stage.hold, sorted(stage.clients)) for stage in bare.stages] == [
        ("upstream-buffer", ["h1", "h1-tls"]),
        ("tls-buffer", ["h1-tls"]),
    ]
    assert _counts(bare) == {"flow": 2, "held": 2, "bar": 3, "doubt": 0, "goodbox": 0}
    assert "plain HTTP/1.1 clients: stalls: bursts of 4 KB" in stream_in_words(bare)

    chunked = _way(path, server.format(STREAM.format(more="proxy_http_version 1.1;")))
    assert _counts(chunked) == {"flow": 2, "held": 1, "bar": 1, "doubt": 0, "goodbox": 1}
    assert not chunked.gets_through

    more = "proxy_http_version 1.1; gzip on; gzip_types *;"
    gzip = _way(path, f"server {{ {STREAM.format(more=more)} }}")
    assert _counts(gzip) == {"flow": 1, "held": 0, "bar": 0, "doubt": 1, "goodbox": 0}
    assert not gzip.gets_through

    off = _way(path, server.format(STREAM.format(more="proxy_buffering off; gzip on;")))
    assert off.stages == ()
    assert _counts(off) == {"flow": 2, "held": 0, "bar": 0, "doubt": 0, "goodbox": 2}


def test_nobody_is_shown_a_way_that_is_never_taken(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        "server { location /v1/chat { proxy_pass http://a:1; }\n"
        "location ~ ^/v1/ { proxy_pass http://b:1; } }"
    )
    labels = [way.proxied.level.label for way in stream_paths(run_of(path).report, None)]
    assert "location /v1/chat" not in labels
