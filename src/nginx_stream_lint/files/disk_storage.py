"""Files on disk: the only module that opens, lists or inspects the files of a run.

Paths are real paths (see `DiskStorage.real`), so no link can lead to another file than the one that
was checked.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

from nginx_stream_lint.files.storage import IsFolder, Kind, NotRegular

_CHUNK = 64 * 1024  # bytes

# A FIFO or device that replaced a file must not block, and a link must not lead elsewhere.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)


class DiskStorage:
    """The file system of this machine."""

    on_disk = True
    separator = os.sep
    nothing = os.devnull

    def here(self) -> str:
        """The folder that relative paths start from."""
        return os.getcwd()

    def shown(self, path: str) -> str:
        """A path for messages: relative to the current folder."""
        return path.removeprefix(os.path.join(os.getcwd(), ""))

    def real(self, path: str) -> str:
        """The absolute path that a path leads to, with links followed as far as they exist."""
        return os.path.realpath(path)

    def is_link(self, path: str) -> bool:
        """Whether a path ends in a symbolic link."""
        return os.path.islink(path)

    def exists(self, path: str) -> bool:
        """Whether a path exists; a broken link does, too."""
        return os.path.lexists(path)

    def kind(self, real: str) -> Kind | None:
        """The kind of file at a real path; None if there is none, or it is not accessible."""
        try:
            mode = os.lstat(real).st_mode
        except (OSError, ValueError):
            return None
        if stat.S_ISDIR(mode):
            return "folder"
        return "file" if stat.S_ISREG(mode) else "other"

    def is_program(self, real: str) -> bool:
        """Whether the file at a real path may be executed."""
        return os.access(real, os.X_OK)

    def read(self, real: str, limit: int) -> bytes:
        """The content of a regular file, at most `limit` bytes and one more.

        Raises `IsFolder`, `NotRegular` and errors of the system, also if the path now leads
        elsewhere.
        """
        before = _regular(os.lstat(real))
        descriptor = os.open(real, _FLAGS)  # a file object costs a quarter of the time
        try:
            now = _regular(os.fstat(descriptor))
            is_same = (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)
            if not is_same or _opened(descriptor, real) != real:
                raise OSError("it was replaced while it was being read")
            # The buffer is allocated in full, and nearly all files are small. Those of /proc report
            # a size of 0.
            data = os.read(descriptor, min(now.st_size, limit) + 1)
            more = len(data) != now.st_size
            while more and len(data) <= limit:
                part = os.read(descriptor, min(_CHUNK, limit + 1 - len(data)))
                data, more = data + part, bool(part)
        except BlockingIOError:
            raise NotRegular from None  # such as /proc/kmsg
        finally:
            os.close(descriptor)
        return data

    def entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """The names in a folder in the system's order, each with whether it is a folder.

        Links to folders are not treated as folders. Raises OSError.
        """
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, entry.is_dir(follow_symlinks=False)


def _opened(descriptor: int, path: str) -> str:
    """The real path of an opened file."""
    try:
        # A tenth of the cost of resolving the path again, and safe from concurrent changes.
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return os.path.realpath(path)


def _regular(status: os.stat_result) -> os.stat_result:
    if stat.S_ISDIR(status.st_mode):
        raise IsFolder
    if stat.S_ISLNK(status.st_mode):  # only for circular links: a real path has no other
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular
    return status
