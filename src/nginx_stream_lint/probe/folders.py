"""Temporary folders named after their process, and removed even if it was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# The only place inside a folder to which nginx may write.
WRITABLE = "run"
PREFIX = "nginx-stream-lint-probe-"
_LOCK = "owner"
_SECONDS_TO_LOCK = 60.0  # an empty folder belongs to a run that just began, or died at once


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for the block's duration, and remove those that dead runs have left.

    Its path is absolute. Its owner holds a lock in it; the lock ends with the owner's process, even
    if that is killed.
    """
    base = Path(tempfile.gettempdir()).resolve()
    remove_dead(base)
    with contextlib.ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        # It gets its name only after it is locked, because another run may check it at any time.
        new = folder / f"{_LOCK}.new"
        lock = os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_NOFOLLOW, 0o600)
        stack.callback(os.close, lock)
        fcntl.flock(lock, fcntl.LOCK_EX)
        new.rename(folder / _LOCK)
        yield folder


def remove_dead(base: Path) -> list[Path]:
    """Remove the folders that ended runs have left; returns them.

    A folder is removed only if it is no link, belongs to this user, and has our lock, which must be
    free. If other users may write to `base`, its sticky bit keeps them from replacing a folder.
    """
    removed: list[Path] = []
    status = base.stat()
    safe = not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH) or status.st_mode & stat.S_ISVTX
    if not safe or not shutil.rmtree.avoids_symlink_attacks:
        return removed
    with contextlib.suppress(OSError), os.scandir(base) as entries:
        names = [entry.name for entry in entries if entry.name.startswith(PREFIX)]
        for name in names:
            with contextlib.suppress(OSError):
                if _is_dead(base / name):
                    shutil.rmtree(base / name)
                    removed.append(base / name)
    return removed


def _is_dead(folder: Path) -> bool:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        status = os.fstat(number)
        if status.st_uid != os.geteuid():
            return False
        try:
            lock = os.open(_LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=number)
        except FileNotFoundError:
            is_old = time.time() - status.st_mtime > _SECONDS_TO_LOCK
            return is_old and not os.listdir(number)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(lock)
        return True
    finally:
        os.close(number)
