"""Files on disk: the only module that opens, lists or inspects the files of a run.

Paths are real paths (see `DiskStorage.real`), so no link can lead to another file than the one that
was checked.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator

from nginx_stream_lint.files.storage import IsFolder, Kind, NotRegular

_CHUNK = 64 * 1024  # bytes
_REPLACED = "it was replaced while it was being read"

# A FIFO or device that replaced a file must not block, and a link must not lead elsewhere.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY", "O_BINARY"):
    _FLAGS |= getattr(os, _name, 0)

# On Linux a folder stays open, and the next file in it is opened there: the path of the folder is
# followed and checked once. A thousand files take 8 ms instead of 13. The folder need not be
# readable.
_BY_FOLDER = hasattr(os, "O_PATH")
_FOLDER_FLAGS = 0
for _name in ("O_PATH", "O_DIRECTORY", "O_CLOEXEC"):
    _FOLDER_FLAGS |= getattr(os, _name, 0)


class DiskStorage:
    """The file system of this machine."""

    on_disk = True
    separator = os.sep
    nothing = os.devnull

    def __init__(self) -> None:
        self._last: _OpenedFolder | None = None  # the folder of the last file

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
        folder, name = self._place(real)
        at = None if folder is None else folder.descriptor
        before = _regular(os.lstat(name, dir_fd=at))
        descriptor = os.open(name, _FLAGS, dir_fd=at)  # a file object costs a quarter of the time
        try:
            now = _regular(os.fstat(descriptor))
            is_same = (now.st_dev, now.st_ino) == (before.st_dev, before.st_ino)
            if not is_same or (folder is None and _opened(descriptor, real) != real):
                raise OSError(_REPLACED)
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

    def _place(self, real: str) -> tuple[_OpenedFolder | None, str]:
        """The folder of a file with its name there; None with the path where that cannot be."""
        folder, name = os.path.split(real)
        if not _BY_FOLDER or not name:
            return None, real
        # Another thread may replace it meanwhile, but the folder stays open as long as it is used.
        found = self._last
        if found is None or found.path != folder:
            found = self._last = _OpenedFolder(folder)
        return found, name

    def entries(self, folder: str) -> Iterator[tuple[str, bool]]:
        """The names in a folder in the system's order, each with whether it is a folder.

        Links to folders are not treated as folders. Raises OSError.
        """
        with os.scandir(folder) as entries:
            for entry in entries:
                yield entry.name, entry.is_dir(follow_symlinks=False)


class _OpenedFolder:
    """A folder that was at a real path when it was opened. Raises OSError."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.descriptor = os.open(path, _FOLDER_FLAGS)
        if _opened(self.descriptor, path) != path:
            raise OSError(_REPLACED)

    def __del__(self, close: Callable[[int], None] = os.close) -> None:
        if hasattr(self, "descriptor"):
            close(self.descriptor)


def _opened(descriptor: int, path: str) -> str:
    """The real path of an opened file or folder."""
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
