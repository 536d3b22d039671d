"""Find free ports of loopback."""

from __future__ import annotations

import contextlib
import random
import socket

from nginx_stream_lint.probe.launch import NginxError

# Below the range that Linux takes the source ports of outgoing connections from.
_PORTS = range(20000, 32000)


def free_ports(count: int) -> list[int]:
    """Return `count` distinct loopback ports that nothing listens on at the moment.

    Raises:
        NginxError: there are not enough.
    """
    found: list[int] = []
    for port in random.sample(_PORTS, len(_PORTS)):
        if len(found) == count:
            break
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    if len(found) < count:
        raise NginxError(f"no {count} free ports between {_PORTS.start} and {_PORTS.stop}")
    return found
