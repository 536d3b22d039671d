"""The design card: crossplane parses, YAML rules decide, Jinja renders, click is the command.

Each test changes one of the four, as installed or as written, and runs the real command: what it
reports has to change in the same way. So a test fails when something else does that work.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from nginx_stream_lint.analysis.rule_examples import Case, cases, lint_text
from nginx_stream_lint.probe import NginxBinary
from nginx_stream_lint.rules.facts import REMARKS
from nginx_stream_lint.rules.finding import Severity
from nginx_stream_lint.rules.rule import STREAMS, Rule
from nginx_stream_lint.rules.rule_file import load_rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules
from tests.checkout import ROOT
from tests.command import run

CONFIGURATION = """\
events {}
http {
    server {
        location /events {
            proxy_pass http://127.0.0.1:8000;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }
    }
}
"""


@pytest.fixture
def use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Put a folder in front of where Python looks for packages."""

    def first(folder: Path) -> None:
        paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))

    (tmp_path / "nginx.conf").write_text(CONFIGURATION, encoding="utf-8")
    return first


def lint(folder: Path, *options: str) -> str:
    """The report about the configuration above."""
    done = run("lint", "nginx.conf", *options, cwd=folder)
    assert done.stderr == ""
    return done.stdout


def found(folder: Path) -> dict[str, dict[str, Any]]:
    """The findings by rule."""
    findings = json.loads(lint(folder, "--format", "json"))["findings"]
    return {one["rule"]: one for one in findings}


def changed(package: str, module: str, code: str, folder: Path) -> Path:
    """A folder with an installed package, to one of whose modules some code is added."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    copy = folder / "packages"
    shutil.copytree(
        Path(spec.origin).parent, copy / package, ignore=shutil.ignore_patterns("__pycache__")
    )
    with (copy / package / module).open("a", encoding="utf-8") as stream:
        stream.write(code)
    return copy


CROSSPLANE = """
_parse = parse

def parse(*args, **options):
    payload = _parse(*args, **options)
    work = [file["parsed"] for file in payload["config"]]
    while work:
        block = work.pop()
        block[:] = [one for one in block if one["directive"] != "proxy_buffering"]
        work += [one["block"] for one in block if "block" in one]
    return payload
"""


def test_the_tree_is_what_crossplanes_parser_returns(
    tmp_path: Path, use: Callable[[Path], None]
) -> None:
    assert set(found(tmp_path)) == {"short-read-timeout"}
    use(changed("crossplane", "parser.py", CROSSPLANE, tmp_path))
    # Its result now lacks `proxy_buffering off`.
    assert set(found(tmp_path)) == {"short-read-timeout", "response-buffering"}


def copied(folder: Path) -> Path:
    """A copy of the sources with the rules, in a folder; returns that of the rules."""
    package = Path("src/nginx_stream_lint")
    shutil.copytree(
        ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "tables")
    )
    shutil.copytree(ROOT / "rules", folder / "rules")
    return folder / "rules"


def rewrite(rule: Path, severity: Severity, message: str, **keys: object) -> None:
    """Write another severity into each case of a rule file, another message, and other keys."""
    document = yaml.safe_load(rule.read_text(encoding="utf-8"))
    cases = [
        severity if isinstance(one, str) else {severity: condition}
        for one in document["severity"]
        for condition in (one.values() if isinstance(one, dict) else [None])
    ]
    document |= {"severity": cases, "message": message, **keys}
    rule.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")


def test_yaml_rules_decide(tmp_path: Path, use: Callable[[Path], None]) -> None:
    before = found(tmp_path)["short-read-timeout"]
    assert before["severity"] == "warning"
    rules = copied(tmp_path)
    use(tmp_path / "src")
    rule = rules / "short-read-timeout.yaml"
    text = rule.read_text(encoding="utf-8")
    assert "- warning:" in text
    rule.write_text(text.replace("- warning:", "- error:"), encoding="utf-8")
    assert found(tmp_path) == {"short-read-timeout": before | {"severity": "error"}}
    rule.unlink()
    assert found(tmp_path) == {}


# A finding of each group: a rule, and what it reports on.
OF_EACH_GROUP = {
    STREAMS: "short-read-timeout",
    "comments": "unused-ignore",
    "blocks": "unmatchable-location",
    "declarations": "unproxied-stream",
    "tiers": "tier-timeout",
    "twins": "controller-default",
}
OF_ALL_GROUPS = """\
events {}
http {
    set_real_ip_from 10.0.0.0/8;
    real_ip_header CF-Connecting-IP;
    server {
        location /events {
            proxy_pass http://127.0.0.1:8000;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off; # nginx-stream-lint: ignore[nagle-delay] not needed
        }
        location ^/events {
            proxy_pass http://127.0.0.1:8000;
        }
    }
}
"""
# Two controllers configure one path, and only the second one cuts its stream.
TWINS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: old
  annotations: {nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"}
spec:
  ingressClassName: nginx
  rules:
    - host: llm.example.com
      http: {paths: [{path: /events, backend: {service: {name: app, port: {number: 8000}}}}]}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: new
  annotations: {nginx.org/proxy-buffering: "False"}
spec:
  ingressClassName: nginx
  rules:
    - host: llm.example.com
      http: {paths: [{path: /events, backend: {service: {name: app, port: {number: 8000}}}}]}
"""


# No rule can know this value of Connection.
UNKNOWN_HANDSHAKE = """\
events {}
http {
    server {
        listen 80;
        location /ws {
            proxy_pass http://127.0.0.1:8000;
            proxy_http_version 1.1;
            proxy_read_timeout 1h;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $request_id;
        }
    }
}
"""


def of_each_group(folder: Path) -> dict[str, dict[str, Any]]:
    """The findings about the two files above by rule, of the rules in `OF_EACH_GROUP`."""
    (folder / "nginx.conf").write_text(OF_ALL_GROUPS, encoding="utf-8")
    (folder / "twins.yaml").write_text(TWINS, encoding="utf-8")
    files = ("nginx.conf", "twins.yaml")
    done = run("lint", *files, "--stream", "/nowhere", "--format", "json", cwd=folder)
    assert done.stderr == ""
    findings = json.loads(done.stdout)["findings"]
    return {one["rule"]: one for one in findings if one["rule"] in OF_EACH_GROUP.values()}


def test_yaml_rules_decide_in_every_group(tmp_path: Path, use: Callable[[Path], None]) -> None:
    assert set(OF_EACH_GROUP) == {STREAMS, *REMARKS} - {"handshakes"}, "the next test has these"
    before = of_each_group(tmp_path)
    assert set(before) == set(OF_EACH_GROUP.values())
    rules = copied(tmp_path)
    use(tmp_path / "src")
    for name in before:
        rewrite(rules / f"{name}.yaml", "note", f"A text about {name}")
    after = of_each_group(tmp_path)
    said = {name: (one["severity"], one["message"]) for name, one in after.items()}
    assert said == {name: ("note", f"A text about {name}") for name in before}
    assert {name: one["line"] for name, one in after.items()} == {
        name: one["line"] for name, one in before.items()
    }
    rewrite(
        rules / "controller-default.yaml", "note", "Another text", when='worse_severity == "error"'
    )
    assert set(of_each_group(tmp_path)) == set(before) - {"controller-default"}


def test_yaml_rules_decide_about_measured_handshakes(
    tmp_path: Path, use: Callable[[Path], None], binary: NginxBinary
) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(UNKNOWN_HANDSHAKE, encoding="utf-8")
    rules = copied(tmp_path)
    use(tmp_path / "src")

    def measured() -> list[tuple[str, str]]:
        found = json.loads(
            lint(tmp_path, "--probe", "--nginx", str(binary.path), "--format", "json")
        )
        return [
            (one["severity"], one["message"])
            for one in found["findings"]
            if one["rule"] == "websocket-upgrade"
        ]

    ((severity, message),) = measured()
    assert severity == "error"
    assert message.endswith("one gets status 400")
    rewrite(rules / "websocket-upgrade.yaml", "note", "{{ refused_with }}, nginx {{ refused_by }}")
    version = ".".join(map(str, binary.version))
    assert measured() == [("note", f"status 400, nginx {version}")]
    rewrite(rules / "websocket-upgrade.yaml", "note", "Another text", when="handshake")
    assert measured() == []


RULES = load_rules(builtin_folder())
BAD = [case for case in cases(RULES) if case.kind == "bad"]


@pytest.mark.parametrize("case", BAD, ids=lambda case: f"{case.rule.name}-{case.number}")
def test_each_rule_file_has_the_severity_and_the_message(case: Case, tmp_path: Path) -> None:
    name, text = case.rule.name, case.example.bad
    assert text is not None

    def said(rule: Rule) -> list[tuple[int, int, Severity, str]]:
        rules = [rule if one.name == name else one for one in RULES]
        report = lint_text(text, rules, case.example.nginx_version)
        return [
            (one.place.start, one.place.end, one.severity, one.message)
            for one in report.findings
            if one.rule == name
        ]

    before = said(case.rule)
    severity: Severity = "warning" if {one[2] for one in before} == {"note"} else "note"
    shutil.copy(ROOT / "rules" / f"{name}.yaml", tmp_path)
    rule = tmp_path / f"{name}.yaml"
    rewrite(rule, severity, "Another text")
    assert before
    assert said(load_rule(rule)) == [(*one[:2], severity, "Another text") for one in before]


# Text in a template gets large vowels. The unit of a time changes so that its value does not.
JINJA = """
def changed(self, data, **attributes):
    data = "000ms" if data == "s" else data.translate({97: "A", 101: "E", 105: "I", 111: "O"})
    Node.__init__(self, data, **attributes)

TemplateData.__init__ = changed
"""


def test_jinja_renders_messages_and_fixes(tmp_path: Path, use: Callable[[Path], None]) -> None:
    before = found(tmp_path)["short-read-timeout"]
    use(changed("jinja2", "nodes.py", JINJA, tmp_path))
    after = found(tmp_path)["short-read-timeout"]
    assert before["message"] != after["message"]
    assert before["message"].lower() == after["message"].lower().replace("000ms", "s")
    assert "proxy_read_timeout 300s;" in before["fix"]["edits"][0]["text"]
    assert "proxy_read_timeout 300000ms;" in after["fix"]["edits"][0]["text"]


CLICK = """
_parse_args = Command.parse_args

def parse_args(self, context, args):
    return _parse_args(self, context, [*args, "--format", "json"] if self.name == "lint" else args)

Command.parse_args = parse_args
"""


def test_click_is_the_command(tmp_path: Path, use: Callable[[Path], None]) -> None:
    assert lint(tmp_path).startswith("nginx.conf:")
    use(changed("click", "core.py", CLICK, tmp_path))
    assert json.loads(lint(tmp_path))["findings"][0]["rule"] == "short-read-timeout"


def test_jinja_is_whole_for_others_in_the_process() -> None:
    """A program that lints, too, may use names that a message needs none of."""
    lines = (
        "import sys",
        "from nginx_stream_lint import Workspace, lint",
        f"files = {{'nginx.conf': {CONFIGURATION!r}}}",
        "assert lint(Workspace.in_memory(files)).findings",
        "import jinja2",
        "assert 'jinja2.loaders' not in sys.modules",
        "jinja2.loaders.FileSystemLoader, jinja2.bccache.BytecodeCache, jinja2.Template",
        "from jinja2 import DictLoader, ext",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
