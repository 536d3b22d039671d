"""Severities and overrides, in the real command: in every format, through main files and links."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nginx_stream_lint.report import FORMATS
from tests.command import findings, run_here
from tests.report.schemas import CHECKS, READ, Said

LOCATION = "location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; }"
POSSIBLE = "location /shop { proxy_pass http://127.0.0.1:9000; }"
MAIN = f"""events {{}}
http {{
    include conf.d/*.conf;
    server {{
        listen 80;
        {LOCATION}
    }}
}}
"""
SERVER = f"server {{\n    listen 81;\n    {LOCATION}\n}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A main file that includes conf.d/legacy.conf, and the folder as working folder."""
    (tmp_path / ".git").mkdir()  # where the search for settings ends
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "nginx.conf").write_text(MAIN, encoding="utf-8")
    (tmp_path / "conf.d" / "legacy.conf").write_text(SERVER, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def settings(text: str, name: str = ".nginx-stream-lint.yaml") -> None:
    Path(name).write_text(text, encoding="utf-8")


def said(*arguments: str) -> set[Said]:
    """What JSON says of the findings."""
    return READ["json"](run_here(*arguments, "--format", "json").stdout)


def of(found: set[Said], rule: str) -> dict[str, str]:
    """The severities of a rule's findings, by file."""
    return {file: severity for name, file, severity in found if name == rule}


OVERRIDE = """
overrides:
  - paths: /conf.d/
    ignore: response-buffering
    severity: {short-read-timeout: note}
"""
EXPECTED = {
    ("response-buffering", "nginx.conf", "error"),
    ("short-read-timeout", "nginx.conf", "error"),
    ("short-read-timeout", "conf.d/legacy.conf", "note"),
}


def test_an_override_holds_in_every_format_through_the_main_file(folder: Path) -> None:
    settings(OVERRIDE)
    formats = [f"--format={name}=report.{name}" for name in FORMATS]
    done = run_here("nginx.conf", *formats)
    assert (done.returncode, done.stderr) == (1, "")
    for name in FORMATS:
        text = (folder / f"report.{name}").read_text(encoding="utf-8")
        CHECKS[name](text)
        assert READ[name](text) == EXPECTED, name
    # Without the settings each format says something else: the readers above do see it.
    (folder / ".nginx-stream-lint.yaml").unlink()
    run_here("nginx.conf", *formats)
    for name in FORMATS:
        found = READ[name]((folder / f"report.{name}").read_text(encoding="utf-8"))
        assert of(found, "response-buffering") == dict.fromkeys(
            ("nginx.conf", "conf.d/legacy.conf"), "error"
        ), name


@pytest.mark.parametrize(
    "path", ["nginx.conf", "conf.d/legacy.conf", "conf.d", ".", str(Path("conf.d") / ".." / ".")]
)
def test_it_holds_however_the_file_is_reached(path: str, folder: Path) -> None:
    settings(OVERRIDE)
    found = said(path)
    legacy = {one[0]: one[2] for one in found if one[1].endswith("legacy.conf")}
    assert legacy == {"short-read-timeout": "note"}
    below = folder / "conf.d"
    done = run_here("--format", "json", "legacy.conf", cwd=below)
    assert of(READ["json"](done.stdout), "short-read-timeout")["legacy.conf"] == "note"


@pytest.mark.parametrize("pattern", ["sites-enabled/", "sites-available/*.conf"])
def test_a_file_behind_a_link_has_both_names(pattern: str, folder: Path) -> None:
    (folder / "sites-available").mkdir()
    (folder / "sites-enabled").mkdir()
    (folder / "sites-available" / "a.conf").write_text(SERVER, encoding="utf-8")
    (folder / "sites-enabled" / "a.conf").symlink_to("../sites-available/a.conf")
    (folder / "nginx.conf").write_text(MAIN.replace("conf.d", "sites-enabled"), encoding="utf-8")
    settings(f"overrides: [{{paths: '{pattern}', severity: {{response-buffering: note}}}}]")
    assert of(said("nginx.conf"), "response-buffering") == {
        "nginx.conf": "error",
        "sites-enabled/a.conf": "note",
    }


CONFIG_MAP = f"""kind: ConfigMap
data:
  nginx.conf: |
    server {{
        listen 80;
        {LOCATION}
    }}
"""
INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: chat
  annotations:
    nginx.org/client-max-body-size: 8m
spec:
  ingressClassName: nginx
  rules:
    - host: chat.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Exact
            backend: {service: {name: vllm, port: {number: 8000}}}
"""
TEMPLATE = SERVER.replace("127.0.0.1:8000", "${APP}").replace("81", "{{ port }}")


@pytest.mark.parametrize(
    ("name", "text"),
    [("deploy/map.yaml", CONFIG_MAP), ("deploy/in.yaml", INGRESS), ("deploy/a.conf.j2", TEMPLATE)],
)
def test_it_holds_in_yaml_and_templates(name: str, text: str, folder: Path) -> None:
    (folder / "deploy").mkdir()
    (folder / name).write_text(text, encoding="utf-8")
    before = of(said(name), "response-buffering")
    settings("overrides: [{paths: deploy, severity: {response-buffering: note}}]")
    assert list(before) == [name]
    assert before[name] != "note"
    assert of(said(name), "response-buffering") == {name: "note"}
    settings("overrides: [{paths: deploy, ignore: response-buffering}]")
    assert of(said(name), "response-buffering") == {}


def test_what_nothing_suggests_to_stream_has_no_findings(folder: Path) -> None:
    (folder / "conf.d" / "legacy.conf").write_text(
        f"server {{ listen 81; {POSSIBLE} }}", encoding="utf-8"
    )
    settings(
        "severity: {response-buffering: error, short-read-timeout: error}\n"
        "overrides: [{paths: conf.d/, severity: {response-buffering: error}}]"
    )
    found = said("nginx.conf")
    assert of(found, "response-buffering") == {"nginx.conf": "error"}
    assert of(found, "short-read-timeout") == {"nginx.conf": "error"}


def test_what_nobody_can_see_is_no_error(folder: Path) -> None:
    """A template may set it: a warning, whatever the settings say."""
    text = f"server {{ listen 80; {{% if x %}} {{{{ y }}}}; {{% endif %}} {LOCATION} }}"
    (folder / "a.conf.j2").write_text(text, encoding="utf-8")
    before = of(said("a.conf.j2"), "response-buffering")
    settings("severity: {response-buffering: error}")
    assert before == of(said("a.conf.j2"), "response-buffering") == {"a.conf.j2": "warning"}


def test_findings_stay_in_the_order_of_the_files_named(folder: Path) -> None:
    (folder / "b.conf").write_text(MAIN.replace("    include conf.d/*.conf;\n", ""), "utf-8")
    settings("severity: {short-read-timeout: error, response-buffering: note}")
    report = json.loads(run_here("nginx.conf", "b.conf", "--format", "json").stdout)
    rows = [(one["file"], one["severity"]) for one in report["findings"]]
    assert [file for file, _ in rows] == ["conf.d/legacy.conf"] * 2 + ["nginx.conf"] * 2 + [
        "b.conf"
    ] * 2
    assert [severity for _, severity in rows] == ["error", "note"] * 3


def test_the_last_override_wins_and_may_take_back() -> None:
    settings(
        "severity: {response-buffering: off}\n"
        "ignore: short-read-timeout\n"
        "overrides:\n"
        "  - {paths: conf.d/, severity: {response-buffering: warning, short-read-timeout: note}}\n"
        "  - {paths: [conf.d/*.conf, '!legacy.conf'], severity: {response-buffering: note}}\n"
    )
    found = said("nginx.conf")
    assert of(found, "response-buffering") == {"conf.d/legacy.conf": "warning"}
    assert of(found, "short-read-timeout") == {"conf.d/legacy.conf": "note"}
    assert {one[0] for one in said("nginx.conf", "--select", "response-buffering")} == {
        "response-buffering"
    }
    assert of(said("nginx.conf", "--select", "response-buffering"), "response-buffering") == {
        "nginx.conf": "error",
        "conf.d/legacy.conf": "warning",
    }
    assert of(said("nginx.conf", "--ignore", "response-buffering"), "response-buffering") == {}
    assert of(said("nginx.conf", "--ignore", "nagle-delay"), "short-read-timeout") == {
        "conf.d/legacy.conf": "note"
    }


def test_selected_rules_are_all_there_is(folder: Path) -> None:
    settings("select: [response-buffering, short-read-timeout]\nignore: short-read-timeout")
    assert {one[0] for one in said(str(folder))} == {"response-buffering"}
    assert {one[0] for one in said(".", "--select", "old-upstream-http")} == {"old-upstream-http"}


def test_version_and_timeout_go_with_the_file_of_the_location() -> None:
    both = {"nginx.conf": "error", "conf.d/legacy.conf": "error"}
    assert of(said("nginx.conf"), "response-buffering") == both
    settings("overrides: [{paths: conf.d/, nginx_version: 1.29.7, min_read_timeout: 30s}]")
    found = said("nginx.conf")
    assert of(found, "response-buffering") == both | {"conf.d/legacy.conf": "warning"}
    assert set(of(found, "short-read-timeout")) == {"nginx.conf"}
    # The options say it for all files.
    found = said("nginx.conf", "--nginx-version", "1.26.2", "--min-read-timeout", "300s")
    assert of(found, "response-buffering") == both
    assert set(of(found, "short-read-timeout")) == {"nginx.conf", "conf.d/legacy.conf"}
    page = run_here("nginx.conf", "--format", "html").stdout
    assert page.count("stalls") > 0


def test_streams_of_an_override_are_for_its_servers_and_locations(folder: Path) -> None:
    server = "server {{ listen {port}; include locations/shop.conf; }}\n"
    (folder / "locations").mkdir()
    (folder / "locations" / "shop.conf").write_text(POSSIBLE, encoding="utf-8")
    for name, port in (("a", 81), ("b", 82)):
        (folder / "conf.d" / f"{name}.conf").write_text(server.format(port=port), encoding="utf-8")
    (folder / "conf.d" / "c.conf").write_text(
        f"server {{ listen 83; {POSSIBLE} }}", encoding="utf-8"
    )

    def declared() -> set[str]:
        return {
            one["location"]["file"]
            for one in findings("nginx.conf")
            if one["stream"]["confidence"] == "declared"
        }

    assert declared() == set()
    for pattern, files in (
        ("conf.d/a.conf", {"locations/shop.conf"}),
        ("conf.d/c.conf", {"conf.d/c.conf"}),
        ("locations/", {"locations/shop.conf"}),
        ("nowhere/", set()),
    ):
        settings(f"overrides: [{{paths: {pattern}, streams: /shop}}]")
        assert declared() == files, pattern


def test_what_is_off_is_not_mended(folder: Path) -> None:
    settings(OVERRIDE)
    done = run_here("--fix", "nginx.conf")
    assert "fixed" in done.stderr
    assert "proxy_buffering off" in (folder / "nginx.conf").read_text(encoding="utf-8")
    legacy = (folder / "conf.d" / "legacy.conf").read_text(encoding="utf-8")
    assert "proxy_buffering" not in legacy
    assert "proxy_read_timeout" in legacy


def test_fail_on_format_and_files_of_the_settings(folder: Path) -> None:
    settings(
        "severity: {response-buffering: note, old-upstream-http: note, short-read-timeout: note}\n"
    )
    assert run_here("nginx.conf").returncode == 0
    with Path(".nginx-stream-lint.yaml").open("a", encoding="utf-8") as stream:
        stream.write("fail_on: note\nformat: [concise, sarif=out.sarif]\n")
    below = run_here("legacy.conf", cwd=folder / "conf.d")
    assert below.returncode == 1
    assert READ["concise"](below.stdout)
    assert READ["sarif"]((folder / "out.sarif").read_text(encoding="utf-8"))
    assert run_here("nginx.conf", "--fail-on", "warning").returncode == 0
    assert READ["json"](run_here("nginx.conf", "--format", "json").stdout)
    done = run_here("nginx.conf", "--output", "x.txt")
    assert (done.returncode, "single format" in done.stderr) == (2, True)


def test_explain_knows_the_settings() -> None:
    url = "http://localhost:81/v1/chat/completions"
    before = run_here("explain", "nginx.conf", url)
    settings(OVERRIDE)
    after = run_here("explain", "nginx.conf", url)
    assert "response-buffering" in before.stdout
    assert "response-buffering" not in after.stdout
    assert "short-read-timeout" in after.stdout


def test_documents_and_values_of_placeholders(folder: Path) -> None:
    (folder / "docs.md").write_text(f"```nginx\n{SERVER}```\n", encoding="utf-8")
    (folder / "app.conf").write_text(
        "server { listen 80; location ${STREAM_PATH} { proxy_pass http://127.0.0.1:8000; } }",
        encoding="utf-8",
    )
    (folder / "values").mkdir()
    (folder / "values" / ".env").write_text("STREAM_PATH=/v1/chat/completions\n", encoding="utf-8")
    assert said("docs.md") == set()
    settings("markdown: true\nenv_file: values/.env")
    assert of(said("docs.md"), "response-buffering")
    assert run_here("docs.md", "--no-markdown").returncode == 2
    assert of(said("app.conf"), "response-buffering") == {"app.conf": "error"}
    settings("\nenv_file: values/nothing")
    done = run_here("app.conf")
    assert done.returncode == 2
    assert done.stderr.startswith(".nginx-stream-lint.yaml:2:11: values/nothing cannot be read")
