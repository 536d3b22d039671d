"""Bad input, through the real command: a sentence with place and advice, at once, and status 2."""

from __future__ import annotations

import ctypes
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

SECONDS = 120.0  # for what hangs and uses no processor
CPU_SECONDS = 20

GOOD = """\
events {}
http {
    server {
        listen 80;
        location /v1/chat/completions {
            proxy_pass http://127.0.0.1:8000;
        }
    }
}
"""
# Runs the command in a folder that it deletes first.
START = """
import os, sys
from nginx_stream_lint.cli import main
folder = sys.argv.pop(1)
os.chdir(folder)
os.rmdir(folder)
main()
"""
# The finding that every run over GOOD must give.
FINDING = "response-buffering"


def _bounded() -> None:
    """In a child: limit what it computes, however long it waits for the processor."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))


def run(
    folder: Path,
    *args: str,
    stdin: bytes = b"",
    before: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", *args],
        cwd=folder,
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        check=False,
        preexec_fn=before or _bounded,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err
    return subprocess.CompletedProcess(done.args, done.returncode, out, err)


def refuses(
    folder: Path, *args: str, place: str, says: str, stdin: bytes = b""
) -> subprocess.CompletedProcess[str]:
    """The command ends with status 2 and `file:line:column: what; what to do` on stderr."""
    done = run(folder, *args, stdin=stdin)
    assert done.returncode == 2, done
    sentences = [line for line in done.stderr.splitlines() if line.startswith(f"{place}: ")]
    assert sentences, done.stderr
    assert re.search(says, sentences[0]), sentences
    what, _, advice = sentences[0].removeprefix(f"{place}: ").rpartition("; ")
    assert what
    assert advice
    assert "no findings" not in done.stdout
    return done


def write(folder: Path, data: str | bytes, name: str = "nginx.conf") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


CONTENTS = [
    pytest.param(b"", "1:1", "empty", id="empty"),
    pytest.param(b" \r\n\t\n", "1:1", "empty", id="only white space"),
    pytest.param(b"\x7fELF\x02\x01\x01\0\0\0", "1:8", "NUL", id="binary"),
    pytest.param(bytes(range(1, 256)), "2:114", "unknown", id="every byte but NUL"),
    pytest.param(b"\x1b[31m \x1b;", "1:1", "unknown directive", id="terminal commands"),
    pytest.param(b"events {}\n# \xc3\xa9\0", "2:4", "NUL", id="a NUL"),
    pytest.param(GOOD.encode("utf-16"), "1:1", "UTF-16", id="UTF-16"),
    pytest.param(b"\xfe\xff" + GOOD.encode("utf-16-be"), "1:1", "UTF-16", id="UTF-16, big end"),
    pytest.param(GOOD.encode("utf-16-le"), "1:2", "UTF-16", id="UTF-16 without mark"),
    pytest.param(b"\xef\xbb\xbf" + GOOD.encode(), "1:1", "byte order mark", id="UTF-8 with BOM"),
    pytest.param(GOOD.rstrip()[:-1].encode(), "2:6", "end of file.*to close", id="open block"),
    pytest.param(GOOD.encode() + b"}", "10:1", 'unexpected "}"', id="a brace too many"),
    pytest.param(GOOD.replace("80;", '"80;').encode(), "4:16", "quote", id="open quote"),
    pytest.param(
        b"events {}\nhttp\n", "2:1", "end of file.*end this directive", id="open directive"
    ),
    pytest.param(GOOD.replace("80;", "80").encode(), "4:9", "listen", id="no semicolon"),
    pytest.param(
        GOOD.replace("8000;", "8000").encode(), "7:9", 'add ";" before it', id="before a }"
    ),
    pytest.param(b"events {}\nhttp { gzip perhaps; }", "2:8", '"on" or "off"', id="no flag"),
    pytest.param(b"x {\n" * 1000 + b"}\n" * 1000, "257:3", "deeper", id="1,000 nested blocks"),
    pytest.param(b"a" * 5_000_000, "1:1", "too long", id="5 MB: a word"),
    pytest.param(b"events {}\n# " + b"a" * 5_000_000, "2:1", "too long", id="5 MB: a comment"),
    pytest.param(b"x '" + b"a " * 2_500_000, "1:3", "too long", id="5 MB: an open quote"),
    pytest.param(b"words " * 200_000, "1:1", "end this directive", id="a long line of words"),
    pytest.param(
        b"http { " + b"name value; " * 100_000, "1:6", "to close", id="a long line of rows"
    ),
    pytest.param(
        b"http { " + b"na}me value; " * 100_000 + b"}",
        "1:8",
        "quoted",
        id="a long line of mistakes",
    ),
    pytest.param(
        b"events {} http { server { location / { proxy_read_timeout " + b"9" * 400 + b"; } } }",
        "1:40",
        "invalid value",
        id="a time beyond all numbers",
    ),
]


@pytest.mark.parametrize(("data", "place", "says"), CONTENTS)
def test_what_cannot_be_read(data: bytes, place: str, says: str, tmp_path: Path) -> None:
    write(tmp_path, data)
    done = refuses(tmp_path, "nginx.conf", place=f"nginx.conf:{place}", says=says)
    assert done.stderr.replace("\n", "").isprintable()


@pytest.mark.parametrize("format_", ["text", "concise", "json"])
@pytest.mark.parametrize(("data", "place"), [("", "1:1"), ("\0", "1:1"), ("http {", "1:6")])
def test_no_format_says_that_nothing_is_wrong(
    data: str, place: str, format_: str, tmp_path: Path
) -> None:
    write(tmp_path, data)
    where = f"nginx.conf:{place}"
    done = refuses(tmp_path, "nginx.conf", "--format", format_, place=where, says="")
    if format_ == "json":
        [error] = json.loads(done.stdout)["errors"]
        assert f"{error['file']}:{error['line']}:{error['column']}" == where


def test_a_missing_file(tmp_path: Path) -> None:
    refuses(tmp_path, "none.conf", place="none.conf:1:1", says="no such file")
    refuses(tmp_path, "a/b.conf", place="a/b.conf:1:1", says="no such file")
    write(tmp_path, "")
    refuses(tmp_path, "nginx.conf/b", place="nginx.conf/b:1:1", says="Not a directory")


@pytest.mark.parametrize(
    "command",
    [
        *("lint nginx.conf/", "lint nginx.conf//", "lint nginx.conf/.", "lint nginx.conf/x/.."),
        *("lint nginx.conf nginx.conf/", "lint nginx.conf/ nginx.conf"),
        *("explain nginx.conf/ /", "probe nginx.conf/ /"),
        "explain nginx.conf / --through nginx.conf/",
        "lint nginx.conf --baseline nginx.conf/",
    ],
)
def test_a_file_with_the_path_of_a_folder(command: str, tmp_path: Path) -> None:
    """The system has no such file. What it includes would be looked for below the file."""
    write(tmp_path, "events {}\nhttp { include a.conf; }\n")
    write(tmp_path, "server { location / { proxy_pass http://a; } }\n", "a.conf")
    words = command.split()
    name = next(word for word in words if word.startswith("nginx.conf/"))
    says = "is a file, not a folder" + ("" if "--baseline" in words else '; write "nginx.conf"')
    done = refuses(tmp_path, *words, place=f"{name}:1:1", says=says)
    assert "included file" not in done.stderr


@pytest.mark.parametrize("command", ["lint {}", "{}", "explain {} /", "probe {}", "rules", "-"])
def test_a_current_folder_that_was_deleted(command: str, tmp_path: Path) -> None:
    conf = write(tmp_path, GOOD)
    folder = tmp_path / "gone"
    folder.mkdir()
    words = command.format(conf).split()
    done = subprocess.run(
        [sys.executable, "-c", START, str(folder), *words],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 2
    says = "the current folder is not there (No such file or directory); change to another one"
    assert done.stderr.splitlines() == [f".:1:1: {says}"]


def without_privileges() -> Callable[[], None] | None:
    """What root must do first so that file modes apply to it: give up two capabilities for good."""
    if os.geteuid() != 0:
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def drop() -> None:
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
                raise OSError(ctypes.get_errno(), "cannot drop a capability")

    return drop


def test_an_unreadable_file(tmp_path: Path) -> None:
    write(tmp_path, GOOD).chmod(0o000)
    write(tmp_path, "events {}\nhttp { include nginx.conf; }", "main.conf")
    done = run(tmp_path, "nginx.conf", before=without_privileges())
    assert done.returncode == 2, done
    assert re.search("nginx.conf.*(permission denied|not readable)", done.stderr)
    assert "no findings" not in done.stdout
    done = run(tmp_path, "main.conf", before=without_privileges())
    assert done.returncode == 2, done
    assert done.stderr.startswith('main.conf:2:8: included file "nginx.conf": permission denied')


def test_a_folder_without_configurations(tmp_path: Path) -> None:
    (tmp_path / "sub" / "deeper.conf").mkdir(parents=True)
    write(tmp_path, GOOD, "sub/readme.txt")
    for name in ("sub", "."):
        done = run(tmp_path, name)
        assert done.returncode == 0, done
        assert done.stderr == f"{name}: note: no nginx configuration found in this folder\n"


def test_what_never_ends(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    os.mkfifo(tmp_path / "fifo.conf")
    (tmp_path / "zero.conf").symlink_to("/dev/zero")
    for name in ("fifo", "/dev/zero"):
        refuses(tmp_path, name, place=f"{name}:1:1", says="not a regular file")
    refuses(tmp_path, "zero.conf", place="zero.conf:1:1", says="leads out of the repository")
    for name in ("fifo", "/dev/zero", "zero.conf"):
        write(tmp_path, f"events {{}}\nhttp {{ include {name}; }}")
        says = {"fifo": "not a regular file", "/dev/zero": "is not in this repository"}.get(
            name, "leads out of the repository"
        )
        refuses(tmp_path, "nginx.conf", place="nginx.conf:2:8", says=says)
    write(tmp_path, "events {}\nhttp { include *.conf; }", "main")
    (tmp_path / "nginx.conf").unlink()
    done = refuses(tmp_path, "main", place="main:2:8", says='"fifo.conf": is not a regular file')
    assert 'include "zero.conf" leads out of the repository' in done.stderr


def test_an_empty_include_is_no_mistake(tmp_path: Path) -> None:
    write(tmp_path, "", "empty.conf")
    for name in ("/dev/null", "empty.conf"):
        write(tmp_path, GOOD.replace("listen 80;", f"include {name};"))
        done = run(tmp_path, "nginx.conf")
        assert done.returncode == 1, done
        assert FINDING in done.stdout
    refuses(tmp_path, "/dev/null", place="/dev/null:1:1", says="empty")


@pytest.mark.parametrize(
    ("files", "place", "says"),
    [
        ({"a.conf": "include a.conf;"}, "a.conf:1:1", "include cycle: .*a.conf -> a.conf"),
        ({"a.conf": "\n include b.conf;", "b.conf": "include a.conf;"}, "b.conf:1:1", "cycle"),
        ({"a.conf": "include *.conf;"}, "nginx.conf:1:1", "cycle"),
        ({"a.conf": "include none.conf;"}, "a.conf:1:1", '"none.conf": no such file'),
        ({"a.conf": "include .;"}, "a.conf:1:1", "is a folder"),
        ({"a.conf": "http {"}, "a.conf:1:6", "to close"),
        ({"a.conf": "\n\n\0"}, "a.conf:3:1", "NUL"),
    ],
)
def test_includes(files: dict[str, str], place: str, says: str, tmp_path: Path) -> None:
    for name, text in files.items():
        write(tmp_path, text, name)
    write(tmp_path, "include a.conf;\nevents {}\n")
    if place.startswith("nginx.conf"):  # a glob leads everywhere; some place must be named
        done = run(tmp_path, "nginx.conf")
        assert done.returncode == 2
        assert re.search(r"^\S+\.conf:\d+:\d+: include cycle: .*; ", done.stderr, re.MULTILINE)
        return
    refuses(tmp_path, "nginx.conf", place=place, says=says)


def test_many_mistakes_are_not_all_listed(tmp_path: Path) -> None:
    write(tmp_path, "events {}\nhttp {\n" + "server;\n" * 5000 + "}\n")
    done = refuses(tmp_path, "nginx.conf", place="nginx.conf:3:1", says="no opening")
    assert len(done.stderr.splitlines()) < 300
    assert "more than 100 errors" in done.stderr


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(f"# caf\xe9\n{GOOD}".encode("latin-1"), id="Latin-1 comment"),
        pytest.param(GOOD.replace("80;", "80; server_name \xe9;").encode("latin-1"), id="a name"),
        pytest.param(GOOD.replace("\n", "\r\n").encode(), id="CRLF"),
        pytest.param(GOOD.replace("\n", "\r\n", 3).encode(), id="both line ends"),
        pytest.param(GOOD.rstrip().encode(), id="no newline at the end"),
        pytest.param(GOOD.encode() + b"# the end", id="comment without newline"),
        pytest.param(GOOD.replace("\n", " ").encode(), id="one line"),
        pytest.param(GOOD.replace("    ", "\t").encode(), id="tabs"),
        pytest.param(GOOD.replace("events {}", "# \r x").encode(), id="lone CR in a comment"),
    ],
)
def test_what_nginx_reads_is_read_and_mended(data: bytes, tmp_path: Path) -> None:
    path = write(tmp_path, data)
    done = run(tmp_path, "nginx.conf")
    assert (done.returncode, done.stderr) == (1, "")
    assert FINDING in done.stdout
    done = run(tmp_path, "--fix", "--select", FINDING, "--nginx-version", "1.29.7", "nginx.conf")
    assert done.returncode == 0, done
    mended = path.read_bytes()
    assert mended.count(b"proxy_buffering off;") == 1
    # Nothing but what was put in: one row, with the line end that its neighbours have.
    at = mended.index(b"proxy_buffering off;")
    start = len(mended[:at].rstrip(b" \t\r\n"))
    end = start + len(mended) - len(data)
    assert mended[:start] + mended[end:] == data
    if b"\r\n" in data and b"}\n" not in data:
        assert b"\n" not in mended.replace(b"\r\n", b"")


def test_a_5_mb_line_that_is_right(tmp_path: Path) -> None:
    rows = b"gzip_types text/event-stream application/x-ndjson text/plain; " * 80_000
    write(tmp_path, GOOD.encode().replace(b"http {", b"http { " + rows))
    done = run(tmp_path, "nginx.conf")
    assert (done.returncode, done.stderr) == (1, "")
    assert FINDING in done.stdout


@pytest.mark.parametrize(
    ("stdin", "place", "says"),
    [
        (b"", "<stdin>:1:1", "empty"),
        (b"\0\1\2", "<stdin>:1:1", "NUL"),
        (b"Dear nginx,\nplease stream.\n", "<stdin>:1:1", "end of file"),
        (b"events {}\n}\n", "<stdin>:2:1", 'unexpected "}"'),
        (b'{"a": [1, 2]}', "<stdin>:1:1", 'unexpected "{"'),
        (GOOD.encode("utf-16"), "<stdin>:1:1", "UTF-16"),
    ],
)
def test_garbage_on_standard_input(stdin: bytes, place: str, says: str, tmp_path: Path) -> None:
    refuses(tmp_path, "-", place=place, says=says, stdin=stdin)


def test_standard_input_is_read(tmp_path: Path) -> None:
    done = run(tmp_path, "-", stdin=GOOD.encode())
    assert done.returncode == 1
    assert FINDING in done.stdout


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--nonsense"], "No such option.*--nonsense"),
        (["--format", "jsn"], 'unknown format "jsn"; did you mean "json"'),
        (["--fail-on", "fatal"], "'fatal' is not one of 'error', 'warning', 'note'"),
        (["--select", "respons-buffering"], 'did you mean "response-buffering"'),
        (["--ignore", "nothing-like-it"], 'unknown rule "nothing-like-it"; one of: .*nagle-delay'),
        (["--nginx-version", "latest"], '"latest" is not an nginx version such as 1.29.7'),
        (["--nginx-version", "1.x"], '"1.x" is not an nginx version'),
        (["--nginx-version", ""], '"" is not an nginx version'),
        (["--min-read-timeout", "soon"], '"soon" is not a time such as 300s'),
        (["--stream", "v1"], "a path that starts with /"),
        (["--config", "none.yaml"], "none.yaml"),
        (["--rules", "none"], "none"),
        (["--output", "."], "Is a directory"),
        (["--output", "none/report.txt"], "cannot be written"),
    ],
)
def test_options_that_do_not_exist(args: list[str], says: str, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    done = run(tmp_path, *args, "nginx.conf")
    assert done.returncode == 2
    assert re.search(says, done.stderr), done.stderr
    assert "no findings" not in done.stdout


def test_nothing_to_check(tmp_path: Path) -> None:
    done = run(tmp_path, "--format", "json")
    assert done.returncode == 2
    assert "name a configuration file" in done.stderr


SETTINGS = [
    ("nginx_versoin: 1.29.7", "1:1", 'unknown key "nginx_versoin".*"nginx_version"'),
    ("streams: [/a]\nmin_read_timeot: 5m", "2:1", '"min_read_timeout"'),
    ("nginx_version: newest", "1:16", '"newest" is not an nginx version'),
    ("min_read_timeout: soon", "1:19", '"soon" is not a time'),
    ("streams:\n  - a/b", "2:5", "a path that starts with /"),
    ("streams:\n  - kind: sse", "2:5", 'needs the key "path"'),
    ("streams:\n  - {path: /a, knd: sse}", "2:16", 'unknown key "knd".*"kind"'),
    ("streams:\n  - {path: /a, kind: ssee}", "2:22", '"ssee".*"sse"'),
    ("streams:\n  - {path: /a, framing: chunky}", "2:25", '"chunky".*"chunked"'),
    ("streams:\n  - {path: /a, accepts: [h4]}", "2:26", '"h4".*h3'),
    ("streams:\n  - {path: /a, heartbeat: often}", "2:27", '"often" is not a time'),
    ("[1, 2]", "1:1", "a mapping; keys: streams"),
    ("streams: [/a", "2:1", ""),
    ("a: b: c", "1:5", ""),
    ("\tstreams: x", "1:1", ""),
    ("nginx_version: [1, 2]", "1:16", "version"),
    ("\x01", "1:1", ""),
]


@pytest.mark.parametrize(("text", "place", "says"), SETTINGS)
def test_mistakes_in_the_settings(text: str, place: str, says: str, tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, text, ".nginx-stream-lint.yaml")
    done = run(tmp_path, "nginx.conf")
    assert done.returncode == 2
    assert re.match(rf"\S*\.nginx-stream-lint\.yaml:{place}: .*{says}", done.stderr), done.stderr
    assert done.stdout == ""


def test_mistakes_in_settings_that_are_named(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "\nstream: /a", "settings.yaml")
    done = run(tmp_path, "--config", "settings.yaml", "nginx.conf")
    assert done.returncode == 2
    assert re.match('settings.yaml:2:1: unknown key "stream".*"streams"', done.stderr)


def test_settings_that_may_not_be_read(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, "", ".nginx-stream-lint.yaml").chmod(0o000)
    done = run(tmp_path, "nginx.conf", before=without_privileges())
    assert done.returncode == 2
    assert "cannot be read (permission denied)" in done.stderr
    assert done.stdout == ""


def test_settings_that_are_no_text(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    write(tmp_path, b"streams: \xff\xfe\0", ".nginx-stream-lint.yaml")
    done = run(tmp_path, "nginx.conf")
    assert done.returncode == 2
    assert re.match(r"\S*\.nginx-stream-lint\.yaml:\d+:\d+: ", done.stderr)


@pytest.mark.parametrize(
    "args", [["a.conf", "b.nginx.conf", "c.conf"], ["."], ["b.nginx.conf", "d", "c.conf"]]
)
@pytest.mark.parametrize("bad", ["\0", "http {", "events {} gzip perhaps;"])
def test_one_bad_file_does_not_hide_the_findings_of_the_others(
    bad: str, args: list[str], tmp_path: Path
) -> None:
    write(tmp_path, bad, "b.nginx.conf")
    good = {"a.conf", "c.conf"} - ({"a.conf"} if "d" in args else set())
    for name in good:
        write(tmp_path, GOOD, name)
    done = run(tmp_path, *args, "--format", "json")
    assert done.returncode == 2
    report = json.loads(done.stdout)
    found = {finding["file"] for finding in report["findings"] if finding["rule"] == FINDING}
    assert found == good
    unread = {"b.nginx.conf", "d"} if "d" in args else {"b.nginx.conf"}
    assert {error["file"] for error in report["errors"]} == unread
    assert "b.nginx.conf:" in done.stderr


def test_a_bad_include_does_not_hide_the_findings_beside_it(tmp_path: Path) -> None:
    write(tmp_path, "http {", "bad.conf")
    write(tmp_path, GOOD.replace("listen 80;", "include bad.conf;"))
    done = run(tmp_path, "nginx.conf")
    assert done.returncode == 2
    assert FINDING in done.stdout
    assert "bad.conf:1:6: " in done.stderr


def test_nothing_is_written_where_something_could_not_be_read(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD[:-3])
    before = path.read_bytes()
    done = run(tmp_path, "--fix", "nginx.conf")
    assert done.returncode == 2
    assert path.read_bytes() == before


# What follows is large, or looks so to a search: bounded, whatever the machine has left. The peak
# of memory is that of reading 64 MB as bytes and as text, and something for what is made of it.
PEAK_BYTES = 600_000_000


def refuses_in_bounds(folder: Path, *args: str, place: str, says: str) -> None:
    """`refuses`, with limits on the processor's seconds and memory."""
    out = folder / "said.txt"
    child = os.fork()
    if not child:
        try:
            _bounded()
            os.chdir(folder)
            said = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            os.execv(sys.executable, [sys.executable, "-m", "nginx_stream_lint", *args])
        finally:
            os._exit(99)
    _, status, usage = os.wait4(child, 0)
    text = out.read_text()
    assert os.waitstatus_to_exitcode(status) == 2, text
    assert re.search(rf"^{re.escape(place)}: {says}.*; ", text, re.MULTILINE), text
    assert "Traceback" not in text
    assert usage.ru_maxrss * 1024 < PEAK_BYTES


def wide(name: str, rows: Iterable[str], folder: Path) -> None:
    """Write a main file with these rows in `http`."""
    with (folder / name).open("w") as stream:
        stream.write("events {}\nhttp {\n")
        stream.writelines(rows)
        stream.write("}\n")


def test_a_file_of_200_mb(tmp_path: Path) -> None:
    with (tmp_path / "nginx.conf").open("wb") as stream:
        stream.truncate(200 * 1024 * 1024)  # it takes no room on the disk
    write(tmp_path, "events {}\nhttp { include nginx.conf; }", "main.conf")
    for name in ("nginx.conf", "main.conf"):
        place = "nginx.conf:1:1"
        refuses_in_bounds(tmp_path, name, place=place, says="is larger than 64 MB")


def test_200_mb_that_come_through_a_pipe(tmp_path: Path) -> None:
    done = subprocess.run(
        f"head -c 200000000 /dev/zero | {sys.executable} -m nginx_stream_lint -",
        shell=True,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert "<stdin>:1:1: is larger than 64 MB; " in done.stderr


MANY = [
    pytest.param(
        (
            f"server {{ location /{number} {{ proxy_pass http://a; }} }}\n"
            for number in range(10**6)
        ),
        id="a million locations",
    ),
    pytest.param((f"{' ' * 8}gzip_vary on;\n" for _ in range(10**6)), id="a million directives"),
    pytest.param(("map $a $b { ", "a b; " * 10_000_000, "}"), id="50 MB: a line of directives"),
    pytest.param(("gzip_types ", "a/b " * 12_000_000, ";"), id="48 MB: a line of words"),
    pytest.param(("include on*.conf;\n" for _ in range(10**6)), id="a million includes"),
]


@pytest.mark.parametrize("rows", MANY)
def test_too_much_in_one_file(rows: Iterable[str], tmp_path: Path) -> None:
    write(tmp_path, "gzip_vary on;", "one.conf")
    wide("nginx.conf", rows, tmp_path)
    says = "there are more than 1,000,000 directives"
    refuses_in_bounds(tmp_path, "nginx.conf", place="nginx.conf:1:1", says=says)


def test_too_much_in_many_files(tmp_path: Path) -> None:
    rows = "gzip_vary on;\n" * 200_000
    for number in range(6):
        write(tmp_path, rows, f"{number}.part")
    wide("nginx.conf", ["include *.part;"], tmp_path)
    says = "there are more than 1,000,000 directives"
    refuses_in_bounds(tmp_path, "nginx.conf", place="4.part:1:1", says=says)


def test_a_50_mb_word(tmp_path: Path) -> None:
    wide("nginx.conf", ["access_log ", "a" * 50_000_000, ";"], tmp_path)
    place = "nginx.conf:3:12"
    refuses_in_bounds(tmp_path, "nginx.conf", place=place, says="too long parameter")


def test_a_thousand_nested_includes(tmp_path: Path) -> None:
    for number in range(1000):
        write(tmp_path, f"include {number + 1}.conf;", f"{number}.conf")
    wide("nginx.conf", ["include 0.conf;"], tmp_path)
    says = "includes nest deeper than 64"
    refuses_in_bounds(tmp_path, "nginx.conf", place="62.conf:1:1", says=says)


def test_includes_that_double_forty_times(tmp_path: Path) -> None:
    """A thousand million directives, of forty files with two lines each."""
    for number in range(40):
        write(tmp_path, f"include {number + 1}.conf;\n" * 2, f"{number}.conf")
    write(tmp_path, "gzip_vary on;", "40.conf")
    wide("nginx.conf", ["include 0.conf;"], tmp_path)
    says = "files that are included repeatedly have more than 400,000 directives"
    refuses_in_bounds(tmp_path, "nginx.conf", place="22.conf:2:1", says=says)


def test_one_file_that_a_hundred_thousand_includes_name(tmp_path: Path) -> None:
    """Not too much, only much: it is read, once."""
    write(tmp_path, "# nothing", "one.conf")
    wide("nginx.conf", ["include on*.conf;\n"] * 100_000, tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", "nginx.conf"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("where", ["include link.conf;", "include l*.conf;"])
def test_a_link_to_the_file_that_includes_it(where: str, tmp_path: Path) -> None:
    (tmp_path / "link.conf").symlink_to("nginx.conf")
    wide("nginx.conf", [where], tmp_path)
    says = r"include cycle: nginx\.conf -> nginx\.conf"
    refuses_in_bounds(tmp_path, "nginx.conf", place="nginx.conf:3:1", says=says)


# A pattern on which Python would search for ever, wherever a pattern can stand.
ENDLESS = "^/(?:[a-z]+)+!$"
ENDLESS_HOST = "^(?:[a-z]+)+!$"
URI = "/" + "a" * 60
ENDLESS_IN = {
    "a location": f"server {{ location ~ {ENDLESS} {{ proxy_pass http://b; }} LOCATION }}",
    "a rewrite": f"server {{ rewrite {ENDLESS} /other last; LOCATION }}",
    "an if": f"server {{ if ($uri ~ {ENDLESS}) {{ return 404; }} LOCATION }}",
    "a map": f"map $uri $other {{ ~{ENDLESS} /other; }}"
    " server { if ($other) { return 404; } LOCATION }",
    "a server name": f"server {{ LOCATION }} server {{ server_name ~{ENDLESS_HOST}; }}",
    "an auth_request": f"server {{ auth_request {URI}; location ~ {ENDLESS} {{ internal; }}"
    " LOCATION }",
}


@pytest.mark.parametrize("rows", ENDLESS_IN.values(), ids=list(ENDLESS_IN))
def test_a_pattern_that_would_be_searched_for_ever(rows: str, tmp_path: Path) -> None:
    location = "location / { proxy_pass http://127.0.0.1:8000; }"
    write(tmp_path, f"events {{}} http {{ {rows.replace('LOCATION', location)} }}")
    done = run(tmp_path, "nginx.conf", "--stream", URI)
    assert (done.returncode, done.stderr) == (1, "")
    assert FINDING in done.stdout
    done = run(tmp_path, "explain", "nginx.conf", f"http://{'a' * 60}{URI}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "  routed to location / " in done.stdout
    if "auth_request" not in rows:
        assert "  unknown   wh" in done.stdout  # what it matches, or whether it holds
