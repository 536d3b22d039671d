"""Run a copy of a configuration and of each nginx behind it."""

from __future__ import annotations

import contextlib
import graphlib
import os
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from msgspec import Struct

from nginx_stream_lint.config import Configuration
from nginx_stream_lint.nginx.listeners import addresses
from nginx_stream_lint.probe.adapt_copy import adapt_copy
from nginx_stream_lint.probe.certificate import write_certificate
from nginx_stream_lint.probe.copy import copy_of
from nginx_stream_lint.probe.copy_model import CopiedSocket, Copy, CopyChange, NextCopy
from nginx_stream_lint.probe.folders import WRITABLE, temporary_folder
from nginx_stream_lint.probe.launch import NginxError
from nginx_stream_lint.probe.nginx import Nginx
from nginx_stream_lint.probe.nginx_binary import NginxBinary
from nginx_stream_lint.probe.probe_model import PassedOn
from nginx_stream_lint.probe.upstream import DrippingUpstream

_MOST_NGINX = 16  # each may use the memory that the sandbox allows
_STARTS = 3  # another process may take a port between looking and binding
_SECONDS_TO_CONNECT = 5.0
_SECONDS_TO_DIE = 0.3


class RunningCopy(Struct):
    """An nginx that runs the copy of a configuration in a folder."""

    configuration: Configuration
    copy: Copy
    nginx: Nginx
    folder: Path

    @property
    def changes(self) -> list[CopyChange]:
        """The changes of the copy in the order of the configuration."""
        files = {file.source.name: at for at, file in enumerate(self.configuration.files)}
        return sorted(self.copy.changes, key=lambda one: (files.get(one.file, 0), one.line))

    def socket_at(self, address: str, stream: bool = False) -> CopiedSocket:
        """Where the copy listens for an address of the configuration.

        Raises:
            NginxError: it does not.
        """
        name = addresses(address)[0]
        found = self.copy.sockets.get(f"stream {name}" if stream else name)
        if found is None:
            raise NginxError(f'the copy does not listen on "{address}"')
        return found

    def must_run(self) -> None:
        """Raise NginxError if nginx has died."""
        # A supervisor needs a moment to notice that nginx has ended; connections fail at once.
        ports = [socket.port for socket in self.copy.sockets.values()]
        if not self.nginx.is_running or not all(map(_accepts, ports[:1])):
            said = " ".join(self.nginx.error_log.strip().splitlines()[-3:])
            raise NginxError(f"{self.nginx.binary} died during the measurement: {said}")

    def empty_caches(self) -> None:
        """Delete all cached files: nginx requests responses again that are no longer on disk."""
        top = str(self.folder / WRITABLE / "cache")
        # By descriptors of open folders, so that links made by nginx cannot lead elsewhere.
        for path, folders, files, number in os.fwalk(top, topdown=False):
            for name in files:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=number)
            for name in folders if path != top else ():
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=number)


@contextlib.asynccontextmanager
async def running_copies(
    configuration: Configuration,
    binary: NginxBinary,
    upstream: DrippingUpstream,
    passed_on: Sequence[PassedOn],
) -> AsyncIterator[list[RunningCopy]]:
    """Run a copy of each nginx that requests pass, for the duration of the block.

    The last one is that of the configuration; each comes after those to which it passes requests.

    Raises:
        NginxError: nginx refuses a copy, or does not start; or there are too many.
    """
    running: list[RunningCopy] = []
    async with contextlib.AsyncExitStack() as stack:
        for one in _start_order(configuration, passed_on):
            folder = stack.enter_context(temporary_folder())
            made = await _started(one, binary, upstream, folder, running, passed_on)
            stack.push_async_exit(made.nginx)
            running.append(made)
        yield running


def _start_order(
    configuration: Configuration, passed_on: Sequence[PassedOn]
) -> list[Configuration]:
    """The nginx to run, each after all those to which it passes requests."""
    every = {id(configuration): configuration}
    behind: dict[int, list[int]] = {id(configuration): []}
    for one in passed_on:
        every |= {id(one.front): one.front, id(one.behind): one.behind}
        behind.setdefault(id(one.front), []).append(id(one.behind))
    if len(every) > _MOST_NGINX:
        count = f"{len(every)} nginx instances"
        raise NginxError(f"the requests pass {count}; at most {_MOST_NGINX} are run")
    try:
        return [every[one] for one in graphlib.TopologicalSorter(behind).static_order()]
    except graphlib.CycleError:
        raise NginxError("a request returns to an nginx that it has passed") from None


async def _started(
    configuration: Configuration,
    binary: NginxBinary,
    upstream: DrippingUpstream,
    folder: Path,
    running: Sequence[RunningCopy],
    passed_on: Sequence[PassedOn],
) -> RunningCopy:
    behind = {id(one.configuration): one for one in running}
    next_copies = {
        id(one.directive): NextCopy(behind[id(one.behind)].socket_at(one.socket).port, one.target)
        for one in passed_on
        if one.front is configuration
    }
    markers = sum(len(one.copy.places) for one in running)
    for attempt in range(_STARTS):
        copy = copy_of(configuration, binary.version, upstream.ports, folder, next_copies, markers)
        if any(one.tls for one in copy.sockets.values()):
            write_certificate(folder)
        text, sandbox = await adapt_copy(copy, binary, folder)
        nginx = Nginx(binary, text, folder, sandbox)
        try:
            await nginx.__aenter__()
        except NginxError as error:
            if attempt + 1 < _STARTS and "Address already in use" in str(error):
                continue
            raise
        return RunningCopy(configuration, copy, nginx, folder)
    raise AssertionError("unreachable")


def _accepts(port: int) -> bool:
    """Whether something listens on a port of loopback, and keeps listening.

    After nginx was killed, the kernel still accepts connections for a moment, and resets them.
    """
    try:
        connection = socket.create_connection(("127.0.0.1", port), _SECONDS_TO_CONNECT)
    except OSError:
        return False
    with connection:
        connection.settimeout(_SECONDS_TO_DIE)
        try:
            connection.recv(1)
        except ConnectionError:
            return False
        except TimeoutError:
            pass
    return True
