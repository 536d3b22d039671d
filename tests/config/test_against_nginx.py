"""Our reader against real nginx: what it refuses we refuse, at the same line, and nothing else.

Every test here runs `nginx -t`, or asks a running nginx what it read, with the old and the new
nginx. Inside `types {}` any word is taken, so that there nginx judges nothing but its tokenizer.
"""

from __future__ import annotations

import asyncio
import http.client
import random
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nginx_stream_lint.config import Directive, Problem, read, statements
from nginx_stream_lint.config.templates import readings
from nginx_stream_lint.files.source import decode
from nginx_stream_lint.nginx.levels import build
from nginx_stream_lint.nginx.validity import refusals
from nginx_stream_lint.nginx.versions import NEW
from nginx_stream_lint.probe import Nginx, NginxBinary, check_file, free_ports

MAIN = "pid nginx.pid; error_log stderr;\n"
# Where the binary would write otherwise is not for everybody to write to.
TEMP = "".join(
    f"{name}_temp_path temp_{name}; "
    for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
)
HTTP = MAIN + "events {}\nhttp { access_log off; " + TEMP + "\n"
UPSTREAM = "upstream u { server 127.0.0.1:1; }\nmap $host $a { default b; }\n"


def repeatable(examples: int) -> settings:
    """Examples are drawn the same way each time, so that a red run can be repeated."""
    return settings(derandomize=True, deadline=None, database=None, max_examples=examples)


@dataclass(frozen=True)
class Verdict:
    """What nginx says of a configuration; `file` is a base name, empty where it names no place."""

    accepted: bool
    said: str
    file: str = ""
    line: int = 0


def nginx_says(binary: NginxBinary, main: Path) -> Verdict:
    accepted, said = check_file(binary, main)
    if accepted:
        return Verdict(True, said)
    place = re.search(r"\[emerg\] (?:\d+#\d+: )?(.*) in \S*?([^\s/]+):(\d+)\n", said)
    return Verdict(False, place[1], place[2], int(place[3])) if place else Verdict(False, said)


def we_say(main: Path) -> list[Problem]:
    configuration = read(str(main))
    return configuration.problems + refusals(build(configuration))


def compare(binary: NginxBinary, main: Path) -> Verdict:
    """Both verdicts must be the same, and the places too; returns nginx's."""
    nginx, ours = nginx_says(binary, main), we_say(main)
    assert nginx.accepted == (not ours), (nginx, [str(problem) for problem in ours])
    if nginx.accepted or not nginx.file:
        return nginx
    if "unexpected end of file" in nginx.said:
        # nginx gives the last line. We say where what is not ended begins.
        assert any(problem.line <= nginx.line for problem in ours), (nginx, ours)
        return nginx
    places = [(Path(problem.file).name, problem.line) for problem in ours]
    assert (nginx.file, nginx.line) in places, (nginx, [str(problem) for problem in ours])
    return nginx


def write(folder: Path, text: str | bytes, name: str = "main.conf") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape"))
    return path


def in_http(rows: str) -> str:
    return f"{HTTP}{rows}\n}}\n"


def in_server(rows: str) -> str:
    return in_http(f"{UPSTREAM}server {{\n{rows}\n}}")


def in_location(rows: str) -> str:
    return in_server(f"location / {{\n{rows}\n}}")


def in_stream(rows: str) -> str:
    return f"{MAIN}events {{}}\nstream {{\n{rows}\n}}\n"


def in_types(folder: Path, rows: bytes) -> Path:
    """A main file whose `types` block takes its rows from a file of its own."""
    write(folder, rows, "rows.conf")
    return write(folder, in_http("types { include rows.conf; }"))


def only(main: Path, name: str) -> Directive:
    """The one directive of this name, wherever it stands."""
    configuration = read(str(main))
    assert configuration.root is not None
    found: list[Directive] = []
    blocks = [list(statements(configuration.root.directives))]
    while blocks:
        for directive in blocks.pop():
            if directive.name == name:
                found.append(directive)
            if directive.block is not None:
                blocks.append(list(statements(directive.block)))
    assert len(found) == 1, found
    return found[0]


def serve(binary: NginxBinary, words: list[bytes], folder: Path) -> list[bytes]:
    """What a running nginx makes of these words: each is the body of an answer."""
    rows = [b"location = /%d { return 200 %b; }\n" % item for item in enumerate(words)]
    write(folder, b"".join(rows), "words.conf")
    [port] = free_ports(1)
    text = f"http {{ server {{ listen 127.0.0.1:{port}; include words.conf; }} }}"

    def ask() -> list[bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        bodies = []
        for index in range(len(words)):
            connection.request("GET", f"/{index}")
            bodies.append(connection.getresponse().read())
        connection.close()
        return bodies

    async def run() -> list[bytes]:
        async with Nginx(binary, text, folder):
            return await asyncio.to_thread(ask)

    return asyncio.run(run())


def we_read(words: list[bytes], folder: Path) -> list[bytes]:
    """The same words as our reader decodes them."""
    write(folder, b"".join(b"return 200 %b;\n" % word for word in words), "ours.conf")
    configuration = read(str(write(folder, in_server("include ours.conf;"))))
    assert not configuration.problems
    rows = next(file for file in configuration.files if file.source.name.endswith("ours.conf"))
    return [row.args[1].encode("utf-8", "surrogateescape") for row in rows.directives]


# --- what crossplane's own lexer gets wrong, one by one ---


def test_missing_semicolon_on_an_unknown_directive(binary: NginxBinary, tmp_path: Path) -> None:
    main = write(tmp_path, in_server("location /a {\nnobody_knows this\n}\nlocation /b { }"))
    assert compare(binary, main).said == 'unexpected "}"'


def test_a_variable_in_braces_ends_with_its_brace(binary: NginxBinary, tmp_path: Path) -> None:
    assert compare(binary, write(tmp_path, in_server("set $x ${host}_b;"))).accepted
    main = write(tmp_path, in_server("set $x ${host} b;"))
    assert "invalid number of arguments" in compare(binary, main).said
    assert only(main, "set").args == ("$x", "${host}", "b")


def test_a_closing_brace_inside_a_word(binary: NginxBinary, tmp_path: Path) -> None:
    words = [b"a}b", b"a}", b"a}}b", b"a}#b"]
    assert serve(binary, words, tmp_path) == words == we_read(words, tmp_path)


LUA = [
    "local s = [[ } ]]",
    "local s = [==[ } ]] } ]==]",
    "-- }\nlocal a = 1",
    "--[[ } \n } ]] local a = 1",
    "--[=[ } ]] } ]=] local a = 1",
    'local s = "}" .. \'}\' .. "\\"}"',
    "local t = {{}, {a = {}}}",
    'local s = "{" -- {\n',
    "local a = t[ [[x}]] ]",
    "if a then return {} end",
    "",
]


def lua(binary: NginxBinary) -> bool:
    """Whether this nginx judges Lua code; Debian's must."""
    assert binary.has("lua") or binary.version >= NEW, "install nginx's Lua module: see .ci/run"
    return binary.has("lua")


@pytest.mark.parametrize("code", LUA)
def test_lua_code_is_opaque(code: str, binary: NginxBinary, tmp_path: Path) -> None:
    main = write(tmp_path, in_location(f"content_by_lua_block {{ {code} }}\nreturn 200 a;"))
    if lua(binary):
        assert compare(binary, main).accepted
    assert not we_say(main)
    assert only(main, "content_by_lua_block").args == (f" {code} ",)
    assert only(main, "return").args == ("200", "a")


@pytest.mark.parametrize("code", ["local s = [[ }", "--[==[ } ]]", 'local s = "}', "{", "'\n}"])
def test_unfinished_lua_code_is_refused(code: str, binary: NginxBinary, tmp_path: Path) -> None:
    main = write(tmp_path, in_location(f"content_by_lua_block {{ {code} }}"))
    assert not nginx_says(binary, main).accepted
    assert we_say(main)


def test_braces_in_a_bare_regular_expression(binary: NginxBinary, tmp_path: Path) -> None:
    bare = write(tmp_path, in_server("location ~ ^/a{2,3}$ {\nreturn 200;\n}"))
    assert compare(binary, bare).said == 'unknown directive "2,3}$"'
    [problem] = we_say(bare)
    assert "quoted" in problem.advice
    for quote in "\"'":
        quoted = write(tmp_path, in_server(f"location ~ {quote}^/a{{2,3}}${quote} {{ }}"))
        assert compare(binary, quoted).accepted
        assert only(quoted, "location").args == ("~", "^/a{2,3}$")
    assert not compare(binary, write(tmp_path, in_server("rewrite ^/a{2}$ /b;"))).accepted


@pytest.mark.parametrize("space", ["\u00a0", "\f", "\v", "\u2028", "\u3000", "\x85"])
def test_only_four_characters_are_white_space(
    space: str, binary: NginxBinary, tmp_path: Path
) -> None:
    for row in (f"gzip{space}on;", f"{space}gzip on;", f"gzip on{space};"):
        verdict = compare(binary, write(tmp_path, in_http(f"\n{row}\n")))
        assert not verdict.accepted, row
    words = [f"a{space}b".encode(), f"{space}a".encode()]
    assert serve(binary, words, tmp_path) == words == we_read(words, tmp_path)


def test_a_byte_order_mark_is_refused(binary: NginxBinary, tmp_path: Path) -> None:
    verdict = compare(binary, write(tmp_path, b"\xef\xbb\xbf" + in_http("").encode()))
    assert "unknown directive" in verdict.said
    assert verdict.line == 1


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r \n", "\r\r\n", "\n\r"])
def test_only_lf_ends_a_line(end: str, binary: NginxBinary, tmp_path: Path) -> None:
    rows = f"# one{end}# two\r gzip on;{end}gzip\ron;{end}\r{end}sendfile maybe;{end}"
    assert "maybe" in compare(binary, write(tmp_path, in_http(rows))).said


def test_the_last_comment_needs_no_newline(binary: NginxBinary, tmp_path: Path) -> None:
    main = write(tmp_path, in_http("") + "# the end }")
    assert compare(binary, main).accepted
    root = read(str(main)).root
    assert root is not None
    [(start, end)] = root.comments
    assert root.source.text[start:end] == "# the end }"


def test_one_brace_too_many(binary: NginxBinary, tmp_path: Path) -> None:
    verdict = compare(binary, write(tmp_path, in_server("listen 81;\n}\n}\n}\n")))
    assert verdict.said == 'unexpected "}"'


def nested(depth: int) -> str:
    return "location ~ a {\n" * depth + "return 200;" + "\n}" * depth


def test_deep_nesting(binary: NginxBinary, tmp_path: Path) -> None:
    assert compare(binary, write(tmp_path, in_server(nested(200)))).accepted
    # The documented limit: nginx goes on until its stack is full.
    main = write(tmp_path, in_server(nested(1000)))
    assert nginx_says(binary, main).accepted
    [problem] = we_say(main)
    assert "nest deeper than" in problem.message
    assert problem.advice


QUOTED = [
    (b'"#a"', b"#a"),
    (b"'{'", b"{"),
    (b'";"', b";"),
    (b"a#b", b"a#b"),
    (b"a\"b'c", b"a\"b'c"),
    (b'"a\nb"', b"a\nb"),
    (b'"a\r\nb"', b"a\r\nb"),
    (b"'a\\'b\"'", b"a'b\""),
    (b'"\\n\\t\\r"', b"\n\t\r"),
    (b"\\n\\t\\r", b"\n\t\r"),
    (b'"\\""', b'"'),
    (b"\\\\n", b"\\n"),
    (b"\\\\\\n", b"\\\n"),
    (b"\\q\\;\\{\\ ", b"\\q\\;\\{\\ "),
    (b"\\#a", b"\\#a"),
    (b'\\"a"', b'"a"'),
    (b"\xff\xc3\xa9", b"\xff\xc3\xa9"),
    (b'"a)"', b"a)"),
    (b'""', b""),
    (b"a\\\nb", b"a\\\nb"),
]


def test_words_are_decoded_as_nginx_does(binary: NginxBinary, tmp_path: Path) -> None:
    words = [written for written, _ in QUOTED]
    expected = [decoded for _, decoded in QUOTED]
    assert serve(binary, words, tmp_path) == expected
    assert we_read(words, tmp_path) == expected


def test_random_words_are_decoded_as_nginx_does(binary: NginxBinary, tmp_path: Path) -> None:
    draw = random.Random(20)
    pieces = [b"\\" + bytes([byte]) for byte in b"ntr\"'\\ ;{}#\n)ax\xff"]
    pieces += [bytes([byte]) for byte in b"ab}n)#\xc3\xa9\xff\x0c"] + ["é\u00a0".encode()]
    inside = [*pieces, b" ", b";", b"{", b"\r\n", b"\t"]
    words = []
    for _ in range(400):
        quote = draw.choice([b"", b"", b'"', b"'"])
        body = b"".join(draw.choices(inside if quote else pieces, k=draw.randint(0, 8)))
        words.append(quote + body + quote if quote else b"a" + body)
    assert serve(binary, words, tmp_path) == we_read(words, tmp_path)


# --- the tokenizer on generated input ---

single_bytes = [bytes([byte]) for byte in b"{};#\"'\\$) \t\r\nan\x0c\xff"]
soup_pieces = st.sampled_from(
    [*single_bytes, b"\xc2\xa0", b"a b;", b"a b;\n", b"${a}", b"$${{", b'"a"', b"'b'"]
)
soups = st.lists(soup_pieces, max_size=14).map(b"".join)


@repeatable(300)
@given(soup=soups, tail=st.sampled_from([b"", b";", b" c d;", b"\n"]))
def test_token_soup(
    soup: bytes, tail: bytes, binary: NginxBinary, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.getbasetemp() / "soup"
    # What looks like a template is read as one (tests/config/test_templates.py).
    source = decode("rows.conf", soup + tail)
    assume([reading.text for reading in readings(source)] == [source.text])
    main = in_types(folder, soup + tail)
    nginx, ours = nginx_says(binary, main), we_say(main)
    assert nginx.accepted == (not ours), (nginx, ours)
    if nginx.accepted:
        return
    assert nginx.file == "rows.conf"
    if nginx.said == 'unexpected "{"' or "end of file" in nginx.said:
        # Inside `types` nginx stops at any {. We look whether blocks are closed before.
        return
    # nginx stops there; we go on.
    assert min(problem.line for problem in ours) == nginx.line, (nginx, ours)


LONG = {
    "word": lambda size: b"a" * size,
    "quoted": lambda size: b'"' + b"a" * (size - 2) + b'"',
    "not ASCII": lambda size: b"a" * (size % 2) + "é".encode() * (size // 2),
    "comment": lambda size: b"#" + b"a" * (size - 1),
}


@pytest.mark.parametrize("kind", LONG)
def test_what_does_not_fit_the_buffer(kind: str, binary: NginxBinary, tmp_path: Path) -> None:
    seen = set()
    for size in range(4090, 4101):
        for follows in (b" ;", b";", b"{", b"\n;", b"\r\n;", b");", b""):
            row = LONG[kind](size) + follows
            if kind == "comment":
                row = LONG[kind](size) + follows.strip(b";){ ")
            verdict = compare(binary, in_types(tmp_path, b"a b;\nc " * (kind != "comment") + row))
            seen.add(verdict.accepted)
    assert seen == {True, False}


# --- directives where they may stand, and their values ---

GOOD_MAIN = [
    "events {}",
    "worker_processes auto; events { worker_connections 10; multi_accept on; }",
    "worker_shutdown_timeout 5s; env A; env B=c; events {}",
    "pcre_jit on; daemon off; worker_rlimit_nofile 100; events {}",
]
BAD_MAIN = [
    "events {} events {}",
    "events {} http {} http {}",
    "events {} location / {}",
    "events {} server {}",
    "events {} upstream u {}",
    "events {} gzip on;",
    "events { worker_connections 10 11; }",
    "events { worker_connections; }",
    "events { worker_connections many; }",
    "events { worker_connections 10; worker_connections 10; }",
    "events { server {} }",
    "events { accept_mutex maybe; }",
    "events; http {}",
    "worker_processes; events {}",
    "worker_processes 1; worker_processes 1; events {}",
    "worker_shutdown_timeout soon; events {}",
    "events {} worker_connections 10;",
]
GOOD_HTTP = [
    "gzip ON;",
    "server { }",
    "server { location / {} location = / {} location ~ a {} location ~ a {} }",
    "map $http_upgrade $connection_upgrade { default upgrade; '' close; }",
    "map $host $b { hostnames; volatile; *.x y; }",
    "map $host $b { if 1; location 2; server 3; http 4; } ",
    "upstream u { server 127.0.0.1; keepalive 5; }",
    "upstream u { zone u 64k; least_conn; server 127.0.0.1 weight=2 backup; server 127.0.0.2; }",
    "upstream u { server 127.0.0.1; keepalive_timeout 5s; keepalive_time 1h; }",
    "client_max_body_size 1g;",
    "keepalive_timeout 65 60;",
    "send_timeout 1h30m;",
    "send_timeout '1h 30m';",
    "proxy_read_timeout 0;",
    "proxy_read_timeout 365d;",
    "proxy_buffer_size 8K;",
    "proxy_buffers 8 4k;",
    "proxy_set_header A b; proxy_set_header A c;",
    "add_header A b always;",
    "proxy_ignore_headers Expires; proxy_ignore_headers Set-Cookie;",
    "proxy_next_upstream error; proxy_next_upstream timeout;",
    "gzip_types text/plain; gzip_types text/css;",
    "gzip_proxied any; gzip_proxied off;",
    "proxy_hide_header a; proxy_hide_header a; proxy_pass_header b;",
    "proxy_cache_valid 200 5m; proxy_cache_valid any 1m;",
    "proxy_cache_use_stale error; proxy_cache_use_stale updating;",
    "error_page 404 /a; error_page 500 502 =200 /b;",
    "access_log off; access_log off;",
    "types { }",
    "types { text/html html htm; }",
    "geo $g { default 0; 10.0.0.0/8 1; }",
    "geo $remote_addr $g { ranges; 10.0.0.0-10.0.0.9 a; }",
    "split_clients $host $b { 50% x; * y; }",
    "charset_map koi8-r windows-1251 { 80 88; }",
    "proxy_ssl_protocols TLSv1.2; proxy_ssl_protocols TLSv1.3;",
    "ssl_protocols TLSv1.2; ssl_protocols TLSv1.3;",
    "fastcgi_buffering off; uwsgi_buffering off; scgi_buffering off; grpc_read_timeout 1h;",
    "fastcgi_param A b if_not_empty; real_ip_header X-Forwarded-For;",
    "limit_rate 10k; expires modified +1h; postpone_output 0;",
    "resolver 127.0.0.1 valid=30s; log_format a escape=json b;",
    "proxy_cache_path c levels=1:2 keys_zone=y:1m max_size=1g inactive=5m use_temp_path=off;",
    "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;",
]
BAD_HTTP = [
    "gzip on; gzip on;",
    "gzip perhaps;",
    "gzip;",
    "gzip on off;",
    "gzip on { }",
    "server;",
    "server x {}",
    "server { server {} }",
    "map $a { }",
    "map $host $b;",
    "map $host $b { x { } }",
    "geo $g { x { } }",
    "split_clients $host $b { 50% { } }",
    "charset_map a b { 80 { } }",
    "types { a b { } }",
    "types x { }",
    "types;",
    "upstream { server a; }",
    "upstream u { location / {} }",
    "upstream u { proxy_pass x; }",
    "upstream u { server; }",
    "upstream u { server 127.0.0.1; keepalive 1; keepalive 2; }",
    "keepalive 5;",
    "client_max_body_size 1mb;",
    "client_max_body_size 1.5m;",
    "client_max_body_size -1;",
    "client_max_body_size 1t;",
    "send_timeout 30m1h;",
    "send_timeout 1M;",
    "send_timeout -1;",
    "send_timeout '';",
    "keepalive_timeout 1y;",
    "client_body_timeout 1.5s;",
    "proxy_read_timeout 300sec;",
    "proxy_read_timeout 5m5m;",
    "proxy_read_timeout off;",
    "proxy_read_timeout 1d 2d;",
    "proxy_buffer_size 8kb;",
    "proxy_buffer_size 1g;",
    "proxy_buffers 8;",
    "gzip_comp_level x;",
    "proxy_set_header A;",
    "add_header A;",
    "include;",
    "include a b;",
    "default_type a; default_type b;",
    "root a; root b;",
    "expires 1h; expires 2h;",
    "limit_rate 10; limit_rate 20;",
    "merge_slashes on; merge_slashes on;",
    "ssl_buffer_size 4k; ssl_buffer_size 4k;",
    "set $a b;",
    "return 200;",
    "rewrite a b;",
    "if ($host) {}",
    "limit_except GET {}",
    "location / {}",
    "proxy_pass http://127.0.0.1;",
    "fastcgi_pass 127.0.0.1:1;",
    "tcp_nodelay maybe;",
]
GOOD_SERVER = [
    "listen 81; server_name a b c; root /a; charset utf-8;",
    "location / {} location /a {} location = /a {} location ~ a {} location ^~ /b {}",
    "location @n {} location @n {}",
    "location =/a {} location =/b {} location ~a {} location ~*a {} location @ {}",
    "location '' {}",
    "location a {}",
    "location /A {} location /a {}",
    'location ~ "a;b" {}',
    "location /a { location /a/b {} location /a {} location ~ b {} location = /a {} }",
    "location ~ a { location ~ b {} location a/b {} }",
    "location ^~ /a { location /a/b {} location ^~ /ab {} }",
    "location /a { location /a/b {} } location /a/b {}",
    "if ($a) { return 200; }",
    "if ( $a ) { set $b c; }",
    "if ($a ) { rewrite ^ /b last; break; }",
    "if ($a = b) { }",
    'if ($a = "b c") {}',
    "if ($a = '') {}",
    "if ($a != b) { }",
    "if ($a !~* b) { }",
    "if ($a ~ '(b|c)') {}",
    "if ($request_method ~ ^(GET|POST)$ ) { return 405; }",
    "if (-f $a) {}",
    "if (!-e $a) {}",
    "if ( -d $a ) {}",
    "if ($a = ')') {}",
    "return 301 http://a;",
    "return http://a;",
    "return 444; return 200;",
    "rewrite 'a{2}' b; rewrite (.*) $1 redirect;",
    "try_files $uri /a;",
    "set $b c; set $b d; set $b ${a}c;",
    "error_page 404 @a; location @a { return 200; }",
]
BAD_SERVER = [
    "listen;",
    "server_name;",
    "location {}",
    "location / ;",
    "location /",
    "location a b c {}",
    "location + /a {}",
    "location / {} location / {}",
    "location = / {} location = / {}",
    "location =/a {} location = /a {}",
    "location ^~ / {} location / {}",
    "location ^~/a {} location /a {}",
    "location ~ ^/a{2,3}$ {}",
    "location /a { location /b {} }",
    "location ~ a { location /b {} }",
    "location = /a { location /a {} }",
    "location = /a { location ~ a {} }",
    "location @a { location /a {} }",
    "location @a { location ~ a {} }",
    "location /a { location @b {} }",
    "location ~ a { location @x {} }",
    "location /a/ { location /a {} }",
    "location /a { location /a/b { location /a/c {} } }",
    "location /a { location /a/b {} location /a/b {} }",
    "if ($a) { proxy_pass http://127.0.0.1; }",
    "if ($a) { add_header A b; }",
    "if ($a) { location / {} }",
    "if ($a) { if ($b) {} }",
    "if $a { }",
    "if ($a { }",
    "if $a) { }",
    "if ($a == b) { }",
    "if ($a = ) { }",
    "if ($a = b c) { }",
    "if (-q $a) {}",
    "if (-f) {}",
    "if (-f $a b) {}",
    "if (a) {}",
    "if () {}",
    "if ( ) {}",
    "if {}",
    "if ($a) ;",
    "if ($) {}",
    "set $b;",
    "rewrite a;",
    "rewrite a{2} b;",
    "return;",
    "return 200 a b;",
    "limit_except GET { deny all; }",
    "try_files $uri;",
    "proxy_pass http://127.0.0.1;",
    "proxy_read_timeout 5; proxy_read_timeout 6;",
    "upstream x {}",
    "events {}",
    "server {}",
    "map $host $b {}",
    "internal;",
    "alias /a;",
    "proxy_buffering off proxy_cache off;",
]
GOOD_LOCATION = [
    "proxy_pass http://u;",
    "proxy_pass\nhttp://u\n;",
    "proxy_pass http://u; # note\n# last",
    "proxy_pass HTTPS://u/x;",
    "proxy_pass http://$a/x;",
    "proxy_pass http://unix:/a:/b;",
    "fastcgi_pass u;",
    "uwsgi_pass uwsgi://u;",
    "scgi_pass u;",
    "grpc_pass grpc://u;",
    "proxy_set_header Host $host; proxy_set_header Connection '';",
    "limit_except GET { proxy_pass http://u; }",
    "limit_except GET POST { }",
    "limit_except GET { auth_basic off; deny all; }",
    "if ($a) { proxy_pass http://u; }",
    "if ($a) { proxy_pass http://unix:/a; }",
    "if ($a) { add_header A b; gzip on; expires 1h; limit_rate 5k; }",
    "if ($a) { fastcgi_pass u; }",
    "if ($a) { grpc_pass u; }",
    "location ~ a { proxy_pass http://u; }",
    "location ~ a { proxy_pass http://u/$a; }",
    "try_files $uri =404;",
    "internal;",
    "mirror /a; mirror /b;",
    "autoindex on;",
    "types { text/event-stream sse; }",
    "proxy_store on;",
    "proxy_ignore_client_abort on; proxy_request_buffering off; proxy_intercept_errors on;",
    "proxy_ssl_server_name on; proxy_ssl_name a; proxy_bind $remote_addr transparent;",
    "fastcgi_keep_conn on; fastcgi_index a; fastcgi_param SCRIPT_FILENAME /a;",
    "grpc_ssl_verify off; grpc_next_upstream error; grpc_intercept_errors on;",
    "rewrite ^ /a break; return 200 'x'; break; set $b c;",
    "return 200 '{\"a\": 1}';",
    "return 302 /a;",
    "add_header Cache-Control 'no-cache' ; add_header X-Accel-Buffering no;",
]
BAD_LOCATION = [
    "proxy_pass;",
    "proxy_pass u;",
    "proxy_pass ftp://u;",
    "proxy_pass http://u/ x;",
    "proxy_pass http://u; proxy_pass http://u;",
    "fastcgi_pass u; fastcgi_pass u;",
    "grpc_pass u; grpc_pass u;",
    "limit_except { }",
    "limit_except GET { limit_except POST {} }",
    "limit_except GET { if ($a) {} }",
    "limit_except GET { location /b {} }",
    "limit_except GET { proxy_buffering off; }",
    "limit_except GET { add_header A b; }",
    "limit_except GET { proxy_pass http://u/; }",
    "if ($a) { proxy_buffering off; }",
    "if ($a) { proxy_set_header A b; }",
    "if ($a) { proxy_read_timeout 5; }",
    "if ($a) { limit_except GET {} }",
    "if ($a) { location / {} }",
    "if ($a) { proxy_pass http://u/; }",
    "if ($a) { proxy_pass http://unix:/a:/b; }",
    "location ~ a { proxy_pass http://u/; }",
    "location ~ a { proxy_pass http://u?a; }",
    "location ~ a { if ($a) { proxy_pass http://u/b; } }",
    "alias b; alias c;",
    "try_files a b; try_files a b;",
    "try_files a;",
    "internal; internal;",
    "internal x;",
    "auth_basic;",
    "server_name a;",
    "listen 81;",
    "server { }",
    "upstream x {}",
    "proxy_buffering off }",
    "proxy_buffers 8 4k; proxy_buffers 8 4k;",
    "proxy_http_version 1.1; proxy_http_version 1.1;",
    'return 200 "a"b;',
    'return 200 {"a"};',
    "break x;",
    "alias;",
    "gzip on; gzip off;",
]
GOOD_STREAM = [
    "server { listen 81; proxy_pass 127.0.0.1:1; proxy_timeout 5s; }",
    "server { listen 81 udp; return x; }",
    "upstream u { server 127.0.0.1:1; } server { listen 81; proxy_pass u; tcp_nodelay on; }",
    "proxy_timeout 1h; proxy_connect_timeout 5s; proxy_socket_keepalive on;",
    "map $remote_addr $b { default 1; }",
    "server { listen 81; proxy_next_upstream on; proxy_pass 127.0.0.1:1; }",
    "server { listen 81; ssl_preread on; proxy_pass $ssl_preread_server_name; }",
    "resolver 127.0.0.1; log_format a b; limit_conn_zone $binary_remote_addr zone=a:1m;",
    "geo $g { default 0; }",
    "server { listen 81; proxy_download_rate 10; proxy_upload_rate 1k; proxy_pass 127.0.0.1:1; }",
    "server { listen 81; set $b c; return $b; }",
]
BAD_STREAM = [
    "server { listen 81; proxy_timeout never; return x; }",
    "server { listen 81; location / {} }",
    "proxy_buffering off;",
    "proxy_timeout 1h; proxy_timeout 1h;",
    "map $remote_addr $b { x { } }",
    "http {}",
    "gzip on;",
    "server { listen 81; proxy_next_upstream error; proxy_pass 127.0.0.1:1; }",
    "server { listen 81; proxy_pass 127.0.0.1:1; proxy_pass 127.0.0.1:2; }",
    "upstream u { keepalive 5 6; }",
]
CASES = [
    pytest.param(wrap(rows), good, id=f"{'good' if good else 'bad'} {kind}: {rows}")
    for kind, wrap, good, all_rows in (
        ("main", MAIN.__add__, True, GOOD_MAIN),
        ("main", MAIN.__add__, False, BAD_MAIN),
        ("http", in_http, True, GOOD_HTTP),
        ("http", in_http, False, BAD_HTTP),
        ("server", in_server, True, GOOD_SERVER),
        ("server", in_server, False, BAD_SERVER),
        ("location", in_location, True, GOOD_LOCATION),
        ("location", in_location, False, BAD_LOCATION),
        ("stream", in_stream, True, GOOD_STREAM),
        ("stream", in_stream, False, BAD_STREAM),
    )
    for rows in all_rows
]


@pytest.mark.parametrize(("text", "good"), CASES)
def test_structure(text: str, good: bool, binary: NginxBinary, tmp_path: Path) -> None:
    assert compare(binary, write(tmp_path, text)).accepted == good


times = st.lists(
    st.sampled_from([*"0159", "30", " ", "  ", *"yMwdhms", "ms", "5m", "1h"]), max_size=6
).map("".join)
sizes = st.lists(st.sampled_from([*"05kKmMgGb.-+ ", "10"]), max_size=4).map("".join)


value_rows = st.one_of(
    times.map('proxy_read_timeout "{}";'.format),
    sizes.map('limit_rate "{}";'.format),
    sizes.map('client_max_body_size "{}";'.format),
)


@repeatable(200)
@given(row=value_rows)
def test_times_and_sizes(
    row: str, binary: NginxBinary, tmp_path_factory: pytest.TempPathFactory
) -> None:
    compare(binary, write(tmp_path_factory.getbasetemp() / "values", in_http(row)))


# --- includes ---


@pytest.mark.parametrize(
    ("rows", "files"),
    [
        ("include a.conf;", {"a.conf": "gzip on;"}),
        ("include sub/a.conf;", {"sub/a.conf": "include b.conf;", "b.conf": "gzip on;"}),
        ("include none/*.conf;", {}),
        ("include a*.conf;", {"a1.conf": "gzip on;", "a2.conf": "sendfile on;"}),
        ("include a[12].conf;", {"a1.conf": "", "a3.conf": "nonsense!;"}),
        ("include [^b].conf;", {"a.conf": "gzip on;", "b.conf": "nonsense!;"}),
        ("include [!b].conf;", {"a.conf": "gzip on;", "b.conf": "nonsense!;"}),
        ("include a\\*[c].conf;", {"abc.conf": "nonsense!;", "a*c.conf": "gzip on;"}),
        ("include */x.conf;", {"d/x.conf": "gzip on;", "d/y.conf": "nonsense!;", "x.conf": "!;"}),
        ("include **/x.conf;", {"d/x.conf": "gzip on;", "d/e/x.conf": "nonsense!;"}),
        ('include "{a,b}.conf*";', {"a.conf": "nonsense!;"}),
        ("include *.inc;", {".hidden.inc": "nonsense!;", "a.inc": "gzip on;"}),
        ("include a.conf;", {"a.conf": ""}),
        ("include a.conf;", {"a.conf": "# only a comment"}),
        ("include 'a b.conf';", {"a b.conf": "gzip on;"}),
        ("map $host $b { include a.conf; }", {"a.conf": "x y;\nif z;"}),
        ("types { include a.conf; }", {"a.conf": "text/html html;"}),
        ("geo $g { include a.conf; }", {"a.conf": "10.0.0.0/8 x;"}),
        ("upstream v { include a.conf; }", {"a.conf": "server 127.0.0.1:1;"}),
        (
            "server { include a.conf; location / { include a.conf; } }",
            {"a.conf": "proxy_buffering off;\nproxy_read_timeout 5m;"},
        ),
        (
            "server { location / { if ($host) { include a.conf; } } }",
            {"a.conf": "add_header A b;"},
        ),
        (
            "server { location / { limit_except GET { include a.conf; } } }",
            {"a.conf": "deny all;"},
        ),
    ],
)
def test_includes_that_nginx_follows(
    rows: str, files: dict[str, str], binary: NginxBinary, tmp_path: Path
) -> None:
    for name, text in files.items():
        write(tmp_path, text, name)
    assert compare(binary, write(tmp_path, in_http(rows))).accepted


@pytest.mark.parametrize(
    ("rows", "files"),
    [
        ("include none.conf;", {}),
        ("\n\ninclude sub;", {"sub/a.conf": ""}),
        ("include a*;", {"a.conf/b": ""}),
        ("include '';", {}),
        ("include a.conf", {"a.conf": ""}),
        ("include a.conf { }", {"a.conf": ""}),
        ("include a.conf;", {"a.conf": "gzip on"}),
        ("include a.conf;", {"a.conf": "}"}),
        ("include a.conf;", {"a.conf": "server {"}),
        ("include a.conf;", {"a.conf": "\ngzip on;\n\nlocation / {}"}),
        ("include a.conf; include a.conf;", {"a.conf": "gzip on;"}),
        ("gzip off; include a.conf;", {"a.conf": "gzip on;"}),
        ("include a.conf;", {"a.conf": "include a.conf;"}),
        ("include a.conf;", {"a.conf": "\ninclude b.conf;", "b.conf": "include a.conf;"}),
        ("include a*.conf;", {"a1.conf": "include a*.conf;"}),
        ("include a*.conf;", {"a1.conf": "gzip perhaps;", "a2.conf": "nonsense!;"}),
        ("map $host $b { include a.conf; }", {"a.conf": "x { }"}),
        ("types { include a.conf; }", {"a.conf": "text/html html; }"}),
        ("types { include none.conf; }", {}),
        ("upstream v { include a.conf; }", {"a.conf": "server 127.0.0.1:1; location / {}"}),
        (
            "server { include a.conf; location / { include a.conf; } }",
            {"a.conf": "\nproxy_pass http://127.0.0.1;"},
        ),
        (
            "server { location / { include a.conf; if ($host) { include a.conf; } } }",
            {"a.conf": "\nproxy_buffering off;"},
        ),
        (
            "server { location / { limit_except GET { include a.conf; } } }",
            {"a.conf": "proxy_buffering off;"},
        ),
    ],
)
def test_includes_that_nginx_refuses(
    rows: str, files: dict[str, str], binary: NginxBinary, tmp_path: Path
) -> None:
    for name, text in files.items():
        write(tmp_path, text, name)
    main = write(tmp_path, in_http(rows))
    nginx, ours = nginx_says(binary, main), we_say(main)
    assert not nginx.accepted
    assert ours
    if "Too many open files" in nginx.said:
        assert any("include cycle" in problem.message for problem in ours)
    elif nginx.file and "end of file" not in nginx.said:
        places = [(Path(problem.file).name, problem.line) for problem in ours]
        if "is duplicate" in nginx.said or "pread() " in nginx.said:
            return  # nginx: where the second one is included. We: the directive, or the include
        assert (nginx.file, nginx.line) in places


def test_globs_are_read_in_the_order_nginx_reads_them(binary: NginxBinary, tmp_path: Path) -> None:
    names = ["B.conf", "a.conf", "a-b.conf", "a1.conf", "a10.conf", "a2.conf", "é.conf", "_.conf"]
    for name in names:
        write(tmp_path, f"gzip {name};", f"d/{name}")
    main = write(tmp_path, in_http("include d/*.conf;"))
    ours = list(dict.fromkeys(Path(problem.file).name for problem in we_say(main)))
    # nginx stops at the first one it reads: take it away and ask again.
    theirs = []
    while not (verdict := nginx_says(binary, main)).accepted:
        theirs.append(verdict.file)
        (tmp_path / "d" / verdict.file).unlink()
    assert ours == theirs
    assert sorted(theirs) == sorted(names)
