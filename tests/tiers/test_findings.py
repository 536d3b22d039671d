"""Findings about proxies in front: what nginx's configuration and the settings show of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.tiers.in_front import product_of_address
from tests.command import run

HTTP = """events {{}}
http {{
    {http}
    server {{
        listen 80;
        {server}
        location /v1/chat/completions {{ {location} {streams} }}
        location /events {{ {streams} }}
        location /login {{ proxy_pass http://127.0.0.1:8000; }}
    }}
}}
"""
STREAMS = (
    "proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1; proxy_buffering off;"
    " proxy_read_timeout 600s;"
)
CLOUDFLARE = "set_real_ip_from 0.0.0.0/0; real_ip_header CF-Connecting-IP;"


def findings(
    http: str = "",
    server: str = "",
    location: str = "",
    streams: str = STREAMS,
    options: Options | None = None,
) -> list[Finding]:
    text = HTTP.format(http=http, server=server, location=location, streams=streams)
    result = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"], options)
    assert not result.problems
    return [one for one in result.findings if one.rule.startswith("tier-")]


def shown(found: list[Finding]) -> list[tuple[str, str]]:
    """The severity and the text that each finding points at."""
    return [
        (one.severity, one.place.source.text[one.place.start : one.place.end].rstrip(";"))
        for one in found
    ]


@pytest.mark.parametrize(
    "text",
    [
        "real_ip_header CF-Connecting-IP",
        "real_ip_header cf-connecting-ip",
        "real_ip_header CF-Connecting-IPv6",
        "set_real_ip_from 173.245.48.0/20",
        "set_real_ip_from 104.16.7.9",
        "set_real_ip_from 2606:4700:10::/44",
    ],
)
@pytest.mark.parametrize("where", ["http", "server", "location"])
def test_cloudflare_gives_one_finding(text: str, where: str) -> None:
    here = {"http": "", "server": "", "location": "", where: f"{text};"}
    found = findings(here["http"], here["server"], here["location"])
    assert shown(found) == [("warning", text)]
    assert "Cloudflare" in found[0].message
    assert "100 to 120 s" in found[0].message
    assert "every 50 s" in found[0].message
    related = [one.message for one in found[0].related]
    locations = 1 if where == "location" else 2
    assert len(related) == locations
    assert not any("/login" in one for one in related)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "real_ip_header X-Forwarded-For;",
        "real_ip_header X-Real-IP; set_real_ip_from 10.0.0.0/8;",
        "set_real_ip_from 0.0.0.0/0;",  # Cloudflare's networks are a part of it
        "set_real_ip_from 104.0.0.0/8;",
        "set_real_ip_from ::/0; set_real_ip_from unix:; set_real_ip_from lb.example.com;",
        "set_real_ip_from 173.245.64.0/20;",  # just behind a network
        "# real_ip_header CF-Connecting-IP;",
    ],
)
def test_other_proxies_are_unknown(text: str) -> None:
    assert findings(http=f"{text}\n") == []


def test_the_nearest_level_applies() -> None:
    assert findings(http=CLOUDFLARE, server="real_ip_header X-Forwarded-For;") == []
    found = findings(http=CLOUDFLARE, location="real_ip_header X-Forwarded-For;")
    assert [one.message for one in found[0].related] == ["location /events handles a stream"]


def test_a_limit_that_a_stream_survives_is_not_a_finding() -> None:
    streams = STREAMS.replace("proxy_pass", "# nginx-stream-lint: stream sse{}\n proxy_pass", 1)
    assert len(findings(CLOUDFLARE, streams=streams.format(""))) == 1
    assert len(findings(CLOUDFLARE, streams=streams.format(" heartbeat=150s"))) == 1
    assert findings(CLOUDFLARE, streams=streams.format(" heartbeat=30s")) == []
    assert findings(CLOUDFLARE, options=Options(min_read_timeout_s=90.0)) == []
    # Nothing is known about its limit for a WebSocket.
    socket = (
        "# nginx-stream-lint: stream websocket\n proxy_set_header Upgrade $http_upgrade;"
        " proxy_set_header Connection upgrade; " + STREAMS
    )
    text = HTTP.format(http=CLOUDFLARE, server="", location="", streams=socket)
    text = text.replace("/v1/chat/completions", "/ws").replace("/events", "/socket")
    assert lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"]).findings == []


HAPROXY = """\
defaults
    {limit}
frontend www
    default_backend web
backend web
    server one web:80 check
"""
COMPOSE = """\
services:
  web:
    image: nginx:1.31
    volumes: ['./nginx.conf:/etc/nginx/nginx.conf']
  proxy:
    image: haproxy:2.6
    volumes: ['./haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg']
"""


@pytest.mark.parametrize(
    ("limit", "path", "severity"),
    [
        ("timeout server 59s", "/events", "error"),
        ("timeout server 60s", "/events", "warning"),
        ("timeout server 60s", "/v1/messages", "error"),  # is known to be silent for 10 min
        ("timeout server 61s", "/v1/messages", "warning"),
        ("timeout server 400s", "/v1/messages", None),
    ],
)
def test_an_error_is_a_limit_in_the_repository_that_is_certainly_too_short(
    limit: str, path: str, severity: str | None
) -> None:
    conf = f"events {{}} http {{ server {{ listen 80; location {path} {{ {STREAMS} }} }} }}"
    files = {
        "compose.yaml": COMPOSE,
        "nginx.conf": conf,
        "haproxy.cfg": HAPROXY.format(limit=limit),
    }
    found = lint(Workspace.in_memory(files)).findings
    assert [one.severity for one in found if one.rule == "tier-timeout"] == (
        [] if severity is None else [severity]
    )


def test_a_shorter_limit_of_nginx_is_another_cause() -> None:
    text = HTTP.format(http=CLOUDFLARE, server="", location="", streams=STREAMS)
    text = text.replace("600s", "20s")
    result = lint(Workspace.in_memory({"nginx.conf": text}), ["nginx.conf"])
    assert {one.rule for one in result.findings} == {"short-read-timeout", "tier-timeout"}


def test_a_comment_ignores_it() -> None:
    ignored = "# nginx-stream-lint: ignore[tier-timeout] no silence is longer than a minute\n"
    assert findings(http=f"{ignored}real_ip_header CF-Connecting-IP;") == []


def repository(folder: Path, tiers: str) -> Path:
    (folder / ".git").mkdir()
    text = HTTP.format(http="", server="", location="", streams=STREAMS)
    for name in ("app.conf", "edge.conf"):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / ".nginx-stream-lint.yaml").write_text(f"tiers: {tiers}\n", encoding="utf-8")
    return folder


def lines(folder: Path, *paths: str) -> list[str]:
    done = run("--format", "concise", "--select", "tier-timeout,tier-buffering", *paths, cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if " tier-" in line]


def test_the_settings_name_products(tmp_path: Path) -> None:
    folder = repository(tmp_path, "[app.conf, ALB, 'api-gateway', cloudflare]")
    found = lines(folder, "app.conf")
    assert [line.split(" in front")[0] for line in found] == [
        ".nginx-stream-lint.yaml:1:19: warning tier-timeout AWS Application Load Balancer",
        ".nginx-stream-lint.yaml:1:24: warning tier-buffering Amazon API Gateway",
        ".nginx-stream-lint.yaml:1:39: warning tier-timeout Cloudflare",
    ]


def test_a_product_is_in_front_of_the_configuration_listed_before_it(tmp_path: Path) -> None:
    folder = repository(tmp_path, "[app.conf, edge.conf, heroku]")
    assert lines(folder, "app.conf") == []
    assert len(lines(folder, "edge.conf")) == 1
    (folder / ".nginx-stream-lint.yaml").write_text("tiers: heroku\n", encoding="utf-8")
    assert len(lines(folder, "app.conf")) == len(lines(folder, "edge.conf")) == 1


def test_products_without_a_known_limit_give_no_finding(tmp_path: Path) -> None:
    folder = repository(tmp_path, "[app.conf, fly, render, vercel, traefik, caddy, haproxy]")
    assert lines(folder, "app.conf") == []


def test_an_unknown_product_is_refused_and_the_nearest_one_named(tmp_path: Path) -> None:
    folder = repository(tmp_path, "[app.conf, clodflare]")
    done = run("app.conf", cwd=folder)
    assert done.returncode == 2
    assert 'no product "clodflare"; did you mean "cloudflare"?' in done.stderr


def test_a_file_with_the_name_of_a_product_is_a_file(tmp_path: Path) -> None:
    folder = repository(tmp_path, "[alb]")
    (folder / "alb").write_text("events {}\n", encoding="utf-8")
    assert lines(folder, "app.conf") == []


def test_addresses() -> None:
    assert product_of_address("172.71.255.255") == "cloudflare"
    assert product_of_address("172.72.0.0") is None
    assert product_of_address("2a06:98c7::1") == "cloudflare"
    assert product_of_address("$address") is None
