"""Ingresses that form one server: several of one host, masters with minions, canaries."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.explain import explain
from nginx_stream_lint.analysis.lint import Options, lint, read
from nginx_stream_lint.config import Configuration, IncludeResolver, InputOptions, Source
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.kubernetes.author import ControllerAuthor
from nginx_stream_lint.kubernetes.controllers import ingress_nginx, nginx_org
from nginx_stream_lint.kubernetes.gateway_api import Objects
from nginx_stream_lint.kubernetes.gateway_reading import read_objects
from nginx_stream_lint.kubernetes.merging import (
    converted,
    groups_of,
    merged,
    virtual_server,
)
from nginx_stream_lint.kubernetes.nginx_org_policies import policies_for
from nginx_stream_lint.kubernetes.resources import VirtualServer
from nginx_stream_lint.kubernetes.translate import configurations
from nginx_stream_lint.probe import NginxBinary, check, write_certificate
from tests.kubernetes.gateways import RULES, checked, said, write
from tests.kubernetes.manifests import INGRESS_NGINX, NGINX_ORG, every_annotation, ingress
from tests.kubernetes.on_nginx import runnable_group

NGINX, ORG = "nginx.ingress.kubernetes.io/", "nginx.org/"
SITE = ingress({NGINX + "proxy-buffering": "on"}, [("/", "Prefix")]).replace("vllm", "open-webui")
API = ingress({NGINX + "proxy-read-timeout": "3600"})


def alone(*texts: str) -> list[Configuration]:
    """The configurations of single files in one folder."""
    return [
        one
        for number, text in enumerate(texts)
        for one in configurations(Source(f"{number}.yaml", text), text)
    ]


def test_each_path_has_the_annotations_of_its_own_ingress(tmp_path: Path) -> None:
    write(tmp_path, {"api.yaml": API, "site.yaml": SITE})
    report = checked(tmp_path)
    lines = {(Path(one.place.source.name).name, one.rule) for one in report.findings}
    assert ("site.yaml", "response-buffering") in lines
    assert ("api.yaml", "response-buffering") not in lines
    assert report.locations == 2
    url = "https://llm.example.com/v1/chat/completions"
    (told,) = explain(Workspace.on_disk(str(tmp_path)), str(tmp_path), [url])
    level = told.route.location
    assert level is not None
    assert level.directive is not None
    assert Path(level.directive.source.name).name == "api.yaml"


def test_a_request_is_routed_among_all_of_them(tmp_path: Path) -> None:
    """Alone, `/` would get the endpoint that another Ingress of the host has."""
    shop = SITE.replace("open-webui", "shop")
    write(tmp_path, {"site.yaml": shop, "api.yaml": API})
    report = lint(Workspace.on_disk(str(tmp_path)), options=Options(rules=RULES))
    assert {Path(one.place.source.name).name for one in report.findings} <= {"api.yaml"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (API, API.replace("name: llm\n", "name: again\n")),
        (API, SITE.replace("llm.example.com", "other.example.com")),
        (API, SITE.replace("ingressClassName: nginx", "ingressClassName: nginx-internal")),
        (API, ingress({ORG + "proxy-buffering": "True"}, [("/", "Prefix")])),
        (API, ingress({NGINX + "use-regex": "true"}, [("/a.*", "ImplementationSpecific")])),
    ],
    ids=["variant", "host", "class", "controller", "regex"],
)
def test_what_stays_alone(one: str, other: str) -> None:
    made = alone(one, other)
    assert groups_of(made) == []
    assert merged(made, IncludeResolver(Workspace.in_memory({}))) == made


def test_other_folders_stay_alone(tmp_path: Path) -> None:
    write(tmp_path, {"a/site.yaml": SITE, "b/api.yaml": API})
    found = read(Workspace.on_disk(str(tmp_path)), [str(tmp_path)], InputOptions())
    assert len([one for one in found if one.root is not None]) == 2


@pytest.mark.parametrize("seed", range(4))
def test_merged_ones_on_a_real_nginx(seed: int, binary: NginxBinary, tmp_path: Path) -> None:
    names = [name for name in every_annotation(ingress_nginx()) if name not in _APART][seed::4]
    rows = {NGINX + name: INGRESS_NGINX[name] for name in names if name in INGRESS_NGINX}
    first = ingress(rows, [("/", "Prefix"), ("/v1", "Exact")], tls=True)
    second = ingress(rows, [("/v1", "Prefix"), ("/v2", "Prefix")], tls=True)
    more = ingress(rows, [("/v3", "Exact")]).replace("vllm", "other") + second[
        second.index("    - host:") :
    ].replace("llm.example.com", "second.example.com")
    (group,) = groups_of(alone(first, second, more))
    assert len(group) == 3
    text = runnable_group(converted(group), write_certificate(tmp_path))
    ok, why = check(binary, text, tmp_path)
    assert ok, f"{why}\n{text}"
    assert text.count("server_name llm.example.com") == 1
    assert text.count("server_name second.example.com") == 1


# Each makes expressions of the paths, or something else than proxy_pass.
_APART = {
    "proxy-busy-buffers-size",
    "use-regex",
    "rewrite-target",
    "backend-protocol",
    "x-forwarded-prefix",
}


MASTER = ingress(
    {
        ORG + "mergeable-ingress-type": "master",
        ORG + "proxy-read-timeout": "1h",
        ORG + "proxy-buffering": "False",
    },
    [],
    tls=True,
).replace("      http:\n        paths:\n", "")
MINION = ingress({ORG + "mergeable-ingress-type": "minion"})


def test_a_minion_inherits_from_its_master(tmp_path: Path) -> None:
    write(tmp_path, {"master.yaml": MASTER, "minion.yaml": MINION})
    report = checked(tmp_path)
    assert report.findings == []
    assert report.locations == 1
    own = ingress({ORG + "mergeable-ingress-type": "minion", ORG + "proxy-buffering": "True"})
    write(tmp_path, {"minion.yaml": own})
    # The master's TLS makes the stream stall.
    assert said(checked(tmp_path)) == {("error", "response-buffering")}
    (finding,) = checked(tmp_path).findings
    assert (Path(finding.place.source.name).name, finding.place.line) == ("minion.yaml", 7)
    assert finding.fix is not None
    assert finding.fix.applicability == "safe"


def test_a_minion_alone_is_checked_as_before(tmp_path: Path) -> None:
    write(tmp_path, {"minion.yaml": MINION})
    assert ("error", "short-read-timeout") in said(checked(tmp_path))


def test_a_master_with_minions_on_a_real_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    apart = {"add-header-inherit", "grpc-services", "path-regex", "proxy-busy-buffers-size"}
    names = [name for name in every_annotation(nginx_org()) if name not in apart]
    rows = {ORG + name: NGINX_ORG[name] for name in names if name in NGINX_ORG}
    master = MASTER.replace("  annotations:\n", "  annotations:\n" + _lines(rows))
    other = ingress({ORG + "mergeable-ingress-type": "minion", **rows}, [("/b", "Prefix")])
    (group,) = groups_of(alone(MINION, master, other))
    text = runnable_group(converted(group), write_certificate(tmp_path))
    ok, why = check(binary, text, tmp_path)
    assert ok, f"{why}\n{text}"
    assert text.count("    server {") == 1
    assert "location /v1/chat/completions {" in text
    assert "location /b {" in text
    assert "location / {" not in text


def _lines(rows: dict[str, str]) -> str:
    text = ingress(rows)
    return text[text.index("  annotations:\n") + len("  annotations:\n") : text.index("spec:")]


def test_a_canary_only_adds_a_backend(tmp_path: Path) -> None:
    """ingress-nginx ignores the other annotations of a canary."""
    canary = ingress({NGINX + "canary": "true", NGINX + "proxy-buffering": "on"}, tls=True)
    write(tmp_path, {"api.yaml": API, "canary.yaml": canary.replace("vllm", "vllm-canary")})
    report = checked(tmp_path)
    assert report.locations == 1
    assert {Path(one.place.source.name).name for one in report.findings} <= {"api.yaml"}
    off = canary.replace("canary: 'true'", "canary: 'false'").replace("/v1/chat", "/v2/chat")
    write(tmp_path, {"canary.yaml": off})
    assert ("error", "response-buffering") in said(checked(tmp_path))


SERVER = """\
apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata:
  name: llm
spec:
  host: llm.example.com
  tls: {secret: llm}
  policies:
    - name: limits
  upstreams:
    - {name: vllm, service: vllm, port: 8000, buffering: BUFFERING, read-timeout: 1h}
  routes:
    - path: /v1/chat/completions
      policies:
        - name: caches
      action: {pass: vllm}
"""
POLICIES = """\
apiVersion: k8s.nginx.org/v1
kind: Policy
metadata:
  name: caches
spec:
  cache:
    cacheZoneName: api
    cacheZoneSize: 10m
    allowedCodes: [200, 301]
    allowedMethods: [GET, HEAD, POST]
    time: 10m
    overrideUpstreamCache: true
    cacheMinUses: 1
    lock: {enable: true}
    conditions: {noCache: [$http_x_fresh], bypass: [$http_x_fresh]}
---
apiVersion: k8s.nginx.org/v1
kind: Policy
metadata:
  name: limits
spec:
  rateLimit: {rate: 10r/s, key: "${binary_remote_addr}", zoneSize: 5m, burst: 3, noDelay: true}
"""


def test_a_policy_in_another_file_records_the_stream(tmp_path: Path) -> None:
    server = SERVER.replace("BUFFERING", "true")
    write(tmp_path, {"server.yaml": server})
    assert said(checked(tmp_path)) == {("error", "response-buffering")}
    write(tmp_path, {"policies.yaml": POLICIES})
    report = checked(tmp_path)
    found = {one.rule: one for one in report.findings}
    recorded = found["recorded-stream"]
    places = [recorded.place, *(one.place for one in recorded.related)]
    assert "policies.yaml" in {Path(one.source.name).name for one in places}
    assert found["few-connections"].place.source.name.endswith("policies.yaml")


def test_policies_on_a_real_nginx(binary: NginxBinary, tmp_path: Path) -> None:
    source = Source("all.yaml", f"{SERVER.replace('BUFFERING', 'false')}---\n{POLICIES}")
    (one,) = configurations(source, source.text)
    assert one.root is not None
    author = one.root.reading.author
    assert isinstance(author, ControllerAuthor)
    assert isinstance(author.resource, VirtualServer)
    objects = Objects(read_objects(MappedText(source, source.text)))
    maker = virtual_server(author, policies_for(author.resource, objects))
    text = runnable_group(maker, write_certificate(tmp_path))
    cache = f'"{tmp_path}/caches"'
    ok, why = check(binary, text.replace("/var/cache/nginx/caches", cache), tmp_path)
    assert ok, f"{why}\n{text}"
    for line in (
        "proxy_cache_path /var/cache/nginx/caches keys_zone=caches:10m;",
        'limit_req_zone "${binary_remote_addr}" zone=limits_limit:5m rate=10r/s;',
        "limit_req zone=limits_limit burst=3 nodelay;",
        "proxy_cache caches;",
        "proxy_cache_valid 200 10m;",
        "proxy_cache_methods GET HEAD POST;",
        "proxy_cache_lock on;",
        "proxy_no_cache $http_x_fresh;",
    ):
        assert line in text
