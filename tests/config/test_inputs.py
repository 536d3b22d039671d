"""From paths to configurations: roots, fragments, folders, dumps, documents."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from nginx_stream_lint.config import Configuration, InputOptions, configurations
from nginx_stream_lint.files import Workspace

MAIN = "events {}\nhttp {\n    proxy_buffering off;\n    include conf.d/*.conf;\n}\n"
SITE = "server {\n    location /v1 { proxy_pass http://app; }\n}\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a repository of git's."""
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q", "."], check=True)
    return tmp_path


def write(**files: str) -> None:
    """Write files; `__` in a name stands for a slash, `_` for a dot."""
    for name, text in files.items():
        path = Path(name.replace("__", "/").replace("_", "."))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def paths(found: list[Configuration]) -> list[str]:
    return [one.path for one in found]


def read(*names: str, **around: object) -> list[Configuration]:
    return configurations(Workspace.on_disk(*names), names, InputOptions(**around))  # type: ignore[arg-type]


@pytest.mark.usefixtures("here")
class TestRoots:
    def test_a_snippet_is_read_through_the_main_file_that_includes_it(self) -> None:
        write(nginx_conf=MAIN, conf_d__site_conf=SITE)
        [one] = read("conf.d/site.conf")
        assert one.path == "nginx.conf"
        assert one.context == ()
        assert one.about == frozenset({str(Path("conf.d/site.conf").resolve())})

    def test_a_snippet_that_no_main_file_includes_is_read_as_what_it_is(self) -> None:
        write(nginx_conf=MAIN, other__site_conf=SITE)
        [one] = read("other/site.conf")
        assert one.path == "other/site.conf"
        assert one.context == ("http",)

    def test_in_every_main_file_that_includes_it(self) -> None:
        write(a_conf=MAIN, b_conf=MAIN, conf_d__site_conf=SITE)
        assert paths(read("conf.d/site.conf")) == ["a.conf", "b.conf"]

    def test_a_folder_is_read_by_its_main_files_and_the_rest(self) -> None:
        write(nginx_conf=MAIN, conf_d__site_conf=SITE, old__site_conf=SITE)
        write(supervisord_conf="[program:x]\ncommand=x\n", readme_txt=SITE)
        assert paths(read(".")) == ["nginx.conf", "old/site.conf"]

    def test_content_tells_where_the_name_does_not(self) -> None:
        write(sites__default=SITE, app_vhost=SITE, notes="one two;\nthree four;\n")
        assert paths(read(".")) == ["app.vhost", "sites/default"]

    def test_ignored_files_are_left_out(self) -> None:
        write(site_conf=SITE, build__site_conf=SITE)
        Path(".gitignore").write_text("build/\n")
        assert paths(read(".")) == ["site.conf"]

    def test_roots_of_the_settings_need_no_http_block(self) -> None:
        write(main_conf="include part.conf;\n", part_conf=SITE)
        assert paths(read("part.conf")) == ["part.conf"]
        assert paths(read("part.conf", mains=("main.conf",))) == ["main.conf"]

    def test_servers_of_the_settings_share_one_http_block(self) -> None:
        write(conf_d__a_conf=SITE, conf_d__b_conf="upstream app { server 127.0.0.1:1; }\n")
        [one] = read("conf.d/a.conf", servers=("conf.d/*.conf",))
        assert len(one.files) == 3
        assert not one.problems


@pytest.mark.usefixtures("here")
class TestIncludes:
    def include(self, name: str) -> Configuration:
        write(nginx_conf=f"events {{}}\nhttp {{ server {{ include {name}; }} }}\n")
        [one] = read("nginx.conf")
        return one

    @pytest.mark.parametrize(
        "suffix", ["", ".template", ".sample", ".j2", ".tpl", ".conf.template"]
    )
    def test_found_by_base_name(self, suffix: str) -> None:
        name = f"deploy/snippets/proxy{suffix if '.conf' in suffix else '.conf' + suffix}"
        Path(name).parent.mkdir(parents=True)
        Path(name).write_text("proxy_buffering off;\n")
        one = self.include("/etc/nginx/proxy.conf")
        assert [file.source.name for file in one.files] == ["nginx.conf", name]
        assert not one.problems
        [note] = one.notes
        assert str(note) == (
            'nginx.conf:2:17: note: include "/etc/nginx/proxy.conf" not found;'
            f" using {name} instead"
        )

    def test_the_longest_common_end_wins_before_the_nearest(self) -> None:
        write(proxy_conf="gzip on;", deep__snippets__proxy_conf="gzip off;")
        one = self.include("/etc/nginx/snippets/proxy.conf")
        assert one.files[1].source.name == "deep/snippets/proxy.conf"
        one = self.include("/etc/nginx/other/proxy.conf")
        assert one.files[1].source.name == "proxy.conf"

    def test_a_pattern_needs_its_folder(self) -> None:
        write(x__locations__a_conf="gzip on;", x__locations__b_conf="etag off;", c_conf="gzip on;")
        one = self.include("/etc/nginx/locations/*.conf")
        assert [file.source.name for file in one.files[1:]] == [
            "x/locations/a.conf",
            "x/locations/b.conf",
        ]
        assert len(self.include("/etc/nginx/others/*.conf").files) == 1

    def test_a_pattern_does_not_mean_files_of_another_program(self) -> None:
        write(supervisor__conf_d__a_conf="[program:nginx]\ncommand=nginx -g 'daemon off;'\n")
        assert len(self.include("/etc/nginx/conf.d/*.conf").files) == 1
        write(web__conf_d__b_conf="gzip on;")
        one = self.include("/etc/nginx/conf.d/*.conf")
        assert [file.source.name for file in one.files[1:]] == ["web/conf.d/b.conf"]

    def test_what_is_nowhere_is_said(self) -> None:
        [note] = self.include("/etc/nginx/mine.conf").notes
        assert str(note).startswith(
            'nginx.conf:2:17: note: include "/etc/nginx/mine.conf" is not in this repository, '
        )

    @pytest.mark.parametrize(
        "name", ["mime.types", "/etc/nginx/fastcgi_params", r"C:\\conf\\scgi_params"]
    )
    def test_what_comes_with_nginx_is_none(self, name: str) -> None:
        one = self.include(name)
        assert not one.problems
        assert one.root is not None

    def test_nor_is_what_is_elsewhere_on_purpose(self) -> None:
        write(nginx_conf="events {}\nhttp { include /etc/nginx/ssl/a.conf; }\n")
        [one] = read("nginx.conf", absent=("/etc/nginx/ssl/*",))
        assert not one.problems

    def test_nothing_is_looked_for_outside(self, tmp_path: Path) -> None:
        (tmp_path.parent / "mine.conf").write_text("gzip on;")
        assert self.include("mine.conf").problems


DUMP = (
    "nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n"
    "nginx: configuration file /etc/nginx/nginx.conf test is successful\n"
    "# configuration file /etc/nginx/nginx.conf:\n"
    "events {}\nhttp {\n    include /etc/nginx/conf.d/*.conf;\n    include mime.types;\n}\n\n"
    "# configuration file /etc/nginx/conf.d/site.conf:\n" + SITE + "\n"
    "# configuration file /etc/nginx/mime.types:\ntypes { text/html html; }\n\n"
)


@pytest.mark.usefixtures("here")
class TestDumps:
    @pytest.mark.parametrize("ends", ["\n", "\r\n"])
    def test_files_have_their_names_and_lines(self, ends: str) -> None:
        Path("dump.txt").write_bytes(DUMP.replace("\n", ends).encode())
        [one] = read("dump.txt")
        assert not one.problems
        assert [file.source.name for file in one.files] == [
            "/etc/nginx/nginx.conf",
            "/etc/nginx/conf.d/site.conf",
            "/etc/nginx/mime.types",
        ]
        location = one.files[1].directives[0].block
        assert location is not None
        assert location[0].line == 2

    def test_a_file_that_is_missing_is_said(self) -> None:
        Path("dump").write_text(DUMP.replace("mime.types;", "other.types;"))
        [one] = read("dump")
        assert [problem.line for problem in one.problems] == [4]

    def test_a_comment_alone_makes_no_dump(self) -> None:
        write(a_conf="gzip on;\n# configuration file /etc/nginx/nginx.conf:\n")
        assert paths(read("a.conf")) == ["a.conf"]


def test_a_dump_of_a_real_nginx(tmp_path: Path, binary: object) -> None:
    """What `nginx -T` prints is read as the files themselves are."""
    from nginx_stream_lint.probe import NginxBinary

    assert isinstance(binary, NginxBinary)
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d" / "site.conf").write_text(SITE.replace("app", "127.0.0.1:9"))
    main = tmp_path / "nginx.conf"
    main.write_text(
        f"pid {tmp_path}/pid; error_log stderr;\n"
        + MAIN.replace("http {", "http {\n    access_log off;")
    )
    done = subprocess.run(
        [binary.path, "-T", "-p", tmp_path, "-c", main], capture_output=True, check=False, text=True
    )
    (tmp_path / "dump").write_text(done.stdout)
    [dumped] = configurations(Workspace.on_disk(str(tmp_path / "dump")), [str(tmp_path / "dump")])
    [on_disk] = configurations(Workspace.on_disk(str(main)), [str(main)])
    assert not dumped.problems, done.stderr
    names = [(file.source.name, file.source.text) for file in on_disk.files]
    assert [(file.source.name, file.source.text) for file in dumped.files] == names


@pytest.mark.usefixtures("here")
class TestMixedFragments:
    def test_statements_of_several_levels(self) -> None:
        write(a_conf="upstream app { server a:1; }\nlocation / { proxy_pass http://app; }\n")
        [one] = read("a.conf")
        assert not one.problems
        assert one.context == ("http",)
        assert list(one.elsewhere) == [("http", "server")]

    def test_a_main_file_has_none(self) -> None:
        write(a_conf="server { }\nhttp { }\nevents { }\n")
        [one] = read("a.conf")
        assert [str(problem) for problem in one.problems] == [
            'a.conf:1:1: "server" directive is not allowed here; correct it, because nginx'
            " rejects this configuration"
        ]
