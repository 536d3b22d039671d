"""What people see of the command on a terminal, and what they type into it."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nginx_stream_lint.cli.lint import lint_command
from nginx_stream_lint.cli.options import complete_rules
from tests.command import run

CONF = """\
events {}
http {
    server {
        listen 80;
        resolver 127.0.0.1;
        location /v1/chat/completions {
            gzip on;
            gzip_types text/event-stream;
            proxy_pass http://a.example:8000/some/long/path/that/goes/on/and/on/for/ever/$uri;
        }
    }
}
"""
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "nginx.conf").write_text(CONF, encoding="utf-8")
    return tmp_path / "shop"


def on_terminal(columns: int, *arguments: str, cwd: Path, **environment: str) -> list[str]:
    """The lines that a command writes on a terminal of so many columns, without colours."""
    import fcntl
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    inherited = {key: value for key, value in os.environ.items() if key != "COLUMNS"}
    with subprocess.Popen(
        [sys.executable, "-m", "nginx_stream_lint", *arguments],
        cwd=cwd,
        env=inherited | environment,
        stdout=theirs,
        stdin=subprocess.DEVNULL,
    ):
        os.close(theirs)
        written = b""
        while True:
            try:
                some = os.read(ours, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not some:
                break
            written += some
    os.close(ours)
    return _ANSI.sub("", written.decode()).replace("\r", "").splitlines()


def prose(lines: list[str]) -> list[str]:
    """The lines without those that show what is written in a file, or is to be."""
    return [line for line in lines if not re.match(r" {4}(\+|-| {3})| +\S+ +.*\[", line)]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nginx.conf"],
        ["-v", "nginx.conf"],
        ["explain", "nginx.conf", "/v1/chat/completions"],
        ["rules", "response-buffering"],
    ],
    ids=" ".join,
)
def test_text_is_as_wide_as_the_terminal(folder: Path, arguments: list[str]) -> None:
    longest = {}
    for columns in (50, 80, 110):
        lines = on_terminal(columns, *arguments, cwd=folder)
        words = [line for line in prose(lines) if " " in line.strip() and "http" not in line]
        longest[columns] = max(map(len, words))
        assert longest[columns] <= columns
    assert longest[50] < longest[80] < longest[110]
    # Nothing is lost on the way.
    narrow, wide = (on_terminal(columns, *arguments, cwd=folder) for columns in (50, 110))
    told = "so the first text arrives after about"
    if "rules" not in arguments:
        assert told in " ".join(" ".join(narrow).split())
        assert told in " ".join(" ".join(wide).split())


def test_what_is_no_terminal_has_a_width_of_its_own(folder: Path) -> None:
    told = run("nginx.conf", cwd=folder).stdout
    assert 80 < max(map(len, prose(told.splitlines()))) <= 100
    # COLUMNS is about terminals.
    lines = on_terminal(110, "nginx.conf", cwd=folder, COLUMNS="60")
    assert max(map(len, prose(lines))) <= 60
    on_terminal(50, "--format", "text=report.txt", "nginx.conf", cwd=folder)
    report = (folder / "report.txt").read_text(encoding="utf-8")
    assert report.rpartition(" (")[0] == told.rpartition(" (")[0]


@pytest.mark.parametrize("word", ["lnt", "explian", "prob", "trce", "rule"])
def test_a_mistyped_command(folder: Path, word: str) -> None:
    done = run(word, "nginx.conf", cwd=folder)
    meant = {"lnt": "lint", "explian": "explain", "prob": "probe", "trce": "trace"}
    assert done.returncode == 2
    assert f'"{word}"; did you mean {meant.get(word, "rules")}?' in done.stderr
    assert "Traceback" not in done.stderr
    # A file of that name is a file.
    (folder / word).write_text(CONF, encoding="utf-8")
    assert run(word, cwd=folder).returncode == 1


def test_other_words_are_paths(folder: Path) -> None:
    done = run("nowhere", cwd=folder)
    assert done.stderr.splitlines() == ["nowhere:1:1: no such file; check the path"]


def test_an_unknown_format_is_told_once(folder: Path) -> None:
    done = run("--format", "nope", "nginx.conf", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.count("sarif") == 1
    assert done.stderr.count("one of") == 1


def test_rules_are_completed_by_comma() -> None:
    import click

    context = click.Context(lint_command)
    select = next(one for one in lint_command.params if one.name == "select")

    def completed(text: str) -> list[str]:
        return [item.value for item in complete_rules(context, select, text)]

    assert "response-buffering" in completed("")
    assert completed("response-b") == ["response-buffering"]
    assert completed("gzip,response-b") == ["gzip,response-buffering"]
    assert completed("response-buffering,response-b") == []
    # Both options have it.
    for name in ("select", "ignore"):
        option = next(one for one in lint_command.params if one.name == name)
        items = option.shell_complete(context, "response-b")
        assert [item.value for item in items] == ["response-buffering"]


def test_quiet_and_verbose(folder: Path) -> None:
    note = CONF.replace("listen", "include /etc/nginx/mine.conf; listen")
    (folder / "nginx.conf").write_text(note, encoding="utf-8")
    usual, quiet, verbose = (
        run(*option, "nginx.conf", cwd=folder) for option in ([], ["-q"], ["-v"])
    )
    assert usual.returncode == quiet.returncode == verbose.returncode
    assert "is not in this repository" in usual.stderr
    assert quiet.stderr == ""
    assert "proxied location" in usual.stdout
    assert usual.stdout.startswith(quiet.stdout.rstrip("\n"))
    assert "proxied location" not in quiet.stdout
    assert "Assuming" not in quiet.stdout
    why = "why response-buffering\n"
    assert verbose.stdout.count(why) == 1
    assert why not in usual.stdout
    assert run("-q", "nowhere.conf", cwd=folder).stderr != ""
    assert run("-q", "-v", "nginx.conf", cwd=folder).returncode == 2
    (folder / "nginx.conf").write_text("events {}\n", encoding="utf-8")
    assert run("-q", "nginx.conf", cwd=folder).stdout == ""


def test_a_page_is_called_after_its_folder(folder: Path) -> None:
    (folder / "sites").mkdir()

    def title(*paths: str, cwd: Path) -> str:
        page = run("--format", "html", *paths, cwd=cwd).stdout
        return page.partition("<title>")[2].partition("</title>")[0]

    assert title(".", cwd=folder) == "nginx-stream-lint: shop"
    assert title("..", cwd=folder / "sites") == "nginx-stream-lint: shop"
    assert title("nginx.conf", cwd=folder) == "nginx-stream-lint: nginx.conf"
    names = [f"a{number}.conf" for number in range(5)]
    for name in names:
        (folder / name).write_text(CONF, encoding="utf-8")
    assert title(*names, cwd=folder).endswith("a0.conf, a1.conf, a2.conf and 2 more")


def test_one_is_not_several(folder: Path) -> None:
    summary = run("nginx.conf", cwd=folder).stdout.splitlines()[-1]
    assert re.match(r"\d errors in 1 proxied location \(1 likely stream\) ", summary)
    assert (
        "<b>0 of 1</b> stream gets through"
        in run("--format", "html", "nginx.conf", cwd=folder).stdout
    )
    table = folder / "summary.md"
    environment = os.environ | {"GITHUB_STEP_SUMMARY": str(table)}
    subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", "--format", "github", "nginx.conf"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=False,
        timeout=120,
    )
    assert " in 1 proxied location, 1 likely stream." in table.read_text(encoding="utf-8")


def test_compression_tells_its_own_time(folder: Path) -> None:
    """What gzip holds comes later than what the proxy buffer holds."""
    told = run("explain", "nginx.conf", "/v1/chat/completions", cwd=folder).stdout
    plain, compressed = (
        next(line for line in told.splitlines() if line.strip().startswith(words))
        for words in ("plain HTTP/1.1:", "for clients that accept gzip:")
    )
    assert "the proxy buffer holds 4 KB, so the first text arrives after about 0.6 s" in plain
    assert "stalls: gzip holds the whole response until it ends" in compressed
    page = run("--format", "html", "nginx.conf", cwd=folder).stdout
    assert "stalls until the response ends" in page
    assert "the first after about 0.6 s" not in page
