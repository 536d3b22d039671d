"""`--show-settings`: every key, its value, and where it comes from; settings again."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nginx_stream_lint.settings import FILE_NAME, load
from nginx_stream_lint.settings.keys import KEYS
from nginx_stream_lint.settings.node import yaml_node
from nginx_stream_lint.settings.page import as_toml, examples
from nginx_stream_lint.settings.show import as_yaml
from tests.command import run_here
from tests.settings.test_load import own_rule


def shown(folder: Path, *arguments: str) -> str:
    done = run_here("--show-settings", *arguments, cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def origins(text: str) -> dict[str, str]:
    """Where each key, or the first value in it, comes from."""
    return {
        key: re.search(r"  # (.*)$", text[text.index(f"{key}:") :], re.MULTILINE)[1]  # type: ignore[index]
        for key in (key.name for key in KEYS)
    }


def test_without_settings_everything_is_a_default(tmp_path: Path) -> None:
    text = shown(tmp_path)
    assert text.startswith("# there is no settings file\n")
    assert set(origins(text).values()) == {"default"}
    (tmp_path / "again.yaml").write_text(text, encoding="utf-8")
    again = load(tmp_path / "again.yaml")
    assert again.min_read_timeout_s == 300
    assert set(again.written) == {key.name for key in KEYS if key.default is not None}


@pytest.mark.parametrize("name", [FILE_NAME, "pyproject.toml"])
def test_each_value_has_its_line(name: str, tmp_path: Path) -> None:
    settings = examples()
    own_rule(tmp_path / "lint" / "rules")
    (tmp_path / "deploy" / "nginx").mkdir(parents=True)
    (tmp_path / "deploy" / ".env").write_text("A=b\n", encoding="utf-8")
    for folder in ("app", "edge"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "nginx.conf").write_text("events {}\n", encoding="utf-8")
    make = as_toml if name.endswith(".toml") else as_yaml
    written = make(settings)
    (tmp_path / name).write_text(written, encoding="utf-8")
    text = shown(tmp_path, "anything.conf")
    assert text.startswith(f"# from {name}\n")
    lines = written.splitlines()
    for key, origin in origins(text).items():
        file, _, line = origin.partition(":")
        assert file == name
        near = range(max(0, int(line) - 3), int(line))
        assert any(lines[at].startswith(f"{key}") for at in near), key
    node = yaml_node(text)
    assert node is not None
    assert node.plain() == settings


def test_options_win_or_add(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(
        "fail_on: note\nignore: nagle-delay\nstreams: [/a]\nmarkdown: true\nformat: html\n",
        encoding="utf-8",
    )
    text = shown(
        tmp_path,
        *("--fail-on", "warning", "--ignore", "reload-cut", "--stream", "/b", "--no-markdown"),
        *("--format", "json", "--min-read-timeout", "2m", "--nginx-version", "1.29"),
    )
    assert "fail_on: warning  # --fail-on\n" in text
    assert f"  - nagle-delay  # {FILE_NAME}:2\n  - reload-cut  # --ignore\n" in text
    assert f"  - /a  # {FILE_NAME}:3\n  - /b  # --stream\n" in text
    assert "markdown: false  # --markdown\n" in text
    assert "format:\n  - json  # --format\n" in text
    assert "min_read_timeout: 120s  # --min-read-timeout\n" in text
    assert "nginx_version: 1.29.0  # --nginx-version\n" in text


def test_what_an_option_overrules_is_said(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(
        "ignore: nagle-delay\noverrides: [{paths: a, nginx_version: 1.26.2}]", encoding="utf-8"
    )
    text = shown(tmp_path, "--nginx-version", "1.29.7", "--select", "nagle-delay")
    assert f"ignore: nagle-delay  # {FILE_NAME}:1, overridden by --select\n" in text
    assert f"nginx_version: 1.26.2  # {FILE_NAME}:2, overridden by --nginx-version\n" in text
    assert "overridden" not in shown(tmp_path)


def test_words_that_look_like_something_else_are_quoted() -> None:
    words = ["1.30", "on", "true", "null", "", "a b", "#x", "*.conf", "!x", "é", "a: b", "0x1f"]
    text = as_yaml({"roots": words})
    node = yaml_node(text)
    assert node is not None
    assert node.plain() == {"roots": words}


def test_settings_that_are_wrong_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("fail_om: note", encoding="utf-8")
    done = run_here("--show-settings", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f'{FILE_NAME}:1:1: unknown key "fail_om"; did you mean "fail_on"')
