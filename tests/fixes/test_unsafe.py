"""Fixes that change how other paths behave: unsafe, they say so, and name the narrower way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.command import run_here

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.nginx.versions import OLD
from nginx_stream_lint.rules.filters import listed
from nginx_stream_lint.rules.finding import Finding, Fix

INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: llm
  annotations:
    nginx.org/client-max-body-size: 8m
spec:
  ingressClassName: nginx
  rules:
    - host: llm.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Prefix
            backend: {service: {name: vllm, port: {number: 8000}}}
"""
OTHER = """          - path: /shop
            pathType: Prefix
            backend: {service: {name: shop, port: {number: 80}}}
"""


def _findings(text: str, name: str = "nginx.conf", *, version: bool = True) -> list[Finding]:
    options = Options(nginx_version=OLD if version else None)
    return lint(Workspace.in_memory({name: text}), [name], options).findings


def _fix(text: str, rule: str, name: str = "nginx.conf") -> Fix:
    (finding,) = (one for one in _findings(text, name) if one.rule == rule)
    assert finding.fix is not None
    return finding.fix


def test_an_annotation_is_for_all_paths_of_its_ingress() -> None:
    assert _fix(INGRESS, "response-buffering", "a.yaml").applicability == "safe"
    fix = _fix(INGRESS + OTHER, "response-buffering", "a.yaml")
    assert fix.applicability == "unsafe"
    (caution,) = fix.cautions
    assert "This also changes /shop, which" in caution
    assert "/v1/chat/completions" not in caution


VIRTUAL = """apiVersion: k8s.nginx.org/v1
kind: VirtualServer
metadata: {name: llm}
spec:
  host: llm.example.com
  upstreams:
    - name: vllm
      service: vllm
      port: 8000
    - name: web
      service: web
      port: 80
  routes:
    - path: /v1/chat/completions
      action: {pass: vllm}
"""


@pytest.mark.parametrize(
    ("route", "also"),
    [
        ("", None),
        ("    - {path: /shop, action: {pass: web}}\n", None),
        ("    - {path: /shop, action: {redirect: {url: 'http://a/'}}}\n", None),
        ("    - {path: /shop, action: {pass: vllm}}\n", "/shop"),
        ("    - {path: /shop, action: {proxy: {upstream: vllm}}}\n", "/shop"),
        (
            "    - {path: /shop, splits: [{weight: 1, action: {pass: web}},"
            " {weight: 99, action: {pass: vllm}}]}\n",
            "/shop",
        ),
        (
            "    - {path: ~ ^/s, matches: [{conditions: [{header: a, value: b}],"
            " action: {pass: vllm}}], action: {pass: web}}\n",
            "~ ^/s",
        ),
    ],
)
def test_a_field_is_for_all_routes_of_its_upstream(route: str, also: str | None) -> None:
    fix = _fix(VIRTUAL + route, "response-buffering", "a.yaml")
    assert fix.applicability == ("safe" if also is None else "unsafe")
    if also is not None:
        (caution,) = fix.cautions
        assert f"This also changes {also}, " in caution
        assert "give it its own upstream" in caution
    # The way that is shown leads out of it.
    own = (
        (VIRTUAL + route)
        .replace("{pass: vllm}", "{pass: own}", 1)
        .replace("  routes:", "    - name: own\n      service: vllm\n      port: 8000\n  routes:")
    )
    of_chat = [one.fix for one in _findings(own, "a.yaml") if "chat" in one.location.label]
    assert {fix.applicability for fix in of_chat if fix is not None} == {"safe"}


@pytest.mark.parametrize(
    ("location", "applicability"),
    [
        ("location /", "unsafe"),
        ("location ~ ^/", "unsafe"),
        ("location /v1/chat/completions", "safe"),
        ("location /v1/", "safe"),
    ],
)
def test_buffering_off_for_everything(location: str, applicability: str) -> None:
    text = (
        "events {} http { upstream vllm { server 127.0.0.1:8000; } server { listen 80;"
        f" {location} {{ proxy_pass http://vllm; }} }} }}"
    )
    fix = _fix(text, "response-buffering")
    assert fix.applicability == applicability
    if applicability == "unsafe":
        (caution,) = fix.cautions
        assert f"every path of {location}. " in caution
        assert "/v1/chat/completions" in caution


def test_a_stream_that_is_all_of_the_location_is_no_reason() -> None:
    text = (
        "events {} http { server { listen 80; location / {\n# nginx-stream-lint: stream\n"
        "proxy_pass http://127.0.0.1:8000; } } }"
    )
    assert _fix(text, "response-buffering").applicability == "safe"


def test_a_directive_of_the_whole_server() -> None:
    text = (
        "events {} http { proxy_set_header X-Forwarded-Proto $scheme; server { listen 80;\n"
        "proxy_set_header Host $host;\n"
        "location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; } } }"
    )
    fix = _fix(text, "lost-inherited-headers")
    assert fix.applicability == "unsafe"
    assert fix.cautions == (
        "This changes the whole server block."
        " To change only this stream, set the directive in its location",
    )


def test_both_locations_of_a_prefix_are_the_controllers() -> None:
    for path in ("/v1/chat/completions", "/api/generate", "/api/events", "/mcp"):
        text = INGRESS.replace("/v1/chat/completions", path)
        assert "shadowed-location" not in {one.rule for one in _findings(text, "a.yaml")}


def test_defaults_of_a_controller_are_called_defaults(tmp_path: pytest.TempPathFactory) -> None:
    path = f"{tmp_path}/a.yaml"
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(INGRESS)
    url = "http://llm.example.com/v1/chat/completions"
    assert "[default of NGINX Ingress Controller]" in run_here("explain", path, url).stdout
    done = run_here("explain", path, url, "--format", "json")
    settings = json.loads(done.stdout)[0]["settings"]
    assert settings["proxy_read_timeout"]["origin"] == {
        "kind": "default",
        "file": None,
        "line": None,
    }
    assert settings["client_max_body_size"]["origin"]["kind"] != "default"


def test_set_here_is_not_said_of_an_include() -> None:
    files = {
        "nginx.conf": "events {} http { server { listen 80; location /sse {"
        " include p.conf; proxy_pass http://127.0.0.1:8000; } } }",
        "p.conf": "proxy_buffering on;\n",
    }
    found = lint(Workspace.in_memory(files), ["nginx.conf"], Options()).findings
    (finding,) = (one for one in found if one.rule == "response-buffering")
    assert "set in p.conf:1" in finding.message
    assert "set here" not in finding.message


def test_the_value_asked_for_is_the_value_written() -> None:
    text = "location /sse { proxy_pass http://a; proxy_http_version 1.1; proxy_buffering off; }"
    for minimum in (300.0, 600.0):
        options = Options(min_read_timeout_s=minimum)
        (finding,) = lint(Workspace.in_memory({"a.conf": text}), ["a.conf"], options).findings
        assert f"Raise it to at least {minimum:g}s" in finding.message
        assert finding.fix is not None
        assert finding.fix.snippet == f"proxy_read_timeout {minimum:g}s;"


ABSENT = (
    "events {} http { server { listen 80; location /v1/chat/completions {\n"
    "proxy_pass http://127.0.0.1:8000;\ninclude mine.conf;\n} } }"
)


@pytest.mark.parametrize(
    ("text", "applicability"),
    [
        (ABSENT, "unsafe"),
        # It may only be set twice where both stand in one block.
        (
            ABSENT.replace("listen 80;", "include mine.conf;").replace(
                "\ninclude mine.conf;\n} ", "} "
            ),
            "safe",
        ),
        # What comes with nginx sets none of it.
        (ABSENT.replace("mine.conf", "mime.types"), "safe"),
        # nginx takes what is written, so the include does not set it.
        (ABSENT.replace("include", "proxy_http_version 1.1; proxy_buffering on;\ninclude"), "safe"),
    ],
)
def test_an_absent_include_may_set_the_same(text: str, applicability: str) -> None:
    fix = _fix(text, "response-buffering")
    assert fix.applicability == applicability
    said = [one for one in fix.cautions if one.startswith("mine.conf (nginx.conf:3) may set")]
    assert len(said) == (applicability == "unsafe")


def test_a_template_may_set_the_same() -> None:
    text = ABSENT.replace("include mine.conf;", "${MORE}")
    fix = _fix(text, "response-buffering", "nginx.conf.template")
    assert fix.applicability == "unsafe"
    (caution,) = fix.cautions
    assert caution.startswith("The template (nginx.conf.template:3) may set the same directives")


def test_a_fix_that_may_break_a_file_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    text = ABSENT.replace("mine.conf", "/srv/absent/mine.conf")
    path.write_text(text)
    assert run_here("--fix", str(path)).returncode == 0
    assert path.read_text() == text
    assert run_here("--fix", "--unsafe-fixes", str(path)).returncode == 0
    assert path.read_text().count("proxy_buffering off;") == 1


EVERYTHING = """events {}
http {
    upstream vllm {
        server 127.0.0.1:8000;
        keepalive 8;
    }
    server {
        listen 443 ssl;
        location / {
            proxy_pass http://vllm;
            MORE
        }
    }
}
"""


@pytest.mark.parametrize(
    ("more", "safe"),
    [
        ("", ["proxy_http_version 1.1", 'proxy_set_header Connection ""']),
        ("proxy_http_version 1.1;", ['proxy_set_header Connection ""']),
        ('proxy_http_version 1.1; proxy_set_header Connection "";', []),
        ("proxy_buffering on;", ["proxy_http_version 1.1", 'proxy_set_header Connection ""']),
    ],
)
def test_an_unsafe_fix_says_what_of_it_is_safe(more: str, safe: list[str], tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(EVERYTHING.replace("MORE", more))
    document = json.loads(run_here("--format", "json", path).stdout)
    fixes = {one["rule"]: one["fix"] for one in document["findings"]}
    unsafe = fixes["response-buffering"]
    assert unsafe["title"] == "Turn buffering off for this location"
    assert (unsafe["applicability"], unsafe["safe_parts"]) == ("unsafe", safe)
    assert len(unsafe["cautions"]) == 1
    # What other fixes write in the same place is in its edits.
    is_applied = 'proxy_set_header Connection ""' in unsafe["applied_parts"]
    assert is_applied is (more == "proxy_http_version 1.1;")
    others = fixes["short-read-timeout"]
    assert (others["applicability"], others["cautions"]) == ("safe", [])
    assert (others["safe_parts"], others["applied_parts"]) == ([], [])
    # The text for people leaves out what it shows as the fix of --fix.
    shown = f"safe without the rest: {listed(safe)}\n" in run_here(path).stdout
    assert shown is (bool(safe) and not is_applied)


SLOW_CLIENTS = """events {}
http {
    server {
        listen 80;
        client_body_timeout 20s;
        location / {
            # nginx-stream-lint: stream grpc client_streams
            grpc_pass grpc://127.0.0.1:50051;
        }
    }
}
"""


def test_a_rule_says_why_its_step_is_unsafe() -> None:
    fix = _fix(SLOW_CLIENTS, "short-read-timeout")
    caution = "Slow or stuck clients of this location can then keep their connections longer"
    assert (fix.title, fix.applicability) == ("Allow longer silence", "unsafe")
    assert fix.cautions == (caution,)
    other = _fix(SLOW_CLIENTS.replace(" client_streams", ""), "short-read-timeout")
    assert (other.title, other.applicability) == ("Allow longer silence", "safe")
    assert not other.cautions


@pytest.mark.parametrize("command", ["lint", "explain"])
def test_the_text_says_each_caution_once(command: str, tmp_path: Path) -> None:
    """Also if several fixes have it, and only one of them has safe parts."""
    path = tmp_path / "nginx.conf"
    path.write_text(EVERYTHING.replace("MORE", "include /srv/absent/mine.conf;"))
    document = json.loads(run_here("--format", "json", path).stdout)
    fixes = [one["fix"] for one in document["findings"] if one["severity"] != "note"]
    (caution,) = {said for one in fixes for said in one["cautions"] if "mine.conf" in said}
    assert sum(caution in one["cautions"] for one in fixes) > 1
    assert len({tuple(one["safe_parts"]) for one in fixes}) > 1
    url = "https://localhost/v1/chat/completions"
    shown = run_here(*([path] if command == "lint" else ["explain", path, url])).stdout
    assert " ".join(shown.split()).count(f"unsafe: {caution}") == 1
    assert " ".join(shown.split()).count("may set the same directives") == 1


@pytest.mark.parametrize("more", ["", "proxy_buffering on;", "proxy_http_version 1.1;", "gzip on;"])
def test_safe_and_unsafe_fixes_of_one_place_make_the_files(more: str, tmp_path: Path) -> None:
    """The edits of the safe fixes are --fix, those of all fixes --fix --unsafe-fixes."""
    path = tmp_path / "nginx.conf"
    text = EVERYTHING.replace("MORE", more)
    path.write_text(text)
    document = json.loads(run_here("--format", "json", path).stdout)
    shown = run_here(path).stdout
    fixes = [one["fix"] for one in document["findings"] if one["fix"]["edits"]]

    def with_edits(*kinds: str) -> str:
        edits = {
            (edit["start"], edit["end"], edit["text"]): None
            for fix in fixes
            if fix["applicability"] in kinds
            for edit in fix["edits"]
        }
        for start, end, new in list(edits):
            lines = set(new.splitlines())
            if any(lines < set(more.splitlines()) for *at, more in edits if at == [start, end]):
                del edits[start, end, new]  # part of an unsafe one
        after, at = "", 0
        for start, end, new in sorted(edits, key=lambda one: one[:2]):
            after += text[at:start] + new
            at = end
        return after + text[at:]

    def written(*options: str) -> str:
        path.write_text(text)
        run_here("--fix", *options, path)
        return path.read_text()

    assert {fix["applicability"] for fix in fixes} == {"safe", "unsafe"}
    assert with_edits("safe") == written()
    everything = written("--unsafe-fixes")
    assert with_edits("safe", "unsafe") == everything
    # The text for people has the same lines in the same order.
    suggested = shown[shown.index("(apply with --fix --unsafe-fixes)") :]
    suggested = suggested[suggested.index("location / {") : suggested.index("\n\n")]
    kept = [line[6:].strip() for line in suggested.splitlines() if not line.startswith("    -")]
    block = everything[everything.index("location / {") :]
    assert kept[1:] == [line.strip() for line in block.splitlines() if line.strip()][1 : len(kept)]
