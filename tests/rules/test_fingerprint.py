"""Fingerprints: the same as long as what is said is the same, whatever happens elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.analysis.lint import Options, lint
from nginx_stream_lint.files import Workspace
from nginx_stream_lint.rules.finding import Finding
from nginx_stream_lint.rules.fingerprint import fingerprints, portable
from nginx_stream_lint.rules.shipped import builtin_folder, load_rules

RULES = load_rules(builtin_folder())
LOCATION = "    location /v1/chat/completions { proxy_pass http://127.0.0.1:8000; }\n"
TEXT = f"server {{\n    listen 80;\n{LOCATION}}}\n"


def _found(folder: Path, text: str) -> tuple[list[Finding], list[str]]:
    path = folder / "nginx.conf"
    path.write_text(text, encoding="utf-8")
    findings = lint(Workspace.on_disk(str(path)), options=Options(rules=RULES)).findings
    return findings, fingerprints(findings, str(folder))


def test_edits_elsewhere_change_nothing(tmp_path: Path) -> None:
    _, before = _found(tmp_path, TEXT)
    assert len(set(before)) == len(before) == 2
    for changed in (
        f"# a comment\n\n\n{TEXT}",
        TEXT.replace("listen 80;", "listen 80;\n    server_name a.example.com;\n    root /srv;"),
        TEXT.replace("    location /v1", "\tlocation   /v1"),
        TEXT.replace("{ proxy_pass", "{\n # why\n proxy_pass"),
        TEXT.replace("\n", "\r\n"),
    ):
        assert _found(tmp_path, changed)[1] == before, changed


def test_other_content_is_another_finding(tmp_path: Path) -> None:
    _, before = _found(tmp_path, TEXT)
    _, other = _found(tmp_path, TEXT.replace("completions", "completions/x"))
    assert not set(before) & set(other)


def test_what_is_alike_is_counted(tmp_path: Path) -> None:
    _, before = _found(tmp_path, TEXT)
    findings, twice = _found(tmp_path, TEXT + TEXT.replace("80", "81"))
    assert len(findings) == 4
    assert len(set(twice)) == 4
    assert set(before) < set(twice)
    # Findings come in any order, and are told apart by their places.
    again = fingerprints(findings[::-1], str(tmp_path))
    assert again == twice[::-1]


def test_the_folder_does_not_matter(tmp_path: Path) -> None:
    names: list[list[str]] = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        names.append(_found(tmp_path / name, TEXT)[1])
    assert names[0] == names[1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("/repo/conf.d/app.conf", "conf.d/app.conf"),
        ("conf.d/../nginx.conf", "nginx.conf"),
        ("./nginx.conf", "nginx.conf"),
        ("..data/nginx.conf", "..data/nginx.conf"),
        ("/etc/nginx/nginx.conf", "/etc/nginx/nginx.conf"),
        ("../other/nginx.conf", "../other/nginx.conf"),
        ("<stdin>", "<stdin>"),
    ],
)
def test_portable_names(name: str, expected: str) -> None:
    assert portable(name, "/repo") == expected
