"""The nginx configuration that the NGINX Ingress Controller generates.

`annotations/nginx-org.yaml` has the annotations that set one directive, this module all others.
Follows internal/configs/version1/nginx.ingress.tmpl and version2/nginx.virtualserver.tmpl of
release 5.6.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from collections.abc import Mapping as MappingOf
from types import MappingProxyType

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.controllers import is_true
from nginx_stream_lint.kubernetes.conversion import (
    CERTIFICATE,
    KEY,
    Converter,
    Writer,
    backend_key,
    service_address,
    split_list,
    word_of,
)
from nginx_stream_lint.kubernetes.gateway_api import ApiObject
from nginx_stream_lint.kubernetes.manifest import (
    Mapping,
    MappingEntry,
    Node,
    Scalar,
    Span,
)
from nginx_stream_lint.kubernetes.nginx_org_policies import policies_of, write_policy, write_zone
from nginx_stream_lint.kubernetes.nginx_text import Arg, Part, escaped, in_quotes, quoted
from nginx_stream_lint.kubernetes.resources import (
    Host,
    Ingress,
    IngressPath,
    VirtualServer,
    host_name,
)

_HTTP = """
sendfile on;
map $http_upgrade $connection_upgrade {
default upgrade;
'' close;
}
map $http_upgrade $default_connection_header {
default "";
}
map $http_upgrade $vs_connection_header {
default upgrade;
'' $default_connection_header;
}
"""
# Of names and namespaces, which snippets may use.
_VARIABLES = """
set $resource_type "ingress";
set $resource_name "";
set $resource_namespace "";
set $service "-";
"""
_FORWARDED = """
X-Forwarded-For $proxy_add_x_forwarded_for
X-Forwarded-Host $host
X-Forwarded-Port $server_port
X-Forwarded-Proto $scheme
"""
# The annotations that minions inherit from their master; see internal/configs/annotations.go.
_INHERITED = frozenset(
    {
        *("proxy-connect-timeout", "proxy-read-timeout", "proxy-send-timeout"),
        *("client-max-body-size", "proxy-buffering", "proxy-buffers", "proxy-buffer-size"),
        *("proxy-busy-buffers-size", "proxy-max-temp-file-size", "location-snippets", "lb-method"),
        *("keepalive", "max-fails", "max-conns", "fail-timeout", "limit-req-rate", "limit-req-key"),
        *("limit-req-zone-size", "limit-req-delay", "limit-req-no-delay", "limit-req-burst"),
        *("limit-req-dry-run", "limit-req-log-level", "limit-req-reject-code"),
    }
)
_REGEX = {"case_sensitive": "~", "case_insensitive": "~*", "exact": "="}
_METHODS = {
    "round_robin": "",
    "least_conn": "least_conn",
    "ip_hash": "ip_hash",
    "random": "random",
    "random two": "random two",
    "random two least_conn": "random two least_conn",
}


class NginxOrgConverter(Converter):
    """Converts one resource as the NGINX Ingress Controller does.

    `policies` are those that a VirtualServer may name, by their names.
    """

    policies: MappingOf[str, ApiObject] = MappingProxyType({})

    def make(self) -> None:
        """Write the whole configuration."""
        text, span = self.text, self.resource.span
        self.rows("main")
        self.snippet(self.data.get("main-snippets"))
        text.open("events")
        self.rows("events")
        text.close()
        text.open("http", at=span)
        self.comments(span)
        text.raw("default_type application/octet-stream;")
        text.raw(_HTTP)
        self.rows("http")
        self.snippet(self.data.get("http-snippets"))
        if isinstance(self.resource, Ingress):
            self._ingress()
        elif isinstance(self.resource, VirtualServer):
            self._virtual_server(self.resource.spec)
        text.close(span)

    def inherit(self, master: Converter) -> None:
        """Copy the annotations that a minion inherits from its master.

        In another file they have no place, like what the controller writes itself.
        """
        here = master.document.source is self.document.source
        nowhere = Span(self.place, self.place)
        self.origins = {**self.origins, **master.origins}
        for name in _INHERITED & master.annotations.keys() - self.annotations.keys():
            entry = master.annotations[name]
            word = entry.value
            if not here and isinstance(word, Scalar):
                word = Scalar(word.text, *nowhere, "", False, True)
                entry = MappingEntry(entry.key, word, nowhere)
            self.annotations[name] = entry

    # Ingress

    def _ingress(self) -> None:
        seen: set[str] = set()
        self._http_part(seen)
        self.others(lambda one: _of(one)._http_part(seen), self.followers)
        for same in self.servers():
            self._server(same)

    @property
    def _is_master(self) -> bool:
        """Whether it only has the server of other Ingresses, its minions."""
        return self.value("mergeable-ingress-type") == "master"

    def _http_part(self, seen: set[str]) -> None:
        """Write what is outside of servers; upstreams that were not `seen` before."""
        every = [] if self._is_master else self.paths(self.hosts)
        self.names = self.upstream_names(every)
        for path in every:
            name = self.names[backend_key(path)]
            if name not in seen:
                seen.add(name)
                self._upstream(name, path.service, path.port)
        self.zone = self._limit_zone()

    def _upstream(self, name: str, service: Scalar | None, port: Scalar | None) -> None:
        text = self.text
        at = service.span if service is not None else None
        text.open("upstream", (name, at) if at is not None else name, at=at)
        method = self.entry("lb-method")
        if method is None:
            text.raw("random two least_conn;")
        else:
            said = _METHODS.get(self.value("lb-method"))
            if said is None and self.value("lb-method").startswith("hash "):
                said = self.value("lb-method")
            if said:
                text.line(*said.split(), at=method.span)
        options: list[Arg] = []
        for annotation, default, pattern in (
            ("max-fails", "1", r"[0-9]+"),
            ("fail-timeout", "10s", r"[0-9]+[a-z]*"),
            ("max-conns", "0", r"[0-9]+"),
        ):
            value = self.value(annotation)
            option = value if re.fullmatch(pattern, value) else default
            options.append(f"{annotation.replace('-', '_')}={option}")
        text.line(
            "server", service_address(port), *options, at=port.span if port is not None else at
        )
        self.rows("upstream")
        text.close(at)

    def _server(self, hosts: list[Host]) -> None:
        text, ingress, host = self.text, self.ingress, hosts[0]
        span = Span(min(one.span.start for one in hosts), max(one.span.end for one in hosts))
        text.open("server", at=span)
        for port in self._ports("listen-ports", "80"):
            text.line("listen", *port[0], at=port[1])
        if ingress.tls:
            http2 = ["http2"] if self._http2 else []
            for words, at in self._ports("listen-ports-ssl", "443"):
                text.line("listen", *words, "ssl", *http2, at=at)
            text.line("ssl_certificate", CERTIFICATE)
            text.line("ssl_certificate_key", KEY)
        name = quoted(host.name) if host.name is not None else '""'
        text.line("server_name", name, at=host.name.span if host.name is not None else None)
        text.raw(_VARIABLES)
        self.rows("server")
        self._add_headers()
        self._hsts()
        self._redirects()
        self._basic_auth()
        self.snippet(self.entry("server-snippets") or self.data.get("server-snippets"))
        root = self.entry("app-root")
        if root is not None:
            word = word_of(root)
            text.open("if", "($uri", "=", "/)", at=root.span)
            before = ("$scheme://$http_host", Span(word.start, word.start))
            text.line("return", "302", [before, word], at=root.span)
            text.close(root.span)
        codes = self.entry("custom-http-errors")
        if codes is not None:
            text.line("proxy_intercept_errors", "on", at=codes.span)
        seen: set[str] = set()
        if not self._is_master:
            self._locations(hosts, seen)
        for other in self.followers:
            own = _of(other).by_host.get(host_name(hosts), [])

            def write(one: Converter, own: list[Host] = own) -> None:
                _of(one)._locations(own, seen)

            self.others(write, [other])
        text.close(span)

    def _locations(self, hosts: list[Host], seen: set[str]) -> None:
        for path in self.paths(hosts):
            self._location(path, seen)

    @property
    def _http2(self) -> bool:
        """Whether clients may use HTTP/2: set in the ConfigMap, or required by gRPC."""
        return self.is_on("http2", self.entry("grpc-services") is not None)

    def _ports(self, name: str, default: str) -> list[tuple[list[Arg], Span | None]]:
        found: list[tuple[list[Arg], Span | None]] = [
            ([one], one.span) for one in self.listed(name) if re.fullmatch(r"[0-9]+", one.text)
        ]
        return found or [([default], None)]

    def _redirects(self) -> None:
        code = self.value("http-redirect-code")
        known = code if re.fullmatch(r"30[1278]", code) else "301"
        if self.ingress.tls and self.is_on("ssl-redirect", True):
            entry = self.entry("ssl-redirect")
            at = entry.span if entry is not None else None
            self.text.open("if", "($scheme", "=", "http)", at=at)
            self.text.line("return", known, "https://$host:443$request_uri", at=at)
            self.text.close(at)
        if self.is_on("redirect-to-https"):
            entry = self.entry("redirect-to-https")
            at = entry.span if entry is not None else None
            self.text.open("if", "($http_x_forwarded_proto", "=", "'http')", at=at)
            self.text.line("return", known, "https://$host$request_uri", at=at)
            self.text.close(at)

    def _hsts(self) -> None:
        entry = self.entry("hsts")
        behind = self.is_on("hsts-behind-proxy")
        if entry is None or not self.is_on("hsts") or not (self.ingress.tls or behind):
            return
        age = self.value("hsts-max-age")
        number = age if re.fullmatch(r"[0-9]+", age) else "2592000"
        more = "includeSubDomains; " if self.is_on("hsts-include-subdomains") else ""
        self.text.line("set", "$hsts_header_val", '""', at=entry.span)
        self.text.line("proxy_hide_header", "Strict-Transport-Security", at=entry.span)
        condition = ("($http_x_forwarded_proto", "'https')") if behind else ("($https", "on)")
        self.text.open("if", condition[0], "=", condition[1], at=entry.span)
        value = f'"max-age={number}; {more}preload"'
        self.text.line("set", "$hsts_header_val", value, at=entry.span)
        self.text.close(entry.span)
        self.text.line(
            "add_header", "Strict-Transport-Security", '"$hsts_header_val"', "always", at=entry.span
        )

    def _add_headers(self) -> None:
        entry = self.entry("add-header") or self.data.get("add-header")
        if entry is None or not isinstance(entry.value, Scalar):
            return
        for item in split_list(entry.value, ","):
            name, _, rest = item.text.partition(":")
            value, _, always = rest.strip().partition(":")
            if name.strip() and "$" not in value:
                words = ["always"] if always.strip() == "always" else []
                header, said = quoted(name.strip()), f'"{value.strip()}"'
                self.text.line("add_header", header, said, *words, at=item.span)

    def _basic_auth(self) -> None:
        secret = self.entry("basic-auth-secret")
        if secret is not None:
            realm = self.entry("basic-auth-realm")
            said = quoted(word_of(realm)) if realm is not None else '""'
            self.text.line("auth_basic", said, at=(realm or secret).span)
            self.text.line("auth_basic_user_file", "/etc/nginx/secrets/htpasswd", at=secret.span)

    def _limit_zone(self) -> str:
        entry = self.entry("limit-req-rate")
        if entry is None or not re.fullmatch(r"[1-9][0-9]*r/[sm]", self.value("limit-req-rate")):
            return ""
        key = self.value("limit-req-key") or "${binary_remote_addr}"
        size = self.value("limit-req-zone-size")
        known = size if re.fullmatch(r"[0-9]+[kKmM]?", size) else "10m"
        rate = f"rate={self.value('limit-req-rate')}"
        zone = f"ingress{self.zone_suffix}"
        self.text.line("limit_req_zone", quoted(key), f"zone={zone}:{known}", rate, at=entry.span)
        return zone

    def _limits(self, zone: str) -> None:
        entry = self.entry("limit-req-rate")
        if not zone or entry is None:
            return
        words = [f"zone={zone}"]
        burst, delay = self.value("limit-req-burst"), self.value("limit-req-delay")
        if re.fullmatch(r"[1-9][0-9]*", burst):
            words.append(f"burst={burst}")
        if self.is_on("limit-req-no-delay"):
            words.append("nodelay")
        elif re.fullmatch(r"[1-9][0-9]*", delay):
            words.append(f"delay={delay}")
        self.text.line("limit_req", *words, at=entry.span)
        dry = self.entry("limit-req-dry-run")
        if dry is not None and self.is_on("limit-req-dry-run"):
            self.text.line("limit_req_dry_run", "on", at=dry.span)
        level = self.entry("limit-req-log-level")
        if level is not None and word_of(level).text in ("info", "notice", "warn", "error"):
            self.text.line("limit_req_log_level", word_of(level), at=level.span)
        code = self.entry("limit-req-reject-code")
        if code is not None and re.fullmatch(r"[45][0-9][0-9]", word_of(code).text):
            self.text.line("limit_req_status", word_of(code), at=code.span)

    def _location(self, path: IngressPath, seen: set[str]) -> None:
        text = self.text
        regex = _REGEX.get(self.value("path-regex"), "")
        own: Part = path.path if path.path is not None else "/"
        plain = own if isinstance(own, str) else path.path.text if path.path is not None else "/"
        exact = path.type == "Exact"
        key = f"{regex or exact}{plain}"
        if key in seen and not has_placeholder(key):
            return
        seen.add(key)
        head: list[Arg]
        if regex:
            caret = "" if regex == "=" else "^"
            head = [regex, in_quotes(caret, own)]
        else:
            head = ["=", quoted(own)] if exact else [quoted(own)]
        text.open("location", *head, at=path.span)
        service = path.service.text if path.service is not None else "backend"
        target = self.entry("rewrite-target")
        if target is not None:
            case = {"~": "^", "~*": "(?i)^", "=": "^"}.get(regex, "")
            end = "$" if regex == "=" else ""
            text.line(
                "rewrite",
                in_quotes(case, own, end),
                quoted(word_of(target)),
                "break",
                at=target.span,
            )
        grpc = self._has("grpc-services", service) and self._http2
        if grpc:
            self._snippets()
            self.rows("location", grpc=True)
            text.line("grpc_set_header", "Host", "$host")
            text.line("grpc_set_header", "X-Real-IP", "$remote_addr")
            self._headers("grpc_set_header")
        else:
            self._proxied(service)
        self._pass(path, service, grpc)
        source, to = self.entry("proxy-redirect-from"), self.entry("proxy-redirect-to")
        if source is not None and self.value("proxy-redirect-from") in ("off", "default"):
            text.line("proxy_redirect", self.value("proxy-redirect-from"), at=source.span)
        elif source is not None and to is not None:
            first, second = quoted(word_of(source)), quoted(word_of(to))
            text.line("proxy_redirect", first, second, at=source.span)
        self._limits(self.zone)
        text.close(path.span)

    def _proxied(self, service: str) -> None:
        text = self.text
        text.line("proxy_http_version", "1.1")
        websocket = self.entry("websocket-services")
        if websocket is not None and self._has("websocket-services", service):
            # The annotation declares a WebSocket, which is evidence for the location.
            text.line("proxy_set_header", "Upgrade", "$http_upgrade", at=websocket.span)
            text.line("proxy_set_header", "Connection", "$connection_upgrade", at=websocket.span)
        elif self.entry("keepalive") is not None or "keepalive" in self.data:
            text.line("proxy_set_header", "Connection", '""')
        self._snippets()
        self.rows("location")
        for item in self.listed("proxy-set-headers"):
            name, _, value = item.text.partition(":")
            variable = "$http_" + name.strip().lower().replace("-", "_")
            said = f'"{value.strip()}"' if value.strip() else variable
            text.line("proxy_set_header", quoted(name.strip()), said, at=item.span)
        text.line("proxy_set_header", "Host", "$host")
        text.line("proxy_set_header", "X-Real-IP", "$remote_addr")
        self._headers("proxy_set_header")

    def _snippets(self) -> None:
        """Write location snippets: the annotation's, otherwise those of the ConfigMap."""
        self.snippet(self.entry("location-snippets") or self.data.get("location-snippets"))

    def _headers(self, directive: str) -> None:
        if not self.is_on("disable-forwarded-headers"):
            for row in _FORWARDED.strip().splitlines():
                self.text.line(directive, *row.split())

    def _has(self, name: str, service: str) -> bool:
        return any(one.text == service for one in self.listed(name))

    def _pass(self, path: IngressPath, service: str, grpc: bool) -> None:
        secure = self._has("ssl-services", service)
        scheme = ("grpcs" if secure else "grpc") if grpc else ("https" if secure else "http")
        directive = "grpc_pass" if grpc else "proxy_pass"
        name = self.names[backend_key(path)]
        rewrite = "" if self.entry("rewrite-target") or grpc else self._rewrite(service)
        if path.service is None:
            self.text.line(directive, f"{scheme}://{name}{rewrite}", at=path.span)
            return
        at = path.service.span
        before, after = Span(at.start, at.start), Span(at.end, at.end)
        target: Arg = [(f"{scheme}://", before), (name, at), (rewrite, after)]
        self.text.line(directive, target, at=at)

    def _rewrite(self, service: str) -> str:
        """`serviceName=tea-svc rewrite=/;…` for a service."""
        for item in self.listed("rewrites", ";"):
            found = re.fullmatch(r"serviceName=(\S+)\s+rewrite=(/\S*)", item.text)
            if found and found[1] == service and not self.value("path-regex").startswith("case"):
                return found[2]
        return ""

    # VirtualServer

    def _virtual_server(self, spec: Mapping) -> None:
        text = self.text
        upstreams: dict[str, Mapping] = {}
        for node in spec.items("upstreams"):
            name = node.word("name") if isinstance(node, Mapping) else None
            if name is not None and isinstance(node, Mapping) and name.text not in upstreams:
                upstreams[name.text] = node
                self._virtual_upstream(name, node)
        self.snippet(spec.entries.get("http-snippets"))
        for policy in self.policies.values():
            part = self._policy_part(policy)
            write_zone(part, policy)
            self.include(part)
        host = spec.word("host")
        at = spec.entries["host"].span if host is not None else self.head
        text.open("server", at=at)
        text.raw("listen 80;")
        if spec.mapping("tls") is not None:
            kinds = [node.word("type") for node in upstreams.values()]
            speaks_grpc = any(kind is not None and kind.text == "grpc" for kind in kinds)
            http2 = " http2" if self.is_on("http2", speaks_grpc) else ""
            text.raw(f"listen 443 ssl{http2};")
            text.line("ssl_certificate", CERTIFICATE)
            text.line("ssl_certificate_key", KEY)
        if host is not None:
            text.line("server_name", quoted(host), at=host.span)
        text.raw(_VARIABLES)
        self.rows("server")
        self._policies(spec)
        redirect = spec.mapping("tls", "redirect")
        enabled = redirect.word("enable") if redirect is not None else None
        if enabled is not None and is_true(enabled.text):
            text.raw("if ($scheme = 'http') {\nreturn 301 https://$host$request_uri;\n}")
        self.snippet(spec.entries.get("server-snippets") or self.data.get("server-snippets"))
        seen: set[str] = set()
        for node in (*spec.items("routes"), *spec.items("subroutes")):
            if isinstance(node, Mapping):
                self._route(node, upstreams, seen)
        text.close(at)

    def _policy_part(self, policy: ApiObject) -> Writer:
        return Writer(self.controller.name, policy.document, policy.place)

    def _policies(self, node: Mapping) -> None:
        """Include the settings of the policies of a VirtualServer or of one of its routes."""
        for policy in policies_of(node, self.policies):
            part = self._policy_part(policy)
            write_policy(part, policy)
            self.include(part)

    def _virtual_upstream(self, name: Scalar, node: Mapping) -> None:
        text = self.text
        text.open("upstream", (_upstream_name(name, node), name.span), at=node.span)
        text.raw("random two least_conn;")
        port = node.word("port")
        text.line("server", service_address(port), at=port.span if port is not None else node.span)
        self.rows("upstream", fields=node.entries)
        text.close(node.span)

    def _route(self, node: Mapping, upstreams: MappingOf[str, Mapping], seen: set[str]) -> None:
        path = node.word("path")
        if path is None or node.word("route") is not None:
            return
        if path.text in seen and not has_placeholder(path.text):
            return
        seen.add(path.text)
        text = self.text
        text.open("location", *_virtual_path(path), at=node.span)
        own = node.entries.get("location-snippets")
        self.snippet(own or self.data.get("location-snippets"))
        self._policies(node)
        action, name = _action(node)
        upstream = upstreams.get(name.text) if name is not None else None
        if name is not None and upstream is not None:
            self._to_upstream(path, name, upstream, action)
        elif action is not None and action.mapping("redirect") is not None:
            url = action.word("redirect", "url")
            target = _without_braces(url.text) if url is not None else "/"
            known = not re.search(r"\$(?!request_uri|host|scheme|uri|http_)", target)
            said = quoted(target if known else "/")
            text.line("return", "301", said, at=action.span)
        elif action is not None and action.mapping("return") is not None:
            text.line("return", "200", at=action.span)
        else:
            text.raw("return 502;")
        text.close(node.span)

    def _to_upstream(
        self, path: Scalar, name: Scalar, upstream: Mapping, action: Mapping | None
    ) -> None:
        text = self.text
        kind = upstream.word("type")
        grpc = kind is not None and kind.text == "grpc"
        family = "grpc" if grpc else "proxy"
        enable = upstream.word("tls", "enable")
        secure = enable is not None and is_true(enable.text)
        rewrite = action.word("proxy", "rewritePath") if action is not None else None
        self.rows("location", fields=upstream.entries, grpc=grpc)
        if not grpc:
            self._virtual_buffers(upstream)
            text.raw("proxy_http_version 1.1;")
            keepalive = upstream.word("keepalive") is not None or "keepalive" in self.data
            value = '""' if keepalive else "close"
            text.line("set", "$default_connection_header", value)
            text.line("proxy_set_header", "Upgrade", "$http_upgrade")
            text.line("proxy_set_header", "Connection", "$vs_connection_header")
        headers = action.items("proxy", "requestHeaders", "set") if action is not None else ()
        names = {one.text.lower() for one in _names(headers)}
        if "x-real-ip" not in names:
            text.line(f"{family}_set_header", "X-Real-IP", "$remote_addr")
        if "host" not in names:
            text.line(f"{family}_set_header", "Host", "$host")
        self._headers(f"{family}_set_header")
        self._named_values(headers, f"{family}_set_header")
        if action is not None:
            self._response_headers(action, family)
        scheme = {"proxy": "http", "grpc": "grpc"}[family] + ("s" if secure else "")
        before = Span(name.start, name.start)
        target: list[Part] = [(f"{scheme}://", before), (_upstream_name(name, upstream), name.span)]
        if rewrite is not None and path.text.startswith("~") and not has_placeholder(path.text):
            pattern = re.sub(r"^~[*]?[ ]*[\^]?", "", path.text)
            text.line("rewrite", in_quotes("^", pattern), quoted(rewrite), "break", at=rewrite.span)
        elif rewrite is not None and re.fullmatch(r"/[^\s;{}$]*", rewrite.text) and not grpc:
            target.append(rewrite)
        text.line(f"{family}_pass", target, at=name.span)

    def _virtual_buffers(self, upstream: Mapping) -> None:
        number, size = upstream.word("buffers", "number"), upstream.word("buffers", "size")
        if number is not None and size is not None and not has_placeholder(number.text + size.text):
            at = upstream.entries["buffers"].span
            self.text.line("proxy_buffers", number, size, at=at)

    def _named_values(self, nodes: tuple[Node, ...], directive: str) -> None:
        for node in nodes:
            if not isinstance(node, Mapping):
                continue
            name, value = node.word("name"), node.at("value")
            if name is not None and isinstance(value, Scalar):
                said = _without_braces(value.text)
                always = node.word("always")
                words = ["always"] if always is not None and is_true(always.text) else []
                if directive == "add_header" or not words:
                    self.text.line(
                        directive, quoted(name), f'"{escaped(said)}"', *words, at=node.span
                    )

    def _response_headers(self, action: Mapping, family: str) -> None:
        for key, directive in (("hide", "hide_header"), ("pass", "pass_header")):
            for node in action.items("proxy", "responseHeaders", key):
                if isinstance(node, Scalar):
                    self.text.line(f"{family}_{directive}", node, at=node.span)
        ignored = [
            node
            for node in action.items("proxy", "responseHeaders", "ignore")
            if isinstance(node, Scalar)
        ]
        if ignored:
            at = Span(ignored[0].start, ignored[-1].end)
            self.text.line(f"{family}_ignore_headers", *ignored, at=at)
        self._named_values(action.items("proxy", "responseHeaders", "add"), "add_header")


def _without_braces(text: str) -> str:
    """A text with `$name` for each `${name}`."""
    return re.sub(r"\$\{(\w+)\}", r"$\1", text)


def _of(one: Converter) -> NginxOrgConverter:
    assert isinstance(one, NginxOrgConverter)
    return one


def _names(nodes: tuple[Node, ...]) -> list[Scalar]:
    names = (node.word("name") for node in nodes if isinstance(node, Mapping))
    return [name for name in names if name is not None]


def _upstream_name(name: Scalar, node: Mapping) -> str:
    """The user's name for an upstream and its service's name, which is better evidence."""
    service = node.word("service")
    both = name.text
    if service is not None and service.text != name.text:
        both += f"-{service.text}"
    return re.sub(r"[\s;{}\"'#$/:]", "-", both)


def _action(node: Mapping) -> tuple[Mapping | None, Scalar | None]:
    """A route's action, or that of its first split or after its matches; and its upstream."""
    action = node.mapping("action")
    if action is None:
        for split_ in node.items("splits"):
            if action is None and isinstance(split_, Mapping):
                action = split_.mapping("action")
    if action is None:
        return None, None
    return action, action.word("pass") or action.word("proxy", "upstream")


def _virtual_path(path: Scalar) -> list[Arg]:
    """Convert `/x`, `=/x`, `~ ^/x`, `~* ^/x` to the arguments of a location."""
    found = re.match(r"(=|~\*|~)\s*", path.text)
    if found is None:
        return [quoted(path)]
    rest = path.text[found.end() :]
    start = path.start + found.end() if path.is_exact else path.start
    word = Scalar(rest, start, path.end, "", path.is_exact, True)
    modifier = (found[1], Span(path.start, path.start))
    return [modifier, quoted(word) if found[1] == "=" else in_quotes("", word)]


def upstreams_of(resource: VirtualServer) -> dict[int, Mapping]:
    """The upstreams that the routes pass to, by the offsets of the routes."""
    by_name = _upstreams(resource)
    found: dict[int, Mapping] = {}
    for route in _routes(resource):
        _, name = _action(route)
        if name is not None and name.text in by_name:
            found.setdefault(route.span.start, by_name[name.text])
    return found


def paths_by_upstream(resource: VirtualServer) -> dict[int, dict[str, None]]:
    """The paths of the routes that may pass to each upstream, by the upstream's offset.

    A route may split its requests (`splits`), or distribute them by condition (`matches`).
    """
    by_name = _upstreams(resource)
    found: dict[int, dict[str, None]] = {}
    for route in _routes(resource):
        path = route.word("path")
        for name in _passed_to(route) if path is not None else ():
            upstream = by_name.get(name)
            if upstream is not None and path is not None:
                found.setdefault(upstream.span.start, {})[path.text] = None
    return found


def paths_of_routes(resource: VirtualServer) -> dict[int, str]:
    """The paths of the routes, by the offsets of the routes."""
    paths = ((route.span.start, route.word("path")) for route in _routes(resource))
    return {start: path.text for start, path in paths if path is not None}


def _routes(resource: VirtualServer) -> Iterator[Mapping]:
    for route in (*resource.spec.items("routes"), *resource.spec.items("subroutes")):
        if isinstance(route, Mapping):
            yield route


def _upstreams(resource: VirtualServer) -> dict[str, Mapping]:
    """The upstreams by name; the first one of each name."""
    found: dict[str, Mapping] = {}
    for node in resource.spec.items("upstreams"):
        name = node.word("name") if isinstance(node, Mapping) else None
        if name is not None and isinstance(node, Mapping):
            found.setdefault(name.text, node)
    return found


def _passed_to(route: Mapping) -> Iterator[str]:
    """The names of all upstreams that a route may pass to."""
    holders = [route]
    for key in ("splits", "matches"):
        for one in route.items(key):
            if isinstance(one, Mapping):
                holders.append(one)
                holders += [each for each in one.items("splits") if isinstance(each, Mapping)]
    for holder in holders:
        action = holder.mapping("action")
        name = None if action is None else action.word("pass") or action.word("proxy", "upstream")
        if name is not None:
            yield name.text
