"""Container images: the nginx in them, its configuration, and known apps.

The table is `images.yaml`.
"""

from __future__ import annotations

import os
import re
from functools import cache

from msgspec import Struct

from nginx_stream_lint.deployment.model import DeployedAt, NginxVersions, PlacedFile, is_known
from nginx_stream_lint.deployment.names import mentions_nginx
from nginx_stream_lint.nginx.versions import LAST_OLD, NEW, parse_version
from nginx_stream_lint.util.data import table

_FILE = os.path.join(os.path.dirname(__file__), "images.yaml")

_FLOATING = (
    r"latest|(?:(?:stable|mainline|1|alpine|alpine3?\.\d+|slim|perl|otel|bookworm|bullseye|buster|trixie|jammy|noble"
    r"|focal|fat|apk|debian|ubuntu)(?:-(?=.)|$))+"
)
_MAX_TAG = 128
_EXACT = r"(\d+\.\d+\.\d+)(?=$|-|\.(?=\d))"
_SERIES = r"(\d+\.\d+)(?=$|-)"
_SUFFIX = r"-nginx(\d+\.\d+\.\d+)(?=$|-)"


class ServerImage(Struct, frozen=True, forbid_unknown_fields=True):
    """Images that run nginx; see `images.yaml`."""

    images: tuple[str, ...]
    product: str
    version: str
    source: str
    main: str | None = None
    base: str | None = None
    templates: bool = False
    controller: bool = False
    without: tuple[str, ...] = ()


class SystemRelease(Struct, frozen=True, forbid_unknown_fields=True):
    """A release of a Linux distribution, and the nginx in its package manager."""

    image: str
    names: tuple[str, ...]
    own: tuple[str, ...]
    version: str
    base: str
    source: str


class BaseConfiguration(Struct, frozen=True, forbid_unknown_fields=True):
    """The configuration in an image or package: texts by path."""

    source: str
    files: dict[str, str]


class AppImages(Struct, frozen=True, forbid_unknown_fields=True):
    """Images of an app of the catalogue."""

    app: str
    images: tuple[str, ...]
    source: str


class ProxyImages(Struct, frozen=True, forbid_unknown_fields=True):
    """Images of a product of `tiers/products.yaml`."""

    product: str
    images: tuple[str, ...]
    source: str


class ImageTable(Struct, frozen=True, forbid_unknown_fields=True):
    """The table of images."""

    mirrors: tuple[str, ...]
    servers: tuple[ServerImage, ...]
    angie: dict[str, str]
    systems: tuple[SystemRelease, ...]
    systems_of: tuple[str, ...]
    configurations: dict[str, BaseConfiguration]
    apps: tuple[AppImages, ...]
    proxies: tuple[ProxyImages, ...]


class ImageName(Struct, frozen=True):
    """An image's name without the registry mirror, and its tag; empty without one."""

    repository: str
    tag: str
    has_digest: bool


@cache
def images() -> ImageTable:
    """Load the table of images."""
    return table("images", ImageTable, read)


def read() -> ImageTable:
    """Read the table of images from YAML."""
    from nginx_stream_lint.util.yamlfile import load_records

    return load_records(_FILE, ImageTable)


def image_name(image: str) -> ImageName:
    """The parts of an image's name.

    >>> image_name("docker.io/library/nginx:1.27@sha256:0")
    ImageName(repository='nginx', tag='1.27', has_digest=True)
    """
    name, at, _ = image.strip().partition("@")
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:
        head, tag = name, ""
    for mirror in images().mirrors:
        if head.startswith(f"{mirror}/"):
            head = head[len(mirror) + 1 :]
            break
    return ImageName(head.removeprefix("library/").lower(), tag, bool(at))


@cache
def _servers() -> dict[str, ServerImage]:
    return {name: row for row in images().servers for name in row.images}


def server_image(image: str) -> ServerImage | None:
    """The table row of an image that runs nginx."""
    name = image_name(image)
    row = _servers().get(name.repository)
    return None if row is None or name.tag in row.without else row


def base_files(base: str | None, origin: DeployedAt) -> list[PlacedFile]:
    """The configuration files of an image or package, by its row `base` of the table."""
    known = None if base is None else images().configurations.get(base)
    if known is None:
        return []
    return [PlacedFile(inside, None, "image", origin, key=base) for inside in known.files]


def app_of(image: str | None) -> str | None:
    """The app in the catalogue that an image contains."""
    if image is None:
        return None
    return _apps().get(image_name(image).repository)


@cache
def _apps() -> dict[str, str]:
    return {image: row.app for row in images().apps for image in row.images}


@cache
def proxy_products() -> dict[str, str]:
    """The products of `tiers/products.yaml` by image."""
    return {image: row.product for row in images().proxies for image in row.images}


def may_name_server(data: bytes) -> bool:
    """Whether the bytes of a file may have the name of an image that runs nginx."""
    return mentions_nginx(data) or any(name in data for name in _unlike_nginx())


@cache
def _unlike_nginx() -> tuple[bytes, ...]:
    """The images that run nginx and do not say so in their names."""
    return tuple(name.encode() for name in _servers() if not mentions_nginx(name))


def is_named_after_nginx(image: str) -> bool:
    """Whether an unknown image is named like an nginx product: `company/nginx:3`."""
    name = image_name(image).repository.rpartition("/")[2]
    return name in ("nginx", "openresty", "angie", "nginx-unprivileged")


def is_without_server(image: str) -> bool:
    """Whether an image is a plain system without a server: `busybox`, `alpine:3.22`."""
    name = image_name(image).repository
    return name in ("busybox", "scratch") or any(name == row.image for row in images().systems)


def versions_of(image: str, origin: DeployedAt) -> NginxVersions | None:
    """The nginx versions that an image's tag may mean; None if it is unknown.

    A floating tag may mean nginx before or after the change of defaults. A digest without a tag
    determines nothing.
    """
    row = server_image(image)
    name = image_name(image)
    if row is None or not is_known(name.tag) or len(name.tag) > _MAX_TAG:
        return None
    if name.has_digest and not name.tag:
        return None
    tag = name.tag or "latest"
    if row.version == "never":
        return None
    if row.version == "suffix":
        found = re.search(_SUFFIX, tag)
        return None if found is None else _one(found[1], origin)
    exact = re.match(_EXACT, tag)
    series = re.match(_SERIES, tag)
    if row.version == "angie":
        text = (exact or series or [""])[0]
        base = images().angie.get(".".join(text.split(".")[:2])) if text else None
        if base is not None:
            return _one(base, origin)
        return None if text else _floating(tag, origin)
    if exact is not None:
        return _one(exact[1], origin)
    if series is not None and row.version == "nginx":
        return _series(series[1], origin)
    return _floating(tag, origin)


def pinned_version(text: str, origin: DeployedAt) -> NginxVersions:
    """A version that a command installs: `1.27.3`, or a series such as 1.27."""
    return _series(text, origin) if text.count(".") < 2 else _one(text, origin)


def _one(text: str, origin: DeployedAt) -> NginxVersions:
    return NginxVersions(text, (parse_version(text),), origin)


def _series(text: str, origin: DeployedAt) -> NginxVersions:
    """A release series, such as 1.27."""
    version = parse_version(text)
    if version[:2] == NEW[:2]:
        return NginxVersions(text, (LAST_OLD, NEW), origin)
    return NginxVersions(text, (version,), origin)


def _floating(tag: str, origin: DeployedAt) -> NginxVersions | None:
    if not re.fullmatch(_FLOATING, tag):
        return None
    return NginxVersions(tag, (LAST_OLD, NEW), origin)


def system_of(image: str) -> SystemRelease | None:
    """The distribution release that an image is based on, if its name shows it."""
    name = image_name(image)
    if not is_known(name.tag):
        return None
    words = re.split(r"-", name.tag)
    for row in images().systems:
        if name.repository == row.image:
            plain = ".".join(words[0].split(".")[:2])
            if words[0] in row.own or words[0] in row.names or plain in row.own:
                return row
            if row.image == "debian" and words[0].split(".")[0] in row.own:
                return row
        elif name.repository in images().systems_of and any(one in row.names for one in words):
            return row
    return None


def installed_version(image: str, origin: DeployedAt) -> NginxVersions | None:
    """The nginx that the package manager of an image's distribution installs."""
    row = system_of(image)
    return None if row is None else _series(row.version, origin)
