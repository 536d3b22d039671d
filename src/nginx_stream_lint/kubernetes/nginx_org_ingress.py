"""The nginx configuration that the NGINX Ingress Controller generates from an Ingress.

`annotations/nginx-org.yaml` has the annotations that set one directive, this module all others.
Follows internal/configs/version1/nginx.ingress.tmpl of release 5.6.0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.conversion import (
    Converter,
    backend_key,
    service_address,
    split_list,
    word_of,
)
from nginx_stream_lint.kubernetes.manifest import MappingEntry, Scalar, Span
from nginx_stream_lint.kubernetes.nginx_org import NginxOrgConverter
from nginx_stream_lint.kubernetes.nginx_text import Arg, in_quotes, quoted
from nginx_stream_lint.kubernetes.resources import Host, IngressPath, host_name

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
_METHODS = ("least_conn", "ip_hash", "random", "random two", "random two least_conn")
_REGEX = {"case_sensitive": "~", "case_insensitive": "~*", "exact": "="}
_COUNT = r"[1-9][0-9]*"


class NginxOrgIngressConverter(NginxOrgConverter):
    """Converts an Ingress, or a master and its minions (`followers`)."""

    followers: Sequence[NginxOrgIngressConverter] = ()

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

    def servers_part(self) -> None:
        """Write the upstreams, the zone of a limit, and a server for each host."""
        seen: set[str] = set()
        self._before_servers(seen)
        for minion in self.followers:
            minion._before_servers(seen)
            self.include(minion)
        for same in self.servers():
            self._server(same)

    @property
    def _is_master(self) -> bool:
        """Whether it only has the server of other Ingresses, its minions."""
        return self.value("mergeable-ingress-type") == "master"

    def _before_servers(self, seen: set[str]) -> None:
        """Write what is outside of servers; upstreams that were not `seen` before."""
        every = [] if self._is_master else self.paths(self.hosts)
        self.names = self.upstream_names(every)
        for path in every:
            name = self.names[backend_key(path)]
            if name not in seen:
                seen.add(name)
                self._upstream(name, path)
        self._limit_zone()

    def _upstream(self, name: str, path: IngressPath) -> None:
        text, service, port = self.text, path.service, path.port
        at = service.span if service is not None else None
        text.open("upstream", (name, at) if at is not None else name, at=at)
        method, given = self.entry("lb-method"), self.value("lb-method")
        if method is None:
            text.raw("random two least_conn;")
        elif given in _METHODS or given.startswith("hash "):
            text.line(*given.split(), at=method.span)
        options = (
            f"max_fails={self.matching('max-fails', r'[0-9]+', '1')}",
            f"fail_timeout={self.matching('fail-timeout', r'[0-9]+[a-z]*', '10s')}",
            f"max_conns={self.matching('max-conns', r'[0-9]+', '0')}",
        )
        place = port.span if port is not None else at
        text.line("server", service_address(port), *options, at=place)
        self.rows("upstream")
        text.close(at)

    # The server

    def _server(self, hosts: list[Host]) -> None:
        text, name = self.text, hosts[0].name
        span = Span(min(one.span.start for one in hosts), max(one.span.end for one in hosts))
        text.open("server", at=span)
        self._listen("listen-ports", "80")
        if self.ingress.tls:
            self._listen("listen-ports-ssl", "443", "ssl", *(["http2"] if self._http2 else ()))
            self.certificate()
        if name is not None:
            text.line("server_name", quoted(name), at=name.span)
        else:
            text.line("server_name", '""')
        self.variables()
        self.rows("server")
        self._add_headers()
        self._hsts()
        self._redirects_to_https()
        self._basic_auth()
        self.snippet(self.entry("server-snippets") or self.data.get("server-snippets"))
        self.app_root()
        codes = self.entry("custom-http-errors")
        if codes is not None:
            text.line("proxy_intercept_errors", "on", at=codes.span)
        seen: set[str] = set()
        if not self._is_master:
            self._locations(hosts, seen)
        for minion in self.followers:
            minion._locations(minion.by_host.get(host_name(hosts), []), seen)
            self.include(minion)
        text.close(span)

    @property
    def _http2(self) -> bool:
        """Whether clients may use HTTP/2: set in the ConfigMap, or required by gRPC."""
        return self.is_on("http2", self.entry("grpc-services") is not None)

    def _listen(self, annotation: str, default: str, *options: str) -> None:
        """Write the ports of a list in an annotation, or the default port."""
        ports = [one for one in self.listed(annotation) if re.fullmatch(r"[0-9]+", one.text)]
        for port in ports:
            self.text.line("listen", port, *options, at=port.span)
        if not ports:
            self.text.line("listen", default, *options)

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

    def _hsts(self) -> None:
        text, entry = self.text, self.entry("hsts")
        behind = self.is_on("hsts-behind-proxy")
        if entry is None or not self.is_on("hsts") or not (self.ingress.tls or behind):
            return
        at = entry.span
        more = "includeSubDomains; " if self.is_on("hsts-include-subdomains") else ""
        age = self.matching("hsts-max-age", r"[0-9]+", "2592000")
        text.line("set", "$hsts_header_val", '""', at=at)
        text.line("proxy_hide_header", "Strict-Transport-Security", at=at)
        left, right = ("($http_x_forwarded_proto", "'https')") if behind else ("($https", "on)")
        text.open("if", left, "=", right, at=at)
        text.line("set", "$hsts_header_val", f'"max-age={age}; {more}preload"', at=at)
        text.close(at)
        text.line("add_header", "Strict-Transport-Security", '"$hsts_header_val"', "always", at=at)

    def _redirects_to_https(self) -> None:
        if self.ingress.tls and self.is_on("ssl-redirect", True):
            self._redirect("ssl-redirect", ("($scheme", "=", "http)"), "https://$host:443")
        if self.is_on("redirect-to-https"):
            condition = "($http_x_forwarded_proto", "=", "'http')"
            self._redirect("redirect-to-https", condition, "https://$host")

    def _redirect(self, annotation: str, condition: tuple[str, ...], target: str) -> None:
        entry = self.entry(annotation)
        at = entry.span if entry is not None else None
        code = self.matching("http-redirect-code", r"30[1278]", "301")
        self.text.open("if", *condition, at=at)
        self.text.line("return", code, f"{target}$request_uri", at=at)
        self.text.close(at)

    def _basic_auth(self) -> None:
        secret = self.entry("basic-auth-secret")
        if secret is not None:
            realm = self.entry("basic-auth-realm")
            said = quoted(word_of(realm)) if realm is not None else '""'
            self.text.line("auth_basic", said, at=(realm or secret).span)
            self.text.line("auth_basic_user_file", "/etc/nginx/secrets/htpasswd", at=secret.span)

    # Limits

    @property
    def _limit(self) -> MappingEntry | None:
        """The annotation that limits requests, if it has a valid rate."""
        rate = self.matching("limit-req-rate", rf"{_COUNT}r/[sm]")
        return self.entry("limit-req-rate") if rate else None

    def _limit_zone(self) -> None:
        entry = self._limit
        if entry is not None:
            key = quoted(self.value("limit-req-key") or "${binary_remote_addr}")
            size = self.matching("limit-req-zone-size", r"[0-9]+[kKmM]?", "10m")
            zone = f"zone=ingress{self.zone_suffix}:{size}"
            rate = f"rate={self.value('limit-req-rate')}"
            self.text.line("limit_req_zone", key, zone, rate, at=entry.span)

    def _limits(self) -> None:
        entry = self._limit
        if entry is None:
            return
        words = [f"zone=ingress{self.zone_suffix}"]
        if burst := self.matching("limit-req-burst", _COUNT):
            words.append(f"burst={burst}")
        if self.is_on("limit-req-no-delay"):
            words.append("nodelay")
        elif delay := self.matching("limit-req-delay", _COUNT):
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

    # Locations

    def _locations(self, hosts: list[Host], seen: set[str]) -> None:
        """Write the locations of hosts that were not `seen` before."""
        regex = _REGEX.get(self.value("path-regex"), "")
        for path in self.paths(hosts):
            key = f"{regex or path.type == 'Exact'}{path.text}"
            if key not in seen or has_placeholder(key):
                seen.add(key)
                self._location(path, regex)

    def _location(self, path: IngressPath, regex: str) -> None:
        text, own = self.text, path.path or "/"
        head: list[Arg]
        if regex:
            head = [regex, in_quotes("" if regex == "=" else "^", own)]
        else:
            head = ["=", quoted(own)] if path.type == "Exact" else [quoted(own)]
        text.open("location", *head, at=path.span)
        rewrite = self.entry("rewrite-target")
        if rewrite is not None:
            case = {"~": "^", "~*": "(?i)^", "=": "^"}.get(regex, "")
            pattern = in_quotes(case, own, "$" if regex == "=" else "")
            text.line("rewrite", pattern, quoted(word_of(rewrite)), "break", at=rewrite.span)
        service = path.service.text if path.service is not None else "backend"
        grpc = self._has("grpc-services", service) and self._http2
        header = "grpc_set_header" if grpc else "proxy_set_header"
        if not grpc:
            self._connection(service)
        self.snippet(self.entry("location-snippets") or self.data.get("location-snippets"))
        self.rows("location", grpc=grpc)
        if not grpc:
            self._set_headers()
        text.line(header, "Host", "$host")
        text.line(header, "X-Real-IP", "$remote_addr")
        self.forwarded_headers(header)
        self._pass(path, service, grpc)
        self._proxy_redirect()
        self._limits()
        text.close(path.span)

    def _connection(self, service: str) -> None:
        text = self.text
        text.line("proxy_http_version", "1.1")
        websocket = self.entry("websocket-services")
        if websocket is not None and self._has("websocket-services", service):
            # The annotation declares a WebSocket, which is evidence for the location.
            text.line("proxy_set_header", "Upgrade", "$http_upgrade", at=websocket.span)
            text.line("proxy_set_header", "Connection", "$connection_upgrade", at=websocket.span)
        elif self.entry("keepalive") is not None or "keepalive" in self.data:
            text.line("proxy_set_header", "Connection", '""')

    def _set_headers(self) -> None:
        for item in self.listed("proxy-set-headers"):
            name, _, value = item.text.partition(":")
            variable = "$http_" + name.strip().lower().replace("-", "_")
            said = f'"{value.strip()}"' if value.strip() else variable
            self.text.line("proxy_set_header", quoted(name.strip()), said, at=item.span)

    def _has(self, annotation: str, service: str) -> bool:
        return any(one.text == service for one in self.listed(annotation))

    def _pass(self, path: IngressPath, service: str, grpc: bool) -> None:
        scheme = ("grpc" if grpc else "http") + ("s" if self._has("ssl-services", service) else "")
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
        """The path for a service in `serviceName=tea-svc rewrite=/;…`."""
        for item in self.listed("rewrites", ";"):
            found = re.fullmatch(r"serviceName=(\S+)\s+rewrite=(/\S*)", item.text)
            if found and found[1] == service and not self.value("path-regex").startswith("case"):
                return found[2]
        return ""

    def _proxy_redirect(self) -> None:
        source, target = self.entry("proxy-redirect-from"), self.entry("proxy-redirect-to")
        if source is not None and self.value("proxy-redirect-from") in ("off", "default"):
            self.text.line("proxy_redirect", self.value("proxy-redirect-from"), at=source.span)
        elif source is not None and target is not None:
            words = quoted(word_of(source)), quoted(word_of(target))
            self.text.line("proxy_redirect", *words, at=source.span)
