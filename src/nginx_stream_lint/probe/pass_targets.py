"""Replace every target of requests by the dripping upstream."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nginx_stream_lint.config import has_placeholder

# Family of a *_pass directive to the protocol of its upstream.
PROTOCOLS = {"proxy": "http", "grpc": "h2c", "fastcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi"}
_SCHEMES = {"proxy": r"https?://", "grpc": r"(?:grpcs?://)?", "uwsgi": r"(?:s?uwsgi://)?"}


class Groups:
    """The `upstream` blocks of http or stream, and the protocols that they need."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.speaks: dict[str, list[str]] = {}

    def use(self, name: str, protocol: str) -> str | None:
        """The name of a group's variant for a protocol; None if there is no such group."""
        key = name.lower()
        if key not in self.names:
            return None
        protocols = self.speaks.setdefault(key, [])
        if protocol not in protocols:
            protocols.append(protocol)
        return renamed_group(key, protocol)


def renamed_group(name: str, protocol: str) -> str:
    """Return a group's name for a protocol: one upstream cannot use several on one port."""
    return name if protocol == "http" else f"{name}-nsl-{protocol}"


def rewritten_target(
    family: str, target: str, protocol: str, ports: Mapping[str, int], groups: Groups
) -> str | None:
    """The argument of a `<family>_pass` that leads to the dripping upstream.

    A URI after the target is kept. A target with a variable or a placeholder is replaced as a
    whole. None if nginx would refuse the target.
    """
    scheme = "http://" if family == "proxy" else ""
    upstream = f"127.0.0.1:{ports[protocol]}"
    if "$" in target or has_placeholder(target):
        return scheme + upstream
    found = re.fullmatch(_SCHEMES.get(family, "") + "(.*)", target, re.DOTALL | re.IGNORECASE)
    if found is None:
        return None
    host, uri = found[1], ""
    if family == "proxy":
        if host.startswith("unix:"):
            host, _, uri = host.removeprefix("unix:").partition(":")
        else:
            end = re.search(r"[/?]", host)
            if end is not None:
                host, uri = host[: end.start()], host[end.start() :]
    if not host:
        return None
    return f"{scheme}{groups.use(host, protocol) or upstream}{uri}"
