"""The nginx configuration that NGINX Gateway Fabric generates for a Gateway and its routes.

`annotations/gateway-fabric.yaml` has the fields of policies, this module everything else.
Follows internal/controller/nginx/config/*_template.go and the generators in its policies/ folder
of release 2.6.7. As there, the settings of a policy are a file that the blocks include. njs code of
the controller is replaced by nginx directives: matches of methods, headers and parameters by `if`,
and a choice among several backends by the first one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct
from msgspec.structs import replace

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.controllers import Setting, gateway_fabric, is_true
from nginx_stream_lint.kubernetes.conversion import Writer, service_address
from nginx_stream_lint.kubernetes.gateway_api import (
    ApiObject,
    Reference,
    reference,
    written,
)
from nginx_stream_lint.kubernetes.gateway_routes import (
    HEADER_NAME,
    Listener,
    Match,
    Plan,
    backend_of,
    hosts,
    is_attached,
    listeners_of,
    matches,
    rules_of,
)
from nginx_stream_lint.kubernetes.manifest import Mapping, MappingEntry, Scalar, Span
from nginx_stream_lint.kubernetes.nginx_text import (
    Arg,
    Part,
    TooLong,
    escaped,
    in_quotes,
    quoted,
)
from nginx_stream_lint.util.budget import in_force

_HTTP = """
default_type application/octet-stream;
sendfile on;
tcp_nopush on;
map $http_host $gw_api_compliant_host {
'' $host;
default $http_host;
}
map $http_upgrade $connection_upgrade {
default upgrade;
'' close;
}
map $http_upgrade $connection_keepalive {
default upgrade;
'' '';
}
"""
_HEADERS = """
X-Forwarded-For $proxy_add_x_forwarded_for
X-Real-IP $remote_addr
X-Forwarded-Proto $scheme
X-Forwarded-Host $host
X-Forwarded-Port $server_port
"""
_EVERY_HOST = "~^"
_MOST_MATCHES = 64  # of one path, in a rule
_RATE = re.compile(r"[0-9]+r/[sm]")
_SIZE = re.compile(r"[0-9]+[kKmM]?")


class GatewayPart(Writer):
    """A file of the configuration, written from one document for the object `subject`."""

    def __init__(self, name: str, subject: ApiObject) -> None:
        super().__init__(gateway_fabric().name, subject.document, subject.place)
        self.name = name
        self.subject = subject

    def settings(self, rows: Iterable[tuple[Setting, MappingEntry]]) -> None:
        """Write directives with the values that they have in fields of a policy."""
        for row, entry in rows:
            value = entry.value
            if row.value == "buffers" and isinstance(value, Mapping):
                number, size = value.word("number"), value.word("size")
                if number is not None and size is not None:
                    self._buffers(row.directive, number, size, entry)
            elif isinstance(value, Scalar) and value.text:
                self.row(row.directive, row, entry)

    def _buffers(self, name: str, number: Scalar, size: Scalar, entry: MappingEntry) -> None:
        is_number = re.fullmatch(r"[0-9]+", number.text) is not None
        is_size = re.fullmatch(r"[0-9]+[kKmMgG]?", size.text) is not None
        if has_placeholder(number.text + size.text) or (is_number and is_size):
            self.text.line(name, number, size, at=entry.span)
        else:
            self.problem(
                entry.span.start,
                f"these buffers are not a number and a size; {self.controller_name} does not"
                " accept them",
                "write number: 8 and size: 8k, for example",
            )


class _GatewayServer(Struct, eq=False):
    """A server: hosts at a port, each with the object that names it, and the routes for them."""

    listener: Listener
    hosts: list[tuple[ApiObject, Scalar] | None]
    routes: list[ApiObject]


class GatewayConverter:
    """Writes the files for a `Plan`: `root` is the main one."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.parts: dict[str, GatewayPart] = {}
        self.root = GatewayPart("", plan.first)
        self._policies: dict[tuple[int, str], GatewayPart] = {}
        self._matches = {id(route): list(matches(route)) for route in plan.routes}
        self._upstreams: dict[tuple[str | None, str, str], str] = {}
        self._of_service: dict[str, int] = {}
        self._zones: dict[int, list[str]] = {}
        self._counted: set[str] = set()  # the parts whose length is in `_size`
        self._size = 0
        self._most = in_force().left("made")

    def make(self) -> None:
        """Write all files."""
        text, plan = self.root.text, self.plan
        gateway = plan.gateway
        proxies = list(self._proxies())
        text.raw("worker_processes auto;")
        self._snippets(self.root, "main")
        text.open("events")
        text.line("worker_connections", self._number(proxies, "workerConnections", "1024"))
        text.close()
        text.open("http", at=plan.first.span)
        if gateway is not None:
            self.root.comments(Span(gateway.span.start, gateway.span.end))
        text.raw(_HTTP)
        disabled = next(
            (word for one in proxies if (word := one.spec.word("disableHTTP2")) is not None), None
        )
        self.http2 = disabled is None or not is_true(disabled.text)
        text.line("server_tokens", "off")
        if gateway is not None:
            self._include_policies(self.root, gateway, ("ProxySettingsPolicy",))
        self._snippets(self.root, "http")
        self._limit_zones()
        for route in plan.routes:
            self._route_upstreams(route)
        proxied = any(one.spec.word("rewriteClientIP", "mode") is not None for one in proxies)
        modes = [one.spec.word("rewriteClientIP", "mode") for one in proxies]
        is_wrapped = proxied and any(one and one.text == "ProxyProtocol" for one in modes)
        self._protocol = ["proxy_protocol"] if is_wrapped else []
        servers = self._servers()
        self._others = {
            one.listener.port
            for one in servers
            if any(route.kind != "GRPCRoute" for route in one.routes)
        }
        for port in dict.fromkeys((one.listener.port, one.listener.tls) for one in servers):
            self._default_server(*port)
        for one in servers:
            self._server(one)
        text.close(plan.first.span)

    # Files

    def _part(self, subject: ApiObject) -> GatewayPart:
        name = f"gateway-part-{len(self.parts)}"
        made = self.parts[name] = GatewayPart(name, subject)
        return made

    def _include(self, where: Writer, part: GatewayPart, even_empty: bool = False) -> None:
        """Include a part. Raises TooLong if all parts together are too long.

        An empty part is omitted, unless `even_empty`.
        """
        if len(part.text) or even_empty:
            where.text.line("include", part.name)
            if part.name not in self._counted:
                self._counted.add(part.name)
                self._size += len(part.text)
            if self._size > self._most:
                raise TooLong

    def _include_last(self, part: GatewayPart | None) -> None:
        if part is not None:
            self._include(self.root, part)

    def _include_policies(self, where: Writer, target: ApiObject, kinds: Iterable[str]) -> None:
        """Include the settings of an object's own policies of some kinds."""
        for kind in kinds:
            found = self.plan.objects.policies(target, kind)
            if kind in gateway_fabric().policies:
                self._include_settings(where, kind, found)
            elif kind == "RateLimitPolicy":
                for policy in found:
                    self._include(where, self._rate_limits(policy))

    def _include_settings(self, where: Writer, kind: str, policies: Sequence[ApiObject]) -> None:
        """Include settings of policies; if several set the same field, the first one is used."""
        taken: set[str] = set()
        for policy in policies:
            rows = [
                (row, entry) for row, entry in fields_of(policy, kind) if row.directive not in taken
            ]
            taken |= {row.directive for row, _ in rows}
            key = id(policy), " ".join(row.directive for row, _ in rows)
            if key not in self._policies:
                part = self._policies[key] = self._part(policy)
                part.comments(policy.span)
                part.settings(rows)
            # A fix may add a setting to an empty policy, so its document must be among the files.
            self._include(where, self._policies[key], even_empty=not rows)

    def _snippets(self, where: Writer, context: str, filters: Iterable[ApiObject] = ()) -> None:
        """Include the snippets for a context, of the Gateway's policies and of routes' filters."""
        gateway = self.plan.gateway
        found = [] if gateway is None else self.plan.objects.policies(gateway, "SnippetsPolicy")
        if context in ("main", "http"):
            filters = [one for route in self.plan.routes for one in self._filters(route)]
        for one in dict.fromkeys((*found, *filters)):
            key = id(one), context
            if key not in self._policies:
                part = self._policies[key] = self._part(one)
                for item in one.spec.items("snippets"):
                    word = item.word("context") if isinstance(item, Mapping) else None
                    if isinstance(item, Mapping) and word is not None and word.text == context:
                        part.snippet(item.entries.get("value"))
            self._include(where, self._policies[key])

    def _filters(self, route: ApiObject, rule: Mapping | None = None) -> Iterator[ApiObject]:
        """The SnippetsFilters of a route's rules, or of one rule."""
        for each in rules_of(route) if rule is None else (rule,):
            for item in each.items("filters"):
                node = item.mapping("extensionRef") if isinstance(item, Mapping) else None
                wanted = None if node is None else reference(route, node, "")
                if wanted is not None and wanted.kind == "SnippetsFilter":
                    found = self.plan.objects.find(wanted, route)
                    if found is not None:
                        yield found

    # The http block

    def _proxies(self) -> Iterator[ApiObject]:
        """The NginxProxy of the Gateway, and that of its class."""
        for one, path in (
            (self.plan.gateway, ("infrastructure", "parametersRef")),
            (self.plan.gateway_class, ("parametersRef",)),
        ):
            node = None if one is None else one.spec.mapping(*path)
            wanted = None if one is None or node is None else reference(one, node, "")
            if one is not None and wanted is not None and wanted.kind == "NginxProxy":
                found = self.plan.objects.find(wanted, one)
                if found is not None:
                    yield found

    def _number(self, proxies: Sequence[ApiObject], key: str, default: str) -> str:
        words = [one.spec.word(key) for one in proxies]
        known = (one.text for one in words if one and re.fullmatch(r"[1-9][0-9]{0,4}", one.text))
        return next(known, default)

    def _limit_zones(self) -> None:
        objects = [*self.plan.routes, *([self.plan.gateway] if self.plan.gateway else [])]
        seen: set[int] = set()
        for one in objects:
            for policy in self.plan.objects.policies(one, "RateLimitPolicy"):
                if id(policy) in seen:
                    continue
                seen.add(id(policy))
                part = self._part(policy)
                zones = self._zones[id(policy)] = []
                for item in policy.spec.items("rateLimit", "local", "rules"):
                    if not isinstance(item, Mapping):
                        continue
                    name = re.sub(r"\W", "_", f"{policy.name}_rule{len(zones)}")
                    name = f"rl{len(self._zones)}_{name}"
                    zones.append(name)
                    key, rate, size = (item.word(one) for one in ("key", "rate", "zoneSize"))
                    said = "10m" if size is None or not _SIZE.fullmatch(size.text) else size.text
                    speed = (
                        "100r/s" if rate is None or not _RATE.fullmatch(rate.text) else rate.text
                    )
                    by = quoted(key) if key is not None else "$binary_remote_addr"
                    words = f"zone={name}:{said}", f"rate={speed}"
                    part.text.line("limit_req_zone", by, *words, at=item.span)
                self._include(self.root, part)

    def _rate_limits(self, policy: ApiObject) -> GatewayPart:
        key = id(policy), "limit_req"
        if key not in self._policies:
            part = self._policies[key] = self._part(policy)
            items = policy.spec.items("rateLimit", "local", "rules")
            rules = [one for one in items if isinstance(one, Mapping)]
            for item, zone in zip(rules, self._zones.get(id(policy), ()), strict=False):
                words = [f"zone={zone}"]
                burst, delay = item.word("burst"), item.word("delay")
                no_delay = item.word("noDelay")
                if burst is not None and re.fullmatch(r"[1-9][0-9]{0,8}", burst.text):
                    words.append(f"burst={burst.text}")
                if no_delay is not None and is_true(no_delay.text):
                    words.append("nodelay")
                elif delay is not None and re.fullmatch(r"[1-9][0-9]{0,8}", delay.text):
                    words.append(f"delay={delay.text}")
                part.text.line("limit_req", *words, at=item.span)
        return self._policies[key]

    def _route_upstreams(self, route: ApiObject) -> None:
        """Write the upstreams that a route is the first to use."""
        part = self._part(route)
        for match in self._matches[id(route)]:
            backend = backend_of(match.rule)
            if backend is None:
                continue
            service, port = backend.word("name"), backend.word("port")
            key = self._backend_key(route, backend)
            if service is None or key in self._upstreams:
                continue
            number = self._of_service[key[1]] = self._of_service.get(key[1], 0) + 1
            plain = re.sub(r"[^\w.\-]", "-", key[1]) if not has_placeholder(service.text) else ""
            name = f"{plain}-{key[2]}" if number > 1 and plain else plain
            name = self._upstreams[key] = name or f"backend-{len(self._upstreams)}"
            text = part.text
            text.open("upstream", (name, service.span), at=backend.span)
            text.raw("random two least_conn;")
            text.line("zone", (name, service.span), "512k")
            at = port.span if port is not None else service.span
            text.line("server", service_address(port), at=at)
            self._keepalive(part, self._service(route, backend), route)
            text.close(backend.span)
        self._include(self.root, part)

    def _service(self, route: ApiObject, backend: Mapping) -> Reference:
        name, namespace = backend.word("name"), backend.word("namespace")
        return Reference(
            "Service",
            "" if name is None else written(route.document, name),
            route.namespace if namespace is None else written(route.document, namespace),
        )

    def _backend_key(self, route: ApiObject, backend: Mapping) -> tuple[str | None, str, str]:
        service, port = self._service(route, backend), backend.word("port")
        return service.namespace, service.name, "" if port is None else port.text

    def _keeps_alive(self, route: ApiObject, backend: Mapping) -> bool:
        word = self._connections(self._service(route, backend), route)
        return word is None or word.text.strip() != "0"

    def _connections(self, service: Reference, near: ApiObject) -> Scalar | None:
        found = self.plan.objects.service_policies(service, near, "UpstreamSettingsPolicy")
        words = (one.spec.word("keepAlive", "connections") for one in found)
        return next((one for one in words if one is not None), None)

    def _keepalive(self, where: GatewayPart, service: Reference, near: ApiObject) -> None:
        kind = "UpstreamSettingsPolicy"
        connections = self._connections(service, near)
        if connections is not None and connections.text.strip() == "0":
            return
        if connections is None:
            row = gateway_fabric().policies[kind][0]
            where.default(row.directive, row, None)
        found = self.plan.objects.service_policies(service, near, kind)
        self._include_settings(where, kind, found)

    # Servers

    def _servers(self) -> list[_GatewayServer]:
        """The servers; hosts with the same routes share one, which has the same effect."""
        found: dict[tuple[str, bool, str], _GatewayServer] = {}
        for listener in listeners_of(self.plan.gateway):
            for route in self.plan.routes:
                if not is_attached(self.plan, route, listener):
                    continue
                for host in hosts(route, listener, self.plan.gateway):
                    name = _EVERY_HOST if host is None else written(host[0].document, host[1])
                    key = listener.port, listener.tls, name
                    server = found.get(key)
                    if server is None:
                        server = found[key] = _GatewayServer(listener, [host], [])
                    if server.routes[-1:] != [route]:
                        server.routes.append(route)
        alike: dict[tuple[str, bool, tuple[int, ...]], _GatewayServer] = {}
        for (port, tls, _), one in found.items():
            same = alike.setdefault((port, tls, tuple(map(id, one.routes))), one)
            if same is not one:
                same.hosts += one.hosts
        return list(alike.values())

    def _listen(self, port: str, tls: bool, *more: str) -> None:
        """Write a `listen`, with HTTP/2 in the form that every nginx reads.

        A plain port has it only if all of its routes need it: without TLS, older nginx would accept
        nothing else there.
        """
        words = [*(["ssl"] if tls else []), *more, *self._protocol]
        if self.http2 and (tls or port not in self._others):
            words.append("http2")
        self.root.text.line("listen", port, *words)

    def _default_server(self, port: str, tls: bool) -> None:
        text = self.root.text
        text.open("server")
        self._listen(port, tls, "default_server")
        if tls:
            text.raw("ssl_reject_handshake on;")
        else:
            text.raw("default_type text/html;\nreturn 404;")
        text.close()

    def _server(self, server: _GatewayServer) -> None:
        text, gateway = self.root.text, self.plan.gateway
        first = server.hosts[0]
        is_here = first is not None and first[0].document is self.root.document
        at = first[1].span if is_here and first is not None else None
        text.open("server", at=at)
        self._listen(server.listener.port, server.listener.tls)
        if server.listener.tls:
            self.root.certificate()
        part: GatewayPart | None = None
        for host in server.hosts:
            if host is None:
                text.line("server_name", _EVERY_HOST)
            elif host[0].document is self.root.document:
                text.line("server_name", quoted(host[1]), at=host[1].span)
            else:
                if part is None or part.subject is not host[0]:
                    self._include_last(part)
                    part = self._part(host[0])
                part.text.line("server_name", quoted(host[1]), at=host[1].span)
        self._include_last(part)
        if gateway is not None:
            self._include_policies(self.root, gateway, ("ClientSettingsPolicy", "RateLimitPolicy"))
        filters = [one for route in server.routes for one in self._filters(route)]
        self._snippets(self.root, "http.server", filters)
        self._locations(server)
        text.close(at)

    def _locations(self, server: _GatewayServer) -> None:
        by_path: dict[tuple[str, str], list[Match]] = {}
        for route in server.routes:
            for match in self._matches[id(route)]:
                by_path.setdefault((match.text, match.kind), []).append(match)
        # Longer paths first, because the first regular expression that matches counts.
        rules = sorted(by_path.items(), key=lambda one: (-len(one[0][0]), one[0]))
        exact = {path for path, kind in by_path if kind == "Exact"}
        slashed = {path for path, kind in by_path if kind == "PathPrefix"}
        part: GatewayPart | None = None
        for (path, kind), found in rules:
            own = min(found, key=_priority)
            # Of several `if` that match, nginx uses the last one; of equals, the first counts.
            others = sorted((one for one in reversed(found) if one is not own), key=_priority)
            others = others[-_MOST_MATCHES:]
            if part is None or part.subject is not own.route:
                self._include_last(part)
                part = self._part(own.route)
                part.comments(own.route.span)
            for head in self._heads(own, path, kind, exact, slashed):
                self._location(part, head, own, others)
        self._include_last(part)
        if not any(path == "/" for path, _ in by_path):
            self.root.text.raw("location = / {\nreturn 404;\n}")

    def _heads(
        self, match: Match, path: str, kind: str, exact: set[str], slashed: set[str]
    ) -> list[list[Arg]]:
        """The arguments of the locations for a path."""
        word: Part = match.path
        if kind == "Exact":
            return [["=", quoted(word)]]
        if kind == "RegularExpression":
            return [["~", in_quotes("^", word)]]
        if path.endswith("/") or has_placeholder(path):
            return [[quoted(word)]]
        heads: list[list[Arg]] = []
        if f"{path}/" not in slashed:
            heads.append([in_quotes("", word, "/")])
        if path not in exact:
            heads.append(["=", quoted(word)])
        return heads

    def _location(
        self, part: GatewayPart, head: list[Arg], match: Match, others: Sequence[Match]
    ) -> None:
        text, route, rule = part.text, match.route, match.rule
        text.open("location", *head, at=match.span)
        self._include_policies(part, route, ("ClientSettingsPolicy",))
        self._snippets(part, "http.server.location", self._filters(route, rule))
        self._include_policies(part, route, ("ProxySettingsPolicy", "RateLimitPolicy"))
        filters = {
            word.text: item
            for item in rule.items("filters")
            if isinstance(item, Mapping) and (word := item.word("type")) is not None
        }
        if "CORS" in filters:
            at = filters["CORS"].span
            text.open("if", "($request_method", "=", "OPTIONS)", at=at)
            text.line("return", "200", at=at)
            text.close(at)
        redirect = filters.get("RequestRedirect")
        if redirect is not None:
            self._redirect(part, match, redirect.mapping("requestRedirect"))
            text.close(match.span)
            return
        for number, other in enumerate(others):
            if other.route is route:
                self._other(part, other, number)
            else:
                beside = self._part(other.route)
                self._other(beside, other, number)
                self._include(part, beside)
        self._rewrite(part, match, filters.get("URLRewrite"))
        self._proxy(part, match, filters)
        text.close(match.span)

    def _redirect(self, part: GatewayPart, match: Match, redirect: Mapping | None) -> None:
        if redirect is None:
            part.text.line("return", "302", "$scheme://$host$request_uri", at=match.span)
            return
        scheme, host, code = (redirect.word(one) for one in ("scheme", "hostname", "statusCode"))
        words = [
            "$scheme" if scheme is None or scheme.text not in ("http", "https") else scheme.text,
            "$host"
            if host is None or not re.fullmatch(r"[\w.-]+", host.text) or has_placeholder(host.text)
            else host.text,
        ]
        known = code is not None and re.fullmatch(r"30[1-8]", code.text)
        status = code.text if code is not None and known else "302"
        part.text.line("return", status, f"{words[0]}://{words[1]}$request_uri", at=redirect.span)

    def _other(self, part: GatewayPart, other: Match, number: int) -> None:
        """Write the `if` blocks that pass requests with conditions to another backend."""
        backend = backend_of(other.rule)
        if backend is None or not other.conditions:
            return
        conditions = other.conditions
        if len(conditions) > 1:
            mark = f"$ngf_match_{number}"
            part.text.line("set", mark, '""')
            for at, one in enumerate(conditions):
                part.text.open("if", *_condition(one), at=other.span)
                part.text.line("set", mark, f'"${{{mark[1:]}}}{at}"', at=other.span)
                part.text.close(other.span)
            conditions = ((mark, "=", "".join(map(str, range(len(conditions))))),)
        part.text.open("if", *_condition(conditions[0]), at=other.span)
        self._pass(part, other, backend)
        part.text.close(other.span)

    def _rewrite(self, part: GatewayPart, match: Match, given: Mapping | None) -> None:
        path = None if given is None else given.mapping("urlRewrite", "path")
        if path is None:
            return
        full, prefix = path.word("replaceFullPath"), path.at("replacePrefixMatch")
        if full is not None:
            part.text.line("rewrite", "^", quoted(full), "break", at=path.span)
        elif isinstance(prefix, Scalar) and match.kind == "PathPrefix":
            own = match.text
            if has_placeholder(own + prefix.text) or "$" in prefix.text:
                return
            to = prefix.text or "/"
            head = re.sub(r"([\\^$.|?*+()\[\]{}])", r"\\\1", own)
            pattern = f"^{head}([^?]*)?"
            if to.endswith("/") and not own.endswith("/"):
                pattern = f"^{head}(?:/([^?]*))?"
            elif own.endswith("/") and not to.endswith("/"):
                to += "/"
            target = quoted((f"{to}$1?$args?", prefix.span))
            part.text.line("rewrite", in_quotes("", pattern), target, "break", at=path.span)

    def _proxy(self, part: GatewayPart, match: Match, filters: dict[str, Mapping]) -> None:
        text, route = part.text, match.route
        family = "grpc" if match.grpc else "proxy"
        text.line("proxy_http_version", "1.1")
        backend = backend_of(match.rule)
        if backend is None and "backendRefs" not in match.rule.entries:
            text.line("return", "500", at=match.span)
            return
        changed = filters.get("RequestHeaderModifier")
        given = None if changed is None else changed.mapping("requestHeaderModifier")
        names: set[str] = set()
        for key in ("add", "set"):
            for item in () if given is None else given.items(key):
                self._header(part, f"{family}_set_header", item, names, [])
        for item in () if given is None else given.items("remove"):
            if isinstance(item, Scalar) and item.text.lower() not in names:
                names.add(item.text.lower())
                text.line(f"{family}_set_header", quoted(item), '""', at=item.span)
        host = filters.get("URLRewrite")
        name = None if host is None else host.word("urlRewrite", "hostname")
        if "host" not in names:
            said = "$gw_api_compliant_host" if name is None else quoted(name)
            at = None if name is None else name.span
            text.line(f"{family}_set_header", "Host", said, at=at)
        rows = [line.split() for line in _HEADERS.strip().splitlines()]
        if match.grpc:
            rows.append(["Authority", "$gw_api_compliant_host"])
        else:
            alive = backend is None or self._keeps_alive(route, backend)
            rows.append(["Upgrade", "$http_upgrade"])
            rows.append(["Connection", "$connection_keepalive" if alive else "$connection_upgrade"])
        for row in rows:
            if row[0].lower() not in names:
                text.line(f"{family}_set_header", *row)
        self._pass(part, match, backend)
        answer = filters.get("ResponseHeaderModifier")
        changes = None if answer is None else answer.mapping("responseHeaderModifier")
        for key in ("add", "set"):
            for item in () if changes is None else changes.items(key):
                self._header(part, "add_header", item, set(), ["always"])

    def _header(
        self, part: GatewayPart, directive: str, item: object, names: set[str], more: list[str]
    ) -> None:
        if not isinstance(item, Mapping):
            return
        name, value = item.word("name"), item.at("value")
        if name is None or not isinstance(value, Scalar) or name.text.lower() in names:
            return
        if "$" in value.text or not HEADER_NAME.fullmatch(name.text):
            return
        names.add(name.text.lower())
        part.text.line(directive, quoted(name), in_quotes("", value), *more, at=item.span)

    def _pass(self, part: GatewayPart, match: Match, backend: Mapping | None) -> None:
        family = "grpc" if match.grpc else "proxy"
        scheme = "grpc" if match.grpc else "http"
        if backend is None:
            part.text.line(f"{family}_pass", f"{scheme}://127.0.0.1", at=match.span)
            return
        service = backend.word("name")
        wanted = self._service(match.route, backend)
        if self.plan.objects.service_policies(wanted, match.route, "BackendTLSPolicy"):
            scheme += "s"
        name = self._upstreams[self._backend_key(match.route, backend)]
        at = backend.span if service is None else service.span
        target: Arg = [(f"{scheme}://", Span(at.start, at.start)), (name, at)]
        part.text.line(f"{family}_pass", target, at=at)


def _priority(match: Match) -> tuple[bool, int]:
    """The rank of a match among others of its path: a method counts more than headers."""
    has_method = any(variable == "$request_method" for variable, _, _ in match.conditions)
    return has_method, len(match.conditions)


def _condition(one: tuple[str, str, str]) -> list[Arg]:
    variable, operator, value = one
    return [f"({variable}", operator, f'"{escaped(value)}")']


def fields_of(policy: ApiObject, kind: str) -> Iterator[tuple[Setting, MappingEntry]]:
    """The settings that a policy has, or may have in a template, each with its entry."""
    for row in gateway_fabric().policies[kind]:
        entry = _field(policy.spec, (row.field or "").split("."))
        if entry is not None and not (isinstance(entry.value, Scalar) and not entry.value.text):
            yield row, entry


def _field(holder: Mapping, path: Sequence[str]) -> MappingEntry | None:
    """The entry at a path of keys. If a template may set it, its value is the template."""
    entry = holder.entries.get(path[0])
    if entry is None:
        found = (one for key, one in holder.entries.items() if has_placeholder(key))
        template = next(found, None)
        return None if template is None else replace(template, value=template.key)
    if len(path) == 1 or (isinstance(entry.value, Scalar) and has_placeholder(entry.value.text)):
        return entry
    return _field(entry.value, path[1:]) if isinstance(entry.value, Mapping) else None
