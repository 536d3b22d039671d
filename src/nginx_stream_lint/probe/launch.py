"""Start nginx under a supervisor that ends it when this process ends, optionally in a sandbox."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from msgspec import Struct

_SANDBOX = Path(__file__).with_name("supervisor.py")
# nginx's environment, without anything that could be a secret.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_FOR_THE_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
_NOBODY = 65534
_SECONDS_TO_END = 20.0
_COULD_NOT_START = 126  # exit status of the supervisor


class NginxError(Exception):
    """nginx could not be run, or refused a configuration; the message is nginx's."""


class SandboxLimits(Struct, frozen=True):
    """The files and TCP ports that a sandboxed program may use besides system libraries.

    It may read what is in `folder` and the other files of `reads`, and write below `writes`, a
    folder in `folder`. It may listen on the ports `listens` and connect to the ports `connects`.
    """

    folder: Path
    writes: Path
    reads: tuple[Path, ...] = ()
    listens: tuple[int, ...] = ()
    connects: tuple[int, ...] = ()


class Supervised:
    """A running program with its supervisor, which ends with this process.

    `process` is the supervisor; its exit status is the program's.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        sandbox: SandboxLimits | None,
        output: int | IO[bytes],
    ) -> None:
        """Start `command` in `folder`, with stdout and stderr to `output`.

        Raises:
            NginxError: it cannot be started.
        """
        if not sys.executable:
            raise NginxError("there is no Python executable to start nginx with")
        if sandbox is not None:
            _hand_over(sandbox)
        watch, self._held = os.pipe()
        environment = dict(_ENVIRONMENT)
        environment |= {key: os.environ[key] for key in _FOR_THE_LOADER if key in os.environ}
        plan = {
            "command": list(command),
            "folder": str(folder),
            "environment": environment,
            "watch": watch,
            "walled": sandbox is not None,
            "reads": [str(path) for path in (sandbox.reads if sandbox else ())],
            "writes": [str(sandbox.writes)] if sandbox else [],
            "listens": list(sandbox.listens if sandbox else ()),
            "connects": list(sandbox.connects if sandbox else ()),
        }
        try:
            self.process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(_SANDBOX), json.dumps(plan)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=(watch,),
                env=environment,
                # This process handles Ctrl-C: truncated output would look like an error of nginx.
                start_new_session=True,
            )
        except OSError as error:
            os.close(self._held)
            raise NginxError(f"{command[0]} cannot be run: {error}") from error
        finally:
            os.close(watch)

    def stop(self) -> None:
        """Make the supervisor end the program within three seconds."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def run(
    command: Sequence[str], folder: Path, sandbox: SandboxLimits | None = None
) -> tuple[bool, str]:
    """Run a program to its end; returns whether it succeeded, and its output.

    Without limits for a sandbox it is started directly, which takes a fifth of the time.

    Raises:
        NginxError: it cannot be started, or needs more than 20 s.
    """
    try:
        if sandbox is None:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_SECONDS_TO_END,
                check=False,
                start_new_session=True,
            )
            status, output = done.returncode, done.stdout
        else:
            started = Supervised(command, folder, sandbox, subprocess.PIPE)
            with started.process as process:
                try:
                    output, _ = process.communicate(timeout=_SECONDS_TO_END)
                finally:
                    started.stop()
            status = process.returncode
    except subprocess.TimeoutExpired:
        raise NginxError(f"{command[0]} does not respond within {_SECONDS_TO_END:g} s") from None
    except OSError as error:
        raise NginxError(f"{command[0]} cannot be run: {error}") from error
    said = output.decode(errors="replace")
    if status == _COULD_NOT_START:
        raise NginxError(f"{command[0]} cannot be run: {said.strip()}")
    return status == 0, said


def _hand_over(sandbox: SandboxLimits) -> None:
    """Let `nobody` read the folder and write below `writes`, if root starts the program."""
    if os.geteuid() != 0:
        return
    os.chown(sandbox.folder, -1, _NOBODY)
    os.chmod(sandbox.folder, 0o750)
    for entry in os.scandir(sandbox.folder):
        if entry.is_file(follow_symlinks=False):
            os.chown(entry.path, -1, _NOBODY, follow_symlinks=False)
            with contextlib.suppress(OSError):
                os.chmod(entry.path, 0o640)
    # Once only: later contents of the folder are untrusted.
    if sandbox.writes.stat().st_uid != _NOBODY:
        for _, _, _, number in os.fwalk(sandbox.writes):
            os.fchown(number, _NOBODY, _NOBODY)
