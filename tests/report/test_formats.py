"""The formats: keys of the JSON as promised, one line each in concise, text for people."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.command import run_here

from nginx_stream_lint.util.json_text import json_text

TEXT = """# caf\u00e9
events {}
http {
    server {
        listen 80;
        server_name api.example.com www.example.com;
        include locations.inc;
        location / { proxy_pass http://127.0.0.1:8001; }
        location /api { proxy_pass http://127.0.0.1:8001; }
    }
}
"""
INCLUDED = """location /v1/chat/completions {
    proxy_pass http://127.0.0.1:8000;
    proxy_buffering  on;
}
"""


@pytest.fixture
def main(tmp_path: Path) -> Path:
    (tmp_path / "locations.inc").write_text(INCLUDED)
    path = tmp_path / "nginx.conf"
    path.write_text(TEXT)
    return path


def document(main: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run_here(main, "--format", "json", *arguments).stdout)
    return found


def test_json_has_the_promised_keys(main: Path) -> None:
    whole = document(main, "--nginx-version", "1.26.2")
    assert list(whole) == [
        "schema_version",
        "tool",
        "nginx_version",
        "instances",
        "inputs",
        "findings",
        "errors",
        "notes",
        "unchecked",
        "summary",
    ]
    assert set(whole["tool"]) == {"name", "version"}
    assert whole["nginx_version"] == "1.26.2"
    assert whole["inputs"] == [str(main)]
    assert whole["errors"] == []
    assert set(whole["summary"]) == {
        "error",
        "warning",
        "note",
        "locations",
        "streams",
        "unchecked",
        "seconds",
    }
    assert whole["summary"]["locations"] == 3
    assert whole["summary"]["streams"] == 1
    finding = next(one for one in whole["findings"] if one["rule"] == "response-buffering")
    assert set(finding) == {
        *("rule", "severity", "message", "file", "line", "column", "end_line", "end_column"),
        *("location", "stream", "related", "fix", "url", "instance"),
    }
    assert whole["schema_version"] == 1
    assert finding["instance"] is None
    assert set(finding["location"]) == {"label", "file", "line", "servers"}
    assert set(finding["stream"]) == {"kind", "confidence", "because"}
    assert all(set(one) == {"file", "line", "column", "message"} for one in finding["related"])
    texts = {"title", "applicability", "cautions", "safe_parts", "applied_parts", "snippet"}
    assert set(finding["fix"]) == {*texts, "edits"}
    assert all(set(edit) == {"file", "start", "end", "text"} for edit in finding["fix"]["edits"])


def test_places_and_edits_are_exact(main: Path) -> None:
    included = main.with_name("locations.inc")
    found = document(main, "--nginx-version", "1.29.7")["findings"]
    finding = next(one for one in found if one["rule"] == "response-buffering")
    assert (finding["file"], finding["line"], finding["column"]) == (str(included), 3, 5)
    assert (finding["end_line"], finding["end_column"]) == (3, 24)
    assert finding["location"]["label"] == "location /v1/chat/completions"
    assert finding["location"]["line"] == 1
    assert finding["location"]["servers"] == ["api.example.com", "www.example.com"]
    (edit,) = finding["fix"]["edits"]
    assert INCLUDED[edit["start"] : edit["end"]] == "on"
    assert edit["text"] == "off"


WHOLE = """events {}
http {
    upstream vllm { server 127.0.0.1:8000; }
    server {
        listen 443 ssl;
        location / {
            proxy_pass http://vllm;
            proxy_read_timeout 3600s;
        }
    }
}
"""


@pytest.mark.parametrize("name", ["text", "json", "sarif", "junit", "html"])
def test_an_unsafe_fix_says_what_else_it_changes(name: str, tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(WHOLE)
    output = tmp_path / "report"
    run_here(path, "--format", name, "--output", output)
    said = " ".join(output.read_text(encoding="utf-8").split())
    paths = "/v1/chat/completions, /v1/completions, /v1/responses and /v1/messages"
    assert (
        "This changes every path of location /. To change only the stream, add a location for"
        f" {paths}"
    ) in said
    assert "; to change only" not in said


def test_a_manual_fix_says_what_else_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        "events {} http { server { listen 443 quic; keepalive_timeout 60s;\n"
        "location /events { proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1;"
        " proxy_buffering off; proxy_read_timeout 1h; } } }"
    )
    lines = [line.strip() for line in run_here(path).stdout.splitlines()]
    said = " ".join(lines)
    caution = "Set it in the server block, where it applies to all connections"
    assert f"manual fix for short-read-timeout: Allow longer silence. {caution}" in said
    assert "keepalive_timeout 300s;" in lines
    (fix,) = [
        one["fix"] for one in document(path)["findings"] if one["rule"] == "short-read-timeout"
    ]
    assert (fix["title"], fix["cautions"]) == ("Allow longer silence", [caution])
    assert fix["snippet"] == "keepalive_timeout 300s;"


def test_unchecked_locations_are_no_findings(main: Path) -> None:
    whole = document(main)
    assert {one["location"]["label"] for one in whole["findings"]} == {
        "location /v1/chat/completions"
    }
    assert whole["unchecked"] == [
        {"file": str(main), "line": 8, "label": "location /", "verdict": "stalls"},
        {"file": str(main), "line": 9, "label": "location /api", "verdict": "stalls"},
    ]
    assert whole["summary"]["unchecked"] == 2
    text = " ".join(run_here(main).stdout.split())
    places = f"/ ({main}:8), /api ({main}:9)"
    assert f"2 of 2 unchecked locations would buffer a stream: {places}. If one streams" in text
    streaming = document(main, "--nginx-version", "1.29.7")["unchecked"]
    assert {one["verdict"] for one in streaming} == {"streams"}
    assert (
        "2 other proxied locations were not checked"
        in run_here(main, "--nginx-version", "1.29.7").stdout
    )


def test_unchecked_locations_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text("server { location /shop { proxy_pass http://127.0.0.1:8001; } }\n")
    assert run_here(path).returncode == 0
    (tmp_path / ".nginx-stream-lint.yaml").write_text("fail_on_unchecked: true\n")
    assert run_here(path).returncode == 1
    assert run_here(path, "--exit-zero").returncode == 0
    assert run_here(path, "--nginx-version", "1.29.7").returncode == 0


def test_what_is_assumed_is_said_once(main: Path) -> None:
    text = run_here(main).stdout
    assert text.count("Assuming nginx older than 1.29.7; set --nginx-version if yours") == 1
    assert "Assuming" not in run_here(main, "--nginx-version", "1.26.2").stdout


def test_errors_are_in_the_document_too(main: Path) -> None:
    main.write_text(TEXT.replace("include", "include missing.inc;\n include"))
    whole = document(main)
    (error,) = whole["errors"]
    assert set(error) == {"file", "line", "column", "message", "advice"}
    assert "missing.inc" in error["message"]
    assert whole["findings"]


def test_concise(main: Path) -> None:
    lines = run_here(main, "--format", "concise").stdout.splitlines()
    assert lines
    pattern = re.compile(r"(.+):(\d+):(\d+): (error|warning|note) ([a-z-]+) \S.*")
    assert all(pattern.fullmatch(line) for line in lines)


def test_output_file(main: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.txt"
    done = run_here(main, "--output", target)
    assert done.stdout == ""
    assert "response-buffering" in target.read_text()
    assert "\x1b[" not in target.read_text()
    broken = run_here(main, "--output", tmp_path / "no" / "report.txt")
    assert broken.returncode == 2
    assert "Traceback" not in broken.stderr


def test_text_underlines_what_is_meant_and_where_it_comes_from(main: Path) -> None:
    main.write_text(TEXT.replace("http {", "http {\n\tgzip on;\tproxy_read_timeout  20s; # \u4e2d"))
    lines = run_here(main).stdout.splitlines()
    place = next(at for at, line in enumerate(lines) if "short-read-timeout at" in line)
    assert lines[place + 1 : place + 6] == [
        "    1 | location /v1/chat/completions {",
        "      | " + "^" * len("location /v1/chat/completions"),
        f"      --> {main}",
        "    4 | gzip on;    proxy_read_timeout  20s; # \u4e2d",
        "      |             ----------------------- proxy_read_timeout comes from here",
    ]


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (
            "        proxy_buffering on;",
            ["3 |         proxy_buffering on;", "  |         ^^^^^^^^^^^^^^^^^^"],
        ),
        ("\tproxy_buffering on;", ["3 |     proxy_buffering on;", "  |     ^^^^^^^^^^^^^^^^^^"]),
        (
            "set $a '\u4e2d\u6587'; proxy_buffering on;",
            [
                "3 | set $a '\u4e2d\u6587'; proxy_buffering on;",
                "  |                ^^^^^^^^^^^^^^^^^^",
            ],
        ),
        (
            "set $a '\x1b[1m'; proxy_buffering on;",
            [
                r"3 | set $a '\x1b[1m'; proxy_buffering on;",
                "  |                   ^^^^^^^^^^^^^^^^^^",
            ],
        ),
    ],
)
def test_carets_stand_under_what_they_mean(tmp_path: Path, line: str, shown: list[str]) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(f"location /events {{\nproxy_pass http://127.0.0.1:1;\n{line}\n}}\n")
    lines = [one.removeprefix("    ") for one in run_here(path).stdout.splitlines()]
    at = lines.index(shown[0])
    assert lines[at : at + 2] == shown


def test_long_lines_are_cut_around_what_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    line = f"set $long '{'y' * 300}'; proxy_buffering on; #{'z' * 90}"
    path.write_text(f"location /events {{\nproxy_pass http://a;\n{line}\n}}\n")
    lines = run_here(path).stdout.splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("    3 | ..."))
    start = lines[at].index("proxy_buffering on")
    assert lines[at + 1] == " " * 6 + "| " + " " * (start - 8) + "^" * len("proxy_buffering on")
    assert len(lines[at]) < 100
    assert lines[at].endswith("...")


def test_text_shows_the_location_once_with_all_its_fixes(main: Path) -> None:
    text = run_here(main).stdout
    assert text.count("  suggested fix (") == 1
    assert text.count("\n      location /v1/chat/completions {") == 1
    for line in (
        "+     proxy_buffering  off;",
        "-     proxy_buffering  on;",
        "+     proxy_read_timeout 300s;",
        "+     proxy_http_version 1.1;",
    ):
        assert line in text
    assert "\x1b[" not in text


@pytest.mark.parametrize(
    ("environment", "arguments", "coloured"),
    [
        ({}, [], False),
        ({"FORCE_COLOR": "1"}, [], True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, [], False),
        ({}, ["--color"], True),
        ({"FORCE_COLOR": "1"}, ["--no-color"], False),
    ],
)
def test_colour(
    main: Path, environment: dict[str, str], arguments: list[str], coloured: bool
) -> None:
    plain = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", str(main), *arguments],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("\x1b[" in done.stdout) == coloured


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ([], 1),
        (["--exit-zero"], 0),
        (["--ignore", "response-buffering,short-read-timeout"], 0),
        (["--ignore", "response-buffering,short-read-timeout", "--fail-on", "warning"], 1),
        (["--select", "nagle-delay", "--fail-on", "note"], 0),
        (["--select", "nonsense"], 2),
    ],
)
def test_exit_status(main: Path, arguments: list[str], status: int) -> None:
    assert run_here(main, *arguments).returncode == status


def test_a_closed_pipe_is_no_traceback(main: Path) -> None:
    command = f"{sys.executable} -m nginx_stream_lint {main} | head -1"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_a_stream_behind_standard_input() -> None:
    text = "server { location /sse { proxy_pass http://127.0.0.1:8000; } }"
    done = run_here("-", "--format", "concise", stdin=text.encode())
    assert done.returncode == 1
    assert done.stdout.startswith("<stdin>:1:10: error response-buffering")


# File names that are not UTF-8 have surrogates; sizes are multiplied to more than 64 bits.
WORDS = st.text(st.characters(codec="utf-8") | st.sampled_from("\udc80\udcff\u202e\x7f#"))
DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
)


@given(DOCUMENTS)
@example(["caf\u00e9 \udcff"])
@example([2**70, -(2**70)])
def test_any_document_is_written_as_json(document: object) -> None:
    text = json_text(document)
    assert json.loads(text) == document
    assert text.encode().endswith(b"\n")


@given(st.lists(st.dictionaries(st.text("a\u00e9"), st.text("b\u00df\udcff") | st.integers())))
def test_json_is_indented_as_the_standard_library_does(document: object) -> None:
    expected = json.dumps(document, indent=2, ensure_ascii=False).replace("\udcff", "\\udcff")
    assert json_text(document) == f"{expected}\n"


def test_lossy_json_has_no_surrogates() -> None:
    assert json_text(["caf\u00e9 \udcff", 2**70], lossy=True) == (
        f'[\n  "caf\u00e9 ?",\n  {2**70}\n]\n'
    )
