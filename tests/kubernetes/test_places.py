"""Where things stand: every directive leads back to the line of the YAML that it comes from."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nginx_stream_lint.config import Directive, Source
from nginx_stream_lint.config.mapped_text import PLACEHOLDER, has_placeholder
from nginx_stream_lint.config.tree import parse
from nginx_stream_lint.kubernetes.manifest import Mapping, Scalar, documents
from nginx_stream_lint.kubernetes.translate import configurations, translate_resources
from tests.kubernetes.manifests import ingress, translate

NGINX = "nginx.ingress.kubernetes.io/"


def directives(text: str, masked: str | None = None) -> list[Directive]:
    """All directives of the first translation, blocks before what is in them."""
    found: list[Directive] = []
    work = list(parse(translate(text, masked)[0]).directives)
    while work:
        directive = work.pop(0)
        found.append(directive)
        work = [*(directive.block or []), *work]
    return found


def one(text: str, name: str, masked: str | None = None) -> Directive:
    written = [each for each in directives(text, masked) if each.name == name and each.is_written]
    assert len({each.start for each in written}) == 1, written
    return written[0]


def stretch(directive: Directive) -> str:
    end = directive.arg_spans[-1][1]
    return directive.source.text[directive.start : end]


@pytest.mark.parametrize("quote", ['"', "'", ""])
def test_an_annotation(quote: str) -> None:
    text = ingress({NGINX + "proxy-read-timeout": "75"}).replace("'75'", f"{quote}75s{quote}")
    text = text.replace("75s", "75")
    if not quote:
        # Kubernetes refuses it, and it is read.
        found, _ = translate_resources(Source("a.yaml", text), text)
        (problem,) = found[0].problems
        assert str(problem) == (
            f"a.yaml:6:5: the annotation {NGINX}proxy-read-timeout is not a string, so Kubernetes"
            " rejects it; quote its value"
        )
        assert "proxy_read_timeout 75s;" in found[0].text
        return
    timeout = one(text, "proxy_read_timeout")
    assert timeout.args == ("75s",)
    assert (timeout.line, timeout.column) == (6, 5)
    assert stretch(timeout) == f"{NGINX}proxy-read-timeout: {quote}75"


def test_a_location_is_its_path() -> None:
    text = ingress({}, [("/a", "Exact"), ("/b", "ImplementationSpecific")])
    found = [each for each in directives(text) if each.name == "location" and each.is_written]
    assert [stretch(each) for each in found] == ["path: /a", "path: /b"]
    assert [text[each.start : each.block_end + 1].count("\n") for each in found] == [6, 6]
    assert all(each.start <= each.end <= each.block_end for each in found)


def test_a_server_is_its_rule_and_the_handler_its_service() -> None:
    text = ingress({})
    server = one(text, "server_name")
    assert stretch(server) == "llm.example.com"
    handler = one(text, "proxy_pass")
    assert stretch(handler) == "vllm"
    assert handler.args == ("http://vllm",)


def test_what_nobody_wrote_takes_no_room() -> None:
    text = ingress({NGINX + "proxy-read-timeout": "75"})
    unwritten = [each for each in directives(text) if not each.is_written and each.block is None]
    assert {"proxy_buffering", "proxy_http_version", "listen"} <= {each.name for each in unwritten}
    assert {each.line for each in unwritten} == {2}
    assert all(text.startswith("kind: Ingress", each.start) for each in unwritten)


SNIPPET = """\
proxy_set_header X-One a;

# a comment
if ($request_method = POST) {
  set $posted 1;
}
"""


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_snippet_line_by_line(newline: str) -> None:
    text = ingress({NGINX + "configuration-snippet": SNIPPET}).replace("\n", newline)
    for name, written in (
        ("set", "set $posted 1"),
        ("proxy_set_header", "proxy_set_header X-One a"),
        ("if", "if ($request_method = POST)"),
    ):
        own = [each for each in directives(text) if each.name == name and each.is_written]
        # Twice: Prefix makes two locations.
        assert [stretch(each) for each in own] == [written, written]


def test_a_folded_snippet_as_a_whole() -> None:
    text = ingress({NGINX + "configuration-snippet": "expires\n1d;\n"}).replace(": |", ": >")
    expires = one(text, "expires")
    assert expires.args == ("1d",)
    assert expires.line == 6


def test_a_snippet_that_breaks_the_rest_is_left_out() -> None:
    text = ingress({NGINX + "configuration-snippet": "expires 1d;\n}\n"})
    found, _ = translate_resources(Source("a.yaml", text), text)
    (problem,) = found[0].problems
    assert (problem.line, problem.column, problem.message) == (8, 7, 'unexpected "}"')
    assert "expires" not in found[0].text


def test_a_value_that_the_controller_ignores() -> None:
    text = ingress({NGINX + "proxy-read-timeout": "3600s"})
    found, _ = translate_resources(Source("a.yaml", text), text)
    (problem,) = found[0].problems
    assert problem.line == 6
    assert problem.message.endswith(
        '"3600s" is not a number of seconds without a unit; ingress-nginx does not accept it'
    )
    assert "proxy_read_timeout 60s;" in found[0].text


TEMPLATE = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ .Release.Name }}
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "{{ .Values.timeout }}"
spec:
  ingressClassName: {{ .Values.class }}
  rules:
    - host: {{ .Values.host | quote }}
      http:
        paths:
          - path: /v1{{ .Values.more }}
            pathType: Prefix
            backend:
              service:
                name: {{ .Release.Name }}-api
                port: {number: {{ .Values.port }}}
"""


def masked(text: str) -> str:
    return re.sub(r"\{\{.*?\}\}", lambda action: PLACEHOLDER * len(action[0]), text)


def test_placeholders_stay() -> None:
    text = masked(TEMPLATE)
    timeout = one(TEMPLATE, "proxy_read_timeout", text)
    assert has_placeholder(timeout.args[0])
    assert stretch(timeout) == (
        'nginx.ingress.kubernetes.io/proxy-read-timeout: "{{ .Values.timeout }}'
    )
    handler = one(TEMPLATE, "proxy_pass", text)
    assert "{{ .Release.Name }}" in handler.args[0]
    location = one(TEMPLATE, "location", text)
    assert stretch(location) == "path: /v1{{ .Values.more }}"


def test_annotations_that_a_template_puts_in_are_unknown() -> None:
    text = TEMPLATE.replace(
        'nginx.ingress.kubernetes.io/proxy-read-timeout: "{{ .Values.timeout }}"',
        "{{- toYaml .Values.annotations | nindent 4 }}",
    )
    buffering = one(text, "proxy_buffering", masked(text))
    assert has_placeholder(buffering.args[0])
    assert buffering.line == 6
    assert stretch(buffering).startswith("{{- toYaml")


HELM = """\
{{- if .Values.ingress.enabled -}}
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ include "chart.fullname" . }}
  labels:
    {{- include "chart.labels" . | nindent 4 }}
  ANNOTATIONS
spec:
  {{- with .Values.ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- if .Values.ingress.tls }}
  tls:
    {{- range .Values.ingress.tls }}
    - hosts:
        {{- range .hosts }}
        - {{ . | quote }}
        {{- end }}
      secretName: {{ .secretName }}
    {{- end }}
  {{- end }}
  rules:
    {{- range .Values.ingress.hosts }}
    - host: {{ .host | quote }}
      http:
        paths:
          {{- range .paths }}
          - path: {{ .path }}
            {{- with .pathType }}
            pathType: {{ . }}
            {{- end }}
            backend:
              service:
                name: {{ include "chart.fullname" $ }}
                port:
                  number: {{ $.Values.service.port }}
          {{- end }}
    {{- end }}
{{- end }}
"""


def masked_controls(text: str) -> str:
    """Control lines blank, the rest masked; config/templates.py does the same for real."""
    control = r"(?m)^[ ]*\{\{-? *(?:if|with|range|end)\b.*\}\}$"
    return masked(re.sub(control, lambda line: " " * len(line[0]), text))


@pytest.mark.parametrize(
    ("annotations", "unknown"),
    [
        (
            "{{- with .Values.ingress.annotations }}\n  annotations:\n"
            "    {{- toYaml . | nindent 4 }}\n  {{- end }}",
            True,
        ),
        ("annotations: {{ toYaml .Values.annotations | nindent 4 }}", True),
        ('annotations:\n    a/b: "c"\n    {{- toYaml .Values.annotations | nindent 4 }}', True),
        (
            "annotations:\n    {{- range $key, $value := .Values.annotations }}\n"
            "    {{ $key }}: {{ $value | quote }}\n    {{- end }}",
            True,
        ),
        ('annotations:\n    a/b: "c"', False),
        ("", False),
    ],
)
def test_a_template_as_helm_makes_it(annotations: str, unknown: bool) -> None:
    text = HELM.replace("ANNOTATIONS", annotations)
    found = directives(text, masked_controls(text))
    values = [one.args[0] for one in found if one.name == "proxy_buffering"]
    assert [has_placeholder(value) for value in values] == [unknown]
    (path,) = (one for one in found if one.name == "location" and "404" not in str(one.block))
    assert stretch(path) == "path: {{ .path }}"


def test_a_placeholder_in_a_snippet_is_statements() -> None:
    text = ingress({NGINX + "configuration-snippet": "expires 1d;\n{{ .Values.more }}\n"})
    found = [one for one in directives(text, masked(text)) if has_placeholder(one.name)]
    assert {stretch_of_name(one) for one in found} == {"{{ .Values.more }}"}


def stretch_of_name(directive: Directive) -> str:
    start, end = directive.name_span
    return directive.source.text[start:end]


def test_json() -> None:
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": "a", "annotations": {NGINX + "proxy-buffering": "on"}},
        "spec": {"rules": [{"http": {"paths": [{"path": "/a", "pathType": "Exact"}]}}]},
    }
    for indent in (None, 2, "\t"):
        text = json.dumps(manifest, indent=indent)
        buffering = one(text, "proxy_buffering")
        assert re.fullmatch(rf'"{NGINX}proxy-buffering": ?"on', stretch(buffering))
        assert buffering.args == ("on",)


ANCHORS = """\
common: &common
  nginx.ingress.kubernetes.io/proxy-buffering: "off"
  nginx.ingress.kubernetes.io/proxy-read-timeout: "100"
loop: &loop
  again: *loop
web:
  ingress:
    className: nginx
    annotations:
      <<: *common
      nginx.ingress.kubernetes.io/proxy-read-timeout: "200"
    hosts: [{host: a.example.com, paths: [{path: /}]}]
"""


def test_anchors_and_merge_keys() -> None:
    found, problems = translate_resources(Source("values.yaml", ANCHORS), ANCHORS)
    assert problems == []
    texts = [one.text for one in found if "a.example.com" in one.text]
    (text,) = texts
    assert "proxy_buffering off;" in text
    assert "proxy_read_timeout 200s;" in text


def test_words_of_yaml() -> None:
    text = "a: \"x\\ty\" # c\nb: |\n  one\n\n  two\nc: {d: [e, 'f']}\n# end\n"
    (document,), _ = documents(Source("a.yaml", text), text)
    root = document.root
    assert isinstance(root, Mapping)
    quoted, block = root.word("a"), root.word("b")
    assert quoted is not None
    assert block is not None
    assert (quoted.text, text[quoted.start : quoted.end]) == ("x\ty", "x\\ty")
    assert not quoted.is_exact
    assert [text[span.start : span.end] for _, span in block.lines] == ["one", "two"]
    assert [text[span.start : span.end] for span in document.comments] == ["# c", "# end"]
    (first, second) = root.items("c", "d")
    assert isinstance(first, Scalar)
    assert isinstance(second, Scalar)
    assert text[second.start : second.end] == "f"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("kind: Ingress\n\tmetadata: x\n", (2, 1)),
        ("kind: Ingress\nmetadata: [\n", (3, 1)),
        ("a: 1\n---\nkind: Ingress\nspec: {a: 'b\n", (5, 1)),
        ("kind: Ingress\nspec: \x01\n", (2, 7)),
        ("kind: Ingress\nspec: " + "[" * 200, (2, 107)),
        ("kind: Ingress\nspec: " + "- " * 200, (2, 7)),
        ("kind: Ingress\nspec: *nowhere\n", (2, 7)),
    ],
)
def test_what_is_no_yaml(text: str, place: tuple[int, int]) -> None:
    found, problems = translate_resources(Source("a.yaml", text), text)
    assert found == []
    (problem,) = problems
    assert (problem.line, problem.column) == place
    assert problem.message.startswith("not valid YAML: ")
    (configuration,) = configurations(Source("a.yaml", text), text)
    assert configuration.problems == problems


WORST = ingress(
    {
        NGINX + "proxy-read-timeout": "75",
        NGINX + "configuration-snippet": SNIPPET,
        "nginx.org/location-snippets": SNIPPET,
        NGINX + "server-alias": "a, b",
    },
    [("/a", "Prefix"), ("/b(/|$)(.*)", "ImplementationSpecific")],
    tls=True,
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_nothing_makes_it_fall_over(data: st.DataObject) -> None:
    """Lines lost, doubled, torn or replaced: it is read or refused, with places inside the file."""
    lines = WORST.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines) - 1))
        kind = data.draw(st.sampled_from(["drop", "double", "tear", "hole", "word", "indent"]))
        if kind == "drop" and len(lines) > 1:
            del lines[at]
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "tear":
            lines[at] = lines[at][: data.draw(st.integers(0, len(lines[at])))]
        elif kind == "hole":
            lines[at] = PLACEHOLDER * len(lines[at])
        elif kind == "word":
            words = ["[]", "{}", "null", "- a", "'", "&a *a", "|", "\x85", "é", "a: b: c", "!!x"]
            lines[at] += " " + data.draw(st.sampled_from(words))
        else:
            lines[at] = " " + lines[at]
    text = "\n".join(lines)
    source = Source("a.yaml", text)
    for configuration in configurations(source, text):
        for problem in configuration.problems:
            assert 1 <= problem.line <= text.count("\n") + 1
        for file in configuration.files:
            work = [*file.directives]
            spans = [*file.comments]
            for directive in work:
                spans += [directive.name_span, *directive.arg_spans]
                spans += [(one, one) for one in (directive.start, directive.end)]
                work += directive.block or []
            assert all(0 <= start <= end <= len(text) for start, end in spans)
