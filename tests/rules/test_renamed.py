"""A rule that was renamed: its old name still works, with a note."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.command import run_here

from nginx_stream_lint.rules.shipped import builtin_folder

CONF = """location /sse {
    proxy_pass http://a;
    tcp_nodelay off;
}
"""
NOTE = "rule nagle-before was renamed to nagle-again"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = (builtin_folder() / "nagle-delay.yaml").read_text(encoding="utf-8")
    text = text.replace("name: nagle-delay", "name: nagle-again")
    text = text.replace("at: tcp_nodelay", "at: tcp_nodelay\nrenamed_from: [nagle-before]")
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "nagle-again.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "nginx.conf").write_text(CONF, encoding="utf-8")
    return tmp_path


def _rules(folder: Path, *options: str) -> tuple[set[str], str]:
    done = run_here("nginx.conf", "--rules", "rules", "--format", "concise", *options, cwd=folder)
    assert done.returncode in (0, 1), done.stderr
    return {line.split()[2] for line in done.stdout.splitlines()}, done.stderr


def test_options_take_the_old_name(folder: Path) -> None:
    found, said = _rules(folder, "--select", "nagle-before")
    assert found == {"nagle-again"}
    assert NOTE in said
    found, said = _rules(folder, "--ignore", "nagle-before")
    assert "nagle-again" not in found
    assert NOTE in said


@pytest.mark.parametrize(
    "settings", ["ignore: nagle-before", "severity: {nagle-before: 'off'}", "select: nagle-delay"]
)
def test_settings_take_the_old_name(settings: str, folder: Path) -> None:
    (folder / ".nginx-stream-lint.yaml").write_text(f"{settings}\n", encoding="utf-8")
    found, said = _rules(folder)
    assert "nagle-again" not in found
    assert (NOTE in said) is ("before" in settings)


def test_comments_take_the_old_name(folder: Path) -> None:
    comment = "tcp_nodelay off; # nginx-stream-lint: ignore[nagle-before, nagle-delay] old"
    (folder / "nginx.conf").write_text(CONF.replace("tcp_nodelay off;", comment), encoding="utf-8")
    found, _ = _rules(folder)
    assert not found & {"nagle-again", "nagle-delay", "unknown-ignored-rule", "unused-ignore"}
