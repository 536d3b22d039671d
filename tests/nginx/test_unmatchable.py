"""Locations that no request ends in, and those that only look like it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import findings, run_here

from nginx_stream_lint.nginx.location_match import LocationPattern
from nginx_stream_lint.nginx.unreachable_locations import intended_location


@pytest.mark.parametrize(
    ("modifier", "path", "first"),
    [
        ("", "^/events", "~ ^/events"),
        ("", "^/events/(.*)$", "~ ^/events/(.*)$"),
        ("=", "^/events$", "~ ^/events$"),
        ("", "/events$", "= /events"),
        ("^~", "/events$", "= /events"),
        ("", "/v1/*/events", "~ ^/v1/[^/]+/events"),
        ("", "/v1/*/*/events$", "~ ^/v1/[^/]+/[^/]+/events$"),
        ("", r"/events\.json", r"~ ^/events\.json"),
        ("", r"\.(php|html)$", r"~ \.(php|html)$"),
        ("", "*.php", r"~ \.php$"),
        ("", "events", "/events"),
        ("=", "api/chat", "/api/chat"),
        ("", "/api/.*", "~ ^/api/.*"),
        ("", "/api/(v1|v2)/chat", "~ ^/api/(v1|v2)/chat"),
        ("", "/users/[0-9]+/events", "~ ^/users/[0-9]+/events"),
        ("", "/files/[^/]+", "~ ^/files/[^/]+"),
        ("", "/events/?", "~ ^/events/?"),
        ("", "/chat?stream=1", "/chat"),
        ("=", "/chat?stream=1", "= /chat"),
        ("", "/a//b", "/a/b"),
        ("", "/a/../b", "/a/b"),
        ("", "/$", "= /"),
    ],
)
def test_it_never_matches(modifier: str, path: str, first: str) -> None:
    assert intended_location(LocationPattern(modifier, path))[0] == first


@pytest.mark.parametrize("modifier", ["", "=", "^~"])
@pytest.mark.parametrize(
    "path",
    [
        *(
            "/",
            "/a+b",
            "/c++/",
            "/$metadata",
            "/odata/$batch",
            "/x$y",
            "/*",
            "/api/*",
            "/*/_search",
        ),
        *("/wiki/Foo_(bar)", "/chunks/[slug]-1.js", "/~user/", "/@vite/client", "/a:b", "/.git"),
        *("/.well-known/", "/.", "/..", "/a.b.c", "/events*", "/{id}", "/x,y;z", "/a=b", "/ü"),
        *("$prefix/x", "[path]", "<PATH>", "__PATH__/", "%PATH%"),
    ],
)
def test_it_may_match(modifier: str, path: str) -> None:
    assert intended_location(LocationPattern(modifier, path)) == ()


@pytest.mark.parametrize(("modifier", "path"), [("~", "^/x$"), ("~*", r"\.php$"), ("@", "x")])
def test_what_is_no_plain_path(modifier: str, path: str) -> None:
    assert intended_location(LocationPattern(modifier, path)) == ()


def test_slashes_that_are_not_merged() -> None:
    assert intended_location(LocationPattern("", "/a//b"), merge_slashes=False) == ()


def configuration(folder: Path, locations: str) -> Path:
    path = folder / "nginx.conf"
    path.write_text(f"events {{}}\nhttp {{ server {{\n{locations}\n}} }}\n")
    return path


def test_it_is_a_warning_and_no_stream(tmp_path: Path) -> None:
    inner = "location ^/v1/events/x { proxy_pass http://a; }"
    for name, text in {
        "": "location ^/events { proxy_pass http://a; }",
        "quoted": 'location "/v1/chat/completions$" { proxy_pass http://a; }',
        "nested": "location ^/v1 { location ^/v1/events { proxy_pass http://a; } }",
        "inside": f"location ~ /v1 {{ {inner} }}",
    }.items():
        done = run_here("--format", "json", configuration(tmp_path, text))
        report = json.loads(done.stdout)
        [one] = report["findings"]
        assert (one["rule"], one["severity"]) == ("unmatchable-location", "warning"), name
        assert one["stream"] is None
        assert (report["summary"]["locations"], report["summary"]["streams"]) == (0, 0), name


def test_one_that_passes_nothing_on_is_none_of_ours(tmp_path: Path) -> None:
    path = configuration(tmp_path, "location ^/static { root /srv; }")
    assert findings(path, status=0) == []


def test_merge_slashes_counts(tmp_path: Path) -> None:
    text = "location //x { proxy_pass http://a; }"
    rules = [one["rule"] for one in findings(configuration(tmp_path, text), status=0)]
    assert rules == ["unmatchable-location"]
    path = configuration(tmp_path, f"merge_slashes off; {text}")
    assert "unmatchable-location" not in [one["rule"] for one in findings(path, status=0)]


def test_it_can_be_ignored(tmp_path: Path) -> None:
    path = configuration(
        tmp_path,
        "# nginx-stream-lint: ignore[unmatchable-location] on purpose\n"
        "location ^/events { proxy_pass http://a; }",
    )
    assert findings(path, status=0) == []
