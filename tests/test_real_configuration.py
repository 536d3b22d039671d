"""What people have, through the real command: dumps, templates, snippets of a repository, YAML."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.command import run

SITE = "server {\n    location /v1/chat/completions {\n        proxy_pass http://app;\n    }\n}\n"
MAIN = "events {}\nhttp {\n    include conf.d/*.conf;\n}\n"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "."], check=True)
    Path("conf.d").mkdir()
    Path("nginx.conf").write_text(MAIN)
    Path("conf.d/a.conf").write_text(SITE)
    Path("conf.d/b.conf").write_text(SITE.replace("server {", "server {\n    listen 81;"))
    return tmp_path


@pytest.mark.usefixtures("repository")
def test_a_snippet_is_checked_in_its_surroundings_and_alone_reported() -> None:
    done = run("--format", "json", "conf.d/a.conf")
    assert done.returncode == 1
    assert {one["file"] for one in json.loads(done.stdout)["findings"]} == {"conf.d/a.conf"}
    Path("nginx.conf").write_text(MAIN.replace("include", "proxy_buffering off; include"))
    done = run("--select", "response-buffering", "conf.d/a.conf")
    assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("repository")
def test_a_snippet_that_spoils_what_includes_it() -> None:
    """The finding stands in another file: what it rests on is what was asked for."""
    Path("buffering.conf").write_text("proxy_buffering on;\n")
    Path("conf.d/a.conf").write_text(SITE.replace("app;", "app;\n        include buffering.conf;"))
    done = run("--format", "json", "--select", "response-buffering", "buffering.conf")
    assert done.returncode == 1
    [finding] = json.loads(done.stdout)["findings"]
    assert finding["location"]["file"] == "conf.d/a.conf"


@pytest.mark.usefixtures("repository")
def test_mistakes_elsewhere_are_not_this_file_s() -> None:
    Path("conf.d/b.conf").write_text("nonsense!;\n")
    assert run("conf.d/a.conf").returncode == 1
    assert run(".").returncode == 2


@pytest.mark.usefixtures("repository")
def test_a_guessed_include_is_said() -> None:
    Path("snippets").mkdir()
    Path("snippets/off.conf.template").write_text("proxy_buffering off;\n")
    Path("conf.d/a.conf").write_text(
        SITE.replace("app;", "app;\n        include /etc/nginx/off.conf;")
    )
    done = run("--format", "json", "--select", "response-buffering", "conf.d/a.conf")
    assert done.returncode == 0
    [note] = json.loads(done.stdout)["notes"]
    assert note["file"] == "conf.d/a.conf"
    assert "using snippets/off.conf.template instead" in note["message"]
    assert "note: include" in done.stderr


@pytest.mark.usefixtures("repository")
def test_an_include_that_is_nowhere_and_the_settings() -> None:
    Path("conf.d/a.conf").write_text(SITE.replace("app;", "app;\n        include /x/mine.conf;"))
    done = run("--select", "response-buffering", "conf.d/a.conf")
    assert done.returncode == 0
    assert "conf.d/a.conf:4:9: note: " in done.stderr
    assert "absent_includes" in done.stderr
    assert "warning response-buffering" in done.stdout
    Path(".nginx-stream-lint.yaml").write_text("absent_includes: ['/x/*']\n")
    done = run("--select", "response-buffering", "conf.d/a.conf")
    assert done.returncode == 1
    assert "error response-buffering" in done.stdout
    assert not done.stderr


@pytest.mark.usefixtures("repository")
def test_a_dump_on_standard_input() -> None:
    dump = "".join(
        f"# configuration file /etc/nginx/{name}:\n{Path(name).read_text()}\n"
        for name in ("nginx.conf", "conf.d/a.conf", "conf.d/b.conf")
    )
    done = run("--format", "concise", "--select", "response-buffering", "-", stdin=dump.encode())
    assert done.returncode == 1
    assert [line.split(" ")[0] for line in done.stdout.splitlines()] == [
        "/etc/nginx/conf.d/a.conf:2:5:",
        "/etc/nginx/conf.d/b.conf:3:5:",
    ]
    done = run("explain", "--format", "json", "-", "/v1/chat/completions", stdin=dump.encode())
    [one] = json.loads(done.stdout)
    assert one["location"]["file"] == "/etc/nginx/conf.d/a.conf"
    done = run("--diff", "-", stdin=dump.encode())
    assert "+++ b/etc/nginx/conf.d/a.conf" in done.stdout
    done = run("--fix", "-", stdin=dump.encode())
    assert done.returncode == 2
    assert "--diff" in done.stderr


def test_fixes_leave_placeholders_alone(tmp_path: Path) -> None:
    text = (
        "{% for app in apps %}\n"
        "server {\n"
        "\tlisten {{ app.port }};\r\n"
        "\tlocation /v1/chat/completions {\n"
        "\t\tproxy_pass http://{{ app.host }}:${PORT}; # {{ app }}\n"
        "\t\tproxy_read_timeout {{ app.timeout }}s;\n"
        "\t}\n"
        "}\n"
        "{% endfor %}"
    )
    path = tmp_path / "site.conf.j2"
    path.write_bytes(text.encode())
    done = run("--fix", "--select", "response-buffering", path)
    assert done.returncode == 0, done.stdout + done.stderr
    line = "\t\tproxy_http_version 1.1;\n\t\tproxy_buffering off;\n"
    at = text.index("\t\tproxy_read_timeout")
    assert path.read_bytes().decode() == text[:at] + line + text[at:]


def test_values_from_an_env_file(tmp_path: Path) -> None:
    conf, env = tmp_path / "a.conf.template", tmp_path / ".env"
    conf.write_text(SITE.replace("app;", "app;\n        proxy_read_timeout ${TIMEOUT};\n${MORE}\n"))
    args = ("--format", "concise", "--select", "short-read-timeout,response-buffering")
    assert "proxy_read_timeout" not in run(*args, conf).stdout
    env.write_text("# what the container gets\nexport TIMEOUT=20s\nMORE='proxy_buffering off;'\n")
    done = run(*args, "--env-file", env, conf)
    assert done.returncode == 1
    assert f"{conf}:4:9: error short-read-timeout" in done.stdout
    assert "response-buffering" not in done.stdout
    env.write_text("no equals sign\n")
    done = run(*args, "--env-file", env, conf)
    assert done.returncode == 2
    assert ".env:1:1" in done.stderr


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("location / {\n    ...\n}\n" + SITE, "2:5", "omitted lines"),
        (SITE + "http {\n}\n", "1:1", "not allowed here"),
        (SITE + "}\n", "6:1", 'unexpected "}"'),
        ("server {\n    listen 80\n}\n" + SITE, "3:1", 'add ";" before it'),
        (SITE + "server {\n    location / {\n", "7:16", "close the block"),
        (SITE + "server {\n    root 'x\n}\n", "7:10", "quote"),
    ],
)
def test_what_is_certain_is_judged_and_the_rest_said(
    text: str, place: str, says: str, tmp_path: Path
) -> None:
    path = tmp_path / "münchen.conf"
    path.write_text(text)
    done = run("--select", "response-buffering", path)
    assert done.returncode == 2
    assert "response-buffering" in done.stdout
    sentences = [line for line in done.stderr.splitlines() if f"{path}:{place}: " in line]
    assert sentences, done.stderr
    assert says in sentences[0]
