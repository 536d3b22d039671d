"""Nothing of a probe survives it, however it ends; and the next one removes what was left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nginx_stream_lint.probe.folders import PREFIX, remove_dead, temporary_folder
from nginx_stream_lint.probe.nginx_binary import NginxBinary

SECONDS = 60.0

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

# As `Nginx` is used by a probe, until it is killed.
PROBE = """
import asyncio, sys
from pathlib import Path
from nginx_stream_lint.config import read
from nginx_stream_lint.probe import DrippingUpstream, Nginx, inspect
from nginx_stream_lint.probe.copy import copy_of
from nginx_stream_lint.probe.folders import temporary_folder
from nginx_stream_lint.probe.adapt_copy import adapt_copy

async def run():
    binary = inspect(Path(sys.argv[1]))
    with temporary_folder() as folder:
        async with DrippingUpstream() as upstream:
            copy = copy_of(read(sys.argv[2]), binary.version, upstream.ports, folder)
            text, wall = await adapt_copy(copy, binary, folder)
            async with Nginx(binary, text, folder, wall) as nginx:
                print(nginx.pid, flush=True)
                await asyncio.sleep(3600)

asyncio.run(run())
"""
CACHED = """
events {} http { proxy_cache_path x keys_zone=a:1m; server { listen 80; proxy_cache a;
location / { proxy_pass http://a; } } }
"""


def group(leader: int) -> list[int]:
    """The processes of a group that are no zombies."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = entry.joinpath("stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == leader and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def until_gone(leader: int) -> None:
    deadline = time.monotonic() + SECONDS
    while group(leader):
        assert time.monotonic() < deadline, "it still runs"
        time.sleep(0.02)


def start(tmp_path: Path, binary: NginxBinary) -> tuple[subprocess.Popen[bytes], int]:
    """A probe that runs until it is killed, and its nginx."""
    temporary = tmp_path / "tmp"
    temporary.mkdir(exist_ok=True)
    main = tmp_path / "nginx.conf"
    main.write_text(CACHED)
    process = subprocess.Popen(
        [sys.executable, "-c", PROBE, str(binary.path), str(main)],
        stdout=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    return process, int(line)


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_nginx_ends_when_the_probe_is_killed(tmp_path: Path, binary: NginxBinary) -> None:
    process, leader = start(tmp_path, binary)
    with process:
        supervisor = parent_of(leader)
        process.kill()
        process.wait()
    until_gone(leader)
    deadline = time.monotonic() + SECONDS
    while Path(f"/proc/{supervisor}/cmdline").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (left,) = (tmp_path / "tmp").iterdir()
    assert left.name.startswith(PREFIX)

    # The next run removes what this one could not.
    process, leader = start(tmp_path, binary)
    with process:
        assert not left.exists()
        (own,) = (tmp_path / "tmp").iterdir()
        assert own.is_dir()
        process.kill()
    until_gone(leader)


@pytest.mark.parametrize("at_once", [False, True], ids=["alone", "with-the-probe"])
def test_nginx_ends_when_its_supervisor_is_killed(
    at_once: bool, tmp_path: Path, binary: NginxBinary
) -> None:
    process, leader = start(tmp_path, binary)
    supervisor = parent_of(leader)
    with process:
        try:
            # A worker or who looks after the cache would outlive whoever ends with the supervisor.
            assert group(leader) == [leader]
            if at_once:
                process.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(supervisor, signal.SIGKILL)
            until_gone(leader)
        finally:
            process.kill()
            for pid in group(leader):
                os.kill(pid, signal.SIGKILL)


# Folders


def test_a_folder_is_gone_afterwards_and_kept_while_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with temporary_folder() as folder:
        assert folder.parent == tmp_path
        assert remove_dead(tmp_path) == []
        with temporary_folder() as other:
            assert sorted(tmp_path.iterdir()) == sorted([folder, other])
    assert list(tmp_path.iterdir()) == []


def dead(base: Path, name: str = "x") -> Path:
    """What a run leaves that was killed."""
    folder = base / f"{PREFIX}{name}"
    (folder / "run").mkdir(parents=True)
    (folder / "owner").touch()
    return folder


def test_only_what_a_dead_run_left_is_removed(tmp_path: Path) -> None:
    base = tmp_path / "base"
    base.mkdir()
    gone = dead(base)
    (gone / "run" / "link").symlink_to(tmp_path / "elsewhere")
    elsewhere = dead(tmp_path, "elsewhere")
    others = base / "somebody-else"
    others.mkdir()
    link = base / f"{PREFIX}link"
    link.symlink_to(elsewhere)
    file = base / f"{PREFIX}file"
    file.touch()
    fresh = base / f"{PREFIX}fresh"  # no lock yet: its run has just begun
    fresh.mkdir()
    alike = base / f"{PREFIX}alike"  # not ours: it is old, and has no lock
    alike.mkdir()
    (alike / "file").touch()
    os.utime(alike, (0, 0))
    odd = base / f"{PREFIX}odd"
    odd.mkdir()
    (odd / "owner").symlink_to(elsewhere / "owner")
    held = dead(base, "held")
    with (held / "owner").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert remove_dead(base) == [gone]
    assert elsewhere.joinpath("owner").exists()
    assert all(one.exists() for one in (others, link, file, fresh, odd, held, alike))
    old = time.time() - 3600
    os.utime(fresh, (old, old))
    assert sorted(remove_dead(base)) == sorted([fresh, held])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's folder")
def test_another_users_folder_stays(tmp_path: Path) -> None:
    folder = dead(tmp_path)
    os.chown(folder, 65534, 65534)
    assert remove_dead(tmp_path) == []
    assert folder.exists()


def test_nothing_is_removed_where_others_could_swap_folders(tmp_path: Path) -> None:
    dead(tmp_path)
    tmp_path.chmod(0o777)
    assert remove_dead(tmp_path) == []
    tmp_path.chmod(0o1777)
    assert len(remove_dead(tmp_path)) == 1
