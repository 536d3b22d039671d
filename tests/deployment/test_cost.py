"""What a deployment costs, in counts: modules loaded, documents parsed, searches made."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hatch_build import write_tables

from nginx_stream_lint.analysis.lint import lint
from nginx_stream_lint.config import Configuration
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.kubernetes import manifest
from nginx_stream_lint.kubernetes.plain_manifest import read_plain
from nginx_stream_lint.streams.detect import find_proxied
from nginx_stream_lint.util.budget import Limits

SITE = """\
server {
    location /v1/chat/completions {
        proxy_pass http://api:8000;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 600s;
    }
}
"""
NGINX = {"nginx.conf": "events {}\nhttp { include conf.d/*.conf; }\n", "conf.d/a.conf": SITE}
COMPOSE = """\
services:
  web:
    image: nginx:1.30.0
    volumes:
      - ./nginx.conf:/etc/nginx/nginx.conf:ro
      - ./conf.d:/etc/nginx/conf.d:ro
    ports: ["80:80"]
  api:
    image: example/api
"""
BLOCK = COMPOSE + "    command: |\n      run\n"
REDIS = "services:\n  cache:\n    image: redis:7\n    env_file: .env\n"
WORKLOAD = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: cache}
spec: {template: {spec: {containers: [{name: cache, image: redis}]}}}
"""
READERS = frozenset(
    ("compose", "dockerfile", "files", "instance", "kubernetes", "kustomize", "read")
)

RUN = """\
import sys
from nginx_stream_lint.cli import cli
from nginx_stream_lint.util import data
data._TABLES = sys.argv[1]
try:
    cli(["."])
except SystemExit as end:
    assert not end.code
print(*sys.modules)
"""


def loaded(folder: Path, files: Mapping[str, str]) -> set[str]:
    """The readers of deployments that a run loads, and `yaml` if it loads PyYAML."""
    tables = folder / "tables"
    write_tables(tables)
    top = folder / "repository"
    for name, text in {".git/HEAD": "", **NGINX, **files}.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", RUN, tables],
        cwd=top, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    said, modules = done.stdout.rstrip("\n").rsplit("\n", 1)
    assert said.startswith("no findings in 1 proxied location"), said
    names = {one.removeprefix("nginx_stream_lint.deployment.") for one in modules.split()}
    return names & {*READERS, "relevant", "yaml"}


WITHOUT_NGINX = {
    "no deployment": {"docs/a.yaml": "a: 1\n"},
    "manifests alone": {"k8s/cache.yaml": WORKLOAD},
}
OTHERS = {
    "a compose file": {"compose.yaml": REDIS, ".env": "A=1\n"},
    "a Dockerfile": {"Dockerfile": "FROM python:3.12\nRUN pip install x\n"},
    "both and manifests": {
        "compose.yaml": REDIS, "Dockerfile": "FROM redis\n", "k8s/cache.yaml": WORKLOAD,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_NGINX)
def test_a_repository_without_a_deployment_loads_no_reader(name: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, WITHOUT_NGINX[name]) == set()


@pytest.mark.parametrize("name", OTHERS)
def test_a_deployment_without_nginx_is_only_searched(name: str, tmp_path: Path) -> None:
    assert loaded(tmp_path, OTHERS[name]) == {"relevant"}


def test_a_usual_compose_file_is_read_without_the_readers_of_others(tmp_path: Path) -> None:
    found = loaded(tmp_path, {"compose.yaml": COMPOSE, "k8s/cache.yaml": WORKLOAD})
    assert found == {"relevant", "read", "compose", "instance", "files"}


def test_any_other_compose_file_needs_pyyaml(tmp_path: Path) -> None:
    assert "yaml" in loaded(tmp_path, {"compose.yaml": BLOCK})


def test_each_file_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also by the runs that try fixes."""
    parsed: Counter[str] = Counter()

    def counted(text: str) -> manifest.Mapping | None:
        parsed[text] += 1
        return read_plain(text)

    monkeypatch.setattr("nginx_stream_lint.deployment.texts.read_plain", counted)
    site = SITE.replace("600s", "30s")
    files = {**NGINX, "conf.d/a.conf": site, "compose.yaml": COMPOSE, "other/compose.yaml": REDIS}
    assert [one.rule for one in lint(Workspace.in_memory(files), ["."]).findings] == [
        "short-read-timeout"
    ]
    assert parsed == {COMPOSE: 1}


OWN_UPSTREAM = SITE.replace("http://api:8000", "http://127.0.0.1:81") + SITE.replace(
    "location", "listen 81;\n    location"
)


@pytest.mark.parametrize(
    ("tag", "site", "times"),
    [("1.30.0", SITE, 1), ("alpine", SITE, 1), ("alpine", OWN_UPSTREAM, 2)],
)
def test_streams_are_detected_once_for_both_versions_of_a_floating_tag(
    tag: str, site: str, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless a server proxies to another one: what that sends depends on the version."""
    made: list[str] = []

    def counted(configuration: Configuration, *rest: Any) -> Any:
        made.extend(one.source.name for one in configuration.files if one is configuration.root)
        return find_proxied(configuration, *rest)

    monkeypatch.setattr("nginx_stream_lint.analysis.lint.find_proxied", counted)
    text = COMPOSE.replace("1.30.0", tag)
    found = lint(Workspace.in_memory({**NGINX, "conf.d/a.conf": site, "compose.yaml": text}), ["."])
    assert made == ["nginx.conf"] * times
    assert found.streams > 0


def test_the_search_for_a_deployment_has_a_separate_budget() -> None:
    def problems(limit: int, **more: str) -> list[object]:
        workspace = Workspace.in_memory({**NGINX, **more}, Limits(entries=limit))
        return list(lint(workspace, ["conf.d/a.conf"]).problems)

    enough = next(limit for limit in range(1, 20) if not problems(limit))
    assert problems(enough + 1, **{"compose.yaml": COMPOSE}) == []  # one name more


def test_an_incomplete_search_is_reported() -> None:
    files = {**NGINX, "compose.yaml": COMPOSE, **{f"{number}.txt": "" for number in range(50)}}
    found = lint(Workspace.in_memory(files, Limits(entries=20)), ["nginx.conf"])
    assert [str(one) for one in found.notes] == [
        "nginx.conf:1:1: note: the deployment was not read completely: there are more than 20 files and"
        " folders to search"
    ]
    assert (found.problems, found.deployed) == ([], [])
