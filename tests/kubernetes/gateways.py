"""Manifests of the Gateway API for tests, and the nginx configurations made from them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.config import Source
from nginx_stream_lint.config.templates import yaml_reading
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import fix_all
from nginx_stream_lint.kubernetes.gateway_api import objects
from nginx_stream_lint.kubernetes.gateway_reading import plans
from nginx_stream_lint.kubernetes.gateway_routes import Plan
from nginx_stream_lint.kubernetes.manifest import documents
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

# Settings of the controller's processes, which do not affect a route.
ELSEWHERE = {"reload-cut", "browser-connection-limit"}
RULES = tuple(rule for rule in load_rules(builtin_folder()) if rule.name not in ELSEWHERE)

GATEWAY = """\
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata:
  name: web
spec:
  gatewayClassName: nginx
  listeners:
    - name: http
      port: 80
      protocol: HTTP
    - name: https
      port: 443
      protocol: HTTPS
      tls:
        mode: Terminate
        certificateRefs:
          - name: llm-tls
"""
ROUTE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: llm
spec:
  parentRefs:
    - name: web
  hostnames:
    - llm.example.com
  rules:
    - matches:
        - path:
            type: PathPrefix
            value: /v1/chat/completions
      backendRefs:
        - name: vllm
          port: 8000
"""


def policy(kind: str, target: str, name: str, spec: str, label: str = "policy") -> str:
    """A policy of gateway.nginx.org for an object; `spec` has the lines of its other fields."""
    lines = "".join(f"  {line}\n" for line in spec.splitlines())
    return f"""\
apiVersion: gateway.nginx.org/v1alpha1
kind: {kind}
metadata:
  name: {label}
spec:
  targetRefs:
    - group: gateway.networking.k8s.io
      kind: {target}
      name: {name}
{lines}"""


def plans_of(*texts: str) -> list[Plan]:
    """The Gateways in some YAML texts, each of which is a file in one folder."""
    sources = [Source(f"{number}.yaml", text) for number, text in enumerate(texts)]
    found = [objects(documents(one, yaml_reading(one).text)[0]) for one in sources]
    return plans([one for own in found for one in own])


def write(folder: Path, files: Mapping[str, str]) -> None:
    """Write files into a folder, which becomes a repository."""
    (folder / ".git").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", newline="")


def checked(*paths: Path) -> Result:
    """Check files or folders; there must be no problems."""
    report = lint(Workspace.on_disk(*map(str, paths)), options=Options(rules=RULES))
    assert report.problems == []
    return report


def said(report: Result) -> set[tuple[str, str]]:
    """The severities and rules of the findings."""
    return {(one.severity, one.rule) for one in report.findings}


def fixed(path: Path, unsafe: bool = False) -> dict[str, str]:
    """The files that all fixes change: their new texts, by name."""

    def again(changed: Mapping[str, str]) -> list[Finding]:
        workspace = Workspace.on_disk(str(path)).overlaid(changed)
        return lint(workspace, options=Options(rules=RULES)).findings

    return {Path(after.name).name: after.text for _, after in fix_all(again, unsafe).values()}
