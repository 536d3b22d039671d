"""A process that lints for days does not grow: nothing is kept for longer than a run."""

from __future__ import annotations

import ast
import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.config.tree import Directive
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.levels import Level
from nginx_stream_lint.rules.shipped import shipped_rules
from nginx_stream_lint.util import remembering

PACKAGE = Path(__file__).resolve().parents[1] / "src" / "nginx_stream_lint"

# What fifty runs may leave behind, in bytes, in a process that has run ten times before.
BUDGET = 200_000

# What parameters have to be called and annotated like for results that are kept for ever: their
# values come from shipped files or from rules, and there are few of them.
FEW = {
    "family: str", "family: str | None", "name: str",
    "endpoint: Endpoint", "words: str", "parts: tuple[str, ...]", "pattern: str", "message: str",
    "text: str",
}  # fmt: skip
FOR_EVER = {
    "nginx/pcre_syntax.py": {"_property"},
    "report/explain.py": {"_always"},
    "analysis/explainer.py": {"_names"},
    "rules/facts/base.py": {"directives_meant"},
    "rules/patterns.py": {"_compiled"},
    "rules/templates.py": {"compiled"},
    "streams/endpoint_names.py": {"_others"},
    "streams/evidence.py": {"_known"},
    "streams/catalogue.py": {"app_by_name", "example_path", "pattern_regex"},
    "streams/evidence_words.py": {"_in_any_case"},
}

# Lints configurations of which no two have a word in common, and counts what is left of them.
PROGRAM = """
import gc, json, random, sys, tracemalloc
from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.rules.shipped import shipped_rules

rules = shipped_rules()

def text(seed):
    chance = random.Random(seed)
    word = lambda: "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=9))
    yield "events {} http {"
    for _ in range(2):
        yield f"upstream {word()} {{ server {word()}.local:80; keepalive 4; }}"
        yield f"map $http_{word()} ${word()} {{ default {word()}; ~^{word()} x; }}"
        yield f"server {{ server_name {word()}.example ~^{word()}$; auth_request /{word()};"
        yield f'if ($arg_{word()} ~ "{word()}") {{ set ${word()} "{word()}$uri"; }}'
        yield f"rewrite ^/{word()}(.*)$ /{word()}$1;"
        for _ in range(5):
            yield f"# {word()} {word()} events"
            yield f"location ~ ^/{word()}/events/[{word()}]+ {{ proxy_pass http://{word()}:80;"
            yield f'add_header X-{word()} "{word()}$http_{word()}"; }}'
        yield f"location /{word()}/events {{ proxy_pass http://${word()}; }} }}"
    yield "}"

def ingress(seed):
    word = f"a{random.Random(seed).randrange(10**9)}b"
    return f'''apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {word}
  annotations:
    nginx.ingress.kubernetes.io/proxy-body-size: {seed}m
    nginx.ingress.kubernetes.io/configuration-snippet: |
      add_header X-{word} {word};
spec:
  ingressClassName: nginx
  rules:
    - host: {word}.example
      http:
        paths:
          - {{path: /{word}/events, pathType: Prefix,
             backend: {{service: {{name: {word}, port: {{number: 80}}}}}}}}
'''

def run(seed):
    name = f"/virtual/{seed}/nginx.conf"
    texts = {name: "\\n".join(text(seed))}
    name = f"/virtual/{seed}/ingress.yaml"
    texts[name] = ingress(seed)
    name = f"/virtual/{seed}/nginx.conf.template"
    texts[name] = "\\n".join(text(-seed)).replace("80;", "${PORT_%d};" % seed)
    report = lint(Workspace.in_memory(texts), options=Options(rules))
    assert len(report.findings) > 9, report.problems
    assert {one.place.source.name for one in report.findings} == set(texts), report.notes

def used(seeds):
    for seed in seeds:
        run(seed)
    gc.collect()
    return tracemalloc.get_traced_memory()[0]

tracemalloc.start()
before = used(range(1, 11))
print(json.dumps(used(range(11, 61) if sys.argv[1] == "different" else [10] * 50) - before))
"""


@pytest.mark.parametrize("which", ["different", "equal"])
def test_fifty_runs_leave_nothing_behind(which: str) -> None:
    arguments = [sys.executable, "-c", PROGRAM, which]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) < BUDGET


def test_a_run_starts_with_nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[str] = []
    monkeypatch.setattr(remembering, "_clear", [lambda: cleared.append("one")])
    workspace = Workspace.in_memory({"/a.conf": "events {} http { server { listen 80; } }"})
    for _ in range(2):
        lint(workspace, options=Options(shipped_rules()))
    assert cleared == ["one", "one"]


CONFIGURATION = """\
http {
    include more.conf;
    server { location /events { proxy_pass http://a; if ($a) { set $b 1; } } }
}
"""


def test_a_result_is_released_without_a_garbage_collection() -> None:
    """The command collects no garbage, so that nothing may be left that refers to itself."""
    texts = {"/a/nginx.conf": CONFIGURATION, "/a/more.conf": "map $a $b { default 1; }"}
    workspace = Workspace.in_memory(texts)
    gc.collect()
    known = {id(one) for one in gc.get_objects()}
    gc.disable()
    try:
        result = lint(workspace, ["/a/nginx.conf"], Options(shipped_rules()))
        counts = (result.locations, result.streams)
        made = [type(one) for one in gc.get_objects() if id(one) not in known]
        assert made.count(Level) >= 4
        assert made.count(Directive) >= 9
        result.release()
        left = [type(one) for one in gc.get_objects() if id(one) not in known]
    finally:
        gc.enable()
    assert left.count(Level) == left.count(Directive) == 0
    assert (result.locations, result.streams) == counts == (1, 1)
    assert result.findings


def _functions() -> Iterator[tuple[str, ast.FunctionDef, set[str]]]:
    """The functions of the package that are not methods or inner ones, with their decorators."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, ast.FunctionDef):
                names = {ast.unparse(one).partition("(")[0] for one in node.decorator_list}
                yield path.relative_to(PACKAGE).as_posix(), node, names


def test_what_is_kept_for_ever_is_little() -> None:
    """A table without parameters, or what shipped files and rules have."""
    found: dict[str, set[str]] = {}
    for name, node, decorators in _functions():
        parameters = {ast.unparse(one) for one in node.args.args}
        if decorators & {"cache", "lru_cache", "functools.cache", "functools.lru_cache"}:
            assert parameters <= FEW, f"{name}: {node.name}"
            if parameters:
                found.setdefault(name, set()).add(node.name)
    assert found == FOR_EVER


def test_nothing_outside_a_block_remembers_it() -> None:
    """What is made of parts of a configuration dies with it."""
    parts = ("Level", "Directive", "Source", "File", "Configuration", "Reading", "Served", "Any")
    seen = 0
    for name, node, decorators in _functions():
        if decorators & {"cache", "lru_cache", "remembered", "latest_remembered"}:
            seen += 1
            for one in node.args.args:
                assert one.annotation is not None
                words = set(ast.unparse(one.annotation).replace("[", " ").split())
                assert words.isdisjoint(parts), f"{name}: {node.name}"
    assert seen > 20
