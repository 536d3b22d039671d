"""Settings come with what is checked: they reach nothing outside, and can be left aside."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from nginx_stream_lint.cli import cli
from nginx_stream_lint.report import FORMATS
from nginx_stream_lint.settings import FILE_NAME
from tests.command import run_here
from tests.report.schemas import CHECKS, READ

CONF = "events {}\nhttp { server { location /v1/chat { proxy_pass http://$host; } } }\n"
SECRET = "TOKEN=7f3-secret\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository, with files beside it that are nobody's business."""
    home = tmp_path / "home"
    home.mkdir()
    for name in (".bashrc", ".env", "outside.conf", "baseline.json"):
        (home / name).write_text(SECRET, encoding="utf-8")
    (tmp_path / ".env").write_text(SECRET, encoding="utf-8")
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "own.yaml").write_text(SECRET, encoding="utf-8")
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / ".github").mkdir()
    (folder / "own").mkdir()
    (folder / "nginx.conf").write_text(CONF, encoding="utf-8")
    (folder / "app.py").write_text("print('mine')\n", encoding="utf-8")
    (folder / "out").symlink_to("../home")
    (folder / "env").symlink_to("../home/.env")
    (folder / "linked.conf").symlink_to("../home/outside.conf")
    (folder / "own" / "own.yaml").symlink_to("../../rules/own.yaml")
    (folder / "report.txt").symlink_to("nowhere.txt")
    return folder


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


OUT = "leads out of the folder of this file"
ATTACKS = [
    ("env_file: ../.env", "1:11", OUT),
    ("env_file: {home}/.env", "1:11", OUT),
    ("env_file: env", "1:11", OUT),
    ("env_file: out/.env", "1:11", OUT),
    ("env_file: own/../../home/.env", "1:11", OUT),
    ("rules: ../rules", "1:8", OUT),
    ("markdown: false\nrules: [../rules]", "2:9", OUT),
    ("rules: own", "1:8", OUT),
    ("baseline: /etc/passwd", "1:11", OUT),
    ("baseline: out/baseline.json", "1:11", OUT),
    ("roots: ../home/*.conf", "1:8", OUT),
    ("roots: /etc/nginx/nginx.conf", "1:8", OUT),
    ("roots: '*/../../home/*.conf'", "1:8", ".. after a wildcard"),
    ("servers: [nginx.conf, out/*.conf]", "1:23", OUT),
    ("servers: /*.conf", "1:10", OUT),
    ("format: concise=../home/.bashrc", "1:9", OUT),
    ("format: [text, concise=out/x]", "1:16", OUT),
    ("format: sarif=/tmp/x.sarif", "1:9", OUT),
    ("format: concise=/dev/stdout", "1:9", OUT),
    ("format: concise=.git/hooks/pre-commit", "1:9", "is hidden"),
    ("format: html=.github/x.html", "1:9", "is hidden"),
    ("format: json=.x", "1:9", "is hidden"),
    ("format: json=own/../.git/x", "1:9", "is hidden"),
    ("format: concise=report.txt", "1:9", "is a link"),
]


@pytest.mark.parametrize(("text", "place", "says"), ATTACKS)
def test_settings_do_not_lead_out(text: str, place: str, says: str, repository: Path) -> None:
    home = str(repository.parent / "home")
    (repository / FILE_NAME).write_text(text.replace("{home}", home), encoding="utf-8")
    before = everything(repository.parent)
    done = CliRunner().invoke(cli, [str(repository / "nginx.conf")])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{repository / FILE_NAME}:{place}: ")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert "7f3" not in done.stderr
    assert everything(repository.parent) == before


@pytest.mark.parametrize("command", ["explain", "probe"])
def test_for_no_command(command: str, repository: Path) -> None:
    (repository / FILE_NAME).write_text("env_file: env", encoding="utf-8")
    done = run_here(command, "nginx.conf", "/v1/chat", cwd=repository)
    assert (done.returncode, done.stdout) == (2, "")
    assert OUT in done.stderr


def test_a_pattern_matches_nothing_outside(repository: Path) -> None:
    (repository / "roots").mkdir()
    (repository / "roots" / "far.conf").symlink_to("../../home/outside.conf")
    (repository / FILE_NAME).write_text("roots: roots/*.conf\n", encoding="utf-8")
    done = run_here("nginx.conf", cwd=repository)
    assert done.returncode == 2
    assert "roots/far.conf:1:1: leads out of the folder of the settings" in done.stderr
    assert "7f3" not in done.stdout + done.stderr


@pytest.mark.parametrize("name", FORMATS)
def test_a_report_replaces_its_like_only(name: str, repository: Path) -> None:
    settings = repository / FILE_NAME
    settings.write_text(f"format: {name}=report.out\n", encoding="utf-8")
    report = repository / "report.out"
    for text in (CONF, "events {}\n"):  # with findings and without
        (repository / "nginx.conf").write_text(text, encoding="utf-8")
        report.unlink(missing_ok=True)
        first = run_here("nginx.conf", cwd=repository)
        assert first.returncode in (0, 1), first.stderr
        # Another run replaces it, also by one of another size.
        (repository / "nginx.conf").write_text(CONF, encoding="utf-8")
        assert run_here("nginx.conf", cwd=repository).returncode == 1
        # The mark leaves the report valid. GitHub's runner ignores lines that are no command.
        written = report.read_text(encoding="utf-8")
        if name == "github":
            written = re.sub("(?m)^#.*\n", "", written)
        CHECKS[name](written)
        assert ("response-buffering", "nginx.conf", "error") in READ[name](written)
    for mine in (b"print('mine')\n", b"", b"{}\n", b"[1]\n", b'{"name": "x"}\n'):
        report.write_bytes(mine)
        done = run_here("nginx.conf", cwd=repository)
        assert done.returncode == 2
        assert done.stderr.startswith(
            f"report.out:1:1: is not a {name} report of nginx-stream-lint"
        )
        assert report.read_bytes() == mine
    # The command line may replace anything.
    settings.unlink()
    assert run_here("nginx.conf", "--format", f"{name}=report.out", cwd=repository).returncode == 1
    assert report.read_bytes() != mine


def test_settings_above_the_repository_do_not_count(repository: Path) -> None:
    (repository / "deploy").mkdir()
    (repository / "deploy" / "a.conf").write_text(CONF, encoding="utf-8")
    own = repository / FILE_NAME
    own.write_text("fail_on: note\n", encoding="utf-8")
    for above in (repository.parent / FILE_NAME, repository.parent / "pyproject.toml"):
        above.write_text("this: is: no YAML [", encoding="utf-8")
        done = run_here("--show-settings", "deploy/a.conf", cwd=repository)
        assert f"fail_on: note  # {FILE_NAME}:1" in done.stdout
    own.unlink()
    for path in ("deploy/a.conf", "deploy", "."):
        assert run_here(path, cwd=repository).returncode == 1
    # Without a repository the given folder is the last one.
    (repository / ".git" / "hooks").rmdir()
    (repository / ".git").rmdir()
    own.write_text("this: is: no YAML [", encoding="utf-8")
    assert run_here("deploy/a.conf", cwd=repository).returncode == 1
    assert run_here("deploy", cwd=repository).returncode == 1
    assert run_here("nginx.conf", cwd=repository).returncode == 2


def test_settings_that_are_no_file_of_the_repository(repository: Path) -> None:
    (repository / FILE_NAME).symlink_to("../.env")
    done = run_here("nginx.conf", cwd=repository)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"{FILE_NAME}:1:1: is a link that leads out of ")
    assert "7f3" not in done.stderr
    (repository / FILE_NAME).unlink()
    (repository.parent / "pyproject.toml").write_text("[tool.nginx-stream-lint]\nx = 1\n")
    (repository / "pyproject.toml").symlink_to("../pyproject.toml")
    assert run_here("nginx.conf", cwd=repository).returncode == 1


ISOLATED = """events {}
http {
    server {
        location /v1/chat/completions { # nginx-stream-lint: ignore[response-buffering] because
            proxy_pass http://127.0.0.1:8000;
        }
        location /x { return 200; } # nginx-stream-lint: ignore
    }
}
"""


def test_isolated_obeys_nothing_of_the_repository(repository: Path) -> None:
    (repository / "nginx.conf").write_text(ISOLATED, encoding="utf-8")
    settings = "severity: {short-read-timeout: 'off'}\nignore: unused-ignore\n"
    (repository / FILE_NAME).write_text(settings, encoding="utf-8")
    assert run_here("nginx.conf", "--write-baseline", "known.json", cwd=repository).returncode == 0
    (repository / FILE_NAME).write_text(settings + "baseline: known.json\n", encoding="utf-8")
    assert run_here("nginx.conf", "--fail-on", "note", cwd=repository).returncode == 0

    def rules(*options: str) -> set[str]:
        done = run_here("nginx.conf", "--format", "json", *options, cwd=repository)
        return {one["rule"] for one in json.loads(done.stdout)["findings"]}

    everything_found = rules("--isolated")
    assert {"response-buffering", "short-read-timeout"} <= everything_found
    assert "unused-ignore" not in everything_found
    # What is wrong with settings that are not read is not said either.
    (repository / FILE_NAME).write_text("this: is: no YAML [", encoding="utf-8")
    assert rules("--isolated") == everything_found
    for words in (["explain", "nginx.conf", "/v1/chat"],):
        assert run_here(*words, cwd=repository).returncode == 2
        assert run_here(*words, "--isolated", cwd=repository).returncode == 0


FAVOURS = [
    "stream sse x_accel_buffering=no heartbeat=1s",
    "stream sse accepts=h2",
    "stream sse heartbeat=1s",
    "stream sse framing=chunked method=GET",
    "stream websocket",
    "stream long-poll",
    "stream websocket x_accel_buffering=no",
    "stream chunked",
    "stream",
]


@pytest.mark.parametrize("words", FAVOURS)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/nothing-known"])
@pytest.mark.parametrize("options", [(), ("--all-streams",)])
def test_isolated_lets_no_comment_excuse_a_stream(
    words: str, path: str, options: tuple[str, ...], repository: Path
) -> None:
    def found(comment: str, *more: str) -> dict[str, str]:
        (repository / "nginx.conf").write_text(
            "events {}\nhttp {\n  gzip on; gzip_types text/event-stream;\n  server {\n"
            "    listen 443 ssl; ssl_certificate c; ssl_certificate_key k;\n"
            f"    location {path} {{ {comment}\n"
            "      proxy_pass http://127.0.0.1:8000; proxy_http_version 1.1; } } }\n",
            encoding="utf-8",
        )
        done = run_here("nginx.conf", "--format", "json", *options, *more, cwd=repository)
        report = json.loads(done.stdout)
        assert not report["errors"]
        return {one["rule"]: one["severity"] for one in report["findings"]}

    plain = found("")
    isolated = found(f"# nginx-stream-lint: {words}", "--isolated")
    for rule, severity in plain.items():
        ranks = ("error", "warning", "note")
        assert ranks.index(isolated[rule]) <= ranks.index(severity), rule
    if words != "stream websocket" and "websocket" not in words and "long-poll" not in words:
        assert isolated["response-buffering"] == "error"  # the stream itself still counts


def test_what_the_command_line_names_holds_in_isolation(repository: Path) -> None:
    (repository / "nginx.conf").write_text(ISOLATED, encoding="utf-8")
    (repository / "mine.yaml").write_text("severity: {response-buffering: note}", encoding="utf-8")
    options = ("nginx.conf", "--isolated", "--config", "mine.yaml")
    done = run_here(*options, "--format", "json", cwd=repository)
    found = {one["rule"]: one["severity"] for one in json.loads(done.stdout)["findings"]}
    assert found["response-buffering"] == "note"
    assert run_here(*options, "--write-baseline", "known.json", cwd=repository).returncode == 0
    assert run_here(*options, "--baseline", "known.json", cwd=repository).returncode == 0
