"""A folder of a real repository: what is read in it, what is said of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.command import run_here

STREAM = "    location /v1/chat/completions { proxy_pass http://app:8000; }\n"
SITE = f"server {{\n    listen 80;\n{STREAM}}}\n"
BROKEN = SITE.replace("80;", "80")
SOURCES = {
    "src/App.tsx": "if (a) { return; }\nserver { listen }\n",
    "Dockerfile": "FROM nginx\nRUN if true; then exit; fi\n",
    "Jenkinsfile": "node { stage { return; } }\n",
    "run.sh": "if true; then exit; fi\n",
    "bin/start": "#!/bin/sh\nserver() { return; }\n",
    "jibri.conf": 'jibri {\n    id = ""\n}\n',
    "supervisord.conf": "[supervisord]\nuser=root\n",
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the root of a repository with a program in it."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    plant(SOURCES)
    return tmp_path


def plant(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def checked(*args: str) -> tuple[int, dict[str, Any], str]:
    done = run_here("--select", "response-buffering", "--format", "json", *(args or (".",)))
    return done.returncode, json.loads(done.stdout), done.stderr


def test_without_nginx() -> None:
    status, report, said = checked()
    assert (status, report["errors"], report["findings"]) == (0, [], [])
    assert said == ".: note: no nginx configuration found in this folder\n"
    assert run_here("explain", ".", "/").returncode == 2
    # What a person names is read as nginx's, whatever it is.
    assert checked("supervisord.conf")[0] == 2


def test_a_name_is_trusted_and_a_guess_is_no_problem() -> None:
    plant({"app.conf": SITE, "broken.conf": BROKEN, "deploy/nginx/site.conf": SITE})
    status, report, said = checked()
    assert (status, report["errors"], report["notes"], said) == (1, [], [], "")
    files = [one["file"] for one in report["findings"]]
    assert files == ["app.conf", "deploy/nginx/site.conf"]
    status, _, said = checked("-v", ".")
    assert status == 1
    assert said.startswith("broken.conf:1:1: note: file skipped: only part of it looks like")
    assert said.count("\n") == 1
    plant({"deploy/nginx/site.conf": BROKEN})
    status, report, _ = checked()
    assert status == 2
    assert {one["file"] for one in report["errors"]} == {"deploy/nginx/site.conf"}


def test_what_nginx_refuses_in_a_guessed_file_is_for_those_who_ask() -> None:
    """Such as a target that cannot stand there, which takes more than the words to see."""
    target = "location ~ x { proxy_pass http://app:8000/y; }"
    plant({"app.conf": SITE, "up.conf": f"server {{\n    {target}\n}}\n"})
    status, report, said = checked()
    assert (status, report["errors"]) == (1, [])
    assert "up.conf" not in said
    status, _, said = checked("--verbose", ".")
    assert status == 1
    assert "up.conf:2:" in said


def test_a_main_file_decides_what_it_includes() -> None:
    """What a file of nginx's includes is nginx's, whatever its name and its mistakes."""
    plant({"nginx.conf": "events {}\nhttp { include parts/*; }\n", "parts/a.txt": BROKEN})
    status, report, _ = checked()
    assert status == 2
    assert {one["file"] for one in report["errors"]} == {"parts/a.txt"}


def test_a_site_and_its_twin() -> None:
    plant({"sites-available/a": SITE, "sites-enabled/a": SITE, "sites-available/b": SITE})
    plant({"sites-available/c": SITE, "sites-enabled/c": SITE + "# new\n"})
    Path("sites-enabled/b").symlink_to("../sites-available/b")
    _, report, _ = checked()
    assert [one["file"] for one in report["findings"]] == [
        "sites-available/b",
        "sites-available/c",
        "sites-enabled/a",
        "sites-enabled/c",
    ]


def test_sites_of_apache() -> None:
    plant({"sites-available/a.conf": "<VirtualHost *:80>\n</VirtualHost>\n"})
    plant({"apache2/sites-enabled/b.conf": "# b\n<VirtualHost *:80>\n</VirtualHost>\n"})
    assert checked()[0] == 0


def test_an_empty_file_is_nothing() -> None:
    plant({"nginx/default.conf": "", "nginx/a.conf": "\n# nothing yet\n"})
    status, report, _ = checked()
    assert (status, report["errors"]) == (0, [])
    assert checked("nginx/default.conf")[0] == 2


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nginx.conf.j2", "server {\n{% if a %}\n    listen 80;\n" + STREAM + "}\n"),
        ("nginx.conf.hbs", "\ufeff" + SITE),
        ("nginx.conf.tmpl", "{{ if .a }}server {\n" + STREAM + "{{ else }}}{{ end }}\n"),
    ],
)
def test_a_template_that_cannot_be_read_is_said(name: str, text: str) -> None:
    """nginx never reads it, so nobody can say that it would refuse it; and it is not clean."""
    plant({name: text})
    status, report, said = checked()
    assert status in (0, 1)
    assert not report["errors"]
    [note] = report["notes"]
    assert note["file"] == name
    assert note["message"].startswith("template skipped: ")
    assert said.count("note: ") == 1
    # Whoever names it wants it to be read.
    assert checked(name)[0] == 2


def test_a_mistake_in_a_template_that_can_be_read() -> None:
    plant({"nginx.conf.template": SITE[:-2].replace("80", "${PORT}")})
    assert checked()[0] == 2


def test_blocks_in_yaml() -> None:
    script = "#!/bin/sh\nif true; then\n  return;\nfi\nset -e;\n"
    plant({"ci.yml": "steps:\n- run: |\n" + "".join(f"    {x}\n" for x in script.splitlines())})
    assert checked()[:1] == (0,)
    inner = "".join(f"    {line}\n" for line in BROKEN.splitlines())
    plant({"cm.yaml": f"kind: ConfigMap\ndata:\n  app.conf: |\n{inner}"})
    assert checked()[0] == 2
    plant({"cm.yaml": f"kind: ConfigMap\ndata:\n  start: |\n{inner}"})
    assert checked()[0] == 0


def test_definitions_of_a_template_stand_where_they_fit() -> None:
    macro = "{% macro place(path) %}\n" + STREAM + "{% endmacro %}\n"
    plant({"nginx.conf": "events {}\nhttp { include conf.d/*.conf; }\n"})
    plant({"conf.d/site.conf.j2": macro + "server {\n    {{ place('/x') }}\n}\n"})
    status, report, _ = checked()
    assert (status, report["errors"]) == (1, [])
    assert [one["file"] for one in report["findings"]] == ["conf.d/site.conf.j2"]


def test_a_fragment_of_includes_takes_its_level_from_what_they_hold() -> None:
    plant({"nginx/basic.conf": "# all\ninclude parts/a.conf;\ninclude parts/b.conf;\n"})
    plant({"nginx/parts/a.conf": "location /a { deny all; }\nadd_header X y;\n"})
    plant({"nginx/parts/b.conf": "set $a 1;\nif ($a) {\n    set $b 2;\n}\n"})
    plant({"nginx/one.conf": "include parts/up.conf;\n", "nginx/parts/up.conf": "server a:1;\n"})
    status, report, said = checked()
    assert (status, report["errors"], said) == (0, [], "")
    assert run_here("nginx/basic.conf").returncode == 0


def test_links_do_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}.conf"
    outside.write_text(BROKEN)
    os.makedirs("nginx")
    Path("nginx/a.conf").symlink_to(outside)
    assert checked()[0] == 0
