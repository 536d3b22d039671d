"""A template dialect that does not exist works everywhere from its record alone.

Each test runs the command in a process in which `dialects.py` has one more record, as it would if
a contributor added it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint.config.templates import dialects

# Runs what follows the record among its arguments, with that record in `DIALECTS`.
PROGRAM = """\
import importlib.util, sys
name, path, record, code, *sys.argv[1:] = sys.argv[1:]
spec = importlib.util.spec_from_file_location(name, path)
dialects = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dialects)
exec(record, vars(dialects))
dialects.DIALECTS = (*dialects.DIALECTS, dialects.NEW)
sys.modules[name] = dialects
exec(code)
"""
COMMAND = "from nginx_stream_lint.cli import cli; cli(sys.argv[1:])"

TOOLKIT = r"""
def _kind(content, _):
    word = content.strip("-+=~ \t\r\n").partition(" ")[0]
    kinds = {"IF": "if", "FOREACH": "if", "ELSE": "else", "END": "end", "SET": "control"}
    return kinds.get(word, "value")

NEW = Dialect(
    name="Template Toolkit",
    suffixes=("tt2?",),
    signs=(r"\[%",),
    tags=(
        TagSyntax("[%", "%]", r"\[%[-+=~]?\#", "comment"),
        TagSyntax("[%", "%]", r"\[%[-+=~]?\s", _kind),
    ),
)
"""
QUESTIONS = r"""
def _kind(content, _):
    word = content.strip()
    return "if" if word.endswith(":") else "end" if word == "." else "value"

NEW = Dialect(
    name="questions",
    suffixes=("quest",),
    signs=(r"<\?",),
    tags=(
        TagSyntax("<?", "?>", r"<\?!", "comment", before_closing="!", trims="|"),
        TagSyntax("<?", "?>", r"<\?\s", _kind),
    ),
)
"""


@dataclass(frozen=True)
class New:
    """A record, and text in its dialect: what encloses a comment, and tags."""

    record: str
    suffix: str
    comment: tuple[str, str]
    value: str
    branch: tuple[str, str]

    def commented(self, words: str) -> str:
        return f"{self.comment[0]}nginx-stream-lint: {words}{self.comment[1]}"

    def location(self, inside: str = "", path: str = "/v1/chat/completions") -> str:
        return f"location {path} {{\n  {inside}proxy_pass http://{self.value};\n}}\n"


NEWS = {
    "toolkit": New(
        TOOLKIT, "tt", ("[%# ", " -%]"), "[% app %]", ("[% IF a %]", "[% ELSE %]\n[% END %]")
    ),
    "questions": New(QUESTIONS, "quest", ("<?!", "! |?>"), "<? app ?>", ("<? a: ?>", "<? . ?>")),
}


def run(record: str, code: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    path = dialects.__file__
    words = [dialects.__name__, path, record, code, *map(str, arguments)]
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def lint(new: New, *arguments: str | Path) -> dict[str, Any]:
    done = run(new.record, COMMAND, *arguments, "--format", "json")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def rules(report: dict[str, Any]) -> set[str]:
    assert report["errors"] == []
    return {finding["rule"] for finding in report["findings"]}


pytestmark = pytest.mark.parametrize("new", NEWS.values(), ids=NEWS)
BUFFERING, TIMEOUT = "response-buffering", "short-read-timeout"


def test_no_other_dialect_reads_it(new: New, tmp_path: Path) -> None:
    """Otherwise the tests below show nothing."""
    path = tmp_path / f"a.conf.{new.suffix}"
    path.write_text(new.commented("ignore x") + "\n" + new.location())
    other = NEWS["questions" if new.suffix == "tt" else "toolkit"]
    assert lint(other, path)["errors"]


def test_its_placeholders_and_conditions_are_read(new: New, tmp_path: Path) -> None:
    begin, end = new.branch
    path = tmp_path / f"a.conf.{new.suffix}"
    path.write_text(f"{begin}\n{new.location()}{end}\n")
    report = lint(new, path)
    assert rules(report) == {BUFFERING, TIMEOUT}
    assert run(new.record, COMMAND, path, "--fix").returncode == 0
    fixed = path.read_text()
    assert fixed.startswith(f"{begin}\nlocation")
    assert f"proxy_pass http://{new.value};\n  proxy_http_version 1.1;" in fixed
    assert fixed.endswith(f"}}\n{end}\n")


@pytest.mark.parametrize("named", [True, False], ids=["a main file", "a folder"])
def test_includes_and_folders_find_its_files(new: New, named: bool, tmp_path: Path) -> None:
    main = tmp_path / f"nginx.conf.{new.suffix}"
    main.write_text("events {}\nhttp {\n server {\n  include conf.d/x.conf;\n }\n}\n")
    part = tmp_path / "conf.d" / f"x.conf.{new.suffix}"
    part.parent.mkdir()
    part.write_text(f"{new.value}\n{new.location()}")
    report = lint(new, main if named else tmp_path)
    assert rules(report) == {BUFFERING, TIMEOUT}
    assert {Path(one["file"]).name for one in report["findings"]} == {part.name}
    assert report["summary"]["locations"] == 1


ABOVE: list[Callable[[New], str]] = [
    lambda new: new.commented(f"ignore[{BUFFERING}] why") + "\n" + new.location(),
    lambda new: (
        f"{new.commented(f'ignore[{BUFFERING}] why')}\n{new.branch[0]}\n"
        f"{new.location()}{new.branch[1]}\n"
    ),
    lambda new: new.location(new.commented(f"ignore[{BUFFERING}] why") + "\n  "),
    lambda new: new.location().replace("{\n", f"{{ {new.commented(f'ignore[{BUFFERING}] why')}\n"),
    lambda new: new.location() + new.commented(f"ignore-file[{BUFFERING}] why"),
]


@pytest.mark.parametrize("text", ABOVE)
def test_its_comments_ignore_findings(new: New, text: Callable[[New], str], tmp_path: Path) -> None:
    path = tmp_path / f"a.conf.{new.suffix}"
    path.write_text(text(new))
    done = run(new.record, COMMAND, path, "--format", "sarif")
    results = json.loads(done.stdout)["runs"][0]["results"]
    assert {
        one["ruleId"]: [by["justification"] for by in one.get("suppressions", [])]
        for one in results
    } == {TIMEOUT: [], BUFFERING: ["why"]}


def test_its_comments_declare_streams(new: New, tmp_path: Path) -> None:
    path = tmp_path / f"a.conf.{new.suffix}"
    path.write_text(new.location(new.commented("stream websocket") + "\n  ", "/abc"))
    report = lint(new, path)
    kinds = {(one["stream"]["kind"], one["stream"]["confidence"]) for one in report["findings"]}
    assert kinds == {("websocket", "declared")}
    path.write_text(new.location(path="/abc"))
    assert rules(lint(new, path)) == set()


def test_a_fix_removes_what_ignores_nothing_and_no_more(new: New, tmp_path: Path) -> None:
    begin, end = new.branch
    rest = f"{begin}\n{new.location().replace('{', '{ proxy_buffering off;')}{end}\n"
    path = tmp_path / f"a.conf.{new.suffix}"
    some = new.commented(f"ignore[{BUFFERING}, {TIMEOUT}] why")
    left = new.commented(f"ignore[{TIMEOUT}] why")
    behind = rest.replace("off;", "off; " + new.commented("ignore[nagle-delay] why"))
    all_of_it = ("--fix", "--select", f"unused-ignore,{BUFFERING},{TIMEOUT},nagle-delay")
    for before, after in (
        (new.commented(f"ignore[{BUFFERING}] why") + "\n" + rest, rest),
        (some + "\n" + rest, left + "\n" + rest),
        (behind, rest),
    ):
        path.write_text(before)
        run(new.record, COMMAND, path, *all_of_it)
        fixed = path.read_text().replace("  proxy_read_timeout 300s;\n", "")
        assert fixed.replace("  proxy_http_version 1.1;\n", "") == after


def test_a_template_of_it_is_no_dockerfile(new: New) -> None:
    code = (
        "from nginx_stream_lint.deployment.names import is_dockerfile\n"
        "print(*map(is_dockerfile, sys.argv[1:]))"
    )
    done = run(new.record, code, "Dockerfile", f"Dockerfile.{new.suffix}")
    assert done.stdout.split() == ["True", "False"], done.stderr


def test_manifests_are_read_around_its_tags(new: New, tmp_path: Path) -> None:
    """Without the record, `replicas` is invalid YAML or a list, and nothing connects the two."""
    (tmp_path / "all.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: conf\ndata:\n  default.conf: |\n"
        f"    server {{\n      listen {new.value};\n"
        f"      location /v1/chat/completions {{ proxy_pass http://a; }}\n    }}\n"
        "---\n"
        f"{new.branch[0]}\nkind: Deployment\napiVersion: apps/v1\nmetadata:\n  name: web\nspec:\n"
        f"  replicas: {new.value}\n{new.branch[1]}\n"
    )
    code = (
        "from nginx_stream_lint.deployment.manifests import objects\n"
        "from nginx_stream_lint.files import Workspace\n"
        "notes = []\n"
        "found = objects(Workspace.on_disk(sys.argv[1]), sys.argv[1], notes)\n"
        "print([one.kind for one in found], notes)"
    )
    done = run(new.record, code, tmp_path / "all.yaml")
    assert done.stdout == "['ConfigMap', 'Deployment'] []\n", done.stderr
    assert BUFFERING in rules(lint(new, tmp_path / "all.yaml"))
