"""Kubernetes manifests and kustomizations: the nginx in pods."""

from __future__ import annotations

from textwrap import dedent

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


def test_a_missing_or_ambiguous_config_map() -> None:
    found = deployment({"a.yaml": DEPLOYMENT})
    assert set(files(instance(found)).values()) == {None}
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


def test_other_changes_of_a_kustomization_are_notes() -> None:
    found = deployment(
        {
            "kustomization.yaml": "resources: [a.yaml, ../, https://example.com/x, none.yaml, sub]\nhelmCharts: [{}]\n",
            "a.yaml": DEPLOYMENT, "sub/kustomization.yaml": "resources: [../]",
        }
    )  # fmt: skip
    text = "\n".join(notes(found))
    assert "this kustomization uses helmCharts, which is not supported" in text
    assert "this resource is not in the repository" in text
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
def test_invalid_manifests_raise_no_error(text: str) -> None:
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


EDGE = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec:
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
        - name: nginx
          image: nginx:1.27.3
          ports: [{name: web, containerPort: 8080}]
          volumeMounts: [{name: v, MOUNT}]
      volumes: [{name: v, VOLUME}]
---
kind: ConfigMap
metadata: {name: sites}
data:
  a.conf: server { listen 80; }
  b.conf: server { listen 81; }
binaryData:
  c.conf: c2VydmVyIHt9Cg==
  tls.key: aGlkZGVuCg==
---
kind: Secret
metadata: {name: hidden}
stringData:
  s.conf: server { listen 82; }
data:
  t.conf: c2VydmVyIHt9Cg==
"""
FOLDER = "/etc/nginx/conf.d"


@pytest.mark.parametrize(
    ("mount", "volume", "placed", "is_complete"),
    [
        (
            f"mountPath: {FOLDER}",
            "configMap: {name: sites}",
            {"a.conf": "a.conf", "b.conf": "b.conf", "c.conf": None, "tls.key": None},
            True,
        ),
        (
            f"mountPath: {FOLDER}",
            "configMap: {name: sites, items: [{key: b.conf, path: x/default.conf}]}",
            {"x/default.conf": "b.conf"},
            True,
        ),
        (
            f"mountPath: {FOLDER}/z.conf, subPath: b.conf",
            "configMap: {name: sites}",
            {"z.conf": "b.conf"},
            None,
        ),
        (
            f"mountPath: {FOLDER}/z.conf, subPath: z",
            "configMap: {name: sites, items: [{key: b.conf, path: z}]}",
            {"z.conf": "b.conf"},
            None,
        ),
        (
            f"mountPath: {FOLDER}/z.conf, subPathExpr: $(UNKNOWN)",
            "configMap: {name: sites}",
            {"z.conf": None},
            None,
        ),
        (
            f"mountPath: {FOLDER}",
            "secret: {secretName: hidden}",
            {"s.conf": "s.conf", "t.conf": None},
            True,
        ),
        (
            f"mountPath: {FOLDER}",
            "projected: {sources: [{configMap: {name: sites, items: [{key: a.conf, path: d}]}},"
            " {secret: {name: hidden}}]}",
            {"d": "a.conf", "s.conf": "s.conf", "t.conf": None},
            True,
        ),
        # Other sources may add files, but those of the ConfigMap are certain.
        (
            f"mountPath: {FOLDER}",
            "projected: {sources: [{configMap: {name: sites, items: [{key: a.conf, path: d}]}},"
            " {configMap: {name: elsewhere}}]}",
            {"d": "a.conf"},
            False,
        ),
        (f"mountPath: {FOLDER}", "emptyDir: {}", {}, False),
    ],
)
def test_files_of_volumes(
    mount: str, volume: str, placed: dict[str, str | None], is_complete: bool | None
) -> None:
    text = EDGE.replace("MOUNT", mount).replace("VOLUME", volume)
    whole = deployment({"k/edge.yaml": text})
    one = instance(whole)
    assert not any("tls.key" in note for note in notes(whole))  # no configuration
    found = {
        file.inside.removeprefix(f"{FOLDER}/"): file.key
        for file in one.files
        if file.how != "image" and not file.is_folder
    }
    found.pop(FOLDER, None)
    assert found == placed
    hides = [file.how for file in one.files if file.inside == FOLDER]
    expected = {True: ["removed"], False: ["volume"], None: []}[is_complete]
    assert hides == expected


def test_a_service_may_name_the_port() -> None:
    text = EDGE.replace("MOUNT", f"mountPath: {FOLDER}").replace("VOLUME", "emptyDir: {}")
    service = """\
        ---
        kind: Service
        metadata: {name: front, namespace: NAMESPACE}
        spec: {type: NodePort, selector: {app: edge}, ports: [{port: 80, targetPort: web, nodePort: 30080}]}
        """
    found = deployment({"k/edge.yaml": text + dedent(service)})
    assert instance(found).service_ports == ((80, 8080),)
    # A Service selects pods of its own namespace.
    other = text.replace("metadata: {name: edge}", "metadata: {name: edge, namespace: other}")
    assert instance(deployment({"k/edge.yaml": other + dedent(service)})).service_ports == ()


@pytest.mark.parametrize("kind", ["ReplicationController", "DeploymentConfig", "Rollout"])
def test_more_kinds_of_workloads(kind: str) -> None:
    text = EDGE.replace("MOUNT", f"mountPath: {FOLDER}").replace("VOLUME", "emptyDir: {}")
    one = instance(deployment({"k/edge.yaml": text.replace("kind: Deployment", f"kind: {kind}")}))
    assert one.versions is not None
    assert one.versions.text == "1.27.3"


def test_a_sidecar_may_be_an_init_container() -> None:
    pod = """\
        kind: Pod
        metadata: {name: edge}
        spec:
          initContainers:
            - {name: nginx, image: 'nginx:1.27.3', restartPolicy: Always}
            - {name: first, image: 'nginx:1.25.5'}
          containers: [{name: app, image: app}]
        """
    found = deployment({"k/pod.yaml": pod})
    assert [one.versions and one.versions.text for one in found.instances] == ["1.27.3"]


def test_each_file_has_its_own_config_map() -> None:
    """Variants of a deployment often are in one folder, with equal names."""
    text = EDGE.replace("MOUNT", f"mountPath: {FOLDER}").replace(
        "VOLUME", "configMap: {name: sites}"
    )
    found = deployment({"k/dev.yaml": text, "k/prod.yaml": text})
    placed = [files(one)[f"{FOLDER}/a.conf"] for one in found.instances]
    assert placed == ["k/dev.yaml", "k/prod.yaml"]


def test_patches_and_generators_of_a_kustomization() -> None:
    kustomization = """\
        namePrefix: dev-
        resources: [edge.yaml]
        images: [{name: nginx, newName: docker.io/library/nginx, newTag: 1.28.0}]
        replicas: [{name: edge, count: 5}]
        configMapGenerator:
          - name: sites
            files: [default.conf, other.conf=x/site.conf]
            literals: [A=1, "B='two words'"]
          - {name: more, envs: [web.env], literals: ["B='two words'"]}
        patches:
          - target: {kind: Deployment, name: edge}
            patch: |-
              - {op: add, path: /spec/template/spec/containers/0/env, value: [{name: X, value: "1"}]}
              - {op: test, path: /kind, value: Deployment}
          - path: patch.yaml
        patchesStrategicMerge:
          - |-
            kind: Deployment
            metadata: {name: edge}
            spec: {template: {spec: {containers: [{name: nginx, envFrom: [{configMapRef: {name: more}}]}]}}}
        patchesJson6902:
          - {target: {group: apps, version: v1, kind: Deployment, name: edge}, path: patch.json}
        """
    edge, _, _ = EDGE.partition("---")
    found = deployment(
        {
            "kustomization.yaml": kustomization,
            "edge.yaml": edge.replace("MOUNT", f"mountPath: {FOLDER}").replace(
                "VOLUME", "configMap: {name: sites}"
            ),
            "patch.yaml": """\
                kind: Deployment
                metadata: {name: edge}
                spec: {template: {spec: {containers: [{name: nginx, args: [nginx-debug]}]}}}
                """,
            "patch.json": """\
                [{"op": "add", "path": "/spec/template/spec/containers/0/env/-",
                  "value": {"name": "Y", "value": "2"}}]
                """,
            "default.conf": "",
            "x/site.conf": "",
            "web.env": "# a comment\nREAD=60s\n",
        }
    )
    one = instance(found)
    assert (one.name, one.versions and one.versions.text) == ("dev-edge", "1.28.0")
    placed = files(one)
    assert placed[f"{FOLDER}/default.conf"] == "default.conf"
    assert placed[f"{FOLDER}/other.conf"] == "x/site.conf"
    assert dict(one.environment) == {"READ": "60s", "B": "two words", "X": "1", "Y": "2"}
    assert str(one.environment_at["READ"]) == "web.env:2"
    assert one.command is not None
    assert one.command.words == ("nginx-debug",)
    assert notes(found) == []


def test_a_container_without_an_image_is_a_patch() -> None:
    patch = """\
        kind: Deployment
        metadata: {name: edge}
        spec: {template: {spec: {containers: [{name: nginx, command: [nginx]}]}}}
        """
    assert deployment({"k/patch.yaml": patch}).instances == ()


@pytest.mark.parametrize(
    ("kind", "name"), [("Rollout", "rollout.yaml"), ("ReplicationController", "rc.yaml")]
)
def test_each_kind_is_found_in_a_separate_file(kind: str, name: str) -> None:
    workload, _, rest = EDGE.partition("---\n")
    text = workload.replace("MOUNT", f"mountPath: {FOLDER}").replace(
        "VOLUME", "secret: {secretName: hidden}"
    )
    config, _, secret = rest.partition("---\n")
    found = deployment(
        {
            f"k/{name}": text.replace("kind: Deployment", f"kind: {kind}"),
            "k/config.yaml": config,
            "k/secret.yaml": secret,
        }
    )
    assert files(instance(found))[f"{FOLDER}/s.conf"] == "k/secret.yaml"


def test_a_component_changes_what_is_beside_it() -> None:
    """Its patches apply to the resources of the kustomization that names it."""
    made = deployment(
        {
            "a.yaml": DEPLOYMENT,
            "part/kustomization.yaml": "kind: Component\npatches: [{path: patch.yaml}]\n",
            "part/patch.yaml": (
                "kind: Deployment\nmetadata: {name: web}\n"
                "spec: {template: {spec: {containers: [{name: nginx, image: 'nginx:1.31.0'}]}}}\n"
            ),
            "prod/kustomization.yaml": "resources: [../a.yaml]\ncomponents: [../part]\n",
        }
    )
    one = instance(made)
    assert one.versions is not None
    assert one.versions.text == "1.31.0"


def test_a_patch_deletes_a_workload() -> None:
    made = deployment(
        {
            "a.yaml": DEPLOYMENT,
            "kustomization.yaml": "resources: [a.yaml]\npatches: [{path: patch.yaml}]\n",
            "patch.yaml": "kind: Deployment\nmetadata: {name: web}\n$patch: delete\n",
        }
    )
    assert made.instances == ()
