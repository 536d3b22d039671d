"""What nginx answers without an app: sockets, redirects, refusals, and other handlers.

tests/conformance/random_answers.py holds all of this to real nginx.
"""

from __future__ import annotations

import pytest

from nginx_stream_lint.config import read
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.nginx.request_route import Route, route_request

PASS = "proxy_pass http://127.0.0.1:9;"


def way(text: str, url: str, method: str = "GET") -> Route:
    """The way of a URL; what is written stands in `http`, or in a server on port 80."""
    if "server {" not in text:
        text = f"server {{ listen 80; server_name h; {text} }}"
    configuration = read(
        "nginx.conf", Workspace.in_memory({"nginx.conf": f"events {{}} http {{ {text} }}"})
    )
    assert configuration.problems == []
    return route_request(build(configuration), parse_url(url, method), (1, 31, 3))


SOCKETS = """
    server { listen [::]:80; return 201; }
    server { listen 80; return 202; }
    server { listen 127.0.0.2:80; return 203; }
    server { listen [::1]:80; server_name six; return 204; }
    server { listen [::]:81 ipv6only=off; return 205; }
    server { listen [::]:82; return 206; }
"""


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://127.0.0.1/", 202),
        ("http://10.1.1.1/", 202),
        ("http://127.0.0.2/", 203),
        ("http://[::1]/", 204),
        ("http://[0:0:0:0:0:0:0:1]/", 204),
        ("http://[2001:db8::1]/", 201),
        ("http://some.example/", 202),
        ("http://localhost/", 202),
        ("http://127.0.0.1:81/", 205),
        ("http://[::1]:81/", 205),
        ("http://127.0.0.1:82/", None),
        ("http://[::1]:82/", 206),
        ("http://some.example:82/", 206),
    ],
)
def test_an_address_goes_to_its_own_socket(url: str, status: int | None) -> None:
    assert way(SOCKETS, url).status == status
    assert (way(SOCKETS, url).server is None) == (status is None)


@pytest.mark.parametrize(
    ("text", "url", "redirect"),
    [
        ("return 301 /to;", "http://h/", "http://h/to"),
        ("return 301 /to;", "/", "http://h/to"),
        ("return 301 /to;", "http://H:80/", "http://h/to"),
        ("return 301 to;", "http://h/", "to"),
        ("return 301 //o/to;", "http://h/", "http://h//o/to"),
        ("return 302 https://$host$request_uri;", "http://h/a?b", "https://h/a?b"),
        ("absolute_redirect off; return 301 /to;", "http://h/", "/to"),
        (f"location /a/ {{ {PASS} }}", "http://h/a?b=c", "http://h/a/?b=c"),
        ("location /a { rewrite ^ /b permanent; }", "http://h/a?b=c", "http://h/b?b=c"),
        ("location /a { error_page 404 /a/; return 404; } location /a/ { return 307 /x; }",
         "http://h/a", "http://h/x"),
        ("location /a { error_page 404 http://o/; return 404; }", "http://h/a", "http://o/"),
        ("server { listen 81; server_name n .o; return 301 /to; }", "http://x:81/", "http://x:81/to"),
        ("server { listen 81; server_name n; server_name_in_redirect on; return 301 /to; }",
         "http://x:81/", "http://n:81/to"),
        ("server { listen 81; port_in_redirect off; return 301 /to; }", "http://x:81/", "http://x/to"),
        ("server { listen 443 ssl; return 301 /to; }", "https://x/", "https://x/to"),
        ("server { listen 8443 ssl; return 301 /to; }", "https://x:8443/", "https://x:8443/to"),
        ("server { listen [::1]:81; return 301 /to; }", "http://[::1]:81/", "http://[::1]:81/to"),
        ("server { listen 81; server_name a b; return 301 /to; }", "/", "/to"),
    ],
)  # fmt: skip
def test_a_redirect_is_as_nginx_sends_it(text: str, url: str, redirect: str) -> None:
    assert way(text, url).redirect == redirect


def test_a_handshake_that_is_rejected() -> None:
    text = """
        server { listen 443 ssl default_server; ssl_reject_handshake on; }
        server { listen 443 ssl; server_name a.example; return 201; }
    """
    rejected = way(text, "https://b.example/")
    assert rejected.rejected_by is not None
    assert rejected.rejected_by.name == "ssl_reject_handshake"
    assert rejected.handler is None
    # An address is named in no handshake, so the default server decides.
    assert way(text, "https://127.0.0.1/").rejected_by is not None
    assert way(text, "https://a.example/").status == 201


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ("return 200;", None),
        ("return 204;", None),
        ("return 401;", 401),
        ("return 403;", 403),
        ("return 302 /login;", 500),
        ("return 404;", 500),
        ("return 444;", 444),
        (PASS, None),
        ("proxy_pass $arg_none;", 500),
        ("deny all; return 204;", None),
        # What clients send to show who they are is not known.
        ('if ($http_authorization = "") { return 401; } return 204;', None),
        ('if ($cookie_session = "") { return 401; } return 204;', None),
    ],
)
def test_auth_request(asked: str, status: int | None) -> None:
    text = f"location / {{ auth_request /auth; {PASS} }} location = /auth {{ {asked} }}"
    found = way(text, "http://h/")
    assert found.status == status
    assert (found.handler is None) == (status is not None)
    assert any("auth_request" in step.why for step in found.via) == (status is not None)
    assert any("auth_request /auth" in one for one in found.unknown) == ("if (" in asked)


def test_auth_request_that_an_error_page_answers() -> None:
    text = f"""location / {{ auth_request /auth; error_page 401 = @login; {PASS} }}
        location = /auth {{ return 401; }} location @login {{ return 302 /login; }}"""
    assert way(text, "http://h/").redirect == "http://h/login"


@pytest.mark.parametrize(
    ("rows", "status"),
    [
        ('set $v ""; proxy_pass $v;', 500),
        ('set $v ""; proxy_pass http://$v;', 500),
        ("set $v app; proxy_pass http://$v;", 502),
        ("set $v app; proxy_pass http://$v; resolver 127.0.0.1;", None),
        ("set $v localhost:8000; proxy_pass http://$v;", 502),
        ("set $v 127.0.0.1; proxy_pass http://$v;", None),
        ("set $v up; proxy_pass http://$v;", None),
        ("set $v up; proxy_pass http://$v:8080;", 502),
        ("set $v known.example; proxy_pass http://$v$request_uri;", None),
        ("set $v app; fastcgi_pass $v;", 500),
        ("set $v app:9000; fastcgi_pass $v;", 502),
        ("set $v unix:/run/app.sock; fastcgi_pass $v;", None),
        ("proxy_pass http://$remote_addr;", None),
    ],
)
def test_a_target_of_variables(rows: str, status: int | None) -> None:
    text = f"""upstream up {{ server 127.0.0.1:1; }} server {{ listen 80; location / {{ {rows} }}
        location /known {{ proxy_pass http://known.example; }} }}"""
    assert way(text, "http://h/").status == status


@pytest.mark.parametrize(
    ("rows", "name", "streaming"),
    [
        ("content_by_lua_block { ngx.say(1) }", "content_by_lua_block", "depends"),
        ("js_content main.stream;", "js_content", "depends"),
        ("nchan_subscriber; nchan_channel_id $uri;", "nchan_subscriber", "by-itself"),
        ("push_stream_subscriber;", "push_stream_subscriber", "by-itself"),
        ("push_stream_publisher admin;", "push_stream_publisher", "no"),
        ("passenger_enabled on;", "passenger_enabled", "depends"),
        ("perl Module::handler;", "perl", "depends"),
        ("stub_status;", "stub_status", "no"),
        ("memcached_pass 127.0.0.1:11211;", "memcached_pass", "no"),
        ("ajp_pass tomcat;", "ajp_pass", "unknown"),
        (f"{PASS} stub_status;", "stub_status", "no"),
        (f"stub_status; {PASS}", None, None),
        ("passenger_enabled off;", None, None),
        ("nchan_message_timeout 5m;", None, None),
    ],
)
def test_other_handlers_are_named(rows: str, name: str | None, streaming: str | None) -> None:
    found = way(f"location / {{ {rows} }}", "http://h/")
    assert (found.other and found.other.directive.name) == name
    assert (found.other and found.other.streaming) == streaming
    assert found.handler is None or name is None


def test_a_module_of_the_server_answers_where_nothing_else_does() -> None:
    text = f"passenger_enabled on; location / {{ }} location /app {{ {PASS} }}"
    found = way(text, "http://h/x")
    assert found.other is not None
    assert found.other.directive.name == "passenger_enabled"
    assert way(text, "http://h/app").handler is not None
