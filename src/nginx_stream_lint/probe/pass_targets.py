"""Replace every target of requests by the dripping upstream, or by the copy of the next nginx."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nginx_stream_lint.config import has_placeholder

# Family of a *_pass directive to the protocol of its upstream.
PROTOCOLS = {"proxy": "http", "grpc": "h2c", "fastcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi"}
_TIER = "tier-"
_SCHEMES = {"proxy": r"https?://", "grpc": r"(?:grpcs?://)?", "uwsgi": r"(?:s?uwsgi://)?"}


class Groups:
    """The `upstream` blocks of http or stream, and the protocols that they need.

    `variants` has, by a group's name, the name of its variant for each protocol. The copy of
    another nginx has a separate protocol, see `tier_protocol`.
    """

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.variants: dict[str, dict[str, str]] = {}

    def use(self, name: str, protocol: str) -> str | None:
        """The name of a group's variant for a protocol; None if there is no such group."""
        key = name.lower()
        if key not in self.names:
            return None
        variants = self.variants.setdefault(key, {})
        if protocol not in variants:
            # The next nginx chooses its server by the group's name, which is the header Host.
            is_plain = protocol == "http" or protocol.startswith(_TIER)
            keeps_name = is_plain and key not in variants.values()
            variants[protocol] = key if keeps_name else f"{key}-nsl-{protocol}"
        return variants[protocol]


def tier_protocol(port: int) -> str:
    """Return the protocol of requests to the copy of another nginx, which listens on a port."""
    return f"{_TIER}{port}"


def tier_target(family: str, scheme: str, group: str, uri: str) -> str:
    """Return the argument of a `<family>_pass` that leads to a group with another nginx's copy."""
    if family == "grpc":
        return f"grpcs://{group}" if scheme == "grpcs" else group
    return f"{scheme}://{group}{uri}"


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
