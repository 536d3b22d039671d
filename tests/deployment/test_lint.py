"""What the deployment says is used by `lint` and `explain`: versions, includes, variables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import click
import pytest
from msgspec.structs import replace

from nginx_stream_lint.analysis.explain import explain, make_explainers
from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.analysis.versions import of_all_versions
from nginx_stream_lint.config import InputOptions
from nginx_stream_lint.deployment import read as reading
from nginx_stream_lint.deployment.model import Deployment
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.request import parse_url
from nginx_stream_lint.report import render
from nginx_stream_lint.report.closing_lines import closing_lines
from nginx_stream_lint.report.explain import explain_text
from nginx_stream_lint.report.explain_json import explain_json
from nginx_stream_lint.report.html import html
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.report.stream_path import stream_paths
from nginx_stream_lint.report.text import text as text_report
from nginx_stream_lint.rules.judge import FindingWithContext
from nginx_stream_lint.rules.shipped import shipped_rules
from tests.command import run
from tests.report.schemas import check_document

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


def test_a_finding_with_only_one_version_of_a_floating_tag_is_a_warning() -> None:
    site = "server { location /v1/chat/completions { proxy_pass http://api:8000; proxy_buffering on; } }"
    for version, severity in (("1.27.3", "error"), ("1.30.0", "warning"), ("latest", "warning")):
        found = linted(repository(version, **{"b/site.conf": site}))
        [one] = [one for one in found.findings if one.rule == "response-buffering"]
        assert one.severity == severity, version


def test_options_and_settings_come_first() -> None:
    found = linted(repository("1.30.0"), options=Options(nginx_version=(1, 27, 0)))
    assert "old-upstream-http" in rules(found)
    input_options = InputOptions(mounts=(("/etc/nginx/conf.d", "c/conf.d"),))
    said = linted(
        repository(), "a/main.conf", options=replace(Options(), input_options=input_options)
    )
    assert [one.source.name for one in said.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_each_instance_is_checked_and_shared_findings_are_reported_once() -> None:
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
def test_unknown_files_of_a_container_are_resolved_as_without_a_deployment(line: str) -> None:
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


def test_unknown_parts_are_reported_in_verbose_mode() -> None:
    found = linted(repository("ours"))
    assert [str(one) for one in found.details] == [
        "compose.yaml:3:12: note: the version of nginx in nginx:ours is unknown;"
        " set nginx_version in the settings"
    ]
    assert found.notes == []


def test_a_second_run_reads_nothing_again(monkeypatch: pytest.MonkeyPatch) -> None:
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
    labels = {one.level.directive.args[0] for one in found.proxied if one.level.directive}
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
    assert len(found.proxied) == 2


def test_a_report_names_equal_nginx_once() -> None:
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


def test_a_default_names_what_states_the_version() -> None:
    for version, words in (
        ("1.27.3", "default of nginx 1.27.3 (compose.yaml:3)"),
        (
            "latest",
            "default before 1.29.7; nginx with the tag latest (compose.yaml:3) may be newer",
        ),
        ("ours", "default"),
    ):
        found = linted(repository(version))
        [one] = [one for one in found.findings if one.rule == "old-upstream-http"]
        assert f"(proxy_http_version, {words})" in one.message
    # Other defaults are those of all versions, and the user's version is not the deployment's.
    for options in (Options(nginx_version=(1, 27, 3)), None):
        site = SITE.replace("600s", "30s").replace("proxy_read_timeout 30s;", "")
        found = linted(repository("1.27.3", **{"b/site.conf": site}), options=options)
        said = {one.rule: one.message for one in found.findings}
        assert "(proxy_read_timeout, default)" in said["short-read-timeout"]
        if options is not None:
            assert "(proxy_http_version, default)" in said["old-upstream-http"]


def test_a_finding_of_two_versions_is_reported_once_and_names_both() -> None:
    other = COMPOSE.replace("{version}", "1.25.5").replace("  web:", "  edge:")
    found = linted(repository("1.27.3", **{"docker-compose.other.yml": other}))
    [one] = [one for one in found.findings if one.rule == "old-upstream-http"]
    assert one.instance == "web, edge"
    assert "default of nginx 1.27.3 (compose.yaml:3) and 1 other)" in one.message
    assert one.fix is not None


def test_a_long_path_is_shortened_in_messages() -> None:
    folder = "deployment/environments/production"
    compose = COMPOSE.replace("{version}", "1.27.3")
    files = {f"{folder}/{path}": text for path, text in repository("1.27.3").items()}
    assert compose in files.values()
    found = linted(files)
    [one] = [one for one in found.findings if one.rule == "old-upstream-http"]
    assert "default of nginx 1.27.3 (.../production/compose.yaml:3)" in one.message


def test_explain_names_the_nginx_its_version_and_the_app() -> None:
    text = COMPOSE.replace("{version}", "1.27.3") + "  api:\n    image: vllm/vllm-openai\n"
    files = repository(**{"compose.yaml": text})
    url = "/v1/chat/completions"
    explainers = make_explainers(Workspace.in_memory(files), "b/site.conf", Options())
    found = explainers.explain_all([(url, parse_url(url))])
    shown = explain_text(found, [by.findings(one) for by, one in found])
    assert "web (compose.yaml:2) runs nginx 1.27.3 (compose.yaml:3)" in shown
    assert "1.0  [default of nginx 1.27.3 (compose.yaml:3)]" in shown
    assert "  app       vLLM\n" in shown
    [document] = json.loads(explain_json([one for _, one in found]))
    check_document("explain", [document])
    assert document["app"] == "vLLM"
    assert document["nginx"] == {
        "name": "web",
        "file": "compose.yaml",
        "line": 2,
        "product": "nginx",
        "version": "1.27.3",
        "version_file": "compose.yaml",
        "version_line": 3,
    }
    [alone] = explain(Workspace.in_memory({"site.conf": SITE}), "site.conf", [url])
    assert (alone.nginx, alone.app) == (None, None)


def run_of(files: Mapping[str, str]) -> Run:
    return Run(linted(files), shipped_rules(), None, 0.0, ".")


def test_json_names_each_nginx_with_a_finding() -> None:
    document = json.loads(render("json", run_of(repository("1.27.3"))))
    check_document("lint", document)
    [nginx] = document["instances"]
    assert (nginx["name"], nginx["version"], nginx["version_line"]) == ("web", "1.27.3", 3)
    assert {one["instance"] for one in document["findings"]} == {"web"}
    unknown = json.loads(render("json", run_of(repository("ours"))))
    check_document("lint", unknown)
    assert unknown["instances"][0]["version"] is None


def test_the_picture_is_that_of_the_instance() -> None:
    """Before 1.29.7 the proxy buffer holds a stream that newer nginx passes on."""
    text = COMPOSE + "  api:\n    image: vllm/vllm-openai\n"
    site = SITE.replace("        proxy_buffering off;\n", "")
    for version, through in (("1.27.3", False), ("1.31.0", True), ("latest", False)):
        files = repository(
            **{"compose.yaml": text.replace("{version}", version), "b/site.conf": site}
        )
        run = run_of(files)
        [path] = stream_paths(run.report, None)
        assert path.gets_through is through, version
        [said] = stream_paths(run.report, (1, 31, 0))
        assert said.gets_through
        page = html(run)
        runs = "nginx with the tag latest" if version == "latest" else f"nginx {version}"
        assert f"web (compose.yaml:2) runs {runs} (compose.yaml:3)" in page
        assert "App behind it: vLLM." in page
        assert "nginx version unknown" not in page


def test_of_several_nginx_the_picture_is_that_of_one_that_holds() -> None:
    site = SITE.replace("        proxy_buffering off;\n", "")
    other = COMPOSE.replace("{version}", "1.27.3").replace("  web:", "  edge:")
    more = {"docker-compose.other.yml": other, "b/site.conf": site}
    [path] = stream_paths(linted(repository("1.31.0", **more)), None)
    assert path.proxied.nginx is not None
    assert (path.gets_through, path.proxied.nginx.name) == (False, "edge")


def test_text_names_the_instance_beside_findings_that_only_it_has() -> None:
    other = COMPOSE.replace("{version}", "1.27.3").replace("  web:", "  edge:")
    site = SITE.replace("600s", "30s")
    files = repository("1.30.0", **{"docker-compose.other.yml": other, "b/site.conf": site})
    shown = click.unstyle(text_report(run_of(files)))
    assert "b/site.conf:3: location /v1/chat/completions\n" in shown
    assert "old-upstream-http at 3:5 in edge\n" in shown
    assert "short-read-timeout at 6:9 in web, edge\n" in shown
    alone = click.unstyle(text_report(run_of(repository("1.27.3"))))
    assert "b/site.conf:3: location /v1/chat/completions in web\n" in alone


def test_a_product_is_not_its_nginx() -> None:
    text = COMPOSE.replace("nginx:{version}", "openresty/openresty:1.25.3.2-alpine").replace(
        "/etc/nginx/nginx.conf", "/usr/local/openresty/nginx/conf/nginx.conf"
    )
    found = linted(repository(**{"compose.yaml": text}))
    assert closing_lines(found)[0] == (
        "web (compose.yaml:2) runs OpenResty with nginx 1.25.3 (compose.yaml:3)."
    )


RETRIED = """\
upstream llm { server api:8000; }
server {
    listen 80;
    location /v1/chat/completions {
        proxy_pass http://llm;
        proxy_http_version 1.1;
        proxy_buffering off;
        proxy_read_timeout 600s;
        proxy_next_upstream error timeout non_idempotent;
    }
}
"""


@pytest.mark.parametrize(
    ("replicas", "is_repeated"),
    [
        ("", False),
        ("scale: 1", False),
        ("scale: 3", True),
        ("deploy: {replicas: 2}", True),
        ("deploy: {replicas: '${REPLICAS}'}", True),
        ("deploy: {mode: global}", True),
    ],
)
@pytest.mark.parametrize("target", ["http://llm", "http://api:8000"])
def test_one_replica_of_an_app_is_one_server(replicas: str, is_repeated: bool, target: str) -> None:
    """nginx repeats a failed request only on another address."""
    text = COMPOSE.replace("{version}", "1.30.0")
    text += f"  api:\n    image: vllm/vllm-openai\n    {replicas}\n"
    site = RETRIED.replace("http://llm", target)
    files = repository(**{"compose.yaml": text, "b/site.conf": site})
    assert ("repeated-generation" in rules(linted(files))) is is_repeated
    # A file of the same folder may change it.
    more = {"compose.prod.yaml": "services:\n  api:\n    deploy: {replicas: 4}\n"}
    changed = linted({**files, **more})
    assert "repeated-generation" in rules(changed)
    assert {one.instance for one in changed.findings} == {"web"}


def test_a_name_of_two_services_is_not_one_server() -> None:
    text = COMPOSE.replace("{version}", "1.30.0")
    for name in ("a", "b"):
        text += f"  {name}:\n    image: vllm/vllm-openai\n    networks: {{x: {{aliases: [api]}}}}\n"
    files = repository(**{"compose.yaml": text, "b/site.conf": RETRIED})
    assert "repeated-generation" in rules(linted(files))


@pytest.mark.parametrize(
    ("replicas", "address", "is_repeated"),
    [("3", "", False), ("3", "clusterIP: None", True), ("1", "clusterIP: None", False)],
)
def test_a_service_of_kubernetes_is_one_address(
    replicas: str, address: str, is_repeated: bool
) -> None:
    app = APP.replace("spec:\n  template", f"spec:\n  replicas: {replicas}\n  template")
    app = app.replace("spec:\n  selector", f"spec:\n  {address}\n  selector")
    text = WORKLOAD.replace("IMAGE", "nginx:1.30.0").replace(
        "proxy_buffering on;", "proxy_next_upstream error non_idempotent;"
    )
    found = rules(linted({"k8s/edge.yaml": text + app}))
    assert ("repeated-generation" in found) is is_repeated


@pytest.mark.parametrize("command", ["lint", "explain"])
def test_rendered_manifests_on_standard_input_are_a_deployment(
    command: str, tmp_path: Path
) -> None:
    """As `helm template | nginx-stream-lint -`, in any folder."""
    chart = "---\n# Source: chart/templates/edge.yaml\n"
    text = f"{chart}{WORKLOAD.replace('IMAGE', 'nginx:1.27.3')}{chart}{APP}"
    text += f"{'# of the chart' * 10}\n" * 20_000  # rendered charts may be long
    options = ("-", "/") if command == "explain" else ("-",)
    done = run(command, *options, "--format", "json", stdin=text.encode(), cwd=tmp_path)
    document = json.loads(done.stdout)
    if command == "lint":
        assert done.returncode == 1, done.stderr
        [nginx] = document["instances"]
        [one] = [one for one in document["findings"] if one["rule"] == "response-buffering"]
        assert (one["instance"], one["stream"]["confidence"]) == ("edge", "known")
        assert "default of nginx 1.27.3 (<stdin>:" in one["message"]
    else:
        nginx, app = document[0]["nginx"], document[0]["app"]
        assert app == "Ollama"
    assert (nginx["name"], nginx["file"], nginx["version"]) == ("edge", "<stdin>", "1.27.3")


def test_two_instances_may_need_one_fix(tmp_path: Path) -> None:
    """They have different findings about one directive, which the same edit fixes."""
    other = COMPOSE.replace("{version}", "1.31.0").replace("  web:", "  edge:")
    site = SITE.replace("        proxy_buffering off;\n", "")
    files = repository("1.27.3", **{"docker-compose.other.yml": other, "b/site.conf": site})
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / ".git").mkdir()
    shown = run(".", cwd=tmp_path).stdout
    assert "response-buffering at 3:5 in web" in shown
    assert "response-buffering at 3:5 in edge" in shown
    assert "manual fix" not in shown
    assert run("--fix", "--unsafe-fixes", ".", cwd=tmp_path).returncode == 0
    fixed = (tmp_path / "b/site.conf").read_text(encoding="utf-8")
    assert fixed.count("proxy_buffering off;") == 1


def test_explain_names_others_that_read_the_file() -> None:
    other = COMPOSE.replace("{version}", "1.31.0")
    names = ("edge", "second", "third", "fourth", "fifth")
    more = {f"docker-compose.{one}.yml": other.replace("  web:", f"  {one}:") for one in names}
    url = "/v1/chat/completions"
    for count, words in (
        (0, "(compose.yaml:3) server"),
        (1, "(compose.yaml:3); edge (docker-compose.edge.yml:2) reads this file, too server"),
        (5, " and 2 others read this file, too server"),
    ):
        files = repository("1.27.3", **dict([*more.items()][:count]))
        explainers = make_explainers(Workspace.in_memory(files), "b/site.conf", Options())
        found = explainers.explain_all([(url, parse_url(url))])
        shown = " ".join(explain_text(found, [[]], width=1000).split())
        assert words in shown


def test_explain_names_a_service_with_overrides_once() -> None:
    override = "services: {web: {environment: {A: b}}}\n"
    files = {**repository("1.27.3"), "compose.prod.yaml": override}
    explainers = make_explainers(Workspace.in_memory(files), "b/site.conf", Options())
    url = "/v1/chat/completions"
    found = explainers.explain_all([(url, parse_url(url))])
    shown = " ".join(explain_text(found, [[]], width=1000).split())
    assert "(compose.yaml:3) server" in shown


@pytest.mark.parametrize("more", ["volumes_from: [elsewhere]", "extends: {service: a, file: b}"])
def test_unknown_mounts_leave_includes_open(more: str) -> None:
    """They may be mounted at any path, so the include is resolved as without a deployment."""
    text = COMPOSE.replace("{version}", "1.27.3").replace(
        "      - ./b/site.conf:/etc/nginx/conf.d/default.conf\n", f"    {more}\n"
    )
    found = linted({**repository(), "compose.yaml": text}, "a/main.conf")
    assert [one.source.name for one in found.files] == ["a/main.conf", "c/conf.d/other.conf"]


@pytest.mark.parametrize(
    ("target", "confidence"),
    [
        ("http://ollama:11434/", "known"),
        ("http://ollama:11434/api/", "likely"),
        ("http://ollama:11434", "likely"),
        ("http://ollama:11434/api/tags", None),
    ],
)
def test_an_image_identifies_the_endpoints_of_its_app(target: str, confidence: str | None) -> None:
    """Also beside the pages of another app whose image is that of a known app."""
    conf = (
        "server {\n    listen 80;\n"
        f"    location /models/ {{ proxy_pass {target}; }}\n"
        "    location / { proxy_pass http://webui:8080; }\n}\n"
    )
    compose = (
        "services:\n"
        "  web:\n    image: nginx:1.27\n    volumes: [./a.conf:/etc/nginx/conf.d/default.conf]\n"
        "  ollama:\n    image: ollama/ollama\n"
        "  webui:\n    image: ghcr.io/open-webui/open-webui:main\n"
    )
    result = linted({"compose.yaml": compose, "a.conf": conf})
    found = {
        one.location.label: one.stream.confidence
        for one in result.findings
        if one.stream is not None
    }
    assert found.get("location /models/") == confidence
    assert found["location /"] == "known"


def test_the_texts_of_a_compose_file_are_those_of_their_services() -> None:
    """Two of its `configs` have the same key, `content`."""
    services = "".join(
        f"  {name}:\n    image: nginx:{version}\n"
        f"    configs: [{{source: {name}, target: /etc/nginx/conf.d/default.conf}}]\n"
        for name, version in (("new", "1.31.3"), ("old", "1.22.1"))
    )
    texts = "".join(
        f"  {name}:\n    content: |\n"
        f"      server {{ location /events {{ proxy_pass http://{name}; }} }}\n"
        for name in ("new", "old")
    )
    result = linted({"compose.yaml": f"services:\n{services}configs:\n{texts}"})
    found = {
        (one.instance, one.severity) for one in result.findings if one.rule == "response-buffering"
    }
    assert found == {("new", "warning"), ("old", "error")}


def test_config_maps_of_one_name_in_two_namespaces() -> None:
    pod = (
        "kind: Deployment\nmetadata: {{name: web, namespace: {0}}}\nspec: {{template: {{spec: {{"
        "containers: [{{name: nginx, image: 'nginx:{1}',"
        " volumeMounts: [{{name: c, mountPath: /etc/nginx/conf.d}}]}}],"
        " volumes: [{{name: c, configMap: {{name: sites}}}}]}}}}}}\n---\n"
        "kind: ConfigMap\nmetadata: {{name: sites, namespace: {0}}}\ndata:\n  default.conf: |\n"
        "    server {{ location /events {{ proxy_pass http://{0}; }} }}\n"
    )
    result = linted(
        {"all.yaml": "---\n".join((pod.format("a", "1.31.3"), pod.format("b", "1.22.1")))}
    )
    found = {
        (one.place.line, one.severity)
        for one in result.findings
        if one.rule == "response-buffering"
    }
    assert found == {(9, "warning"), (19, "error")}
