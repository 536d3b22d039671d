"""Files that are replaced in one step, so that nobody ever sees half of one."""

from __future__ import annotations

import os
import stat
from contextlib import suppress


def replace_file(path: str, data: bytes) -> None:
    """Give a file new content, with its mode and owner kept; a new one gets the usual mode.

    A temporary file beside it takes its place, or the place of what a link leads to. What is no
    regular file (a pipe, /dev/stdout) is written to as it is. Raises OSError; then a regular file
    is as it was.
    """
    try:
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(path, "wb") as stream:
            stream.write(data)
        return
    import tempfile

    target = os.path.realpath(path)
    folder, name = os.path.split(target)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{name}.", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, _new_mode() if old is None else stat.S_IMODE(old.st_mode))
        if old is not None and hasattr(os, "chown"):
            with suppress(PermissionError):
                os.chown(temporary, old.st_uid, old.st_gid)
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def _new_mode() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return 0o666 & ~mask
