"""The baseline, through the real command: what is known, what is new, what is gone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nginx_stream_lint.report import FORMATS
from tests.command import run_here

SITE = "server {\n    location /v1/chat/completions {\n        proxy_pass http://app;\n    }\n}\n"
MORE = SITE.replace("/v1/chat/completions", "/sse")


@pytest.fixture
def known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a site whose findings are all known."""
    monkeypatch.chdir(tmp_path)
    Path("conf").mkdir()
    Path("conf/a.conf").write_text(SITE)
    done = run_here("conf", "--write-baseline", "known.json")
    assert done.returncode == 0
    assert done.stdout == ""
    assert done.stderr == "2 findings written to known.json\n"
    return tmp_path


@pytest.mark.usefixtures("known")
class TestBaseline:
    def test_what_is_known_is_not_reported(self) -> None:
        assert run_here("conf").returncode == 1
        done = run_here("conf", "--baseline", "known.json")
        assert done.returncode == 0
        assert "2 suppressed" in done.stdout
        assert done.stderr == ""

    def test_edits_elsewhere_change_nothing(self) -> None:
        text = "# a comment\n\nmap $a $b { }\n" + SITE.replace("server {", "server {\n  listen 81;")
        Path("conf/a.conf").write_text(text)
        Path("conf/b.conf").write_text("gzip_vary on;\n")
        assert run_here("conf", "--baseline", "known.json").returncode == 0

    def test_what_is_new_is_reported(self) -> None:
        Path("conf/a.conf").write_text(MORE + SITE)
        done = run_here("conf", "--baseline", "known.json", "--format", "concise")
        assert done.returncode == 1
        assert len(done.stdout.splitlines()) == 2
        assert all(line.startswith("conf/a.conf:2:") for line in done.stdout.splitlines())

    def test_the_same_again_is_new(self) -> None:
        Path("conf/a.conf").write_text(SITE + SITE)
        done = run_here("conf", "--baseline", "known.json", "--format", "concise")
        assert len(done.stdout.splitlines()) == 2

    def test_what_is_gone_is_said_and_dropped(self) -> None:
        Path("conf/a.conf").write_text(SITE.replace("app;", "app; proxy_buffering off;"))
        done = run_here("conf", "--baseline", "known.json")
        assert done.returncode == 0
        gone = "response-buffering of location /v1/chat/completions in conf/a.conf no longer occurs"
        assert f"known.json: {gone}" in done.stderr
        run_here("conf", "--write-baseline", "known.json")
        assert run_here("conf", "--baseline", "known.json").stderr == ""
        Path("conf/a.conf").write_text(SITE)
        assert run_here("conf", "--baseline", "known.json").returncode == 1

    def test_what_was_not_checked_is_not_gone(self) -> None:
        Path("b.conf").write_text(MORE)
        assert "no longer" not in run_here("b.conf", "--baseline", "known.json").stderr
        run_here("b.conf", "--write-baseline", "known.json")
        assert run_here("conf", "--baseline", "known.json").returncode == 0
        done = run_here("conf", "--select", "nagle-delay", "--baseline", "known.json")
        assert done.stderr == ""

    def test_it_is_known_from_every_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("conf")
        assert run_here("a.conf", "--baseline", "../known.json").returncode == 0

    def test_what_is_known_is_not_mended(self) -> None:
        before = Path("conf/a.conf").read_text()
        assert run_here("conf", "--fix", "--baseline", "known.json").returncode == 0
        assert Path("conf/a.conf").read_text() == before

    @pytest.mark.parametrize("format_", FORMATS)
    def test_it_holds_in_every_format(self, format_: str) -> None:
        done = run_here("conf", "--baseline", "known.json", "--format", format_)
        assert done.returncode == 0
        if format_ == "sarif":
            results = json.loads(done.stdout)["runs"][0]["results"]
            kinds = [[one["kind"] for one in result["suppressions"]] for result in results]
            assert kinds == [["external"]] * 2
        elif format_ != "html":  # the page shows every rule's way
            assert "response-buffering" not in done.stdout
        Path("conf/a.conf").write_text(
            "# nginx-stream-lint: ignore-file[response-buffering] a reason\n" + SITE
        )
        done = run_here(
            "conf", "--ignore", "old-upstream-http,short-read-timeout", "--format", format_
        )
        assert done.returncode == 0
        if format_ == "sarif":
            [result] = json.loads(done.stdout)["runs"][0]["results"]
            assert result["suppressions"] == [
                {"kind": "inSource", "status": "accepted", "justification": "a reason"}
            ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1:1: is not valid JSON"),
        ("{\n]", "2:1: is not valid JSON"),
        ("[]", "is not a baseline of nginx-stream-lint"),
        ('{"tool": "other", "version": 1}', "is not a baseline of nginx-stream-lint"),
        ('{"tool": "nginx-stream-lint", "version": 2}', "update nginx-stream-lint"),
        ('{"tool": "nginx-stream-lint", "version": 1}', "is damaged"),
        ('{"tool": "nginx-stream-lint", "version": 1, "findings": [1]}', "is damaged"),
        ("\ufeff", "is not valid JSON"),
    ],
)
def test_a_baseline_that_is_none(text: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(SITE)
    (tmp_path / "b.json").write_text(text)
    for option in ("--baseline", "--write-baseline"):
        done = run_here("a.conf", option, "b.json", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("b.json:")
        assert says in done.stderr
        assert (tmp_path / "b.json").read_text() == text


def test_a_baseline_is_utf_8_with_or_without_a_mark(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(SITE)
    assert run_here("a.conf", "--write-baseline", "b.json", cwd=tmp_path).returncode == 0
    data = (tmp_path / "b.json").read_bytes()
    (tmp_path / "b.json").write_bytes(b"\xef\xbb\xbf" + data)
    assert run_here("a.conf", "--baseline", "b.json", cwd=tmp_path).returncode == 0
    (tmp_path / "b.json").write_bytes(data + b" \xff")
    done = run_here("a.conf", "--baseline", "b.json", cwd=tmp_path)
    assert done.returncode == 2
    line = data.count(b"\n") + 1
    assert done.stderr.startswith(f"b.json:{line}:2: cannot be read (is not UTF-8); ")


def test_a_baseline_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text(SITE)
    done = run_here("a.conf", "--baseline", "b.json", cwd=tmp_path)
    assert done.returncode == 2
    assert "b.json:1:1: cannot be read" in done.stderr
