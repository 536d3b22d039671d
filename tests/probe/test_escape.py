"""Attacks on the probe's sandbox: each runs on real nginx, and nothing may come of it.

A victim's folder, a decoy that listens on loopback and this machine's name are what the attacks
are after. What nginx sends is read whole: no secret may be in it.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import structs

from nginx_stream_lint.config import read
from nginx_stream_lint.probe import (
    Drip,
    DrippingUpstream,
    Nginx,
    NginxBinary,
    NginxError,
    free_ports,
)
from nginx_stream_lint.probe.adapt_copy import adapt_copy
from nginx_stream_lint.probe.certificate import write_certificate
from nginx_stream_lint.probe.copy import copy_of
from nginx_stream_lint.probe.drip import HEADER
from nginx_stream_lint.probe.folders import temporary_folder
from nginx_stream_lint.probe.launch import SandboxLimits

SECONDS = 60.0
QUICK = Drip(tokens=2, interval=0.001)
SECRET = "a secret of this machine"
PID_AND_LOG = "pid run/nginx.pid; error_log stderr warn; daemon off; events {}"


@dataclass
class Decoy:
    """A server that nobody should connect to."""

    port: int
    connections: int = 0


@asynccontextmanager
async def decoy() -> AsyncIterator[Decoy]:
    """A decoy on loopback, outside of the ports that the probe takes."""
    found = Decoy(0)

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.connections += 1
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


@pytest.fixture
def victim() -> Iterator[Path]:
    """A folder that everybody may read and write: only the sandbox is in the way."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o777)
        (folder / "secret").write_text(SECRET)
        (folder / "index.html").write_text(SECRET)
        (folder / "users").write_text("a:{PLAIN}b")
        (folder / "evil.lua").write_text(f'io.open("{folder}/lua", "w"):write("x")')
        (folder / "evil.conf").write_text(f"proxy_store {folder}/included;")
        yield folder
    finally:
        shutil.rmtree(folder)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        str(one.relative_to(folder)): one.read_bytes() if one.is_file() else b""
        for one in sorted(folder.rglob("*"))
    }


@dataclass
class Ran:
    """What came of a configuration: everything that was sent and said."""

    said: list[bytes] = field(default_factory=list)
    seen: str = ""
    text: str = ""
    refused: str = ""
    listens: set[str] = field(default_factory=set)


async def answer(port: int, path: str) -> bytes:
    """A whole response as it came."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"GET {path} HTTP/1.0\r\nHost: x\r\n{HEADER}: {QUICK.encode()}\r\n\r\n"
        writer.write(head.encode())
        return await asyncio.wait_for(reader.read(), SECONDS)
    except ConnectionError as error:
        return str(error).encode()
    finally:
        writer.close()


async def run(main: Path, binary: NginxBinary, paths: Sequence[str], port: int) -> Ran:
    """Run a configuration's copy and ask for some paths.

    The kernel lets nginx read everything and connect to `port`: it is the copy that must not.
    """
    ran = Ran()
    with temporary_folder() as folder:
        async with DrippingUpstream() as upstream:
            try:
                copy = copy_of(read(str(main)), binary.version, upstream.ports, folder)
                write_certificate(folder)
                ran.text, sandbox = await adapt_copy(copy, binary, folder)
                sandbox = structs.replace(
                    sandbox, reads=(Path("/"),), connects=(*sandbox.connects, port)
                )
                async with Nginx(binary, ran.text, folder, sandbox) as nginx:
                    ran.listens = listening(nginx.pid)
                    for target in copy.sockets.values():
                        for path in paths:
                            ran.said.append(await answer(target.port, path))
            except NginxError as error:
                ran.refused = str(error)
    return ran


def _target(link: Path) -> str:
    """Where a link leads; nowhere if it is gone since it was listed."""
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def listening(pid: int) -> set[str]:
    """The addresses that a process listens on, in the form of /proc/net/tcp; Linux only."""
    own = {_target(one) for one in Path(f"/proc/{pid}/fd").iterdir()}
    rows = [
        line.split()
        for name in ("tcp", "tcp6", "unix")
        for line in Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:]
    ]
    return {
        row[1] if ":" in row[1] else row[-1]
        for row in rows
        if any(f"socket:[{cell}]" in own for cell in row) and (row[3] == "0A" or "/" in row[-1])
    }


def proxied(*rows: str) -> str:
    """A configuration of one server with these rows; they may name {victim} and {port}."""
    return "events {} http { server { listen 80; " + " ".join(rows) + " } }"


UP = "{up}"  # as many folders up as it takes
ATTACKS: dict[str, str] = {
    "template hides a block": proxied(
        "location /a { add_header X <%= 1; content_by_lua_block { "
        'os.execute("id > {victim}/x") } } location /q { set $z %>; proxy_pass http://a; }'
    ),
    "jinja hides a block": proxied(
        "location /a { add_header X {{ 1; } content_by_lua_block { "
        'os.execute("id > {victim}/x") } location /q { set $z }}; proxy_pass http://a; }'
    ),
    "jinja statement hides rows": proxied(
        "location /a { {% proxy_store {victim}/x; %} proxy_pass http://a; }"
    ),
    "quotes inside words": proxied(
        """location /a { add_header X 'a"; proxy_store {victim}/x; "b'; proxy_pass http://a; }"""
    ),
    "escapes at the end of words": proxied(
        r"""location /a { add_header X "a\\"; add_header Y "\"; proxy_store {victim}/x; #\\"; """
        "proxy_pass http://a; }"
    ),
    "line ends in words": proxied(
        'location /a { add_header X "a\nproxy_store {victim}/x;\n"; proxy_pass http://a; }'
    ),
    "pass to a decoy": proxied("location /a { proxy_pass http://127.0.0.1:{port}; }"),
    "pass to a decoy by a variable": proxied(
        "set $where 127.0.0.1:{port}; location /a { proxy_pass http://$where; }"
    ),
    "pass to a decoy by user information": proxied(
        "location /a { proxy_pass http://upstream@127.0.0.1:{port}/; }"
    ),
    "pass to a decoy by FastCGI": proxied("location /a { fastcgi_pass 127.0.0.1:{port}; }"),
    "pass to a decoy by memcached": proxied(
        "location /a { set $memcached_key x; memcached_pass 127.0.0.1:{port}; }"
    ),
    "a group of decoys": "events {} http { upstream a { server 127.0.0.1:{port}; } "
    "server { listen 80; location /a { proxy_pass http://a; } } }",
    "a group with an address for a name": "events {} http { "
    'upstream "127.0.0.1:{port}" { server b; } server { listen 80; '
    "location /a { proxy_pass http://127.0.0.1:{port}; } } }",
    "a decoy of the stream module": "events {} stream { server { listen 80; "
    "proxy_pass 127.0.0.1:{port}; } }",
    "mirror to a decoy": proxied(
        "location /a { mirror /m; proxy_pass http://a; } "
        "location /m { proxy_pass http://127.0.0.1:{port}; }"
    ),
    "a subrequest to a decoy": proxied(
        "location /a { auth_request /m; proxy_pass http://a; } "
        "location /m { proxy_pass http://127.0.0.1:{port}; }"
    ),
    "a resolver that is a decoy": proxied(
        "resolver 127.0.0.1:{port}; location /a { proxy_pass http://$host; }"
    ),
    "syslog to a decoy": proxied(
        "access_log syslog:server=127.0.0.1:{port}; location /a { return 200; }"
    ),
    "logs": proxied(
        "access_log {victim}/log; error_log {victim}/errors debug; location /a { return 200; }"
    ),
    "stores": proxied(
        "location /a { proxy_store {victim}/x; proxy_store_access all:rw; proxy_pass http://a; }"
    ),
    "a cache anywhere": "events {} http { proxy_cache_path {victim}/cache keys_zone=a:1m; "
    "server { listen 80; location /a { proxy_cache a; proxy_cache_valid 1h; "
    "proxy_pass http://a; } } }",
    "a cache by the name of its zone": "events {} http { "
    f"proxy_cache_path x keys_zone={UP}{{victim}}/x:1m; server {{ listen 80; "
    "location /a { proxy_pass http://a; } } }",
    "a cache by its other parameters": "events {} http { proxy_cache_path x keys_zone=a:1m "
    'levels=1:2 "inactive=1m {victim}/y" use_temp_path=off manager_files=9; server { listen 80; '
    "location /a { proxy_cache a; proxy_pass http://a; } } }",
    "temporary files": proxied(
        "client_body_temp_path {victim}/body; proxy_temp_path {victim}/proxy; "
        "client_body_in_file_only on; location /a { proxy_pass http://a; }"
    ),
    "main level": "user root; pid {victim}/pid; lock_file {victim}/lock; env PATH; "
    "error_log {victim}/log; working_directory {victim}; load_module {victim}/evil.so; "
    "worker_processes 1000; " + proxied("location /a { return 200; }"),
    "includes": proxied("include {victim}/evil.conf; location /a { proxy_pass http://a; }"),
    "includes in data": "events {} http { map $uri $x { include {victim}/secret; } "
    "geo $y { include {victim}/secret; } types { include {victim}/secret; } "
    "server { listen 80; location /a { return 200 $x$y; } } }",
    "root": proxied("root {victim}; location /a { rewrite ^ /secret break; }"),
    "alias": proxied("location /a/ { alias {victim}/; }"),
    "alias by a variable": proxied("set $d {victim}; location ~ ^/a/(.*) { alias $d/$1; }"),
    "dots by a variable": proxied(
        f"set $d .; location /a {{ rewrite ^ {'/$d$d' * 12}{{victim}}/secret break; }}"
    ),
    "dots by captures": proxied(
        "location ~ ^/b(.)(.) { rewrite ^/b(.)(.) "
        f"{'/$1$2' * 12}{{victim}}/secret break; }}"
    ),
    "dots in try_files": proxied(
        f"set $d .; location /a {{ try_files {'/$d$d' * 12}{{victim}}/secret =404; }}"
    ),
    "dots in error pages": proxied(
        f"set $d .; error_page 404 {'/$d$d' * 12}{{victim}}/secret;"
    ),
    "dots in index": proxied(f"set $d .; location / {{ index {'$d$d/' * 12}{{victim}}/secret; }}"),
    "dots in an alias": proxied(f"location /a {{ alias /x/{'../' * 12}{{victim}}/secret; }}"),
    "dots in add_after_body": proxied(
        f"set $d .; location /a {{ add_after_body {'/$d$d' * 12}{{victim}}/secret; "
        "return 200 x; }"
    ),
    "listings": proxied("root {victim}; autoindex on; random_index on;"),
    "compressed files": proxied("root {victim}; gzip_static always; location /a { }"),
    "tests for files": proxied(
        "set $v {victim}; "
        f'if (-f $v/secret) {{ return 200 "{SECRET}"; }} '
        f'if (-f {{victim}}/secret) {{ return 200 "{SECRET}"; }} '
        f'if ( -e {{victim}}/secret ) {{ return 200 "{SECRET}"; }} '
        f'if (!-e "$document_root/x") {{ set $x 1; }} '
    ),
    "passwords": proxied(
        "auth_basic x; auth_basic_user_file {victim}/users; location /a { return 200; }"
    ),
    "certificates": "events {} http { ssl_password_file {victim}/secret; server { "
    "listen 443 ssl; listen 80; ssl_certificate {victim}/secret; "
    "ssl_certificate_key data:$arg_x; ssl_dhparam {victim}/secret; "
    "ssl_client_certificate {victim}/secret; location /a { return 200; } } }",
    "WebDAV": proxied("root {victim}; dav_methods PUT DELETE; location /a { }"),
    "the machine's name": proxied(
        'location /a { add_header A "$hostname"; return 200 "$HOSTNAME $pid"; }',
        "location /b { proxy_set_header A $hostname; proxy_pass http://a; }",
        "server_name $hostname;",
    ),
    "the machine's name by a map": "events {} http { map $hostname $a { default $hostname; "
    "'~(?<b>.*)' $b; } server { listen 80; return 200 $a; } }",
    "the machine's name by SSI": proxied(
        "location /a { ssi on; default_type text/html; ",
        """return 200 '<!--#echo var="hostname"-->'; }""",
    ),
    "all addresses": "events {} http { server { listen 0.0.0.0:80; listen [::]:81; "
    "listen 8.8.8.8:82; listen unix:{victim}/socket; location /a { return 200; } } }",
    "code of Lua": "events {} http { init_by_lua_file {victim}/evil.lua; "
    "lua_package_path '{victim}/?.lua'; server { listen 80; "
    "set_by_lua_file $x {victim}/evil.lua; location /a { content_by_lua_file {victim}/evil.lua; } "
    'location /b { body_filter_by_lua_block { os.execute("id > {victim}/x") } '
    "proxy_pass http://a; } } }",
    "code of njs": "events {} http { js_path {victim}; js_import e from {victim}/evil.lua; "
    "js_set $x e.f; server { listen 80; location /a { js_content e.f; } } }",
    "code of Perl": "events {} http { perl_modules {victim}; perl_require x.pm; "
    "server { listen 80; location /a { perl 'sub { system(\"id\") }'; } } }",
    "XSLT, images, GeoIP": "events {} http { geoip_country {victim}/secret; "
    "server { listen 80; location /a { xslt_stylesheet {victim}/secret; image_filter size; } } }",
    "zones": "events {} http { limit_req_zone $uri zone=a:64g rate=1r/s; "
    "proxy_cache_path x keys_zone=b:64g; ssl_session_cache shared:c:64g; "
    "upstream u { zone d 64g; server b; } server { listen 80; location /a { return 200; } } }",
    "buffers": proxied(
        "location /a { proxy_buffers 1000000 1024m; proxy_buffer_size 1024m; "
        "proxy_busy_buffers_size 1024m; client_body_buffer_size 99999999999; "
        "proxy_pass http://a; }"
    ),
    "tables": "events {} http { map_hash_max_size 999999999; variables_hash_max_size 999999999; "
    "server_names_hash_bucket_size 999999999; upstream u { keepalive 999999999; "
    "server b weight=999999999; } server { listen 80; location /a { proxy_pass http://u; } } }",
    "variables that grow": proxied(
        "location /a { set $x 0123456789; " + "set $x $x$x; " * 40 + "return 200 $x; }"
    ),
    "expressions without end": proxied(
        'location ~ "^/(a+)+$" { return 200; } location ~ "^/((a|aa)+)+b$" { return 200; }'
    ),
}  # fmt: skip
# These may have any path: below the root, which is nowhere, or as text.
HARMLESS = {
    "add_after_body", "add_header", "error_page", "if", "index", "return", "rewrite", "set",
    "try_files",
}  # fmt: skip
PATHS = ("/a", "/a/", "/a/secret", "/secret", "/", "/b..", f"/{'a' * 40}!")


@pytest.mark.parametrize("name", ATTACKS)
def test_nothing_comes_of_an_attack(
    name: str, tmp_path: Path, victim: Path, binary: NginxBinary
) -> None:
    async def attack() -> tuple[Ran, int]:
        async with decoy() as other:
            text = ATTACKS[name].replace("{victim}", str(victim)).replace("{up}", "../" * 12)
            main = tmp_path / "nginx.conf"
            main.write_text(text.replace("{port}", str(other.port)))
            ran = await run(main, binary, PATHS, other.port)
            await asyncio.sleep(0)
            return ran, other.connections

    before = snapshot(victim)
    ran, connections = asyncio.run(asyncio.wait_for(attack(), 3 * SECONDS))
    assert snapshot(victim) == before
    assert connections == 0
    named = {line.split()[0] for line in ran.text.splitlines() if str(victim) in line}
    assert named <= HARMLESS, "a directive that writes or loads names the victim's folder"
    everything = b"\n".join(ran.said)
    assert SECRET.encode() not in everything
    if "the machine" in name:
        hostname = re.escape(socket.gethostname())
        assert re.search(rf"\b{hostname}\b", everything.decode(errors="replace")) is None
    assert all(one.startswith("0100007F:") for one in ran.listens), ran.listens
    if not ran.refused:
        assert ran.said, "it neither ran nor was it refused"


# In each, nginx text ends where the outer language has it end, not where a quote seems to.
DOCUMENTS = {
    "a ConfigMap's escapes": (
        "map.yaml",
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata:\n"
        '  nginx.conf: "events {} http { server { listen 80; location /v1/chat/completions { '
        'add_header X \\"a; ROW add_header Y b\\"; proxy_pass http://a; } } }"\n',
    ),
    "a template's tags": (
        "nginx.conf",
        "events {} http { server { listen 80; location /v1/chat/completions { add_header X <%= 1; "
        "ROW } location /q { set $z %>; proxy_pass http://a; } } }\n",
    ),
    "a dump's files": (
        "dump.txt",
        "# configuration file /etc/nginx/nginx.conf:\nevents {} http { include x.conf; }\n"
        "# configuration file /etc/nginx/x.conf:\nserver { listen 80; "
        "location /v1/chat/completions { proxy_pass http://a; add_header X {{ 1; ROW }}; } }\n",
    ),
    "an include's name": (
        "nginx.conf",
        "events {} http { server { listen 80; location /v1/chat/completions { "
        'proxy_pass http://a; include "x\\"; ROW #"; ROW } } }\n',
    ),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lint_runs_nothing_of_a_document(name: str, victim: Path, binary: NginxBinary) -> None:
    row = f"body_filter_by_lua_block {{ os.execute('id > {victim}/x') }}"
    row += f" proxy_store {victim}/y;"
    file, text = DOCUMENTS[name]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file).write_text(text.replace("ROW", row))
        before = snapshot(victim)
        done = subprocess.run(
            [sys.executable, "-m", "nginx_stream_lint", file, "--probe", "--nginx", binary.path],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert snapshot(victim) == before
        assert done.returncode in (0, 1, 2), done.stderr
        assert "Traceback" not in done.stderr


def test_the_same_without_a_sandbox_would_be_noticed(
    tmp_path: Path, victim: Path, binary: NginxBinary
) -> None:
    async def careless() -> tuple[list[bytes], int]:
        async with decoy() as other:
            (port,) = free_ports(1)
            text = (
                f"events {{}} http {{ server {{ listen 127.0.0.1:{port}; root /; "
                f"location /a {{ proxy_pass http://127.0.0.1:{other.port}; }} "
                f"location /s {{ set $d .; rewrite ^ /$d$d/$d$d{victim}/secret break; }} "
                f"location /h {{ return 200 $hostname; }} }} }}"
            )
            async with Nginx(binary, text, tmp_path):
                said = [await answer(port, path) for path in ("/a", "/s", "/h")]
            return said, other.connections

    said, connections = asyncio.run(asyncio.wait_for(careless(), SECONDS))
    assert connections == 1
    assert SECRET.encode() in said[1]
    assert socket.gethostname().encode() in said[2]


# The sandbox: what nginx can do if the verifier wrongly accepts a text


def abi() -> int:
    """The version of the kernel's landlock; 0 without."""
    if sys.platform != "linux":
        return 0
    library = ctypes.CDLL(None)
    return max(int(library.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))), 0)


async def walled(
    binary: NginxBinary, text: str, paths: Sequence[str], connects: tuple[int, ...] = ()
) -> tuple[list[bytes], str]:
    """Run any text in the sandbox, unverified; return the responses and the log."""
    with temporary_folder() as folder:
        (folder / "run" / "tmp").mkdir(parents=True)
        (port,) = free_ports(1)
        sandbox = SandboxLimits(folder, folder / "run", tuple(modules(binary)), (port,), connects)
        async with Nginx(binary, text.replace("{listen}", str(port)), folder, sandbox) as nginx:
            said = [await answer(port, path) for path in paths]
            return said, nginx.error_log


def modules(binary: NginxBinary) -> Iterator[Path]:
    for line in binary.load_modules:
        yield Path(line.removeprefix("load_module ").rstrip(";"))


def temporary_paths() -> str:
    families = ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    return " ".join(f"{one}_temp_path run/tmp/{one};" for one in families)


@pytest.mark.skipif(abi() < 4, reason="needs landlock with TCP (Linux 6.7)")
def test_the_kernel_keeps_what_the_verifier_lets_through(victim: Path, binary: NginxBinary) -> None:
    async def attack() -> tuple[list[bytes], str, int]:
        async with decoy() as other:
            text = (
                f"{PID_AND_LOG} http {{ {temporary_paths()} access_log off; server {{ "
                "listen 127.0.0.1:{listen}; root /; "
                f"location /a {{ proxy_pass http://127.0.0.1:{other.port}; }} "
                f"location /s {{ rewrite ^ {victim}/secret break; }} "
                "location /p { rewrite ^ /etc/passwd break; } "
                "location /ok { return 200 fine; } } }"
            )
            said, log = await walled(binary, text, ("/a", "/s", "/p", "/ok"))
            return said, log, other.connections

    said, log, connections = asyncio.run(asyncio.wait_for(attack(), SECONDS))
    assert connections == 0
    assert [one.split()[1] for one in said] == [b"502", b"403", b"403", b"200"], log


@pytest.mark.skipif(abi() < 2, reason="needs landlock (Linux 5.19)")
@pytest.mark.parametrize("age", ["old"], indirect=True)
def test_code_that_runs_all_the_same_starts_and_writes_nothing(
    victim: Path, binary: NginxBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = " ".join(line for line in binary.load_modules if "ndk" in line or "lua" in line)
    text = (
        f"{load} {PID_AND_LOG} http {{ {temporary_paths()} access_log off; server {{ "
        "listen 127.0.0.1:{listen}; location /x { content_by_lua_block { "
        f'os.execute("id > {victim}/x") local f = io.open("{victim}/y", "w") '
        'ngx.say(tostring(f), tostring(os.getenv("SECRET_OF_CI")), os.getenv("PATH")) } } } }'
    )
    before = snapshot(victim)
    monkeypatch.setenv("SECRET_OF_CI", SECRET)
    said, log = asyncio.run(asyncio.wait_for(walled(binary, text, ("/x",)), SECONDS))
    assert b"nilnil" in said[0], (said, log)
    assert SECRET.encode() not in said[0]
    assert snapshot(victim) == before


def test_nginx_runs_without_rights(binary: NginxBinary, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform != "linux":
        pytest.skip("reads /proc")

    async def look() -> list[dict[str, str]]:
        with temporary_folder() as folder:
            (folder / "run" / "tmp").mkdir(parents=True)
            text = f"{PID_AND_LOG} http {{ {temporary_paths()} access_log off; }}"
            async with Nginx(binary, text, folder, SandboxLimits(folder, folder / "run")) as nginx:
                group = [
                    entry for entry in Path("/proc").glob("[0-9]*") if _group(entry) == nginx.pid
                ]
                return [_status(entry) for entry in group]

    monkeypatch.setenv("SECRET_OF_CI", SECRET)
    processes = asyncio.run(asyncio.wait_for(look(), SECONDS))
    assert len(processes) >= 1
    for status in processes:
        assert status["NoNewPrivs"] == "1"
        assert status["CapEff"].strip("0") == ""
        assert "0" not in status["Uid"].split()
        assert "0" not in status["Gid"].split()
        assert status["Groups"].strip() == "" or os.geteuid() != 0
        assert SECRET not in status["environ"]
        assert set(status["files"].split()) <= {"/dev/null", "pipe", "socket", "anon_inode", "log"}


def _group(entry: Path) -> int:
    try:
        return int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[2])
    except OSError:
        return 0


def _status(entry: Path) -> dict[str, str]:
    status = dict(line.split(":", 1) for line in entry.joinpath("status").read_text().splitlines())
    status = {key: value.strip() for key, value in status.items()}
    status["environ"] = entry.joinpath("environ").read_bytes().decode()
    files = [os.readlink(one).partition(":")[0] for one in entry.joinpath("fd").iterdir()]
    status["files"] = " ".join("log" if one.endswith("error.log") else one for one in files)
    return status
