"""`nginx -t` on mutated configurations: behind an allow list, in a sandbox without network.

nginx opens logs, creates folders, binds ports and looks names up even when it only tests. A case is
run only if every word that names a directive is on the probe's list, and then by bubblewrap: no
network, the file system read-only but for an own folder.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

from nginx_stream_lint.config.tree import is_known
from nginx_stream_lint.probe import NginxBinary, find_nginx
from nginx_stream_lint.probe.allowed_directives import HTTP, UPSTREAM

_SECONDS = 20.0

_PASS = {f"{family}_pass" for family in ("proxy", "grpc", "fastcgi", "uwsgi", "scgi")}
_BLOCKS = {"events", "http", "server", "location", "if", "limit_except", "upstream", "map", "types"}
_TAKEN = HTTP | UPSTREAM | _PASS | _BLOCKS | {"listen", "rewrite", "try_files", "error_page"}
_WORD = re.compile(r"[a-z0-9_]+")


# Words of every day that reach out of the sandbox where they are directives.
_ALONE = {"include", "user", "pid", "env", "root", "alias", "perl", "daemon"}


def is_harmless(text: str) -> bool:
    """Whether nginx may test a text: words off the list that name directives are nowhere in it."""
    names = {word for word in _WORD.findall(text) if "_" in word or word in _ALONE}
    return all(name in _TAKEN or not is_known(name) for name in names)


@cache
def missing() -> str:
    """Why nothing can be run here; empty if it can."""
    if not binaries():
        return "no nginx"
    try:
        subprocess.run(_command("/"), check=True, capture_output=True, timeout=_SECONDS)
    except (OSError, subprocess.SubprocessError):
        return "no bubblewrap"
    return ""


@cache
def binaries() -> tuple[NginxBinary, ...]:
    """The nginx that are here, the oldest first."""
    return tuple(find_nginx())


def accepts(binary: NginxBinary, data: bytes, folder: Path) -> bool:
    """Whether `nginx -t` takes a main file."""
    path = folder / "tested" / "nginx.conf"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    nginx = [binary.path, "-t", "-q", "-p", path.parent, "-c", path, "-g", _GLOBAL]
    done = subprocess.run(
        _command(str(path.parent), *map(str, nginx)),
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    shutil.rmtree(path.parent)
    return done.returncode == 0


# As root of the sandbox, where there is no other user to give folders to.
_GLOBAL = "pid nginx.pid; error_log stderr; user root;"


def _command(folder: str, *words: str) -> list[str]:
    walls = ("--unshare-all", "--die-with-parent", "--new-session")
    files = ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
    for name in ("lib", "log"):  # nginx wants its compiled-in folders
        files += ("--tmpfs", f"/var/{name}", "--dir", f"/var/{name}/nginx")
    own = () if folder == "/" else ("--bind", folder, folder)
    return ["bwrap", *walls, *files, *own, *(words or ("true",))]
