"""The files of a folder, without git being started: what git itself lists, and nothing run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.command import run

from nginx_stream_lint.files import Workspace
from nginx_stream_lint.util.budget import Limits
from nginx_stream_lint.util.git import MAX_LENGTH, Patterns, Steps

SITE = "server {\n    location /v1/chat/completions { proxy_pass http://127.0.0.1:1; }\n}\n"

NAMES = ("a", "b", "ab", "ba", "a.b", "aab", "c", "é", "[", "*", "x y", "-", "!a", "#a", "a ", "\\")
PIECES = (
    *NAMES, *"ab/*?[]!^-\\. #",
    "**", "/**/", "**/", "/**", "[ab]", "[!a]", "[^b]", "[a-c]", "[]a]", "[[:alpha:]]",
    "[[:digit:]a", "[[:x:]]", "[a\\]b]", "[b-a]", "[--a]", "[a-", "[!", "\\*", "\\!", "\\#", "\\ ",
    "a/b",     "\t", "\r",
)  # fmt: skip

paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4).map("/".join)
trees = st.sets(paths, min_size=1, max_size=12)
patterns = st.lists(st.sampled_from(PIECES), min_size=1, max_size=6).map("".join)
# Patterns that are likely to match: a path with pieces put in.
close = st.tuples(
    st.sampled_from(["", "/", "!", "**/", "!/"]),
    paths,
    st.sampled_from(PIECES),
    st.integers(0, 8),
    st.sampled_from(["", "/", "/*", "/**", "*", "**", " ", "\\"]),
).map(lambda one: one[0] + one[1][: one[3]] + one[2] + one[1][one[3] :] + one[4])
ignore_files = st.lists(st.one_of(patterns, close), min_size=1, max_size=6).map("\n".join)

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def listed_by_git(folder: str) -> list[str]:
    done = subprocess.run(
        ["git", "ls-files", "-z", "--others", "--exclude-standard"],
        cwd=folder, env=ENVIRONMENT, capture_output=True, check=True,
    )  # fmt: skip
    return sorted(os.fsdecode(name) for name in done.stdout.split(b"\0") if name)


def listed(folder: str) -> list[str]:
    return sorted(
        os.path.relpath(path, folder) for path in Workspace.on_disk(folder).files_below(folder)
    )


def plant(folder: str, tree: set[str]) -> None:
    """Make files, as far as no file is in the way of a folder or the other way round."""
    for path in sorted(tree):
        whole = os.path.join(folder, path)
        try:
            os.makedirs(os.path.dirname(whole), exist_ok=True)
            with open(whole, "xb"):
                pass
        except OSError:
            continue


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    trees, st.dictionaries(st.one_of(st.just(""), paths), ignore_files, max_size=3), ignore_files
)
@example({"foo/keep", "foo/a", "b"}, {"": "foo/**\n!foo/keep"}, "")
@example({"a/foob", "a/foo/c/b", "a/b"}, {"": "a/foo**/b"}, "")
@example({"a/b/c", "a/c"}, {"": "a/c", "a": "!c\nb/"}, "c")
@example({"a", "b"}, {"": "\ufeffa\r\n"}, "")
def test_the_same_files_as_git_lists(tree: set[str], ignores: dict[str, str], own: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "init", "-q", folder], env=ENVIRONMENT, check=True)
        plant(folder, tree)
        for where, text in ignores.items():
            inside = os.path.join(folder, where)
            if os.path.isdir(inside):
                Path(inside, ".gitignore").write_bytes(text.encode())
        Path(folder, ".git", "info", "exclude").write_bytes(own.encode())
        assert listed(folder) == listed_by_git(folder)


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def test_what_is_left_out(tmp_path: Path) -> None:
    names = ("a.conf", "node_modules/a.conf", "sub/a.conf", ".hidden/a.conf")
    write(tmp_path, dict.fromkeys(names, SITE))
    (tmp_path / "link").symlink_to(tmp_path / "sub")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a-link.conf").symlink_to("a.conf")
    os.mkfifo(tmp_path / "pipe.conf")
    assert listed(str(tmp_path)) == ["a-link.conf", "a.conf", "sub/a.conf"]
    # In a repository, hidden folders belong to it, and a folder with a `.git` does not.
    (tmp_path / ".git").mkdir()
    (tmp_path / "sub" / ".git").write_text("gitdir: /etc")
    assert listed(str(tmp_path)) == [".hidden/a.conf", "a-link.conf", "a.conf"]
    # What somebody names is read.
    assert listed(str(tmp_path / "sub")) == ["a.conf"]
    (tmp_path / ".gitignore").write_text(".hidden/\n*.log\n")
    write(tmp_path, {".hidden/a.log": ""})
    assert listed(str(tmp_path / ".hidden")) == ["a.conf"]


def test_ignore_files_that_git_does_not_follow(tmp_path: Path) -> None:
    write(tmp_path, {"a.conf": SITE, "sub/b.conf": SITE, "rules": "*.conf\n"})
    (tmp_path / ".gitignore").symlink_to("rules")
    os.mkfifo(tmp_path / "sub" / ".gitignore")
    assert listed(str(tmp_path)) == [".gitignore", "a.conf", "rules", "sub/b.conf"]


def test_patterns_end_in_a_bounded_number_of_steps() -> None:
    long = "a" * 250
    for line in ("*a" * 400 + "b", "**/a/" * 190 + "b", "[a-z]*" * 150 + "_"):
        steps = Steps(1_000)
        known = Patterns([line] * 1_000, steps)
        assert known.verdict(long, is_folder=False) is None
        assert steps.left >= 0
        assert steps.exceeded
    steps = Steps(1_000)
    assert Patterns(["a" * (MAX_LENGTH + 1)], steps).verdict("b", is_folder=False) is None
    assert steps.exceeded


def test_too_many_patterns_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"a.conf": SITE, ".gitignore": "*a*b*\n" * 20_000 + "a.conf\n"})
    monkeypatch.chdir(tmp_path)
    done = run(".")
    assert done.stdout.startswith("a.conf:2: location")
    assert done.stderr == (
        ".: note: the .gitignore files have too many patterns; ignored files are checked, too\n"
    )


def test_too_many_files_are_said(tmp_path: Path) -> None:
    write(tmp_path, {"a.conf": SITE, "b/c": "", "d/e": ""})
    workspace = Workspace.on_disk(str(tmp_path), limits=Limits(entries=3))
    assert len(workspace.files_below(str(tmp_path))) <= 3
    assert [one.message for one in workspace.budget.problems] == [
        "there are more than 3 files and folders to search"
    ]


# Runs the command, and ends with status 99 at the first program or connection that it starts.
WATCHED = """
import os, sys
def watch(event, arguments):
    if event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system",
                 "os.fork", "os.forkpty", "os.startfile", "pty.spawn",
                 "socket.connect", "socket.bind"}:
        os.write(2, f"{event} {arguments}".encode())
        os._exit(99)
from nginx_stream_lint.cli import main
sys.addaudithook(watch)
main()
"""


def hostile(folder: Path) -> Path:
    """Repositories whose settings run a program; gives the file that it makes."""
    ran = folder / "ran"
    script = folder / "evil.sh"
    script.write_text(f"#!/bin/sh\ntouch '{ran}'\n")
    script.chmod(0o755)
    subprocess.run(["git", "init", "-q", folder], check=True)
    with (folder / ".git" / "config").open("a") as config:
        config.write(f"[core]\n\tfsmonitor = {script}\n\tsshCommand = {script}\n")
    bare = folder / "deploy"
    for name in ("objects", "refs"):
        (bare / name).mkdir(parents=True)
    (bare / "HEAD").write_text("ref: refs/heads/main\n")
    (bare / "config").write_text(
        f"[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = ..\n"
        f"\tfsmonitor = {script}\n"
    )
    write(folder, {"nginx.conf": "events {}\nhttp { include deploy/*.conf; }\n"})
    write(bare, {"site.conf": SITE})
    return ran


@pytest.mark.parametrize("where", [".", "deploy", "deploy/site.conf"])
@pytest.mark.parametrize("command", ["lint", "explain"])
def test_nothing_is_started(command: str, where: str, tmp_path: Path) -> None:
    ran = hostile(tmp_path)
    # git itself does run it, so the bait is good.
    subprocess.run(["git", "ls-files", "-o"], cwd=tmp_path, check=False, capture_output=True)
    assert ran.exists()
    ran.unlink()
    environment = os.environ | {
        "GIT_DIR": str(tmp_path / "deploy"),
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(tmp_path / "evil.sh"),
    }
    words = [command, where] + (["/v1/chat/completions"] if command == "explain" else [])
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *words],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in ({"lint": (1,), "explain": (0, 2)}[command]), done.stderr
    assert not ran.exists()


def test_the_watch_sees_a_program() -> None:
    code = WATCHED.replace("main()\n", "import subprocess; subprocess.run(['true'])\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 99
