"""Listen addresses: one form for each socket, whatever way it is written."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Sequence

# More ports than that in one `listen` are cut off.
_MOST_PORTS = 64

# What a socket on loopback needs besides its address.
KEPT_OPTIONS = frozenset({"ssl", "http2", "default_server", "default"})


def socket_name(address: str) -> str:
    """A listen address in one form: `*:80` for `80`, `*:80` and `0.0.0.0:80`, and so on."""
    if address.startswith("unix:"):
        return address
    host, port = _split(address)
    if host in ("", "*", "0.0.0.0"):
        return f"*:{port}"
    if host.lower() == "localhost":
        return f"127.0.0.1:{port}"
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host.strip("[]")))
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _split(address: str) -> tuple[str, str]:
    if re.fullmatch(r"\d+(-\d+)?", address):
        return "", address
    found = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(?::(\d+(?:-\d+)?))?", address)
    if found is None:
        return address, "80"
    return found[1], found[2] or "80"


def names(address: str) -> list[str]:
    """The names of all sockets of a listen address; more than one for a range of ports."""
    name = socket_name(address)
    span = re.search(r":(\d+)-(\d+)$", name)
    if span is None or name.startswith("unix:"):
        return [name]
    first, last = int(span[1]), int(span[2])
    last = min(last, first + _MOST_PORTS - 1)
    return [f"{name[: span.start()]}:{port}" for port in range(first, last + 1)]


def dropped_options(options: Sequence[str]) -> list[str]:
    """The options of a `listen` that its loopback socket goes without."""
    return [option for option in options if option not in KEPT_OPTIONS]
