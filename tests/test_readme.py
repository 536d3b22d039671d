"""The README against the project: its demo output, its tables, its examples.

When the demo's output or a rule's title changes, the failing test shows the block that belongs
between the README's markers.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nginx_stream_lint.cli.lint import lint_command
from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.listeners import CLIENTS
from nginx_stream_lint.rules.rule_file import load_folder
from nginx_stream_lint.rules.shipped import builtin_folder
from nginx_stream_lint.settings import FILE_NAME, load
from nginx_stream_lint.streams.declarations import from_comment
from nginx_stream_lint.streams.stream import KINDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = "nginx-stream-lint fixtures/demo/nginx.conf"
INGRESS = "nginx-stream-lint fixtures/kubernetes/ingress.yaml"


def _marked(name: str) -> str:
    """What stands between the markers of a generated part."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", README, re.DOTALL)
    assert match is not None, name
    return match[1]


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def _without_seconds(text: str) -> str:
    return re.sub(r"\(\d+\.\d+ s\)$", "(0.00 s)", text, flags=re.MULTILINE)


@pytest.mark.parametrize(("name", "command"), [("demo", DEMO), ("ingress", INGRESS)])
def test_output_is_what_the_command_says(name: str, command: str) -> None:
    arguments = command.split()[1:]
    done = subprocess.run(
        [sys.executable, "-m", "nginx_stream_lint", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    block = f"```console\n$ {command}\n{done.stdout.strip()}\n```\n"
    assert _without_seconds(_marked(name)) == _without_seconds(block), block


def test_make_demo_runs_the_command_shown() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"/{DEMO}" in makefile


def test_rules_table_is_true_of_the_rule_files() -> None:
    """A rule is one file: one that the table lacks is no mistake, one that it misstates is."""
    titles = {rule.name: rule.title for rule in load_folder(builtin_folder())}
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \|$", _marked("rules"), re.MULTILINE)
    assert len(rows) >= 20
    assert {name: titles.get(name) for name, _ in rows} == dict(rows)


def test_every_option_is_explained_and_exists() -> None:
    options = {
        name
        for parameter in lint_command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("--")
    }
    table = README[README.index("| option |") : README.index("### Where does this URL land?")]
    assert options == set(re.findall(r"--[a-z-]+", table.replace("| --- |", "").replace("---", "")))


def test_words_of_a_declaration_are_all_there() -> None:
    table = README[README.index("| word | values") : README.index("The same goes into")]
    for word in (*KINDS, *FRAMINGS, *ACCEL_BUFFERINGS, *CLIENTS):
        assert f"`{word}`" in table, word


def test_settings_example_loads_and_says_what_the_comment_says(tmp_path: Path) -> None:
    assert f"`{FILE_NAME}`" in README
    (example,) = [text for text in _blocks("yaml") if "nginx_version" in text]
    path = tmp_path / FILE_NAME
    path.write_text(example, encoding="utf-8")
    settings = load(path)
    assert settings.nginx_version == (1, 26, 2)
    assert settings.min_read_timeout_s == 300
    assert [declared.path for declared in settings.streams] == [
        "/v1/chat/completions",
        "/progress",
    ]
    (comment,) = re.findall(r"# nginx-stream-lint: stream.*", "".join(_blocks("nginx")))
    said = from_comment(comment)
    assert said is not None
    written = settings.streams[1].stream
    assert (said.kind, said.framing, said.heartbeat_s) == ("sse", "close", 15)
    assert (said.kind, said.framing, said.heartbeat_s) == (
        written.kind,
        written.framing,
        written.heartbeat_s,
    )


def test_hooks_shown_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    ids = {hook["id"] for hook in hooks}
    shown = [text for text in _blocks("yaml") if "- id:" in text]
    assert shown
    for text in shown:
        assert set(re.findall(r"- id: (\S+)", text)) <= ids


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/architecture.md"])
def test_links_lead_somewhere(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if path.startswith("http"):
            continue
        file = ((ROOT / name).parent / path) if path else ROOT / name
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", one).replace(" ", "-").lower() for one in headings}
            assert anchor in anchors, target
