"""Every example of every rule, run: `bad` gives that rule, `fixed` is what its fix makes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.analysis.rule_examples import Case, cases, failures, lint_text
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.fixes.apply import apply_edits, compatible, fix_all
from nginx_stream_lint.nginx.versions import NEW, OLD, Version
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.measured import EVIDENCE
from nginx_stream_lint.rules.rule import Rule
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

RULES = load_rules(builtin_folder())


CASES = cases(RULES)
BAD = [case for case in CASES if case.kind == "bad"]


def _name(case: Case) -> str:
    return f"{case.rule.name}-{case.number}-{case.kind}"


def _lint(path: Path, version: Version | None = None, rules: tuple[Rule, ...] = RULES) -> Result:
    return lint(Workspace.on_disk(str(path)), options=Options(rules=rules, nginx_version=version))


def _written(folder: Path, text: str) -> Path:
    path = folder / ("ingress.yaml" if text.startswith("apiVersion:") else "nginx.conf")
    path.write_text(text, encoding="utf-8")
    return path


def _said(report: Result) -> list[str]:
    assert not report.problems
    return [f"{finding.rule}: {finding.message}" for finding in report.findings]


def _fixed(path: Path, findings: list[Finding]) -> str:
    """The text of a file with all fixes of some findings applied."""
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    assert all(fix.applicability != "manual" for fix in fixes)
    return apply_edits(path.read_text(encoding="utf-8"), compatible(fixes))


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_an_example_is_right(case: Case) -> None:
    """What `rules --test` asks of the examples of any rule."""
    assert failures(case, RULES) == []


@pytest.mark.parametrize("case", BAD, ids=_name)
def test_messages_read_well_and_offer_a_fix(case: Case) -> None:
    assert case.example.bad is not None
    for finding in lint_text(case.example.bad, RULES, case.example.nginx_version).findings:
        assert not finding.message.endswith((".", " ")), "the report may go on after it"
        assert len(re.findall(r"\. [A-Zg]", finding.message)) <= 1, "two sentences at most"
        assert len(finding.message) <= 220
        assert re.search(r"[{}]|None|\(\)|  | ,| \.", finding.message) is None
        fix = finding.fix
        assert fix is not None
        assert fix.snippet
        assert ";" not in fix.title, "a title is one short text"
        assert len(fix.title) <= 80
        assert not fix.title.endswith(".")
        assert fix.applicability == "manual" or bool(fix.cautions) == (
            fix.applicability == "unsafe"
        )
        for caution in fix.cautions:
            assert not caution.endswith((".", " ")), "the report may go on after it"
            assert len(re.findall(r"\. [A-Z]", caution)) <= 1, "two sentences at most"


@pytest.mark.parametrize("case", BAD, ids=_name)
def test_selected_alone_a_rule_says_the_same(case: Case) -> None:
    """A rule does not lean on others to keep quiet about what it gets wrong.

    Only a rule about twins does: it compares what the others report.
    """
    assert case.example.bad is not None
    version = case.example.nginx_version
    alone = lint_text(case.example.bad, (case.rule,), version)
    every = lint_text(case.example.bad, RULES, version)
    if alone.findings or "twins" not in case.rule.about:
        assert _said(alone) == _said(every)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_is_complete(rule: Rule) -> None:
    names = {other.name for other in RULES}
    kinds = {rule.evidence, *(example.evidence for example in rule.examples)} - {None}
    assert kinds <= set(EVIDENCE), "rules/measured.py has the words for evidence"
    assert set(rule.replaces) <= names - {rule.name}
    assert rule.references
    assert rule.fix is not None
    assert any(example.bad is not None for example in rule.examples)
    assert any(example.good is not None for example in rule.examples)
    assert not rule.title.endswith(".")
    assert 2 <= len(re.findall(r"[.](?:\s|$)", rule.why)) <= 5
    assert all(kind in {"error", "warning", "note"} for kind, _ in rule.severity)


def test_names_are_unique() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_severity_of_a_rule_is_reached_by_some_configuration(
    rule: Rule, tmp_path: Path
) -> None:
    """Conditions that nothing ever meets are mistakes."""
    reached: set[str] = set()
    texts = [*(case.example.bad for case in BAD if case.rule is rule), *MORE.get(rule.name, ())]
    for name, text in FOLDERS.get(rule.name, {}).items():
        (tmp_path / "folder").mkdir(exist_ok=True)
        (tmp_path / "folder" / name).write_text(text, encoding="utf-8")
        reached |= {
            one.severity for one in _lint(tmp_path / "folder").findings if one.rule == rule.name
        }
    for text in texts:
        assert text is not None
        for version in (OLD, (1, 26, 2), NEW):
            report = _lint(_written(tmp_path, text), version)
            reached |= {one.severity for one in report.findings if one.rule == rule.name}
    assert reached == {severity for severity, _ in rule.severity}


INGRESS = """apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: llm
  annotations:
    nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
spec:
  ingressClassName: nginx
  rules:
    - host: llm.example.com
      http:
        paths:
          - path: /v1/chat/completions
            pathType: Prefix
            backend:
              service: {name: vllm, port: {number: 8000}}
"""

# What no example shows, because it needs several files.
FOLDERS = {
    "tier-buffering": {
        "nginx.conf": "events {} http { server { location /events { proxy_pass http://app; } } }",
        "compose.yaml": "services:\n  web:\n    image: nginx:1.27.0\n"
        "    volumes: ['./nginx.conf:/etc/nginx/nginx.conf']\n    labels:\n"
        "      traefik.http.routers.web.middlewares: hold\n"
        "      traefik.http.middlewares.hold.buffering.maxResponseBodyBytes: 100000\n",
    }
}

# What no example shows, because it needs a second finding or a mere variation.
MORE = {
    "short-read-timeout": [
        "server { location /events { proxy_pass http://127.0.0.1:8000; } }",
        # HTTP/3, which no nginx here has.
        "server { listen 443 quic; location /events { proxy_pass http://127.0.0.1:8000;"
        " proxy_read_timeout 1h; } }",
    ],
    "response-buffering": [
        "server { listen 80; location /v1/chat/completions { proxy_pass http://127.0.0.1:8000;"
        " proxy_http_version 1.1; } }"
    ],
    "old-upstream-http": [
        "server { location /message-bus/ { proxy_pass http://127.0.0.1:3000;"
        " proxy_http_version 1.0; } }"
    ],
    "recorded-stream": [
        "server { listen 80; location /v1/chat/completions { proxy_pass http://127.0.0.1:8000;"
        " proxy_http_version 1.1; proxy_store on; } }"
    ],
    "reload-cut": [INGRESS],
    "wrong-buffering-family": [
        "server { location /events { # nginx-stream-lint: stream sse x_accel_buffering=yes\n"
        "fastcgi_pass 127.0.0.1:9000; fastcgi_keep_conn on; proxy_buffering off; } }"
    ],
    "ignored-accel-header": [
        "server { location /v1/chat/completions { proxy_pass http://127.0.0.1:8000;"
        " proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering; } }"
    ],
    "throttled-stream": [
        "server { location /events { # nginx-stream-lint: stream sse framing=close\n"
        "proxy_pass http://127.0.0.1:8000; limit_rate 1k; } }"
    ],
}


# Whole locations


BARE = """\
server {
    listen 80;

    location /v1/chat/completions {
        proxy_pass http://127.0.0.1:8000;
    }
}
"""

BEST_PRACTICE = """\
gzip on;
gzip_types *;
proxy_cache_path cache keys_zone=answers:1m;

server {
    listen 80;
    proxy_cache answers;
    proxy_cache_valid 200 10m;

    location /v1/chat/completions {
        proxy_pass http://127.0.0.1:8000;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 3600s;
    }

    location /events {
        # nginx-stream-lint: stream sse
        proxy_pass http://127.0.0.1:8000;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_buffering off;
        proxy_read_timeout 3600s;
        gzip off;
        proxy_cache off;
        add_header Cache-Control no-cache;
        chunked_transfer_encoding on;
        tcp_nodelay on;
    }
}
"""


def test_a_bare_location_has_two_errors(tmp_path: Path) -> None:
    """HTTP/1.0 to the app is part of what buffers, and its fix is part of that one."""
    report = _lint(_written(tmp_path, BARE))
    assert {(one.severity, one.rule) for one in report.findings} == {
        ("error", "response-buffering"),
        ("error", "short-read-timeout"),
    }
    (buffering,) = (one for one in report.findings if one.rule == "response-buffering")
    assert "HTTP/1.0" in buffering.message
    assert buffering.fix is not None
    assert buffering.fix.snippet == "proxy_http_version 1.1;\nproxy_buffering off;"


def test_a_bare_location_is_milder_from_1_29_7_on(tmp_path: Path) -> None:
    report = _lint(_written(tmp_path, BARE), NEW)
    assert {(one.severity, one.rule) for one in report.findings} == {
        ("warning", "response-buffering"),
        ("error", "short-read-timeout"),
    }


def test_with_tls_http1_clients_stall_on_every_version(tmp_path: Path) -> None:
    tls = "listen 443 ssl;\n    ssl_certificate cert.pem;\n    ssl_certificate_key key.pem;"
    report = _lint(_written(tmp_path, BARE.replace("listen 80;", tls)), NEW)
    error = next(one for one in report.findings if one.rule == "response-buffering")
    assert error.severity == "error"
    assert "HTTP/1.1-over-TLS clients" in error.message


@pytest.mark.parametrize("version", [None, OLD, NEW])
def test_best_practice_has_no_findings(version: Version | None, tmp_path: Path) -> None:
    assert _said(_lint(_written(tmp_path, BEST_PRACTICE), version)) == []


BROKEN = [
    BARE,
    BARE.replace("listen 80;", "listen 443 ssl;\n    proxy_buffering on;"),
    BARE.replace("proxy_pass", "proxy_set_header Connection upgrade;\n        proxy_pass"),
    BARE.replace("listen 80;", "proxy_set_header X-Accel-Buffering no;\n    expires 1d;"),
    # Everything at once, some of it further out.
    """\
proxy_set_header Host $host;
proxy_set_header Connection "upgrade";
proxy_ignore_headers X-Accel-Buffering Cache-Control;
proxy_cache_path cache keys_zone=answers:1m;

upstream app {
    server 127.0.0.1:8000;
    server 127.0.0.1:8001;
    keepalive 8;
}

server {
    listen 80;
    proxy_cache answers;
    proxy_cache_valid 200 10m;
    auth_request /auth;
    limit_rate 1k;
    tcp_nodelay off;

    location /events {
        # nginx-stream-lint: stream sse
        proxy_pass http://app;
        add_header X-Accel-Buffering no;
        fastcgi_buffering off;
        chunked_transfer_encoding off;
        proxy_read_timeout 5s;
        proxy_set_header X-Accel-Buffering no;
        proxy_ignore_client_abort on;
        expires 1h;
    }

    location /ws {
        proxy_pass http://app;
        proxy_set_header X-Team platform;
    }

    location = /auth {
        proxy_pass http://127.0.0.1:8002;
    }
}
""",
    # Two rows for a level that has none and inherits one of the two.
    """\
server {
    proxy_set_header Host $host;
    proxy_set_header Connection "";

    location /ws {
        proxy_pass http://127.0.0.1:8000;
    }
}
""",
]


@pytest.mark.parametrize("text", BROKEN)
def test_the_safe_fixes_leave_nothing_behind(text: str, tmp_path: Path) -> None:
    path = _written(tmp_path, text)
    options = Options(rules=RULES)

    def findings(changed: Mapping[str, str]) -> list[Finding]:
        return lint(Workspace.on_disk(str(path)).overlaid(changed), options=options).findings

    changed = fix_all(findings, unsafe=False)
    ((before, after),) = changed.values()
    assert before.text == text
    assert [one.rule for one in findings({str(path): after.text})] == []
    for block in re.findall(r"location[^{]*\{([^}]*)\}", after.text):
        names = re.findall(r"proxy_set_header (\S+)", block)
        assert len(names) == len(set(names)), "a row is there twice"


def test_minutes_of_a_time_are_no_megabytes(tmp_path: Path) -> None:
    text = "worker_shutdown_timeout {};\nevents {{}}\nhttp {{\n" + BEST_PRACTICE.replace(
        "{", "{{"
    ).replace("}", "}}")
    for value, rules in (("2m", {"reload-cut"}), ("5m", set[str]()), ("299", {"reload-cut"})):
        report = _lint(_written(tmp_path, text.format(value) + "}\n"))
        assert {one.rule for one in report.findings} == rules, value


def test_what_others_include_too_is_left_alone(tmp_path: Path) -> None:
    snippet = tmp_path / "snippet.conf"
    snippet.write_text("proxy_buffering off;\n", encoding="utf-8")
    location = """
    location /{name} {{
        # nginx-stream-lint: stream sse
        fastcgi_pass 127.0.0.1:9000;
        fastcgi_read_timeout 1h;
        include snippet.conf;
    }}"""
    text = "server {" + location.format(name="a") + location.format(name="b") + "\n}\n"
    path = _written(tmp_path, text)
    report = _lint(path)
    assert {one.rule for one in report.findings} == {"wrong-buffering-family"}
    fixed = _fixed(path, report.findings)
    assert fixed == text.replace("9000;", "9000;\n        fastcgi_buffering off;")
    assert snippet.read_text(encoding="utf-8") == "proxy_buffering off;\n"


def test_the_last_row_of_a_level_is_not_removed(tmp_path: Path) -> None:
    """Without it the rows further out, which nobody asked for here, would come back."""
    text = BEST_PRACTICE.replace('Connection "";', "X-Accel-Buffering no;")
    path = _written(tmp_path, "proxy_set_header X-Team platform;\n" + text)
    for finding in _lint(path).findings:
        assert finding.rule == "misplaced-accel-header"
        assert finding.fix is not None
        assert finding.fix.applicability == "manual"
        assert finding.fix.snippet == "# remove: proxy_set_header X-Accel-Buffering"


def test_the_apps_that_answer_auth_requests_and_mirrors_are_no_streams(tmp_path: Path) -> None:
    text = BEST_PRACTICE.replace("listen 80;", "listen 80;\n    auth_request /auth;") + (
        "server {\n    auth_request /auth;\n"
        "    location = /auth { proxy_pass http://127.0.0.1:8001; }\n"
        "    location /open { proxy_pass http://127.0.0.1:8001; }\n}\n"
    )
    report = _lint(_written(tmp_path, text))
    assert [one.location.label for one in report.unchecked] == ["location /open"]
    assert report.findings == []
