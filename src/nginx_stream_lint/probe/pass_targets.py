"""Replace every target of requests by the dripping upstream, or by the copy of the next nginx."""

from __future__ import annotations

import re
from collections.abc import Mapping

from nginx_stream_lint.config import Directive, has_placeholder
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.nginx.versions import Version
from nginx_stream_lint.probe.allowed_directives import NAME
from nginx_stream_lint.probe.copy_model import CopiedDirective, Copy, NextCopy
from nginx_stream_lint.probe.launch import NginxError

# Family of a *_pass directive to the protocol of its upstream.
PROTOCOLS = {"proxy": "http", "grpc": "h2c", "fastcgi": "fastcgi", "uwsgi": "uwsgi", "scgi": "scgi"}
_HTTP2_UPSTREAM: Version = (1, 29, 4)
_TIER = "tier-"
_SCHEMES = {"proxy": r"https?://", "grpc": r"(?:grpcs?://)?", "uwsgi": r"(?:s?uwsgi://)?"}


class Groups:
    """The `upstream` blocks of http or stream, and the protocols that they need.

    `variants` has, by a group's name, the name of its variant for each protocol. The copy of
    another nginx has a separate protocol: `tier-` and its port.
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


class Targets:
    """Collects the targets of a copy; after `finish`, all lead to the upstream or to the next copy.

    `ports` has the ports of the dripping upstream by protocol. `next_copies` has, by the `id` of a
    `*_pass` directive, where it leads instead.
    """

    def __init__(
        self,
        copy: Copy,
        version: Version,
        ports: Mapping[str, int],
        next_copies: Mapping[int, NextCopy],
    ) -> None:
        self._copy = copy
        self._version = version
        self._ports = dict(ports)
        self._next_copies = next_copies
        self._groups = {False: Groups(), True: Groups()}  # of http, of stream
        self._group_nodes: list[tuple[bool, CopiedDirective, list[CopiedDirective]]] = []
        self._passes: list[tuple[CopiedDirective, str, str]] = []
        self._passes_on: list[tuple[CopiedDirective, str, NextCopy]] = []

    def add_group(
        self, node: CopiedDirective, siblings: list[CopiedDirective], is_stream: bool
    ) -> None:
        """Add an `upstream` block, which is one of the `siblings`."""
        self._groups[is_stream].names.add(node.args[0].lower())
        self._group_nodes.append((is_stream, node, siblings))

    def add_pass(self, row: Directive, level: Level, family: str) -> CopiedDirective:
        """Return the copy of a `*_pass` directive; family `stream` for one of stream."""
        protocol = PROTOCOLS.get(family, "http")
        if family == "proxy" and self._version >= _HTTP2_UPSTREAM:
            version = level.effective("proxy_http_version", self._version).text
            protocol = "h2c" if version == "2" else "http"
        node = CopiedDirective(row.name, [row.args[0]], row)
        following = self._next_copies.get(id(row))
        if following is not None:
            self._passes_on.append((node, family, following))
            return node
        if _is_variable(row.args[0]):
            why = "variables are not evaluated; the target is always the probe's upstream"
            self._copy.note_replaced(row, why, False)
        self._passes.append((node, family, protocol))
        return node

    def finish(self) -> None:
        """Set all targets: groups may come after the directives that use them.

        Raises NginxError for a target that nginx would refuse.
        """
        for node, family, following in self._passes_on:
            node.args = [self._next_target(node, family, following)]
        for node, family, protocol in self._passes:
            groups = self._groups[family == "stream"]
            target = rewritten_target(family, node.args[0], protocol, self._ports, groups)
            if target is None:
                row = node.origin
                assert row is not None
                raise NginxError(
                    "nginx rejects the copy: invalid URL prefix, or no host after it, in"
                    f" {row.name} of {row.source.name}:{row.line}"
                )
            node.args = [target]
        for is_stream, node, siblings in self._group_nodes:
            at = next((at for at, one in enumerate(siblings) if one is node), len(siblings))
            siblings[at : at + 1] = self._variants(node, self._groups[is_stream])

    def _next_target(self, node: CopiedDirective, family: str, following: NextCopy) -> str:
        """The target for a copy of the next nginx, with the header Host that this one has."""
        copy, groups, target = self._copy, self._groups[False], following.target
        assert node.origin is not None
        name = (target.host if NAME.fullmatch(target.host) else "localhost").lower()
        if name not in groups.names:
            assert copy.http is not None
            assert copy.http.children is not None
            made = CopiedDirective("upstream", [name], None, [CopiedDirective("server", [""])])
            self.add_group(made, copy.http.children, False)
        protocol = f"{_TIER}{following.port}"
        self._ports[protocol] = following.port
        copy.upstream |= {following.port}
        copy.over_tls |= target.scheme in ("https", "grpcs")
        uri = target.uri
        if _is_variable(node.args[0]):
            why = "variables are not evaluated; the next nginx gets the path unchanged"
            copy.note_replaced(node.origin, why, bool(uri))
            uri = ""
        group = groups.use(name, protocol)
        assert group is not None
        if group != name:
            why = f"the next nginx gets the Host {group}, because another target has that name"
            copy.note_replaced(node.origin, why, True)
        if family == "grpc":
            return f"grpcs://{group}" if target.scheme == "grpcs" else group
        return f"{target.scheme}://{group}{uri}"

    def _variants(self, node: CopiedDirective, groups: Groups) -> list[CopiedDirective]:
        """A group for each protocol that its name is used for."""
        assert node.children is not None
        name = node.args[0].lower()
        if not any(child.name == "server" for child in node.children):
            node.children.append(CopiedDirective("server", [""]))
            if node.origin is not None:
                self._copy.note_replaced(node.origin, "no server in it can be read", True)
        made: list[CopiedDirective] = []
        for protocol, variant in groups.variants.get(name, {"http": name}).items():
            rows = [CopiedDirective(one.name, list(one.args), one.origin) for one in node.children]
            for one in rows:
                if one.name == "server":
                    one.args[0] = f"127.0.0.1:{self._ports[protocol]}"
                elif one.name == "zone" and variant != name:
                    one.args[0] = f"{one.args[0]}-nsl-{protocol}"
            made.append(CopiedDirective("upstream", [variant], node.origin, rows))
        return made


def rewritten_target(
    family: str, target: str, protocol: str, ports: Mapping[str, int], groups: Groups
) -> str | None:
    """The argument of a `<family>_pass` that leads to the dripping upstream.

    A URI after the target is kept. A target with a variable or a placeholder is replaced as a
    whole. None if nginx would refuse the target.
    """
    scheme = "http://" if family == "proxy" else ""
    upstream = f"127.0.0.1:{ports[protocol]}"
    if _is_variable(target):
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


def _is_variable(target: str) -> bool:
    return "$" in target or has_placeholder(target)
