"""Finding, checking, starting and stopping nginx."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from nginx_stream_lint.probe import Nginx, NginxBinary, NginxError, check, check_file, free_ports
from nginx_stream_lint.probe.confine import confine, directives
from nginx_stream_lint.probe.nginx_binary import inspect

pytestmark = pytest.mark.filterwarnings("error")

SECONDS = 120.0


def test_binaries_know_their_version(binary: NginxBinary) -> None:
    assert f"nginx/{'.'.join(map(str, binary.version))}" in binary.build
    assert str(binary).startswith("nginx 1.")
    assert binary.has("http_v2_module")
    assert not binary.has("no such module")


def test_what_is_not_nginx_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NginxError, match="does not seem to be nginx"):
        inspect(Path("/bin/echo"))
    with pytest.raises(NginxError, match="cannot be run"):
        inspect(tmp_path / "none")


def test_check_says_yes_or_points_at_the_authors_line(binary: NginxBinary, tmp_path: Path) -> None:
    good = "user nobody;\npid /no/such/pid;\nhttp {\n  access_log /no/such/log;\n}\n"
    assert check(binary, good, tmp_path)[0]
    ok, said = check(binary, "# one\nhttp {\n  server { nonsense on; }\n}\n", tmp_path)
    assert not ok
    assert 'unknown directive "nonsense"' in said
    assert "nginx.conf:3" in said


def test_check_file_takes_includes_beside_the_file(binary: NginxBinary, tmp_path: Path) -> None:
    main = tmp_path / "main.conf"
    pid = f"pid {tmp_path}/pid; error_log stderr;"
    main.write_text(f"{pid} events {{}} http {{ include more.conf; access_log off; }}")
    (tmp_path / "more.conf").write_text("sendfile on;")
    assert check_file(binary, main)[0]
    (tmp_path / "more.conf").write_text("sendfile perhaps;")
    ok, said = check_file(binary, main)
    assert not ok
    assert "more.conf:1" in said


@pytest.mark.parametrize(
    ("module", "age"),
    [("lua", "old"), ("brotli", "old"), ("echo", "old"), ("echo", "new")],
    indirect=["age"],
)
def test_modules_are_there(module: str, binary: NginxBinary, tmp_path: Path) -> None:
    assert binary.has(module)
    text = {
        "lua": "http { server { location / { body_filter_by_lua_block { ngx.arg[1] = '{' } } } }",
        "brotli": "http { brotli on; }",
        "echo": "http { server { location / { echo hello; } } }",
    }
    ok, said = check(binary, text[module], tmp_path)
    assert ok, said


def test_nginx_writes_only_into_its_folder_and_leaves_no_process(
    binary: NginxBinary, tmp_path: Path
) -> None:
    async def run() -> int:
        (port,) = free_ports(1)
        text = f"http {{ server {{ listen 127.0.0.1:{port}; return 200; }} }}"
        async with Nginx(binary, text, tmp_path) as nginx:
            # Started means that connections are accepted.
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.transport.abort()
            opened = {os.readlink(one) for one in Path(f"/proc/{nginx.pid}/fd").iterdir()}
            nginx.reload()
            pid = nginx.pid
        files = {one for one in opened if one.startswith("/") and not one.startswith("/dev")}
        assert all(one.startswith(str(tmp_path.resolve())) for one in files), files
        return pid

    pid = asyncio.run(asyncio.wait_for(run(), SECONDS))
    with pytest.raises(ProcessLookupError):
        os.killpg(pid, 0)


def test_a_refused_configuration_raises_with_nginxs_words(
    binary: NginxBinary, tmp_path: Path
) -> None:
    async def run() -> None:
        async with Nginx(binary, "http { nonsense; }", tmp_path):
            pytest.fail("it started")

    with pytest.raises(NginxError, match="unknown directive"):
        asyncio.run(asyncio.wait_for(run(), SECONDS))


def test_nginx_is_stopped_by_exceptions_and_cancellation(
    binary: NginxBinary, tmp_path: Path
) -> None:
    pids: list[int] = []

    async def run(fail: bool) -> None:
        async with Nginx(binary, "http { }", tmp_path) as nginx:
            pids.append(nginx.pid)
            if fail:
                raise RuntimeError("inside")
            await asyncio.sleep(SECONDS)

    async def cancelled() -> None:
        task = asyncio.create_task(run(fail=False))
        while not pids:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled(), SECONDS))
    with pytest.raises(RuntimeError, match="inside"):
        asyncio.run(asyncio.wait_for(run(fail=True), SECONDS))
    assert len(pids) == 2
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.killpg(pid, 0)


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", ports[0]))


CONFINED = [
    ("pid /run/x; http { }", "            http { IN }\nevents { worker_connections 4096; }\n"),
    ("events {}\nhttp{}", "events {}\nhttp{ IN}"),
    ("events {}# http {\nhttp {", "events {}# http {\nhttp { IN"),
    ("events {} http { map $a $b { pid 1; } }", "events {} http { IN map $a $b { pid 1; } }"),
    ("events {} http { # access_log x;\n}", "events {} http { IN # access_log x;\n}"),
    ("events {} http { error_log\r\n x; }", "events {} http { IN          \r\n    }"),
    (
        "events {} http { init_by_lua_block { a = '}' -- }\n } pid x; }",
        "events {} http { IN init_by_lua_block { a = '}' -- }\n }        }",
    ),
    ("events {} http { set $a '${b};{'; }", "events {} http { IN set $a '${b};{'; }"),
]


@pytest.mark.parametrize(("text", "wanted"), CONFINED)
def test_confine_keeps_every_other_byte_in_its_place(text: str, wanted: str) -> None:
    assert confine(text, "IN") == wanted


def test_directives_survive_what_is_not_nginx_syntax() -> None:
    assert [one.name for one in directives('} } a b; c; { ; ${x}y "z')][:2] == ["a", "c"]
    assert [one.name for one in directives("x_by_lua_block { never ends")] == ["x_by_lua_block"]
