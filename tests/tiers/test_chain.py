"""Chains of nginx that the user names: the way, the verdict of the client, and where to fix it.

tests/conformance/random_chains.py measures the verdicts on real nginx.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint import Options, Workspace, explain, lint
from nginx_stream_lint.report.explain_json import explain_json
from tests.command import run
from tests.report.schemas import check_document

APP = """events {}
http {
    server {
        listen 8080;
        location /v1/ {
            proxy_pass http://127.0.0.1:9000;
            proxy_http_version 1.1;
            proxy_read_timeout 90s;
            %s
        }
    }
}
"""
EDGE = """events {}
http {
    upstream app { server app.internal:8080; server app.internal:8081 backup; }
    server {
        listen 443 ssl;
        server_name example.com;
        ssl_certificate c.pem;
        ssl_certificate_key k.pem;
        location / {
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_read_timeout 600s;
            %s
        }
    }
}
"""
URL = "https://example.com/v1/chat"


def explained(app: str = "", edge: str = "", url: str = URL, **files: str) -> dict[str, Any]:
    """The JSON for a URL of edge.conf, in front of app.conf."""
    texts = {"app.conf": APP % app, "edge.conf": EDGE % edge} | files
    workspace = Workspace.in_memory(texts)
    found = explain(workspace, "app.conf", [url], through=["edge.conf"])
    document = json.loads(explain_json(found))
    check_document("explain", document)
    one: dict[str, Any] = document[0]
    return one


def verdicts(one: dict[str, Any], **scenario: str) -> set[str]:
    """The verdicts in the scenarios with these properties."""
    usual = {"framing": "chunked", "x_accel_buffering": "absent", "accept_encoding": "identity"}
    wanted = usual | scenario
    return {
        each["verdict"]
        for each in one["deliveries"]
        if all(each[name] == value for name, value in wanted.items())
    }


def places(one: dict[str, Any]) -> list[str]:
    return [f"{tier['file']}:{tier['line']}" for tier in one["tiers"]]


def test_the_request_passes_the_front_nginx_before_the_app() -> None:
    one = explained()
    assert places(one) == ["app.conf:5", "edge.conf:9"]
    assert (one["server"]["names"], one["location"]["file"]) == (["example.com"], "edge.conf")
    assert one["read_timeout_s"] == 90


def test_the_verdict_is_that_of_the_client_at_the_front() -> None:
    one = explained()
    assert verdicts(one) == {"stalls"}  # HTTP/1.1 over TLS to the front
    assert [tier["verdict"] for tier in one["tiers"]] == ["streams", "stalls"]
    assert {each["client"] for each in one["deliveries"]} == {"h1-tls"}
    assert verdicts(explained(edge="proxy_buffering off;")) == {"streams"}


@pytest.mark.parametrize(
    ("app", "verdict"),
    [
        ("", "stalls"),
        ("proxy_pass_header X-Accel-Buffering;", "streams"),
        ("add_header X-Accel-Buffering no;", "streams"),
        ("proxy_pass_header X-Accel-Buffering; add_header X-Accel-Buffering yes;", "stalls"),
        ("proxy_pass_header X-Foo;", "stalls"),
    ],
)
def test_the_header_of_the_app_reaches_the_front_or_not(app: str, verdict: str) -> None:
    assert verdicts(explained(app), x_accel_buffering="no") == {verdict}


@pytest.mark.parametrize(
    ("added", "sent", "verdict"),
    [
        ("$upstream_http_x_accel_buffering", "no", "streams"),
        ("$upstream_http_x_accel_buffering", "yes", "stalls"),
        ("$upstream_http_x_accel_buffering", "absent", "stalls"),
        ("$accel", "absent", "streams"),
        ("$other", "no", "stalls"),
        ("$unknown", "no", "stalls"),
    ],
)
def test_the_header_for_the_front_may_come_from_a_variable(
    added: str, sent: str, verdict: str
) -> None:
    maps = (
        "map $upstream_http_content_type $accel { default yes; ~event-stream no; }"
        "map $sent_http_content_type $other { default no; text/event-stream yes; }"
    )
    app = APP.replace("http {", f"http {{ {maps}") % f"add_header X-Accel-Buffering {added};"
    one = explained(**{"app.conf": app})
    assert verdicts(one, x_accel_buffering=sent) == {verdict}


@pytest.mark.parametrize(
    ("app", "edge"),
    [("", "proxy_http_version 1.0;"), ("chunked_transfer_encoding off;", "")],
)
def test_a_front_without_chunks_holds(app: str, edge: str) -> None:
    one = explained(app, edge.replace("proxy_http_version 1.0;", ""))
    if edge:
        text = EDGE.replace("proxy_http_version 1.1;", "proxy_http_version 1.0;")
        one = explained(app, **{"edge.conf": text % ""})
    assert one["tiers"][-1]["held_by"] == "upstream-buffer"


@pytest.mark.parametrize("value", ["$coding", "$http_accept_encoding"])
def test_accept_encoding_may_come_from_a_variable(value: str) -> None:
    table = "map $http_upgrade $coding { default gzip; '' ''; }"
    edge = EDGE.replace("http {", f"http {{ {table}")
    rows = f"proxy_buffering off; proxy_set_header Accept-Encoding {value};"
    one = explained("gzip on; gzip_types *;", **{"edge.conf": edge % rows})
    stalls = "streams" if value == "$coding" else "stalls"
    assert verdicts(one, accept_encoding="gzip") == {stalls}


def test_a_front_without_accept_encoding_keeps_gzip_off() -> None:
    gzip = "gzip on; gzip_types text/event-stream;"
    off = "proxy_buffering off;"
    assert verdicts(explained(gzip, off), accept_encoding="gzip") == {"stalls"}
    none = f'{off} proxy_set_header Accept-Encoding "";'
    assert verdicts(explained(gzip, none), accept_encoding="gzip") == {"streams"}
    via = f'{off} proxy_set_header Via "1.1 edge";'
    assert verdicts(explained(gzip, via), accept_encoding="gzip") == {"streams"}
    every = f"{gzip} gzip_proxied any;"
    assert verdicts(explained(every, via), accept_encoding="gzip") == {"stalls"}


def test_a_port_without_a_listener_is_a_doubt() -> None:
    one = explained(**{"app.conf": (APP % "").replace("8080", "80")})
    assert places(one) == ["app.conf:5", "edge.conf:9"]
    doubts = [step["why"] for step in one["via"] if step["why"].startswith("unknown")]
    assert doubts == [
        "unknown: whether http://app.internal:8080 leads to app.conf, which listens on other ports"
    ]


def test_a_tier_is_skipped_by_its_port() -> None:
    between = APP.replace("8080", "8090") % "proxy_buffering on;"
    workspace = Workspace.in_memory(
        {"app.conf": APP % "", "between.conf": between, "edge.conf": EDGE % ""}
    )
    found = explain(workspace, "app.conf", [URL], through=["between.conf", "edge.conf"])
    files = [tier.level.directive.source.name for tier in found[0].places]  # type: ignore[union-attr]
    assert files == ["app.conf", "edge.conf"]


def test_settings_name_a_chain_once_for_all(tmp_path: Path) -> None:
    for name, text in (("app.conf", APP % ""), ("edge.conf", EDGE % "")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    settings = tmp_path / ".nginx-stream-lint.yaml"
    settings.write_text("tiers: [app.conf, edge.conf, alb]\n", encoding="utf-8")
    told = [
        run("explain", name, URL, "--format", "json", cwd=tmp_path)
        for name in ("app.conf", "edge.conf")
    ]
    assert told[0].stdout == told[1].stdout
    tiers = json.loads(told[0].stdout)[0]["tiers"]
    assert [tier["kind"] for tier in tiers] == ["nginx", "nginx", "alb"]
    assert [tier["verdict"] for tier in tiers] == ["streams", "stalls", "unknown"]
    assert json.loads(told[0].stdout)[0]["read_timeout_s"] == 60  # that of the load balancer


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--through", "absent.conf"], "absent.conf:1:1: "),
        (["--through", "empty.conf"], "empty.conf:1:1: "),
    ],
)
def test_a_chain_that_cannot_be_read(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "app.conf").write_text(APP % "", encoding="utf-8")
    (tmp_path / "empty.conf").write_text("events {}\nhttp {}\n", encoding="utf-8")
    told = run("explain", "app.conf", URL, *arguments, cwd=tmp_path)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.startswith(said)


def test_a_page_draws_the_path_of_the_stream(tmp_path: Path) -> None:
    (tmp_path / "app.conf").write_text(APP % "", encoding="utf-8")
    (tmp_path / "edge.conf").write_text(EDGE % "", encoding="utf-8")
    told = run(
        "explain", "app.conf", URL, "--through", "edge.conf", "--through", "cloudflare",
        "--format", "html", cwd=tmp_path,
    )  # fmt: skip
    assert told.returncode == 0
    boxes = [told.stdout.index(f"<b>{name}</b>") for name in ("the app", "Cloudflare")]
    inner, outer = told.stdout.index("<b>location /v1/</b>"), told.stdout.index("<b>location /</b>")
    assert boxes[0] < inner < outer < boxes[1]
    assert "app.conf:5" in told.stdout
    assert "<script" not in told.stdout


def test_text_names_each_tier(tmp_path: Path) -> None:
    (tmp_path / "app.conf").write_text(APP % "", encoding="utf-8")
    (tmp_path / "edge.conf").write_text(EDGE % "", encoding="utf-8")
    told = run("explain", "app.conf", URL, "--through", "edge.conf", cwd=tmp_path)
    lines = told.stdout.splitlines()
    at = lines.index("  proxies from the app to the client, each in the worst usual case:")
    assert lines[at + 1].startswith("    location /v1/ (nginx, app.conf:5): streams")
    assert lines[at + 2].startswith("    location / (nginx, edge.conf:9): stalls")


def test_a_mistyped_product_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    (tmp_path / "app.conf").write_text(APP % "", encoding="utf-8")
    told = run("explain", "app.conf", URL, "--through", "cloudflar", cwd=tmp_path)
    assert told.stderr == (
        "cloudflar:1:1: there is no such file, and no product of this name;"
        ' did you mean "cloudflare"?\n'
    )
    assert told.returncode == 2


def found(app: str, edge: str) -> list[tuple[str, str, int]]:
    """The findings about delivery in the chain: rule, file, line."""
    workspace = Workspace.in_memory({"app.conf": APP % app, "edge.conf": EDGE % edge})
    options = Options(tiers=("app.conf", "edge.conf"), nginx_version=(1, 31, 3))
    result = lint(workspace, ["app.conf", "edge.conf"], options=options)
    assert not result.problems
    return [
        (one.rule, one.location.place.source.name, one.location.place.line)
        for one in result.findings
        if one.rule in RULES and one.severity == "error"
    ]


RULES = ("response-buffering", "swallowed-accel-header", "ignored-accel-header")
SSE = "# nginx-stream-lint: stream sse x_accel_buffering=no\n"


def test_lint_points_to_the_tier_with_the_smallest_fix() -> None:
    # The front serves every path, so the header is to be passed on.
    assert found(SSE, "") == [("swallowed-accel-header", "app.conf", 5)]
    assert found(f"{SSE} proxy_pass_header X-Accel-Buffering;", "") == []
    assert found(SSE, "proxy_buffering off;") == []
    # The front ignores the header, so it would not help there.
    ignores = "proxy_ignore_headers X-Accel-Buffering;"
    assert found(SSE, ignores) == [("ignored-accel-header", "edge.conf", 9)]


def test_findings_name_the_other_tiers() -> None:
    workspace = Workspace.in_memory({"app.conf": APP % SSE, "edge.conf": EDGE % ""})
    options = Options(tiers=("app.conf", "edge.conf"), nginx_version=(1, 31, 3))
    result = lint(workspace, ["app.conf", "edge.conf"], options=options)
    [one] = [each for each in result.findings if each.rule == "swallowed-accel-header"]
    assert [(each.place.source.name, each.message) for each in one.related] == [
        ("edge.conf", "the stream also passes location /")
    ]


def test_without_a_chain_nothing_is_linked() -> None:
    workspace = Workspace.in_memory({"app.conf": APP % SSE, "edge.conf": EDGE % ""})
    result = lint(workspace, ["app.conf", "edge.conf"])
    assert [one.location.label for one in result.unchecked] == ["location /"]


@pytest.mark.parametrize("sends", ['""', "gzip"])
def test_lint_knows_whether_the_front_accepts_compression(sends: str) -> None:
    app = "gzip on; gzip_types text/event-stream; # nginx-stream-lint: stream sse\n"
    edge = f"proxy_buffering off; proxy_set_header Accept-Encoding {sends};"
    expected = [] if sends == '""' else [("response-buffering", "app.conf", 5)]
    assert found(app, edge) == expected


@pytest.mark.parametrize(
    ("app", "cache", "repeat"),
    [
        ("", "", "replays"),
        ("expires epoch;", "", "stalls"),
        ("expires 0;", "", "stalls"),
        ("add_header Cache-Control no-store;", "proxy_ignore_headers Expires;", "stalls"),
        ("add_header Cache-Control no-store;", "proxy_ignore_headers Cache-Control;", "replays"),
        ("add_header Cache-Control max-age=0;", "", "stalls"),
        ("add_header Cache-Control max-age=05;", "", "replays"),
        ('add_header Cache-Control "no-store";', "", "stalls"),
        ("expires -1;", "proxy_ignore_headers Expires;", "stalls"),
        ("expires -1;", "proxy_ignore_headers Expires Cache-Control;", "replays"),
    ],
)
def test_headers_of_an_inner_nginx_forbid_caching(app: str, cache: str, repeat: str) -> None:
    zone = "proxy_cache_path /c keys_zone=z:1m;"
    edge = EDGE.replace("http {", f"http {{ {zone}")
    rows = f"proxy_cache z; proxy_cache_valid 1m; {cache}"
    one = explained(app, **{"edge.conf": edge % rows})
    usual = {"framing": "chunked", "x_accel_buffering": "absent", "accept_encoding": "identity"}
    found = [
        each["repeat"]
        for each in one["deliveries"]
        if all(each[name] == value for name, value in usual.items())
    ]
    assert found == [repeat]


@pytest.mark.parametrize(
    ("app", "cache", "verdict"),
    [
        ("", "", "streams"),
        ("expires 1h;", "", "stalls"),
        ("expires $lifetime;", "", "stalls"),
        ("expires off;", "", "streams"),
        ("expires 0;", "", "streams"),
        ("expires 0;", "proxy_ignore_headers Cache-Control;", "stalls"),
        ("expires -1;", "", "streams"),
        ("expires 1h;", "proxy_ignore_headers Expires;", "stalls"),
        ("expires 1h;", "proxy_ignore_headers Expires Cache-Control;", "streams"),
        ("add_header Cache-Control 'public, max-age=60';", "", "stalls"),
        ("add_header Cache-Control 'public, max-age=0';", "", "streams"),
        ("add_header Cache-Control max-age=60;", "proxy_ignore_headers Cache-Control;", "streams"),
        ("expires 1h;", "proxy_no_cache 1;", "streams"),
        ("", "proxy_cache_valid 200 0;", "streams"),
        ("expires 1h;", "proxy_cache_valid 200 0;", "stalls"),  # the header comes first
    ],
)
def test_headers_of_an_inner_nginx_permit_caching(app: str, cache: str, verdict: str) -> None:
    table = "map $sent_http_content_type $lifetime { default off; ~event-stream 1h; }"
    inner = APP.replace("http {", f"http {{ {table}") % app
    edge = (EDGE % f"proxy_cache z; {cache}").replace("listen 443 ssl;", "listen 80; sendfile on;")
    edge = edge.replace("http {", "http { proxy_cache_path /c keys_zone=z:1m;")
    url = "http://example.com/v1/chat"
    assert verdicts(explained(url=url, **{"app.conf": inner, "edge.conf": edge})) == {verdict}


@pytest.mark.parametrize(
    ("app", "middle", "verdict"),
    [
        ("expires 1h;", "", "stalls"),
        ("expires 1h;", "expires off;", "stalls"),
        ("expires 1h;", "expires -1;", "streams"),
        ("expires -1;", "expires 1h;", "stalls"),
        ("expires 1h;", "proxy_hide_header Expires;", "stalls"),
        ("expires 1h;", "proxy_hide_header Expires; proxy_hide_header Cache-Control;", "streams"),
    ],
)
def test_a_tier_between_may_drop_headers_for_caching(app: str, middle: str, verdict: str) -> None:
    between = EDGE.replace("listen 443 ssl;", "listen 7000;") % middle
    edge = (EDGE % "proxy_cache z;").replace("listen 443 ssl;", "listen 80; sendfile on;")
    edge = edge.replace("http {", "http { proxy_cache_path /c keys_zone=z:1m;")
    texts = {
        "app.conf": APP % app,
        "middle.conf": between,
        "edge.conf": edge.replace("8080", "7000"),
    }
    url = "http://example.com/v1/chat"
    through = ["middle.conf", "edge.conf"]
    found = explain(Workspace.in_memory(texts), "app.conf", [url], through=through)
    assert verdicts(json.loads(explain_json(found))[0]) == {verdict}


@pytest.mark.parametrize("added", ["no", "yes"])
@pytest.mark.parametrize(
    ("version", "verdict"), [((1, 22, 1), "streams"), ((1, 23, 0), "stalls")], ids=["old", "new"]
)
def test_a_header_that_comes_twice_is_not_repeated(
    version: tuple[int, int, int], verdict: str, added: str
) -> None:
    """The variable has both values, joined, which no nginx obeys; before 1.23.0 the first."""
    twice = f"proxy_pass_header X-Accel-Buffering; add_header X-Accel-Buffering {added};"
    repeats = "add_header X-Accel-Buffering $upstream_http_x_accel_buffering;"
    texts = {
        "app.conf": APP % twice,
        "middle.conf": EDGE.replace("listen 443 ssl;", "listen 7000;") % repeats,
        "edge.conf": EDGE.replace("8080", "7000") % "",
    }
    through = ["middle.conf", "edge.conf"]
    options = Options(nginx_version=version)
    found = explain(Workspace.in_memory(texts), "app.conf", [URL], options, through=through)
    one = json.loads(explain_json(found))[0]
    assert verdicts(one, x_accel_buffering="no") == {verdict}


@pytest.mark.parametrize(
    ("proxied", "verdict"),
    [
        ("", "streams"),
        ("gzip_proxied off;", "streams"),
        ("gzip_proxied any;", "stalls"),
        ("gzip_proxied expired no-cache no-store private auth;", "stalls"),
    ],
)
@pytest.mark.parametrize("via", ["edge", '"1.1 $host"'])
def test_gzip_for_requests_with_via(proxied: str, verdict: str, via: str) -> None:
    app = f"gzip on; gzip_types *; {proxied}"
    one = explained(app, edge=f"proxy_buffering off; proxy_set_header Via {via};")
    assert verdicts(one, accept_encoding="gzip") == {verdict}


@pytest.mark.parametrize("value", ["close", "$connection_upgrade"])
def test_http2_to_an_inner_nginx_takes_no_connection_header(value: str) -> None:
    table = "map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
    app = (APP % "").replace("listen 8080;", "listen 8080; http2 on;")
    text = EDGE.replace("proxy_http_version 1.1;", "proxy_http_version 2;")
    close = text.replace("http {", f"http {{ {table}") % f"proxy_set_header Connection {value};"
    workspace = Workspace.in_memory({"app.conf": app, "edge.conf": close})
    told = {
        version: explain(
            workspace, "app.conf", [URL], Options(nginx_version=version), through=["edge.conf"]
        )[0]
        for version in ((1, 29, 4), (1, 31, 0))
    }
    verdicts = {version: {each.verdict for each in one.deliveries} for version, one in told.items()}
    assert "no-stream" not in verdicts[1, 29, 4]
    assert verdicts[1, 31, 0] == {"no-stream"}


def test_a_path_of_events_with_upgrade_headers_is_not_a_websocket() -> None:
    rows = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
    usual = explained(edge=rows)
    events = explained(edge=rows, url="https://example.com/v1/events")
    assert verdicts(usual) == {"stalls"}
    assert verdicts(events) == {"stalls"}
    # The nginx behind drops the handshake.
    assert verdicts(explained(edge=rows, url="https://example.com/v1/ws")) == {"no-stream"}


@pytest.mark.parametrize(
    "handler",
    [
        "proxy_pass http://127.0.0.1:9000;",
        "grpc_pass grpc://127.0.0.1:9000;",
        "fastcgi_pass 127.0.0.1:9000;",
        "uwsgi_pass 127.0.0.1:9000;",
        "scgi_pass 127.0.0.1:9000;",
        "memcached_pass 127.0.0.1:9000; set $memcached_key k;",
        "return 204;",
        "root /srv;",
    ],
)
def test_the_inner_nginx_may_pass_to_any_kind_of_app(handler: str) -> None:
    inner = f"events {{}}\nhttp {{ server {{ listen 8080; location /v1/ {{ {handler} }} }} }}\n"
    one = explained(**{"app.conf": inner})
    assert one["tiers"][-1]["file"] == "edge.conf"
    workspace = Workspace.in_memory({"app.conf": inner, "edge.conf": EDGE % ""})
    options = Options(tiers=("app.conf", "edge.conf"), all_streams=True)
    assert lint(workspace, ["app.conf", "edge.conf"], options).problems == []
