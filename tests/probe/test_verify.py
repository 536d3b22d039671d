"""Both sides of the allow list: words are written back as they were, and texts are held to it."""

from __future__ import annotations

import asyncio
import random
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nginx_stream_lint.config import Directive, Source
from nginx_stream_lint.config.configuration import read
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.probe import Nginx, NginxBinary, NginxError, check, free_ports
from nginx_stream_lint.probe.allowed_directives import HTTP, LEADS_TO_FILES, STREAM, UPSTREAM
from nginx_stream_lint.probe.copy import copy_of
from nginx_stream_lint.probe.copy_model import Copy, copy_text
from nginx_stream_lint.probe.folders import temporary_folder
from nginx_stream_lint.probe.quoting import UnwritableWord, quoted
from nginx_stream_lint.probe.verify import Bounds, Forbidden, verify

SECONDS = 60.0
MARKS = "\ufdd0\ufdd1\ufdd2\0"
SPECIAL = "\"'\\{};#$() \t\r\nab0n{}é\udc80"
WORDS = st.one_of(
    st.text(st.sampled_from(SPECIAL), max_size=12),
    st.text(st.characters(codec="utf-8", exclude_characters=MARKS), max_size=20),
)

# Words


@given(st.lists(WORDS, min_size=1, max_size=5))
@example(["a\\"])
@example(['\\"', ""])
@example(["${x", "}", "$"])
def test_our_tokenizer_reads_back_what_is_written(words: list[str]) -> None:
    text = " ".join(map(quoted, ["name", *words])) + "; " + quoted("last") + ";"
    file = parse(Source("nginx.conf", text))
    assert file.problems == []
    assert [(one.name, list(one.args)) for one in file.directives] == [
        ("name", words),
        ("last", []),
    ]
    assert "\n" not in text


def test_nginx_reads_back_what_is_written(binary: NginxBinary, tmp_path: Path) -> None:
    chosen = random.Random(7)
    # A variable would be replaced in a response; it is tried in the next test.
    letters = SPECIAL.replace("$", "")
    words = ["".join(chosen.choices(letters, k=chosen.randint(1, 12))) for _ in range(300)]
    (port,) = free_ports(1)
    rows = [
        f"location = /{number} {{ return 200 {quoted(word)}; }}"
        for number, word in enumerate(words)
    ]
    text = f"http {{ server {{ listen 127.0.0.1:{port}; {' '.join(rows)} }} }}"

    async def bodies() -> list[bytes]:
        async with Nginx(binary, text, tmp_path):
            return [await _body(port, f"/{number}") for number in range(len(words))]

    got = asyncio.run(asyncio.wait_for(bodies(), SECONDS))
    assert got == [word.encode("utf-8", "surrogateescape") for word in words]


@pytest.mark.parametrize("word", ["$", "a$", "${a}", "$a{", "${a", "$\\", "$\"'", "{$a};", "a$ b#"])
def test_nginx_reads_dollars_back(word: str, binary: NginxBinary, tmp_path: Path) -> None:
    ok, said = check(binary, quoted(f"nsl{word}") + ";", tmp_path)
    assert not ok
    assert f'unknown directive "nsl{word}"' in said


async def _body(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    response = await reader.read()
    writer.close()
    return response.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize("word", [*MARKS, "a\0b", "x" * 5000, "\ud800", '"' * 3000, "é" * 2100])
def test_what_nginx_cannot_read_is_not_written(word: str) -> None:
    with pytest.raises(UnwritableWord):
        quoted(word)


# The verifier alone

BOUNDS = Bounds(frozenset({20001}), frozenset({8001}), frozenset({"/m/lua.so"}))
HEAD = "load_module /m/lua.so; daemon off; pid run/nginx.pid; events { worker_connections 4096; }"
HTTP_HEAD = "access_log off; root /dev/null/nowhere; proxy_temp_path run/tmp/proxy;"
SERVER = "listen 127.0.0.1:20001 ssl;"


def in_http(*rows: str) -> str:
    return f"{HEAD} http {{ {HTTP_HEAD} {' '.join(rows)} }}"


def in_server(*rows: str) -> str:
    group = "upstream u { server 127.0.0.1:8001 weight=2; zone u 1m; }"
    return in_http(f"{group} server {{ {SERVER}", *rows, "}")


GOOD = in_server(
    "if ($request_method = POST) { return 405; } if (!-f $request_filename) { set $a 1; }",
    "location ~ ^/a(.*)$ { proxy_pass http://u/; }",
    "location /b { proxy_pass http://127.0.0.1:8001; proxy_buffers 8 16k; gzip on; }",
    "location /c { limit_except GET { add_header X 1; } grpc_pass u; alias /dev/null/nowhere/; }",
    "location /d { body_filter_by_lua 'ngx.arg[1] = ngx.arg[1]'; fastcgi_pass 127.0.0.1:8001; }",
)


def test_what_the_sandbox_needs_is_allowed() -> None:
    assert verify(GOOD, BOUNDS)


HOSTILE = {
    "code": in_server('content_by_lua_block { os.execute("id") }'),
    "code in a string": in_server("content_by_lua 'os.execute(1)';"),
    "another filter": in_server("location / { body_filter_by_lua 'x = 1'; }"),
    "another module": "load_module /m/other.so;" + GOOD,
    "a module up there": "load_module /m/../x.so;" + GOOD,
    "an include": in_server("include x;"),
    "an include at the top": GOOD + "include x;",
    "an include in a map": in_http("map $a $b { include x; }"),
    "an include in types": in_http("types { include x; }"),
    "an include in a geo": in_http("geo $b { include x; }"),
    "another host": in_server("location / { proxy_pass http://10.0.0.1; }"),
    "another port": in_server("location / { proxy_pass http://127.0.0.1:8002; }"),
    "a longer port": in_server("location / { proxy_pass http://127.0.0.1:80011; }"),
    "no group": in_server("location / { proxy_pass http://example.com; }"),
    "a group's port": in_server("location / { proxy_pass http://u:9; }"),
    "a user": in_server("location / { proxy_pass http://127.0.0.1:8001@evil/; }"),
    "a variable target": in_server("location / { proxy_pass http://127.0.0.1:8001$uri; }"),
    "a variable behind": in_server("location / { proxy_pass http://u/$uri; }"),
    "TLS": in_server("location / { proxy_pass https://u; }"),
    "a socket": in_server("location / { proxy_pass http://unix:/x; }"),
    "FastCGI elsewhere": in_server("location / { fastcgi_pass 127.0.0.1:9000; }"),
    "FastCGI by a variable": in_server("location / { fastcgi_pass $a; }"),
    "gRPC elsewhere": in_server("location / { grpc_pass grpc://evil; }"),
    "memcached": in_server("location / { memcached_pass 127.0.0.1:8001; }"),
    "a server elsewhere": in_http("upstream u { server evil; }"),
    "a server's parameter": in_http("upstream u { server 127.0.0.1:8001 resolve; }"),
    "a server's weight": in_http("upstream u { server 127.0.0.1:8001 weight=9999; }"),
    "an address for a group": in_http('upstream "a:1" { server 127.0.0.1:8001; }'),
    "a resolver": in_http("resolver 127.0.0.1;"),
    "all addresses": in_http("server { listen 20001; }"),
    "another address": in_http("server { listen 0.0.0.0:20001; }"),
    "another own port": in_http("server { listen 127.0.0.1:20002; }"),
    "a listening socket": in_http("server { listen unix:/x; }"),
    "a listen option": in_http("server { listen 127.0.0.1:20001 so_keepalive=on; }"),
    "no root": f"{HEAD} http {{ access_log off; }}",
    "a root": in_server("root /etc;"),
    "an empty root": in_server('root "";'),
    "a root by a variable": in_server("root /dev/null/nowhere$a;"),
    "an alias": in_server("location /a { alias /etc/; }"),
    "an alias without a slash": in_server("location /a { alias /dev/null/nowhere; }"),
    "a file test": in_server("if (-f /etc/passwd) { return 200; }"),
    "a file test by a variable": in_server("if (-e $a/passwd) { return 200; }"),
    "a file test by a like name": in_server("if (-e $document_rootx) { return 200; }"),
    "an odd condition": in_server("if (-f a b) { return 200; }"),
    "a log": in_server("access_log /x;"),
    "an error log": in_server("error_log /x;"),
    "a main log": "error_log /x;" + GOOD,
    "a pid": "pid /x;" + GOOD,
    "a user's name": "user root;" + GOOD,
    "an environment": "env PATH;" + GOOD,
    "workers": "worker_processes 1000;" + GOOD,
    "connections": "events { worker_connections 1000000; }",
    "a temporary path": in_http("proxy_temp_path /x;"),
    "a temporary path up": in_http("proxy_temp_path run/tmp/../../x;"),
    "a store": in_server("location / { proxy_store /x; }"),
    "a cache": in_http("proxy_cache_path /x keys_zone=a:1m;"),
    "a cache up": in_http("proxy_cache_path run/cache/../x keys_zone=a:1m;"),
    "a large zone": in_http("proxy_cache_path run/cache/0 keys_zone=a:64g;"),
    "two zones": in_http("proxy_cache_path run/cache/0 keys_zone=a:1m keys_zone=b:1m;"),
    "a zone's path": in_http("proxy_cache_path run/cache/0 keys_zone=../x:1m;"),
    "a cache's option": in_http("proxy_cache_path run/cache/0 keys_zone=a:1m purger=on;"),
    "a group's zone": in_http("upstream u { zone u 64g; server 127.0.0.1:8001; }"),
    "a session zone": in_http("upstream u { sticky learn zone=a:64g; server 127.0.0.1:8001; }"),
    "a certificate": in_http("ssl_certificate /x;"),
    "a certificate of data": in_server("ssl_certificate_key data:x;"),
    "passwords": in_server("auth_basic_user_file /x;"),
    "buffers": in_server("proxy_buffers 1000000 1m;"),
    "a number without end": in_server(f"proxy_buffer_size {'9' * 100};"),
    "a table": in_http("map_hash_max_size 999999999;"),
    "idle connections": in_http("upstream u { server 127.0.0.1:8001; keepalive 999999999; }"),
    "a hostname": in_server("return 200 $hostname;"),
    "a hostname in braces": in_server('return 200 "a${HostName}b";'),
    "a hostname in a map": in_http("map $uri $a { default $hostname; }"),
    "a hostname by bytes": in_server('return 200 "$hostnameé";'),
    "a hostname's map": in_http("map $hostname $a { default 1; }"),
    "a pid's number": in_server("add_header X $pid;"),
    "SSI": in_server("ssi on;"),
    "WebDAV": in_server("dav_methods PUT;"),
    "listings": in_server("autoindex on;"),
    "Perl": in_http("perl_set $a 'sub { }';"),
    "njs": in_http("js_import x from /etc/x.js;"),
    "njs content": in_server("js_content nsl.pass;"),
    "a block inside a location": in_server("location / { server { } }"),
    "a block that nobody knows": in_http("otherwise { }"),
    "mail": HEAD + "mail { }",
    "a stream elsewhere": HEAD + "stream { server { listen 127.0.0.1:20001; proxy_pass e:1; } }",
    "a stream to a group of http": in_http() + "stream { server { listen 127.0.0.1:20001; "
    "proxy_pass u; } }",
    "a syntax error": GOOD + "}",
    "an open block": GOOD[:-2],
    "an open quote": GOOD + '"',
    "a character of ours": in_server("add_header X \ufdd0;"),
    "a NUL byte": in_server("add_header X \0;"),
    "a deep nest": "a {" * 1000,
}  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_the_verifier_refuses(name: str) -> None:
    with pytest.raises(Forbidden) as caught:
        verify(HOSTILE[name], BOUNDS)
    assert caught.value.line >= 1
    assert str(caught.value)


PERMITTED = HTTP | STREAM | UPSTREAM | LEADS_TO_FILES
OTHERS = [
    "content_by_lua_block", "include", "proxy_store", "load_module", "alias", "root", "user",
    "access_log", "error_log", "pid", "env", "perl", "js_content", "auth_basic_user_file",
    "ssl_certificate", "memcached_pass", "proxy_cache_path", "proxy_temp_path", "resolver", "ssi",
    "no_such_directive", "dav_methods", "autoindex", "listen", "map", "server", "location",
]  # fmt: skip


@given(st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_a_directive_put_anywhere_is_refused_unless_it_is_permitted(source: random.Random) -> None:
    name = source.choice(OTHERS)
    at = source.choice([one.end() for one in re.finditer(r"[;{}]", GOOD)])
    text = f"{GOOD[:at]} {name} /etc/x; {GOOD[at:]}"
    with pytest.raises(Forbidden):
        verify(text, BOUNDS)


# Both together

NAMES = sorted({*table(), *PERMITTED, *OTHERS, "if", "http", "upstream", "proxy_pass", "grpc_pass"})
SOUP_WORDS = st.one_of(
    WORDS,
    st.sampled_from([
        "$hostname", "/etc/passwd", "http://evil", "../../x", "64g", "keys_zone=../x:9g", "on",
        "unix:/x", "(-f", "/x)", "($a", "~", "0.0.0.0:80", "zone=a:64g", "$document_root/..", "/",
        "{{ x }}", "<%= x %>", "${X}",
    ]),
)  # fmt: skip


@st.composite
def soups(draw: st.DrawFn, depth: int = 3) -> str:
    """Directives of any name with any words, some of them blocks."""
    rows = []
    for _ in range(draw(st.integers(0, 5))):
        words = draw(st.lists(SOUP_WORDS, max_size=3))
        head = " ".join([draw(st.sampled_from(NAMES)), *map(quoted, words)])
        if depth and draw(st.booleans()):
            block = draw(
                st.sampled_from(["location /a", "location = /b", "server", "if ($a)", head])
            )
            rows.append(f"{block} {{ {draw(soups(depth=depth - 1))} }}")
        else:
            rows.append(f"{head};")
    return "\n".join(rows)


PORTS = {"http": 8001, "fastcgi": 8002, "scgi": 8003, "uwsgi": 8004, "h2c": 8005}


@given(soups())
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_the_verifier_permits_every_copy(soup: str) -> None:
    for around in ("http {{ server {{ {} }} }}", "http {{ {} }}", "stream {{ {} }}", "{}"):
        try:
            found, _ = verified_copy(around.format(soup))
        except NginxError:
            continue
        for one in _walk(found):
            assert one.name in PERMITTED | PLACED, one


@pytest.mark.parametrize(
    ("around", "row"),
    [
        ("{}", 'http "" {{ }}'),
        ("{}", 'stream "" {{ }}'),
        ("http {{ {} }}", 'server "" {{ }}'),
        ("http {{ {} }}", "server a {{ }}"),
        ("stream {{ {} }}", 'server "" {{ }}'),
        ("http {{ upstream u {{ server a; {} }} }}", "sticky cookie a zone=a:1m;"),
        *(
            ("http {{ server {{ {} }} }}", row)
            for row in (
                "location {{ }}",
                "if {{ }}",
                "if () {{ }}",
                "if (a) {{ }}",
                "if ($a b) {{ }}",
                "if ($a is b) {{ }}",
                "if (-f) {{ }}",
                "if (-f /a b) {{ }}",
                "http2;",
                "http2 yes;",
            )
        ),
    ],
)
def test_the_copy_leaves_out_what_nginx_rejects(around: str, row: str) -> None:
    row = row.format()
    _, copy = verified_copy(around.format("gzip on; tcp_nodelay on; " + row))
    name = row.split()[0].rstrip(";")
    (change,) = [one for one in copy.changes if one.name == name]
    assert change.done == "removed"
    assert change.matters


def test_a_switch_may_be_written_in_capitals() -> None:
    found, copy = verified_copy("http { server { http2 ON; } }")
    assert ("http2", ("on",)) in [(one.name, one.args) for one in _walk(found)]
    assert copy.changes == []


def test_a_fragment_of_an_if_is_copied_into_one() -> None:
    # What it contains fits an `if` best.
    found, _ = verified_copy("fastcgi_pass a:1; if ($b) { server { } server { } server { } }")
    assert ("if", ("$request_method",)) in [(one.name, one.args) for one in _walk(found)]


def verified_copy(text: str) -> tuple[list[Directive], Copy]:
    """What runs of a configuration's copy, and the copy; fails if the verifier refuses it."""
    with temporary_folder() as folder:
        configuration = read("nginx.conf", Workspace.in_memory({"nginx.conf": text}))
        copy = copy_of(configuration, (1, 31, 3), PORTS, folder)
    listens = frozenset(one.port for one in copy.sockets.values())
    found = verify(copy_text(copy.root)[0], Bounds(listens, frozenset(PORTS.values())))
    return found, copy


PLACED = {
    "http", "stream", "server", "location", "if", "limit_except", "upstream", "map", "geo", "types",
    "split_clients", "charset_map", "access_log", "root", "alias", "listen", "proxy_pass",
    "client_body_temp_path", "ssl_certificate", "ssl_certificate_key", "ssl", "http2", "js_import",
    "js_body_filter", "body_filter_by_lua", "zone", "sticky",
    *(f"{one}_{name}" for one in ("proxy", "fastcgi", "scgi", "uwsgi", "grpc")
      for name in ("pass", "temp_path", "cache_path")),
}  # fmt: skip


def _walk(directives: list[Directive]) -> list[Directive]:
    found = list(directives)
    for one in directives:
        if one.block is not None and one.name not in ROWS:
            found += _walk(one.block)
    return found


ROWS = {"map", "geo", "types", "split_clients", "charset_map"}
