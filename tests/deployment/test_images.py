"""Images: which nginx they run, which app they are, what is configured in them."""

from __future__ import annotations

import pytest

from nginx_stream_lint.config.configuration import read_all
from nginx_stream_lint.config.includes import IncludeResolver
from nginx_stream_lint.deployment.images import (
    app_of,
    images,
    installed_version,
    server_image,
    versions_of,
)
from nginx_stream_lint.deployment.model import DeployedAt
from nginx_stream_lint.files.workspace import Workspace
from nginx_stream_lint.nginx.directives import table as directive_table
from nginx_stream_lint.nginx.version_support import unsupported_in
from nginx_stream_lint.nginx.versions import LAST_OLD, NEW
from nginx_stream_lint.streams.catalogue import apps

HERE = DeployedAt("compose.yaml", 4)
BOTH = (LAST_OLD, NEW)


@pytest.mark.parametrize(
    ("image", "text", "judged"),
    [
        ("nginx:1.27.3", "1.27.3", ((1, 27, 3),)),
        ("nginx:1.27", "1.27", ((1, 27, 0),)),
        ("docker.io/library/nginx:1.22.1-alpine", "1.22.1", ((1, 22, 1),)),
        ("nginx:1.27-alpine@sha256:0000", "1.27", ((1, 27, 0),)),
        ("public.ecr.aws/docker/library/nginx:1.25.5", "1.25.5", ((1, 25, 5),)),
        ("ghcr.io/nginx/nginx-unprivileged:1.31.1-alpine", "1.31.1", ((1, 31, 1),)),
        ("openresty/openresty:1.25.3.1-2-alpine", "1.25.3", ((1, 25, 3),)),
        ("docker.angie.software/angie:1.8.1-alpine", "1.27.3", ((1, 27, 3),)),
        ("jonasal/nginx-certbot:5.4.1-nginx1.27.0-alpine", "1.27.0", ((1, 27, 0),)),
        ("bitnami/nginx:1.27.3-debian-12-r0", "1.27.3", ((1, 27, 3),)),
        ("index.docker.io/library/nginx:1.27", "1.27", ((1, 27, 0),)),
        ("quay.io/nginx/nginx-unprivileged:1.27-alpine3.20-slim", "1.27", ((1, 27, 0),)),
        ("nginxinc/nginx-unprivileged:1.26.2", "1.26.2", ((1, 26, 2),)),
        ("nginx:1.27.3-bookworm-otel", "1.27.3", ((1, 27, 3),)),
        ("nginx:1.29.7", "1.29.7", ((1, 29, 7),)),
        ("openresty/openresty:1.25.3.2-5-alpine-fat", "1.25.3", ((1, 25, 3),)),
        ("openresty/openresty:1.21.4.1-0-jammy", "1.21.4", ((1, 21, 4),)),
        ("docker.angie.software/angie:1.10.2-debian", "1.27.5", ((1, 27, 5),)),
        ("docker.angie.software/angie:1.8", "1.27.3", ((1, 27, 3),)),
        ("docker.io/bitnami/nginx:1.27", "1.27", ((1, 27, 0),)),
        # The releases on both sides of the change of defaults have these tags.
        ("nginx", "latest", BOTH),
        ("nginx:latest", "latest", BOTH),
        ("nginx:alpine", "alpine", BOTH),
        ("nginx:1", "1", BOTH),
        ("nginx:1-alpine", "1-alpine", BOTH),
        ("nginx:stable-alpine-slim", "stable-alpine-slim", BOTH),
        ("nginx:mainline-alpine3.20", "mainline-alpine3.20", BOTH),
        ("nginx:1.29-alpine", "1.29", BOTH),
        ("openresty/openresty:alpine", "alpine", BOTH),
        ("openresty/openresty:bookworm-fat", "bookworm-fat", BOTH),
        ("docker.angie.software/angie:latest", "latest", BOTH),
        ("bitnami/nginx:latest", "latest", BOTH),
        ("nginx:stable-trixie-otel", "stable-trixie-otel", BOTH),
    ],
)
def test_a_tag_with_a_version_is_that_version(
    image: str, text: str, judged: tuple[object, ...]
) -> None:
    found = versions_of(image, HERE)
    assert found is not None
    assert (found.text, found.judged, str(found.origin)) == (text, judged, "compose.yaml:4")


@pytest.mark.parametrize(
    "image",
    [
        "jc21/nginx-proxy-manager:2.9.1", "nginxproxy/nginx-proxy:1.7-alpine", "company/nginx:1.27",
        "nginx@sha256:0000", "nginx:ours", "nginx/nginx-ingress:4.0.0", "localhost:5000/nginx:1.27",
        "nginx/nginx-prometheus-exporter:1.4", "ghcr.io/mailcow/nginx:1.30.4-1", "python:3.12",
        "jc21/nginx-proxy-manager:latest", "jwilder/nginx-proxy", "jwilder/nginx-proxy:1.7",
        "linuxserver/swag", "lscr.io/linuxserver/swag:2.11.0", "lscr.io/linuxserver/nginx:1.26.3",
        "registry.example.com/proxy/library/nginx:1.27", "ghcr.io/company/nginx:1.27",
        "docker.angie.software/angie:9.9.9", f"nginx:{'alpine-' * 50}",
    ],
)  # fmt: skip
def test_with_other_tags_the_version_is_unknown(image: str) -> None:
    assert versions_of(image, HERE) is None


@pytest.mark.parametrize(
    ("image", "text"),
    [
        ("debian:12", "1.22.1"), ("debian:bookworm-slim", "1.22.1"), ("debian:12.5", "1.22.1"),
        ("python:3.11-slim-bookworm", "1.22.1"), ("ubuntu:22.04", "1.18.0"),
        ("ubuntu:noble-20240101", "1.24.0"), ("alpine:3.19.1", "1.24.0"),
        ("alpine:3.17", "1.22"), ("alpine:3.15.4", "1.20"), ("php:8.3-fpm-alpine3.21", "1.26"),
        ("docker.io/library/debian:12", "1.22.1"), ("debian:bookworm-20240101", "1.22.1"),
        ("debian:stable-slim", None), ("alpine:edge", None), ("python:3.12-alpine", None),
        ("fedora:40", None), ("node:22-alpine3.20", "1.26"), ("debian", None), ("python:3.11", None),
        ("alpine:latest", None), ("company/base:bookworm", None), ("ubuntu:26.04", None),
    ],
)  # fmt: skip
def test_the_system_determines_the_version_of_its_package(image: str, text: str | None) -> None:
    found = installed_version(image, HERE)
    assert (found and found.text) == text


def test_apps_are_those_of_the_catalogue() -> None:
    assert {one.app for one in images().apps} <= {one.name for one in apps()}
    assert app_of("docker.io/ollama/ollama:0.5") == "Ollama"
    assert app_of("ghcr.io/open-webui/open-webui:main") == "Open WebUI"
    assert app_of("someone/ollama") is None


@pytest.mark.parametrize("name", list(images().configurations))
def test_the_configuration_of_an_image_is_readable(name: str) -> None:
    texts = images().configurations[name].files
    main = next(path for path in texts if path.endswith("/nginx.conf"))
    workspace = Workspace.in_memory(texts)
    found = read_all(main, IncludeResolver(workspace))
    assert [problem for one in found for problem in one.problems] == []
    rows = [row.base for row in images().servers] + [row.base for row in images().systems]
    assert name in rows


def test_every_row_has_a_source() -> None:
    table = images()
    sources = [
        *(row.source for row in table.servers),
        *(row.source for row in table.systems),
        *(row.source for row in table.configurations.values()),
    ]
    assert all(source.startswith("https://") for source in sources)
    names = [name for row in table.servers for name in row.images]
    assert len(names) == len(set(names))
    assert server_image("nginx:1.27") is table.servers[0]


def test_the_two_versions_of_a_floating_tag_differ_in_defaults_only() -> None:
    """So that streams are detected, and mistakes found, once for both."""
    for entry in directive_table().values():
        changed = {entry.since, entry.until, *(since for _, since in entry.context_since)}
        assert NEW not in changed, entry.name
    assert unsupported_in(LAST_OLD).names == unsupported_in(NEW).names
    assert any(
        entry.default(LAST_OLD, False) != entry.default(NEW, False)
        for entry in directive_table().values()
    )
