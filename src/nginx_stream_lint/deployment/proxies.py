"""Proxies of a compose project that pass requests on to its nginx, by their own configuration.

Only clear evidence is used: a configuration file that names the service of the nginx, labels for
Traefik at that service, or a tunnel that can lead to no other service.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from nginx_stream_lint.config.deployed import ProxyInFront, WrittenTimeout
from nginx_stream_lint.deployment.images import image_name, proxy_products
from nginx_stream_lint.deployment.instance import Container
from nginx_stream_lint.deployment.model import DeployedAt, is_known
from nginx_stream_lint.deployment.texts import documents_of
from nginx_stream_lint.files.source import Source
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes.manifest import Mapping, Node
from nginx_stream_lint.kubernetes.manifest import Sequence as YamlSequence
from nginx_stream_lint.util.problems import Unreadable

_MAX_TEXT = 256 * 1024
_MAX_FILES = 50  # of a proxy
_MAX_STATEMENTS = 500
_MAX_BLOCK = 8 * 1024
_RAISE = "raise it to at least {seconds}s"
# An address as these programs write it: scheme, host, port, path.
_ADDRESS = re.compile(r"(?:\w+://)?([\w.-]+)(?::[\d*]+)?(?:/.*)?")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PLACEHOLDERS = re.compile(r"[${%]")


class Passing(Struct, frozen=True):
    """A place in a proxy's configuration that passes requests on to an nginx, and its limits.

    `timeouts` None: unknown.
    """

    start: int
    end: int
    timeouts: tuple[WrittenTimeout, ...] | None
    holds: str = ""


# Finds the place that passes requests on to one of some host names.
Reader = Callable[[Source, frozenset[str]], Passing | None]


def proxies(
    workspace: Workspace, nginx: Container, neighbours: Sequence[Container]
) -> Iterator[ProxyInFront]:
    """The proxies in front of an nginx, among the containers of its project."""
    names = frozenset(one.lower() for one in nginx.names)
    yield from _labelled(workspace, nginx)
    for one in neighbours:
        product = proxy_products().get(_repository(one))
        if product is None or one is nginx:
            continue
        if product == "cloudflare":
            yield from _tunnel(workspace, one, nginx)
            continue
        reader = READERS.get(product)
        for source in _sources(workspace, one) if reader is not None else ():
            found = reader(source, names) if reader is not None else None
            if found is not None:
                because = f"{os.path.basename(source.name)} of the service {one.name}"
                yield ProxyInFront(
                    product, because, source, found.start, found.end, found.timeouts, found.holds
                )
                break


def _repository(one: Container) -> str:
    image = one.built.base if one.built is not None else one.image
    return image_name(image).repository if image is not None and is_known(image) else ""


def _sources(workspace: Workspace, one: Container) -> Iterator[Source]:
    """The files of a proxy that are in the repository."""
    placed = [*(one.built.files if one.built is not None else ()), *one.mounts]
    paths: list[str] = []
    for file in placed:
        if file.path is None or file.key is not None:
            continue
        if workspace.is_folder(file.path):
            inside = sorted(
                name for name, is_folder in workspace.entries(file.path) if not is_folder
            )
            paths += [os.path.join(file.path, name) for name in inside[:_MAX_FILES]]
        else:
            paths.append(file.path)
    for path in paths[:_MAX_FILES]:
        try:
            source = workspace.source(path)
        except Unreadable:
            continue
        if len(source.text) <= _MAX_TEXT:
            yield source


def _at(workspace: Workspace, place: DeployedAt) -> tuple[Source, int, int] | None:
    """The source and the rest of the line of a place."""
    try:
        source = workspace.source(place.file)
    except Unreadable:
        return None
    start = source.offset(place.line, place.column)
    end = source.text.find("\n", start)
    return source, start, start + len(source.text[start : None if end < 0 else end].rstrip())


# Labels


def _labelled(workspace: Workspace, nginx: Container) -> Iterator[ProxyInFront]:
    """The proxies that read labels of the nginx service: Traefik."""
    labels = {name.lower(): label for name, label in nginx.labels.items()}
    enabled = labels.get("traefik.enable")
    if enabled is not None and (enabled.value or "").lower() == "false":
        return
    routers = [name for name in labels if name.startswith("traefik.http.routers.")]
    if not routers:
        return
    shown, holds = routers[0], ""
    for name in routers:
        if not name.endswith(".middlewares"):
            continue
        for word in (labels[name].value or "").split(","):
            middleware = word.strip().partition("@")[0].lower()
            start = f"traefik.http.middlewares.{middleware}.buffering."
            found = next((one for one in labels if one.startswith(start)), None)
            if middleware and found is not None:
                shown, holds = found, f"middleware {middleware}"
    place = _at(workspace, labels[shown].origin)
    if place is not None:
        because = f"the labels of the service {nginx.name}"
        yield ProxyInFront("traefik", because, *place, timeouts=(), holds=holds)


# Cloudflare Tunnel


def _tunnel(workspace: Workspace, one: Container, nginx: Container) -> Iterator[ProxyInFront]:
    """A tunnel that leads to the nginx: by its configuration, its command, or `depends_on`.

    A tunnel with a token has its routes at Cloudflare; it depends on the service that they lead to.
    """
    names = frozenset(name.lower() for name in nginx.names)
    for source in _sources(workspace, one):
        found = _ingress_rule(source, names)
        if found is not None:
            because = f"{os.path.basename(source.name)} of the service {one.name}"
            yield ProxyInFront("cloudflare", because, source, *found)
            return
    words = [*(one.entrypoint or ()), *(one.command or ())]
    leads = any(_host(word.rpartition("=")[2]) in names for word in words if "://" in word)
    depends = bool(names & {name.lower() for name in one.depends_on})
    if leads or (depends and "run" in words):
        place = _at(workspace, one.origin)
        if place is not None:
            yield ProxyInFront("cloudflare", f"the service {one.name}", *place)


def _ingress_rule(source: Source, names: frozenset[str]) -> tuple[int, int] | None:
    """The place of a tunnel's ingress rule for one of some hosts."""
    for root in _yaml(source):
        for item in root.items("ingress"):
            word = item.word("service") if isinstance(item, Mapping) else None
            if word is not None and _host(word.text) in names:
                return word.start, word.end
    return None


# Configuration files


def haproxy(source: Source, names: frozenset[str]) -> Passing | None:
    """HAProxy: a `server` line, with the `timeout server` of its section or of the defaults."""
    defaults: dict[str, float | None] = {}
    own: dict[str, float | None] = {}
    section, passing = "", None
    for start, end, words in _lines(source):
        if words[0] in ("global", "defaults", "frontend", "backend", "listen", "userlist", "peers"):
            if passing is not None:
                break
            section, own = words[0], {}
            if section == "defaults":
                defaults = own
        elif words[0] == "timeout" and len(words) > 2:
            own[words[1]] = _haproxy_time(words[2])
        elif section in ("backend", "listen") and _is_server(words, names):
            passing = start, end
    if passing is None:
        return None
    known = {**defaults, **own}
    if "server" not in known:
        return Passing(*passing, ())
    seconds = known["server"]
    limits = (
        None if seconds is None else (WrittenTimeout(seconds, "timeout server", to_raise=_RAISE),)
    )
    return Passing(*passing, limits)


def _is_server(words: Sequence[str], names: frozenset[str]) -> bool:
    return len(words) > 2 and words[0] == "server" and _host(words[2]) in names


def _haproxy_time(text: str) -> float | None:
    """Seconds of a time of HAProxy, in milliseconds without a unit; None if it is unknown."""
    found = re.fullmatch(r"(\d{1,9})(ms|s|m|h|d)?", text)
    return None if found is None else int(found[1]) * _UNITS[found[2] or "ms"]


def caddy(source: Source, names: frozenset[str]) -> Passing | None:
    """Caddy: `reverse_proxy` to the host; `read_timeout`, `response_buffers` in its block."""
    text = source.text
    for match in list(re.finditer(r"(?m)^[ \t]*reverse_proxy\b([^{\n]*)(\{)?", text))[
        :_MAX_STATEMENTS
    ]:
        block = _braces(text, match.end()) if match[2] else ""
        hosts = [_host(word) for word in match[1].split()]
        hosts += [
            _host(word) for row in re.findall(r"(?m)^\s*to\s+(.*)", block) for word in row.split()
        ]
        if not names.intersection(one for one in hosts if one is not None):
            continue
        start = match.start() + len(match[0]) - len(match[0].lstrip())
        end = match.start(1) + len(match[1].rstrip())
        holds = re.search(r"(?m)^\s*(buffer_responses|response_buffers)\b", block)
        times = [_go_time(one) for one in re.findall(r"(?m)^\s*read_timeout\s+(\S+)", block)]
        limits = tuple(
            WrittenTimeout(one, "read_timeout", to_raise=_RAISE) for one in times if one is not None
        )
        is_known = len(limits) == len(times)
        return Passing(start, end, limits if is_known else None, holds[1] if holds else "")
    return None


def apache(source: Source, names: frozenset[str]) -> Passing | None:
    """Apache: `ProxyPass` to the host, with its timeout, `ProxyTimeout` or `Timeout`."""
    general: dict[str, str] = {}
    passing: tuple[int, int, str] | None = None
    for start, end, words in _lines(source):
        name = words[0].lower()
        if name in ("timeout", "proxytimeout") and len(words) > 1:
            general[name] = words[1]
        if name in ("proxypass", "proxypassmatch") and passing is None:
            targets = [word.strip('"') for word in words[1:]]
            if any("://" in word and _host(word) in names for word in targets):
                own = next((one[8:] for one in targets if one.lower().startswith("timeout=")), "")
                passing = start, end, own
    if passing is None:
        return None
    text = passing[2] or general.get("proxytimeout") or general.get("timeout")
    what = "timeout of ProxyPass" if passing[2] else "ProxyTimeout"
    if text is None or not re.fullmatch(r"\d{1,7}", text):
        return Passing(*passing[:2], None)  # another file may set it
    raising = "raise it to at least {seconds}"
    return Passing(*passing[:2], (WrittenTimeout(float(text), what, to_raise=raising),))


def varnish(source: Source, names: frozenset[str]) -> Passing | None:
    """Varnish: a backend with the host, and its `.between_bytes_timeout`."""
    for match in list(re.finditer(r"\bbackend\s+\w+\s*\{", source.text))[:_MAX_STATEMENTS]:
        block = _braces(source.text, match.end())
        host = re.search(r"\.host\s*=\s*\"([^\"]*)\"", block)
        if host is None or host[1].lower() not in names:
            continue
        limit = re.search(r"\.between_bytes_timeout\s*=\s*([\w.]+)", block)
        seconds = None if limit is None else _go_time(limit[1])
        place = match.start(), match.end() - 1
        if seconds is None:
            return Passing(*place, None)  # or a parameter of the command sets it
        written = WrittenTimeout(seconds, "between_bytes_timeout", to_raise=_RAISE)
        return Passing(*place, (written,))
    return None


def envoy(source: Source, names: frozenset[str]) -> Passing | None:
    """Envoy: a cluster with the host, and the timeout of its routes (15 s by default)."""
    for root in _yaml(source):
        nodes = list(_mappings(root))
        for cluster in nodes:
            name, address = cluster.word("name"), None
            if name is None or "load_assignment" not in cluster.entries:
                continue
            for one in _mappings(cluster):
                word = one.word("socket_address", "address")
                if word is not None and word.text.lower() in names:
                    address = word
            if address is None:
                continue
            limits = _envoy_limits(nodes, name.text)
            return Passing(address.start, address.end, limits)
    return None


def _envoy_limits(nodes: Sequence[Mapping], cluster: str) -> tuple[WrittenTimeout, ...] | None:
    found: list[WrittenTimeout] = []
    routes = [
        route
        for one in nodes
        if (route := one.mapping("route")) is not None
        and (word := route.word("cluster")) is not None
        and word.text == cluster
    ]
    for route in routes:
        word = route.word("timeout")
        seconds = 15.0 if word is None else _go_time(word.text)
        if seconds is None:
            return None
        if seconds:
            limit = WrittenTimeout(
                seconds, "timeout of the route", "response", word is None, "set it to 0s"
            )
            found.append(limit)
    idle = [word for one in nodes if (word := one.word("stream_idle_timeout")) is not None]
    for text in [word.text for word in idle] or ["300s"]:
        seconds = _go_time(text)
        if seconds is None:
            return None
        if seconds:
            found.append(
                WrittenTimeout(seconds, "stream_idle_timeout", "silence", not idle, _RAISE)
            )
    return tuple(found) if routes else None


READERS: dict[str, Reader] = {
    "haproxy": haproxy,
    "caddy": caddy,
    "apache": apache,
    "varnish": varnish,
    "envoy": envoy,
}


def _host(text: str) -> str | None:
    """The host of an address; None if it is unknown."""
    if _PLACEHOLDERS.search(text) or not is_known(text):
        return None
    found = _ADDRESS.fullmatch(text.strip("\"'"))
    return None if found is None else found[1].lower()


def _go_time(text: str) -> float | None:
    """Seconds of a time such as `30s`, `1.5m` or `1m30s`; None if it is unknown."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", text)
    if not parts or "".join("".join(part) for part in parts) != text:
        return 0.0 if text == "0" else None
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _lines(source: Source) -> Iterator[tuple[int, int, list[str]]]:
    """The lines without comments: where their words start and end, and the words."""
    for match in re.finditer(r"[^\n]+", source.text):
        line = re.sub(r"(^|\s)#.*", "", match[0])
        words = line.split()
        if words:
            start = match.start() + len(line) - len(line.lstrip())
            yield start, match.start() + len(line.rstrip()), words


def _braces(text: str, start: int) -> str:
    """The text of a block up to its closing brace; `start` is behind the opening one."""
    depth = 1
    for match in re.compile(r"[{}]").finditer(text, start, start + _MAX_BLOCK):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return text[start : match.start()]
    return text[start : start + _MAX_BLOCK]


def _yaml(source: Source) -> Iterator[Mapping]:
    """The documents of a YAML file that are mappings; none if it is not valid."""
    try:
        found, problems = documents_of(source, source.text)
    except Unreadable:
        return
    for one in () if problems else found:
        if isinstance(one.root, Mapping):
            yield one.root


def _mappings(node: Node) -> Iterator[Mapping]:
    """All mappings in a node, outer ones first."""
    work: list[Node] = [node]
    while work:
        one = work.pop()
        if isinstance(one, Mapping):
            yield one
            work += [entry.value for entry in one.entries.values()]
        elif isinstance(one, YamlSequence):
            work += one.items
