"""What `--diff` prints is applied by a real git, whatever is in files and their names."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.command import run

from nginx_stream_lint.config import Source
from nginx_stream_lint.files.source import ENCODING, ERRORS
from nginx_stream_lint.fixes.diff import diff

ENDS = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\n\n", " ", "\t\n", "")
PIECES = st.sampled_from((*ENDS, "a", "b;", "# c", "}", "-- x", "++ y", "@@ -1 +1 @@", "\udcff"))
TEXTS = st.lists(PIECES, max_size=12).map("".join)
NAMES = st.text(
    st.sampled_from("ab .-\"'\\\t\n\r\x07\x1b\x7f\xe9\u202e\u2028\udcff:$`"), min_size=1, max_size=8
).filter(lambda name: name.strip(".") and not name.startswith("-"))


def applied(patch: bytes, folder: Path) -> None:
    """Apply a patch with the real git, as for a folder without a repository."""
    done = subprocess.run(
        ["git", "apply", "--whitespace=nowarn", "-"],
        cwd=folder,
        input=patch,
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "GIT_CEILING_DIRECTORIES": str(folder.parent)},
        timeout=60,
    )
    assert done.returncode == 0, (done.stderr, patch)


@settings(max_examples=60, deadline=None)
@given(before=TEXTS, after=TEXTS, name=NAMES)
def test_git_applies_what_is_printed(before: str, after: str, name: str) -> None:
    if before == after or not before or not after:
        return
    with TemporaryDirectory() as place:
        path = Path(place) / name
        path.write_bytes(before.encode(ENCODING, ERRORS))
        patch = diff({str(path): (Source(name, before), Source(name, after))})
        applied(patch.encode(ENCODING, ERRORS), Path(place))
        assert path.read_bytes() == after.encode(ENCODING, ERRORS)


CONF = (
    b"# \r lone\x0b \x0c \xc2\x85 \xe2\x80\xa8 \xff\r\n  ::stop-commands::x\r\n"
    b"location /v1/chat/completions {\r\n    proxy_pass http://a; }"
)


@pytest.mark.parametrize("name", ["nginx.conf", 'a "b".conf', "tab\there.conf", "line\n.conf"])
@pytest.mark.parametrize("is_github", [False, True])
def test_the_command_prints_a_patch_that_git_applies(
    name: str, is_github: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    # No directive: the runner's command stands in a comment of several lines' white space.
    path.write_bytes(CONF.replace(b"  ::stop", b"#\n  # ::stop"))
    monkeypatch.setenv("GITHUB_ACTIONS", "true" if is_github else "")
    done = subprocess.run(
        [*run("--version").args[:-1], "lint", "--diff", name],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (1, b"")
    before = path.read_bytes()
    applied(done.stdout, tmp_path)
    assert b"proxy_buffering off;" in path.read_bytes()
    assert path.read_bytes().startswith(before[:40])


def test_lines_of_a_file_start_no_command_in_the_log_of_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "nginx.conf"
    text = (
        'location /v1/chat/completions {\nset $a "\n::stop-commands::x\n";\nproxy_pass http://a;\n}'
    )
    path.write_text(text)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = run("--diff", "nginx.conf", cwd=tmp_path)
    first, *lines, last = done.stdout.splitlines()
    token = first.removeprefix("::stop-commands::")
    assert len(token) == 32
    assert last == f"::{token}::"
    assert " ::stop-commands::x" in lines
    applied(done.stdout.encode(), tmp_path)
    assert "proxy_buffering off;" in path.read_text()
    monkeypatch.setenv("GITHUB_ACTIONS", "")
    path.write_text(text)
    assert "::stop-commands::3" not in run("--diff", "nginx.conf", cwd=tmp_path).stdout
