"""Files are replaced whole or not at all, nothing of anybody is lost, and nothing stays behind."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import stat
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nginx_stream_lint.config import Source
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.writing import NotWritten, clean_up, roots_of, write
from nginx_stream_lint.util import replacing
from nginx_stream_lint.util.replacing import Refused, Replacement, remove_stale
from nginx_stream_lint.util.swap_files import swap_files
from nginx_stream_lint.util.temporary import is_temporary
from tests.command import run

CONF = "events {}\nhttp { server { location /v1/chat/completions { proxy_pass http://a:1; } } }\n"
ROOT = os.geteuid() == 0
NOBODY = 65534

OLD, NEW = b"old text\n" * 1000, b"new text, which is longer\n" * 1000


def put(folder: Path, name: str, data: bytes = OLD) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def replace(path: Path, expected: bytes | None = OLD) -> None:
    with Replacement(str(path), [NEW], expected) as new:
        new.commit()


def changes(*paths: Path) -> dict[str, tuple[Source, Source]]:
    return {
        str(path): (Source(path.name, OLD.decode()), Source(path.name, NEW.decode()))
        for path in paths
    }


# Steps: what is seen when a run ends at any of them

CRASH = """
import os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from nginx_stream_lint.fixes import writing
from nginx_stream_lint.util import swap_files
import ctypes
from tests.test_replacing import changes
folder, last = sys.argv[1], int(sys.argv[2])
paths = [Path(folder, name) for name in ("a.conf", "b.conf")]
texts = changes(*paths)
steps = 0
def step(event, arguments):
    global steps
    # Whatever touches the folder, by name or by descriptor, and what swaps two files.
    if event in ("open", "os.open", "os.rename", "os.remove", "os.listdir", "os.chmod", "os.chown",
                 "os.setxattr", "os.removexattr", "fcntl.flock", "ctypes.dlsym"):
        if event == "open" and not str(arguments[0]).startswith(folder):
            return
        steps += 1
        if steps == last:
            os._exit(9)
sys.addaudithook(step)
for _ in writing.write(texts, [folder]):
    pass
print(steps)
"""


def crash(folder: Path, at: int) -> subprocess.CompletedProcess[str]:
    code = CRASH.format(tests=str(Path(__file__).parents[1]))
    return subprocess.run(
        [sys.executable, "-c", code, folder, str(at)], capture_output=True, text=True, check=False
    )


def test_a_run_that_ends_at_any_step_leaves_whole_files(tmp_path: Path) -> None:
    names = ("a.conf", "b.conf")
    put(tmp_path, "a.conf").chmod(0o640)
    put(tmp_path, "b.conf").chmod(0o640)
    done = crash(tmp_path, 0)
    assert done.returncode == 0, done.stderr
    steps = int(done.stdout)
    assert steps > 20
    assert [(tmp_path / name).read_bytes() for name in names] == [NEW, NEW]
    seen: set[tuple[bytes, ...]] = set()
    left = 0
    for at in range(1, steps + 1):
        for name in names:
            put(tmp_path, name).chmod(0o640)
        assert crash(tmp_path, at).returncode == 9
        texts = tuple((tmp_path / name).read_bytes() for name in names)
        assert set(texts) <= {OLD, NEW}, at
        assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names} == {0o640}
        seen.add(texts)
        entries = os.listdir(tmp_path)
        assert set(entries) - set(names) == {one for one in entries if is_temporary(one)}
        assert Workspace.on_disk(str(tmp_path)).files_below(str(tmp_path)) == [
            str(tmp_path / name) for name in names
        ]
        left += len(entries) - 2
        clean_up([str(tmp_path / "a.conf")], [str(tmp_path)])
        assert sorted(os.listdir(tmp_path)) == list(names)
    # All new texts are there before the first takes its place.
    assert seen == {(OLD, OLD), (NEW, OLD), (NEW, NEW)}
    assert left > 0


# What others write in the meantime


def in_place(path: Path) -> None:
    path.write_bytes(b"mine\n")


def renamed(path: Path) -> None:
    put(path.parent, "editor", b"mine\n").replace(path)


def same_size(path: Path) -> None:
    before = path.stat()
    path.write_bytes(b"mine\n" + OLD[5:])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


EDITS = [in_place, renamed, same_size]


@pytest.mark.parametrize("edit", EDITS)
@pytest.mark.parametrize("can_swap", [True, False])
def test_a_concurrent_edit_survives(
    edit: Callable[[Path], None],
    can_swap: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = swap_files
    path = put(tmp_path, "a.conf")

    def before_the_step(one: str, other: str) -> bool:
        monkeypatch.setattr(replacing, "swap_files", real)
        edit(path)
        return real(one, other)

    with Replacement(str(path), [NEW], OLD) as new:
        if can_swap:
            monkeypatch.setattr(replacing, "swap_files", before_the_step)
        else:
            monkeypatch.setattr(replacing, "swap_files", lambda *_: False)
            edit(path)
        with pytest.raises(Refused, match="it has changed since it was read"):
            new.commit()
    assert path.read_bytes().startswith(b"mine\n")
    assert os.listdir(tmp_path) == ["a.conf"]


def test_an_edit_before_the_writing_survives(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conf", b"mine\n")
    with pytest.raises(Refused, match="it has changed since it was read"):
        replace(path)
    path.unlink()
    with pytest.raises(Refused, match="it no longer exists"):
        replace(path)
    assert os.listdir(tmp_path) == []


def test_what_was_changed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [put(tmp_path, name) for name in ("a.conf", "b.conf", "c.conf")]
    paths[1].write_bytes(b"mine\n")
    with pytest.raises(NotWritten, match=r"b.conf:1:1: .*changed since.*; nothing was changed$"):
        list(write(changes(*paths), [str(tmp_path)]))
    assert [path.read_bytes() for path in paths] == [OLD, b"mine\n", OLD]
    paths[1].write_bytes(OLD)
    commit = Replacement.commit

    def fails(self: Replacement) -> None:
        if self.path.endswith("b.conf"):
            raise OSError(28, "No space left on device")
        commit(self)

    monkeypatch.setattr(Replacement, "commit", fails)
    done: list[str] = []
    with pytest.raises(NotWritten) as stop:
        done.extend(write(changes(*paths), [str(tmp_path)]))
    assert str(stop.value) == (
        "b.conf:1:1: cannot be written (No space left on device);"
        " changed: a.conf; not changed: b.conf, c.conf"
    )
    assert [path.read_bytes() for path in paths] == [NEW, OLD, OLD]
    assert sorted(os.listdir(tmp_path)) == ["a.conf", "b.conf", "c.conf"]


def test_two_runs_at_once(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conf")
    with Replacement(str(path), [NEW], OLD) as first:
        with pytest.raises(Refused, match="another run is writing to it"):
            replace(path)
        first.commit()
    assert path.read_bytes() == NEW


# What is kept, and what cannot be


def access_list(user: int) -> bytes:
    """An access list that lets one more user read, as Linux stores it."""
    entries = [(1, 6, -1), (2, 4, user), (4, 4, -1), (16, 4, -1), (32, 0, -1)]
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", tag, permissions, who & 0xFFFFFFFF) for tag, permissions, who in entries
    )


def test_owner_mode_access_list_and_attributes_are_kept(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conf")
    path.chmod(0o2640)
    if ROOT:
        os.chown(path, 1234, 2345)
        path.chmod(0o2640)
    os.setxattr(path, "user.note", b"kept")
    os.setxattr(path, "system.posix_acl_access", access_list(1234))
    before = path.stat()
    attributes = {name: os.getxattr(path, name) for name in os.listxattr(path)}
    assert len(attributes) >= 2
    replace(path)
    after = path.stat()
    assert (after.st_uid, after.st_gid) == (before.st_uid, before.st_gid)
    assert after.st_mode == before.st_mode
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == attributes
    assert path.read_bytes() == NEW
    assert path.stat().st_ino != before.st_ino


def test_an_access_list_of_the_folder_is_not_inherited(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conf")
    path.chmod(0o600)
    os.setxattr(tmp_path, "system.posix_acl_default", access_list(1234))
    replace(path)
    assert os.listxattr(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_link_leads_to_is_replaced(tmp_path: Path) -> None:
    target = put(tmp_path, "there/a.conf")
    link = tmp_path / "link.conf"
    link.symlink_to("there/a.conf")
    replace(link)
    assert link.is_symlink()
    assert target.read_bytes() == NEW


REPORTS = (
    ("--output", "LINK"),
    ("--format", "sarif=LINK"),
    ("--write-baseline", "LINK"),
    ("explain", "--output", "LINK"),
)


@pytest.mark.parametrize("words", REPORTS)
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize("link", ["link", "folder/outside.txt"])
def test_no_report_is_written_through_a_link_that_leads_out(
    words: tuple[str, ...], is_there: bool, link: str, tmp_path: Path
) -> None:
    outside = tmp_path / "away" / "outside.txt"
    put(tmp_path, "away/other.txt")
    if is_there:
        outside.write_bytes(OLD)
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    put(tree, "nginx.conf", CONF.encode())
    (tree / "link").symlink_to("../away/outside.txt")
    (tree / "folder").symlink_to("../away")
    command = [word.replace("LINK", link) for word in words]
    command += ["nginx.conf", "/v1/chat/completions"] if "explain" in words else ["nginx.conf"]
    done = run(*command, cwd=tree)
    assert done.returncode == 2, done.stderr
    assert "leads out of" in done.stderr
    assert done.stderr.count("\n") == 1
    assert outside.exists() == is_there
    assert not is_there or outside.read_bytes() == OLD
    assert (tree / "link").is_symlink()


def test_a_report_may_go_to_a_link_within_and_to_what_is_open(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    put(tmp_path, "nginx.conf", CONF.encode())
    put(tmp_path, "reports/real.json")
    (tmp_path / "link.json").symlink_to("reports/real.json")
    assert run("--format", "json=link.json", "nginx.conf", cwd=tmp_path).returncode == 1
    assert json.loads((tmp_path / "reports/real.json").read_text())["findings"]
    done = run("--output", "/dev/stderr", "nginx.conf", cwd=tmp_path)
    assert done.returncode == 1
    assert "response-buffering" in done.stderr


def test_no_report_replaces_what_was_checked(tmp_path: Path) -> None:
    put(tmp_path, "nginx.conf", b"events {}\nhttp { include app.conf; }\n")
    put(tmp_path, "app.conf", b"server { location /events { proxy_pass http://a:1; } }\n")
    (tmp_path / "link").symlink_to("app.conf")
    for name in ("app.conf", "./nginx.conf", "link"):
        done = run("--output", name, "nginx.conf", cwd=tmp_path)
        assert done.returncode == 2
        assert "is one of the checked files" in done.stderr
    assert (tmp_path / "app.conf").read_bytes().startswith(b"server {")
    assert (tmp_path / "nginx.conf").read_bytes().startswith(b"events {}")


def test_a_file_of_several_names_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conf")
    os.link(path, tmp_path / "b.conf")
    for expected in (OLD, None):
        with pytest.raises(Refused, match="it has 2 hard links"):
            replace(path, expected)
    assert path.read_bytes() == OLD
    assert sorted(os.listdir(tmp_path)) == ["a.conf", "b.conf"]


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match=r"changed since|not a regular file"):
            replace(tmp_path / name)
    assert sorted(os.listdir(tmp_path)) == ["folder", "pipe"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can write to."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


AS_NOBODY = """
import ctypes, os, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from nginx_stream_lint.fixes import writing
from tests.test_replacing import NOBODY, changes
texts = changes(Path(sys.argv[1], "a.conf"))
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
try:
    list(writing.write(texts, [sys.argv[1]]))
except writing.NotWritten as stop:
    print(stop)
"""


@pytest.mark.parametrize(
    ("mode", "why"),
    [(0o444, "it is not writable"), (0o666, "it belongs to another user or group")],
)
def test_a_file_that_is_not_ours_is_refused(mode: int, why: str, open_folder: Path) -> None:
    path = put(open_folder, "a.conf")
    path.chmod(mode)
    if not ROOT and mode == 0o666:
        return  # only root can make a file that is not ours
    code = AS_NOBODY.format(tests=str(Path(__file__).parents[1]))
    done = subprocess.run(
        [sys.executable, "-c", code, open_folder], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"a.conf:1:1: cannot be written ({why}); nothing was changed\n"
    assert path.read_bytes() == OLD
    assert os.listdir(open_folder) == ["a.conf"]


# Where --fix writes


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / ".git").mkdir(parents=True)
    put(tmp_path, "outside/site.conf", CONF.split("http ")[1].strip()[1:-1].strip().encode())
    return folder


def test_fixes_stay_in_the_repository(repository: Path) -> None:
    main = put(repository, "nginx.conf", b"events {}\nhttp { include conf.d/*.conf; }\n")
    outside = repository.parent / "outside" / "site.conf"
    text = outside.read_bytes()
    (repository / "conf.d").mkdir()
    link = repository / "conf.d" / "site.conf"
    link.symlink_to("../../outside/site.conf")
    for path in ("nginx.conf", ".", "conf.d/site.conf"):
        done = run("--fix", path, cwd=repository)
        assert outside.read_bytes() == text
        assert "fixed" not in done.stderr
    assert done.returncode == 2
    # What a link inside leads to is fixed, and the link stays.
    link.unlink()
    target = put(repository, "sites/site.conf", text)
    link.symlink_to("../sites/site.conf")
    done = run("--fix", str(main), cwd=repository)
    assert done.returncode == 0, done.stderr
    assert link.is_symlink()
    assert b"proxy_buffering off" in target.read_bytes()


def test_roots(repository: Path) -> None:
    inside = put(repository, "a/b/c.conf")
    outside = repository.parent / "outside"
    assert roots_of([str(inside), str(inside.parent)]) == (str(repository),)
    assert roots_of([str(outside / "site.conf")]) == (str(outside),)
    with pytest.raises(NotWritten, match="it is outside of"):
        list(write(changes(put(outside, "x")), [str(repository)]))
    assert (outside / "x").read_bytes() == OLD
    assert roots_of(["/etc/nginx/sites-enabled/a"]) == ("/etc/nginx",)


ELSEWHERE = """
import os, sys
sys.modules["fcntl"] = None
for name in ("fchown", "fchmod", "listxattr", "geteuid", "O_NOFOLLOW", "O_NONBLOCK"):
    delattr(os, name)
from nginx_stream_lint.util.replacing import Refused, Replacement, remove_stale, replace_file
sys.platform = "win32"
for expected in (b"old", b"other"):
    try:
        with Replacement(sys.argv[1], [b"new"], expected) as new:
            new.commit()
    except Refused as why:
        print(why.strerror)
replace_file(sys.argv[1] + ".txt", [b"report"])
remove_stale(os.path.dirname(sys.argv[1]))
"""


def test_where_calls_of_posix_are_missing(tmp_path: Path) -> None:
    path = put(tmp_path, "a.conf", b"old")
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == "it has changed since it was read\n"
    assert path.read_bytes() == b"new"
    assert (tmp_path / "a.conf.txt").read_bytes() == b"report"
    assert sorted(os.listdir(tmp_path)) == ["a.conf", "a.conf.txt"]


# What runs leave behind


def test_only_what_a_dead_run_left_is_removed(tmp_path: Path) -> None:
    def name(word: str) -> str:
        return f".nginx-stream-lint-{word}-{'0' * 16}.tmp"

    put(tmp_path, name("left"))
    used = put(tmp_path, name("used"))
    put(tmp_path, ".nginx-stream-lint-short-0.tmp")
    put(tmp_path, "nginx-stream-lint-x-0000000000000000.tmp")
    (tmp_path / name("folder")).mkdir()
    (tmp_path / name("link")).symlink_to(put(tmp_path, "a.conf"))
    os.mkfifo(tmp_path / name("pipe"))
    expected = set(os.listdir(tmp_path)) - {name("left")}
    if ROOT:
        os.chown(put(tmp_path, name("theirs")), 1234, 1234)
        expected |= {name("theirs")}
    with used.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        remove_stale(str(tmp_path))
        assert set(os.listdir(tmp_path)) == expected
    remove_stale(str(tmp_path))
    assert set(os.listdir(tmp_path)) == expected - {name("used")}


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "a\nb.conf"])
def test_any_name_has_a_temporary_one(name: str, tmp_path: Path) -> None:
    path = put(tmp_path, name)
    with Replacement(str(path), [NEW], OLD) as new:
        (temporary,) = (one for one in os.listdir(tmp_path) if one != name)
        assert is_temporary(temporary)
        remove_stale(str(tmp_path))
        new.commit()
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == [name]


def test_the_next_run_cleans_up(tmp_path: Path) -> None:
    put(tmp_path, "nginx.conf", b"events {}\n")
    left = put(tmp_path, f".nginx-stream-lint-nginx.conf-{'a' * 16}.tmp", CONF.encode())
    done = run("nginx.conf", ".", "--format", "json", cwd=tmp_path)
    assert json.loads(done.stdout)["findings"] == []
    assert left.exists()
    run("--fix", "nginx.conf", cwd=tmp_path)
    assert os.listdir(tmp_path) == ["nginx.conf"]


def test_reports_are_written_the_same_way(tmp_path: Path) -> None:
    put(tmp_path, "nginx.conf", CONF.encode())
    report = put(tmp_path, "report.txt")
    put(tmp_path, f".nginx-stream-lint-report.txt-{'a' * 16}.tmp")
    report.chmod(0o604)
    os.setxattr(report, "user.note", b"kept")
    for options in (["--output", "report.txt"], ["--write-baseline", "report.txt"]):
        report.write_bytes(b"")
        if "--write-baseline" in options:
            report.unlink()
        run("nginx.conf", *options, cwd=tmp_path)
        assert report.read_bytes()
        assert sorted(os.listdir(tmp_path)) == ["nginx.conf", "report.txt"]
        if "--output" in options:
            assert stat.S_IMODE(report.stat().st_mode) == 0o604
            assert os.getxattr(report, "user.note") == b"kept"
    os.link(report, tmp_path / "second")
    done = run("nginx.conf", "--output", "report.txt", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("report.txt:1:1: cannot be written (it has 2 hard links")
