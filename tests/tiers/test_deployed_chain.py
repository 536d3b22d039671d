"""nginx in front of nginx, as a deployment shows it: by names, aliases and ports, or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint import Workspace, explain, lint
from nginx_stream_lint.deployment import read
from tests.command import run

COMPOSE = """services:
  edge:
    image: nginx:1.31
    volumes: ["./edge.conf:/etc/nginx/nginx.conf"]
  web:
    image: nginx:1.22
    container_name: web-1
    volumes: ["./web.conf:/etc/nginx/nginx.conf"]
    networks: {default: {aliases: [frontend]}}
  api:
    image: vllm/vllm-openai:latest
"""
EDGE = """events {}
http {
    server {
        listen 80;
        location / {
            proxy_pass http://%s;
            proxy_read_timeout 1h;
        }
    }
}
"""
WEB = """events {}
http {
    server {
        listen 8080;
        location /v1/ {
            proxy_pass http://api:8000;
            proxy_read_timeout 1h;
        }
    }
}
"""


def written(folder: Path, target: str, compose: str = COMPOSE, web: str = WEB) -> Path:
    for name, text in (
        ("compose.yaml", compose),
        ("edge.conf", EDGE % target),
        ("web.conf", web),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / ".git").mkdir(exist_ok=True)
    return folder


def explained(folder: Path, conf: str = "edge.conf", url: str = "/v1/chat") -> dict[str, Any]:
    told = run("explain", conf, url, "--format", "json", cwd=folder)
    assert told.returncode == 0, told.stderr
    one: dict[str, Any] = json.loads(told.stdout)[0]
    return one


def places(one: dict[str, Any]) -> list[str]:
    return [f"{tier['file']}:{tier['line']}" for tier in one["tiers"]]


@pytest.mark.parametrize("name", ["web", "frontend", "web-1", "WEB"])
def test_a_service_is_found_by_each_of_its_names(name: str, tmp_path: Path) -> None:
    one = explained(written(tmp_path, f"{name}:8080"))
    assert places(one) == ["web.conf:5", "edge.conf:5"]
    # 1.22 asks the app in HTTP/1.0, and 1.31 asks 1.22 in HTTP/1.1.
    assert [tier["held_by"] for tier in one["tiers"]] == ["upstream-buffer", None]


@pytest.mark.parametrize("target", ["web", "web:81", "api:8000", "other:8080", "edge:8080"])
def test_the_path_ends_at_an_address_without_an_nginx(target: str, tmp_path: Path) -> None:
    assert places(explained(written(tmp_path, target))) == ["edge.conf:5"]


def test_a_published_port_is_not_one_of_the_network(tmp_path: Path) -> None:
    published = COMPOSE.replace("container_name: web-1", 'ports: ["8090:8080"]')
    assert places(explained(written(tmp_path, "web:8090", published))) == ["edge.conf:5"]
    assert places(explained(written(tmp_path, "web:8080", published)))[0] == "web.conf:5"


def test_a_name_of_two_different_services_is_unknown(tmp_path: Path) -> None:
    folder = written(tmp_path, "web:8080")
    other = COMPOSE.replace("nginx:1.22", "nginx:1.30").replace("./web.conf", "./web2.conf")
    (folder / "compose.yaml").unlink()
    alone = "services:\n" + COMPOSE.split("services:\n")[1].split("  web:", maxsplit=1)[0]
    (folder / "compose.yaml").write_text(alone, encoding="utf-8")
    (folder / "compose.one.yaml").write_text(COMPOSE, encoding="utf-8")
    (folder / "compose.two.yaml").write_text(other, encoding="utf-8")
    (folder / "web2.conf").write_text(WEB, encoding="utf-8")
    first = explained(folder)
    assert len({*places(first)} & {"web.conf:5", "web2.conf:5"}) < 2


MANIFEST = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: front
  annotations: {nginx.ingress.kubernetes.io/proxy-buffering: "on"}
spec:
  ingressClassName: nginx
  rules:
    - host: chat.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 80}}}}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: %s}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: nginx
          image: nginx:1.22
          ports: [{name: http, containerPort: 8080}]
          volumeMounts: [{name: conf, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}]
      volumes: [{name: conf, configMap: {name: conf}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data:
  nginx.conf: |
    events {}
    http {
      server {
        listen 8080;
        location /v1/ { proxy_pass http://api:8000; proxy_read_timeout 1h; }
      }
    }
"""


ROUTE = """apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec:
  gatewayClassName: nginx
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: front}
spec:
  parentRefs: [{name: edge, namespace: infra}]
  hostnames: [chat.example.com]
  rules:
    - backendRefs: [{name: web, port: 80}]
---
"""
GATEWAY, HTTP_ROUTE, _ = ROUTE.split("---\n")
POD = MANIFEST.partition("---\n")[2] % "http"
VIRTUAL_SERVER = """apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: front}
spec:
  host: chat.example.com
  upstreams: [{name: inner, service: web, port: 80}]
  routes: [{path: /, action: {pass: inner}}]
"""


@pytest.mark.parametrize(("port", "tiers"), [("http", 2), ("8080", 2), ("9090", 1), ("other", 1)])
@pytest.mark.parametrize("front", ["Ingress", "Gateway"])
def test_a_controller_leads_through_a_service_to_a_pod(
    front: str, port: str, tiers: int, tmp_path: Path
) -> None:
    text = MANIFEST if front == "Ingress" else ROUTE + MANIFEST.partition("---\n")[2]
    (tmp_path / "k8s.yaml").write_text(text % port, encoding="utf-8")
    one = explained(tmp_path, "k8s.yaml", "http://chat.example.com/v1/chat")
    assert len(one["tiers"]) == tiers
    assert one["tiers"][-1]["line"] == (12 if front == "Ingress" else 15)
    if tiers == 2:
        assert (one["tiers"][0]["name"], one["tiers"][0]["held_by"]) == (
            "location /v1/",
            "upstream-buffer",
        )


def in_namespace(text: str, namespace: str) -> str:
    return text.replace("metadata: {name", f"metadata: {{namespace: {namespace}, name")


@pytest.mark.parametrize(
    "front",
    [MANIFEST.partition("---\n")[0], ROUTE, VIRTUAL_SERVER],
    ids=["Ingress", "Gateway", "VS"],
)
def test_explain_of_a_front_alone_finds_the_pod_around_it(front: str, tmp_path: Path) -> None:
    (tmp_path / "front.yaml").write_text(front, encoding="utf-8")
    (tmp_path / "pod.yaml").write_text(POD, encoding="utf-8")
    (tmp_path / "other.yaml").write_text(POD.replace("web", "other"), encoding="utf-8")
    one = explained(tmp_path, "front.yaml", "http://chat.example.com/v1/chat")
    assert [tier["file"] for tier in one["tiers"]] == ["pod.yaml", "front.yaml"]


def test_manifests_without_nginx_are_not_read_for_explain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    front = str(tmp_path / "front.yaml")
    (tmp_path / "front.yaml").write_text(MANIFEST.partition("---\n")[0], encoding="utf-8")
    (tmp_path / "pod.yaml").write_text(POD.replace("nginx:1.22", "httpd:2"), encoding="utf-8")
    monkeypatch.setattr(read, "read_deployment", None)
    (one,) = explain(Workspace.on_disk(front), front, ["http://chat.example.com/v1/chat"])
    assert len(one.tiers) == 1
    (tmp_path / "pod.yaml").write_text(POD, encoding="utf-8")
    with pytest.raises(TypeError, match="not callable"):
        explain(Workspace.on_disk(front), front, ["http://chat.example.com/v1/chat"])
    # A lint of the file alone needs no other manifest.
    assert not lint(Workspace.on_disk(front)).problems


def in_template(text: str) -> str:
    return text.replace("name: web", 'name: "{{ .Release.Name }}-web"', 1)


CHAT, IMAGES = (in_namespace(POD, name) for name in ("chat", "images"))
OF_IMAGES = POD.replace("/v1/", "/v2/")


@pytest.mark.parametrize(
    ("files", "inner"),
    [
        # The nearest Service counts, wherever the Gateway is.
        (
            {
                "clusters/eu/gateway.yaml": GATEWAY,
                "apps/chat/route.yaml": HTTP_ROUTE,
                "apps/chat/base/pod.yaml": POD,
                "apps/images/base/pod.yaml": OF_IMAGES,
            },
            "apps/chat/base/pod.yaml",
        ),
        ({"edge/gateway/all.yaml": ROUTE, "other/pods/web.yaml": POD}, None),
        (
            {
                "gateway.yaml": GATEWAY,
                "route.yaml": in_namespace(HTTP_ROUTE, "images"),
                "chat.yaml": CHAT,
                "images.yaml": IMAGES,
            },
            "images.yaml",
        ),
        (
            {
                "gateway.yaml": GATEWAY,
                "route.yaml": in_namespace(HTTP_ROUTE, "infra").replace(
                    "{name: web,", "{name: web, namespace: chat,"
                ),
                "chat.yaml": CHAT,
                "images.yaml": IMAGES,
            },
            "chat.yaml",
        ),
        ({"all.yaml": in_namespace(ROUTE, "other") + CHAT}, None),
        ({"all.yaml": ROUTE + POD, "other.yaml": OF_IMAGES}, "all.yaml"),
        (
            {
                "Chart.yaml": "apiVersion: v2\nname: chat\nversion: 1.0.0\n",
                "templates/route.yaml": ROUTE.replace(
                    "name: web,", 'name: "{{ .Release.Name }}-web",'
                ),
                "templates/pod.yaml": in_template(POD),
            },
            "templates/pod.yaml",
        ),
        (
            {
                "base/kustomization.yaml": "resources: [route.yaml, pod.yaml]\n",
                "base/route.yaml": ROUTE,
                "base/pod.yaml": POD,
                "prod/kustomization.yaml": "resources: [../base]\nnamePrefix: prod-\n",
            },
            "base/pod.yaml",
        ),
        ({"front.yaml": VIRTUAL_SERVER, "pod.yaml": POD}, "pod.yaml"),
    ],
    ids=[
        "nearest", "elsewhere", "namespace", "of the reference", "other namespace", "same file",
        "Helm", "kustomize", "VirtualServer",
    ],
)  # fmt: skip
def test_the_service_that_a_manifest_means(
    files: dict[str, str], inner: str | None, tmp_path: Path
) -> None:
    (tmp_path / ".git").mkdir()
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = lint(Workspace.on_disk(str(tmp_path)), [str(tmp_path)]).findings
    passed = {
        Path(one.place.source.name).relative_to(tmp_path).as_posix()
        for one in found
        if one.instance is not None and any("also passes" in other.message for other in one.related)
    }
    assert passed == (set() if inner is None else {inner})


def test_lint_checks_the_front_for_the_streams_behind_it(tmp_path: Path) -> None:
    streams = WEB.replace("1h;", "1h; # nginx-stream-lint: stream sse x_accel_buffering=no")
    folder = written(tmp_path, "web:8080", COMPOSE.replace("nginx:1.31", "nginx:1.22"), streams)
    result = lint(Workspace.on_disk(str(folder)), [str(folder)])
    found = [
        (one.rule, one.instance, one.location.label)
        for one in result.findings
        if one.severity == "error"
    ]
    assert found == [("swallowed-accel-header", "web", "location /v1/")]
    alone = lint(Workspace.on_disk(str(folder)), [str(folder / "edge.conf")])
    assert alone.findings == []
