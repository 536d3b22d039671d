"""Swap two files in one step, where the system supports it."""

from __future__ import annotations

import errno
import os
import sys

_EXCHANGE = 2  # RENAME_EXCHANGE of Linux
_HERE = -100  # AT_FDCWD
_CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP)


def swap_files(one: str, other: str) -> bool:
    """Swap two files. Returns False if the system or the file system does not support it.

    Raises OSError.
    """
    if sys.platform != "linux":
        return False
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (ImportError, OSError, AttributeError):
        return False  # the C library lacks it
    if call(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in _CANNOT:
        return False
    raise OSError(number, os.strerror(number), one)
