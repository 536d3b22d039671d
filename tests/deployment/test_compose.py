"""Compose files: services, and the nginx among them."""

from __future__ import annotations

import pytest

from nginx_stream_lint.deployment.model import Instance
from tests.deployment.reading import compose, deployment, files, instance, notes

MINIMAL = "services: {web: {image: 'nginx:1.27.3'}}"


def service(text: str, **others: str) -> Instance:
    """The instance of a compose file with the service `web`, whose text this is."""
    body = "".join(f"    {line}\n" for line in text.splitlines())
    named = {name.replace("__", "/"): one for name, one in others.items()}
    found = deployment(
        {"compose.yaml": f"services:\n  web:\n    image: nginx:1.27.3\n{body}", **named}
    )
    return instance(found)


def test_a_plain_service() -> None:
    one = service(
        "container_name: proxy\nhostname: host\n"
        "volumes: ['./nginx.conf:/etc/nginx/nginx.conf:ro', data:/var/cache, /anonymous]\n"
        "networks: {front: {aliases: [edge]}}\nenvironment: {A: 1, B: on, C: }\n",
        **{"nginx.conf": ""},
    )
    assert (one.name, one.project, str(one.origin)) == ("web", "compose.yaml", "compose.yaml:2")
    assert one.versions is not None
    assert str(one.versions.origin) == "compose.yaml:3"
    assert one.names == ("web", "proxy", "host", "edge")
    assert files(one) == {
        "/etc/nginx/nginx.conf": "nginx.conf",
        "/var/cache": None,
        "/anonymous": None,
    }
    assert dict(one.environment) == {"A": "1", "B": "on", "C": None}


def test_a_stack_of_swarm_is_a_compose_file() -> None:
    text = "services: {web: {image: 'nginx:1.27.3'}}\n"
    one = instance(deployment({"docker-stack.prod.yml": text, "stack.yaml": text}))
    assert (one.project, one.image) == ("docker-stack.prod.yml", "nginx:1.27.3")


def test_long_forms() -> None:
    one = service(
        "volumes:\n- {type: bind, source: ./conf.d, target: /etc/nginx/conf.d}\n"
        "- {type: volume, source: x, target: /x}\n- {type: tmpfs, target: /tmp}\n"
        "environment: [A=1, B, 'C=x=y']\n",
        conf__d="", **{"conf.d/a.conf": ""},
    )  # fmt: skip
    assert files(one) == {"/etc/nginx/conf.d": "conf.d", "/x": None, "/tmp": None}
    assert dict(one.environment) == {"A": "1", "B": None, "C": "x=y"}


def test_variables_come_from_the_file_beside_it() -> None:
    found = deployment(
        {
            "deploy/compose.yaml": """\
                services:
                  web:
                    image: nginx:${TAG}
                    env_file: [a.env, {path: missing.env, required: false}]
                    environment: {TIMEOUT: '${TIMEOUT:-60}', OTHER: $NONE, TAG: }
                    volumes: ['${CONF:-./nginx.conf}:/etc/nginx/nginx.conf']
                """,
            "deploy/.env": "TAG=1.25.5\n",
            "deploy/a.env": "FILE=x\nTIMEOUT=1\nUSES=${TAG}\n",
            "deploy/nginx.conf": "",
        }
    )
    one = instance(found)
    assert one.versions is not None
    assert one.versions.text == "1.25.5"
    assert dict(one.environment) == {
        "FILE": "x", "TIMEOUT": "60", "USES": "1.25.5", "OTHER": None, "TAG": "1.25.5",
    }  # fmt: skip
    assert files(one) == {"/etc/nginx/nginx.conf": "deploy/nginx.conf"}


def test_what_no_file_sets_is_unknown() -> None:
    found = deployment(
        {
            "compose.yaml": "services: {web: {image: 'nginx:${TAG}', volumes: ['$DIR/x:/etc/nginx/nginx.conf',"
            " './missing.conf:/etc/nginx/conf.d/a.conf', '../out:/etc/nginx/conf.d/b.conf']}}"
        }
    )
    one = instance(found)
    assert (one.versions, one.server) == (None, "nginx")
    assert set(files(one).values()) == {None}
    assert notes(found)[0] == (
        "compose.yaml:1:26: the version of nginx in an image with an unknown variable is unknown;"
        " set nginx_version in the settings"
    )
    assert len(found.notes) == 4


def test_an_override_changes_the_main_file() -> None:
    found = deployment(
        {
            "compose.yaml": """\
                services:
                  web:
                    image: nginx:1.25.5
                    command: [nginx, -c, /a.conf]
                    environment: [A=1, B=1]
                    volumes: ['./a.conf:/etc/nginx/nginx.conf', './b.conf:/b.conf']
                """,
            "compose.override.yaml": """\
                services:
                  web:
                    image: nginx:1.27.3
                    environment: {B: 2}
                    volumes: ['./b.conf:/etc/nginx/nginx.conf']
                """,
            "a.conf": "", "b.conf": "",
        }
    )  # fmt: skip
    one = instance(found)
    assert one.versions is not None
    assert (one.versions.text, str(one.versions.origin)) == ("1.27.3", "compose.override.yaml:3")
    assert dict(one.environment) == {"A": "1", "B": "2"}
    assert files(one) == {"/etc/nginx/nginx.conf": "b.conf", "/b.conf": "b.conf"}
    assert one.command is not None
    assert one.command.config == "/a.conf"


def test_other_files_of_a_folder() -> None:
    main = "services: {web: {image: 'nginx:1.25.5'}, api: {image: 'ollama/ollama'}}"
    found = deployment(
        {
            "docker-compose.yml": main,
            "docker-compose.prod.yml": "services: {web: {environment: {A: '1'}}}",
            "docker-compose.ports.yml": "services: {web: {ports: ['80:80'], restart: always}}",
            "docker-compose.other.yml": "services: {web: {image: 'nginx:1.27.3'}}",
        }
    )
    said = [
        (one.project, one.versions and one.versions.text, one.environment)
        for one in found.instances
    ]
    assert sorted(said) == [
        ("docker-compose.other.yml", "1.27.3", ()),
        ("docker-compose.prod.yml", "1.25.5", (("A", "1"),)),
        ("docker-compose.yml", "1.25.5", ()),
    ]
    # Which of the files run together is not said; one folder has one service of that name.
    for project in ("docker-compose.yml", "docker-compose.other.yml"):
        api = found.service("api", project)
        assert api is not None
        assert api.app == "Ollama"


def test_extends_and_anchors() -> None:
    one = instance(
        deployment(
            {
                "compose.yml": """\
                    x-common: &common
                      environment: {A: '1', B: '1'}
                    services:
                      web:
                        <<: *common
                        extends: {file: base/base.yml, service: nginx}
                        ports: ['80:80']
                    """,
                "base/base.yml": """\
                    services:
                      nginx:
                        extends: root
                        volumes: ['./nginx.conf:/etc/nginx/nginx.conf']
                        environment: {B: '2', C: '2'}
                      root: {image: 'nginx:1.27.3'}
                    """,
                "base/nginx.conf": "",
            }
        )
    )
    assert one.versions is not None
    assert str(one.versions.origin) == "base/base.yml:6"
    assert dict(one.environment) == {"A": "1", "B": "1", "C": "2"}
    assert files(one) == {"/etc/nginx/nginx.conf": "base/nginx.conf"}


def test_includes_have_their_own_folder() -> None:
    found = deployment(
        {
            "compose.yml": "include: [inner/compose.yml, {path: [more.yml], env_file: x}]\nservices: {}",
            "inner/compose.yml": "services: {web: {image: 'nginx:$TAG', volumes: ['./a:/etc/nginx/a.conf']}}",
            "inner/.env": "TAG=1.27.3", "inner/a": "", "more.yml": "services: {api: {image: 'n8nio/n8n'}}",
        }
    )  # fmt: skip
    one = instance(found)
    assert (one.project, one.versions and one.versions.text) == ("compose.yml", "1.27.3")
    assert files(one) == {"/etc/nginx/a.conf": "inner/a"}
    assert found.service("api", "compose.yml").app == "n8n"  # type: ignore[union-attr]


def test_configs_from_files_and_inline() -> None:
    one = instance(
        deployment(
            {
                "compose.yml": """\
                    services:
                      web:
                        image: nginx:1.27.3
                        configs: [plain, {source: main, target: /etc/nginx/nginx.conf}, {source: text, target: /t}]
                        secrets: [key]
                    configs:
                      plain: {file: ./a.conf}
                      main: {file: ./a.conf}
                      text: {content: 'events {}'}
                    secrets: {key: {external: true}}
                    """,
                "a.conf": "",
            }
        )
    )
    assert files(one) == {
        "/plain": "a.conf", "/etc/nginx/nginx.conf": "a.conf", "/t": "compose.yml", "/run/secrets/key": None,
    }  # fmt: skip
    assert one.at("/t").key == "content"  # type: ignore[union-attr]


def test_a_build_uses_the_dockerfile() -> None:
    found = deployment(
        {
            "compose.yml": """\
                services:
                  web:
                    build:
                      context: ./web
                      dockerfile: nginx.Dockerfile
                      target: last
                      args: {TAG: '1.27.3'}
                    image: company/web:3
                    volumes: ['./own.conf:/etc/nginx/conf.d/own.conf']
                  inline:
                    build: {dockerfile_inline: "FROM nginx:1.25.5\\nCOPY own.conf /etc/nginx/"}
                """,
            "web/nginx.Dockerfile": "ARG TAG=1.0.0\nFROM nginx:$TAG AS last\nCOPY a.conf /etc/nginx/\nFROM x\n",
            "web/a.conf": "", "own.conf": "",
        }
    )  # fmt: skip
    web, inline = found.instances
    assert web.versions is not None
    assert (web.versions.text, str(web.versions.origin)) == ("1.27.3", "web/nginx.Dockerfile:2")
    assert files(web) == {
        "/etc/nginx/a.conf": "web/a.conf",
        "/etc/nginx/conf.d/own.conf": "own.conf",
    }
    assert inline.versions is not None
    assert inline.versions.text == "1.25.5"
    assert files(inline) == {"/etc/nginx/own.conf": "own.conf"}


def test_the_first_version_of_the_format() -> None:
    one = instance(
        deployment({"docker-compose.yml": "web:\n  image: nginx:1.27.3\n  ports: ['80:80']\n"})
    )
    assert one.names == ("web",)


def test_other_programs_are_not_nginx() -> None:
    found = deployment(
        {
            "compose.yml": """\
                services:
                  app: {image: 'php:8-fpm', command: php-fpm, volumes: ['./conf.d:/etc/nginx/conf.d']}
                  certs: {image: 'certbot/certbot', volumes: ['./conf.d:/etc/nginx/conf.d']}
                  exporter: {image: 'nginx/nginx-prometheus-exporter:1.4'}
                  npm: {image: 'jc21/nginx-proxy-manager:2.9.1'}
                  mine: {image: 'company/x', volumes: ['./conf.d/a.conf:/etc/nginx/conf.d/a.conf']}
                """,
            "conf.d/a.conf": "",
        }
    )
    assert [(one.name, one.versions) for one in found.instances] == [("npm", None), ("mine", None)]
    assert not any(one.is_start_known for one in found.instances)


def test_replicas() -> None:
    found = deployment(
        {
            "compose.yml": """\
                services:
                  a: {image: x, deploy: {replicas: 3}}
                  b: {image: x, scale: 2}
                  c: {image: x, deploy: {mode: global}}
                  d: {image: x, deploy: {replicas: $N}}
                  e: {image: x}
                """
        }
    )
    assert [one.replicas for one in found.services] == [3, 2, None, None, 1]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("services:\n  web: {image: nginx}\n  web: {image: nginx}\n", "two services are named web"),
        ("services: {web: {extends: web}, x: {image: nginx}}", "web extends itself; "),
        ("services: {a: {extends: b}, b: {extends: a}}", "extends itself; "),
        ("services: {a: {extends: {file: none.yml, service: x}}}", "the file that a extends does not exist"),
        ("services: {a: {extends: none}}", "the service that a extends does not exist"),
        ("include: [compose.yaml]\nservices: {}", "this include forms a cycle; remove it"),
        ("include: [none.yml]\nservices: {}", "none.yml does not exist"),
        ("include: ['https://example.com/x.yml']", "not the name of a file in the repository"),
        ("include: ['../x.yml']", "does not exist"),
        ("services: {web: {image: nginx", "this compose file is not valid YAML"),
        ("services: {{ nginx }}: x: y", "this compose file is not valid YAML"),
        ("services: {nginx: {build: ./none}}", None),
        ("services: [nginx]", None),
        ("services: {web: nginx, x: {image: [nginx], volumes: x, ports: {a: b}, environment: x}}", None),
        ("services: {web: {image: nginx, volumes: [{}], ports: [{}], configs: [{}], build: {}}}", "Dockerfile of"),
        ("a: &a {image: nginx, b: *a}\nservices: {web: *a}", None),
        ("services: &s {web: {image: nginx, x: *s}}", None),
        ("", None), ("[]", None), ("services:", None), ("- nginx", None), ("\ufeffservices: {}", None),
    ],
)  # fmt: skip
def test_bad_files_are_notes(text: str, note: str | None) -> None:
    found = deployment({"compose.yaml": text})
    if note is not None:
        assert note in "\n".join(notes(found)), notes(found)


def test_hostile_files_take_bounded_time() -> None:
    merges = "".join(
        f"x{n}: &x{n} {{<<: [*x{n - 1}, *x{n - 1}], k{n}: v}}\n" for n in range(1, 400)
    )
    deployment({"compose.yaml": f"x0: &x0 {{k: nginx}}\n{merges}services: {{web: *x399}}"})
    chain = "".join(f"  s{n}: {{extends: s{n + 1}}}\n" for n in range(300))
    deployment({"compose.yaml": f"services:\n{chain}  s300: {{image: nginx}}\n"})
    many = "".join(f"  s{n}: {{image: nginx, env_file: .env}}\n" for n in range(300))
    deployment({"compose.yaml": f"services:\n{many}", ".env": "A=1\n" * 100})
    inner = {f"d{n}/compose.yaml": f"include: [../d{n + 1}/compose.yaml]" for n in range(100)}
    deployment({**inner, "d100/compose.yaml": MINIMAL})


def test_nothing_outside_of_the_repository_is_read(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from nginx_stream_lint.deployment.read import read_deployment
    from nginx_stream_lint.files.workspace import Workspace

    outer = tmp_path_factory.mktemp("outer")
    root = outer / "repository"
    (root / ".git").mkdir(parents=True)
    (outer / "secret.env").write_text("SECRET=1")
    (outer / "nginx.conf").write_text("events {}")
    (root / "link.env").symlink_to(outer / "secret.env")
    (root / "compose.yaml").write_text(
        "services: {web: {image: nginx, env_file: [../secret.env, link.env],"
        " volumes: ['../nginx.conf:/etc/nginx/nginx.conf', '/etc/passwd:/etc/nginx/x.conf']}}"
    )
    workspace = Workspace.on_disk(str(root))
    found = read_deployment(workspace, str(root), workspace.files_below(str(root)))
    one = instance(found)
    assert one.environment == ()
    assert set(files(one).values()) == {None}


def test_a_repository_without_such_files_is_not_read() -> None:
    from nginx_stream_lint.deployment.read import read_deployment
    from nginx_stream_lint.files.workspace import Workspace

    texts = {"nginx.conf": "", "docs/compose.md": "", "a.yaml": "kind: Pod", "Dockerfile.md": ""}
    workspace = Workspace.in_memory(texts)
    before = workspace.budget.left("files")
    assert read_deployment(workspace, ".", list(texts), []).instances == ()
    assert workspace.budget.left("files") == before


def test_only_the_base_of_an_image_without_nginx_is_read() -> None:
    found = deployment(
        {
            "compose.yaml": """\
                services:
                  llm: {build: {context: ., dockerfile: llm.Dockerfile}}
                  web: {build: {context: ., dockerfile: web.Dockerfile, args: {BASE: linuxserver/swag}}}
                  edge:
                    build: {context: ., dockerfile: edge.Dockerfile}
                    command: [nginx, -c, /srv/edge.conf]
                """,
            "llm.Dockerfile": "FROM ollama/ollama AS start\nFROM start\nCOPY a.conf /x\n",
            "web.Dockerfile": "ARG BASE\nFROM $BASE\nCOPY a.conf /x\n",
            "edge.Dockerfile": "FROM debian:12\nCOPY edge.conf /srv/\n",
            "a.conf": "",
            "edge.conf": "",
        }
    )
    assert {one.name: one.app for one in found.services}["llm"] == "Ollama"
    placed = {one.name: files(one) for one in found.instances}
    assert placed == {"web": {"/x": "a.conf"}, "edge": {"/srv/edge.conf": "edge.conf"}}


def test_an_override_of_a_file_in_another_folder_may_add_services() -> None:
    found = deployment(
        {
            "compose.yaml": "services: {app: {image: vllm/vllm-openai}}\n",
            "overrides/compose.proxy.yaml": """\
            services:
              app: {environment: {A: b}}
              proxy: {image: "nginx:1.27.3", volumes: [./a.conf:/etc/nginx/conf.d/a.conf]}
            """,
            "overrides/a.conf": "",
        }
    )
    one = instance(found)
    assert (one.name, one.image, files(one)) == (
        "proxy",
        "nginx:1.27.3",
        {"/etc/nginx/conf.d/a.conf": "overrides/a.conf"},
    )
    assert not one.is_start_known  # the other file may mount more
    assert [(one.name, one.project) for one in found.services] == [
        ("app", "compose.yaml"),
        ("proxy", "overrides/compose.proxy.yaml"),
    ]


def test_reset_and_override_replace_values_of_earlier_files() -> None:
    main = """\
        services:
          web:
            image: nginx:1.27.3
            command: [nginx-debug]
            environment: {A: 1, B: 2}
            volumes: ["./a.conf:/etc/nginx/conf.d/a.conf"]
          gone: {image: nginx}
          other:
            image: nginx:1.27.3
        """
    override = """\
        services:
          web:
            command: !reset null
            environment: !override {C: 3}
            volumes: !override ["./b.conf:/etc/nginx/conf.d/b.conf"]
          gone: !reset null
          other: !override
            image: nginx:1.28.0
        """
    found = deployment(
        {"compose.yaml": main, "compose.override.yaml": override, "a.conf": "", "b.conf": ""}
    )
    web, other = found.instances
    assert files(web) == {"/etc/nginx/conf.d/b.conf": "b.conf"}
    assert web.environment == (("C", "3"),)
    assert web.command is not None
    assert web.command.words[0] == "nginx"
    assert other.versions is not None
    assert (other.name, other.versions.text) == ("other", "1.28.0")
    one = "services:\n  web:\n    environment: {A: !reset null, C: 3}\n"
    single = deployment({"compose.yaml": main, "compose.override.yaml": one})
    assert single.instances[0].environment == (("B", "2"), ("C", "3"))
    # In one file, the tags change nothing else.
    alone = deployment({"compose.yaml": main.replace("{A: 1, B: 2}", "!override {A: 1, B: 2}")})
    assert alone.instances[0].environment == (("A", "1"), ("B", "2"))


def test_volumes_from_other_services() -> None:
    found = deployment(
        {
            "compose.yaml": """\
                services:
                  files:
                    image: busybox
                    volumes:
                      - ./a.conf:/etc/nginx/conf.d/a.conf
                      - ./a.conf:/etc/nginx/nginx.conf
                    volumes_from: [web]
                  web:
                    image: nginx:1.27.3
                    volumes_from: ["files:ro"]
                    volumes: ["./b.conf:/etc/nginx/nginx.conf"]
                """,
            "a.conf": "",
            "b.conf": "",
        }
    )
    assert files(instance(found)) == {
        "/etc/nginx/conf.d/a.conf": "a.conf",
        "/etc/nginx/nginx.conf": "b.conf",  # its own volume counts
    }
    outside = compose(
        """\
        services:
          web: {image: 'nginx:1.27.3', volumes_from: ['container:data:ro', missing]}
        """
    )
    assert notes(outside) == [
        "compose.yaml:2:48: the volumes of data for web are unknown;"
        " define the service in this project",
        "compose.yaml:2:68: the volumes of missing for web are unknown;"
        " define the service in this project",
    ]


def test_an_image_that_another_service_builds() -> None:
    """Many services may run one image; its Dockerfile may be the base of others."""
    found = deployment(
        {
            "compose.yaml": """\
                services:
                  builder: {image: 'ours/base:1', build: base, command: 'true'}
                  web: {build: web}
                  second: {image: 'ours/base:1'}
                  itself: {image: ours/itself, build: itself}
                """,
            "base/Dockerfile": """\
                FROM nginx:1.27.3
                ENV A=1
                ONBUILD COPY site.conf /etc/nginx/conf.d/default.conf
                ONBUILD RUN rm /etc/nginx/conf.d/other.conf
                COPY other.conf /etc/nginx/conf.d/
                """,
            "base/other.conf": "",
            "web/Dockerfile": "FROM ours/base:1\nRUN true\n",
            "web/site.conf": "",
            "itself/Dockerfile": "FROM ours/itself\n",
        }
    )
    placed = {one.name: files(one) for one in found.instances}
    other = {"/etc/nginx/conf.d/other.conf": "base/other.conf"}
    assert placed["second"] == placed["builder"] == other
    site = {"/etc/nginx/conf.d/default.conf": "web/site.conf"}
    assert placed["web"] == {**other, **site}
    web = next(one for one in found.instances if one.name == "web")
    assert web.at("/etc/nginx/conf.d/other.conf").how == "removed"  # type: ignore[union-attr]
    assert dict(web.environment) == {"A": "1"}
    assert {one.versions and one.versions.text for one in found.instances} == {"1.27.3"}


@pytest.mark.parametrize(
    ("text", "names", "note"),
    [
        (
            """\
            services:
              web: {image: 'nginx:1.27.3', env_file: [missing.env]}
            """,
            ["web"],
            "compose.yaml:2:43: missing.env is not in the repository;"
            " its variables are unknown for web",
        ),
        (
            """\
            services:
              app: {image: app, env_file: [missing.env]}
              web: {image: 'nginx:1.27.3'}
            """,
            ["web"],
            None,  # it matters to no nginx
        ),
        (
            """\
            services:
              a: {image: nginx, extends: b}
              b: {extends: c}
              c: {extends: a}
              web: {image: 'nginx:1.27.3'}
            """,
            ["web"],
            "compose.yaml:2:3: a extends itself; remove one `extends`; these services are unknown",
        ),
        (
            """\
            services:
              web: {image: 'nginx:1.27.3', extends: {service: a, file: missing.yaml}}
            """,
            ["web"],
            "compose.yaml:2:3: the file that web extends does not exist;"
            " its settings for the service are unknown",
        ),
        (
            """\
            services:
              web: {image: 'nginx:1.27.3', extends: nothing}
            """,
            ["web"],
            "compose.yaml:2:3: the service that web extends does not exist;"
            " check its name; its settings are unknown",
        ),
        (
            """\
            services:
              web: {image: 'nginx:1.27.3'}
              web: {image: 'nginx:1.28.0'}
              edge: {image: 'nginx:1.27.3'}
            """,
            ["edge"],
            "compose.yaml:3:3: two services are named web;"
            " rename one, because Compose rejects the file; both are unknown",
        ),
    ],
)
def test_certain_parts_are_used_and_one_note_names_the_others(
    text: str, names: list[str], note: str | None
) -> None:
    found = compose(text)
    assert [one.name for one in found.instances] == names
    assert {one.versions and one.versions.text for one in found.instances} == {"1.27.3"}
    assert notes(found) == ([] if note is None else [note])


def test_a_missing_environment_file_adds_nothing() -> None:
    found = compose("services: {web: {image: nginx, env_file: no.env, environment: {A: 1}}}")
    one = instance(found)
    assert one.environment == (("A", "1"),)


@pytest.mark.parametrize(
    ("image", "variables", "version", "place"),
    [
        ("nginx:${V:-1.27}", "", "1.27", "compose.yaml:3"),
        ("nginx:${V:-1.27}", "V=1.28", "1.28", "compose.yaml:3"),
        ("nginx:${V-1.27}", "V=", "latest", "compose.yaml:3"),
        ("nginx:${V:-${W:-1.26.2}}", "", "1.26.2", "compose.yaml:3"),
        ("nginx:$V", "V=1.27.3-alpine", "1.27.3", "compose.yaml:3"),
        ("nginx:${V:?say it}", "", None, None),
        ("${REGISTRY:-docker.io}/nginx:1.27", "", "1.27", "compose.yaml:3"),
        ("${REGISTRY:-}nginx:1.27", "", "1.27", "compose.yaml:3"),
    ],
)
def test_variables_in_an_image(
    image: str, variables: str, version: str | None, place: str | None
) -> None:
    text = f"services:\n  web:\n    image: {image}\n"
    one = instance(deployment({"compose.yaml": text, ".env": variables}))
    found = one.versions
    assert (found and found.text, found and str(found.origin)) == (version, place)
