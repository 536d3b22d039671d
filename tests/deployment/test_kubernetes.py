"""Kubernetes manifests and kustomizations: the nginx in pods."""

from __future__ import annotations

import pytest

from tests.deployment.reading import deployment, files, instance, notes

DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: prod}
spec:
  replicas: 2
  template:
    metadata: {labels: {app: web, tier: front}}
    spec:
      containers:
        - name: nginx
          image: nginx:1.27.3
          args: [nginx, -c, $(CONF), -g, 'daemon off;']
          ports: [{containerPort: 80}]
          env:
            - {name: CONF, value: /etc/nginx/nginx.conf}
            - {name: TIMEOUT, valueFrom: {configMapKeyRef: {name: config, key: timeout}}}
            - {name: SECRET, valueFrom: {secretKeyRef: {name: s, key: k}}}
          envFrom: [{configMapRef: {name: config}}]
          volumeMounts:
            - {name: conf, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
            - {name: sites, mountPath: /etc/nginx/conf.d}
            - {name: cache, mountPath: /var/cache/nginx}
      volumes:
        - {name: conf, configMap: {name: config}}
        - {name: sites, configMap: {name: config, items: [{key: site, path: a.conf}]}}
        - {name: cache, emptyDir: {}}
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: config, namespace: prod}
data:
  nginx.conf: |
    events {}
  site: |
    server {}
  timeout: 60s
"""
SERVICE = """\
kind: Service
metadata: {name: front, namespace: prod}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: 443, targetPort: 80}]}
---
kind: Service
metadata: {name: other, namespace: prod}
spec: {selector: {app: web, tier: back}, ports: [{port: 80}]}
---
kind: Ingress
metadata: {name: i}
spec:
  rules:
    - {host: example.com, http: {paths: [{path: /, backend: {service: {name: front, port: {number: 443}}}}]}}
"""


def test_a_deployment_with_files_of_a_config_map() -> None:
    found = deployment({"k/a.yaml": f"{DEPLOYMENT}---\n{CONFIG}", "k/b.yaml": SERVICE})
    one = instance(found)
    assert (one.name, one.project, str(one.origin)) == ("web", "k", "k/a.yaml:10")
    assert one.versions is not None
    assert str(one.versions.origin) == "k/a.yaml:11"
    assert files(one) == {
        "/etc/nginx/nginx.conf": "k/a.yaml",
        "/etc/nginx/conf.d/a.conf": "k/a.yaml",
        "/var/cache/nginx": None,
    }
    placed = one.at("/etc/nginx/conf.d/a.conf")
    assert placed is not None
    assert (placed.key, str(placed.origin)) == ("site", "k/a.yaml:34")
    # The mount hides what the image has.
    assert one.at("/etc/nginx/conf.d/default.conf").how == "removed"  # type: ignore[union-attr]
    assert dict(one.environment) == {
        "nginx.conf": "events {}\n", "site": "server {}\n", "timeout": "60s",
        "CONF": "/etc/nginx/nginx.conf", "TIMEOUT": "60s", "SECRET": None,
    }  # fmt: skip
    assert one.command is not None
    assert one.command.config == "/etc/nginx/nginx.conf"
    assert one.names == (
        "front", "front.prod", "front.prod.svc", "front.prod.svc.cluster.local", "example.com",
    )  # fmt: skip
    assert [(port.outside, port.inside) for port in one.ports] == [("443", "80")]
    assert found.services[0].replicas == 2


@pytest.mark.parametrize(
    ("kind", "start"),
    [
        ("Pod", ""), ("StatefulSet", "template: "), ("DaemonSet", "template: "),
        ("CronJob", "jobTemplate: {spec: {template: "),
    ],
)  # fmt: skip
def test_other_workloads(kind: str, start: str) -> None:
    pod = "{spec: {containers: [{name: a, image: 'nginx:1.25.5'}]}}"
    spec = pod[7:-1] if kind == "Pod" else f"{{{start}{pod}{'}' * start.count('{')}}}"
    found = deployment({"a.yaml": f"kind: {kind}\nmetadata: {{name: x}}\nspec: {spec}\n"})
    one = instance(found)
    assert one.versions is not None
    assert one.versions.text == "1.25.5"


def test_a_config_map_that_is_not_there_or_not_the_only_one() -> None:
    found = deployment({"a.yaml": DEPLOYMENT})
    assert set(files(instance(found)).values()) == {None}
    assert not instance(found).is_environment_complete
    assert len(found.notes) == 2
    elsewhere = deployment({"a/a.yaml": DEPLOYMENT, "b/b.yaml": CONFIG})
    assert files(instance(elsewhere))["/etc/nginx/nginx.conf"] == "b/b.yaml"
    twice = deployment({"a/a.yaml": DEPLOYMENT, "b/b.yaml": CONFIG, "c/c.yaml": CONFIG})
    assert files(instance(twice))["/etc/nginx/nginx.conf"] is None


def test_lists_and_pods_with_several_containers() -> None:
    found = deployment(
        {
            "a.yaml": """\
                kind: List
                items:
                  - kind: Pod
                    metadata: {name: p, labels: {a: b}}
                    spec:
                      containers:
                        - {name: web, image: 'nginx:1.27.3', ports: [{containerPort: 80}]}
                        - {name: llm, image: 'ollama/ollama', ports: [{containerPort: 11434}]}
                  - kind: Service
                    metadata: {name: s}
                    spec: {selector: {a: b}, type: NodePort, ports: [{port: 80, nodePort: 30080}]}
                """
        }
    )
    one = instance(found)
    assert (one.name, one.names) == ("web", ("s",))
    assert [(port.outside, port.inside) for port in one.ports] == [("30080", "80")]


def test_templates_of_charts_are_unknown_where_they_must_be_rendered() -> None:
    found = deployment(
        {
            "chart/templates/a.yaml": """\
                kind: Deployment
                metadata:
                  name: {{ include "x.name" . }}-nginx
                spec:
                  template:
                    spec:
                      containers:
                        - name: nginx
                          image: "{{ .Values.image }}:{{ .Values.tag }}"
                          volumeMounts:
                            - {name: conf, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
                      volumes:
                        - name: conf
                          configMap:
                            name: {{ include "x.name" . }}-conf
                """,
            "chart/templates/b.yaml": """\
                kind: ConfigMap
                metadata:
                  name: {{ include "x.name" . }}-conf
                data:
                  nginx.conf: |
                    events {}
                """,
        }
    )
    one = instance(found)
    assert one.versions is None
    assert files(one) == {"/etc/nginx/nginx.conf": "chart/templates/b.yaml"}
    assert len(found.notes) == 1


def test_a_kustomization() -> None:
    found = deployment(
        {
            "base/kustomization.yaml": """\
                resources: [deployment.yaml, service.yaml]
                configMapGenerator:
                  - name: config
                    files: [nginx.conf, site=sites/main.conf]
                    literals: [timeout=5m]
                """,
            "base/deployment.yaml": DEPLOYMENT,
            "base/service.yaml": SERVICE,
            "base/nginx.conf": "", "base/sites/main.conf": "",
            "overlay/kustomization.yaml": """\
                resources: [../base]
                namePrefix: my-
                images: [{name: nginx, newTag: 1.29.8-alpine}]
                replicas: [{name: web, count: 5}]
                patches:
                  - path: patch.yaml
                  - target: {kind: Deployment, name: web}
                    patch: |
                      - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: ADDED, value: x}}
                      - {op: remove, path: /spec/template/spec/containers/0/args}
                """,
            "overlay/patch.yaml": """\
                kind: Deployment
                metadata: {name: web}
                spec:
                  template:
                    spec:
                      containers:
                        - name: nginx
                          env: [{name: CONF, value: /other.conf}]
                          volumeMounts: [{mountPath: /var/cache/nginx, $patch: delete}]
                """,
        }
    )  # fmt: skip
    one = instance(found)
    assert (one.name, one.project) == ("my-web", "overlay/kustomization.yaml")
    assert one.versions is not None
    assert (one.versions.text, str(one.versions.origin)) == (
        "1.29.8",
        "overlay/kustomization.yaml:3",
    )
    assert files(one) == {
        "/etc/nginx/nginx.conf": "base/nginx.conf",
        "/etc/nginx/conf.d/a.conf": "base/sites/main.conf",
    }
    environment = dict(one.environment)
    assert (environment["CONF"], environment["ADDED"], environment["TIMEOUT"]) == (
        "/other.conf",
        "x",
        "5m",
    )
    assert one.command is not None
    assert one.command.words == ("nginx", "-g", "daemon off;")
    assert one.names[0] == "my-front"
    assert found.services[0].replicas == 5
    assert notes(found) == []


def test_what_a_kustomization_changes_otherwise_is_a_note() -> None:
    found = deployment(
        {
            "kustomization.yaml": "resources: [a.yaml, ../, https://example.com/x, none.yaml, sub]\nhelmCharts: [{}]\n",
            "a.yaml": DEPLOYMENT, "sub/kustomization.yaml": "resources: [../]",
        }
    )  # fmt: skip
    text = "\n".join(notes(found))
    assert "helmCharts of this kustomization are not read" in text
    assert "a resource is not in the repository" in text
    assert "the resource none.yaml does not exist" in text
    assert "includes itself" in text


@pytest.mark.parametrize(
    "text",
    [
        "kind: Pod", "kind: Pod\nmetadata: {name: x}\nspec: nginx", "kind: List\nitems: x",
        "kind: Pod\nmetadata: {name: x}\nspec: {containers: [nginx, {}, {image: [nginx]}]}",
        "kind: Pod\nmetadata: {name: x}\nspec: {containers: [{image: nginx, volumeMounts: [{}, x],"
        " env: [{}, x, {name: a}], envFrom: [x, {}], ports: [x, {}], command: nginx}], volumes: [x, {}]}",
        "kind: Pod\nmetadata: {name: nginx", "kind: &a Pod\nmetadata: &m {name: x, y: *m}\nspec: *m",
        "kind: List\nitems: &i [{kind: List, items: *i}]",
        "kind: Pod\nmetadata: {name: nginx}\nspec: {containers: [" + "[" * 5000,
    ],
)  # fmt: skip
def test_bad_manifests_are_no_trouble(text: str) -> None:
    deployment(
        {
            "a.yaml": text,
            "kustomization.yaml": "resources: [a.yaml]\npatches: [{path: a.yaml}, x, {}]",
        }
    )
    deployment({"a.yaml": text, "kustomization.yaml": text})


ROUTE = """\
kind: HTTPRoute
metadata: {name: i}
spec:
  hostnames: [example.com, "*.example.org"]
  rules:
    - backendRefs: [{name: other, port: 80}, {name: SERVICE, port: 443}]
"""


def test_a_route_of_the_gateway_api_names_a_deployment() -> None:
    service = SERVICE[: SERVICE.index("---\nkind: Ingress")]
    for name, hosts in (("front", {"example.com", "*.example.org"}), ("another", set())):
        route = ROUTE.replace("SERVICE", name)
        files = {"k/a.yaml": f"{DEPLOYMENT}---\n{CONFIG}", "k/b.yaml": f"{service}---\n{route}"}
        assert {one for one in instance(deployment(files)).names if "example" in one} == hosts
