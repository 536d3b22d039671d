"""The way of a request, one peculiarity of nginx at a time; the random ones are in conformance/."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.nginx.pcre import compile_pattern
from nginx_stream_lint.nginx.request import BadUrl, parse_url
from nginx_stream_lint.nginx.route import Route, route
from nginx_stream_lint.nginx.versions import OLD

PASS = "proxy_pass http://127.0.0.1:8000;"


def built(folder: Path, servers: str) -> Level:
    path = folder / "nginx.conf"
    path.write_text(f"events {{}} http {{ {servers} }}")
    configuration = read(str(path))
    assert configuration.problems == []
    return build(configuration)


def routed(folder: Path, inside: str, target: str, method: str = "GET") -> Route:
    root = built(folder, f"server {{ listen 80; {inside} }}")
    return route(root, parse_url(target, method), OLD)


def label(found: Route) -> str:
    assert found.location is not None
    return found.location.label


@pytest.mark.parametrize(
    ("inside", "target", "wanted"),
    [
        (f"location /a/ {{ {PASS} }}", "/x/../a/%62", "location /a/"),
        (f"location /a/b {{ {PASS} }}", "//a///b", "location /a/b"),
        (f"merge_slashes off; location /a/b {{ {PASS} }}", "/a//b", "server"),
        (f"location ~ ^/v1/ {{ {PASS} }} location /v1/chat {{ {PASS} }}", "/v1/chat", "~ ^/v1/"),
        (f"location ~ ^/v1/ {{ {PASS} }} location ^~ /v1/c {{ {PASS} }}", "/v1/c", "^~ /v1/c"),
        (f"location ~* \\.PHP$ {{ {PASS} }}", "/x.php", "~* \\.PHP$"),
        (f"location / {{ {PASS} if ($arg_a = b) {{ gzip on; }} }}", "/?a=b", "if ($arg_a = b)"),
        (f"location / {{ {PASS} if ($arg_a = b) {{ gzip on; }} }}", "/?a=c", "location /"),
        (f"rewrite ^/o/(.*)$ /n/$1; location /n/ {{ {PASS} }}", "/o/x", "location /n/"),
        (
            f"location /o/ {{ rewrite ^ /n/x break; {PASS} }} location /n/ {{ {PASS} }}",
            "/o/x",
            "location /o/",
        ),
        (f"location /t {{ try_files $uri @a; }} location @a {{ {PASS} }}", "/t", "location @a"),
        (
            f"location /t {{ error_page 418 = @a; return 418; }} location @a {{ {PASS} }}",
            "/t",
            "location @a",
        ),
        (f"location / {{ {PASS} limit_except POST {{ deny all; }} }}", "/", "limit_except POST"),
        (f"set $w x; if ($w = x) {{ rewrite ^ /n last; }} location /n {{ {PASS} }}", "/", "/n"),
    ],
)
def test_where_it_ends(inside: str, target: str, wanted: str, tmp_path: Path) -> None:
    assert label(routed(tmp_path, inside, target)).endswith(wanted)


@pytest.mark.parametrize(
    ("inside", "target", "status"),
    [
        (f"location / {{ {PASS} }}", "/../x", 400),
        (f"location / {{ {PASS} }}", "/%zz", 400),
        (f"location /a/ {{ {PASS} }}", "/a", 301),
        (f"location /a {{ internal; {PASS} }}", "/a", 404),
        ("location / { return 204; }", "/", 204),
        ("location / { rewrite ^ /again last; }", "/", 500),
        ("rewrite ^ https://example.com/ permanent;", "/", 301),
    ],
)
def test_what_nginx_answers_itself(inside: str, target: str, status: int, tmp_path: Path) -> None:
    found = routed(tmp_path, inside, target)
    assert found.handler is None
    assert found.status == status


NAMES = """
server { listen 80; server_name default.example; }
server { listen 80; server_name *.example.com; }
server { listen 80; server_name a.example.com; }
server { listen 80; server_name www.example.*; }
server { listen 80; server_name ~^(?<who>\\w+)\\.dev$; }
server { listen 80; server_name .example.org; }
server { listen 127.0.0.1:80 default_server; server_name local; }
server { listen 443 ssl; server_name a.example.com; ssl_certificate c; ssl_certificate_key k; }
"""


@pytest.mark.parametrize(
    ("url", "number"),
    [
        ("http://unknown/", 0),
        ("http://b.example.com/", 1),
        ("http://A.EXAMPLE.COM./", 2),
        ("http://www.example.net/", 3),
        ("http://me.dev/", 4),
        ("http://example.org/", 5),
        ("http://x.example.org/", 5),
        ("http://127.0.0.1/", 6),
        ("https://a.example.com/", 7),
    ],
)
def test_servers(url: str, number: int, tmp_path: Path) -> None:
    root = built(tmp_path, NAMES)
    http = root.first("http")
    assert http is not None
    assert route(root, parse_url(url), OLD).server is http.children[number]


@pytest.mark.parametrize("url", ["ftp://x/", "x", "http://", "http://x:0/", "http://x:70000/"])
def test_urls_that_cannot_be_asked(url: str) -> None:
    with pytest.raises(BadUrl):
        parse_url(url)


@pytest.mark.parametrize(
    ("pattern", "subject", "matches"),
    [
        (r"^/[[:alpha:]]+$", "/abc", True),
        (r"^/\Qa.b\E$", "/axb", False),
        (r"^/(?<name>x)$", "/x", True),
        (r"\d", "/\u0663", False),
        (r"^/.$", "/\u00e9", False),
        (r"^/a\z", "/a", True),
        (r"(?i)^/ABC", "/abc", True),
    ],
)
def test_patterns_are_read_as_pcre(pattern: str, subject: str, matches: bool) -> None:
    compiled = compile_pattern(pattern)
    assert compiled is not None
    assert (compiled.search(subject) is not None) == matches


@pytest.mark.parametrize("pattern", [r"a(?R)?b", r"(*COMMIT)a"])
def test_patterns_that_python_has_not(pattern: str) -> None:
    assert compile_pattern(pattern) is None
