"""Servers that attack the client: its time, its memory, its parsers.

Each ends with a documented status and a sentence, and because of our limits: their servers go on
until the client has gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from nginx_stream_lint.cli import cli
from nginx_stream_lint.trace import network, worker
from nginx_stream_lint.trace.request import Layer, TraceLimits, TraceRequest
from tests.trace.hostile_http2 import ATTACKS, hostile_http2
from tests.trace.misbehaving import bombs, misbehaving

# An attack that ends by another limit has time for it, however busy the machine is.
SHORT, LONG = "1", "120"
UNREADABLE = r"the HTTP client could not read the response of 127\.0\.0\.1:\d+ \(\w+\)"
# On a busy machine one second may be over before there is a connection.
IN_TIME = (
    r"(no response within|no connection to 127\.0\.0\.1:\d+ within|stopped after)"
    r" 1 s \(--max-time\)"
)
BROKE_OFF = "the response was truncated"
TOO_MANY = r"stopped after 2\d\d,\d{3} events"
TOO_LARGE = r"stopped after 1\d,\d{3},\d{3} decoded bytes \(--max-bytes\)"
NOTHING_WRONG = ""

# By path: the exit status, and what is said to have gone wrong.
HTTP1 = {
    "bomb_br": (2, TOO_LARGE),
    "bomb_gzip": (2, TOO_LARGE),
    "bomb_deflate": (2, TOO_LARGE),
    "bomb_error": (2, TOO_LARGE),
    "bomb_window": (1, BROKE_OFF),
    "bomb_zstd": (2, NOTHING_WRONG),
    "informed": (2, UNREADABLE),
    "continued": (2, IN_TIME),
    "headers": (2, UNREADABLE),
    "header_line": (2, UNREADABLE),
    "slow_headers": (2, IN_TIME),
    "slow_lines": (2, IN_TIME),
    "reason": (2, UNREADABLE),
    "chunk_size": (1, BROKE_OFF),
    "chunk_extension": (1, BROKE_OFF),
    "chunk_negative": (1, BROKE_OFF),
    "chunk_huge": (None, TOO_MANY),
    "tiny": (2, f"{IN_TIME}|{TOO_MANY}"),
    "comments": (2, IN_TIME),
    "many": (None, TOO_MANY),
    "trailers": (1, BROKE_OFF),
    "length_negative": (2, UNREADABLE),
    "length_huge": (2, UNREADABLE),
    "length_digits": (2, UNREADABLE),
    "lengths": (2, UNREADABLE),
    "status": (2, "is not HTTP"),
    "status_zero": (2, UNREADABLE),
    "switch": (2, NOTHING_WRONG),
    "zeros": (2, f"{UNREADABLE}|is not HTTP"),
    "bad_names": (2, UNREADABLE),
    "bad_location": (2, UNREADABLE),
}
HTTP2 = {
    "pings": (2, IN_TIME),
    "settings": (2, IN_TIME),
    "windows": (2, IN_TIME),
    "pings_in_answer": (None, IN_TIME),
    "continuations": (2, UNREADABLE),
    "empty_continuations": (2, UNREADABLE),
    "empty_data": (2, IN_TIME),
    "empty_between": (None, NOTHING_WRONG),
    "informed": (2, UNREADABLE),
    "header_bomb": (2, UNREADABLE),
    "header_count": (2, f"{IN_TIME}|{UNREADABLE}"),
    "after_end": (None, NOTHING_WRONG),
    "trailers": (None, f"{UNREADABLE}|{BROKE_OFF}"),
    "reset": (2, UNREADABLE),
    "goaway": (2, UNREADABLE),
    "pushes": (2, UNREADABLE),
    "beyond_window": (None, f"{TOO_MANY}|{BROKE_OFF}"),
    "status": (2, UNREADABLE),
    "no_status": (2, UNREADABLE),
    "huge_frame": (2, UNREADABLE),
}


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server that misbehaves by path."""
    with misbehaving() as one:
        yield one


@pytest.fixture(scope="module")
def http2(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of one that does so in HTTP/2."""
    with hostile_http2(tmp_path_factory.mktemp("http2")) as port:
        yield port


def _root(server: Any) -> str:
    return f"http://127.0.0.1:{server.port}"


def ends_well(url: str, status: int | None, words: str, *options: str) -> dict[str, Any]:
    """Trace a hostile server and hold the command to its promises; return what the client got.

    `status` None is for those whose verdict depends on how fast the machine is.
    """
    max_time = SHORT if words.startswith(IN_TIME) else LONG
    arguments = ["trace", url, "--max-time", max_time, "--format", "json", *options]
    done = CliRunner().invoke(cli, arguments)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert done.stderr == "", done.stderr
    assert done.exit_code in ((0, 1, 2) if status is None else (status,)), done.stdout[-3000:]
    (layer,) = json.loads(done.stdout)["layers"]
    (client,) = layer["clients"]
    assert re.fullmatch(f".*({words}).*", client["error"] or ""), client["error"]
    assert client["said"].isprintable()
    assert client["events"] <= 300_000
    assert client["bytes"] <= 11_000_000
    found: dict[str, Any] = client
    return found


def test_each_attack_has_its_row(server: Any) -> None:
    assert list(HTTP2) == ATTACKS
    names = [name[3:] for name in dir(server) if name.startswith("do_")]
    assert set(HTTP1) <= set(names)


@pytest.mark.parametrize("path", HTTP1)
def test_http1(server: Any, path: str) -> None:
    ends_well(f"{_root(server)}/{path}", *HTTP1[path])


@pytest.mark.parametrize("path", HTTP2)
def test_http2(http2: int, path: str) -> None:
    ends_well(f"https://127.0.0.1:{http2}/{path}", *HTTP2[path], "-k", "--client", "h2")


def test_an_answer_goes_on_after_a_frame_without_data(http2: int) -> None:
    url = f"https://127.0.0.1:{http2}/empty_between"
    found = ends_well(url, *HTTP2["empty_between"], "-k", "--client", "h2")
    assert (found["events"], found["ended"]) == (3, "complete")


def test_a_handshake_that_never_ends_is_within_the_time(server: Any) -> None:
    ends_well(f"https://127.0.0.1:{server.port}/", 2, IN_TIME, "--client", "h1")


def test_a_connect_that_hangs_is_within_the_time() -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(8):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        ends_well(f"http://127.0.0.1:{full.getsockname()[1]}/", 2, IN_TIME)


def test_a_bomb_is_decoded_up_to_its_limit(server: Any) -> None:
    assert len(bombs()["br"]) < 30_000
    url = f"{_root(server)}/bomb_br"
    client = ends_well(url, None, r"stopped after 1,0\d\d,\d{3} decoded", "--max-bytes", "1000000")
    assert client["events"] < 20


def test_memory_is_bounded(server: Any) -> None:
    """A trace of all that is large takes little more than one of what is small."""
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )

    def peak_mb(*paths: str) -> float:
        urls = [f"{_root(server)}/{path}" for path in paths]
        command = [sys.executable, "-m", "nginx_stream_lint", "trace", "--max-time", "2"]
        done = subprocess.run(
            [sys.executable, "-c", code, *command, *urls],
            capture_output=True, text=True, timeout=300, check=True,
        )  # fmt: skip
        return int(done.stdout) / (1024 if sys.platform == "linux" else 1 << 20)

    small = peak_mb("busy")
    assert peak_mb("bomb_br", "bomb_gzip", "header_line", "chunk_size", "flood") < small + 60
    assert peak_mb("many", "tiny") < small + 200  # all its events are kept, with their times


def test_the_process_of_an_exchange_cannot_take_all_memory() -> None:
    code = (
        "from nginx_stream_lint.trace import worker\n"
        "worker.be_bounded()\n"
        f"bytes({worker.MEMORY // 4}); print('some')\n"
        f"bytes({worker.MEMORY * 2}); print('too much')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "some\n"
    assert "MemoryError" in done.stderr


# The process of an exchange, seen from outside


def _workers(process: subprocess.Popen[bytes]) -> list[int]:
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return list(map(int, children.read_text().split())) if children.exists() else []


def _tracing(url: str, *options: str) -> tuple[subprocess.Popen[bytes], int]:
    """A trace that runs, and the process of its exchange."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nginx_stream_lint", "trace", url, *options, "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while process.poll() is None:
        if found := _workers(process):
            return process, found[0]
        time.sleep(0.01)
    raise AssertionError("it ended before it had asked")


def _wait_for_request(server: Any, count: int) -> None:
    while len(server.requests) == count:
        time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_process_that_hangs_is_ended(server: Any) -> None:
    """As one would whose library blocks: it cannot keep the time itself."""
    seen = len(server.requests)
    process, pid = _tracing(f"{_root(server)}/silent", "--max-time", "3")
    _wait_for_request(server, seen)
    os.kill(pid, signal.SIGSTOP)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (2, b"")
    assert (
        json.loads(out)["layers"][0]["clients"][0]["said"] == "no response within 3 s (--max-time)"
    )
    assert not _is_alive(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_process_that_goes_on_talking_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    line = '{"piece": [0.1, 1, 0, false]}\\n'
    talking = f"import os\nos.write(1, b'{{}}\\n')\nwhile True: os.write(1, b'{line}' * 1000)"
    monkeypatch.setattr(network, "_START", talking)
    asked = network.fetch(
        Layer(1, "http://127.0.0.1:9/"), "h1", TraceRequest(limits=TraceLimits(time_s=0.1))
    )
    found = asyncio.run(asyncio.wait_for(asked, float(LONG)))
    assert (found.ended, found.error) == ("failed", "no response within 0.1 s (--max-time)")


def test_a_process_that_dies_is_said(server: Any) -> None:
    seen = len(server.requests)
    process, pid = _tracing(f"{_root(server)}/silent")
    _wait_for_request(server, seen)
    os.kill(pid, signal.SIGSEGV)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (2, b"")
    said = json.loads(out)["layers"][0]["clients"][0]["said"]
    assert re.fullmatch(UNREADABLE.replace(r"\w+", "the client ended"), said)


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_the_process_ends_with_its_parent(server: Any) -> None:
    seen = len(server.requests)
    process, pid = _tracing(f"{_root(server)}/endless")
    _wait_for_request(server, seen)
    process.kill()
    process.communicate(timeout=120)
    for _ in range(2000):
        if not _is_alive(pid):
            return
        time.sleep(0.01)
    raise AssertionError("it goes on")


def test_modules_of_the_folder_are_not_run(server: Any, tmp_path: Path) -> None:
    """The process is started in a folder that may be a stranger's."""
    for name in ("asyncio", "json", "niquests", "resource", "brotli", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w')\n", encoding="utf-8")
    code, url = "from nginx_stream_lint.cli import main; main()", f"{_root(server)}/stream"
    done = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path = {sys.path!r}; {code}", "trace", url],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert not (tmp_path / "ran").exists()


def test_secrets_are_not_in_the_list_of_processes(server: Any) -> None:
    if sys.platform != "linux":
        return
    seen = len(server.requests)
    url = f"{_root(server)}/silent"
    process, pid = _tracing(url, "-H", "X-Key: hunter2", "--max-time", "3")
    _wait_for_request(server, seen)
    assert b"hunter2" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    process.communicate(timeout=120)
