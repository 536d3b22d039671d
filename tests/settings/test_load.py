"""The settings file: found, read from both kinds of files, and its mistakes with their places."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint.report.blocks import Code
from nginx_stream_lint.settings import FILE_NAME, Settings, SettingsMistake, find, load
from nginx_stream_lint.settings.page import as_toml, examples, settings_page
from nginx_stream_lint.settings.show import as_yaml
from tests.command import run_here

TABLE = "[tool.nginx-stream-lint]\n"
CONF = "events {}\nhttp { server { location /v1/chat { proxy_pass http://127.0.0.1:8000; } } }\n"


def plain(settings: Settings) -> dict[str, Any]:
    """Settings without what is there by identity only."""
    found = {
        name: getattr(settings, name)
        for name in Settings.__struct_fields__
        if name not in ("file", "written", "rules_named", "streams", "overrides")
    }
    found["streams"] = [(one.text, one.stream.heartbeat_s) for one in settings.streams]
    found["overrides"] = [
        (dict(one.severity), one.nginx_version, one.min_read_timeout_s)
        for one in settings.overrides
    ]
    return found


def test_both_kinds_of_files_say_the_same(tmp_path: Path) -> None:
    yaml, toml = tmp_path / "settings.yaml", tmp_path / "settings.toml"
    yaml.write_text(as_yaml(examples()), encoding="utf-8")
    toml.write_text("[tool.ruff]\nline-length = 1\n" + as_toml(examples()), encoding="utf-8")
    settings = plain(load(yaml))
    assert settings == plain(load(toml))
    for name, default in plain(Settings()).items():
        assert settings[name] != default, f"the example of {name} says what holds anyway"
    assert settings["nginx_version"] == (1, 26, 2)
    assert settings["min_read_timeout_s"] == 120
    assert settings["roots"] == (str(tmp_path / "deploy/nginx.conf"),)
    assert settings["streams"] == [
        ("/v1/chat/completions", None),
        ("https://api.example.com/v1/chat/completions", None),
        ("/progress", 15),
        ("/events", None),
    ]
    assert settings["overrides"][1] == ({}, (1, 29, 7), None)
    loaded = load(yaml)
    (legacy, edge) = loaded.overrides
    assert legacy.covers(str(tmp_path / "legacy" / "a" / "x.conf"))
    assert not legacy.covers(str(tmp_path / "x.conf"))
    assert not legacy.covers(str(tmp_path.parent / "legacy" / "x.conf"))
    assert edge.covers(str(tmp_path / "edge" / "x.conf"))
    assert loaded.streams[3].where is edge.covers


def test_every_example_of_the_page_can_be_loaded(tmp_path: Path) -> None:
    blocks = [block for block in settings_page() if isinstance(block, Code)]
    assert len(blocks) > len(examples())
    for block in blocks:
        path = tmp_path / f"settings.{block.language}"
        path.write_text(block.text, encoding="utf-8")
        assert load(path).written


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "{}", "\ufeff# marked\n{}"])
def test_settings_that_say_nothing(text: str, tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    path.write_text(text, encoding="utf-8")
    assert plain(load(path)) == plain(Settings())
    toml = tmp_path / "pyproject.toml"
    toml.write_text(TABLE, encoding="utf-8")
    assert plain(load(toml)) == plain(Settings())


def test_the_nearest_file_is_found(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert find(below) is None
    top = tmp_path / "pyproject.toml"
    top.write_text(TABLE, encoding="utf-8")
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    (below / "pyproject.toml").write_text("this is [no TOML and not about us", encoding="utf-8")
    assert find(below) == top
    assert find(below / "nginx.conf") == top
    own = tmp_path / FILE_NAME
    own.write_text("", encoding="utf-8")
    assert find(below) == own
    (below / "pyproject.toml").write_text(
        "[project]\ndependencies = ['nginx-stream-lint']\n", encoding="utf-8"
    )
    assert find(below) == own


def mistake(text: str, path: Path) -> str:
    """What is said of settings that cannot be used, from the line on."""
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsMistake) as raised:
        load(path).check_rules(["response-buffering", "nagle-delay"])
    said = str(raised.value)
    assert said.startswith(f"{path}:")
    return said.removeprefix(f"{path}:")


YAML = [
    ("streems: /a", '1:1: unknown key "streems"; did you mean "streams"?'),
    (
        "severity: {nagle-dely: note}",
        '1:12: unknown rule "nagle-dely"; did you mean "nagle-delay"?',
    ),
    (
        "severity: {nagle-delay: fatal}",
        '1:25: "fatal" is unknown; one of: error, warning, note, off',
    ),
    ("severity: {nagle-delay: eror}", '1:25: "eror" is unknown; did you mean "error"?'),
    ("severity: {nagle-delay: 1}", "1:25: expected one of error, warning, note, off"),
    ("severity: off", "1:11: expected a mapping of rules"),
    ("ignore: [nagle-delay, x-y]", '1:23: unknown rule "x-y"; one of: nagle-delay, resp'),
    ("select: nagle", '1:9: unknown rule "nagle"'),
    ("fail_on: warn", '1:10: "warn" is unknown; did you mean "warning"?'),
    ("format: [text, sariff=x]", '1:16: unknown format "sariff"; did you mean "sarif"?'),
    ("format: {text: x}", "1:9: expected the name of a format"),
    ("markdown: yes", '1:11: expected true or false, not "yes"'),
    ("nginx_version: 1.30", '1:16: quote this value: "1.30"'),
    ("min_read_timeout: -5", '1:19: "-5" is not a time'),
    ("baseline: [a]", "1:11: expected a file, not a list"),
    ("env_file:", "1:10: expected a file, not nothing; remove the key"),
    ("rules: ''", "1:8: expected a folder"),
    ("roots: [a, {b: c}]", "1:12: expected a path pattern, not a mapping"),
    (
        "overrides: [{paths: a}]",
        "1:13: an override changes nothing; add one of the keys severity, ignore",
    ),
    ("overrides: [{severity: {}}]", '1:13: an override needs the key "paths"'),
    ("overrides:\n  - paths: a\n    fail_on: note", '3:5: unknown key "fail_on" of an override'),
    ("overrides:\n  - paths: []\n    ignore: nagle-delay", "2:12: expected a path pattern"),
    ("overrides:\n  - paths: '#a'\n    ignore: nagle-delay", '2:12: "#a" is not a path pattern'),
    ("overrides:\n  - paths: a\n    ignore: nagle-dely", '3:13: unknown rule "nagle-dely"; did'),
    ("overrides: [{paths: a, severity: {nagle-dely: off}}]", '1:35: unknown rule "nagle-dely"'),
    ("overrides: [{paths: a, streams: [{path: /a, knd: x}]}]", '1:45: unknown key "knd"'),
    ("overrides: [{paths: a, nginx_version: new}]", '1:39: "new" is not an nginx version'),
    ("overrides: a", "1:12: an override must be a mapping; keys: paths, severity"),
    ("markdown: true\nmarkdown: false", '2:1: "markdown" is set twice: see line 1'),
    ("streams:\n  - {path: /a, path: /b}", '2:16: "path" is set twice: see line 2'),
    ("severity:\n  nagle-delay: note\n  nagle-delay: off", '3:3: "nagle-delay" is set twice'),
    (
        "streams: !!python/object/apply:os.system [echo]",
        '1:10: the YAML tag "!!python/object/apply:os',
    ),
    (
        "!!python/object:builtins.int {}",
        '1:1: the YAML tag "!!python/object:builtins.int" is not supported',
    ),
    ("roots: !include x", '1:8: the YAML tag "!include" is not supported; remove it'),
    ("? [a]\n: b", "1:3: a key must be a word"),
    ("<<: {markdown: true}", '1:1: unknown key "<<"'),
    ("&a {streams: *a}", '1:5: unknown key "streams" of a stream'),
    ("--- a\n--- b", "2:1: cannot be read as YAML: but found another document"),
    ("roots: " + "[" * 50_000, "1:207: cannot be read as YAML: it is nested deeper than 200"),
    ("a: *x", "1:4: "),
    ('roots: "a\\0b"', '1:8: "a\\x00b" has an invisible character; remove it'),
    ('"\\e[31m": x', '1:1: unknown key "\\x1b[31m"'),
    ("fail_on: " + "x" * 100_000, '1:10: "xxx'),
    ("nginx_version: " + "x" * 100_000, '1:16: "xxx'),
    ("overrides: [{paths: '!', ignore: nagle-delay}]", '1:21: "!" is not a path pattern'),
]


@pytest.mark.parametrize(("text", "says"), YAML)
def test_mistakes_in_yaml(text: str, says: str, tmp_path: Path) -> None:
    said = mistake(text, tmp_path / FILE_NAME)
    assert said.startswith(says)
    assert len(said) < 500


TOML = [
    ("streems = '/a'", '2:1: unknown key "streems"; did you mean "streams"?'),
    ("[tool.nginx-stream-lint.severity]\nnagle-dely = 'off'", '3:1: unknown rule "nagle-dely"'),
    ("severity.nagle-delay = 'of'", '2:24: "of" is unknown; did you mean "off"?'),
    ("nginx_version = 1.30", '2:17: quote this value: "1.3'),
    ("markdown = 'true'", "2:12: expected true or false"),
    ("roots = 1979-05-27", "2:9: expected a path pattern, not something else"),
    (
        "streams = ['/a', { pth = '/b' }]",
        '2:20: unknown key "pth" of a stream; did you mean "path"',
    ),
    ("[[tool.nginx-stream-lint.overrides]]\npaths = 'a'\nignor = 'x'", '4:1: unknown key "ignor"'),
    ("[[tool.nginx-stream-lint.overrides]]\nignore = 'nagle-delay'", "2:1: an override needs"),
    ("markdown = tru", "2:12: cannot be read as TOML: Invalid value"),
    ("markdown = true\nmarkdown = true", "3:16: cannot be read as TOML: Cannot overwrite a value"),
]


@pytest.mark.parametrize(("text", "says"), TOML)
def test_mistakes_in_toml(text: str, says: str, tmp_path: Path) -> None:
    assert mistake(TABLE + text + "\n", tmp_path / "pyproject.toml").startswith(says)


def bomb() -> str:
    """Nine levels of nine aliases: 81 of them, and 3 * 10^8 words."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    for level in range(1, 9):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        bomb(),
        bomb().replace("a0: &a0", "streams: &a0"),
        "roots: " + bomb().splitlines()[0][4:] + "\n" + bomb().replace("a8: &a8", "severity: &a8"),
        "\n".join(bomb().splitlines()[:-1]) + "\nignore: [*a7, *a7]",
        "x: &x {a: b}\n" + "\n".join(f"y{n}: {{<<: [*x, *x]}}" for n in range(40)),
    ],
)
def test_a_bomb_does_not_go_off(text: str, tmp_path: Path) -> None:
    started = time.process_time()
    assert re.match(r"\d+:\d+: ", mistake(text, tmp_path / FILE_NAME))
    assert time.process_time() - started < 5


def test_what_cannot_be_a_file(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF, encoding="utf-8")
    path = tmp_path / FILE_NAME

    def says(text: str) -> None:
        done = run_here("nginx.conf", cwd=tmp_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(text, done.stderr.strip()), done.stderr

    path.mkdir()
    says(rf"{FILE_NAME}:1:1: cannot be read \(is a folder\)")
    path.rmdir()
    path.symlink_to("nowhere")
    says(rf"{FILE_NAME}:1:1: cannot be read \(no such file\)")
    path.unlink()
    path.symlink_to(FILE_NAME)
    says(rf"{FILE_NAME}:1:1: cannot be read \(.*Too many levels of symbolic links.*\)")
    path.unlink()
    path.write_text("# " + "x" * 1_100_000, encoding="utf-8")
    says(rf"{FILE_NAME}:1:1: cannot be read \(is larger than 1 MB\)")
    path.write_bytes(b"roots:\n  - \xff\n")
    says(rf"{FILE_NAME}:2:5: cannot be read \(is not UTF-8\)")
    path.unlink()
    (tmp_path / ".nginx-stream-lint.yml").write_text("markdown: true", encoding="utf-8")
    says(rf"\.nginx-stream-lint\.yml:1:1: is not used; rename it to {FILE_NAME}")
    (tmp_path / ".nginx-stream-lint.yml").unlink()
    (tmp_path / "pyproject.toml").write_text(TABLE + "a = [", encoding="utf-8")
    says(r"pyproject\.toml:2:6: .*")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    assert run_here("nginx.conf", cwd=tmp_path).returncode == 1
    done = run_here("--config", "pyproject.toml", "nginx.conf", cwd=tmp_path)
    assert done.returncode == 2
    assert "it has no table [tool.nginx-stream-lint]" in done.stderr


def test_mistakes_that_only_the_run_can_see(tmp_path: Path) -> None:
    conf = tmp_path / "nginx.conf"
    conf.write_text(CONF, encoding="utf-8")
    for text, says in (
        ("rules: own", "1:8: there is no folder own"),
        ("\nformat: [text, json]", "2:9: text and json cannot both go to standard output"),
        ("ignore: response-bufering", '1:9: unknown rule "response-bufering"; did you mean "resp'),
    ):
        (tmp_path / FILE_NAME).write_text(text, encoding="utf-8")
        for command in ([], ["explain"], ["probe"]):
            done = run_here(
                *command, "nginx.conf", *(["/v1/chat"] if command else []), cwd=tmp_path
            )
            assert (done.returncode, done.stdout) == (2, ""), command
            assert done.stderr.startswith(f"{FILE_NAME}:{says}"), done.stderr


def own_rule(folder: Path) -> None:
    """Put a rule `our-buffering` into a folder."""
    rule = (Path(__file__).parents[2] / "rules" / "response-buffering.yaml").read_text("utf-8")
    folder.mkdir(parents=True)
    text = rule.replace("name: response-buffering", "name: our-buffering")
    (folder / "our-buffering.yaml").write_text(text, encoding="utf-8")


def test_rules_of_ones_own_may_be_named(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(CONF, encoding="utf-8")
    own_rule(tmp_path / "own")
    (tmp_path / FILE_NAME).write_text("rules: own\nseverity: {our-buffering: note}", "utf-8")
    done = run_here("nginx.conf", "--format", "json", "--rules", "own", cwd=tmp_path)
    found = {one["rule"]: one["severity"] for one in json.loads(done.stdout)["findings"]}
    assert found["our-buffering"] == "note"
    assert found["response-buffering"] == "error"
