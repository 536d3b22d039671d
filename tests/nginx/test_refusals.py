"""What nginx refuses when all is read: names, sizes and sockets that do not go together.

Each text is given to `nginx -t`, old and new, and to us. What is not there to see may be all right,
so fragments, and configurations with absent includes, are never refused for what they lack.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint import Workspace
from nginx_stream_lint.analysis.lint import read as read_all
from nginx_stream_lint.config import InputOptions, read
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.versions import NEW, Version
from nginx_stream_lint.probe import NginxBinary, check_file

START = "pid nginx.pid; error_log stderr; events {}\n"
TEMP = " ".join(
    f"{name}_temp_path temp_{name};"
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)


def in_http(rows: str) -> str:
    return f"{START}http {{ access_log off; {TEMP}\n{rows}\n}}\n"


def in_location(rows: str) -> str:
    return in_http(f"server {{ listen unix:s;\nlocation / {{ {rows} }} }}")


def said(text: str, folder: Path, version: Version | None = None) -> list[str]:
    main = folder / "main.conf"
    main.write_text(text)
    configuration = read(str(main))
    assert configuration.problems == []
    return [problem.message for problem in refusals(build(configuration), version)]


VARIABLES_REFUSED = [
    "proxy_set_header Connection $connection_upgrade;",
    "proxy_set_header Connection ${connection_upgrade};",
    'add_header X "a $nope b";',
    "return 200 $nope;",
    "if ($nope) { }",
    "if ($host = $nope) { }",
    "set $a $nope;",
    "rewrite ^ /$nope;",
    "try_files $nope =404;",
    "proxy_pass http://$nope;",
    "proxy_cache_bypass $nope;",
    "error_page 404 /$nope;",
    "fastcgi_param A $nope;",
    "grpc_set_header A $nope;",
    "limit_except GET { proxy_pass http://$nope; }",
    "access_log /dev/null combined if=$nope;",
    "proxy_redirect http://a/ /$nope/;",
    "proxy_cookie_path /a /$nope;",
    "proxy_store /$nope;",
    "charset $nope;",
    "secure_link a; secure_link_md5 $nope;",
    "location ~ ^/(?<ab>.)$ { } return 200 $abc;",
]
VARIABLES_TAKEN = [
    "return 999 a; location / { return 0; }",
    "return 200 $HOST$1$remote_addr$request_id;",
    "return 200 $arg_$http_a$cookie_b$sent_http_c$upstream_http_d$upstream_cookie_e;",
    "return 200 $sent_trailer_f$upstream_trailer_g;",
    "set $a b; return 200 $A;",
    "return 200 $later; location /in { set $later x; }",
    "location ~ ^/(?<ab>.)$ { } return 200 $ab;",
    "location ~ ^/(?P<ab>.)$ { } return 200 $ab;",
    "if ($uri ~ '(?<ab>.)') { } return 200 $ab;",
    "rewrite '^/(?<ab>.)' /b; return 200 $ab;",
    "if ($host ~ $nope) { }",
    "rewrite a$nope /b;",
    "location ~ a$nope { }",
    "default_type $nope;",
    "auth_request_set $ab $upstream_status; return 200 $ab;",
]
HTTP_REFUSED = [
    "proxy_set_header A $nope; server { listen unix:s; }",
    "map $nope $a { default b; }",
    "map $http_upgrade a { default upgrade; } server { listen unix:s; return 200 $a; }",
    "geo a { default 1; }",
    "split_clients $host a { * b; }",
    "server { listen unix:s; set a b; }",
    "map $host $a { default $nope; }",
    "log_format a '$nope';",
    "limit_req_zone $nope zone=a:1m rate=1r/s;",
    "proxy_set_header A b; server { proxy_set_header A $nope; listen unix:s;"
    " location / { proxy_set_header B c; } }",
    "server { listen unix:s; return 1000; }",
    "server { listen unix:s; location / { return 1000000000000000000000 a; } }",
    "proxy_cache nope;",
    "proxy_cache nope; server { listen unix:s; proxy_cache off; }",
    "proxy_cache_path c keys_zone=z:1m; server { listen unix:s; proxy_cache zz; }",
    "proxy_cache_path c keys_zone=z:1m; server { listen unix:s; fastcgi_cache z; }",
    "limit_conn_zone $host zone=z:1m; server { listen unix:s; limit_conn zz 5; }",
    "limit_req_zone $host zone=z:1m rate=1r/s; server { listen unix:s; limit_req zone=zz; }",
    "proxy_buffer_size 64k; server { listen unix:s; }",
    "proxy_buffer_size 64k; server { listen unix:s; location / { proxy_buffers 4 64k; } }",
    "server { listen unix:s; location / { proxy_buffer_size 64k; } }",
    "server { listen unix:s; location / { fastcgi_buffer_size 15k; } }",
    "server { listen unix:s; proxy_buffers 2 4k; }",
    "server { listen unix:s; proxy_buffers 1 64k; }",
    "server { listen unix:s; uwsgi_busy_buffers_size 2k; }",
    "server { listen unix:s; scgi_buffers 8 16k; location / { scgi_busy_buffers_size 8k; } }",
    "server { listen unix:s; proxy_max_temp_file_size 2k; }",
    "server { listen 8099 default_server; } server { listen *:8099 default_server; }",
    "server { listen 8099 default; } server { listen 0.0.0.0:8099 default_server; }",
    "server { listen [::]:8099 default_server; } server { listen [::]:8099 default_server; }",
    "server { listen unix:s default_server; } server { listen unix:s default_server; }",
    "server { listen 8098-8099 default_server; } server { listen 8099 default_server; }",
    "server { listen 8099; listen 0.0.0.0:8099; }",
    "server { listen unix:s; grpc_buffering off; }",
    "server { listen unix:s; proxy_http_version 3; }",
    "server { listen unix:s; proxy_http_version $host; }",
]
HTTP_TAKEN = [
    "proxy_set_header A $nope; server { listen unix:s; proxy_set_header B c; }",
    "map $host $a { $nope 1; } map $http_upgrade $connection_upgrade { default upgrade; '' close; }"
    " server { listen unix:s; proxy_set_header Connection $connection_upgrade; }",
    "geo $a { default 1; } geo $host $b { default 1; } server { listen unix:s; return 200 $a$b; }",
    "split_clients $host $a { * b; } server { listen unix:s; return 200 $a; }",
    "map $host $a { ~(?<ab>.) c; } server { listen unix:s; return 200 $ab; }",
    "server { listen unix:s; server_name ~^(?<ab>.+)$; return 200 $ab; }",
    "proxy_cache z; proxy_cache_path c keys_zone=z:1m; server { listen unix:s; }",
    "proxy_buffer_size 64k;",
    "proxy_buffer_size 64k; proxy_buffers 4 64k; server { listen unix:s; }",
    "proxy_buffer_size 64k; server { listen unix:s; proxy_buffers 4 64k; location / { } }",
    "proxy_buffer_size 64k; proxy_busy_buffers_size 64k; proxy_buffers 2 64k;"
    " server { listen unix:s; }",
    "proxy_buffer_size 14k; server { listen unix:s; proxy_max_temp_file_size 0; }",
    "grpc_buffer_size 64k; server { listen unix:s; }",
    "server { listen unix:s default_server; } server { listen unix:s; }",
    "server { listen 127.0.0.1:8099 default_server; } server { listen *:8099 default_server; }",
    "server { listen 8099 default_server; } server { listen [::]:8099 default_server; }",
    "limit_conn_zone $host zone=z:1m; server { listen unix:s; limit_conn z 5; }",
]
CASES = [
    *((in_location(rows), False) for rows in VARIABLES_REFUSED),
    *((in_location(rows), True) for rows in VARIABLES_TAKEN),
    *((in_http(rows), False) for rows in HTTP_REFUSED),
    *((in_http(rows), True) for rows in HTTP_TAKEN),
]


@pytest.mark.parametrize(("text", "good"), CASES)
def test_nginx_and_we_refuse_the_same(
    text: str, good: bool, binary: NginxBinary, tmp_path: Path
) -> None:
    ours = said(text, tmp_path, binary.version)
    accepted, theirs = check_file(binary, tmp_path / "main.conf")
    assert accepted == good, theirs
    assert (not ours) == good, ours
    assert len(ours) <= 1
    assert all(message in theirs or "zone" in message for message in ours), theirs


BY_VERSION = [
    ("server { listen unix:s; http2 on; }", 'unknown directive "http2"', (1, 25, 1)),
    ("server { listen unix:s; http3 on; }", 'unknown directive "http3"', (1, 25, 0)),
    ("server { listen 443 quic; }", 'invalid parameter "quic"', (1, 25, 0)),
    ("proxy_http_version 2;", 'invalid value "2"', (1, 29, 4)),
    ("add_header_inherit merge;", 'unknown directive "add_header_inherit"', (1, 29, 3)),
    (
        "upstream u { server 127.0.0.1; resolver 127.0.0.1; }",
        '"resolver" directive is not allowed here',
        (1, 27, 3),
    ),
]


@pytest.mark.parametrize(("rows", "message", "since"), BY_VERSION)
def test_what_came_with_a_version(rows: str, message: str, since: Version, tmp_path: Path) -> None:
    major, minor, patch = since
    before = (major, minor, patch - 1) if patch else (major, minor - 1, 99)
    text = in_http(rows)
    assert said(text, tmp_path, before) == [message]
    assert said(text, tmp_path, since) == []
    assert said(text, tmp_path) == [], "nobody says which nginx it is"


def test_what_a_version_took_away(tmp_path: Path) -> None:
    text = in_http("ssl off; server { listen unix:s; }")
    assert said(text, tmp_path, (1, 25, 0)) == []
    assert said(text, tmp_path, (1, 25, 1)) == ['unknown directive "ssl"']


@pytest.mark.parametrize("rows", ["http2 on;", "proxy_http_version 2;", "add_header_inherit off;"])
def test_versions_on_nginx(rows: str, binary: NginxBinary, tmp_path: Path) -> None:
    text = in_http(f"server {{ listen unix:s; {rows} }}")
    ours = said(text, tmp_path, binary.version)
    accepted, theirs = check_file(binary, tmp_path / "main.conf")
    assert accepted == (binary.version >= NEW)
    assert accepted == (not ours)
    assert all(message in theirs for message in ours)


LACKS = [
    "proxy_set_header Connection $connection_upgrade;",
    "proxy_cache nope;",
    "proxy_buffer_size 64k;",
    "limit_conn nope 5;",
]


@pytest.mark.parametrize("row", LACKS)
@pytest.mark.parametrize(
    "text",
    [
        "server { location / { ROW } }",
        "location / { ROW }",
        "ROW",
        START + "http { include /etc/somewhere/else.conf; server { ROW } }",
        START + "http { include conf.d/*.conf; server { ROW } }",
        START + "http { include known/*.conf; server { ROW } }",
        START + "http { include /etc/nginx/more/*.conf; server { ROW } }",
        START + "http { server { include snippets/fastcgi-php.conf; ROW } }",
        START + "http { {{ more }}\n server { ROW } }",
    ],
)
def test_what_is_not_there_may_define_it(text: str, row: str) -> None:
    files = {
        "nginx.conf": text.replace("ROW", row),
        "known/a.conf": "include /nowhere/b.conf;",
        "more/a.conf": "",
    }
    workspace = Workspace.in_memory(files)
    [configuration] = read_all(workspace, ["nginx.conf"], InputOptions())
    assert refusals(build(configuration), NEW) == []


@pytest.mark.parametrize("row", LACKS)
@pytest.mark.parametrize(("folder", "mounts"), [("", ()), ("/etc/nginx/", (("/etc/nginx", "."),))])
def test_what_is_beside_is_all_there_is(
    folder: str, mounts: tuple[tuple[str, str], ...], row: str
) -> None:
    text = f"{START}http {{ include {folder}more/*.conf; server {{ {row} }} }}"
    workspace = Workspace.in_memory({"nginx.conf": text, "more/a.conf": ""})
    [configuration] = read_all(workspace, ["nginx.conf"], InputOptions(mounts=mounts))
    assert len(refusals(build(configuration), NEW)) == 1


@pytest.mark.parametrize("row", LACKS)
def test_well_known_includes_define_nothing(row: str) -> None:
    rows = f"include /etc/nginx/mime.types; server {{ {row} more_set_headers 'A: b'; }}"
    text = f"load_module modules/ngx_http_js_module.so;\n{START}http {{ {rows} }}\n"
    workspace = Workspace.in_memory({"nginx.conf": text})
    [configuration] = read_all(workspace, ["nginx.conf"], InputOptions())
    [problem] = refusals(build(configuration))
    assert problem.line == 3
    assert problem.advice


@pytest.mark.parametrize(
    "rows",
    [
        "geoip2 a.mmdb { $nope country iso_code; }",
        "set_random $nope 1 2;",
        "js_set $nope main.nope;",
        "unheard_of on;",
    ],
)
def test_modules_may_define_variables(rows: str, tmp_path: Path) -> None:
    assert said(in_http(f"{rows} server {{ add_header A $nope; }}"), tmp_path) == []


def test_a_module_that_is_loaded_may_define_variables(tmp_path: Path) -> None:
    text = in_http("add_header A $nope;")
    assert said(f"load_module modules/ngx_http_geoip2_module.so;\n{text}", tmp_path) == []
    assert said(f"load_module modules/ngx_http_lua_module.so;\n{text}", tmp_path) != []


def test_variables_of_templates_are_not_nginx_variables(tmp_path: Path) -> None:
    text = in_http("server { listen ${PORT}; add_header A ${NOPE}; }")
    assert said(text, tmp_path) == []
