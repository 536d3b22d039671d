"""Manifests for tests: an Ingress with given annotations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nginx_stream_lint.config import Source
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.kubernetes.author import ControllerAuthor
from nginx_stream_lint.kubernetes.controllers import Controller
from nginx_stream_lint.kubernetes.translate import translate_resources

# Values for each kind of setting. Tests use the first one that is not the default.
VALUES = {
    "seconds": ["75"],
    "number": ["5"],
    "size": ["16k"],
    "time": ["75s"],
    "on/off": ["off", "on"],
    "boolean": ["true", "false"],
    "word": ["TLSv1.2"],
    "words": ["off"],
    "each": ["X-One,X-Two"],
    "conditions": ["error"],
}
# A value for each annotation that code reads, and for those that need a special value.
INGRESS_NGINX = {
    "allowlist-source-range": "10.0.0.0/8, 192.168.0.1",
    "app-root": "/app",
    "auth-method": "POST",
    "auth-realm": "Keep out",
    "auth-response-headers": "X-User, X-Team",
    "auth-secret": "basic",
    "auth-signin": "https://login.example.com/start?rd=$escaped_request_uri",
    "auth-snippet": "proxy_set_header X-From auth;",
    "auth-tls-secret": "default/ca",
    "auth-tls-verify-client": "optional",
    "auth-tls-verify-depth": "2",
    "auth-type": "digest",
    "auth-url": "https://auth.example.com/check?a=b",
    "backend-protocol": "GRPC",
    "client-body-buffer-size": "1m",
    "configuration-snippet": "more_set_headers 'X-A: b';\nproxy_set_header X-Pod $service_name;\n",
    "connection-proxy-header": "keep-alive",
    "cors-allow-credentials": "false",
    "cors-allow-headers": "X-One",
    "cors-allow-methods": "GET, POST",
    "cors-allow-origin": "https://example.com",
    "cors-expose-headers": "X-Two",
    "cors-max-age": "600",
    "custom-http-errors": "404,503",
    "denylist-source-range": "10.1.0.0/16",
    "disable-proxy-intercept-errors": "true",
    "enable-access-log": "false",
    "enable-cors": "true",
    "enable-rewrite-log": "true",
    "fastcgi-index": "index.php",
    "force-ssl-redirect": "true",
    "limit-burst-multiplier": "3",
    "limit-connections": "10",
    "limit-rpm": "100",
    "limit-rps": "10",
    "mirror-host": "other.example.com",
    "mirror-request-body": "off",
    "mirror-target": "https://mirror.example.com$request_uri",
    "permanent-redirect": "https://www.example.com",
    "permanent-redirect-code": "308",
    "proxy-buffer-size": "8k",
    "proxy-busy-buffers-size": "16k",
    "proxy-buffers-number": "8",
    "proxy-cookie-domain": "localhost example.org",
    "proxy-cookie-path": '/ "/; Secure"',
    "proxy-http-version": "1.0",
    "proxy-next-upstream": "error timeout http_502 non_idempotent",
    "proxy-redirect-from": "http://one/",
    "proxy-redirect-to": "https://two/",
    "proxy-ssl-protocols": "TLSv1.2 TLSv1.3",
    "proxy-ssl-ciphers": "HIGH:!aNULL",
    "rewrite-target": "/$2",
    "satisfy": "any",
    "server-alias": "a.example.com, b.example.com",
    "server-snippet": "set $flag 0;\nif ($http_user_agent ~* 'Mobile') {\n  set $flag 1;\n}\n",
    "ssl-ciphers": "HIGH:!aNULL",
    "ssl-redirect": "false",
    "temporal-redirect": "https://www.example.com",
    "temporal-redirect-code": "307",
    "upstream-hash-by": "$request_uri$host",
    "upstream-vhost": "inner.example.com",
    "use-regex": "true",
    "whitelist-source-range": "10.0.0.0/8",
    "x-forwarded-prefix": "/app",
}
NGINX_ORG = {
    "add-header": "X-One:1:always, X-Two:2",
    "add-header-inherit": "merge",
    "app-root": "/app",
    "basic-auth-realm": "Keep out",
    "basic-auth-secret": "basic",
    "custom-http-errors": "404,5xx",
    "fail-timeout": "20s",
    "grpc-services": "vllm",
    "hsts": "true",
    "hsts-behind-proxy": "true",
    "hsts-include-subdomains": "true",
    "hsts-max-age": "1000",
    "http-redirect-code": "308",
    "lb-method": "hash $request_uri consistent",
    "limit-req-burst": "10",
    "limit-req-delay": "5",
    "limit-req-dry-run": "true",
    "limit-req-key": "${request_uri}",
    "limit-req-log-level": "warn",
    "limit-req-no-delay": "true",
    "limit-req-rate": "10r/s",
    "limit-req-reject-code": "429",
    "limit-req-zone-size": "5m",
    "listen-ports": "8080,8081",
    "listen-ports-ssl": "8443",
    "location-snippets": "proxy_set_header X-Team a;\nexpires 1h;\n",
    "max-conns": "10",
    "max-fails": "3",
    "path-regex": "case_insensitive",
    "proxy-buffer-size": "8k",
    "proxy-buffers": "8 8k",
    "proxy-busy-buffers-size": "16k",
    "proxy-next-upstream": "error http_502",
    "proxy-redirect-from": "http://one/",
    "proxy-redirect-to": "https://two/",
    "proxy-set-headers": "X-One: a b,X-Two",
    "redirect-to-https": "true",
    "rewrite-target": "/$1",
    "rewrites": "serviceName=vllm rewrite=/inner/",
    "server-snippets": "location /extra { return 204; }\n",
    "ssl-ciphers": "HIGH:!aNULL",
    "ssl-redirect": "false",
    "ssl-services": "vllm",
    "websocket-services": "vllm",
}


def value_of(controller: Controller, annotation: str) -> str:
    """A value that the controller accepts for an annotation."""
    given = INGRESS_NGINX if "nginx.ingress" in controller.prefixes[0] else NGINX_ORG
    if annotation in given:
        return given[annotation]
    for rows in controller.settings.values():
        for row in rows:
            if row.annotation == annotation:
                others = [one for one in VALUES[row.value] if one != row.default]
                assert others, f"give {annotation} a value of its own in this file"
                return others[0]
    raise ValueError(f"give {annotation} a value in INGRESS_NGINX or NGINX_ORG of this file")


def every_annotation(controller: Controller) -> list[str]:
    """All annotations that the controller's table and code read."""
    rows = (row for rows in controller.settings.values() for row in rows)
    return sorted({row.annotation for row in rows if row.annotation} | controller.code)


def ingress(
    annotations: Mapping[str, str],
    paths: Sequence[tuple[str, str]] = (("/v1/chat/completions", "Prefix"),),
    tls: bool = False,
    class_name: str = "nginx",
) -> str:
    """A manifest with annotations (full names) and paths (path, type)."""
    lines = ["apiVersion: networking.k8s.io/v1", "kind: Ingress", "metadata:", "  name: llm"]
    if annotations:
        lines.append("  annotations:")
    for name, value in annotations.items():
        if "\n" in value:
            lines.append(f"    {name}: |")
            lines += [f"      {line}" for line in value.splitlines()]
        else:
            lines.append(f"    {name}: '{value.replace(chr(39), chr(39) * 2)}'")
    lines += ["spec:", f"  ingressClassName: {class_name}"]
    if tls:
        lines += ["  tls:", "    - hosts: [llm.example.com]", "      secretName: llm-tls"]
    lines += ["  rules:", "    - host: llm.example.com", "      http:", "        paths:"]
    for path, kind in paths:
        lines += [
            f"          - path: {path}",
            f"            pathType: {kind}",
            "            backend:",
            "              service:",
            "                name: vllm",
            "                port:",
            "                  number: 8000",
        ]
    return "\n".join(lines) + "\n"


def translate(text: str, masked: str | None = None) -> list[MappedText]:
    """The translations of a manifest, which must have no mistakes."""
    found, problems = translate_resources(Source("ingress.yaml", text), masked or text)
    assert problems == []
    assert [problem for one in found for problem in one.problems] == []
    return found


def author_of(reading: MappedText) -> ControllerAuthor:
    """The controller that generates a text, and its resource."""
    assert isinstance(reading.author, ControllerAuthor)
    return reading.author
