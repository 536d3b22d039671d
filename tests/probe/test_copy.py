"""The copy that the probe runs: what it keeps, where it leads, and what it says about the rest."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.directives import table
from nginx_stream_lint.nginx.listeners import addresses
from nginx_stream_lint.probe import NginxBinary, NginxError, write_certificate
from nginx_stream_lint.probe.adapt_copy import adapt_copy
from nginx_stream_lint.probe.allowed_directives import (
    HTTP,
    LEADS_TO_FILES,
    NOWHERE,
    reason_for_omission,
)
from nginx_stream_lint.probe.copied_files import tree_of
from nginx_stream_lint.probe.copy import copy_of
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy, CopyChange, copy_text
from nginx_stream_lint.probe.folders import temporary_folder
from nginx_stream_lint.probe.pass_targets import Groups, rewritten_target
from nginx_stream_lint.probe.runnable import first_problem

PORTS = {"http": 8001, "fastcgi": 8002, "scgi": 8003, "uwsgi": 8004, "h2c": 8005}
OLD, NEW = (1, 22, 1), (1, 31, 3)


def copied(
    folder: Path,
    files: str | Mapping[str, str],
    version: tuple[int, int, int] = NEW,
    main: str = "nginx.conf",
    sandbox: Path | None = None,
) -> Copy:
    """The copy of a configuration whose files are written below `folder`."""
    if isinstance(files, str):
        files = {"nginx.conf": files}
    own = folder / "own"
    for name, text in files.items():
        path = own / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sandbox = sandbox or folder / "sandbox"
    sandbox.mkdir(exist_ok=True)
    configuration = read(str(own / main))
    assert configuration.root is not None, configuration.problems
    return copy_of(configuration, version, PORTS, sandbox)


def text_of(copy: Copy) -> str:
    """The copy's text, without the markers."""
    lines = copy_text(copy.root)[0].splitlines()
    return "\n".join(line for line in lines if "X-Nsl-Route" not in line)


def settled(folder: Path, files: str | Mapping[str, str], binary: NginxBinary) -> tuple[str, Copy]:
    """A configuration's copy as this nginx takes it."""
    with temporary_folder() as sandbox:
        copy = copied(folder, files, binary.version, sandbox=sandbox)
        write_certificate(sandbox)
        return asyncio.run(adapt_copy(copy, binary, sandbox))[0], copy


def about(copy: Copy, name: str) -> CopyChange:
    """The only change of a directive with this name."""
    (found,) = [change for change in copy.changes if change.name == name]
    return found


def blocks(copy: Copy, name: str) -> list[CopiedDirective]:
    """The blocks of a name, in the order of the file."""
    found = [node for node, _ in copy.root.walk() if node.name == name]
    return sorted(found, key=lambda node: node.origin.start if node.origin else 0)


# The allow list

# Of the directives that matter to a stream: why the copy goes without.
LEFT_OUT = {
    "access": ("limit_conn", "limit_conn_dry_run", "limit_req", "limit_req_dry_run", "satisfy"),
    "code or modules": ("more_clear_headers", "more_set_headers"),
    "files and the system": ("aio", "ssi", "ssi_types"),
    "forward proxies": tuple(name for name in table() if name.startswith("tunnel_")),
    "names": ("resolver", "resolver_timeout"),
    "processes": ("worker_connections", "worker_processes", "worker_shutdown_timeout"),
    "TLS": ("ssl_protocols",),
    "only TCP": ("http3",),
    "the body of a request": ("client_body_early_read",),
    "the stream module": ("pass", "proxy_download_rate", "proxy_timeout", "proxy_upload_rate"),
}
# Kept in a way of its own, or where it stands only.
OTHERWISE = {
    "alias", "body_filter_by_lua", "body_filter_by_lua_block", "body_filter_by_lua_file", "http2",
    "js_body_filter", "listen", "root", "server", "ssl", "ssl_certificate", "ssl_certificate_key",
    "types", "keepalive", "zone",
}  # fmt: skip
ENDINGS = (
    "_pass", "_store", "_cache_min_uses", "_pass_request_headers", "_socket_keepalive",
    "_socket_rcvbuf", "_socket_sndbuf",
)  # fmt: skip


def test_every_directive_that_matters_to_a_stream_is_kept_or_left_out_on_purpose() -> None:
    left = {name for names in LEFT_OUT.values() for name in names}
    kept = HTTP | LEADS_TO_FILES | OTHERWISE
    forgotten = {name for name in table() if not name.endswith(ENDINGS)} - kept - left
    assert forgotten == set()
    assert left & (HTTP | LEADS_TO_FILES) == set()


@pytest.mark.parametrize(
    "name",
    ["content_by_lua_block", "js_content", "perl", "perl_set", "init_by_lua_file", "js_import"],
)
def test_what_runs_code_is_left_out_for_that(name: str) -> None:
    assert name not in HTTP
    assert reason_for_omission(name).why == "it runs code"
    assert reason_for_omission(name).matters


@pytest.mark.parametrize("name", ["no_such_directive", "modern_art", "proxy_store", "dav_methods"])
def test_what_is_not_on_the_list_stays_out_and_may_matter(name: str) -> None:
    assert name not in HTTP
    assert reason_for_omission(name).matters


def test_each_change_names_its_place(tmp_path: Path) -> None:
    copy = copied(
        tmp_path,
        {
            "nginx.conf": "user nobody;\nhttp {\n  include in.conf;\n}\n",
            "in.conf": "server {\n  no_such_directive 'a b' $c;\n}\n",
        },
    )
    change = about(copy, "no_such_directive")
    assert change.file.endswith("in.conf")
    assert change.line == 2
    assert change.text == "no_such_directive 'a b' $c"
    assert change.done == "removed"
    assert change.matters
    assert not about(copy, "user").matters
    assert "no_such_directive" not in text_of(copy)


# Listening


@pytest.mark.parametrize(
    ("written_as", "name"),
    [
        ("80", "*:80"),
        ("*:80", "*:80"),
        ("0.0.0.0:80", "*:80"),
        ("127.0.0.1", "127.0.0.1:80"),
        ("localhost:8080", "127.0.0.1:8080"),
        ("[::]:80", "[::]:80"),
        ("[0:0::0]:80", "[::]:80"),
        ("[::1]", "[::1]:80"),
        ("example.com", "example.com:80"),
        ("unix:/run/x.sock", "unix:/run/x.sock"),
    ],
)
def test_listen_addresses_have_one_name_each(written_as: str, name: str) -> None:
    assert addresses(written_as) == [name]


def test_a_range_of_ports_is_so_many_sockets() -> None:
    assert addresses("8000-8002") == ["*:8000", "*:8001", "*:8002"]
    assert len(addresses("1-65535")) == 64


def test_sockets_that_are_shared_stay_shared_and_others_apart(tmp_path: Path) -> None:
    copy = copied(
        tmp_path,
        """
        http {
          server { listen 80; listen [::]:80 ipv6only=on; server_name a; }
          server { listen *:80 default_server backlog=512; server_name b; }
          server { listen 127.0.0.1:80; server_name c; }
          server { server_name d; }
          server { listen unix:/run/e.sock; }
          server { listen 443 quic reuseport; listen 443 ssl http2; ssl_certificate x; }
        }
        """,
    )
    ports = [
        [child.args for child in server.children or () if child.name == "listen"]
        for server in blocks(copy, "server")
    ]
    wild = f"127.0.0.1:{copy.sockets['*:80'].port}"
    assert ports[0][0] == [wild]
    assert ports[1] == [[wild, "default_server"]]
    assert ports[3] == [[wild]]
    addresses = {row[0] for rows in ports for row in rows}
    assert len(addresses) == len(copy.sockets) == 5
    assert ports[5] == [[f"127.0.0.1:{copy.sockets['*:443'].port}", "ssl", "http2"]]
    assert copy.sockets["*:443"].tls
    quic = [change for change in copy.changes if change.name == "listen" and change.matters]
    assert [change.text for change in quic] == ["listen 443 quic reuseport"]


def test_http2_moves_to_where_the_version_has_it(tmp_path: Path) -> None:
    text = "http { http2 on; server { listen 443 ssl; listen 80; } }"
    old = text_of(copied(tmp_path, text, OLD))
    assert "ssl http2;" in old
    assert "http2 on" not in old
    assert old.count(" http2") == 1
    new = text_of(copied(tmp_path, text, NEW))
    assert "http2 on;" in new
    assert new.count("http2 ") == 1


# Targets


@pytest.mark.parametrize(
    ("family", "target", "expected"),
    [
        ("proxy", "http://app:3000", "http://127.0.0.1:8001"),
        ("proxy", "https://api.example.com/v1/?a=b", "http://127.0.0.1:8001/v1/?a=b"),
        ("proxy", "HTTP://app?x=1", "http://127.0.0.1:8001?x=1"),
        ("proxy", "http://unix:/run/a.sock", "http://127.0.0.1:8001"),
        ("proxy", "http://unix:/run/a.sock:/x/", "http://127.0.0.1:8001/x/"),
        ("proxy", "http://[::1]:3000/x", "http://127.0.0.1:8001/x"),
        ("proxy", "http://$backend$request_uri", "http://127.0.0.1:8001"),
        ("proxy", "$where", "http://127.0.0.1:8001"),
        ("proxy", "http://Group/x", "http://group/x"),
        ("proxy", "http://group:8080/x", "http://127.0.0.1:8001/x"),
        ("proxy", 'http://app/a "b"', 'http://127.0.0.1:8001/a "b"'),
        ("fastcgi", "unix:/run/php.sock", "127.0.0.1:8002"),
        ("fastcgi", "php:9000", "127.0.0.1:8002"),
        ("scgi", "localhost:4000", "127.0.0.1:8003"),
        ("uwsgi", "suwsgi://app:3031", "127.0.0.1:8004"),
        ("grpc", "grpcs://app:443", "127.0.0.1:8005"),
        ("grpc", "app:50051", "127.0.0.1:8005"),
        ("proxy", "app:3000", None),
        ("proxy", "http://", None),
    ],
)
def test_every_target_becomes_the_upstream(family: str, target: str, expected: str | None) -> None:
    groups = Groups()
    groups.names.add("group")
    protocol = {"proxy": "http", "grpc": "h2c"}.get(family, family)
    assert rewritten_target(family, target, protocol, PORTS, groups) == expected


def test_a_group_speaks_what_is_asked_of_it(tmp_path: Path) -> None:
    copy = copied(
        tmp_path,
        """
        http {
          upstream app { zone app 64k; server a:1 weight=5; server unix:/b backup; keepalive 8; }
          upstream unused { server c; server d down; }
          upstream empty { least_conn; }
          server {
            location /a { proxy_pass http://app/x; }
            location /b { grpc_pass grpc://app; }
            location /c { proxy_http_version 2; proxy_pass https://app; }
            location /d { proxy_pass http://empty; }
          }
        }
        stream { upstream app { server e:1; } server { listen 5432; proxy_pass app; } }
        """,
    )
    groups = {
        node.args[0]: [" ".join(one.args) for one in node.children or () if one.name == "server"]
        for node in blocks(copy, "upstream")
        if node in (copy.http.children or [] if copy.http else [])
    }
    assert groups == {
        "app": ["127.0.0.1:8001 weight=5", "127.0.0.1:8001 backup"],
        "app-nsl-h2c": ["127.0.0.1:8005 weight=5", "127.0.0.1:8005 backup"],
        "unused": ["127.0.0.1:8001", "127.0.0.1:8001 down"],
        "empty": ["127.0.0.1:8001"],
    }
    assert "zone app-nsl-h2c 1m;" in text_of(copy)
    text = text_of(copied(tmp_path, "http { server { proxy_http_version 2; location / { "
                          "proxy_pass http://x; } } }", OLD))  # fmt: skip
    assert "127.0.0.1:8001" in text  # HTTP/2 to upstreams came with 1.29.4


# Paths


def test_paths_lead_into_the_sandbox(tmp_path: Path) -> None:
    copy = copied(
        tmp_path,
        """
        http {
          root /etc; index ../../etc/passwd;
          proxy_cache_path /var/cache/x levels=1:2 keys_zone=one:10g max_size=1g inactive=5m;
          server {
            listen 443 ssl; ssl_certificate /etc/a.pem; ssl_certificate_key /etc/a.key;
            try_files /../../etc/passwd =404;
            if (-f /etc/maintenance) { return 503; }
            if (!-e $request_filename) { return 404; }
            location /a/ { alias "/home/$user/"; proxy_store /srv/$uri; dav_methods PUT; }
            location /b/ { rewrite ^ /../../etc/passwd break; client_body_temp_path /srv/body; }
          }
        }
        """,
    )
    text = text_of(copy)
    for leftover in ("/etc/a", "/var/cache", "passwd", "/srv", "/home", "dav_methods", "10g"):
        assert leftover not in text, leftover
    assert f"root {NOWHERE};" in text
    assert f"alias {NOWHERE}/;" in text
    assert f"if (-f {NOWHERE}/etc/maintenance)" in text
    assert "if (!-e $request_filename)" in text
    assert "proxy_cache_path run/cache/0 levels=1:2 inactive=5m keys_zone=one:1m;" in text
    assert "ssl_certificate certificate.pem;" in text
    assert about(copy, "rewrite").why == "it leads out of the document root"


def test_includes_outside_the_tree_and_missing_ones_are_left_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside.conf"
    outside.write_text("gzip on;")
    copy = copied(
        tmp_path,
        {
            "nginx.conf": "http {\n"
            f"include {outside};\n"
            "include ../own/../own/in.conf;\n"
            "include /etc/passwd;\n"
            "include gone.conf;\n"
            "include none/*.conf;\n"
            "}\n",
            "in.conf": "tcp_nodelay on;",
        },
    )
    assert "gzip" not in text_of(copy)
    assert "tcp_nodelay on;" in text_of(copy)
    assert [(one.line, one.done) for one in copy.changes] == [
        (2, "removed"),
        (4, "removed"),
        (5, "removed"),
    ]


def test_a_site_may_include_what_lies_beside_its_nginx_conf(tmp_path: Path) -> None:
    own = tmp_path / "own"
    files = {
        "nginx.conf": "http {}",
        "proxy_params": "proxy_buffering off;",
        "sites/app.conf": f"server {{ location / {{ include {own}/proxy_params; }} }}",
    }
    (own / ".git").mkdir(parents=True)  # the repository's root: nothing above is read
    copy = copied(tmp_path, files, main="sites/app.conf")
    assert tree_of(str(own / "sites" / "app.conf")) == str(own)
    assert "proxy_buffering off;" in text_of(copy)
    (own / "nginx.conf").unlink()
    assert "proxy_buffering" not in text_of(copied(tmp_path, {}, main="sites/app.conf"))


def test_what_no_nginx_would_run_is_a_hindrance(tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    for text, hinders in (
        ("http { include /etc/passwd; include gone.conf; }", False),
        ("http { include self.conf; }", True),
        ("http { listen 80; }", True),
        ("http {", True),
    ):
        (tmp_path / "self.conf").write_text("include self.conf;")
        main.write_text(text)
        assert (first_problem(read(str(main))) is not None) == hinders, text


# The way back


def test_every_block_that_can_answer_is_marked(tmp_path: Path) -> None:
    copy = copied(
        tmp_path,
        "http {\n"
        "server {\n"
        "if ($arg_a) { return 403; }\n"
        "location / {\n"
        "if ($arg_b) { return 404; }\n"
        "location /in { proxy_cache one; }\n"
        "limit_except GET { deny all; }\n"
        "} } }\n",
    )
    places = sorted((place.line, place.kind, place.label) for place in copy.places.values())
    assert places == [
        (2, "server", "server"),
        (4, "location", "location /"),
        (5, "if", "if ($arg_b)"),
        (6, "location", "location /in"),
    ]
    assert {copy.places[place.server].line for place in copy.places.values()} == {2}
    assert [place.line for place in copy.places.values() if place.cached] == [6]


@pytest.mark.parametrize(
    ("text", "servers", "locations"),
    [
        ("upstream a { server b; } server { location / { proxy_pass http://a; } }", 1, 1),
        ("listen 8080; location / { proxy_pass http://a; } location /b { return 200; }", 1, 2),
        ("proxy_pass http://a; proxy_buffering off;", 1, 1),
        ("server { listen 8080; } server { listen 8080; server_name b; }", 2, 0),
    ],
)
def test_fragments_are_put_into_what_surrounds_them(
    tmp_path: Path, binary: NginxBinary, text: str, servers: int, locations: int
) -> None:
    _, copy = settled(tmp_path, text, binary)
    kinds = [place.kind for place in copy.places.values()]
    assert kinds.count("server") == servers
    assert kinds.count("location") == locations


# What an nginx lacks

LACKS = r"""
http {
    geoip_country /etc/geo.dat;
    lua_package_path "/x/?.lua;;";
    limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;
    map $geoip_country_code $bad { default 0; RU 1; }
    map $uri $kind { '~^/(?<name>[a-z]{2,4})/' "$name"; default ''; }
    types { text/html html; }
    server {
        listen 443 ssl http2;
        ssl_certificate none.pem; ssl_certificate_key none.key; ssl_ciphers NONE;
        proxy_cache nowhere;
        set $from_module $no_such_variable;
        location ~ "^/a{1,2}$" { proxy_pass http://app; proxy_headers_hash_max_size 1024; }
        location /b { zstd on; proxy_pass http://app; proxy_next_upstream http_999 error; }
        location /c { content_by_lua_block { ngx.say("}") } }
        location /d { body_filter_by_lua_file /etc/x.lua; proxy_pass http://app; }
        location /e { js_body_filter main.f; proxy_pass http://app; }
        location /f { auth_request /auth; proxy_pass http://app; }
        location /g { auth_request /none; proxy_pass http://app; }
        location = /auth { internal; proxy_pass http://auth; }
    }
}
stream {
    js_body_filter x;
    server { listen 5432; proxy_pass db:5432; root /; }
    server { listen 53 udp; proxy_pass x; }
}
"""


def test_what_an_nginx_lacks_is_left_out_and_listed(tmp_path: Path, binary: NginxBinary) -> None:
    text, copy = settled(tmp_path, LACKS, binary)
    said = {(change.name, change.why) for change in copy.changes}
    for name, why in (
        ("proxy_cache", 'there is no zone "nowhere"'),
        ("set", "this nginx does not know $no_such_variable, so it is empty"),
        ("map", "this nginx does not know $geoip_country_code, so it is empty"),
        ("auth_request", "no location in the copy handles it"),
        ("content_by_lua_block", "it runs code"),
        (
            "body_filter_by_lua_file",
            "its code is not run; the copy uses a filter that changes nothing",
        ),
    ):
        assert (name, why) in said, name
    assert any(name == "proxy_next_upstream" for name, _ in said)
    assert "auth_request /auth;" in text
    assert "auth_request /none;" not in text
    assert ('body_filter_by_lua "ngx.arg[1] = ngx.arg[1]"' in text) == binary.has("lua")
    assert ("js_body_filter nsl.pass" in text) == binary.has("njs")
    assert "ngx.say" not in text


@pytest.mark.parametrize("age", ["old"], indirect=True)
@pytest.mark.parametrize(
    ("row", "modules"),
    [
        ("gzip on;", []),
        ("brotli on;", ["http_brotli_filter"]),
        ("location / { body_filter_by_lua_block { x } }", ["ndk_http", "http_lua"]),
        ("location / { content_by_lua_block { x } echo x; more_set_headers x; }", []),
    ],
)
def test_only_modules_that_the_copy_needs_are_loaded(
    tmp_path: Path, binary: NginxBinary, row: str, modules: list[str]
) -> None:
    text, _ = settled(tmp_path, f"http {{ server {{ {row} }} }}", binary)
    loaded = re.findall(r"load_module [^;]*?/(?:ngx_)?(\w+)_module.so;", text)
    assert [one.removeprefix("ngx_") for one in loaded] == modules


def test_a_change_is_listed_once_however_often_its_file_is_included(
    tmp_path: Path, binary: NginxBinary
) -> None:
    server = "server { location / { include twice.conf; return 200; } }"
    text, copy = settled(
        tmp_path,
        {
            "nginx.conf": f"http {{ {server} {server.replace('/ {', '/x {')} }}",
            "twice.conf": "gzip_buffers 1;\nworker_processes 1;\ntcp_nodelay off;",
        },
        binary,
    )
    assert text.count("tcp_nodelay off;") == 2
    # nginx rejects the first of them, the sandbox has no place for the second one.
    assert sorted((one.name, one.line, one.done) for one in copy.changes) == [
        ("gzip_buffers", 1, "removed"),
        ("worker_processes", 2, "removed"),
    ]


def test_refusals_without_end_are_given_up(
    tmp_path: Path, binary: NginxBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    # nginx names one of these zones at a time, and each time reads the whole copy.
    rows = "".join(f"location /{n} {{ proxy_cache z{n}; return 200; }}" for n in range(150))
    text = f"http {{ server {{ listen 80; {rows} }} }}"
    monkeypatch.setattr("nginx_stream_lint.probe.adapt_copy._MOST_SECONDS", 0.05)
    with pytest.raises(NginxError, match="still rejects the copy"):
        settled(tmp_path, text, binary)


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("http {\nserver {\nlocation ~ ( { }\n} }", 3, "pcre"),
        ("http {\nserver {\nlisten 80 default_server;\n}\nserver { listen 80 default_server; } }",
         5, "duplicate default server"),
        ("http {\nserver {\nlocation / { proxy_buffer_size 64k; proxy_pass http://a;\n} } }",
         4, "proxy_busy_buffers_size"),
        ("http {\nserver {\nlocation / { proxy_pass app; } } }", 3, "invalid URL prefix"),
    ],
)  # fmt: skip
def test_the_authors_mistakes_are_named_where_they_are(
    tmp_path: Path, binary: NginxBinary, text: str, where: int, what: str
) -> None:
    with pytest.raises(NginxError) as caught:
        settled(tmp_path, text, binary)
    said = str(caught.value)
    assert "rejects the copy" in said
    assert what in said
    assert f"nginx.conf:{where}" in said or "busy" in what
    assert "nginx-stream-lint-" not in said
