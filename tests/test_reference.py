"""The documentation against the code: what it shows, its tables, its examples, its links.

`make docs` writes the output of the commands that the pages show.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml
from click.testing import CliRunner

from nginx_stream_lint.cli import COMMANDS, cli
from nginx_stream_lint.nginx.delivery import ACCEL_BUFFERINGS, FRAMINGS
from nginx_stream_lint.nginx.listeners import CLIENTS
from nginx_stream_lint.report import FORMATS
from nginx_stream_lint.rules.finding import SEVERITIES
from nginx_stream_lint.settings import FILE_NAME, load
from nginx_stream_lint.streams.declaration_syntax import from_comment
from nginx_stream_lint.streams.stream import KINDS
from tests.checkout import ROOT
from tests.command import run_here
from tests.shown import PAGES, SHOWN, rewritten

DOCS = ROOT / "docs"
TEXTS = [
    *PAGES,
    *(ROOT / name for name in ("CONTRIBUTING.md", "SECURITY.md", "fuzz/README.md")),
]
# Commands with a page of their own, which lists their options.
DESCRIBED = [name for name in COMMANDS if (DOCS / f"{name}.md").exists()]


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _marked(page: str, name: str) -> str:
    """What stands between the markers of a part."""
    match = re.search(rf"<!-- {name} -->\n(.*?)<!-- end of {name} -->", _page(page), re.DOTALL)
    assert match is not None, name
    return match[1]


def _blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def _options(name: str) -> set[str]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"-h", "--help"}


@pytest.mark.parametrize(
    "page", [page for page in PAGES if SHOWN.search(page.read_text("utf-8"))], ids=lambda p: p.name
)
def test_output_is_what_the_command_prints(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert rewritten(text) == text, "make docs"


@pytest.mark.parametrize("name", DESCRIBED)
def test_every_option_is_explained_and_exists(name: str) -> None:
    rows = re.findall(r"^\| (.*?) \|", _marked(f"{name}.md", "options"), re.MULTILINE)
    explained = re.findall(r"(?<![\w-])--?[a-zA-Z][a-zA-Z-]*", " ".join(rows))
    assert sorted(explained) == sorted(_options(name)), f"the table of options in docs/{name}.md"


def test_every_format_is_explained() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", _marked("formats.md", "formats"), re.MULTILINE)
    assert tuple(rows) == FORMATS


def test_words_of_a_declaration_are_all_there() -> None:
    table = _marked("streams.md", "words")
    for word in (*KINDS, *FRAMINGS, *ACCEL_BUFFERINGS, *CLIENTS):
        assert f"`{word}`" in table, word


def test_a_stream_in_settings_is_the_one_of_the_comment(tmp_path: Path) -> None:
    (example,) = _blocks(_marked("streams.md", "declared"), "yaml")
    path = tmp_path / FILE_NAME
    path.write_text(example, encoding="utf-8")
    settings = load(path)
    assert [declared.path for declared in settings.streams] == [
        "/v1/chat/completions",
        "/progress",
    ]
    (comment,) = re.findall(r"# nginx-stream-lint: stream.*", _page("streams.md"))
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
    shown = [text for text in _blocks(_page("integration.md"), "yaml") if "- id:" in text]
    assert len(shown) == 2
    for text in shown:
        assert set(re.findall(r"- id: (\S+)", text)) <= ids


def test_editors_understand_the_concise_format() -> None:
    page = _page("integration.md")
    (task,) = json.loads(_blocks(page, "json")[0])["tasks"]
    pattern = task["problemMatcher"]["pattern"]
    done = run_here("--format", "concise", "fixtures/demo/nginx.conf", cwd=ROOT)
    lines = done.stdout.splitlines()
    assert len(lines) >= 3
    for line in lines:
        match = re.fullmatch(pattern["regexp"], line)
        assert match is not None, line
        assert (ROOT / match[pattern["file"]]).is_file()
        assert int(match[pattern["line"]]) > 0
        assert match[pattern["severity"]] in SEVERITIES
        assert match[pattern["message"]]
    assert "nginx-stream-lint\\ --format\\ concise\\ %" in page


def _ours(text: str) -> Iterator[list[str]]:
    """The arguments of each call of nginx-stream-lint in the shell commands of a text."""
    for line in re.findall(r"^\$ ((?:.*\\\n)*.*)", text, re.MULTILINE):
        command = re.sub(r"\s#\s.*", "", line.replace("\\\n", " "))
        for call in re.split(r"\$\(|\)|\|", command):
            words = shlex.split(call.partition(" > ")[0].replace('"', ""))
            if words and words[0] == "nginx-stream-lint":
                yield words[1:]


SHOWN_CALLS = [(path.name, call) for path in TEXTS for call in _ours(path.read_text("utf-8"))]


def test_options_shown_exist() -> None:
    assert len(SHOWN_CALLS) > 40
    for page, words in SHOWN_CALLS:
        name = words[0] if words[0] in COMMANDS else "lint"
        options = {word.partition("=")[0] for word in words if re.match("--?[a-zA-Z]", word)}
        assert options <= _options(name) | {"--version"}, f"{page}: {words}"


def test_commands_shown_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every shown command that needs neither another machine nor a measurement."""
    _files(tmp_path)
    calls = [
        (page, words)
        for page, words in SHOWN_CALLS
        if words[0] not in ("probe", "trace")
        and "--probe" not in words
        and not any(word.startswith("/etc/") for word in words)
    ]
    assert len(calls) > 25
    for page, words in calls:
        in_checkout = any(word.startswith("fixtures/") for word in words)
        monkeypatch.chdir(ROOT if in_checkout else tmp_path)
        done = CliRunner().invoke(cli, words, input=CONFIGURATION)
        assert done.exit_code in (0, 1), f"{page}: {words}\n{done.output}"
        assert done.exception is None or isinstance(done.exception, SystemExit), f"{page}: {words}"


CONFIGURATION = """\
events {}
http {
    server {
        listen 80;
        listen 443 ssl;
        server_name api.example.com;
        location /v1/ {
            proxy_pass http://127.0.0.1:8000;
        }
    }
}
"""


def _files(folder: Path) -> None:
    """The files that the documentation takes for granted."""
    for name in (
        "nginx.conf",
        "app.conf",
        "edge.conf",
        "deploy/nginx.conf",
        "deploy/nginx/nginx.conf",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(CONFIGURATION, encoding="utf-8")
    for name, source in (
        ("k8s/ingress.yaml", (ROOT / "fixtures/kubernetes/ingress.yaml").read_text("utf-8")),
        ("streams/short-limit.yaml", _blocks(_marked("own-rules.md", "own rule"), "yaml")[0]),
    ):
        (folder / name).parent.mkdir()
        (folder / name).write_text(source, encoding="utf-8")


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_targets_shown_are_targets(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"(?:^\$ |`)make ([a-z-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        linked, _, anchor = target.partition("#")
        if linked.startswith("http"):
            continue
        file = (path.parent / linked) if linked else path
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {
                re.sub(r"[^\w\- ]", "", one).strip().replace(" ", "-").lower() for one in headings
            }
            assert anchor in anchors, target


def test_files_named_for_contributors_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`((?:src|tests|rules|docs|fuzz|benchmarks|templates)/[^`]*)`", text)
    assert len(named) > 30
    for name in named:
        path = name.partition("::")[0]
        if "NAME" not in path:
            assert any(ROOT.glob(path.rstrip("/"))), name


def test_the_row_of_the_annotation_recipe_is_one() -> None:
    """It has the keys of a row, and the directive is none that the table has."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (row,) = yaml.safe_load(re.findall(r"^ *(- \{directive: .*)$", text, re.MULTILINE)[0])
    tables = ROOT / "src/nginx_stream_lint/kubernetes/annotations"
    rows = yaml.safe_load((tables / "nginx-org.yaml").read_text("utf-8"))["settings"]["location"]
    assert row["annotation"] not in {one.get("annotation") for one in rows}
    assert set(row) <= {key for one in rows for key in one}
    assert row["value"] in {one["value"] for one in rows}
