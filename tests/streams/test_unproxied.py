"""Declared streams that nginx passes to no app."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.command import findings, run_here

from nginx_stream_lint.report import FORMATS

LOCATIONS = """
    location /weather/ { proxy_pass http://app:1; proxy_buffering off; }
    location = /gone { return 410; }
    location = /moved { return 302 https://elsewhere.example.com/; }
    location = /lua { content_by_lua_block { ngx.say("x") } }
    location ~ ^/feeds/(?<id>\\d+)$ { nchan_subscriber; }
    location / { root /srv; }
"""


def put(folder: Path, text: str = LOCATIONS, name: str = "nginx.conf") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    server = f"server {{ listen 80; server_name a.example.com; {text} }}"
    path.write_text(f"events {{}}\nhttp {{ {server} }}\n")
    return path


def unproxied(path: Path, *options: str | Path) -> list[dict[str, Any]]:
    done = run_here("--format", "json", "--select", "unproxied-stream", *options, path)
    found: list[dict[str, Any]] = json.loads(done.stdout)["findings"]
    assert done.returncode == (1 if found else 0), done.stderr
    return found


@pytest.mark.parametrize(
    ("stream", "answer"),
    [
        ("/weather", "redirects it to /weather/"),
        ("/gone", "returns 410"),
        ("/moved", "redirects it to https://elsewhere.example.com/"),
        ("/wether/now", "serves a file"),
        ("http://a.example.com:81/weather/", "no server handles it"),
        ("https://a.example.com/weather/", "no server handles it"),
        ("http://a.example.com/weather", "redirects it to"),
    ],
)
def test_what_nginx_answers_itself_is_an_error(stream: str, answer: str, tmp_path: Path) -> None:
    [one] = unproxied(put(tmp_path), "--stream", stream)
    assert one["severity"] == "error"
    assert answer in str(one["message"])
    assert stream in str(one["message"])
    assert {one["file"], one["line"], one["location"], one["stream"]} == {None}


@pytest.mark.parametrize(
    "stream",
    ["/weather/", "/weather/x?y=1", "http://a.example.com/weather/", "/lua", "/feeds/7"],
)
def test_what_is_passed_on_is_none(stream: str, tmp_path: Path) -> None:
    assert unproxied(put(tmp_path), "--stream", stream) == []


def test_the_block_that_answers_is_named(tmp_path: Path) -> None:
    [one] = unproxied(put(tmp_path), "--stream", "/gone")
    [related] = one["related"]
    assert related["line"] == 4


def test_one_server_that_passes_it_on_is_enough(tmp_path: Path) -> None:
    redirects = "} server { listen 81; return 301 https://$host$request_uri;"
    assert unproxied(put(tmp_path, LOCATIONS + redirects), "--stream", "/weather/") == []


def test_a_path_of_another_configuration(tmp_path: Path) -> None:
    put(tmp_path, "location /b { proxy_pass http://b; }", "b/nginx.conf")
    put(tmp_path, "location /a { proxy_pass http://a; }", "a/nginx.conf")
    assert unproxied(tmp_path, "--stream", "/a", "--stream", "/b") == []
    assert len(unproxied(tmp_path, "--stream", "/c")) == 1


def test_settings_are_where_it_stands(tmp_path: Path) -> None:
    path = put(tmp_path)
    settings = tmp_path / ".nginx-stream-lint.yaml"
    settings.write_text("streams:\n  - /weather/\n  - path: /typo\n    heartbeat: 5s\n")
    for given in (path, tmp_path):
        [one] = unproxied(given)
        assert str(one["file"]).endswith(".nginx-stream-lint.yaml")
        assert (one["line"], one["column"], one["location"]) == (3, 5, None)
    (tmp_path / "pyproject.toml").write_text('[tool.nginx-stream-lint]\nstreams = ["/typo"]\n')
    settings.unlink()
    [one] = unproxied(path)
    assert (str(one["file"]).rpartition("/")[2], one["line"]) == ("pyproject.toml", 2)


def test_settings_are_for_more_than_a_hook_is_given(tmp_path: Path) -> None:
    one = put(tmp_path, "location /a { proxy_pass http://a; }", "a/nginx.conf")
    two = put(tmp_path, "location /b { proxy_pass http://b; }", "b/nginx.conf")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".nginx-stream-lint.yaml").write_text("streams: [/a, /b, /c]\n")
    assert unproxied(one) == []
    assert len(unproxied(one, two)) == 1
    assert len(unproxied(tmp_path)) == 1


def test_an_override_is_for_its_files(tmp_path: Path) -> None:
    put(tmp_path, "location /a { proxy_pass http://a; }", "a/nginx.conf")
    put(tmp_path, "location /b { proxy_pass http://b; }", "b/nginx.conf")
    (tmp_path / ".nginx-stream-lint.yaml").write_text(
        "overrides:\n  - paths: a/\n    streams: [/a]\n  - paths: b/\n    streams: [/a]\n"
    )
    [one] = unproxied(tmp_path)
    assert one["line"] == 5


def test_what_nobody_can_see_may_pass_it_on(tmp_path: Path) -> None:
    path = tmp_path / "site.conf.template"
    path.write_text("server { location ${API_PATH} { proxy_pass http://a; } }\n")
    assert unproxied(path, "--stream", "/api/chat") == []
    mixed = "server { location / { return 404; } include /etc/nginx/a.conf; include ${REST}; }\n"
    path.write_text(mixed)
    assert unproxied(path, "--stream", "/api/chat") == []


def test_comments_in_what_passes_nothing_on(tmp_path: Path) -> None:
    comment = "# nginx-stream-lint: stream\n"
    path = put(tmp_path, f"location /a {{ {comment} return 404; }}")
    [one] = unproxied(path)
    assert one["file"] == str(path).lstrip("/") or str(one["file"]).endswith("nginx.conf")
    assert "returns 404" in str(one["message"])
    for text in (
        f"location /a {{ {comment} proxy_pass http://a; }}",
        f"location /a {{ {comment} location /a/b {{ proxy_pass http://a; }} }}",
        f"{comment} location /a {{ proxy_pass http://a; }} location /b {{ return 404; }}",
        f"location /a {{ {comment} content_by_lua_file x.lua; }}",
    ):
        assert unproxied(put(tmp_path, text)) == [], text


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_copes(form: str, tmp_path: Path) -> None:
    done = run_here("--format", form, "--stream", "/typo", put(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "unproxied-stream" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_baseline_knows_it(tmp_path: Path) -> None:
    path, baseline = put(tmp_path), tmp_path / "known.json"
    run_here("--stream", "/typo", "--write-baseline", baseline, path)
    done = run_here("--stream", "/typo", "--baseline", baseline, path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_fixed_by_hand(tmp_path: Path) -> None:
    path = put(tmp_path)
    before = path.read_text()
    run_here("--stream", "/typo", "--fix", "--select", "unproxied-stream", path)
    assert path.read_text() == before
    assert findings(path, "--stream", "/typo", status=1)[-1]["fix"]["applicability"] == "manual"


@pytest.mark.parametrize(
    ("include", "severity"),
    [
        ("http { include /etc/nginx/conf.d/*.conf; server { SERVER } }", "warning"),
        ("http { server { SERVER include /etc/nginx/locations/*.conf; } }", "warning"),
        ("http { server { SERVER include /etc/nginx/locations.conf; } }", "warning"),
        ("include /etc/nginx/http.d/*.conf; http { server { SERVER } }", "warning"),
        ("http { server { SERVER } server { include /etc/nginx/other/*.conf; } }", "warning"),
        ("http { server { SERVER location /b { include /etc/nginx/b/*.conf; } } }", "error"),
        ("http { server { SERVER include /etc/nginx/mime.types; } }", "error"),
        ("http { server { SERVER } }", "error"),
    ],
)
def test_an_absent_include_may_hold_the_location(
    include: str, severity: str, tmp_path: Path
) -> None:
    """The repository has not all that nginx will read: then it is no error, but not silent."""
    (tmp_path / ".git").mkdir()
    server = "listen 80; server_name a.example.com; location / { return 404; }"
    path = tmp_path / "nginx.conf"
    path.write_text(f"events {{}}\n{include.replace('SERVER', server)}\n")
    done = run_here("--format", "json", "--select", "unproxied-stream", "--stream", "/api", path)
    [one] = json.loads(done.stdout)["findings"]
    assert one["severity"] == severity
    assert ("--mount" in one["message"]) == (severity == "warning")
    assert done.returncode == (1 if severity == "error" else 0)
    # What is named is where it lies, or is meant to be missing.
    (tmp_path / ".nginx-stream-lint.yaml").write_text("absent_includes: ['/etc/nginx/*']\n")
    assert unproxied(path, "--stream", "/api")[0]["severity"] == "error"


def test_a_named_server_is_not_that_of_an_absent_file(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    path = tmp_path / "nginx.conf"
    path.write_text(
        "events {}\nhttp { include /etc/nginx/conf.d/*.conf;\n"
        "server { listen 80; server_name a.example.com; location / { return 404; } } }\n"
    )
    [one] = unproxied(path, "--stream", "http://a.example.com/api")
    assert one["severity"] == "error"
    done = run_here("--format", "json", "--stream", "http://b.example.com/api", path)
    assert [one["severity"] for one in json.loads(done.stdout)["findings"]] == ["warning"]


def test_a_comment_where_an_absent_file_may_pass_on(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inside = "location /a {{\n# nginx-stream-lint: stream\n{}\n}}"
    for text, severity in (
        ("return 404;", "error"),
        ("include /etc/nginx/proxy/*.conf;", "warning"),
        ("include /etc/nginx/proxy.conf;", "warning"),
    ):
        path = put(tmp_path, inside.format(text))
        done = run_here("--format", "json", "--select", "unproxied-stream", path)
        assert [one["severity"] for one in json.loads(done.stdout)["findings"]] == [severity]
