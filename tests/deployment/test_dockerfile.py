"""Dockerfiles: which nginx, with which files, environment and command."""

from __future__ import annotations

import pytest

from nginx_stream_lint.deployment.model import Deployment, Instance
from tests.deployment.reading import deployment, files, instance, notes


def built(text: str, **others: str) -> Instance:
    """The instance of a Dockerfile beside `nginx.conf` and `site.conf`."""
    named = {name.replace("__", "/"): one for name, one in others.items()}
    return instance(
        deployment({"Dockerfile": text, "nginx.conf": "", "conf.d/site.conf": "", **named})
    )


def test_copies_come_from_the_context() -> None:
    one = built(
        """\
        ARG TAG=1.27.3
        FROM nginx:${TAG}-alpine
        WORKDIR /etc/nginx
        COPY nginx.conf nginx.conf
        COPY conf.d/*.conf conf.d/
        COPY ["nginx.conf", "/a b/"]
        ADD https://example.com/x.conf /etc/nginx/conf.d/
        """
    )
    assert files(one) == {
        "/etc/nginx/nginx.conf": "nginx.conf",
        "/etc/nginx/conf.d/site.conf": "conf.d/site.conf",
        "/a b/nginx.conf": "nginx.conf",
        "/etc/nginx/conf.d/x.conf": None,
    }
    assert one.versions is not None
    assert (one.versions.text, str(one.versions.origin)) == ("1.27.3", "Dockerfile:2")
    assert (one.image, one.server, one.main) == (
        "nginx:1.27.3-alpine",
        "nginx",
        "/etc/nginx/nginx.conf",
    )


def test_a_copy_into_a_folder_of_the_image_goes_into_it() -> None:
    one = built("FROM nginx\nCOPY nginx.conf /etc/nginx\nCOPY conf.d /etc/nginx/conf.d\n")
    assert files(one) == {"/etc/nginx/nginx.conf": "nginx.conf", "/etc/nginx/conf.d": "conf.d"}
    assert one.files[-1].is_folder


def test_a_copy_into_an_existing_folder_goes_into_it() -> None:
    one = built(
        """\
        FROM nginx
        RUN mkdir -p /data/sites && touch /data/x
        WORKDIR /work
        COPY nginx.conf /data/sites
        COPY nginx.conf /work
        COPY nginx.conf /new
        COPY start.sh /usr/local/bin
        CMD ["start.sh"]
        """,
        **{"start.sh": "nginx -g 'daemon off;'\n"},
    )
    assert files(one) == {
        "/data/sites/nginx.conf": "nginx.conf",
        "/work/nginx.conf": "nginx.conf",
        "/new": "nginx.conf",
        "/usr/local/bin/start.sh": "start.sh",
    }


def test_a_main_file_that_a_variable_names_is_unknown() -> None:
    script = """\
        if [ "$TLS" = true ]; then CONFIG=/etc/nginx/tls.conf; else CONFIG=/etc/nginx/nginx.conf; fi
        sed -i 's/a/b/' "$NGINX_CONFIG"
        exec nginx -c $CONFIG -g 'daemon off;'
        """
    text = 'FROM nginx:1.27.3\nCOPY start.sh /\nENTRYPOINT ["/start.sh"]\n'
    one = built(text, **{"start.sh": script})
    assert one.main is None
    assert not one.is_start_known  # the edited file is unknown, too
    assert one.versions is not None
    known = script.replace('if [ "$TLS" = true ]; then ', "").replace("; else", "; #")
    one = built(text, **{"start.sh": known.replace("NGINX_CONFIG", "CONFIG")})
    assert one.main == "/etc/nginx/tls.conf"


@pytest.mark.parametrize(
    ("commands", "found"),
    [
        (
            "RUN rm /etc/nginx/conf.d/default.conf\n"
            "COPY nginx.conf /etc/nginx/conf.d/default.conf\n",
            {"/etc/nginx/conf.d/default.conf": "nginx.conf"},
        ),
        (
            "COPY conf.d /src\nRUN rm -rf /etc/nginx/conf.d && ln -s /src /etc/nginx/conf.d\n",
            {"/src": "conf.d", "/etc/nginx/conf.d": "conf.d"},
        ),
        (
            "COPY conf.d/site.conf /src/\n"
            "RUN rm -rf /etc/nginx/conf.d && mkdir -p /etc/nginx/conf.d /etc/nginx/x\n"
            "RUN cp /src/site.conf /etc/nginx/x && cp /src/site.conf /etc/nginx/conf.d\n",
            {
                "/etc/nginx/conf.d/site.conf": "conf.d/site.conf",
                "/etc/nginx/x/site.conf": "conf.d/site.conf",
            },
        ),
    ],
)
def test_a_removed_path_is_not_a_folder_until_it_is_created_again(
    commands: str, found: dict[str, str | None]
) -> None:
    one = built(f"FROM nginx:1.27.3\n{commands}")
    assert {name: path for name, path in files(one).items() if name in found} == found
    assert not any(name.endswith("default.conf/nginx.conf") for name in files(one))


def test_the_words_of_from_may_be_quoted() -> None:
    one = built('ARG PROXY=\nFROM "${PROXY}nginx:1.27.3" AS base\nFROM base\n')
    assert (one.image, one.versions and one.versions.text) == ("nginx:1.27.3", "1.27.3")


@pytest.mark.parametrize(
    "command",
    ["sed -i s/a/b/ site.conf", "sed -Ei.bak -e s/a/b/ site.conf", "perl -pi -e s/a/b/ site.conf"],
)
def test_the_command_of_sed_is_not_a_file(command: str) -> None:
    one = built(f"FROM nginx:1.27.3\nWORKDIR /etc/nginx/conf.d\nCOPY conf.d .\nRUN {command}\n")
    changed = [file.inside for file in one.files if file.changed is not None]
    assert changed == ["/etc/nginx/conf.d/site.conf"]


def test_a_copy_into_a_standard_folder_goes_into_it() -> None:
    one = built(
        """\
        FROM nginx:1.27.3
        COPY start.sh /usr/local/bin
        COPY start.sh /docker-entrypoint.d
        ENTRYPOINT ["/usr/local/bin/start.sh"]
        """,
        **{"start.sh": "cp /a.conf /etc/nginx/nginx.conf\nexec nginx\n"},
    )
    assert files(one) == {
        "/usr/local/bin/start.sh": "start.sh",
        "/docker-entrypoint.d/start.sh": "start.sh",
        "/etc/nginx/nginx.conf": None,  # made when it starts
    }
    assert one.is_start_known


def test_stages_copy_from_one_another() -> None:
    one = built(
        """\
        FROM node:22 AS build
        COPY . /src
        RUN npm run build
        FROM nginx:1.25.5 AS base
        ENV PORT=80
        FROM base
        COPY --from=build /src/conf.d/site.conf /etc/nginx/conf.d/default.conf
        COPY --from=build /src/dist /usr/share/nginx/html
        COPY --from=0 /src/nginx.conf /etc/nginx/nginx.conf
        COPY --from=busybox /etc/hosts /hosts
        """
    )
    assert files(one) == {
        "/etc/nginx/conf.d/default.conf": "conf.d/site.conf",
        "/usr/share/nginx/html": None,
        "/etc/nginx/nginx.conf": "nginx.conf",
    }
    assert dict(one.environment) == {"PORT": "80"}
    assert one.versions is not None
    assert one.versions.text == "1.25.5"


def test_continued_lines_and_comments() -> None:
    one = built(
        """\
        # syntax=docker/dockerfile:1
        # escape=`
        FROM `
        # a comment within

          nginx:1.27.0
        COPY nginx.conf `
             /etc/nginx/ng`
        inx.conf
        """
    )
    assert files(one) == {"/etc/nginx/nginx.conf": "nginx.conf"}


def test_heredocs() -> None:
    one = built(
        """\
        FROM nginx:1.27.0
        COPY <<EOF /etc/nginx/conf.d/default.conf
        FROM nothing
        COPY nginx.conf /elsewhere
        EOF
        RUN <<-'X'
        \trm /etc/nginx/nginx.conf
        \tX
        RUN cat <<E > /etc/nginx/conf.d/more.conf
        server {}
        E
        """
    )
    assert files(one) == {
        "/etc/nginx/conf.d/default.conf": "Dockerfile",
        "/etc/nginx/conf.d/more.conf": None,
    }
    assert one.at("/etc/nginx/conf.d/default.conf").key == "<<EOF"  # type: ignore[union-attr]
    assert one.at("/etc/nginx/nginx.conf").how == "removed"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("FROM debian:12\nRUN apt-get update && apt-get install -y curl nginx", "1.22.1"),
        ("FROM ubuntu:24.04\nRUN apt install -y nginx-extras", "1.24.0"),
        ("FROM alpine:3.19\nRUN apk add --no-cache nginx", "1.24.0"),
        (
            "FROM alpine:3.19\nRUN apk add --no-cache \\\n    # comment\n    nginx \\\n    curl",
            "1.24.0",
        ),
        ("FROM python:3.12-slim-bookworm\nRUN apt-get install nginx", "1.22.1"),
        ('ARG MIRROR=\nFROM "${MIRROR}debian:12"\nRUN apt-get install nginx', "1.22.1"),
        ("FROM alpine\nRUN apk add nginx=1.24.0-r6", "1.24.0"),
        ("FROM alpine\nRUN apk add nginx", None),
        # Packages of nginx.org have other versions.
        (
            "FROM debian:12\nRUN echo deb https://nginx.org/packages/debian > x && apt install nginx",
            None,
        ),
        ("FROM ubuntu:22.04\nRUN add-apt-repository ppa:nginx/stable\nRUN apt install nginx", None),
        (
            "FROM debian:12\nARG V=1.25.3\nRUN curl -O https://nginx.org/download/nginx-$V.tar.gz"
            " && tar xf nginx-$V.tar.gz && ./configure && make",
            "1.25.3",
        ),
        ("FROM company/base:1.27\nRUN apt install nginx", None),
        ("FROM alpine:3.20\nRUN apk add --no-cache 'nginx~1.26'", "1.26"),
        ("FROM debian:12\nENV V=1.27.3\nRUN apt-get install -y nginx=${V}-1~bookworm", "1.27.3"),
        ("FROM debian:12\nARG V=1.27.3\nRUN apt-get install -y nginx=$V*", "1.27.3"),
        (
            'FROM debian:12\nENV V=1.27.3\nRUN packages=" \\\n  nginx=${V}-1~bookworm \\\n  gettext " \\\n'
            "  && apt-get install -y $packages",
            "1.27.3",
        ),
        ("ARG V=1.27\nFROM nginx:${V}-alpine", "1.27"),
        ("ARG V\nFROM nginx:${V:-1.27}", "1.27"),
        ("ARG BASE=docker.io/library/nginx\nARG V=1.27\nFROM $BASE:$V", "1.27"),
        ("ARG V\nFROM nginx:${V}", None),
        ("FROM --platform=$BUILDPLATFORM nginx:1.27.3@sha256:00 AS web", "1.27.3"),
        ("FROM nginx:1.27.3 AS a\nFROM a AS b\nFROM b", "1.27.3"),
        # The image's own nginx is newer than what the package manager has.
        ("FROM nginx:1.30.4-alpine\nRUN apk add nginx", "1.30.4"),
    ],
)
def test_installed_nginx(text: str, version: str | None) -> None:
    found = instance(deployment({"Dockerfile": text}))
    assert (found.versions and found.versions.text) == version


def test_a_package_brings_its_configuration() -> None:
    one = built("FROM debian:12\nRUN apt install nginx\nRUN rm /etc/nginx/sites-enabled/default\n")
    assert one.at("/etc/nginx/nginx.conf").key == "debian"  # type: ignore[union-attr]
    assert one.at("/etc/nginx/sites-enabled/default").how == "removed"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "config", "directives"),
    [
        ('CMD ["nginx", "-c", "/x.conf", "-g", "daemon off;"]', "/x.conf", ("daemon off;",)),
        ("CMD nginx -c /x.conf -g 'daemon off;'", "/x.conf", ("daemon off;",)),
        ('ENTRYPOINT ["/usr/sbin/nginx"]\nCMD ["-g", "daemon off;"]', None, ("daemon off;",)),
        (
            "CMD exec tini -- nginx -g 'daemon off; worker_processes 2;'",
            None,
            ("daemon off; worker_processes 2;",),
        ),
        ("CMD sleep 1 && nginx -t && exec nginx -c/y.conf", "/y.conf", ()),
        ("", None, ("daemon off;",)),
    ],
)
def test_the_command(text: str, config: str | None, directives: tuple[str, ...]) -> None:
    one = built(f"FROM nginx:1.27.0\n{text}\n")
    assert one.command is not None
    assert (one.command.config, one.command.directives) == (config, directives)
    assert one.main == (config or "/etc/nginx/nginx.conf")


def test_an_entrypoint_removes_the_command_of_the_base_image() -> None:
    one = built('FROM nginx:1.27.0\nCMD ["x"]\nFROM nginx:1.27.0\nENTRYPOINT ["/start"]\n')
    assert one.command is not None
    assert one.command.words == ("/start",)
    assert not one.is_start_known


def test_commands_change_files() -> None:
    one = built(
        """\
        FROM nginx:1.27.0
        COPY nginx.conf /tmp/nginx.conf
        COPY conf.d /etc/nginx/conf.d
        RUN rm -f /etc/nginx/conf.d/default.conf && cp /tmp/nginx.conf /etc/nginx/nginx.conf
        RUN sed -i 's/a/b/' /etc/nginx/conf.d/site.conf; echo x > /etc/nginx/made.conf
        RUN if [ -n "$X" ]; then cp /tmp/nginx.conf /etc/nginx/other.conf; fi
        """
    )
    found = {one.inside: one for one in one.files}
    assert found["/etc/nginx/conf.d/default.conf"].how == "removed"
    assert found["/etc/nginx/nginx.conf"].path == "nginx.conf"
    assert str(found["/etc/nginx/conf.d/site.conf"].changed) == "Dockerfile:5"
    assert found["/etc/nginx/made.conf"].path is None
    assert found["/etc/nginx/other.conf"].path is None  # it may not be there


def filled(one: Instance) -> dict[str, str | None]:
    """The files in conf.d that are made from templates, with these."""
    found = {file.inside: file.path for file in one.files}
    return {
        inside: path
        for inside, path in found.items()
        if inside.startswith("/etc/nginx/conf.d/") and str(path).endswith(".template")
    }


def test_templates_are_filled_by_the_images_entrypoint() -> None:
    text = "FROM nginx:1.27.0\nENV PORT=80\nCOPY t /etc/nginx/templates\n"
    others = {"t/default.conf.template": "", "t/sub/x.conf.template": "", "t/readme": ""}
    one = instance(deployment({"Dockerfile": text, **others}))
    assert filled(one) == {
        "/etc/nginx/conf.d/default.conf": "t/default.conf.template",
        "/etc/nginx/conf.d/sub/x.conf": "t/sub/x.conf.template",
    }
    for command in ('ENTRYPOINT ["nginx"]', 'CMD ["sh", "-c", "nginx"]'):
        one = instance(deployment({"Dockerfile": f"{text}{command}\n", **others}))
        assert filled(one) == {}, command


@pytest.mark.parametrize(
    "line",
    [
        "COPY root /",
        "COPY root/etc/nginx/ /etc/nginx/\nCOPY root/docker-entrypoint.d /docker-entrypoint.d",
    ],
)
def test_the_entrypoint_sees_files_of_copied_folders(line: str) -> None:
    others = {
        "root/etc/nginx/templates/a.conf.template": "",
        "root/docker-entrypoint.d/50-own.sh": "#!/bin/sh\nrm /etc/nginx/conf.d/default.conf\n",
    }
    one = instance(deployment({"Dockerfile": f"FROM nginx:1.27.0\n{line}\n", **others}))
    assert filled(one) == {"/etc/nginx/conf.d/a.conf": "root/etc/nginx/templates/a.conf.template"}
    assert one.at("/etc/nginx/conf.d/default.conf").how == "removed"  # type: ignore[union-attr]
    assert one.is_start_known


def test_an_unknown_script_of_the_entrypoint_may_write_anything() -> None:
    one = built("FROM nginx:1.27.0\nCOPY missing.sh /docker-entrypoint.d/\n")
    assert not one.is_start_known


def test_envsubst_in_a_command_and_in_a_script() -> None:
    line = "envsubst '$PORT $HOST' \\\n  < /t.conf > /etc/nginx/nginx.conf"
    for start, script in (
        (f"CMD {line} && nginx", ""),
        ('ENTRYPOINT ["/start.sh"]\nCOPY start.sh /start.sh', f"#!/bin/sh\n{line}\nexec nginx\n"),
    ):
        one = instance(
            deployment(
                {
                    "Dockerfile": f"FROM nginx:1.27.0\nCOPY t.conf /t.conf\n{start}\n",
                    "t.conf": "", "start.sh": script,
                }
            )
        )  # fmt: skip
        found = one.at("/etc/nginx/nginx.conf")
        assert found is not None
        assert found.path == "t.conf"
        assert one.is_start_known


def test_a_script_gets_arguments_and_exports_variables() -> None:
    script = """\
        #!/bin/sh
        export PORT="${PORT:-80}" API=${API:-api}
        NAME=nginx
        envsubst "\\$PORT,\\$API" < "/t/$1.template" > /etc/nginx/$NAME.conf
        if [ "$MORE" ]; then export MORE_PORT=1; envsubst < /t/a.template > /etc/nginx/more.conf; fi
        f() { rm /etc/nginx/mime.types; }
        test -e /x || rm /etc/nginx/mime.types
        # rm /etc/nginx/mime.types
        echo it#is; # rm /etc/nginx/mime.types
        exec "$@"
        """
    one = instance(
        deployment(
            {
                "Dockerfile": "FROM nginx:1.27.0\nENV API=app\nCOPY t /t\nCOPY s.sh /s.sh\n"
                'ENTRYPOINT ["/s.sh", "a"]\nCMD ["nginx"]\n',
                "s.sh": script, "t/a.template": "",
            }
        )
    )  # fmt: skip
    assert dict(one.environment) == {"API": "app", "PORT": "80", "MORE_PORT": None}
    found = {file.inside: file.path for file in one.files}
    assert found["/etc/nginx/nginx.conf"] == "t/a.template"
    assert found["/etc/nginx/more.conf"] is None
    assert "/etc/nginx/mime.types" not in found


def test_the_main_file_is_unknown_if_a_condition_chooses_it() -> None:
    script = """\
        if [ "$TLS" = true ]; then MAIN=/etc/nginx/tls.conf; else MAIN=/etc/nginx/nginx.conf; fi
        exec nginx -c $MAIN
        """
    text = 'FROM nginx:1.27.0\nCOPY s.sh /s.sh\nENTRYPOINT ["/s.sh"]\n'
    assert instance(deployment({"Dockerfile": text, "s.sh": script})).main is None
    script = "MAIN=/etc/nginx/tls.conf\nexec nginx -c $MAIN\n"
    assert instance(deployment({"Dockerfile": text, "s.sh": script})).main == "/etc/nginx/tls.conf"


@pytest.mark.parametrize(
    ("script", "command"),
    [
        ('whoami || echo none\nexec "$@"\n', '["nginx", "-c", "/etc/nginx/own.conf"]'),
        ('test -e /x && chown x /y\n"${@}"\n', '["nginx", "-c", "/etc/nginx/own.conf"]'),
        ('shift\nexec "$@"\n', '["web", "nginx", "-c", "/etc/nginx/own.conf"]'),
        ('set -- nginx "$@"\nexec $*\n', '["-c", "/etc/nginx/own.conf"]'),
    ],
)
def test_an_entrypoint_starts_its_arguments(script: str, command: str) -> None:
    text = f'FROM nginx:1.27.0\nCOPY start /bin/\nENTRYPOINT ["/bin/start"]\nCMD {command}\n'
    one = built(text, start=f"#!/bin/sh\n{script}")
    assert one.main == "/etc/nginx/own.conf"
    assert one.is_start_known


def test_an_entrypoint_without_arguments_starts_nothing() -> None:
    text = 'FROM nginx:1.27.0\nCOPY start /bin/\nENTRYPOINT ["/bin/start"]\n'
    one = built(text, start='#!/bin/sh\n"$@"\n')
    assert not one.is_start_known


def test_a_program_may_write_anything() -> None:
    found = deployment(
        {
            "Dockerfile": 'FROM nginx:1.27.0\nCOPY s.sh /s.sh\nENTRYPOINT ["/s.sh"]',
            "s.sh": "python3 /x.py",
        }
    )
    assert not instance(found).is_start_known
    assert notes(found) == [
        "Dockerfile:1:1: the container of Dockerfile starts python3 /x.py, which may write"
        " configuration files; their contents are unknown"
    ]


def test_ignored_and_missing_files_are_unknown() -> None:
    found = deployment(
        {
            "Dockerfile": "FROM nginx:1.27.0\nCOPY a.conf /etc/nginx/nginx.conf\nCOPY b.conf /etc/nginx/\n",
            "a.conf": "", "b.conf": "", ".dockerignore": "*.conf\n!b.conf\n",
        }
    )  # fmt: skip
    assert files(instance(found)) == {"/etc/nginx/b.conf": "b.conf"}
    assert notes(found) == [
        "Dockerfile:2:1: a.conf is excluded by .dockerignore;"
        " remove it from .dockerignore, or do not copy it"
    ]
    found = deployment({"Dockerfile": "FROM nginx:1.27.0\nCOPY made.conf /etc/nginx/nginx.conf\n"})
    assert files(instance(found)) == {"/etc/nginx/nginx.conf": None}
    assert len(notes(found)) == 1


def test_the_context_is_where_the_files_are() -> None:
    text = "FROM nginx:1.27.0\nCOPY deploy/nginx.conf /etc/nginx/\n"
    one = instance(deployment({"deploy/Dockerfile": text, "deploy/nginx.conf": ""}))
    assert files(one) == {"/etc/nginx/nginx.conf": "deploy/nginx.conf"}


@pytest.mark.parametrize(
    "text",
    [
        "", "FROM", "FROM \\", "FROM nginx\nCOPY", "FROM nginx\nCOPY a", "COPY a b", "FROM a\nFROM a AS a",
        "FROM nginx\nCOPY <<EOF /x", "FROM nginx AS a\nCOPY --from=a / /", "FROM nginx\nCMD [\"", "\\\n" * 999,
        "FROM ${A:-${B:-${C}}}\n", "FROM nginx\nENV", "FROM nginx\nRUN " + "((((" * 9999, "FROM nginx\nRUN 'a",
        "FROM nginx\nCMD " + "[" * 99999, "FROM nginx\nCOPY --from=" + "9" * 99 + " a b", "# escape=\nFROM x",
        "FROM nginx\n" + "COPY . /\n" * 3000, "FROM a AS b\n" * 3000, "FROM nginx\nWORKDIR $X\nCOPY . .",
    ],
)  # fmt: skip
def test_invalid_dockerfiles_raise_no_error(text: str) -> None:
    deployment({"Dockerfile": text, "nginx.conf": ""})


def dockerfile(text: str, **others: str) -> Deployment:
    """The deployment of a Dockerfile and other files; `_` in their names is a dot."""
    return deployment({"Dockerfile": text, **{n.replace("_", "."): t for n, t in others.items()}})


def test_triggers_run_in_the_stage_that_starts_from_them() -> None:
    found = dockerfile(
        """\
        FROM nginx:1.27.3 AS base
        ONBUILD COPY site.conf /etc/nginx/conf.d/default.conf
        ONBUILD ENV A=1
        FROM base AS web
        FROM web
        """,
        site_conf="",
    )
    one = instance(found)
    assert files(one) == {"/etc/nginx/conf.d/default.conf": "site.conf"}
    assert dict(one.environment) == {"A": "1"}
    unused = dockerfile("FROM nginx:1.27.3\nONBUILD COPY a.conf /etc/nginx/conf.d/\n", a_conf="")
    assert files(instance(unused)) == {}


@pytest.mark.parametrize(
    ("text", "is_shell"),
    [
        ("RUN <<EOF\nrm /etc/nginx/conf.d/default.conf\nEOF\n", True),
        ("RUN <<-'EOF' bash -e\n\trm /etc/nginx/conf.d/default.conf\n\tEOF\n", True),
        ("RUN <<EOF\n#!/usr/bin/env bash\nrm /etc/nginx/conf.d/default.conf\nEOF\n", True),
        ("RUN <<EOF python3\nrm /etc/nginx/conf.d/default.conf\nEOF\n", False),
        ("RUN <<EOF\n#!/usr/bin/env python3\nrm /etc/nginx/conf.d/default.conf\nEOF\n", False),
    ],
)
def test_only_a_shell_runs_shell_commands(text: str, is_shell: bool) -> None:
    one = instance(dockerfile(f"FROM nginx:1.27.3\n{text}"))
    placed = one.at("/etc/nginx/conf.d/default.conf")
    assert placed is not None
    assert (placed.how == "removed") is is_shell


def test_another_escape_character_continues_lines() -> None:
    found = dockerfile(
        """\
        # syntax=docker/dockerfile:1
        # escape=`
        FROM `
          # a comment
          nginx:1.27.3
        COPY a.conf `
          /etc/nginx/conf.d\\
        """,
        a_conf="",
    )
    one = instance(found)
    assert one.versions is not None
    assert one.versions.text == "1.27.3"


def test_the_end_of_a_long_file_is_unknown() -> None:
    found = dockerfile("FROM nginx:1.27.3\n" + "RUN true\n" * 6000)
    assert notes(found) == [
        "Dockerfile:1:1: is too long for a Dockerfile; its end was not read; split it"
    ]


@pytest.mark.parametrize("name", ["APPLY", "EXISTS", "FROMAGE", "INSIDE", "TEXT", "UNSURE"])
def test_an_unknown_instruction_has_no_effect(name: str) -> None:
    text = "FROM nginx:1.27.3\nCOPY nginx.conf /etc/nginx/nginx.conf\n"
    assert files(built(f"{text}{name} nginx.conf\n")) == files(built(text))
