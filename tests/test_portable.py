"""What only POSIX systems have is asked for before it is used; Windows and Pyodide lack it.

The probe and the trace are apart: they start nginx and measure sockets.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "nginx_stream_lint"
FILES = [
    path
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.relative_to(PACKAGE).parts[0] not in ("probe", "trace")
]

# As the documentation of each module says; os.umask, os.chmod and signal.SIGTERM are everywhere.
POSIX = {
    "os": {
        "chown", "chroot", "ctermid", "fchdir", "fchmod", "fchown", "fork", "forkpty", "getegid",
        "geteuid", "getgid", "getgroups", "getloadavg", "getpgid", "getpgrp", "getpriority",
        "getresgid", "getresuid", "getsid", "getuid", "getxattr", "initgroups", "killpg", "lchmod",
        "lchown", "listxattr", "lockf", "major", "makedev", "memfd_create", "minor", "mkfifo",
        "mknod", "nice", "openpty", "pidfd_open", "pipe2", "posix_fadvise", "posix_fallocate",
        "posix_spawn", "pread", "preadv", "pwrite", "pwritev", "register_at_fork", "removexattr",
        "sched_getaffinity", "sched_yield", "sendfile", "setegid", "seteuid", "setgid", "setgroups",
        "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid", "setsid",
        "setuid", "setxattr", "splice", "statvfs", "sync", "sysconf", "tcgetpgrp", "tcsetpgrp",
        "ttyname", "uname", "unshare", "wait", "wait3", "wait4", "waitid", "waitstatus_to_exitcode",
        "O_ASYNC", "O_CLOEXEC", "O_DIRECT", "O_DIRECTORY", "O_DSYNC", "O_NOATIME", "O_NOCTTY",
        "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "O_SYNC", "O_TMPFILE", "WEXITSTATUS", "WNOHANG",
    },
    "signal": {
        "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGPROF", "SIGQUIT",
        "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGWINCH", "ITIMER_PROF",
        "ITIMER_REAL", "ITIMER_VIRTUAL", "alarm", "getitimer", "pause", "pthread_kill",
        "pthread_sigmask", "setitimer", "siginterrupt", "sigwait",
    },
    "socket": {"AF_UNIX", "AF_NETLINK", "AF_PACKET", "SO_REUSEPORT", "socketpair"},
    "time": {"clock_gettime_ns", "pthread_getcpuclockid", "tzset"},
}  # fmt: skip
MODULES = {"crypt", "fcntl", "grp", "posix", "pty", "pwd", "resource", "spwd", "syslog", "termios",
           "tty"}  # fmt: skip


def _unguarded(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """What a file uses of that without having asked, with the lines.

    To ask is `hasattr`, a comparison with `os.name` or `sys.platform`, or to be ready for an
    `ImportError` or `AttributeError`. One that leaves the function counts for the rest of it.
    """
    asks = ("hasattr(", "os.name", "sys.platform")

    def visit(nodes: list[ast.stmt], asked: bool) -> Iterator[tuple[int, str]]:
        for node in nodes:
            inner = asked
            if isinstance(node, ast.If) and any(word in ast.unparse(node.test) for word in asks):
                inner = True
            elif isinstance(node, ast.Try):
                names = " ".join(ast.unparse(one.type) for one in node.handlers if one.type)
                inner |= "ImportError" in names or "AttributeError" in names
            elif isinstance(node, ast.With):
                with_ = " ".join(ast.unparse(one) for one in node.items)
                inner |= "ImportError" in with_ or "AttributeError" in with_
            elif not hasattr(node, "body") and any(word in ast.unparse(node) for word in asks):
                inner = True
            blocks = [
                value
                for value in vars(node).values()
                if isinstance(value, list) and value and isinstance(value[0], ast.stmt)
            ]
            if not inner:
                yield from _used(node, blocks)
            for block in blocks:
                yield from visit(block, inner)
            for handler in getattr(node, "handlers", []):
                yield from visit(handler.body, asked)
            for case in getattr(node, "cases", []):
                yield from visit(case.body, inner)
            if inner and not asked and isinstance(node, ast.If):
                last = node.body[-1]
                asked = isinstance(last, ast.Return | ast.Raise)

    assert isinstance(tree, ast.Module)
    yield from visit(tree.body, False)


def _used(node: ast.stmt, blocks: list[list[ast.stmt]]) -> Iterator[tuple[int, str]]:
    """What a statement itself uses, without the blocks in it."""
    inside = {id(one) for block in blocks for statement in block for one in ast.walk(statement)}
    inside |= {
        id(one)
        for handler in (*getattr(node, "handlers", ()), *getattr(node, "cases", ()))
        for statement in handler.body
        for one in ast.walk(statement)
    }
    for one in ast.walk(node):
        if id(one) in inside:
            continue
        if isinstance(one, ast.Import):
            yield from ((one.lineno, name.name) for name in one.names if name.name in MODULES)
        elif isinstance(one, ast.ImportFrom):
            if one.module in MODULES:
                yield one.lineno, one.module
            own = POSIX.get(one.module or "", set())
            yield from ((one.lineno, name.name) for name in one.names if name.name in own)
        elif isinstance(one, ast.Attribute) and one.attr in POSIX.get(ast.unparse(one.value), ()):
            yield one.lineno, ast.unparse(one)


@pytest.mark.parametrize(
    "path", FILES, ids=[path.relative_to(PACKAGE).as_posix() for path in FILES]
)
def test_what_only_posix_has_is_asked_for(path: Path) -> None:
    assert list(_unguarded(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import os\nos.fchown(1, 2, 3)", ["os.fchown"]),
        ("import fcntl", ["fcntl"]),
        ("from signal import SIGHUP", ["SIGHUP"]),
        ("def f():\n    return os.open(p, os.O_RDONLY | os.O_NOFOLLOW)", ["os.O_NOFOLLOW"]),
        ("if hasattr(os, 'fchown'):\n    os.fchown(1, 2, 3)", []),
        ("own = not hasattr(os, 'geteuid') or os.geteuid() == 0", []),
        ("if x:\n    os.fchown(1, 2, 3)", ["os.fchown"]),
        ("try:\n    import pwd\nexcept ImportError:\n    pwd = None", []),
        ("try:\n    x()\nexcept ImportError:\n    os.fork()", ["os.fork"]),
        ("def f():\n    if os.name == 'nt':\n        return\n    os.getuid()", []),
        ("def f():\n    if os.name == 'nt':\n        x()\n    os.getuid()", ["os.getuid"]),
        ("flags = getattr(os, 'O_NOFOLLOW', 0)", []),
        ("match x:\n    case 1:\n        os.getuid()", ["os.getuid"]),
    ],
)
def test_the_test_finds_what_it_looks_for(text: str, found: list[str]) -> None:
    assert [name for _, name in _unguarded(ast.parse(text))] == found
