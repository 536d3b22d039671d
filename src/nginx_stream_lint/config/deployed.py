"""The files of one nginx in a deployment: their paths in its container, and their contents.

`deployment/` reads them from compose files, Dockerfiles and manifests. This interface keeps the
reading of configurations independent of how a repository describes its deployment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct

from nginx_stream_lint.config.mapped_text import MappedText
from nginx_stream_lint.files.source import Source


class DeployedPaths(Struct, frozen=True):
    """The files at a path or pattern in a container, by their paths in the repository.

    `is_complete` False: the container may have more files than the repository.
    """

    paths: tuple[str, ...] = ()
    is_complete: bool = False


class WrittenTimeout(Struct, frozen=True):
    """A limit in seconds in the settings of a proxy: of each silence, or of the whole response.

    `what` is the setting. `is_default`: it could be written there and is not. `to_raise` says how
    to change it, with `{seconds}` or `{minutes}` for the new value.
    """

    seconds: float
    what: str
    of: Literal["silence", "response"] = "silence"
    is_default: bool = False
    to_raise: str = ""


class ProxyInFront(Struct, frozen=True):
    """A proxy other than nginx that is in front of an nginx.

    `product` is its name in the table of products. `source`, `start` and `end` are the place that
    shows it, `because` the evidence in a few words. `timeouts` are its limits if its settings are
    in the repository; None: they are elsewhere, and the product's defaults may apply. `holds` is
    the setting that makes it collect responses; empty if there is none.
    """

    product: str
    because: str
    source: Source
    start: int
    end: int
    timeouts: tuple[WrittenTimeout, ...] | None = None
    holds: str = ""


class DeployedPlace(Protocol):
    """A place in a file that describes a deployment."""

    @property
    def file(self) -> str:
        """The path of the file."""

    @property
    def line(self) -> int:
        """The line, from 1."""


class Deployed(Protocol):
    """One nginx of a deployment."""

    @property
    def name(self) -> str:
        """Its name, such as the name of its service in a compose file."""

    @property
    def origin(self) -> DeployedPlace:
        """The place that describes it."""

    @property
    def product(self) -> str:
        """The server product: nginx, OpenResty …"""

    @property
    def versions(self) -> tuple[tuple[int, int, int], ...]:
        """The nginx versions that may run; empty if unknown."""

    @property
    def version(self) -> str | None:
        """The nginx version as the deployment states it, or a floating tag; None if unknown."""

    @property
    def version_origin(self) -> DeployedPlace | None:
        """The place that states the version; None if it is unknown."""

    @property
    def values(self) -> Mapping[str, str]:
        """The environment variables, for templates."""

    @property
    def texts(self) -> Mapping[str, MappedText]:
        """Texts that are no files in the repository, by the paths that `paths_of` returns."""

    @property
    def main(self) -> str | None:
        """The path of its main file in the repository; None if unknown."""

    def paths_of(self, argument: str) -> DeployedPaths:
        """The files for an include's argument in the container."""

    def has(self, key: str) -> bool:
        """Whether the container has a file, by its `Workspace.key`."""

    def app_of(self, host: str) -> str | None:
        """The app in the catalogue for a host name; None if unknown."""

    def neighbour(self, host: str, port: int) -> tuple[Deployed, int] | None:
        """The nginx that a host name and port lead to, and the port in its container.

        None if it is none, or unknown.
        """

    def behind_service(
        self, name: str, namespace: str | None, port: int, path: str
    ) -> tuple[Deployed, int] | None:
        """The nginx behind a Kubernetes Service that a manifest names; as `neighbour` otherwise.

        `path` is the manifest's. Of several Services of the name, the nearest counts.
        """

    @property
    def in_front(self) -> Sequence[ProxyInFront]:
        """The proxies other than nginx in front of it."""

    def value_origin(self, name: str) -> DeployedPlace | None:
        """The place that sets an environment variable; None if unknown."""

    def addresses_of(self, host: str) -> int | None:
        """The number of addresses that a host name resolves to; None if unknown."""


def version_words(nginx: Deployed, shown: Callable[[str], str] = str) -> str:
    """The version of an nginx and the place that states it: `nginx 1.27 (compose.yaml:4)`.

    If a floating tag states it: `nginx with the tag alpine (compose.yaml:4)`. `shown` shortens the
    path of the file.
    """
    place = nginx.version_origin
    where = "" if place is None else f" ({shown(place.file)}:{place.line})"
    if len(nginx.versions) > 1:
        return f"{nginx.product} with the tag {nginx.version}{where}"
    return f"nginx {nginx.version}{where}"
