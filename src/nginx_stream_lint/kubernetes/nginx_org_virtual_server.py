"""The nginx configuration that the NGINX Ingress Controller generates from a VirtualServer.

`annotations/nginx-org.yaml` has the fields that set one directive, this module all others.
Follows internal/configs/version2/nginx.virtualserver.tmpl of release 5.6.0.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from collections.abc import Mapping as MappingOf

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.conversion import Writer, is_true_at, service_address
from nginx_stream_lint.kubernetes.gateway_api import ApiObject
from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar, Span
from nginx_stream_lint.kubernetes.nginx_org import NginxOrgConverter
from nginx_stream_lint.kubernetes.nginx_org_policies import policies_of, write_policy, write_zone
from nginx_stream_lint.kubernetes.nginx_text import Arg, Part, escaped, in_quotes, quoted
from nginx_stream_lint.kubernetes.resources import VirtualServer
from nginx_stream_lint.kubernetes.virtual_server_routes import (
    action_of,
    routes_of,
    upstream_name,
    upstreams_of,
)


class VirtualServerConverter(NginxOrgConverter):
    """Converts a VirtualServer; `policies` are those that it may name, by their names."""

    policies: MappingOf[str, ApiObject] = {}

    def servers_part(self) -> None:
        """Write the upstreams, the zones of policies and the server."""
        assert isinstance(self.resource, VirtualServer)
        spec = self.resource.spec
        upstreams = upstreams_of(spec)
        for name, node in upstreams.items():
            self._upstream(name, node)
        self.snippet(spec.entries.get("http-snippets"))
        for policy in self.policies.values():
            self._include_policy(policy, write_zone)
        self._server(spec, upstreams)

    def _upstream(self, name: str, node: Mapping) -> None:
        text, word, port = self.text, node.word("name"), node.word("port")
        assert word is not None
        text.open("upstream", (_generated_name(name, node), word.span), at=node.span)
        text.raw("random two least_conn;")
        text.line("server", service_address(port), at=port.span if port is not None else node.span)
        self.rows("upstream", fields=node.entries)
        text.close(node.span)

    def _server(self, spec: Mapping, upstreams: MappingOf[str, Mapping]) -> None:
        text, host = self.text, spec.word("host")
        at = spec.entries["host"].span if host is not None else self.head
        text.open("server", at=at)
        text.raw("listen 80;")
        if spec.mapping("tls") is not None:
            http2 = " http2" if self.is_on("http2", any(map(_is_grpc, upstreams.values()))) else ""
            text.raw(f"listen 443 ssl{http2};")
            self.certificate()
        if host is not None:
            text.line("server_name", quoted(host), at=host.span)
        self.variables()
        self.rows("server")
        self._include_policies(spec)
        if is_true_at(spec, "tls", "redirect", "enable"):
            text.raw("if ($scheme = 'http') {\nreturn 301 https://$host$request_uri;\n}")
        self.snippet(spec.entries.get("server-snippets") or self.data.get("server-snippets"))
        seen: set[str] = set()
        for route in routes_of(spec):
            path = route.word("path")
            if path is None or route.word("route") is not None:
                continue
            if path.text not in seen or has_placeholder(path.text):
                seen.add(path.text)
                self._location(path, route, upstreams)
        text.close(at)

    def _include_policies(self, node: Mapping) -> None:
        """Include the settings of the policies of a VirtualServer or of one of its routes."""
        for policy in policies_of(node, self.policies):
            self._include_policy(policy, write_policy)

    def _include_policy(
        self, policy: ApiObject, write: Callable[[Writer, ApiObject], None]
    ) -> None:
        part = Writer(self.controller.name, policy.document, policy.place)
        write(part, policy)
        self.include(part)

    def _location(self, path: Scalar, route: Mapping, upstreams: MappingOf[str, Mapping]) -> None:
        text = self.text
        text.open("location", *_location_args(path), at=route.span)
        own = route.entries.get("location-snippets")
        self.snippet(own or self.data.get("location-snippets"))
        self._include_policies(route)
        action = action_of(route)
        name = upstream_name(action)
        upstream = upstreams.get(name.text) if name is not None else None
        if action is None:
            text.raw("return 502;")
        elif name is not None and upstream is not None:
            self._proxied(path, name, upstream, action)
        elif action.mapping("redirect") is not None:
            url = action.word("redirect", "url")
            target = _without_braces(url.text) if url is not None else "/"
            known = not re.search(r"\$(?!request_uri|host|scheme|uri|http_)", target)
            text.line("return", "301", quoted(target if known else "/"), at=action.span)
        elif action.mapping("return") is not None:
            text.line("return", "200", at=action.span)
        else:
            text.raw("return 502;")
        text.close(route.span)

    def _proxied(self, path: Scalar, name: Scalar, upstream: Mapping, action: Mapping) -> None:
        text = self.text
        grpc = _is_grpc(upstream)
        family = "grpc" if grpc else "proxy"
        self.rows("location", fields=upstream.entries, grpc=grpc)
        if not grpc:
            self._buffers(upstream)
            text.raw("proxy_http_version 1.1;")
            keepalive = upstream.word("keepalive") is not None or "keepalive" in self.data
            text.line("set", "$default_connection_header", '""' if keepalive else "close")
            text.line("proxy_set_header", "Upgrade", "$http_upgrade")
            text.line("proxy_set_header", "Connection", "$vs_connection_header")
        self._request_headers(action.mappings("proxy", "requestHeaders", "set"), family)
        self._response_headers(action, family)
        secure = "s" if is_true_at(upstream, "tls", "enable") else ""
        scheme = ("grpc" if grpc else "http") + secure
        target: list[Part] = [
            (f"{scheme}://", Span(name.start, name.start)),
            (_generated_name(name.text, upstream), name.span),
        ]
        rewrite = action.word("proxy", "rewritePath")
        if rewrite is not None and path.text.startswith("~") and not has_placeholder(path.text):
            pattern = re.sub(r"^~[*]?[ ]*[\^]?", "", path.text)
            text.line("rewrite", in_quotes("^", pattern), quoted(rewrite), "break", at=rewrite.span)
        elif rewrite is not None and re.fullmatch(r"/[^\s;{}$]*", rewrite.text) and not grpc:
            target.append(rewrite)
        text.line(f"{family}_pass", target, at=name.span)

    def _buffers(self, upstream: Mapping) -> None:
        number, size = upstream.word("buffers", "number"), upstream.word("buffers", "size")
        if number is not None and size is not None and not has_placeholder(number.text + size.text):
            at = upstream.entries["buffers"].span
            self.text.line("proxy_buffers", number, size, at=at)

    def _request_headers(self, given: list[Mapping], family: str) -> None:
        """Write the headers for the app: those `given`, and those that the controller adds."""
        directive = f"{family}_set_header"
        words = (one.word("name") for one in given)
        names = {word.text.lower() for word in words if word is not None}
        for name, value in (("X-Real-IP", "$remote_addr"), ("Host", "$host")):
            if name.lower() not in names:
                self.text.line(directive, name, value)
        self.forwarded_headers(directive)
        for one in given:
            if not is_true_at(one, "always"):
                self._header(directive, one)

    def _response_headers(self, action: Mapping, family: str) -> None:
        for key, directive in (("hide", "hide_header"), ("pass", "pass_header")):
            for name in action.words("proxy", "responseHeaders", key):
                self.text.line(f"{family}_{directive}", name, at=name.span)
        ignored = action.words("proxy", "responseHeaders", "ignore")
        if ignored:
            at = Span(ignored[0].start, ignored[-1].end)
            self.text.line(f"{family}_ignore_headers", *ignored, at=at)
        for one in action.mappings("proxy", "responseHeaders", "add"):
            self._header("add_header", one, *(["always"] if is_true_at(one, "always") else ()))

    def _header(self, directive: str, node: Mapping, *more: str) -> None:
        name, value = node.word("name"), node.at("value")
        if name is not None and isinstance(value, Scalar):
            said = f'"{escaped(_without_braces(value.text))}"'
            self.text.line(directive, quoted(name), said, *more, at=node.span)


def _is_grpc(upstream: Mapping) -> bool:
    kind = upstream.word("type")
    return kind is not None and kind.text == "grpc"


def _without_braces(text: str) -> str:
    """A text with `$name` for each `${name}`."""
    return re.sub(r"\$\{(\w+)\}", r"$\1", text)


def _generated_name(name: str, upstream: Mapping) -> str:
    """The user's name for an upstream and its service's name, which is better evidence."""
    service = upstream.word("service")
    both = name if service is None or service.text == name else f"{name}-{service.text}"
    return re.sub(r"[\s;{}\"'#$/:]", "-", both)


def _location_args(path: Scalar) -> list[Arg]:
    """Convert `/x`, `=/x`, `~ ^/x`, `~* ^/x` to the arguments of a location."""
    found = re.match(r"(=|~\*|~)\s*", path.text)
    if found is None:
        return [quoted(path)]
    rest = path.text[found.end() :]
    start = path.start + found.end() if path.is_exact else path.start
    word = Scalar(rest, start, path.end, "", path.is_exact, True)
    modifier = (found[1], Span(path.start, path.start))
    return [modifier, quoted(word) if found[1] == "=" else in_quotes("", word)]
