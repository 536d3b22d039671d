"""What formats show is what --fix writes: applied, each gives the files that --fix gives."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.command import run_here

from nginx_stream_lint.analysis.rule_examples import cases
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

FIXTURES = Path(__file__).parents[2] / "fixtures"
EXAMPLES = {
    f"{case.rule.name}-{case.number}": case.example.bad
    for case in cases(load_rules(builtin_folder()))
    if case.example.bad is not None
}
KEEPALIVE = """events {}
http {
    upstream app { server 127.0.0.1:8000; keepalive 8; }
    server {
        listen 80;
        proxy_set_header Host $host;
        expires 1h;
        location /v1/chat/completions {
            proxy_pass http://app;
        }
        location /events {
            add_header X-Accel-Buffering no;
            proxy_set_header X-Accel-Buffering no;
            proxy_set_header X-Team a;
            proxy_pass http://app;
            chunked_transfer_encoding off;
        }
        location /ws { proxy_pass http://app; proxy_set_header X-Team a; }
        location / {
            # nginx-stream-lint: stream chunked
            fastcgi_pass 127.0.0.1:9000; proxy_buffering off; tcp_nodelay off;
        }
    }
}
"""
TEXTS = EXAMPLES | {"keepalive": KEEPALIVE, "crlf": KEEPALIVE.replace("\n", "\r\n")}


def _put(folder: Path, text: str) -> Path:
    folder.mkdir()
    path = folder / ("a.yaml" if text.startswith("apiVersion:") else "nginx.conf")
    path.write_bytes(text.encode())
    return path


def _applied(text: str, edits: list[tuple[int, int, str]]) -> str:
    """A text with edits applied, each once, in the order that they come in."""
    for start, end, new in sorted(dict.fromkeys(edits), key=lambda one: one[:2])[::-1]:
        # From behind, so that offsets stay; of insertions in one place the first comes first.
        text = text[:start] + new + text[end:]
    return text


def _offset(text: str, line: int, column: int) -> int:
    lines = text.split("\n")
    return sum(len(one) + 1 for one in lines[: line - 1]) + column - 1


def _by_json(document: dict[str, Any]) -> list[tuple[int, int, str]]:
    return [
        (edit["start"], edit["end"], edit["text"])
        for finding in document["findings"]
        if finding["fix"] and finding["fix"]["applicability"] == "safe"
        for edit in finding["fix"]["edits"]
    ]


def _by_sarif(document: dict[str, Any], text: str) -> list[tuple[int, int, str]]:
    found = []
    for result in document["runs"][0]["results"]:
        for fix in result.get("fixes", ()):
            if not fix["description"]["text"].endswith("(safe)"):
                continue
            for change in fix["artifactChanges"]:
                for one in change["replacements"]:
                    region = one["deletedRegion"]
                    start = _offset(text, region["startLine"], region["startColumn"])
                    end = _offset(text, region["endLine"], region["endColumn"])
                    found.append((start, end, one["insertedContent"]["text"]))
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_the_edits_of_all_fixes_are_what_fix_writes(name: str, tmp_path: Path) -> None:
    text = TEXTS[name]
    path = _put(tmp_path / "a", text)
    documents = {
        kind: json.loads(run_here(path, "--format", kind, "--exit-zero").stdout)
        for kind in ("json", "sarif")
    }
    diff = run_here(path, "--diff").stdout
    run_here(path, "--fix", "--exit-zero")
    after = path.read_bytes().decode()
    assert _applied(text, _by_json(documents["json"])) == after
    assert _applied(text, _by_sarif(documents["sarif"], text)) == after
    assert bool(diff) is (after != text)
    for finding in documents["json"]["findings"]:
        fix = finding["fix"]
        if fix is None or fix["applicability"] != "safe":
            continue
        for line in fix["snippet"].splitlines():
            assert line.startswith("# remove: ") or line.strip() in after


@pytest.mark.parametrize("name", ["keepalive", "crlf"])
def test_the_text_shows_all_lines_that_fix_writes(name: str, tmp_path: Path) -> None:
    text = TEXTS[name]
    path = _put(tmp_path / "a", text)
    lines = run_here(path).stdout.splitlines()
    shown = {line[6:].strip() for line in lines if line[:6] == "    + "}
    explained = run_here("explain", path, "/v1/chat/completions").stdout
    run_here(path, "--fix", "--exit-zero")
    before = text.split("\n")
    new = {line.strip() for line in path.read_bytes().decode().split("\n") if line not in before}
    # A location on one line is shown as such.
    assert shown == new
    part = path.read_text().partition("location /v1/chat/completions {")[2].partition("}")[0]
    for line in part.split("\n"):
        assert line.strip() in explained


def test_rdjson_suggestions_are_what_fix_writes(tmp_path: Path) -> None:
    path = _put(tmp_path / "a", KEEPALIVE)
    document = json.loads(run_here(path, "--format", "rdjson", "--exit-zero").stdout)
    edits = []
    for one in document["diagnostics"]:
        for suggestion in one.get("suggestions", ()):
            first, last = suggestion["range"]["start"], suggestion["range"]["end"]
            start = _offset(KEEPALIVE, first["line"], first["column"])
            end = _offset(KEEPALIVE, last["line"], last["column"])
            edits.append((start, end, suggestion["text"]))
    run_here(path, "--fix", "--exit-zero")
    after = path.read_text()
    assert edits
    for start, end, text in edits:
        for line in filter(None, map(str.strip, text.split("\n"))):
            assert line in after
        assert start <= end


def test_with_several_files(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    shutil.copytree(FIXTURES / "demo", folder)
    document = json.loads(run_here(folder / "nginx.conf", "--format", "json", "--exit-zero").stdout)
    edits: dict[str, list[tuple[int, int, str]]] = {}
    for finding in document["findings"]:
        for edit in finding["fix"]["edits"] if finding["fix"] else ():
            edits.setdefault(edit["file"], []).append((edit["start"], edit["end"], edit["text"]))
    wanted = {name: _applied(Path(name).read_text(), own) for name, own in edits.items()}
    run_here(folder / "nginx.conf", "--fix", "--exit-zero")
    assert wanted
    assert {name: Path(name).read_text() for name in wanted} == wanted


def test_the_order_is_an_experts(tmp_path: Path) -> None:
    path = _put(tmp_path / "a", KEEPALIVE)
    run_here(path, "--fix", "--exit-zero")
    block = path.read_text().partition("location /v1/chat/completions {")[2].partition("}")[0]
    assert re.findall(r"^\s*(\w+)", block, re.MULTILINE) == [
        "proxy_pass",
        "proxy_http_version",
        "proxy_set_header",
        "proxy_set_header",
        "proxy_buffering",
        "proxy_read_timeout",
    ]


def test_a_fix_of_another_file_shows_no_unchanged_location(tmp_path: Path) -> None:
    (tmp_path / "proxy.conf").write_text("proxy_http_version 1.0;\nproxy_buffering off;\n")
    location = "location /v1/chat/completions { proxy_pass http://a; include proxy.conf; }"
    path = _put(tmp_path / "a", f"events {{}}\nhttp {{ server {{\n{location}\n}} }}\n")
    path.write_text(path.read_text().replace("proxy.conf", str(tmp_path / "proxy.conf")))
    shown = run_here(path, "--host", "--ignore", "short-read-timeout").stdout
    fix = shown.partition("suggested fix (apply with --fix):\n")[2].partition("\n\n")[0]
    assert re.fullmatch(r"    in \S+proxy\.conf:1: proxy_http_version 1\.1;", fix), shown
