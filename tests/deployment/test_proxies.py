"""Proxies of a compose project in front of its nginx, by their own configuration."""

from __future__ import annotations

import pytest

from nginx_stream_lint.config.deployed import ProxyInFront
from nginx_stream_lint.deployment.images import proxy_products
from nginx_stream_lint.deployment.proxies import READERS
from nginx_stream_lint.tiers.products import product_named
from tests.deployment.reading import deployment, instance

COMPOSE = """\
services:
  web:
    image: nginx:1.27.0
{web}
  proxy:
    image: {image}
    volumes: ['./conf/file:/etc/proxy/file']
{proxy}
"""


def in_front(
    image: str = "busybox", text: str = "", web: str = "", proxy: str = ""
) -> tuple[ProxyInFront, ...]:
    body = COMPOSE.format(image=image, web=web, proxy=proxy)
    return instance(deployment({"compose.yaml": body, "conf/file": text})).in_front


HAPROXY = """\
defaults
    timeout server 50000
frontend www
    default_backend web
backend web
    server one {host}:80 check
    {own}
backend other
    timeout server 1s
"""
CADDY = "example.com {{\n\treverse_proxy /api/* {host}:80 {{\n{own}\n\t}}\n}}\n"
APACHE = "{own}\n<VirtualHost *:80>\n  ProxyPass / http://{host}/{line}\n</VirtualHost>\n"
VARNISH = 'vcl 4.1;\nbackend a {{ .host = "api"; }}\nbackend b {{ .host = "{host}"; {own} }}\n'
ENVOY = """\
static_resources:
  listeners:
    - filter_chains:
        - filters:
            - typed_config:
                {own}
                route_config: {{virtual_hosts: [{{routes: [{{route: {{cluster: c{route}}}}}]}}]}}
  clusters:
    - name: c
      load_assignment:
        endpoints:
          - lb_endpoints:
              - endpoint: {{address: {{socket_address: {{address: {host}, port_value: 80}}}}}}
"""


@pytest.mark.parametrize(
    ("image", "text", "wanted"),
    [
        ("haproxy:2.6", HAPROXY.format(host="web", own=""), {"silence": 50.0}),
        ("haproxy:2.6", HAPROXY.format(host="web", own="timeout server 5m"), {"silence": 300.0}),
        ("haproxy:2.6", HAPROXY.format(host="web", own="").replace("timeout server 50000", ""), {}),
        ("haproxy", HAPROXY.format(host="web", own='timeout server "$T"'), None),
        ("caddy:2", CADDY.format(host="web", own=""), {}),
        (
            "caddy:2",
            CADDY.format(host="web", own="transport http {\nread_timeout 1m30s\n}"),
            {"silence": 90.0},
        ),
        ("caddy:2", CADDY.format(host="api", own="to http://web:80"), {}),
        ("httpd:2.4", APACHE.format(host="web", line="", own="Timeout 20"), {"silence": 20.0}),
        (
            "httpd:2.4",
            APACHE.format(host="web:80", line=" timeout=7", own="ProxyTimeout 9"),
            {"silence": 7.0},
        ),
        ("httpd:2.4", APACHE.format(host="web", line="", own=""), None),  # in another file
        ("varnish:7", VARNISH.format(host="web", own=""), None),  # a parameter of the command
        (
            "varnish:7",
            VARNISH.format(host="web", own=".between_bytes_timeout = 90s;"),
            {"silence": 90.0},
        ),
        (
            "envoyproxy/envoy:v1.31.0",
            ENVOY.format(host="web", own="", route=""),
            {"response": 15.0, "silence": 300.0},
        ),
        (
            "envoyproxy/envoy:v1.31.0",
            ENVOY.format(host="web", own="stream_idle_timeout: 0s", route=", timeout: 0s"),
            {},
        ),
        ("docker.io/library/haproxy", HAPROXY.format(host="WEB", own=""), {"silence": 50.0}),
    ],
)
def test_a_proxy_that_names_the_service(
    image: str, text: str, wanted: dict[str, float] | None
) -> None:
    (one,) = in_front(image, text)
    limits = None if one.timeouts is None else {row.of: row.seconds for row in one.timeouts}
    assert limits == wanted
    assert one.source.name == "conf/file"
    shown = one.source.text[one.start : one.end].lower()
    assert "web" in shown or shown.startswith(("backend b", "reverse_proxy"))


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("haproxy", HAPROXY.format(host="api", own="")),
        ("haproxy", HAPROXY.format(host="web.example.com", own="")),
        ("haproxy", HAPROXY.format(host="web", own="").replace("server one", "# server one")),
        ("busybox", HAPROXY.format(host="web", own="")),
        ("caddy", CADDY.format(host="{$UPSTREAM}", own="")),
        ("caddy", "example.com {\n\tfile_server\n\troot web\n}\n"),
        ("httpd", APACHE.format(host="web", line="", own="").replace("ProxyPass", "#ProxyPass")),
        ("httpd", "ServerName web\n"),
        ("varnish", VARNISH.format(host="api", own="")),
        ("envoyproxy/envoy", ENVOY.format(host="api", own="", route="")),
        ("envoyproxy/envoy", "static_resources: [web"),
        ("haproxy", ""),
    ],
)
def test_everything_else_is_unknown(image: str, text: str) -> None:
    assert in_front(image, text) == ()


@pytest.mark.parametrize(("image", "own"), [
    ("caddy", "response_buffers 1MiB"), ("caddy", "buffer_responses"),
])  # fmt: skip
def test_caddy_may_hold(image: str, own: str) -> None:
    assert in_front(image, CADDY.format(host="web", own=own))[0].holds == own.partition(" ")[0]


LABELS = "    labels:\n      - traefik.http.routers.a.rule=Host(`x`)\n"
ROUTED = LABELS + "      - traefik.http.routers.a.middlewares=hold@docker, other\n"
HOLDS = "      - traefik.http.middlewares.hold.buffering.maxResponseBodyBytes=9\n"


@pytest.mark.parametrize(
    ("web", "wanted"),
    [
        (LABELS, [""]),
        ("    labels: {traefik.http.routers.a.rule: 'Host(`x`)'}", [""]),
        ("    deploy: {labels: {traefik.http.routers.a.rule: 'Host(`x`)'}}", [""]),
        (ROUTED, [""]),
        (ROUTED + HOLDS, ["middleware hold"]),
        (LABELS + HOLDS, [""]),  # no router uses it
        (LABELS + "      - traefik.enable=false\n", []),
        ("    labels: [traefik.enable=true]", []),  # no router
        ("    labels: [com.example.traefik=1]", []),
    ],
)
def test_traefik_by_labels(web: str, wanted: list[str]) -> None:
    found = in_front(web=web)
    assert [(one.product, one.holds) for one in found] == [("traefik", one) for one in wanted]


TOKEN = "    command: tunnel --no-autoupdate run --token x\n"
INGRESS = "tunnel: x\ningress:\n  - {hostname: a.example, service: 'http://{host}:80'}\n"


@pytest.mark.parametrize(
    ("text", "proxy", "count"),
    [
        (INGRESS.replace("{host}", "web"), TOKEN, 1),
        (INGRESS.replace("{host}", "api"), TOKEN, 0),
        ("", "    command: tunnel --url http://web:80\n", 1),
        ("", "    command: [tunnel, '--url=http://web']\n", 1),
        ("", "    command: tunnel --url http://api:80\n", 0),
        ("", TOKEN + "    depends_on: [web]\n", 1),
        ("", TOKEN + "    depends_on: {web: {condition: service_started}}\n", 1),
        ("", TOKEN + "    depends_on: [api]\n", 0),
        ("", TOKEN, 0),  # its routes are at Cloudflare
    ],
)
def test_a_tunnel(text: str, proxy: str, count: int) -> None:
    found = in_front("cloudflare/cloudflared:latest", text, proxy=proxy)
    assert [one.product for one in found] == ["cloudflare"] * count


def test_the_images_are_those_of_products() -> None:
    named = set(proxy_products().values())
    assert all(product_named(one) is not None for one in named)
    assert named == {*READERS, "traefik", "cloudflare"}
