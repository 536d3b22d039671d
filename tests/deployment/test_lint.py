"""What the deployment says is used by `lint` and `explain`: versions, includes, variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from msgspec.structs import replace

from nginx_stream_lint.analysis.explain import explain
from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.analysis.versions import of_all_versions
from nginx_stream_lint.config import InputOptions
from nginx_stream_lint.deployment import read as reading
from nginx_stream_lint.deployment.model import Deployment
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.report.closing_lines import closing_lines
from nginx_stream_lint.rules.judge import FindingWithContext

MAIN = "events {}\nhttp {\n  include /etc/nginx/conf.d/*.conf;\n}\n"
SITE = """\
server {
    listen 80;
    location /v1/chat/completions {
        proxy_pass http://api:8000;
        proxy_buffering off;
        proxy_read_timeout 600s;
    }
}
"""
COMPOSE = """\
services:
  web:
    image: nginx:{version}
    volumes:
      - ./a/main.conf:/etc/nginx/nginx.conf
      - ./b/site.conf:/etc/nginx/conf.d/default.conf
"""


def repository(version: str = "1.30.0", **more: str) -> dict[str, str]:
    """A repository whose main file includes a site elsewhere; only compose.yaml says where."""
    found = {
        "compose.yaml": COMPOSE.replace("{version}", version),
        "a/main.conf": MAIN,
        "b/site.conf": SITE,
    }
    return {**found, "c/conf.d/other.conf": "server { listen 81; }", **more}


def linted(files: Mapping[str, str], *paths: str, options: Options | None = None) -> Result:
    return lint(Workspace.in_memory(files), paths or ["."], options)


def rules(result: Result) -> set[str]:
    return {one.rule for one in result.findings}


def versions_judged(result: Result) -> bool:
    """Whether a finding rests on the defaults before nginx 1.29.7."""
    return any(one.assumes_old_nginx for one in result.findings)


@pytest.mark.parametrize("paths", [(".",), ("a/main.conf",), ("b/site.conf",), ("a", "b")])
def test_the_version_is_that_of_the_image(paths: tuple[str, ...]) -> None:
    old = rules(linted(repository("1.27.3"), *paths))
    new = rules(linted(repository("1.30.0"), *paths))
    # Before 1.29.7 nginx uses HTTP/1.0 to the app where nothing says otherwise.
    assert old - new == {"old-upstream-http"}
    assert not versions_judged(linted(repository("1.27.3"), *paths))
    either = linted(repository("latest"), *paths)
    assert rules(either) == old
    [one] = [one for one in either.findings if one.rule == "old-upstream-http"]
    assert (one.severity, one.instance) == ("warning", "web")
    assert not versions_judged(either)


def test_what_only_one_side_of_a_floating_tag_reports_is_a_warning() -> None:
    site = "server { location /v1/chat/completions { proxy_pass http://api:8000; proxy_buffering on; } }"
    for version, severity in (("1.27.3", "error"), ("1.30.0", "warning"), ("latest", "warning")):
        found = linted(repository(version, **{"b/site.conf": site}))
        [one] = [one for one in found.findings if one.rule == "response-buffering"]
        assert one.severity == severity, version


def test_options_and_settings_come_first() -> None:
    found = linted(repository("1.30.0"), options=Options(nginx_version=(1, 27, 0)))
    assert "old-upstream-http" in rules(found)
    around = InputOptions(mounts=(("/etc/nginx/conf.d", "c/conf.d"),))
    said = linted(repository(), "a/main.conf", options=replace(Options(), around=around))
    assert [one.source.name for one in said.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_each_instance_is_checked_and_what_they_share_is_reported_once() -> None:
    site = SITE.replace("600s", "30s")
    other = COMPOSE.replace("{version}", "1.27.3").replace("  web:", "  edge:")
    more = {"docker-compose.other.yml": other, "b/site.conf": site}
    found = linted(repository("1.30.0", **more))
    said = sorted((one.rule, one.instance) for one in found.findings)
    assert said == [("old-upstream-http", "edge"), ("short-read-timeout", "web, edge")]
    assert sorted(one.name for one in found.deployed) == ["edge", "web"]


def test_includes_lead_where_the_files_are_mounted() -> None:
    found = linted(repository(), "a/main.conf")
    assert [one.source.name for one in found.files] == ["a/main.conf", "b/site.conf"]
    assert found.notes == []
    guessed = linted({**repository(), "compose.yaml": ""}, "a/main.conf")
    assert [one.source.name for one in guessed.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_a_glob_without_a_file_in_the_container_adds_nothing() -> None:
    text = COMPOSE.replace("{version}", "1.27.3").replace(
        "      - ./b/site.conf:/etc/nginx/conf.d/default.conf\n", ""
    )
    found = linted({**repository(), "compose.yaml": text}, "a/main.conf")
    default = "/etc/nginx/conf.d/default.conf of nginx:1.27.3"
    assert [one.source.name for one in found.files] == ["a/main.conf", default]
    assert found.notes == []


@pytest.mark.parametrize(
    "line",
    [
        "      - sites:/etc/nginx/conf.d\n",
        "    entrypoint: [/start.py]\n",
    ],
)
def test_what_the_container_does_not_say_is_guessed_as_before(line: str) -> None:
    text = COMPOSE.replace("{version}", "1.27.3").replace(
        "      - ./b/site.conf:/etc/nginx/conf.d/default.conf\n", line
    )
    found = linted({**repository(), "compose.yaml": text}, "a/main.conf")
    assert [one.source.name for one in found.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_templates_get_the_environment() -> None:
    text = """\
        services:
          web:
            image: nginx:1.30.0
            environment: {TIMEOUT: 20s}
            volumes: ['./t/default.conf.template:/etc/nginx/templates/default.conf.template']
        """
    site = SITE.replace("600s", "${TIMEOUT}")
    files = {"compose.yaml": dedent(text), "t/default.conf.template": site}
    assert "short-read-timeout" in rules(linted(files))
    assert "short-read-timeout" not in rules(linted({"t/default.conf.template": site}))
    [one] = explain(Workspace.in_memory(files), "t/default.conf.template", ["/v1/chat/completions"])
    assert one.read_timeout_s == 20


def test_explain_knows_the_version() -> None:
    for version, framing in (("1.27.3", "1.0"), ("1.30.0", "1.1")):
        workspace = Workspace.in_memory(repository(version))
        [one] = explain(workspace, "b/site.conf", ["/v1/chat/completions"])
        assert one.settings["proxy_http_version"].text == framing


def test_what_is_left_open_is_for_people_who_ask_for_more() -> None:
    found = linted(repository("ours"))
    assert [str(one) for one in found.details] == [
        "compose.yaml:3:12: note: the version of nginx in nginx:ours is unknown;"
        " set nginx_version in the settings"
    ]
    assert found.notes == []


def test_a_second_look_does_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    real = reading.read_deployment

    def counted(workspace: Workspace, root: str, *rest: Sequence[str]) -> Deployment:
        calls.append(root)
        return real(workspace, root, *rest)

    monkeypatch.setattr(reading, "read_deployment", counted)
    workspace = Workspace.in_memory(repository())
    lint(workspace, ["."])
    lint(workspace.overlaid({"b/site.conf": SITE + "\n"}), ["."])
    assert len(calls) == 1


def test_without_such_files_nothing_more_is_read_or_loaded() -> None:
    files = {path: text for path, text in repository().items() if path != "compose.yaml"}
    workspace = Workspace.in_memory(files)
    result = lint(workspace, ["a/main.conf"])
    assert workspace.kept == {}
    assert result.details == []
    # The main file, what it includes, and nothing for the deployment.
    assert workspace.budget.limits.files - workspace.budget.left("files") <= len(files) * 2


WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: edge}
spec:
  template:
    metadata: {labels: {app: edge}}
    spec:
      containers:
        - name: nginx
          image: IMAGE
          volumeMounts:
            - {name: main, mountPath: /etc/nginx/nginx.conf, subPath: nginx.conf}
            - {name: sites, mountPath: /etc/nginx/conf.d}
      volumes:
        - {name: main, configMap: {name: main}}
        - {name: sites, configMap: {name: sites}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: main}
data:
  nginx.conf: |
    events {}
    http {
      include /etc/nginx/conf.d/*.conf;
    }
---
apiVersion: v1
kind: ConfigMap
metadata: {name: sites}
data:
  default.conf: |
    server {
      location / {
        proxy_pass http://llm:11434;
        proxy_buffering on;
      }
    }
"""
APP = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: llm}
spec:
  template:
    metadata: {labels: {app: llm}}
    spec:
      containers:
        - {name: ollama, image: 'ollama/ollama:0.9.0', ports: [{containerPort: 11434}]}
---
apiVersion: v1
kind: Service
metadata: {name: llm}
spec:
  selector: {app: llm}
  ports: [{port: 11434}]
"""


def test_a_manifest_with_a_config_map_is_a_deployment() -> None:
    for version, severity in (("1.27.3", "error"), ("1.30.0", "warning")):
        result = linted({"k8s/edge.yaml": WORKLOAD.replace("IMAGE", f"nginx:{version}") + APP})
        [one] = [one for one in result.findings if one.rule == "response-buffering"]
        assert one.severity == severity, version
        assert {one.instance for one in result.findings} == {"edge"}
        assert {one.stream.confidence for one in result.findings if one.stream} == {"known"}
        assert (result.locations, result.problems, result.notes) == (1, [], [])


def test_files_of_config_maps_are_not_those_of_the_image() -> None:
    files = {
        "k8s/edge.yaml": WORKLOAD.replace("IMAGE", "registry.example/ours:5"),
        "k8s/kustomization.yaml": "resources: [edge.yaml]\n",
        "conf.d/other.conf": SITE,
    }
    found = linted(files)
    assert found.notes == []
    read = [(one.source.name, one.uses) for one in found.files]
    assert ("k8s/edge.yaml", 1) in read
    labels = {one.level.directive.args[0] for one in found.served if one.level.directive}
    assert labels == {"/", "/v1/chat/completions"}


def test_a_dockerfile_is_named_by_its_path_in_the_repository(tmp_path: Path) -> None:
    for name, text in {
        ".git/HEAD": "",
        "web/Dockerfile": "FROM nginx:1.27.3\nCOPY site.conf /etc/nginx/conf.d/default.conf\n",
        "web/site.conf": SITE,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = lint(Workspace.on_disk(str(tmp_path)), [str(tmp_path / "web" / "site.conf")])
    assert {one.instance for one in found.findings} == {"web/Dockerfile"}


def test_a_location_that_several_nginx_read_counts_once() -> None:
    more = {"docker-compose.other.yml": COMPOSE.replace("{version}", "1.27.3")}
    found = linted(repository("1.30.0", **more))
    assert (found.locations, found.streams) == (1, 1)
    assert len(found.served) == 2


def test_a_report_names_alike_nginx_once() -> None:
    site = SITE.replace("600s", "30s")
    more = {f"docker-compose.{name}.yml": COMPOSE.replace("{version}", "1.27.3") for name in "abc"}
    found = linted(repository("1.30.0", **more, **{"b/site.conf": site}))
    lines = [one for one in closing_lines(found) if "runs nginx" in one]
    assert lines == [
        "web (compose.yaml:2) runs nginx 1.30.0 (compose.yaml:3).",
        "web (docker-compose.a.yml:2) runs nginx 1.27.3 (docker-compose.a.yml:3);"
        " 2 others of this name, too.",
    ]


def test_two_findings_of_one_version_are_not_those_of_two_versions() -> None:
    files = {"b/site.conf": SITE.replace("600s", "30s")}
    [one] = [
        one
        for one in linted(repository("1.30.0", **files)).findings
        if one.rule == "short-read-timeout"
    ]
    unused: Any = None
    both = [
        FindingWithContext(replace(one, severity="error", message=message), unused, unused)
        for message in ("in one server", "in another server")
    ]
    kept = [(each.finding.message, each.finding.severity) for each in of_all_versions([both, []])]
    assert kept == [("in one server", "warning"), ("in another server", "warning")]
    assert of_all_versions([both, both]) == both
