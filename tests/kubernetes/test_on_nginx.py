"""What controllers would make of manifests, on real nginx: accepted, every annotation of it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from nginx_stream_lint.config.mapped_text import PLACEHOLDER, MappedText
from nginx_stream_lint.kubernetes.controllers import Controller, ingress_nginx, nginx_org
from nginx_stream_lint.probe import NginxBinary, check, write_certificate
from tests.kubernetes.manifests import author_of, every_annotation, ingress, translate, value_of
from tests.kubernetes.on_nginx import runnable

BOTH = [ingress_nginx(), nginx_org()]
EVERY = [(controller, name) for controller in BOTH for name in every_annotation(controller)]
# Newer than Debian's nginx; the controller brings its own.
NEW = {"add-header-inherit"}
# Annotations, or the beginnings of their names, with the one that they need for an effect.
TOGETHER = {
    "auth-": "auth-url",
    "cors-": "enable-cors",
    "mirror-": "mirror-target",
    "limit-burst": "limit-rps",
    "limit-req-": "limit-req-rate",
    "hsts-": "hsts",
    "disable-proxy-intercept-errors": "custom-http-errors",
    "auth-realm": "auth-secret",
    "auth-type": "auth-secret",
    "auth-tls": "auth-tls-secret",
    "proxy-redirect-from": "proxy-redirect-to",
    "proxy-redirect-to": "proxy-redirect-from",
    "basic-auth-realm": "basic-auth-secret",
    "x-forwarded-prefix": "rewrite-target",
    "temporal-redirect-code": "temporal-redirect",
    "permanent-redirect-code": "permanent-redirect",
    "http-redirect-code": "redirect-to-https",
    "proxy-busy-buffers-size": "proxy-buffer-size",
}
# Without an effect on the text: a variable that the controller's Lua code sets has the value.
BY_LUA = {"cors-allow-origin"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return write_certificate(tmp_path_factory.mktemp("certificate"))


def accept(
    made: list[MappedText],
    binary: NginxBinary,
    folder: Path,
    certificate: tuple[Path, Path],
) -> None:
    assert made
    for one in made:
        text = runnable(one.text, certificate)
        assert PLACEHOLDER not in text
        ok, said = check(binary, text, folder)
        assert ok, f"{said}\n{text}"


def values(controller: Controller, names: list[str]) -> dict[str, str]:
    return {controller.prefixes[0] + name: value_of(controller, name) for name in names}


@pytest.mark.parametrize(
    ("controller", "name"), EVERY, ids=lambda one: one if isinstance(one, str) else one.name[:5]
)
def test_every_annotation(
    controller: Controller,
    name: str,
    age: str,
    binary: NginxBinary,
    tmp_path: Path,
    certificate: tuple[Path, Path],
) -> None:
    if name in NEW and age == "old":
        return
    names = [name, *(more for start, more in TOGETHER.items() if name.startswith(start))]
    names = [one for one in dict.fromkeys(names) if one in every_annotation(controller)]
    tls = name.startswith(("hsts", "ssl-", "listen-ports-ssl"))
    text = ingress(values(controller, names), tls=tls)
    (made,) = translate(text)
    assert author_of(made).controller is controller
    accept([made], binary, tmp_path, certificate)
    # Any annotation of the controller, so that the other text is the same controller's.
    rest = {controller.prefixes[0] + "nothing": "x", **values(controller, names[1:])}
    (without,) = translate(ingress(rest, tls=tls))
    if name not in BY_LUA:
        is_other = made.text != without.text
        assert is_other, "the annotation does nothing"


PATHS = [
    ("/", "Prefix"),
    ("/v1", "Prefix"),
    ("/v1/chat/completions", "Exact"),
    ("/api/(.*)", "ImplementationSpecific"),
    ('"/a b"', "Exact"),
    ("/files/", "Prefix"),
    ("/a{2}", "ImplementationSpecific"),
    ("/v1", "Exact"),
    ("/v1", "Prefix"),
]


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("controller", BOTH, ids=lambda one: one.name[:5])
def test_many_annotations_together(
    controller: Controller,
    seed: int,
    age: str,
    binary: NginxBinary,
    tmp_path: Path,
    certificate: tuple[Path, Path],
) -> None:
    chance = random.Random(seed)
    apart = {"backend-protocol", "grpc-services", "proxy-buffer-size", "proxy-buffers"} | (
        NEW if age == "old" else set()
    )
    names = [
        name
        for name in chance.sample(every_annotation(controller), 12)
        if name not in apart and "busy" not in name
    ]
    paths = chance.sample(PATHS, chance.randint(1, len(PATHS)))
    text = ingress(values(controller, names), paths, tls=chance.random() < 0.5)
    accept(translate(text), binary, tmp_path, certificate)


VIRTUAL_SERVER = """\
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata:
  name: llm
spec:
  host: llm.example.com
  tls:
    secret: llm
    redirect: {enable: true}
  server-snippets: |
    location /extra { return 204; }
  upstreams:
    - name: chat
      service: vllm
      port: 8000
      buffering: false
      read-timeout: 10m
      connect-timeout: 5s
      next-upstream: error http_502
      next-upstream-tries: 2
      keepalive: 16
      buffers: {number: 8, size: 8k}
      buffer-size: 8k
      client-max-body-size: 2m
    - name: grpc
      service: triton
      port: 8001
      type: grpc
      tls: {enable: true}
  routes:
    - path: /v1
      location-snippets: |
        proxy_set_header X-Team a;
      action:
        proxy:
          upstream: chat
          rewritePath: /v2
          requestHeaders:
            set:
              - {name: X-From, value: "${scheme}"}
          responseHeaders:
            hide: [X-Internal]
            ignore: [X-Accel-Expires]
            add:
              - {name: X-One, value: "1", always: true}
    - path: ~* ^/images/.*\\.png$
      action: {pass: chat}
    - path: =/exact
      splits:
        - {weight: 90, action: {pass: chat}}
        - {weight: 10, action: {pass: grpc}}
    - path: /inference
      action: {pass: grpc}
    - path: /old
      action: {redirect: {url: "https://example.com${request_uri}", code: 301}}
    - path: /hello
      action: {return: {body: hello}}
    - path: /team
      route: team/team-routes
    - path: /nowhere
      action: {pass: missing}
"""


def test_virtual_servers(
    binary: NginxBinary, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    made = translate(VIRTUAL_SERVER)
    accept(made, binary, tmp_path, certificate)
    text = made[0].text
    assert "proxy_buffering off;" in text
    assert "proxy_read_timeout 10m;" in text
    assert "proxy_pass http://chat-vllm/v2;" in text
    assert "grpc_pass grpcs://grpc-triton;" in text
    assert 'location ~* "^/images/.*\\.png$"' in text
    assert "location /team" not in text


CONFIG_MAP = """\
apiVersion: v1
kind: ConfigMap
metadata:
  name: {name}
data:
{data}
---
"""


@pytest.mark.parametrize("controller", BOTH, ids=lambda one: one.name[:5])
def test_every_key_of_the_config_map(
    controller: Controller, binary: NginxBinary, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    name = "ingress-nginx-controller" if controller is ingress_nginx() else "nginx-config"
    rows = [row for rows in controller.settings.values() for row in rows if row.key]
    together = {
        "default-type": "text/plain",
        "proxy-buffer-size": "4k",
        "proxy-buffers": "4 4k",
        "proxy-busy-buffers-size": "8k",
        "proxy-http-version": "1.1",
        "ssl-protocols": "TLSv1.2",
        "ssl-ciphers": "HIGH:!aNULL",
        "large-client-header-buffers": "4 16k",
        "gzip-types": "text/event-stream text/plain",
        "brotli-types": "text/plain",
        "worker-shutdown-timeout": "1h",
        "worker-processes": "2",
        "max-worker-connections": "1000",
        "worker-connections": "1000",
        "limit-conn-status-code": "429",
        "limit-req-status-code": "429",
        "denylist-source-range": "10.0.0.0/8",
    }
    data = {
        row.key: together.get(row.key, VALUE[row.value])
        for row in rows
        if row.key and row.directive != "add_header_inherit"
    }
    data |= {"http-snippet": "map $host $one { default 1; }", "custom-http-errors": "404"}
    data |= {"http-snippets": "map $host $one { default 1; }", "location-snippets": "expires 1d;"}
    lines = "\n".join(f'  {key}: "{value}"' for key, value in data.items())
    text = CONFIG_MAP.format(name=name, data=lines) + ingress(
        {controller.prefixes[0] + "proxy-send-timeout": "10"}
    )
    alone, made = translate(text)
    accept([alone, made], binary, tmp_path, certificate)
    for row in rows:
        if row.directive != "add_header_inherit" and row.annotation != "proxy-send-timeout":
            assert f"{row.directive} " in made.text, row
    assert "proxy_send_timeout 10" in made.text
    assert "map $host $one" in made.text


VALUE = {
    "seconds": "75",
    "number": "3",
    "size": "16k",
    "time": "75s",
    "on/off": "off",
    "boolean": "true",
    "word": "auto",
    "words": "off",
    "each": "X-One,X-Two",
}
