"""`nginx-stream-lint trace` as users run it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click
import pytest
from click.testing import CliRunner

from nginx_stream_lint.cli import cli
from nginx_stream_lint.probe import free_ports
from tests.command import run
from tests.report.schemas import check_document
from tests.trace.misbehaving import TOKENS, misbehaving

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def server() -> Iterator[Any]:
    """A server that misbehaves by path."""
    with misbehaving() as one:
        yield one


def trace(*arguments: str, status: int) -> dict[str, Any]:
    """What a trace says with `--format json`."""
    done = CliRunner().invoke(cli, ["trace", *arguments, "--format", "json"])
    assert (done.exit_code, done.stderr) == (status, ""), (done.stdout, done.stderr)
    document: dict[str, Any] = json.loads(done.stdout)
    check_document("trace", document)
    return document


def clients(document: dict[str, Any]) -> list[dict[str, Any]]:
    """What each client got, layer by layer."""
    return [client for layer in document["layers"] for client in layer["clients"]]


def url(server: Any, path: str) -> str:
    return f"http://127.0.0.1:{server.port}/{path}"


# Bad input, one layer each between two that stream


BAD = {
    "echo401": "status 401, credentials required",
    "busy": "status 429, too many requests",
    "error": "status 500",
    "missing": "status 404, nothing at this path",
    "page": 'not a stream: text/html in one piece; .*"Please log in"',
    "json": "not a stream: application/json in one piece",
    "loop": "redirects to /loop .*use that URL instead",
    "junk": "is not HTTP",
    "nothing": "closed the connection without a response",
}


def test_each_bad_layer_has_its_line_and_the_others_are_measured(server: Any) -> None:
    bad = [url(server, path) for path in BAD]
    document = trace(url(server, "stream"), *bad, url(server, "stream"), status=1)
    first, *found, last = clients(document)
    assert (first["verdict"], first["events"]) == ("streams", TOKENS + 1)
    assert (last["verdict"], last["events"]) == ("streams", TOKENS + 1)
    for client, (path, words) in zip(found, BAD.items(), strict=True):
        assert client["verdict"] == "no-stream", path
        assert re.search(words, client["said"]), client["said"]
        assert client["said"].isprintable()
    assert document["verdict"]["streams"] is False


@pytest.mark.parametrize("path", ["echo401", "missing", "page", "junk"])
def test_a_later_layer_that_refuses_is_status_1(server: Any, path: str) -> None:
    # What does not even answer in HTTP is no refusal: nothing could be measured there.
    status = 2 if path == "junk" else 1
    document = trace(url(server, "stream"), url(server, path), status=status)
    assert document["verdict"]["layer"] == (2 if status == 1 else None)
    # Alone, nothing says whether the layer or the request is wrong.
    document = trace(url(server, path), status=2)
    assert document["verdict"]["layer"] is None


def test_no_connection_no_name_no_tls(server: Any) -> None:
    (free,) = free_ports(1)
    document = trace(
        url(server, "stream"),
        f"http://127.0.0.1:{free}/",
        "http://no-such-host.invalid/",
        status=2,
    )
    said = {layer["number"]: layer["clients"][0]["said"] for layer in document["layers"]}
    assert said[2] == f"127.0.0.1:{free} refused the connection"
    assert said[3] == "the host name no-such-host.invalid cannot be resolved"
    words = "Layers 2, 3 could not be measured; all other layers stream."
    assert document["verdict"]["words"] == [words]
    # Alone: what does connect may take longer than this on a busy machine.
    host = f"127.0.0.1:{server.port}"
    client, *_ = clients(trace(f"https://{host}/stream", "--connect-timeout", "0.3", status=2))
    assert client["said"] == f"no connection to {host} within 0.3 s (--connect-timeout)"


def test_limits_end_what_has_no_end(server: Any) -> None:
    document = trace(url(server, "endless"), "--max-time", "4", status=0)
    (client,) = clients(document)
    assert (client["ended"], client["verdict"]) == ("limit", "streams")
    assert "stopped after 4 s (--max-time)" in client["said"]
    document = trace(url(server, "silent"), "--max-time", "4", status=2)
    assert clients(document)[0]["said"] == "no response within 4 s (--max-time)"


def test_a_flood_is_read_up_to_its_limit(server: Any) -> None:
    document = trace(url(server, "flood"), "--max-bytes", "5000000", status=0)
    (client,) = clients(document)
    assert 5_000_000 <= client["bytes"] < 6_000_000
    assert client["ended"] == "limit"
    assert "stopped after 5,0" in client["said"]
    assert "up to the limit of this trace" in document["verdict"]["words"][0]


def test_a_wrong_charset_and_a_wrong_encoding_are_said(server: Any) -> None:
    document = trace(url(server, "latin"), status=0)
    notes = [note["code"] for note in document["layers"][0]["notes"]]
    assert "charset" in notes
    document = trace(url(server, "lies"), status=1)
    assert clients(document)[0]["verdict"] == "cut"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name the URLs"),
        (["--demo", "http://127.0.0.1/"], "name the URLs"),
        (["127.0.0.1:80"], "the URL must start with http"),
        (["http://"], "not a URL"),
        (["http://host:99999999/"], "not a URL"),
        (["http://a b/"], "not a URL"),
        (["http://127.0.0.1/", "-H", "secret-without-a-colon"], "write a header as"),
        (["http://127.0.0.1/", "-H", "X: a\nb"], "line break"),
        (["http://127.0.0.1/", "-H", "@/no/such/file"], "cannot be read"),
        (["http://127.0.0.1/", "--data", "@/no/such/file"], "^/no/such/file:1:1: cannot be read"),
        (["http://127.0.0.1/", "--data", "@/dev/zero"], "^/dev/zero:1:1: is larger than 64 MB"),
        (["http://127.0.0.1/", "-H", "@/dev/zero"], "^/dev/zero:1:1: is larger than 64 MB"),
        (["http://127.0.0.1/", "--resolve", "nonsense"], "HOST:PORT:ADDRESS"),
        (["http://127.0.0.1/", "--resolve", "7=a:80:127.0.0.1"], "there is no layer 7"),
        (["http://127.0.0.1/", "--config", "3=nginx.conf"], "there is no layer 3"),
        (["http://127.0.0.1/", "--config", "/no/such/file"], "no such file"),
        (["http://127.0.0.1/", "--plot", "x.png"], "ends in .svg or .html"),
        (["http://127.0.0.1/", "--plot", "/no/such/folder/x.svg"], "cannot be written"),
        (["http://127.0.0.1/", "-X", "G E T"], "one word"),
    ],
)
def test_what_cannot_be_asked_is_said_before_anybody_is(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(cli, ["trace", *arguments])
    assert done.exit_code == 2
    assert re.search(words, done.stderr), done.stderr
    assert "secret" not in done.stderr
    assert done.stdout == ""


def test_without_the_extra_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['niquests'] = None\n"
        "import importlib.util as u; real = u.find_spec\n"
        "u.find_spec = lambda name, *a: None if name == 'niquests' else real(name, *a)\n"
        "from nginx_stream_lint.cli import main\n"
        "sys.argv = ['nginx-stream-lint', 'trace', 'http://127.0.0.1/']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "the Python package niquests is not installed; run pip install '.[trace]' in a checkout of"
        " nginx-stream-lint\n"
    )


# What is sent


def test_the_same_request_goes_to_each_layer_once(server: Any, tmp_path: Path) -> None:
    body = tmp_path / "prompt.json"
    body.write_text('{"stream": true}', encoding="utf-8")
    server.requests.clear()
    layers = [url(server, "stream"), url(server, "v1/stream")]
    trace(*layers, "--data", f"@{body}", "-H", "X-One: 1", "-H", "accept: x/y", status=0)
    first, second = server.requests
    assert first == second.replace(b"/v1/stream", b"/stream")
    assert first.startswith(b"POST /stream HTTP/1.1\r\n")
    assert first.endswith(b'\r\n\r\n{"stream": true}')
    lowered = first.lower()
    assert b"content-type: application/json" in lowered
    assert b"x-one: 1" in lowered
    assert lowered.count(b"accept: ") == 1
    assert b"accept: x/y" in lowered


def test_nothing_is_asked_twice_unless_told_to(server: Any) -> None:
    server.requests.clear()
    trace(url(server, "nothing"), url(server, "error"), url(server, "busy"), status=2)
    assert len(server.requests) == 3
    server.requests.clear()
    document = trace(url(server, "stream"), "--repeat", "2", status=0)
    assert len(server.requests) == 2
    assert clients(document)[0]["runs"] == 2


def test_a_name_may_stand_for_an_address_per_layer(server: Any) -> None:
    named = f"http://app.test:{server.port}/stream"
    server.requests.clear()
    trace(named, "--resolve", f"1=app.test:{server.port}:127.0.0.1", status=0)
    assert f"host: app.test:{server.port}".encode() in server.requests[0].lower()
    document = trace(named, named, "--resolve", f"2=app.test:{server.port}:127.0.0.1", status=2)
    assert [one["verdict"] for one in clients(document)] == ["no-stream", "streams"]


# Secrets


SECRETS = {
    "authorization": "sk-live-Zz9Yy8Xx7Ww6",
    "cookie": "c00kie-Value-1234",
    "key header": "k3y.in-header",
    "password": "p@ss w0rd/ü",
    "user": "us3r-name",
    "query key": "qu3ry=key",
    "token in data": 'tok3n"in data',
    "key-like text": "AKIA1234567890ABCDEF",
}


def _forms(secret: str) -> set[str]:
    from urllib.parse import quote

    coded = base64.b64encode(secret.encode()).decode()
    return {secret, quote(secret), quote(secret, safe=""), coded, json.dumps(secret)[1:-1]}


@pytest.mark.parametrize("path", ["echo401", "stream", "loop", "silent"])
def test_no_secret_is_in_any_output(server: Any, tmp_path: Path, path: str) -> None:
    from urllib.parse import quote

    user, password = quote(SECRETS["user"], safe=""), quote(SECRETS["password"], safe="")
    key = quote(SECRETS["query key"], safe="")
    secret_url = f"http://{user}:{password}@127.0.0.1:{server.port}/{path}?api_key={key}&x"
    data = json.dumps({"api_token": SECRETS["token in data"], "q": SECRETS["key-like text"]})
    outputs = []
    for format_, plot in (("text", "svg"), ("json", "html")):
        file, report = tmp_path / f"plot.{plot}", tmp_path / f"report.{format_}"
        done = run(
            "trace",
            secret_url,
            "http://no-such-host.invalid/?key=" + key,
            *("-H", f"Authorization: Bearer {SECRETS['authorization']}"),
            *("-H", f"Cookie: a={SECRETS['cookie']}"),
            *("-H", f"X-Api-Key: {SECRETS['key header']}"),
            *("--data", data, "--max-time", "3"),
            *("--format", format_, "--plot", str(file), "--output", str(report)),
            timeout=120,
        )
        outputs += [done.stdout, done.stderr]
        outputs += [one.read_text("utf-8") for one in (file, report)]
    basic = base64.b64encode(f"{SECRETS['user']}:{SECRETS['password']}".encode()).decode()
    server_saw = b"".join(server.requests).decode("latin-1")
    assert basic in server_saw  # they were sent
    for name, secret in {**SECRETS, "basic": basic}.items():
        for form in _forms(secret):
            for text in outputs:
                assert form not in text, f"{name}: {form}"
    assert all(path in text for text in (*outputs[2::4], *outputs[3::4]))


# The whole way


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """What the demo says, and its page."""
    page = tmp_path_factory.mktemp("demo") / "demo.html"
    done = run("trace", "--demo", "--plot", page, timeout=120)
    assert (done.returncode, done.stderr) == (1, "")
    return done.stdout, page.read_text("utf-8")


def _without_numbers(text: str) -> str:
    """A report without what differs from run to run."""
    lines = ["TIMELINE" if set(line.strip()) <= set(".|#123456789") else line
             for line in text.splitlines() if line.strip()]  # fmt: skip
    flat = re.sub(r"\d+(\.\d+)*", "N", " ".join(" ".join(lines).split()))
    return re.sub(r"N( \+ N)+( \+ …)?|N (ms|s)\b", "N", flat)


@pytest.mark.program("nginx")
def test_the_documentation_shows_what_the_demo_says(demo: tuple[str, str]) -> None:
    # What comes late on a busy machine reads otherwise; then it has two more chances.
    text = (ROOT / "docs" / "trace.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- trace -->\n```console\n\$ (.*?)\n(.*?)```", text, re.DOTALL)
    assert shown is not None
    assert shown[1] == "nginx-stream-lint trace --demo"
    expected, said = _without_numbers(shown[2]), demo[0]
    for _ in range(2):
        if _without_numbers(said) == expected:
            break
        said = run("trace", "--demo", timeout=120).stdout
    assert _without_numbers(said) == expected, said


def test_the_demo_names_its_first_nginx(demo: tuple[str, str]) -> None:
    said = demo[0].replace("\n", " ")
    assert "The response streams at the app but stalls at layer 2" in said
    assert "In nginx, the relevant setting is proxy_buffering on (rule response-buffering)" in said


def test_on_a_terminal_events_are_shown_as_they_arrive(server: Any) -> None:
    """Rows on standard error while it runs, and the report alone at the end."""
    main, other = pty.openpty()
    command = [sys.executable, "-m", "nginx_stream_lint", "trace"]
    process = subprocess.Popen(
        [*command, url(server, "endless"), url(server, "page"), "--max-time", "4"],
        stdout=subprocess.PIPE,
        stderr=other,
        env={**os.environ, "COLUMNS": "120", "TERM": "xterm"},
    )
    os.close(other)
    shown = b""
    with contextlib.suppress(OSError):  # the end of a terminal
        while data := os.read(main, 65536):
            shown += data
    os.close(main)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 1
    # The table was drawn again and again, with more events each time.
    drawn = click.unstyle(shown.decode())
    counts = {int(count) for count in re.findall(r"200 +(\d+) ", drawn)}
    assert len(counts) >= 3
    assert "waiting" in drawn
    assert out.decode().startswith("layer 1  http://")
    assert "\x1b[1A" not in out.decode()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_nothing_behind(tmp_path: Path, number: int) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "nginx_stream_lint", "trace", "--demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    deadline = time.monotonic() + 20
    while not list(tmp_path.glob("*/nginx.pid")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, b"")
    assert err == b"interrupted: nothing was measured\n"
    assert list(tmp_path.iterdir()) == []


BROWSER = shutil.which("chromium")


@pytest.mark.program("chromium")
@pytest.mark.parametrize("width", [1100, 390])
def test_the_page_fits_a_real_browser(demo: tuple[str, str], width: int, tmp_path: Path) -> None:
    """Nothing is wider than the window; every layer is there; nothing is loaded."""
    page = demo[1]
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)
    script = (
        "<script>document.title = JSON.stringify([document.documentElement.scrollWidth,"
        " innerWidth, [...document.querySelectorAll('section')].length,"
        " [...document.querySelectorAll('.strip span, .axis span')].every(one =>"
        " one.getClientRects().length === 1 && one.offsetHeight < 30)])</script>"
    )
    probe = tmp_path / "page.html"
    probe.write_text(page.replace("</body>", f"{script}</body>"), encoding="utf-8")
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom",
            f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={width},900",
            probe.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None, done.stderr
    wide, window, sections, one_line = json.loads(title[1].replace("&quot;", '"'))
    assert wide <= window
    assert sections == 3
    assert one_line


def test_svg_and_page_are_well_formed(server: Any, tmp_path: Path) -> None:
    file = tmp_path / "x.svg"
    trace(url(server, "stream"), url(server, "page"), "--plot", str(file), status=1)
    root = ElementTree.fromstring(file.read_text("utf-8"))
    bars = [one for one in root.iter() if "bar" in (one.get("class") or "").split()]
    assert len(bars) >= TOKENS
