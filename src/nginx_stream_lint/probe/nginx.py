"""Check configurations with nginx, and run nginx inside one folder."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path
from types import TracebackType

from nginx_stream_lint.nginx.directives import BUFFERING_FAMILIES
from nginx_stream_lint.probe.confine import confine, directives
from nginx_stream_lint.probe.launch import NginxError, SandboxLimits, Supervised, run
from nginx_stream_lint.probe.nginx_binary import NginxBinary

_SECONDS_TO_START = 10.0


def check(
    binary: NginxBinary, config_text: str, folder: Path, sandbox: SandboxLimits | None = None
) -> tuple[bool, str]:
    """Check a main configuration, given as text, with `nginx -t`.

    Args:
        binary: which nginx.
        config_text: a whole main file. Its own log, pid and temporary paths are ignored. Paths
            that are relative in it, such as certificates, are relative to `folder`.
        folder: an existing folder to write into.
        sandbox: nginx runs inside it, with the unchanged text.

    Returns:
        Whether nginx accepts it, and everything it said; line numbers are the text's own.

    Raises:
        NginxError: nginx cannot be run or needs more than 20 s.
    """
    return run([*_prepare(binary, config_text, folder, sandbox), "-t"], folder, sandbox)


def check_file(binary: NginxBinary, path: Path) -> tuple[bool, str]:
    """Check a main configuration on disk with `nginx -t`.

    Nothing is replaced, so nginx opens the log and pid files that the file names.

    Returns:
        Whether nginx accepts it, and everything it said.

    Raises:
        NginxError: nginx cannot be run or needs more than 20 s.
    """
    text = path.read_text(encoding="utf-8", errors="surrogateescape")
    folder = path.resolve().parent
    rows = " ".join(_missing_modules(binary, text))
    return run([*_command(binary, path.resolve(), folder), "-g", rows, "-t"], folder)


class Nginx:
    """A running nginx, as an async context manager, which always stops it.

    nginx runs in the foreground with one worker, and ends when this process ends, even if that is
    killed. Without a sandbox (`sandbox`) the text must be trusted: nginx runs as the user who runs
    Python, writes only below `folder`, and reads all included files. `folder` has its `nginx.conf`.
    """

    def __init__(
        self,
        binary: NginxBinary,
        config_text: str,
        folder: Path,
        sandbox: SandboxLimits | None = None,
    ) -> None:
        """With a `sandbox`, the text has to be a complete, verified copy."""
        self.binary = binary
        self.folder = folder
        self._text = config_text
        self._wall = sandbox
        self._running: Supervised | None = None

    @property
    def _pid_file(self) -> Path:
        return (self.folder if self._wall is None else self._wall.writes) / "nginx.pid"

    @property
    def error_log(self) -> str:
        """nginx's error log so far, at level `warn` and above."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "error.log").read_text(errors="replace")
        return ""

    @property
    def pid(self) -> int:
        """Process id of the master, which is also the id of the group its workers are in."""
        return int(self._pid_file.read_text())

    @property
    def is_running(self) -> bool:
        """Whether the master process is still running."""
        return self._running is not None and self._running.process.poll() is None

    def reload(self) -> None:
        """Make nginx reload its configuration; returns before that is done."""
        os.kill(self.pid, signal.SIGHUP)

    async def __aenter__(self) -> Nginx:
        """Start nginx and wait until its ports accept connections.

        Raises:
            NginxError: it exits instead, or needs more than 10 s.
        """
        command = _prepare(self.binary, self._text, self.folder, self._wall)
        with (self.folder / "error.log").open("wb") as log:
            self._running = Supervised(command, self.folder, self._wall, log)
        try:
            await self._until_started()
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stop()

    async def _until_started(self) -> None:
        # nginx writes its pid after it listens on all ports: from then on the kernel accepts.
        deadline = time.monotonic() + _SECONDS_TO_START
        while not (self._pid_file.exists() and self._pid_file.read_text().strip()):
            if not self.is_running:
                raise NginxError(f"{self.binary} did not start: {self.error_log}")
            if time.monotonic() > deadline:
                raise NginxError(f"{self.binary} did not start within {_SECONDS_TO_START:g} s")
            await asyncio.sleep(0.01)

    async def _stop(self) -> None:
        running = self._running
        if running is None:
            return
        running.stop()
        try:
            while running.process.poll() is None:
                await asyncio.sleep(0.01)
        finally:
            running.process.wait()  # the supervisor takes no longer than three seconds


def _prepare(
    binary: NginxBinary, config_text: str, folder: Path, sandbox: SandboxLimits | None
) -> list[str]:
    """Write the configuration; return the command that runs it."""
    folder = folder.resolve()
    config = folder / "nginx.conf"
    if sandbox is not None:
        (sandbox.writes / "nginx.pid").unlink(missing_ok=True)
        config.write_text(config_text, encoding="utf-8", errors="surrogateescape", newline="")
        # Relative, like all paths in it: `nobody` may not have access to the folders above.
        return _command(binary, Path("nginx.conf"), Path("."))
    (folder / "tmp").mkdir(parents=True, exist_ok=True)
    (folder / "nginx.pid").unlink(missing_ok=True)
    modules = folder / "modules"  # for `load_module modules/x.so`, which is relative to the prefix
    origin = binary.modules_folder
    if origin is not None and not modules.is_symlink():
        modules.symlink_to(origin)
    confined = confine(config_text, _http_level(binary, folder))
    config.write_text(confined, encoding="utf-8", errors="surrogateescape", newline="")
    rows = [
        "daemon off;",
        "worker_processes 1;",
        f'pid "{folder}/nginx.pid";',
        "error_log stderr warn;",
        # Started by root, workers would be `nobody`, who cannot read a private folder.
        *(["user root;"] if os.geteuid() == 0 else []),
        *_missing_modules(binary, config_text),
    ]
    return [*_command(binary, config, folder), "-g", " ".join(rows)]


def _http_level(binary: NginxBinary, folder: Path) -> str:
    rows = ["access_log off;", f'client_body_temp_path "{folder}/tmp/body";']
    rows += [
        f'{family}_temp_path "{folder}/tmp/{family}";'
        for family in BUFFERING_FAMILIES
        if f"--without-http_{family}_module" not in binary.build
    ]
    return " ".join(rows)


def _missing_modules(binary: NginxBinary, text: str) -> list[str]:
    """Return the load_module lines to add to what the text loads itself."""
    own = " ".join(
        one.args[-1]
        for one in directives(text)
        if one.name in ("load_module", "include") and one.args
    )
    if "modules-enabled" in own:
        return []
    return [line for line in binary.load_modules if Path(line.rstrip(";")).name not in own]


def _command(binary: NginxBinary, config: Path, folder: Path) -> list[str]:
    command = [str(binary.path), "-p", f"{folder}/", "-c", str(config)]
    if binary.version >= (1, 19, 5):
        command += ["-e", "stderr"]  # not even before it has read the configuration
    return command
