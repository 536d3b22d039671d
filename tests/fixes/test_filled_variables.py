"""Fixes never replace a variable of a template whose value is set elsewhere."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest
from tests.command import run

TEMPLATE = """\
server {
    listen 80;
    location /v1/chat/completions {
        proxy_pass http://api:8000;
        proxy_buffering off;
        proxy_read_timeout ${TIMEOUT}s;
    }
}
"""
COMPOSE = """\
services:
  web:
    image: nginx:1.31
    volumes: ['./t/default.conf.template:/etc/nginx/templates/default.conf.template']
"""


def repository(folder: Path, **files: str) -> Path:
    (folder / ".git").mkdir(exist_ok=True)
    (folder / "t").mkdir(exist_ok=True)
    for name, text in {"t/default.conf.template": TEMPLATE, **files}.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("environment", "files", "place"),
    [
        ("environment: {TIMEOUT: 20}", {}, "compose.yaml:5"),
        ("environment: [TIMEOUT=20]", {}, "compose.yaml:5"),
        ("environment:\n      A: b\n      TIMEOUT: 20", {}, "compose.yaml:7"),
        ("environment:\n      - A=b\n      - TIMEOUT", {".env": "\nTIMEOUT=20\n"}, ".env:2"),
        ("environment:\n      TIMEOUT:", {".env": "\nTIMEOUT=20\n"}, ".env:2"),
        ("environment: {TIMEOUT: '${T}'}", {".env": "# one\nA=1\nT=20\n"}, ".env:3"),
        ("environment: {TIMEOUT: '${T:-20}'}", {}, "compose.yaml:5"),
        ("env_file: web.env", {"web.env": "A='1\n2'\nTIMEOUT=20\n"}, "web.env:3"),
        ("env_file: web.env\n    environment: {A: 1}", {"web.env": "TIMEOUT=20"}, "web.env:1"),
        (
            "environment: {A: 1}",
            {"compose.override.yaml": "services:\n  web:\n    environment: {TIMEOUT: 20}\n"},
            "compose.override.yaml:3",
        ),
    ],
)
def test_the_place_of_the_value_is_advised(
    tmp_path: Path, environment: str, files: dict[str, str], place: str
) -> None:
    before = {"compose.yaml": f"{COMPOSE}    {environment}\n", **files}
    repository(tmp_path, **before)
    done = run("--fix", "--unsafe-fixes", ".", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    shown = " ".join(done.stdout.split())
    assert "nginx closes the stream after 20 s of silence" in shown
    assert (
        f"manual fix for short-read-timeout: Change TIMEOUT ({place}), so that nginx reads this"
        " proxy_read_timeout 300s;"
    ) in shown
    assert (tmp_path / "t/default.conf.template").read_text() == TEMPLATE
    assert {name: (tmp_path / name).read_text() for name in before} == before


def test_other_fixes_of_the_template_are_written(tmp_path: Path) -> None:
    text = TEMPLATE.replace("        proxy_buffering off;\n", "")
    compose = f"{COMPOSE}    environment: {{TIMEOUT: 600}}\n".replace("1.31", "1.27")
    repository(tmp_path, **{"compose.yaml": compose, "t/default.conf.template": text})
    done = run("--fix", ".", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    fixed = (tmp_path / "t/default.conf.template").read_text()
    assert "proxy_buffering off;" in fixed
    assert "proxy_read_timeout ${TIMEOUT}s;" in fixed


def test_the_place_in_a_dockerfile(tmp_path: Path) -> None:
    dockerfile = """\
        FROM nginx:1.31
        ENV A=1 \\
            TIMEOUT=20
        COPY t/default.conf.template /etc/nginx/templates/
        """
    repository(tmp_path, Dockerfile=dedent(dockerfile))
    done = run("--fix", ".", cwd=tmp_path)
    assert "Change TIMEOUT (Dockerfile:2), so that nginx reads this" in done.stdout
    assert (tmp_path / "t/default.conf.template").read_text() == TEMPLATE


def test_values_of_an_option_have_no_place(tmp_path: Path) -> None:
    repository(tmp_path, **{"prod.env": "TIMEOUT=20\n"})
    done = run("--fix", "--env-file", "prod.env", "t/default.conf.template", cwd=tmp_path)
    assert "Change TIMEOUT, so that nginx reads this" in done.stdout
    assert "${TIMEOUT}s" in (tmp_path / "t/default.conf.template").read_text()
    # They come before those of the deployment.
    compose = f"{COMPOSE}    environment: {{TIMEOUT: 30}}\n"
    repository(tmp_path, **{"compose.yaml": compose})
    done = run("--env-file", "prod.env", "t/default.conf.template", cwd=tmp_path)
    assert "after 20 s of silence" in done.stdout
    assert "Change TIMEOUT, so that nginx reads this" in done.stdout


def test_each_instance_has_a_place(tmp_path: Path) -> None:
    other = COMPOSE.replace("  web:", "  edge:") + "    environment: {TIMEOUT: 20}\n"
    compose = f"{COMPOSE}    environment: {{TIMEOUT: 20}}\n"
    repository(tmp_path, **{"compose.yaml": compose, "docker-compose.other.yml": other})
    done = run(".", cwd=tmp_path)
    shown = " ".join(done.stdout.split())
    assert "Change TIMEOUT (compose.yaml:5 and docker-compose.other.yml:5), so" in shown
