"""The nginx configuration that ingress-nginx generates from an Ingress.

`annotations/ingress-nginx.yaml` has the annotations that set one directive, this module all others.
Follows rootfs/etc/nginx/template/nginx.tmpl of release 1.15.1. Lua code of the controller is
replaced by nginx directives: the balancer by an upstream for each service, the redirect to HTTPS by
`if`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

from nginx_stream_lint.config.mapped_text import has_placeholder
from nginx_stream_lint.kubernetes.controllers import Setting
from nginx_stream_lint.kubernetes.conversion import (
    CERTIFICATE,
    Converter,
    backend_key,
    service_address,
    split_list,
    word_of,
)
from nginx_stream_lint.kubernetes.manifest import MappingEntry, Scalar, Span
from nginx_stream_lint.kubernetes.nginx_text import Arg, TextPart, in_quotes, quoted
from nginx_stream_lint.kubernetes.resources import Host, Ingress, IngressPath, host_name
from nginx_stream_lint.util.numbers import whole_number

_HTTP = """
tcp_nopush on;
tcp_nodelay on;
reset_timedout_connection on;
gzip_http_version 1.1;
gzip_proxied any;
gzip_vary on;
map $http_upgrade $connection_upgrade {
default upgrade;
'' '';
}
map $http_x_request_id $req_id {
default $http_x_request_id;
"" $request_id;
}
server_name_in_redirect off;
port_in_redirect off;
proxy_ssl_session_reuse on;
"""
_VARIABLES = """
set $best_http_host $http_host;
set $pass_access_scheme $scheme;
set $pass_server_port $server_port;
set $pass_port $server_port;
"""
_HEADERS = """
X-Request-ID $req_id
X-Real-IP $remote_addr
X-Forwarded-For $remote_addr
X-Forwarded-Host $best_http_host
X-Forwarded-Port $pass_port
X-Forwarded-Proto $pass_access_scheme
X-Forwarded-Scheme $pass_access_scheme
X-Scheme $pass_access_scheme
X-Original-Forwarded-For $http_x_forwarded_for
X-Original-Forwarded-Host $http_x_forwarded_host
Proxy ""
"""
_AUTH_HEADERS = """
proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
proxy_set_header X-Original-Method $request_method;
proxy_set_header X-Sent-From "nginx-ingress-controller";
proxy_set_header X-Real-IP $remote_addr;
proxy_set_header X-Forwarded-For $remote_addr;
proxy_set_header X-Auth-Request-Redirect $request_uri;
"""
_HTPASSWD = "/etc/ingress-controller/auth/htpasswd"
_PROTOCOLS = {
    "AUTO_HTTP": ("proxy_pass", "$scheme://"),
    "HTTPS": ("proxy_pass", "https://"),
    "GRPC": ("grpc_pass", "grpc://"),
    "GRPCS": ("grpc_pass", "grpcs://"),
    "FCGI": ("fastcgi_pass", ""),
}
_CORS = {
    "Methods": ("allow-methods", "GET, PUT, POST, DELETE, PATCH, OPTIONS"),
    "Headers": (
        "allow-headers",
        "DNT,Keep-Alive,User-Agent,X-Requested-With,If-Modified-Since,Cache-Control,"
        "Content-Type,Range,Authorization",
    ),
    "Max-Age": ("max-age", "1728000"),
}


class IngressNginxConverter(Converter):
    """Converts an Ingress as ingress-nginx does, with others of the same hosts (`followers`)."""

    followers: Sequence[IngressNginxConverter] = ()

    def make(self) -> None:
        """Write the whole configuration."""
        text = self.text
        text.raw("worker_processes auto;")
        self.rows("main")
        self.snippet(self.data.get("main-snippet"))
        text.open("events")
        self.rows("events")
        text.close()
        self.http()

    def http(self) -> None:
        """Write the `http` block, which represents the whole resource."""
        text, span = self.text, self.resource.span
        text.open("http", at=span)
        self.comments(span)
        text.raw(_HTTP)
        self.rows("http")
        self.certificate()
        self._errors(self.data.get("custom-http-errors"))
        self.snippet(self.data.get("http-snippet"))
        if isinstance(self.resource, Ingress):
            self._ingress()
        text.close(span)

    # Servers

    def _ingress(self) -> None:
        seen: set[str] = set()
        self._http_part(seen)
        for other in self.followers:
            other._http_part(seen)
            self.include(other)
        known: set[str] = set()
        for same in self.servers():
            known.add(host_name(same))
            self._server(same)
        for other in self.followers:
            other._other_servers(known)
            self.include(other)

    def _http_part(self, seen: set[str]) -> None:
        """Write what is outside of servers; upstreams that were not `seen` before."""
        self._auth_written: set[str] = set()
        self._alike: dict[str, TextPart] = {}
        every = self.paths(self.hosts)
        self.names = self.upstream_names(every)
        self._limit_zones()
        self._upstreams(every, seen)

    def _other_servers(self, known: set[str]) -> None:
        """Write the servers for hosts that no other resource has."""
        for same in self.servers():
            if host_name(same) not in known:
                known.add(host_name(same))
                self._server(same)

    def _upstreams(self, paths: list[IngressPath], seen: set[str]) -> None:
        for path in paths:
            name = self.names[backend_key(path)]
            if name in seen:
                continue
            seen.add(name)
            at = path.service.span if path.service is not None else None
            self.text.open("upstream", (name, at) if at is not None else name, at=at)
            port = path.port.span if path.port is not None else at
            self.text.line("server", service_address(path.port), at=port)
            hash_by = self.entry("upstream-hash-by")
            if hash_by is not None:
                self.text.line("hash", quoted(word_of(hash_by)), "consistent", at=hash_by.span)
            self.rows("upstream")
            self.text.close(at)

    def _server(self, hosts: list[Host]) -> None:
        text, host = self.text, hosts[0]
        span = Span(min(one.span.start for one in hosts), max(one.span.end for one in hosts))
        text.open("server", at=span)
        http2 = "" if not self.is_on("use-http2", True) else " http2"
        proxy = " proxy_protocol" if self.is_on("use-proxy-protocol") else ""
        text.raw(f"listen 80{proxy};\nlisten 443 ssl{http2}{proxy};")
        alias = [quoted(one) for one in self.listed("server-alias")]
        name = quoted(host.name) if host.name is not None else "_"
        text.line("server_name", name, *alias, at=host.name.span if host.name is not None else None)
        self._client_certificates()
        self.rows("server")
        self._redirect_to_https()
        self.snippet(self.entry("server-snippet"))
        self._mirror_location()
        self.app_root()
        with_host = [
            (one, own) for one in self.followers if (own := one.by_host.get(host_name(hosts)))
        ]
        every = [
            path for one in (hosts, *(own for _, own in with_host)) for path in self.paths(one)
        ]
        exact = {one.path.text for one in every if one.path is not None and one.type == "Exact"}
        seen: set[str] = set()
        self._server_locations(hosts, exact, seen)
        for other, own in with_host:
            other._server_locations(own, exact, seen)
            self.include(other)
        if all(path.path is not None and path.path.text != "/" for path in every):
            text.raw("location / {\nreturn 404;\n}")
        self._error_locations()
        self.snippet(self.data.get("server-snippet"))
        text.close(span)

    def _server_locations(self, hosts: list[Host], exact: set[str], seen: set[str]) -> None:
        """Write the locations that are not `seen` yet; `exact` are the server's exact paths."""
        for path, head in self._locations(hosts, exact, seen):
            self._location(path, head)

    def _redirect_to_https(self) -> None:
        ingress = self.ingress
        forced = self.is_on("force-ssl-redirect")
        if forced or (ingress.tls and self.is_on("ssl-redirect", True)):
            self.text.raw("if ($scheme = http) {\nreturn 308 https://$host$request_uri;\n}")

    def _client_certificates(self) -> None:
        secret = self.entry("auth-tls-secret")
        if secret is None:
            return
        self.text.line("ssl_client_certificate", CERTIFICATE, at=secret.span)
        verify = self.value("auth-tls-verify-client")
        known = verify in ("on", "off", "optional", "optional_no_ca")
        self.text.line("ssl_verify_client", verify if known else "on", at=secret.span)
        depth = self.matching("auth-tls-verify-depth", r"[0-9]+", "1")
        self.text.line("ssl_verify_depth", depth, at=secret.span)

    # Locations

    def _locations(
        self, hosts: list[Host], exact: set[str], seen: set[str]
    ) -> list[tuple[IngressPath, list[Arg]]]:
        """The locations of a server: the path and the arguments of the directive."""
        paths = sorted(self.paths(hosts), key=lambda one: -len(one.text))
        regex = self._are_regex(paths)
        found: list[tuple[IngressPath, list[Arg]]] = []

        def add(path: IngressPath, head: list[Arg], key: str) -> None:
            if key not in seen or has_placeholder(key):
                seen.add(key)
                found.append((path, head))

        for path in paths:
            word, text = path.path or "/", path.text
            if regex:
                add(path, ["~*", in_quotes("^", word)], f"~{text}")
            elif path.type == "Exact":
                add(path, ["=", in_quotes("", word)], f"={text}")
            elif path.type == "Prefix" and text != "/" and not has_placeholder(text):
                slash = "" if text.endswith("/") else "/"
                if text not in exact:
                    add(path, ["=", in_quotes("", word)], f"={text}")
                add(path, [in_quotes("", word, slash)], text + slash)
            else:
                add(path, [in_quotes("", word)], text)
        return found

    def _location(self, path: IngressPath, head: list[Arg]) -> None:
        text = self.text
        auth = self._auth_location(path)
        text.open("location", *head, at=path.span)
        self._variables(path)
        self._mirror()
        if self.value("enable-access-log") and not self.is_on("enable-access-log"):
            text.line("access_log", "off", at=self.annotations["enable-access-log"].span)
        if self.is_on("enable-rewrite-log"):
            text.line("rewrite_log", "on", at=self.annotations["enable-rewrite-log"].span)
        family = "grpc" if self._protocol[0] == "grpc_pass" else "proxy"
        header = f"{family}_set_header"
        for name in ("whitelist-source-range", "allowlist-source-range"):
            for item in self.listed(name):
                text.line("allow", item, at=item.span)
            if self.entry(name) is not None:
                text.line("deny", "all", at=self.annotations[name].span)
        self._cors()
        self._auth(auth, header)
        text.once(self._alike, header, lambda: self._settings(header))
        self._pass(path, header)
        self._proxy_redirect()
        text.close(path.span)

    def _settings(self, header: str) -> None:
        """Write the settings that all locations of an Ingress share."""
        text = self.text
        self._limits()
        host = self.entry("upstream-vhost")
        if host is not None:
            text.line(header, "Host", quoted(word_of(host)), at=host.span)
        else:
            text.line(header, "Host", "$best_http_host")
        text.line(header, "Upgrade", "$http_upgrade")
        connection = self.entry("connection-proxy-header")
        if connection is not None:
            text.line(header, "Connection", quoted(word_of(connection)), at=connection.span)
        else:
            text.line(header, "Connection", "$connection_upgrade")
        for row in _HEADERS.strip().splitlines():
            text.line(header, *row.split())
        self.rows("location")
        if header.startswith("grpc"):
            for name in ("connect", "send", "read"):
                self._row_named(f"proxy_{name}_timeout", f"grpc_{name}_timeout")
        self._buffers()
        self._next_upstream()
        self.snippet(self.entry("configuration-snippet"))
        self.snippet(self.data.get("location-snippet"))
        self._errors(self.entry("custom-http-errors"))
        index = self.entry("fastcgi-index")
        if index is not None:
            text.line("fastcgi_index", quoted(word_of(index)), at=index.span)
        self._redirect()

    def _variables(self, path: IngressPath) -> None:
        """The variables that snippets may use."""
        service, port = backend_key(path)
        values = {
            "namespace": "default",
            "ingress_name": self.ingress.name,
            "service_name": service,
            "service_port": port,
            "location_path": path.text,
            "proxy_upstream_name": f"default-{service}-{port}",
        }
        for name, value in values.items():
            plain = value if re.fullmatch(r"[\w./\-]*", value) else ""
            self.text.line("set", f"${name}", f'"{plain}"')
        self.text.raw(_VARIABLES)

    def _row_named(self, directive: str, other: str) -> None:
        for row in self.controller.settings["location"]:
            if row.directive == directive:
                entry = self._given(row, None)
                if entry is not None:
                    self.row(other, row, entry)
                elif self.unknown is None:
                    self.default(other, row, None)

    @property
    def has_regex(self) -> bool:
        """Whether its paths are regular expressions, as are then all of the same host."""
        return self._are_regex(self.paths(self.hosts))

    def _are_regex(self, paths: Iterable[IngressPath]) -> bool:
        rewrite = self.value("rewrite-target")
        rewrites = bool(rewrite) and any(path.text != rewrite for path in paths)
        return rewrites or self.is_on("use-regex")

    @property
    def _protocol(self) -> tuple[str, str]:
        return _PROTOCOLS.get(self.value("backend-protocol").upper(), ("proxy_pass", "http://"))

    def _pass(self, path: IngressPath, header: str) -> None:
        name = self.names[backend_key(path)]
        rewrite = self.entry("rewrite-target")
        if rewrite is not None and word_of(rewrite).text != path.text:
            pattern = in_quotes("(?i)", path.path or "/")
            target = quoted(word_of(rewrite))
            self.text.line("rewrite", pattern, target, "break", at=rewrite.span)
            prefix = self.entry("x-forwarded-prefix")
            if prefix is not None:
                said = quoted(word_of(prefix))
                self.text.line(header, "X-Forwarded-Prefix", said, at=prefix.span)
        directive, scheme = self._protocol
        service = path.service
        if service is None:
            self.text.line(directive, scheme + name, at=path.span)
        else:
            whole = Span(service.start, service.start)
            self.text.line(directive, [(scheme, whole), (name, service.span)], at=service.span)

    def _proxy_redirect(self) -> None:
        source, target = self.entry("proxy-redirect-from"), self.entry("proxy-redirect-to")
        if source is None:
            self.text.line("proxy_redirect", "off")
        elif self.value("proxy-redirect-from") in ("default", "off"):
            if self.value("proxy-redirect-from") == "off":
                self.text.line("proxy_redirect", "off", at=source.span)
        elif target is not None and self.value("proxy-redirect-to") != "off":
            self.text.line(
                "proxy_redirect", quoted(word_of(source)), quoted(word_of(target)), at=source.span
            )

    def _buffers(self) -> None:
        number = self.entry("proxy-buffers-number") or self.data.get("proxy-buffers-number")
        size = self.entry("proxy-buffer-size") or self.data.get("proxy-buffer-size")
        if self.unknown is not None and (number is None or size is None):
            return
        count, each = "4", "4k"
        if number is not None and re.fullmatch(r"[0-9]+", word_of(number).text):
            count = word_of(number).text
        if size is not None and re.fullmatch(r"[0-9]+[kKmM]?", word_of(size).text):
            each = word_of(size).text
        at = number or size
        self.plain_line(at, "proxy_buffers", count, each)

    def _next_upstream(self) -> None:
        entry = self.entry("proxy-next-upstream") or self.data.get("proxy-next-upstream")
        extra = self.is_on("retry-non-idempotent")
        if self.unknown is not None and entry is None:
            return
        said = entry.value.text if entry is not None and isinstance(entry.value, Scalar) else ""
        is_known = not has_placeholder(said) and Setting("", "conditions").accepts(said)
        words = said.split() if is_known else ["error", "timeout"]
        if extra and "non_idempotent" not in words:
            words.append("non_idempotent")
        self.plain_line(entry, "proxy_next_upstream", *words)

    # Subrequests, limits, other responses

    def _auth_path(self, path: IngressPath) -> str:
        name = (
            base64.urlsafe_b64encode(path.text.encode("utf-8", "surrogatepass"))
            .decode()
            .rstrip("=")
        )
        return f"/_external-auth-{name}-{path.type}"

    def _auth_location(self, path: IngressPath) -> str:
        url = self.entry("auth-url")
        if url is None:
            return ""
        text, name = self.text, self._auth_path(path)
        if name in self._auth_written:
            return name
        self._auth_written.add(name)
        text.open("location", "=", name, at=url.span)
        text.raw(
            'internal;\nproxy_pass_request_body off;\nproxy_set_header Content-Length "";\n'
            'proxy_set_header X-Forwarded-Proto "";\nproxy_set_header X-Request-ID $req_id;'
        )
        method = self.entry("auth-method")
        if method is not None:
            text.line("proxy_method", quoted(word_of(method)), at=method.span)
        host = _host_of(word_of(url).text)
        text.line("proxy_set_header", "Host", quoted(host or "$host"), at=url.span)
        text.raw(_AUTH_HEADERS)
        for directive in ("proxy_buffering", "proxy_request_buffering", "proxy_http_version"):
            self._row_named(directive, directive)
        self.snippet(self.entry("auth-snippet"))
        text.line("set", "$target", quoted(word_of(url)), at=url.span)
        text.line("proxy_pass", "$target", at=url.span)
        text.close(url.span)
        return name

    def _auth(self, path: str, header: str) -> None:
        text = self.text
        url = self.entry("auth-url")
        if url is not None:
            text.line("auth_request", path, at=url.span)
            text.line("auth_request_set", "$auth_cookie", "$upstream_http_set_cookie", at=url.span)
            text.line("add_header", "Set-Cookie", "$auth_cookie", at=url.span)
            for number, name in enumerate(self.listed("auth-response-headers")):
                variable = re.sub(r"\W", "_", name.text.lower())
                value = f"$upstream_http_{variable}"
                text.line("auth_request_set", f"$authHeader{number}", value, at=name.span)
                text.line(header, quoted(name), f"$authHeader{number}", at=name.span)
        signin = self.entry("auth-signin")
        if url is not None and signin is not None:
            target = word_of(signin).text.replace("$escaped_request_uri", "$request_uri")
            known = not re.search(r"\$(?!request_uri|host|scheme|http_host|uri|args)", target)
            said = quoted((target, word_of(signin).span)) if known else "/"
            text.line("error_page", "401", "=302", said, at=signin.span)
        secret = self.entry("auth-secret")
        if secret is not None and self.value("auth-type") in ("", "basic"):
            realm = self.entry("auth-realm")
            said = quoted(word_of(realm)) if realm is not None else '""'
            text.line("auth_basic", said, at=(realm or secret).span)
            text.line("auth_basic_user_file", _HTPASSWD, at=secret.span)
            text.line(header, "Authorization", '""', at=secret.span)

    def _zone(self, name: str) -> str:
        return name.replace("-", "_") + self.zone_suffix

    def _limit_zones(self) -> None:
        for name, unit in (("limit-rps", "r/s"), ("limit-rpm", "r/m")):
            entry = self._limit(name)
            if entry is not None:
                zone = f"zone={self._zone(name)}:5m"
                rate = f"rate={word_of(entry).text}{unit}"
                self.text.line("limit_req_zone", "$binary_remote_addr", zone, rate, at=entry.span)
        entry = self._limit("limit-connections")
        if entry is not None:
            zone = f"zone={self._zone('limit-connections')}:5m"
            self.text.line("limit_conn_zone", "$binary_remote_addr", zone, at=entry.span)

    def _limit(self, name: str) -> MappingEntry | None:
        return self.entry(name) if self.matching(name, r"[1-9][0-9]*") else None

    def _limits(self) -> None:
        times = int(self.matching("limit-burst-multiplier", r"[1-9][0-9]{0,5}", "5"))
        for name in ("limit-rps", "limit-rpm"):
            entry = self._limit(name)
            if entry is not None:
                burst = f"burst={(whole_number(self.value(name)) or 0) * times}"
                self.text.line(
                    "limit_req", f"zone={self._zone(name)}", burst, "nodelay", at=entry.span
                )
        entry = self._limit("limit-connections")
        if entry is not None:
            zone = self._zone("limit-connections")
            self.text.line("limit_conn", zone, word_of(entry), at=entry.span)

    def _cors(self) -> None:
        entry = self.entry("enable-cors")
        if entry is None or not self.is_on("enable-cors"):
            return
        values = {
            name: self.value(f"cors-{annotation}") or default
            for name, (annotation, default) in _CORS.items()
        }
        values["Origin"] = "$http_origin"
        if not self.value("cors-allow-credentials") or self.is_on("cors-allow-credentials"):
            values["Credentials"] = "true"
        if self.value("cors-expose-headers"):
            values["Expose-Headers"] = self.value("cors-expose-headers")
        origin = self.entry("cors-allow-origin")
        at = origin.span if origin is not None else entry.span
        for name, value in values.items():
            full = name if name in ("Max-Age", "Expose-Headers") else f"Allow-{name}"
            self.text.line("more_set_headers", quoted(f"Access-Control-{full}: {value}"), at=at)
        self.text.open("if", "($request_method", "=", "OPTIONS)", at=entry.span)
        self.text.line("return", "204", at=entry.span)
        self.text.close(entry.span)

    def _codes(self, entry: MappingEntry | None) -> list[Scalar]:
        if entry is None or not isinstance(entry.value, Scalar):
            return []
        # nginx reserves 499 for itself.
        found = split_list(entry.value, ",")
        return [one for one in found if re.fullmatch(r"(?!499)[345][0-9][0-9]", one.text)]

    def _errors(self, entry: MappingEntry | None) -> None:
        codes = self._codes(entry)
        if not codes or entry is None:
            return
        if not self.is_on("disable-proxy-intercept-errors"):
            self.text.line("proxy_intercept_errors", "on", at=entry.span)
        for code in codes:
            self.text.line("error_page", code, "=", f"@custom_{code.text}", at=entry.span)

    def _error_locations(self) -> None:
        """The locations for errors: pages of the default backend, which are no streams."""
        given = (self.entry("custom-http-errors"), self.data.get("custom-http-errors"))
        codes = {code.text: code for entry in given for code in self._codes(entry)}
        for text, code in codes.items():
            self.text.open("location", f"@custom_{text}", at=code.span)
            self.text.raw(f"return {text};")
            self.text.close(code.span)

    def _redirect(self) -> None:
        for name, default in (("temporal-redirect", "302"), ("permanent-redirect", "301")):
            entry = self.entry(name)
            if entry is not None:
                code = self.matching(f"{name}-code", r"30[0-8]", default)
                self.text.line("return", code, quoted(word_of(entry)), at=entry.span)
                return

    def _mirror(self) -> None:
        target = self.entry("mirror-target")
        if target is not None:
            self.plain_line(target, "mirror", "/_mirror")
            body = self.value("mirror-request-body")
            self.plain_line(target, "mirror_request_body", "off" if body == "off" else "on")

    def _mirror_location(self) -> None:
        target = self.entry("mirror-target")
        if target is None:
            return
        word = word_of(target)
        self.text.open("location", "=", "/_mirror", at=target.span)
        self.text.raw("internal;")
        host = self.value("mirror-host") or _host_of(word.text) or "$host"
        self.text.line("proxy_set_header", "Host", quoted(host), at=target.span)
        # A variable, so that nginx does not resolve a remote host at start.
        self.text.line("set", "$mirror_target", quoted(word), at=target.span)
        self.text.line("proxy_pass", "$mirror_target", at=target.span)
        self.text.close(target.span)


def _host_of(url: str) -> str:
    """The host in a URL; empty if that is a variable."""
    return re.sub(r"^\w+://|[/?:$].*", "", url)
