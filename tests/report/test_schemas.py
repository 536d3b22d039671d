"""Every format on the project's own fixtures and rule examples, against its published schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace
from tests.report.schemas import CHECKS, EXAMPLES, READ, RULES, WRONG, check_all, commands, run_of

from nginx_stream_lint.analysis.lint import Result
from nginx_stream_lint.config import Problem, Source
from nginx_stream_lint.fixes.apply import apply_edits
from nginx_stream_lint.report import FORMATS, render
from nginx_stream_lint.report.github import step_summary
from nginx_stream_lint.report.run import Run
from nginx_stream_lint.rules.finding import Edit, Finding, Fix, LocationInfo, Place, Related
from nginx_stream_lint.streams.stream import Stream
from nginx_stream_lint.util.escaping import printable

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
REFUSALS = (AssertionError, ValueError, jsonschema.ValidationError, etree.DocumentInvalid)
# Names, comments and values with what formats have to escape, and bytes that are no UTF-8.
AWKWARD = (
    b"# caf\xc3\xa9 \xe2\x82\xac \xff <b>|`%0A::error::\n"
    b"server {\n\tlisten 80; server_name 'a,b:c%' \"<script>alert(1)</script>\" \xff;\n"
    b'\t\xc3\xa9 \xe2\x82\xac; location ~ "^/v1/(\xc3\xa9|\xe2\x82\xac|`x`|\x1b\\[31m)/chat" { '
    b"proxy_pass http://127.0.0.1:8000; }\r\n"
    b"proxy_set_header X-\xff \xff; location /events { proxy_set_header A 1; "
    b"proxy_pass http://127.0.0.1:8000; proxy_read_timeout 5s; }\n"
    b"include missing,%0A:file.conf;\n}\n"
)


def test_schemas_refuse_what_is_wrong() -> None:
    """A check that takes everything would prove nothing."""
    where = "tests/report/schemas.py has an entry for each format"
    assert set(CHECKS) == set(READ) == set(FORMATS), where
    assert set(WRONG) == set(FORMATS) - {"text", "concise"}, where
    for name, text in WRONG.items():
        with pytest.raises(REFUSALS):
            CHECKS[name](text)


@pytest.mark.parametrize("main", sorted(FIXTURES.glob("*/nginx.conf")), ids=str)
def test_fixtures(main: Path) -> None:
    run = run_of(main)
    assert run.report.findings
    check_all(run)


def test_examples(tmp_path: Path) -> None:
    assert len(EXAMPLES) > 100
    for name, text, version in EXAMPLES:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        run = run_of(path, nginx_version=version)
        # What SARIF says of the rules is the same for all, and checked with the fixtures.
        check_all(replace(run, rules=()))


def test_awkward_characters(tmp_path: Path) -> None:
    path = tmp_path / "a,b %0A:\u00e9.conf"
    path.write_bytes(AWKWARD)
    run = run_of(path, all_streams=True)
    assert run.report.findings
    assert run.report.problems
    check_all(run)
    assert "\x1b\\" not in render("text", run)
    assert "<script>" not in render("html", run)
    for _, properties, _ in commands(render("github", run)):
        assert properties["file"] == path.name


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"text", "concise"}))
def test_what_could_not_be_read_is_reported(name: str) -> None:
    # XML cannot hold the characters in the name, whatever their form.
    problem = Problem("a\x01\ufffe.conf", 3, 4, "a message", "advice")
    text = render(name, Run(Result(problems=[problem]), RULES, None, 0.1, "/"))
    CHECKS[name](text)
    assert "a message" in text


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"text"}))
def test_the_text_of_a_finding_leaves_a_report_valid(name: str, tmp_path: Path) -> None:
    """A format that writes a message or a file's name without escaping it fails here."""
    path = tmp_path / "a<b>&\"'`|,\x01\ufffe.conf"
    path.write_text("server { location /events { proxy_pass http://127.0.0.1:8000; } }\n")
    run = run_of(path, all_streams=True)
    found = replace(run.report.findings[0], message="<b>&amp; \"'`|,\\ ]]> %0A :: \x01\ufffe \n x")
    text = render(name, replace(run, report=replace(run.report, findings=[found])))
    CHECKS[name](text)
    assert [(rule, severity) for rule, _, severity in READ[name](text)] == [
        (found.rule, found.severity)
    ]


def test_sarif_depends_on_nothing_but_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: set[str] = set()
    for number, folder in enumerate((tmp_path / "here", tmp_path / "there" / "deeper")):
        folder.mkdir(parents=True)
        (folder / "nginx.conf").write_bytes(AWKWARD)
        monkeypatch.chdir(folder)
        report = run_of(Path("nginx.conf")).report
        said.add(render("sarif", Run(report, RULES, None, float(number), str(folder))))
    assert len(said) == 1


def _sarif_edits(document: dict[str, Any], text: str) -> list[tuple[int, int, str]]:
    """The edits of all fixes as a consumer of SARIF finds them: lines and code points."""
    starts = [0]
    starts += [at + 1 for at, character in enumerate(text) if character == "\n"]

    def offset(line: int, column: int) -> int:
        return starts[line - 1] + column - 1

    (run,) = document["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    return [
        (
            offset(one["deletedRegion"]["startLine"], one["deletedRegion"]["startColumn"]),
            offset(one["deletedRegion"]["endLine"], one["deletedRegion"]["endColumn"]),
            one["insertedContent"]["text"],
        )
        for result in run["results"]
        for fix in result.get("fixes", ())
        for change in fix["artifactChanges"]
        for one in change["replacements"]
    ]


def _rdjson_edits(document: dict[str, Any], text: str) -> list[tuple[int, int, str]]:
    """The same of rdjson, whose columns count bytes; offsets are in bytes."""
    lines = text.encode().split(b"\n")

    def offset(position: dict[str, int]) -> int:
        before = sum(len(line) + 1 for line in lines[: position["line"] - 1])
        return before + position["column"] - 1

    return [
        (offset(one["range"]["start"]), offset(one["range"]["end"]), one["text"])
        for diagnostic in document["diagnostics"]
        for one in diagnostic.get("suggestions", ())
    ]


LOCATION = """\
server {{
    listen 80; # {words}
    /* {words} */ location /v1/chat/completions {{ set $x "{words}"; proxy_pass http://a:1; }}
}}
"""


@given(words=st.text("é€😀中a ", max_size=8))
def test_fixes_can_be_applied_by_line_and_column(words: str) -> None:
    text = LOCATION.format(words=words)
    source = Source("nginx.conf", text)
    at = text.index("proxy_pass")
    name = (text.index("location"), text.index("{", text.index("location")))
    edit = Edit(source, at, at + len("proxy_pass"), "scgi_pass")
    behind = Edit(source, text.index("http://a:1;") + 11, text.index("http://a:1;") + 11, " x é;")
    finding = Finding(
        "response-buffering",
        "error",
        f"said {words}",
        Place(source, at, at + 10),
        LocationInfo("location", Place(source, *name), len(text), ()),
        Stream("sse", "known", "so"),
        (Related(Place(source, *name), "here"),),
        Fix("do it", "safe", "x", (edit, behind)),
    )
    run = Run(Result(findings=[finding]), (), None, 0.1, "/")
    wanted = apply_edits(text, (edit, behind))
    edits = _sarif_edits(json.loads(render("sarif", run)), text)
    assert apply_edits(text, [Edit(source, *one) for one in edits]) == wanted
    (one,) = _rdjson_edits(json.loads(render("rdjson", run)), text)
    data = text.encode()
    assert data[: one[0]] + one[2].encode() + data[one[1] :] == wanted.encode()


def test_a_fix_in_two_files_is_no_suggestion() -> None:
    first, second = Source("a.conf", "a b;\n"), Source("b.conf", "c d;\n")
    fix = Fix("both", "safe", "x", (Edit(first, 0, 1, "A"), Edit(second, 0, 1, "C")))
    finding = Finding(
        "response-buffering",
        "error",
        "said",
        Place(first, 0, 3),
        LocationInfo("location", Place(first, 0, 1), 4, ()),
        Stream("sse", "known", "so"),
        (),
        fix,
    )
    run = Run(Result(findings=[finding]), RULES, None, 0.1, "/")
    (diagnostic,) = json.loads(render("rdjson", run))["diagnostics"]
    assert "suggestions" not in diagnostic
    (result,) = json.loads(render("sarif", run))["runs"][0]["results"]
    changes = result["fixes"][0]["artifactChanges"]
    assert [one["artifactLocation"]["uri"] for one in changes] == ["a.conf", "b.conf"]


@given(file=st.text(max_size=20), message=st.text(min_size=1, max_size=40))
def test_github_commands_say_what_was_meant(file: str, message: str) -> None:
    file = file.replace("\0", "").replace("/", "")
    problem = Problem(f"x{file}", 3, 4, message, "advice")
    run = Run(Result(problems=[problem]), RULES, None, 0.1, "/")
    text = render("github", run)
    assert text.count("\n") == 1
    assert text.endswith("\n")
    ((name, properties, said),) = commands(text)
    assert name == "error"
    assert (properties["line"], properties["col"]) == ("3", "4")
    for got, meant in ((properties["file"], problem.file), (said, f"{message}; advice")):
        assert got == "".join(one if one in "\r\n" else printable(one) for one in meant)


def test_step_summary_is_one_table_with_a_row_for_each_finding(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_bytes(AWKWARD)
    run = run_of(path, all_streams=True)
    lines = step_summary(run).splitlines()
    rows = [line for line in lines if line.startswith(("| error", "| warning", "| note"))]
    assert len(rows) == len(run.report.findings)
    for row in rows:
        # Bars that are no part of the text: five cells.
        assert len([part for part in row.replace("\\|", "").split("|") if part]) == 5, row
    assert "<script>" not in "".join(rows).replace("\\<", "")


def test_junit_fails_what_fails_the_run(tmp_path: Path) -> None:
    path = tmp_path / "nginx.conf"
    path.write_text(
        "server { location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; }\n"
        "location /quiet { grpc_pass 127.0.0.1:9; } }\n"
    )
    run = run_of(path)
    milder = Run(run.report, RULES, None, 0.1, run.base, "warning")
    assert render("junit", run).count("<failure") == run.report.count("error") == 2
    assert render("junit", milder).count("<failure") == len(run.report.findings) > 1
    assert 'name="location /quiet" />' in render("junit", run)
