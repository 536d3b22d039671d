"""The workspace: the only way to a file, inside the repository and within the budget."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.command import run_here

from nginx_stream_lint import Limits, Workspace, explain, lint
from nginx_stream_lint.util.problems import Absent, LeadsOut, NotAFile, Unreadable

SECRET = "hunter2"
NOBODY = 65534


def plant(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository, and beside it files that are none of its business."""
    repository = tmp_path / "repository"
    plant(tmp_path, {"outside/secret": f"{SECRET} 1;\n", "outside/a.conf": f"{SECRET} 1;\n"})
    plant(repository, {"conf.d/a.conf": "gzip off;\n"})
    (repository / ".git").mkdir()
    os.symlink("../outside", repository / "out")
    os.symlink("../outside/secret", repository / "secret.conf")
    os.symlink("nowhere", repository / "nowhere.conf")
    os.symlink("loop.conf", repository / "loop.conf")
    os.symlink(tmp_path / "outside" / "a.conf", repository / "conf.d" / "link.conf")
    return repository


# What a configuration may say to get at something outside, by what it is called here.
ATTACKS = {
    "absolute": "include {outside}/secret;",
    "above": "include ../outside/secret;",
    "far above": "include conf.d/../../outside/secret;",
    "not there, then above": "include nothing/../../outside/secret;",
    "a link to a file": "include secret.conf;",
    "a file behind a link": "include out/secret;",
    "a pattern above": "include ../outside/*;",
    "a pattern behind a link": "include out/*.conf;",
    "a pattern that matches a link": "include conf.d/l*.conf;",
    "a pattern of folders": "include */secret;",
    "a pattern with an end": "include o*/secret;",
    "an absolute pattern": "include {outside}/*;",
    "rows of a map": "map $uri $x {{ include ../outside/secret; }}",
    "quoted": 'include "{outside}/secret";',
    "the list of users": "include /etc/passwd;",
    "this process": "include /proc/self/environ;",
    "an encoded end": "include ../outside/secre[t];",
}


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("command", ["lint", "explain"])
def test_nothing_outside_is_read_or_told(command: str, attack: str, tree: Path) -> None:
    line = ATTACKS[attack].format(outside=tree.parent / "outside")
    plant(tree, {"nginx.conf": f"events {{}}\nhttp {{\n    server {{}}\n    {line}\n}}\n"})
    done = run_here(command, "nginx.conf", *(["/"] if command == "explain" else []), cwd=tree)
    assert SECRET not in done.stdout + done.stderr
    assert "root:" not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    silent = ("a pattern of folders", "a pattern with an end")
    elsewhere = ("absolute", "an absolute pattern", "quoted", "the list of users", "this process")
    if attack in elsewhere:  # a path of the machine that will run nginx
        assert "leads out of the repository" not in done.stderr
        assert "nginx.conf:4:5: note: " in done.stderr
    elif attack not in silent:
        assert done.returncode == 2
        assert "leads out of the repository" in done.stderr


def test_what_leads_out_is_as_if_it_were_not_there(tree: Path) -> None:
    """Messages do not tell whether a file outside is there."""
    said = []
    for name in ("secret", "nothing"):
        plant(tree, {"nginx.conf": f"events {{}}\nhttp {{ include ../outside/{name}; }}\n"})
        done = run_here("nginx.conf", cwd=tree)
        said.append((done.returncode, done.stderr.replace(name, "X")))
    assert said[0] == said[1]


@pytest.mark.parametrize("name", ["secret.conf", "out/secret", "out", "conf.d/link.conf"])
def test_a_link_of_the_repository_is_not_what_a_person_names(name: str, tree: Path) -> None:
    done = run_here(name, cwd=tree)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--env-file", "secret.conf"),
        ("--baseline", "secret.conf"),
        ("--config", "secret.conf"),
        ("--rules", "out"),
    ],
)
def test_nor_are_files_of_options(options: tuple[str, str], tree: Path) -> None:
    plant(tree, {"nginx.conf": "events {}\nhttp { server { listen ${hunter2}; } }\n"})
    done = run_here("nginx.conf", *options, cwd=tree)
    assert done.returncode == 2
    assert SECRET not in done.stdout + done.stderr.replace("${hunter2}", "")


def test_what_a_person_names_is_read(tree: Path) -> None:
    outside = tree.parent / "outside"
    plant(outside, {"values": "PORT=80\n", "b.conf": "server { listen ${PORT}; }\n"})
    done = run_here(str(outside / "b.conf"), "--env-file", str(outside / "values"), cwd=tree)
    assert done.returncode == 0, done.stderr
    # Beside a file that only an option names nothing is read.
    plant(tree, {"nginx.conf": "events {}\nhttp { include ../outside/secret; }\n"})
    done = run_here("nginx.conf", "--env-file", str(outside / "values"), cwd=tree)
    assert SECRET not in done.stderr
    assert done.returncode == 2


class TestRoots:
    def test_the_git_root(self, tree: Path) -> None:
        plant(tree, {"deep/er/nginx.conf": "", "shared/b.conf": "x"})
        workspace = Workspace.on_disk(str(tree / "deep" / "er" / "nginx.conf"))
        assert workspace.source(str(tree / "shared" / "b.conf")).text == "x"

    @pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda one: one.symlink_to("/etc")])
    def test_whatever_the_entry_is(self, make: Callable[[Path], None], tree: Path) -> None:
        plant(tree, {"inner/nginx.conf": ""})
        make(tree / "inner" / ".git")
        workspace = Workspace.on_disk(str(tree / "inner" / "nginx.conf"))
        with pytest.raises(LeadsOut):
            workspace.source(str(tree / "conf.d" / "a.conf"))

    def test_without_git_the_folder(self, tmp_path: Path) -> None:
        plant(tmp_path, {"a/nginx.conf": "", "a/b/c.conf": "x", "d.conf": ""})
        for named in ("a", "a/nginx.conf"):
            workspace = Workspace.on_disk(str(tmp_path / named))
            assert workspace.source(str(tmp_path / "a/b/c.conf")).text == "x"
            with pytest.raises(LeadsOut):
                workspace.source(str(tmp_path / "d.conf"))

    def test_a_folder_of_parts_belongs_to_the_one_above(self, tmp_path: Path) -> None:
        plant(tmp_path, {"web/conf.d/a.conf": "", "web/nginx.conf": "x", "d.conf": ""})
        workspace = Workspace.on_disk(str(tmp_path / "web/conf.d/a.conf"))
        assert workspace.source(str(tmp_path / "web/nginx.conf")).text == "x"
        with pytest.raises(LeadsOut):
            workspace.source(str(tmp_path / "d.conf"))
        # But not where that is another repository.
        (tmp_path / "web" / "conf.d" / ".git").touch()
        workspace = Workspace.on_disk(str(tmp_path / "web/conf.d/a.conf"))
        with pytest.raises(LeadsOut):
            workspace.source(str(tmp_path / "web/nginx.conf"))

    def test_a_link_on_the_way_to_the_root_is_no_matter(self, tree: Path, tmp_path: Path) -> None:
        (tmp_path / "here").symlink_to(tree)
        workspace = Workspace.on_disk(str(tmp_path / "here" / "conf.d"))
        assert workspace.source(str(tmp_path / "here/conf.d/a.conf")).text == "gzip off;\n"

    def test_names_that_only_begin_alike(self, tree: Path) -> None:
        plant(tree.parent, {"repository-2/a.conf": ""})
        with pytest.raises(LeadsOut):
            Workspace.on_disk(str(tree)).source(str(tree.parent / "repository-2/a.conf"))


class TestHost:
    def test_all_that_a_main_file_includes(self, tree: Path) -> None:
        plant(tree.parent / "outside", {"b.conf": "gzip on;\n"})
        text = "events {}\nhttp { include conf.d/link2.conf; include ../outside/b.conf; }\n"
        plant(tree, {"nginx.conf": text})
        os.symlink("../../outside/b.conf", tree / "conf.d" / "link2.conf")
        assert run_here("nginx.conf", cwd=tree).stderr.count("leads out of the repository") == 2
        done = run_here("nginx.conf", "--host", cwd=tree)
        assert "leads out" not in done.stderr

    def test_where_nginx_looks(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        plant(tmp_path, {"etc/nginx/nginx.conf": "", "letsencrypt/x.conf": "x", "other/a.conf": ""})
        main, other = str(tmp_path / "etc/nginx/nginx.conf"), str(tmp_path / "other/a.conf")
        assert not Workspace.on_disk(main).host
        folder = str((tmp_path / "etc/nginx").resolve())
        monkeypatch.setattr("nginx_stream_lint.files.workspace.HOST_FOLDERS", (folder,))
        workspace = Workspace.on_disk(main)
        assert workspace.source(str(tmp_path / "letsencrypt/x.conf")).text == "x"
        # A repository beside it gets nothing of that.
        assert not Workspace.on_disk(main, other).host

    def test_nothing_is_taken_for_what_is_not_there(self, tree: Path) -> None:
        text = "events {}\nhttp { include /etc/nginx/conf.d/a.conf; }\n"
        plant(tree, {"nginx.conf": text})
        plant(tree, {"nginx.conf": text.replace("conf.d", "parts")})
        assert "not found; using conf.d/a.conf instead" in run_here("nginx.conf", cwd=tree).stderr
        plant(tree, {"nginx.conf": text})
        done = run_here("nginx.conf", "--host", cwd=tree)
        assert 'included file "/etc/nginx/conf.d/a.conf": no such file' in done.stderr


class TestDisk:
    def test_what_is_no_regular_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(tmp_path / "socket"))
            workspace = Workspace.on_disk(str(tmp_path))
            for name in ("fifo", "socket"):
                with pytest.raises(NotAFile, match="is not a regular file"):
                    workspace.read(str(tmp_path / name))
        with pytest.raises(NotAFile, match="is a folder"):
            workspace.read(str(tmp_path))
        (tmp_path / "loop").symlink_to("loop")
        with pytest.raises(NotAFile, match="Too many levels of symbolic links"):
            workspace.read(str(tmp_path / "loop"))
        with pytest.raises(NotAFile):
            workspace.read(str(tmp_path / ("x" * 300)))
        with pytest.raises(NotAFile):
            workspace.read(f"{tmp_path}/a\0b")

    @pytest.mark.parametrize("name", ["/dev/zero", "/dev/random", "/dev/tty"])
    def test_devices_are_not_opened(self, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        really = os.open

        def opened(path: str, flags: int, dir_fd: int | None = None) -> int:
            assert path == "/dev"
            return really(path, flags, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", opened)
        with pytest.raises(NotAFile):
            Workspace.on_disk(name, host=True).read(name)

    @pytest.mark.skipif(not os.path.exists("/proc/kmsg"), reason="Linux has it")
    def test_a_file_that_waits(self) -> None:
        with pytest.raises(NotAFile):
            Workspace.on_disk("/proc/kmsg", host=True).read("/proc/kmsg")

    @pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="Linux has it")
    def test_a_file_that_says_it_is_empty(self) -> None:
        assert os.stat("/proc/self/status").st_size == 0
        assert b"Name:" in Workspace.on_disk("/", host=True).read("/proc/self/status")

    def test_nothing_as_the_system_has_it(self, tmp_path: Path) -> None:
        assert Workspace.on_disk(str(tmp_path)).read(os.devnull) == b""

    @pytest.mark.parametrize("swap", ["file", "folder"])
    def test_a_link_that_comes_between(
        self, swap: str, tree: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After it was looked where a path leads, a link takes the place of a part of it."""
        workspace = Workspace.on_disk(str(tree))
        path = tree / "conf.d" / "a.conf"
        workspace.key(str(path))
        really = os.open

        def open_later(name: str, flags: int, dir_fd: int | None = None) -> int:
            monkeypatch.setattr(os, "open", really)
            if swap == "file":
                path.unlink()
                path.symlink_to("../../outside/secret")
            else:
                (tree / "conf.d").rename(tree / "moved")
                (tree / "conf.d").symlink_to("../outside")
            return really(name, flags, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", open_later)
        with pytest.raises(NotAFile, match="cannot be read"):
            workspace.read(str(path))

    def test_a_link_in_place_of_a_folder_that_was_read(self, tree: Path) -> None:
        """The folder stays open, and the link is not followed; or it is noticed."""
        workspace = Workspace.on_disk(str(tree))
        first, second = (str(tree / "conf.d" / name) for name in ("a.conf", "secret"))
        workspace.read(first)
        workspace.key(second)
        (tree / "conf.d").rename(tree / "moved")
        (tree / "conf.d").symlink_to("../outside")
        assert (tree / "conf.d" / "secret").exists()
        with pytest.raises(NotAFile):
            workspace.read(second)

    @pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="Linux has it")
    def test_a_workspace_keeps_one_folder_open(self, tmp_path: Path) -> None:
        plant(tmp_path, {f"{number}/a": "" for number in range(9)})
        before = len(os.listdir("/proc/self/fd"))
        workspace = Workspace.on_disk(str(tmp_path))
        for number in range(9):
            workspace.read(str(tmp_path / str(number) / "a"))
        assert len(os.listdir("/proc/self/fd")) == before + 1
        del workspace
        assert len(os.listdir("/proc/self/fd")) == before

    @pytest.mark.skipif(not hasattr(os, "geteuid"), reason="folders have no modes")
    def test_a_folder_that_cannot_be_listed(self) -> None:
        """Whoever knows the name of a file in it may read it."""
        with tempfile.TemporaryDirectory() as top:
            folder = Path(top, "conf.d")
            plant(folder, {"a.conf": "events {}"})
            Path(top).chmod(0o755)
            folder.chmod(0o111)
            root = os.geteuid() == 0
            if root:
                os.seteuid(NOBODY)  # root may list all folders
            try:
                with pytest.raises(PermissionError):
                    os.listdir(folder)
                assert Workspace.on_disk(top).read(str(folder / "a.conf"))
            finally:
                if root:
                    os.seteuid(0)
                folder.chmod(0o755)


class TestBudget:
    @pytest.mark.parametrize(
        ("limits", "says"),
        [
            (Limits(file_bytes=3), "is larger than 0 KB"),
            (Limits(run_bytes=5), "the files have more than 5 bytes in total"),
            (Limits(files=1), "there are more than 1 files to check"),
        ],
    )
    def test_reading(self, limits: Limits, says: str, tmp_path: Path) -> None:
        plant(tmp_path, {"a": "123", "b": "4567"})
        workspace = Workspace.on_disk(str(tmp_path), limits=limits)
        workspace.read(str(tmp_path / "a"))
        with pytest.raises(Unreadable, match=says):
            workspace.read(str(tmp_path / "b"))

    def test_it_is_one_problem(self, tmp_path: Path) -> None:
        plant(tmp_path, {f"{number}.conf": "server { listen 80; }\n" for number in range(9)})
        result = lint(Workspace.on_disk(str(tmp_path), limits=Limits(files=12)))
        assert [one.message for one in result.problems] == ["there are more than 12 files to check"]

    def test_rounds_of_fixes_read_once(self, tmp_path: Path) -> None:
        plant(tmp_path, {"a": "123"})
        workspace = Workspace.on_disk(str(tmp_path), limits=Limits(run_bytes=5, regex_steps=3))
        workspace.source(str(tmp_path / "a"))
        workspace.budget.spend("regex_steps", 3)
        again = workspace.overlaid({})
        assert again.source(str(tmp_path / "a")) is workspace.source(str(tmp_path / "a"))
        assert (again.budget.left("run_bytes"), again.budget.left("regex_steps")) == (2, 3)

    def test_files_that_are_included_again_and_again(self, tmp_path: Path) -> None:
        mains = {f"{one}.conf": "events {}\nhttp { include part; }\n" for one in range(20)}
        plant(tmp_path, mains | {"part": "server { location / { proxy_pass http://a; } }\n" * 10})
        limits = Limits(repeats=1_000)
        result = lint(Workspace.on_disk(str(tmp_path), limits=limits))
        assert [one.message for one in result.problems] == [
            "files that are included repeatedly have more than 1,000 directives"
        ]
        assert 0 < result.locations < 200

    def test_expressions_that_search_for_ever(self) -> None:
        patterns = "".join(f"location ~ ^/(a+)+b{one} {{}}\n" for one in range(300))
        patterns += "location / { proxy_pass http://a; }\n"
        text = f"events {{}}\nhttp {{ server {{\n{patterns}}} }}"
        workspace = Workspace.in_memory({"nginx.conf": text})
        [one] = explain(workspace, "nginx.conf", ["/" + "a" * 40])
        assert one.route.unknown
        assert [one.message for one in workspace.budget.problems] == [
            "the regular expressions take more than 500,000 steps to match"
        ]

    def test_yaml_of_too_many_values(self) -> None:
        text = "kind: Ingress\nx: [" + "a, " * 300 + "]\n"
        files = {"a.yaml": text, "b.yaml": text, "c.yaml": text}
        workspace = Workspace.in_memory(files, limits=Limits(yaml_nodes=1_500))
        assert [one.message for one in lint(workspace).problems] == [
            "the YAML files have more than 1,500 values"
        ]


class TestPatterns:
    def match(self, folder: Path, pattern: str, deep: bool = False, **limits: int) -> list[str]:
        workspace = Workspace.on_disk(str(folder), limits=Limits(**limits))
        found = workspace.matching(str(folder / pattern), deep)
        return [os.path.relpath(path, folder) for path in found]

    @pytest.mark.parametrize(
        ("pattern", "found"),
        [
            ("*.conf", ["a.conf", "b.conf"]),
            ("[^a].conf", ["b.conf"]),
            ("[!a].conf", ["b.conf"]),
            ("?.conf", ["a.conf", "b.conf"]),
            (".*.conf", [".c.conf"]),
            (r"\*", ["*"]),
            (r"[*]", ["*"]),
            ("*/a.conf", ["sub/a.conf"]),
            ("s*/*", ["sub/a.conf"]),
            ("*/nothing", []),
            ("nothing/*", []),
            ("a.conf/*", []),
            ("sub/../*.conf", ["sub/../a.conf", "sub/../b.conf"]),
            ("./[ab].conf", ["a.conf", "b.conf"]),
        ],
    )
    def test_as_glob_has_it(self, pattern: str, found: list[str], tmp_path: Path) -> None:
        plant(tmp_path, dict.fromkeys(("a.conf", "b.conf", ".c.conf", "*", "sub/a.conf"), ""))
        matched = self.match(tmp_path, pattern)
        assert matched == [os.path.normpath(path) for path in found]

    def test_any_depth(self, tmp_path: Path) -> None:
        plant(tmp_path, dict.fromkeys(("a.conf", "x/b.conf", "x/y/c.conf", ".h/d.conf"), ""))
        found = ["a.conf", "x/b.conf", "x/y/c.conf"]
        assert self.match(tmp_path, "**/*.conf", deep=True) == found
        assert self.match(tmp_path, "x/**", deep=True) == ["x/b.conf", "x/y/c.conf"]

    def test_links_that_lead_in_circles(self, tmp_path: Path) -> None:
        for number in range(10):
            (tmp_path / f"self{number}").symlink_to(".")
        plant(tmp_path, {"a.conf": ""})
        # 12 names for each part: ten links, the file, and what is not looked into twice.
        pattern = "/".join([*["*"] * 30, "*.conf"])
        assert len(self.match(tmp_path, pattern, entries=31 * 11)) == 1

    def test_a_limit_of_entries(self, tmp_path: Path) -> None:
        plant(tmp_path, dict.fromkeys(("a", "b", "c"), ""))
        with pytest.raises(Unreadable, match="more than 2 files and folders"):
            self.match(tmp_path, "*", entries=2)

    def test_a_pattern_of_three_thousand_parts(self, tmp_path: Path) -> None:
        (tmp_path / "self").symlink_to(".")
        assert self.match(tmp_path, "*/" * 3_000 + "*.conf") == []


class TestMemory:
    def test_nothing_comes_from_disk(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plant(tmp_path, {"b.conf": "gzip on;\n"})
        monkeypatch.chdir(tmp_path)
        workspace = Workspace.in_memory({"nginx.conf": "events {}\nhttp { include b.conf; }\n"})
        with pytest.raises(Absent):
            workspace.source("b.conf")
        [problem] = lint(workspace).problems
        assert problem.message == 'included file "b.conf": no such file'

    def test_a_folder_of_texts(self) -> None:
        site = "server { location /v1/chat/completions { proxy_pass http://a; } }\n"
        files = {
            "nginx.conf": "events {}\nhttp { include sites/*.conf; include /etc/nginx/own.conf; }",
            "sites/a.conf": site,
            "parts/own.conf": "gzip off;\n",
        }
        result = lint(Workspace.in_memory(files), ["nginx.conf"])
        assert {one.place.source.name for one in result.findings} == {"sites/a.conf"}
        assert [note.message for note in result.notes] == [
            'include "/etc/nginx/own.conf" not found; using parts/own.conf instead'
        ]
        everything = lint(Workspace.in_memory(files))
        assert everything.findings[0].message == result.findings[0].message

    def test_what_no_file_can_have(self) -> None:
        for text in ("\0", "\ufeffevents {}", "\ud800"):
            [problem] = lint(Workspace.in_memory({"a.conf": text})).problems
            assert problem.file == "a.conf"

    def test_an_overlay(self, tmp_path: Path) -> None:
        plant(tmp_path, {"a.conf": "old", "b.conf": "b"})
        (tmp_path / "link.conf").symlink_to("a.conf")
        before = Workspace.on_disk(str(tmp_path))
        after = before.overlaid({str(tmp_path / "a.conf"): "new"})
        names = ("a.conf", "link.conf", "b.conf")
        assert [after.source(str(tmp_path / one)).text for one in names] == ["new", "new", "b"]
        assert before.source(str(tmp_path / "a.conf")).text == "old"
        assert after.source(str(tmp_path / "a.conf")).on_disk

    def test_standard_input_is_no_file(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plant(tmp_path, {"<stdin>": "on disk"})
        monkeypatch.chdir(tmp_path)
        workspace = Workspace.on_disk("<stdin>").with_text("<stdin>", b"events {}")
        source = workspace.source("<stdin>")
        assert (source.text, source.on_disk) == ("events {}", False)
        fixed = workspace.overlaid({source.key: "new"}).source("<stdin>")
        assert (fixed.text, fixed.on_disk) == ("new", False)


DUMP = (
    "# configuration file /etc/nginx/nginx.conf:\nevents {}\nhttp { include conf.d/*.conf;"
    " include gone.conf; }\n"
    "# configuration file /etc/nginx/conf.d/a.conf:\nserver { location /v1/chat/completions"
    " { proxy_pass http://a; } }\n"
)


def test_a_dump() -> None:
    result = lint(Workspace.from_dump(DUMP))
    assert {one.place.source.name for one in result.findings} == {"/etc/nginx/conf.d/a.conf"}
    assert [one.message for one in result.problems] == [
        'included file "/etc/nginx/gone.conf": is not in the dump'
    ]
    with pytest.raises(ValueError, match="not a dump"):
        Workspace.from_dump("events {}")


def test_a_dump_in_a_file_hides_no_file_of_that_name(tmp_path: Path) -> None:
    """What is fixed in a dump is the dump's, whatever its files are called."""
    plant(tmp_path, {"a.conf": "server { listen 1; }\n"})
    dump = f"# configuration file {tmp_path}/a.conf:\nserver {{ listen 2; }}\n"
    plant(tmp_path, {"dump": dump})
    workspace = Workspace.on_disk(str(tmp_path / "dump"), str(tmp_path / "a.conf"))
    result = lint(workspace)
    keys = {file.source.key for file in result.files}
    assert len(keys) == 2
    assert [file.source.on_disk for file in result.files] == [False, True]
