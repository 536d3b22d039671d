"""Replace files in one step, with their owner, mode and attributes.

The new text is written to a temporary file beside the old one, with the same mode, owner, access
list and extended attributes, and then replaces it. If any of these cannot be kept, the file is
left unchanged. Concurrent edits are kept, too: the two files are swapped, the old one is compared
again, and is put back if it is not what was read.

A killed run leaves its temporary files behind. They are locked until the run ends, so a later run
can identify and remove them.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

from nginx_stream_lint.util.git import is_below, repository_root
from nginx_stream_lint.util.swap_files import swap_files
from nginx_stream_lint.util.temporary import is_temporary

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_MAX_NAME = 255 - len(".nginx-stream-lint--.tmp") - 16
_CHUNK = 1024 * 1024
# These attributes follow from the others, or from the text.
_OWN_ATTRIBUTES = frozenset({"security.ima", "security.evm"})
# Links to files that the caller has opened.
_DESCRIPTORS = ("/dev/", "/proc/")
# Seconds after which a temporary file is stale, on systems without locks.
_OLD_S = 24 * 60 * 60


class Refused(OSError):
    """The file is left unchanged; the message is the reason."""

    def __init__(self, why: str) -> None:
        super().__init__(errno.EPERM, why)


def replace_file(path: str, data: Iterable[bytes]) -> None:
    """Replace the content of a file by some parts, or create it; see `Replacement`.

    A path that is no regular file (a pipe, /dev/stdout) is written to directly. A link in a
    repository is untrusted even if the user names it: one that leads outside is refused. Raises
    OSError; then a regular file is unchanged.
    """
    _must_stay_inside(path)
    try:
        old = os.stat(path)
    except FileNotFoundError:
        old = None
    if old is not None and not stat.S_ISREG(old.st_mode):
        with open(path, "wb") as stream:
            stream.writelines(data)
        return
    remove_stale(os.path.dirname(os.path.realpath(path)))
    with Replacement(path, data) as new:
        new.commit()


def _must_stay_inside(path: str) -> None:
    """Refuse a path that a link leads out of its repository (or, without one, its folder)."""
    path = os.path.abspath(path)
    if path.startswith(_DESCRIPTORS):
        return
    folder = os.path.dirname(path)
    top = repository_root(folder) or folder
    if not is_below(path, top):
        raise Refused(f"it is a link that leads out of {top}")


class Replacement:
    """A new text for a file, written beside it. A link stays, and its target is replaced.

    With `expected`, only a file that still has this content is replaced. Raises OSError, which is
    `Refused` if one of our own checks fails. As a context manager, it leaves nothing behind.
    """

    def __init__(self, path: str, data: Iterable[bytes], expected: bytes | None = None) -> None:
        self.path = os.path.realpath(path)
        self._expected = expected
        self._old: int | None = None
        self._new: int | None = None
        self._temporary = ""
        try:
            self._old = _opened(self.path)
            if self._old is None and expected is not None:
                raise Refused("it no longer exists")
            self.check()
            self._write(data)
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Replacement:
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def check(self) -> None:
        """Check that the file still has the expected content. Raises Refused."""
        if self._expected is not None and not _has(self.path, self._expected):
            raise Refused("it has changed since it was read")

    def commit(self) -> None:
        """Put the new text in place. Raises OSError; then the file is unchanged."""
        if fcntl is None:
            self._close()  # nothing is locked, and Windows moves no open file
        self.check()
        if self._expected is None or not swap_files(self._temporary, self.path):
            os.replace(self._temporary, self.path)
            self._temporary = ""
        elif not _has(self._temporary, self._expected):
            # Another process has written to it, or replaced it, after the last check.
            self._put_back()
            raise Refused("it has changed since it was read")
        with suppress(OSError):
            _sync_folder(os.path.dirname(self.path))

    def _put_back(self) -> None:
        """Restore a concurrent edit. Raises Refused if it is no longer in its place."""
        try:
            swap_files(self._temporary, self.path)
        except OSError:
            kept, self._temporary = self._temporary, ""
            raise Refused(f"it has changed since it was read; see {kept}") from None

    def discard(self) -> None:
        """Remove the temporary file, which is the old file after a swap."""
        if self._temporary:
            if fcntl is None:
                self._close()
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = ""
        self._close()

    def _close(self) -> None:
        for descriptor in (self._old, self._new):
            if descriptor is not None:
                os.close(descriptor)
        self._old = self._new = None

    def _write(self, data: Iterable[bytes]) -> None:
        folder, name = os.path.split(self.path)
        if self._old is not None:
            _must_be_ours(self.path, os.fstat(self._old))
            if not _locked(self._old):
                raise Refused("another run is writing to it")
        self._temporary, self._new = _made(folder, name, 0o666 if self._old is None else 0o600)
        with os.fdopen(os.dup(self._new), "wb") as stream:
            stream.writelines(data)
        if self._old is not None:
            _copy_owner_and_mode(self._old, self._new)
        os.fsync(self._new)


def remove_stale(folder: str) -> None:
    """Remove temporary files that earlier runs of this user left in a folder."""
    try:
        names = [name for name in os.listdir(folder) if is_temporary(name)]
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        with suppress(OSError), _looked_at(path) as descriptor:
            found = os.fstat(descriptor)
            is_same = os.path.samestat(found, os.lstat(path))
            is_own = not hasattr(os, "geteuid") or found.st_uid == os.geteuid()
            if stat.S_ISREG(found.st_mode) and is_same and is_own and _is_left(descriptor, found):
                os.unlink(path)


def _is_left(descriptor: int, found: os.stat_result) -> bool:
    """Whether no run uses a temporary file; in that case it is now locked by us."""
    if fcntl is not None:
        return _locked(descriptor)
    import time

    return time.time() - found.st_mtime > _OLD_S


@contextmanager
def _looked_at(path: str) -> Iterator[int]:
    """Open a file for reading if it is no link, without blocking on special files."""
    flags = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, os.O_RDONLY | flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(path: str) -> int | None:
    """Open a regular file for reading; None if there is none. Raises OSError."""
    try:
        with _looked_at(path) as descriptor:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise Refused("it is not a regular file")
            return os.dup(descriptor)
    except FileNotFoundError:
        return None


def _has(path: str, expected: bytes) -> bool:
    """Whether a regular file has this content."""
    try:
        with _looked_at(path) as descriptor:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_size != len(expected):
                return False
            at = 0
            while data := os.read(descriptor, _CHUNK):
                if data != expected[at : at + len(data)]:
                    return False
                at += len(data)
            return at == len(expected)
    except OSError:
        return False


def _must_be_ours(path: str, old: os.stat_result) -> None:
    """Refuse a file that cannot be replaced faithfully, or that may not be written."""
    if old.st_nlink > 1:
        raise Refused(f"it has {old.st_nlink} hard links, and only one would get the new text")
    by_us = os.access in os.supports_effective_ids
    if not os.access(path, os.W_OK, effective_ids=by_us):
        raise Refused("it is not writable")


def _locked(descriptor: int) -> bool:
    """Lock a file until it is closed. Returns False if another process has locked it."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            pass  # the file system has no locks
    return True


def _made(folder: str, name: str, mode: int) -> tuple[str, int]:
    """Create a temporary file beside a file: its path, and its descriptor, open and locked."""
    short = os.fsencode(name)[:_MAX_NAME].decode("utf-8", "ignore")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL
    flags |= getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    while True:
        path = os.path.join(folder, f".nginx-stream-lint-{short}-{os.urandom(8).hex()}.tmp")
        descriptor = os.open(path, flags, mode)
        # In between, another run may have removed it as stale.
        if _locked(descriptor) and os.path.exists(path):
            return path, descriptor
        os.close(descriptor)


def _copy_owner_and_mode(old: int, new: int) -> None:
    """Copy owner, mode, access list and attributes to a new file. Raises Refused."""
    before = os.fstat(old)
    if hasattr(os, "fchown"):
        now = os.fstat(new)
        if (before.st_uid, before.st_gid) != (now.st_uid, now.st_gid):
            try:
                os.fchown(new, before.st_uid, before.st_gid)
            except OSError:
                raise Refused("it belongs to another user or group") from None
    _copy_attributes(old, new)
    if hasattr(os, "fchmod"):
        os.fchmod(new, stat.S_IMODE(before.st_mode))


def _copy_attributes(old: int, new: int) -> None:
    """Copy extended attributes, including access lists, to a new file."""
    if not hasattr(os, "listxattr"):
        return  # not supported by this system
    wanted, found = _attributes(old), _attributes(new)
    for name in wanted.keys() | found.keys():
        if wanted.get(name) == found.get(name):
            continue
        try:
            if name in wanted:
                os.setxattr(new, name, wanted[name])
            else:
                os.removexattr(new, name)
        except OSError:
            raise Refused(f"its attribute {name} cannot be preserved") from None


def _attributes(descriptor: int) -> dict[str, bytes]:
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(descriptor)
    except OSError:
        return {}  # the file system does not support them
    return {name: os.getxattr(descriptor, name) for name in names if name not in _OWN_ATTRIBUTES}


def _sync_folder(folder: str) -> None:
    """Sync a folder, so that a new name in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
