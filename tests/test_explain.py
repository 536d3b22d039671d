"""`explain`, through the real command: its JSON as promised, its text, and what it cannot do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.command import run_here
from tests.report.schemas import check_document

MAIN = """events {}
http {
    proxy_read_timeout 90s;
    upstream app { server 127.0.0.1:8000; }
    server {
        listen 80;
        server_name www.example.com;
        return 301 https://$host$request_uri;
    }
    server {
        listen 443 ssl http2;
        server_name api.example.com .example.org;
        ssl_certificate c.pem;
        ssl_certificate_key k.pem;
        location /v1/ {
            proxy_pass http://app;
            if ($arg_quick) {
                gzip on;
            }
        }
        location /files/ {
            root /srv;
            try_files $uri @app;
        }
        location @app {
            proxy_pass http://app;
            proxy_buffering off;
        }
        location /atomic/ {
            location ~ /(*COMMIT)x { proxy_pass http://app; }
        }
        location /old/ {
            rewrite ^/old/(.*)$ /v1/$1 last;
        }
        location /static/ {
            root /srv;
        }
    }
}
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "nginx.conf"
    path.write_text(MAIN)
    return path


def explained(conf: Path, *arguments: str) -> list[dict[str, Any]]:
    done = run_here("explain", conf, *arguments, "--format", "json")
    assert done.stderr == ""
    found: list[dict[str, Any]] = json.loads(done.stdout)
    check_document("explain", found)
    return found


def test_json_is_as_promised(conf: Path) -> None:
    (one,) = explained(conf, "https://api.example.com/v1/chat/completions?x=1")
    assert list(one) == [
        "schema_version",
        "url",
        "nginx",
        "app",
        "server",
        "location",
        "via",
        "handler",
        "status",
        "redirect",
        "answered_by",
        "settings",
        "read_timeout_s",
        "tiers",
        "deliveries",
    ]
    assert one["tiers"] == [
        {
            "name": "location /v1/",
            "kind": "nginx",
            "file": str(conf),
            "line": 15,
            "verdict": "stalls",
            "held_by": "upstream-buffer",
        }
    ]
    assert one["url"] == "https://api.example.com/v1/chat/completions?x=1"
    assert one["server"]["names"] == ["api.example.com", ".example.org"]
    assert (one["server"]["file"], one["server"]["line"]) == (str(conf), 10)
    assert one["location"] == {"label": "location /v1/", "file": str(conf), "line": 15}
    assert one["via"] == []
    assert one["handler"] == {
        "family": "proxy",
        "target": "http://app",
        "file": str(conf),
        "line": 16,
    }
    assert one["read_timeout_s"] == 90
    assert one["settings"]["proxy_read_timeout"] == {
        "rows": [["90s"]],
        "origin": {"kind": "inherited", "file": str(conf), "line": 3},
    }
    assert one["settings"]["proxy_buffering"]["origin"]["kind"] == "default"
    assert len(one["deliveries"]) == 2 * 3 * 3 * 2
    assert set(one["deliveries"][0]) == {
        "client",
        "framing",
        "x_accel_buffering",
        "accept_encoding",
        "verdict",
        "repeat",
        "held_by",
        "held_bytes",
    }
    assert {delivery["client"] for delivery in one["deliveries"]} == {"h1-tls", "h2"}


def test_many_ways(conf: Path) -> None:
    base = "https://x.example.org"
    found = explained(
        conf,
        f"{base}/v1/x?quick=1",
        f"{base}/files/a",
        f"{base}/old/chat",
        f"{base}/v1//a/../b/%2e%2e/c",
        f"{base}/static/app.js",
        f"{base}/v1/%zz",
        "/anything",
        "http://www.example.com/",
    )
    labels = [one["location"]["label"] for one in found]
    assert labels[:5] == [
        "if ($arg_quick)",
        "location @app",
        "location /v1/",
        "location /v1/",
        "location /static/",
    ]
    assert found[0]["location"]["line"] == 17
    (step,) = found[1]["via"]
    assert step["line"] == 23
    assert "try_files" in step["why"]
    assert [step["line"] for step in found[2]["via"]] == [33]
    assert [one["handler"] is None for one in found] == [False] * 4 + [True] * 4
    assert found[4]["deliveries"] == []
    assert found[6]["server"]["names"] == ["www.example.com"]


def test_files_decide_with_a_root(conf: Path, tmp_path: Path) -> None:
    files = tmp_path / "files-root"
    (files / "files").mkdir(parents=True)
    (files / "files" / "there").write_text("x")
    url = "https://x.example.org/files/"
    there, missing = explained(conf, f"{url}there", f"{url}missing", "--root", str(files))
    assert there["location"]["label"] == "location /files/"
    assert there["handler"] is None
    assert missing["location"]["label"] == "location @app"


def test_unreadable_patterns_are_unknown(conf: Path) -> None:
    (one,) = explained(conf, "https://x.example.org/atomic/")
    assert any(step["why"].startswith("unknown: ") for step in one["via"])


def test_text(conf: Path) -> None:
    done = run_here("explain", conf, "https://api.example.com/v1/chat/completions", "/")
    assert done.returncode == 0
    for words in (
        "location /v1/",
        f"{conf}:15",
        "proxy_read_timeout",
        "90s",
        f"inherited, {conf}:3",
        "stalls",
        "if the app sends X-Accel-Buffering: no: streams",
        "response-buffering",
        "+     proxy_buffering off;",
        "301 to",
    ):
        assert words in done.stdout, words


@pytest.mark.parametrize(
    ("text", "url", "words"),
    [
        (MAIN, "https://api.example.com:8443/", "no server listens"),
        (MAIN, "ftp://api.example.com/", "scheme"),
        (MAIN, "v1/chat", "is not a URL; write a path"),
        (MAIN, "https:///v1", "no host"),
        (MAIN, "https://x:99999/v1", "port"),
        ("events {}", "/", "no server"),
        ("upstream app { server 127.0.0.1; }", "/", "no server"),
        ("http {", "/", "expecting"),
    ],
)
def test_what_cannot_be_explained(text: str, url: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(text)
    done = run_here("explain", path, url)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_file(tmp_path: Path) -> None:
    done = run_here("explain", tmp_path / "no.conf", "/")
    assert done.returncode == 2
    assert "no such file" in done.stderr


def test_a_fragment_is_explained_as_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "site.conf"
    path.write_text("location /v1 { proxy_pass http://app; }\n")
    done = run_here("explain", "--format", "json", path, "/v1/chat/completions")
    assert done.returncode == 0, done.stderr
    [one] = json.loads(done.stdout)
    assert one["location"]["line"] == 1
    assert one["deliveries"][0]["verdict"] == "stalls"


def test_sub_filter_that_keeps_event_ends(tmp_path: Path) -> None:
    """It holds without buffering, too, and the text says what for."""
    path = tmp_path / "nginx.conf"
    rows = "proxy_buffering off; sub_filter '\\nevent: x' y; sub_filter_types text/event-stream;"
    path.write_text(
        f"server {{ listen 80; location / {{ proxy_pass http://127.0.0.1:1; {rows} }} }}"
    )
    (one,) = explained(path, "/")
    assert {each["held_by"] for each in one["deliveries"] if each["framing"] == "chunked"} >= {
        "sub-filter"
    }
    done = run_here("explain", path, "/")
    assert "sub_filter holds the end of each event" in done.stdout
    assert "late-event-ends" in done.stdout


ANSWERED = """events {}
http {
    server {
        listen 80;
        server_name a.example;
        location /moved/ { proxy_pass http://127.0.0.1:1; }
        location /auth/ { auth_request /check; proxy_pass http://127.0.0.1:1; }
        location = /check { return 403; }
        location /set/ { set $app app; proxy_pass http://$app:8000; }
        location /feed/ { nchan_subscriber; }
        location /lua/ { content_by_lua_block { ngx.say("x") } }
    }
    server {
        listen 443 ssl;
        ssl_reject_handshake on;
    }
}
"""


@pytest.mark.parametrize(
    ("url", "status", "redirect", "answered_by", "words"),
    [
        ("/moved", 301, "http://a.example/moved/", None, "301 to http://a.example/moved/"),
        ("/auth/x", 403, None, None, "by nginx: 403"),
        ("/set/x", 502, None, None, "needs a resolver"),
        ("/feed/x", None, None, ("nchan_subscriber", 10, "by-itself"), "streams by itself"),
        ("/lua/x", None, None, ("content_by_lua_block", 11, "depends"), "depends on its code"),
        ("https://b.example/", None, None, ("ssl_reject_handshake", 15, "no"), "rejects the TLS"),
    ],
)
def test_what_no_app_answers(
    url: str,
    status: int | None,
    redirect: str | None,
    answered_by: tuple[str, int, str] | None,
    words: str,
    tmp_path: Path,
) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(ANSWERED)
    (one,) = explained(path, url)
    assert (one["status"], one["redirect"]) == (status, redirect)
    assert (one["handler"], one["deliveries"], one["read_timeout_s"]) == (None, [], None)
    by = one["answered_by"]
    assert (by and (by["directive"], by["line"], by["streaming"])) == answered_by
    assert by is None or by["file"] == str(path)
    assert words in run_here("explain", path, url).stdout


def test_what_an_app_answers_has_no_status(conf: Path) -> None:
    (one,) = explained(conf, "https://api.example.com/v1/x")
    assert (one["status"], one["redirect"], one["answered_by"]) == (None, None, None)


def test_both_servers_on_the_way_are_named(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        """server { listen 80;
        location / { proxy_pass http://127.0.0.1:81; proxy_buffering off; } }
        server { listen 127.0.0.1:81;
        location /v1/ { proxy_pass http://127.0.0.1:9; } }
        """
    )
    said = " ".join(run_here("explain", path, "http://127.0.0.1/v1/x").stdout.split())
    assert f"routed to location / ({path}:2)" in said
    assert f"then in location /v1/ ({path}:4)" in said
    assert f"stalls: the proxy buffer in location /v1/ ({path}:4) holds 4 KB" in said
    assert f"error response-buffering at {path}:4: proxy_buffering is on" in said
    assert "location /v1/ { proxy_pass http://127.0.0.1:9; proxy_http_version 1.1;" in said


def site(name: str, port: int = 80, app: str = "") -> str:
    location = f"location / {{ proxy_pass http://{app or name[0]}; }}"
    return f"server {{ listen {port}; server_name {name}; {location} }}"


CONFIG_MAP = (
    "kind: ConfigMap\nmetadata: {{name: web, namespace: {}}}\ndata:\n  site.conf: |\n    {}\n"
)
CONFIG_MAPS = "---\n".join(
    (CONFIG_MAP.format("a", site("a.com")), CONFIG_MAP.format("b", site("b.com", 8080)))
)


@pytest.mark.parametrize(
    ("files", "conf"),
    [
        ({"a.conf": site("a.com"), "b.conf": site("b.com", 8080)}, "."),
        ({"maps.yaml": CONFIG_MAPS}, "maps.yaml"),
        ({"a.conf": site("a.com"), "b.conf": site("~^b[.]com$", 8080, "b")}, "."),
        ({"a.conf": site("a.com"), "b.conf": site("*.com", 8080, "b")}, "."),
    ],
    ids=["folder", "ConfigMaps", "expression", "wildcard"],
)
def test_the_configuration_is_the_one_with_the_name(
    files: dict[str, str], conf: str, tmp_path: Path
) -> None:
    """Of several at a path; the first one is that of a path alone, and of other names."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    urls = ["http://b.com:8080/", "http://a.com/", "/", "http://127.0.0.1:8080/", "http://c.de/"]
    done = run_here("explain", str(tmp_path / conf), *urls, "--format", "json")
    found = json.loads(done.stdout)
    assert [one["url"] for one in found] == urls
    assert [one["handler"]["target"] for one in found] == [f"http://{name}" for name in "baaba"]
    text = run_here("explain", conf, *urls, cwd=tmp_path).stdout
    assert text.count("passed to proxy_pass http://a ") == 3


def test_a_url_of_no_configuration_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(site("a.com"))
    (tmp_path / "b.conf").write_text(site("b.com", 8080))
    done = run_here("explain", ".", "http://b.com:8080/", "http://b.com:81/", cwd=tmp_path)
    assert done.returncode == 2
    assert "passed to proxy_pass http://b " in done.stdout
    assert 'no server listens for "http://b.com:81/"' in done.stderr


DECLARED = """events {}
http { server { listen 80; %s
 location /x { proxy_pass http://127.0.0.1:9; proxy_http_version 1.1; proxy_read_timeout 1h; } } }
"""


@pytest.mark.parametrize(
    ("comment", "settings", "is_fixed"),
    [
        ("sse", "", True),
        ("sse x_accel_buffering=no", "", False),
        ("", "streams: [{path: /x, kind: sse, x_accel_buffering: 'no'}]", False),
        ("", "streams: [{path: /x/y, kind: sse, x_accel_buffering: 'no'}]", True),
    ],
)
def test_what_is_declared_about_a_stream_counts_for_its_url(
    comment: str, settings: str, is_fixed: bool, tmp_path: Path
) -> None:
    """The assumption that the URL streams adds no second stream that says less."""
    text = f"\n # nginx-stream-lint: stream {comment}" if comment else ""
    (tmp_path / "nginx.conf").write_text(DECLARED % text)
    (tmp_path / ".nginx-stream-lint.yaml").write_text(settings or "{}")
    done = run_here("explain", "nginx.conf", "/x", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert ("proxy_buffering off;" in done.stdout) is is_fixed
