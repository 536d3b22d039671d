"""Which controller reads what, and where Ingresses are found."""

from __future__ import annotations

from collections import Counter

import pytest

from nginx_stream_lint.config import Source
from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.kubernetes.controllers import LEVELS, Controller, ingress_nginx, nginx_org
from nginx_stream_lint.kubernetes.translate import translate_resources
from tests.kubernetes.manifests import author_of, ingress, translate

KUBERNETES, ORG = ingress_nginx().name, nginx_org().name
NGINX = "nginx.ingress.kubernetes.io/"


def who(text: str) -> list[tuple[str, bool, bool]]:
    return [
        (one.controller.name, one.by_class, one.assumed) for one in map(author_of, translate(text))
    ]


@pytest.mark.parametrize(
    ("annotations", "class_name", "expected"),
    [
        ({NGINX + "proxy-buffering": "on"}, "traefik", [(KUBERNETES, False, False)]),
        ({"nginx.org/proxy-buffering": "True"}, "nginx", [(ORG, False, False)]),
        ({"nginx.com/slow-start": "1s"}, "nginx", [(ORG, False, False)]),
        (
            {NGINX + "proxy-buffering": "on", "nginx.org/proxy-buffering": "False"},
            "nginx",
            [(KUBERNETES, False, False), (ORG, False, False)],
        ),
        ({}, "nginx", [(KUBERNETES, True, False)]),
        ({}, "nginx-internal", [(KUBERNETES, True, False)]),
        ({}, "nginx-org", [(ORG, True, False)]),
        ({}, "nginx-plus", [(ORG, True, False)]),
        ({}, "public", [(KUBERNETES, False, True)]),
        ({"cert-manager.io/issuer": "x"}, '""', [(KUBERNETES, False, True)]),
        ({}, "traefik", []),
        ({}, "alb", []),
        ({"alb.ingress.kubernetes.io/scheme": "internal"}, '""', []),
        ({"kubernetes.io/ingress.class": "nginx"}, '""', [(KUBERNETES, True, False)]),
        ({"kubernetes.io/ingress.class": "haproxy"}, '""', []),
        (
            {"traefik.ingress.kubernetes.io/router.tls": "true", NGINX + "app-root": "/a"},
            "x",
            [(KUBERNETES, False, False)],
        ),
    ],
)
def test_who_reads_an_ingress(
    annotations: dict[str, str], class_name: str, expected: list[tuple[str, bool, bool]]
) -> None:
    assert who(ingress(annotations, class_name=class_name)) == expected


@pytest.mark.parametrize("controller", [ingress_nginx(), nginx_org()], ids=lambda one: one.name)
def test_an_annotation_stands_in_one_place(controller: Controller) -> None:
    rows = [row.annotation for level in LEVELS for row in controller.settings[level]]
    places = Counter([*filter(None, rows), *controller.code, *controller.left_out])
    assert [name for name, count in places.items() if count > 1] == [], "remove all but one"


CLASS = """\
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: %s}
spec: {controller: %s}
---
"""


@pytest.mark.parametrize(
    ("controller", "expected"),
    [
        ("k8s.io/ingress-nginx", [(KUBERNETES, True, False)]),
        ("nginx.org/ingress-controller", [(ORG, True, False)]),
        ("traefik.io/ingress-controller", []),
    ],
)
def test_an_ingress_class_says_it(controller: str, expected: list[tuple[str, bool, bool]]) -> None:
    text = CLASS % ("nginx", controller) + ingress({})
    assert who(text) == expected
    assert who(CLASS % ("other", controller) + ingress({})) == [(KUBERNETES, True, False)]


def texts(yaml: str) -> list[str]:
    return [one.text for one in translate(yaml)]


def test_several_documents_and_lists() -> None:
    one = ingress({}).replace("llm.example.com", "one.example.com")
    items = "".join(f"    {line}\n" for line in ingress({}).splitlines()).replace("    ", "  - ", 1)
    listed = f"apiVersion: v1\nkind: List\nitems:\n{items}"
    found = texts(f"---\n{one}---\n{listed}---\nkind: Service\n")
    assert [("one.example.com" in text, "llm.example.com" in text) for text in found] == [
        (True, False),
        (False, True),
    ]


def test_a_document_that_is_broken_does_not_hide_the_others() -> None:
    text = ingress({}) + "---\nkind: Ingress\n  metadata: {\n"
    found, problems = translate_resources(Source("a.yaml", text), text)
    assert len(found) == 1
    assert [problem.message.startswith("not valid YAML") for problem in problems] == [True]


def test_yaml_that_is_about_something_else_is_let_be() -> None:
    text = "a: [\n"
    assert translate_resources(Source("a.yaml", text), text) == ([], [])
    route = "apiVersion: traefik.io/v1\nkind: IngressRoute\nspec: {routes: [{match: Path(`/`)}]}\n"
    assert translate_resources(Source("a.yaml", route), route) == ([], [])
    knative = ingress({}).replace("networking.k8s.io/v1", "networking.internal.knative.dev/v1")
    assert translate_resources(Source("a.yaml", knative), knative) == ([], [])


VALUES = """\
image: {tag: stable}
ingress:
  enabled: true
  className: nginx
  hosts:
    - host: n8n.example.com
      paths:
        - path: /
          pathType: Prefix
  webhookProcessor:
    enabled: true
    # Long-lived event streams.
    annotations:
      nginx.ingress.kubernetes.io/proxy-buffering: "on"
worker:
  routes:
    annotations:
      nginx.org/proxy-buffering: "False"
    hostname: worker.example.com
    path: /jobs
    tls: true
service:
  annotations: {a: b}
"""


def test_values_of_a_chart() -> None:
    found = translate(VALUES)
    assert [(one.controller.name, one.by_class) for one in map(author_of, found)] == [
        (KUBERNETES, True),
        (KUBERNETES, False),
        (ORG, False),
    ]
    first, second, third = (one.text for one in found)
    assert "server_name n8n.example.com;" in first
    assert "proxy_buffering off;" in first
    assert "proxy_buffering on;" in second
    assert 'location "/" {' in second
    assert "# Long-lived event streams." in second
    assert "server_name worker.example.com;" in third
    assert "location /jobs {" in third


@pytest.mark.parametrize(
    "text",
    [
        'nginx.ingress.kubernetes.io/proxy-buffering: "on"\nother.io/x: y\n',
        'annotations:\n  nginx.ingress.kubernetes.io/proxy-buffering: "on"\n',
        'metadata:\n  annotations:\n    nginx.ingress.kubernetes.io/proxy-buffering: "on"\n',
        'spec: {values: {a: {annotations: {nginx.ingress.kubernetes.io/proxy-buffering: "on"}}}}\n'
        "kind: HelmRelease\napiVersion: helm.toolkit.fluxcd.io/v2\n",
    ],
)
def test_annotations_alone(text: str) -> None:
    (found,) = texts(text)
    assert "proxy_buffering on;" in found
    assert 'location "/" {' in found


OLD = """\
apiVersion: extensions/v1beta1
kind: Ingress
metadata:
  name: old
spec:
  backend: {serviceName: rest, servicePort: http}
  rules:
    - host: a.example.com
      http:
        paths:
          - backend: {serviceName: api, servicePort: 8080}
    - host: b.example.com
"""


def test_the_form_before_kubernetes_1_19() -> None:
    (text,) = texts(OLD)
    assert "upstream api {\n        server 127.0.0.1:8080;" in text
    assert "upstream rest {\n        server 127.0.0.1;" in text
    assert text.count('location "/" {') == 2


def test_one_service_with_two_ports() -> None:
    text = ingress({}, [("/a", "Exact"), ("/b", "Exact")])
    first, second = text.split("number: 8000", 1)
    (found,) = texts(f"{first}number: 8001{second}")
    assert "upstream vllm-8000 {" in found
    assert "upstream vllm-8001 {" in found


@pytest.mark.parametrize(
    ("annotations", "path", "kind", "heads"),
    [
        ({}, "/a", "Prefix", ['= "/a"', '"/a/"']),
        ({}, "/a/", "Prefix", ['= "/a/"', '"/a/"']),
        ({}, "/", "Prefix", ['"/"']),
        ({}, "/a", "Exact", ['= "/a"']),
        ({}, "/a", "ImplementationSpecific", ['"/a"']),
        ({NGINX + "use-regex": "true"}, "/a.*", "Prefix", ['~* "^/a.*"']),
        ({NGINX + "rewrite-target": "/$1"}, "/(.*)", "Exact", ['~* "^/(.*)"']),
        ({"nginx.org/x": "y"}, "/a", "Prefix", ["/a"]),
        ({"nginx.org/x": "y"}, "/a", "Exact", ["= /a"]),
        ({"nginx.org/path-regex": "case_sensitive"}, "/a", "Exact", ['~ "^/a"']),
        ({"nginx.org/path-regex": "exact"}, "/a", "Prefix", ['= "/a"']),
    ],
)
def test_path_types(annotations: dict[str, str], path: str, kind: str, heads: list[str]) -> None:
    (text,) = texts(ingress(annotations, [(path, kind)]))
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("location ")]
    found = [line.removeprefix("location ").removesuffix(" {") for line in lines]
    assert [one for one in found if one != "/"] == heads


def test_without_anything() -> None:
    for text in (
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\n",
        "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: 3\nspec: [a]\n",
        "apiVersion: k8s.nginx.org/v1\nkind: VirtualServer\nspec: {}\n",
        "apiVersion: k8s.nginx.org/v1\nkind: VirtualServer\nspec: {routes: [1], upstreams: a}\n",
    ):
        assert len(texts(text)) == 1


def settings(name: str, data: str) -> str:
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata:\n{data}---\n"


def named(found: list[MappedText]) -> list[str]:
    return [author_of(one).controller.name for one in found]


def test_the_config_map_gives_the_defaults() -> None:
    text = settings("ingress-nginx-controller", '  proxy-buffering: "on"\n') + ingress({})
    made = translate(text)
    assert named(made) == [KUBERNETES, KUBERNETES]
    assert "proxy_buffering on;" in made[1].text
    other = settings("nginx-config", '  proxy-buffering: "False"\n') + ingress({"nginx.org/x": "y"})
    made = translate(other)
    assert named(made) == [ORG, ORG]
    assert "proxy_buffering off;" in made[1].text


def test_a_config_map_of_somebody_else() -> None:
    for name, data in (
        ("app", '  proxy-buffering: "on"\n'),
        ("nginx-config", "  default.conf: x\n"),
    ):
        text = settings(name, data) + ingress({})
        assert named(translate(text)) == [KUBERNETES]


@pytest.mark.parametrize("table", [ingress_nginx(), nginx_org()], ids=lambda one: one.name)
def test_a_table_is_of_one_piece(table: Controller) -> None:
    rows = [row for level in LEVELS for row in table.settings[level]]
    unnamed = [row for row in rows if not (row.annotation or row.key or row.field)]
    assert unnamed == [], "a row has an annotation, a key or a field"
    wrong = [row for row in rows if row.default is not None and not row.accepts(row.default)]
    assert wrong == [], "the controller does not read this default as a value of this kind"
