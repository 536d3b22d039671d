"""nginx text in YAML and Markdown: what is found, with places and fixes of the outer file."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.config import Configuration, Directive, InputOptions, configurations
from nginx_stream_lint.config.mapped_text import has_placeholder, without_marks
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import fix_all
from nginx_stream_lint.nginx.versions import NEW
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

LOCATION = "location /v1/chat/completions {\n    proxy_pass http://app;\n}\n"
RULES = tuple(rule for rule in load_rules(builtin_folder()) if rule.name == "response-buffering")


def read(tmp_path: Path, text: str, name: str) -> list[Configuration]:
    (tmp_path / name).write_bytes(text.encode())
    path = str(tmp_path / name)
    return configurations(Workspace.on_disk(path), [path], InputOptions(markdown=True))


def mended(tmp_path: Path, text: str, name: str) -> str:
    path = tmp_path / name
    path.write_bytes(text.encode())
    options = Options(rules=RULES, nginx_version=NEW, input_options=InputOptions(markdown=True))
    workspace = Workspace.on_disk(str(path))
    changed = fix_all(
        lambda texts: lint(workspace.overlaid(texts), options=options).findings, unsafe=False
    )
    [(_, after)] = changed.values()
    return after.text


def indented(text: str, by: int) -> str:
    return "".join(" " * by + line for line in text.splitlines(keepends=True))


def directives(one: Configuration) -> list[Directive]:
    assert one.root is not None
    return one.root.directives


YAML = {
    "configmap": "apiVersion: v1\nkind: ConfigMap\ndata:\n  default.conf: |\n",
    "chomped": "apiVersion: v1\nkind: ConfigMap\ndata:\n  default.conf: |-\n",
    "indentation indicator": "data:\n  default.conf: |2\n",
    "second document": "kind: Other\n---\ndata:\n  nginx.conf: |\n",
    "deeper": "list:\n- values:\n- a: 1\n- text: |\n",
    "anchored": "x: &a |\n",
}


@pytest.mark.parametrize("before", YAML.values(), ids=YAML.keys())
def test_a_block_in_yaml(before: str, tmp_path: Path) -> None:
    by = 4
    text = before + indented(LOCATION, by) + "after: 1\n"
    [one] = read(tmp_path, text, "a.yaml")
    [location] = directives(one)
    assert not one.problems
    assert (location.line, location.column) == (before.count("\n") + 1, by + 1)
    fixed = mended(tmp_path, text, "a.yaml")
    line = f"\n{' ' * (by + 4)}proxy_buffering off;"
    assert fixed == text.replace("app;", f"app;{line}")


def test_yaml_with_crlf(tmp_path: Path) -> None:
    text = (YAML["configmap"] + indented(LOCATION, 4)).replace("\n", "\r\n")
    fixed = mended(tmp_path, text, "a.yml")
    assert fixed == text.replace("app;", "app;\r\n        proxy_buffering off;")


def test_keys_of_one_file_include_one_another(tmp_path: Path) -> None:
    text = (
        "data:\n  nginx.conf: |\n    events {}\n    http {\n      include conf.d/app.conf;\n    }\n"
        "  app.conf: |\n    server {\n      location /v1 { proxy_pass http://app; }\n    }\n"
    )
    [one] = read(tmp_path, text, "a.yaml")
    assert not one.problems
    assert len(one.files) == 2


@pytest.mark.parametrize("more", ["", "".join(f"  {n}.conf: x\n" for n in range(200))])
def test_keys_of_the_same_document_come_first(more: str, tmp_path: Path) -> None:
    """Two ConfigMaps of one file may have equal keys, as in two namespaces."""
    one = "kind: ConfigMap\nmetadata: {{namespace: {0}}}\ndata:\n  nginx.conf: |\n    {1}\n"
    main = "http { include site.conf; }"
    site = "  site.conf: |\n    server {{ location /{0} {{ proxy_pass http://{0}; }} }}\n"
    text = "---\n".join(one.format(name, main) + site.format(name) for name in "abc") + more
    found = read(tmp_path, text, "a.yaml")
    assert len(found) == 3
    for configuration, name in zip(found, "abc", strict=True):
        [server] = [one for one in configuration.files if one is not configuration.root]
        assert f"location /{name} " in server.reading.text


def test_text_that_is_no_nginx_is_left_alone(tmp_path: Path) -> None:
    text = 'data:\n  run.sh: |\n    set -e\n    echo {}\n  app.json: |\n    {"a": {"b": 1}}\n'
    assert read(tmp_path, text, "a.yaml") == []


def test_an_escaped_string_has_its_places(tmp_path: Path) -> None:
    text = (
        r'{"data": {"nginx.conf": "server {\n  location /v1/chat/completions {\n'
        r'    proxy_pass http://app;\n    add_header A \"b\";\n  }\n}\n"}}'
    )
    [one] = read(tmp_path, text, "a.json")
    assert not one.problems
    block = directives(one)[0].block
    assert block is not None
    location = block[0]
    assert text[location.start :].startswith("location")
    assert location.block is not None
    header = location.block[1]
    assert header.args == ("A", "b")
    assert text[header.start : header.end] == r"add_header A \"b\";"
    report = lint(Workspace.on_disk(str(tmp_path / "a.json")), options=Options(rules=RULES))
    [finding] = report.findings
    assert finding.fix is not None
    assert finding.fix.applicability == "manual"


def test_dollars_of_compose(tmp_path: Path) -> None:
    text = "services: {}\nconfigs:\n  site:\n    content: |\n" + indented(
        LOCATION.replace("http://app", "http://$$backend"), 6
    )
    [one] = read(tmp_path, text, "compose.yaml")
    block = directives(one)[0].block
    assert block is not None
    assert block[0].args == ("http://$backend",)


def test_a_template_of_yaml(tmp_path: Path) -> None:
    text = (
        '{{- if .on }}\nkind: ConfigMap\nmetadata:\n  {{- include "labels" . | nindent 2 }}\n'
        "data:\n  a.conf: |\n    {{- if .Values.b }}\n    proxy_read_timeout {{ .Values.t }}s;\n"
        "    {{- end }}\n    {{ .Values.extra }}\n" + indented(LOCATION, 4) + "{{- end }}\n"
    )
    [one] = read(tmp_path, text, "a.yaml")
    assert not one.problems
    timeout, extra, location = directives(one)
    assert [one.line for one in (timeout, extra, location)] == [8, 10, 11]
    assert [one.is_conditional for one in (timeout, extra, location)] == [True, False, False]
    assert without_marks(timeout.args[0]) == "{{ .Values.t }}s"
    assert extra.unknown
    assert mended(tmp_path, text, "a.yaml") == text.replace(
        "app;", "app;\n        proxy_buffering off;"
    )


def test_branches_in_yaml_that_open_the_same_block(tmp_path: Path) -> None:
    text = YAML["configmap"] + (
        "    {{- if .Values.exact }}\n    location = {{ .p }} {\n    {{- else }}\n"
        "    location {{ .p }} {\n    {{- end }}\n        proxy_pass http://app;\n    }\n"
        "    gzip {{ if .Values.gzip }}\n      on\n    {{- else }}\n      off\n    {{- end }};\n"
    )
    first, second = read(tmp_path, text, "a.yaml")
    assert not first.problems + second.problems
    assert [len(directives(one)[0].args) for one in (first, second)] == [2, 1]
    for one in (first, second):
        location, gzip = directives(one)
        assert location.is_conditional
        assert location.block is not None
        assert [inner.name for inner in location.block] == ["proxy_pass"]
        assert all(has_placeholder(arg) for arg in gzip.args)


def test_half_a_template_of_yaml(tmp_path: Path) -> None:
    text = "{{- if .Values.on }}\n" + YAML["configmap"] + indented(LOCATION, 4)
    block, whole = read(tmp_path, text, "a.yaml")
    assert directives(block)
    [problem] = whole.problems
    assert (problem.line, problem.message) == (1, "this template tag is never closed")


def test_placeholders_in_a_document(tmp_path: Path) -> None:
    text = "```nginx\nserver_name <your-domain>;\n...\n```\n"
    [one] = read(tmp_path, text, "README.md")
    name, _ = directives(one)
    assert without_marks(name.args[0]) == "<your-domain>"
    assert [problem.line for problem in one.problems] == [3]


def test_yaml_that_breaks_off(tmp_path: Path) -> None:
    text = YAML["configmap"] + indented(LOCATION, 4) + "---\na: b: c\n"
    found = read(tmp_path, text, "a.yaml")
    assert [one.root is not None for one in found] == [True, False]
    [problem] = found[1].problems
    assert problem.line == 9
    assert "is not YAML" in problem.message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# T\n\n```nginx\n", "```\n"),
        ("# T\n\n~~~ nginx title=x\n", "~~~\ntext\n"),
        ("1. first\n\n   ```nginx\n", "   ```\n"),
        ("```\n", "```\n"),
        ("```conf\n", "```\n"),
    ],
)
def test_a_fence_in_a_document(before: str, after: str, tmp_path: Path) -> None:
    by = 3 if before.startswith("1.") else 0
    text = before + indented(LOCATION, by) + after
    [one] = read(tmp_path, text, "README.md")
    [location] = directives(one)
    assert location.line == before.count("\n") + 1
    line = f"\n{' ' * (by + 4)}proxy_buffering off;"
    assert mended(tmp_path, text, "README.md") == text.replace("app;", f"app;{line}")


def test_other_fences_are_left_alone(tmp_path: Path) -> None:
    text = "```python\ndef f(): {}\n```\n\n```\n$ nginx -t\n```\n\n```yaml\na: |\n  gzip on;\n```\n"
    assert read(tmp_path, text, "README.md") == []


def test_a_code_block_of_restructured_text(tmp_path: Path) -> None:
    text = "Title\n\n.. code-block:: nginx\n\n" + indented(LOCATION, 4) + "\nAfter.\n"
    [one] = read(tmp_path, text, "README.rst")
    assert directives(one)[0].line == 5


def test_a_document_wants_the_option(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("```nginx\ngzip on;\n```\n")
    [one] = configurations(Workspace.on_disk(str(tmp_path)), [str(tmp_path / "README.md")])
    assert "--markdown" in one.problems[0].advice
