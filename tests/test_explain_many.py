"""`explain` with several URLs says of each what it says of that one alone."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint.analysis.explainer import Explainer
from nginx_stream_lint.analysis.lint import Options
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.report.explain_json import explain_json
from tests.command import run_here

MAIN = """events {}
http {
    proxy_cache_path /tmp/c keys_zone=c:1m;
    map $arg_m $m { default ""; x http://127.0.0.1:8; }
    server {
        listen 80;
        server_name a.example;
        location /pp/ { proxy_pass http://127.0.0.1:1; }
        location /if/ {
            proxy_pass http://127.0.0.1:1;
            proxy_buffering off;
            if ($arg_q) { gzip on; }
            if ($arg_r) { return 410; }
        }
        location /set/ { proxy_pass $m; }
        location /files/ { try_files $uri @app; }
        location /old/ { rewrite ^/old/(.*)$ /pp/$1 last; }
        location /limited/ {
            limit_except POST { deny all; }
            proxy_pass http://127.0.0.1:1;
        }
        location @app { proxy_pass http://127.0.0.1:2; proxy_read_timeout 9s; }
        location /v1/ { proxy_pass http://ollama:11434; }
        location /api/ { grpc_pass 127.0.0.1:9; }
        location / { root /srv; }
    }
    server { listen 81; return 301 http://a.example$request_uri; }
}
"""
URLS = (
    "/pp",
    "/pp/x",
    "/pp/y?z=1",
    "/if/a",
    "/if/a?q=1",
    "/if/a?r=1",
    "/set/a",
    "/set/a?m=x",
    "/files/a",
    "/old/x",
    "/old/../pp",
    "/limited/x",
    "/v1/chat/completions",
    "/v1/models",
    "/v1/embeddings",
    "/api/Chat",
    "/",
    "/%zz",
    "http://a.example/pp/x",
    "http://a.example:81/pp/x",
    "http://a.example:82/pp/x",
    "https://a.example/pp/x",
)


def objects(main: Path, urls: list[str]) -> list[dict[str, Any]]:
    explainer = Explainer(read(str(main)), Options(()))
    found = explainer.explain_all((url, parse_url(url)) for url in urls)
    explained: list[dict[str, Any]] = json.loads(explain_json(found))
    return explained


@pytest.fixture
def main(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(MAIN)
    return path


def test_order_and_number_of_urls_change_nothing_in_json(main: Path) -> None:
    alone = {url: objects(main, [url])[0] for url in URLS}
    draw = random.Random(15)
    for _ in range(30):
        urls = draw.choices(URLS, k=draw.randint(2, 12))
        assert objects(main, urls) == [alone[url] for url in urls], urls


def test_a_redirect_to_a_location_does_not_hide_what_is_in_it(main: Path) -> None:
    redirected, there = objects(main, ["/pp", "/pp/x"])
    assert (redirected["handler"], redirected["deliveries"]) == (None, [])
    assert there["read_timeout_s"] == 60
    assert there["deliveries"]
    assert there["settings"]["proxy_buffering"]["rows"] == [["on"]]


def test_order_and_number_of_urls_change_nothing_in_text(main: Path) -> None:
    urls = ["/v1/models", "/pp", "/v1/chat/completions", "/pp/x", "/if/a?q=1", "/files/a"]
    alone = [run_here("explain", main, url).stdout for url in urls]
    assert run_here("explain", main, *urls).stdout == "\n".join(alone)
    assert run_here("explain", main, *reversed(urls)).stdout == "\n".join(reversed(alone))


def test_a_url_that_no_server_takes_hides_no_other(main: Path) -> None:
    urls = ["/pp/x", "http://a.example:82/", "ftp://a.example/", "/if/a"]
    done = run_here("explain", "--format", "json", main, *urls)
    assert done.returncode == 2
    good, unserved, bad, last = json.loads(done.stdout)
    assert good["location"]["label"] == "location /pp/"
    assert unserved["url"] == urls[1]
    assert "no server listens" in unserved["error"]
    assert "scheme" in bad["error"]
    assert last["location"]["label"] == "location /if/"
    assert "error" not in good
    text = run_here("explain", main, *urls)
    assert text.returncode == 2
    assert text.stdout == run_here("explain", main, "/pp/x", "/if/a").stdout
    assert "no server listens" in text.stderr
    assert "scheme" in text.stderr
