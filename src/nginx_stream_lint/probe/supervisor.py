"""Run one program in a sandbox, and end it when the parent process ends, even if that is killed.

This file is a separate program (see `launch`): Python runs it isolated, with only the standard
library. As the supervisor, it waits for its child, and for the end of a pipe whose other end only
the parent holds. Then it kills all processes that the child has started. The child drops its
rights before it becomes the program:

- user and group `nobody`, if root starts it;
- it cannot regain rights (PR_SET_NO_NEW_PRIVS), and ends with the supervisor (PDEATHSIG);
- landlock (Linux 5.19): only files of the sandbox and the system's libraries, and no other program;
  from Linux 6.7 on only the sandbox's TCP ports; from 6.12 on no signals to other processes;
- limits on memory, processor time and file sizes, and no core files;
- only the open files and the environment that the parent specifies.

Measures that a system does not support are omitted, but root always becomes `nobody` or stops.
"""

from __future__ import annotations

import contextlib
import ctypes
import glob
import json
import os
import resource
import select
import signal
import sys
import time
from typing import Any

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
# linux/landlock.h; the numbers of the system calls are the same on all architectures that have it.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ABI_WANTED = 2  # the first that allows to move files between folders, as nginx's caches do
_ABI_TRUNCATE, _ABI_NETWORK, _ABI_DEVICES, _ABI_SCOPES = 3, 4, 5, 6
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_UP_TO_REFER = (1 << 14) - 1
_SOCKETS_AND_DEVICES = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 12  # and symbolic links
_TRUNCATE, _IOCTL = 1 << 14, 1 << 15
_BIND, _CONNECT = 1 << 0, 1 << 1
_ALL_SCOPES = 3
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL

# Files that the loader, OpenSSL and the C library read at start.
_LIBRARIES = (
    "/lib",
    "/lib32",
    "/lib64",
    "/usr/lib",
    "/usr/lib32",
    "/usr/lib64",
    "/usr/local/lib",
    "/nix/store",
    "/etc/ld.so.*",
    "/etc/ld-musl-*",
    "/etc/localtime",
    "/etc/ssl/openssl.cnf",
    "/usr/share/zoneinfo",
    "/usr/share/lua",
    "/usr/local/share/lua",
    "/usr/local/openresty/lualib",
    "/dev/urandom",
    "/dev/random",
    "/sys/devices/system/cpu",
)
_LOADERS = (
    "/lib/ld-*",
    "/lib/ld.so*",
    "/lib/ld64*",
    "/lib64/ld-*",
    "/lib64/ld64*",
    "/nix/store/*/lib/ld-*",
)

_MIB = 1 << 20
_LIMITS = {
    "RLIMIT_AS": 1024 * _MIB,
    "RLIMIT_CPU": 120,  # seconds
    "RLIMIT_FSIZE": 64 * _MIB,
    "RLIMIT_CORE": 0,
}
_NOBODY = 65534
_SECONDS_TO_STOP = 3.0
_COULD_NOT = 126  # exit status, as a shell's


class _Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("network", ctypes.c_uint64),
        ("scopes", ctypes.c_uint64),
    )


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


class _PortRule(ctypes.Structure):
    _fields_ = (("allowed", ctypes.c_uint64), ("port", ctypes.c_uint64))


def main(text: str) -> int:
    """Run the program that `text` describes (see `launch.Supervised`); returns its exit status."""
    plan: dict[str, Any] = json.loads(text)
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    for ending in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(ending, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    supervisor = os.getpid()
    child = os.fork()
    if not child:
        try:
            signal.set_wakeup_fd(-1)
            _become(plan, supervisor)
        except BaseException as error:
            os.write(2, f"cannot start {plan['command'][0]}: {error}\n".encode())
        os._exit(_COULD_NOT)
    with contextlib.suppress(OSError):
        os.setpgid(child, child)
    return _supervise(child, plan["watch"], woken)


def _supervise(child: int, watch: int, woken: int) -> int:
    """Wait for the child or for the parent's end, and kill the rest of the child's group."""
    try:
        while True:
            ready, _, _ = select.select([watch, woken], [], [])
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status)
            if watch in ready:
                return _stop(child)
            if woken in ready:
                asked = os.read(woken, 64)
                if set(asked) - {signal.SIGCHLD}:
                    return _stop(child)
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)


def _stop(child: int) -> int:
    """Terminate the child, and wait briefly."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + _SECONDS_TO_STOP
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _become(plan: dict[str, Any], supervisor: int) -> None:
    """Turn this process into the program; returns only by an exception."""
    os.setpgid(0, 0)
    for ending in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(ending, signal.SIG_DFL)
    command, environment = plan["command"], plan["environment"]
    for number in _open_files():
        with contextlib.suppress(OSError):
            os.close(number)
    # The user nobody may not get to it by its path. A script is opened once more by its shell.
    program = os.open(command[0], os.O_RDONLY)
    os.set_inheritable(program, not _is_elf(command[0]))
    os.chdir(plan["folder"])
    if not plan["walled"]:
        _die_with(supervisor)
        os.execve(command[0], command, environment)
    os.umask(0o077)
    for name, value in _LIMITS.items():
        with contextlib.suppress(OSError, ValueError, AttributeError):  # not all systems have all
            number = getattr(resource, name)
            most = resource.getrlimit(number)[1]
            limit = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(number, (limit, limit))
    rules = _rules(plan) if sys.platform == "linux" else None
    if os.geteuid() == 0:
        try:
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
        except OSError:
            raise PermissionError(
                "root cannot switch to the user nobody here; run this as another user"
            ) from None
    _die_with(supervisor)
    if sys.platform == "linux":
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        if rules is not None:
            _system_call(_RESTRICT_SELF, rules, 0)
            os.close(rules)
    try:
        os.execve(command[0], command, environment)
    except PermissionError:
        os.execve(program, command, environment)


def _open_files() -> list[int]:
    """The descriptors of the open files, without input, output and errors."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        with contextlib.suppress(OSError):
            return [int(name) for name in os.listdir(folder) if int(name) > 2]
    return list(range(3, 256))


def _die_with(supervisor: int) -> None:
    """End with the supervisor, even if it is killed; only Linux can."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != supervisor:
        os._exit(_COULD_NOT)


def _prctl(option: int, value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _system_call(number: int, *args: Any) -> int:
    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    result = int(library.syscall(ctypes.c_long(number), *args))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def _rules(plan: dict[str, Any]) -> int | None:
    """The descriptor of an open landlock ruleset; None if this kernel has no landlock."""
    try:
        abi = _system_call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    except OSError:
        return None
    if abi < _ABI_WANTED or not _is_elf(plan["command"][0]):  # a script's needs are unknown
        return None
    files = _UP_TO_REFER
    files |= _TRUNCATE if abi >= _ABI_TRUNCATE else 0
    files |= _IOCTL if abi >= _ABI_DEVICES else 0
    network = _BIND | _CONNECT if abi >= _ABI_NETWORK else 0
    scopes = _ALL_SCOPES if abi >= _ABI_SCOPES else 0
    wanted = _Ruleset(files, network, scopes)
    size = 24 if scopes else 16 if network else 8
    ruleset = _system_call(
        _CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(size), ctypes.c_uint(0)
    )
    read = _READ_FILE | _READ_DIR
    write = files & ~_EXECUTE & ~_SOCKETS_AND_DEVICES & ~_IOCTL
    allowed = [(path, read) for pattern in _LIBRARIES for path in glob.glob(pattern)]
    allowed += [(path, read | _EXECUTE) for pattern in _LOADERS for path in glob.glob(pattern)]
    allowed += [(plan["command"][0], read | _EXECUTE), (plan["folder"], read)]
    allowed += [(path, read) for path in plan["reads"]]
    allowed += [(path, write) for path in plan["writes"]]
    allowed += [("/dev/null", (read | _WRITE_FILE | _TRUNCATE) & files)]
    for path, rights in allowed:
        _allow_path(ruleset, path, rights)
    if network:
        for ports, right in ((plan["listens"], _BIND), (plan["connects"], _CONNECT)):
            for port in ports:
                rule = _PortRule(right, port)
                _system_call(
                    _ADD_RULE, ruleset, ctypes.c_int(2), ctypes.byref(rule), ctypes.c_uint(0)
                )
    return ruleset


def _is_elf(path: str) -> bool:
    with open(path, "rb") as program:
        return program.read(4) == b"\x7fELF"


def _allow_path(ruleset: int, path: str, rights: int) -> None:
    try:
        number = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= _OF_FILES
        rule = _PathRule(rights, number)
        _system_call(_ADD_RULE, ruleset, ctypes.c_int(1), ctypes.byref(rule), ctypes.c_uint(0))
    finally:
        os.close(number)


if __name__ == "__main__":
    os._exit(main(sys.argv[1]) & 0xFF)
