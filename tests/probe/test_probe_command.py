"""`nginx-stream-lint probe` as users run it, on real nginx."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from tests.report.schemas import check_document

from nginx_stream_lint.cli import cli
from nginx_stream_lint.config import read
from nginx_stream_lint.nginx.delivery import Scenario, delivery_path_for
from nginx_stream_lint.nginx.levels import Level, build
from nginx_stream_lint.probe import NginxBinary
from nginx_stream_lint.probe.copy_model import CopyChange
from nginx_stream_lint.probe.probe_model import ProbeOutcome, ProbeRequest, ProbeResult
from nginx_stream_lint.report.probe import probe_svg, probe_text

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"
SECONDS = 120.0
QUICK = ("--tokens", "16", "--interval", "0.03")


class Command:
    """Runs the command with a folder of its own for temporary files."""

    def __init__(self, folder: Path) -> None:
        self.temporary = folder / "temporary files"
        self.temporary.mkdir()

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start it without waiting."""
        return subprocess.Popen(
            [sys.executable, "-m", "nginx_stream_lint", "probe", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(self.temporary)},
        )

    def run(self, *arguments: str | Path) -> tuple[int, str, str]:
        """Its exit status, output and errors; nothing may be left of it."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=SECONDS)
        self.assert_gone()
        return process.returncode, out.decode(), err.decode()

    def json(self, *arguments: str | Path, status: int) -> dict[str, Any]:
        """What it says with `--format json`."""
        code, out, err = self.run(*arguments, "--format", "json")
        assert (code, err) == (status, ""), (code, out, err)
        document: dict[str, Any] = json.loads(out)
        check_document("probe", document)
        return document

    def processes(self) -> list[str]:
        """The command lines of everything that runs on its temporary files."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                runs_in = os.readlink(entry.with_name("cwd"))
            except OSError:
                continue
            if f"{self.temporary}/" in f"{line} {runs_in}":
                found.append(line)
        return found

    def assert_gone(self) -> None:
        """Fail where files or processes are left."""
        assert list(self.temporary.iterdir()) == []
        assert self.processes() == []


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path)


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Everything in a folder: its mode, time of change and content."""
    return {
        str(one.relative_to(folder)): (
            one.stat().st_mode,
            one.stat().st_mtime_ns,
            one.read_bytes() if one.is_file() else b"",
        )
        for one in sorted(folder.rglob("*"))
    }


def verdicts(document: dict[str, Any]) -> dict[tuple[str, str], str]:
    """(URL, client) to verdict."""
    return {(one["url"], one["client"]): one["verdict"] for one in document["results"]}


# Agreement with the model


def modelled(level: Level, binary: NginxBinary, one: dict[str, Any]) -> str:
    """What the model says of one result."""
    assert level.handler is not None
    way = delivery_path_for(
        lambda name: level.effective(name, binary.version),
        level.handler.family,
        ("text/event-stream",),
    )
    scenario = Scenario(
        one["client"], one["framing"], one["x_accel_buffering"], one["accept_encoding"]
    )
    return way.deliver(scenario).verdict


def test_the_demo_streams_and_stalls_as_the_model_says(
    command: Command, binary: NginxBinary
) -> None:
    before = snapshot(DEMO)
    every = [f"--framing={word}" for word in ("chunked", "close", "length")]
    every += [f"--x-accel-buffering={word}" for word in ("absent", "no", "yes")]
    document = command.json(DEMO / "nginx.conf", "--nginx", binary.path, *QUICK, *every, status=1)
    assert snapshot(DEMO) == before
    root = build(read(str(DEMO / "nginx.conf")))
    levels = {
        (level.directive.source.name, level.directive.line): level
        for level in root.walk()
        if level.directive is not None and level.kind == "location"
    }
    labels = set()
    for one in document["results"]:
        level = levels[one["location"]["file"], one["location"]["line"]]
        labels.add(level.label)
        expected = "streams" if "/ws/" in one["url"] else modelled(level, binary, one)
        assert one["verdict"] == expected, one
    assert labels == {
        "location /v1/chat/completions",
        "location /events",
        "location /agent/stream",
        "location /ws/",
        "location = /import/log.php",
    }
    assert len(document["results"]) == 4 * 2 * 9 + 9
    assert document["nginx"]["version"] == ".".join(map(str, binary.version))
    assert not any(change["matters"] for change in document["changes"])


# Many kinds of servers at once

MANY = """
map $http_x_which $dynamic { default app:3000; }
upstream group { server app:3000; server unix:/run/app.sock backup; }
proxy_cache_path /var/cache/nginx keys_zone=one:1m;
server {
    listen 80; listen [::]:80; server_name a.test;
    location / { proxy_pass http://group; proxy_buffering off; }
}
server {
    listen 80; listen 443 ssl HTTP2;
    server_name b.test *.c.test;
    ssl_certificate /none.pem; ssl_certificate_key /none.key; ssl_ciphers NULL; ssl_protocols SSLv3;
    location / { proxy_pass https://$dynamic; proxy_buffering off; }
    location /held { proxy_http_version 1.0; proxy_pass http://$dynamic$request_uri; }
    location /unix { proxy_buffering off; proxy_pass http://unix:/run/x.sock:/y; }
    location /fcgi { fastcgi_buffering off; fastcgi_pass unix:/run/php.sock; }
    location /uwsgi { uwsgi_buffering off; uwsgi_pass suwsgi://app:3031; }
    location /scgi { scgi_pass app:4000; }
    location /grpc { grpc_pass grpcs://group; }
    location /loop { proxy_buffering off; proxy_pass https://b.test/loop; }
    location /asked { auth_request /auth; proxy_buffering off; proxy_pass http://group; }
    location = /auth { internal; proxy_pass http://auth; proxy_cache one; proxy_cache_valid 1h; }
    location /cached {
        proxy_http_version 1.1; proxy_cache one; proxy_cache_valid 1h; proxy_pass http://group;
    }
    location /cached/not { proxy_cache off; proxy_http_version 1.1; proxy_pass http://group; }
    location /if { if ($arg_a) { proxy_pass http://group; } return 204; }
}
server { listen 127.0.0.1:80; location / { return 418; } }
"""
ASKED = {
    "http://a.test/": "streams",
    "http://other.test/": "streams",
    "http://b.test/held": "stalls",
    "http://x.c.test/unix": "streams",
    "http://127.0.0.1/": "no-stream",
    "https://b.test/": "streams",
    "https://b.test/fcgi": "streams",
    "https://b.test/uwsgi": "streams",
    "https://b.test/scgi": "stalls",
    "https://b.test/grpc": "streams",
    "https://b.test/loop": "streams",
    "https://b.test/asked": "streams",
    "https://b.test/cached": "replays",
    "https://b.test/cached?again": "replays",
    "http://b.test/cached/not": "streams",
    "http://db.test:5432/": "streams",
}


@pytest.mark.parametrize("where", ["server", "location"])
def test_http2_streams_without_keepalive(
    where: str, command: Command, tmp_path: Path, binary: NginxBinary
) -> None:
    """nginx sends a GOAWAY at once, and then the response. Browsers and curl read it."""
    is_new = binary.version >= (1, 25, 1)
    listen = "listen 443 ssl; http2 on;" if is_new else "listen 443 ssl http2;"
    off = "keepalive_timeout 0;"
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"http {{ server {{ {listen} ssl_certificate a; ssl_certificate_key b;"
        f" {off if where == 'server' else ''} location / {{ {off if where != 'server' else ''}"
        " proxy_pass http://a:1; proxy_http_version 1.1; proxy_buffering off; } } }"
    )
    document = command.json(main, "https://a/", "--nginx", binary.path, status=0)
    assert verdicts(document) == {
        ("https://a/", "h1-tls"): "streams",
        ("https://a/", "h2"): "streams",
    }


def test_servers_of_all_kinds(command: Command, tmp_path: Path, binary: NginxBinary) -> None:
    main = tmp_path / "nginx.conf"
    has_directive = binary.version >= (1, 25, 1)
    http = MANY.replace(" HTTP2;", "; http2 on;" if has_directive else " http2;")
    stream = "stream { server { listen 5432; proxy_pass db:5432; } }"
    main.write_text(f"http {{\n{http}\n}}\n{stream}\n")
    picture = tmp_path / "picture.svg"
    document = command.json(main, *ASKED, "/", "--nginx", binary.path, "--plot", picture, status=1)
    found = verdicts(document)
    for url, expected in ASKED.items():
        clients = {client: verdict for (asked, client), verdict in found.items() if asked == url}
        assert set(clients) == ({"h1-tls", "h2"} if url.startswith("https") else {"h1"}), url
        assert set(clients.values()) == {expected}, (url, clients)
    assert found["/", "h1"] == "streams"  # of the first server
    for one in document["results"]:
        where = one["location"]
        if "5432" in one["url"]:
            assert where is None
        elif "418" not in str(one["status"]):
            assert where["label"].startswith("location"), one
    statuses = {one["status"] for one in document["results"] if "127.0.0.1" in one["url"]}
    assert statuses == {418}
    tree = ElementTree.parse(picture)
    assert tree.getroot().tag.endswith("svg")
    words = {"".join(one.itertext()) for one in tree.iter() if one.tag.endswith("text")}
    assert {"seconds since the request", "tokens", "sent by the app"} <= words


# Nobody's files


HOSTILE = """
user nobody; pid {victim}/pid; error_log {victim}/error.log debug; env SECRET;
lock_file {victim}/lock; working_directory {victim}; load_module {victim}/evil.so;
ssl_engine {victim}; google_perftools_profiles {victim}/profile; perl_modules {victim};
thread_pool evil threads=2; worker_rlimit_nofile 10;
events {{ worker_connections 10; use select; debug_connection 127.0.0.1; }}
mail {{ server {{ listen 25; auth_http http://127.0.0.1:1; }} }}
http {{
    include /etc/passwd;
    include {victim}/other/*.conf;
    log_format x "$request"; access_log {victim}/access.log x; error_log {victim}/error.log;
    lua_package_path "{victim}/?.lua;;";
    init_by_lua_block {{ io.open("{victim}/init", "w"):write("x") }}
    init_worker_by_lua_file {victim}/evil.lua;
    js_import {victim}/evil.js; js_set $evil evil.f; perl_set $evil2 'sub {{ `touch {victim}/p` }}';
    client_body_temp_path {victim}/body; proxy_temp_path {victim}/proxy;
    fastcgi_temp_path {victim}/fastcgi; client_body_in_file_only on;
    proxy_cache_path {victim}/cache levels=1:2 keys_zone=evil:10m;
    geoip_country {victim}/geo.dat; resolver 198.51.100.1; xslt_stylesheet {victim}/x.xslt;
    geo $outside {{ default 1; include {victim}/geo.conf; }}
    upstream app {{ state {victim}/state; server app.invalid; }}
    server {{
        listen 80 fastopen=256; listen unix:{victim}/socket;
        root /etc; autoindex on;
        location / {{
            access_by_lua_block {{ io.open("{victim}/access", "w"):write("x") }}
            body_filter_by_lua_block {{ io.open("{victim}/filter", "w"):write("x") }}
            proxy_cache evil; proxy_cache_valid 1h;
            auth_request http://198.51.100.2/auth; mirror /mirror;
            proxy_pass http://app; proxy_ssl_certificate {victim}/c; proxy_bind 198.51.100.3;
        }}
        location /store {{ proxy_store {victim}/stored; proxy_pass http://app; }}
        location /climb {{
            rewrite ^ /../../../..{victim}/climbed break; proxy_store on; proxy_pass http://app;
        }}
        location /dav {{ root {victim}; dav_methods PUT DELETE MKCOL; create_full_put_path on; }}
        location /lua {{ content_by_lua_file {victim}/evil.lua; }}
        location /passwd {{ try_files /../../../../etc/passwd =404; }}
        location /listing {{ alias {victim}/; }}
        location /mirror {{ internal; proxy_pass http://198.51.100.4; }}
    }}
}}
stream {{
    access_log {victim}/stream.log basic; js_preread evil.f;
    server {{ listen 5432; proxy_pass 198.51.100.5:5432; ssl_preread on; proxy_protocol on; }}
}}
"""


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_a_hostile_configuration_leaves_no_trace(
    command: Command, tmp_path: Path, binary: NginxBinary, method: str
) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "evil.lua").write_text(f'io.open("{victim}/lua", "w"):write("x")')
    (victim / "evil.js").write_text("export default {f: () => { require('fs') }}")
    (victim / "evil.so").write_bytes(b"\x7fELF")
    (victim / "secret").write_text("secret")
    (victim / "geo.conf").write_text("10.0.0.0/8 0;")
    own = tmp_path / "own"
    own.mkdir()
    (own / "nginx.conf").write_text(HOSTILE.format(victim=victim))
    before, mine = snapshot(victim), snapshot(own)
    urls = ["/", "/store/x", "/climb", "/dav/x", "/lua", "/passwd", "/listing/", "/mirror"]
    document = command.json(
        own / "nginx.conf", *urls, "http://db.test:5432/",
        *QUICK, "--method", method, "--nginx", binary.path, status=1,
    )  # fmt: skip
    assert snapshot(victim) == before
    assert snapshot(own) == mine
    found = verdicts(document)
    assert (found["/", "h1"] == "replays") == (method == "GET")
    for url in ("/store/x", "/climb"):
        assert found[url, "h1"] in ("stalls", "streams")
    statuses = {one["url"]: one["status"] for one in document["results"]}
    for url in ("/dav/x", "/lua", "/passwd", "/listing/", "/mirror"):
        assert statuses[url] in (403, 404, 405), (url, statuses[url])
    left = {change["directive"] for change in document["changes"]}
    assert {
        "load_module", "include", "error_log", "access_log", "env", "user", "ssl_engine",
        "init_by_lua_block", "access_by_lua_block", "content_by_lua_file", "js_import", "perl_set",
        "proxy_store", "dav_methods", "auth_request", "client_body_temp_path", "mail", "root",
        "rewrite", "try_files", "alias", "state", "geoip_country",
    } <= left  # fmt: skip
    text = json.dumps(document)
    assert "root:x:0" not in text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_when_it_is_interrupted(command: Command, number: signal.Signals) -> None:
    process = command.start(DEMO / "nginx.conf", "--tokens", "1000", "--interval", "0.1")
    try:
        deadline = time.monotonic() + SECONDS
        while not any("nginx.conf" in line for line in command.processes()):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(0.3)  # it measures
        process.send_signal(number)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert (out, err) == (b"", b"interrupted: nothing was measured\n")
    command.assert_gone()


# What cannot be measured


def in_process(*arguments: str | Path) -> tuple[int, str, str]:
    """The exit status, output and errors of the command, without starting Python anew."""
    result = CliRunner().invoke(cli, ["probe", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.stdout, result.stderr


GOOD = "http { server { listen 80; location / { proxy_pass http://app; } } }"


@pytest.mark.parametrize(
    ("text", "arguments", "sentence"),
    [
        (GOOD, ["https://a.test/"], 'no server listens for "https://a.test/"'),
        (GOOD, ["http://a.test:81/"], 'no server listens for "http://a.test:81/"'),
        (GOOD, ["ftp://a.test/"], 'the scheme "ftp"'),
        (GOOD, ["a.test"], "write a path that starts with /, or"),
        (GOOD, ["/", "--client", "h2"], "is served to h1 only; choose another --client"),
        (GOOD, [], "no location seems to stream; name the URLs to measure"),
        (GOOD, ["/", "--nginx", "/nowhere/nginx"], "/nowhere/nginx"),
        (GOOD, ["/", "--nginx", sys.executable], "does not seem to be nginx"),
        (GOOD, ["/", "--plot", "/nowhere/x.svg"], "cannot be written"),
        (GOOD, ["/", "--tokens", "0"], "0 is not in the range"),
        ("events {}", ["/"], "there is no server to measure"),
        ("http {}", ["/"], "there is no server to measure"),
        ("http { server { ", ["/"], "unexpected end of file"),
        ("http { server { proxy_buffering maybe; } }", ["/"], "it must be"),
        ("http { server { location ~ ( { } } }", ["/"], "rejects the copy"),
        ("http { include again.conf; }", ["/"], "include cycle"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(
    tmp_path: Path, text: str, arguments: list[str], sentence: str
) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(text)
    (tmp_path / "again.conf").write_text("include again.conf;")
    status, out, err = in_process(main, *arguments)
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1 or "Usage" in err


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    status, out, err = in_process(tmp_path / "none.conf", "/")
    assert (status, out) == (2, "")
    assert "no such file" in err


@pytest.mark.parametrize(
    ("says", "sentence"),
    [
        ("nginx: [emerg] something odd", "rejects the copy: something odd"),
        ("", "did not start"),
    ],
)
def test_an_nginx_that_fails_is_one_sentence(
    command: Command, tmp_path: Path, says: str, sentence: str
) -> None:
    broken = tmp_path / "nginx"
    broken.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "  *-V*) echo 'nginx version: nginx/1.22.1' ;;\n"
        f"  *-t*) echo '{says}'; exit {1 if says else 0} ;;\n"
        "  *) echo gone; exit 1 ;;\n"
        "esac\n"
    )
    broken.chmod(0o755)
    main = tmp_path / "nginx.conf"
    main.write_text(GOOD)
    status, out, err = command.run(main, "/", "--nginx", broken)
    assert (status, out) == (2, "")
    assert sentence in err
    assert len(err.strip().splitlines()) == 1


def test_an_nginx_that_dies_is_one_sentence(command: Command, tmp_path: Path) -> None:
    real = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    if real is None:
        pytest.skip("there is no nginx to wrap")
    main = tmp_path / "nginx.conf"
    main.write_text(GOOD)
    process = command.start(main, "/", "--nginx", real, "--tokens", "200")
    try:
        deadline = time.monotonic() + SECONDS
        while not (pids := list(command.temporary.glob("*/run/nginx.pid"))):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.5)
        os.killpg(int(pids[0].read_text()), signal.SIGKILL)
        out, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
        process.wait()
    assert (process.returncode, out) == (2, b"")
    assert b"died during the measurement" in err
    command.assert_gone()


# What people see


def test_what_streams_ends_with_0_and_is_shown_on_a_line_of_time(
    command: Command, tmp_path: Path, binary: NginxBinary
) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(
        "http { limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;\n"
        "server { listen 80;\n"
        "limit_req zone=a; access_log off;\n"
        "location / { proxy_buffering off; proxy_pass http://app; } } }\n"
    )
    status, out, err = command.run(main, "/x", "--nginx", binary.path)
    assert (status, err) == (0, "")
    assert f"{main}:4: location /" in out
    assert "streams   plain HTTP/1.1: first token at once, 20 tokens" in out
    sent, got = (
        next(line for line in out.splitlines() if word in line)
        for word in ("app sent", "client got")
    )
    assert sent.count("|") > 15
    assert got.count("|") > 15
    assert f"{main}:3: limit_req zone=a: removed, it could reject the probe's requests" in out
    assert "1 more line was removed or replaced" in out
    assert "the stream gets through" in out


def test_a_report_of_nothing_is_still_one(binary: NginxBinary) -> None:
    change = CopyChange("env", "env A", "x<&>.conf", 1, "left out", "<why>", True)
    result = ProbeResult(binary, [], [change])
    assert "x<&>.conf:1: env A: left out, <why>" in probe_text(result, ["<somewhere>"])
    ElementTree.fromstring(probe_svg(result))


def test_what_gets_through_is_counted_by_url(binary: NginxBinary) -> None:
    """A URL that was measured in several scenarios is one stream; it streams if it does in all."""

    def measured(name: str, *verdicts: str) -> list[ProbeOutcome]:
        request = ProbeRequest(name, {})
        return [
            ProbeOutcome(request, Scenario(), one, 200, None, None, 0.0, (), (), (), 1.0, "", None)
            for one in verdicts
        ]

    good, half = measured("/a", "streams", "streams"), measured("/b", "streams", "stalls")
    for outcomes, said in (
        (good, "the stream gets through"),
        (half, "the stream does not get through"),
        ([*good, *half], "1 of 2 measured streams gets through"),
        ([*good, *measured("/c", "streams")], "all 2 measured streams get through"),
    ):
        assert probe_text(ProbeResult(binary, outcomes, [])).splitlines()[-1] == said


def test_urls_are_found_for_what_is_thought_to_stream(command: Command, tmp_path: Path) -> None:
    main = tmp_path / "nginx.conf"
    main.write_text(
        "http { server { listen 8080; server_name ~^api(?<number>\\d+)\\.test$ api.test;\n"
        "location ~ ^/v(1|2)/(chat|events)$ {\n# nginx-stream-lint: stream\nproxy_buffering off;\n"
        "proxy_pass http://a; }\n"
        "location /files { try_files $uri @app; }\n"
        "location @app {\n# nginx-stream-lint: stream framing=close\nproxy_buffering off;\n"
        "proxy_pass http://a; }\n"
        "location /if { if ($arg_x) {\n# nginx-stream-lint: stream\nproxy_pass http://a; } }\n"
        "} }"
    )
    document = command.json(main, status=0)
    assert verdicts(document) == {
        ("http://api.test:8080/v1/chat", "h1"): "streams",
        ("http://api.test:8080/files", "h1"): "streams",
    }
    assert [one["framing"] for one in document["results"]] == ["chunked", "close"]
    (left,) = document["not_measured"]
    assert "if ($arg_x)" in left
