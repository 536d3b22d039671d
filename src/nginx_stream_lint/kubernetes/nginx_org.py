"""The frame of a configuration that the NGINX Ingress Controller generates: all but its servers.

Follows internal/configs/version1/nginx.tmpl of release 5.6.0.
"""

from __future__ import annotations

from nginx_stream_lint.kubernetes.conversion import Converter

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


class NginxOrgConverter(Converter):
    """Converts one resource as the NGINX Ingress Controller does; a ConfigMap has no servers."""

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
        self.servers_part()
        text.close(span)

    def servers_part(self) -> None:
        """Write the servers of the resource, with the upstreams and zones that they need."""

    def variables(self) -> None:
        """Write the variables that snippets may use."""
        self.text.raw(_VARIABLES)

    def forwarded_headers(self, directive: str) -> None:
        """Write the headers that tell the app about the client's request."""
        if not self.is_on("disable-forwarded-headers"):
            for row in _FORWARDED.strip().splitlines():
                self.text.line(directive, *row.split())
