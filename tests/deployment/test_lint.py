"""What the deployment says is used by `lint` and `explain`: versions, includes, variables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent

import pytest
from msgspec.structs import replace

from nginx_stream_lint.analysis.explain import explain
from nginx_stream_lint.analysis.lint import Options, Result, lint
from nginx_stream_lint.config import Around
from nginx_stream_lint.deployment.model import Deployment
from nginx_stream_lint.files.workspace import Workspace

MAIN = "events {}\nhttp {\n  include /etc/nginx/conf.d/*.conf;\n}\n"
SITE = """\
server {
    listen 80;
    location /v1/chat/completions {
        proxy_pass http://api:8000;
        proxy_buffering off;
        proxy_read_timeout 600s;
    }
}
"""
COMPOSE = """\
services:
  web:
    image: nginx:{version}
    volumes:
      - ./a/main.conf:/etc/nginx/nginx.conf
      - ./b/site.conf:/etc/nginx/conf.d/default.conf
"""


def repository(version: str = "1.30.0", **more: str) -> dict[str, str]:
    """A repository whose main file includes a site elsewhere; only compose.yaml says where."""
    found = {
        "compose.yaml": COMPOSE.replace("{version}", version),
        "a/main.conf": MAIN,
        "b/site.conf": SITE,
    }
    return {**found, "c/conf.d/other.conf": "server { listen 81; }", **more}


def linted(files: Mapping[str, str], *paths: str, options: Options | None = None) -> Result:
    return lint(Workspace.in_memory(files), paths or ["."], options)


def rules(result: Result) -> set[str]:
    return {one.rule for one in result.findings}


def versions_judged(result: Result) -> bool:
    """Whether a finding rests on the defaults before nginx 1.29.7."""
    return any(one.assumes_old_nginx for one in result.findings)


@pytest.mark.parametrize("paths", [(".",), ("a/main.conf",), ("b/site.conf",), ("a", "b")])
def test_the_version_is_that_of_the_image(paths: tuple[str, ...]) -> None:
    old = rules(linted(repository("1.27.3"), *paths))
    new = rules(linted(repository("1.30.0"), *paths))
    # Before 1.29.7 nginx uses HTTP/1.0 to the app where nothing says otherwise.
    assert old - new == {"old-upstream-http"}
    assert not versions_judged(linted(repository("1.27.3"), *paths))
    assert rules(linted(repository("latest"), *paths)) == old
    assert versions_judged(linted(repository("latest"), *paths))


def test_options_and_settings_come_first() -> None:
    found = linted(repository("1.30.0"), options=Options(nginx_version=(1, 27, 0)))
    assert "old-upstream-http" in rules(found)
    around = Around(mounts=(("/etc/nginx/conf.d", "c/conf.d"),))
    said = linted(repository(), "a/main.conf", options=replace(Options(), around=around))
    assert [one.source.name for one in said.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_instances_that_differ_say_nothing() -> None:
    more = {"docker-compose.other.yml": COMPOSE.replace("{version}", "1.27.3")}
    assert versions_judged(linted(repository("1.30.0", **more)))
    same = {"docker-compose.other.yml": COMPOSE.replace("{version}", "1.30.0")}
    assert not versions_judged(linted(repository("1.30.0", **same)))


def test_includes_lead_where_the_files_are_mounted() -> None:
    found = linted(repository(), "a/main.conf")
    assert [one.source.name for one in found.files] == ["a/main.conf", "b/site.conf"]
    assert found.notes == []
    guessed = linted({**repository(), "compose.yaml": ""}, "a/main.conf")
    assert [one.source.name for one in guessed.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_a_glob_without_a_file_in_the_container_adds_nothing() -> None:
    text = COMPOSE.replace("{version}", "1.27.3").replace(
        "      - ./b/site.conf:/etc/nginx/conf.d/default.conf\n", ""
    )
    found = linted({**repository(), "compose.yaml": text}, "a/main.conf")
    assert [one.source.name for one in found.files] == ["a/main.conf"]
    assert "no file matches" in found.notes[0].message


@pytest.mark.parametrize(
    "line",
    [
        "      - sites:/etc/nginx/conf.d\n",
        "      - ${DIR}:/etc/nginx/conf.d/x.conf\n",
        "    entrypoint: [/start.py]\n",
    ],
)
def test_what_the_container_does_not_say_is_guessed_as_before(line: str) -> None:
    text = COMPOSE.replace("{version}", "1.27.3") + line
    found = linted({**repository(), "compose.yaml": text}, "a/main.conf")
    assert [one.source.name for one in found.files] == ["a/main.conf", "c/conf.d/other.conf"]


def test_templates_get_the_environment() -> None:
    text = """\
        services:
          web:
            image: nginx:1.30.0
            environment: {TIMEOUT: 20s}
            volumes: ['./t/default.conf.template:/etc/nginx/templates/default.conf.template']
        """
    site = SITE.replace("600s", "${TIMEOUT}")
    files = {"compose.yaml": dedent(text), "t/default.conf.template": site}
    assert "short-read-timeout" in rules(linted(files))
    assert "short-read-timeout" not in rules(linted({"t/default.conf.template": site}))
    [one] = explain(Workspace.in_memory(files), "t/default.conf.template", ["/v1/chat/completions"])
    assert one.read_timeout_s == 20


def test_explain_knows_the_version() -> None:
    for version, framing in (("1.27.3", "1.0"), ("1.30.0", "1.1")):
        workspace = Workspace.in_memory(repository(version))
        [one] = explain(workspace, "b/site.conf", ["/v1/chat/completions"])
        assert one.settings["proxy_http_version"].text == framing


def test_what_is_left_open_is_for_people_who_ask_for_more() -> None:
    found = linted(repository("ours"))
    assert [str(one) for one in found.details] == [
        "compose.yaml:3:12: note: the version of nginx in nginx:ours is unknown;"
        " set nginx_version in the settings"
    ]
    assert found.notes == []


def test_a_second_look_does_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from nginx_stream_lint.deployment import read

    calls: list[str] = []
    real = read.read_deployment

    def counted(workspace: Workspace, root: str, *rest: Sequence[str]) -> Deployment:
        calls.append(root)
        return real(workspace, root, *rest)

    monkeypatch.setattr(read, "read_deployment", counted)
    workspace = Workspace.in_memory(repository())
    lint(workspace, ["."])
    lint(workspace.overlaid({"b/site.conf": SITE + "\n"}), ["."])
    assert len(calls) == 1


def test_without_such_files_nothing_more_is_read_or_loaded() -> None:
    files = {path: text for path, text in repository().items() if path != "compose.yaml"}
    workspace = Workspace.in_memory(files)
    result = lint(workspace, ["a/main.conf"])
    assert workspace.kept != {}
    assert result.details == []
    # The main file, what it includes, and nothing for the deployment.
    assert workspace.budget.limits.files - workspace.budget.left("files") <= len(files) * 2


def test_the_image_of_an_upstream_tells_the_app() -> None:
    site = SITE.replace("/v1/chat/completions", "/").replace("        proxy_buffering off;\n", "")
    services = COMPOSE.replace("{version}", "1.30.0") + "  api:\n    image: {image}\n"
    plain = {**repository(), "b/site.conf": site}
    known = {**plain, "compose.yaml": services.replace("{image}", "ollama/ollama:0.5")}
    other = {**plain, "compose.yaml": services.replace("{image}", "company/api")}
    assert not rules(linted(other, "b/site.conf"))
    found = linted(known, "b/site.conf")
    assert "response-buffering" in rules(found)
    [stream] = {one.stream.confidence for one in found.findings if one.stream is not None}
    assert stream == "known"
    assert all("Ollama" in one.stream.because for one in found.findings if one.stream is not None)
    # Another program behind a host that is named after an app is that program.
    named = known["compose.yaml"].replace("  api:", "  n8n:")
    found = linted(
        {**known, "compose.yaml": named, "b/site.conf": site.replace("//api", "//n8n")},
        "b/site.conf",
    )
    assert all("Ollama" in one.stream.because for one in found.findings if one.stream is not None)
