"""Which files of a repository an instance has, and where its includes lead."""

from __future__ import annotations

from pathlib import Path

import pytest

from nginx_stream_lint.deployment import deployed
from nginx_stream_lint.deployment.files import InstanceFiles
from nginx_stream_lint.files.workspace import Workspace
from tests.deployment.reading import deployment, notes

COMPOSE = """\
services:
  web:
    image: nginx:1.27.3
    volumes:
      - ./nginx:/etc/nginx
      - ./other/b.conf:/etc/nginx/conf.d/b.conf
"""


def only(workspace: Workspace, root: str) -> InstanceFiles:
    """The only instance below a folder."""
    files = workspace.files_below(root)
    [found], _ = deployed(workspace, root, files, [], lambda *_: None)
    return found


def instance(*paths: str) -> tuple[InstanceFiles, Workspace]:
    workspace = Workspace.in_memory({"compose.yaml": COMPOSE, **dict.fromkeys(paths, "")})
    return only(workspace, "."), workspace


def test_a_folder_may_have_any_number_of_files() -> None:
    names = [f"nginx/conf.d/{number:04}.conf" for number in range(2_500)]
    web, workspace = instance("nginx/nginx.conf", "other/b.conf", *names)
    found = web.paths_of("conf.d/*.conf")
    assert list(found.paths) == [*names, "other/b.conf"]
    assert web.has(workspace.key(names[-1]))


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("conf.d/*.conf", ["nginx/conf.d/a.conf", "other/b.conf"]),
        ("/etc/nginx/conf.d/[ab].conf", ["nginx/conf.d/a.conf", "other/b.conf"]),
        ("*.conf", ["nginx/nginx.conf"]),
        ("*/a.conf", ["nginx/conf.d/a.conf", "nginx/x/a.conf"]),
        ("x/*/*.conf", ["nginx/x/y/c.conf"]),
        ("*/y/*.conf", ["nginx/x/y/c.conf"]),
        ("x/y/d/*.conf", []),
        ("/etc/*/nginx.conf", ["nginx/nginx.conf"]),
        ("/var/*.conf", []),
    ],
)
def test_a_pattern_is_matched_folder_by_folder(pattern: str, expected: list[str]) -> None:
    web, _ = instance(
        *("nginx/nginx.conf", "nginx/conf.d/a.conf", "nginx/conf.d/b.conf", "other/b.conf"),
        *("nginx/conf.d/.hidden.conf", "nginx/x/a.conf", "nginx/x/y/c.conf", "nginx/x/y/c.txt"),
    )
    assert list(web.paths_of(pattern).paths) == expected


def test_a_hidden_file_is_not_found() -> None:
    web, workspace = instance("nginx/conf.d/b.conf", "other/b.conf", "nginx/a.conf", "c.conf")
    having = [one for one in workspace.paths if web.has(workspace.key(one))]
    assert having == ["other/b.conf", "nginx/a.conf"]


def test_a_link_brings_the_file_that_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "available").mkdir()
    (tmp_path / "nginx/sites-enabled").mkdir(parents=True)
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    for name in ("on", "off"):
        (tmp_path / "available" / name).write_text("")
    (tmp_path / "nginx/sites-enabled/on").symlink_to("../../available/on")
    workspace = Workspace.on_disk(str(tmp_path))
    web = only(workspace, str(tmp_path))
    assert web.has(workspace.key(str(tmp_path / "available/on")))
    assert not web.has(workspace.key(str(tmp_path / "available/off")))
    assert [Path(one).name for one in web.paths_of("sites-enabled/*").paths] == ["on"]


def test_files_that_are_not_read_are_reported() -> None:
    found = deployment({f"{number:04}.Dockerfile": "FROM redis" for number in range(2_002)})
    assert notes(found) == [
        "2000.Dockerfile:1:1: the repository has more than 2,000 files of this kind;"
        " this file and all after it were not read"
    ]


@pytest.mark.parametrize(
    ("line", "main", "sites"),
    [
        ("COPY root /", "/etc/nginx/nginx.conf of nginx:1.27.3", ["default", "a.conf"]),
        (
            "COPY root/etc/nginx/ /etc/nginx/",
            "/etc/nginx/nginx.conf of nginx:1.27.3",
            ["default", "a.conf"],
        ),
        (
            "COPY root /\nRUN rm /etc/nginx/conf.d/default.conf",
            "/etc/nginx/nginx.conf of nginx:1.27.3",
            ["a.conf"],
        ),
        ("COPY own /etc/nginx", "own/nginx.conf", ["own/conf.d/default.conf"]),
    ],
)
def test_a_copied_folder_adds_to_the_folder_of_the_image(
    line: str, main: str, sites: list[str]
) -> None:
    paths = ("root/etc/nginx/conf.d/a.conf", "own/nginx.conf", "own/conf.d/default.conf")
    text = f"FROM nginx:1.27.3\n{line}\n"
    web = only(Workspace.in_memory({"Dockerfile": text, **dict.fromkeys(paths, "")}), ".")
    names = {
        "default": "/etc/nginx/conf.d/default.conf of nginx:1.27.3",
        "a.conf": "root/etc/nginx/conf.d/a.conf",
    }
    assert web.main == main
    assert sorted(web.paths_of("conf.d/*.conf").paths) == sorted(
        names.get(one, one) for one in sites
    )


@pytest.mark.parametrize("command", ["ln -s /opt/sites", "cp -r /opt/sites"])
def test_a_folder_in_place_of_a_removed_one(command: str) -> None:
    text = f"FROM nginx\nCOPY . /opt\nRUN rm -rf /etc/nginx/conf.d && {command} /etc/nginx/conf.d\n"
    web = only(Workspace.in_memory({"Dockerfile": text, "sites/a.conf": ""}), ".")
    assert list(web.paths_of("conf.d/*.conf").paths) == ["sites/a.conf"]


def test_a_mounted_folder_hides_that_of_the_image() -> None:
    web, _ = instance("nginx/conf.d/a.conf")
    assert web.main is None
    assert list(web.paths_of("conf.d/*.conf").paths) == ["nginx/conf.d/a.conf"]
