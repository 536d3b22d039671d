"""A hostile tree, watched: no file outside is opened, no program runs, nothing connects."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2]
# Ends the process with status 99 at the first thing that must not happen. What Python itself needs
# is in the folders that are given.
WATCHED = """
import os, sys
tree, *own = os.environ["WATCHED"].split(os.pathsep)
def ends(what):
    os.write(2, f"WATCHED {what}\\n".encode())
    os._exit(99)
def watch(event, arguments):
    if event in {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system",
                 "os.fork", "os.forkpty", "os.startfile", "pty.spawn", "socket.connect",
                 "socket.bind", "socket.getaddrinfo", "ctypes.dlopen", "os.remove", "os.rename",
                 "os.mkdir", "os.rmdir", "os.symlink", "os.link", "os.chmod", "os.chown",
                 "os.truncate"}:
        ends(f"{event} {arguments}")
    if event in {"open", "os.listdir", "os.scandir", "glob.glob"} and arguments:
        path = arguments[0]
        if isinstance(path, int) or path is None:
            return
        real = os.path.realpath(os.fsdecode(path))
        if event == "open" and isinstance(arguments[2], int):
            if arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                ends(f"write {real}")
        if not any(real == one or real.startswith(one + os.sep) for one in (tree, *own)):
            ends(f"{event} {real}")
sys.addaudithook(watch)
from nginx_stream_lint.cli import main
main()
"""


def own_folders() -> list[str]:
    """Where Python and the packages are that it loads."""
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix, str(PACKAGE), os.devnull}
    folders |= {path for name, path in sysconfig.get_paths().items() if name.endswith("lib")}
    folders |= {path for path in sys.path if path and os.path.isdir(path) and "lib" in path}
    return sorted({os.path.realpath(path) for path in folders})


def watching(tree: Path) -> dict[str, str]:
    """The environment of a process that is watched; it writes no bytecode."""
    folders = os.pathsep.join([str(tree.resolve()), *own_folders()])
    return os.environ | {"WATCHED": folders, "PYTHONDONTWRITEBYTECODE": "1"}


def watched(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = watching(tree)
    return subprocess.run(
        [sys.executable, "-c", WATCHED, *arguments],
        cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """All the ways out of a tree that we know of, in the files that are read."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("hunter2 1;\n")
    tree = tmp_path / "tree"
    for folder in (".git", "conf.d", "rules", "deploy/objects", "deploy/refs"):
        (tree / folder).mkdir(parents=True)
    (tree / ".git" / "config").write_text("[core]\n\tfsmonitor = /bin/sh\n")
    (tree / "deploy" / "HEAD").write_text("ref: refs/heads/main\n")
    (tree / "deploy" / "config").write_text("[core]\n\tfsmonitor = /bin/sh\n")
    (tree / "nginx.conf").write_text(
        "events {}\nhttp {\n"
        "include /etc/passwd; include ../outside/secret; include link; include conf.d/*.conf;\n"
        "include out/*; include /proc/self/*; include */*/*/*/*.conf; include /etc/nginx/*.conf;\n"
        "include ~/.ssh/id_rsa; include fifo; include /dev/zero;\n"
        "map $uri $x { include ../outside/secret; }\n"
        "server { location /v1/chat/completions {\n"
        "    if (-f /etc/passwd) { return 200; }\n    try_files /../../etc/passwd @app;\n"
        "    proxy_pass http://$x:80; } location @app { proxy_pass http://a:80; } }\n}\n"
    )
    for name, target in {
        "link": "../outside/secret", "out": "../outside", "conf.d/a.conf": "/etc/passwd",
        "conf.d/self": ".", "loop": "loop", "values": "../outside/secret",
        "README.md": "/etc/hosts", "a.yaml": "/etc/hostname", ".gitignore": "/etc/passwd",
        "rules/x.yaml": "/etc/passwd",
    }.items():  # fmt: skip
        (tree / name).symlink_to(target)
    os.mkfifo(tree / "fifo")
    (tree / "b.yaml").write_text(
        "kind: ConfigMap\ndata:\n  nginx.conf: |\n    http { server {\n"
        "      include ../outside/secret; include /etc/passwd;\n    } }\n"
    )
    (tree / "dump").write_text(
        "# configuration file /etc/passwd:\nevents {}\nhttp { include /etc/shadow; include *; }\n"
    )
    return tree


SETTINGS = {
    "none": "",
    "roots": "roots: ['**/*.conf', out/*, link]\n",
    "servers": "servers: [conf.d/*.conf, '*/secret']\n",
    "values": "env_file: values\n",
    "values above": "env_file: ../outside/secret\n",
    "baseline": "baseline: link\n",
    "rules": "rules: rules\n",
    "rules above": "rules: ../outside\n",
    "globs": "overrides: [{paths: ['../*', '/etc/*'], ignore: [nagle-delay]}]\n",
    "a link": "",
}


@pytest.mark.parametrize("settings", SETTINGS)
def test_lint_stays_inside(settings: str, tree: Path) -> None:
    path = tree / ".nginx-stream-lint.yaml"
    if settings == "a link":
        path.symlink_to("../outside/secret")
    elif SETTINGS[settings]:
        path.write_text(SETTINGS[settings])
    for arguments in ([".", "--markdown"], ["nginx.conf"], ["dump"], ["b.yaml"], ["link"]):
        done = watched(tree, *arguments)
        assert done.returncode in (0, 1, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert "hunter2" not in done.stdout + done.stderr
        assert "root:" not in done.stdout + done.stderr


@pytest.mark.parametrize("conf", ["nginx.conf", "dump", "b.yaml", "."])
def test_explain_stays_inside(conf: str, tree: Path) -> None:
    for options in ([], ["--root", "conf.d"], ["--root", "out"]):
        done = watched(tree, "explain", conf, "/v1/chat/completions", *options)
        assert done.returncode in (0, 2), done.stderr
        assert "Traceback" not in done.stderr
        assert "hunter2" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd')",
        "os.scandir('/etc')",
        "os.listdir('..')",
        "import subprocess; subprocess.run(['true'])",
        "import socket; socket.socket().connect(('127.0.0.1', 1))",
        "open('new', 'w')",
    ],
)
def test_the_watch_sees_it(code: str, tree: Path) -> None:
    environment = watching(tree)
    done = subprocess.run(
        [sys.executable, "-c", WATCHED.partition("from nginx")[0] + code],
        cwd=tree, env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 99
