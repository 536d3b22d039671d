"""Includes in a repository: the repository decides, not the machine that lints it.

Debian's nginx is installed where these tests run, so /etc/nginx has a site of its own.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nginx_stream_lint import Workspace, lint
from nginx_stream_lint.files.disk_storage import DiskStorage
from tests.command import run_here

STREAM = "    location /v1/chat/completions { proxy_pass http://app:8000; }\n"
SITE = f"server {{\n    listen 80;\n    server_name chat.example.com;\n{STREAM}}}\n"
MAIN = "events {{}}\nhttp {{\n    include {};\n}}\n"
ONLY = ("--select", "response-buffering", "--format", "json")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the root of a repository."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def plant(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def checked(*args: str) -> dict[str, Any]:
    """What a run says: status, the files of findings, messages of notes and problems."""
    done = run_here(*ONLY, *args)
    report = json.loads(done.stdout)
    return {
        "status": done.returncode,
        "findings": [one["file"] for one in report["findings"]],
        "notes": [one["message"] for one in report["notes"]],
        "problems": [one["message"] for one in report["errors"]],
        "locations": report["summary"]["locations"],
    }


@pytest.mark.usefixtures("here")
class TestWhereItLeads:
    @pytest.mark.parametrize(
        ("main", "argument", "site"),
        [
            ("nginx.conf", "/etc/nginx/conf.d/*.conf", "conf.d/app.conf"),
            ("nginx.conf", "/etc/nginx/sites-enabled/*", "sites-enabled/default"),
            ("nginx.conf", "/etc/nginx/conf.d/app.conf", "conf.d/app.conf"),
            ("nginx.conf", "/etc/nginx/./x/../conf.d/*.conf", "conf.d/app.conf"),
            ("nginx.conf", "/usr/local/nginx/conf/conf.d/*.conf", "conf.d/app.conf"),
            ("deploy/nginx.conf", "/etc/nginx/conf.d/*.conf", "deploy/conf.d/app.conf"),
            ("rootfs/etc/nginx/nginx.conf", "/data/nginx/*.conf", "rootfs/data/nginx/app.conf"),
            ("nginx.conf", "/etc/nginx/conf.d/*.conf", "conf.d/app.conf.template"),
            ("nginx.conf", "conf.d/*.conf", "conf.d/app.conf.template"),
            ("nginx.conf", "conf.d/app.conf", "conf.d/app.conf.j2"),
            ("nginx.conf.template", "/etc/nginx/conf.d/*.conf", "conf.d/app.conf"),
        ],
    )
    def test_the_same_path_in_the_repository(self, main: str, argument: str, site: str) -> None:
        plant({main: MAIN.format(argument), site: SITE})
        said = checked(main)
        assert said["findings"] == [site]
        assert said["status"] == 1
        assert not said["notes"]

    @pytest.mark.parametrize("name", ["app.conf", "default.conf"])
    def test_never_to_this_machine(self, name: str, tmp_path: Path) -> None:
        """An absolute path that is here, too, is not read."""
        outside = tmp_path.parent / f"{tmp_path.name}-machine" / "conf.d"
        outside.mkdir(parents=True)
        (outside / name).write_text(SITE)
        plant({"nginx.conf": MAIN.format(f"{outside}/*.conf"), "conf.d/mine.conf": SITE})
        assert checked("nginx.conf")["findings"] == ["conf.d/mine.conf"]
        before = (outside / name).read_bytes()
        assert run_here("--fix", "nginx.conf").returncode == 0
        assert (outside / name).read_bytes() == before
        assert "proxy_buffering off" in Path("conf.d/mine.conf").read_text()

    def test_nor_to_the_repository_by_the_path_of_its_checkout(self, tmp_path: Path) -> None:
        plant({"nginx.conf": MAIN.format(f"{tmp_path}/a/conf.d/*.conf"), "a/conf.d/x.conf": SITE})
        plant({f"b/{tmp_path.name}/a/conf.d/y.conf": SITE})
        assert checked("nginx.conf")["findings"] == [f"b/{tmp_path.name}/a/conf.d/y.conf"]

    def test_names_above_the_repository_are_no_evidence(self, tmp_path: Path) -> None:
        plant({"nginx.conf": MAIN.format(f"/x/{tmp_path.name}/*.conf"), "app.conf": SITE})
        said = checked("nginx.conf")
        assert (said["status"], said["findings"]) == (2, [])

    def test_the_longest_end_then_the_nearest(self) -> None:
        plant({"a/nginx.conf": MAIN.format("/etc/nginx/snippets/x.conf"), "x.conf": SITE})
        assert checked("a/nginx.conf")["findings"] == ["x.conf"]
        plant({"far/off/snippets/x.conf": SITE})
        assert checked("a/nginx.conf")["findings"] == ["far/off/snippets/x.conf"]
        plant({"a/snippets/x.conf": SITE})
        assert checked("a/nginx.conf")["findings"] == ["a/snippets/x.conf"]

    def test_what_is_of_another_program_is_not_meant(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/ssl.conf") + "\n", "ssl.conf": "[ssl]\nx=1\n"})
        [note] = checked(".")["notes"]
        assert note.startswith('include "/etc/nginx/ssl.conf" is not in this repository')

    def test_examples_stand_back(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf")})
        plant({"conf.d/a.conf": SITE, "conf.d/a.conf.sample": SITE, "conf.d/b.conf.example": SITE})
        assert checked("nginx.conf")["findings"] == ["conf.d/a.conf"]

    def test_a_script_drops_the_extension(self) -> None:
        stream = "location /events { include proxy_params; proxy_pass http://127.0.0.1:8000; }"
        plant({"nginx/app.conf": f"server {{ {stream} }}\n"})
        assert checked("nginx/app.conf")["findings"] == ["nginx/app.conf"]
        params = "proxy_http_version 1.1; proxy_buffering off; proxy_read_timeout 1h;\n"
        plant({"nginx/proxy_params.conf": params})
        assert checked("nginx/app.conf")["findings"] == []
        plant({"nginx/proxy_params": "proxy_set_header Host $host;\n"})
        assert checked("nginx/app.conf")["findings"] == ["nginx/app.conf"]

    def test_a_guess_that_does_not_fit_is_none(self) -> None:
        """A file of servers for an include in a location: it is read for itself."""
        stream = "location /events { include /opt/x/chat.conf; proxy_pass http://127.0.0.1:8000; }"
        plant({"a/site.conf": f"server {{ {stream} }}\n", "b/chat.conf": SITE})
        said = checked(".")
        assert said["findings"] == ["a/site.conf", "b/chat.conf"]
        assert said["problems"] == []
        [note] = said["notes"]
        assert note.startswith('include "/opt/x/chat.conf" is not in this repository')

    def test_one_of_several_is_said(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/app.conf")})
        plant({"app.conf.prod": SITE, "app.conf.dev": SITE})
        said = checked("nginx.conf")
        assert said["findings"] == ["app.conf.dev"]
        assert said["notes"] == [
            'include "/etc/nginx/app.conf" not found; using app.conf.dev instead'
        ]

    def test_servers_of_the_settings_are_meant_as_they_are(self, tmp_path: Path) -> None:
        plant({"conf.d/a.conf": SITE, f"{tmp_path.name}/conf.d/a.conf": "gzip off;\n"})
        plant({".nginx-stream-lint.yaml": "servers: conf.d/*.conf\n"})
        assert checked("conf.d/a.conf")["findings"] == ["conf.d/a.conf"]

    def test_a_wildcard_in_a_folder(self) -> None:
        plant({"nginx.conf": MAIN.format("/srv/apps/*/nginx.conf"), "apps/a/nginx.conf": SITE})
        plant({"apps/b/nginx.conf": SITE, "other/c/nginx.conf": SITE})
        assert checked("nginx.conf")["findings"] == ["apps/a/nginx.conf", "apps/b/nginx.conf"]


@pytest.mark.usefixtures("here")
class TestWhatIsNotThere:
    def test_a_pattern_adds_nothing(self) -> None:
        text = SITE.replace("listen", "include /etc/nginx/locations/*.conf;\n    listen")
        plant({"nginx.conf": MAIN.format("conf.d/*.conf"), "conf.d/a.conf": text})
        plant({"conf.d/b.conf": text.replace("80", "81")})
        said = checked(".")
        assert said["status"] == 1  # nothing is unknown: an error stays one
        assert said["notes"] == [
            'no file here matches include "/etc/nginx/locations/*.conf", so it counts as empty'
        ]

    def test_a_file_may_set_anything_and_is_said_once(self) -> None:
        text = SITE.replace("listen", "include /etc/nginx/mine.conf;\n    listen")
        plant({f"conf.d/{number}.conf": text for number in range(9)})
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf")})
        said = checked(".")
        assert len(said["notes"]) == 1
        assert 'include "/etc/nginx/mine.conf" is not in this repository' in said["notes"][0]
        assert said["status"] == 0  # an error that it may have mended is a warning
        assert len(said["findings"]) == 9
        assert not said["problems"]
        plant({".nginx-stream-lint.yaml": "absent_includes: [/etc/nginx/mine.conf]\n"})
        said = checked(".")
        assert (said["status"], said["notes"], len(said["findings"])) == (1, [], 9)

    @pytest.mark.parametrize("name", ["mime.types", "modules-enabled/*.conf", "fastcgi_params"])
    @pytest.mark.parametrize("folder", ["", "/etc/nginx/"])
    def test_what_comes_with_nginx_is_no_news(self, folder: str, name: str) -> None:
        plant({"nginx.conf": f"include {folder}{name};\n{MAIN.format('conf.d/*.conf')}"})
        plant({"conf.d/a.conf": SITE, "far/away/mime.types": "types {}\n"})
        said = checked("nginx.conf")
        assert (said["status"], said["notes"]) == (1, [])

    def test_beside_a_main_file_nginx_refuses_it(self) -> None:
        plant({"nginx.conf": MAIN.format("mine.conf") + "\n", "other/mine.conf": SITE})
        for path in ("nginx.conf", "."):
            said = checked(path)
            assert said["status"] == 2
            assert said["problems"] == ['included file "mine.conf": no such file']

    def test_beside_a_fragment_or_a_template_nobody_knows(self) -> None:
        plant({"site.conf": SITE.replace("listen", "include mine.conf;\n    listen")})
        said = checked("site.conf")
        assert (said["status"], said["problems"]) == (0, [])
        assert 'include "mine.conf" is not in this repository' in said["notes"][0]
        plant({"nginx.conf.template": MAIN.format("mine.conf")[:-3] + SITE + "}\n"})
        said = checked("nginx.conf.template")
        assert (said["status"], said["problems"]) == (0, [])

    def test_a_main_file_that_leads_nowhere(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf")})
        said = checked("nginx.conf")
        assert said["status"] == 2
        [problem] = said["problems"]
        assert problem.startswith("there is no location to check")
        done = run_here("nginx.conf")
        assert done.stderr.splitlines()[-1].startswith("nginx.conf:3:5: there is no location")
        assert "--mount" in done.stderr
        # In a folder that is one file of many.
        assert checked(".")["status"] == 0
        plant({".nginx-stream-lint.yaml": "roots: nginx.conf\n"})
        assert checked(".")["status"] == 2
        plant({".nginx-stream-lint.yaml": "absent_includes: [/etc/nginx/conf.d/*]\n"})
        assert checked("nginx.conf")["status"] == 0

    def test_a_named_file_that_is_not_there_and_no_location(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/app.conf")})
        assert checked("nginx.conf")["status"] == 2

    def test_a_site_that_is_linked_as_on_the_machine(self) -> None:
        plant({"nginx.conf": MAIN.format("sites-enabled/*"), "sites-available/a": SITE})
        Path("sites-enabled").mkdir()
        os.symlink("/etc/nginx/sites-available/a", "sites-enabled/a")
        for path in (".", "nginx.conf"):
            said = checked(path)
            assert (said["findings"], said["problems"]) == (["sites-available/a"], [])


@pytest.mark.usefixtures("here")
class TestMounts:
    def test_on_the_command_line(self) -> None:
        plant({"web/main.conf": MAIN.format("/etc/nginx/conf.d/*.conf")})
        plant({"deploy/sites/a.conf": SITE, "conf.d/b.conf": SITE})
        said = checked("web/main.conf", "--mount", "/etc/nginx/conf.d=deploy/sites")
        assert said["findings"] == ["deploy/sites/a.conf"]
        assert not said["notes"]

    @pytest.mark.parametrize(
        "written",
        [
            "{/etc/nginx: x, /etc/nginx/conf.d: deploy/sites}",
            "[/etc/nginx=x, /etc/nginx/conf.d=deploy/sites]",
            "[{/etc/nginx/conf.d: deploy/sites}, /etc/nginx=x]",
            "/etc/nginx/conf.d/=deploy/sites",
        ],
    )
    def test_in_settings_the_innermost_counts(self, written: str) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf"), "x/conf.d/b.conf": SITE})
        plant({"deploy/sites/a.conf": SITE, ".nginx-stream-lint.yaml": f"mounts: {written}\n"})
        assert checked("nginx.conf")["findings"] == ["deploy/sites/a.conf"]
        assert "mounts:" in run_here("--show-settings", ".").stdout

    def test_the_option_wins(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf"), "a/x.conf": SITE})
        plant({"b/x.conf": SITE, ".nginx-stream-lint.yaml": "mounts: {/etc/nginx/conf.d: a}\n"})
        assert checked("nginx.conf")["findings"] == ["a/x.conf"]
        said = checked("nginx.conf", "--mount", "/etc/nginx/conf.d=b")
        assert said["findings"] == ["b/x.conf"]
        assert (
            "/etc/nginx/conf.d=b"
            in run_here("--show-settings", "--mount", "/etc/nginx/conf.d=b").stdout
        )

    def test_a_single_file(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/app.conf"), "web/site.txt": SITE})
        said = checked("nginx.conf", "--mount", "/etc/nginx/app.conf=web/site.txt")
        assert said["findings"] == ["web/site.txt"]

    def test_what_a_mount_hides_is_absent(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/snippets/a.conf")[:-2] + SITE + "}\n"})
        plant({"x/y": "", "snippets/a.conf": "gzip off;\n"})
        said = checked("nginx.conf", "--mount", "/etc/nginx=x")
        assert (said["status"], said["problems"]) == (0, [])
        assert "is not in this repository" in said["notes"][0]

    @pytest.mark.parametrize(
        ("value", "says"),
        [
            ("etc/nginx=x", "PATH=FOLDER"),
            ("/etc/nginx", "PATH=FOLDER"),
            ("/etc/nginx=", "PATH=FOLDER"),
            ("/etc/nginx=nowhere", "there is no"),
        ],
    )
    def test_what_is_wrong(self, value: str, says: str) -> None:
        plant({"nginx.conf": MAIN.format("a")[:-2] + SITE + "}\n", "x/y": ""})
        done = run_here("nginx.conf", "--mount", value)
        assert done.returncode == 2
        assert says in done.stderr
        plant({".nginx-stream-lint.yaml": f"mounts: ['{value}']\n"})
        done = run_here("nginx.conf")
        assert done.returncode == 2
        assert says in done.stderr
        assert ".nginx-stream-lint.yaml:1:" in done.stderr

    def test_settings_mount_nothing_from_outside(self, tmp_path: Path) -> None:
        (tmp_path.parent / "outside.conf").write_text(SITE)
        plant(
            {"nginx.conf": MAIN.format("/a.conf"), ".nginx-stream-lint.yaml": "mounts: {/: ..}\n"}
        )
        done = run_here("nginx.conf")
        assert done.returncode == 2
        assert "leads out of the folder of this file" in done.stderr

    def test_what_a_person_mounts_is_read_and_not_written(self, tmp_path: Path) -> None:
        outside = tmp_path.parent / f"{tmp_path.name}-outside"
        outside.mkdir()
        (outside / "a.conf").write_text(SITE)
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf")})
        mount = ("--mount", f"/etc/nginx/conf.d={outside}")
        assert checked("nginx.conf", *mount)["findings"] == [str(outside / "a.conf")]
        done = run_here("--fix", "nginx.conf", *mount)
        assert done.returncode == 2
        assert (outside / "a.conf").read_text() == SITE


@pytest.mark.usefixtures("here")
class TestCommands:
    def test_explain(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf"), "x/a.conf": SITE})
        url = "http://chat.example.com/v1/chat/completions"
        assert run_here("explain", "nginx.conf", url).returncode == 2
        done = run_here(
            "explain", "nginx.conf", url, "--mount", "/etc/nginx/conf.d=x", "--format", "json"
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)[0]["location"]["file"] == "x/a.conf"

    def test_probe(self) -> None:
        plant({"nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf"), "x/a.conf": "server {\n"})
        done = run_here("probe", "nginx.conf", "/", "--mount", "/etc/nginx/conf.d=x")
        assert done.returncode == 2
        assert "x/a.conf:1:8" in done.stderr

    def test_trace(self) -> None:
        plant({"nginx.conf": "server {}\n", "x/a.conf": SITE})
        args = ("trace", "http://127.0.0.1:9/", "--config", "nginx.conf")
        done = run_here(*args, "--mount", "/etc/nginx=x", "--host")
        assert done.returncode == 2
        assert "there is no http block" in done.stderr
        assert "there is no" in run_here(*args, "--mount", "/etc/nginx=nowhere").stderr


def test_in_memory() -> None:
    """All paths are of the machine that will run it; nothing is looked for here."""
    files = {
        "/etc/nginx/nginx.conf": MAIN.format("/etc/nginx/conf.d/*.conf"),
        "/etc/nginx/conf.d/a.conf": SITE,
    }
    result = lint(Workspace.in_memory(files), ["/etc/nginx/nginx.conf"])
    assert {one.place.source.name for one in result.findings} == {"/etc/nginx/conf.d/a.conf"}
    assert not result.notes
    del files["/etc/nginx/conf.d/a.conf"]
    result = lint(Workspace.in_memory(files), ["/etc/nginx/nginx.conf"])
    assert [one.message[:30] for one in result.problems] == ["there is no location to check:"]


def test_each_file_is_looked_at_and_read_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that is there is not looked for before: reading tells whether it is there."""
    names = [f"l/{number}.conf" for number in range(30)]
    plant(dict.fromkeys(names, "location /v1/chat/completions { proxy_pass http://a; }\n"))
    includes = "".join(f"include {name};\n" for name in names)
    plant({"nginx.conf": f"events {{}}\nhttp {{ server {{\n{includes}}} }}\n"})
    asked: dict[str, list[str]] = {}
    really = dict(vars(DiskStorage))
    for method in ("is_link", "kind", "exists", "real", "read"):

        def counted(storage: DiskStorage, path: str, *more: Any, name: str = method) -> Any:
            asked.setdefault(name, []).append(path)
            return really[name](storage, path, *more)

        monkeypatch.setattr(DiskStorage, method, counted)
    result = lint(Workspace.on_disk("nginx.conf"), ["nginx.conf"])
    assert len(result.files) == len(names) + 1
    of_files = {name: [one for one in paths if "/l/" in one] for name, paths in asked.items()}
    of_files |= {"is_link": [one for one in asked["is_link"] if one.startswith("l/")]}
    assert sorted(of_files.pop("read")) == sorted(str(here / name) for name in names)
    assert sorted(of_files.pop("is_link")) == sorted(names)
    assert not any(of_files.values())
