"""What other programs import: documented with examples that run, without side effects."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from msgspec.structs import fields

import nginx_stream_lint
from nginx_stream_lint import Limits, Options, Workspace, explain, lint
from nginx_stream_lint.analysis.explain import NoServer
from nginx_stream_lint.fixes import placement
from nginx_stream_lint.fixes.apply import apply_edits
from nginx_stream_lint.rules.finding import Finding, Fix
from nginx_stream_lint.rules.judge import FindingWithContext
from tests.command import run

DOCS = Path(__file__).resolve().parents[1] / "docs"
MODULES = (
    "nginx_stream_lint",
    "nginx_stream_lint.analysis.explain",
    "nginx_stream_lint.analysis.complete",
    "nginx_stream_lint.files.workspace",
)
STREAM = "location /v1/chat/completions {{ proxy_pass http://127.0.0.1:8000; {} }}\n"


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_run(name: str) -> None:
    done = doctest.testmod(import_module(name))
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("page", ["api.md"])
def test_the_examples_of_the_documentation_run(page: str) -> None:
    done = doctest.testfile(str(DOCS / page), module_relative=False)
    assert done.attempted > 0
    assert done.failed == 0


@pytest.mark.parametrize("name", nginx_stream_lint.__all__)
def test_every_name_is_there(name: str) -> None:
    found = getattr(nginx_stream_lint, name)
    assert found.__name__ == name
    assert found.__doc__


def test_no_other_name_is() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nginx_stream_lint.nothing  # noqa: B018


def test_the_front_door_loads_nothing_ahead() -> None:
    code = "import nginx_stream_lint, sys; print(*(m for m in sys.modules if 'stream_lint' in m))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["nginx_stream_lint"]


def test_what_it_loads_is_no_command() -> None:
    """And it starts no program, nor anything else that only the command or the probe needs."""
    code = (
        "import sys\nfrom nginx_stream_lint import Workspace, explain, lint\n"
        f"text = {STREAM.format('')!r}\n"
        "lint(Workspace.in_memory({'a.conf': text}))\n"
        "explain(Workspace.in_memory({'a.conf': text}), 'a.conf', ['/v1/chat/completions'])\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "nginx_stream_lint.analysis.explain" in loaded
    assert not loaded & {"click", "subprocess", "asyncio", "nginx_stream_lint.cli"}


def test_an_ignored_finding_is_never_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []
    really = placement.place_fix

    def place_fix(judged: FindingWithContext) -> Fix | None:
        planned.append(judged.finding.rule)
        return really(judged)

    monkeypatch.setattr(placement, "place_fix", place_fix)
    everything = lint(Workspace.in_memory({"a.conf": STREAM.format("")}))
    assert set(planned) == {one.rule for one in everything.findings}
    planned.clear()
    ignored = "# nginx-stream-lint: ignore[response-buffering] on purpose\n"
    left = lint(Workspace.in_memory({"a.conf": ignored + STREAM.format("")}))
    assert "response-buffering" not in planned
    assert [one.finding.fix for one in left.suppressed] == [None]
    assert {one.rule for one in left.findings} == set(planned)


KEPT_ALIVE = """events {}
http {
    upstream app {
        server 127.0.0.1:8000;
        keepalive 8;
    }
    proxy_set_header X-Forwarded-For $remote_addr;
    server {
        listen 80;
        location /v1/chat/completions {
            proxy_pass http://app;
        }
    }
}
"""


def test_fixes_are_what_is_written(tmp_path: Path) -> None:
    """One fix brings up the next: HTTP/1.1 needs a Connection row, which drops inherited ones."""
    path = tmp_path / "nginx.conf"
    path.write_text(KEPT_ALIVE)
    found = lint(Workspace.on_disk(str(path))).findings
    fixes = [one.fix for one in found if one.fix is not None]
    edits = {edit: None for fix in fixes if fix.applicability == "safe" for edit in fix.edits}
    # Reports that show a fix as text have the same.
    told = run("--format", "junit", path).stdout
    assert all(fix.snippet in told for fix in fixes)
    assert run("--fix", path).returncode == 0
    written = path.read_text()
    assert apply_edits(KEPT_ALIVE, edits) == written
    assert 'proxy_set_header Connection "";' in written
    assert written.count("X-Forwarded-For") == 2


def test_options() -> None:
    text = "location /events { proxy_pass http://127.0.0.1:8000; proxy_read_timeout 90s; }"
    workspace = Workspace.in_memory({"a.conf": text})

    def about_time(options: Options) -> list[Finding]:
        found = lint(workspace, options=options).findings
        return [one for one in found if one.rule == "short-read-timeout"]

    assert about_time(Options())
    assert not about_time(Options(min_read_timeout_s=60))


def test_explain_says_why_not() -> None:
    for files in ({"a.conf": "events {"}, {"a.conf": "events {}"}, {}):
        with pytest.raises(NoServer) as caught:
            explain(Workspace.in_memory(files), "a.conf", ["/"])
        assert caught.value.problems


def test_the_limits_are_documented() -> None:
    """The table has each limit with its value, in the order of the record."""
    text = (DOCS / "limits.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) (?:\w+ )?\|", text, re.MULTILINE)
    documented = [(name, int(value.replace(",", ""))) for name, value in rows]
    limits = Limits()
    held = [(one.name, getattr(limits, one.name)) for one in fields(limits)]
    assert documented == held, "the table in docs/limits.md"
